"""Lanes: order, trouble with the store, events that nobody can understand, and more of them than memory should hold."""

from datetime import datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.cards.board import Board, Changes
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.nurseries import lane as lane_module
from gateway.nurseries.clock import TrioClock
from gateway.ports import Step, StoredEvent
from tester.memory import MemoryStore
from tester.virtual import JUNE, NOON, Claims, House

MISSED = "❌ Не отвечен: +375 (29) 000-12-34 → Петрова А. И. (151)"
ANSWERED = "✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"


class AllergicBoard(Board):
    """Cannot bear events that say so."""

    def apply(self, event: StoredEvent) -> Changes:
        if "poison" in event.raw_body:
            raise ZeroDivisionError("poison")
        return super().apply(event)

    def advance(self, now: datetime) -> Changes:
        if getattr(self, "stuck", False):
            raise ZeroDivisionError("time")
        return super().advance(now)


async def test_a_poisonous_event_is_recorded_and_passed_over(house: House, autojump_clock: MockClock, expected_errors: Claims) -> None:
    house.board = AllergicBoard
    await house.start()
    await house.ring()
    poison = await house.post("dial", "1.1", Extensions=["poison"])
    await house.hang_up()
    await trio.sleep(5)
    expected_errors.claim(f"event {poison} (dial)")
    assert house.texts() == [ANSWERED]
    assert house.store.is_processed(poison)
    assert house.store.error_of(poison) == "ZeroDivisionError: poison"


