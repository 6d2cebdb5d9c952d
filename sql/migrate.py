"""Numbered changes of the schema: `migrations/NNNN_name.sql`, each applied once, in order.

Each file runs in a transaction of its own together with its row in `schema_migrations`, so it is there wholly or not at all. An advisory
lock lets one process at a time migrate; the others wait and then find nothing to do. A file that has changed since it was applied stops
everything: what the database holds and what the file says could no longer be told apart. Corrections are new files.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TypeAlias

import attrs

from gateway.errors import StoreRejected
from sql.driver import Connection, connect
from sql.errors import QueryRejected
from sql.pool import Pool

# Any number will do as long as nobody else takes it in the same database: "gate" in ASCII.
_ADVISORY_LOCK = 0x67617465
_FILE_NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")

# An address is connected to for the length of the call.
Database: TypeAlias = Pool | Connection | str

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(StoreRejected):
    """The migrations do not fit the database, or one of them failed. The text names the file. What was applied before it stays."""


@attrs.frozen
class Migration:
    """One file. `name` without ".sql"; `checksum` is the SHA-256 of its text as hex digits."""

    name: str
    sql: str = attrs.field(repr=False)

    @property
    def checksum(self) -> str:
        """The same for the same text, whatever the line ends of the checkout."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(directory: Traversable) -> list[Migration]:
    """The files of a directory in the order of their numbers. MigrationError for a name out of form or a number used twice."""
    found: list[Migration] = []
    for path in sorted(directory.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".sql"):
            continue
        if not _FILE_NAME.fullmatch(path.name):
            raise MigrationError(f"{path.name}: a migration is named NNNN_name.sql")
        if found and found[-1].name[:4] == path.name[:4]:
            raise MigrationError(f"{path.name}: the number is already taken by {found[-1].name}.sql")
        found.append(Migration(path.name.removesuffix(".sql"), path.read_text("utf-8").replace("\r\n", "\n")))
    return found


def known_migrations() -> list[Migration]:
    """The migrations that come with this version."""
    return migrations_in(resources.files("sql").joinpath("migrations"))


async def migrate(database: Database, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing (of `known_migrations` unless given); the names applied, in order.

    Errors: MigrationError; StoreUnavailable. Cancelled: every migration is wholly applied or not at all.
    """
    wanted = known_migrations() if migrations is None else migrations
    applied: list[str] = []
    async with _connection_of(database) as connection:
        while True:
            # One file a transaction; the lock is released with it, so the state is looked at anew each time.
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1::bigint)", _ADVISORY_LOCK)
                await connection.execute(_CREATE_TABLE)
                pending = await _pending(connection, wanted)
                if not pending:
                    return applied
                migration = pending[0]
                try:
                    await connection.execute(migration.sql)
                except QueryRejected as exc:
                    raise MigrationError(f"{migration.name}.sql: {exc}") from exc
                if not connection.in_transaction:
                    raise MigrationError(f"{migration.name}.sql ends the transaction it runs in; what it did so far is there, unrecorded")
                await connection.execute(
                    "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", migration.name, migration.checksum
                )
            applied.append(migration.name)


async def missing(database: Database, migrations: Sequence[Migration] | None = None) -> list[str]:
    """The names not yet applied. Changes nothing. MigrationError when an applied file has changed."""
    wanted = known_migrations() if migrations is None else migrations
    async with _connection_of(database) as connection:
        if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
            return [migration.name for migration in wanted]
        return [migration.name for migration in await _pending(connection, wanted)]


async def _pending(connection: Connection, migrations: Sequence[Migration]) -> list[Migration]:
    rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
    applied: dict[str, str] = {row["name"]: row["checksum"] for row in rows}
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(f"{migration.name}.sql has changed since it was applied; put it back and write a new migration")
    pending = [migration for migration in migrations if migration.name not in applied]
    newest = max((name for name in applied), default="")
    for migration in pending:
        if migration.name < newest:
            raise MigrationError(f"{migration.name}.sql is older than {newest}, which is already applied; give it a new number")
    return pending


@asynccontextmanager
async def _connection_of(database: Database) -> AsyncGenerator[Connection]:
    if isinstance(database, Connection):
        yield database
    elif isinstance(database, str):
        connection = await connect(database)
        try:
            yield connection
        finally:
            connection.close()
    else:
        async with database.acquire() as connection:
            yield connection
