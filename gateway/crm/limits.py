"""How much a CRM may be asked, and the waiting until it may: limiters by account, shared by everybody who asks the same account.

A limiter is kept strictly, whatever the way to the CRM does: a place is taken when it is reserved and counts as used until its request has
ended, and only then begins to grow old. The CRM has seen the request at some moment between, so it can never count more than we do. The
price is that slow answers make less of a limit usable.

    limiter.reserve(2) ──▶ Places ──▶ async with places.request(): …   one request each; more than were reserved wait for their place
                              └─────▶ places.close()                   what was not used is given back

Who waits goes in the order of arrival; look-ups (`urgent`) and reports take turns, so neither has to wait for all of the others.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import attrs
import trio

from gateway.calls.report import CallReport
from gateway.crm.base import CrmKind
from gateway.errors import GatewayError

# Some 500 bytes each. Beyond this those go that nobody has asked for a while.
MOST_LIMITERS = 10_000
# Whoever waits for a place may have no deadline: a wish that cannot be meant must not stop the account until the next start.
LONGEST_PAUSE_SECONDS = 600.0
# Sums of floats may come out a little early, and a wait of nothing would not let the clock move.
_SHORTEST_WAIT_SECONDS = 0.001


class LimitReached(GatewayError):
    """There is no place before the deadline of whoever asks: nothing was sent. `wait_seconds`: how long it would take at least."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(f"the CRM's limit of requests is used up for at least {wait_seconds:.1f} s")
        self.wait_seconds = wait_seconds


# ---------------------------------------------------------------------- rules


@attrs.frozen
class Window:
    """At most `most` requests within any stretch of `seconds`."""

    most: int
    seconds: float


@attrs.frozen
class Bucket:
    """A leaky bucket: a request adds 1, `per_second` drains, and there is room for `most`."""

    most: int
    per_second: float


@attrs.frozen
class Parallel:
    """At most `most` requests under way (those with a reserved place among them)."""

    most: int


Rule = Window | Bucket | Parallel


class _Count(ABC):
    """What one rule has counted. `held`: places reserved or in use, which the limiter counts."""

    @abstractmethod
    def wait_seconds(self, now: float, held: int, count: int) -> float:
        """Until `count` more have room, 0 when they have. Infinity: not before something ends."""

    def end(self, now: float) -> None:  # noqa: B027  (parallel requests leave nothing behind)
        """A request has ended."""

    def is_empty(self, now: float) -> bool:  # noqa: ARG002
        """Whether it makes no difference any more what was before."""
        return True


class _WindowCount(_Count):
    def __init__(self, rule: Window) -> None:
        self._rule = rule
        self._ended: deque[float] = deque()

    def wait_seconds(self, now: float, held: int, count: int) -> float:
        self._forget(now)
        surplus = held + len(self._ended) + count - self._rule.most
        if surplus <= 0:
            return 0.0
        return self._ended[surplus - 1] + self._rule.seconds - now if surplus <= len(self._ended) else math.inf

    def end(self, now: float) -> None:
        self._ended.append(now)

    def is_empty(self, now: float) -> bool:
        self._forget(now)
        return not self._ended

    def _forget(self, now: float) -> None:
        while self._ended and now >= self._ended[0] + self._rule.seconds:
            self._ended.popleft()


class _BucketCount(_Count):
    def __init__(self, rule: Bucket) -> None:
        self._rule = rule
        self._level, self._at = 0.0, -math.inf

    def wait_seconds(self, now: float, held: int, count: int) -> float:
        surplus = self._now(now) + held + count - self._rule.most
        if surplus <= 0:
            return 0.0
        return surplus / self._rule.per_second if held + count <= self._rule.most else math.inf

    def end(self, now: float) -> None:
        self._level, self._at = self._now(now) + 1.0, now

    def is_empty(self, now: float) -> bool:
        return self._now(now) <= 0.0

    def _now(self, now: float) -> float:
        return max(0.0, self._level - (now - self._at) * self._rule.per_second)


class _ParallelCount(_Count):
    def __init__(self, rule: Parallel) -> None:
        self._rule = rule

    def wait_seconds(self, now: float, held: int, count: int) -> float:  # noqa: ARG002
        return 0.0 if held + count <= self._rule.most else math.inf


def _count_of(rule: Rule) -> _Count:
    match rule:
        case Window():
            return _WindowCount(rule)
        case Bucket():
            return _BucketCount(rule)
        case Parallel():
            return _ParallelCount(rule)


# ---------------------------------------------------------------------- limiters


class _Ticket:
    """Somebody in line."""

    def __init__(self) -> None:
        self.called = trio.Event()


