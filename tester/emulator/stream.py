"""A run as server-sent events (WHATWG HTML, 9.2): what has happened so far, what happens, and the end.

It stands before Quart: a handler there ends after 30 s and never hears that its client has left.
"""

import json
import re
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs

import attrs
import trio

from gateway.web.asgi import App, Receive, Scope, Send, answer, body_or_answer
from gateway.web.problems import RETRY_AFTER_SECONDS, Answer, error_body
from tester.emulator.wording import DEFAULT_LANGUAGE, LANGUAGES

MAX_STREAMS: Final = 32
"""At once. Each is a connection, a task and about 100 KB in the kernel where its client does not read."""
HEARTBEAT_SECONDS: Final = 15.0
"""Proxies cut connections that say nothing; most wait a minute."""
# How soon a browser comes back after its connection broke.
_RETRY_MILLISECONDS: Final = 1000
_HEARTBEAT: Final = b":\n\n"
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # nginx, proxy_buffering: it would hold events back until it has a page full of them.
    (b"x-accel-buffering", b"no"),
)
_PATH: Final = re.compile(r"/api/runs/([^/]+)/stream")
# Far above what a run can have, far below what makes a number of a text slow.
_LONGEST_ID_DIGITS: Final = 9


class Told(Protocol):
    """One thing that happened in a run. `seq` rises from 1."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


class Followed(Protocol):
    """A run as a stream sees it."""

    def events(self, after: int = 0) -> AsyncIterable[Told]:
        """What happened after number `after` and what happens; ends after the last event of a run that is over."""
        ...


def event_bytes(told: Told) -> bytes:
    """One event as it goes over the wire. JSON has no line breaks in it, so `data` is one line."""
    data = json.dumps(told.data, ensure_ascii=False)
    return f"id: {told.seq}\nevent: {told.kind}\ndata: {data}\n\n".encode(errors="replace")


@attrs.define(eq=False)
class Streams:
    """Answers `GET /api/runs/{id}/stream`, and hands everything else on to `rest`.

    `find` gives the run of an id told in a language, or, when there is none, a line that says so in it.
    """

    _rest: App
    _find: Callable[[str, str], Followed | str]
    _open: int = 0
    _is_finishing: bool = False
    _closing: trio.Event = attrs.field(factory=trio.Event)
    _all_ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def open_items(self) -> int:
        """How many there are now."""
        return self._open

    async def finish(self, seconds: float) -> None:
        """Open no more streams, and wait until those that are open have ended with their runs; after `seconds` the rest is ended.

        In good order: clients see the end of an answer, not a broken connection.
        """
        self._is_finishing = True
        with trio.move_on_after(seconds):
            while self._open:
                self._all_ended = trio.Event()
                await self._all_ended.wait()
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._rest(scope, receive, send)
            return
        if not isinstance(await body_or_answer(scope, receive, send), bytes):
            return
        examined = self._examine(scope, found[1])
        if isinstance(examined, Answer):
            await answer(send, examined)
            return
        run, after = examined
        self._open += 1
        try:
            await self._stream(run, after, receive, send)
        finally:
            self._open -= 1
            if not self._open:
                self._all_ended.set()

    def _examine(self, scope: Scope, run_id: str) -> Answer | tuple[Followed, int]:
        """What is wrong with a request; else the run and after which of its events the client wants to go on."""
        if scope["method"] != "GET":
            return _answer(405, "Method Not Allowed", (b"allow", b"GET"))
        language = _language(scope)
        if language not in LANGUAGES:
            return _answer(422, f"lang: must be one of {', '.join(LANGUAGES)}")
        run = self._find(run_id, language)
        if isinstance(run, str):
            return _answer(404, run)
        after = _last_event_id(scope)
        if after is None:
            return _answer(422, "Last-Event-ID: must be the id of an event of this stream")
        if self._is_finishing:
            return _answer(503, "the gateway is stopping", _RETRY_AFTER)
        if self._open >= MAX_STREAMS:
            return _answer(503, f"there are {MAX_STREAMS} streams already, close one", _RETRY_AFTER)
        return run, after

    async def _stream(self, run: Followed, after: int, receive: Receive, send: Send) -> None:
        """All events of a run to one client. Ends with the run, with the client, or with `finish`; cancelled, the answer stays open."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        async with trio.open_nursery() as nursery:
            told, hear = trio.open_memory_channel[Told](0)
            nursery.start_soon(_until_left, receive, nursery.cancel_scope)
            nursery.start_soon(self._until_closed, nursery.cancel_scope)
            nursery.start_soon(_listen, run, after, told)
            await _tell(hear, send)
            nursery.cancel_scope.cancel()
        # Also to a client that has left: the access log has its line by it.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_closed(self, scope: trio.CancelScope) -> None:
        await self._closing.wait()
        scope.cancel()


async def _until_left(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the client has left. Hypercorn hands messages over through a queue that has to be emptied."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _listen(run: Followed, after: int, told: trio.MemorySendChannel[Told]) -> None:
    """Hands over one event at a time: a client that does not read holds up nobody but itself, and the run keeps its events anyway."""
    async with told:
        async for event in run.events(after):
            await told.send(event)


async def _tell(hear: trio.MemoryReceiveChannel[Told], send: Send) -> None:
    """The only writer of its answer. Ends with the events."""
    await send(_chunk(b"retry: %d\n\n" % _RETRY_MILLISECONDS))
    async with hear:
        while True:
            event: Told | None = None
            with trio.move_on_after(HEARTBEAT_SECONDS) as patience:
                try:
                    event = await hear.receive()
                except trio.EndOfChannel:
                    return
            if event is not None:
                await send(_chunk(event_bytes(event)))
            elif patience.cancelled_caught:
                await send(_chunk(_HEARTBEAT))


def _chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _language(scope: Scope) -> str:
    """What the query says, as for the rest of the API."""
    query = parse_qs(cast(bytes, scope["query_string"]).decode("latin-1"), keep_blank_values=True)
    return query.get("lang", [DEFAULT_LANGUAGE])[0]


def _last_event_id(scope: Scope) -> int | None:
    """After which event the client goes on: 0 from the beginning, None when that cannot be read."""
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            written = cast(bytes, value).strip()
            if not written:
                return 0
            return int(written) if written.isdigit() and len(written) <= _LONGEST_ID_DIGITS else None
    return 0


_RETRY_AFTER: Final = (b"retry-after", b"%d" % RETRY_AFTER_SECONDS)


def _answer(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, error_body(text), headers)
