"""A public and an internal listener on real sockets, over a store that does what a test tells it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import h11
import pytest
import trio

from cache.directory import Directory
from gateway.metrics import Metrics
from gateway.nurseries.journal import Journal
from gateway.ports import Appended, EnterpriseConfig, IncomingEvent, StoredEvent
from gateway.web.asgi import App
from gateway.web.intake import Intake
from gateway.web.listeners import serve_app
from gateway.web.public import OnUpdate, create_public_app
from tester.memory import MemoryStore

JUNE = EnterpriseConfig(number="0367", name="june", token="375290000900", secret="s3cret-of-june")
MAY = EnterpriseConfig(number="0368", name="may", token="375290000901")
AUTUMN = EnterpriseConfig(number="0369", name="autumn", token="375290000902", active=False)
TWINS = (
    EnterpriseConfig(number="0370", name="twin", token="375290000903"),
    EnterpriseConfig(number="0371", name="twin", token="375290000904"),
)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class ScriptedStore(MemoryStore):
    """Awaits `before_append` and `before_reject`, which may raise or wait, and remembers what was appended new."""

    def __init__(self) -> None:
        super().__init__()
        self.incoming: list[IncomingEvent] = []
        self.batches: list[int] = []
        self.before_append: Callable[[Sequence[IncomingEvent]], Awaitable[None]] | None = None
        self.before_reject: Callable[[], Awaitable[None]] | None = None
        self.appended = trio.Event()

    async def append_events(self, batch: Sequence[IncomingEvent]) -> Sequence[Appended]:
        if self.before_append is not None:
            await self.before_append(batch)
        appended = await super().append_events(batch)
        self.batches.append(len(batch))
        self.incoming += [event for event, result in zip(batch, appended, strict=True) if not result.duplicate]
        self.appended.set()
        return appended

    async def reject_event(self, **row: Any) -> None:
        if self.before_reject is not None:
            await self.before_reject()
        await super().reject_event(**row)


@attrs.frozen
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.define(eq=False)
class Client:
    """One connection, and what h11 says of what comes back."""

    stream: trio.SocketStream
    connection: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, raw: bytes) -> None:
        await self.stream.send_all(raw)

    async def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Response:
        given = {"host": "localhost", "content-length": str(len(body)), **(headers or {})}
        request = h11.Request(method=method, target=path, headers=list(given.items()))
        await self.send(self.connection.send(request) or b"")
        await self.send((self.connection.send(h11.Data(body)) or b"") + (self.connection.send(h11.EndOfMessage()) or b""))
        return await self.response()

    async def response(self) -> Response:
        with trio.fail_after(10):
            head: h11.Response | None = None
            body = b""
            while True:
                event = self.connection.next_event()
                if event is h11.NEED_DATA:
                    self.connection.receive_data(await self.stream.receive_some(65536))
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    assert isinstance(event, h11.InformationalResponse), event
        assert head is not None
        if self.connection.our_state is h11.DONE and self.connection.their_state is h11.DONE:
            self.connection.start_next_cycle()
        return Response(head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body)


@asynccontextmanager
async def open_client(address: str) -> AsyncGenerator[Client]:
    host, _, port = address.rpartition(":")
    async with await trio.open_tcp_stream(host.strip("[]"), int(port)) as stream:
        yield Client(stream)


@attrs.define(eq=False)
class Door:
    """The public listener of a gateway."""

    address: str
    store: ScriptedStore
    journal: Journal
    directory: Directory
    metrics: Metrics
    stored: list[StoredEvent]
    traced: list[dict[str, str]]
    trace_faults: list[Exception]
    stop: trio.Event

    def client(self) -> AbstractAsyncContextManager[Client]:
        return open_client(self.address)

    async def post(
        self, path: str, body: object, *, token: str | None = JUNE.token, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", **({} if token is None else {"Token": token}), **(headers or {})}
        async with self.client() as client:
            return await client.request(method, path, raw, given)


@asynccontextmanager
async def open_door(
    store: ScriptedStore, *, on_update: OnUpdate | None = None, max_waiting_items: int = 2000, graceful_seconds: float = 3.0
) -> AsyncGenerator[Door]:
    directory = Directory([JUNE, MAY, AUTUMN, *TWINS])
    metrics = Metrics()
    stored: list[StoredEvent] = []
    traced: list[dict[str, str]] = []
    trace_faults: list[Exception] = []

    def trace(enterprise_number: str, /, **what: str) -> None:
        if trace_faults:
            raise trace_faults.pop()
        traced.append({"enterprise_number": enterprise_number, **what})

    journal = Journal(store, on_stored=stored.extend, metrics=metrics, max_waiting_items=max_waiting_items)
    app: App = Intake(
        rest=create_public_app(on_update=on_update),
        store=store,
        journal=journal,
        directory=directory,
        metrics=metrics,
        clock=lambda: NOW,
        trace=trace,
    )
    stop = trio.Event()
    serve = partial(serve_app, app, ["127.0.0.1:0"], shutdown_trigger=stop.wait, graceful_seconds=graceful_seconds)

    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        (address,) = await nursery.start(serve)
        yield Door(address, store, journal, directory, metrics, stored, traced, trace_faults, stop)
        nursery.cancel_scope.cancel()


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
async def door(store: ScriptedStore) -> AsyncIterator[Door]:
    async with open_door(store) as opened:
        yield opened


@pytest.fixture(name="open_door")
def open_door_fixture() -> Any:
    return open_door


@pytest.fixture(name="open_client")
def open_client_fixture() -> Any:
    return open_client
