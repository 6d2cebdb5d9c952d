"""The ways to reach a fake CRM: an httpx2 transport without sockets, one for several hosts, and HTTP/1.1 on a loopback port.

The server speaks h11 itself instead of standing on a framework: a fault may have to end a connection at any byte.
"""

import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import h11
import httpx2 as httpx
import trio

from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Cut, Response, host_name
from tester.fakes.sockets import read_request, serving, while_connected

MOST_BODY_BYTES = 4 * 1024 * 1024


class CrmTransport(httpx.AsyncBaseTransport):
    """Takes the place of the network in an httpx2 client: every host is this CRM. Keeps the read timeout of a request, as a real one."""

    def __init__(self, fake: CrmServer) -> None:
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from the fake, on its clock."""
        body = await request.aread()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        if "host" not in request.headers:
            headers.append(("host", request.url.netloc.decode("ascii")))
        read_seconds = request.extensions.get("timeout", {}).get("read")
        with trio.move_on_after(float("inf") if read_seconds is None else read_seconds):
            asked = self._fake.request(request.method, request.url.raw_path.decode("ascii"), headers, body)
            return _received(await self._fake.answer(asked), request)
        raise httpx.ReadTimeout("", request=request)


class CrmNetwork(httpx.AsyncBaseTransport):
    """A network of several fake CRMs, by host name (lower case, no port). A host that is not there cannot be connected to."""

    def __init__(self, hosts: Mapping[str, CrmServer]) -> None:
        self._hosts = {host: CrmTransport(fake) for host, fake in hosts.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from the fake that has the host: that of the `Host` header, as the URL may name an address instead."""
        transport = self._hosts.get(host_name(request.headers.get("host", request.url.netloc.decode("ascii"))))
        if transport is None:
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError("All connection attempts failed", request=request)
        return await transport.handle_async_request(request)


def _received(response: Response, request: httpx.Request) -> httpx.Response:
    match response.cut:
        case Cut.CONNECTION:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        case Cut.ALL:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        case Cut.RESET:
            raise httpx.ReadError("", request=request)
        case Cut.HALF:
            return httpx.Response(response.status, headers=response.all_headers, stream=_HalfStream(response.body, request))
        case Cut.NOTHING:
            return httpx.Response(response.status, headers=response.all_headers, stream=httpx.ByteStream(response.body))


class _HalfStream(httpx.AsyncByteStream):
    def __init__(self, body: bytes, request: httpx.Request) -> None:
        self._body = body
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body", request=self._request)


@asynccontextmanager
async def serve_crm(fake: CrmServer, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve the fake over HTTP while the block runs, which gets the base URL. Port 0 takes a free one. At the end connections are cut."""
    async with serving(partial(_serve_connection, fake), host=host, port=port) as url:
        yield url


async def _serve_connection(fake: CrmServer, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    async with stream:
        try:
            while True:
                request = await read_request(connection, stream, most_bytes=MOST_BODY_BYTES)
                if request is None:
                    return
                response = await _answer(fake, stream, *request)
                if response is None or not await _send(connection, stream, response):
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError, h11.LocalProtocolError):
            # The client broke off, or does not speak HTTP: nothing is owed to it.
            return


async def _answer(fake: CrmServer, stream: trio.SocketStream, head: h11.Request, body: bytes) -> Response | None:
    """None when the client has gone before there was an answer."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    request = fake.request(head.method.decode("ascii"), head.target.decode("ascii", "replace"), headers, body)
    return await while_connected(stream, lambda: fake.answer(request))


async def _send(connection: h11.Connection, stream: trio.SocketStream, response: Response) -> bool:
    """Whether the connection may go on."""
    if response.cut is Cut.RESET:
        # A close that does not linger sends RST instead of FIN.
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if response.cut in (Cut.ALL, Cut.CONNECTION, Cut.RESET):
        return False
    headers = response.all_headers
    if response.status != 204:
        headers.append(("Content-Length", str(len(response.body))))
    head = connection.send(h11.Response(status_code=response.status, headers=headers)) or b""
    if response.cut is Cut.HALF:
        await stream.send_all(head + response.body[: len(response.body) // 2])
        return False
    body = connection.send(h11.Data(data=response.body)) or b""
    await stream.send_all(head + body + (connection.send(h11.EndOfMessage()) or b""))
    return connection.our_state is h11.DONE
