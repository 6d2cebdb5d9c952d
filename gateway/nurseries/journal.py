"""Group commit of incoming events: what has gathered while the previous commit ran is written by the next one.

There is no timer: at low load an event is written at once and alone, under load the batches grow by themselves until the database is
busy with commits of many events. One commit runs at a time, so the ids rise in the order of arrival.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof
from typing import Final

import attrs
import trio

from gateway.calls.envelope import read_body, token_of
from gateway.errors import GatewayError, StoreRejected, StoreUnavailable
from gateway.metrics import Metrics
from gateway.ports import Appended, IncomingEvent, Store, StoredEvent

# Memory: an event waiting costs its text plus about 1 KiB (record, ticket, their fields). The intake accepts 64 KiB of UTF-8, which is at
# most 256 KiB as Python text (one character beyond the BMP makes all of them four bytes wide). So the queue holds at most
# MAX_WAITING_BYTES + 256 KiB of texts and MAX_WAITING_ITEMS KiB of records: 34 MiB, and one batch under way: 4 MiB + 256 KiB more (twice,
# while it is encoded for the wire). An event of a host is about 400 bytes: 2,000 of them are seconds of the whole world's calls.
MAX_WAITING_ITEMS: Final = 2_000
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
MAX_BATCH_ITEMS: Final = 500
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
# From a readable socket to `submit` a request takes about so many passes of the scheduler (Hypercorn's reader, its application task); and
# gathering ends after so many rounds of them even when every round brings more.
STEPS_OF_A_REQUEST: Final = 2
GATHER_PASSES: Final = 8
# A commit that takes longer is given up: every host waiting on it has hung up by then (they give up after 3 s), and a database that
# hangs must not hold the events that came later.
WRITE_SECONDS: Final = 5.0
# Writing down a refused event is a courtesy to the operator and must not hold up the next batch for long.
REJECT_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class JournalFull(GatewayError):
    """No room for another event, or the journal is closing. Nothing was taken; come again later."""


@attrs.define(eq=False)
class Ticket:
    """A place in the journal. The event is written whether or not anybody waits."""

    event: IncomingEvent = attrs.field(repr=False)
    size_bytes: int
    on_committed: Callable[[Appended], None] = attrs.field(repr=False)
    _settled: trio.Event = attrs.field(init=False, factory=trio.Event, repr=False)
    _result: Appended | GatewayError | None = attrs.field(init=False, default=None)

    async def wait(self) -> Appended:
        """What became of the event, once that is certain.

        Raises: `StoreUnavailable` (it may or may not have been written), `StoreRejected`. After cancellation the event is still written.
        """
        await self._settled.wait()
        if isinstance(self._result, Appended):
            return self._result
        if isinstance(self._result, StoreRejected):
            raise StoreRejected(str(self._result)) from self._result
        raise StoreUnavailable(str(self._result)) from self._result

    def settle(self, result: Appended | GatewayError) -> None:
        """Say what became of the event. Only the journal does; the first word counts."""
        if self._result is None:
            self._result = result
            self._settled.set()


class Journal:
    """Takes events without waiting and writes them in batches.

    `on_stored` is called after each commit with the new events of it (no duplicates), in order of their ids; `on_doubt` with the
    enterprises of a batch that may or may not have been written: what is there all the same must be looked for in the store. Neither may
    block. `run` must be running for anything to be written.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_stored: Callable[[Sequence[StoredEvent]], None],
        metrics: Metrics,
        on_doubt: Callable[[Iterable[str]], None] = lambda _: None,
        max_waiting_items: int = MAX_WAITING_ITEMS,
        max_batch_items: int = MAX_BATCH_ITEMS,
    ) -> None:
        self._store = store
        self._on_stored = on_stored
        self._on_doubt = on_doubt
        self._metrics = metrics
        self._max_waiting_items = max_waiting_items
        self._max_batch_items = max_batch_items
        self._waiting: deque[Ticket] = deque()
        self._waiting_bytes = 0
        self._closed = False
        self._wake = trio.Event()

    def __repr__(self) -> str:
        return f"<Journal {len(self._waiting)} waiting{' closed' if self._closed else ''}>"

    @property
    def waiting_items(self) -> int:
        """How many events wait for the next commits, without those of the commit under way."""
        return len(self._waiting)

    def submit(self, event: IncomingEvent, *, on_committed: Callable[[Appended], None] = lambda _: None) -> Ticket:
        """Take an event. From here on it is written even when the caller goes away.

        `on_committed` is called once its commit is certain, whether or not anybody still waits. It may neither block nor raise.

        Raises: `JournalFull`.
        """
        if self._closed:
            raise JournalFull("the gateway is stopping")
        if len(self._waiting) >= self._max_waiting_items or self._waiting_bytes >= MAX_WAITING_BYTES:
            raise JournalFull(f"{len(self._waiting)} events are waiting for the database")
        ticket = Ticket(event, getsizeof(event.raw_body), on_committed)
        self._waiting.append(ticket)
        self._waiting_bytes += ticket.size_bytes
        self._wake.set()
        return ticket

    def close(self) -> None:
        """Take nothing more. `run` ends when what was taken is settled."""
        self._closed = True
        self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until closed and empty.

        Cancelled, it gives everything still waiting `StoreUnavailable`: of the batch under way nobody knows.
        """
        task_status.started()
        batch: Sequence[Ticket] = ()
        try:
            while True:
                while not self._waiting:
                    if self._closed:
                        return
                    self._wake = trio.Event()
                    await self._wake.wait()
                await self._gather()
                batch = self._take_batch()
                await self._write(batch)
        finally:
            self._closed = True
            for ticket in (*batch, *self._waiting):
                ticket.settle(StoreUnavailable("the gateway stopped before the event was written for certain"))
            self._waiting.clear()
            self._waiting_bytes = 0

    async def _gather(self) -> None:
        """Let those who are about to submit do so: where the loop is busy, many requests stand between their bytes and `submit`.

        A checkpoint is one pass of the scheduler over all who can run, not a wait: in an idle loop two of them take some 50 µs.
        """
        gathered = 0
        for _ in range(GATHER_PASSES):
            if len(self._waiting) == gathered or len(self._waiting) >= self._max_batch_items:
                return
            gathered = len(self._waiting)
            for _ in range(STEPS_OF_A_REQUEST):
                await trio.lowlevel.checkpoint()

    def _take_batch(self) -> Sequence[Ticket]:
        batch: list[Ticket] = []
        batch_bytes = 0
        while self._waiting and len(batch) < self._max_batch_items and batch_bytes < MAX_BATCH_BYTES:
            ticket = self._waiting.popleft()
            batch.append(ticket)
            batch_bytes += ticket.size_bytes
        self._waiting_bytes -= batch_bytes
        return batch

    async def _write(self, batch: Sequence[Ticket]) -> None:
        try:
            await self._append(batch)
        except StoreUnavailable as exc:
            self._give_up(batch, exc)
        except StoreRejected as exc:
            if len(batch) == 1:
                await self._refuse(batch[0], exc)
            else:
                await self._write_one_by_one(batch)

    async def _write_one_by_one(self, batch: Sequence[Ticket]) -> None:
        """One of them is bad; the others must not suffer for it."""
        for index, ticket in enumerate(batch):
            try:
                await self._append((ticket,))
            except StoreRejected as exc:
                await self._refuse(ticket, exc)
            except StoreUnavailable as exc:
                self._give_up(batch[index:], exc)
                return

    async def _append(self, batch: Sequence[Ticket]) -> None:
        with trio.move_on_after(WRITE_SECONDS) as scope:
            appended = await self._store.append_events([ticket.event for ticket in batch])
            # No checkpoint from here on: what is committed is both told and passed on.
            for ticket, result in zip(batch, appended, strict=True):
                ticket.settle(result)
            self._metrics.batch_written(len(batch))
            fresh = [_stored(ticket.event, result) for ticket, result in zip(batch, appended, strict=True) if not result.duplicate]
            if fresh:
                self._on_stored(fresh)
            for ticket, result in zip(batch, appended, strict=True):
                ticket.on_committed(result)
        if scope.cancelled_caught:
            raise StoreUnavailable(f"the database did not commit within {WRITE_SECONDS:g} s")

    def _give_up(self, batch: Sequence[Ticket], reason: StoreUnavailable) -> None:
        _log.warning("%d events were not written: %s", len(batch), reason)
        for ticket in batch:
            ticket.settle(reason)
        self._on_doubt({ticket.event.enterprise_number for ticket in batch})

    async def _refuse(self, ticket: Ticket, reason: StoreRejected) -> None:
        event = ticket.event
        _log.warning("the database refused a %s of %s: %s", event.kind, event.enterprise_number, reason)
        ticket.settle(reason)
        with trio.move_on_after(REJECT_SECONDS):
            try:
                await self._store.reject_event(
                    kind=event.kind,
                    token=token_of(read_body(event.raw_body.encode())),
                    raw_body=event.raw_body,
                    reason=f"event_refused: {reason}",
                    received_at=event.received_at,
                )
            except (StoreUnavailable, StoreRejected) as exc:
                _log.warning("the refused event could not be kept either: %s", exc)


def _stored(event: IncomingEvent, appended: Appended) -> StoredEvent:
    return StoredEvent(
        event_id=appended.event_id,
        enterprise_number=event.enterprise_number,
        kind=event.kind,
        unique_id=event.unique_id,
        raw_body=event.raw_body,
        received_at=event.received_at,
        data_source=event.data_source,
    )
