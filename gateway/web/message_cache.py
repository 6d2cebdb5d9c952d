"""The message cache: call services note here which Telegram messages they have sent about a number, to delete them later.

Our own living messages are in the database (`telegram_messages`); this is for programs that still send by themselves. Nothing here
survives a restart, and nothing needs to: a message that is forgotten stays in its chat.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum, auto
from typing import Final

import attrs
import trio

FORGET_SECONDS: Final = 3600.0
# Memory: a message costs about 150 bytes, so all of them at most 15 MB.
MAX_KEYS: Final = 5_000
MAX_MESSAGES_OF_KEY: Final = 20


class MessageKind(StrEnum):
    """What a message was about. Several of `DIAL` are kept, one of each other."""

    START = auto()
    DIAL = auto()
    BRIDGE = auto()


@attrs.frozen
class _Noted:
    kind: MessageKind
    message_id: int
    until: float


Messages = Mapping[MessageKind, tuple[int, ...]]


class MessageCache:
    """Message ids by key ("phone:chat"), each forgotten `FORGET_SECONDS` after it was noted; the oldest keys go when there are too many."""

    def __init__(self, *, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        # The key that was noted last is at the end, so those that are over are at the beginning.
        self._by_key: OrderedDict[str, tuple[_Noted, ...]] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._by_key)

    def note(self, key: str, kind: MessageKind, message_id: int) -> None:
        """A message has been sent."""
        now = self._clock()
        kept = [noted for noted in self._living(key, now) if noted.kind is not kind or kind is MessageKind.DIAL]
        kept = [noted for noted in kept if (noted.kind, noted.message_id) != (kind, message_id)]
        self._by_key[key] = (*kept, _Noted(kind, message_id, now + FORGET_SECONDS))[-MAX_MESSAGES_OF_KEY:]
        self._by_key.move_to_end(key)
        self._make_room(now)

    def messages(self, key: str) -> Messages:
        """What is known of a key; empty when nothing is."""
        return _by_kind(self._living(key, self._clock()))

    def take(self, key: str, kinds: Collection[MessageKind]) -> Messages:
        """What was known of these kinds, and is not any more."""
        living = self._living(key, self._clock())
        rest = tuple(noted for noted in living if noted.kind not in kinds)
        if rest:
            self._by_key[key] = rest
        else:
            self._by_key.pop(key, None)
        return _by_kind(tuple(noted for noted in living if noted.kind in kinds))

    def _living(self, key: str, now: float) -> tuple[_Noted, ...]:
        return tuple(noted for noted in self._by_key.get(key, ()) if noted.until > now)

    def _make_room(self, now: float) -> None:
        while self._by_key:
            key, noted = next(iter(self._by_key.items()))
            if len(self._by_key) <= MAX_KEYS and noted[-1].until > now:
                break
            del self._by_key[key]


def _by_kind(messages: tuple[_Noted, ...]) -> Messages:
    found: dict[MessageKind, tuple[int, ...]] = {}
    for noted in messages:
        found[noted.kind] = (*found.get(noted.kind, ()), noted.message_id)
    return found
