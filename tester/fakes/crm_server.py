"""The common base of the fake CRMs: one entrance for requests, a record of them, planned faults, limits, routes.

A vendor's fake says how it answers (`respond`), what a request counts against (`uses`) and how it refuses what is too much (`too_many`).
All three are pure but for the fake's own memory: the time comes with the request. Only faults and latency wait. The fronts through which it
is reached are in `crm_fronts`.
"""

import re
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import trio

from tester.fakes.crm_faults import Fault, FaultKind, spoil, take_fault
from tester.fakes.crm_limits import Level, Meter, Use
from tester.fakes.crm_wire import Received, Request, Response

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""What the calendar shows when the clock reads 0 and nobody has said otherwise: virtual clocks know no calendar."""

KEPT_REQUESTS = 20_000


def calendar() -> datetime:
    """The default calendar of a fake."""
    return FIRST_DAY + timedelta(seconds=trio.current_time())


class CrmServer(ABC):
    """A fake CRM, as far as its API shows it.

    Args:
        clock: seconds, for the record and for limits.
        now: the calendar, aware UTC. The demo passes the machine's.
        enforced: refuse what breaks a limit; otherwise it is only counted.

    `requests` holds the last requests in order of arrival. Each of `on_answer` is called with the record of a request that has ended
    (answered or not), and must not raise. `latency_seconds`: what every request takes before it is carried out. `faults`: see `fail`.
    """

    def __init__(
        self, *, clock: Callable[[], float] = trio.current_time, now: Callable[[], datetime] = calendar, enforced: bool = True
    ) -> None:
        self._clock = clock
        self._now = now
        self.latency_seconds = 0.0
        self.meter = Meter(enforced=enforced)
        self.faults: list[Fault] = []
        self.requests: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self.under_way = 0
        self.on_answer: list[Callable[[Received], None]] = []
        self._changed = trio.Event()

    # what a vendor says

    @abstractmethod
    def respond(self, request: Request) -> Response:
        """Carry the request out and answer it as the vendor does; for what it does not know, in the vendor's own words."""

    @abstractmethod
    def too_many(self, request: Request, over: Level) -> Response:
        """Refuse a request that breaks a limit, as the vendor does."""

    def uses(self, request: Request) -> Sequence[Use]:  # noqa: ARG002 - for those who override it
        """What the request counts against; () when nothing."""
        return ()

    # what tests, demo and emulator say

    def fail(self, kind: FaultKind, **how: Any) -> Fault:
        """Plan a fault (fields of `Fault`). Planned ones are used up in order, one a request; `heal` drops them."""
        fault = Fault(kind=kind, **how)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No more planned faults. Requests that hang already go on hanging until their clients leave."""
        self.faults.clear()

    @property
    def violations(self) -> Counter[str]:
        """How often which limit was broken."""
        return self.meter.violations

    @property
    def peaks(self) -> Mapping[str, float]:
        """How near to which limit it ever came: 1.0 is full."""
        return self.meter.peaks

    def received(self, path: str, method: str | None = None) -> list[Received]:
        """The recorded requests whose target has this regular expression in it, in any case."""
        return [
            each
            for each in self.requests
            if method in (None, each.request.method) and re.search(path, each.request.target, re.IGNORECASE) is not None
        ]

    async def until(self, seen: Callable[[], bool]) -> None:
        """Return as soon as `seen()` is true; it is asked again whenever a request has come, has been carried out or has ended."""
        while not seen():
            await self._changed.wait()

    # the entrance

    def request(self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """A request that arrives now."""
        named = tuple((name.lower(), value) for name, value in headers)
        return Request(method=method, target=target, headers=named, body=body, at=self._clock(), when=self._now())

    async def answer(self, request: Request) -> Response:
        """Answer one request. Waits where latency or a fault says so.

        Cancelled when the client leaves: what was not carried out then never is, and nothing stays behind but the record.
        """
        received = Received(request=request)
        self.requests.append(received)
        fault = take_fault(self.faults, request)
        received.fault = "" if fault is None else fault.kind.name
        if fault is not None and fault.kind is FaultKind.REFUSE:
            received.response = await spoil(fault, Response())
            self._end(received)
            return received.response
        uses = self.uses(request)
        over = self.meter.admit(uses, request.at)
        self.under_way += 1
        self._stir()
        try:
            received.response = await self._outcome(received, fault, over)
        except trio.Cancelled:
            received.was_cancelled = True
            raise
        finally:
            self.under_way -= 1
            if over is None:
                self.meter.end(uses)
            self._end(received)
        return received.response

    async def _outcome(self, received: Received, fault: Fault | None, over: Level | None) -> Response:
        waits = self.latency_seconds
        if fault is not None and fault.kind is FaultKind.DELAY and not fault.accepted:
            waits += fault.seconds
        await trio.sleep(waits)
        request = received.request.moved_to(self._clock(), self._now())
        response = Response()
        if fault is None or fault.carries_out:
            response = self.respond(request) if over is None else self.too_many(request, over)
            received.carried_out = over is None
            self._stir()
        return response if fault is None else await spoil(fault, response)

    def _end(self, received: Received) -> None:
        if received.response is not None:
            received.answered_at = self._clock()
        for listener in self.on_answer:
            listener(received)
        self._stir()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


Handler = Callable[[Request, "re.Match[str]"], Response]


@attrs.frozen
class Route:
    """Requests of this method whose path is wholly matched go to this handler."""

    method: str
    path: re.Pattern[str]
    handler: Handler


class Routes:
    """A vendor's methods. `find` is given the path, as vendors have prefixes of their own (a version, a key)."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, path: str, handler: Handler, *, any_case: bool = False) -> None:
        """`path` is a regular expression; its groups are for the handler. The first route that fits is taken."""
        self._routes.append(Route(method, re.compile(path, re.IGNORECASE if any_case else 0), handler))

    def find(self, method: str, path: str) -> Callable[[Request], Response] | None:
        """What answers it, or None."""
        for route in self._routes:
            found = route.path.fullmatch(path)
            if found is not None and route.method == method:
                return _bound(route.handler, found)
        return None

    def methods(self, path: str) -> frozenset[str]:
        """The methods that this path has: with none it is unknown, otherwise the verb was wrong."""
        return frozenset(route.method for route in self._routes if route.path.fullmatch(path) is not None)


def _bound(handler: Handler, found: "re.Match[str]") -> Callable[[Request], Response]:
    return lambda request: handler(request, found)
