"""The log of the emulator, `logs/call_tester_events.log`, with the markers that the guide's commands look for.

"The guide" is the administrators' guide of the system that this one replaces; docs/operations.md shows the same commands.

The lines of one exchange are written together, when its answer is there, so that `grep -A 10 "🚀 EMULATION"` shows a request with its
answer even where calls overlap. JSON stays on the line of its marker. Host tokens are masked but for their last four characters before
anything is written, and the formatter of all logs, which lets such a mask pass, sees every line as well.

`grep "ERROR"` finds what went wrong and nothing else: the word is spelt differently where it is part of what was posted or answered.
"""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from gateway.errors import SettingsError
from gateway.logs import APP_FORMAT, APP_ROTATION, LogFile
from tester.host import Posted
from tester.player import Delivery

EVENT_LOG_NAME = "call_tester_events.log"
LOGGER = "call_tester"

_SHOWN_CHARACTERS = 4


def masked_token(token: str) -> str:
    """The last four characters, if there are more than four."""
    return f"***{token[-_SHOWN_CHARACTERS:]}" if len(token) > _SHOWN_CHARACTERS else "***" if token else ""


def masked_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body, or headers, with its token masked."""
    return {name: masked_token(str(value)) if name.lower() == "token" else value for name, value in body.items()}


@attrs.frozen(kw_only=True)
class Exchange:
    """One webhook and what became of it. `headers`: ours. `delivery`: None when nobody waited for the answer any more."""

    run_id: str
    url: str
    posted: Posted
    headers: Mapping[str, str] = attrs.field(repr=False)
    sent_at: datetime
    ended_at: datetime
    delivery: Delivery | None


@attrs.frozen
class EventLog:
    """Writes down what runs do. It has a handler and no logger: two gateways of one process must not share a log."""

    _handler: logging.Handler

    def started(self, run_id: str, text: str) -> None:
        """A run begins. `text`: what is played where, without secrets."""
        self._say("▶️ RUN %s: %s", run_id, _plain(text))

    def lost(self, run_id: str, posted: Posted) -> None:
        """A webhook was lost on purpose: it makes no request."""
        self._say("🕳️ RUN %s: %s was lost on purpose, UniqueId: %s", run_id, posted.kind, posted.body.get("UniqueId", ""))

    def ended(self, run_id: str, text: str) -> None:
        """A run is over. `text`: how."""
        self._say("⏹️ RUN %s: %s", run_id, _plain(text))

    def exchanged(self, exchange: Exchange) -> None:
        """A request and its answer, or why there is none."""
        posted, delivery, say = exchange.posted, exchange.delivery, self._say
        token = str(posted.body.get("Token", ""))
        say("🚀 EMULATION REQUEST to %s", _plain(exchange.url))
        say("📤 Event Type: %s", posted.kind)
        say("🕐 Sent: %s, run %s", exchange.sent_at.isoformat(timespec="milliseconds"), exchange.run_id)
        say("📋 Request Headers: %s", _json(masked_body(exchange.headers)))
        say("📊 Event Data: %s", _json(masked_body(posted.body)))
        if delivery is None:
            say("🛑 EMULATION STOPPED for %s: nobody waits for its answer", posted.kind)
            return
        if delivery.status is not None:
            say("📥 EMULATION RESPONSE for %s", posted.kind)
            say("📊 Response Status: %d", delivery.status)
            say("📋 Response Headers: %s", _hidden(_json(masked_body(delivery.answer_headers)), token))
            say("📊 Response Data: %s", _hidden(_answer(delivery.answer_text), token))
            received = exchange.ended_at.isoformat(timespec="milliseconds")
            say("🕐 Received: %s, after %.3f s", received, delivery.latency_seconds)
        if delivery.error:
            say("❌ EMULATION ERROR for %s", posted.kind, level=logging.ERROR)
            say("❌ Error: %s", _hidden(delivery.error, token), level=logging.ERROR)

    def _say(self, text: str, *values: object, level: int = logging.INFO) -> None:
        self._handler.handle(logging.LogRecord(LOGGER, level, __file__, 0, text, values, None))


@contextmanager
def open_event_log(log_dir: Path) -> Generator[EventLog]:
    """The log in this directory, while the block runs. Nothing of it goes into the other logs.

    Raises:
        SettingsError: the file cannot be opened.
    """
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        file = LogFile(log_dir / EVENT_LOG_NAME, APP_FORMAT, APP_ROTATION)
    except OSError as exc:
        raise SettingsError(f"log_dir: {log_dir} cannot be written: {exc.strerror or exc}") from exc
    with closing(file):
        yield EventLog(file)


def silent_event_log() -> EventLog:
    """A log that nobody keeps."""
    return EventLog(logging.NullHandler())


def _answer(text: str) -> str:
    """JSON on one line; what is no JSON as it is."""
    try:
        return _json(json.loads(text))
    except (ValueError, RecursionError):
        return _plain(text)


def _json(value: Any) -> str:
    # In JSON a letter may be written by its number: it means the same to whoever reads it, and grep does not find it.
    return json.dumps(value, ensure_ascii=False).replace("ERROR", "\\u0045RROR")


def _plain(text: str) -> str:
    return text.replace("ERROR", "Error")


def _hidden(text: str, token: str) -> str:
    """What the other side says may hold the token anywhere, not only after its name."""
    return text.replace(token, masked_token(token)) if len(token) > _SHOWN_CHARACTERS else text
