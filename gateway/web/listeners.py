"""Serving an ASGI application on several addresses with Hypercorn's connections under our own listeners.

Hypercorn 0.18 closes listeners and connections in the right order, but in its `worker_serve` a connection that was reset before it was
accepted loses the body that had already arrived; a connection whose client has gone lives on until the keep-alive time is over; an error in
one connection ends all of them; sends are shielded without a deadline, so one client that does not read holds up the shutdown for ever; and
a bind that fails does not say which. So we open the listeners ourselves and hand each connection to Hypercorn's `TCPServer`. When Hypercorn
is updated, compare with hypercorn/trio/run.py and tcp_server.py; tests/web/test_listeners.py holds all of the above.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.logging import Logger
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState

from gateway.errors import GatewayError
from gateway.web.asgi import SHOWN_PATH, App, Message, Receive, Scope, Send

# Running requests get this long at shutdown; the longest wait of a webhook is its commit, 2.5 s.
GRACEFUL_SECONDS: Final = 3.0
# A connection without a request, and one whose request line and headers do not come.
KEEP_ALIVE_SECONDS: Final = 15.0
# A client that does not take what it has asked for. The kernel holds the first megabytes of it, so only then does this begin to count.
SEND_SECONDS: Final = 30.0
# Hosts that all come back at once after an outage wait here, in the kernel, instead of being refused.
BACKLOG: Final = 1024
# Memory: a connection costs about 40 KiB and, while a body arrives, up to 64 KiB more: 52 MiB. Descriptors: the usual limit of 1,024 also
# holds the internal door (50), messages to Telegram (200), CRMs (208, `gateway.crm.http`), the database (11), logs and the rest (about
# 20), and one long poll for each bot.
MAX_CONNECTIONS: Final = 500

_access_log = logging.getLogger("gateway.access")
# The mark of a request whose body has come whole, in the state of its scope.
_WHOLE = "gateway.whole"
_log = logging.getLogger(__name__)


class BindError(GatewayError):
    """An address cannot be listened on. The text names it and says why."""


class _Log(Logger):
    """Hypercorn's log as ours: one line per request in the common log format, no query (it may carry a secret), no tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.access_logger = _access_log
        self.error_logger = _log

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        if not _access_log.isEnabledFor(logging.INFO):
            return
        if response is None and request["state"].get(_WHOLE):
            # The client has left. Hypercorn says so here, and says the answer, which is given all the same, in a second line.
            return
        client = request.get("client") or ("-",)
        status, size = "-", b"-"
        if response is not None:
            status = response["status"]
            size = next((value for name, value in response["headers"] if name == b"content-length"), b"-")
        _access_log.info(
            '%s - - [%s] "%s %s HTTP/%s" %s %s %.4f',
            client[0],
            time.strftime("%d/%b/%Y:%H:%M:%S %z"),
            request.get("method", "GET"),
            request["state"].get(SHOWN_PATH) or request["raw_path"].decode("ascii", "replace"),
            request["http_version"],
            status,
            size.decode("ascii", "replace"),
            request_time,
        )


def _configuration() -> Config:
    config = Config()
    config.logger_class = _Log
    config.errorlog = None
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # A host's proxy may keep one connection for days; there is no reason to close it after so many requests.
    config.keep_alive_max_requests = 2**31
    config.include_server_header = False
    return config


