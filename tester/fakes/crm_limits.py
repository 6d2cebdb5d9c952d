"""How much a vendor stands: windows, leaky buckets and parallel requests, each by key. What is more is counted, and refused if enforced.

A fake must not be more lenient than its vendor may be: windows slide, they do not begin anew at each full second. A refused request takes
no room (a client that keeps knocking is counted, not locked out).
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Hashable, Sequence

import attrs

# Sums of floats lose a little with each step; far below a millisecond of waiting.
_ROUNDING = 1e-6


@attrs.frozen(kw_only=True)
class Level:
    """Where one key stands in one limit, a request of it included. `wait_seconds`: until it would fit, 0 when it does.

    `wait_seconds` of a limit of parallel requests is 0 always: nobody knows when one of them ends.
    """

    name: str
    key: Hashable
    used: float
    most: float
    wait_seconds: float

    @property
    def is_over(self) -> bool:
        """Whether the limit is broken."""
        return self.used > self.most + _ROUNDING

    @property
    def load(self) -> float:
        """1.0 is a full limit, more a broken one."""
        return self.used / self.most


class Limit(ABC):
    """One limit of a vendor; it counts each key apart."""

    def __init__(self, name: str, most: float) -> None:
        self.name = name
        self.most = most

    @abstractmethod
    def level(self, key: Hashable, now: float, weight: float = 1.0) -> Level:
        """Where the key would stand with one more request of this weight (0: where it stands)."""

    @abstractmethod
    def take(self, key: Hashable, now: float, weight: float) -> None:
        """Count a request."""

    def give_back(self, key: Hashable) -> None:  # noqa: B027 - most limits do not care when a request ends
        """A request has ended."""


class Window(Limit):
    """At most so many within any stretch of so many seconds."""

    def __init__(self, name: str, most: float, seconds: float) -> None:
        super().__init__(name, most)
        self.seconds = seconds
        self._taken: dict[Hashable, deque[tuple[float, float]]] = {}

    def level(self, key: Hashable, now: float, weight: float = 1.0) -> Level:
        """Forgets what has left the window. `wait_seconds` is until enough of it has left."""
        taken = self._taken.setdefault(key, deque())
        while taken and now - taken[0][0] >= self.seconds - _ROUNDING:
            taken.popleft()
        used = sum(each for _, each in taken) + weight
        surplus, wait_seconds = used - self.most, 0.0
        for at, each in taken:
            if surplus <= _ROUNDING:
                break
            surplus -= each
            wait_seconds = self.seconds - (now - at)
        return Level(name=self.name, key=key, used=used, most=self.most, wait_seconds=wait_seconds)

    def take(self, key: Hashable, now: float, weight: float) -> None:
        self._taken.setdefault(key, deque()).append((now, weight))


class Bucket(Limit):
    """A leaky bucket: each request adds to it, it drains steadily, and nothing goes in when it is full."""

    def __init__(self, name: str, most: float, per_second: float) -> None:
        super().__init__(name, most)
        self.per_second = per_second
        self._filled: dict[Hashable, tuple[float, float]] = {}

    def level(self, key: Hashable, now: float, weight: float = 1.0) -> Level:
        """`wait_seconds` is until enough has drained."""
        filled, at = self._filled.get(key, (0.0, now))
        used = max(0.0, filled - (now - at) * self.per_second) + weight
        return Level(name=self.name, key=key, used=used, most=self.most, wait_seconds=max(0.0, used - self.most) / self.per_second)

    def take(self, key: Hashable, now: float, weight: float) -> None:
        self._filled[key] = (self.level(key, now, weight).used, now)


class Parallel(Limit):
    """At most so many under way at once."""

    def __init__(self, name: str, most: float) -> None:
        super().__init__(name, most)
        self._under_way: Counter[Hashable] = Counter()

    def level(self, key: Hashable, now: float, weight: float = 1.0) -> Level:  # noqa: ARG002 - the same shape for all limits
        return Level(name=self.name, key=key, used=self._under_way[key] + weight, most=self.most, wait_seconds=0.0)

    def take(self, key: Hashable, now: float, weight: float) -> None:  # noqa: ARG002 - the same shape for all limits
        self._under_way[key] += 1

    def give_back(self, key: Hashable) -> None:
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]


@attrs.frozen
class Use:
    """A request counts against this limit under this key (an account, a token, a portal)."""

    limit: Limit
    key: Hashable
    weight: float = 1.0


class Meter:
    """Counts requests against limits.

    `violations`: how often which limit was broken, by its name. `peaks`: the highest load it ever had, by its name: 1.0 is full, so a
    client that kept a limit has at most that. Not `enforced`: what is too much is counted and served.
    """

    def __init__(self, *, enforced: bool = True) -> None:
        self.enforced = enforced
        self.violations: Counter[str] = Counter()
        self.peaks: dict[str, float] = {}

    def admit(self, uses: Sequence[Use], now: float) -> Level | None:
        """None: the request is taken, and given back with `end`. Otherwise the limit that it breaks, the one with the longest wait."""
        levels = [use.limit.level(use.key, now, use.weight) for use in uses]
        for level in levels:
            self.peaks[level.name] = max(self.peaks.get(level.name, 0.0), level.load)
        broken = [level for level in levels if level.is_over]
        self.violations.update(level.name for level in broken)
        if broken and self.enforced:
            return max(broken, key=lambda level: level.wait_seconds)
        for use in uses:
            use.limit.take(use.key, now, use.weight)
        return None

    def end(self, uses: Sequence[Use]) -> None:
        """A request that was taken has ended."""
        for use in uses:
            use.limit.give_back(use.key)
