"""The janitor: events and messages older than the retention go, a few at a time."""

import logging
from datetime import timedelta

import trio

from gateway.errors import StoreRejected, StoreUnavailable
from gateway.nurseries.clock import Clock
from gateway.ports import Store

log = logging.getLogger(__name__)

# Once an hour is often enough for a limit in days, and spreads the deleting over the day.
ROUND_SECONDS = 3600.0
# One transaction deletes at most so many rows and then lets the others work: some 10 ms of locks on rows that nobody reads any more.
BATCH_ROWS = 1_000
REST_SECONDS = 0.2


async def sweep(store: Store, *, clock: Clock, retention_days: int) -> int:
    """One round: everything older than `retention_days` goes. How many rows went. Cancelled, it leaves the rest to the next round."""
    rows = 0
    while True:
        gone = await store.delete_older_than(clock() - timedelta(days=retention_days), limit=BATCH_ROWS)
        if not gone:
            return rows
        rows += gone
        await trio.sleep(REST_SECONDS)


async def keep_house(store: Store, *, clock: Clock, retention_days: int) -> None:
    """A round every hour, for ever. A round that fails is made up for by the next."""
    while True:
        try:
            rows = await sweep(store, clock=clock, retention_days=retention_days)
        except (StoreUnavailable, StoreRejected) as exc:
            log.warning("old events could not be deleted: %s", exc)
        else:
            if rows:
                log.info("%d rows older than %d days deleted", rows, retention_days)
        await trio.sleep(ROUND_SECONDS)
