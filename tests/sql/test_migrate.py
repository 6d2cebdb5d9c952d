from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from gateway.errors import StoreRejected, StoreUnavailable
from sql.driver import Connection
from sql.migrate import Migration, MigrationError, known_migrations, migrate, migrations_in, missing
from sql.pool import open_pool

FIRST = Migration("0001_people", "CREATE TABLE people (name text); INSERT INTO people VALUES ('Anna')")
SECOND = Migration("0002_age", "ALTER TABLE people ADD COLUMN age int")
AtEachStep = Callable[[Callable[[], Awaitable[object]], Callable[[bool], Awaitable[object]]], Awaitable[int]]


async def applied(connection: Connection) -> list[str]:
    return [row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations ORDER BY name")]


async def test_what_is_missing_is_applied_in_order_and_once(connection: Connection) -> None:
    assert await missing(connection, [FIRST, SECOND]) == ["0001_people", "0002_age"]
    assert await migrate(connection, [FIRST]) == ["0001_people"]
    assert await missing(connection, [FIRST, SECOND]) == ["0002_age"]
    assert await migrate(connection, [FIRST, SECOND]) == ["0002_age"]
    assert await migrate(connection, [FIRST, SECOND]) == []
    assert await missing(connection, [FIRST, SECOND]) == []
    assert await connection.fetch("SELECT name, age FROM people") == [{"name": "Anna", "age": None}]


async def test_a_pool_or_an_address_will_do(database_url: str, connection: Connection) -> None:
    async with open_pool(database_url) as pool:
        assert await migrate(pool, [FIRST]) == ["0001_people"]
    assert await migrate(database_url, [FIRST, SECOND]) == ["0002_age"]
    assert await missing(database_url, [FIRST, SECOND]) == []


async def test_asking_what_is_missing_changes_nothing(connection: Connection) -> None:
    await missing(connection, [FIRST])
    assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None


async def test_a_file_that_changed_after_it_was_applied_stops_everything(connection: Connection) -> None:
    await migrate(connection, [FIRST])
    changed = Migration(FIRST.name, FIRST.sql + " -- improved")
    for work in (migrate, missing):
        with pytest.raises(MigrationError, match=r"0001_people\.sql has changed"):
            await work(connection, [changed, SECOND])
    assert await applied(connection) == ["0001_people"]
    assert connection.clean


async def test_a_file_that_comes_too_late_is_refused(connection: Connection) -> None:
    await migrate(connection, [FIRST, SECOND])
    with pytest.raises(MigrationError, match=r"0001_zebra\.sql is older than 0002_age"):
        await migrate(connection, [FIRST, Migration("0001_zebra", "SELECT 1"), SECOND])


async def test_a_file_that_fails_is_named_and_leaves_nothing(connection: Connection) -> None:
    broken = Migration("0002_broken", "CREATE TABLE half (a int); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(MigrationError, match=r"0002_broken\.sql.*nowhere") as caught:
        await migrate(connection, [FIRST, broken])
    assert isinstance(caught.value, StoreRejected)
    assert await applied(connection) == ["0001_people"]
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    assert connection.clean


async def test_a_file_may_not_end_the_transaction_it_runs_in(connection: Connection) -> None:
    with pytest.raises(MigrationError, match=r"0001_sly\.sql"):
        await migrate(connection, [Migration("0001_sly", "CREATE TABLE sly (a int); COMMIT")])
    assert connection.clean


async def test_those_who_migrate_at_once_share_the_work(database_url: str, connection: Connection) -> None:
    migrations = [Migration(f"{number:04}_step", f"CREATE TABLE t{number} (a int)") for number in range(1, 9)]
    done: list[str] = []

    async def one() -> None:
        done.extend(await migrate(database_url, migrations))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(one)
    assert sorted(done) == [migration.name for migration in migrations]
    assert await applied(connection) == sorted(done)


async def test_a_migration_cut_at_any_step_is_wholly_applied_or_not_at_all(
    connection: Connection, observer: Connection, at_each_step: AtEachStep
) -> None:
    async def work() -> None:
        await migrate(connection, [FIRST, SECOND])

    async def check(cut: bool) -> None:
        assert connection.clean
        there = await observer.fetchval("SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('people') AND attname = 'age'")
        recorded = await applied(observer) if await observer.fetchval("SELECT to_regclass('schema_migrations')") else []
        assert there == ("0002_age" in recorded)
        assert (await observer.fetchval("SELECT to_regclass('people')") is not None) == ("0001_people" in recorded)

    assert await at_each_step(work, check) > 5


async def test_without_a_server_it_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await migrate("postgresql://u@127.0.0.1:1/d", [FIRST])


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "0010_later.sql").write_bytes(b"SELECT 2;\r\n")
    (tmp_path / "0002_earlier.sql").write_text("SELECT 1;\n")
    (tmp_path / "README").write_text("not one of them")
    earlier, later = migrations_in(tmp_path)
    assert (earlier.name, later.name) == ("0002_earlier", "0010_later")
    assert later.checksum == Migration("0010_later", "SELECT 2;\n").checksum


@pytest.mark.parametrize("names", [["1_short.sql"], ["0001-dash.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_names_that_give_no_order_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=names[-1]):
        migrations_in(tmp_path)


async def test_the_migrations_that_come_with_the_gateway_apply(connection: Connection) -> None:
    names = [migration.name for migration in known_migrations()]
    assert names
    assert await migrate(connection) == names
    assert await missing(connection) == []
