"""A client of the emulator's API: what `gateway emulate` asks, and the stream of a run as it goes on.

Errors of the way and of the other side become one line; nothing of httpx is above this.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, cast

import attrs
import httpx2 as httpx
import trio

from gateway.errors import GatewayError, SettingsError

_ANSWER_SECONDS: Final = 15.0
# Ctrl-C waits for it.
_START_SECONDS: Final = 5.0
# Three heartbeats: what says nothing for as long is not there any more.
_SILENCE_SECONDS: Final = 45.0
# A stream that breaks is opened anew: a proxy may have cut it, or there are too many streams for a moment.
_REOPENINGS: Final = 3
_REOPEN_SECONDS: Final = 1.0
_SHOWN_CHARACTERS: Final = 200


class Unreachable(GatewayError):
    """There is no emulator at the address, or it went away. The text says what to look at."""


class Misuse(SettingsError):
    """What was asked for cannot be meant: there is no such pattern, role or enterprise, or a value is wrong. A line for each mistake."""


@attrs.frozen(kw_only=True)
class StreamEvent:
    """One event of a stream, as `tester.emulator.stream` writes it."""

    seq: int
    kind: str
    data: Mapping[str, Any]


@attrs.frozen
class Client:
    """The API of one emulator, in one language."""

    _http: httpx.AsyncClient
    _language: str

    async def get(self, path: str, **query: str) -> Any:
        """The answer to a question.

        Raises: `Unreachable`; `Misuse` for what the emulator refuses; `GatewayError` for other answers.
        """
        return await self._ask("GET", path, query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to an order. Raises as `get`."""
        return await self._ask("POST", path, {}, body)

    async def start(self, order: Mapping[str, Any]) -> Any:
        """Start a run. Cancelled, it still hears the answer first: a run whose id nobody knows is stopped by nobody. Raises as `get`."""
        with trio.move_on_after(_START_SECONDS, shield=True):
            return await self.post("/api/runs", order)
        raise Unreachable(f"the emulator at {self._http.base_url} does not answer")

    async def stop(self, run_id: str) -> None:
        """Stop a run on the way out, without a word about what goes wrong. Shield it, with a deadline."""
        # It may be over already, or the gateway has gone and the run with it.
        with suppress(GatewayError):
            await self.post(f"/api/runs/{run_id}/stop")

    async def follow(self, run_id: str, hear: Callable[[StreamEvent], bool]) -> None:
        """Have `hear` told what happens in a run, from its beginning, until it says by True that this was the end.

        A stream that breaks is taken up where it broke. Raises: `Unreachable`, and what `hear` raises.
        """
        last, failures, is_over = 0, 0, False
        while not is_over:
            with suppress(httpx.TransportError, _NotNow):
                async with self._stream(run_id, last) as response, aclosing(response.aiter_bytes()) as chunks:
                    parser = StreamParser()
                    # To the end of the answer, also after the end of the run: httpx leaves no loose ends then.
                    async for chunk in chunks:
                        for event in parser.feed(chunk):
                            if event.seq > last:
                                last, failures = event.seq, 0
                                is_over = hear(event) or is_over
            if is_over:
                return
            if failures == _REOPENINGS:
                raise Unreachable("the gateway does not tell any more what becomes of the run; is it still running?")
            failures += 1
            await trio.sleep(_REOPEN_SECONDS)

    @asynccontextmanager
    async def _stream(self, run_id: str, after: int) -> AsyncGenerator[httpx.Response]:
        headers = {"Last-Event-ID": str(after)} if after else {}
        timeout = httpx.Timeout(_ANSWER_SECONDS, read=_SILENCE_SECONDS)
        async with self._http.stream("GET", f"/api/runs/{run_id}/stream", headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                raise _NotNow
            yield response

    async def _ask(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Any:
        try:
            with trio.fail_after(_ANSWER_SECONDS):
                response = await self._http.request(method, path, params={**query, "lang": self._language}, json=body)
        except (httpx.TransportError, trio.TooSlowError) as exc:
            raise Unreachable(f"no emulator at {self._http.base_url}: is the gateway running, and is tester_bind set?") from exc
        return _answer(response, str(self._http.base_url))


class _NotNow(Exception):
    """The stream is refused."""


@asynccontextmanager
async def open_client(base_url: str, *, password: str, language: str) -> AsyncGenerator[Client]:
    """A client of the emulator at this address."""
    # Neither proxies nor certificates of the environment: it is this machine, or one that the settings name.
    async with httpx.AsyncClient(
        base_url=base_url, auth=("gateway", password) if password else None, timeout=_ANSWER_SECONDS, trust_env=False, verify=False
    ) as http:
        yield Client(http, language)


@attrs.define(eq=False)
class StreamParser:
    """Makes events of the bytes of a stream (WHATWG HTML, 9.2.6), as far as our own streams use what there is."""

    _rest: bytes = b""
    _fields: dict[bytes, bytes] = attrs.field(factory=dict[bytes, bytes])

    def feed(self, chunk: bytes) -> Sequence[StreamEvent]:
        """The events that are whole now."""
        events: list[StreamEvent] = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b":")
            if line:
                self._fields[name] = value.removeprefix(b" ")
                continue
            event = _event(self._fields)
            self._fields = {}
            if event is not None:
                events.append(event)
        return events


def _event(fields: Mapping[bytes, bytes]) -> StreamEvent | None:
    """None for a comment, or what has no data."""
    if b"data" not in fields:
        return None
    try:
        data: object = json.loads(fields[b"data"])
        seq = int(fields.get(b"id", b""))
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return StreamEvent(seq=seq, kind=fields.get(b"event", b"").decode(errors="replace"), data=cast("Mapping[str, Any]", data))


def _answer(response: httpx.Response, base_url: str) -> Any:
    try:
        answer: Any = json.loads(response.content)
    except ValueError:
        answer = None
    status = response.status_code
    if status in {200, 201} and isinstance(answer, dict | list):
        return cast("Any", answer)
    if status == 401:
        raise Misuse(f"the emulator at {base_url} wants another password: is tester_password the one that the gateway has?")
    said: Mapping[str, Any] = cast("Mapping[str, Any]", answer) if isinstance(answer, dict) else {}
    lines = _lines(said)
    if status in {404, 422} and lines:
        raise Misuse("\n".join(lines))
    if not lines:
        raise Unreachable(f"what answers at {base_url} is no emulator (status {status})")
    raise GatewayError(lines[0])


def _lines(said: Mapping[str, Any]) -> Sequence[str]:
    """What is wrong: with each role, or as a whole."""
    fields = said.get("fields")
    if isinstance(fields, dict) and fields:
        return [f"{_plain(key)}: {_plain(text)}" for key, text in cast("Mapping[str, object]", fields).items()]
    error = said.get("error")
    return [_plain(error)] if isinstance(error, str) else []


def _plain(text: object) -> str:
    return " ".join(str(text).split())[:_SHOWN_CHARACTERS]
