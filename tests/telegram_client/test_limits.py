"""The gates in virtual time: no window is broken, finals go first, nobody holds up others, nothing is left behind."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from telegram_client.limits import BotLimits, Ticket

MARGIN = 0.1


@attrs.frozen
class Grant:
    at: float
    chat_id: int
    name: int
    urgent: bool


@attrs.define
class Ledger:
    """Who was granted what, and when, counted from the start of the run."""

    limits: BotLimits = attrs.field(factory=BotLimits)
    started_at: float = attrs.field(factory=trio.current_time)
    grants: list[Grant] = attrs.field(factory=list[Grant])

    async def ask(self, ticket: Ticket, name: int = 0) -> None:
        await ticket.wait()
        self.grants.append(Grant(trio.current_time() - self.started_at, ticket.chat_id, name, ticket.urgent))

    def times(self, chat_id: int | None = None) -> list[float]:
        return [round(grant.at, 6) for grant in self.grants if chat_id is None or grant.chat_id == chat_id]

    def names(self) -> list[int]:
        return [grant.name for grant in self.grants]


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def most_in_a_window(times: Sequence[float], seconds: float) -> int:
    """The largest number of times in any closed window of that length."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] < at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def breaks_the_chat_limit(times: Sequence[float]) -> bool:
    """More than 3 + t in any t seconds."""
    return any(
        last - first + 1 > 3 + (times[last] - times[first]) + 1e-6 for first in range(len(times)) for last in range(first, len(times))
    )


async def test_a_chat_gets_a_burst_of_three_and_then_one_a_second(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        for name in range(6):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=False), name)
            await trio.testing.wait_all_tasks_blocked()
    assert ledger.times() == [0, 0, 0, 1.1, 2.1, 3.1]
    assert ledger.names() == [0, 1, 2, 3, 4, 5]


async def test_a_bot_sends_thirty_a_second_over_all_chats(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        for chat_id in range(1, 2001):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(chat_id, urgent=False))
    by_time = Counter(ledger.times())
    assert set(by_time.values()) == {30, 2000 % 30}
    assert most_in_a_window(ledger.times(), 1.0) == 30
    assert max(by_time) == pytest.approx(66 * (1 + MARGIN))


async def test_a_group_gets_twenty_a_minute(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        for _ in range(45):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(-1001, urgent=False))
    times = ledger.times()
    assert most_in_a_window(times, 60.0) == 20
    assert not breaks_the_chat_limit(times)
    assert times[19] < 60 <= times[20]
    assert times[-1] == pytest.approx(2 * 60 + 2 * MARGIN + 1.1 + 1, abs=1.5)


async def test_a_final_passes_waiting_intermediates_of_its_chat(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        for name in range(6):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=False), name)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=True), 100)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=True), 101)
    assert ledger.names() == [0, 1, 2, 100, 101, 3, 4, 5]


async def test_a_final_passes_waiting_intermediates_of_other_chats(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger(BotLimits(per_bot_per_second=1))
    async with trio.open_nursery() as nursery:
        for name in range(6):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(name + 1, urgent=False), name)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ledger.ask, ledger.limits.ticket(50, urgent=True), 100)
    assert ledger.names() == [0, 100, 1, 2, 3, 4, 5]


async def test_a_waiting_ticket_that_hurries_passes_the_others(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger(BotLimits(chat_burst=1))
    tickets = [ledger.limits.ticket(1001, urgent=False) for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for name, ticket in enumerate(tickets):
            nursery.start_soon(ledger.ask, ticket, name)
            await trio.testing.wait_all_tasks_blocked()
        tickets[3].hurry()
        tickets[3].hurry()
        assert tickets[3].urgent
    assert ledger.names() == [0, 3, 1, 2]


async def test_a_paused_chat_holds_up_no_other(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    ledger.limits.pause_chat(1001, 30)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=True))
        for _ in range(3):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1002, urgent=False))
    assert ledger.times(1002) == [0, 0, 0]
    assert ledger.times(1001) == [30, 30, 30]