class Limiter:
    """All rules of one account. Everything here is of one thread and is right after cancellation at any moment."""

    def __init__(self, *rules: Rule) -> None:
        self._counts = [_count_of(rule) for rule in rules]
        self._most = min((rule.most for rule in rules), default=0)
        self._held = 0
        self._lines: tuple[deque[_Ticket], deque[_Ticket]] = (deque(), deque())
        # Whose turn it is when somebody waits in both lines.
        self._urgent_is_next = True
        self._paused_until = -math.inf

    def __repr__(self) -> str:
        return f"Limiter(held={self._held}, waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return sum(len(line) for line in self._lines)

    def is_idle(self, now: float) -> bool:
        """Whether a new limiter would say the same: nobody waits, nothing is under way or counts."""
        return not self._held and not self.waiting and now >= self._paused_until and all(count.is_empty(now) for count in self._counts)

    async def reserve(self, count: int = 1, *, urgent: bool = False) -> "Places":
        """Wait until so many requests may be sent, and take their places.

        `urgent`: somebody waits for the answer (a look-up). Raises: `LimitReached` as soon as it is known that the caller's deadline
        comes first; ValueError for more than the rules ever allow at once. Cancelled, nothing was taken.
        """
        await self._take(count, urgent=urgent)
        return Places(self, count)

    def pause(self, seconds: float) -> None:
        """The CRM has asked for it: nobody gets a place for so long, at most `LONGEST_PAUSE_SECONDS`. Places that were reserved before are
        not touched.
        """
        self._paused_until = max(self._paused_until, trio.current_time() + min(seconds, LONGEST_PAUSE_SECONDS))

    async def _take(self, count: int, *, urgent: bool) -> None:
        if count > self._most:
            raise ValueError(f"{count} places at once; at most {self._most} exist")
        await trio.lowlevel.checkpoint()
        if count < 1:
            return
        ticket, line = _Ticket(), self._lines[0 if urgent else 1]
        line.append(ticket)
        try:
            while True:
                now = trio.current_time()
                wait_seconds = self._wait_seconds(now, count)
                is_first = self._first() is ticket
                if is_first and wait_seconds <= 0:
                    self._held += count
                    self._urgent_is_next = not urgent
                    return
                if math.isfinite(wait_seconds) and now + wait_seconds > trio.current_effective_deadline():
                    raise LimitReached(wait_seconds)
                # Whoever is not first is called when it is.
                with trio.move_on_after(max(wait_seconds, _SHORTEST_WAIT_SECONDS) if is_first else math.inf):
                    await ticket.called.wait()
                ticket.called = trio.Event()
        finally:
            line.remove(ticket)
            self._call_first()

    def _wait_seconds(self, now: float, count: int) -> float:
        return max(self._paused_until - now, 0.0, *(each.wait_seconds(now, self._held, count) for each in self._counts))

    def _first(self) -> _Ticket | None:
        urgent, usual = self._lines
        if urgent and (self._urgent_is_next or not usual):
            return urgent[0]
        return usual[0] if usual else None

    def _call_first(self) -> None:
        first = self._first()
        if first is not None:
            first.called.set()

    def _give_back(self, count: int) -> None:
        self._held -= count
        self._call_first()

    def _end(self) -> None:
        now = trio.current_time()
        self._held -= 1
        for each in self._counts:
            each.end(now)
        self._call_first()


class Places:
    """Places of one limiter for requests of one push or look-up. Close it (or use it as a context manager): then unused places go back."""

    def __init__(self, limiter: Limiter, count: int) -> None:
        self._limiter = limiter
        self._count = count

    @asynccontextmanager
    async def request(self) -> AsyncGenerator[None]:
        """One request is under way while the block runs. It takes a reserved place, or waits for one when there is none left.

        Raises: `LimitReached`, before the block.
        """
        if self._count:
            self._count -= 1
        else:
            # The deadline of whoever asks is running already.
            await self._limiter._take(1, urgent=True)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        try:
            yield
        finally:
            self._limiter._end()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def pause(self, seconds: float) -> None:
        """As `Limiter.pause`."""
        self._limiter.pause(seconds)

    def close(self) -> None:
        """Give back what was not used."""
        count, self._count = self._count, 0
        if count:
            self._limiter._give_back(count)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


class Admissions:
    """What `CrmAdapter.admission` has reserved, until `CrmAdapter.push` of the same report takes it. One for each adapter and limiter."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._reserved: dict[CallReport, Places] = {}

    async def admit(self, report: CallReport, count: int) -> None:
        """Reserve `count` places for the push of this report, which must follow without a checkpoint between."""
        places = await self._limiter.reserve(count)
        self._give_back(report)
        self._reserved[report] = places

    def claim(self, report: CallReport) -> Places:
        """Its places, to be closed by the caller. Without admission there are none yet, and each request waits for its own."""
        return self._reserved.pop(report, None) or Places(self._limiter, 0)

    def _give_back(self, report: CallReport) -> None:
        places = self._reserved.pop(report, None)
        if places is not None:
            places.close()


class Limiters:
    """The limiters of this process by account: made once, handed to the makers of adapters.

    Enterprises whose settings lead to one account share its limiter, and a limiter outlives the adapters that come and go with settings.
    """

    def __init__(self, most: int = MOST_LIMITERS) -> None:
        self._most = most
        self._limiters: dict[bytes, Limiter] = {}

    def __repr__(self) -> str:
        return f"Limiters({len(self._limiters)})"

    def of(self, kind: CrmKind, *account: str, rules: tuple[Rule, ...]) -> Limiter:
        """The limiter of what the vendor counts by: the host of a portal, a host and a key, with a name where one account has several.

        `account` may hold keys: only a digest is kept. The rules are those of the first who asks.
        """
        key = sha256("\0".join((kind, *account)).encode("utf-8", "replace")).digest()
        limiter = self._limiters.get(key)
        if limiter is None:
            if len(self._limiters) >= self._most:
                self._sweep()
            limiter = self._limiters[key] = Limiter(*rules)
        return limiter

    def _sweep(self) -> None:
        """Forget those that nobody holds and that would begin anew just the same."""
        now = trio.current_time()
        busy = [limiter for limiter in self._limiters.values() if not limiter.is_idle(now)]
        known = WeakValueDictionary(self._limiters)
        self._limiters.clear()
        self._limiters = dict(known)
        busy.clear()
