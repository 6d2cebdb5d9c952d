"""What a cache has been asked and what it did; counted by `Cache` alone, so the figures of /stats and of the metrics cannot differ."""

from collections.abc import Iterable

import attrs


@attrs.define(kw_only=True)
class Statistics:
    """Counts since the process began; they never fall. To be read only: the cache alone counts.

    `hits`: look-ups answered at once from memory. `stale_hits` (expired values) and `negative_hits` (known not to exist) are parts of them.
    `misses`: look-ups that had to wait for a load or failed, those that joined the load of another one included.
    `loads`: all loads started, for whatever reason; `refreshes`, those in the background for an expired value, are a part of them, and so
    are `failures`: loads whose loader raised or took too long.
    `evictions`: entries thrown out because the cache was full; not those that were invalidated or too old.
    """

    hits: int = 0
    stale_hits: int = 0
    negative_hits: int = 0
    misses: int = 0
    loads: int = 0
    refreshes: int = 0
    failures: int = 0
    evictions: int = 0

    @property
    def total_requests(self) -> int:
        """Look-ups; primed values and forced loads are none."""
        return self.hits + self.misses

    @property
    def hit_rate_percent(self) -> float:
        """Hits of all look-ups, 0 to 100 with two decimals; 0.0 when nothing was asked."""
        return round(100.0 * self.hits / self.total_requests, 2) if self.total_requests else 0.0


def sum_of(parts: Iterable[Statistics]) -> Statistics:
    """The figures of several caches as those of one; a copy, which does not count on."""
    total = Statistics()
    for part in parts:
        total.hits += part.hits
        total.stale_hits += part.stale_hits
        total.negative_hits += part.negative_hits
        total.misses += part.misses
        total.loads += part.loads
        total.refreshes += part.refreshes
        total.failures += part.failures
        total.evictions += part.evictions
    return total
