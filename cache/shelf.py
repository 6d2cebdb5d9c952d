"""The shelf of a cache: what is held, for how long, and what goes when it is full. Pure: no clock, no I/O, no tasks.

An entry passes through these states as its time goes by; `now` is always given:

    known      fresh --(fresh_seconds)--> expired, still served --(stale_seconds)--> gone
    not found  fresh --(missing_seconds)--> gone
    failed     nothing is asked --(failed_seconds)--> gone

"Not found" is not served once it has expired: what was created meanwhile must be found by the next look-up, not by the one after it.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import attrs
from attrs import validators

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@attrs.frozen(kw_only=True)
class Lifetimes:
    """How long what is cached is good for, in seconds; `math.inf` for ever."""

    # Served without a question.
    fresh_seconds: float = attrs.field(default=90.0, validator=validators.ge(0))
    # After that: still served, while one refresh runs.
    stale_seconds: float = attrs.field(default=math.inf, validator=validators.ge(0))
    # "Not found" is kept so long, and not served after that.
    missing_seconds: float = attrs.field(default=90.0, validator=validators.ge(0))
    # After a failed load the source is not asked for this key again for so long. An older value goes on being served.
    failed_seconds: float = attrs.field(default=5.0, validator=validators.ge(0))
    # A load that takes longer has failed. Nobody waits so long for one; without an end, a load that hangs would keep its key from ever
    # being refreshed.
    load_seconds: float = attrs.field(default=30.0, validator=validators.gt(0))


@attrs.frozen(kw_only=True)
class Entry(Generic[V]):
    """One answer of the source; None: it has nothing for this key. Times are in seconds of the cache's clock."""

    value: V | None
    loaded_at: float
    expires_at: float


@attrs.frozen
class _Failure:
    reason: str
    ends_at: float


class Shelf(Generic[K, V]):
    """Answers and failures by key, each kind with its own bound.

    Memory: at most `max_items` known values, as many answers "not found" and as many failures. Each has its own bound because keys that do
    not exist are without number (every caller is one): they must not push out what is known.
    """

    def __init__(self, lifetimes: Lifetimes, max_items: int) -> None:
        self._lifetimes = lifetimes
        self._max_items = max_items
        # Least recently used first.
        self._known: OrderedDict[K, Entry[V]] = OrderedDict()
        # Both in the order in which they came, which is the order in which they expire.
        self._missing: OrderedDict[K, Entry[V]] = OrderedDict()
        self._failures: OrderedDict[K, _Failure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known) + len(self._missing)

    def __repr__(self) -> str:
        return f"<Shelf: {len(self._known)} known, {len(self._missing)} not found, {len(self._failures)} failed>"

    def use(self, key: K, now: float) -> Entry[V] | None:
        """The entry if it may be served, perhaps expired; a known one is then the most recently used."""
        entry = self._known.get(key)
        # The usual case first: this is what every look-up costs.
        if entry is not None and now < entry.expires_at:
            self._known.move_to_end(key)
            return entry
        entry = self.look(key, now)
        if entry is not None and entry.value is not None:
            self._known.move_to_end(key)
        return entry

    def look(self, key: K, now: float) -> Entry[V] | None:
        """The entry if it may be served, without using it."""
        entry = self._known.get(key)
        if entry is not None:
            return entry if now < entry.expires_at + self._lifetimes.stale_seconds else None
        entry = self._missing.get(key)
        return entry if entry is not None and now < entry.expires_at else None

    def keep(self, key: K, value: V | None, now: float) -> int:
        """Hold an answer in place of whatever is held for the key; how many others had to go because it was full."""
        self.drop(key)
        if value is None:
            self._drop_expired(now)
            self._missing[key] = Entry(value=None, loaded_at=now, expires_at=now + self._lifetimes.missing_seconds)
            return self._shorten(self._missing)
        self._known[key] = Entry(value=value, loaded_at=now, expires_at=now + self._lifetimes.fresh_seconds)
        return self._shorten(self._known)

    def fail(self, key: K, reason: str, now: float) -> None:
        """Hold that a load has failed; an answer that is held stays."""
        self._failures.pop(key, None)
        self._failures[key] = _Failure(reason, now + self._lifetimes.failed_seconds)
        self._shorten(self._failures)

    def failure(self, key: K, now: float) -> str | None:
        """Why the last load failed, as long as the source is to be left alone."""
        failure = self._failures.get(key)
        return failure.reason if failure is not None and now < failure.ends_at else None

    def drop(self, key: K) -> None:
        """Hold nothing for the key, not even a failure: what is asked next is asked of the source."""
        self._known.pop(key, None)
        self._missing.pop(key, None)
        self._failures.pop(key, None)

    def clear(self) -> None:
        """Hold nothing."""
        self._known.clear()
        self._missing.clear()
        self._failures.clear()

    def keys(self) -> Iterator[K]:
        """All keys of which something is held, failures included; a key may come twice."""
        yield from self._known
        yield from self._missing
        yield from self._failures

    def entries(self, now: float) -> dict[K, Entry[V]]:
        """All entries that may be served: the known ones, least recently used first, then the "not found"."""
        found: dict[K, Entry[V]] = {}
        for key in (*self._known, *self._missing):
            entry = self.look(key, now)
            if entry is not None:
                found[key] = entry
        return found

    def _drop_expired(self, now: float) -> None:
        while self._missing:
            key, entry = next(iter(self._missing.items()))
            if now < entry.expires_at:
                return
            del self._missing[key]

    def _shorten(self, full: "OrderedDict[K, Entry[V]] | OrderedDict[K, _Failure]") -> int:
        gone = 0
        while len(full) > self._max_items:
            full.popitem(last=False)
            gone += 1
        return gone