class _Socket:
    """What Hypercorn asks of a connection's socket, asked once: a client that is gone already has no name any more."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.family = socket.family
        self._server = socket.getsockname()
        try:
            self._client: Any = socket.getpeername()
        except OSError:
            self._client = ("", 0, 0, 0)[: len(self._server)] if self._server else ""

    def getpeername(self) -> Any:
        return self._client

    def getsockname(self) -> Any:
        return self._server


class _Connection:
    """A connection as Hypercorn's `TCPServer` wants it: a plain stream (no `do_handshake`) with its socket's names."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = _Socket(stream.socket)
        self.receive_some = stream.receive_some
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose
        self._stream = stream
        self._head = b""

    async def send_all(self, data: bytes) -> None:
        """Hypercorn sends the head, the body and the (empty) end of a response one after the other: head and body go out as one packet."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length:" in data.lower():
            # Where there is a length, there is at least the end to come.
            self._head = data
            return
        data, self._head = self._head + data, b""
        if not data:
            return
        with trio.move_on_after(SEND_SECONDS) as patience:
            # Hypercorn shields this against being cancelled, but for this deadline nothing would end it.
            await self._stream.send_all(data)
        if patience.cancelled_caught:
            # What was sent of it nobody knows. Closed, because the connection also waits for the client's next word.
            await self._stream.aclose()
            raise trio.BrokenResourceError("the client does not read")


class _Server(TCPServer):
    """Hypercorn's connection, which ends when its client has gone and its last request is done.

    Hypercorn's own keeps socket and task until the keep-alive time is over. A host opens a connection for every event and closes it after
    the answer; at 200 events a second that would be 3,000 dead connections.
    """

    _client_gone = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._client_gone = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if self._client_gone and isinstance(event, Updated) and event.idle:
            # Nobody is left who could send the next request.
            return
        await super().protocol_send(event)


class _Front:
    """The connections of one application."""

    def __init__(self, app: App, max_connections: int) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._config = _configuration()
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()
        self._all_gone = trio.Event()
        self.slots = trio.Semaphore(max_connections)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection to its end. Raises nothing: one connection's trouble is not the others'."""
        self._streams.add(stream)
        state = cast(LifespanState, ConnectionState({}))
        try:
            await _Server(self._app, self._config, self._context, state, cast(Any, _Connection(stream))).run()
        except* (trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        except* Exception as failures:  # noqa: BLE001
            # Safety net: Hypercorn and the protocol libraries under it read what strangers send. An error there ends this connection; left
            # alone it would end them all.
            _log.error("a connection failed", exc_info=failures)
        finally:
            self.slots.release()
            self._streams.discard(stream)
            if not self._streams:
                self._all_gone.set()

    async def finish(self) -> None:
        """Close idle connections and wait for those with a request running. Accept nothing any more before this."""
        await self._context.terminated.set()
        while self._streams:
            self._all_gone = trio.Event()
            await self._all_gone.wait()

    def cut(self) -> None:
        """Close what is still open, so that none of Hypercorn's shielded sends can wait for a client that does not read."""
        if self._streams:
            _log.warning("%d connections were cut", len(self._streams))
        for stream in self._streams:
            stream.socket.close()


@attrs.frozen
class _Door(trio.abc.Listener[trio.SocketStream]):
    """A listener that accepts while there are slots; the kernel keeps the others waiting, which costs nobody an event."""

    listener: trio.SocketListener
    slots: trio.Semaphore

    async def accept(self) -> trio.SocketStream:
        await self.slots.acquire()
        try:
            return await self.listener.accept()
        except BaseException:
            self.slots.release()
            raise

    async def aclose(self) -> None:
        await self.listener.aclose()


async def serve_app(
    app: App,
    binds: Sequence[str],
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] = trio.sleep_forever,
    graceful_seconds: float = GRACEFUL_SECONDS,
    max_connections: int = MAX_CONNECTIONS,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown_trigger` returns.

    Args:
      binds: "127.0.0.1:8000", "[::1]:8000", "localhost:8000", ":8000" (all addresses); port 0 takes a free one.
      task_status: started with the addresses really bound ("127.0.0.1:43211"), in the order of `binds`, once connections are accepted.

    Then nothing more is accepted, idle connections are closed at once, running requests are finished within `graceful_seconds` and their
    connections closed; what is left after that is cut. Cancelled, everything is cut at once. The application's life span is not run.

    Raises: `BindError`.
    """
    listeners = await open_listeners(binds)
    front = _Front(_marking_whole_requests(app), max_connections)
    doors = [_Door(listener, front.slots) for listener in listeners]
    async with trio.open_nursery() as connections:
        try:
            async with trio.open_nursery() as accepting:
                # It closes the listeners when it is cancelled.
                accepting.start_soon(partial(trio.serve_listeners, front.serve, doors, handler_nursery=connections))
                task_status.started([_printed(listener) for listener in listeners])
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(graceful_seconds):
                await front.finish()
        finally:
            front.cut()
            connections.cancel_scope.cancel()


def _marking_whole_requests(app: App) -> App:
    """The app; requests whose body has come whole are marked for the access log."""

    async def marking(scope: Scope, receive: Receive, send: Send) -> None:
        async def mark() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                scope["state"][_WHOLE] = True
            return message

        await app(scope, mark, send)

    return marking


async def open_listeners(binds: Sequence[str]) -> list[trio.SocketListener]:
    """Listeners on all of the addresses, or none.

    Raises: `BindError`.
    """
    listeners: list[trio.SocketListener] = []
    try:
        for bind in binds:
            listeners += await _open(bind)
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


async def _open(bind: str) -> list[trio.SocketListener]:
    host, port = _parse(bind)
    try:
        return await trio.open_tcp_listeners(port, host=host or None, backlog=BACKLOG)
    except OSError as exc:
        # gaierror is one as well.
        raise BindError(f"cannot listen on {bind}: {exc.strerror or exc}") from exc


def _parse(bind: str) -> tuple[str, int]:
    host, colon, port = bind.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BindError(f"cannot listen on {bind}: an IPv6 address stands in brackets, [::1]:8000")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise BindError(f"cannot listen on {bind}: it is not host:port")
    return host, int(port)


def _printed(listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
