"""One connection to PostgreSQL under Trio: psycopg's protocol core, calls in the manner of asyncpg.

Parameters are `$1`, `$2`, … and their types are what the server makes of the statement: they are sent as text without a type, one prepared
statement per SQL text whatever the values are. Where the server cannot tell (`SELECT $1`, `unnest($1)`) the SQL says it: `$1::bigint[]`.
A str is taken for jsonb as JSON text; an object needs psycopg's `Jsonb`. Rows are dicts; json and jsonb come back decoded, timestamptz as
aware UTC, bytea as bytes. Every statement commits by itself unless inside `transaction()` or `pipeline()`.

Errors: gateway.errors.StoreUnavailable (sql.errors.ConnectionLost, ServerBusy) and StoreRejected (sql.errors.QueryRejected).

Cancellation: a scope cancelled while a query runs cancels the query on the server, waits for its end and leaves the connection usable.
Should the server not confirm within `sql.session.ABANDON_SECONDS`, the connection is closed. Either way nothing half-read stays behind;
whether the statement was carried out is not known.
"""

from collections.abc import Generator, Iterable, Sequence
from operator import itemgetter
from typing import Any, Self

import psycopg
import trio
from psycopg import adapters
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from gateway.errors import GatewayError
from sql.errors import SUCCESS, ConnectionLost, QueryRejected, ServerBusy, error_of_result, undecodable, unencodable
from sql.notifications import Inbox, Notifications
from sql.pipeline import CommandQueue, Pipeline, Queued
from sql.session import ABANDON_SECONDS, Session
from sql.statement import Statement
from sql.transaction import Transaction
from sql.wire import open_wire

Row = dict[str, Any]

# Statements kept on one connection. The house has fewer than a hundred; beyond it the oldest makes room.
STATEMENTS_ITEMS = 256
# PostgreSQL's protocol, message Bind: the number of parameters is an Int16.
_PARAMETERS_ITEMS = 65535

_IDLE = int(TransactionStatus.IDLE)
_first_column = itemgetter(0)


class _AdaptContext:
    """How values are written depends on the connection (the escaping of bytea). Not the Connection itself: that would be a cycle."""

    def __init__(self, pgconn: PGconn) -> None:
        self.pgconn = pgconn
        self.adapters = adapters

    @property
    def connection(self) -> Self:
        return self


async def connect(conninfo: str) -> "Connection":
    """Open a connection: a URL or a conninfo string of libpq, TCP or Unix socket. The caller closes it.

    Errors: StoreUnavailable when no server answers or it refuses, SettingsError for a malformed `conninfo`. Cancelled: nothing stays open.
    """
    return Connection(await open_wire(conninfo))