async def test_a_pause_that_begins_while_tickets_wait_counts_for_them(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger(BotLimits(chat_burst=1))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=False))
        await trio.sleep(0.5)
        ledger.limits.pause_chat(1001, 10)
        ledger.limits.pause_chat(1001, 2)  # a shorter one changes nothing
        await trio.sleep(1)
        ledger.limits.pause_bot(20)
        await trio.sleep(0.5)
        nursery.start_soon(ledger.ask, ledger.limits.ticket(1002, urgent=True))
    assert ledger.times() == [0, 21.5, 21.5]


async def test_a_429_pauses_its_chat_and_one_in_a_second_chat_pauses_the_bot(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    limits = ledger.limits
    limits.too_many(1001, 5)
    limits.too_many(1001, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.ask, limits.ticket(1001, urgent=False))
        nursery.start_soon(ledger.ask, limits.ticket(1002, urgent=False))
        await trio.sleep(2)
        limits.too_many(1002, 7)
        nursery.start_soon(ledger.ask, limits.ticket(1003, urgent=False))
    assert ledger.times(1002) == [0]
    assert ledger.times(1001) == ledger.times(1003) == [9]


async def test_a_429_long_after_another_chats_pause_pauses_only_its_chat(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger()
    ledger.limits.too_many(1001, 5)
    await trio.sleep(5)
    ledger.limits.too_many(1002, 5)
    await ledger.ask(ledger.limits.ticket(1003, urgent=False))
    assert ledger.times() == [5]


async def test_cancelled_waits_give_their_places_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger(BotLimits(chat_burst=1))

    async def give_up_after(seconds: float) -> None:
        with trio.move_on_after(seconds):
            await ledger.ask(ledger.limits.ticket(1001, urgent=True), 99)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=False), 0)
        await trio.testing.wait_all_tasks_blocked()
        for seconds in (0, 0.2, 0.4, 1.0):
            nursery.start_soon(give_up_after, seconds)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ledger.ask, ledger.limits.ticket(1001, urgent=False), 1)
    assert ledger.names() == [0, 1]
    assert ledger.times() == [0, 1.1]
    assert ledger.limits.waiting_items == 0


