"""The HTTP below the Bot API: one POST, one bounded answer, one total deadline. The only module that knows httpx2.

The Bot API carries the token in the URL (Bot API, "Making requests"), so a URL is a secret here. Three things keep it inside:
- requests go to the transport, not through `httpx.AsyncClient`, whose INFO log prints the URL of every request (and which would follow a
  redirect with the token in it);
- errors of httpx, which carry the request, are not raised, chained or kept as context: what leaves is a `NetworkTrouble`;
- the loggers of the HTTP libraries get a filter that blanks tokens, because their DEBUG lines print response headers, and a proxy's
  `Location` header repeats the URL.
"""

import logging
import re
from types import TracebackType
from typing import Self

import anyio
import attrs
import httpx2 as httpx

from telegram_client.errors import BadAnswer, NetworkTrouble, TelegramError

CLOSE_SECONDS = 2.0

_TOKEN = re.compile(r"bot\d+(?::|%3A)[\w%-]+", re.IGNORECASE | re.ASCII)

# A filter works only on the logger it sits on, not on its children, so each one is named.
_LOGGERS = ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "httpcore2.socks")


def without_tokens(text: str) -> str:
    """The text with everything that looks like the token part of a Bot API URL blanked."""
    return _TOKEN.sub("bot<token>", text)


class _BlankTokens(logging.Filter):
    """Writes the record's final text without tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if _TOKEN.search(text) is not None:
            record.msg, record.args = without_tokens(text), None
        return True


def keep_tokens_out_of_logs() -> None:
    """Put the filter on the HTTP libraries' loggers. Harmless when repeated; `HttpClient` does it when it is entered."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _BlankTokens) for known in logger.filters):
            logger.addFilter(_BlankTokens())


@attrs.frozen(kw_only=True)
class RawAnswer:
    """An answer as it came: the body is whole and within the bound, `retry_after` is the header of that name or ""."""

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: str = ""


@attrs.frozen
class Address:
    """Where one method of one bot lives. Holds the token, so it never shows itself."""

    url: httpx.URL = attrs.field(repr=False)
    host_header: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Parse once, use for every request. Raises `ValueError` without the text of the URL."""
        parsed = _parse(url)
        if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("not an http or https address")
        return cls(parsed, parsed.netloc)


def _parse(url: str) -> httpx.URL | None:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


class HttpClient:
    """A pool of connections to the Bot API, shared by all bots of the process.

    Args:
        connect_seconds: bound for getting a connection, made or free. What fails here was not sent.
        max_connections: bound of the pool, None for none. A long poll holds a connection for as long as it lasts, so polls
            should have a client of their own, without a bound.
        proxy: an http or SOCKS proxy URL, None for none. The environment's proxy variables are not looked at.
        transport: takes the place of the network (tests).

    Use as an async context manager; leaving it closes all connections.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = 5.0,
        max_connections: int | None = 200,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._transport = transport or httpx.AsyncHTTPTransport(
            # Idle connections are dropped before a server does so: a request that meets a closing connection is lost in doubt.
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=32, keepalive_expiry=20.0),
            proxy=proxy,
        )

    def __repr__(self) -> str:
        return "HttpClient()"

    async def __aenter__(self) -> Self:
        keep_tokens_out_of_logs()
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Also when the run is being cancelled: sockets are closed, not left to the garbage collector. TLS may want to say goodbye.
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._transport.__aexit__(exc_type, exc_value, traceback)

    async def post(self, address: Address, body: bytes, *, method: str, answer_seconds: float, max_bytes: int) -> RawAnswer:
        """POST JSON and read the whole answer.

        Args:
            answer_seconds: bound for everything after the connection is there; the total bound is three times `connect_seconds`
                (a free place in the pool, TCP, TLS) plus this.
            max_bytes: a larger answer is refused unread.

        Raises: `NetworkTrouble`, `BadAnswer`. After cancellation the connection is closed; the request may have been carried out.
        """
        connect = self._connect_seconds
        request = httpx.Request(
            "POST",
            address.url,
            headers=[
                (b"Host", address.host_header),
                (b"Content-Type", b"application/json"),
                (b"Content-Length", str(len(body)).encode()),
                (b"Accept-Encoding", b"identity"),  # an answer that cannot grow while it is unpacked
            ],
            stream=httpx.ByteStream(body),
            extensions={"timeout": {"connect": connect, "pool": connect, "read": answer_seconds, "write": answer_seconds}},
        )
        trouble: TelegramError
        # One bound for the whole exchange: the transport's own bounds start anew with every byte that drips in.
        with anyio.move_on_after(3 * connect + answer_seconds):
            try:
                return await self._exchange(request, max_bytes=max_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as exc:
                trouble = NetworkTrouble(f"not connected ({type(exc).__name__})", method=method, ambiguous=False)
            except httpx.LocalProtocolError:
                trouble = NetworkTrouble("a request that HTTP cannot carry", method=method, ambiguous=False)
            except httpx.TransportError as exc:
                trouble = NetworkTrouble(f"no whole answer ({type(exc).__name__})", method=method, ambiguous=True)
            except _Unusable as exc:
                trouble = BadAnswer(str(exc), method=method, ambiguous=True)
            # Outside of the handlers: raised inside, it would carry httpx's error, and so the URL, as its context.
            raise trouble
        raise NetworkTrouble("no whole answer in time", method=method, ambiguous=True)

    async def _exchange(self, request: httpx.Request, *, max_bytes: int) -> RawAnswer:
        response = await self._transport.handle_async_request(request)
        try:
            headers = response.headers
            if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
                raise _Unusable("a compressed answer that was not asked for")
            parts: list[bytes] = []
            size = 0
            # Cut off by cancellation, which ends all the generators nested inside; leaving the loop would leave them hanging.
            with anyio.CancelScope() as reading:
                async for part in response.aiter_raw():
                    size += len(part)
                    if size > max_bytes:
                        reading.cancel()
                    else:
                        parts.append(part)
            if size > max_bytes:
                raise _Unusable(f"HTTP {response.status_code} with more than {max_bytes} bytes")
        finally:
            await response.aclose()
        return RawAnswer(status=response.status_code, body=b"".join(parts), retry_after=headers.get("retry-after", ""))


class _Unusable(Exception):
    """The answer is refused; the text says why and is safe to show."""
