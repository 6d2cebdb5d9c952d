"""How bytes come and go: psycopg's protocol generators and libpq's own state machines, waited for by Trio.

Nothing here knows a query or a row. `psycopg.generators` yields what it waits for and is sent what has become ready (see its module
docstring); libpq's connecting and cancelling are polled in the same way. Names with an underscore in psycopg are not used; the generators
are its semi-private core, hence the pinned minor version.
"""

import select
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

import psycopg
import trio
from psycopg import pq
from psycopg.abc import ConnDict
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait

from gateway.errors import SettingsError
from sql.errors import ConnectionLost, one_line

T = TypeVar("T")

WAIT_READ = Wait.R
READY_READ = Ready.R

# Sent with every connection unless the URL says otherwise. The session settings make the text of every value independent of the server's
# configuration; the keepalives find a peer that vanished without a word within about a minute instead of two hours.
_DEFAULTS = {
    "application_name": "gateway",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SESSION = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres"


async def ready(fd: int, wanted: Wait) -> Ready:
    """Wait until the socket can do (some of) what is wanted; say what it can do."""
    if wanted == Wait.R:
        await trio.lowlevel.wait_readable(fd)
        return Ready.R
    if wanted == Wait.W:
        await trio.lowlevel.wait_writable(fd)
        return Ready.W
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    if poll.poll(0):
        await trio.lowlevel.checkpoint()
    else:
        await _either(fd)
    state = Ready.NONE
    for _, flags in poll.poll(0):
        if flags & ~select.POLLOUT:  # input, or a hang-up that reading will report
            state = Ready(state | Ready.R)
        if flags & select.POLLOUT:
            state = Ready(state | Ready.W)
    return state


async def _either(fd: int) -> None:
    """Wait until the socket can be read or written."""
    closed = False

    async def first(wait: Callable[[int], Awaitable[None]]) -> None:
        nonlocal closed
        try:
            await wait(fd)
        except trio.ClosedResourceError:
            closed = True
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, trio.lowlevel.wait_readable)
            nursery.start_soon(first, trio.lowlevel.wait_writable)
    except BaseExceptionGroup:
        # Nothing but cancellation comes out of the two; one Cancelled says the same without a group around it.
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC120  (discarding the group is the point)
        raise
    if closed:
        raise trio.ClosedResourceError("closed on this side")


async def drive(generator: Generator[Wait, Ready, T], fd: int, wanted: Wait | None) -> T:
    """Carry a generator that waits for `wanted`, or has not begun (None), on to its end. Cancelled: it can be carried on again."""
    try:
        if wanted is None:
            wanted = next(generator)
        while True:
            wanted = generator.send(await ready(fd, wanted))
    except StopIteration as stop:
        return stop.value


async def open_wire(conninfo: str) -> PGconn:
    """A connection that is ready for queries, at the first address that takes it, over TCP or a Unix socket.

    Errors: SettingsError for a conninfo that cannot be understood, ConnectionLost when no address can be reached in `connect_timeout`
    seconds each (10 unless given) or the server refuses. Cancelled at any step: the socket is closed.
    """
    try:
        given = conninfo_to_dict(conninfo)
        timeout_seconds = timeout_from_conninfo({**_DEFAULTS, **given})
    except psycopg.Error:
        # libpq quotes the piece it stumbled over, and that may be the password.
        raise SettingsError("database_url: not an address of a PostgreSQL database") from None
    parameters: ConnDict = {**_DEFAULTS, **given, "client_encoding": "UTF8"}
    parameters["options"] = f"{_SESSION} {given.get('options', '')}".strip()
    complaints: list[str] = []
    for attempt in await _attempts(parameters, complaints):
        with trio.move_on_after(timeout_seconds):
            try:
                return await _open_one(make_conninfo("", **attempt))
            except psycopg.Error as exc:
                complaints.append(one_line(str(exc)))
                continue
        complaints.append(f"no answer from {attempt.get('hostaddr') or attempt.get('host')} within {timeout_seconds} s")
    raise ConnectionLost(f"cannot connect to PostgreSQL: {'; '.join(complaints) or 'no address'}")


async def _attempts(parameters: ConnDict, complaints: list[str]) -> list[ConnDict]:
    """One set of parameters for each address to try. Names are resolved here, since libpq would block the process for it."""
    hosts, addresses, ports = (str(parameters.get(key) or "").split(",") for key in ("host", "hostaddr", "port"))
    if not all(port.isdigit() or not port for port in ports) or len(ports) not in (1, max(len(hosts), len(addresses))):
        raise SettingsError("database_url: the ports are not numbers, or not as many as the hosts")
    attempts: list[ConnDict] = []
    for position in range(max(len(hosts), len(addresses))):
        one: ConnDict = {**parameters}
        for key, values in (("host", hosts), ("hostaddr", addresses), ("port", ports)):
            value = values[position] if position < len(values) else (values[0] if key == "port" else "")
            if value:
                one[key] = value
            else:
                one.pop(key, None)
        host = str(one.get("host", ""))
        if "hostaddr" in one or not host or host.startswith(("/", "@")):
            attempts.append(one)
            continue
        try:
            found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except OSError as exc:
            complaints.append(f"host {host}: {exc.strerror or exc}")
            continue
        attempts.extend({**one, "hostaddr": str(address[0])} for *_, address in found)
    return attempts


async def _open_one(conninfo: str) -> PGconn:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        while pgconn.status != pq.ConnStatus.BAD:
            match pgconn.connect_poll():
                case pq.PollingStatus.READING:
                    await trio.lowlevel.wait_readable(pgconn.socket)
                case pq.PollingStatus.WRITING:
                    await trio.lowlevel.wait_writable(pgconn.socket)
                case pq.PollingStatus.OK:
                    pgconn.nonblocking = 1
                    return pgconn
                case _:
                    break
        complaint = pgconn.get_error_message("utf-8")
    except BaseException:
        pgconn.finish()
        raise
    pgconn.finish()
    raise psycopg.OperationalError(complaint)


async def cancel_query(pgconn: PGconn) -> None:
    """Ask the server, on a connection of its own, to cancel what `pgconn` is doing; returns when the server has taken the request.

    The caller bounds it. Raises psycopg.Error or OSError when the server cannot be asked.
    """
    request = pgconn.cancel_conn()
    try:
        request.start()
        while True:
            match request.poll():
                case pq.PollingStatus.READING:
                    await trio.lowlevel.wait_readable(request.socket)
                case pq.PollingStatus.WRITING:
                    await trio.lowlevel.wait_writable(request.socket)
                case pq.PollingStatus.OK:
                    return
                case _:
                    break
    finally:
        request.finish()
    raise psycopg.OperationalError("the server cannot be asked to cancel")
