"""A cancelled scope stops the query on the server and leaves the connection clean or closed, wherever the cancellation falls."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from sql import session
from sql.driver import Connection, connect
from sql.pool import open_pool

AtEachStep = Callable[[Callable[[], Awaitable[object]], Callable[[bool], Awaitable[object]]], Awaitable[int]]
SLEEP = "SELECT pg_sleep(600)"


async def wait_until_sleeping(observer: Connection, pid: int) -> None:
    with trio.fail_after(10):
        while await observer.fetchval("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", pid) != "PgSleep":  # noqa: ASYNC110
            await trio.sleep(0.005)


async def still_running(observer: Connection, pid: int) -> int:
    return await observer.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid)


async def simple(connection: Connection) -> None:
    await connection.execute(SLEEP)


async def first_use(connection: Connection) -> None:
    await connection.fetch("SELECT pg_sleep($1)", 600)


async def prepared(connection: Connection) -> None:
    for _ in range(2):
        await connection.fetch("SELECT pg_sleep($1)", 0)
    await connection.fetch("SELECT pg_sleep($1)", 600)


async def in_a_transaction(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")
        async with connection.transaction():
            await connection.execute(SLEEP)


async def in_a_pipeline(connection: Connection) -> None:
    async with connection.pipeline():
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.execute(SLEEP)
        await connection.execute("INSERT INTO t VALUES (2)")


async def fetched_in_a_pipeline(connection: Connection) -> None:
    async with connection.pipeline():
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.fetch(SLEEP)


async def in_a_pipeline_in_a_transaction(connection: Connection) -> None:
    async with connection.transaction(), connection.pipeline():
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.fetch(SLEEP)


async def among_many(connection: Connection) -> None:
    await connection.executemany("INSERT INTO t SELECT $1::int FROM pg_sleep($2::float)", [(1, 0), (2, 600), (3, 600)])


@pytest.mark.parametrize(
    "work",
    [simple, first_use, prepared, in_a_transaction, in_a_pipeline, fetched_in_a_pipeline, in_a_pipeline_in_a_transaction, among_many],
)
async def test_a_cancelled_query_ends_on_the_server_too(
    connection: Connection, observer: Connection, nursery: trio.Nursery, work: Callable[[Connection], Awaitable[None]]
) -> None:
    await observer.execute("CREATE TABLE t (a int)")
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    with trio.fail_after(10), trio.CancelScope() as scope:

        async def cancel_when_running() -> None:
            await wait_until_sleeping(observer, pid)
            scope.cancel()

        nursery.start_soon(cancel_when_running)
        await work(connection)
    assert scope.cancelled_caught
    assert not await still_running(observer, pid)
    assert connection.clean
    assert await connection.fetchval("SELECT pg_backend_pid()") == pid
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_nothing_is_sent_in_a_cancelled_scope(connection: Connection, observer: Connection) -> None:
    await observer.execute("CREATE TABLE t (a int)")
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.execute("INSERT INTO t VALUES ($1)", 1)
    assert scope.cancelled_caught
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_the_next_query_is_not_hit_by_a_late_cancellation(connection: Connection) -> None:
    for round_ in range(60):
        with trio.move_on_after(0.0005 + round_ * 0.00001):
            await connection.fetchval("SELECT pg_sleep($1)", 0.0005)
        assert await connection.fetchval("SELECT $1::int FROM pg_sleep(0.0005)", round_) == round_


async def test_megabytes_on_their_way_can_be_cancelled(connection: Connection, observer: Connection, at_each_step: AtEachStep) -> None:
    text = "x" * 1_000_000

    async def work() -> None:
        await connection.fetchval("SELECT length($1::text) + length($1::text)", text)

    async def check(cut: bool) -> None:
        assert connection.clean

    await at_each_step(work, check)


async def test_a_transaction_cut_at_any_step_is_wholly_done_or_not_at_all(
    connection: Connection, observer: Connection, at_each_step: AtEachStep
) -> None:
    await observer.execute("CREATE TABLE t (a int, b int)")
    numbers = iter(range(1000))

    async def work() -> None:
        number = next(numbers)
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES ($1, 1)", number)
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES ($1, 2)", number)

    async def check(cut: bool) -> None:
        assert connection.clean
        assert await observer.fetch("SELECT a FROM t GROUP BY a HAVING count(*) <> 2") == []

    assert await at_each_step(work, check) > 5


async def test_a_pipeline_cut_at_any_step_is_wholly_done_or_not_at_all(
    connection: Connection, observer: Connection, at_each_step: AtEachStep
) -> None:
    await observer.execute("CREATE TABLE t (a int, b int)")
    numbers = iter(range(1000))

    async def work() -> None:
        number = next(numbers)
        async with connection.pipeline():
            await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(number, row) for row in range(600)])
            await connection.execute("INSERT INTO t VALUES ($1, -1)", number)

    async def check(cut: bool) -> None:
        assert connection.clean
        assert await observer.fetch("SELECT a FROM t GROUP BY a HAVING count(*) <> 601") == []

    assert await at_each_step(work, check) > 2


async def test_connecting_cut_at_any_step_leaves_no_socket(proxy: Any, at_each_step: AtEachStep) -> None:
    opened: list[Connection] = []

    async def work() -> None:
        opened.append(await connect(proxy.url_of("localhost")))

    async def check(cut: bool) -> None:
        if not cut:
            opened.pop().close()
        assert not opened
        with trio.fail_after(10):
            while proxy.open_connections:  # noqa: ASYNC110  (the proxy's tasks see the end of the stream a moment later)
                await trio.sleep(0.001)

    assert await at_each_step(work, check) > 3


async def test_a_pool_cut_at_any_step_keeps_its_slots(database_url: str, at_each_step: AtEachStep) -> None:
    async with open_pool(database_url, max_size=1) as pool:

        async def work() -> None:
            async with pool.acquire() as connection, connection.transaction():
                assert await connection.fetchval("SELECT $1::int", 5) == 5

        async def check(cut: bool) -> None:
            statistics = pool.statistics()
            assert statistics.size == statistics.idle <= 1
            with trio.fail_after(10):
                assert await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == 0

        assert await at_each_step(work, check) > 3


async def test_a_server_that_does_not_answer_a_cancellation_costs_a_bounded_time(
    proxy: Any, observer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ABANDON_SECONDS", 0.2)
    connection = await connect(proxy.url)
    with trio.fail_after(10), trio.move_on_after(0.1) as scope:
        async with connection.transaction():
            proxy.fall_silent()
            await connection.execute(SLEEP)
    assert scope.cancelled_caught
    assert connection.closed


async def test_a_server_that_is_gone_when_cancelling_closes_the_connection(proxy: Any) -> None:
    connection = await connect(proxy.url)
    with trio.fail_after(10), trio.CancelScope() as scope:

        async def work() -> None:
            await connection.execute(SLEEP)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked(0.05)
            proxy.refuse()
            scope.cancel()
    assert connection.closed
