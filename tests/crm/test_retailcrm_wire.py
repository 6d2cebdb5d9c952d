"""RetailCRM on the wire: tables of what goes out and what comes back."""

import json
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmSettingsError, Problem
from gateway.crm.checks import table_problems
from gateway.crm.http import HttpAnswer
from gateway.crm.retailcrm_settings import RetailSettings, settings_of
from gateway.crm.retailcrm_wire import (
    NO_ACCOUNT,
    NO_RIGHT,
    WRONG_KEY,
    Hint,
    Said,
    call_of,
    event_of,
    event_request,
    get_request,
    said_of,
    upload_request,
)
from tests.crm.retail import KEY, SETTINGS, TALKED
from tests.crm.told import BEGAN, MISSED, PHONE, RUNG

MINSK = ZoneInfo("Europe/Minsk")
READ = settings_of(SETTINGS)
OUTGOING = {"direction": Direction.OUTGOING, "extensions": ("151",), "extension": "151"}


# ---------------------------------------------------------------------- what goes out


@pytest.mark.parametrize(
    ("report", "event"),
    [
        (RUNG, {"type": "in", "codes": ["151", "152", "153"], "userIds": [27, 28]}),
        (attrs.evolve(RUNG, extensions=("153",), extension="153"), {"type": "in", "codes": ["153"]}),
        (attrs.evolve(RUNG, extensions=()), {"type": "in"}),
        (attrs.evolve(RUNG, **OUTGOING), {"type": "out", "codes": ["151"], "userIds": [27]}),
        (attrs.evolve(RUNG, phone=""), {"phone": "+000", "type": "in", "codes": ["151", "152", "153"], "userIds": [27, 28]}),
        (TALKED, {"type": "hangup", "codes": ["152"], "userIds": [28], "hangupStatus": "answered"}),
        (MISSED, {"type": "hangup", "codes": ["151", "152", "153"], "userIds": [27, 28], "hangupStatus": "no answered"}),
        (attrs.evolve(MISSED, busy=True, **OUTGOING), {"type": "hangup", "codes": ["151"], "userIds": [27], "hangupStatus": "busy"}),
    ],
)
def test_live_events_name_everybody_who_rings_and_at_the_end_the_one_who_talked(report: CallReport, event: dict[str, Any]) -> None:
    assert event_of(report, READ) == {"phone": f"+{PHONE}", "callExternalId": "1759310248.0", **event}


@pytest.mark.parametrize(
    ("report", "call"),
    [
        (
            TALKED,
            {
                "result": "answered",
                "duration": 65,
                "durationWaiting": 7,
                "userId": 28,
                "recordUrl": "https://gateway.example/recordings/file/1",
            },
        ),
        (MISSED, {"result": "no answer", "duration": 20, "durationWaiting": 20}),
        (
            attrs.evolve(MISSED, busy=True, **OUTGOING),
            {"type": "out", "result": "busy", "duration": 20, "durationWaiting": 20, "userId": 27},
        ),
        (
            attrs.evolve(MISSED, extensions=("153",), extension="153", phone=""),
            {"phone": "000", "result": "no answer", "duration": 20, "durationWaiting": 20, "code": "153"},
        ),
        (attrs.evolve(MISSED, waiting_seconds=None), {"result": "no answer", "duration": 20, "durationWaiting": 20}),
        (attrs.evolve(MISSED, waiting_seconds=None, duration_seconds=None), {"result": "no answer", "duration": 0}),
        # Recovered: nothing is known of bridges, so the whole length counts.
        (
            attrs.evolve(TALKED, recording_url="", talk_seconds=None, waiting_seconds=None),
            {"result": "answered", "duration": 72, "userId": 28},
        ),
        (
            attrs.evolve(TALKED, recording_url="", talk_seconds=None),
            {"result": "answered", "duration": 65, "durationWaiting": 7, "userId": 28},
        ),
        (
            attrs.evolve(TALKED, recording_url="", talk_seconds=None, duration_seconds=None),
            {"result": "answered", "durationWaiting": 7, "userId": 28},
        ),
        (
            attrs.evolve(
                TALKED, recording_url="", talk_seconds=None, duration_seconds=None, waiting_seconds=None, extension="", extensions=()
            ),
            {"result": "answered"},
        ),
    ],
)
def test_calls_of_the_history(report: CallReport, call: dict[str, Any]) -> None:
    common = {"date": "2025-10-01 12:17:28", "type": "in", "phone": PHONE, "externalId": "1759310248.0"}
    assert call_of(report, READ, MINSK) == {**common, **call}


