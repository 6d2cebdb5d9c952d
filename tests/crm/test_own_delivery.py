"""The enterprise's own CRM with a receiver that trusts nobody, in virtual time and over a socket."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmAdapter, Fault, OutcomeClass, Problem
from gateway.crm.http import CrmHttp
from gateway.crm.own import event_of, own_crm_maker
from tester.fakes.crm_network import Heard, MemoryNetwork, Reply, http_over, serve_on_loopback, speak_http
from tester.fakes.own_crm import Fault as Planned
from tester.fakes.own_crm import FaultKind, OwnCrmReceiver, serve_own_crm
from tester.fixtures import ErrorLog
from tests.crm.reports import JUNE, NOON, PUSH, RUNG, TALKED, URL, VECTOR_SECRET


@asynccontextmanager
async def memory_crm(nursery: trio.Nursery, secret: str = VECTOR_SECRET) -> AsyncGenerator[tuple[OwnCrmReceiver, CrmAdapter]]:
    started = trio.current_time()

    def clock() -> datetime:
        return NOON + timedelta(seconds=trio.current_time() - started)

    receiver, network = OwnCrmReceiver(secret, clock=clock), MemoryNetwork(nursery)
    network.place("crm.example", receiver.site)
    async with http_over(network) as http:
        yield receiver, own_crm_maker(http, clock)(JUNE, {"enabled": True, "url": URL, "secret": secret})
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("secret", [VECTOR_SECRET, "a plain secret of 24 letters"])
async def test_a_receiver_believes_both_kinds_of_secret(nursery: trio.Nursery, autojump_clock: MockClock, secret: str) -> None:
    async with memory_crm(nursery, secret) as (receiver, crm):
        assert (await crm.push(RUNG, push_id="msg_1", memory={})).outcome is OutcomeClass.DELIVERED
        assert (await crm.push(TALKED, push_id="msg_2", memory={})).outcome is OutcomeClass.DELIVERED
        assert [event["type"] for event in receiver.events] == ["call.dial", "call.hangup"]
        assert not [delivery for delivery in receiver.deliveries if delivery.problem]


async def test_the_log_has_what_was_asked_and_answered(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with memory_crm(nursery) as (_, crm):
        outcome = await crm.push(RUNG, push_id=PUSH, memory={})
        assert outcome.request == {"method": "POST", "url": URL, "webhook_id": PUSH, "body": event_of(RUNG, "0367")}
        assert outcome.response == {"status": 200, "body": '{"message": "accepted"}'}
        assert json.loads(json.dumps([outcome.request, outcome.response]))


async def test_an_event_that_was_taken_without_a_word_is_known_at_the_next_try(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with memory_crm(nursery) as (receiver, crm):
        receiver.fail(Planned(kind=FaultKind.CLOSE, accepts=True))
        lost = await crm.push(RUNG, push_id=PUSH, memory={})
        assert (lost.outcome, lost.problem, lost.is_ambiguous) == (OutcomeClass.RETRYABLE, Problem.CONNECTION, True)
        await trio.sleep(3600)
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).outcome is OutcomeClass.DELIVERED
        assert len(receiver.events) == 1
        assert [delivery.is_duplicate for delivery in receiver.deliveries] == [False, True]


async def test_a_crm_that_hangs_is_left_at_the_callers_deadline_and_heard_later(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with memory_crm(nursery) as (receiver, crm):
        receiver.fail(Planned(kind=FaultKind.HANG), Planned(kind=FaultKind.DELAY, delay_seconds=1.9))
        with trio.move_on_after(2) as scope:
            await crm.push(RUNG, push_id=PUSH, memory={})
        assert scope.cancelled_caught
        with trio.fail_after(2):
            assert (await crm.push(RUNG, push_id=PUSH, memory={})).outcome is OutcomeClass.DELIVERED
        assert len(receiver.events) == 1


async def test_a_receiver_that_echoes_the_request_gives_nothing_away_to_the_log(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    heard: list[Heard] = []

    async def echo(request: Heard) -> Reply:
        heard.append(request)
        return Reply(status=500, body=json.dumps(dict(request.headers)).encode())

    network = MemoryNetwork(nursery)
    network.place("crm.example", partial(speak_http, echo))
    async with http_over(network) as http:
        crm = own_crm_maker(http, lambda: NOON)(JUNE, {"url": URL, "secret": VECTOR_SECRET})
        outcome = await crm.push(RUNG, push_id=PUSH, memory={})
    nursery.cancel_scope.cancel()
    assert heard[0].headers["webhook-signature"].startswith("v1,")
    assert heard[0].headers["webhook-signature"][3:] not in str(outcome.response)
    assert PUSH in str(outcome.response)


async def test_a_wrong_secret_is_told_as_such(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    receiver, network = OwnCrmReceiver(VECTOR_SECRET, clock=lambda: NOON), MemoryNetwork(nursery)
    network.place("crm.example", receiver.site)
    async with http_over(network) as http:
        crm = own_crm_maker(http, lambda: NOON)(JUNE, {"url": URL, "secret": "another secret of 24 letters"})
        outcome = await crm.push(RUNG, push_id=PUSH, memory={})
    nursery.cancel_scope.cancel()
    assert (outcome.problem, outcome.fault, outcome.outcome) == (Problem.UNAUTHORIZED, Fault.OURS, OutcomeClass.PERMANENT)
    assert receiver.deliveries[-1].problem == "the signature does not match"


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_a_gateway_with_a_wrong_clock_is_refused(nursery: trio.Nursery, autojump_clock: MockClock, minutes: int) -> None:
    receiver, network = OwnCrmReceiver(VECTOR_SECRET, clock=lambda: NOON), MemoryNetwork(nursery)
    network.place("crm.example", receiver.site)
    async with http_over(network) as http:
        crm = own_crm_maker(http, lambda: NOON + timedelta(minutes=minutes))(JUNE, {"url": URL, "secret": VECTOR_SECRET})
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).problem is Problem.REJECTED
    nursery.cancel_scope.cancel()


async def test_nobody_can_be_looked_up_or_noticed_there(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with memory_crm(nursery) as (receiver, crm):
        assert await crm.look_up("375290001234") is None
        assert await crm.notify_incoming("375290001234", ["151"]) is None
        assert receiver.deliveries == []


async def test_plain_http_is_refused_at_the_push(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with http_over(MemoryNetwork(nursery)) as http:
        crm = own_crm_maker(http, lambda: NOON)(JUNE, {"url": "http://crm.example/", "secret": VECTOR_SECRET})
        outcome = await crm.push(RUNG, push_id=PUSH, memory={})
    assert (outcome.outcome, outcome.problem, outcome.is_ambiguous) == (OutcomeClass.PERMANENT, Problem.TARGET_REFUSED, False)


async def test_a_mistake_inside_is_an_outcome_and_a_line_in_the_log(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: ErrorLog
) -> None:
    def broken_clock() -> datetime:
        raise RuntimeError("HUSH")

    async with http_over(MemoryNetwork(nursery)) as http:
        outcome = await own_crm_maker(http, broken_clock)(JUNE, {"url": URL, "secret": VECTOR_SECRET}).push(RUNG, push_id=PUSH, memory={})
    assert (outcome.problem, outcome.reason) == (Problem.INTERNAL, "a mistake in the gateway (RuntimeError)")
    (record,) = expected_errors.claim("failed inside: RuntimeError")
    assert "HUSH" not in record.getMessage()


# over sockets


async def test_a_receiver_on_the_loopback_is_reached_where_private_targets_are_allowed() -> None:
    receiver = OwnCrmReceiver(VECTOR_SECRET)
    async with serve_own_crm(receiver) as url, CrmHttp(allow_private_targets=True) as http, CrmHttp() as careful:
        table = {"url": url, "secret": VECTOR_SECRET}
        crm = own_crm_maker(http, lambda: datetime.now(UTC))(JUNE, table)
        receiver.fail(Planned(kind=FaultKind.STATUS, status=503, headers=(("Retry-After", "7"),)), Planned(kind=FaultKind.CLOSE))
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).retry_after_seconds == 7
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).problem is Problem.CONNECTION
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).outcome is OutcomeClass.DELIVERED
        refused = await own_crm_maker(careful, lambda: datetime.now(UTC))(JUNE, table).push(RUNG, push_id=PUSH, memory={})
        assert refused.problem is Problem.TARGET_REFUSED
        assert len(receiver.deliveries) == 3


async def test_a_redirect_is_not_followed() -> None:
    heard: list[str] = []

    async def handle(request: Heard) -> Reply:
        await trio.lowlevel.checkpoint()
        heard.append(request.path)
        return Reply(status=302, headers=(("Location", "/elsewhere"),))

    async def site(stream: trio.abc.Stream) -> None:
        await speak_http(handle, stream)

    async with serve_on_loopback(site) as base_url, CrmHttp(allow_private_targets=True) as http:
        crm = own_crm_maker(http, lambda: NOON)(JUNE, {"url": f"{base_url}/calls", "secret": VECTOR_SECRET})
        assert (await crm.push(RUNG, push_id=PUSH, memory={})).problem is Problem.REDIRECT
    assert heard == ["/calls"]
