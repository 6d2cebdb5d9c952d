# ruff: noqa: PT012  (what leaves a whole block is the point here)
from collections.abc import Iterator

import pytest

from gateway.errors import StoreRejected, StoreUnavailable
from sql.driver import Connection
from sql.errors import QueryRejected


class Deliberate(Exception):
    pass


@pytest.fixture
async def observer(observer: Connection) -> Connection:
    await observer.execute("CREATE TABLE t (a int PRIMARY KEY)")
    return observer


@pytest.fixture
async def connection(connection: Connection, observer: Connection) -> Connection:
    return connection


async def committed(observer: Connection) -> list[int]:
    return [row["a"] for row in await observer.fetch("SELECT a FROM t ORDER BY a")]


async def insert(connection: Connection, *values: int) -> None:
    for value in values:
        await connection.execute("INSERT INTO t VALUES ($1)", value)


# transactions


async def test_a_transaction_is_seen_by_others_when_it_ends(connection: Connection, observer: Connection) -> None:
    async with connection.transaction():
        await insert(connection, 1, 2)
        assert await committed(observer) == []
    assert await committed(observer) == [1, 2]
    assert connection.clean


async def test_an_exception_undoes_a_transaction(connection: Connection, observer: Connection) -> None:
    with pytest.raises(Deliberate):
        async with connection.transaction():
            await insert(connection, 1)
            raise Deliberate
    assert await committed(observer) == []
    assert connection.clean


async def test_a_failed_statement_undoes_a_transaction(connection: Connection, observer: Connection) -> None:
    with pytest.raises(QueryRejected):
        async with connection.transaction():
            await insert(connection, 1, 1)
    assert await committed(observer) == []
    assert connection.clean


async def test_an_inner_transaction_can_fail_alone(connection: Connection, observer: Connection) -> None:
    async with connection.transaction():
        await insert(connection, 1)
        for _ in range(2):
            with pytest.raises(QueryRejected):
                async with connection.transaction():
                    await insert(connection, 2)
                    async with connection.transaction():
                        await insert(connection, 3, 3)
        async with connection.transaction():
            await insert(connection, 4)
    assert await committed(observer) == [1, 4]
    assert connection.clean


async def test_an_error_that_was_passed_over_does_not_pass_for_a_commit(connection: Connection, observer: Connection) -> None:
    with pytest.raises(StoreRejected, match="rolled back"):
        async with connection.transaction():
            await insert(connection, 1)
            with pytest.raises(QueryRejected):
                await insert(connection, 1)
    assert await committed(observer) == []
    assert connection.clean


