"""МойСклад with its fake, in virtual time: each call is there exactly once and right, whatever fails on the way."""

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import Fault as Whose
from gateway.crm.base import OutcomeClass, Problem
from tester.fakes.crm_faults import FaultKind
from tester.fakes.ms import BUSY, MAINTENANCE
from tester.fixtures import ErrorLog
from tests.crm.moysklad import DIALLED, KEY, RECORDED, TALKED, TOKEN, UNANSWERED, World, moysklad
from tests.crm.told import MISSED, RUNG, URL

RECORDED_TALK = attrs.evolve(TALKED, recording_url=URL)
SHOWS_OUTGOING = {"notifications": {"notify_outgoing": True}}
SHOWS_NOTHING = {"notifications": {"call_notify_mode": "none"}}


async def deliver(world: World, *reports: CallReport, tries: int = 3) -> None:
    """As the outbox: one after the other, each until it is done, with pauses between."""
    for report in reports:
        for _ in range(tries):
            if (await world.push(report)).outcome.is_done:
                break
            await trio.sleep(20)
        else:
            pytest.fail("never done")


def facts(world: World) -> dict[str, Any]:
    call = world.call
    employee = world.account.employees.get(call.employee_id)
    return {
        "id": call.external_id,
        "number": call.number,
        "in": call.is_incoming,
        "begin": str(call.started_at),
        "milliseconds": call.duration_milliseconds,
        "extension": call.extension,
        "employee": employee.last_name if employee else "",
        "comment": call.comment,
        "urls": call.record_urls,
        "seen by": sorted(call.seen_by),
    }


ENDED: dict[str, Any] = {
    "id": "1759310248.0",
    "number": "+375290001234",
    "in": True,
    "begin": "2025-10-01 12:17:28",
    "milliseconds": 72_000,
    "extension": "152",
    "employee": "Петров",
    "comment": "Входящий звонок отвечен",
    "urls": [],
    "seen by": [],
}
ENDED_WITH_RECORDING = {**ENDED, "urls": [URL]}


