"""What the chats show of the calls of one run. Pure.

Which calls are the run's is known by the ids of its events: the answer to a webhook says the id, a step of the lane says which call the
event belongs to. Either may come first, and so may the messages of the call: what is nobody's yet is kept for a while.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

import attrs

from gateway.cards.policy import FinalMode
from gateway.cards.view import Stage
from gateway.ports import Attempt, Shown, Step
from tester.fakes.telegram_rules import MarkupError, visible_text

_T = TypeVar("_T")

# An enterprise that is busy while a call is played: about 200 bytes for each event, 1 KB for each message. What is the run's own is known
# within the 3 s that an answer may take.
_MOST_EVENTS = 20_000
_MOST_CALLS = 1_000
_MOST_ITEMS_OF_A_CALL = 50


class Change(StrEnum):
    """What became of a message."""

    SENT = "sent"
    EDITED = "edited"
    DELETED = "deleted"


@attrs.frozen(kw_only=True)
class MessageChange:
    """A change of one message as a subscriber sees it. `call` counts the calls of the run from 1. `text`: "" for what was deleted."""

    chat_id: int
    message_id: int
    call: int
    change: Change
    text: str = ""


@attrs.define
class _Call:
    """What is waiting for its call to be somebody's, in the order in which it came."""

    items: list[Shown | Attempt] = attrs.field(factory=list[Shown | Attempt])


class Chats:
    """What is seen of a run. Everything that is told returns what it changed: messages, and tries to tell a CRM of its calls."""

    def __init__(self, final: FinalMode) -> None:
        self._final = final
        self._own_events: set[int] = set()
        self._call_of: dict[int, int] = {}
        self._merged: dict[int, int] = {}
        # The run's calls with their numbers, and the messages that stand in the chats: by chat and call.
        self._numbers: dict[int, int] = {}
        self._shown: dict[tuple[int, int], Shown] = {}
        self._others: dict[int, _Call] = {}

    def own(self, event_id: int) -> Iterator[MessageChange | Attempt]:
        """An answer said that this event is the run's."""
        self._own_events.add(event_id)
        if event_id in self._call_of:
            yield from self._adopt(self._call_of[event_id])

    def understood(self, step: Step) -> Iterator[MessageChange | Attempt]:
        """A step of the lane."""
        for outcome in step.outcomes:
            if outcome.call_id is not None:
                _put(self._call_of, outcome.event_id, outcome.call_id, _MOST_EVENTS)
                if outcome.event_id in self._own_events:
                    yield from self._adopt(outcome.call_id)
        for absorbed, survivor in step.merged:
            _put(self._merged, absorbed, survivor, _MOST_EVENTS)
            if absorbed in self._numbers or survivor in self._numbers:
                yield from self._adopt(absorbed)

    def shown(self, shown: Shown) -> Iterator[MessageChange]:
        """A chat has this of a call."""
        if shown.call_id in self._numbers:
            yield from self._take(shown)
        else:
            self._keep(shown.call_id, shown)

    def attempted(self, attempt: Attempt) -> Iterator[Attempt]:
        """A CRM was told of a call, or not."""
        if attempt.key.call_id in self._numbers:
            yield attempt
        else:
            self._keep(attempt.key.call_id, attempt)

    def living(self, chat_id: int) -> tuple[str, ...]:
        """The message of each call that a chat has, as it reads now."""
        return tuple(
            _visible(shown.text)
            for (chat, _), shown in sorted(self._shown.items(), key=lambda item: self._numbers[item[0][1]])
            if chat == chat_id and shown.message_id is not None
        )

    def doomed(self, chat_id: int) -> int:
        """How many messages of a chat have been replaced and are still there."""
        return sum(1 for (chat, _), shown in self._shown.items() if chat == chat_id and shown.superseded_message_id is not None)

    def _adopt(self, call_id: int) -> Iterator[MessageChange | Attempt]:
        """A call is the run's, and so is the one that it became."""
        for one in self._line_of(call_id):
            if one not in self._numbers:
                self._numbers[one] = len(self._numbers) + 1
                waiting = self._others.pop(one, None)
                for item in waiting.items if waiting is not None else ():
                    if isinstance(item, Shown):
                        yield from self._take(item)
                    else:
                        yield item

    def _line_of(self, call_id: int) -> Iterator[int]:
        seen: set[int] = set()
        one: int | None = call_id
        while one is not None and one not in seen:
            seen.add(one)
            yield one
            one = self._merged.get(one)

    def _keep(self, call_id: int, item: Shown | Attempt) -> None:
        call = self._others.get(call_id)
        if call is None:
            call = _Call()
            _put(self._others, call_id, call, _MOST_CALLS)
        if len(call.items) >= _MOST_ITEMS_OF_A_CALL:
            del call.items[0]
        call.items.append(item)

    def _take(self, shown: Shown) -> Iterator[MessageChange]:
        key = (shown.chat_id, shown.call_id)
        before, number = self._shown.get(key), self._numbers[shown.call_id]
        self._shown[key] = shown
        text = _visible(shown.text)
        changes: list[tuple[int, Change, str]] = []
        if shown.message_id is not None and (before is None or shown.message_id != before.message_id):
            changes.append((shown.message_id, Change.SENT, text))
        elif shown.message_id is not None and before is not None and text != _visible(before.text):
            changes.append((shown.message_id, Change.EDITED, text))
        changes += [(message_id, Change.DELETED, "") for message_id in self._gone(before, shown)]
        for message_id, change, said in changes:
            yield MessageChange(chat_id=shown.chat_id, message_id=message_id, call=number, change=change, text=said)

    def _gone(self, before: Shown | None, shown: Shown) -> list[int]:
        """The messages that were there before and are no more."""
        if before is None:
            return []
        there = {shown.message_id, shown.superseded_message_id}
        gone = [one for one in (before.message_id, before.superseded_message_id) if one is not None and one not in there]
        if shown.message_id is not None and self._stays(before, shown):
            gone = [one for one in gone if one != before.message_id]
        return gone

    def _stays(self, before: Shown, shown: Shown) -> bool:
        """Whether the living message was answered by the new one. (If it was not, somebody had deleted it and it was sent anew.)"""
        return self._final is FinalMode.COMMENT and shown.stage == Stage.FINAL and before.stage != Stage.FINAL


def change_data(change: MessageChange) -> Mapping[str, int | str]:
    """As it is told: `chat`, `message`, `call`, `change`, `text`."""
    return {
        "chat": change.chat_id,
        "message": change.message_id,
        "call": change.call,
        "change": change.change.value,
        "text": change.text,
    }


def _visible(text: str) -> str:
    try:
        return visible_text(text, "HTML")
    except MarkupError:
        # Telegram said the same, and the gateway sent it as it stands.
        return text


def _put(known: dict[int, _T], key: int, value: _T, most: int) -> None:
    """Set a value; the oldest goes when there are too many."""
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
