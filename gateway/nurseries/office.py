"""The post office: what all couriers share, and the turn of new messages."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from gateway.metrics import Metrics
from gateway.nurseries.clock import Clock
from gateway.nurseries.patience import TELEGRAM_BACKOFF, Backoff, Patience
from gateway.ports import Store

# Whoever has waited so long for the turn goes ahead without it: a slow chat holds up the others by this much and no more.
TURN_SECONDS = 1.0


class Turn:
    """New messages of this process go one after another, each from its request until it is written down.

    A kill between the two doubles the message after the restart. One at a time means one such message per kill, whatever the load. Edits
    need no turn: done twice they are the same.
    """

    def __init__(self) -> None:
        self._lock = trio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncGenerator[None]:
        """Wait for the turn, at most `TURN_SECONDS`."""
        held = False
        with trio.move_on_after(TURN_SECONDS):
            await self._lock.acquire()
            held = True
        try:
            yield
        finally:
            if held:
                self._lock.release()


@attrs.frozen(kw_only=True)
class PostOffice:
    """What all couriers share."""

    store: Store
    clock: Clock
    patience: Patience
    metrics: Metrics
    turn: Turn = attrs.field(factory=Turn)
    backoff: Backoff = TELEGRAM_BACKOFF
