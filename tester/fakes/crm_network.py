"""A network in memory for `gateway.crm.http.CrmHttp`, and the HTTP/1.1 that a fake CRM speaks over it or over sockets.

With it the whole client runs in virtual time: names, addresses, TLS names and connections are played, HTTP is real.
"""

import errno
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import attrs
import h11
import trio
import trio.testing

from gateway.crm.http import CrmHttp
from gateway.crm.network import Network
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Cut
from tester.fakes.sockets import serving

PUBLIC_ADDRESS = "5.5.5.5"
"""Passes for an address in the open internet. Nothing is ever sent to it."""


@attrs.frozen(kw_only=True)
class Heard:
    """A request that came in. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Reply:
    """What goes back. `sends_nothing`: the connection is closed instead."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sends_nothing: bool = False


Handler = Callable[[Heard], Awaitable[Reply]]
Site = Callable[[trio.abc.Stream], Awaitable[None]]
"""What happens to a connection from its beginning; it may speak HTTP or not."""


async def speak_http(handler: Handler, stream: trio.abc.Stream) -> None:
    """Answers the requests of one connection until either side closes it. A handler is cancelled when the client goes away."""
    connection = h11.Connection(h11.SERVER)
    async with stream:
        try:
            while (heard := await _hear(connection, stream)) is not None:
                reply = await _reply(handler, heard, stream)
                if reply is None or reply.sends_nothing:
                    return
                headers = [("Content-Length", str(len(reply.body))), *reply.headers]
                sent = [
                    connection.send(h11.Response(status_code=reply.status, headers=headers)),
                    connection.send(h11.Data(data=reply.body)) if reply.body else b"",
                    connection.send(h11.EndOfMessage()),
                ]
                await stream.send_all(b"".join(part or b"" for part in sent))
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.ProtocolError):
            return  # the client broke off, or does not speak HTTP


async def _hear(connection: h11.Connection, stream: trio.abc.Stream) -> Heard | None:
    request: h11.Request | None = None
    body = b""
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            case h11.Request() as request:
                pass
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage() if request is not None:
                path, _, query = request.target.decode("ascii").partition("?")
                headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
                return Heard(method=request.method.decode("ascii"), path=path, query=query, headers=headers, body=body)
            case _:
                return None


async def _reply(handler: Handler, heard: Heard, stream: trio.abc.Stream) -> Reply | None:
    reply: Reply | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            # The client sends nothing before it has its answer, so what comes is the end.
            with suppress(trio.BrokenResourceError):
                await stream.receive_some(1)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        reply = await handler(heard)
        nursery.cancel_scope.cancel()
    return reply


@asynccontextmanager
async def serve_on_loopback(site: Site) -> AsyncGenerator[str]:
    """The site on a free loopback port while the block runs; yields `http://host:port`. At the end all connections are cut."""
    async with serving(site) as url:
        yield url


def site_of(fake: CrmServer) -> Site:
    """The fake as what lives at an address of a `MemoryNetwork`. A cut answer is one that does not come."""

    async def handle(heard: Heard) -> Reply:
        target = f"{heard.path}?{heard.query}" if heard.query else heard.path
        response = await fake.answer(fake.request(heard.method, target, list(heard.headers.items()), heard.body))
        if response.cut is not Cut.NOTHING:
            return Reply(sends_nothing=True)
        return Reply(status=response.status, headers=tuple(response.all_headers), body=response.body)

    async def site(stream: trio.abc.Stream) -> None:
        await speak_http(handle, stream)

    return site


def http_over(network: Network, *, allow_private_targets: bool = False) -> CrmHttp:
    """The client of all CRMs on a network in memory. It trusts nobody: in memory nobody is asked for a certificate.

    Reading the machine's authorities, the default, takes 45 ms; most tests take less.
    """
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return CrmHttp(network=network, ssl_context=trust, allow_private_targets=allow_private_targets)


class MemoryNetwork:
    """Names, addresses and what lives there. `nursery` is where the sites run.

    An address without a site refuses connections, one in `silent` swallows them, one in `slow_seconds` takes its time, unstoppably.
    TLS is only noted down. `on_step` is called with "resolved", "connected" and "secured" at the last moment before the client goes on.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._names: dict[str, deque[Sequence[str]]] = {}
        self._sites: dict[str, Site] = {}
        self.silent: set[str] = set()
        self.silent_names: set[str] = set()
        self.slow_seconds: dict[str, float] = {}
        self.on_step: Callable[[str], None] = _nothing
        self.resolved: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self.secured: list[str] = []
        self.tls_hangs = False
        self.connections: list[MemoryConnection] = []

    def place(self, name: str, site: Site, *, address: str = PUBLIC_ADDRESS) -> None:
        """A site at an address, and a name that leads there."""
        self._sites[address] = site
        self.answer(name, [address])

    def answer(self, name: str, *answers: Sequence[str]) -> None:
        """What the look-ups of a name say, one after the other; the last one again and again."""
        self._names[name] = deque(answers)

    async def resolve(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        self.resolved.append(host)
        if host in self.silent_names:
            await trio.sleep_forever()
        answers = self._names.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.on_step("resolved")
        return answers.popleft() if len(answers) > 1 else answers[0]

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connected.append((address, port))
        if address in self.silent:
            await trio.sleep_forever()
        with trio.move_on_after(self.slow_seconds.get(address, 0.0), shield=True):
            await trio.sleep_forever()
        site = self._sites.get(address)
        if site is None:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        connection = MemoryConnection(ours)
        self.connections.append(connection)
        self._nursery.start_soon(site, theirs)
        self.on_step("connected")
        return connection

    async def secure(self, stream: trio.abc.Stream, context: ssl.SSLContext, name: str) -> trio.abc.Stream:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        self.secured.append(name)
        if self.tls_hangs:
            await trio.sleep_forever()
        self.on_step("secured")
        return stream

    @property
    def open_connections(self) -> int:
        """How many connections the client has not closed."""
        return sum(1 for connection in self.connections if not connection.is_closed)


def _nothing(_step: str) -> None:
    pass


class MemoryConnection(trio.abc.Stream):
    """The client's end of a connection; knows whether it was closed."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.is_closed = False
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self.is_closed = True
        await self._stream.aclose()