async def test_a_call_that_rings_is_made_with_cards_and_filled_at_its_end(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED
        assert world.call.seen_by == {"151", "152"}
        assert (world.call.extension, world.call.ended_at) == ("", None)
        assert (await world.push(RECORDED_TALK)).outcome is OutcomeClass.DELIVERED
        assert facts(world) == ENDED_WITH_RECORDING
        assert world.asked == ["POST call", f"PUT call/{world.call.call_id}"]


@pytest.mark.parametrize(
    ("changes", "dial", "hangup", "expected"),
    [
        ({}, RUNG, MISSED, {"milliseconds": 0, "extension": "", "employee": "", "comment": "Пропущенный входящий звонок"}),
        ({}, RUNG, attrs.evolve(MISSED, busy=True), {"milliseconds": 0, "extension": "", "employee": "", "comment": "Звонок занят"}),
        (
            SHOWS_OUTGOING,
            DIALLED,
            UNANSWERED,
            {"in": False, "milliseconds": 0, "extension": "151", "employee": "Иванова", "comment": "Неотвеченный исходящий звонок"},
        ),
        (
            {},
            DIALLED,
            attrs.evolve(TALKED, direction=Direction.OUTGOING, extension="151"),
            {"in": False, "extension": "151", "employee": "Иванова", "comment": "Исходящий звонок отвечен"},
        ),
        ({}, RUNG, attrs.evolve(TALKED, extension="151", transfers=("152", "151")), {"extension": "151", "employee": "Иванова"}),
        ({}, RUNG, attrs.evolve(TALKED, extension="", extensions=(), mobile="375290000152"), {"extension": "", "employee": ""}),
        ({}, RUNG, attrs.evolve(TALKED, extension="153"), {"extension": "153", "employee": ""}),
        ({}, RUNG, attrs.evolve(TALKED, ended_at=None), {}),
        ({}, RUNG, attrs.evolve(TALKED, ended_at=None, duration_seconds=None), {"milliseconds": 65_000}),
        (SHOWS_NOTHING, RUNG, TALKED, {}),
        ({"employee_mapping": {}}, RUNG, TALKED, {}),
    ],
)
async def test_every_kind_of_call_is_there_once_and_right(
    changes: dict[str, Any],
    dial: CallReport,
    hangup: CallReport,
    expected: dict[str, Any],
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    async with moysklad(nursery, changes=changes) as world:
        await deliver(world, dial, hangup)
        assert facts(world) == {**ENDED, **expected}
        assert not world.fake.violations


@pytest.mark.parametrize(
    ("changes", "report"),
    [
        ({}, DIALLED),
        (SHOWS_NOTHING, RUNG),
        ({"notifications": {"notify_incoming": False, "notify_outgoing": True}}, RUNG),
        ({"employee_mapping": {}}, RUNG),
        ({}, attrs.evolve(RUNG, recovered=True)),
        ({}, attrs.evolve(RUNG, synthetic=True)),
        ({}, attrs.evolve(TALKED, direction=Direction.INTERNAL)),
    ],
)
async def test_where_nobody_is_to_see_a_card_a_dial_says_nothing(
    changes: dict[str, Any], report: CallReport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with moysklad(nursery, changes=changes) as world:
        assert (await world.push(report)).outcome is OutcomeClass.NOTHING_TO_DO
        assert world.asked == []


async def test_a_call_without_a_dial_is_made_at_its_end_and_shown_to_nobody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, attrs.evolve(RECORDED_TALK, recovered=True))
        assert facts(world) == ENDED_WITH_RECORDING
        assert world.call.events == []
        assert world.asked == ["PUT call/extid/1759310248.0", "POST call"]


async def test_a_recording_that_comes_later_is_added_and_nothing_else_is_touched(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, RUNG, TALKED)
        world.call.comment = "Перезвонить завтра"
        await deliver(world, RECORDED, RECORDED)
        assert facts(world) == {**ENDED_WITH_RECORDING, "comment": "Перезвонить завтра"}
        assert len(world.asked) == 3


async def test_a_recording_completes_a_call_whose_end_never_came_through(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, RUNG, RECORDED)
        assert facts(world) == ENDED_WITH_RECORDING


async def test_a_recording_of_a_call_that_is_not_there_makes_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, RECORDED, RECORDED_TALK)
        assert facts(world) == ENDED_WITH_RECORDING


async def test_a_call_that_was_removed_there_is_made_anew(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, RUNG)
        world.memories[RUNG.unique_id]["call_id"] = "00000000-0000-0000-0000-000000000000"
        await deliver(world, TALKED)
        assert facts(world) == ENDED
        assert world.asked[1:] == ["PUT call/00000000-0000-0000-0000-000000000000", "PUT call/extid/1759310248.0"]


async def test_an_unusual_id_is_found_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    strange = "pbx-1/ы 1?#.0"
    async with moysklad(nursery) as world:
        await deliver(world, attrs.evolve(MISSED, unique_id=strange))
        await deliver(world, attrs.evolve(TALKED, unique_id=strange))
        assert world.call.external_id == strange
        assert world.call.number_of_updates == 1


async def test_a_withheld_number_is_no_reason_to_lose_a_call(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        await deliver(world, attrs.evolve(RUNG, phone=""), attrs.evolve(TALKED, phone=""))
        assert facts(world) == {**ENDED, "number": "anonymous"}


async def test_an_employee_who_has_gone_costs_the_link_and_not_the_call(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        gone = next(each for each in world.account.employees.values() if each.extension == "152")
        del world.account.employees[gone.employee_id]
        await deliver(world, RUNG, TALKED)
        assert facts(world) == {**ENDED, "employee": ""}
        assert {event.extension for event in world.call.events} == {"151", "152", ""}


# what fails


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.CLOSE, FaultKind.RESET, FaultKind.HALF_ANSWER, FaultKind.GARBAGE])
@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("skip", [0, 1, 2])
@pytest.mark.parametrize("has_dial", [True, False])
async def test_whatever_was_taken_without_a_word_is_there_once(
    kind: FaultKind, accepted: bool, skip: int, has_dial: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(kind, skip=skip, accepted=accepted)
        await deliver(world, *((RUNG,) if has_dial else ()), RECORDED_TALK, RECORDED)
        assert facts(world) == ENDED_WITH_RECORDING


@pytest.mark.parametrize("skip", range(4))
async def test_two_lost_answers_in_a_row_do_not_double_anything(skip: int, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.CLOSE, skip=skip, accepted=True, times=2)
        await deliver(world, RUNG, RECORDED_TALK, RECORDED)
        assert facts(world) == ENDED_WITH_RECORDING


async def test_a_dial_that_gets_there_after_it_was_given_up_does_no_harm(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        # The request of the end overtakes that of the dial between its two looks.
        world.fake.fail(FaultKind.CLOSE, method="POST", accepted=True)
        world.fake.fail(FaultKind.ANSWER, method="PUT", status=404, body=b'{"errors":[{"error":"no","code":1021}]}')
        assert (await world.push(RUNG)).problem is Problem.CONNECTION
        assert (await world.push(RECORDED_TALK)).outcome is OutcomeClass.DELIVERED
        assert facts(world) == ENDED_WITH_RECORDING
        assert world.asked[1:] == [
            "PUT call/extid/1759310248.0",
            "POST call",
            "GET call/extid/1759310248.0",
            "PUT call/extid/1759310248.0",
        ]


async def test_the_call_is_known_although_nobody_has_heard_that_it_was_made(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.CLOSE, accepted=True)
        await world.push(RUNG)
        again = await world.push(RUNG)
        assert (again.outcome, again.memory) == (OutcomeClass.DUPLICATE, {"call_id": world.call.call_id})
        assert world.asked == ["POST call", "GET call/extid/1759310248.0"]


@pytest.mark.parametrize(
    ("plan", "problem", "wish", "is_ambiguous"),
    [
        ({"status": 429, "headers": (("X-Lognex-Retry-After", "2500"),)}, Problem.RATE_LIMIT, 2.5, False),
        ({"status": 429, "headers": (("Retry-After", "7"),)}, Problem.RATE_LIMIT, 7.0, False),
        ({"status": 429, "headers": (("X-Lognex-Retry-After", "soon"),)}, Problem.RATE_LIMIT, None, False),
        ({"status": 503, "headers": (("Retry-After", "7"),)}, Problem.SERVER_ERROR, 7.0, False),
        ({"status": 503}, Problem.SERVER_ERROR, None, False),
        ({"status": 500}, Problem.SERVER_ERROR, None, True),
        ({"status": 504}, Problem.SERVER_ERROR, None, True),
    ],
)
async def test_what_passes_is_tried_again_when_they_wish(
    plan: dict[str, Any], problem: Problem, wish: float | None, is_ambiguous: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.ANSWER, **plan)
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.RETRYABLE, problem)
        assert (outcome.retry_after_seconds, outcome.is_ambiguous) == (wish, is_ambiguous)
        await deliver(world, RUNG, TALKED)
        assert facts(world) == ENDED


async def test_overload_is_given_a_minute_and_maintenance_the_usual_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail_with(BUSY)
        world.fake.fail_with(MAINTENANCE, status=500)
        busy, closed = await world.push(RUNG), await world.push(RUNG)
        assert (busy.problem, busy.retry_after_seconds, busy.is_ambiguous) == (Problem.SERVER_ERROR, 60.0, False)
        assert (closed.problem, closed.retry_after_seconds, closed.is_ambiguous) == (Problem.SERVER_ERROR, None, False)
        assert busy.reason == "http=503, code 1095"


async def test_a_wish_to_be_left_alone_holds_for_the_whole_account(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.ANSWER, status=429, headers=(("X-Lognex-Retry-After", "30000"),))
        await world.push(RUNG)
        started = trio.current_time()
        await world.push(TALKED)
        assert trio.current_time() - started >= 30


async def test_a_wrong_key_is_ours_and_final(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"integration_code": "HUSHHUSHHUSH"}) as world:
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.problem, outcome.fault) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED, Whose.OURS)
        assert outcome.reason == "http=401, code 1056"


