"""The post office: what all couriers share, and the turn of new messages."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from gateway.metrics import Metrics
from gateway.nurseries.clock import Clock
from gateway.nurseries.patience import TELEGRAM_BACKOFF, Backoff, Patience
from gateway.ports import Store

# A message whose sending takes longer than this, because its chat or Telegram is slow, loses the turn: it holds up the others by no more.
HOLD_SECONDS = 1.0
# Whoever has waited so long goes ahead without the turn: more new messages than can go one by one must not pile up for ever.
WAIT_SECONDS = 5.0


@attrs.define(eq=False)
class _Place:
    """One new message in the queue. `wake` is set when its place has changed."""

    wake: trio.Event = attrs.field(factory=trio.Event)


class Turn:
    """New messages of this process go one after another, each from its request until it is written down.

    A kill between the two doubles the message after the restart. One at a time means one such message per kill, as long as a message
    takes less than `HOLD_SECONDS` and the queue less than `WAIT_SECONDS`. Edits need no turn: done twice they are the same.
    """

    def __init__(self) -> None:
        # The first one has the turn, since `_since`.
        self._queue: deque[_Place] = deque()
        self._since = 0.0

    @asynccontextmanager
    async def taken(self) -> AsyncGenerator[None]:
        """Wait for the turn, at most `WAIT_SECONDS`; whoever comes first goes first. Cancelled while waiting, the place is given up."""
        place = _Place()
        self._queue.append(place)
        if self._queue[0] is place:
            self._since = trio.current_time()
        try:
            await self._wait(place)
            yield
        finally:
            self._leave(place)

    async def _wait(self, place: _Place) -> None:
        give_up_at = trio.current_time() + WAIT_SECONDS
        while place in self._queue and self._queue[0] is not place:
            is_next = self._queue[1] is place
            with trio.move_on_at(min(give_up_at, self._since + HOLD_SECONDS) if is_next else give_up_at):
                await place.wake.wait()
            place.wake = trio.Event()
            now = trio.current_time()
            if now >= give_up_at:
                self._leave(place)
            elif self._queue[0] is not place and self._queue[1] is place and now >= self._since + HOLD_SECONDS:
                self._leave(self._queue[0])

    def _leave(self, place: _Place) -> None:
        if place not in self._queue:
            return
        had_turn = self._queue[0] is place
        self._queue.remove(place)
        if had_turn:
            self._since = trio.current_time()
        # The one that has the turn now, and the one that watches it.
        for waiting in list(self._queue)[:2]:
            waiting.wake.set()


@attrs.frozen(kw_only=True)
class PostOffice:
    """What all couriers share."""

    store: Store
    clock: Clock
    patience: Patience
    metrics: Metrics
    turn: Turn = attrs.field(factory=Turn)
    backoff: Backoff = TELEGRAM_BACKOFF
