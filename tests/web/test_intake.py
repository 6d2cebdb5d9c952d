"""Every status of the front door (the table in docs/operations.md, "A first call"), over real sockets."""

import json
from collections.abc import Sequence
from typing import Any

import h11
import pytest
import trio

from gateway.errors import StoreRejected, StoreUnavailable
from gateway.ports import IncomingEvent
from gateway.web import asgi, intake
from gateway.web.asgi import MAX_BODY_BYTES

TOKEN = "375290000900"
START = {"UniqueId": "1757840723.6", "Phone": "375290000111", "CallType": 0, "Trunk": "0001363", "Token": TOKEN}


def is_error(response: Any) -> bool:
    body = response.json
    assert response.headers["content-type"] == "application/json"
    return set(body) == {"status", "error"} and body["status"] == "error" and bool(body["error"]) and "\n" not in body["error"]


@pytest.mark.parametrize("kind", ["start", "dial", "bridge", "hangup", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid"])
async def test_a_webhook_is_answered_with_its_id_once_it_is_stored(door: Any, kind: str) -> None:
    response = await door.post(f"/{kind}", START)
    assert (response.status, response.json) == (200, {"status": "ok", "event_id": 1})
    assert response.headers["content-type"] == "application/json"
    (event,) = door.store.incoming
    assert (event.enterprise_number, event.kind, event.unique_id) == ("0367", kind, "1757840723.6")
    assert [stored.event_id for stored in door.stored] == [1]


async def test_the_body_is_kept_as_it_was_posted(door: Any) -> None:
    raw = '{ "Token":"375290000900",\r\n "UniqueId" : "1.2","Имя":"\\u041f\\ud83d А", "n": 1e400, "big": 12345678901234567890123 }'.encode()
    assert (await door.post("/start", raw)).status == 200
    assert door.store.incoming[0].raw_body == raw.decode()


@pytest.mark.parametrize("kind", ["start", "dial", "hangup"])
async def test_the_same_event_again_is_a_duplicate_whatever_the_order_of_its_keys(door: Any, kind: str) -> None:
    await door.post(f"/{kind}", START)
    response = await door.post(f"/{kind}", dict(reversed(START.items())))
    assert (response.status, response.json) == (200, {"status": "ok", "event_id": 1, "duplicate": True})
    assert len(door.store.incoming) == len(door.stored) == 1


async def test_a_channel_event_is_never_a_duplicate(door: Any) -> None:
    for number in (1, 2):
        assert (await door.post("/bridge", START)).json == {"status": "ok", "event_id": number}


@pytest.mark.parametrize("key", ["375290000900", "s3cret-of-june"])
async def test_token_and_secret_of_an_enterprise_open_the_door(door: Any, key: str) -> None:
    assert (await door.post("/start", {"UniqueId": "1.1"}, token=key)).status == 200
    assert door.store.incoming[0].enterprise_number == "0367"


@pytest.mark.parametrize("key", ["0367", "june"])
async def test_what_is_no_secret_of_an_enterprise_opens_no_door(door: Any, key: str) -> None:
    assert (await door.post("/start", {"UniqueId": "1.1"}, token=key)).status == 401


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (TOKEN, {"UniqueId": "1.1"}),
        (None, START),
        (TOKEN, START),
        (TOKEN, {"Token": ""}),
        (None, {"Token": int(TOKEN)}),
        (TOKEN, {"Token": [1]}),
    ],
)
async def test_a_token_is_taken_from_the_header_or_the_body(door: Any, header: str | None, body: dict[str, Any]) -> None:
    assert (await door.post("/start", body, token=header)).status == 200


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (None, {"UniqueId": "1.1"}),
        ("", {"UniqueId": "1.1"}),
        (None, {"Token": None}),
        (None, {"Token": "375290000999"}),
        ("375290000999", START),
        ("375290000999", {"UniqueId": "1.1"}),
        ("375290000901", START),
        (TOKEN, {"Token": "375290000901"}),
        ("375290000902", {}),
        ("twin", {}),
    ],
)
async def test_no_or_unknown_or_contradicting_tokens_are_401_and_kept_masked(door: Any, header: str | None, body: dict[str, Any]) -> None:
    response = await door.post("/hangup", body, token=header)
    assert response.status == 401
    assert is_error(response)
    assert door.store.incoming == []
    (row,) = door.store.rejected
    assert row.kind == "hangup"
    kept = f"{row.token} {row.raw_body} {row.reason}"
    for token in (header, body.get("Token")):
        assert not token or len(token) <= 4 or token not in kept
    token = header or body.get("Token") or ""
    assert row.token == ("***" + token[-4:] if len(token) > 4 else "***" * bool(token))


