"""Bitrix24, what is pure: settings, the parameters of methods, what answers mean."""

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from gateway.calls.report import CallReport
from gateway.crm.advice import advice_of
from gateway.crm.base import CrmSettingsError, OutcomeClass, Problem
from gateway.crm.bitrix24 import usual_requests
from gateway.crm.bitrix24_answers import B24Trouble, Refusal, answer_of, trouble_of
from gateway.crm.bitrix24_calls import (
    Facts,
    facts_of,
    finish_params,
    finisher,
    known_user,
    owner,
    record_name,
    register_params,
    ringing_users,
)
from gateway.crm.bitrix24_settings import Application, Webhook, settings_of
from gateway.crm.checks import table_problems
from gateway.crm.http import HttpAnswer
from tests.crm.portal import DIALLED, RECORDED, UNANSWERED
from tests.crm.told import BEGAN, MISSED, RUNG, TALKED

SHAPE = "https://<portal>/rest/<user>/<code>/"
WEBHOOK = "https://portal.bitrix24.by/rest/1/HUSHk3yofaw3bh00/"
APPLICATION = {
    "portal_domain": "portal.bitrix24.by",
    "client_id": "local.5f0c",
    "client_secret": "HUSHsecret",
    "refresh_token": "HUSHrefresh",
}
TABLE: dict[str, Any] = {
    "enabled": True,
    "incoming_webhook": WEBHOOK,
    "webhook_token": "HUSHtoken",
    "webhook_uuid": "0b0f7a0e-8d2f-4e58-9b43-0d4f5d2f6f00",
    "user_extensions": {"25": "151", "26": "152", "27": ""},
    "updated_at": "2025-10-01T00:00:00",
}
SETTINGS = settings_of(TABLE)
MINSK = ZoneInfo("Europe/Minsk")


# settings


def test_the_settings_of_before_are_good_and_lead_to_the_webhook() -> None:
    assert table_problems("bitrix24", TABLE) == []
    door = SETTINGS.door
    assert isinstance(door, Webhook)
    assert (door.portal.host, door.user_id, door.code) == ("portal.bitrix24.by", "1", "HUSHk3yofaw3bh00")
    assert (dict(SETTINGS.users), SETTINGS.default_user) == ({"151": ("25",), "152": ("26",)}, "")
    assert "HUSH" not in repr(SETTINGS)


def test_an_application_goes_before_a_webhook() -> None:
    settings = settings_of({**TABLE, **APPLICATION, "default_user": "30"})
    assert isinstance(settings.door, Application)
    assert (settings.door.oauth.host, settings.door.oauth.path) == ("oauth.bitrix.info", b"/oauth/token/")
    assert (settings.default_user, "HUSH" in repr(settings)) == ("30", False)


@pytest.mark.parametrize("domain", ["portal.bitrix24.by", "https://portal.bitrix24.by", "https://portal.bitrix24.by/"])
def test_a_portal_is_named_with_and_without_the_scheme(domain: str) -> None:
    settings = settings_of({"enabled": True, **APPLICATION, "portal_domain": domain})
    assert (settings.door.portal.host, settings.door.portal.path) == ("portal.bitrix24.by", b"/")


