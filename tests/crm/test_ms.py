"""МойСклад without a network: the settings, what is built of a report, what answers mean."""

import json
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from gateway.calls.parties import Direction
from gateway.crm.base import CrmSettingsError, Problem
from gateway.crm.checks import table_problems
from gateway.crm.http import HttpAnswer
from gateway.crm.ms_calls import comment_of, end_of_call, ended_call, recording_of_call, ringing_call
from gateway.crm.ms_settings import JSON_API_URL, MsSettings, settings_of
from gateway.crm.ms_wire import MsTrouble, Verdict, judged
from tests.crm.moysklad import DIALLED, KEY, RECORDED, TALKED, TOKEN, UNANSWERED
from tests.crm.told import BEGAN, MISSED, RUNG, URL

EMPLOYEE = "01234567-89ab-cdef-0123-456789abcdef"
LINK = {"href": f"{JSON_API_URL}/entity/employee/{EMPLOYEE}", "type": "employee", "mediaType": "application/json"}
WHOLE: dict[str, Any] = {
    "enabled": True,
    "phone_api_url": "https://api.moysklad.ru/api/phone/1.0",
    "json_api_url": "https://api.moysklad.ru/api/remap/1.2/",
    "integration_code": KEY,
    "api_token": TOKEN,
    "webhook_uuid": "5f0c3b1e-8d2a-4c6f-9b7e-1d3a5c8f2e4b",
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": False},
    "incoming_call_actions": {"create_client": True, "create_order": "none", "order_source": "Телефонный звонок"},
    "outgoing_call_actions": {"create_client": False, "create_order": "none", "order_source": "Исходящий звонок"},
    "employee_mapping": {"151": {"name": "Иванова", "email": "", "employee_id": EMPLOYEE}, "152": {"name": "Петров"}, "22": None},
}
SETTINGS = settings_of(WHOLE)


# settings


def test_the_settings_of_the_system_before_are_all_known() -> None:
    assert table_problems("ms", WHOLE) == []
    assert SETTINGS.employees == {"151": EMPLOYEE, "152": ""}
    assert (SETTINGS.shows_incoming, SETTINGS.shows_outgoing) == (True, False)
    assert (SETTINGS.phone_url.path, SETTINGS.json_url.path) == (b"/api/phone/1.0", b"/api/remap/1.2")


def test_a_key_is_enough() -> None:
    few = {"enabled": True, "integration_code": KEY}
    assert table_problems("ms", few) == []
    assert settings_of(few) == attrs.evolve(SETTINGS, token="", employees={})


def test_what_is_switched_off_may_be_incomplete() -> None:
    assert table_problems("ms", {}) == table_problems("ms", {"enabled": False, "api_token": TOKEN}) == []


def test_no_card_is_shown_where_the_mode_is_none() -> None:
    quiet = settings_of({**WHOLE, "notifications": {"call_notify_mode": "none", "notify_incoming": True, "notify_outgoing": True}})
    assert (quiet.shows_incoming, quiet.shows_outgoing) == (False, False)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"enabled": "yes"}, "integrations.ms: enabled: must be true or false, without quotes, not text"),
        ({"integration_code": None}, "integrations.ms: integration_code: is missing"),
        ({"integration_code": ""}, "integrations.ms: integration_code: must not be empty"),
        (
            {"integration_code": 12345},
            "integrations.ms: integration_code: must be text, not a number (leading zeros would be lost): put it in quotes",
        ),
        (
            {"integration_code": "КЛЮЧ"},
            "integrations.ms: integration_code: must have only letters, digits and signs of ASCII in it, no spaces",
        ),
        ({"api_token": "HUSH HUSH"}, "integrations.ms: api_token: must have only letters, digits and signs of ASCII in it, no spaces"),
        ({"phone_api_url": "api.moysklad.ru"}, "integrations.ms: phone_api_url: must be an address as in https://crm.example/calls"),
        (
            {"json_api_url": "https://api.moysklad.ru/?key=HUSH"},
            "integrations.ms: json_api_url: must be the address of an API without a query, as in https://api.moysklad.ru/api/phone/1.0",
        ),
        ({"json_api_url": ""}, "integrations.ms: json_api_url: must not be empty"),
        (
            {"notifications": {"call_notify_mode": "always"}},
            'integrations.ms.notifications: call_notify_mode: must be none or during, not "always"',
        ),
        ({"notifications": {"notify_incomming": True}}, None),
        ({"notifications": True}, "integrations.ms: notifications: must be a table, not true or false"),
        ({"employee_mapping": {"Иванова": {}}}, 'integrations.ms.employee_mapping: "Иванова": must be an extension, as in 151'),
        ({"employee_mapping": {"151": EMPLOYEE}}, "integrations.ms.employee_mapping: 151: must be a table, not text"),
        (
            {"employee_mapping": {"151": {"employee_id": "17"}}},
            "integrations.ms.employee_mapping.151: employee_id: must be the id of an employee in МойСклад, as in 01234567-",
        ),
        ({"incoming_call_actions": {"create_client": 1}}, "integrations.ms.incoming_call_actions: create_client: must be true or false, "),
        ({"integration_kode": KEY}, None),
    ],
)
def test_each_wrong_field_is_one_line_without_secrets(changes: dict[str, Any], problem: str | None) -> None:
    wrong = {**WHOLE, **changes}
    (line,) = table_problems("ms", wrong)
    assert "HUSH" not in line
    if problem is None:
        assert 'is "' in line
        settings_of(wrong)
    else:
        assert line.startswith(problem)
        with pytest.raises(CrmSettingsError, match=r"^integrations\.ms"):
            settings_of(wrong)


