"""Call events that other programs post for CRMs: 200 after durable acceptance, each told once."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.report import ReportKind
from gateway.crm.base import CrmKind
from gateway.errors import StoreRejected
from gateway.ports import EnterpriseConfig, LineConfig, Step
from gateway.web.posted_event import InvalidPayload, read_event, report_of_posted
from tester.fakes.crm import PERMANENT, RETRYABLE, ScriptedCrm
from tester.samples import finished
from tests.web.conftest import open_client
from tests.web.inside import EVERYBODY, JUNE, NOW, Inside, open_inside

RETAILCRM, UON, OWN, BITRIX24 = CrmKind.RETAILCRM, CrmKind.UON, CrmKind.OWN, CrmKind.BITRIX24
DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
UNIQUE_ID = "1757840723.10"
PHONE = "375290001101"
RAW = {"Token": JUNE.token, "UniqueId": UNIQUE_ID, "Phone": PHONE, "CallType": 0, "Trunk": "0001363", "Extensions": ["150", "151"]}
ENDED = RAW | {
    "Extensions": ["151"],
    "CallStatus": "2",
    "DateReceived": "2026-03-02 11:58:00",
    "StartTime": "2026-03-02 11:58:00",
    "EndTime": "2026-03-02 11:59:30",
}


def payload(kind: str = "dial", raw: Any = None, **more: Any) -> dict[str, Any]:
    given = RAW if kind == "dial" else ENDED
    return {"token": JUNE.token, "uniqueId": UNIQUE_ID, "event_type": kind, "raw": given if raw is None else raw, **more}


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


async def accepted(inside: Inside, body: object, path: str = "/dispatch/call-event") -> Any:
    response = await inside.ask("POST", path, body)
    assert response.status == 200, response.body
    return response.json


def told(crm: ScriptedCrm) -> list[tuple[ReportKind, str, bool]]:
    return [(push.report.kind, push.report.unique_id, push.report.synthetic) for push in crm.pushes]


# ── acceptance ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/dispatch/call-event", "/dispatch/call-event/"])
async def test_a_call_is_told_to_the_crm_ring_and_end(inside: Inside, path: str) -> None:
    assert await accepted(inside, payload("dial"), path) == {"success": True}
    assert await accepted(inside, payload("hangup", record_url="https://gw.example/recordings/file/1"), path) == {"success": True}
    await inside.until_pushed(RETAILCRM, 2)
    dial, hangup = (push.report for push in inside.crms[RETAILCRM].pushes)
    assert (dial.kind, dial.unique_id, dial.phone, dial.line, dial.extensions) == (DIAL, UNIQUE_ID, PHONE, "0001363", ("150", "151"))
    assert (hangup.kind, hangup.answered, hangup.extension, hangup.duration_seconds) == (HANGUP, True, "151", 90)
    assert hangup.recording_url == "https://gw.example/recordings/file/1"
    assert hangup.started_at == datetime(2026, 3, 2, 8, 58, tzinfo=UTC)
    assert inside.crms[UON].pushes == []


@pytest.mark.parametrize("token", ["0367", "june", JUNE.token, JUNE.secret, int(JUNE.token)])
async def test_the_enterprise_is_found_by_every_key(inside: Inside, token: object) -> None:
    assert await accepted(inside, payload() | {"token": token}) == {"success": True}
    await inside.until_pushed(RETAILCRM, 1)


async def test_the_same_again_is_a_duplicate_and_told_once(inside: Inside) -> None:
    for kind in ("dial", "hangup"):
        assert await accepted(inside, payload(kind)) == {"success": True}
        assert await accepted(inside, payload(kind)) == {"status": "ignored", "reason": "duplicate"}
    await inside.until_pushed(RETAILCRM, 2)
    assert told(inside.crms[RETAILCRM]) == [(DIAL, UNIQUE_ID, False), (HANGUP, UNIQUE_ID, False)]


async def test_many_at_once_are_one(inside: Inside) -> None:
    answers: list[Any] = []

    async def post() -> None:
        answers.append(await accepted(inside, payload()))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(post)
    assert answers.count({"success": True}) == 1
    assert answers.count({"status": "ignored", "reason": "duplicate"}) == 19


async def test_equal_ids_of_two_enterprises_are_two_calls() -> None:
    both = [JUNE, attrs.evolve(JUNE, number="0372", name="july", token="375290000905", secret="")]
    async with open_inside(both) as inside:
        for token in ("0367", "0372"):
            assert await accepted(inside, payload() | {"token": token}) == {"success": True}
        await inside.until_pushed(RETAILCRM, 2)


async def test_an_end_without_a_ring_gets_one_for_retailcrm_alone() -> None:
    config = attrs.evolve(JUNE, integrations={"retailcrm": {"enabled": True}, "own": {"enabled": True}})
    async with open_inside([config]) as inside:
        assert await accepted(inside, payload("hangup")) == {"success": True}
        await inside.until_pushed(RETAILCRM, 2)
        await inside.until_pushed(OWN, 1)
        assert told(inside.crms[RETAILCRM]) == [(DIAL, UNIQUE_ID, True), (HANGUP, UNIQUE_ID, False)]
        assert told(inside.crms[OWN]) == [(HANGUP, UNIQUE_ID, False)]


async def test_a_recovered_end_is_told_as_such_and_without_a_ring(inside: Inside) -> None:
    assert await accepted(inside, payload("dial", origin="download")) == {"success": True}
    assert await accepted(inside, payload("hangup", origin="download")) == {"success": True}
    await inside.until_pushed(RETAILCRM, 1)
    (push,) = inside.crms[RETAILCRM].pushes
    assert (push.report.kind, push.report.recovered) == (HANGUP, True)


# ── a recording that becomes known after the end ────────────────────────────────────────────────────────────────────────────────────────

RECORDING = "https://gw.example/recordings/file/1"


async def test_the_end_posted_again_with_its_recording_is_told_as_a_recording(inside: Inside) -> None:
    await accepted(inside, payload("hangup"))
    await inside.until_pushed(RETAILCRM, 2)
    assert await accepted(inside, payload("hangup", record_url=RECORDING)) == {"success": True}
    await inside.until_pushed(RETAILCRM, 3)
    hangup, recording = (push.report for push in inside.crms[RETAILCRM].pushes[1:])
    assert recording == attrs.evolve(hangup, kind=ReportKind.RECORDING, recording_url=RECORDING)
    for _ in range(2):
        assert await accepted(inside, payload("hangup", record_url=RECORDING)) == {"status": "ignored", "reason": "duplicate"}
    assert await accepted(inside, payload("hangup")) == {"status": "ignored", "reason": "duplicate"}
    assert len(inside.crms[RETAILCRM].pushes) == 3


async def test_an_end_that_was_told_with_its_recording_is_a_duplicate(inside: Inside) -> None:
    assert await accepted(inside, payload("hangup", record_url=RECORDING)) == {"success": True}
    assert await accepted(inside, payload("hangup", record_url=RECORDING)) == {"status": "ignored", "reason": "duplicate"}


@pytest.mark.parametrize("address", ["soon", "", None, 7, "ftp://x/y", "https://a b/c"])
async def test_an_address_that_is_none_is_no_recording(inside: Inside, address: object) -> None:
    await accepted(inside, payload("hangup"))
    assert await accepted(inside, payload("hangup", record_url=address)) == {"status": "ignored", "reason": "duplicate"}


async def test_a_ring_has_no_recording(inside: Inside) -> None:
    await accepted(inside, payload("dial"))
    assert await accepted(inside, payload("dial", record_url=RECORDING)) == {"status": "ignored", "reason": "duplicate"}


async def test_a_recording_that_one_crm_is_told_of_is_told_to_all_that_know_the_call() -> None:
    config = attrs.evolve(JUNE, integrations={"own": {"enabled": True}, "uon": {"enabled": True}})
    async with open_inside([config]) as inside:
        await accepted(inside, payload("hangup"))
        for crm in (OWN, UON):
            await inside.until_pushed(crm, 1)
        await accepted(inside, payload("hangup", record_url=RECORDING), "/internal/uon/call-event")
        for crm in (OWN, UON):
            await inside.until_pushed(crm, 2)
            assert [push.report.kind for push in inside.crms[crm].pushes] == [HANGUP, ReportKind.RECORDING]


async def test_the_recording_of_a_call_without_crms_is_kept(inside: Inside) -> None:
    await inside.store.commit_step(Step(enterprise_number="0368", records=(attrs.evolve(finished(5), unique_id=UNIQUE_ID),)))
    body = payload("hangup", record_url=RECORDING) | {"token": "0368"}
    assert await accepted(inside, body) == {"success": True}
    assert await inside.store.recordings_of("0368", [5]) == {5: RECORDING}


@pytest.mark.parametrize(
    "body",
    [
        payload() | {"token": "0368"},
        payload(raw=RAW | {"CallType": 2, "Phone": "150", "Extensions": ["151"]}),
        payload("hangup", raw=ENDED | {"CallType": "2", "Phone": "150", "StartTime": ""}),
    ],
)
async def test_without_crms_and_inside_the_house_nothing_is_owed(inside: Inside, body: dict[str, Any]) -> None:
    assert await accepted(inside, body) == {"success": True}
    assert await inside.store.pending_pushes(after=None, limit=10) == []


async def test_the_rule_of_the_line_is_applied_once(inside: Inside) -> None:
    await accepted(inside, payload(raw=RAW | {"Phone": "80290001101"}))
    await inside.until_pushed(RETAILCRM, 1)
    assert inside.crms[RETAILCRM].pushes[0].report.phone == PHONE


async def test_a_rule_that_is_none_does_no_harm() -> None:
    line = LineConfig(line_id="0001363", incoming_transform="rubbish")
    async with open_inside([attrs.evolve(JUNE, lines=(line,))]) as inside:
        await accepted(inside, payload())
        await inside.until_pushed(RETAILCRM, 1)
        assert inside.crms[RETAILCRM].pushes[0].report.phone == PHONE


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"a":' * 200,
        {},
        payload() | {"token": ""},
        payload() | {"token": None},
        payload() | {"token": True},
        payload() | {"token": ["0367"]},
        payload() | {"uniqueId": ""},
        payload() | {"uniqueId": "x" * 129},
        payload() | {"uniqueId": "a\nb"},
        payload() | {"event_type": "bridge"},
        payload() | {"event_type": "start"},
        payload("hangup") | {"event_type": "recording"},
        payload() | {"event_type": 1},
        payload() | {"raw": "text"},
        payload() | {"raw": None},
        payload() | {"raw": [1]},
    ],
)
@pytest.mark.parametrize("path", ["/dispatch/call-event", "/internal/retailcrm/call-event"])
async def test_what_is_no_call_event_is_400(inside: Inside, path: str, body: object) -> None:
    response = await inside.ask("POST", path, body)
    assert (response.status, response.json) == (400, {"detail": "invalid payload"})


@pytest.mark.parametrize("token", ["0999", "nobody", "0369"])
@pytest.mark.parametrize("path", ["/dispatch/call-event", "/internal/retailcrm/call-event"])
async def test_a_token_of_nobody_or_of_an_enterprise_that_is_not_active_is_404(inside: Inside, path: str, token: str) -> None:
    response = await inside.ask("POST", path, payload() | {"token": token})
    assert (response.status, response.json) == (404, {"detail": "enterprise not found by token"})


async def test_a_name_of_two_is_409(inside: Inside) -> None:
    response = await inside.ask("POST", "/dispatch/call-event", payload() | {"token": "twin"})
    assert (response.status, list(response.json)) == (409, ["detail"])


async def test_a_body_that_is_too_large_is_413(inside: Inside) -> None:
    response = await inside.ask("POST", "/dispatch/call-event", payload(raw={"x": "y" * 70_000}))
    assert (response.status, response.json["status"]) == (413, "error")


async def test_without_the_store_nothing_is_accepted(inside: Inside) -> None:
    inside.store.is_away = True
    response = await inside.ask("POST", "/dispatch/call-event", payload())
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert response.json == {"detail": "the database is away, try again later"}
    inside.store.is_away = False
    assert await accepted(inside, payload()) == {"success": True}


async def test_values_that_the_database_refuses_are_422(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> Any:
        raise StoreRejected("a value is too long: secret")

    monkeypatch.setattr(inside.store, "accept_owed", refuse)
    response = await inside.ask("POST", "/dispatch/call-event", payload())
    assert (response.status, response.json) == (422, {"detail": "the database refuses the values"})


async def test_what_was_accepted_is_done_though_the_client_has_left(inside: Inside) -> None:
    inside.store.accept_gate = trio.Event()
    body = json.dumps(payload()).encode()
    async with open_client(inside.address) as client:
        head = b"POST /dispatch/call-event HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        await client.send(head + body)
        with trio.fail_after(5):
            await inside.store.accept_waits.wait()
    await trio.testing.wait_all_tasks_blocked(0.05)
    inside.store.accept_gate.set()
    await inside.until_pushed(RETAILCRM, 1)
    assert await accepted(inside, payload()) == {"status": "ignored", "reason": "duplicate"}


# ── one CRM ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_for_one_crm_goes_to_that_one_alone() -> None:
    config = attrs.evolve(JUNE, integrations={"retailcrm": {"enabled": True}, "uon": {"enabled": True}})
    async with open_inside([config]) as inside:
        assert await accepted(inside, payload("hangup"), "/internal/retailcrm/call-event") == {"success": True}
        await inside.until_pushed(RETAILCRM, 2)
        assert inside.crms[UON].pushes == []
        assert await accepted(inside, payload("hangup"), "/internal/uon/call-event") == {"success": True}
        await inside.until_pushed(UON, 1)
        assert await accepted(inside, payload("hangup")) == {"status": "ignored", "reason": "duplicate"}
        assert told(inside.crms[UON]) == [(HANGUP, UNIQUE_ID, False)]


@pytest.mark.parametrize(
    ("crm", "status", "detail"),
    [
        ("uon", 400, "uon disabled or config invalid"),
        ("ms", 400, "ms disabled or config invalid"),
        ("own", 400, "own disabled or config invalid"),
        ("bitrix24", 501, "bitrix24 is enabled, but this version of the gateway cannot speak to it"),
    ],
)
async def test_a_crm_that_cannot_be_told_says_why(inside: Inside, crm: str, status: int, detail: str) -> None:
    response = await inside.ask("POST", f"/internal/{crm}/call-event", payload())
    assert (response.status, response.json) == (status, {"detail": detail})
    assert await inside.store.pending_pushes(after=None, limit=10) == []


async def test_a_crm_with_wrong_settings_says_what_is_wrong() -> None:
    async with open_inside(wrong_settings=[RETAILCRM]) as inside:
        response = await inside.ask("POST", "/internal/retailcrm/call-event", payload())
    assert response.status == 400
    detail = "retailcrm disabled or config invalid: integrations.x: domain: is missing; integrations.x: api_key: is missing"
    assert response.json == {"detail": detail}


async def test_a_crm_that_nobody_knows_is_404_as_every_unknown_path(inside: Inside) -> None:
    response = await inside.ask("POST", "/internal/amocrm/call-event", payload())
    assert (response.status, response.json) == (404, {"status": "error", "error": "Not Found"})


# ── what has become of it ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_dead_letters_are_listed_and_begin_anew(inside: Inside) -> None:
    inside.crms[RETAILCRM].play(PERMANENT)
    await accepted(inside, payload())
    await inside.until_pushed(RETAILCRM, 1)
    await trio.testing.wait_all_tasks_blocked(0.02)
    answer = await inside.get("/dispatch/june/dead")
    (letter,) = answer.pop("dead")
    assert answer == {"enterprise_number": "0367", "waiting": {}}
    assert letter.pop("push_id").startswith("msg_")
    assert letter.pop("call_id") > 0
    assert letter | {"created_at": "", "given_up_at": ""} == {
        "crm": "retailcrm",
        "kind": "dial",
        "unique_id": UNIQUE_ID,
        "phone": PHONE,
        "fault": "ours",
        "class": "permanent",
        "problem": "unauthorized",
        "reason": "http=403",
        "advice": "a new key",
        "attempts": 1,
        "created_at": "",
        "given_up_at": "",
    }
    response = await inside.ask("POST", "/dispatch/june/retry")
    assert (response.status, response.json) == (200, {"enterprise_number": "0367", "revived": 1, "left": 0})
    await inside.until_pushed(RETAILCRM, 2)
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert (await inside.get("/dispatch/0367/dead"))["dead"] == []
    assert (await inside.ask("POST", "/dispatch/june/retry")).json["revived"] == 0


async def test_what_waits_for_its_retry_is_counted(inside: Inside) -> None:
    inside.crms[RETAILCRM].play(RETRYABLE)
    await accepted(inside, payload())
    await inside.until_pushed(RETAILCRM, 1)
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert await inside.get("/dispatch/0367/dead") == {"enterprise_number": "0367", "dead": [], "waiting": {"retailcrm": 1}}


async def test_the_tries_are_listed_newest_first(inside: Inside) -> None:
    for kind in ("dial", "hangup"):
        await accepted(inside, payload(kind))
    await inside.until_pushed(RETAILCRM, 2)
    await trio.testing.wait_all_tasks_blocked(0.02)
    answer = await inside.get("/dispatch/0367/log")
    assert [row["event_type"] for row in answer["log"]] == ["call_event:hangup", "call_event:dial"]
    row = answer["log"][0]
    assert (row.pop("call_id") > 0, row.pop("push_id").startswith("msg_")) == (True, True)
    assert row | {"created_at": ""} == {
        "created_at": "",
        "unique_id": UNIQUE_ID,
        "integration_type": "retailcrm",
        "event_type": "call_event:hangup",
        "status": "success",
        "error_message": None,
        "request_data": {"kind": "hangup", "phone": PHONE, "unique_id": UNIQUE_ID},
        "response_data": {},
    }
    assert len((await inside.get("/dispatch/0367/log?limit=1"))["log"]) == 1


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1e2", "99999999999"])
async def test_a_limit_that_is_none_is_refused(inside: Inside, limit: str) -> None:
    for path in ("dead", "log"):
        response = await inside.ask("GET", f"/dispatch/0367/{path}?limit={limit}")
        assert (response.status, list(response.json)) == (422, ["detail"])


@pytest.mark.parametrize(("method", "path"), [("GET", "dead"), ("POST", "retry"), ("GET", "log")])
async def test_nobodys_dispatches_are_404(inside: Inside, method: str, path: str) -> None:
    for key in ("0999", JUNE.secret):
        response = await inside.ask(method, f"/dispatch/{key}/{path}")
        assert (response.status, response.json) == (404, {"detail": "Enterprise not found"})


# ── dirt ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ids_and_numbers_are_taken_as_they_are_written() -> None:
    body = b'{"token":375290000900,"uniqueId":1757840723.10,"event_type":"dial","raw":{"Phone":375290001101,"CallType":"0"}}'
    posted = read_event(body)
    assert (posted.token, posted.unique_id, posted.raw["Phone"]) == ("375290000900", "1757840723.10", "375290001101")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "ftp://x.example/y", "https://x y", 'https://x.example/"', 5, None, "h" * 3000])
def test_a_recording_that_is_no_address_is_left_out(address: object) -> None:
    assert read_event(json.dumps(payload(record_url=address)).encode()).recording_url == ""


def test_an_event_does_not_show_its_token() -> None:
    assert JUNE.token not in repr(read_event(json.dumps(payload()).encode()))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TIMES = ("StartTime", "EndTime", "DateReceived")
FIELDS = ("Phone", "CallType", "CallStatus", "Extensions", "Trunk", "TrunkId", "CallerIDNum", "UniqueId", *TIMES)
NUMBERS = st.sampled_from(["", "150", 151, PHONE, "+375 29 000-11-01", "<unknown>", "Anonymous", "0", 0, 1, 2, "2", "2026-03-02 11:58:00"])


@given(
    kind=st.sampled_from(["dial", "hangup"]),
    raw=st.dictionaries(st.sampled_from(FIELDS), NUMBERS | st.lists(NUMBERS, max_size=3) | JSON_VALUES),
    config=st.sampled_from(EVERYBODY),
)
def test_no_raw_event_is_a_reason_to_fail(kind: str, raw: dict[str, Any], config: EnterpriseConfig) -> None:
    posted = read_event(json.dumps(payload(kind, raw=raw)).encode())
    report = report_of_posted(posted, config, at=NOW, zone=UTC)
    if report is not None:
        assert (report.kind, report.unique_id) == (ReportKind(kind), UNIQUE_ID)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidPayload):
        read_event(body)
