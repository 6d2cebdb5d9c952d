"""Commands sent without waiting for the answers of those before: the queue of what is still to be answered, and the block around it."""

from collections import deque
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs
from psycopg.generators import fetch_many, pipeline_communicate, send
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from sql.errors import SUCCESS
from sql.statement import Statement

if TYPE_CHECKING:
    from sql.driver import Connection


@attrs.define(eq=False)
class Queued:
    """A command whose answer is not in yet. `prepares`: the statement has its name only if this command succeeds."""

    prepares: Statement | None = None
    result: PGresult | None = None


class CommandQueue:
    """The commands of one connection that have been sent, in order, and the first failure since the last sync."""

    # Answers are taken in after so many commands, so that neither side's buffers grow with the length of a batch.
    STRIDE_ITEMS = 256

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._pending: deque[Queued] = deque()
        self._failure: PGresult | None = None

    @property
    def unsettled(self) -> bool:
        """Whether a sync has something to take in or to report."""
        return bool(self._pending) or self._failure is not None

    def add(self, prepares: Statement | None = None) -> Queued:
        """Call it right after sending a command."""
        queued = Queued(prepares)
        self._pending.append(queued)
        return queued

    def communicate(self) -> Generator[Wait, Ready, None]:
        """Send and receive what can be sent and received, once a stride is full."""
        if len(self._pending) >= self.STRIDE_ITEMS:
            for results in (yield from pipeline_communicate(self._pgconn, deque())):
                self._take_in(results)

    def sync(self) -> Generator[Wait, Ready, PGresult | None]:
        """Send a sync, which ends an implicit transaction, and take in all answers. The result of the first command that failed."""
        self._pgconn.pipeline_sync()
        yield from send(self._pgconn)
        while self._pending:
            self._take_in((yield from fetch_many(self._pgconn)))
        yield from fetch_many(self._pgconn)  # the answer to the sync itself
        failure, self._failure = self._failure, None
        return failure

    def _take_in(self, results: list[PGresult]) -> None:
        queued = self._pending.popleft()
        result = queued.result = results[-1]
        if result.status in SUCCESS:
            return
        if queued.prepares:
            queued.prepares.name = b""
        if self._failure is None and result.status != ExecStatus.PIPELINE_ABORTED:
            self._failure = result


class Pipeline:
    """The block. Nests: the outermost one counts.

    Outside `transaction()` everything up to the next fetch, or to the end, is one implicit transaction: one round trip, all or nothing.
    An exception or a cancellation that leaves the block rolls it back.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def __aenter__(self) -> Self:
        await self._connection.enter_pipeline()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        await self._connection.leave_pipeline(abort=exc is not None)  # noqa: ASYNC102  (may be cancelled; what it leaves is undone)
