"""Server-sent events over real sockets: what a client gets, what it gets again, and that it holds up nobody."""

import json
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio

from gateway.web import listeners
from gateway.web.asgi import Receive, Scope, Send, answer
from gateway.web.listeners import serve_app
from gateway.web.problems import Answer
from tester.emulator import stream as stream_room
from tester.emulator.client import StreamEvent, StreamParser
from tester.emulator.journal import Journal
from tester.emulator.stream import MAX_STREAMS, Streams

RUN = "7"


async def rest(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, Answer(200, b'"the rest"'))


@attrs.define(eq=False)
class Reader:
    """A client: the head of the answer, then the events as they come."""

    stream: trio.SocketStream
    head: str = ""
    _rest: bytes = b""
    _parser: StreamParser = attrs.field(factory=StreamParser)

    async def open(self, path: str = f"/api/runs/{RUN}/stream", *, method: str = "GET", last: str | None = None) -> str:
        header = "" if last is None else f"Last-Event-ID: {last}\r\n"
        await self.stream.send_all(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\n{header}\r\n".encode())
        while b"\r\n\r\n" not in self._rest:
            received = await self._some()
            assert received, "the answer has ended"
            self._rest += received
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        self.head = head.decode()
        return self.head

    async def events(self, count: int | None = None) -> list[StreamEvent]:
        """So many events, or all until the end."""
        found: list[StreamEvent] = []
        while count is None or len(found) < count:
            chunk, self._rest = self._rest or await self._some(), b""
            if not chunk:
                break
            found += self._parser.feed(chunk)
        return found

    async def raw(self) -> bytes:
        """All that comes until the end."""
        while chunk := await self._some():
            self._rest += chunk
        return self._rest

    async def _some(self) -> bytes:
        with trio.fail_after(5):
            return await self.stream.receive_some(65536)


@attrs.define(eq=False)
class Door:
    address: str
    journal: Journal
    streams: Streams
    stop: trio.Event
    ended: trio.Event

    @asynccontextmanager
    async def reader(self) -> AsyncGenerator[Reader]:
        host, _, port = self.address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            yield Reader(stream)

    def tell(self, kind: str = "state", **data: Any) -> None:
        self.journal.publish(kind, data)

    async def until_open(self, count: int) -> None:
        with trio.fail_after(5):
            while self.streams.open_items != count:  # noqa: ASYNC110 (as the outside would: look until it is so)
                await trio.sleep(0.001)


@asynccontextmanager
async def open_door(graceful_seconds: float = 2.0) -> AsyncGenerator[Door]:
    journal, stop, ended = Journal(most_items=10_000), trio.Event(), trio.Event()
    runs: Mapping[str, Journal] = {RUN: journal}
    streams = Streams(rest, lambda run_id, language: runs.get(run_id, f"{language}: no {run_id}"))

    async def serve(task_status: trio.TaskStatus[Sequence[str]]) -> None:  # noqa: ASYNC128  # `serve_app` says that it has started
        await serve_app(streams, ["127.0.0.1:0"], shutdown_trigger=stop.wait, graceful_seconds=graceful_seconds, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(serve)
        yield Door(address, journal, streams, stop, ended)
        nursery.cancel_scope.cancel()


async def test_a_reader_gets_what_has_happened_and_what_happens_until_the_end() -> None:
    async with open_door() as door, door.reader() as reader:
        door.tell("state", state="running")
        head = await reader.open()
        assert head.startswith("HTTP/1.1 200 ")
        assert "content-type: text/event-stream; charset=utf-8" in head
        assert "cache-control: no-store" in head
        assert "content-length" not in head
        assert await reader.events(1) == [StreamEvent(seq=1, kind="state", data={"state": "running"})]
        door.tell("message", text="✅ Завершен\nвторая строка\u2028третья")
        door.tell("state", state="done")
        door.journal.close()
        assert await reader.events() == [
            StreamEvent(seq=2, kind="message", data={"text": "✅ Завершен\nвторая строка\u2028третья"}),
            StreamEvent(seq=3, kind="state", data={"state": "done"}),
        ]


async def test_the_wire_is_what_browsers_read() -> None:
    async with open_door() as door, door.reader() as reader:
        door.tell("answer", index=0, error="a\r\nb")
        door.journal.close()
        await reader.open()
        assert await reader.raw() == b'retry: 1000\n\nid: 1\nevent: answer\ndata: {"index": 0, "error": "a\\r\\nb"}\n\n'


@pytest.mark.parametrize(("last", "seqs"), [("", [1, 2, 3]), ("0", [1, 2, 3]), ("2", [3]), ("3", []), ("99", [])])
async def test_a_reader_that_comes_back_goes_on_where_it_was(last: str, seqs: list[int]) -> None:
    async with open_door() as door, door.reader() as reader:
        for _ in range(3):
            door.tell()
        door.journal.close()
        await reader.open(last=last)
        assert [event.seq for event in await reader.events()] == seqs


@pytest.mark.parametrize(
    ("path", "method", "last", "status"),
    [
        ("/api/runs/nobody/stream", "GET", None, 404),
        ("/api/runs//stream", "GET", None, 200),
        (f"/api/runs/{RUN}/stream", "POST", None, 405),
        (f"/api/runs/{RUN}/stream", "GET", "x", 422),
        (f"/api/runs/{RUN}/stream", "GET", "-1", 422),
        (f"/api/runs/{RUN}/stream", "GET", "9" * 5000, 422),
        (f"/api/runs/{RUN}/stream/more", "GET", None, 200),
        (f"/api/runs/{RUN}", "GET", None, 200),
        ("/api/runs/stream", "GET", None, 200),
    ],
)
async def test_what_is_no_stream_is_refused_or_goes_to_the_rest(path: str, method: str, last: str | None, status: int) -> None:
    async with open_door() as door, door.reader() as reader:
        assert (await reader.open(path, method=method, last=last)).startswith(f"HTTP/1.1 {status} ")
        body = json.loads(await reader.raw())
        assert body == "the rest" if status == 200 else body["status"] == "error"


@pytest.mark.parametrize(
    ("query", "said"), [("", "ru: no nobody"), ("?lang=en", "en: no nobody"), ("?lang=de", "lang: must be one of ru, en")]
)
async def test_what_is_no_run_is_told_in_the_language_asked_for(query: str, said: str) -> None:
    async with open_door() as door, door.reader() as reader:
        await reader.open(f"/api/runs/nobody/stream{query}")
        assert json.loads(await reader.raw())["error"] == said


async def test_a_silent_stream_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_room, "HEARTBEAT_SECONDS", 0.02)
    async with open_door() as door, door.reader() as reader:
        await reader.open()
        with trio.fail_after(5):
            received = b""
            while received.count(b"\n:\n\n") < 1 or received.count(b":\n\n") < 3:
                received += await reader.stream.receive_some(100)
        door.tell()
        assert [event.seq for event in await reader.events(1)] == [1]


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_reader_that_leaves_gives_its_place_back(is_reset: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with open_door() as door:
        async with door.reader() as reader:
            await reader.open()
            await door.until_open(1)
            if is_reset:
                reader.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        await door.until_open(0)
        # Nobody is left who would be told.
        door.tell()
    assert not caplog.records


async def test_there_are_so_many_streams_and_the_next_one_is_told_to_come_back() -> None:
    async with open_door() as door, trio.open_nursery() as nursery:
        release = trio.Event()

        async def hold(task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC114
            async with door.reader() as reader:
                await reader.open()
                task_status.started()
                await release.wait()

        for _ in range(MAX_STREAMS):
            await nursery.start(hold)
        async with door.reader() as one_too_many:
            head = await one_too_many.open()
            assert head.startswith("HTTP/1.1 503 ")
            assert "retry-after: 5" in head
        release.set()
        await door.until_open(0)
        async with door.reader() as reader:
            assert (await reader.open()).startswith("HTTP/1.1 200 ")


async def test_a_reader_that_does_not_read_holds_up_nobody_and_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "SEND_SECONDS", 0.3)
    async with open_door() as door, door.reader() as slow, door.reader() as quick:
        await slow.open()
        await quick.open()
        # More than the kernel keeps for a connection.
        for _ in range(200):
            door.tell("message", text="x" * 100_000)
        assert len(await quick.events(200)) == 200
        await door.until_open(1)
        door.journal.close()
        assert await quick.events() == []
        # The connection was closed, whatever was still to be sent.
        with trio.fail_after(5), suppress(trio.BrokenResourceError):
            while await slow.stream.receive_some(65536):
                pass
    assert not caplog.records


async def test_at_shutdown_streams_tell_the_last_words_of_their_runs_and_end(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door() as door, door.reader() as reader:
        await reader.open()
        await door.until_open(1)
        door.stop.set()
        door.tell("state", state="stopped")
        door.journal.close()
        await door.streams.finish(5)
        assert [event.data["state"] for event in await reader.events()] == ["stopped"]
        with trio.fail_after(2):
            await door.ended.wait()
    assert not caplog.records


async def test_at_shutdown_a_stream_whose_run_does_not_end_is_ended_in_good_order(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door() as door, door.reader() as reader:
        await reader.open()
        await door.until_open(1)
        door.stop.set()
        await door.streams.finish(0.05)
        assert await reader.events() == []
        with trio.fail_after(2):
            await door.ended.wait()
    assert not caplog.records


async def test_a_stream_has_its_line_in_the_access_log_however_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.access")
    async with open_door() as door:
        async with door.reader() as reader:
            await reader.open("/api/runs/7/stream?lang=ru")
        await door.until_open(0)
        with trio.fail_after(2):
            while not caplog.records:  # noqa: ASYNC110 (as the outside would)
                await trio.sleep(0.001)
        door.journal.close()
        async with door.reader() as reader:
            await reader.open()
            await reader.raw()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all('"GET /api/runs/7/stream HTTP/1.0" 200 ' in line for line in lines)
