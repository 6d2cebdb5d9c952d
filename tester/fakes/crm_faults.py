"""Faults that a test plans for a fake CRM: which requests they meet, and what they make of them."""

import re
from collections.abc import Callable
from enum import Enum, auto

import attrs
import trio

from tester.fakes.crm_wire import Cut, Request, Response

GARBAGE = b'{"success": tru\xff<html>'
"""Begins as an answer and is none: neither JSON nor UTF-8."""


class FaultKind(Enum):
    """How a request goes wrong.

    DELAY: it is carried out `seconds` later; `accepted`: at once, and answered later. HANG: no answer, ever. CLOSE: the connection ends
    without an answer. RESET: the same, abruptly. HALF_ANSWER: it ends in the middle of the answer. ANSWER: `status`, `headers` and `body`
    instead of the right answer. GARBAGE: the right status, and a body that is none. REFUSE: no connection (over real sockets as CLOSE).
    """

    DELAY = auto()
    HANG = auto()
    CLOSE = auto()
    RESET = auto()
    HALF_ANSWER = auto()
    ANSWER = auto()
    GARBAGE = auto()
    REFUSE = auto()


_ALWAYS_CARRIED_OUT = frozenset((FaultKind.DELAY, FaultKind.HALF_ANSWER, FaultKind.GARBAGE))


@attrs.define(kw_only=True, eq=False)
class Fault:
    """A planned fault. It meets requests that fit `method`, `path` (a regular expression found in the target, any case) and `where`.

    `skip`: so many of them are spared first. `times`: so many are met, None: all. `accepted`: the request is carried out all the same:
    HANG with it is a timeout after the CRM has committed. `met` counts.
    """

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    where: Callable[[Request], bool] | None = None
    skip: int = 0
    times: int | None = 1
    accepted: bool = False
    seconds: float = 0.0
    status: int = 502
    body: bytes = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()
    met: int = attrs.field(default=0, init=False)

    @property
    def carries_out(self) -> bool:
        """Whether the CRM does what was asked."""
        return self.kind in _ALWAYS_CARRIED_OUT or (self.accepted and self.kind is not FaultKind.REFUSE)

    @property
    def is_used_up(self) -> bool:
        """Whether it will meet no more requests."""
        return self.times is not None and self.met >= self.times

    def fits(self, request: Request) -> bool:
        """Whether this request is meant."""
        return (
            (self.method is None or self.method == request.method)
            and (self.path is None or re.search(self.path, request.target, re.IGNORECASE) is not None)
            and (self.where is None or self.where(request))
        )


def take_fault(faults: list[Fault], request: Request) -> Fault | None:
    """The first planned fault that fits, counted; a used up one is dropped."""
    for fault in faults:
        if not fault.fits(request):
            continue
        if fault.skip > 0:
            fault.skip -= 1
            continue
        fault.met += 1
        if fault.is_used_up:
            faults.remove(fault)
        return fault
    return None


async def spoil(fault: Fault, response: Response) -> Response:
    """What the fault makes of the response. Hangs and delays wait; cancelled when the client leaves."""
    match fault.kind:
        case FaultKind.DELAY:
            if fault.accepted:
                await trio.sleep(fault.seconds)
            return response
        case FaultKind.HANG:
            await trio.sleep_forever()
            raise AssertionError
        case FaultKind.CLOSE:
            return Response(cut=Cut.ALL)
        case FaultKind.RESET:
            return Response(cut=Cut.RESET)
        case FaultKind.REFUSE:
            return Response(cut=Cut.CONNECTION)
        case FaultKind.HALF_ANSWER:
            # An answer without a body cannot be halved: then nothing of it comes.
            return attrs.evolve(response, cut=Cut.HALF if response.body else Cut.ALL)
        case FaultKind.ANSWER:
            return Response(status=fault.status, body=fault.body, content_type=fault.content_type, headers=fault.headers)
        case FaultKind.GARBAGE:
            return attrs.evolve(response, body=GARBAGE)
