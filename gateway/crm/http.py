"""The HTTP below all CRMs: one request, one bounded answer, no redirects, no secret outside.

A URL, a header or a body may hold a key, each CRM in its own place. So nothing of them leaves this module:
- errors of httpcore2 and h11 are not raised, chained or kept as context; what leaves is a `CrmTrouble` with words of ours;
- what httpcore2 logs while it works for a CRM is dropped: its DEBUG lines print headers of answers, and a key has no shape to look for;
- requests and targets do not show their parts.

There is no deadline here for sending and receiving: the caller's cancel scope is it. Only making a connection is bounded, so that an
address that swallows packets is told from a CRM that thinks.

Places: an account (an enterprise) has at most `CONNECTIONS_OF_A_TARGET` at once at a target (scheme, host, port); a CRM that hangs takes no
more, and whoever waits for its next place holds up nobody else. All targets together have `MOST_CONNECTIONS`, because a process has some
thousand descriptors: it takes 26 hanging targets at the same time to use those up, for as long as their callers wait.
"""

import json
import logging
import ssl
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import attrs
import httpcore2 as httpcore
import trio

from gateway.crm.base import Problem
from gateway.crm.network import AddressRefused, Network, NotConnected, SystemNetwork, connect
from gateway.crm.targets import Target
from gateway.errors import GatewayError

MOST_ANSWER_BYTES = 256 * 1024
CONNECTIONS_OF_A_TARGET = 8
MOST_CONNECTIONS = 208
# For the look-up with the connection, and again for TLS.
CONNECT_SECONDS = 5.0
# Long enough for the requests of one call to share a connection; a server may close an idle one while a request is on its way.
IDLE_SECONDS = 5.0
MOST_IDLE = 32
CLOSE_SECONDS = 2.0

_FOR_A_CRM: ContextVar[bool] = ContextVar("request_for_a_crm", default=False)
_LOGGER = "httpcore2.http11"


class CrmTrouble(GatewayError):
    """There is no answer. The text is one line without secrets.

    `is_ambiguous`: the request may have been carried out all the same.
    """

    def __init__(self, problem: Problem, text: str, *, is_ambiguous: bool) -> None:
        super().__init__(text)
        self.problem = problem
        self.is_ambiguous = is_ambiguous


@attrs.frozen(kw_only=True)
class HttpRequest:
    """A request, ready to be sent. `Host`, `Content-Length` and `Accept-Encoding` are added.

    `account`: on whose behalf (the enterprise); places at a target are counted for each. `wanted_headers`: those of the answer, lower
    case, that mean something to whoever asks.
    """

    method: str
    target: Target
    account: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    wanted_headers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """An answer, decompressed. `retry_after` is the header of that name or "", `headers` those of the wanted ones that are there.

    `flaw`: why `body` is not all of it or not usable (too long, broken off, a compression that was not asked for), "" when it is whole. The
    status is known all the same.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: str = ""
    flaw: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


def json_request(method: str, target: Target, content: Any, *, account: str = "", headers: Mapping[str, str] | None = None) -> HttpRequest:
    """With a JSON body, compact and in ASCII, so that any text has a form, a lone surrogate too."""
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    return HttpRequest(method=method, target=target, account=account, headers=headers, body=body)


def form_request(
    method: str, target: Target, fields: Mapping[str, str], *, account: str = "", headers: Mapping[str, str] | None = None
) -> HttpRequest:
    """With the fields of a form as body."""
    body = urlencode(fields, errors="replace").encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    return HttpRequest(method=method, target=target, account=account, headers=headers, body=body)


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not _FOR_A_CRM.get()


@attrs.define
class _Places:
    free: trio.Semaphore
    users: int = 0


@attrs.frozen
class _Idle:
    target: "_Key"
    connection: httpcore.AsyncHTTP11Connection


_Key = tuple[str, str, int]


class CrmHttp:
    """Connections to CRMs, shared by all adapters of the process. Use as an async context manager; leaving it closes them.

    Args:
        allow_private_targets: plain http, loopback and private addresses may be asked (a CRM in the own network, tests).
        network: takes the place of the machine's (tests).
        ssl_context: whom to trust; the machine's authorities by default.
    """

    def __init__(
        self,
        *,
        allow_private_targets: bool = False,
        connect_seconds: float = CONNECT_SECONDS,
        network: Network | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private_targets = allow_private_targets
        self._connect_seconds = connect_seconds
        self._network = network or SystemNetwork()
        self._trust = ssl_context or httpcore.default_ssl_context()
        self._free = trio.Semaphore(MOST_CONNECTIONS)
        self._places: dict[tuple[str, _Key], _Places] = {}
        self._idle: list[_Idle] = []

    def __repr__(self) -> str:
        return "CrmHttp()"

    async def __aenter__(self) -> Self:
        logger = logging.getLogger(_LOGGER)
        if not any(isinstance(known, _Silence) for known in logger.filters):
            logger.addFilter(_Silence())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        idle, self._idle = self._idle, []
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            for kept in idle:
                await kept.connection.aclose()

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Ask, and read the answer whatever its status.

        Raises: `CrmTrouble` with TARGET_REFUSED, CONNECTION or SETTINGS. After cancellation the connection is closed, and the request may
        have been carried out.
        """
        if request.target.scheme != "https" and not self._allow_private_targets:
            raise CrmTrouble(Problem.TARGET_REFUSED, "plain http is refused", is_ambiguous=False)
        token = _FOR_A_CRM.set(True)
        try:
            async with self._place(request):
                done = await self._attempt(request)
        finally:
            _FOR_A_CRM.reset(token)
        if isinstance(done, CrmTrouble):
            raise done
        return done

    async def _attempt(self, request: HttpRequest) -> HttpAnswer | CrmTrouble:
        """A trouble is returned: raised inside a handler, it would carry the library's error, and so the request, as its context."""
        try:
            return await self._exchange(request)
        except AddressRefused:
            return CrmTrouble(Problem.TARGET_REFUSED, "the target has no public address", is_ambiguous=False)
        except NotConnected as exc:
            return CrmTrouble(Problem.CONNECTION, str(exc), is_ambiguous=False)
        except httpcore.LocalProtocolError:
            return CrmTrouble(Problem.SETTINGS, "the request has a character that HTTP cannot carry", is_ambiguous=False)
        except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException) as exc:
            return CrmTrouble(Problem.CONNECTION, f"no answer ({type(exc).__name__})", is_ambiguous=True)

    @asynccontextmanager
    async def _place(self, request: HttpRequest) -> AsyncGenerator[None]:
        # Hundreds of enterprises share the host of a vendor: one whose account is slow must not take the places of the others.
        key = (request.account, _key(request.target))
        places = self._places.setdefault(key, _Places(trio.Semaphore(CONNECTIONS_OF_A_TARGET)))
        places.users += 1
        try:
            async with places.free, self._free:
                yield
        finally:
            places.users -= 1
            if not places.users:
                del self._places[key]

    async def _exchange(self, request: HttpRequest) -> HttpAnswer:
        target = request.target
        headers = {"Host": target.host_header, "Accept-Encoding": "gzip", **request.headers, "Content-Length": str(len(request.body))}
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
            headers=[(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in headers.items()],
            content=request.body,
        )
        connection = await self._take_idle(target) or await self._connect(target)
        try:
            answer = await _answered(await connection.handle_async_request(asked), request.wanted_headers)
        except BaseException:
            # Before its first checkpoint is passed httpcore2 does not care for the connection.
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await connection.aclose()
            raise
        if connection.is_idle() and len(self._idle) < MOST_IDLE:
            self._idle.append(_Idle(_key(target), connection))
        else:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await connection.aclose()
        return answer

    async def _connect(self, target: Target) -> httpcore.AsyncHTTP11Connection:
        stream = await connect(
            self._network,
            target,
            allow_private_targets=self._allow_private_targets,
            trust=self._trust,
            seconds=self._connect_seconds,
        )
        origin = httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port)
        return httpcore.AsyncHTTP11Connection(origin, stream, keepalive_expiry=IDLE_SECONDS)

    async def _take_idle(self, target: Target) -> httpcore.AsyncHTTP11Connection | None:
        """The idle connection to this target that was used last. Closes those that have become old or have ended, to whomever they lead."""
        taken: httpcore.AsyncHTTP11Connection | None = None
        kept: list[_Idle] = []
        old: list[httpcore.AsyncHTTP11Connection] = []
        for idle in reversed(self._idle):
            if idle.connection.has_expired():
                old.append(idle.connection)
            elif taken is None and idle.target == _key(target):
                taken = idle.connection
            else:
                kept.insert(0, idle)
        self._idle = kept
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            for connection in old:
                await connection.aclose()
        return taken


