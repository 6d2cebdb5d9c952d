"""What every fake that is reached over sockets does the same way: listen on this machine, read HTTP, leave when the client leaves."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import h11
import trio

T = TypeVar("T")


@asynccontextmanager
async def serving(site: Callable[[trio.SocketStream], Awaitable[None]], *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """`site` has each connection while the block runs, which gets the base URL. Port 0 takes a free one. At the end connections are cut."""
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(partial(trio.serve_tcp, site, port, host=host))
        bound_port: int = listeners[0].socket.getsockname()[1]
        yield f"http://{host}:{bound_port}"
        nursery.cancel_scope.cancel()


async def read_request(connection: h11.Connection, stream: trio.SocketStream, *, most_bytes: int) -> tuple[h11.Request, bytes] | None:
    """A whole request, or None at the end of the connection, and for a body of more than `most_bytes`."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most_bytes:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head, bytes(body)
        else:
            return None


async def while_connected(stream: trio.SocketStream, work: Callable[[], Awaitable[T]]) -> T | None:
    """What `work` gives; None when the client has gone before: a request that nobody waits for must not go on."""
    result: T | None = None
    async with trio.open_nursery() as nursery:

        async def leave_with_the_client() -> None:
            # Our clients do not send the next request before the answer: what becomes readable now is the end.
            await trio.lowlevel.wait_readable(stream.socket)
            nursery.cancel_scope.cancel()

        nursery.start_soon(leave_with_the_client)
        result = await work()
        nursery.cancel_scope.cancel()
    return result
