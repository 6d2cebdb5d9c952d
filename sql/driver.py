"""One connection to PostgreSQL under Trio: psycopg's protocol core, calls in the manner of asyncpg.

Parameters are `$1`, `$2`, … and their types are what the server makes of the statement: they are sent as text without a type, one prepared
statement per SQL text whatever the values are. Where the server cannot tell (`SELECT $1`, `unnest($1)`) the SQL says it: `$1::bigint[]`.
A str is taken for jsonb as JSON text; an object needs psycopg's `Jsonb`. Rows are dicts; json and jsonb come back decoded, timestamptz as
aware UTC, bytea as bytes. Every statement commits by itself unless inside `transaction()` or `pipeline()`.

Errors: gateway.errors.StoreUnavailable (sql.errors.ConnectionLost, ServerBusy) and StoreRejected (sql.errors.QueryRejected).

Cancellation: a scope cancelled while a query runs cancels the query on the server, waits for its end and leaves the connection usable.
Should the server not confirm within `ABANDON_SECONDS`, the connection is closed. Either way nothing half-read stays behind; whether the
statement was carried out is not known.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from operator import itemgetter
from typing import Any, Self, TypeVar

import attrs
import psycopg
import trio
from psycopg import adapters
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute, fetch_many, pipeline_communicate, send
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from gateway.errors import GatewayError
from sql.errors import ConnectionLost, QueryRejected, ServerBusy, error_of_result, lost, undecodable, unencodable
from sql.transaction import Pipeline, Transaction
from sql.wire import READY_READ, WAIT_READ, cancel_query, drive, open_wire, ready

T = TypeVar("T")
Row = dict[str, Any]

# How long a cancelled query may take to end. It delays the end of a scope, so it stays below the 3 s that a shutdown has to spare.
ABANDON_SECONDS = 2.0
# Statements kept prepared on one connection. The house has fewer than a hundred; beyond it the oldest makes room.
_STATEMENTS_ITEMS = 256
# Results are taken in after so many queued commands, so that neither side's buffers grow with the length of a batch.
_PIPELINE_STRIDE_ITEMS = 256

_OK = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY})
_TUPLES_OK = ExecStatus.TUPLES_OK
_COMMAND_OK = ExecStatus.COMMAND_OK
_first_column = itemgetter(0)


@attrs.frozen
class Notification:
    """A NOTIFY that reached this connection."""

    channel: str
    payload: str


@attrs.define(slots=True, eq=False)
class _Statement:
    """What is known of one SQL text on this connection. `name` is b"" until it is prepared: at its second use."""

    text: bytes
    name: bytes = b""


@attrs.define(slots=True, eq=False)
class _Queued:
    """A command sent in a pipeline whose result is not in yet. `prepares`: it is the one that gives its statement the name."""

    statement: _Statement | None = None
    prepares: bool = False
    result: PGresult | None = None


class _Session:
    """psycopg's AdaptContext: how values are written depends on the connection (escaping of bytea). Not the Connection: no cycle."""

    def __init__(self, pgconn: PGconn) -> None:
        self.pgconn = pgconn
        self.adapters = adapters

    @property
    def connection(self) -> Self:
        return self


async def connect(conninfo: str) -> "Connection":
    """Open a connection: a URL or a conninfo string of libpq, TCP or Unix socket. The caller closes it.

    Errors: StoreUnavailable when no server answers or it refuses, SettingsError when `conninfo` is malformed. Cancelled: nothing stays open.
    """
    return Connection(await open_wire(conninfo))


