"""The two blocks around statements: a transaction (nested: a savepoint) and a pipeline. The connection does the work."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from psycopg.pq import TransactionStatus

from sql.errors import QueryRejected

if TYPE_CHECKING:
    from sql.driver import Connection


class Transaction:
    """Wholly done when the block ends, not at all when an exception or a cancellation leaves it.

    Only a commit that is cut off on its way can end either way: then the error says that the connection was lost.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._begin, self._commit, self._rollback = "BEGIN", "COMMIT", ("ROLLBACK",)

    async def __aenter__(self) -> Self:
        connection = self._connection
        if depth := connection.depth:
            self._begin = f"SAVEPOINT level_{depth}"
            self._commit = f"RELEASE SAVEPOINT level_{depth}"
            self._rollback = (f"ROLLBACK TO SAVEPOINT level_{depth}", f"RELEASE SAVEPOINT level_{depth}")
        try:
            await connection.settle()
            await connection.command(self._begin)
        except BaseException:
            if not depth and connection.pgconn.transaction_status != TransactionStatus.IDLE:
                await connection.undo("ROLLBACK")
            raise
        connection.depth += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        connection = self._connection
        connection.depth -= 1
        if exc is not None:
            await self._undo()
            return
        try:
            await connection.settle()
            if connection.pgconn.transaction_status == TransactionStatus.INERROR:
                # PostgreSQL would answer COMMIT with a rollback and call it a success.
                raise QueryRejected("PostgreSQL: the transaction had failed in a statement whose error was passed over; it is rolled back")
            await connection.command(self._commit)
        except BaseException:
            await self._undo()
            raise

    async def _undo(self) -> None:
        if self._connection.pgconn.transaction_status != TransactionStatus.IDLE or self._connection.pipeline_depth:
            await self._connection.undo(*self._rollback)


class Pipeline:
    """Statements inside are sent without waiting for the answers of those before. Nests: the outermost one counts."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def __aenter__(self) -> Self:
        await self._connection.enter_pipeline()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        await self._connection.leave_pipeline(abort=exc is not None)
