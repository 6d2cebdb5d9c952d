"""Binding, the order of shutdown, the access log."""

import logging
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio

from gateway.web.asgi import Receive, Scope, Send, answer
from gateway.web.listeners import BindError, open_listeners, serve_app
from gateway.web.problems import Answer

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answer(send, Answer(200, b'"hello"'))


async def read_all(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(5):
        while chunk := await stream.receive_some(65536):
            received += chunk
    return received


async def connect(address: str) -> trio.SocketStream:
    host, _, port = address.rpartition(":")
    return await trio.open_tcp_stream(host.strip("[]"), int(port))


async def test_several_binds_are_served_and_their_real_addresses_told(nursery: trio.Nursery) -> None:
    addresses: Sequence[str] = await nursery.start(partial(serve_app, greet, ["127.0.0.1:0", "[::1]:0"]))
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", addresses[0])
    assert re.fullmatch(r"\[::1\]:[1-9]\d*", addresses[1])
    for address in addresses:
        async with await connect(address) as stream:
            await stream.send_all(GET)
            # In one packet, head and body.
            assert b'"hello"' in await stream.receive_some(65536)


async def test_an_address_in_use_is_one_error_that_names_it_and_nothing_stays_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = f"127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(BindError, match=f"^cannot listen on {re.escape(busy)}: Address already in use$"):
            await open_listeners([free, busy])
        (again,) = await open_listeners([free])
        await again.aclose()


@pytest.mark.parametrize(
    "bind", ["127.0.0.1", "::1:80", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:", "", "nowhere.invalid:80", "203.0.113.9:0"]
)
async def test_a_bind_that_makes_no_sense_is_one_clear_line(bind: str) -> None:
    with pytest.raises(BindError) as caught:
        await open_listeners([bind])
    assert str(caught.value).startswith(f"cannot listen on {bind}: ")
    assert "\n" not in str(caught.value)


async def test_at_shutdown_running_requests_finish_and_idle_connections_close(nursery: trio.Nursery) -> None:
    running, release, stop, ended = trio.Event(), trio.Event(), trio.Event(), trio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            running.set()
            await release.wait()
        await greet(scope, receive, send)

    async def serve(task_status: trio.TaskStatus[Sequence[str]]) -> None:  # noqa: ASYNC128  # `serve_app` says that it has started
        await serve_app(slow, ["127.0.0.1:0"], shutdown_trigger=stop.wait, graceful_seconds=30, task_status=task_status)
        ended.set()

    (address,) = await nursery.start(serve)
    async with await connect(address) as idle, await connect(address) as kept, await connect(address) as busy:
        await kept.send_all(GET)
        assert b" 200 " in await kept.receive_some(65536)
        await busy.send_all(GET.replace(b"/ ", b"/slow "))
        await running.wait()
        stop.set()
        await read_all(kept)
        assert await read_all(idle) == b""
        with pytest.raises(OSError, match="all attempts to connect"):
            await connect(address)
        assert not ended.is_set()
        release.set()
        assert b'"hello"' in await read_all(busy)
        with trio.fail_after(2):
            await ended.wait()


async def test_a_request_that_does_not_end_is_cut_at_the_deadline(nursery: trio.Nursery) -> None:
    stop = trio.Event()
    running = trio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        running.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as serving:
        serve = partial(serve_app, stuck, ["127.0.0.1:0"], shutdown_trigger=stop.wait, graceful_seconds=0.05)
        (address,) = await serving.start(serve)
        async with await connect(address) as stream:
            await stream.send_all(GET)
            await running.wait()
            stop.set()
            with trio.fail_after(5):
                with suppress(trio.BrokenResourceError):
                    await stream.receive_some(65536)


async def test_a_client_that_does_not_read_cannot_hold_up_the_shutdown() -> None:
    stop = trio.Event()
    sending = trio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        sending.set()
        await answer(send, Answer(200, b"x" * 50_000_000))

    with trio.fail_after(10):
        async with trio.open_nursery() as serving:
            serve = partial(serve_app, flood, ["127.0.0.1:0"], shutdown_trigger=stop.wait, graceful_seconds=0.05)
            (address,) = await serving.start(serve)
            stream = await connect(address)
            await stream.send_all(GET)
            await sending.wait()
            stop.set()
        await stream.aclose()


async def test_cancelled_it_ends_at_once() -> None:
    running = trio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        running.set()
        await trio.sleep_forever()

    with trio.fail_after(5):
        async with trio.open_nursery() as serving:
            (address,) = await serving.start(partial(serve_app, stuck, ["127.0.0.1:0"], graceful_seconds=60))
            stream = await connect(address)
            await stream.send_all(GET)
            await running.wait()
            serving.cancel_scope.cancel()
        await stream.aclose()


async def test_more_connections_than_slots_wait_their_turn(nursery: trio.Nursery) -> None:
    (address,) = await nursery.start(partial(serve_app, greet, ["127.0.0.1:0"], max_connections=1))
    async with await connect(address) as first, await connect(address) as last:
        await last.send_all(GET)
        await first.send_all(GET)
        assert b" 200 " in await first.receive_some(65536)
        with trio.move_on_after(0.05) as waited:
            await last.receive_some(65536)
        assert waited.cancelled_caught
        await first.aclose()
        with trio.fail_after(5):
            assert b" 200 " in await last.receive_some(65536)


async def test_a_connection_ends_when_its_client_has_gone_and_does_not_wait_for_the_keep_alive_time(nursery: trio.Nursery) -> None:
    reached, release = trio.Event(), trio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            reached.set()
            await release.wait()
        await greet(scope, receive, send)

    # With one slot, the next connection is served only when the one before has ended.
    (address,) = await nursery.start(partial(serve_app, slow, ["127.0.0.1:0"], max_connections=1))
    with trio.fail_after(5):
        for _ in range(3):
            async with await connect(address) as stream:
                await stream.send_all(GET)
                assert b" 200 " in await stream.receive_some(65536)
        async with await connect(address) as stream:
            await stream.send_all(GET.replace(b"/ ", b"/slow "))
            await reached.wait()
        release.set()
        async with await connect(address) as stream:
            await stream.send_all(GET)
            assert b" 200 " in await stream.receive_some(65536)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxx",
        b"x" * 100_000,
    ],
)
async def test_garbage_ends_its_own_connection_only(nursery: trio.Nursery, garbage: bytes) -> None:
    (address,) = await nursery.start(partial(serve_app, greet, ["127.0.0.1:0"]))
    async with await connect(address) as stream:
        try:
            await stream.send_all(garbage)
            await stream.send_eof()
            await read_all(stream)
        except trio.BrokenResourceError:
            pass
    async with await connect(address) as stream:
        await stream.send_all(GET)
        assert b" 200 " in await stream.receive_some(65536)


async def test_a_fault_of_the_server_ends_one_connection_and_is_logged(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, expected_errors: Any
) -> None:
    from hypercorn.trio.tcp_server import TCPServer

    (address,) = await nursery.start(partial(serve_app, greet, ["127.0.0.1:0"]))
    with monkeypatch.context() as patch:

        async def broken(self: TCPServer) -> None:
            raise KeyError("h2")

        patch.setattr(TCPServer, "run", broken)
        async with await connect(address) as stream:
            assert await read_all(stream) == b""
    expected_errors.claim("a connection failed")
    async with await connect(address) as stream:
        await stream.send_all(GET)
        assert b" 200 " in await stream.receive_some(65536)


async def test_the_access_log_has_one_line_a_request_without_query(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    (address,) = await nursery.start(partial(serve_app, greet, ["127.0.0.1:0"]))
    async with await connect(address) as stream:
        await stream.send_all(b"GET /a%20b?secret=1 HTTP/1.1\r\nhost: x\r\ntoken: s3cret\r\nconnection: close\r\n\r\n")
        await read_all(stream)
    (record,) = [record for record in caplog.records if record.name == "gateway.access"]
    line = record.getMessage()
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a%20b HTTP/1\.1" 200 7 \d+\.\d{4}', line
    )
