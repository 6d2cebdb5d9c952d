"""What a portal is told: each call stands there once, right in every field, whatever is lost on the way."""

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import CallReport
from gateway.crm.base import OutcomeClass, Problem
from tester.fakes.bitrix24 import INTERNAL_SERVER_ERROR, OVERLOAD_LIMIT, CallKind
from tester.fakes.bitrix24_wire import DATABASE_ERROR, OPERATION_TIME_LIMIT, QUERY_LIMIT_EXCEEDED
from tester.fakes.crm_faults import FaultKind
from tests.crm.portal import CODE, DIALLED, HOST, RECORDED, UNANSWERED, World, bitrix24
from tests.crm.told import MISSED, PHONE, RUNG, TALKED, URL

DOORS = pytest.mark.parametrize("as_application", [False, True], ids=["webhook", "application"])


async def tried(world: World, report: CallReport) -> list[OutcomeClass]:
    """The tries of one report, as far apart as the outbox makes them."""
    outcomes: list[OutcomeClass] = []
    for _ in range(4):
        outcome = await world.push(report)
        outcomes.append(outcome.outcome)
        if outcome.outcome is not OutcomeClass.RETRYABLE:
            break
        await trio.sleep(max(20.0, outcome.retry_after_seconds or 0.0))
    return outcomes


# one call


@DOORS
async def test_an_incoming_call_rings_at_all_mapped_and_ends_with_who_talked(
    nursery: trio.Nursery, autojump_clock: MockClock, as_application: bool
) -> None:
    async with bitrix24(nursery, as_application=as_application, strict=as_application) as world:
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED
        call = world.call
        assert (call.kind, call.phone, call.line, call.user_id) == (CallKind.INCOMING, f"+{PHONE}", "0001363", 1)
        assert (call.external_call_id, call.started_at.isoformat()) == ("1759310248.0", "2025-10-01T12:17:28+03:00")
        assert (call.shown_to, call.is_in_chat) == ({1, 2}, False)
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED
        assert (call.is_finished, call.user_id, call.duration_seconds, call.status_code) == (True, 2, 65, "200")
        assert (call.shown_to, call.is_in_chat, call.record) == (set(), False, None)
        assert (await world.push(RECORDED)).outcome is OutcomeClass.DELIVERED
        assert call.record is not None
        assert (call.record.url, call.record.name) == (URL, "1759310248.0.mp3")
        assert [each for each in world.asked if each not in ("", "token")] == ["register", "show", "hide", "finish", "attachRecord"]
        assert world.fake.violations.total() == 0


@pytest.mark.parametrize(
    ("dial", "end", "expected"),
    [
        (RUNG, MISSED, (1, 0, "304")),
        (RUNG, attrs.evolve(MISSED, busy=True), (1, 0, "486")),
        (DIALLED, UNANSWERED, (1, 0, "603-S")),
        (DIALLED, attrs.evolve(UNANSWERED, busy=True), (1, 0, "486")),
        (DIALLED, attrs.evolve(TALKED, direction=DIALLED.direction, extensions=("151",), extension="151"), (1, 65, "200")),
        (RUNG, attrs.evolve(TALKED, extensions=("152",), transfers=("151", "152")), (2, 65, "200")),
        # An employee's mobile: the extension is known, or it is the call of whom it was registered for.
        (RUNG, attrs.evolve(TALKED, mobile="375290000152"), (2, 65, "200")),
        (RUNG, attrs.evolve(TALKED, extensions=(), extension="", mobile="375290000152"), (1, 65, "200")),
        (RUNG, attrs.evolve(TALKED, talk_seconds=None), (2, 65, "200")),
        (RUNG, attrs.evolve(TALKED, talk_seconds=None, waiting_seconds=None), (2, 72, "200")),
    ],
)
async def test_the_end_of_each_kind_of_call(
    nursery: trio.Nursery, autojump_clock: MockClock, dial: CallReport, end: CallReport, expected: tuple[int, int, str]
) -> None:
    async with bitrix24(nursery) as world:
        assert (await world.push(dial)).outcome is OutcomeClass.DELIVERED
        assert world.call.ever_shown_to == ({1, 2} if dial is RUNG else {1})
        assert (await world.push(end)).outcome is OutcomeClass.DELIVERED
        call = world.call
        assert (call.user_id, call.duration_seconds, call.status_code, call.is_finished) == (*expected, True)


