"""The clock of a script and the journal of a run, each alone, in virtual time."""

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tester.emulator.journal import Journal
from tester.emulator.pacer import LONGEST_PAUSE_SECONDS, LeftPaused, Pacer


async def passed(pacer: Pacer, *seconds: float) -> list[float]:
    """The instants at which these seconds of a script come."""
    began, at = trio.current_time(), list[float]()
    for second in seconds:
        await pacer.until(second)
        at.append(trio.current_time() - began)
    return at


@pytest.mark.parametrize(("speed", "wanted"), [(1.0, [0, 4, 4, 10]), (10.0, [0, 0.4, 0.4, 1]), (math.inf, [0, 0, 0, 0])])
async def test_the_clock_runs_at_its_speed(speed: float, wanted: list[float], autojump_clock: MockClock) -> None:
    assert await passed(Pacer(speed), 0, 4, 4, 10) == pytest.approx(wanted, abs=1e-3)


async def test_a_pause_in_the_middle_of_a_wait_takes_nothing_from_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    pacer, at = Pacer(10.0), list[float]()

    async def wait() -> None:
        at.extend(await passed(pacer, 40))

    nursery.start_soon(wait)
    await trio.sleep(1)
    for _ in range(3):
        pacer.pause()
        assert pacer.now_seconds() == pytest.approx(pacer.now_seconds())
        await trio.sleep(100)
        pacer.resume()
        pacer.resume()
    await trio.sleep(50)
    assert at == pytest.approx([304])


async def test_steps_that_are_asked_for_before_anybody_waits_are_kept(autojump_clock: MockClock) -> None:
    pacer = Pacer(1.0, is_paused=True)
    pacer.step()
    pacer.step()
    assert await passed(pacer, 5, 9) == pytest.approx([0, 0])
    assert pacer.now_seconds() == 9
    with trio.move_on_after(500) as patience:
        await pacer.until(9)
    assert patience.cancelled_caught
    pacer.resume()
    assert await passed(pacer, 9, 10) == pytest.approx([0, 1])


async def test_a_fast_clock_can_be_paused_too(autojump_clock: MockClock) -> None:
    pacer = Pacer(math.inf)
    await pacer.until(50)
    pacer.pause()
    assert pacer.now_seconds() == 50
    with trio.move_on_after(500) as patience:
        await pacer.until(60)
    assert patience.cancelled_caught
    pacer.resume()
    assert await passed(pacer, 60) == [0]


async def test_a_pause_that_nobody_ends_ends_the_waiting_and_every_button_begins_it_anew(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    pacer, began = Pacer(1.0, is_paused=True), trio.current_time()

    async def press() -> None:
        for button in (pacer.pause, pacer.step, pacer.pause):
            await trio.sleep(LONGEST_PAUSE_SECONDS - 1)
            button()

    nursery.start_soon(press)
    await pacer.until(5)
    with pytest.raises(LeftPaused, match="15 min"):
        await pacer.until(9)
    assert trio.current_time() - began == pytest.approx(3 * (LONGEST_PAUSE_SECONDS - 1) + LONGEST_PAUSE_SECONDS)


async def test_a_long_wait_is_no_pause(autojump_clock: MockClock) -> None:
    assert await passed(Pacer(1.0), 2 * LONGEST_PAUSE_SECONDS) == [2 * LONGEST_PAUSE_SECONDS]


async def test_a_reader_that_was_cancelled_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    journal = Journal(most_items=10)
    journal.publish("a", {})
    reading = journal.events()
    assert (await anext(reading)).kind == "a"
    with trio.move_on_after(1):
        await anext(reading)
    journal.publish("b", {})
    assert (await anext(reading)).kind == "b"
    journal.close()
    with pytest.raises(StopAsyncIteration):
        await anext(reading)


async def test_readers_that_wait_hear_of_the_end(nursery: trio.Nursery) -> None:
    journal, ended = Journal(most_items=10), list[int]()

    async def read() -> None:
        ended.append(len([event async for event in journal.events()]))

    for _ in range(3):
        nursery.start_soon(read)
    await wait_all_tasks_blocked()
    journal.publish("a", {})
    journal.close()
    journal.publish("too late", {})
    await wait_all_tasks_blocked()
    assert ended == [1, 1, 1]


@pytest.mark.parametrize("after", [-5, 0, 7, 10**9])
async def test_whoever_asks_for_what_is_not_there_gets_what_is(after: int) -> None:
    journal = Journal(most_items=10)
    journal.publish("a", {})
    journal.close()
    assert len([event async for event in journal.events(after)]) == (1 if after <= 0 else 0)


async def test_a_full_journal_has_room_for_the_last_word() -> None:
    journal = Journal(most_items=3)
    for _ in range(9):
        journal.publish("state", {})
    journal.publish("state", {"state": "done"}, is_last_word=True)
    journal.close()
    events = [event async for event in journal.events()]
    assert (len(events), events[-1].data) == (4, {"state": "done"})
