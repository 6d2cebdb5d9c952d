"""The two ways to reach a fake Telegram: an httpx2 transport without sockets, and a small HTTP/1.1 server on a loopback port.

The server speaks h11 itself instead of standing on a framework: a fault may have to end a connection at any byte, and as the peer of
benchmarks it must cost little.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import unquote

import h11
import httpx2 as httpx
import trio

from tester.fakes.sockets import read_request, serving, while_connected
from tester.fakes.telegram_chats import Answer, Cut
from tester.fakes.telegram_core import TelegramCore

MOST_BODY_BYTES = 256 * 1024

_PATH = re.compile(r"/bot([^/?]*)/([A-Za-z]+)(?:\?.*)?")
_NO_SUCH_PATH = Answer(status=404, body=b'{"ok":false,"error_code":404,"description":"Not Found"}')


class FakeTransport(httpx.AsyncBaseTransport):
    """Takes the place of the network in an httpx2 client. Keeps the read timeout of a request, as the real one does."""

    def __init__(self, fake: TelegramCore) -> None:
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from the fake, on its clock."""
        found = _PATH.fullmatch(request.url.raw_path.decode())
        body = await request.aread()
        read_seconds = request.extensions.get("timeout", {}).get("read")
        answer = _NO_SUCH_PATH
        if found is not None:
            with trio.move_on_after(float("inf") if read_seconds is None else read_seconds) as scope:
                answer = await self._fake.handle(unquote(found.group(1)), found.group(2), body)
            if scope.cancelled_caught:
                raise httpx.ReadTimeout("", request=request)
        headers = [("Content-Type", answer.content_type), *answer.headers]
        match answer.cut:
            case Cut.CONNECTION:
                raise httpx.ConnectError("All connection attempts failed", request=request)
            case Cut.ALL:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
            case Cut.HALF:
                return httpx.Response(answer.status, headers=headers, stream=_HalfStream(answer.body, request))
            case Cut.NOTHING:
                return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))


class _HalfStream(httpx.AsyncByteStream):
    def __init__(self, body: bytes, request: httpx.Request) -> None:
        self._body = body
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body", request=self._request)


@asynccontextmanager
async def serve(fake: TelegramCore, *, host: str, port: int) -> AsyncGenerator[str, None]:
    """Serve the fake over HTTP while the block runs; yields the base URL. At the end all connections are cut."""
    async with serving(partial(_serve_connection, fake), host=host, port=port) as url:
        yield url


async def _serve_connection(fake: TelegramCore, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    async with stream:
        try:
            while True:
                request = await read_request(connection, stream, most_bytes=MOST_BODY_BYTES)
                if request is None:
                    return
                head, body = request
                answer = await _answer(fake, stream, head.target, body)
                if answer is None or not await _send(connection, stream, answer):
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError, h11.LocalProtocolError):
            # The client broke off, or does not speak HTTP: nothing is owed to it.
            return


async def _answer(fake: TelegramCore, stream: trio.SocketStream, target: bytes, body: bytes) -> Answer | None:
    """None when the client has gone before there was an answer: a long poll then must not go on."""
    found = _PATH.fullmatch(target.decode("ascii", "replace"))
    if found is None:
        return _NO_SUCH_PATH
    return await while_connected(stream, lambda: fake.handle(unquote(found.group(1)), found.group(2), body))


async def _send(connection: h11.Connection, stream: trio.SocketStream, answer: Answer) -> bool:
    """Whether the connection may go on."""
    if answer.cut in (Cut.ALL, Cut.CONNECTION):
        return False
    head = connection.send(
        h11.Response(
            status_code=answer.status,
            headers=[("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers],
        )
    )
    body = connection.send(h11.Data(data=answer.body))
    if answer.cut is Cut.HALF:
        await stream.send_all((head or b"") + answer.body[: len(answer.body) // 2])
        return False
    end = connection.send(h11.EndOfMessage())
    await stream.send_all((head or b"") + (body or b"") + (end or b""))
    return connection.our_state is h11.DONE