def test_what_is_switched_off_may_be_incomplete_but_not_wrong() -> None:
    assert table_problems("bitrix24", {"enabled": False}) == []
    assert table_problems("bitrix24", {"enabled": False, "client_id": "local.1"}) == []
    assert table_problems("bitrix24", {"enabled": False, "incoming_webhook": "https://portal.bitrix24.by/"}) == [
        f"integrations.bitrix24: incoming_webhook: must be the address that Bitrix24 shows for the inbound webhook: {SHAPE}"
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"incoming_webhook": None}, "incoming_webhook: is missing"),
        ({"incoming_webhook": ""}, "incoming_webhook: must not be empty"),
        ({"incoming_webhook": "HUSH"}, "incoming_webhook: must be an address"),
        ({"incoming_webhook": f"{WEBHOOK}profile.json"}, "incoming_webhook: must be the address that Bitrix24 shows"),
        ({"incoming_webhook": f"{WEBHOOK}?a=1"}, "incoming_webhook: must be the address that Bitrix24 shows"),
        ({"incoming_webhook": "https://portal.bitrix24.by/rest/1/HUSH5/"}, "incoming_webhook: the code at its end must have at least 6"),
        ({"incoming_webhook": 5}, "incoming_webhook: must be text, not a number"),
        ({"webhook_token": 5}, "webhook_token: must be text, not a number"),
        ({"webhook_uuid": True}, "webhook_uuid: must be text, not true or false"),
        ({"updated_at": datetime(2025, 1, 1, tzinfo=UTC)}, "updated_at: must be text, not a date or time"),
        ({"default_user": 30}, "default_user: must be text, not a number"),
        ({"default_user": "admin"}, "default_user: must be the id of a user of the portal, a number"),
        ({"user_extensions": ["151"]}, "user_extensions: must be a table, not a list"),
        ({"user_extensions": {"ivanov": "151"}}, 'user_extensions: "ivanov" must be the id of a user of the portal, a number'),
        ({"user_extensions": {"25": 151}}, ".user_extensions: 25: must be text, not a number"),
        ({"user_extensions": {"25": "+37529"}}, '.user_extensions: 25: must be 1 to 6 digits, not "+37529"'),
        ({"client_id": "local.1"}, "client_secret: is missing"),
        ({**APPLICATION, "portal_domain": ""}, "portal_domain: must not be empty"),
        ({**APPLICATION, "portal_domain": "portal.bitrix24.by/rest/"}, "portal_domain: must be the portal's host alone"),
        ({**APPLICATION, "oauth_url": "oauth"}, "oauth_url: must be an address"),
        ({"defualt_user": "5"}, 'unknown key "defualt_user" (is "default_user" meant?)'),
        ({"enabled": "yes"}, "enabled: must be true or false"),
    ],
)
def test_a_wrong_field_is_told_in_one_line_without_secrets(changes: dict[str, Any], problem: str) -> None:
    table = {key: value for key, value in {**TABLE, **changes}.items() if value is not None}
    problems = table_problems("bitrix24", table)
    assert any(problem in each for each in problems), problems
    assert "HUSH" not in "".join(problems)
    assert all(each.startswith("integrations.bitrix24") and "\n" not in each for each in problems)


def test_settings_that_are_no_good_raise() -> None:
    with pytest.raises(CrmSettingsError, match=r"^integrations\.bitrix24: incoming_webhook: is missing$"):
        settings_of({})


# whose call it is


@pytest.mark.parametrize(
    ("report", "user"),
    [
        (RUNG, {"USER_ID": 25}),
        (attrs.evolve(RUNG, extensions=("153", "152")), {"USER_ID": 26}),
        (attrs.evolve(RUNG, extensions=("153", "154")), {"USER_PHONE_INNER": "153"}),
        (attrs.evolve(RUNG, extensions=()), None),
        (DIALLED, {"USER_ID": 25}),
    ],
)
def test_a_call_is_registered_for_the_first_of_those_that_are_known(report: CallReport, user: dict[str, Any] | None) -> None:
    found = owner(SETTINGS, report)
    assert (None if found is None else found.params) == user


@pytest.mark.parametrize(
    ("report", "user"),
    [
        (TALKED, {"USER_ID": 26}),
        (attrs.evolve(TALKED, extensions=("153",), extension="153"), {"USER_PHONE_INNER": "153"}),
        (attrs.evolve(TALKED, extensions=(), extension=""), {"USER_ID": 9}),
        (MISSED, {"USER_ID": 9}),
    ],
)
def test_a_call_is_finished_by_who_talked_or_by_whom_it_was_registered_for(report: CallReport, user: dict[str, Any]) -> None:
    registered = facts_of(RUNG, known_user(settings_of({**TABLE, "user_extensions": {"9": "999"}}), "999")).user
    found = finisher(SETTINGS, report, registered)
    assert found is not None
    assert found.params == user


def test_all_that_ring_see_the_card_once() -> None:
    assert ringing_users(SETTINGS, attrs.evolve(RUNG, extensions=("152", "153", "151", "152"))) == (26, 25)
    shared = settings_of({**TABLE, "user_extensions": {"25": "151", "27": "151"}})
    assert (ringing_users(shared, RUNG), known_user(shared, "151").params) == ((25, 27), {"USER_ID": 25})
    assert (shared.extension_of("27"), shared.extension_of("28")) == ("151", "")


# parameters


