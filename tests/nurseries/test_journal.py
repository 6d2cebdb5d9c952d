"""Group commit, in virtual time, over a store that waits and fails as a test says."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.errors import StoreRejected, StoreUnavailable
from gateway.metrics import Metrics
from gateway.nurseries import journal as journal_module
from gateway.nurseries.journal import WRITE_SECONDS, Journal, JournalFull, Ticket
from gateway.ports import Appended, IncomingEvent, Store, StoredEvent

COMMIT_SECONDS = 0.01


@attrs.define(eq=False)
class SlowStore:
    """Every commit takes `COMMIT_SECONDS`. `script` runs before it is done."""

    script: Callable[[Sequence[IncomingEvent]], Awaitable[None]] | None = None
    batches: list[list[str]] = attrs.field(factory=list[list[str]])
    seen: dict[str, int] = attrs.field(factory=dict[str, int])
    rejected: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    async def append_events(self, batch: Sequence[IncomingEvent]) -> Sequence[Appended]:
        await trio.sleep(COMMIT_SECONDS)
        if self.script is not None:
            await self.script(batch)
        self.batches.append([event.unique_id for event in batch])
        return [self._append(event.unique_id) for event in batch]

    def _append(self, unique_id: str) -> Appended:
        if unique_id in self.seen:
            return Appended(event_id=self.seen[unique_id], duplicate=True)
        self.seen[unique_id] = len(self.seen) + 1
        return Appended(event_id=self.seen[unique_id])

    async def reject_event(self, **row: Any) -> None:
        self.rejected.append(row)


@attrs.define(eq=False)
class Bench:
    store: SlowStore = attrs.field(factory=SlowStore)
    stored: list[StoredEvent] = attrs.field(factory=list[StoredEvent])
    doubted: set[str] = attrs.field(factory=set[str])

    def journal(self, **limits: int) -> Journal:
        return Journal(cast(Store, self.store), on_stored=self.stored.extend, on_doubt=self.doubted.update, metrics=Metrics(), **limits)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def event(unique_id: object, *, raw_body: str = '{"Token":"375290000900"}') -> IncomingEvent:
    return IncomingEvent(
        enterprise_number="0367",
        kind="start",
        unique_id=str(unique_id),
        raw_body=raw_body,
        body_hash=b"",
        received_at=datetime(2026, 3, 2, tzinfo=UTC),
    )


async def outcome(ticket: Ticket) -> Appended | type[Exception]:
    try:
        return await ticket.wait()
    except (StoreUnavailable, StoreRejected) as exc:
        return type(exc)


async def test_a_lone_event_is_written_at_once(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal()
    await nursery.start(journal.run)
    began = trio.current_time()
    assert await journal.submit(event(1)).wait() == Appended(event_id=1)
    assert trio.current_time() - began == pytest.approx(COMMIT_SECONDS)
    assert [(stored.event_id, stored.unique_id, stored.raw_body) for stored in bench.stored] == [(1, "1", '{"Token":"375290000900"}')]


async def test_what_gathers_during_a_commit_is_one_batch(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal()
    await nursery.start(journal.run)
    first = journal.submit(event(0))
    await trio.sleep(COMMIT_SECONDS / 2)
    others = [journal.submit(event(number)) for number in range(1, 8)]
    assert [(await ticket.wait()).event_id for ticket in (first, *others)] == list(range(1, 9))
    assert [len(batch) for batch in bench.store.batches] == [1, 7]
    assert [stored.event_id for stored in bench.stored] == list(range(1, 9))


async def test_a_batch_has_a_largest_size(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal(max_batch_items=3)
    tickets = [journal.submit(event(number)) for number in range(8)]
    await nursery.start(journal.run)
    for ticket in tickets:
        await ticket.wait()
    assert [len(batch) for batch in bench.store.batches] == [3, 3, 2]


async def test_a_batch_has_a_largest_weight(
    autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_BATCH_BYTES", 150_000)
    journal = bench.journal()
    tickets = [journal.submit(event(number, raw_body="x" * 60_000)) for number in range(5)]
    await nursery.start(journal.run)
    for ticket in tickets:
        await ticket.wait()
    assert [len(batch) for batch in bench.store.batches] == [3, 2]


async def test_what_waits_is_bounded_by_number_and_by_weight(
    autojump_clock: MockClock, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = bench.journal(max_waiting_items=2)
    journal.submit(event(1))
    journal.submit(event(2))
    with pytest.raises(JournalFull):
        journal.submit(event(3))
    monkeypatch.setattr(journal_module, "MAX_WAITING_BYTES", 50_000)
    heavy = bench.journal()
    heavy.submit(event(1, raw_body="x" * 60_000))
    with pytest.raises(JournalFull):
        heavy.submit(event(2))


async def test_room_comes_back_when_a_batch_is_taken(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal(max_waiting_items=2)
    await nursery.start(journal.run)
    for number in range(10):
        await journal.submit(event(number)).wait()
    assert journal.waiting_items == 0


async def test_a_duplicate_is_told_and_not_passed_on(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal()
    await nursery.start(journal.run)
    await journal.submit(event(1)).wait()
    assert await journal.submit(event(1)).wait() == Appended(event_id=1, duplicate=True)
    assert len(bench.stored) == 1


async def test_without_the_database_all_of_the_batch_hear_it_at_once_and_the_next_batch_is_tried(
    bench: Bench, nursery: trio.Nursery
) -> None:
    away = True

    async def script(batch: Sequence[IncomingEvent]) -> None:
        if away:
            raise StoreUnavailable("the server is gone")

    bench.store.script = script
    journal = bench.journal()
    tickets = [journal.submit(event(number)) for number in range(3)]
    await nursery.start(journal.run)
    assert [await outcome(ticket) for ticket in tickets] == [StoreUnavailable] * 3
    away = False
    assert await outcome(journal.submit(event(9))) == Appended(event_id=1)
    assert [stored.unique_id for stored in bench.stored] == ["9"]


async def test_one_bad_event_fails_alone_and_is_kept(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    async def script(batch: Sequence[IncomingEvent]) -> None:
        if any(one.unique_id == "bad" for one in batch):
            raise StoreRejected("a value the database does not take")

    bench.store.script = script
    journal = bench.journal()
    tickets = [journal.submit(event(unique_id)) for unique_id in (1, "bad", 2, 3)]
    await nursery.start(journal.run)
    assert [await outcome(ticket) for ticket in tickets] == [
        Appended(event_id=1),
        StoreRejected,
        Appended(event_id=2),
        Appended(event_id=3),
    ]
    assert [stored.unique_id for stored in bench.stored] == ["1", "2", "3"]
    (row,) = bench.store.rejected
    assert (row["kind"], row["token"], row["raw_body"]) == ("start", "375290000900", '{"Token":"375290000900"}')


async def test_the_database_that_goes_away_between_single_writes_takes_the_rest_with_it(
    autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery
) -> None:
    async def script(batch: Sequence[IncomingEvent]) -> None:
        if len(batch) > 1:
            raise StoreRejected("one of them")
        if batch[0].unique_id == "2":
            raise StoreUnavailable("the server is gone")

    bench.store.script = script
    journal = bench.journal()
    tickets = [journal.submit(event(number)) for number in (1, 2, 3)]
    await nursery.start(journal.run)
    assert [await outcome(ticket) for ticket in tickets] == [Appended(event_id=1), StoreUnavailable, StoreUnavailable]


async def test_a_commit_that_hangs_is_given_up(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    async def script(batch: Sequence[IncomingEvent]) -> None:
        if batch[0].unique_id == "1":
            await trio.sleep_forever()

    bench.store.script = script
    journal = bench.journal()
    await nursery.start(journal.run)
    began = trio.current_time()
    assert await outcome(journal.submit(event(1))) is StoreUnavailable
    assert trio.current_time() - began == pytest.approx(WRITE_SECONDS)
    assert await outcome(journal.submit(event(2))) == Appended(event_id=1)


async def test_a_waiter_that_is_cancelled_does_not_un_store(autojump_clock: MockClock, bench: Bench, nursery: trio.Nursery) -> None:
    journal = bench.journal()
    await nursery.start(journal.run)
    with trio.move_on_after(COMMIT_SECONDS / 2):
        await journal.submit(event(1)).wait()
    await journal.submit(event(2)).wait()
    assert [stored.unique_id for stored in bench.stored] == ["1", "2"]


async def test_closing_writes_what_was_taken_and_takes_nothing_more(autojump_clock: MockClock, bench: Bench) -> None:
    journal = bench.journal(max_batch_items=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        tickets = [journal.submit(event(number)) for number in range(5)]
        journal.close()
        with pytest.raises(JournalFull):
            journal.submit(event(9))
    # `run` has ended by itself.
    assert [await outcome(ticket) for ticket in tickets] == [Appended(event_id=number) for number in range(1, 6)]


async def test_closing_an_idle_journal_ends_it(autojump_clock: MockClock, bench: Bench) -> None:
    journal = bench.journal()
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await trio.testing.wait_all_tasks_blocked()
        journal.close()


async def test_a_cancelled_journal_leaves_nobody_waiting(autojump_clock: MockClock, bench: Bench) -> None:
    journal = bench.journal(max_batch_items=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        tickets = [journal.submit(event(number)) for number in range(3)]
        await trio.sleep(COMMIT_SECONDS * 1.5)
        nursery.cancel_scope.cancel()
    assert [await outcome(ticket) for ticket in tickets] == [Appended(event_id=1), StoreUnavailable, StoreUnavailable]
    with pytest.raises(JournalFull):
        journal.submit(event(9))


async def test_a_fault_of_whoever_is_told_ends_the_journal_after_the_answer(autojump_clock: MockClock, bench: Bench) -> None:
    def broken(events: Sequence[StoredEvent]) -> None:
        raise ZeroDivisionError

    journal = Journal(cast(Store, bench.store), on_stored=broken, metrics=Metrics())
    tickets: list[Ticket] = []
    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            tickets = [journal.submit(event(1))]
    assert await outcome(tickets[0]) == Appended(event_id=1)
