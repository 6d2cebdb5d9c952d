# ruff: noqa: PT012  (what leaves a whole block is the point here)
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from psycopg.conninfo import conninfo_to_dict

from gateway.errors import StoreUnavailable
from sql import pool as pool_module
from sql.driver import Connection
from sql.embedded import embedded_server
from sql.pool import open_pool


class Deliberate(Exception):
    pass


async def pid_of(connection: Connection) -> int:
    return await connection.fetchval("SELECT pg_backend_pid()")


async def test_nothing_is_opened_before_it_is_needed(proxy: Any) -> None:
    async with open_pool(proxy.url) as pool:
        assert proxy.accepted == 0
        assert await pool.fetchval("SELECT $1::int", 5) == 5
        assert await pool.fetchrow("SELECT 5 AS a") == {"a": 5}
        assert await pool.fetch("SELECT 5 AS a") == [{"a": 5}]
        assert await pool.execute("SELECT 5") == "SELECT 1"
        assert proxy.accepted == 1
        assert pool.statistics().size == pool.statistics().idle == 1


async def test_the_connections_are_bounded(database_url: str) -> None:
    async with open_pool(database_url, max_size=2) as pool:

        async def ask() -> None:
            async with pool.acquire() as connection:
                assert pool.statistics().size <= 2
                await connection.execute("SELECT pg_sleep(0.002)")

        async with trio.open_nursery() as nursery, pool.acquire(), pool.acquire():
            for _ in range(10):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert pool.statistics().waiting == 10
        assert (pool.statistics().size, pool.statistics().idle, pool.statistics().waiting) == (2, 2, 0)


async def test_connections_are_lent_in_the_order_of_asking(database_url: str) -> None:
    order: list[int] = []
    async with open_pool(database_url, max_size=1) as pool:

        async def ask(number: int) -> None:
            async with pool.acquire() as connection:
                order.append(number)
                await connection.execute("SELECT 1")

        async with trio.open_nursery() as nursery, pool.acquire():
            for number in range(10):
                nursery.start_soon(ask, number)
                await trio.testing.wait_all_tasks_blocked()
        assert order == list(range(10))


async def test_a_newcomer_does_not_overtake_who_waits(database_url: str) -> None:
    order: list[str] = []
    async with open_pool(database_url, max_size=1) as pool:

        async def ask(name: str) -> None:
            async with pool.acquire():
                order.append(name)

        async with trio.open_nursery() as nursery:
            lease = pool.acquire()
            await lease.__aenter__()
            nursery.start_soon(ask, "waiting")
            await trio.testing.wait_all_tasks_blocked()
            await lease.__aexit__(None, None, None)
            await ask("newcomer")
        assert order == ["waiting", "newcomer"]


async def test_who_stops_waiting_takes_no_slot(database_url: str) -> None:
    async with open_pool(database_url, max_size=1) as pool:
        async with pool.acquire():
            with trio.move_on_after(0.01) as scope:
                await pool.fetchval("SELECT 1")
            assert scope.cancelled_caught
            assert pool.statistics().waiting == 0
        assert await pool.fetchval("SELECT 1") == 1


async def leave_a_transaction_open(connection: Connection) -> None:
    await connection.execute("BEGIN; CREATE TABLE dirt (a int)")


async def leave_a_failed_transaction(connection: Connection) -> None:
    await connection.execute("BEGIN; CREATE TABLE dirt (a int)")
    with pytest.raises(Exception, match="42601"):
        await connection.execute("nonsense")


async def leave_a_block_entered(connection: Connection) -> None:
    await connection.transaction().__aenter__()
    await connection.execute("CREATE TABLE dirt (a int)")


async def leave_a_pipeline_entered(connection: Connection) -> None:
    await connection.pipeline().__aenter__()
    await connection.execute("CREATE TABLE dirt (a int)")


async def leave_it_listening(connection: Connection) -> None:
    await connection.listen("dirt")


async def leave_it_closed(connection: Connection) -> None:
    connection.close()


@pytest.mark.parametrize(
    "dirty",
    [
        leave_a_transaction_open,
        leave_a_failed_transaction,
        leave_a_block_entered,
        leave_a_pipeline_entered,
        leave_it_listening,
        leave_it_closed,
    ],
)
@pytest.mark.parametrize("cancelled", [False, True])
async def test_no_dirt_reaches_the_next_owner(database_url: str, dirty: Callable[[Connection], Awaitable[None]], cancelled: bool) -> None:
    async with open_pool(database_url, max_size=1) as pool:
        with trio.CancelScope() as scope:
            async with pool.acquire() as connection:
                await dirty(connection)
                if cancelled:
                    scope.cancel()
        async with pool.acquire() as connection:
            assert connection.clean
            assert await connection.fetchval("SELECT to_regclass('dirt')") is None
            assert await connection.fetch("SELECT * FROM pg_listening_channels()") == []
            await connection.execute("COMMIT")  # would keep the dirt if it were still there
        assert await pool.fetchval("SELECT to_regclass('dirt')") is None
        assert pool.statistics().size == pool.statistics().idle == 1


