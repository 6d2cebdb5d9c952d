"""How a connection to a CRM is made: resolve the name, judge every address, connect to an address that was judged.

The judged address is the one that is connected to, as a number: no second look-up stands between, so a name that changes its answer (DNS
rebinding) gains nothing. The name of the URL stays what TLS verifies.
"""

import os
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Protocol, cast

import httpcore2 as httpcore
import trio

from gateway.crm.targets import Target, is_public

# RFC 8305 8, Connection Attempt Delay: an address that does not answer costs this much and not the whole deadline.
STAGGER_SECONDS = 0.25
# A name may have hundreds of addresses; those who have many answer on the first.
MOST_ADDRESSES = 6
# A look-up that was given up goes on in its thread until the resolver loses patience (seconds to half a minute). For each name so many may
# be under way, so that one dead name server cannot use up the threads of others; other rooms' look-ups have Trio's own threads.
LOOKUPS_OF_A_NAME = 2


class NotConnected(Exception):
    """No connection was made, so nothing was sent. The text is one line without secrets."""


class AddressRefused(Exception):
    """The name leads to no address that may be connected to."""


class Network(Protocol):
    """The seam: what tests replace. Cancellation closes what was opened."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Numeric addresses of a name, best first. Raises OSError."""
        ...

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        """A connection to a numeric address. Raises OSError."""
        ...

    async def secure(self, stream: trio.abc.Stream, context: ssl.SSLContext, name: str) -> trio.abc.Stream:
        """The stream under TLS, the certificate verified for `name`. Raises `trio.BrokenResourceError`; the stream is then not closed."""
        ...


class SystemNetwork:
    """The machine's resolver and sockets."""

    def __init__(self) -> None:
        self._lookups: dict[str, trio.CapacityLimiter] = {}

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """In a thread, as there is no resolver without one; a thread that was given up holds its place until it ends."""
        self._lookups = {name: limiter for name, limiter in self._lookups.items() if limiter.borrowed_tokens}
        limiter = self._lookups.setdefault(host, trio.CapacityLimiter(LOOKUPS_OF_A_NAME))
        found = await trio.to_thread.run_sync(_look_up, host, port, abandon_on_cancel=True, limiter=limiter)
        return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        return await trio.open_tcp_stream(address, port)

    async def secure(self, stream: trio.abc.Stream, context: ssl.SSLContext, name: str) -> trio.abc.Stream:
        secured = trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)
        await secured.do_handshake()
        return secured


def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def connect(network: Network, target: Target, *, allow_private_targets: bool, trust: ssl.SSLContext, seconds: float) -> "Connection":
    """A connection over which a request can be sent.

    Args:
        trust: who may vouch for an https target.
        seconds: bound for the look-up and the connection together, and again for TLS.

    Raises: `NotConnected`, `AddressRefused`. Whatever happens, cancellation too, nothing else stays open.
    """
    stream: trio.abc.Stream | None = None
    with trio.move_on_after(seconds):
        addresses = (target.host,) if _is_address(target.host) else await _resolve(network, target)
        allowed = addresses if allow_private_targets else [address for address in addresses if is_public(address)]
        if not allowed:
            raise AddressRefused
        # Nothing waits between here and the care of `_secured`: a deadline that passes meanwhile must not lose the stream.
        stream = await _first_connected(network, _by_turns(allowed)[:MOST_ADDRESSES], target.port)
    if stream is None:
        raise NotConnected("no connection in time")
    return Connection(stream if target.scheme == "http" else await _secured(network, stream, target, trust, seconds))


async def _resolve(network: Network, target: Target) -> Sequence[str]:
    try:
        return await network.resolve(target.host, target.port)
    except (OSError, UnicodeError) as exc:  # UnicodeError: a label that IDNA does not know
        problem = exc.strerror if isinstance(exc, OSError) else None
    raise NotConnected(f"the name does not resolve: {problem or 'no reason given'}")


async def _secured(network: Network, stream: trio.abc.Stream, target: Target, trust: ssl.SSLContext, seconds: float) -> trio.abc.Stream:
    problem = "no TLS in time"
    try:
        with trio.move_on_after(seconds):
            return await network.secure(stream, trust, target.host)
    except trio.BrokenResourceError as exc:
        problem = _tls_problem(exc.__cause__)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    await trio.aclose_forcefully(stream)
    raise NotConnected(problem)


class Connection(httpcore.AsyncNetworkStream):
    """A stream as httpcore2 wants it. Without bounds for reading and writing: the caller's cancel scope is the deadline."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.ReadError from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.WriteError from exc

    async def aclose(self) -> None:
        """At once, without a goodbye of TLS: HTTP says itself where an answer ends."""
        await trio.aclose_forcefully(self._stream)

    def get_extra_info(self, info: str) -> Any:
        """What is asked of an idle connection: whether there is something to read, which then is its end."""
        if info != "is_readable":
            return None
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = cast("trio.SSLStream[trio.abc.Stream]", stream).transport_stream
        return stream.socket.is_readable() if isinstance(stream, trio.SocketStream) else False


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _by_turns(addresses: Sequence[str]) -> list[str]:
    """The two families by turns, beginning with that of the first address: one of them may lead nowhere from here (RFC 8305 4)."""
    is_first_v6 = ":" in addresses[0]
    same = [address for address in addresses if (":" in address) is is_first_v6]
    other = [address for address in addresses if (":" in address) is not is_first_v6]
    return [address for address in chain.from_iterable(zip_longest(same, other)) if address is not None]


async def _first_connected(network: Network, addresses: Sequence[str], port: int) -> trio.abc.Stream:
    """The first connection that stands; each attempt begins when the one before has failed or `STAGGER_SECONDS` later.

    Raises: `NotConnected`. Afterwards, also when cancelled, no other connection is open.
    """
    won: list[trio.abc.Stream] = []
    problems: list[str] = []

    async def attempt(address: str, is_over: trio.Event) -> None:
        try:
            stream = await network.connect(address, port)
        except OSError as exc:
            problems.append(_words(exc))
            is_over.set()
            return
        if won:
            await trio.aclose_forcefully(stream)
        else:
            won.append(stream)
            attempts.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as attempts:
            for address in addresses:
                is_over = trio.Event()
                attempts.start_soon(attempt, address, is_over)
                with trio.move_on_after(STAGGER_SECONDS):
                    await is_over.wait()
    except BaseException:
        for stream in won:
            await trio.aclose_forcefully(stream)
        raise
    if won:
        return won[0]
    raise NotConnected(f"no connection: {problems[0]}")


def _words(exc: OSError) -> str:
    """Why, in the system's words; the error's own text names the address."""
    return os.strerror(exc.errno) if exc.errno else "the address cannot be reached"


def _tls_problem(cause: BaseException | None) -> str:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"the certificate is not good: {cause.verify_message}"
        case ssl.SSLError():
            return f"no TLS: {cause.reason or 'not what answers here'}"
        case _:
            return "no TLS: the other side has closed the connection"