async def test_one_who_rings_alone_sees_the_card_with_one_request(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        await world.push(attrs.evolve(RUNG, extensions=("153", "152")))
        assert (world.asked, world.call.shown_to) == (["register"], {2})


@pytest.mark.parametrize("end", [MISSED, attrs.evolve(TALKED, recording_url=URL)])
async def test_what_was_not_heard_live_is_put_into_the_history_without_a_card(
    nursery: trio.Nursery, autojump_clock: MockClock, end: CallReport
) -> None:
    async with bitrix24(nursery) as world:
        assert (await world.push(attrs.evolve(RUNG, recovered=True))).outcome is OutcomeClass.NOTHING_TO_DO
        assert (await world.push(attrs.evolve(RUNG, synthetic=True))).outcome is OutcomeClass.NOTHING_TO_DO
        assert world.asked == []
        assert (await world.push(attrs.evolve(end, recovered=True))).outcome is OutcomeClass.DELIVERED
        assert (world.call.is_finished, world.call.ever_shown_to, bool(world.call.record)) == (True, set(), bool(end.recording_url))


async def test_a_dial_that_comes_late_shows_no_card_and_costs_no_record(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        await trio.sleep(121)
        assert (await world.push(RUNG)).outcome is OutcomeClass.NOTHING_TO_DO
        assert (await world.push(MISSED)).outcome is OutcomeClass.DELIVERED
        assert (world.call.status_code, world.call.ever_shown_to) == ("304", set())


async def test_a_withheld_number_is_nothing_for_bitrix24(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        for report in (RUNG, MISSED):
            assert (await world.push(attrs.evolve(report, phone=""))).outcome is OutcomeClass.NOTHING_TO_DO
        assert world.asked == []


async def test_a_recording_that_is_told_before_the_end_ends_the_call_first(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        assert (await world.push(RECORDED)).outcome is OutcomeClass.DELIVERED
        assert (world.call.status_code, world.call.record is not None) == ("200", True)


# people


async def test_whom_the_settings_do_not_know_the_portal_may(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, changes={"user_extensions": {}}) as world:
        await world.push(RUNG)
        assert (world.call.user_id, world.call.shown_to) == (1, {1})
        await world.push(TALKED)
        assert (world.call.user_id, world.call.status_code) == (2, "200")


@pytest.mark.parametrize("default", ["3", ""])
async def test_a_call_of_nobody_known_goes_to_the_default_user_or_says_what_to_do(
    nursery: trio.Nursery, autojump_clock: MockClock, default: str
) -> None:
    changes = {"default_user": default} if default else {}
    async with bitrix24(nursery, changes=changes) as world:
        for report in (attrs.evolve(RUNG, extensions=("153",)), attrs.evolve(TALKED, extensions=("153",), extension="153")):
            outcome = await world.push(report)
            if default:
                assert outcome.outcome is OutcomeClass.DELIVERED
            else:
                assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.REJECTED)
                assert outcome.advice.startswith("No active user of Bitrix24 has this extension")
        if default:
            assert (world.call.user_id, world.call.ever_shown_to, world.call.is_finished) == (3, set(), True)
            assert world.asked == ["register", "register", "finish", "finish"]


@pytest.mark.parametrize("default", ["3", ""])
async def test_a_call_that_rang_nobody_goes_to_the_default_user(nursery: trio.Nursery, autojump_clock: MockClock, default: str) -> None:
    async with bitrix24(nursery, changes={"default_user": default} if default else {}) as world:
        outcome = await world.push(attrs.evolve(MISSED, extensions=()))
        if default:
            assert (outcome.outcome, world.call.user_id) == (OutcomeClass.DELIVERED, 3)
        else:
            assert (outcome.outcome, outcome.problem, world.asked) == (OutcomeClass.PERMANENT, Problem.SETTINGS, [])
            assert "default_user" in outcome.advice


async def test_the_default_user_who_rings_sees_the_card(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, changes={"default_user": "1"}) as world:
        await world.push(attrs.evolve(RUNG, extensions=("151",)))
        assert world.call.shown_to == {1}


# lost answers

METHODS = ("register", "show", "hide", "finish", "attachRecord")
LOST = {
    "hang after commit": {"kind": FaultKind.HANG, "accepted": True},
    "hang": {"kind": FaultKind.HANG},
    "close after commit": {"kind": FaultKind.CLOSE, "accepted": True},
    "close": {"kind": FaultKind.CLOSE},
    "reset after commit": {"kind": FaultKind.RESET, "accepted": True},
    "half answer": {"kind": FaultKind.HALF_ANSWER},
    "garbage": {"kind": FaultKind.GARBAGE},
    "bad gateway": {"kind": FaultKind.ANSWER, "status": 502},
    "bad gateway after commit": {"kind": FaultKind.ANSWER, "status": 502, "accepted": True},
    "refused": {"kind": FaultKind.REFUSE},
    "503 of a proxy": {"kind": FaultKind.ANSWER, "status": 503, "body": b""},
    "a login page": {"kind": FaultKind.ANSWER, "status": 200, "body": b"<html>"},
}


@DOORS
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_a_call_stands_there_once_and_whole_whatever_is_lost(
    nursery: trio.Nursery, autojump_clock: MockClock, lost: dict[str, Any], method: str, as_application: bool
) -> None:
    async with bitrix24(nursery, as_application=as_application) as world:
        world.fake.fail(path=method, **lost)
        for report in (RUNG, TALKED, RECORDED):
            assert (await tried(world, report))[-1].is_done
        call = world.call
        assert (call.status_code, call.duration_seconds, call.user_id) == ("200", 65, 2)
        assert call.record is not None
        assert call.ever_shown_to == {1, 2}
        assert call.shown_to == set()
        answered = [each for each in world.fake.received("attachRecord") if each.carried_out]
        assert len(answered) == 1


@pytest.mark.parametrize("method", METHODS)
async def test_what_a_process_forgot_when_it_was_killed_makes_no_second_call(
    nursery: trio.Nursery, autojump_clock: MockClock, method: str
) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail(FaultKind.HANG, path=method, accepted=True)
        for report in (RUNG, attrs.evolve(TALKED, recording_url=URL)):
            memory = dict(world.memories.get(report.unique_id, {}))
            if not (await world.push(report)).outcome.is_done:
                # Nothing was written down; the next process knows that something may have been done.
                world.memories[report.unique_id] = {**memory, f"maybe_done_{report.kind}": True}
                world.restart()
                assert (await world.push(report)).outcome.is_done
        assert (world.call.status_code, world.call.record is not None) == ("200", True)


async def test_the_time_that_hiding_takes_is_not_that_of_finishing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail(FaultKind.HANG, path="hide")
        await world.push(RUNG)
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED


async def test_a_call_that_the_portal_has_forgotten_is_registered_anew(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        await world.push(RUNG)
        world.fake.telephony.calls.clear()
        await trio.sleep(1801)
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED
        assert (world.call.status_code, world.call.ever_shown_to) == ("200", set())


async def test_a_long_call_keeps_its_registration(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        await world.push(RUNG)
        await trio.sleep(7200)
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED
        assert world.asked == ["register", "show", "hide", "finish"]
        assert world.call.is_finished


async def test_who_may_not_see_the_history_believes_the_try_whose_answer_was_lost(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.history.is_visible = False
        world.fake.fail(FaultKind.HANG, path="finish", accepted=True)
        for report in (RUNG, TALKED):
            assert (await tried(world, report))[-1].is_done
        assert world.call.is_finished


async def test_a_history_that_is_a_little_behind_makes_no_dead_letter(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail(FaultKind.HANG, path="finish", accepted=True)
        world.fake.fail(FaultKind.ANSWER, path="statistic.get", status=200, body=b'{"result": []}')
        await world.push(RUNG)
        retryable = OutcomeClass.RETRYABLE
        assert await tried(world, TALKED) == [retryable, retryable, OutcomeClass.DUPLICATE]
        assert (world.call.status_code, world.call.duration_seconds) == ("200", 65)


async def test_calls_that_share_a_registration_are_two_in_the_history(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.telephony.shares_calls = True
        second = {"unique_id": "1759310249.7", "call_id": 8}
        for report in (RUNG, attrs.evolve(RUNG, **second)):
            assert (await world.push(report)).outcome is OutcomeClass.DELIVERED
        assert world.call.times_registered == 2
        later = attrs.evolve(MISSED, **second)
        for report in (TALKED, later):
            assert (await world.push(report)).outcome is OutcomeClass.DELIVERED
        ends = [(call.external_call_id, call.status_code, call.duration_seconds) for call in world.fake.calls]
        assert ends == [("1759310248.0", "200", 65), ("1759310249.7", "304", 0)]


# noes


@pytest.mark.parametrize(
    ("error", "problem", "at_least"),
    [
        (QUERY_LIMIT_EXCEEDED, Problem.RATE_LIMIT, 1.0),
        (OPERATION_TIME_LIMIT, Problem.RATE_LIMIT, 60.0),
        (OVERLOAD_LIMIT, Problem.RATE_LIMIT, 300.0),
    ],
)
async def test_a_limit_is_waited_for_as_long_as_it_lasts(
    nursery: trio.Nursery, autojump_clock: MockClock, error: Any, problem: Problem, at_least: float
) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail_with(error)
        outcome = await world.push(MISSED)
        assert (outcome.outcome, outcome.problem, outcome.retry_after_seconds) == (OutcomeClass.RETRYABLE, problem, at_least)
        assert not outcome.is_ambiguous
        before = trio.current_time()
        assert (await world.push(MISSED)).outcome is OutcomeClass.DELIVERED
        # The bucket is the portal's, and so is an overload; a method's time is only that method's.
        assert trio.current_time() - before >= (0.0 if error is OPERATION_TIME_LIMIT else at_least)


@pytest.mark.parametrize("error", [INTERNAL_SERVER_ERROR, DATABASE_ERROR])
async def test_a_failure_inside_is_tried_again_and_may_have_been_carried_out(
    nursery: trio.Nursery, autojump_clock: MockClock, error: Any
) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail_with(error, path="finish")
        outcome = await world.push(MISSED)
        assert (outcome.outcome, outcome.problem, outcome.is_ambiguous) == (OutcomeClass.RETRYABLE, Problem.SERVER_ERROR, True)
        assert (await world.push(MISSED)).outcome is OutcomeClass.DELIVERED
        assert world.call.times_registered == 1


async def test_a_webhook_that_may_not_register_says_how_to_connect_instead(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, strict=True) as world:
        for report in (RUNG, TALKED):
            outcome = await world.push(report)
            assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED)
            assert outcome.advice.startswith(
                "An inbound webhook may not register calls on this portal: connect the gateway as an application"
            )
            assert "WRONG_AUTH_TYPE" in outcome.reason


async def test_a_recording_that_the_portal_cannot_fetch_is_tried_again_and_the_call_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with bitrix24(nursery) as world:
        world.fake.telephony.status_of_record = lambda _: 404
        outcome = await world.push(attrs.evolve(TALKED, recording_url=URL))
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.RETRYABLE, Problem.SERVER_ERROR)
        assert "address must open from the internet" in outcome.advice
        world.fake.telephony.status_of_record = lambda _: 200
        assert (await world.push(attrs.evolve(TALKED, recording_url=URL))).outcome is OutcomeClass.DELIVERED
        assert world.asked == ["register", "finish", "attachRecord", "attachRecord"]


async def test_a_recording_in_a_private_network_is_not_tried_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.telephony.unnamed_error = ""
        outcome = await world.push(attrs.evolve(TALKED, recording_url="http://192.168.0.5/recordings/file/1"))
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.REJECTED)
        assert (world.call.is_finished, "private network" in outcome.advice) == (True, True)


async def test_a_mistake_inside_is_an_outcome_and_a_line_in_the_log(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: Any
) -> None:
    async with bitrix24(nursery) as world:
        outcome = await world.crm.push(attrs.evolve(MISSED, started_at=None), push_id="1", memory={})  # pyright: ignore[reportArgumentType]
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.INTERNAL)
    expected_errors.claim("failed inside: AttributeError")


async def test_a_damaged_memory_is_no_obstacle(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        damaged: dict[str, Any] = {"call_id": 5, "cards": "x", "registering": {"user_id": 7}, "finished": None}
        outcome = await world.crm.push(MISSED, push_id="1", memory=damaged)
        assert (outcome.outcome, world.call.status_code) == (OutcomeClass.DELIVERED, "304")


# limits


async def test_five_hundred_calls_at_once_never_overfill_the_bucket_of_the_portal(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        ours = [attrs.evolve(RUNG, unique_id=f"1759310248.{number}", call_id=number, phone=f"37529{number:07}") for number in range(500)]
        moments: list[float] = []
        world.fake.on_answer.append(lambda received: moments.append(received.request.at))

        async def tell(report: CallReport) -> None:
            await world.push(report)
            end = attrs.evolve(TALKED, unique_id=report.unique_id, call_id=report.call_id, phone=report.phone)
            assert (await world.push(end)).outcome is OutcomeClass.DELIVERED

        async with trio.open_nursery() as tellers:
            for report in ours:
                tellers.start_soon(tell, report)
        assert (world.fake.violations.total(), len(world.fake.calls)) == (0, 500)
        assert all(call.is_finished and call.duration_seconds == 65 for call in world.fake.calls)
        # However one looks at it: ten at once, and two for each second.
        assert all(later - first >= (40 - 10) / 2 - 1e-6 for first, later in zip(moments, moments[40:], strict=False))
        assert all(later - first > 0 for first, later in zip(moments, moments[10:], strict=False))


async def test_enterprises_of_one_portal_share_its_limit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        first = world.crm
        world.restart(keeps_limiters=True)
        for number in range(30):
            await world.push(
                attrs.evolve(UNANSWERED, unique_id=f"1.{number}", phone=f"37529{number:07}"), first if number % 2 else world.crm
            )
        # Sixty requests: ten at once, the others two in a second.
        assert trio.current_time() >= 25.0 - 0.01


# what is written down


@DOORS
async def test_what_is_written_down_holds_no_secret(
    nursery: trio.Nursery, autojump_clock: MockClock, as_application: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with bitrix24(nursery, as_application=as_application) as world:
        outcomes = [await world.push(report) for report in (RUNG, TALKED, RECORDED)]
        world.fake.heal()
        app = world.app
        secrets = [CODE] if app is None else [app.client_secret, app.access_token, app.refresh_token]
        echo = {"error": "ERROR_CORE", "error_description": " ".join(secrets)}
        world.fake.fail(FaultKind.ANSWER, status=400, body=json.dumps(echo).encode(), times=None)
        outcomes.append(await world.push(attrs.evolve(MISSED, unique_id="9.9")))
        with pytest.raises(Exception) as raised:  # noqa: PT011
            await world.crm.look_up(PHONE)
        findings = await world.crm.examine(language="ru")
        written = repr((outcomes, findings, str(raised.value), world.crm, caplog.text))
        assert not [secret for secret in ("HUSH", *secrets) if secret in written]
        assert "***" in written
        first = outcomes[0]
        assert first.request["calls"][0]["method"] == "telephony.externalCall.register"
        assert first.request["url"].startswith(f"https://{HOST}/rest/")
        assert first.response["answers"][0]["body"]["result"]["CALL_ID"] == world.fake.calls[0].call_id
