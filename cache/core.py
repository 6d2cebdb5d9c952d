"""A cache in front of a slow source: one load for all who ask, expired values while they are refreshed, "not found" remembered, bounded.

It knows neither what it caches nor where that comes from. Every load is a task of `Cache.run`, never of who asks: so a look-up that is
cancelled (its budget is over) leaves the load to the others, and the next one finds its result.

Of one key at most one load is *current*; only a current load's result is kept. `put`, `invalidate` and `fetch` make a load under way not
current any more, because what it brings may be older than what they stand for:

                  who waits for it        gets                                     its result
    put           is woken at once        what was put                             is forgotten
    invalidate    goes on waiting         its result: they asked before            is forgotten; whoever asks now starts a new load
    fetch         goes on waiting         its result: they asked before            is forgotten; whoever asks now joins the new load
"""

import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

import attrs
import trio

from cache.shelf import Entry as Entry
from cache.shelf import Lifetimes as Lifetimes
from cache.shelf import Shelf
from cache.statistics import Statistics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

log = logging.getLogger(__name__)

# A source that is down fails for every key. One line a minute for each class of error says all that is to be known; the counts are exact.
TELL_SECONDS = 60.0


class LookupFailed(Exception):
    """The source could not be asked and there is nothing older to serve.

    The text is one line that names the cache and the class of the error, never a key or a value, and nothing is chained to it: the texts
    of errors below may hold secrets.
    """


@attrs.define(eq=False)
class _Flight(Generic[V]):
    """One load under way. The first outcome counts: what was put while it ran, or what it brought."""

    has_begun: bool = False
    value: V | None = None
    failure: str | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)

    def land(self, value: V | None) -> None:
        if not self.ended.is_set():
            self.value = value
            self.ended.set()

    def crash(self, failure: str) -> None:
        if not self.ended.is_set():
            self.failure = failure
            self.ended.set()


