"""What stands between a test and its database: a proxy that can misbehave like a network, and a clock in steps of one task."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from sql.driver import Connection, connect


@attrs.define(eq=False)
class Proxy:
    """A TCP port on 127.0.0.1 in front of a server. `url` is the same database through it."""

    upstream: dict[str, str]
    nursery: trio.Nursery
    port: int = 0
    open_connections: int = 0
    accepted: int = 0
    flowing: trio.Event = attrs.field(factory=trio.Event)
    _lines: set[trio.CancelScope] = attrs.field(factory=set[trio.CancelScope])
    _listening: trio.CancelScope | None = None

    @property
    def url(self) -> str:
        return self.url_of("127.0.0.1")

    def url_of(self, host: str) -> str:
        query = urlencode({key: self.upstream[key] for key in ("user", "password") if key in self.upstream})
        return f"postgresql://{host}:{self.port}/{self.upstream['dbname']}?{query}"

    async def start(self) -> None:
        """Accept connections, on the same port as before."""
        self.flowing.set()
        await self.nursery.start(self._serve)

    def refuse(self) -> None:
        """No new connections; those there are go on."""
        assert self._listening is not None
        self._listening.cancel()

    def stop(self) -> None:
        """Refuse connections and break off those there are: the server is gone."""
        self.refuse()
        self.cut()

    def cut(self) -> None:
        for line in self._lines:
            line.cancel()

    def fall_silent(self) -> None:
        """Accept, and say nothing more: a firewall has forgotten the connection, or the host hangs."""
        self.flowing = trio.Event()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._listening:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as accepting:
                await accepting.start(partial(trio.serve_listeners, self._carry, listeners, handler_nursery=self.nursery))
                task_status.started()

    async def _carry(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        self.open_connections += 1
        with trio.CancelScope() as line:
            self._lines.add(line)
            try:
                await self._carry_within(client, line)
            except OSError:
                pass  # no server behind the proxy: the client finds the line cut
            finally:
                self._lines.discard(line)
                self.open_connections -= 1

    async def _carry_within(self, client: trio.SocketStream, line: trio.CancelScope) -> None:
        async with client, await self._open_upstream() as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, client, server, line)
            nursery.start_soon(self._pump, server, client, line)

    async def _open_upstream(self) -> trio.SocketStream:
        host, port = self.upstream["host"], self.upstream.get("port", "5432")
        if host.startswith("/"):
            return await trio.open_unix_socket(f"{host}/.s.PGSQL.{port}")
        return await trio.open_tcp_stream(host, int(port))

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream, line: trio.CancelScope) -> None:
        try:
            while chunk := await source.receive_some():
                await self.flowing.wait()
                await target.send_all(chunk)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        line.cancel()


@pytest.fixture
async def proxy(database_url: str, nursery: trio.Nursery) -> Proxy:
    upstream = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    proxy = Proxy(upstream, nursery)
    await proxy.start()
    return proxy


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    opened = await connect(database_url)
    yield opened
    opened.close()


@pytest.fixture
async def observer(database_url: str) -> AsyncGenerator[Connection]:
    """A second connection, to see what the first one really did."""
    opened = await connect(database_url)
    yield opened
    opened.close()


class _StepCanceller(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, steps: int) -> None:
        self._task, self._scope, self._left = task, scope, steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if not self._left:
                self._scope.cancel()


async def cancelled_at_step(step: int, work: Callable[[], Awaitable[object]]) -> bool:
    """Run `work` and cancel it when this task gives way for the `step`th time. Whether it was cut."""
    with trio.CancelScope() as scope:
        canceller = _StepCanceller(trio.lowlevel.current_task(), scope, step)
        trio.lowlevel.add_instrument(canceller)
        try:
            if not step:
                scope.cancel()
            await work()
        finally:
            trio.lowlevel.remove_instrument(canceller)
    return scope.cancelled_caught


@pytest.fixture
def at_each_step() -> Callable[[Callable[[], Awaitable[object]], Callable[[bool], Awaitable[object]]], Coroutine[Any, Any, int]]:
    """Cancel `work` at its first step, then at its second, … until it gets through; `check` after each. The number of cuts."""

    async def run(work: Callable[[], Awaitable[object]], check: Callable[[bool], Awaitable[object]]) -> int:
        step = 0
        while await cancelled_at_step(step, work):
            await check(True)
            step += 1
            assert step < 200, "the work never ends"
        await check(False)
        return step

    return run
