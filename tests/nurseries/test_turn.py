"""The turn of new messages: one at a time, but nobody is held up for long."""

import trio
from trio.testing import MockClock

from gateway.nurseries.office import HOLD_SECONDS, WAIT_SECONDS, Turn


async def _take(turn: Turn, name: str, seconds: float, log: list[tuple[str, float]]) -> None:
    async with turn.taken():
        log.append((name, trio.current_time()))
        await trio.sleep(seconds)


async def _all(turn: Turn, *takers: tuple[str, float]) -> list[tuple[str, float]]:
    log: list[tuple[str, float]] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for name, seconds in takers:
            nursery.start_soon(_take, turn, name, seconds, log)
            await trio.testing.wait_all_tasks_blocked()
    return [(name, round(at - began, 3)) for name, at in log]


async def test_one_goes_after_another(autojump_clock: MockClock) -> None:
    assert await _all(Turn(), ("a", 0.4), ("b", 0.4), ("c", 0.4)) == [("a", 0.0), ("b", 0.4), ("c", 0.8)]


async def test_a_slow_one_loses_the_turn_and_the_others_still_go_one_by_one(autojump_clock: MockClock) -> None:
    assert await _all(Turn(), ("slow", 60), ("b", 0.4), ("c", 0.4)) == [("slow", 0.0), ("b", HOLD_SECONDS), ("c", HOLD_SECONDS + 0.4)]


async def test_whoever_has_waited_too_long_goes_ahead(autojump_clock: MockClock) -> None:
    takers = [(str(number), 0.9) for number in range(9)]
    log = await _all(Turn(), *takers)
    assert max(at for _, at in log) == WAIT_SECONDS
    assert len(log) == 9


async def test_who_is_cancelled_while_waiting_leaves_no_gap(autojump_clock: MockClock) -> None:
    turn, log = Turn(), list[tuple[str, float]]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_take, turn, "a", 0.5, log)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.2):
            await _take(turn, "gone", 1.0, log)
        await _take(turn, "c", 0.1, log)
    assert [(name, round(at - began, 3)) for name, at in log] == [("a", 0.0), ("c", 0.5)]
