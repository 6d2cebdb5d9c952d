"""The service: its start, its end, and what takes it down."""

import signal
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from gateway.nurseries.doors import Door, Doors
from gateway.nurseries.service import LAST_WORDS_SECONDS, Running, run_until_signalled
from gateway.ports import Step, StoredEvent
from tester.fakes.telegram import FaultKind
from tester.memory import MemoryStore
from tester.virtual import JUNE, House

RINGING = "📞 Дозвон от +375 (29) 000-12-34 → Петрова А. И. (151)"
ANSWERED = "✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"


async def test_a_stop_finishes_what_is_running(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    house.telegram.too_many(5)
    await house.ring()
    await house.hang_up()
    began = trio.current_time()
    await process.stop()
    assert house.texts() == [ANSWERED]
    assert 5 <= trio.current_time() - began < 7
    left = process.service.left
    assert left is not None
    assert (left.left_events, left.left_cards, left.finished_cards) == (0, 0, 1)


async def test_a_stop_with_nothing_to_do_takes_no_time(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    await house.ring()
    await trio.sleep(3)
    began = trio.current_time()
    await process.stop()
    assert trio.current_time() - began < 0.1


async def test_the_drain_ends_at_its_deadline_and_leaves_the_rest_in_the_database(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    process = await house.start()
    house.telegram.too_many(60)
    await house.ring()
    await house.hang_up()
    began = trio.current_time()
    await process.stop()
    assert trio.current_time() - began == pytest.approx(house.drain_seconds, abs=0.1)
    assert house.texts() == []
    assert "left in the database: 0 events, 1 cards, 1 calls open" in caplog.text
    house.telegram.heal()
    await house.start()
    await trio.sleep(5)
    assert house.texts() == [ANSWERED]


class Stuck(MemoryStore):
    """Takes events, but from `is_stuck` on no lane gets an answer."""

    is_stuck = False

    async def commit_step(self, step: Step) -> None:
        if self.is_stuck:
            await trio.sleep_forever()
        await super().commit_step(step)

    async def unprocessed_events(self, enterprise_number: str, *, after_event_id: int, limit: int) -> Sequence[StoredEvent]:
        if self.is_stuck:
            await trio.sleep_forever()
        return await super().unprocessed_events(enterprise_number, after_event_id=after_event_id, limit=limit)


@pytest.mark.parametrize("later_events", [0, 3])
async def test_events_that_were_taken_but_not_committed_are_counted_as_left(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, later_events: int
) -> None:
    caplog.set_level("INFO", "gateway")
    house.store = store = Stuck(now=house.clock)
    await house.configure(JUNE)
    process = await house.start()
    # A piece that belongs to no call yet: applied, but read again by the next start.
    await house.post("bridge_leave", "7.7", BridgeUniqueid="b-7", BridgeNumChannels="1")
    await trio.sleep(0.1)
    store.is_stuck = True
    await house.ring()
    await trio.sleep(0.1)
    for number in range(later_events):
        await house.post("start", f"2.{number}")
    await process.stop()
    store.is_stuck = False
    left = await store.unprocessed_events("0367", after_event_id=0, limit=100)
    assert len(left) >= 2 + later_events
    assert f"left in the database: {len(left)} events," in caplog.text


async def test_events_that_only_the_store_knows_are_left_in_a_number_nobody_knows(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    house.store = store = Stuck(now=house.clock)
    await house.configure(JUNE)
    process = await house.start()
    await house.ring()
    await trio.sleep(0.1)
    store.is_stuck = True
    process.running.lanes.look_everywhere()
    await trio.sleep(0.1)
    await process.stop()
    assert "left in the database: at least 0 events," in caplog.text


async def test_a_request_under_way_at_the_deadline_is_recorded_and_not_doubled(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    house.telegram.fail(FaultKind.DELAY, seconds=house.drain_seconds + 1.5)
    await house.ring()
    await trio.sleep(0.1)
    await process.stop()
    assert house.texts() == [RINGING]
    await house.start()
    await trio.sleep(5)
    assert len(house.messages()) == 1


async def test_a_hanging_request_is_cut_after_the_last_words(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    house.telegram.fail(FaultKind.HANG, times=None)
    await house.ring()
    await trio.sleep(0.1)
    began = trio.current_time()
    await process.stop()
    assert trio.current_time() - began <= house.drain_seconds + LAST_WORDS_SECONDS + 0.1


async def test_a_stop_while_the_store_is_away_ends_all_the_same(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    await house.ring()
    house.store.unavailable = True
    began = trio.current_time()
    await process.stop()
    assert trio.current_time() - began <= house.drain_seconds + LAST_WORDS_SECONDS + 0.1
    house.store.unavailable = False
    await house.start()
    await trio.sleep(5)
    # A message whose sending could not be recorded any more is doubled by the next start; what is wanted is shown in any case.
    assert RINGING in house.texts()
    assert len(house.texts()) <= 2


async def test_the_first_signal_stops_in_order(house: House, autojump_clock: MockClock) -> None:
    ready: list[Mapping[str, Sequence[str]]] = []
    codes: list[int] = []

    async def run(service_nursery: trio.Nursery) -> None:
        codes.append(await run_until_signalled(house.service(), on_ready=ready.append))
        service_nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, nursery)
        await trio.sleep(1)
        assert ready == [{}]
        house.telegram.too_many(3)
        await house.ring()
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()
    assert codes == [0]
    assert house.texts() == [RINGING]


async def test_the_second_signal_stops_at_once(house: House, autojump_clock: MockClock) -> None:
    codes: list[int] = []

    async def run(service_nursery: trio.Nursery) -> None:
        codes.append(await run_until_signalled(house.service(), on_ready=lambda _: None))
        service_nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, nursery)
        await trio.sleep(1)
        house.telegram.too_many(60)
        await house.ring()
        signal.raise_signal(signal.SIGINT)
        await trio.sleep(1)
        began = trio.current_time()
        signal.raise_signal(signal.SIGTERM)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() - began < 1
    assert codes == [128 + signal.SIGTERM]


async def test_a_signal_before_the_service_is_ready_ends_it(house: House, autojump_clock: MockClock) -> None:
    house.store.unavailable = True
    codes: list[int] = []

    async def run() -> None:
        codes.append(await run_until_signalled(house.service(), on_ready=lambda _: None))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(1)
        signal.raise_signal(signal.SIGTERM)
    assert codes == [0]


async def test_a_worker_that_breaks_takes_the_process_down_with_its_reason(house: House, autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def broken() -> AsyncGenerator[AsyncIterable[str]]:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("the reason")
        yield  # type: ignore[unreachable]  # makes it a generator

    house.notices = broken
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await house.service().run()


def a_door(opened: list[str], name: str, running_of: Callable[[], Running]) -> Door:
    async def serve(*, shutdown_trigger: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[Sequence[str]]) -> None:
        opened.append(f"{name} after {' and '.join(running_of().addresses) or 'nothing'}")
        task_status.started([f"{name}:1"])
        await shutdown_trigger()

    return serve


async def test_what_posts_to_the_front_opens_before_it_and_learns_where_it_is(house: House, autojump_clock: MockClock) -> None:
    opened: list[str] = []

    def running() -> Running:
        assert house.running is not None
        return house.running

    house.doors = Doors(**{way: {way: a_door(opened, way, running)} for way in ("front", "inside", "beside")})
    process = await house.start()
    assert opened == ["inside after nothing", "beside after inside", "front after inside and beside"]
    assert running().addresses == {"inside": ["inside:1"], "beside": ["beside:1"], "front": ["front:1"]}
    await process.stop()


async def test_where_a_door_beside_the_front_cannot_open_no_host_is_answered(house: House, autojump_clock: MockClock) -> None:
    opened: list[str] = []

    async def taken(**_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("Address already in use")

    def running() -> Running:
        assert house.running is not None
        return house.running

    house.doors = Doors(front={"front": a_door(opened, "front", running)}, inside={}, beside={"beside": taken})
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        await house.service().run()
    assert opened == []


async def test_the_start_waits_for_missing_migrations(house: House, autojump_clock: MockClock) -> None:
    class Young(MemoryStore):
        grown_up_at = 7.0

        async def missing_migrations(self) -> Sequence[str]:
            await trio.lowlevel.checkpoint()
            return ("0001_the_log_and_the_cards",) if trio.current_time() < self.grown_up_at else ()

    house.store = Young(now=house.clock)
    await house.configure(JUNE)
    process = await house.start()
    assert 7 <= trio.current_time() < 9
    assert process.running.replayed
    assert process.running.listening


async def test_a_call_whose_hangup_never_comes_ends_after_the_grace(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring("1.1")
    bridge = {"BridgeUniqueid": "b-1", "Phone": "", "Trunk": ""}
    customer = {"Channel": "SIP/0001363-00000001", "CallerIDNum": "375290001234", "ConnectedLineNum": "151", "Exten": "0001363"}
    manager = {"Channel": "SIP/151-00000002", "CallerIDNum": "151", "ConnectedLineNum": "375290001234", "Exten": ""}
    await house.post("bridge", "1.1", **bridge, **customer)
    await house.post("bridge", "1.2", **bridge, **manager)
    await trio.sleep(30)
    assert house.texts() == ["🔗 Разговор: +375 (29) 000-12-34 ↔ Петрова А. И. (151)"]
    await house.post("bridge_leave", "1.1", **bridge, **customer, BridgeNumChannels="1")
    await house.post("bridge_leave", "1.2", **bridge, **manager, BridgeNumChannels="0")
    left_at = trio.current_time()
    await house.telegram.until(lambda: house.texts()[0].startswith("✅"))
    assert trio.current_time() - left_at == pytest.approx(house.timing.closing_grace_seconds, abs=0.1)