def test_settings_show_no_keys() -> None:
    assert KEY not in repr(SETTINGS)
    assert TOKEN not in repr(SETTINGS)


# what is told


def test_a_ringing_call_has_nothing_that_its_end_may_say_otherwise() -> None:
    assert ringing_call(RUNG, SETTINGS) == {
        "externalId": "1759310248.0",
        "number": "+375290001234",
        "isIncoming": True,
        "startTime": "2025-10-01 12:17:28",
        "events": [
            {"eventType": "SHOW", "sequence": 1, "extension": "151", "employee": LINK},
            {"eventType": "SHOW", "sequence": 1, "extension": "152"},
        ],
    }


def test_the_end_names_who_has_talked_and_takes_all_cards_away() -> None:
    assert end_of_call(attrs.evolve(TALKED, extension="151", recording_url=URL), SETTINGS, known_urls=()) == {
        "extension": "151",
        "employee": LINK,
        "endTime": "2025-10-01 12:18:40",
        "comment": "Входящий звонок отвечен",
        "recordUrl": [URL],
        "events": [{"eventType": "HIDE_ALL", "sequence": 999}],
    }


def test_a_missed_call_has_no_length_and_nobody() -> None:
    assert end_of_call(attrs.evolve(MISSED, extension="151"), SETTINGS, known_urls=()) == {
        "duration": 0,
        "comment": "Пропущенный входящий звонок",
        "events": [{"eventType": "HIDE_ALL", "sequence": 999}],
    }


def test_a_call_that_is_told_at_its_end_shows_no_cards() -> None:
    told = ended_call(UNANSWERED, SETTINGS)
    assert "events" not in told
    assert (told["isIncoming"], told["extension"], told["employee"], told["duration"]) == (False, "151", LINK, 0)


def test_a_recording_is_sent_once() -> None:
    assert recording_of_call(RECORDED, known_urls=()) == {"recordUrl": [URL]}
    assert recording_of_call(RECORDED, known_urls=(URL,)) == {}
    assert "recordUrl" not in end_of_call(RECORDED, SETTINGS, known_urls=(URL,))


def test_a_length_without_an_end_is_in_milliseconds() -> None:
    told = end_of_call(attrs.evolve(TALKED, ended_at=None), SETTINGS, known_urls=())
    assert (told["duration"], "endTime" in told) == (72_000, False)
    unknown = attrs.evolve(TALKED, ended_at=None, duration_seconds=None, talk_seconds=None)
    assert not {"duration", "endTime"} & set(end_of_call(unknown, SETTINGS, known_urls=()))


def test_a_clock_that_was_set_back_makes_no_negative_length() -> None:
    told = end_of_call(attrs.evolve(TALKED, ended_at=BEGAN - timedelta(hours=1)), SETTINGS, known_urls=())
    assert told["endTime"] == "2025-10-01 12:17:28"


@pytest.mark.parametrize("direction", [Direction.INCOMING, Direction.OUTGOING])
def test_the_comments_are_those_people_know(direction: Direction) -> None:
    answered, missed = attrs.evolve(TALKED, direction=direction), attrs.evolve(MISSED, direction=direction)
    expected = {
        Direction.INCOMING: ("Входящий звонок отвечен", "Пропущенный входящий звонок"),
        Direction.OUTGOING: ("Исходящий звонок отвечен", "Неотвеченный исходящий звонок"),
    }
    assert (comment_of(answered), comment_of(missed)) == expected[direction]
    assert comment_of(attrs.evolve(missed, busy=True)) == "Звонок занят"


def test_the_caller_alone_sees_the_card_of_an_outgoing_call() -> None:
    shows = attrs.evolve(SETTINGS, shows_outgoing=True)
    assert [event["extension"] for event in ringing_call(DIALLED, shows)["events"]] == ["151"]
    assert ringing_call(DIALLED, SETTINGS)["events"] == []


# what answers mean