def test_dates_are_in_the_zone_of_the_account() -> None:
    assert call_of(TALKED, READ, ZoneInfo("Asia/Almaty"))["date"] == "2025-10-01 14:17:28"
    assert call_of(TALKED, READ, UTC)["date"] == "2025-10-01 09:17:28"


def test_a_telephone_of_two_people_is_both_when_it_rings_and_nobodys_in_the_history() -> None:
    shared = settings_of({**SETTINGS, "user_extensions": {"27": "152", "28": "152"}})
    assert event_of(TALKED, shared)["userIds"] == [27, 28]
    call = call_of(TALKED, shared, MINSK)
    assert (call.get("userId"), call["code"]) == (None, "152")


def test_the_shop_is_said_when_it_is_set() -> None:
    settings = settings_of({**SETTINGS, "site": "shop-2"})
    assert event_of(RUNG, settings)["site"] == call_of(TALKED, settings, MINSK)["site"] == "shop-2"


def test_requests_are_forms_with_json_in_them_and_the_key_in_a_header() -> None:
    request = event_request(READ, event_of(RUNG, READ), account="0367")
    assert (request.method, request.target.shown, request.account) == (
        "POST",
        "https://store.retailcrm.test/api/v5/telephony/call/event",
        "0367",
    )
    assert dict(request.headers) == {"Content-Type": "application/x-www-form-urlencoded", "X-API-KEY": KEY}
    fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    assert (fields["clientId"], json.loads(fields["event"])) == ("0367", event_of(RUNG, READ))
    call = call_of(TALKED, READ, MINSK)
    request = upload_request(READ, [call], account="0367")
    assert request.target.path == b"/api/v5/telephony/calls/upload"
    assert json.loads(parse_qs(request.body.decode())["calls"][0]) == [call]
    request = get_request(READ, "/api/v5/customers", (("filter[name]", PHONE), ("limit", "20")), account="0367")
    assert (request.method, request.target.path) == ("GET", f"/api/v5/customers?filter%5Bname%5D={PHONE}&limit=20".encode())
    assert KEY not in repr(request) + repr(READ)


# ---------------------------------------------------------------------- what comes back


def said(status: int, body: object, **more: Any) -> Said:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return said_of(HttpAnswer(status=status, body=raw, **more), READ, now=BEGAN)


def refusal(message: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "errorMsg": message, **more}