async def test_a_constraint_that_fails_at_the_commit_is_reported(connection: Connection, observer: Connection) -> None:
    await observer.execute("CREATE TABLE later (a int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(QueryRejected) as caught:
        async with connection.transaction():
            await connection.execute("INSERT INTO later VALUES (7)")
    assert caught.value.sqlstate == "23503"
    assert connection.clean


async def test_a_connection_that_breaks_in_a_transaction_is_reported_once_and_closed(connection: Connection, observer: Connection) -> None:
    with pytest.raises(StoreUnavailable):
        async with connection.transaction():
            await insert(connection, 1)
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await observer.execute("SELECT pg_terminate_backend($1::int)", pid)
            await insert(connection, 2)
    assert connection.closed
    assert await committed(observer) == []


# pipelines


async def test_a_pipeline_is_one_transaction(connection: Connection, observer: Connection) -> None:
    async with connection.pipeline():
        await insert(connection, 1, 2)
        assert await connection.execute("INSERT INTO t VALUES ($1)", 3) == ""
    assert await committed(observer) == [1, 2, 3]
    assert connection.clean


@pytest.mark.parametrize("times_before", [0, 1, 2])
async def test_the_error_of_a_pipeline_comes_at_its_end_and_undoes_it(
    connection: Connection, observer: Connection, times_before: int
) -> None:
    for number in range(times_before):  # the statement is new, seen, prepared
        await insert(connection, 100 + number)
    before = await committed(observer)
    with pytest.raises(QueryRejected) as caught:
        async with connection.pipeline():
            await insert(connection, 1, 2, 2, 3)
    assert caught.value.sqlstate == "23505"
    assert await committed(observer) == before
    assert connection.clean
    await insert(connection, 5)
    assert await committed(observer) == [5, *before]


async def test_a_fetch_in_a_pipeline_answers_at_once(connection: Connection) -> None:
    async with connection.pipeline():
        await insert(connection, 1)
        assert await connection.fetchval("SELECT count(*) FROM t") == 1
        await insert(connection, 2)
        assert await connection.fetch("SELECT a FROM t ORDER BY a") == [{"a": 1}, {"a": 2}]
        assert await connection.fetchrow("SELECT a FROM t WHERE a = $1", 7) is None
    assert connection.clean


async def test_an_exception_in_a_pipeline_undoes_what_was_queued(connection: Connection, observer: Connection) -> None:
    with pytest.raises(Deliberate):
        async with connection.pipeline():
            await insert(connection, 1)
            raise Deliberate
    assert await committed(observer) == []
    assert connection.clean


async def test_a_fetch_that_fails_in_a_pipeline_leaves_the_connection_clean(connection: Connection, observer: Connection) -> None:
    with pytest.raises(QueryRejected):
        async with connection.pipeline():
            await insert(connection, 1)
            await connection.fetch("SELECT 1 / 0")
    assert await committed(observer) == []
    assert connection.clean


async def test_pipelines_nest(connection: Connection, observer: Connection) -> None:
    async with connection.pipeline():
        await insert(connection, 1)
        async with connection.pipeline():
            await insert(connection, 2)
        await connection.executemany("INSERT INTO t VALUES ($1)", [(3,), (4,)])
        await insert(connection, 5)
        assert await committed(observer) == []
    assert await committed(observer) == [1, 2, 3, 4, 5]


async def test_a_pipeline_inside_a_transaction_belongs_to_it(connection: Connection, observer: Connection) -> None:
    with pytest.raises(Deliberate):
        async with connection.transaction():
            async with connection.pipeline():
                await insert(connection, 1)
            with pytest.raises(QueryRejected):
                async with connection.transaction(), connection.pipeline():
                    await insert(connection, 2, 2)
            assert await connection.fetchval("SELECT count(*) FROM t") == 1
            raise Deliberate
    assert await committed(observer) == []
    assert connection.clean


async def test_transactions_inside_a_pipeline_commit_and_roll_back(connection: Connection, observer: Connection) -> None:
    async with connection.pipeline():
        await insert(connection, 1)
        async with connection.transaction():
            await insert(connection, 2)
            async with connection.transaction():
                await insert(connection, 3)
        with pytest.raises(QueryRejected):
            async with connection.transaction():
                await insert(connection, 4, 4)
        with pytest.raises(Deliberate):
            async with connection.transaction():
                await insert(connection, 5)
                raise Deliberate
        async with connection.transaction():
            await insert(connection, 6)
            with pytest.raises(QueryRejected):
                async with connection.transaction():
                    await insert(connection, 7, 7)
    assert await committed(observer) == [1, 2, 3, 6]
    assert connection.clean


async def test_thousands_of_rows_go_in_one_go(connection: Connection, observer: Connection) -> None:
    await connection.executemany("INSERT INTO t VALUES ($1)", ((number,) for number in range(5000)))
    assert await committed(observer) == list(range(5000))
    await connection.executemany("INSERT INTO t VALUES ($1)", [])
    assert connection.clean


async def test_rows_larger_than_every_buffer_go_through(connection: Connection) -> None:
    await connection.execute("CREATE TABLE big (x text)")
    await connection.executemany("INSERT INTO big VALUES ($1) RETURNING x", [("x" * 200_000,) for _ in range(100)])
    assert await connection.fetchval("SELECT sum(length(x)) FROM big") == 20_000_000


@pytest.mark.parametrize("bad", ["\x00", "not a number", 1])
async def test_one_bad_row_among_many_leaves_none(connection: Connection, observer: Connection, bad: object) -> None:
    with pytest.raises(StoreRejected):
        await connection.executemany("INSERT INTO t VALUES ($1)", [*((number,) for number in range(1000)), (bad,)])
    assert await committed(observer) == []
    assert connection.clean


async def test_a_source_of_rows_that_fails_leaves_none(connection: Connection, observer: Connection) -> None:
    def rows() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(600))
        raise Deliberate

    with pytest.raises(Deliberate):
        await connection.executemany("INSERT INTO t VALUES ($1)", rows())
    assert await committed(observer) == []
    assert connection.clean


async def test_a_statement_that_does_not_parse_fails_its_pipeline_only(connection: Connection, observer: Connection) -> None:
    for _ in range(3):
        with pytest.raises(QueryRejected):
            await connection.executemany("INSERT INTO nowhere VALUES ($1)", [(1,), (2,)])
        assert connection.clean
    await observer.execute("CREATE TABLE nowhere (a int)")
    await connection.executemany("INSERT INTO nowhere VALUES ($1)", [(1,), (2,)])
    assert await observer.fetchval("SELECT count(*) FROM nowhere") == 2