async def test_two_token_headers_that_differ_are_401(door: Any) -> None:
    async with door.client() as client:
        await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ntoken: may\r\ncontent-length: 2\r\n\r\n{}")
        client.connection.send(_sent())
        assert (await client.response()).status == 401


def _sent() -> Any:
    return h11.Request(method="POST", target="/", headers=[("host", "x")])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[1]",
        b'"text"',
        b"12",
        b"null",
        b"{",
        b'{"a":1}{',
        b"{'a':1}",
        b"\xff\xfe{}",
        b'{"a":"\xcf"}',
        b"NaN",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\x00"}',
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"[" * 60000,
        b'{"Token":"375290000900"',
        "{}".encode("utf-16"),
    ],
)
async def test_a_body_that_is_no_json_object_is_422_and_kept(door: Any, raw: bytes) -> None:
    response = await door.post("/start", raw)
    assert response.status == 422
    assert is_error(response)
    (row,) = door.store.rejected
    assert row.token == "***0900"
    assert TOKEN not in row.raw_body
    assert "\0" not in row.raw_body
    assert door.store.incoming == []


async def test_a_bad_body_with_an_unknown_token_is_401(door: Any) -> None:
    assert (await door.post("/start", b"hello", token="375290000999")).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"CallType": "0", "Extensions": [""], "StartTime": "2025-13-45 99:00:00"},
        {"CallStatus": 2, "Extensions": "150&151"},
        {"CallType": [1]},
        {"UniqueId": 1757840723.6},
        {"UniqueId": None},
        {"UniqueId": ["x"]},
        {"UniqueId": "\0\ud800"},
        {"UniqueId": "9" * 5000},
        {"a": {"b": [[[1]]]}},
        {},
    ],
)
async def test_no_type_or_value_of_a_field_is_a_reason_to_refuse(door: Any, body: dict[str, Any]) -> None:
    assert (await door.post("/hangup", body)).status == 200
    (event,) = door.store.incoming
    event.unique_id.encode()
    assert "\0" not in event.unique_id
    assert len(event.unique_id) <= 200


async def test_a_number_of_5000_digits_is_stored(door: Any) -> None:
    assert (await door.post("/start", b'{"n":' + b"9" * 5000 + b"}")).status == 200


async def test_a_body_of_64_kib_is_stored_and_one_byte_more_is_413(door: Any) -> None:
    body = b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}'
    assert (await door.post("/start", body)).status == 200
    response = await door.post("/start", body + b" ")
    assert response.status == 413
    assert is_error(response)
    assert len(door.store.incoming) == 1


async def test_a_chunked_body_without_a_length_is_counted(door: Any) -> None:
    async with door.client() as client:
        for _ in range(2):
            await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(70):
                await client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await client.send(b"0\r\n\r\n")
            client.connection.send(_sent())
            client.connection.send(_end())
            # Read whole, so the connection lives on.
            assert (await client.response()).status == 413


def _end() -> Any:
    return h11.EndOfMessage()


async def test_a_length_that_is_too_large_is_413_however_little_comes(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "DISCARD_SECONDS", 0.05)
    async with door.client() as client:
        await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ncontent-length: 70000\r\n\r\n{}")
        assert b" 413 " in await _all(client)
    assert door.store.incoming == []


