"""One session with the server and its protocol generators: one at a time, cancelled without harm, closed once.

The queries are in `driver`; here is what they have in common. A generator that a cancelled task leaves in the middle is carried on to its
end after the server was asked to cancel, because only its end puts the protocol between two statements again.
"""

import select
from collections.abc import Generator
from typing import TypeVar

import psycopg
import trio
from psycopg.generators import execute
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from sql.errors import ConnectionLost, QueryRejected, ServerBusy, lost
from sql.wire import READY_READ, WAIT_READ, cancel_query, drive, ready

T = TypeVar("T")

# How long a cancelled query may take to end. It delays the end of a scope, so it stays below the 3 s that a shutdown has to spare.
ABANDON_SECONDS = 2.0


class Session:
    """The connection below its queries. Several tasks may use it: they take turns in the order of asking."""

    def __init__(self, pgconn: PGconn) -> None:
        self.pgconn = pgconn
        self.abandoned = False  # a generator that is carried on only to be ended starts nothing new
        self._fd = pgconn.socket
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        # A lock that costs nothing when free: trio.Lock always gives way to other tasks, which a query does anyhow.
        self._busy = False
        self._turns = trio.lowlevel.ParkingLot()
        self._waiting_items = 0

    @property
    def closed(self) -> bool:
        """Closed by us or broken: good for nothing any more."""
        return self.pgconn.status == ConnStatus.BAD

    @property
    def in_transaction(self) -> bool:
        """A transaction is open or a statement is under way."""
        return self.pgconn.transaction_status != TransactionStatus.IDLE

    @property
    def failed(self) -> bool:
        """The open transaction can only be rolled back."""
        return self.pgconn.transaction_status == TransactionStatus.INERROR

    def has_input(self) -> bool:
        """Whether the server has said something, or hung up. Nobody asked it anything on an idle session: then it is a farewell."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """End the session at once; does not wait. A task that is using it gets StoreUnavailable. Idempotent."""
        if self.pgconn.status != ConnStatus.BAD:  # otherwise libpq has closed the socket, and its number may be somebody else's by now
            trio.lowlevel.notify_closing(self._fd)
        self.pgconn.finish()

    async def take_turn(self) -> None:
        """Wait until no other task uses the session. Always followed by `end_turn`. Cancelled before any use: raises at once."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._busy:
            await self._wait_for_turn()
        self._busy = True

    async def _wait_for_turn(self) -> None:
        self._waiting_items += 1
        try:
            await self._turns.park()  # whoever ends its turn leaves `_busy` set for us
        finally:
            self._waiting_items -= 1

    def end_turn(self) -> None:
        """Let the next task go on."""
        if not self._waiting_items or not self._turns.unpark():
            self._busy = False

    async def run(self, generator: Generator[Wait, Ready, T]) -> T:
        """Carry out a generator that speaks the protocol, in its turn."""
        await self.take_turn()
        try:
            return await self.drive(generator)
        finally:
            self.end_turn()

    async def drive(self, generator: Generator[Wait, Ready, T]) -> T:
        """As `run`, for whoever has the turn. A broken connection is closed and reported as ConnectionLost."""
        fd = self._fd
        wanted = WAIT_READ
        try:
            wanted = next(generator)
            while True:
                if wanted == WAIT_READ:
                    await trio.lowlevel.wait_readable(fd)
                    wanted = generator.send(READY_READ)
                else:
                    wanted = generator.send(await ready(fd, wanted))
        except StopIteration as stop:
            return stop.value
        except (psycopg.Error, OSError, trio.ClosedResourceError) as exc:
            raise self.break_off(exc) from None
        except (trio.Cancelled, KeyboardInterrupt):
            await self._abandon(generator, wanted)  # noqa: ASYNC102  (shields itself, with a deadline)
            raise

    async def answer(self) -> PGresult:
        """The result of one prepared query just sent, for whoever has the turn: `drive(execute(…))[-1]` without its detours."""
        pgconn = self.pgconn
        result: PGresult | None = None
        try:
            if not pgconn.flush():
                await trio.lowlevel.wait_readable(self._fd)
                pgconn.consume_input()
                # libpq: PQgetResult blocks where PQisBusy; the end of the answer is None.
                if not pgconn.is_busy():
                    result = pgconn.get_result()
                    if result is not None and not pgconn.is_busy() and pgconn.get_result() is None:
                        return result
        except (psycopg.Error, OSError, trio.ClosedResourceError) as exc:
            raise self.break_off(exc) from None
        except (trio.Cancelled, KeyboardInterrupt):
            await self._abandon(execute(pgconn), None)  # noqa: ASYNC102  (shields itself, with a deadline)
            raise
        rest = await self.drive(execute(pgconn))
        return rest[-1] if rest or result is None else result

    def break_off(self, exc: Exception) -> ConnectionLost:
        """Close after a failure of the connection, and the error to raise."""
        self.close()
        return lost("closed on this side" if isinstance(exc, trio.ClosedResourceError) else exc)

    async def _abandon(self, generator: Generator[Wait, Ready, object], wanted: Wait | None) -> None:
        """End what a cancelled task has left under way. Afterwards the session is between statements, or closed."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        self.abandoned = True
        ended = False
        with trio.move_on_after(ABANDON_SECONDS, shield=True):
            ended = await self._end(generator, wanted)
        self.abandoned = False
        if not ended:
            self.close()

    async def _end(self, generator: Generator[Wait, Ready, object], wanted: Wait | None) -> bool:
        try:
            await cancel_query(self.pgconn)
            await drive(generator, self._fd, wanted)
        except (QueryRejected, ServerBusy):
            return True  # raised by a pipeline, and only when all its answers are in
        except (psycopg.Error, OSError, trio.ClosedResourceError, ConnectionLost):
            return False
        return True
