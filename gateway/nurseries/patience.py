"""Trying again: how long to wait is a pure function, the waiting is done here. Nothing in this room decides what is worth a retry."""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from gateway.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Backoff:
    """Waits that double from `first_seconds` up to `limit_seconds`, each taken between its half and its whole."""

    first_seconds: float
    limit_seconds: float

    def delay_seconds(self, failures: int, jitter: float) -> float:
        """The wait after so many failures in a row (from 1). `jitter` from 0 to 1 keeps many waiters from coming back at once."""
        # Beyond 2**20 the limit has been reached with any sensible first wait; the cap keeps the power finite.
        whole = min(self.limit_seconds, self.first_seconds * 2.0 ** min(failures - 1, 20))
        return whole * (0.5 + 0.5 * jitter)


# The database is on the same machine or one hop away: it is back within a second of its restart, so look often.
STORE_BACKOFF = Backoff(first_seconds=0.1, limit_seconds=5.0)
# Telegram: short troubles are over within a second; a long one must not cost more than two requests a minute and chat.
TELEGRAM_BACKOFF = Backoff(first_seconds=0.5, limit_seconds=30.0)


@attrs.frozen(kw_only=True)
class Patience:
    """The patience of everybody who cannot do without the store."""

    backoff: Backoff = STORE_BACKOFF
    jitter: Callable[[], float] = random.random

    async def with_store(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Do `operation` until the database answers.

        Raises: `StoreRejected` and everything else at once; only `StoreUnavailable` is waited out. Cancellation: between two tries, or as
        the operation itself says.
        """
        failures = 0
        while True:
            try:
                result = await operation()
            except StoreUnavailable as exc:
                failures += 1
                if failures == 1:
                    log.warning("%s: the database is away, trying again until it is back: %s", what, exc)
            else:
                if failures:
                    log.info("%s: done after %d failed tries", what, failures)
                return result
            await trio.sleep(self.backoff.delay_seconds(failures, self.jitter()))
