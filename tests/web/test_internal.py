"""Health and figures on the internal listener."""

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, cast

import attrs
import pytest
import trio

from gateway.crm.registry import Crms
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.ports import Store
from gateway.web import health as health_module
from gateway.web.asgi import Message
from gateway.web.health import Health
from gateway.web.internal import create_internal_app
from gateway.web.listeners import serve_app
from tester.memory import MemoryStore
from tests.web.inside import rooms_of


@attrs.define(eq=False)
class Gateway:
    """What the probes ask about, each part to be taken away by a test."""

    database: bool = True
    hangs: bool = False
    migrations: tuple[str, ...] = ()
    replayed: bool = True
    listening: bool = True
    address: str = ""

    async def ping(self) -> None:
        if self.hangs:
            await trio.sleep_forever()
        if not self.database:
            raise StoreUnavailable("the server is gone")

    async def missing_migrations(self) -> Sequence[str]:
        return self.migrations


def create_app(gateway: Gateway, metrics: Metrics, nursery: trio.Nursery) -> Any:
    health = Health(store=cast(Store, gateway), replayed=lambda: gateway.replayed, listening=lambda: gateway.listening)
    return create_internal_app(health=health, metrics=metrics, rooms=rooms_of(MemoryStore(), Crms({}), nursery))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def gateway(metrics: Metrics) -> AsyncIterator[Gateway]:
    state = Gateway()
    async with trio.open_nursery() as nursery:
        (state.address,) = await nursery.start(partial(serve_app, create_app(state, metrics, nursery), ["127.0.0.1:0"]))
        yield state
        nursery.cancel_scope.cancel()


@pytest.fixture
def get(gateway: Gateway, open_client: Any) -> Any:
    async def ask(path: str, method: str = "GET") -> Any:
        async with open_client(gateway.address) as client:
            return await client.request(method, path)

    return ask


async def test_a_gateway_with_everything_there_is_ready(get: Any) -> None:
    response = await get("/health/ready")
    assert (response.status, response.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"database": False}, ["database"]),
        ({"hangs": True}, ["database"]),
        ({"migrations": ("0002_more.sql",)}, ["migrations"]),
        ({"replayed": False}, ["replay"]),
        ({"listening": False}, ["listeners"]),
        ({"database": False, "replayed": False, "listening": False}, ["database", "replay", "listeners"]),
    ],
)
async def test_a_gateway_that_is_not_ready_says_what_is_missing(
    gateway: Gateway, get: Any, change: dict[str, Any], missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "PROBE_SECONDS", 0.05)
    for name, value in change.items():
        setattr(gateway, name, value)
    response = await get("/health/ready")
    assert response.status == 503
    assert response.json == {"status": "error", "error": f"not ready: {', '.join(missing)}", "missing": missing}


async def test_a_gateway_without_its_database_is_alive(gateway: Gateway, get: Any) -> None:
    gateway.database = False
    response = await get("/health/live")
    assert (response.status, response.json) == (200, {"status": "ok"})


async def test_the_figures_are_in_the_format_of_prometheus(get: Any, metrics: Metrics) -> None:
    metrics.message("sent", "ok")
    metrics.telegram_error("blocked")
    metrics.calls_open(3)
    metrics.lanes_waiting(4)
    metrics.drained("left", 2)
    metrics.pool_connections("idle", 5)
    response = await get("/metrics")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in (
        'gateway_messages_total{action="sent",result="ok"} 1.0',
        'gateway_telegram_errors_total{error="blocked"} 1.0',
        "gateway_open_calls 3.0",
        "gateway_lane_queue_events 4.0",
        'gateway_drained_total{outcome="left"} 2.0',
        'gateway_pool_connections{state="idle"} 5.0',
    ):
        assert line in response.body.decode()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/x", 404), ("POST", "/metrics", 405), ("GET", "/start", 404)])
async def test_errors_are_json_here_too(get: Any, method: str, path: str, status: int) -> None:
    response = await get(path, method)
    assert response.status == status
    assert response.json["status"] == "error"


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (("127.0.0.1", 5), 200),
        (("127.8.8.8", 5), 200),
        (("::1", 5), 200),
        (("::ffff:127.0.0.1", 5), 200),
        (("::1%lo", 5), 200),
        (("203.0.113.5", 5), 403),
        (("::ffff:203.0.113.5", 5), 403),
        (("2001:db8::1", 5), 403),
        (("", 0), 403),
        (("localhost", 5), 403),
        (None, 403),
    ],
)
async def test_only_clients_on_this_machine_are_answered(client: object, status: int) -> None:
    """At the ASGI seam: a test has no second machine to come from."""
    headers = [(b"x-forwarded-for", b"127.0.0.1"), (b"host", b"localhost")]
    assert await answer_at_the_seam(headers, client=client) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "LOCALHOST:8020"}, 200),
        ({"host": "localhost."}, 200),
        ({"host": "gateway.localhost:8020"}, 200),
        ({"host": "127.0.0.1:8020"}, 200),
        ({"host": "[::1]:8020"}, 200),
        ({}, 200),
        ({"host": "evil.example:8020"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "10.0.0.5"}, 403),
        ({"host": "[2001:db8::1]:8020"}, 403),
        ({"host": "0.0.0.0:8020"}, 403),
        ({"host": ""}, 403),
        ({"host": "localhost:8020", "origin": "http://localhost:8020"}, 200),
        ({"host": "localhost:8020", "origin": "http://evil.example"}, 403),
        ({"host": "localhost:8020", "origin": "http://localhost:8025"}, 403),
        ({"host": "localhost:8020", "origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"host": "localhost:8020", "sec-fetch-site": "none"}, 200),
        ({"host": "localhost:8020", "sec-fetch-site": "same-origin"}, 200),
        ({"host": "localhost:8020", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "localhost:8020", "sec-fetch-site": "same-site"}, 403),
        ({"host": "localhost:8020", "origin": "http://localhost:8020", "sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_pages_of_other_sites_are_not_answered(headers: dict[str, str], status: int) -> None:
    """A browser on this machine sends what pages want it to; it says so."""
    assert await answer_at_the_seam([(name.encode(), value.encode()) for name, value in headers.items()]) == status


async def test_two_hosts_are_not_better_than_the_worse_one() -> None:
    assert await answer_at_the_seam([(b"host", b"localhost"), (b"host", b"evil.example")]) == 403


async def answer_at_the_seam(headers: list[tuple[bytes, bytes]], *, client: object = ("127.0.0.1", 5)) -> int:
    """The status of /health/live; the body is checked to go with it."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"} if sent else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/health/live",
        "raw_path": b"/health/live",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": client,
        "server": ("127.0.0.1", 80),
        "extensions": {},
        "asgi": {"version": "3.0"},
    }
    async with trio.open_nursery() as nursery:
        await create_app(Gateway(), Metrics(), nursery)(scope, receive, send)
    body = json.loads(b"".join(message.get("body", b"") for message in sent))
    status: int = sent[0]["status"]
    assert body["status"] == ("ok" if status == 200 else "error")
    return status
