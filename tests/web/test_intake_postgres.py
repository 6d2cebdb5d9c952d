"""The front door on a real database: 200 means committed, and what is odd in a body is not too odd for PostgreSQL."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import trio

from cache.directory import Directory
from gateway.metrics import Metrics
from gateway.nurseries.clock import wall_clock
from gateway.nurseries.journal import Journal
from gateway.ports import EnterpriseConfig
from gateway.web.intake import Intake
from gateway.web.listeners import serve_app
from gateway.web.public import create_public_app
from sql.pool import open_pool
from sql.store import PostgresStore

TOKEN = "375290000900"
HEADERS = {"Token": TOKEN}


def leave_no_trace(_number: str, /, **_what: str) -> None:
    """No enterprise is traced."""


@asynccontextmanager
async def open_gateway(url: str) -> AsyncGenerator[str]:
    async with open_pool(url) as pool, trio.open_nursery() as nursery:
        store, metrics = PostgresStore(pool), Metrics()
        journal = Journal(store, on_stored=lambda _: None, metrics=metrics)
        app = Intake(
            rest=create_public_app(on_update=None),
            store=store,
            journal=journal,
            directory=Directory([EnterpriseConfig(number="0367", name="june", token=TOKEN)]),
            metrics=metrics,
            clock=wall_clock,
            trace=leave_no_trace,
        )
        await nursery.start(journal.run)
        (address,) = await nursery.start(partial(serve_app, app, ["127.0.0.1:0"]))
        yield address
        nursery.cancel_scope.cancel()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


Open = Callable[[str], AbstractAsyncContextManager[Any]]


async def test_every_200_under_load_is_in_the_database(migrated_url: str, open_client: Open) -> None:
    answered: list[int] = []

    async def host(number: int) -> None:
        async with open_client(address) as client:
            for event in range(10):
                body = b'{"UniqueId":"%d.%d"}' % (number, event)
                response = await client.request("POST", "/start", body, HEADERS)
                assert response.status == 200
                answered.append(response.json["event_id"])

    async with open_gateway(migrated_url) as address, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(host, number)
    stored = rows(migrated_url, "select id, enterprise_number, event_type from call_events")
    assert sorted(answered) == sorted(row[0] for row in stored)
    assert {row[1:] for row in stored} == {("0367", "start")}


async def test_the_same_event_posted_by_many_at_once_is_stored_once(migrated_url: str, open_client: Open) -> None:
    answers: list[Any] = []

    async def post() -> None:
        async with open_client(address) as client:
            answers.append((await client.request("POST", "/hangup", b'{"UniqueId":"1.1"}', HEADERS)).json)

    async with open_gateway(migrated_url) as address, trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(post)
    ((event_id,),) = rows(migrated_url, "select id from call_events")
    assert {answer["event_id"] for answer in answers} == {event_id}
    assert sum("duplicate" not in answer for answer in answers) == 1


ODD_BODIES = (
    b'{"a":"\\ud800\\u0000","UniqueId":"\\u0000\\udfff"}',
    b'{"n":' + b"9" * 60_000 + b"}",
    b'{"n":1e400,"m":-0.0e-999}',
    b'{"UniqueId":"' + b"9" * 60_000 + b'"}',
    b'{"a":' * 100 + b"1" + b"}" * 100,
    b'{"a":1,"a":2,"":3}',
    b'\xef\xbb\xbf{ "a"\t:\r\n1}',
    '{"Имя":"Петрова \U0001f600 \x7f \u2028"}'.encode(),
)


async def test_odd_bodies_are_stored_as_they_came(migrated_url: str, open_client: Open) -> None:
    async with open_gateway(migrated_url) as address, open_client(address) as client:
        for body in ODD_BODIES:
            assert (await client.request("POST", "/start", body, HEADERS)).status == 200
    stored = rows(migrated_url, "select raw_data::text from call_events order by id")
    assert [row[0] for row in stored] == [body.decode("utf-8-sig") for body in ODD_BODIES]


async def test_refused_requests_are_kept_with_their_tokens_masked(migrated_url: str, open_client: Open) -> None:
    async with open_gateway(migrated_url) as address, open_client(address) as client:
        unknown = await client.request("POST", "/start", b'{"Token":"375290000999"}')
        invalid = await client.request("POST", "/dial", b"\xff\0 375290000900", HEADERS)
    assert (unknown.status, invalid.status) == (401, 422)
    kept = rows(migrated_url, "select event_type, token, raw_body, reason from rejected_events order by 1 desc")
    assert [row[:2] for row in kept] == [("start", "***0999"), ("dial", "***0900")]
    assert "375290000" not in str(kept)