async def test_an_account_without_telephony_is_told_what_to_do(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.account.has_phone_solution = False
        outcome = await world.push(RUNG)
        assert (outcome.problem, outcome.reason) == (Problem.UNAUTHORIZED, "http=403, code 55008")
        assert outcome.advice.startswith("Connect the telephony solution")


async def test_a_refused_field_is_final_and_named(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        outcome = await world.push(attrs.evolve(RUNG, unique_id=""))
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.REJECTED)
        assert outcome.reason == "http=412, code 3000 (externalId)"


async def test_a_proxy_that_takes_gzip_away_is_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.ANSWER, status=415, body=b"", content_type="")
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.reason) == (OutcomeClass.PERMANENT, "http=415")
        assert "gzip" in outcome.advice


async def test_without_a_key_nothing_is_sent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"enabled": False, "integration_code": ""}) as world:
        assert (await world.push(RUNG)).problem is Problem.SETTINGS
        assert world.asked == []


async def test_a_mistake_inside_is_an_outcome_and_a_line_in_the_log(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: ErrorLog
) -> None:
    async with moysklad(nursery) as world:
        outcome = await world.push(attrs.evolve(RUNG, unique_id=None))  # pyright: ignore[reportArgumentType]
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.INTERNAL)
        expected_errors.claim("failed inside: TypeError")


