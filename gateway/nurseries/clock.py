"""Where `now` comes from. Instants are aware UTC; waiting is always done by Trio deadlines, never by comparing two of these."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import trio

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """The machine's time, aware UTC."""
    return datetime.now(UTC)


class TrioClock:
    """A clock that runs with `trio.current_time()`: under a mocked clock a day passes in no time. Make it inside the Trio run."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._origin_seconds = trio.current_time()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=trio.current_time() - self._origin_seconds)