def _key(target: Target) -> _Key:
    return target.scheme, target.host, target.port


async def _answered(response: httpcore.Response, wanted: tuple[str, ...]) -> HttpAnswer:
    try:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        body, flaw = await _read(response, headers.get("content-encoding", ""))
    finally:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await response.aclose()
    kept = {name: headers[name] for name in wanted if name in headers}
    return HttpAnswer(status=response.status, body=body, retry_after=headers.get("retry-after", ""), flaw=flaw, headers=kept)


async def _read(response: httpcore.Response, encoding: str) -> tuple[bytes, str]:
    """The body as far as it is good, and what is wrong with the rest."""
    body = _Body(encoding.strip().lower())
    try:
        async with aclosing(response.aiter_stream()) as parts:
            async for part in parts:
                body.add(part)
            body.end()
    except _Flaw as exc:
        return b"".join(body.parts), str(exc)
    except (httpcore.ProtocolError, httpcore.NetworkError) as exc:
        return b"".join(body.parts), f"the answer broke off ({type(exc).__name__})"
    return b"".join(body.parts), ""


class _Flaw(Exception):
    """The rest of the answer is not read; the text says why and is safe to show."""


class _Body:
    """Counts what comes and what it becomes: neither may pass the bound, so a small answer cannot unpack into a huge one."""

    def __init__(self, encoding: str) -> None:
        self.parts: list[bytes] = []
        self._encoding = encoding
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding in ("gzip", "x-gzip") else None
        self._received_bytes = 0
        self._size_bytes = 0

    def add(self, data: bytes) -> None:
        """Raises `_Flaw`."""
        self._received_bytes += len(data)
        if self._unpack is not None:
            try:
                data = self._unpack.decompress(data, MOST_ANSWER_BYTES - self._size_bytes + 1)
            except zlib.error as exc:
                raise _Flaw("the answer's compression is broken") from exc
        elif self._encoding not in ("", "identity"):
            raise _Flaw("the answer is compressed in a way that was not asked for")
        self._size_bytes += len(data)
        if max(self._size_bytes, self._received_bytes) > MOST_ANSWER_BYTES:
            raise _Flaw(f"the answer has more than {MOST_ANSWER_BYTES} bytes")
        self.parts.append(data)

    def end(self) -> None:
        """Raises `_Flaw`."""
        if self._unpack is not None and self._received_bytes and not self._unpack.eof:
            raise _Flaw("the answer's compression is broken")
