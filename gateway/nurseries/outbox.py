"""The outbox: what CRMs are still to be told. The store says what that is; here is only what comes next, and when.

    take ──▶ desk of (enterprise, CRM) ──▶ chain of (call, CRM), a child of the events nursery ──▶ the CRM, then the store
                  ▲                             │ not done and not dead
                  └──── agenda of the worker ◀──┘

Every key that was committed is put here once, right after its commit; at the start, and now and then as a safety net, the worker reads all
that is pending. So a crash at any moment leaves nothing behind but a row that is read again.
"""

import heapq
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import count

import trio

from gateway.crm.base import CrmAdapter
from gateway.crm.owing import WANT_A_DIAL_FIRST
from gateway.errors import StoreRejected
from gateway.metrics import Metrics
from gateway.nurseries.chain import ChainRoom, work_off
from gateway.nurseries.clock import Clock
from gateway.nurseries.desk import ALL_PLACES, ChainKey, Desk
from gateway.nurseries.patience import Patience
from gateway.nurseries.retries import WAIT_SECONDS
from gateway.ports import Push, PushKey, Revived, Store

log = logging.getLogger(__name__)

# Between two looks at everything that is pending: it finds what calls that became one have brought along, what did not fit into memory and
# what somebody else has put into the table.
ROUND_SECONDS = 300.0
# A row is about 2 KB: a page is 1 MB.
PAGE_ROWS = 500
# The wall clock may be set while a push waits for its time, so that is looked at again at least this often.
LONGEST_SLEEP_SECONDS = 600.0


