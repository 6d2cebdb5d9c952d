"""The listener: the configuration in memory follows the one in the database.

PostgreSQL tells of every change by NOTIFY. What was changed while nobody listened is found by reading everything again after each connect.
"""

import logging
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import trio

from cache.directory import Directory
from gateway.errors import StoreUnavailable
from gateway.nurseries.patience import Patience
from gateway.ports import Store

log = logging.getLogger(__name__)

# Connects, listens, and gives one item for each notification that comes; ends with `StoreUnavailable` when the connection does.
Notices = Callable[[], AbstractAsyncContextManager[AsyncIterable[object]]]


class Listener:
    """Keeps `directory` up to date and calls `on_change` after each reading."""

    def __init__(
        self, *, store: Store, directory: Directory, notices: Notices, patience: Patience, on_change: Sequence[Callable[[], None]]
    ) -> None:
        self._store = store
        self._directory = directory
        self._notices = notices
        self._patience = patience
        self._on_change = on_change
        self._is_stale = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """For ever. Started once the configuration has been read for the first time."""
        failures = 0
        while True:
            try:
                async with self._notices() as notices:
                    await self._read()
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

    async def _follow(self, notices: AsyncIterable[object]) -> None:
        """Loading a file of many enterprises gives a notice for each: while one reading runs they gather, and cost one more."""
        self._is_stale = trio.Event()
        broken: StoreUnavailable | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_when_stale)
            try:
                async for _ in notices:
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
            await self._patience.with_store("configuration", self._read)

    async def _read(self) -> None:
        self._directory.replace(await self._store.enterprises())
        for call in self._on_change:
            call()
