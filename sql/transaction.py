"""The block of a transaction; within another one, of a savepoint."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from sql.errors import QueryRejected

if TYPE_CHECKING:
    from sql.driver import Connection


class Transaction:
    """Wholly done when the block ends, not at all when an exception or a cancellation leaves it.

    Only a commit that is cut off on its way can end either way: then ConnectionLost, or the cancellation, says that it is not known.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._begin, self._commit, self._rollback = "BEGIN", "COMMIT", ("ROLLBACK",)

    async def __aenter__(self) -> Self:
        connection = self._connection
        if level := connection.depth:
            self._begin = f"SAVEPOINT level_{level}"
            self._commit = f"RELEASE SAVEPOINT level_{level}"
            self._rollback = (f"ROLLBACK TO SAVEPOINT level_{level}", f"RELEASE SAVEPOINT level_{level}")
        try:
            await connection.settle()
            await connection.command(self._begin)
        except BaseException:
            if not connection.depth and connection.in_transaction:
                await connection.undo("ROLLBACK")  # noqa: ASYNC102  (shields itself, with a deadline)
            raise
        connection.depth += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self._connection.depth -= 1
        if exc is None:
            await self._finish()  # noqa: ASYNC102  (a commit may be cancelled; what it leaves is undone)
        else:
            await self._undo()  # noqa: ASYNC102  (shields itself, with a deadline)

    async def _finish(self) -> None:
        connection = self._connection
        try:
            await connection.settle()
            if not connection.failed:
                await connection.command(self._commit)
                return
        except BaseException:
            await self._undo()  # noqa: ASYNC102  (shields itself, with a deadline)
            raise
        # PostgreSQL would answer COMMIT with a rollback and call it a success.
        await self._undo()
        raise QueryRejected("PostgreSQL: the transaction had failed in a statement whose error was passed over; it is rolled back")

    async def _undo(self) -> None:
        if self._connection.in_transaction:
            await self._connection.undo(*self._rollback)