def test_a_registration_says_who_when_and_by_which_line() -> None:
    user = owner(SETTINGS, RUNG)
    assert user is not None
    assert register_params(RUNG, facts_of(RUNG, user), MINSK, shows=False) == {
        "USER_ID": 25,
        "PHONE_NUMBER": "+375290001234",
        "TYPE": 2,
        "LINE_NUMBER": "0001363",
        "CALL_START_DATE": "2025-10-01T12:17:28+03:00",
        "CRM_CREATE": 0,
        "SHOW": 0,
        "ADD_TO_CHAT": 0,
        "EXTERNAL_CALL_ID": "1759310248.0",
    }
    outgoing = register_params(DIALLED, facts_of(attrs.evolve(DIALLED, line=""), user), ZoneInfo("Asia/Almaty"), shows=True)
    assert (outgoing["TYPE"], outgoing["SHOW"], outgoing["CALL_START_DATE"]) == (1, 1, "2025-10-01T14:17:28+05:00")
    assert "LINE_NUMBER" not in outgoing


def test_an_end_says_whose_how_long_and_how() -> None:
    user = finisher(SETTINGS, TALKED, None)
    assert user is not None
    assert finish_params(TALKED, "externalCall.1", user) == {
        "CALL_ID": "externalCall.1",
        "USER_ID": 26,
        "DURATION": 65,
        "STATUS_CODE": "200",
        "ADD_TO_CHAT": 0,
    }
    assert finish_params(UNANSWERED, "1", user)["STATUS_CODE"] == "603-S"


@pytest.mark.parametrize(
    ("unique_id", "url", "name"),
    [
        ("1759310248.0", "https://gateway.example/recordings/file/1", "1759310248.0.mp3"),
        ("1759310248.0", "https://gateway.example/a/1.WAV?x=1.mp3", "1759310248.0.wav"),
        ("1759310248.0", "https://gateway.example/a/1.ogg", "1759310248.0.mp3"),
        ("../a b\n", "https://gateway.example/1.mp3", ".._a_b_.mp3"),
        ("", "https://gateway.example/1.mp3", "call.mp3"),
    ],
)
def test_a_recording_is_called_after_its_call(unique_id: str, url: str, name: str) -> None:
    assert record_name(attrs.evolve(RECORDED, unique_id=unique_id, recording_url=url)) == name


def test_what_a_registration_is_known_by_survives_a_memory() -> None:
    user = owner(SETTINGS, attrs.evolve(RUNG, extensions=("153",)))
    assert user is not None
    facts = facts_of(RUNG, user)
    assert Facts.of(json.loads(json.dumps(facts.document))) == facts
    for damaged in (None, 5, {}, {**facts.document, "extension": ""}, {**facts.document, "type": 9}, {**facts.document, "phone": None}):
        assert Facts.of(damaged) is None


@pytest.mark.parametrize(
    ("report", "requests"),
    [
        (RUNG, 2),
        (attrs.evolve(RUNG, extensions=("151",)), 1),
        (attrs.evolve(RUNG, recovered=True), 0),
        (attrs.evolve(RUNG, phone=""), 0),
        (DIALLED, 1),
        (TALKED, 2),
        (attrs.evolve(TALKED, recording_url="https://gateway.example/1"), 3),
        (UNANSWERED, 1),
        (attrs.evolve(UNANSWERED, recovered=True), 2),
        (RECORDED, 1),
    ],
)
def test_places_are_taken_for_what_a_report_usually_needs(report: CallReport, requests: int) -> None:
    assert usual_requests(SETTINGS, report) == requests


# answers


def said(status: int, error: str, text: str = "", **more: Any) -> B24Trouble:
    body = json.dumps({"error": error, "error_description": text, **more}).encode()
    return trouble_of(answer_of(HttpAnswer(status=status, body=body)), now=BEGAN)


