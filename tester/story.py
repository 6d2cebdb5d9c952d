"""What happened in a house, in the order of time: for people who look at a test that failed."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from gateway.attempts import IntegrationLog
from gateway.ports import StoredEvent
from tester.fakes.telegram import FakeMessage, FakeTelegram
from tester.host import UNKNOWN
from tester.memory import MemoryStore

_LEFT_OUT = frozenset(("Token", "UniqueId"))
# What a host does not know is no news: empty fields are left out as well.
_UNKNOWN: tuple[object, ...] = ("", UNKNOWN, [""], [])
_NO_ANSWER = "no answer"

# Seconds, a rank among things of the same instant (cause before effect), the line.
_Line = tuple[float, int, str]


def tell(*, store: MemoryStore, telegram: FakeTelegram, began: datetime, began_seconds: float) -> str:
    """A line for each event stored, each request to Telegram, each change of a message and each attempt to tell a CRM.

    Seconds count from `began`, which was `trio.current_time() == began_seconds`. Tokens are left out.
    """
    lines: list[_Line] = [((event.received_at - began).total_seconds(), 0, _event(store, event)) for event in store.events]
    lines += [((log.created_at - began).total_seconds(), 1, _attempt(log)) for log in store.attempts]
    for request in telegram.requests:
        answer = request.status or _NO_ANSWER
        lines.append((request.at - began_seconds, 1, f"{request.method}, chat {request.chat_id}: {answer}"))
    lines += [
        (at - began_seconds, 2, line)
        for bot in telegram.bots.values()
        for chat in bot.chats.values()
        for message in chat.all_messages
        for at, line in _changes(message)
    ]
    lines.sort(key=lambda line: line[:2])
    return "\n".join(f"{at:9.3f} s  {text}" for at, _, text in lines)


def _event(store: MemoryStore, event: StoredEvent) -> str:
    body = cast("dict[str, Any]", json.loads(event.raw_body))
    fields = ", ".join(f"{name}={value}" for name, value in body.items() if name not in _LEFT_OUT and value not in _UNKNOWN)
    error = store.error_of(event.event_id)
    state = f"error: {error}" if error else "understood" if store.is_processed(event.event_id) else "waits for its lane"
    return f"{event.kind} {event.unique_id or '-'} ({fields}): {state}"


def _attempt(log: IntegrationLog) -> str:
    return f"{log.integration_type} is told of {log.event_type} of {log.unique_id}: {log.error_message or log.status}"


def _changes(message: FakeMessage) -> Iterator[tuple[float, str]]:
    name = f"chat {message.chat_id}, message {message.message_id}"
    for number, version in enumerate(message.history):
        text = " / ".join(version.text.splitlines())
        yield version.at, f"{name} {'edited' if number else 'sent'}: {text}"
    if message.deleted_at is not None:
        yield message.deleted_at, f"{name} deleted"
