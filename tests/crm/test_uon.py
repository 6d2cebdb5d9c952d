"""U-ON without a network: settings, pop-ups, records, the history read back, answers, names, findings."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport
from gateway.crm.base import CrmSettingsError, OutcomeClass, Problem
from gateway.crm.checks import table_problems
from gateway.crm.http import HttpAnswer
from gateway.crm.uon_examination import findings_of
from gateway.crm.uon_history import MOST_PAGES, Record, Search, fields_of, record_of, stored_records
from gateway.crm.uon_lookup import lookup_path, profile_of
from gateway.crm.uon_notices import NoticeTrail, notice_text, notified_before, whom_to_tell
from gateway.crm.uon_settings import DEFAULT_SUBDOMAIN, UonSettings, settings_of
from gateway.crm.uon_wire import Said, get_request, post_request, said_of
from gateway.ports import CustomerProfile
from tests.crm.told import BEGAN, MISSED, PHONE, RUNG
from tests.crm.travel import DIALLED, KEY, SETTINGS, TALKED

MINSK = ZoneInfo("Europe/Minsk")


def settings(**changes: Any) -> UonSettings:
    return settings_of({**SETTINGS, **changes})


# the settings


def test_the_table_of_the_system_before_is_taken_as_it_is() -> None:
    table: dict[str, Any] = {
        **SETTINGS,
        "log_calls": True,
        "account_id": "1",
        "primary": False,
        "incoming_call_actions": {
            "create_client_on_call": True,
            "create_request": "none",
            "request_status": 1,
            "request_source": "Входящий звонок",
            "create_task": "on_missed",
            "task_minutes": 15,
            "missed_call_status": "no_change",
        },
        "outgoing_call_actions": {"create_client_on_call": False, "create_request": "none", "request_source": "Исходящий звонок"},
        "webhooks": {"client": [], "click_phone": []},
    }
    assert table_problems("uon", table) == []
    assert settings_of(table) == settings()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"api_key": None}, "integrations.uon: api_key: is missing"),
        ({"api_key": "HUSH/HUSH"}, "integrations.uon: api_key: must be the key as U-ON shows it: 8 or more letters and digits"),
        ({"api_key": "HUSH"}, "integrations.uon: api_key: must be the key as U-ON shows it: 8 or more letters and digits"),
        ({"api_url": "api.u-on.ru"}, "integrations.uon: api_url: must be an address as in https://crm.example/calls"),
        ({"api_url": "https://api.u-on.ru?k=HUSH"}, "integrations.uon: api_url: must be the address alone, as in https://api.u-on.ru"),
        (
            {"subdomain": "https://id1.u-on.ru"},
            'integrations.uon: subdomain: must be the host of the cabinet, as in id12345.u-on.ru, not "https://id1.u-on.ru"',
        ),
        ({"user_extensions": []}, "integrations.uon: user_extensions: must be a table, not a list"),
        (
            {"user_extensions": {"anna": "151"}},
            'integrations.uon: user_extensions: "anna" must be the id of a manager of U-ON, a number',
        ),
        ({"user_extensions": {"5": "доб. 151"}}, 'integrations.uon: user_extensions: 5: must be 1 to 6 digits, not "доб. 151"'),
        (
            {"user_extensions": {"5": 151}},
            (
                "integrations.uon: user_extensions: 5: must be text, not a number (leading zeros would be lost): put it in quotes, "
                'as in 5 = "151"'
            ),
        ),
        (
            {"notifications": {"call_notify_mode": "after"}},
            'integrations.uon: notifications: call_notify_mode: must be none or during, not "after"',
        ),
        ({"notifications": {"notify": True}}, 'integrations.uon: notifications: unknown key "notify"'),
        ({"incoming_call_actions": {"create": True}}, 'integrations.uon: incoming_call_actions: unknown key "create"'),
        ({"log_calls": "yes"}, "integrations.uon: log_calls: must be true or false, without quotes, not text"),
        ({"colour": "x"}, 'integrations.uon: unknown key "colour"'),
    ],
)
def test_each_wrong_field_is_one_line(changes: dict[str, Any], problem: str) -> None:
    (found,) = table_problems("uon", {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None})
    assert found.removesuffix(' (is "notify_incoming" meant?)').removesuffix(' (is "create_task" meant?)') == problem
    assert "HUSH" not in found


def test_what_is_switched_off_may_be_incomplete_and_unknown_keys_stop_nothing() -> None:
    assert table_problems("uon", {"enabled": False}) == []
    assert settings(colour="red", notifications={"colour": "red"}) == settings()
    with pytest.raises(CrmSettingsError, match="api_key: is missing"):
        settings_of({"enabled": True})


def test_without_more_than_a_key_incoming_calls_are_shown_at_the_vendors_address() -> None:
    bare = settings_of({"api_key": KEY, "subdomain": ""})
    assert bare.shown("manager") == "https://api.u-on.ru/***/manager.json"
    assert (bare.subdomain, bare.notifies_incoming, bare.notifies_outgoing) == (DEFAULT_SUBDOMAIN, True, False)


def test_the_key_is_in_the_path_and_shown_nowhere() -> None:
    hush = settings(api_url="https://proxy.example/uon/")
    requests = [get_request(hush, "manager", account="0367"), post_request(hush, "notification/create", {"text": "x"}, account="0367")]
    assert requests[0].target.path == f"/uon/{KEY}/manager.json".encode()
    assert KEY not in repr(hush) + repr(requests) + hush.shown("manager")


# pop-ups


@pytest.mark.parametrize(
    ("report", "changes", "managers"),
    [
        (RUNG, {}, (5, 6)),
        (attrs.evolve(RUNG, extensions=("152",)), {}, (6,)),
        (attrs.evolve(RUNG, extensions=("153",)), {}, (5, 6)),
        (attrs.evolve(RUNG, extensions=()), {}, (5, 6)),
        (attrs.evolve(RUNG, extensions=("151",)), {"user_extensions": {"9": "151", "5": "151", "6": "152"}}, (5, 9)),
        (RUNG, {"user_extensions": {}}, ()),
        (RUNG, {"notifications": {"call_notify_mode": "none"}}, ()),
        (RUNG, {"notifications": {"notify_incoming": False, "notify_outgoing": True}}, ()),
        (attrs.evolve(RUNG, recovered=True), {}, ()),
        (DIALLED, {}, ()),
        (DIALLED, {"notifications": {"notify_outgoing": True}}, (5,)),
        (DIALLED, {"notifications": {"notify_outgoing": True, "call_notify_mode": "none"}}, ()),
        (attrs.evolve(DIALLED, extensions=("153",), extension="153"), {"notifications": {"notify_outgoing": True}}, ()),
    ],
)
def test_who_is_told_of_a_dial(report: CallReport, changes: dict[str, Any], managers: tuple[int, ...]) -> None:
    found, reason = whom_to_tell(report, settings(**changes))
    assert found == managers
    assert bool(reason) is not bool(managers)


PERSON = CustomerProfile(last_name="Иванов <b>", first_name="Пётр", external_id="12")
COMPANY = CustomerProfile(last_name="Иванов", enterprise_name="ООО «Рога & копыта»", external_id="13", is_company=True)
LINK = '<a href="https://id12345.u-on.ru/client_edit.php?client_id='


@pytest.mark.parametrize(
    ("client", "is_unknown", "who"),
    [
        (PERSON, False, [f'👤 {LINK}12" target="_blank">Иванов &lt;b&gt; Пётр</a>']),
        (COMPANY, False, [f'🏢 {LINK}13" target="_blank">ООО «Рога &amp; копыта»</a>', "👤 Иванов (контакт)"]),
        (CustomerProfile(external_id="14"), False, [f'👤 {LINK}14" target="_blank">+{PHONE}</a>']),
        (None, True, ["❓ Неизвестный клиент"]),
        (None, False, []),
    ],
)
def test_a_pop_up_says_who_calls_and_where(client: CustomerProfile | None, is_unknown: bool, who: list[str]) -> None:
    text = notice_text(Direction.INCOMING, PHONE, "<0001363>", client, is_unknown=is_unknown, subdomain="id12345.u-on.ru")
    lines = ["📞 <b>Входящий звонок</b>", *who, f"📱 +{PHONE}", "🏢 Линия: &lt;0001363&gt;"]
    assert text == "<br/>\n".join(lines)


def test_a_pop_up_of_an_outgoing_call_and_of_a_withheld_number() -> None:
    text = notice_text(Direction.OUTGOING, "", "", None, is_unknown=True, subdomain="x")
    assert text.split("<br/>\n") == ["📱 <b>Исходящий звонок</b>", "❓ Неизвестный клиент", "📱 Номер не определён"]


def test_the_memory_of_who_was_told_survives_anything() -> None:
    assert notified_before({"notified": ["5", "x", 6, None]}) == {5}
    assert notified_before({"notified": "5"}) == notified_before({}) == frozenset()


def trail(**said: Said) -> NoticeTrail:
    made = NoticeTrail(missing=[5, 6], notified=set())
    for name, each in said.items():
        made.send(int(name[1:]))
        made.take(int(name[1:]), each)
    return made


OK = Said()
NOBODY = Said(problem=Problem.REJECTED, wrong="manager_id", reason="http=404")
DOWN = Said(problem=Problem.SERVER_ERROR, reason="http=502", is_ambiguous=True)
LIMITED = Said(problem=Problem.RATE_LIMIT, reason="http=429")
WRONG_KEY = Said(problem=Problem.UNAUTHORIZED, reason="http=403")


@pytest.mark.parametrize(
    ("made", "outcome", "problem", "remembered"),
    [
        (trail(m5=OK, m6=OK), OutcomeClass.DELIVERED, None, ["5", "6"]),
        (trail(m5=OK, m6=NOBODY), OutcomeClass.DELIVERED, None, ["5"]),
        (trail(m5=NOBODY, m6=NOBODY), OutcomeClass.PERMANENT, Problem.REJECTED, []),
        (trail(m5=OK, m6=DOWN), OutcomeClass.RETRYABLE, Problem.SERVER_ERROR, ["5"]),
        (trail(m5=NOBODY, m6=LIMITED), OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, []),
        (trail(m5=LIMITED, m6=DOWN), OutcomeClass.RETRYABLE, Problem.SERVER_ERROR, []),
        (trail(m5=WRONG_KEY, m6=DOWN), OutcomeClass.PERMANENT, Problem.UNAUTHORIZED, []),
        (trail(m5=OK), OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, ["5"]),
        (trail(), OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, []),
    ],
)
def test_what_becomes_of_several_pop_ups(made: NoticeTrail, outcome: OutcomeClass, problem: Problem | None, remembered: list[str]) -> None:
    judged = made.outcome()
    assert (judged.outcome, judged.problem, made.remembered()) == (outcome, problem, remembered)


# the record


def test_a_call_becomes_a_record_in_the_enterprises_time() -> None:
    assert fields_of(TALKED, settings(), MINSK) == {
        "phone": PHONE,
        "start": "2025-10-01 12:17:28",
        "duration": "72",
        "direction": "2",
        "manager_id": "6",
        "record_link": "https://gateway.example/recordings/file/1",
        "note": "Статус: отвеченный",
    }


def test_a_missed_call_has_no_manager_and_no_recording() -> None:
    fields = fields_of(MISSED, settings(), ZoneInfo("Asia/Almaty"))
    assert fields == {"phone": PHONE, "start": "2025-10-01 14:17:28", "duration": "20", "direction": "2", "note": "Статус: неотвеченный"}


def test_an_outgoing_call_is_1_and_of_two_who_share_an_extension_nobody_is_named() -> None:
    report = attrs.evolve(TALKED, direction=Direction.OUTGOING, duration_seconds=None)
    fields = fields_of(report, settings(user_extensions={"5": "152", "6": "152"}), MINSK)
    assert (fields["direction"], fields["duration"], "manager_id" in fields) == ("1", "0", False)


# the history


def entry(number: int, record: Record, **changes: Any) -> dict[str, Any]:
    shown = {"id": number, "phone": record.phone, "start": record.start, "duration": 72, "direction": record.direction}
    return {**shown, **changes}


OURS = record_of(fields_of(TALKED, settings(), MINSK))


def other(minutes: int) -> Record:
    began = (BEGAN + timedelta(minutes=minutes)).astimezone(MINSK)
    return attrs.evolve(OURS, start=began.strftime("%Y-%m-%d %H:%M:%S"))


Pages = Mapping[int, list[dict[str, Any]]]


def searched(pages: Pages, *, pages_all: int | str | None = None, wanted: tuple[Record, ...] = (OURS,)) -> tuple[Search, list[int]]:
    search, read = Search(wanted), list[int]()
    while (page := search.page) is not None:
        read.append(page)
        if page not in pages:
            search.nothing()
        else:
            known = {"pages_all": pages_all} if pages_all is not None else {}
            search.take({"result": 200, "records": pages[page], **known})
    return search, read


@pytest.mark.parametrize(
    "shown",
    [
        entry(9, OURS),
        entry(9, OURS, id="9", duration="72", direction="2"),
        entry(9, OURS, phone=" " + PHONE),
        entry(9, OURS, phone="+" + PHONE),
        entry(9, OURS, phone=int(PHONE)),
        entry(9, OURS, start="2025-10-01T12:17:28"),
        # Corrected between the two tries.
        entry(9, OURS, duration=73),
    ],
)
def test_a_record_is_known_however_its_values_are_written(shown: dict[str, Any]) -> None:
    search, read = searched({1: [entry(10, other(5)), shown]})
    assert (search.found_id, read) == ("9", [1])


@pytest.mark.parametrize("changes", [{"phone": "375290009999"}, {"start": "2025-10-01 12:17:29"}, {"direction": 1}])
def test_a_record_that_differs_is_another_call(changes: dict[str, Any]) -> None:
    search, _ = searched({1: [entry(9, OURS, **changes)]}, pages_all=1)
    assert (search.found_id, search.is_sure) == ("", True)


def test_what_an_earlier_try_has_sent_is_looked_for_too() -> None:
    before = attrs.evolve(OURS, start="2025-10-01 12:17:27")
    search, _ = searched({1: [entry(9, before)]}, wanted=(OURS, before))
    assert search.found_id == "9"
    assert tuple(stored_records(json.loads(json.dumps([before.stored(), OURS.stored(), ["x"], None])))) == (before, OURS)


def page_of(first: int, minutes: int, *, ascending: bool = False) -> list[dict[str, Any]]:
    numbers = range(first, first + 100) if ascending else range(first + 99, first - 1, -1)
    return [entry(number, other(minutes)) for number in numbers]


def test_without_a_history_and_at_its_end_it_is_surely_not_there() -> None:
    assert [searched({})[0].is_sure, searched({1: page_of(100, 9)})[0].is_sure, searched({1: page_of(100, 9)})[1]] == [True, True, [1, 2]]


def test_of_the_newest_first_older_pages_are_read_until_the_days_before() -> None:
    pages = {1: page_of(300, 9), 2: page_of(200, 3), 3: page_of(100, -3000), 4: page_of(1, -9000)}
    search, read = searched(pages, pages_all="4")
    assert (search.is_sure, read) == (True, [1, 2, 3])
    pages[2][50] = entry(250, OURS)
    assert searched(pages, pages_all=4)[0].found_id == "250"


def test_of_the_oldest_first_the_last_pages_are_read() -> None:
    pages = {number: page_of(number * 100, (number - 5) * 1000 + 1, ascending=True) for number in range(1, 6)}
    search, read = searched(pages, pages_all=5)
    assert (search.is_sure, read) == (True, [1, 5, 4, 3])
    pages[4][0] = entry(400, OURS)
    assert searched(pages, pages_all=5)[0].found_id == "400"


def test_of_the_oldest_first_without_a_count_all_pages_are_read_from_the_first() -> None:
    pages = {number: page_of(number * 100, -9000 + number, ascending=True) for number in range(1, 4)}
    assert searched(pages)[1] == [1, 2, 3, 4]


def test_a_history_that_is_too_long_or_unreadable_leaves_it_open() -> None:
    search, read = searched({number: page_of(10_000 - number * 100, 9) for number in range(1, 50)})
    assert (search.is_sure, search.found_id, len(read)) == (False, "", MOST_PAGES)
    assert "no more than 8 pages" in search.problem
    for content in ([{"id": 1, "when": "yesterday"}], []):
        search, _ = searched({1: content})
        assert (search.is_sure, search.problem) == (False, "U-ON's history of calls cannot be read")


# answers


def said(status: int, body: object = b"", **how: Any) -> Said:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return said_of(HttpAnswer(status=status, body=raw, **how), settings(), now=BEGAN)


def error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("answer", "problem", "is_empty", "is_ambiguous"),
    [
        (said(200, {"result": 200, "id": "1"}), None, False, False),
        (said(200, {"result": "200", "users": []}), None, False, False),
        (said(200, {"result": 404}), Problem.NOT_FOUND, True, False),
        (said(200, error(403, "API key is wrong")), Problem.UNAUTHORIZED, False, False),
        (said(200, {"error": "no"}), Problem.REJECTED, False, False),
        (said(200, b"<html>"), Problem.BAD_ANSWER, False, True),
        (said(200, b'{"result": 200', flaw="the answer broke off"), Problem.BAD_ANSWER, False, True),
        (said(200, [1]), Problem.BAD_ANSWER, False, True),
        (said(404, {"result": 404}), Problem.NOT_FOUND, True, False),
        (said(404, error(404, "Parameter phone is wrong")), Problem.REJECTED, False, False),
        (said(404, error(404, 'No route found for "GET /x"')), Problem.NOT_FOUND, False, False),
        (said(404, error(404, "Wrong API key")), Problem.UNAUTHORIZED, False, False),
        (said(404, b"<html>nginx</html>"), Problem.NOT_FOUND, False, False),
        (said(403, error(403, "Access denied")), Problem.UNAUTHORIZED, False, False),
        (said(429, error(429, "Too Many Requests")), Problem.RATE_LIMIT, False, False),
        (said(503), Problem.SERVER_ERROR, False, True),
        (said(500), Problem.SERVER_ERROR, False, True),
        (said(504, b"<html>"), Problem.SERVER_ERROR, False, True),
        (said(408), Problem.TIMEOUT, False, True),
        (said(302), Problem.REDIRECT, False, False),
    ],
)
def test_what_answers_mean(answer: Said, problem: Problem | None, is_empty: bool, is_ambiguous: bool) -> None:
    assert (answer.problem, answer.is_empty, answer.is_ambiguous) == (problem, is_empty, is_ambiguous)


def test_the_parameter_that_is_wrong_is_named() -> None:
    answer = said(404, error(404, "Parameter manager_id is wrong"))
    assert (answer.wrong, answer.reason) == ("manager_id", "http=404: Parameter manager_id is wrong")


@pytest.mark.parametrize("key", [KEY, KEY.lower()])
def test_a_path_that_the_answer_repeats_is_kept_without_the_key(key: str) -> None:
    answer = said(404, error(404, f'No route found for "POST /{key}/nothing.json"'))
    assert answer.reason == 'http=404: No route found for "POST /***/nothing.json"'
    assert key not in repr(answer) + json.dumps(answer.kept)


@pytest.mark.parametrize("size", range(4, len(KEY)))
def test_a_key_that_the_end_of_an_answer_cuts_off_is_blanked_too(size: int) -> None:
    answer = said(200, f'{{"error": "No route for /{KEY[:size]}'.encode(), flaw="the answer broke off")
    assert answer.kept["body"] == '{"error": "No route for /***'


# names


def client(**changes: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "u_id": "12",
        "u_type": 1,
        "u_surname": "Иванов",
        "u_name": "Пётр",
        "u_sname": None,
        "u_company": "",
        "u_phone": " " + PHONE,
        "u_phone_mobile": "",
        "u_phone_home": "+7 495 000-12-34",
        "manager_id": "5",
    }
    return {**shown, **changes}


def found(*users: dict[str, Any]) -> CustomerProfile | None:
    return profile_of(PHONE, {"result": 200, "users": list(users)}, settings())


def test_a_client_is_a_person_with_an_owner() -> None:
    profile = found(client())
    assert profile is not None
    assert (profile.name, profile.external_id, profile.source, profile.is_company) == ("Иванов Пётр", "12", "uon", False)
    assert (profile.phones, profile.extension) == ((PHONE, "74950001234"), "151")
    assert profile.raw == client()


@pytest.mark.parametrize(
    ("changes", "name", "is_company"),
    [
        ({"u_type": 2, "u_company": "ООО Рога"}, "ООО Рога", True),
        ({"u_type": "2", "u_company": "ООО &quot;Рога&quot;"}, 'ООО "Рога"', True),
        ({"u_company": "ООО Рога"}, "Иванов Пётр", False),
        ({"u_surname": PHONE, "u_name": ""}, "", False),
        ({"u_surname": "+" + PHONE, "u_name": None}, "", False),
        ({"u_surname": 7, "u_name": ["x"]}, "", False),
    ],
)
def test_whose_name_it_is(changes: dict[str, Any], name: str, is_company: bool) -> None:
    profile = found(client(**changes))
    assert profile is not None
    assert (profile.name, profile.is_company) == (name, is_company)


@pytest.mark.parametrize("manager", [None, 0, "0", "", "77", [5]])
def test_without_a_manager_we_know_nobody_is_responsible(manager: object) -> None:
    profile = found(client(manager_id=manager))
    assert profile is not None
    assert profile.extension == ""


def test_of_several_the_first_with_a_name_is_taken_and_what_is_no_client_passed_over() -> None:
    nameless = client(u_id="11", u_surname=PHONE, u_name="")
    profile = found(nameless, client())
    assert profile is not None
    assert profile.external_id == "12"
    assert found(client(u_id=None)) is None
    assert profile_of(PHONE, {"users": "x"}, settings()) is None
    assert lookup_path("+375 29 000-12-34") == f"user/phone/{PHONE}"


@pytest.mark.parametrize("field", ["u_phone", "u_phone_mobile", "u_phone_home"])
@pytest.mark.parametrize(
    ("number", "is_theirs"),
    [
        (" " + PHONE, True),
        ("+375 (29) 000-12-34", True),
        (int(PHONE), True),
        (PHONE + "9", False),
        (PHONE[3:], False),
        (None, False),
    ],
)
def test_a_client_counts_only_with_exactly_this_number_in_one_of_the_places(field: str, number: str | int | None, is_theirs: bool) -> None:
    strangers = {"u_phone": "375290009999", "u_phone_mobile": "", "u_phone_home": None}
    assert (found(client(**{**strangers, field: number})) is not None) is is_theirs


# findings


def manager(number: int, **changes: Any) -> dict[str, Any]:
    return {"u_id": str(number), "active": 1, "ip_internal_number": None, **changes}


Judge = Callable[..., list[tuple[bool, str]]]


def judged(answer: Said, **changes: Any) -> list[tuple[bool, str]]:
    both = [findings_of(answer, settings(**changes), language=language) for language in ("en", "ru")]
    assert [each.is_ok for each in both[0]] == [each.is_ok for each in both[1]]
    assert all(bool(each.advice) is not each.is_ok and "\n" not in each.text + each.advice for findings in both for each in findings)
    assert all(KEY not in each.text + each.advice for findings in both for each in findings)
    return [(each.is_ok, each.text) for each in both[0]]


def test_a_good_key_and_a_good_map_are_two_good_findings() -> None:
    users = {"users": [manager(5, ip_internal_number="151"), manager(6, ip_internal_number=152)]}
    assert judged(Said(content=users)) == [
        (True, "the address and the key are good, the key may read; whether the key may write (POST) is known only by a call"),
        (True, "managers mapped and active: 2"),
    ]


def test_people_who_are_gone_or_mapped_otherwise_are_named() -> None:
    users = {"users": [manager(5, ip_internal_number="190"), manager(6, active="0")]}
    mapped = {"5": "151", "6": "152", "8": "153", "9": "153"}
    assert judged(Said(content=users), user_extensions=mapped)[1:] == [
        (False, "manager 5 has extension 151 here and 190 in U-ON"),
        (False, "manager 6 (extension 152) is not active"),
        (False, "manager 8 (extension 153) does not exist"),
        (False, "manager 9 (extension 153) does not exist"),
        (False, "extension 153 belongs to managers 8, 9: its calls are recorded without a manager"),
        (True, "managers mapped and active: 0"),
    ]


def test_an_empty_map_is_told_with_what_uon_knows() -> None:
    users = {"users": [manager(5, ip_internal_number="151"), manager(6)]}
    finding = findings_of(Said(content=users), settings(user_extensions={}), language="ru")[1]
    assert (finding.is_ok, finding.text) == (False, "user_extensions пуст: уведомлять некого")
    assert finding.advice == 'Сопоставьте менеджеров U-ON с добавочными номерами: "5" = "151".'


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (said(403, error(403, "API key is wrong")), "Compare api_key"),
        (said(404, error(404, "No route found")), "correct the address"),
        (Said(problem=Problem.TIMEOUT, reason="no answer within 10 s"), "too slowly"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(answer: Said, advice: str) -> None:
    ((is_ok, text),) = judged(answer)
    assert not is_ok
    assert text.startswith("U-ON does not accept us: ")
    assert advice in findings_of(answer, settings(), language="en")[0].advice
