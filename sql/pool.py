"""A bounded set of connections, lent in the order of asking.

There are `max_size` slots. Whoever holds a slot takes an idle connection or opens one, in its own task and scope, so waiting, connecting
and querying all end with the caller's cancel scope. A slot that becomes free goes to whoever has waited longest.

A connection that has died while idle is noticed before it is lent: a server that goes away leaves its socket readable, and after
`IDLE_CHECK_SECONDS` an empty query is asked first, since a peer that vanished without a word leaves nothing. So the pool heals by itself
when the server is back; until then every use raises StoreUnavailable.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar

import attrs
import outcome
import trio

from gateway.errors import StoreUnavailable
from sql.driver import Connection, Row, connect
from sql.errors import ConnectionLost

T = TypeVar("T")

MAX_SIZE_DEFAULT = 10
# Within so short a time a connection that dies is no different from one that dies under the query; looking would cost a system call a loan.
FRESH_SECONDS = 0.005
# An idle connection older than this answers an empty query before it is lent, within IDLE_ANSWER_SECONDS.
IDLE_CHECK_SECONDS = 30.0
IDLE_ANSWER_SECONDS = 2.0


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """`size`: open connections, lent and idle. `waiting`: tasks without a slot. `max_size`: the bound of `size`."""

    size: int
    idle: int
    waiting: int
    max_size: int


@asynccontextmanager
async def open_pool(conninfo: str, *, max_size: int = MAX_SIZE_DEFAULT) -> AsyncGenerator["Pool"]:
    """A pool for the length of the block. Connects only when the first connection is asked for.

    At the end every connection is closed, those still lent as well: their users, and those who wait, get StoreUnavailable.
    """
    pool = Pool(conninfo, max_size=max_size)
    try:
        yield pool
    finally:
        pool.close()


class Pool:
    """Made by `open_pool`."""

    def __init__(self, conninfo: str, *, max_size: int) -> None:
        if max_size < 1:
            raise ValueError("max_size must be at least 1")
        self._conninfo = conninfo
        self._max_size = max_size
        self._free_slots_items = max_size
        self._idle: list[Connection] = []  # the last one back is the first one out
        self._open: set[Connection] = set()  # idle and lent
        self._waiting: OrderedDict[trio.lowlevel.Task, None] = OrderedDict()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.statistics()}>"

    def statistics(self) -> PoolStatistics:
        """The state at this moment."""
        return PoolStatistics(size=len(self._open), idle=len(self._idle), waiting=len(self._waiting), max_size=self._max_size)

    def acquire(self) -> "Lease":
        """`async with pool.acquire() as connection`. Waits for a slot: first come, first served.

        The connection goes back clean: what the block left open is rolled back; one that listens or is broken is closed instead. What a
        session keeps otherwise (SET, temporary tables, session locks) is not reset: use SET LOCAL and locks of the transaction.
        """
        return Lease(self)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """As `Connection.fetch`, on any connection."""
        return await self._once(Connection.fetch, sql, args)

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """As `Connection.fetchrow`, on any connection."""
        return await self._once(Connection.fetchrow, sql, args)

    async def fetchval(self, sql: str, *args: object) -> Any:
        """As `Connection.fetchval`, on any connection."""
        return await self._once(Connection.fetchval, sql, args)

    async def execute(self, sql: str, *args: object) -> str:
        """As `Connection.execute`, on any connection."""
        return await self._once(Connection.execute, sql, args)

    async def take(self) -> Connection:
        """A clean connection, to be given back whatever happens. `acquire` does that by itself."""
        if self._closed:
            raise ConnectionLost("the pool of database connections is closed")
        if self._free_slots_items and not self._waiting:
            self._free_slots_items -= 1
        else:
            await self._wait_for_slot()
        try:
            return self._fresh() or await self._idle_or_new()
        except BaseException:
            self._free_slot()
            raise

    async def give_back(self, connection: Connection) -> None:
        """Take a lent connection back. Waits, within a bound and whatever is cancelled, only if it has to be cleaned."""
        clean = connection.clean
        try:
            if not clean:
                clean = await connection.reset()
        finally:
            self._put_back(connection, clean=clean)

    async def _once(self, method: Callable[..., Coroutine[Any, Any, T]], sql: str, args: tuple[object, ...]) -> T:
        # `take` and `give_back` without their detours where nothing is out of the ordinary: this is the way of nearly every query.
        if self._free_slots_items and not self._waiting and (fresh := self._fresh()):
            self._free_slots_items -= 1
            connection = fresh
        else:
            connection = await self.take()
        try:
            return await method(connection, sql, *args)
        finally:
            if connection.clean and not self._waiting and not self._closed:
                connection.idle_since = monotonic()
                self._idle.append(connection)
                self._free_slots_items += 1
            else:
                await self.give_back(connection)  # noqa: ASYNC102  (shields itself, with a deadline)

    def _put_back(self, connection: Connection, *, clean: bool) -> None:
        if clean and not self._closed:
            connection.idle_since = monotonic()
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._free_slot()

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)

    def close(self) -> None:
        """Close all connections and refuse everything from now on. Idempotent."""
        self._closed = True
        self._idle.clear()
        for connection in tuple(self._open):
            self._drop(connection)
        while self._waiting:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task, outcome.Error(ConnectionLost("the pool of database connections is closed")))

    async def _wait_for_slot(self) -> None:
        task = trio.lowlevel.current_task()
        self._waiting[task] = None

        def leave(_: object) -> trio.lowlevel.Abort:
            del self._waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)

    def _free_slot(self) -> None:
        if self._waiting:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task)
        else:
            self._free_slots_items += 1

    def _fresh(self) -> Connection | None:
        """The connection that came back last, if it did so a moment ago and lives: the common case, without waiting."""
        if self._idle:
            connection = self._idle[-1]
            idle_seconds = monotonic() - connection.idle_since
            if idle_seconds < FRESH_SECONDS or (idle_seconds < IDLE_CHECK_SECONDS and not connection.has_input()):
                return self._idle.pop()
        return None

    async def _idle_or_new(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if await self._alive(connection):
                return connection
            self._drop(connection)
        connection = await connect(self._conninfo)
        if self._closed:
            connection.close()
            raise ConnectionLost("the pool of database connections is closed")
        self._open.add(connection)
        return connection

    async def _alive(self, connection: Connection) -> bool:
        if connection.closed or connection.has_input():
            return False
        if monotonic() - connection.idle_since < IDLE_CHECK_SECONDS:
            return True
        try:
            with trio.move_on_after(IDLE_ANSWER_SECONDS):
                await connection.execute("")
                return connection.clean
        except StoreUnavailable:
            pass
        except trio.Cancelled:
            self._drop(connection)
            raise
        return False


class Lease:
    """One connection for the length of an `async with` block."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        self._connection = connection = await self._pool.take()
        return connection

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.give_back(connection)  # noqa: ASYNC102  (shields itself, with a deadline, where it waits)