async def test_a_body_that_does_not_come_is_408_and_cut_off(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    async with door.client() as client:
        await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ncontent-length: 20\r\n\r\n{}")
        assert b" 408 " in await _all(client)
    assert door.store.incoming == []
    await _no_connection_is_left(door)


async def test_a_length_that_lies_downwards_cuts_the_body(door: Any) -> None:
    async with door.client() as client:
        await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ncontent-length: 2\r\n\r\n{}" + b"x" * 100_000)
        client.connection.send(_sent())
        assert (await client.response()).status == 200
    assert [event.raw_body for event in door.store.incoming] == ["{}"]


async def test_who_never_stops_sending_is_answered_413_and_cut_off(door: Any) -> None:
    async with door.client() as client:
        await client.send(b"POST /start HTTP/1.1\r\nhost: x\r\ntoken: 375290000900\r\ncontent-length: 99000000\r\n\r\n")
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:

                async def pour() -> None:
                    try:
                        while True:
                            await client.send(b"x" * 65536)
                    except trio.BrokenResourceError:
                        pass

                nursery.start_soon(pour)
                assert b" 413 " in await _all(client)
    await _no_connection_is_left(door)


async def _all(client: Any) -> bytes:
    received = b""
    with trio.move_on_after(5):
        try:
            while chunk := await client.stream.receive_some(65536):
                received += chunk
        except trio.BrokenResourceError:
            pass
    return received


async def _no_connection_is_left(door: Any) -> None:
    """The door closes at once when nothing is left behind in it."""
    with trio.fail_after(2):
        door.stop.set()
        while True:
            try:
                async with door.client():
                    await trio.lowlevel.checkpoint()
            except OSError:
                break


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_another_method_is_405_in_json(door: Any, method: str) -> None:
    response = await door.post("/start", b"", method=method)
    assert response.status == 405
    assert response.headers["allow"] == "POST"
    assert is_error(response)


@pytest.mark.parametrize("path", ["/", "/starts", "/start/", "/telegram/1", "/health/live", "/metrics", "/%00", "/static/x", "*"])
async def test_another_path_is_404_in_json(door: Any, path: str) -> None:
    response = await door.post(path, START)
    assert response.status == 404
    assert is_error(response)


async def test_the_absolute_form_of_a_path_is_understood(door: Any) -> None:
    assert (await door.post("http://gateway.example/start?x=1", START)).status == 200


async def test_without_the_database_it_is_503_with_retry_after_at_once(door: Any) -> None:
    async def away(batch: Sequence[IncomingEvent]) -> None:
        raise StoreUnavailable("the server is gone")

    door.store.before_append = away
    response = await door.post("/start", START)
    assert response.status == 503
    assert is_error(response)
    assert int(response.headers["retry-after"]) > 0
    door.store.before_append = None
    assert (await door.post("/start", START)).status == 200


async def test_a_commit_that_takes_too_long_is_503_and_still_stored(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "COMMIT_SECONDS", 0.05)
    release = trio.Event()

    async def slow(batch: Sequence[IncomingEvent]) -> None:
        await release.wait()

    door.store.before_append = slow
    assert (await door.post("/start", START)).status == 503
    release.set()
    await door.store.appended.wait()
    assert len(door.store.incoming) == 1


async def test_more_waiting_events_than_there_is_room_for_are_503(open_door: Any, store: Any) -> None:
    release = trio.Event()

    async def slow(batch: Sequence[IncomingEvent]) -> None:
        await release.wait()

    store.before_append = slow
    async with open_door(store, max_waiting_items=2) as door:
        statuses: list[int] = []

        async def post(number: int) -> None:
            statuses.append((await door.post("/start", {"UniqueId": str(number)})).status)
            if len(statuses) == 2:
                release.set()

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(post, number)
        # Two wait, and one or two are on their way to the database.
        assert statuses.count(503) in {2, 3}
        assert statuses.count(200) == len(store.incoming) == 6 - statuses.count(503)


async def test_an_event_the_database_refuses_is_422_and_the_others_are_stored(door: Any) -> None:
    async def picky(batch: Sequence[IncomingEvent]) -> None:
        if any(event.unique_id == "bad" for event in batch):
            raise StoreRejected("invalid value")

    door.store.before_append = picky
    statuses: dict[str, int] = {}

    async def post(unique_id: str) -> None:
        statuses[unique_id] = (await door.post("/start", {"UniqueId": unique_id, "Token": TOKEN})).status

    async with trio.open_nursery() as nursery:
        for unique_id in ("1", "bad", "2"):
            nursery.start_soon(post, unique_id)
    assert statuses == {"1": 200, "bad": 422, "2": 200}
    (row,) = door.store.rejected
    assert TOKEN not in row.raw_body
    assert row.token == "***0900"


async def test_a_fault_of_ours_is_500_in_json_and_logged(door: Any, expected_errors: Any) -> None:
    def broken(key: str) -> None:
        raise ZeroDivisionError

    door.directory.resolve = broken
    response = await door.post("/start", START)
    assert response.status == 500
    assert is_error(response)
    expected_errors.claim("could not be taken")


async def test_keeping_a_refused_request_delays_the_refusal_by_a_bound(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "REJECT_SECONDS", 0.05)
    door.store.before_reject = trio.sleep_forever
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(_expect_401, door)


async def _expect_401(door: Any) -> None:
    assert (await door.post("/start", {}, token="nobody")).status == 401


async def test_a_refused_request_that_cannot_be_kept_is_refused_all_the_same(door: Any) -> None:
    async def away() -> None:
        raise StoreUnavailable("the server is gone")

    door.store.before_reject = away
    await _expect_401(door)


async def test_what_is_stored_is_traced_with_its_enterprise(door: Any) -> None:
    await door.post("/start", START)
    await door.post("/start", {}, token="nobody")
    (told,) = door.traced
    assert told == {
        "enterprise_number": "0367",
        "kind": "start",
        "token": TOKEN,
        "unique_id": "1757840723.6",
        "body_text": json.dumps(START),
    }


async def test_a_duplicate_is_not_traced_again(door: Any) -> None:
    for _ in range(2):
        await door.post("/start", START)
    assert len(door.traced) == 1


async def test_what_is_stored_after_its_host_has_heard_503_is_traced_and_counted(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release = trio.Event()

    async def slow(batch: Sequence[IncomingEvent]) -> None:
        await release.wait()

    door.store.before_append = slow
    with monkeypatch.context() as impatient:
        impatient.setattr(intake, "COMMIT_SECONDS", 0.05)
        assert (await door.post("/start", START)).status == 503
    assert door.traced == []
    release.set()
    # The repeat is answered by a later commit than that of the first one.
    assert (await door.post("/start", START)).json == {"status": "ok", "event_id": 1, "duplicate": True}
    assert [told["token"] for told in door.traced] == [TOKEN]
    text = door.metrics.exposition().decode()
    assert 'gateway_events_total{kind="start"} 1.0' in text
    assert 'gateway_duplicate_events_total{kind="start"} 1.0' in text


async def test_an_event_that_cannot_be_traced_is_stored_and_answered_and_the_next_one_too(door: Any, expected_errors: Any) -> None:
    door.trace_faults.append(OSError("no space left"))
    assert (await door.post("/start", START)).status == 200
    assert (await door.post("/dial", START)).status == 200
    assert [told["kind"] for told in door.traced] == ["dial"]
    expected_errors.claim("could not be traced")


async def test_the_figures_count_what_happened(door: Any) -> None:
    for body in (START, START):
        await door.post("/start", body)
    await door.post("/start", b"x")
    await door.post("/start", {}, token="nobody")
    text = door.metrics.exposition().decode()
    for line in (
        'gateway_events_total{kind="start"} 1.0',
        'gateway_duplicate_events_total{kind="start"} 1.0',
        'gateway_rejected_requests_total{reason="body_invalid"} 1.0',
        'gateway_rejected_requests_total{reason="token_unknown"} 1.0',
        "gateway_intake_seconds_count 4.0",
        "gateway_journal_batch_events_count 2.0",
    ):
        assert line in text


async def test_many_events_at_once_share_commits(door: Any) -> None:
    async def slow(batch: Sequence[IncomingEvent]) -> None:
        while not door.store.batches and len(batch) + door.journal.waiting_items < 30:  # noqa: ASYNC110 (nobody tells a test that a queue has grown)
            await trio.sleep(0.001)

    door.store.before_append = slow
    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(door.post, "/bridge", {"UniqueId": str(number)})
    assert len(door.store.batches) <= 2
    assert sum(door.store.batches) == 30


async def test_a_connection_is_kept_for_many_events(door: Any) -> None:
    async with door.client() as client:
        for number in range(1, 20):
            response = await client.request("POST", "/bridge", json.dumps(START).encode(), {"Token": TOKEN})
            assert response.json == {"status": "ok", "event_id": number}
