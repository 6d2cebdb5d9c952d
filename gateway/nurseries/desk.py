"""A desk: one CRM of one enterprise. Which of its calls come next, and how many at once. No I/O and no clock.

Two lines wait at it, first tries and retries, each with places of its own: a CRM that hangs for ever with a thousand calls holds at most
`PLACES` connections, and its retries neither keep the news from being told nor are kept from their turn by it.
"""

from collections.abc import Iterator

import attrs

from gateway.calls.report import ReportKind
from gateway.crm.base import Problem
from gateway.ports import PushKey

# Of the eight connections that a target has (`gateway.crm.http`) two are left to those who ask it for names.
FIRST_PLACES = 4
RETRY_PLACES = 2
PLACES = FIRST_PLACES + RETRY_PLACES
# Together all desks have so many requests under way, or one each where there are more desks than that: a process has 1,024 descriptors by
# default, and when half the CRMs of a large provider hang, the doors must still open.
ALL_PLACES = 200
# What a desk keeps in mind of one call is about 500 bytes (its entry here, its place in a line or its time in the agenda), so it holds at
# most 10 MB. What comes on top is in the store and is found by the next round.
MOST_CALLS = 20_000


@attrs.frozen
class ChainKey:
    """Everything that is owed to one CRM about one call."""

    enterprise_number: str
    call_id: int
    crm: str

    def push_key(self, kind: ReportKind) -> PushKey:
        """The key of one of its rows."""
        return PushKey(self.enterprise_number, self.call_id, self.crm, kind)


class Desk:
    """The calls of one enterprise that one CRM is still to hear of, as far as they are known here."""

    def __init__(self) -> None:
        # How many pushes may be pending, and which kinds of each call.
        self.owed_pushes = 0
        # How many were done or given up here.
        self.settled_pushes = 0
        self._owed: dict[ChainKey, set[ReportKind]] = {}
        self._first: dict[ChainKey, None] = {}
        self._retries: dict[ChainKey, None] = {}
        # Under way, and whether as a retry.
        self._running: dict[ChainKey, bool] = {}
        self._again: set[ChainKey] = set()
        # What the database takes no record of. A mistake of ours, so there are none or few; each is some 100 bytes.
        self._refused: set[tuple[ChainKey, ReportKind]] = set()
        # Problems whose dead letters have been told, and how many came after the telling.
        self._told: dict[Problem | None, int] = {}
        self.paused_until = float("-inf")
        # The ids of the pushes under way. Calls that become one bring their pushes along: then two chains know the same push.
        self.pushing: set[str] = set()
        # Those that were begun here and whose end is not written down. But for mistakes of ours they are the ones under way.
        self.unrecorded: set[str] = set()

    def __repr__(self) -> str:
        return f"<Desk {len(self._owed)} calls, {len(self._first)} first, {len(self._retries)} retries, {len(self._running)} under way>"

    @property
    def running(self) -> int:
        """Calls that are under way."""
        return len(self._running)

    @property
    def first_tries(self) -> int:
        """Calls that wait for their first try."""
        return len(self._first)

    def owes(self, chain: ChainKey, kind: ReportKind) -> bool:
        """Whether this is kept in mind, so that its turn or its time will come, or so that it never comes again."""
        return kind in self._owed.get(chain, ()) or self.is_refused(chain, kind)

    def owe(self, chain: ChainKey, kind: ReportKind) -> bool:
        """Keep in mind that this may be pending. False: there is no room, the store alone knows of it."""
        kinds = self._owed.get(chain)
        if kinds is None:
            if len(self._owed) >= MOST_CALLS:
                return False
            kinds = self._owed[chain] = set()
        if kind not in kinds:
            kinds.add(kind)
            self.owed_pushes += 1
        return True

    def refuse(self, chain: ChainKey, kind: ReportKind) -> None:
        """The store takes no record of it: sent again and again it would never be done, so this process leaves it alone."""
        self._refused.add((chain, kind))

    def is_refused(self, chain: ChainKey, kind: ReportKind) -> bool:
        """Whether it is left alone."""
        return (chain, kind) in self._refused

    def settle(self, chain: ChainKey, kind: ReportKind) -> None:
        """This one is not pending any more."""
        kinds = self._owed.get(chain, set[ReportKind]())
        if kind in kinds:
            kinds.discard(kind)
            self.owed_pushes -= 1
            if not kinds:
                del self._owed[chain]

    def line_up(self, chain: ChainKey, *, is_retry: bool) -> None:
        """Let it come when it is its turn. One that is under way looks again before it ends: two of a call are never under way at once."""
        if chain in self._running:
            self._again.add(chain)
        elif not is_retry:
            self._retries.pop(chain, None)
            self._first.setdefault(chain)
        elif chain not in self._first:
            self._retries.setdefault(chain)

    def begin(self, *, places: int, is_draining: bool) -> Iterator[ChainKey]:
        """Those whose turn it is now; they count as under way. `places`: how many of those that all desks share are free."""
        while self._first or (self._retries and not is_draining):
            if self._running and places <= 0:
                return
            retries = sum(self._running.values())
            if self._first and len(self._running) - retries < FIRST_PLACES:
                chain, is_retry = next(iter(self._first)), False
                del self._first[chain]
            elif self._retries and not is_draining and retries < RETRY_PLACES:
                chain, is_retry = next(iter(self._retries)), True
                del self._retries[chain]
            else:
                return
            self._running[chain] = is_retry
            places -= 1
            yield chain

    def looks_again(self, chain: ChainKey) -> bool:
        """Whether something was put while it was under way; says so once."""
        if chain in self._again:
            self._again.discard(chain)
            return True
        return False

    def end(self, chain: ChainKey) -> None:
        """It is not under way any more."""
        self._running.pop(chain, None)
        self._again.discard(chain)

    def tell(self, problem: Problem | None) -> bool:
        """A dead letter with this problem: whether it is news. It is not, until something is delivered again."""
        is_news = problem not in self._told
        self._told[problem] = self._told.get(problem, 0) + 1
        return is_news

    def works(self) -> int:
        """Something was delivered. How many letters have died since something was last; 0 when none."""
        dead = sum(self._told.values())
        self._told.clear()
        return dead