async def test_a_wait_in_a_cancelled_scope_uses_nothing() -> None:
    ledger = Ledger(BotLimits(chat_burst=1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await ledger.ask(ledger.limits.ticket(1001, urgent=True))
    assert ledger.grants == []
    assert ledger.limits.tracked_chats == 0
    with trio.testing.assert_checkpoints():
        await ledger.ask(ledger.limits.ticket(1001, urgent=True))


async def test_a_ticket_can_be_waited_for_again_but_not_twice_at_once(autojump_clock: trio.testing.MockClock) -> None:
    ledger = Ledger(BotLimits(chat_burst=1))
    ticket = ledger.limits.ticket(1001, urgent=False)
    await ledger.ask(ticket)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.ask, ticket)
        await trio.testing.wait_all_tasks_blocked()
        assert "waiting" in repr(ticket)
        with pytest.raises(RuntimeError):
            await ticket.wait()
    assert ledger.times() == [0, 1.1]


async def test_idle_chats_are_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    limits = BotLimits()
    for chat_id in range(1, 301):
        await limits.ticket(chat_id, urgent=False).wait()
    for chat_id in range(-5, 0):
        await limits.ticket(chat_id, urgent=False).wait()
    await trio.sleep(5)
    await limits.ticket(1, urgent=False).wait()
    assert limits.tracked_chats == 6  # the groups remember for a minute
    limits.pause_chat(7, 100)
    await trio.sleep(61)
    await limits.ticket(1, urgent=False).wait()
    assert limits.tracked_chats == 2
    await trio.sleep(61)
    await limits.ticket(1, urgent=False).wait()
    assert limits.tracked_chats == 1


async def test_tickets_given_up_during_a_long_pause_leave_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    limits = BotLimits()
    limits.pause_bot(3600)
    for number in range(2000):
        with trio.move_on_after(0.01):
            await limits.ticket(number % 3, urgent=number % 2 == 0).wait()
    gate = limits._gate  # pyright: ignore[reportPrivateUsage]
    assert limits.tracked_chats == 0
    assert len(gate._ready) + len(gate._opening) + len(gate._idle) < 200  # pyright: ignore[reportPrivateUsage]


async def test_each_grant_costs_at_most_two_wake_ups(autojump_clock: trio.testing.MockClock) -> None:
    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
            self.count += 1

    ledger = Ledger(BotLimits(per_chat_per_second=50, chat_burst=50))
    steps = Steps()
    async with trio.open_nursery() as nursery:
        for number in range(5000):
            nursery.start_soon(ledger.ask, ledger.limits.ticket(1 + number % 5, urgent=number % 7 == 0), number)
        await trio.testing.wait_all_tasks_blocked()
        waiting = ledger.limits.waiting_items
        assert waiting > 4900
        trio.lowlevel.add_instrument(steps)
    trio.lowlevel.remove_instrument(steps)
    assert len(ledger.grants) == 5000
    assert steps.count < 2 * waiting + 100


def test_the_gates_work_on_asyncio_too() -> None:
    async def main() -> list[int]:
        limits = BotLimits(chat_burst=2, per_chat_per_second=20, margin_seconds=0)
        granted: list[int] = []

        async def ask(name: int) -> None:
            await limits.ticket(1001, urgent=False).wait()
            granted.append(name)

        with anyio.move_on_after(30):
            async with anyio.create_task_group() as tasks:
                for name in range(3):
                    tasks.start_soon(ask, name)
                await anyio.wait_all_tasks_blocked()
                with anyio.move_on_after(0):
                    await limits.ticket(1001, urgent=True).wait()
        assert limits.waiting_items == 0
        return granted

    assert anyio.run(main, backend="asyncio") == [0, 1, 2]


wishes = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, -1, -2]),
        st.booleans(),
        st.floats(0, 20),
        st.none() | st.floats(0, 30),
        st.sampled_from(["wait", "wait", "wait", "hurry", "pause", "flood"]),
    ),
    min_size=1,
    max_size=80,
)


@given(wishes)
def test_no_order_of_wishes_cancellations_and_pauses_breaks_a_limit(script: list[tuple[int, bool, float, float | None, str]]) -> None:
    async def main() -> None:
        ledger = Ledger(BotLimits(per_bot_per_second=4))
        kept = 0

        async def wish(chat_id: int, urgent: bool, after: float, patience: float | None, action: str) -> None:
            nonlocal kept
            await trio.sleep(after)
            if action == "pause":
                ledger.limits.pause_chat(chat_id, after)
            if action == "flood":
                ledger.limits.too_many(chat_id, after)
            ticket = ledger.limits.ticket(chat_id, urgent=urgent)
            with trio.move_on_after(float("inf") if patience is None else patience):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ledger.ask, ticket)
                    if action == "hurry":
                        await trio.sleep(0.3)
                        ticket.hurry()
            kept += patience is None

        async with trio.open_nursery() as nursery:
            for line in script:
                nursery.start_soon(wish, *line)
        assert ledger.limits.waiting_items == 0
        assert len(ledger.grants) >= kept
        assert most_in_a_window(ledger.times(), 1.0) <= 4
        by_chat: dict[int, list[float]] = defaultdict(list)
        for grant in ledger.grants:
            by_chat[grant.chat_id].append(grant.at)
        for chat_id, times in by_chat.items():
            assert not breaks_the_chat_limit(times)
            if chat_id < 0:
                assert most_in_a_window(times, 60.0) <= 20
        await trio.sleep(10_000)
        await ledger.limits.ticket(77, urgent=False).wait()
        assert ledger.limits.tracked_chats == 1

    run(main)
