"""The listener: the configuration in memory follows the one in the database.

PostgreSQL tells of every change by NOTIFY, with the number of the enterprise. What was changed while nobody listened is found by reading
everything again after each connect. On the same connection it tells of recordings; those are handed on (`nurseries.recordings`).
"""

import logging
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

import trio

from cache.configurations import Configurations
from gateway.calls.recording import RecordedCall
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.nurseries.patience import Patience

log = logging.getLogger(__name__)

# What a notification says: the number of an enterprise whose configuration has changed, "" when it may be any; or the call whose recording
# is known now.
Notice: TypeAlias = str | RecordedCall
# Connects, listens, and gives what each notification says that comes. Ends with `StoreUnavailable` when the connection does.
Notices = Callable[[], AbstractAsyncContextManager[AsyncIterable[Notice]]]

# When more enterprises than this have changed at once, everything is read: one statement instead of so many.
MOST_AT_ONCE = 50


def _nobody(_call: RecordedCall) -> None:
    return None


class Listener:
    """Keeps `configurations` up to date.

    `on_reload` is called with the number of an enterprise that was read, `on_refresh` when everything was; `on_connect` comes after that
    when nobody had listened before, so that other things may have been missed too. `on_recorded` gets each recording that is told of.
    """

    def __init__(
        self,
        *,
        configurations: Configurations,
        notices: Notices,
        patience: Patience,
        on_reload: Sequence[Callable[[str], None]] = (),
        on_refresh: Sequence[Callable[[], None]] = (),
        on_connect: Sequence[Callable[[], None]] = (),
        on_recorded: Callable[[RecordedCall], None] = _nobody,
    ) -> None:
        self._configurations = configurations
        self._notices = notices
        self._patience = patience
        self._on_reload = on_reload
        self._on_refresh = on_refresh
        self._on_connect = on_connect
        self._on_recorded = on_recorded
        # The enterprises that have changed and are not read yet; bounded by `MOST_AT_ONCE`, beyond which "" stands for all.
        self._changed: set[str] = set()
        self._is_stale = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """For ever. Started once the configuration has been read for the first time.

        Raises: `StoreRejected`, if even that first reading is refused: there is nothing yet to go on with.
        """
        failures = 0
        is_started = False
        while True:
            try:
                async with self._notices() as notices:
                    if is_started:
                        await self._refresh_if_possible()
                    else:
                        await self.refresh()
                        is_started = True
                    for call in self._on_connect:
                        call()
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    if failures:
                        log.info("the database tells of changes again")
                    failures = 0
                    await self._follow(notices)
            except StoreUnavailable as exc:
                failures += 1
                if failures == 1:
                    log.warning("nobody tells of changes of the configuration, trying again: %s", exc)
            await trio.sleep(self._patience.backoff.delay_seconds(max(failures, 1), self._patience.jitter()))

    async def refresh(self) -> None:
        """Read everything. Raises: `StoreUnavailable`, `StoreRejected`; nothing has changed then."""
        await self._configurations.refresh()
        for call in self._on_refresh:
            call()

    async def _refresh_if_possible(self) -> None:
        """As `refresh`; what is known stays when the database refuses to say it, until the next round (`keep_fresh`)."""
        try:
            await self.refresh()
        except StoreRejected as exc:
            log.error("the configuration cannot be read, what is known of it stays: %s", exc)

    async def _follow(self, notices: AsyncIterable[Notice]) -> None:
        """Loading a file of many enterprises gives a notice for each: while one reading runs they gather, each enterprise once."""
        self._changed.clear()
        self._is_stale = trio.Event()
        broken: StoreUnavailable | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_when_stale)
            try:
                async for notice in notices:
                    if isinstance(notice, RecordedCall):
                        self._on_recorded(notice)
                        continue
                    self._changed.add(notice)
                    if len(self._changed) > MOST_AT_ONCE:
                        self._changed = {""}
                    self._is_stale.set()
            except StoreUnavailable as exc:
                # Raised below, outside of the nursery, which would wrap it in a group.
                broken = exc
            nursery.cancel_scope.cancel()
        if broken is not None:
            raise broken

    async def _read_when_stale(self) -> None:
        while True:
            await self._is_stale.wait()
            self._is_stale = trio.Event()
            changed, self._changed = self._changed, set()
            if "" in changed:
                await self._patience.with_store("configuration", self._refresh_if_possible)
                continue
            for number in sorted(changed):
                await self._reload(number)

    async def _reload(self, number: str) -> None:
        try:
            await self._patience.with_store("configuration of an enterprise", partial(self._configurations.reload, number))
        except StoreRejected as exc:
            # Anybody who may log in to the database may send a notice, with anything in it.
            log.error("a notice of a changed configuration cannot be followed: %s", exc)
            return
        for call in self._on_reload:
            call(number)
