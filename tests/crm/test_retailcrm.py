"""The adapter of RetailCRM with a faithful fake, over a network in memory and in virtual time."""

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmKind, CrmSettingsError, Fault, OutcomeClass, Problem
from gateway.crm.owing import synthetic_dial
from gateway.crm.retailcrm import EVENT_DONE, UPLOAD_DONE
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_faults import FaultKind
from tester.fixtures import ErrorLog
from tests.crm.retail import HOST, JUNE, KEY, TALKED, push, retail_house
from tests.crm.told import MISSED, PHONE, RUNG

EVENT, UPLOAD = "telephony/call/event", "telephony/calls/upload"
RECORDED = attrs.evolve(TALKED, kind=ReportKind.RECORDING)


async def test_a_call_stands_in_the_history_once_with_everything_that_is_known(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        assert crm.kind is CrmKind.RETAILCRM
        assert (await push(crm, RUNG)).outcome is OutcomeClass.DELIVERED
        ended = await push(crm, TALKED)
        assert (ended.outcome, ended.memory) == (OutcomeClass.DELIVERED, {EVENT_DONE: True, UPLOAD_DONE: True})
        assert [(event.type, event.codes, event.user_ids, event.hangup_status) for event in house.fake.events_of("1759310248.0")] == [
            ("in", ("151", "152", "153"), (27, 28), None),
            ("hangup", ("152",), (28,), "answered"),
        ]
        (call,) = house.fake.calls
        assert (call.external_id, call.phone, call.type, call.result, call.client_id) == (TALKED.unique_id, PHONE, "in", "answered", "0367")
        assert (call.date.isoformat(), call.duration, call.duration_waiting) == ("2025-10-01T12:17:28", 65, 7)
        assert (house.fake.manager_of(call), call.record_url) == (house.fake.users[28], TALKED.recording_url)
        assert not house.fake.unknown_fields


@pytest.mark.parametrize(
    ("report", "status", "result"),
    [
        (MISSED, "no answered", "no answer"),
        (attrs.evolve(MISSED, busy=True), "busy", "busy"),
        (attrs.evolve(MISSED, direction=Direction.OUTGOING, phone=""), "no answered", "no answer"),
        (attrs.evolve(TALKED, extensions=(), extension="", mobile="375290000152"), "answered", "answered"),
    ],
)
async def test_other_ends(nursery: trio.Nursery, autojump_clock: MockClock, report: CallReport, status: str, result: str) -> None:
    async with retail_house(nursery) as house:
        assert (await push(house.adapter(), report)).outcome is OutcomeClass.DELIVERED
        assert [event.hangup_status for event in house.fake.events] == [status]
        assert [(call.result, call.user_id, call.code) for call in house.fake.calls] == [(result, None, None)]


async def test_a_made_up_dial_comes_as_a_dial(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        assert (await push(house.adapter(), synthetic_dial(TALKED))).outcome is OutcomeClass.DELIVERED
        assert [(event.type, event.codes) for event in house.fake.events] == [("in", ("152",))]


async def test_a_recovered_call_rings_nobody_and_stands_in_the_history(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        assert (await push(crm, attrs.evolve(RUNG, recovered=True))).outcome is OutcomeClass.NOTHING_TO_DO
        ended = await push(crm, attrs.evolve(TALKED, recovered=True))
        assert (ended.outcome, ended.memory) == (OutcomeClass.DELIVERED, {UPLOAD_DONE: True})
        assert (house.fake.events, len(house.fake.calls)) == ([], 1)


async def test_a_repetition_is_known_there(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        await push(crm, TALKED)
        again = await push(crm, TALKED)
        assert (again.outcome, again.reason) == (OutcomeClass.DUPLICATE, "RetailCRM had the call already")
        assert len(house.fake.calls) == 1


async def test_a_recording_that_comes_later_cannot_be_added(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        ended = await push(crm, attrs.evolve(TALKED, recording_url=""))
        asked = len(house.fake.requests)
        later = await push(crm, RECORDED, ended.memory)
        assert later.outcome is OutcomeClass.NOTHING_TO_DO
        assert len(house.fake.requests) == asked


async def test_a_recording_brings_the_call_where_its_end_was_given_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        later = await push(house.adapter(), RECORDED)
        assert (later.outcome, later.memory) == (OutcomeClass.DELIVERED, {UPLOAD_DONE: True})
        assert [call.record_url for call in house.fake.calls] == [TALKED.recording_url]
        assert house.fake.events == []


# ---------------------------------------------------------------------- retries


async def test_only_what_is_missing_is_repeated(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        house.fake.fail(FaultKind.ANSWER, path=UPLOAD, status=502)
        first = await push(crm, TALKED)
        assert (first.outcome, first.problem, first.memory) == (OutcomeClass.RETRYABLE, Problem.SERVER_ERROR, {EVENT_DONE: True})
        assert first.reason == "calls/upload: http=502"
        second = await push(crm, TALKED, first.memory)
        assert (second.outcome, second.memory) == (OutcomeClass.DELIVERED, {EVENT_DONE: True, UPLOAD_DONE: True})
        assert (len(house.fake.events), len(house.fake.calls)) == (1, 1)


@pytest.mark.parametrize(("status", "expected"), [(500, OutcomeClass.RETRYABLE), (400, OutcomeClass.PERMANENT)])
async def test_the_history_does_not_wait_for_the_live_event(
    nursery: trio.Nursery, autojump_clock: MockClock, status: int, expected: OutcomeClass
) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        body = b'{"success":false,"errorMsg":"No"}'
        house.fake.fail(FaultKind.ANSWER, path=EVENT, status=status, body=body, content_type="application/json")
        first = await push(crm, TALKED)
        assert (first.outcome, first.memory) == (expected, {UPLOAD_DONE: True})
        assert first.reason == f"call/event: http={status}: No (the call itself is in the history)"
        assert set(first.request) == set(first.response) == {"call_event", "calls_upload"}
        second = await push(crm, TALKED, first.memory)
        assert (second.outcome, second.memory) == (OutcomeClass.DELIVERED, {EVENT_DONE: True})
        assert (len(house.fake.events), len(house.fake.received(UPLOAD))) == (1, 1)


async def test_an_end_that_was_cut_off_is_not_told_twice(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        crm = house.adapter()
        house.fake.fail(FaultKind.HANG, path=UPLOAD, accepted=True)
        with trio.move_on_after(5) as scope:
            await push(crm, TALKED)
        assert scope.cancelled_caught
        house.fake.fail(FaultKind.ANSWER, path=UPLOAD, status=500)
        failed = await push(crm, TALKED)
        assert (failed.outcome, failed.memory) == (OutcomeClass.RETRYABLE, {EVENT_DONE: True})
        again = await push(crm, TALKED, failed.memory)
        assert (again.outcome, again.memory) == (OutcomeClass.DUPLICATE, {EVENT_DONE: True, UPLOAD_DONE: True})
        assert (len(house.fake.events), len(house.fake.calls)) == (1, 1)


async def test_an_end_that_is_done_is_not_done_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        done = await push(house.adapter(), TALKED, {EVENT_DONE: True, UPLOAD_DONE: True})
        assert done.outcome is OutcomeClass.DUPLICATE
        assert not house.fake.requests


@pytest.mark.parametrize(
    ("fault", "outcome", "problem", "is_ambiguous"),
    [
        ({"kind": FaultKind.CLOSE}, OutcomeClass.RETRYABLE, Problem.CONNECTION, True),
        ({"kind": FaultKind.GARBAGE}, OutcomeClass.RETRYABLE, Problem.BAD_ANSWER, True),
        ({"kind": FaultKind.ANSWER, "status": 500}, OutcomeClass.RETRYABLE, Problem.SERVER_ERROR, True),
        ({"kind": FaultKind.ANSWER, "status": 503}, OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, False),
        ({"kind": FaultKind.ANSWER, "status": 429}, OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, False),
        ({"kind": FaultKind.ANSWER, "status": 302}, OutcomeClass.PERMANENT, Problem.REDIRECT, False),
    ],
)
async def test_failures_are_told_apart(
    nursery: trio.Nursery, autojump_clock: MockClock, fault: dict[str, Any], outcome: OutcomeClass, problem: Problem, is_ambiguous: bool
) -> None:
    async with retail_house(nursery) as house:
        house.fake.fail(**fault)
        told = await push(house.adapter(), RUNG)
        assert (told.outcome, told.problem, told.is_ambiguous) == (outcome, problem, is_ambiguous)
        assert told.advice


@pytest.mark.parametrize(
    ("changes", "problem", "advice"),
    [
        ({"api_key": "another-key-0123456789"}, Problem.UNAUTHORIZED, "does not know this API key"),
        ({"domain": "nobody.retailcrm.test"}, Problem.NOT_FOUND, "no account of RetailCRM at this address"),
    ],
)
async def test_wrong_settings_are_told_once_with_what_to_do(
    nursery: trio.Nursery, autojump_clock: MockClock, changes: dict[str, Any], problem: Problem, advice: str
) -> None:
    async with retail_house(nursery) as house:
        told = await push(house.adapter(**changes), TALKED)
        assert (told.outcome, told.problem, told.fault) == (OutcomeClass.PERMANENT, problem, Fault.OURS)
        assert advice in told.advice
        # The upload would have failed the same way.
        assert len(house.fake.requests) == 1


async def test_a_key_without_the_right_is_told_so(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.keys[KEY] = ("customers",)
        told = await push(house.adapter(), RUNG)
        assert (told.problem, told.reason) == (Problem.UNAUTHORIZED, "call/event: http=403: Access denied.")
        assert "lacks a right" in told.advice


async def test_who_is_not_known_there_is_said(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        told = await push(house.adapter(user_extensions={"99": "152"}), attrs.evolve(RUNG, extensions=("152", "777")))
        assert told.outcome is OutcomeClass.DELIVERED
        assert told.reason == 'RetailCRM does not know these codes: ["777"]; RetailCRM does not know these users: [99]'


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("latency", [0.0, 0.3])
async def test_a_burst_of_500_calls_never_breaks_the_limit(nursery: trio.Nursery, autojump_clock: MockClock, latency: float) -> None:
    async with retail_house(nursery) as house:
        house.fake.latency_seconds = latency
        # Two enterprises with one account, as many at a time as the outbox lets.
        adapters = [house.adapter(attrs.evolve(JUNE, number=number)) for number in ("0367", "0368")]
        places = trio.CapacityLimiter(12)

        async def one(position: int) -> None:
            crm = adapters[position % 2]
            for report in (RUNG, TALKED):
                async with places:
                    outcome = await push(crm, attrs.evolve(report, call_id=position, unique_id=f"1759310248.{position}"))
                    assert outcome.outcome is OutcomeClass.DELIVERED

        start = trio.current_time()
        async with trio.open_nursery() as calls:
            for position in range(500):
                calls.start_soon(one, position)
        assert not house.fake.violations
        assert house.fake.peaks["telephony requests per second"] > 0.8 or latency
        # 1,500 requests, 40 a second.
        assert 36 < trio.current_time() - start < 38 + 150 * latency
        assert len(house.fake.calls) == 500
        assert all(call.uploads == 1 for call in house.fake.calls)


async def test_a_limit_that_others_have_used_up_makes_everybody_wait(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        body = b'{"success":false,"errorMsg":"Rate limit exceeded"}'
        house.fake.fail(FaultKind.ANSWER, status=503, body=body, content_type="application/json")
        told = await push(house.adapter(), TALKED)
        assert (told.outcome, told.problem, len(house.fake.requests)) == (OutcomeClass.RETRYABLE, Problem.RATE_LIMIT, 1)
        start = trio.current_time()
        await push(house.adapter(attrs.evolve(JUNE, number="0368")), RUNG)
        assert round(trio.current_time() - start, 2) == 1.0


async def test_a_push_without_admission_waits_for_its_places(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        assert (await house.adapter().push(TALKED, push_id="msg_1", memory={})).outcome is OutcomeClass.DELIVERED


# ---------------------------------------------------------------------- secrets and mistakes


async def test_the_key_is_nowhere(nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with retail_house(nursery) as house:
        crm = house.adapter()
        outcomes = [await push(crm, report) for report in (RUNG, TALKED, RECORDED)]
        house.fake.fail(FaultKind.ANSWER, status=400, body=f'{{"success":false,"errorMsg":"bad {KEY}"}}'.encode())
        outcomes.append(await push(crm, MISSED))
        assert KEY not in f"{outcomes}{crm!r}{house.limiters!r}{caplog.text}"
        assert all(KEY not in each.request.target for each in house.fake.requests)
        assert outcomes[1].request["call_event"]["url"] == f"https://{HOST}/api/v5/telephony/call/event"


async def test_a_mistake_of_ours_costs_one_push(nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: ErrorLog) -> None:
    async with retail_house(nursery) as house:
        broken = attrs.evolve(TALKED, started_at="yesterday")  # type: ignore[arg-type]
        told = await push(house.adapter(), broken)
        assert (told.outcome, told.problem) == (OutcomeClass.PERMANENT, Problem.INTERNAL)
        expected_errors.claim("failed inside: AttributeError")


async def test_a_time_zone_that_is_none_is_an_error_of_the_settings(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        with pytest.raises(CrmSettingsError, match="timezone must be as in Europe/Minsk"):
            house.adapter(EnterpriseConfig(number="0367", token="t", timezone="Mars/Base"))


async def test_there_are_no_notices_outside_of_calls(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        assert await house.adapter().notify_incoming(PHONE, ("151",)) is None