# limits, secrets, the rest


async def test_a_burst_of_500_calls_never_passes_a_limit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.latency_seconds = 0.03

        async def one(number: int) -> None:
            names = {"unique_id": f"{number}.0", "call_id": number}
            assert (await world.push(attrs.evolve(RUNG, **names))).outcome is OutcomeClass.DELIVERED
            assert (await world.push(attrs.evolve(TALKED, **names))).outcome is OutcomeClass.DELIVERED

        async with trio.open_nursery() as calls:
            for number in range(500):
                calls.start_soon(one, number)
        assert (len(world.account.calls), len(world.fake.requests)) == (500, 1000)
        assert not world.fake.violations
        assert max(world.fake.peaks.values()) <= 1.0
        assert {call.comment for call in world.account.calls.values()} == {"Входящий звонок отвечен"}


async def test_a_burst_of_ends_that_need_two_requests_each_keeps_the_limits_too(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.latency_seconds = 0.03

        async def one(number: int) -> None:
            for _ in range(5):
                if (await world.push(attrs.evolve(TALKED, unique_id=f"{number}.0", call_id=number))).outcome.is_done:
                    return

        async with trio.open_nursery() as calls:
            for number in range(300):
                calls.start_soon(one, number)
        assert len(world.account.calls) == 300
        assert not world.fake.violations


async def test_no_key_is_in_what_is_kept_or_shown(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(FaultKind.ANSWER, status=500, body=f"\0 {KEY} {TOKEN}".encode(), content_type="text/plain")
        failed = await world.push(RUNG)
        assert failed.response["body"] == "\N{REPLACEMENT CHARACTER} *** ***"
        done = await world.push(RUNG)
        shown = f"{failed}{done}{world.crm!r}{vars(world.crm)}"
        assert (KEY in shown, TOKEN in shown) == (False, False)


async def test_the_log_has_the_last_exchange_and_those_before_in_short(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        outcome = await world.push(TALKED)
        base = "https://api.moysklad.ru/api/phone/1.0"
        assert (outcome.request["method"], outcome.request["url"]) == ("POST", f"{base}/call")
        assert outcome.request["body"]["externalId"] == "1759310248.0"
        assert outcome.request["before"] == [{"method": "PUT", "url": f"{base}/call/extid/1759310248.0", "status": 404}]
        assert outcome.response["status"] == 200


async def test_there_are_no_notices_outside_of_calls(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        assert await world.crm.notify_incoming("375290001234", ["151"]) is None
        assert world.asked == []


async def test_the_kinds_of_reports_are_all_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        for kind in ReportKind:
            assert (await world.push(attrs.evolve(RECORDED_TALK, kind=kind))).outcome.is_done
        assert len(world.account.calls) == 1
