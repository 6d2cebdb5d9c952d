"""What a bot and a chat may still send: counting only, no waiting and no clock. `now` and all times are seconds of one monotonic clock."""

import math
from collections import deque

BOT_WINDOW_SECONDS = 1.0
GROUP_WINDOW_SECONDS = 60.0

NEVER = -math.inf


class Window:
    """At most `items` in any `seconds`. One older than the window, and so exactly at its edge, counts no more."""

    __slots__ = ("_seconds", "_taken")

    def __init__(self, items: int, seconds: float) -> None:
        self._seconds = seconds
        self._taken: deque[float] = deque(maxlen=items)

    @property
    def open_at(self) -> float:
        """When the next one may be taken."""
        return self._taken[0] + self._seconds if len(self._taken) == self._taken.maxlen else NEVER

    @property
    def empty_at(self) -> float:
        """When it is as if nothing had been taken."""
        return self._taken[-1] + self._seconds if self._taken else NEVER

    def take(self, now: float) -> None:
        """Take one; the caller has looked at `open_at`."""
        self._taken.append(now)

    def give_back(self, taken_at: float) -> None:
        """Undo a `take` that was not used. Equal times are interchangeable."""
        if taken_at in self._taken:
            self._taken.remove(taken_at)


class ChatBudget:
    """A bucket of `burst` tokens, one more each `interval_seconds`; for a group also a window; and pauses."""

    __slots__ = ("_burst", "_group", "_interval", "_margin", "_paused_until", "_refilled_at", "_tokens")

    def __init__(self, *, interval_seconds: float, burst: int, margin_seconds: float, group: Window | None) -> None:
        self._interval = interval_seconds
        self._burst = burst
        self._margin = margin_seconds
        self._group = group
        self._tokens = burst
        self._refilled_at = NEVER
        self._paused_until = NEVER

    def open_at(self, now: float) -> float:
        """When the next request may be sent; not after `now` when it may be sent now."""
        self._refill(now)
        at = self._paused_until
        if not self._tokens:
            at = max(at, self._refilled_at + self._interval)
        return at if self._group is None else max(at, self._group.open_at)

    def full_at(self, now: float) -> float:
        """When nothing distinguishes it from a new one."""
        self._refill(now)
        at = self._paused_until
        if self._tokens < self._burst:
            at = max(at, self._refilled_at + (self._burst - self._tokens) * self._interval)
        return at if self._group is None else max(at, self._group.empty_at)

    def pause_until(self, at: float) -> None:
        """Nothing before `at`; a longer pause stays."""
        self._paused_until = max(self._paused_until, at)

    def take(self, now: float) -> None:
        """Take one; the caller has looked at `open_at`."""
        self._refill(now)
        if self._tokens == self._burst:
            # A burst may arrive later than what follows it: its requests open the connections.
            self._refilled_at = now + self._margin
        self._tokens -= 1
        if self._group is not None:
            self._group.take(now)

    def give_back(self, taken_at: float) -> None:
        """Undo a `take` that was not used."""
        self._tokens = min(self._tokens + 1, self._burst)
        if self._group is not None:
            self._group.give_back(taken_at)

    def _refill(self, now: float) -> None:
        # Whole tokens, so that the time of the next one is the same sum here and in `open_at`: no rounding can put a wake-up before it.
        while self._tokens < self._burst and self._refilled_at + self._interval <= now:
            self._tokens += 1
            self._refilled_at += self._interval