class Connection(Session):
    """A session with the server. Several tasks take turns statement by statement; a transaction or a pipeline belongs to one task."""

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.depth = 0  # of transaction(): 0 outside
        self.idle_since = 0.0  # time.monotonic(), for whoever keeps it idle
        self._pipeline_depth = 0
        context: Any = _AdaptContext(pgconn)
        self._transformer = Transformer(context)
        self._formats: dict[int, list[PyFormat]] = {}
        self._statements: dict[str, Statement] = {}
        self._names_items = 0
        self._queue = CommandQueue(pgconn)
        self._inbox = Inbox(pgconn)
        self._listening = False

    def __repr__(self) -> str:
        return f"<Connection {'closed' if self.closed else 'in use' if self._busy else 'idle'}>"

    @property
    def clean(self) -> bool:
        """Ready for another owner: open, between statements, outside transaction and pipeline, listening to nothing."""
        return (
            self.pgconn.transaction_status == _IDLE  # UNKNOWN when closed
            and not self._busy
            and not self.depth
            and not self._pipeline_depth
            and not self._listening
        )

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
        try:
            self._transformer.set_pgresult(result)
            return self._transformer.load_row(0, _first_column)
        except (psycopg.Error, ValueError, OverflowError) as exc:
            raise undecodable(exc) from None

    async def execute(self, sql: str, *args: object) -> str:
        """The command tag, such as "UPDATE 3". Without arguments `sql` may hold several statements (then one transaction): the last tag.

        In a pipeline the command is only queued and the answer is "": errors come out of the next fetch or the end of the pipeline.
        """
        if self._pipeline_depth:
            await self.run(self._queue_gen(sql, (args,)))
            return ""
        return ((await self._query(sql, args, simple=not args)).command_status or b"").decode()

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Carry out `sql` for each row, all in a pipeline and, outside a transaction, all or nothing."""
        async with self.pipeline():
            await self.run(self._queue_gen(sql, rows))

    def transaction(self) -> Transaction:
        """`async with`: commits at the end, rolls back on an exception. Within another transaction: a savepoint."""
        return Transaction(self)

    def pipeline(self) -> Pipeline:
        """`async with`: commands go out without waiting for the answers of those before; see `Pipeline`."""
        return Pipeline(self)

    # LISTEN / NOTIFY

    async def listen(self, channel: str) -> None:
        """Receive the notifications of a channel from now on."""
        self._listening = True
        quoted = channel.replace('"', '""')
        await self.execute(f'LISTEN "{quoted}"')

    def notifications(self) -> Notifications:
        """All notifications as they come, for ever. Raises StoreUnavailable when the connection ends."""
        return Notifications(self, self._inbox)

    # one query

    async def _query(self, sql: str, args: tuple[object, ...], *, simple: bool = False) -> PGresult:
        # `take_turn`, written out for the hot path.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._busy:
            await self._wait_for_turn()
        self._busy = True
        try:
            if self._pipeline_depth:
                return await self.drive(self._query_in_pipeline_gen(sql, args))
            if simple:
                generator = self._simple_gen(sql)
            elif (statement := self._statements.get(sql)) is None or not statement.name:
                generator = self._first_uses_gen(sql, args)
            else:
                # The hot path. As few steps as possible: after a query the processor's caches hold other processes.
                params, formats = self._encode(args, statement)
                try:
                    self.pgconn.send_query_prepared(statement.name, params, formats)
                except psycopg.Error as exc:
                    raise self.break_off(exc) from None
                generator = None
            result = (await self.drive(generator))[-1] if generator else await self.answer()
            if result.status not in SUCCESS:
                if self._outdated(result, sql):
                    result = (await self.drive(self._first_uses_gen(sql, args)))[-1]
                self._check(result, sql)
            return result
        finally:
            self.end_turn()

    def _encode(self, args: Sequence[object], statement: Statement | None = None) -> tuple[Any, Any]:
        if not args:
            return None, None
        items = len(args)
        if items > _PARAMETERS_ITEMS:
            raise QueryRejected(f"PostgreSQL takes {_PARAMETERS_ITEMS} parameters, not {items}")
        transformer = self._transformer
        binary = statement.binary if statement is not None and items == statement.parameters_items else None
        try:
            if statement is not None and binary:
                params = transformer.dump_sequence(args, statement.formats)
                if transformer.types == statement.accepted or statement.accepts(args, transformer.types or ()):
                    return params, transformer.formats
            formats = self._formats.get(items)
            if formats is None:
                formats = self._formats[items] = [PyFormat.TEXT] * items
            return transformer.dump_sequence(args, formats), transformer.formats
        except (psycopg.Error, ValueError, OverflowError) as exc:
            raise unencodable(exc) from None

    def _simple_gen(self, sql: str) -> Generator[Wait, Ready, list[PGresult]]:
        self.pgconn.send_query(sql.encode())
        return (yield from execute(self.pgconn))

    def _first_uses_gen(self, sql: str, args: Sequence[object]) -> Generator[Wait, Ready, list[PGresult]]:
        """Once without preparing: many a statement is used once. Prepared from the second time on."""
        params, formats = self._encode(args)
        statement = self._statements.get(sql)
        if statement is None:
            statement = yield from self._remember_gen(sql)
            self.pgconn.send_query_params(statement.text, params, param_formats=formats)
            return (yield from execute(self.pgconn))
        self.pgconn.send_prepare(name := self._new_name(), statement.text)
        results = yield from execute(self.pgconn)
        if results[-1].status not in SUCCESS:
            return results
        self.pgconn.send_describe_prepared(name)
        statement.describe(name, (yield from execute(self.pgconn))[-1])
        self.pgconn.send_query_prepared(name, params, formats)
        return (yield from execute(self.pgconn))

    def _remember_gen(self, sql: str) -> Generator[Wait, Ready, Statement]:
        if len(self._statements) >= STATEMENTS_ITEMS:
            oldest = self._statements.pop(next(iter(self._statements)))
            if oldest.name and not self._pipeline_depth:
                self.pgconn.send_close_prepared(oldest.name)
                yield from execute(self.pgconn)
        statement = self._statements[sql] = Statement(sql.encode())
        return statement

    def _new_name(self) -> bytes:
        self._names_items += 1
        return b"s%d" % self._names_items

    def _outdated(self, result: PGresult, sql: str) -> bool:
        """Whether a prepared statement failed only because the schema has changed since, or somebody deallocated it. Forgets it then."""
        if result.status != ExecStatus.FATAL_ERROR or self.in_transaction:
            return False
        # 0A000 "cached plan must not change result type", 26000 "prepared statement does not exist"
        if result.error_field(DiagnosticField.SQLSTATE) not in (b"0A000", b"26000"):
            return False
        statement = self._statements.pop(sql, None)
        return statement is not None and bool(statement.name)

    def _check(self, result: PGresult, sql: str = "") -> None:
        """Raise what an unsuccessful result means and forget what it makes invalid."""
        if result.status in SUCCESS:
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

    def _rows(self, result: PGresult, items: int) -> list[Row]:
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        try:
            self._transformer.set_pgresult(result)
            return self._transformer.load_rows(0, items, lambda values: dict(zip(names, values, strict=True)))
        except (psycopg.Error, ValueError, OverflowError) as exc:
            raise undecodable(exc) from None

    # pipeline

    async def enter_pipeline(self) -> None:
        """Commands are queued from now on. Nests."""
        if not self._pipeline_depth:
            await self.run(self._enter_gen())
        self._pipeline_depth += 1

    async def leave_pipeline(self, *, abort: bool) -> None:
        """Collect all answers and raise the first error. `abort`: undo instead what no sync has committed yet."""
        if self._pipeline_depth > 1:
            self._pipeline_depth -= 1
            return
        try:
            if not abort:
                await self.run(self._sync_gen())
        except BaseException:
            abort = True
            raise
        finally:
            if abort:
                # PostgreSQL: ROLLBACK outside a transaction block still ends the implicit transaction of a pipeline. Within a block
                # its owner rolls back, and here only the answers are collected.
                await self.undo(*(() if self.depth else ("ROLLBACK",)))  # noqa: ASYNC102  (shields itself, with a deadline)
            self._pipeline_depth = 0
            try:
                self.pgconn.exit_pipeline_mode()
            except psycopg.Error:
                self.close()

    async def settle(self) -> None:
        """In a pipeline: wait for the answers to everything queued and raise the first error."""
        if self._queue.unsettled:
            await self.run(self._sync_gen())

    def _enter_gen(self) -> Generator[Wait, Ready, None]:
        self.pgconn.enter_pipeline_mode()
        yield from ()

    def _queue_gen(self, sql: str, rows: Iterable[Sequence[object]]) -> Generator[Wait, Ready, Queued | None]:
        pgconn, queue, queued = self.pgconn, self._queue, None
        for row in rows:
            params, formats = self._encode(row)
            statement = self._statements.get(sql) or (yield from self._remember_gen(sql))
            if not statement.name:
                statement.name = self._new_name()
                pgconn.send_prepare(statement.name, statement.text)
                queue.add(statement)
            pgconn.send_query_prepared(statement.name, params, formats)
            queued = queue.add()
            yield from queue.communicate()
            if self.abandoned:
                break
        return queued

    def _query_in_pipeline_gen(self, sql: str, args: tuple[object, ...]) -> Generator[Wait, Ready, PGresult]:
        queued = yield from self._queue_gen(sql, (args,))
        yield from self._sync_gen()
        assert queued is not None
        assert queued.result is not None, "a sync without an error has taken in every result"
        return queued.result

    def _sync_gen(self) -> Generator[Wait, Ready, None]:
        failure = yield from self._queue.sync()
        if failure is not None:
            self._check(failure)

    def _command_gen(self, sql: str) -> Generator[Wait, Ready, None]:
        self.pgconn.send_query_params(sql.encode(), None)
        self._queue.add()
        yield from self._sync_gen()

    # what the blocks need

    async def command(self, sql: str) -> None:
        """Carry out a statement without parameters and wait for its end, in a pipeline as well."""
        if self._pipeline_depth:
            await self.run(self._command_gen(sql))
        else:
            await self._query(sql, (), simple=True)

    async def undo(self, *statements: str) -> None:
        """Collect what is still under way and carry out forms of ROLLBACK, also in a cancelled scope, within `ABANDON_SECONDS`.

        Does not raise for the database: a connection that cannot be brought back is closed, and then the server rolls back.
        """
        if self.closed:
            return
        with trio.move_on_after(ABANDON_SECONDS, shield=True):
            try:
                await self._undo(statements)
                return
            except GatewayError:
                pass
        self.close()

    async def _undo(self, statements: Sequence[str]) -> None:
        for sql in statements:
            try:
                await self.command(sql)
            except (QueryRejected, ServerBusy):
                # In a pipeline that is the error of a command queued before, which made the server skip this one.
                await self.command(sql)
        if self._pipeline_depth and not statements:
            try:
                await self.run(self._sync_gen())
            except (QueryRejected, ServerBusy):
                return  # known to whoever undoes

    async def reset(self) -> bool:
        """Make the connection fit for another owner: roll back what was left open. False when it had to be closed. Bounded, as `undo`."""
        if not (self.depth or self._pipeline_depth or self._listening):
            await self.undo("ROLLBACK")
        if not self.clean:
            self.close()
        return not self.closed
