"""The round of the configuration: everything is read anew every few minutes, whatever was or was not told of changes."""

import logging
from collections.abc import Awaitable, Callable

import trio

from gateway.errors import StoreRejected, StoreUnavailable

log = logging.getLogger(__name__)

# Chance spreads the rounds of many gateways on one database.
ROUND_SECONDS = 240.0
SPREAD_SECONDS = 60.0
RETRY_SECONDS = 60.0


def round_seconds(jitter: float) -> float:
    """The wait until the next round: 240 to 300 seconds for a jitter of 0 to 1."""
    return ROUND_SECONDS + SPREAD_SECONDS * jitter


async def keep_fresh(refresh: Callable[[], Awaitable[object]], *, jitter: Callable[[], float]) -> None:
    """For ever: `refresh` every 240 to 300 seconds, 60 seconds after it failed. What was read before a failure stays."""
    failures = 0
    while True:
        await trio.sleep(RETRY_SECONDS if failures else round_seconds(jitter()))
        try:
            await refresh()
        except (StoreUnavailable, StoreRejected) as exc:
            failures += 1
            if failures == 1:
                log.warning("the configuration cannot be read anew, trying every %.0f s: %s", RETRY_SECONDS, exc)
        else:
            if failures:
                log.info("the configuration was read anew after %d failed tries", failures)
            failures = 0
