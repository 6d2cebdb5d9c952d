"""U-ON's adapter against its fake, in virtual time: pop-ups, one record whatever fails, names, limits, no key anywhere."""

import json
import logging
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import ReportKind
from gateway.crm.base import CrmLookupFailed, Fault, Outcome, OutcomeClass, Problem
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_faults import FaultKind
from tester.fakes.crm_network import PUBLIC_ADDRESS
from tester.fakes.crm_wire import Request
from tests.crm.told import BEGAN, MISSED, PHONE, RUNG
from tests.crm.travel import DIALLED, HOST, JUNE, KEY, TALKED, after, open_travel, push, push_until_over

RECORD = {
    "phone": PHONE,
    "start": "2025-10-01 12:17:28",
    "duration": 72,
    "direction": 2,
    "manager_id": 6,
    "record_link": "https://gateway.example/recordings/file/1",
    "note": "Статус: отвеченный",
}
NOTICE, HISTORY, PAGE, USER = "notification/create", "call_history/create", r"call_history/\d", "user/phone"


# pop-ups


async def test_everybody_who_rings_and_is_mapped_is_shown_who_calls(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        travel.fake.account.add_client("+" + PHONE, surname="Иванов", name="Пётр")
        outcome = await push(travel.adapter(), RUNG)
        assert (outcome.outcome, outcome.memory) == (OutcomeClass.DELIVERED, {"notified": ["5", "6"]})
        assert sorted(travel.told) == [5, 6]
        (text,) = travel.fake.account.notices_of(5)
        assert text == (
            "📞 <b>Входящий звонок</b><br/>\n"
            '👤 <a href="https://id12345.u-on.ru/client_edit.php?client_id=1" target="_blank">Иванов Пётр</a><br/>\n'
            "📱 +375290001234<br/>\n"
            "🏢 Линия: 0001363"
        )
        assert travel.fake.account.unknown_fields == set()
        assert json.loads(json.dumps([outcome.request, outcome.response]))


async def test_a_caller_whom_nobody_knows_is_called_unknown_and_one_who_cannot_be_asked_for_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_travel(nursery) as travel:
        await push(travel.adapter(), RUNG)
        travel.fake.fail(FaultKind.HANG, path=USER)
        began = trio.current_time()
        assert (await push(travel.adapter(), RUNG)).outcome is OutcomeClass.DELIVERED
        assert trio.current_time() - began < 2
        travel.fake.fail(FaultKind.ANSWER, path=USER, status=500)
        await push(travel.adapter(), RUNG)
        assert [("Неизвестный" in text) for text in travel.fake.account.notices_of(5)] == [True, False, False]


async def test_an_outgoing_call_is_shown_to_who_calls_if_that_is_wanted(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        assert (await push(travel.adapter(), DIALLED)).outcome is OutcomeClass.NOTHING_TO_DO
        assert not travel.fake.requests
        await push(travel.adapter(notifications={"notify_outgoing": True}), DIALLED)
        assert travel.told == [5]


def is_for_6(request: Request) -> bool:
    return b"manager_id=6" in request.body


@pytest.mark.parametrize(
    ("kind", "how", "problem"),
    [
        (FaultKind.ANSWER, {"status": 502}, Problem.SERVER_ERROR),
        (FaultKind.REFUSE, {}, Problem.CONNECTION),
        (FaultKind.HANG, {}, Problem.TIMEOUT),
        (FaultKind.GARBAGE, {}, Problem.BAD_ANSWER),
    ],
)
async def test_a_retry_tells_only_those_who_were_not_told(
    nursery: trio.Nursery, autojump_clock: MockClock, kind: FaultKind, how: dict[str, Any], problem: Problem
) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        travel.fake.fail(kind, path=NOTICE, where=is_for_6, **how)
        first = await push(crm, RUNG)
        assert (first.outcome, first.problem, first.memory) == (OutcomeClass.RETRYABLE, problem, {"notified": ["5"]})
        assert first.reason.endswith("(managers not notified: 6)")
        second = await push(crm, RUNG, after(first, RUNG))
        assert (second.outcome, second.memory) == (OutcomeClass.DELIVERED, {"notified": ["5", "6"]})
        assert travel.told.count(5) == 1
        assert (await push(crm, RUNG, second.memory)).outcome is OutcomeClass.DUPLICATE


async def test_a_manager_who_is_gone_costs_the_others_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        del travel.fake.account.managers[6]
        outcome = await push(travel.adapter(), RUNG)
        assert (outcome.outcome, outcome.reason) == (OutcomeClass.DELIVERED, "U-ON does not know the managers 6 of user_extensions")
        alone = await push(travel.adapter(), attrs.evolve(RUNG, extensions=("152",)))
        assert (alone.outcome, alone.fault) == (OutcomeClass.PERMANENT, Fault.OURS)
        assert alone.advice.startswith("Correct user_extensions")


async def test_more_people_than_the_limit_lets_through_are_told_by_and_by(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        for number in range(100, 130):
            travel.fake.account.add_manager(number)
        crm = travel.adapter(user_extensions={str(number): str(number) for number in range(100, 130)})
        memory: dict[str, Any] = {}
        for _ in range(10):
            outcome = await push(crm, RUNG, memory)
            memory = dict(after(outcome, RUNG, memory))
            if outcome.outcome.is_done:
                break
            assert outcome.problem is Problem.RATE_LIMIT
            await trio.sleep(5)
        assert sorted(travel.told) == list(range(100, 130))
        assert not travel.fake.violations


async def test_a_notice_outside_of_a_call_goes_to_those_who_are_named(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        told = await crm.notify_incoming(PHONE, ["152"])
        assert told is not None
        assert (told.outcome, travel.told) == (OutcomeClass.DELIVERED, [6])
        assert "Линия" not in travel.fake.account.notices_of(6)[0]
        await crm.notify_incoming(PHONE, [])
        assert sorted(travel.told) == [5, 6, 6]
        for silent in (travel.adapter(notifications={"notify_incoming": False}), travel.adapter(user_extensions={})):
            nothing = await silent.notify_incoming(PHONE, ["152"])
            assert nothing is not None
            assert nothing.outcome is OutcomeClass.NOTHING_TO_DO


# the history


async def test_an_end_is_one_record(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        outcome = await push(travel.adapter(), TALKED)
        assert (outcome.outcome, outcome.memory, outcome.reason) == (OutcomeClass.DELIVERED, {}, "")
        assert travel.calls() == [RECORD]
        assert len(travel.fake.requests) == 1
        assert travel.fake.account.unknown_fields == set()
        assert outcome.request["url"] == "https://api.u-on.test/***/call_history/create.json"


async def test_a_missed_call_is_one_record_and_a_withheld_number_none(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        await push(travel.adapter(EnterpriseConfig(number="0367", token="t", timezone="Asia/Almaty")), MISSED)
        nothing = {"manager_id": 0, "record_link": "", "note": "Статус: неотвеченный", "duration": 20}
        assert travel.calls() == [{**RECORD, **nothing, "start": "2025-10-01 14:17:28"}]
        outcome = await push(travel.adapter(), attrs.evolve(MISSED, phone=""))
        assert (outcome.outcome, len(travel.calls())) == (OutcomeClass.NOTHING_TO_DO, 1)


async def test_a_recording_that_comes_later_has_no_place(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        outcome = await push(travel.adapter(), attrs.evolve(TALKED, kind=ReportKind.RECORDING))
        assert (outcome.outcome, len(travel.fake.requests)) == (OutcomeClass.NOTHING_TO_DO, 0)
        assert "recording" in outcome.reason


async def test_a_recovered_call_is_recorded_and_not_shown(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        assert (await push(travel.adapter(), attrs.evolve(RUNG, recovered=True))).outcome is OutcomeClass.NOTHING_TO_DO
        await push(travel.adapter(), attrs.evolve(TALKED, recovered=True))
        assert (travel.told, travel.calls()) == ([], [RECORD])


async def test_a_manager_whom_uon_does_not_know_costs_the_record_only_the_manager(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        del travel.fake.account.managers[6]
        outcome = await push(travel.adapter(), TALKED)
        assert (outcome.outcome, travel.calls()) == (OutcomeClass.DELIVERED, [{**RECORD, "manager_id": 0}])
        assert "U-ON does not know 6" in outcome.reason


FAULTS: list[tuple[FaultKind, dict[str, Any], bool]] = [
    (FaultKind.HANG, {}, True),
    (FaultKind.CLOSE, {}, True),
    (FaultKind.RESET, {}, True),
    (FaultKind.DELAY, {"seconds": 3.0}, True),
    (FaultKind.HALF_ANSWER, {}, True),
    (FaultKind.GARBAGE, {}, True),
    (FaultKind.ANSWER, {"status": 500}, True),
    (FaultKind.ANSWER, {"status": 504}, True),
    (FaultKind.ANSWER, {"status": 503}, True),
    (FaultKind.ANSWER, {"status": 429}, False),
]


@pytest.mark.parametrize(("newest_first", "accepted"), [(True, False), (True, True), (False, False), (False, True)])
@pytest.mark.parametrize(("kind", "how", "is_ambiguous"), FAULTS)
async def test_whatever_becomes_of_the_first_try_there_is_one_record(  # noqa: PLR0917  (a table)
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    kind: FaultKind,
    how: dict[str, Any],
    is_ambiguous: bool,
    newest_first: bool,
    accepted: bool,
) -> None:
    async with open_travel(nursery) as travel:
        travel.fake.account.history_newest_first = newest_first
        crm = travel.adapter()
        for minute in range(3):
            await push(crm, attrs.evolve(TALKED, started_at=BEGAN.replace(minute=minute)))
        travel.fake.fail(kind, path=HISTORY, accepted=accepted and is_ambiguous, **how)
        outcomes = await push_until_over(crm, TALKED)
        assert travel.calls()[3:] == [RECORD]
        assert [each.is_ambiguous for each in outcomes] == [is_ambiguous, False]
        assert outcomes[0].outcome is OutcomeClass.RETRYABLE
        assert bool(travel.fake.received(PAGE)) is is_ambiguous
        assert not travel.fake.violations


async def test_where_nobody_answers_nothing_was_sent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        travel.network.answer(HOST, ["9.9.9.9"], [PUBLIC_ADDRESS])
        outcomes = await push_until_over(travel.adapter(), TALKED)
        assert [(each.problem, each.is_ambiguous) for each in outcomes] == [(Problem.CONNECTION, False), (None, False)]
        assert (travel.calls(), len(travel.fake.requests)) == ([RECORD], 1)


async def test_a_try_that_the_caller_cuts_off_leaves_a_doubt_that_is_looked_into(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        travel.fake.fail(FaultKind.HANG, path=HISTORY, accepted=True)
        await crm.admission(TALKED)
        async with trio.open_nursery() as inner:
            inner.start_soon(push_alone, crm)
            await trio.sleep(1)
            inner.cancel_scope.cancel()
        outcome = await push(crm, TALKED, {"maybe_done_hangup": True})
        assert (outcome.outcome, outcome.response) == (OutcomeClass.DUPLICATE, {"found_id": "1"})
        assert travel.calls() == [RECORD]


async def test_a_call_whose_length_was_corrected_after_a_kill_is_still_one_record(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        await push(crm, TALKED)
        # The gateway was killed before it could keep what was sent: only the mark of the outbox is left.
        outcome = await push(crm, attrs.evolve(TALKED, duration_seconds=73), {"maybe_done_hangup": True})
        assert (outcome.outcome, travel.calls()) == (OutcomeClass.DUPLICATE, [RECORD])


async def push_alone(crm: Any) -> None:
    await crm.push(TALKED, push_id="msg_1", memory={})


async def test_the_doubt_of_a_dial_is_not_that_of_the_end(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        await push(travel.adapter(), TALKED, {"maybe_done_dial": True})
        assert not travel.fake.received(PAGE)


async def test_a_call_that_was_corrected_meanwhile_is_found_as_it_was_sent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        travel.fake.fail(FaultKind.HANG, path=HISTORY, accepted=True)
        first = await push(crm, TALKED)
        corrected = attrs.evolve(TALKED, duration_seconds=75)
        assert (await push(crm, corrected, after(first, TALKED))).outcome is OutcomeClass.DUPLICATE
        assert len(travel.calls()) == 1


async def test_as_long_as_the_history_cannot_be_read_nothing_is_created(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        travel.fake.fail(FaultKind.CLOSE, path=HISTORY, accepted=True)
        travel.fake.fail(FaultKind.ANSWER, path=PAGE, status=502)
        outcomes = await push_until_over(crm, TALKED)
        assert [each.outcome for each in outcomes] == [OutcomeClass.RETRYABLE, OutcomeClass.RETRYABLE, OutcomeClass.DUPLICATE]
        assert travel.calls() == [RECORD]
        travel.fake.account.allows_get = False
        refused = await push(crm, MISSED, {"maybe_done_hangup": True})
        assert (refused.outcome, refused.problem) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED)
        assert "GET" in refused.advice
        assert len(travel.calls()) == 1


async def test_a_long_history_is_left_to_people(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        fake = travel.fake
        fake.fail(FaultKind.CLOSE, path=HISTORY, accepted=True)
        first = await push(travel.adapter(), TALKED)
        (ours,) = fake.account.calls
        later = attrs.evolve(ours, start="2025-10-01 15:00:00")
        fake.account.calls.extend(attrs.evolve(later, call_id=number) for number in range(2, 1000))
        outcome = await push(travel.adapter(), TALKED, after(first, TALKED))
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.REJECTED)
        assert outcome.advice.startswith("Look for the call in U-ON's history")
        assert len(travel.calls()) == 999


@pytest.mark.parametrize("report", [RUNG, TALKED])
async def test_a_wrong_key_is_told_as_such_and_not_tried_again(nursery: trio.Nursery, autojump_clock: MockClock, report: Any) -> None:
    async with open_travel(nursery) as travel:
        outcome = await push(travel.adapter(api_key="AnotherKeyHUSH"), report)
        assert (outcome.outcome, outcome.problem, outcome.fault) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED, Fault.OURS)
        assert "HUSH" not in repr(outcome)


# names


async def test_who_calls_is_looked_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        crm = travel.adapter()
        travel.fake.account.add_client("+" + PHONE, surname="Иванов", company="ООО Рога", manager_id=6)
        profile = await crm.look_up(PHONE)
        assert profile is not None
        assert (profile.name, profile.extension, profile.is_company) == ("ООО Рога", "152", True)
        assert await crm.look_up("375290009999") is None
        assert await crm.look_up("") is None
        travel.fake.fail(FaultKind.ANSWER, status=500)
        with pytest.raises(CrmLookupFailed, match="http=500") as raised:
            await crm.look_up(PHONE)
        assert raised.value.problem is Problem.SERVER_ERROR


async def test_an_address_that_is_not_uon_knows_nobody_and_says_so(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        body = f'{{"error": {{"code": 404, "message": "No route found for GET /{KEY}/x.json"}}}}'.encode()
        travel.fake.fail(FaultKind.ANSWER, status=404, body=body, content_type="application/json")
        with pytest.raises(CrmLookupFailed, match=r"No route found for GET /\*\*\*/x.json") as raised:
            await travel.adapter().look_up(PHONE)
        assert raised.value.problem is Problem.NOT_FOUND


async def test_an_examination_asks_one_question(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        findings = await travel.adapter().examine(language="en")
        assert [each.is_ok for each in findings] == [True, True]
        travel.fake.fail(FaultKind.HANG)
        (silent,) = await travel.adapter().examine(language="ru")
        assert silent.text == "U-ON не принимает запросы: no answer within 10 s"
        assert [each.request.method for each in travel.fake.requests] == ["GET", "GET"]


# limits and secrets


async def test_a_burst_of_500_calls_never_breaks_the_limit_although_names_are_asked_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_travel(nursery) as travel:
        travel.fake.latency_seconds = 0.05
        mays = [travel.adapter(), travel.adapter(attrs.evolve(JUNE, number="0368"))]
        outcomes: list[Outcome] = []

        async def call(number: int) -> None:
            report = attrs.evolve(TALKED, call_id=number, unique_id=f"{number}.0", phone=f"37529{number:07}")
            outcomes.append(await push(mays[number % 2], report))

        async with trio.open_nursery() as burst:
            for number in range(500):
                burst.start_soon(call, number)
            for _ in range(20):
                burst.start_soon(mays[0].look_up, PHONE)
        assert len({each["phone"] for each in travel.calls()}) == len(travel.calls()) == 500
        assert all(each.outcome is OutcomeClass.DELIVERED for each in outcomes)
        assert not travel.fake.violations
        assert travel.fake.peaks["requests per second"] <= 0.6 + 1e-6


async def test_too_many_requests_of_others_hold_up_ours_and_lose_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_travel(nursery) as travel:
        travel.fake.fail(FaultKind.ANSWER, status=429, path=HISTORY)
        outcomes = await push_until_over(travel.adapter(), TALKED)
        assert [each.problem for each in outcomes] == [Problem.RATE_LIMIT, None]
        assert travel.calls() == [RECORD]


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_the_key_is_in_nothing_that_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock, kind: FaultKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_travel(nursery) as travel:
        body = f'{{"error": {{"code": 404, "message": "No route found for GET /{KEY}/x.json {KEY}"}}}}'.encode()
        travel.fake.fail(kind, times=None, seconds=0.1, status=404, body=body, content_type="application/json")
        crm, kept = travel.adapter(), list[object]()
        for report in (RUNG, TALKED):
            outcome = await push(crm, report)
            kept += [outcome, outcome.request, outcome.response, await push(crm, report, after(outcome, report))]
        kept += [await crm.notify_incoming(PHONE, []) if kind is not FaultKind.HANG else None, await crm.examine(language="ru"), crm]
        with trio.move_on_after(5):
            try:
                await crm.look_up(PHONE)
            except CrmLookupFailed as exc:
                kept += [exc, str(exc), exc.__context__, exc.__cause__]
        assert "HUSH" not in repr(kept) + caplog.text