class Cache(Generic[K, V]):
    """Values by key from `load`, which answers None for what does not exist.

    `load` may raise any exception and is cut after `lifetimes.load_seconds` of Trio's clock; both are failures: counted, logged as WARNING
    without text, key or traceback, and the key is left alone for `failed_seconds`. It must not look up its own key here.
    `clock` gives seconds that never go back; the default is Trio's, so that look-ups need a running Trio.

    Memory: at most `max_items` values, as many keys known not to exist and as many failures; at most `max_items` loads under way. When so
    many are, further keys cannot be loaded: expired values are served without a refresh, and the others raise `LookupFailed`.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[K], Awaitable[V | None]],
        *,
        lifetimes: Lifetimes,
        max_items: int,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        if max_items < 1:
            raise ValueError("max_items must be at least 1")
        self.name = name
        self.statistics = Statistics()
        self._load = load
        self._lifetimes = lifetimes
        self._max_items = max_items
        self._clock = clock
        self._shelf: Shelf[K, V] = Shelf(lifetimes, max_items)
        # The current loads. Those under way that are not current any more count in `_loads_items` only.
        self._flights: dict[K, _Flight[V]] = {}
        self._loads_items = 0
        self._nursery: trio.Nursery | None = None
        # By class of error, when it was last logged. Classes are few.
        self._told_at: dict[str, float] = {}

    def __len__(self) -> int:
        """How many entries are held, known and not found; some of them may have become too old to be served."""
        return len(self._shelf)

    def __repr__(self) -> str:
        return f"<Cache {self.name}: {len(self)} items, {self._loads_items} loads{'' if self._nursery else ', not running'}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all loads, for ever; started when loads can run.

        When it is cancelled all loads are, and whoever waits for one gets `LookupFailed`; what is held is still served. It may be run
        again afterwards.

        Raises:
            RuntimeError: it runs already.
        """
        if self._nursery is not None:
            raise RuntimeError(f"cache {self.name} runs already")
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                # Before the nursery waits for the last loads: it would refuse new ones once they have ended.
                self._nursery = None

    async def get(self, key: K) -> V | None:
        """The value, None when there is none. Counted.

        Held: at once, without a checkpoint, also when expired; then one refresh runs in the background. Otherwise it waits for a load,
        together with all who ask for the key. Cancelled while waiting, it leaves the load running; its result is kept.

        Raises:
            LookupFailed: the load failed, now or less than `failed_seconds` ago; or none can run: `run` does not, or too many loads do.
        """
        entry = self.hit(key)
        if entry is not None:
            return entry.value
        self.statistics.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            failure = self._shelf.failure(key, self._clock())
            if failure is not None:
                raise self._failed(failure)
            flight = self._depart(key)
        await flight.ended.wait()
        if flight.failure is None:
            return flight.value
        entry = self.peek(key)
        if entry is None:
            raise self._failed(flight.failure)
        # A newer load was faster than the one that failed.
        return entry.value

    def hit(self, key: K) -> Entry[V] | None:
        """The entry if it can be served now; counted then, and refreshed in the background when expired. None is not counted: see `get`."""
        now = self._clock()
        entry = self._shelf.use(key, now)
        if entry is None:
            return None
        # The one place where hits are counted; `get` has the one for misses.
        self.statistics.hits += 1
        if entry.value is None:
            self.statistics.negative_hits += 1
        elif now >= entry.expires_at:
            self.statistics.stale_hits += 1
            self._refresh(key, now)
        return entry

    def peek(self, key: K) -> Entry[V] | None:
        """The entry if it can be served now. Counts nothing, starts nothing and does not make it more recently used."""
        return self._shelf.look(key, self._clock())

    def put(self, key: K, value: V | None) -> None:
        """Hold a value that came another way, None for "there is none". A load under way is overtaken: who waits gets this value."""
        self._keep(key, value)
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.land(value)

    async def fetch(self, key: K) -> V | None:
        """Load now, whatever is held and whatever failed before, and keep the result. Neither a hit nor a miss.

        It joins only a load that has not begun to ask the source, so the answer is never older than the call; many who call at once share
        one load. A load that has begun is overtaken. Cancelled, it leaves the load running; its result is kept.

        Raises:
            LookupFailed: the load failed (what was held still is: see `get`), or none can run.
        """
        flight = self._flights.get(key)
        if flight is None or flight.has_begun:
            flight = self._depart(key)
        await flight.ended.wait()
        if flight.failure is not None:
            raise self._failed(flight.failure)
        return flight.value

    def invalidate(self, key: K) -> None:
        """Forget what is held for a key, failures too; what a load under way brings is not kept."""
        self._shelf.drop(key)
        self._flights.pop(key, None)

    def invalidate_where(self, matches: Callable[[K], bool]) -> None:
        """`invalidate` for each key that matches, in time proportional to the size of the cache. Nothing is done when `matches` raises."""
        for key in [key for key in {*self._shelf.keys(), *self._flights} if matches(key)]:
            self.invalidate(key)

    def clear(self) -> None:
        """`invalidate` for all keys. The statistics go on."""
        self._shelf.clear()
        self._flights.clear()

    def entries(self) -> Mapping[K, Entry[V]]:
        """All that can be served now, a copy; in time proportional to the size of the cache."""
        return self._shelf.entries(self._clock())

    def _refresh(self, key: K, now: float) -> None:
        can_load = self._nursery is not None and self._loads_items < self._max_items
        if can_load and key not in self._flights and self._shelf.failure(key, now) is None:
            self._depart(key)
            self.statistics.refreshes += 1

    def _depart(self, key: K) -> _Flight[V]:
        """Start a load, which is the current one of its key from now on."""
        if self._nursery is None:
            raise self._failed("the cache is not running")
        if self._loads_items >= self._max_items:
            raise self._failed("too many loads under way")
        flight: _Flight[V] = _Flight()
        self._flights[key] = flight
        self._loads_items += 1
        self.statistics.loads += 1
        # Trio runs the first step of a task even when its nursery is cancelled: `_fly` always ends the flight.
        self._nursery.start_soon(self._fly, key, flight, name=f"load for cache {self.name}")
        return flight

    async def _fly(self, key: K, flight: _Flight[V]) -> None:
        try:
            flight.has_begun = True
            with trio.fail_after(self._lifetimes.load_seconds):
                value = await self._load(key)
        except Exception as exc:  # noqa: BLE001 – a safety net: one key that cannot be loaded, for whatever reason, must not end the others
            failure = type(exc).__name__
            self._count_failure(failure)
            if self._flights.get(key) is flight:
                self._shelf.fail(key, failure, self._clock())
            flight.crash(failure)
        else:
            if self._flights.get(key) is flight:
                self._keep(key, value)
            flight.land(value)
        finally:
            # Only a cancelled flight has not ended yet.
            flight.crash("the cache was stopped")
            self._loads_items -= 1
            if self._flights.get(key) is flight:
                del self._flights[key]

    def _keep(self, key: K, value: V | None) -> None:
        self.statistics.evictions += self._shelf.keep(key, value, self._clock())

    def _count_failure(self, failure: str) -> None:
        self.statistics.failures += 1
        now = self._clock()
        told_at = self._told_at.get(failure)
        if told_at is None or now >= told_at + TELL_SECONDS:
            self._told_at[failure] = now
            log.warning("cache %s: a load failed: %s (failures so far: %d)", self.name, failure, self.statistics.failures)

    def _failed(self, failure: str) -> LookupFailed:
        return LookupFailed(f"cache {self.name}: {failure}")