@pytest.mark.parametrize(
    "body", ["{}", '{"UniqueId": {"a": []}, "Extensions": 7}', '{"CallType": "\\u0000", "Phone": null}', '{"x": 1e999}']
)
async def test_any_json_at_all_leaves_the_lane_running(house: House, autojump_clock: MockClock, body: str) -> None:
    process = await house.start()
    for kind in ("start", "dial", "bridge", "hangup", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid"):
        event = attrs.evolve(house.event(kind, "9.9"), raw_body=body, unique_id="")
        await process.running.journal.submit(event).wait()
    await house.ring()
    await house.hang_up()
    await trio.sleep(60)
    assert ANSWERED in house.texts()


async def test_nothing_is_lost_while_the_store_is_away(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    # Both events are stored; how far the lane has come with them is the scheduler's choice.
    house.store.unavailable = True
    await trio.sleep(20)
    assert not all(house.store.is_processed(event_id) for event_id in house.store.event_ids)
    house.store.unavailable = False
    await trio.sleep(10)
    assert [text.partition(" от ")[0] for text in house.texts()] == ["📞 Дозвон"]
    assert all(house.store.is_processed(event_id) for event_id in house.store.event_ids)


async def test_an_event_whose_commit_was_not_confirmed_is_understood_all_the_same(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(2)
    house.store.answers_to_lose = 1
    with pytest.raises(StoreUnavailable):
        await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == [ANSWERED]


async def test_a_step_is_committed_once_the_store_is_back_and_in_order(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(0.001)
    house.store.latency_seconds = 0.5
    await house.hang_up()
    house.store.unavailable = True
    await trio.sleep(30)
    house.store.unavailable = False
    await trio.sleep(10)
    assert house.texts() == [ANSWERED]
    assert all(house.store.is_processed(event_id) for event_id in house.store.event_ids)


class ChoosyStore(MemoryStore):
    """Refuses records, or every outcome with a call."""

    refuses_records = False
    refuses_calls = False

    async def commit_step(self, step: Step) -> None:
        if step.records and self.refuses_records:
            raise StoreRejected("no records today")
        if any(outcome.call_id is not None for outcome in step.outcomes) and self.refuses_calls:
            raise StoreRejected("no calls today")
        await super().commit_step(step)


async def test_what_the_store_refuses_of_a_step_does_not_take_the_rest_along(
    house: House, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    house.store = store = ChoosyStore(now=house.clock)
    await house.configure(JUNE)
    await house.start()
    await house.ring()
    store.refuses_records = True
    event_id = await house.hang_up()
    await trio.sleep(5)
    expected_errors.claim("refused")
    assert store.is_processed(event_id)
    assert store.error_of(event_id) == ""
    assert house.texts() == [ANSWERED]


async def test_an_outcome_that_the_store_refuses_is_recorded_as_an_error(
    house: House, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    house.store = store = ChoosyStore(now=house.clock)
    await house.configure(JUNE)
    await house.start()
    store.refuses_calls = True
    await house.ring()
    await trio.sleep(5)
    expected_errors.claim("refused")
    assert [(store.is_processed(each), store.error_of(each)) for each in store.event_ids] == [(True, "no calls today")] * 2


async def test_more_events_than_fit_are_read_from_the_store_in_order(
    house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "QUEUE_EVENTS", 4)
    monkeypatch.setattr(lane_module, "BATCH_EVENTS", 5)
    process = await house.start()
    house.store.latency_seconds = 0.01
    for number in range(20):
        phone = f"37529000{number:04}"
        house.submit("start", f"{number}.1", Phone=phone)
        house.submit("dial", f"{number}.1", Phone=phone, Extensions=["151"])
        house.submit("hangup", f"{number}.1", Phone=phone, Extensions=["151"], CallStatus="0", DateReceived="2025-10-01 12:00:00")
    await trio.sleep(0.015)
    assert process.running.lanes.behind == ("0367",)
    assert process.running.lanes.queued_events <= 4
    await trio.sleep(60)
    assert len(house.texts()) == 20
    assert process.running.lanes.processed_events == 60
    assert process.running.lanes.behind == ()


async def test_an_enterprise_that_is_configured_no_more_takes_its_events_along(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    event = attrs.evolve(house.event("start", "1.1"), enterprise_number="9999")
    assert house.running is not None
    stored = await house.running.journal.submit(event).wait()
    await trio.sleep(5)
    assert house.store.is_processed(stored.event_id)


async def test_one_call_that_cannot_be_replayed_does_not_take_the_others_along(
    house: House, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    process = await house.start()
    await house.ring("1.1")
    await house.ring("2.1", Phone="375290009999", Poison="poison")
    await trio.sleep(3)
    await process.kill()

    class Sensitive(Board):
        def restore(self, events: object) -> Changes:
            if "poison" in str(events):
                raise ZeroDivisionError
            return super().restore(events)  # type: ignore[arg-type]

    house.board = Sensitive
    await house.start()
    expected_errors.claim("replay")
    await house.hang_up("1.1", status="0")
    await trio.sleep(5)
    assert MISSED in house.texts()


class TickingClock(TrioClock):
    """Time goes on between two looks at the clock, as it does: a millisecond with each."""

    looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return super().__call__() + timedelta(milliseconds=self.looks)


@pytest.mark.parametrize("phase_milliseconds", [0.0, 0.5, 1.0, 1.5, 2.0])
async def test_a_deadline_that_passes_between_two_looks_at_the_clock_ends_nothing(
    house: House, autojump_clock: MockClock, phase_milliseconds: float
) -> None:
    house.clock = TickingClock(NOON)
    process = await house.start()
    await house.ring()
    await house.post("bridge", "1.1", Channel="SIP/0001363-1", CallerIDNum="375290001234", BridgeUniqueid="b")
    await house.post("bridge", "1.2", Channel="SIP/151-1", CallerIDNum="151", BridgeUniqueid="b")
    await house.post("bridge_leave", "1.1", Channel="SIP/0001363-1", CallerIDNum="375290001234", BridgeUniqueid="b")
    almost = trio.current_time() + house.timing.closing_grace_seconds - 0.1
    # The lane looks at the time again and again around the moment when the call ends because nobody is left in it.
    for wake in range(80):
        await trio.sleep_until(almost + phase_milliseconds / 1000 + wake * 0.00025)
        process.running.lanes.look_everywhere()
    await trio.sleep(5)
    assert [text.partition(":")[0] for text in house.texts()] == ["✅ Завершен"]
