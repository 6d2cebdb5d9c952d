"""A client that goes away cannot un-store an event whose body had arrived."""

import json
import logging
import socket
import struct
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from gateway.ports import IncomingEvent

TOKEN = "375290000900"


def posted(unique_id: str, *, path: str = "/start", connection: str = "keep-alive") -> bytes:
    body = json.dumps({"UniqueId": unique_id, "Token": TOKEN}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def reset(stream: trio.SocketStream) -> None:
    """Close with RST instead of FIN, as a client does that is killed or gives up with data unread."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def stored(door: Any, count: int) -> list[str]:
    with trio.fail_after(5):
        while len(door.store.incoming) < count:  # noqa: ASYNC110 (as the outside would: look until it is there)
            await trio.sleep(0.001)
    return [event.unique_id for event in door.store.incoming]


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_posts_and_leaves_at_once_has_its_event_stored(door: Any, leave: str) -> None:
    for number in range(20):
        async with door.client() as client:
            await client.send(posted(str(number)))
            if leave == "reset":
                reset(client.stream)
    assert sorted(await stored(door, 20), key=int) == [str(number) for number in range(20)]


async def test_a_client_that_was_reset_before_it_was_accepted_has_its_event_stored(door: Any) -> None:
    # Without a checkpoint between connect and reset the server cannot have accepted in between.
    host, _, port = door.address.rpartition(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(posted("1.1"))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert await stored(door, 1) == ["1.1"]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_client_that_leaves_during_the_commit_has_its_event_stored(door: Any, connection: str) -> None:
    reached, release = trio.Event(), trio.Event()

    async def slow(batch: Sequence[IncomingEvent]) -> None:
        reached.set()
        await release.wait()

    door.store.before_append = slow
    async with door.client() as client:
        await client.send(posted("1.1", connection=connection))
        await reached.wait()
        reset(client.stream)
    await trio.testing.wait_all_tasks_blocked(0.01)
    release.set()
    assert await stored(door, 1) == ["1.1"]
    with trio.fail_after(2):
        while not door.stored:  # noqa: ASYNC110
            await trio.sleep(0.001)
    assert (await door.post("/start", {"UniqueId": "1.2"})).json["event_id"] == 2


async def test_a_kept_connection_that_resets_after_its_second_event_has_both_stored(door: Any) -> None:
    async with door.client() as client:
        assert (await client.request("POST", "/start", b'{"UniqueId":"1"}', {"Token": TOKEN})).status == 200
        await client.send(posted("2"))
        reset(client.stream)
    assert await stored(door, 2) == ["1", "2"]


async def test_pipelined_events_are_all_stored_though_the_client_resets(door: Any) -> None:
    async with door.client() as client:
        await client.send(posted("1") + posted("2") + posted("3"))
        reset(client.stream)
    assert await stored(door, 3) == ["1", "2", "3"]


async def test_a_body_that_was_not_whole_is_not_stored(door: Any) -> None:
    async with door.client() as client:
        await client.send(posted("1")[:-3])
        reset(client.stream)
    await door.post("/start", {"UniqueId": "2"})
    assert await stored(door, 1) == ["2"]


async def test_a_client_that_shuts_its_side_down_is_answered(door: Any) -> None:
    async with door.client() as client:
        await client.send(posted("1"))
        await client.stream.send_eof()
        received = b""
        with trio.fail_after(5):
            while chunk := await client.stream.receive_some(65536):
                received += chunk
    assert b'{"status":"ok","event_id":1}' in received


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_has_its_answer_and_leaves_is_one_line_in_the_access_log(
    door: Any, caplog: pytest.LogCaptureFixture, leave: str
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    for number in range(20):
        async with door.client() as client:
            await client.send(posted(str(number)))
            await client.stream.receive_some(65536)
            if leave == "reset":
                reset(client.stream)
    lines: list[str] = []
    with trio.fail_after(5):
        while len(lines) < 20:
            await trio.sleep(0.001)
            lines = [record.getMessage() for record in caplog.records if record.name == "gateway.access"]
    assert [line for line in lines if '" 200 ' not in line] == []
    assert len(lines) == 20