async def test_a_connection_that_died_while_idle_is_not_lent(database_url: str, observer: Connection) -> None:
    async with open_pool(database_url, max_size=3) as pool:
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            pids = [await pid_of(connection) for connection in (one, two, three)]
        for pid in pids:
            await observer.execute("SELECT pg_terminate_backend($1::int, 5000)", pid)
        assert await pool.fetchval("SELECT pg_backend_pid()") not in pids
        assert pool.statistics().size == 1


async def test_a_connection_that_died_in_use_is_dropped(database_url: str, observer: Connection) -> None:
    async with open_pool(database_url, max_size=1) as pool:
        with pytest.raises(StoreUnavailable):
            async with pool.acquire() as connection:
                await observer.execute("SELECT pg_terminate_backend($1::int, 5000)", await pid_of(connection))
                await connection.execute("SELECT 1")
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_peer_that_vanished_without_a_word_is_found_by_asking(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(pool_module, "IDLE_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(pool_module, "IDLE_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("sql.session.ABANDON_SECONDS", 0.1)
    async with open_pool(proxy.url, max_size=1) as pool:
        first = await pool.fetchval("SELECT pg_backend_pid()")
        assert await pool.fetchval("SELECT pg_backend_pid()") == first
        proxy.fall_silent()

        async def recover() -> None:
            await trio.testing.wait_all_tasks_blocked(0.02)
            await trio.sleep(0.25)
            proxy.flowing.set()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(recover)
                assert await pool.fetchval("SELECT pg_backend_pid()") != first


async def test_the_pool_heals_when_the_server_is_back(proxy: Any) -> None:
    async with open_pool(proxy.url, max_size=2) as pool:
        async with pool.acquire() as one, pool.acquire() as two:
            await one.execute("SELECT 1")
            await two.execute("SELECT 1")
        proxy.stop()
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                await pool.fetchval("SELECT 1")
        assert pool.statistics().size == 0
        await proxy.start()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(pool.fetchval, "SELECT 1")
        assert 1 <= pool.statistics().idle <= 2


async def test_the_pool_heals_after_the_restart_of_a_real_server(data_dir: Path, proxy: Any) -> None:
    async with AsyncExitStack() as stack:
        async with embedded_server(data_dir, durable=False) as url:
            proxy.upstream = {key: str(value) for key, value in conninfo_to_dict(url).items()}
            pool = await stack.enter_async_context(open_pool(proxy.url))
            assert await pool.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)") == "INSERT 0 1"
        with pytest.raises(StoreUnavailable):
            await pool.fetchval("SELECT a FROM t")
        async with embedded_server(data_dir, durable=False) as url:
            proxy.upstream = {key: str(value) for key, value in conninfo_to_dict(url).items()}
            assert await pool.fetchval("SELECT a FROM t") == 1


async def test_a_failed_connection_gives_its_slot_back(proxy: Any) -> None:
    async with open_pool(proxy.url, max_size=1) as pool:
        proxy.stop()
        results: list[str] = []

        async def ask() -> None:
            try:
                await pool.fetchval("SELECT 1")
            except StoreUnavailable:
                results.append("unavailable")

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
        assert results == ["unavailable"] * 5
        await proxy.start()
        assert await pool.fetchval("SELECT 1") == 1


async def test_the_end_of_the_pool_closes_everything_and_wakes_who_waits(proxy: Any) -> None:
    unavailable: list[str] = []
    async with trio.open_nursery() as nursery:
        async with open_pool(proxy.url, max_size=1) as pool:

            async def hold() -> None:
                try:
                    await pool.execute("SELECT pg_sleep(600)")
                except StoreUnavailable:
                    unavailable.append("in use")

            async def wait() -> None:
                try:
                    await pool.execute("SELECT 1")
                except StoreUnavailable:
                    unavailable.append("waiting")

            nursery.start_soon(hold)
            await trio.testing.wait_all_tasks_blocked(0.02)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreUnavailable):
            await pool.fetchval("SELECT 1")
    assert sorted(unavailable) == ["in use", "waiting"]
    assert pool.statistics().size == 0
    with trio.fail_after(10):
        while proxy.open_connections:  # noqa: ASYNC110  (the proxy's tasks see the end of the stream a moment later)
            await trio.sleep(0.001)


async def test_tasks_cancelled_at_random_leave_the_pool_whole(database_url: str) -> None:
    dice = Random(7)
    async with open_pool(database_url, max_size=3) as pool:
        await pool.execute("CREATE TABLE t (a int, b int)")

        async def work(number: int) -> None:
            with trio.move_on_after(dice.random() * 0.05):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute("INSERT INTO t VALUES ($1, 1)", number)
                    await connection.fetchval("SELECT pg_sleep($1)", dice.random() * 0.01)
                    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(number, 2), (number, 3)])

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(150):
                    nursery.start_soon(work, number)
        statistics = pool.statistics()
        assert statistics.waiting == 0
        assert statistics.size == statistics.idle <= 3
        assert await pool.fetch("SELECT a FROM t GROUP BY a HAVING count(*) <> 3") == []
        # Every slot is still there: three at once do not wait.
        async with pool.acquire(), pool.acquire(), pool.acquire():
            assert pool.statistics().waiting == 0


async def test_a_pool_needs_room_for_one(database_url: str) -> None:
    with pytest.raises(ValueError, match="max_size"):
        async with open_pool(database_url, max_size=0):
            pass