class Outbox:
    """All pushes of this process. Chains are children of `nursery`, the events nursery; `run` is the worker."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        patience: Patience,
        metrics: Metrics,
        adapter_of: Callable[[str, str], CrmAdapter | None],
        timeout_seconds: float,
        jitter: Callable[[], float],
        nursery: trio.Nursery,
    ) -> None:
        """`timeout_seconds`: how long one request may take. `adapter_of`, `jitter`: see `ChainRoom`."""
        self._room = ChainRoom(
            store=store,
            clock=clock,
            patience=patience,
            metrics=metrics,
            adapter_of=adapter_of,
            timeout_seconds=timeout_seconds,
            jitter=jitter,
            began_at=clock(),
        )
        self._nursery = nursery
        # As many as enterprises times their CRMs; an idle one is about 1 KB.
        self._desks: dict[tuple[str, str], Desk] = {}
        self._agenda = Agenda()
        self._paused: set[Desk] = set()
        self._scopes: set[trio.CancelScope] = set()
        self._started = False
        self._draining = False
        self._closing = False
        self._wake = trio.Event()
        self._quiet = trio.Event()

    def __repr__(self) -> str:
        return f"<Outbox {self.waiting_pushes} pushes waiting, {self.running_chains} chains under way>"

    def take(self, keys: Iterable[PushKey]) -> None:
        """These are owed, and that is committed. Does not wait; what has been done meanwhile costs a look into the store."""
        self._line_up(keys, is_retry=False)

    async def revive(self, enterprise_number: str) -> Revived:
        """The dead letters of this enterprise are tried again, as if they had not been tried; news go before them. Which ones, and which
        are not: nobody needs a pop-up for a call that has ended, so these are done with.

        Raises: as `Store.revive_pushes`.
        """
        revived = await self._room.store.revive_pushes(enterprise_number, at=self._room.clock(), dial_first=WANT_A_DIAL_FIRST)
        for (number, _), desk in self._desks.items():
            if number == enterprise_number:
                # Whoever asks for it wants to read of it if it fails again.
                desk.works()
        self._line_up(revived.keys, is_retry=True)
        return revived

    @property
    def waiting_pushes(self) -> int:
        """Pushes that may be pending, as far as they are known here."""
        return sum(desk.owed_pushes for desk in self._desks.values())

    @property
    def settled_pushes(self) -> int:
        """Pushes that were done or given up since the start of the process."""
        return sum(desk.settled_pushes for desk in self._desks.values())

    def waiting(self, enterprise_number: str) -> Mapping[str, int]:
        """The same of one enterprise, by CRM."""
        return {crm: desk.owed_pushes for (number, crm), desk in self._desks.items() if number == enterprise_number and desk.owed_pushes}

    @property
    def running_chains(self) -> int:
        """Chains under way: each is at most one request."""
        return len(self._scopes)

    # ------------------------------------------------------------------ the end

    async def drain(self) -> None:
        """Begin no retries any more; return when all first tries have been made and nothing is under way."""
        self._draining = True
        while any(desk.running or (desk.first_tries and desk not in self._paused) for desk in self._desks.values()):
            self._quiet = trio.Event()
            await self._quiet.wait()

    def close(self) -> None:
        """Begin nothing new and give up the requests that are under way; what a CRM has accepted is still recorded."""
        self._closing = True
        for scope in self._scopes:
            scope.cancel()

    # ------------------------------------------------------------------ the worker

    async def run(self) -> None:
        """Push what the last process left, then whatever has its time. Waits for the database as long as it takes.

        Begin it when the configuration is known: who has no CRM then is told nothing. What was put before has waited for this.
        """
        self._started = True
        for desk in self._desks.values():
            self._begin(desk)
        next_round_at = trio.current_time()
        while True:
            self._wake = trio.Event()
            if trio.current_time() >= next_round_at:
                await self._look_everywhere()
                next_round_at = trio.current_time() + ROUND_SECONDS
            self._begin_due(trio.current_time())
            times = [next_round_at, self._agenda.next_at, *(desk.paused_until for desk in self._paused)]
            with trio.move_on_at(min(times)):
                await self._wake.wait()

    def _begin_due(self, now: float) -> None:
        touched = dict.fromkeys(desk for desk in self._paused if desk.paused_until <= now)
        self._paused.difference_update(touched)
        for chain in self._agenda.due(now):
            desk = self._desk(chain)
            desk.line_up(chain, is_retry=True)
            touched[desk] = None
        for desk in touched:
            self._begin(desk)

    async def _look_everywhere(self) -> None:
        after: PushKey | None = None
        while True:
            try:
                page = await self._room.patience.with_store(
                    "pending pushes", lambda after=after: self._room.store.pending_pushes(after=after, limit=PAGE_ROWS)
                )
            except StoreRejected as exc:
                log.error("what is owed to CRMs cannot be read: %s", exc)
                return
            for push in page:
                self._remember(push)
            if len(page) < PAGE_ROWS:
                return
            after = page[-1].key

    def _remember(self, push: Push) -> None:
        chain = _chain_of(push.key)
        desk = self._desk(chain)
        # What is in mind already has its place in a line or its time in the agenda.
        if desk.owes(chain, push.key.kind) or not desk.owe(chain, push.key.kind):
            return
        seconds = (push.next_at - self._room.clock()).total_seconds()
        if seconds > 0:
            self._agenda.put(chain, trio.current_time() + min(seconds, LONGEST_SLEEP_SECONDS))
        else:
            desk.line_up(chain, is_retry=push.attempts > 0)
            self._begin(desk)

    # ------------------------------------------------------------------ chains

    def _line_up(self, keys: Iterable[PushKey], *, is_retry: bool) -> None:
        touched: dict[Desk, None] = {}
        for key in keys:
            chain = _chain_of(key)
            desk = self._desk(chain)
            if desk.owe(chain, key.kind):
                desk.line_up(chain, is_retry=is_retry)
                touched[desk] = None
        for desk in touched:
            self._begin(desk)

    def _desk(self, chain: ChainKey) -> Desk:
        key = (chain.enterprise_number, chain.crm)
        desk = self._desks.get(key)
        if desk is None:
            desk = self._desks[key] = Desk()
        return desk

    def _begin(self, desk: Desk) -> None:
        if self._closing or not self._started:
            return
        if desk.paused_until > trio.current_time():
            self._paused.add(desk)
            self._wake.set()
            self._quiet.set()
            return
        for chain in desk.begin(places=ALL_PLACES - len(self._scopes), is_draining=self._draining):
            scope = trio.CancelScope()
            self._scopes.add(scope)
            self._nursery.start_soon(self._drive, desk, chain, scope, name=f"pushes of call {chain.call_id} to {chain.crm}")

    async def _drive(self, desk: Desk, chain: ChainKey, scope: trio.CancelScope) -> None:
        wait: float | None = None
        try:
            with scope:
                wait = await self._work_off(desk, chain)
        finally:
            # No checkpoint since the last look: what is put from now on begins anew.
            desk.end(chain)
            self._scopes.discard(scope)
        if wait is not None:
            self._agenda.put(chain, trio.current_time() + min(wait, LONGEST_SLEEP_SECONDS))
            self._wake.set()
        self._begin(desk)
        self._quiet.set()

    async def _work_off(self, desk: Desk, chain: ChainKey) -> float | None:
        try:
            while True:
                wait = await work_off(self._room, desk, chain)
                if not desk.looks_again(chain):
                    return wait
        except Exception:
            # Safety net: what goes wrong with one call must not take the others, or the process, along. The row is as it was.
            log.exception("enterprise %s: %s, call %d: the push failed", chain.enterprise_number, chain.crm, chain.call_id)
            return WAIT_SECONDS[-1]


class Agenda:
    """When chains come up again. One time for each; the last one counts."""

    def __init__(self) -> None:
        self._at: dict[ChainKey, float] = {}
        self._heap: list[tuple[float, int, ChainKey]] = []
        self._numbers = count()

    def put(self, chain: ChainKey, at: float) -> None:
        """At this time of `trio.current_time`."""
        self._at[chain] = at
        heapq.heappush(self._heap, (at, next(self._numbers), chain))

    def due(self, now: float) -> list[ChainKey]:
        """Those whose time has come; they go from the agenda."""
        found: list[ChainKey] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, chain = heapq.heappop(self._heap)
            # An entry that a later one has replaced is passed over.
            if self._at.get(chain) == at:
                del self._at[chain]
                found.append(chain)
        return found

    @property
    def next_at(self) -> float:
        """When to look again; infinity when there is nothing."""
        return self._heap[0][0] if self._heap else float("inf")


def _chain_of(key: PushKey) -> ChainKey:
    return ChainKey(key.enterprise_number, key.call_id, key.crm)
