"""The fakes themselves: what a scripted CRM plays and notes down, and whom a receiver believes."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
import trio
from trio.testing import MockClock

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmKind, CrmLookupFailed, OutcomeClass
from gateway.ports import CustomerProfile
from tester.fakes.crm import DELIVERED, HANG, LOOKUP_FAILS, PERMANENT, RETRYABLE, Play, ScriptedCrm
from tester.fakes.crm_network import Heard
from tester.fakes.own_crm import OwnCrmReceiver
from tests.crm.reports import JUNE

NOON = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
REPORT = CallReport(kind=ReportKind.DIAL, call_id=1, unique_id="1.1", direction=Direction.INCOMING, phone="375290001234", started_at=NOON)


async def test_a_scripted_crm_plays_in_order_and_then_as_usual(autojump_clock: MockClock) -> None:
    crm = ScriptedCrm(CrmKind.UON, usual=Play(outcome=PERMANENT))
    crm.play(RETRYABLE, Play(delay_seconds=1.5))
    outcomes = [await crm.push(REPORT, push_id=f"msg_{number}", memory={"id": number}) for number in range(3)]
    assert [outcome.outcome for outcome in outcomes] == [OutcomeClass.RETRYABLE, OutcomeClass.DELIVERED, OutcomeClass.PERMANENT]
    assert [(pushed.push_id, pushed.memory["id"], pushed.at, pushed.ended_at) for pushed in crm.pushes] == [
        ("msg_0", 0, 0.0, 0.0),
        ("msg_1", 1, 0.0, 1.5),
        ("msg_2", 2, 1.5, 1.5),
    ]
    assert [pushed.outcome for pushed in crm.pushes] == [RETRYABLE, DELIVERED, PERMANENT]


async def test_a_scripted_crm_hangs_until_it_is_left_and_counts_who_waits(autojump_clock: MockClock) -> None:
    crm = ScriptedCrm(usual=HANG)
    with trio.move_on_after(2):
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(lambda number=number: crm.push(REPORT, push_id=f"{number}", memory={}))
            await crm.until(lambda: crm.under_way == 3)
    assert (crm.under_way, crm.most_under_way) == (0, 3)
    assert [(pushed.was_cancelled, pushed.ended_at, pushed.outcome) for pushed in crm.pushes] == [(True, 2.0, None)] * 3


async def test_a_scripted_crm_raises_where_it_is_told_to(autojump_clock: MockClock) -> None:
    crm = ScriptedCrm()
    crm.play(Play(error=RuntimeError("on purpose")))
    with pytest.raises(RuntimeError, match="on purpose"):
        await crm.push(REPORT, push_id="msg_1", memory={})
    assert (crm.pushes[0].outcome, crm.pushes[0].was_cancelled) == (None, False)


async def test_a_scripted_crm_knows_people_by_enterprise(autojump_clock: MockClock) -> None:
    crm = ScriptedCrm(profiles={"375290001234": CustomerProfile(last_name="Иванова")})
    june = crm.maker(JUNE, {})
    crm.play_look_ups(LOOKUP_FAILS, Play(delay_seconds=0.2))
    with pytest.raises(CrmLookupFailed):
        await june.look_up("375290001234")
    assert await june.look_up("375290001234") == CustomerProfile(last_name="Иванова")
    assert await june.look_up("375290000000") is None
    assert await june.notify_incoming("375290001234", ["151"]) == DELIVERED
    assert [(asked.enterprise_number, asked.at) for asked in crm.look_ups] == [("0367", 0.0), ("0367", 0.0), ("0367", 0.2)]
    assert [(noticed.phone, noticed.extensions) for noticed in crm.notices] == [("375290001234", ("151",))]


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAMP = str(int(NOON.timestamp()))


def signed(body: bytes = b"{}", *, method: str = "POST", path: str = "/calls", **headers: str) -> Heard:
    """A good webhook; `headers` (with _ for -) replace those of it."""
    replaced = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"webhook-id": "msg_1", "webhook-timestamp": STAMP, **replaced}
    if "webhook-signature" not in given:
        content = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
        digest = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), content, hashlib.sha256).digest()
        given["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return Heard(method=method, path=path, query="", headers=given, body=body)


@pytest.mark.parametrize(
    ("heard", "status"),
    [
        (signed(), 200),
        (signed(webhook_signature=f"v1a,abc v1,nonsense {signed().headers['webhook-signature']}"), 200),
        (signed(webhook_timestamp=str(int(STAMP) - 300)), 200),
        (signed(webhook_timestamp=str(int(STAMP) - 301)), 400),
        (signed(webhook_timestamp=str(int(STAMP) + 301)), 400),
        (signed(webhook_timestamp="soon"), 400),
        (signed(webhook_id=""), 400),
        (signed(webhook_signature="v1,"), 401),
        (signed(webhook_signature=signed(b"{} ").headers["webhook-signature"]), 401),
        (signed(webhook_signature=signed(webhook_id="msg_2").headers["webhook-signature"]), 401),
        (signed(b"[]"), 400),
        (signed(b"no json"), 400),
        (signed(method="GET"), 405),
        (signed(path="/"), 404),
    ],
)
async def test_a_receiver_believes_only_what_is_signed_fresh_and_whole(heard: Heard, status: int) -> None:
    receiver = OwnCrmReceiver(SECRET, clock=lambda: NOON)
    assert (await receiver.handle(heard)).status == status
    assert (receiver.events == [{}]) == (status == 200)


async def test_a_receiver_takes_an_event_once() -> None:
    receiver = OwnCrmReceiver(SECRET, clock=lambda: NOON)
    assert [(await receiver.handle(signed())).status for _ in range(2)] == [200, 200]
    assert ([delivery.is_duplicate for delivery in receiver.deliveries], receiver.events) == ([False, True], [{}])
