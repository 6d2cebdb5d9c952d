"""What happened in a run, for any number of readers: from the beginning, from where they stopped, and on as it happens."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio


@attrs.frozen(kw_only=True)
class RunEvent:
    """One thing that happened. `seq` rises from 1. `data`: JSON values."""

    seq: int
    kind: str
    data: Mapping[str, Any]


class Journal:
    """Keeps everything while the run is kept.

    Memory: `most_items` events of about 1 KB. What a run does by itself is far less; whoever presses pause and resume for hours fills the
    rest, and is told nothing more but the end.
    """

    def __init__(self, *, most_items: int) -> None:
        self._events: list[RunEvent] = []
        self._most_items = most_items
        self._news = trio.Event()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._events)

    def publish(self, kind: str, data: Mapping[str, Any], *, is_last_word: bool = False) -> None:
        """Tell all readers. Nothing is told after the end. `is_last_word`: told however much there is already."""
        if self._is_closed or (len(self._events) >= self._most_items and not is_last_word):
            return
        self._events.append(RunEvent(seq=len(self._events) + 1, kind=kind, data=data))
        self._wake()

    def close(self) -> None:
        """Nothing more will happen: readers end when they have read all."""
        self._is_closed = True
        self._wake()

    def events(self, after: int = 0, retell: Callable[[RunEvent], RunEvent] = lambda event: event) -> "Reading":
        """A reader of its own: what has happened after event number `after`, then what happens, until the end. `retell`: in other words."""
        return Reading(self, after, retell)

    async def next_event(self, after: int) -> RunEvent | None:
        """The event that follows number `after`; None after the end."""
        await trio.lowlevel.checkpoint()
        while after >= len(self._events):
            if self._is_closed:
                return None
            await self._news.wait()
        return self._events[max(after, 0)]

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


@attrs.define(eq=False)
class Reading:
    """An asynchronous iterator over a journal. Nothing has to be closed; cancelled, it goes on where it was."""

    _journal: Journal
    _after: int
    _retell: Callable[[RunEvent], RunEvent]

    def __aiter__(self) -> "Reading":
        return self

    async def __anext__(self) -> RunEvent:
        event = await self._journal.next_event(self._after)
        if event is None:
            raise StopAsyncIteration
        self._after = event.seq
        return self._retell(event)