def answer(status: int, *codes: int, parameter: str = "", text: str = "нет", **headers: str) -> HttpAnswer:
    errors = [{"error": text, "parameter": parameter, "code": code, "error_message": text} for code in codes]
    return HttpAnswer(status=status, body=json.dumps({"errors": errors}).encode(), headers=headers)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (HttpAnswer(status=200, body=b'{"id":"1","new":[]}'), Verdict.OK),
        (HttpAnswer(status=204, body=b""), Verdict.OK),
        (answer(404, 1021), Verdict.MISSING),
        (answer(400, 1000), Verdict.MISSING),
        (answer(404, 1234), Verdict.MISSING),
        (answer(412, 3006, parameter="externalId"), Verdict.EXISTS),
        (answer(400, 3006), Verdict.EXISTS),
        (answer(400, 2013, parameter="employee"), Verdict.BAD_LINK),
        (answer(404, 1021, text="Объект с типом 'employee' и идентификатором '1' не найден"), Verdict.BAD_LINK),
    ],
)
def test_answers_that_say_what_is_there(given: HttpAnswer, verdict: Verdict) -> None:
    assert judged(given, now=BEGAN).verdict is verdict


@pytest.mark.parametrize(
    ("given", "problem", "is_ambiguous"),
    [
        (answer(401, 1056), Problem.UNAUTHORIZED, False),
        (answer(400, 1056), Problem.UNAUTHORIZED, False),
        (answer(403, 55008), Problem.UNAUTHORIZED, False),
        (answer(404, 1002), Problem.NOT_FOUND, False),
        (HttpAnswer(status=404, body=b"<html>"), Problem.NOT_FOUND, False),
        (answer(412, 3000), Problem.REJECTED, False),
        (answer(412, 3005), Problem.REJECTED, False),
        (answer(400, 1062), Problem.REJECTED, False),
        (HttpAnswer(status=415, body=b""), Problem.REJECTED, False),
        (answer(429, 1049), Problem.RATE_LIMIT, False),
        (answer(400, 1073), Problem.RATE_LIMIT, False),
        (answer(409, 1065), Problem.SERVER_ERROR, False),
        (answer(500, 1999), Problem.SERVER_ERROR, True),
        (answer(400, 1999), Problem.SERVER_ERROR, True),
        (answer(500, 1074), Problem.SERVER_ERROR, False),
        (HttpAnswer(status=301, body=b""), Problem.REDIRECT, False),
        (HttpAnswer(status=502, body=b"<html>"), Problem.SERVER_ERROR, True),
        (HttpAnswer(status=200, body=b"<html>"), Problem.BAD_ANSWER, True),
        (HttpAnswer(status=200, body=b"[]"), Problem.BAD_ANSWER, True),
        (HttpAnswer(status=200, body=b'{"id":', flaw="the answer broke off"), Problem.BAD_ANSWER, True),
        (HttpAnswer(status=400, body=b'{"errors":[1,{"code":"x"},{"code":true},{}]}'), Problem.REJECTED, False),
        (HttpAnswer(status=400, body=b'{"errors":{"code":1056}}'), Problem.REJECTED, False),
    ],
)
def test_failures_go_by_code_and_then_by_status(given: HttpAnswer, problem: Problem, is_ambiguous: bool) -> None:
    with pytest.raises(MsTrouble) as raised:
        judged(given, now=BEGAN)
    assert (raised.value.problem, raised.value.is_ambiguous) == (problem, is_ambiguous)


def test_a_reason_has_codes_and_fields_and_no_values() -> None:
    given = answer(412, 3005, 3000, parameter="number\n+375290001234; drop", text="HUSH")
    with pytest.raises(MsTrouble) as raised:
        judged(given, now=BEGAN)
    assert str(raised.value) == "http=412, code 3005 (number375290001234drop), code 3000 (number375290001234drop)"


def test_settings_compare_by_value() -> None:
    assert isinstance(SETTINGS, MsSettings)
    assert settings_of(WHOLE) == SETTINGS


# docs/crm/ms.md


@pytest.mark.parametrize("page", ["ms.md", "ms.ru.md"])
def test_the_example_of_the_page_is_good_and_every_key_is_explained(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    shown = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])["enterprise"]["integrations"]["ms"]
    assert table_problems("ms", shown) == []
    keys = [*WHOLE, *WHOLE["notifications"], "employee_id"]
    assert not [key for key in keys if f"`{key}`" not in text]


@pytest.mark.parametrize("page", ["ms.md", "ms.ru.md"])
def test_the_page_names_the_comments_as_they_are(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    reports = (TALKED, MISSED, UNANSWERED, attrs.evolve(TALKED, direction=Direction.OUTGOING), attrs.evolve(MISSED, busy=True))
    assert not [comment for report in reports if (comment := comment_of(report)) not in text]