@pytest.mark.parametrize(
    ("status", "error", "text", "problem", "refusal"),
    [
        (400, "ERROR_CORE", "USER_ID or USER_PHONE_INNER should be set.", Problem.REJECTED, Refusal.USER_MISSING),
        (400, "ERROR_CORE", "User is not found or is not active", Problem.REJECTED, Refusal.USER_MISSING),
        (400, "ERROR_CORE", "Unknown TYPE.", Problem.REJECTED, None),
        (400, "ERROR_CORE", "CALL_START_DATE should be in the ISO-8601 format.", Problem.REJECTED, None),
        (400, "ERROR_CORE", "Unsupported phone number format.", Problem.REJECTED, None),
        (400, "INVALID_ARGUMENT", "CALL_ID must be a string", Problem.REJECTED, None),
        (400, "ERROR_CORE", "Call is not found (call should be registered prior to finishing)", Problem.REJECTED, Refusal.CALL_MISSING),
        (400, "ERROR_CORE", "Unexpected database error", Problem.SERVER_ERROR, None),
        (
            400,
            "",
            "Call is not found in the statistic table. It looks like it is not finished yet.",
            Problem.REJECTED,
            Refusal.NOT_FINISHED,
        ),
        (
            400,
            "ERROR_CORE",
            "Call is not found in the statistic table. Looks like it is not finished yet.",
            Problem.REJECTED,
            Refusal.NOT_FINISHED,
        ),
        (400, "ERROR_CORE", "Wrong file extension. Only wav and mp3 are allowed", Problem.REJECTED, None),
        (400, "ERROR_CORE", "Server returns HTTP error code 404", Problem.SERVER_ERROR, Refusal.RECORD_UNREACHABLE),
        (400, "", "Record URL resolves to a non-public address and was blocked.", Problem.REJECTED, Refusal.RECORD_PRIVATE),
        (400, "ERROR_CORE", "CRM is not installed.", Problem.REJECTED, None),
        (400, "INVALID_REQUEST", "Https required", Problem.REJECTED, None),
        (401, "NO_AUTH_FOUND", "Wrong authorization data", Problem.UNAUTHORIZED, Refusal.DOOR),
        (401, "expired_token", "The access token provided has expired.", Problem.UNAUTHORIZED, Refusal.TOKEN),
        (403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method", Problem.UNAUTHORIZED, Refusal.WRONG_AUTH_TYPE),
        (401, "insufficient_scope", "", Problem.UNAUTHORIZED, Refusal.SCOPE),
        (403, "insufficient_scope", "", Problem.UNAUTHORIZED, Refusal.SCOPE),
        (401, "INVALID_CREDENTIALS", "", Problem.UNAUTHORIZED, Refusal.DOOR),
        (403, "ACCESS_DENIED", "REST API is available only on commercial plans", Problem.UNAUTHORIZED, Refusal.PLAN),
        (403, "ACCESS_DENIED", "Access denied!", Problem.UNAUTHORIZED, Refusal.RIGHT),
        (401, "user_access_error", "", Problem.UNAUTHORIZED, Refusal.RIGHT),
        (503, "QUERY_LIMIT_EXCEEDED", "Too many requests", Problem.RATE_LIMIT, None),
        (429, "OPERATION_TIME_LIMIT", "", Problem.RATE_LIMIT, None),
        (503, "OVERLOAD_LIMIT", "", Problem.RATE_LIMIT, None),
        (401, "OVERLOAD_LIMIT", "", Problem.RATE_LIMIT, None),
        (500, "INTERNAL_SERVER_ERROR", "", Problem.SERVER_ERROR, None),
        (500, "ERROR_UNEXPECTED_ANSWER", "", Problem.SERVER_ERROR, None),
        (500, "PORTAL_DELETED", "", Problem.NOT_FOUND, Refusal.PORTAL_GONE),
        (405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "", Problem.REJECTED, None),
        (400, "ERROR_BATCH_LENGTH_EXCEEDED", "", Problem.REJECTED, None),
        (404, "ERROR_METHOD_NOT_FOUND", "Method not found!", Problem.NOT_FOUND, Refusal.SCOPE),
        (200, "QUERY_LIMIT_EXCEEDED", "", Problem.RATE_LIMIT, None),
        (200, "something new", "", Problem.REJECTED, None),
        (418, "something new", "", Problem.REJECTED, None),
        (502, "something new", "", Problem.SERVER_ERROR, None),
    ],
)
def test_an_error_means_what_its_code_and_text_say(status: int, error: str, text: str, problem: Problem, refusal: Refusal | None) -> None:
    trouble = said(status, error, text)
    assert (trouble.problem, trouble.refusal) == (problem, refusal)
    assert trouble.is_ambiguous is (problem is Problem.SERVER_ERROR and refusal is None)
    retryable = problem in (Problem.RATE_LIMIT, Problem.SERVER_ERROR)
    assert trouble.outcome.outcome is (OutcomeClass.RETRYABLE if retryable else OutcomeClass.PERMANENT)
    assert str(trouble).startswith(f"http={status} {error}")
    assert str(trouble).endswith(text)


def test_limits_say_when_to_come_back() -> None:
    assert (said(503, "QUERY_LIMIT_EXCEEDED").retry_after_seconds, said(503, "QUERY_LIMIT_EXCEEDED").pause_seconds) == (1.0, 1.0)
    reset = int((BEGAN + timedelta(seconds=90)).timestamp())
    told = said(429, "OPERATION_TIME_LIMIT", time={"operating_reset_at": reset})
    assert (told.retry_after_seconds, told.pause_seconds) == (90.0, 0.0)
    assert said(429, "OPERATION_TIME_LIMIT", time={"operating_reset_at": "soon"}).retry_after_seconds == 60.0
    assert said(429, "OPERATION_TIME_LIMIT", time=[]).retry_after_seconds == 60.0
    assert said(401, "OVERLOAD_LIMIT").retry_after_seconds == 300.0
    body = b'{"error": "QUERY_LIMIT_EXCEEDED"}'
    longer = trouble_of(answer_of(HttpAnswer(status=503, body=body, retry_after="7")), now=BEGAN)
    assert (longer.retry_after_seconds, longer.pause_seconds) == (7.0, 7.0)


@pytest.mark.parametrize(
    ("status", "body", "problem", "is_ambiguous"),
    [
        (200, b"<html>", Problem.BAD_ANSWER, True),
        (200, b"", Problem.BAD_ANSWER, True),
        (200, b"[]", Problem.BAD_ANSWER, True),
        (200, b"{}", Problem.BAD_ANSWER, True),
        (200, b"[" * 100_000, Problem.BAD_ANSWER, True),
        (302, b"", Problem.REDIRECT, False),
        (404, b"<html>", Problem.NOT_FOUND, False),
        (403, b"<html>", Problem.UNAUTHORIZED, False),
        (502, b"<html>", Problem.SERVER_ERROR, True),
        (503, b"<html>", Problem.SERVER_ERROR, False),
    ],
)
def test_what_is_not_said_by_bitrix24_is_judged_by_its_status(status: int, body: bytes, problem: Problem, is_ambiguous: bool) -> None:
    trouble = trouble_of(answer_of(HttpAnswer(status=status, body=body)), now=BEGAN)
    assert (trouble.problem, trouble.is_ambiguous, trouble.refusal) == (problem, is_ambiguous, None)
    assert trouble.outcome.advice == advice_of(problem, "en")


def test_a_result_is_one_only_without_an_error_beside_it() -> None:
    assert answer_of(HttpAnswer(status=200, body=b'{"result": false}')).has_result
    assert not answer_of(HttpAnswer(status=200, body=b'{"result": [], "error": "x"}')).has_result
    assert not answer_of(HttpAnswer(status=200, body=b'{"result": []}', flaw="the answer broke off")).has_result


def test_every_refusal_with_an_answer_of_its_own_speaks_both_languages() -> None:
    for refusal in Refusal:
        advice = B24Trouble(Problem.REJECTED, "x", refusal=refusal).advice
        assert "\n" not in advice.en + advice.ru
        assert any("а" <= letter <= "я" for letter in advice.ru)


# docs/crm/bitrix24.md


@pytest.mark.parametrize("page", ["bitrix24.md", "bitrix24.ru.md"])
def test_the_page_names_every_key_and_its_examples_are_good(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    examples = [tomllib.loads(part.partition("```")[0]) for part in text.split("```toml\n")[1:]]
    tables = [example["enterprise"]["integrations"]["bitrix24"] for example in examples]
    shown = [{**table, "incoming_webhook": WEBHOOK} if "incoming_webhook" in table else table for table in tables]
    assert [table_problems("bitrix24", table) for table in shown] == [[], []]
    assert [type(settings_of(table).door) for table in shown] == [Application, Webhook]
    keys = {*TABLE, *APPLICATION, "default_user", "oauth_url"}
    assert not [key for key in keys if f"`{key}`" not in text]
