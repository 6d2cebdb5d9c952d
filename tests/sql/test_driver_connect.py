"""Reaching a server: the ways that work, the ways that fail, and what a cancellation leaves."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from gateway.errors import SettingsError, StoreUnavailable
from sql.driver import connect

# PostgreSQL protocol 3.0: 'N' refuses SSL; 'R' is Authentication (0 = ok, 3 = password wanted); 'S' ParameterStatus.
REFUSE_SSL = b"N"
AUTHENTICATION_OK = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
PARAMETER = b"S\x00\x00\x00\x14client_encodin\x00\x00"
FIELDS = b"SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
STARTING_UP = b"E" + (len(FIELDS) + 4).to_bytes(4, "big") + FIELDS
GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


async def fake_server(nursery: trio.Nursery, *answers: bytes) -> tuple[int, trio.Event, trio.Event]:
    """A server that gives one answer a message and then says nothing: its port, that it is silent, that the client has hung up."""
    silent, gone = trio.Event(), trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            for answer in answers:
                if not await stream.receive_some():
                    break
                await stream.send_all(answer)
            silent.set()
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            gone.set()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return listeners[0].socket.getsockname()[1], silent, gone


@pytest.mark.parametrize(
    "answers",
    [(), (REFUSE_SSL,), (REFUSE_SSL, AUTHENTICATION_OK), (REFUSE_SSL, AUTHENTICATION_OK + PARAMETER)],
    ids=["accepted", "ssl refused", "authenticated", "almost ready"],
)
async def test_connecting_can_be_cancelled_at_each_step_of_the_protocol(nursery: trio.Nursery, answers: tuple[bytes, ...]) -> None:
    port, silent, gone = await fake_server(nursery, *answers)
    with trio.fail_after(10):
        with trio.CancelScope() as scope:

            async def cancel_when_silent() -> None:
                await silent.wait()
                await trio.testing.wait_all_tasks_blocked(0.01)
                scope.cancel()

            nursery.start_soon(cancel_when_silent)
            await connect(f"postgresql://u:s3cret@127.0.0.1:{port}/d")
        assert scope.cancelled_caught
        await gone.wait()


async def test_a_server_that_says_nothing_is_given_up(nursery: trio.Nursery) -> None:
    port, _, gone = await fake_server(nursery)
    with trio.fail_after(10):
        with pytest.raises(StoreUnavailable, match="no answer"):
            await connect(f"postgresql://u:s3cret@127.0.0.1:{port}/d?connect_timeout=2")
        await gone.wait()


@pytest.mark.parametrize("answers", [(REFUSE_SSL, STARTING_UP), (GARBAGE,)], ids=["starting up", "not a database"])
async def test_a_server_that_refuses_is_unavailable(nursery: trio.Nursery, answers: tuple[bytes, ...]) -> None:
    port, _, _ = await fake_server(nursery, *answers)
    with trio.fail_after(10), pytest.raises(StoreUnavailable) as caught:
        await connect(f"postgresql://u:s3cret@127.0.0.1:{port}/d")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://u:s3cret@127.0.0.1:1/d",
        "host=/nonexistent user=u password=s3cret dbname=d",
        "postgresql://u:s3cret@no-such-host.invalid/d",
        "postgresql://u:s3cret@127.0.0.1:1,127.0.0.1:2/d",
    ],
)
async def test_nobody_there_is_unavailable_and_the_password_stays_secret(conninfo: str) -> None:
    with trio.fail_after(20), pytest.raises(StoreUnavailable) as caught:
        await connect(conninfo)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "conninfo",
    ["s3cret", "postgresql://u:s3cret@h:port/d", "host=h connect_timeout=s3cret", "no_such_option=s3cret", "host=a,b port=1,2,3"],
)
async def test_an_address_that_makes_no_sense_is_a_matter_of_the_settings(conninfo: str) -> None:
    with pytest.raises(SettingsError) as caught:
        await connect(conninfo)
    assert "s3cret" not in repr(caught.value)


async def test_a_database_that_does_not_exist_is_named(proxy: Any) -> None:
    with pytest.raises(StoreUnavailable, match="no_such_database"):
        await connect(proxy.url.replace(proxy.upstream["dbname"], "no_such_database"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tcp_works_by_address_and_by_name(proxy: Any, host: str) -> None:
    connection = await connect(proxy.url_of(host))
    assert await connection.fetchval("SELECT 5") == 5
    connection.close()


async def test_the_next_host_is_tried_when_one_does_not_answer(proxy: Any) -> None:
    connection = await connect(proxy.url.replace("127.0.0.1:", "127.0.0.1:1,127.0.0.1:"))
    assert await connection.fetchval("SELECT 5") == 5
    connection.close()


async def test_the_settings_of_the_url_are_kept_and_the_gateway_names_itself(proxy: Any) -> None:
    connection = await connect(proxy.url + "&options=-c%20work_mem%3D12345kB")
    assert await connection.fetchval("SHOW work_mem") == "12345kB"
    assert await connection.fetchval("SHOW timezone") == "UTC"
    assert await connection.fetchval("SHOW application_name") == "gateway"
    connection.close()


BREAKS: list[Callable[[Any], None]] = [lambda proxy: proxy.stop(), lambda proxy: proxy.cut()]


@pytest.mark.parametrize("break_off", BREAKS, ids=["server gone", "line cut"])
@pytest.mark.parametrize("in_block", ["", "transaction", "pipeline"])
async def test_a_line_that_breaks_under_a_query_is_unavailable(proxy: Any, break_off: Callable[[Any], None], in_block: str) -> None:
    connection = await connect(proxy.url)

    async def work() -> None:
        if in_block == "transaction":
            async with connection.transaction():
                await connection.execute("SELECT pg_sleep(600)")
        elif in_block == "pipeline":
            async with connection.pipeline():
                await connection.execute("SELECT $1::int", 1)
                await connection.fetch("SELECT pg_sleep(600)")
        else:
            await connection.fetch("SELECT pg_sleep($1)", 600)

    async def ask(work: Callable[[], Awaitable[None]]) -> None:
        with pytest.raises(StoreUnavailable):
            await work()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, work)
            await trio.testing.wait_all_tasks_blocked(0.02)
            break_off(proxy)
    assert connection.closed
    assert not connection.clean
    with pytest.raises(StoreUnavailable):
        await connection.execute("SELECT 1")