@pytest.mark.parametrize(
    ("status", "body", "problem", "reason", "hint"),
    [
        (200, {"success": True}, None, "", None),
        (201, {"success": True, "id": 1}, None, "", None),
        (200, refusal("Something"), Problem.REJECTED, "http=200: Something", None),
        (200, refusal('Wrong "apiKey" value'), Problem.UNAUTHORIZED, 'http=200: Wrong "apiKey" value', WRONG_KEY),
        (200, {"calls": 1}, Problem.BAD_ANSWER, "http=200", None),
        (200, {"success": "yes"}, Problem.BAD_ANSWER, "http=200", None),
        (200, b"<html>", Problem.BAD_ANSWER, "http=200", None),
        (200, b"[]", Problem.BAD_ANSWER, "http=200", None),
        (200, b"[" * 100_000, Problem.BAD_ANSWER, "http=200", None),
        (302, b"", Problem.REDIRECT, "http=302", None),
        (400, refusal("Parameter 'event' is missing"), Problem.REJECTED, "http=400: Parameter 'event' is missing", None),
        (
            400,
            refusal("Errors in the entity format", errors={"type": "wrong\nvalue"}),
            Problem.REJECTED,
            "http=400: Errors in the entity format; type: wrong value",
            None,
        ),
        (400, refusal("No", errors=["one", 2]), Problem.REJECTED, "http=400: No; one; 2", None),
        (400, refusal('"apiKey" is missing.'), Problem.UNAUTHORIZED, 'http=400: "apiKey" is missing.', WRONG_KEY),
        (403, refusal('"apiKey" is missing.'), Problem.UNAUTHORIZED, 'http=403: "apiKey" is missing.', WRONG_KEY),
        (403, refusal('Wrong "apiKey" value.'), Problem.UNAUTHORIZED, 'http=403: Wrong "apiKey" value.', WRONG_KEY),
        (403, refusal("Access denied."), Problem.UNAUTHORIZED, "http=403: Access denied.", NO_RIGHT),
        (403, refusal("Other"), Problem.UNAUTHORIZED, "http=403: Other", NO_RIGHT),
        (403, b"<html>firewall", Problem.BAD_ANSWER, "http=403", None),
        (404, refusal("Account does not exist."), Problem.NOT_FOUND, "http=404: Account does not exist.", NO_ACCOUNT),
        (404, refusal("API method not found"), Problem.NOT_FOUND, "http=404: API method not found", None),
        (404, b"<html>", Problem.NOT_FOUND, "http=404", NO_ACCOUNT),
        (405, b"<html>405 Not Allowed", Problem.NOT_FOUND, "http=405", NO_ACCOUNT),
        (405, refusal("Method Not Allowed"), Problem.REJECTED, "http=405: Method Not Allowed", None),
        (429, b"", Problem.RATE_LIMIT, "http=429", None),
        (503, refusal("Rate limit exceeded"), Problem.RATE_LIMIT, "http=503: Rate limit exceeded", None),
        (503, refusal("Slow down"), Problem.RATE_LIMIT, "http=503: Slow down", None),
        (503, b"<html>maintenance", Problem.RATE_LIMIT, "http=503", None),
        (503, b"", Problem.RATE_LIMIT, "http=503", None),
        (500, refusal("Internal error"), Problem.SERVER_ERROR, "http=500: Internal error", None),
        (502, b"<html>", Problem.SERVER_ERROR, "http=502", None),
    ],
)
def test_answers(status: int, body: object, problem: Problem | None, reason: str, hint: Hint | None) -> None:
    got = said(status, body)
    assert (got.problem, got.reason, got.hint) == (problem, reason, hint)
    assert got.kept["status"] == status
    if problem is not None:
        outcome = got.failure("call/event")
        assert (outcome.problem, outcome.reason) == (problem, f"call/event: {reason}")
        assert outcome.advice == (hint.en if hint else got.advice("en"))
        assert got.advice("ru") not in ("", got.advice("en"))


@pytest.mark.parametrize(
    ("status", "body", "is_ambiguous"),
    [(200, b"<html>", True), (400, refusal("No"), False), (503, refusal("No"), False), (502, b"", True), (403, b"<html>", False)],
)
def test_what_may_have_been_done_all_the_same(status: int, body: object, is_ambiguous: bool) -> None:
    assert said(status, body).is_ambiguous is is_ambiguous


def test_an_answer_that_broke_off_is_none() -> None:
    got = said(200, {"success": True}, flaw="the answer broke off (ReadError)")
    assert (got.problem, got.reason) == (Problem.BAD_ANSWER, "http=200: the answer broke off (ReadError)")
    assert got.kept["flaw"]


def test_a_wish_for_a_pause_is_heard() -> None:
    assert said(503, refusal("Rate limit exceeded"), retry_after="7").retry_after_seconds == 7


def test_the_key_is_blanked_wherever_it_comes_back() -> None:
    got = said(403, refusal(f'Wrong "apiKey" value {KEY}.', errors={"key": KEY}))
    assert KEY not in f"{got!r}{got.kept}{got.reason}{got.failure()}"
    assert "\x00" not in str(said(200, b"\x00").kept)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.dictionaries(st.sampled_from(["success", "errorMsg", "errors"]), inner) | st.lists(inner, max_size=3),
)


@given(st.integers(100, 599), st.binary(max_size=40) | anything)
def test_any_answer_is_judged_and_only_a_whole_success_is_one(status: int, body: Any) -> None:
    got = said(status, body)
    is_success = isinstance(body, dict) and cast("dict[str, Any]", body).get("success") is True and status // 100 == 2
    assert (got.problem is None) is is_success or isinstance(body, bytes)
    if got.problem is not None:
        assert "\n" not in got.failure().reason