class Connection:
    """A session with the server. Statements of several tasks are carried out one after another; transactions belong to one task."""

    def __init__(self, pgconn: PGconn) -> None:
        self.pgconn = pgconn
        self.depth = 0  # of transaction(): 0 outside
        self.pipeline_depth = 0
        self._fd = pgconn.socket
        self._lock = trio.Lock()
        session: Any = _Session(pgconn)
        self._transformer = Transformer(session)
        self._formats: dict[int, list[PyFormat]] = {}
        self._statements: dict[str, _Statement] = {}
        self._prepared_items = 0
        self._queue: deque[_Queued] = deque()
        self._notifications: deque[Notification] = deque()
        self._failure: PGresult | None = None  # the first one of a pipeline, until its sync
        self._abandoned = False  # a cancelled pipeline queues no more
        self._listening = False
        pgconn.notify_handler = self._notified

    def __repr__(self) -> str:
        state = "closed" if self.closed else TransactionStatus(self.pgconn.transaction_status).name.lower()
        return f"<Connection {state}>"

    @property
    def closed(self) -> bool:
        """Closed by us or broken: good for nothing any more."""
        return self.pgconn.status == ConnStatus.BAD

    @property
    def clean(self) -> bool:
        """Ready for another owner: open, between statements, outside transaction and pipeline, listening to nothing."""
        pgconn = self.pgconn
        return (
            pgconn.status == ConnStatus.OK
            and pgconn.transaction_status == TransactionStatus.IDLE
            and pgconn.pipeline_status == PipelineStatus.OFF
            and not self.depth
            and not self._listening
            and not self._lock.locked()
        )

    def fileno(self) -> int:
        """The socket, for whoever asks whether the server has said something out of turn."""
        return self._fd

    def close(self) -> None:
        """End the session at once; does not wait. A task that is using the connection gets StoreUnavailable. Idempotent."""
        if self.pgconn.status != ConnStatus.BAD:  # otherwise libpq has closed the socket, and its number may be somebody else's by now
            trio.lowlevel.notify_closing(self._fd)
        self.pgconn.finish()

    # queries

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """All rows."""
        result = await self._query(sql, args)
        return self._rows(result, result.ntuples)

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """The first row, None when there is none."""
        result = await self._query(sql, args)
        return self._rows(result, 1)[0] if result.ntuples else None

    async def fetchval(self, sql: str, *args: object) -> Any:
        """The first column of the first row, None when there is none."""
        result = await self._query(sql, args)
        if not result.ntuples:
            return None
        transformer = self._transformer
        try:
            transformer.set_pgresult(result)
            return transformer.load_row(0, _first_column)
        except (psycopg.Error, ValueError) as exc:
            raise undecodable(exc) from None

    async def execute(self, sql: str, *args: object) -> str:
        """The command tag, such as "UPDATE 3". Without arguments `sql` may hold several statements (then one transaction): the last tag.

        In a pipeline the command is only queued and the answer is "": errors come out of the next fetch or the end of the pipeline.
        """
        if self.pipeline_depth:
            await self._exclusively(self._queue_gen(sql, [args]))
            return ""
        return ((await self._query(sql, args, simple=not args)).command_status or b"").decode()

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Carry out `sql` for each row, all in a pipeline and, outside a transaction, all or nothing."""
        async with self.pipeline():
            await self._exclusively(self._queue_gen(sql, rows))

    def transaction(self) -> Transaction:
        """`async with`: commits at the end, rolls back on an exception. Within another transaction: a savepoint."""
        return Transaction(self)

    def pipeline(self) -> Pipeline:
        """`async with`: commands go out without waiting for answers. Outside a transaction it is one implicit transaction up to the
        next fetch or the end of the block."""
        return Pipeline(self)

    # LISTEN / NOTIFY

    async def listen(self, channel: str) -> None:
        """Receive the notifications of a channel (a name of ours, not user input) from now on."""
        self._listening = True
        quoted = channel.replace('"', '""')
        await self.execute(f'LISTEN "{quoted}"')

    def notifications(self) -> "Notifications":
        """All notifications as they come, for ever. Raises StoreUnavailable when the connection ends. One reader at a time."""
        return Notifications(self)

    async def next_notification(self) -> Notification:
        """The oldest notification not yet taken. Cancelled: none is lost. Nothing else runs on the connection while it waits."""
        while not self._notifications:
            await self._exclusively(self._notices_gen())
        return self._notifications.popleft()

    def _notified(self, notify: Any) -> None:
        self._notifications.append(Notification(notify.relname.decode(), notify.extra.decode()))

    def _notices_gen(self) -> Generator[Wait, Ready, None]:
        while not self._notifications:
            yield WAIT_READ
            self.pgconn.consume_input()
            while notify := self.pgconn.notifies():
                self._notified(notify)

    # one query

    async def _query(self, sql: str, args: tuple[object, ...], *, simple: bool = False) -> PGresult:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.pipeline_depth:
            return await self._exclusively(self._query_in_pipeline_gen(sql, args))
        lock = self._lock
        if lock.locked():
            await lock.acquire()
        else:
            lock.acquire_nowait()
        try:
            if simple:
                generator = self._simple_gen(sql)
            elif (statement := self._statements.get(sql)) is None or not statement.name:
                generator = self._first_uses_gen(sql, args)
            else:
                # The hot path: nothing but the message itself and C code.
                params, formats = self._encode(args)
                try:
                    self.pgconn.send_query_prepared(statement.name, params, formats)
                except psycopg.Error as exc:
                    raise self._lost(exc) from None
                generator = execute(self.pgconn)
            result = (await self._drive(generator))[-1]
            if result.status != _TUPLES_OK and result.status != _COMMAND_OK:
                if self._outdated(result, sql):
                    result = (await self._drive(self._first_uses_gen(sql, args)))[-1]
                self._check(result, sql)
            return result
        finally:
            lock.release()

    def _encode(self, args: Sequence[object]) -> tuple[Any, Any]:
        if not args:
            return None, None
        count = len(args)
        formats = self._formats.get(count)
        if formats is None:
            formats = self._formats[count] = [PyFormat.TEXT] * count
        try:
            return self._transformer.dump_sequence(args, formats), self._transformer.formats
        except (psycopg.Error, ValueError, OverflowError) as exc:
            raise unencodable(exc) from None

    def _simple_gen(self, sql: str) -> Generator[Wait, Ready, list[PGresult]]:
        self.pgconn.send_query(sql.encode())
        return (yield from execute(self.pgconn))

    def _first_uses_gen(self, sql: str, args: tuple[object, ...]) -> Generator[Wait, Ready, list[PGresult]]:
        params, formats = self._encode(args)
        statement = self._statements.get(sql)
        if statement is None:
            yield from self._make_room_gen()
            statement = self._statements[sql] = _Statement(sql.encode())
            self.pgconn.send_query_params(statement.text, params, param_formats=formats)
            return (yield from execute(self.pgconn))
        self.pgconn.send_prepare(name := self._new_name(), statement.text)
        results = yield from execute(self.pgconn)
        if results[-1].status not in _OK:
            return results
        statement.name = name
        self.pgconn.send_query_prepared(name, params, formats)
        return (yield from execute(self.pgconn))

    def _new_name(self) -> bytes:
        self._prepared_items += 1
        return b"s%d" % self._prepared_items

    def _make_room_gen(self) -> Generator[Wait, Ready, None]:
        if len(self._statements) >= _STATEMENTS_ITEMS:
            statement = self._statements.pop(next(iter(self._statements)))
            if statement.name and self.pgconn.pipeline_status == PipelineStatus.OFF:
                self.pgconn.send_close_prepared(statement.name)
                yield from execute(self.pgconn)

    def _check(self, result: PGresult, sql: str = "") -> None:
        """Raise what an unsuccessful result means and forget what it makes invalid."""
        if result.status in _OK:
            return
        if result.status != ExecStatus.FATAL_ERROR:
            # COPY changes the protocol; there is no way back but a new session.
            self.close()
            raise QueryRejected(f"not supported here: {ExecStatus(result.status).name}")
        error = error_of_result(result)
        if isinstance(error, ConnectionLost):
            self.close()
        elif error.sqlstate[:2] in ("0A", "26", "42"):
            # The schema has changed under a prepared statement, or it is gone: its next use makes a new one.
            self._statements.pop(sql, None)
        raise error

    def _outdated(self, result: PGresult, sql: str) -> bool:
        """Whether a prepared statement failed only because the schema has changed since, or somebody deallocated it. Forgets it then."""
        if result.status != ExecStatus.FATAL_ERROR or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        # 0A000 "cached plan must not change result type", 26000 "prepared statement does not exist"
        if result.error_field(DiagnosticField.SQLSTATE) not in (b"0A000", b"26000"):
            return False
        statement = self._statements.pop(sql, None)
        return statement is not None and bool(statement.name)

    # pipeline: used by sql.transaction

    async def enter_pipeline(self) -> None:
        """Commands are queued from now on. Nests."""
        if not self.pipeline_depth:
            await self._exclusively(self._enter_pipeline_gen())
        self.pipeline_depth += 1

    async def leave_pipeline(self, *, abort: bool) -> None:
        """Collect all answers and raise the first error. `abort`: undo, under a bounded shield, what no sync has committed yet."""
        if self.pipeline_depth > 1:
            self.pipeline_depth -= 1
            return
        try:
            if not abort:
                await self._exclusively(self._sync_gen())
        except BaseException:
            abort = True
            raise
        finally:
            if abort:
                # PostgreSQL: ROLLBACK outside a transaction block still ends the implicit transaction of a pipeline. Within a block
                # its owner rolls back; the empty statement only collects what is under way.
                await self.undo("" if self.depth else "ROLLBACK")
            self.pipeline_depth = 0
            if not self.closed:
                try:
                    self.pgconn.exit_pipeline_mode()
                except psycopg.Error:
                    self.close()

    def _enter_pipeline_gen(self) -> Generator[Wait, Ready, None]:
        self.pgconn.enter_pipeline_mode()
        yield from ()

    def _queue_gen(self, sql: str, rows: Iterable[Sequence[object]]) -> Generator[Wait, Ready, None]:
        pgconn = self.pgconn
        for row in rows:
            params, formats = self._encode(row)
            statement = self._statements.get(sql)
            if statement is None:
                yield from self._make_room_gen()
                statement = self._statements[sql] = _Statement(sql.encode())
            if not statement.name:
                statement.name = self._new_name()
                pgconn.send_prepare(statement.name, statement.text)
                self._queue.append(_Queued(statement, prepares=True))
            pgconn.send_query_prepared(statement.name, params, formats)
            self._queue.append(_Queued(statement))
            if len(self._queue) >= _PIPELINE_STRIDE_ITEMS:
                for results in (yield from pipeline_communicate(pgconn, deque())):
                    self._take_in(results)
            if self._abandoned:
                return

    def _query_in_pipeline_gen(self, sql: str, args: tuple[object, ...]) -> Generator[Wait, Ready, PGresult]:
        yield from self._queue_gen(sql, (args,))
        wanted = self._queue[-1]
        yield from self._sync_gen()
        assert wanted.result is not None, "a sync without an error has taken in every result"
        return wanted.result

    def _command_in_pipeline_gen(self, sql: str) -> Generator[Wait, Ready, None]:
        self.pgconn.send_query_params(sql.encode(), None)
        self._queue.append(_Queued())
        yield from self._sync_gen()

    def _sync_gen(self) -> Generator[Wait, Ready, None]:
        pgconn = self.pgconn
        pgconn.pipeline_sync()
        yield from send(pgconn)
        while self._queue:
            self._take_in((yield from fetch_many(pgconn)))
        yield from fetch_many(pgconn)  # the sync itself
        failure, self._failure = self._failure, None
        if failure is not None:
            self._check(failure)

    def _take_in(self, results: list[PGresult]) -> None:
        queued = self._queue.popleft()
        result = queued.result = results[-1]
        if result.status in _OK:
            return
        if queued.statement and queued.prepares:
            queued.statement.name = b""
        if self._failure is None and result.status != ExecStatus.PIPELINE_ABORTED:
            self._failure = result

    # what transactions need

    async def command(self, sql: str) -> None:
        """Carry out a statement without parameters and wait for its end, in a pipeline as well."""
        if self.pipeline_depth:
            await self._exclusively(self._command_in_pipeline_gen(sql))
        else:
            await self._query(sql, (), simple=True)

    async def settle(self) -> None:
        """In a pipeline: wait for the answers to everything queued and raise the first error."""
        if self._queue:
            await self._exclusively(self._sync_gen())

    async def undo(self, *statements: str) -> None:
        """Carry out forms of ROLLBACK behind whatever is still under way, also in a cancelled scope, within `ABANDON_SECONDS`.

        Does not raise for the database: a connection that cannot be brought back is closed, and then the server rolls back.
        """
        if self.closed:
            return
        with trio.move_on_after(ABANDON_SECONDS, shield=True):
            try:
                for sql in statements:
                    try:
                        await self.command(sql)
                    except (QueryRejected, ServerBusy):
                        # In a pipeline that is the error of a command queued before, which made the server skip this one.
                        await self.command(sql)
                return
            except GatewayError:
                pass
        self.close()

    async def reset(self) -> bool:
        """Make the connection fit for another owner: roll back what was left open. False when it had to be closed. Bounded, as `undo`."""
        if not self.clean:
            if self.depth or self.pipeline_depth or self._listening:
                self.close()
            else:
                await self.undo("ROLLBACK")
        if self.clean:
            return True
        self.close()
        return False

    # carrying on a generator

    async def _exclusively(self, generator: Generator[Wait, Ready, T]) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._lock:
            return await self._drive(generator)

    async def _drive(self, generator: Generator[Wait, Ready, T]) -> T:
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
            raise self._lost(exc) from None
        except (trio.Cancelled, KeyboardInterrupt):
            await self._abandon(generator, wanted)
            raise

    async def _abandon(self, generator: Generator[Wait, Ready, object], wanted: Wait) -> None:
        """End what a cancelled task has left under way. Afterwards the connection is between statements, or closed."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        self._abandoned = True
        with trio.move_on_after(ABANDON_SECONDS, shield=True):
            try:
                await cancel_query(self.pgconn)
                await drive(generator, self._fd, wanted)
                return
            except (QueryRejected, ServerBusy):
                return  # only a pipeline raises in its generator, and at its end
            except (psycopg.Error, OSError, trio.ClosedResourceError, ConnectionLost):
                pass
            finally:
                self._abandoned = False
        self.close()

    def _lost(self, exc: Exception) -> ConnectionLost:
        self.close()
        return lost("closed on this side" if isinstance(exc, trio.ClosedResourceError) else exc)

    def _rows(self, result: PGresult, count: int) -> list[Row]:
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        transformer = self._transformer
        try:
            transformer.set_pgresult(result)
            return transformer.load_rows(0, count, lambda values: dict(zip(names, values)))
        except (psycopg.Error, ValueError, OverflowError) as exc:
            raise undecodable(exc) from None


class Notifications:
    """An endless asynchronous iterator of notifications. Cancelled between two of them: none is lost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        return await self._connection.next_notification()
