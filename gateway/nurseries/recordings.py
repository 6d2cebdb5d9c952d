"""Recordings: links that others have written into `calls.record_url` go to the CRMs and onto the cards.

The database tells of each (see `listener`). What was written while nobody listened is found by looking for calls whose link has gone into
no report yet. Nothing here is remembered beyond the process: what is not done yet is found the same way.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import trio

from gateway.calls.recording import RecordedCall, Recording
from gateway.errors import StoreRejected
from gateway.nurseries.clock import Clock
from gateway.nurseries.patience import Patience
from gateway.ports import PushKey, Store

log = logging.getLogger(__name__)

# A link comes minutes after its call; a gateway that stood still for longer than a weekend day is rare, and the look stays small.
LOOK_BACK = timedelta(hours=48)
PAGE_CALLS = 200
# About 200 bytes each. What does not fit is looked for.
MOST_WAITING = 10_000


class Recordings:
    """`run` is a worker. `push`: what was written of these is there; `show`: the link of this call is. Neither waits."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        patience: Patience,
        push: Callable[[Sequence[PushKey]], None],
        show: Callable[[RecordedCall], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience
        self._push = push
        self._show = show
        self._waiting: dict[RecordedCall, None] = {}
        self._looks_back = False
        self._wake = trio.Event()

    def heard(self, call: RecordedCall) -> None:
        """The link of this call was written. Does not wait."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting[call] = None
        else:
            self._looks_back = True
        self._wake.set()

    def look_back(self) -> None:
        """Links may have been written that nobody has heard of. Does not wait."""
        self._looks_back = True
        self._wake.set()

    async def run(self) -> None:
        """For ever. Cancelled at any moment, each call is done or found again."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._waiting:
                call = next(iter(self._waiting))
                await self._take(call)
                self._waiting.pop(call, None)
            if self._looks_back:
                self._looks_back = False
                await self._look_back()

    async def _look_back(self) -> None:
        since, after = self._clock() - LOOK_BACK, None
        while True:
            try:
                page = await self._patience.with_store(
                    "recordings", partial(self._store.untold_recordings, since=since, after=after, limit=PAGE_CALLS)
                )
            except StoreRejected as exc:
                log.error("recordings that nobody was told of cannot be looked for: %s", exc)
                return
            for call in page:
                await self._take(call)
            if len(page) < PAGE_CALLS:
                return
            after = page[-1]

    async def _take(self, call: RecordedCall) -> None:
        number, recording = call.enterprise_number, Recording(call_id=call.call_id)
        try:
            keys = await self._patience.with_store("a recording", partial(self._store.accept_recording, number, recording))
        except StoreRejected as exc:
            # Anybody who may log in to the database may send a notice, with anything in it.
            log.error("a notice of a recording cannot be followed: %s", exc)
            return
        self._push(keys)
        self._show(call)