# ---------------------------------------------------------------------- settings


ACCOUNT = "must be the address of the account alone, as in https://store.retailcrm.ru"


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        ({"domain": "store.retailcrm.ru"}, []),
        ({"domain": "https://store.retailcrm.ru/", "site": "main", "user_extensions": {}, "last_sync": None}, []),
        ({"domain": None}, ["domain: is missing"]),
        ({"domain": ""}, ["domain: must not be empty"]),
        ({"domain": "store retailcrm ru"}, [f"domain: {ACCOUNT}"]),
        ({"domain": f"https://store.retailcrm.ru/api/v5?apiKey={KEY}"}, [f"domain: {ACCOUNT}"]),
        ({"domain": "https://store.retailcrm.ru/#/orders"}, [f"domain: {ACCOUNT}"]),
        ({"domain": "store.retailcrm.ru#HUSH"}, [f"domain: {ACCOUNT}"]),
        ({"domain": "store.retailcrm.ru?"}, [f"domain: {ACCOUNT}"]),
        ({"domain": "store"}, [f"domain: {ACCOUNT}"]),
        ({"domain": "https://me:HUSH@store.retailcrm.ru"}, ["domain: must have no user and password in it"]),
        ({"api_key": None}, ["api_key: is missing"]),
        ({"api_key": "with a space"}, ["api_key: must have no spaces in it"]),
        ({"api_key": "…"}, []),
        ({"domain": "http://localhost:8080"}, []),
        ({"api_key": 5}, ["api_key: must be text, not a number (leading zeros would be lost): put it in quotes"]),
        ({"site": "два слова"}, ['site: must be the code of a shop: letters, digits and _ . -, not "два слова"']),
        ({"user_extensions": []}, ["user_extensions: must be a table, not a list"]),
        ({"user_extensions": {"anna": "151"}}, ['user_extensions: "anna" must be the id of a user of RetailCRM, a number']),
        ({"user_extensions": {"27": "15a"}}, ['user_extensions: 27: must be 1 to 6 digits, not "15a"']),
        (
            {"user_extensions": {"27": 151}},
            ['user_extensions: 27: must be text, not a number (leading zeros would be lost): put it in quotes, as in 27 = "151"'],
        ),
        ({"user_extensions": {"27": "", "28": None}}, []),
        ({"apikey": "x"}, ['unknown key "apikey" (is "api_key" meant?)']),
        ({"enabled": False, "domain": None, "api_key": None}, []),
        ({"enabled": False, "domain": "no way", "api_key": None}, [f"domain: {ACCOUNT}"]),
    ],
)
def test_settings_are_judged_field_by_field(changes: dict[str, Any], problems: list[str]) -> None:
    table = {key: value for key, value in {**SETTINGS, "user_extensions": {"27": "151"}, **changes}.items() if value is not None}
    found = table_problems("retailcrm", table)
    assert found == [f"integrations.retailcrm: {problem}" for problem in problems]
    assert KEY not in str(found)
    if problems and changes.get("enabled", True) and "unknown" not in problems[0]:
        with pytest.raises(CrmSettingsError) as raised:
            settings_of(table)
        assert KEY not in str(raised.value)
        assert "HUSH" not in str(raised.value)


def test_settings_read() -> None:
    read = settings_of({"domain": "Store.RetailCRM.ru", "api_key": KEY, "user_extensions": {"27": "151", "28": None, "29": ""}})
    assert isinstance(read, RetailSettings)
    assert (read.account.scheme, read.account.host, dict(read.users)) == ("https", "store.retailcrm.ru", {"151": (27,)})
    assert (read.extension_of(27), read.extension_of(28)) == ("151", "")


def test_a_recording_alone_is_an_end() -> None:
    report = attrs.evolve(TALKED, kind=ReportKind.RECORDING, started_at=datetime(2025, 12, 31, 21, 30, tzinfo=UTC))
    assert call_of(report, READ, MINSK)["date"] == "2026-01-01 00:30:00"
