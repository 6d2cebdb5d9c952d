"""A chain: all that one CRM is to hear about one call, in order: each report waits until those before it are done or dead.

Whether something is still to be sent is asked of the store right before it is sent. What a CRM's answer means is the adapter's business,
when a failure is tried again is in `retries`; here it is done, written down and told.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs
import trio

from gateway.calls.report import ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, CrmSettingsError, Outcome, OutcomeClass, Problem, may_be_done, maybe_done_mark
from gateway.crm.owing import WANT_A_DIAL_FIRST
from gateway.errors import StoreRejected
from gateway.metrics import Metrics
from gateway.nurseries.clock import Clock
from gateway.nurseries.desk import ChainKey, Desk
from gateway.nurseries.patience import Patience
from gateway.nurseries.retries import pause_seconds, wait_seconds
from gateway.ports import Attempt, Push, PushKey, PushState, Store

log = logging.getLogger(__name__)

T = TypeVar("T")

IN_ORDER = tuple(ReportKind)
# What a CRM has accepted is written down even when the process is told to end: for so long, then the next process sends it again.
RECORD_SECONDS = 2.0
# Times go through the database and back, and come out a little different.
EARLY_SECONDS = 0.05
# Another chain is sending this very push, which takes a few seconds at most.
LOOK_AGAIN_SECONDS = 1.0

SWITCHED_OFF = "the enterprise or its integration is switched off"
# A retry may take so many times as long as a first try: nobody waits for it, and some CRMs take their time over the end of a call
# (Bitrix24's own examples: 2.4 s for telephony.externalCall.finish).
RETRY_TIMES = 3.0
# Nobody needs a pop-up for a call that is over; the end says all that the dial would have said.
CALL_ENDED = Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="the call has ended, and the dial was not accepted before")


@attrs.frozen(kw_only=True)
class ChainRoom:
    """What all chains share. `adapter_of` (enterprise, CRM) answers None for what is switched off, and may raise `CrmSettingsError`.

    `began_at`: when this process began; what is owed since before may have been sent by one that had no time to write it down.
    `connections`: of the pool's ten, so many are for this; the rest is for the lanes and for what Telegram is shown.
    """

    store: Store
    clock: Clock
    patience: Patience
    metrics: Metrics
    adapter_of: Callable[[str, str], CrmAdapter | None]
    timeout_seconds: float
    jitter: Callable[[], float]
    began_at: datetime
    connections: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(4))

    async def with_store(self, key: PushKey, operation: Callable[[], Awaitable[T]]) -> T:
        """As `Patience.with_store`."""
        async with self.connections:
            return await self.patience.with_store(f"enterprise {key.enterprise_number}: {key.crm}, call {key.call_id}", operation)


async def work_off(room: ChainRoom, desk: Desk, chain: ChainKey) -> float | None:
    """Send what is pending and due. In how many seconds there is more to be done; None: nothing of it is pending any more.

    Cancelled, what was under way stays pending in the store; the CRM may have it all the same, and gets it again under the same id.
    """
    for kind in IN_ORDER:
        push = None if desk.is_refused(chain, kind) else await _pending(room, desk, chain, kind)
        if push is not None:
            desk.owe(chain, kind)
            seconds = max((push.next_at - room.clock()).total_seconds(), desk.paused_until - trio.current_time())
            if seconds > EARLY_SECONDS:
                return seconds
            if push.push_id in desk.pushing:
                return LOOK_AGAIN_SECONDS
            desk.pushing.add(push.push_id)
            try:
                wait = await _try(room, desk, chain, push)
            finally:
                desk.pushing.discard(push.push_id)
            if wait is not None:
                return wait
            desk.settled_pushes += 1
        desk.settle(chain, kind)
    return None


async def _pending(room: ChainRoom, desk: Desk, chain: ChainKey, kind: ReportKind) -> Push | None:
    key = chain.push_key(kind)
    try:
        return await room.with_store(key, lambda: room.store.push_of(key))
    except StoreRejected as exc:
        log.error("enterprise %s: %s, call %d: what is owed cannot be read: %s", key.enterprise_number, key.crm, key.call_id, exc)
        desk.refuse(chain, kind)
        return None


async def _try(room: ChainRoom, desk: Desk, chain: ChainKey, push: Push) -> float | None:
    """One try, and its record. The wait until the next; None: done or dead."""
    begun_at = trio.current_time()
    # The database dates rows; should its clock be ahead of ours, a restart still takes longer than clocks differ.
    if push.push_id in desk.unrecorded or push.created_at < room.began_at:
        push = attrs.evolve(push, memory={**push.memory, **maybe_done_mark(push.key.kind)})
    desk.unrecorded.add(push.push_id)
    outcome = CALL_ENDED if _comes_too_late(push) else await _push(room, push)
    now, attempts = room.clock(), push.attempts + 1
    wait: float | None = None
    state = PushState.DONE
    if not outcome.outcome.is_done:
        wait = wait_seconds(
            outcome.outcome,
            outcome.problem,
            attempts=attempts,
            last_problem=push.problem,
            retry_after_seconds=outcome.retry_after_seconds,
            jitter=room.jitter(),
        )
        state = PushState.DEAD if wait is None else PushState.PENDING
        pause = pause_seconds(outcome.problem, outcome.retry_after_seconds)
        desk.paused_until = max(desk.paused_until, trio.current_time() + pause)
    problem = outcome.problem.value if outcome.problem is not None else ""
    room.metrics.push(push.key.crm, push.key.kind.value, outcome.outcome.value, problem, trio.current_time() - begun_at)
    attempt = Attempt(
        key=push.key,
        at=now,
        state=state,
        next_at=now + timedelta(seconds=wait or 0.0),
        outcome=outcome.outcome.value,
        problem=problem,
        fault=outcome.fault.value if not outcome.outcome.is_done else "",
        reason=outcome.reason,
        advice=outcome.advice,
        request=outcome.request or _summary(push),
        response=outcome.response,
        memory={**outcome.memory, **_mark_of(push, outcome)},
        recording_url=push.report.recording_url,
        report=push.report,
        revision=push.revision,
        push_id=push.content_id,
    )
    recorded: PushState | None = None
    with trio.move_on_after(RECORD_SECONDS, shield=True) as scope:
        recorded = await _record(room, attempt)
    if scope.cancelled_caught:
        recorded = await _record(room, attempt)
    # Given up, but what is to be told has changed meanwhile: that has its try.
    is_renewed = state is PushState.DEAD and recorded is PushState.PENDING
    if not is_renewed:
        _tell(room, desk, push, outcome, state)
    if recorded is None:
        desk.refuse(chain, push.key.kind)
        return None
    desk.unrecorded.discard(push.push_id)
    return 0.0 if is_renewed else wait


def _comes_too_late(push: Push) -> bool:
    """A dial that was not accepted at its first try, of a call whose end is already there to be told."""
    is_again = push.key.kind is ReportKind.DIAL and push.attempts > 0
    return is_again and push.has_ended and push.key.crm not in WANT_A_DIAL_FIRST


def _summary(push: Push) -> Mapping[str, Any]:
    """What was to be told, where there was no request, or nobody can say any more what it was."""
    report = push.report
    return {"kind": report.kind.value, "phone": report.phone, "unique_id": report.unique_id}


def _mark_of(push: Push, outcome: Outcome) -> Mapping[str, Any]:
    """The mark stays until the CRM is known to have it: a later try that surely did nothing says nothing of the one before."""
    if outcome.outcome.is_done or not (outcome.is_ambiguous or may_be_done(push.report, push.memory)):
        return {}
    return maybe_done_mark(push.key.kind)


async def _push(room: ChainRoom, push: Push) -> Outcome:
    key, seconds = push.key, room.timeout_seconds * (RETRY_TIMES if push.attempts else 1.0)
    try:
        adapter = room.adapter_of(key.enterprise_number, key.crm)
        if adapter is None:
            return failure(Problem.SWITCHED_OFF, SWITCHED_OFF)
        await adapter.admission(push.report)
        with trio.move_on_after(seconds):
            return await adapter.push(push.report, push_id=push.content_id, memory=push.memory)
    except CrmSettingsError as exc:
        return failure(Problem.SETTINGS, "; ".join(str(exc).splitlines()))
    except Exception as exc:  # noqa: BLE001
        # Safety net: an adapter promises to raise nothing. One that does has met something its author did not think of and would meet it
        # again, so the report is given up at once; the calls after it are still told. Type and place only: the text of a foreign
        # exception may hold an address with a key in it.
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        place = f"{type(exc).__name__} in {frame.name}, line {frame.lineno} of {frame.filename.rpartition('/')[2]}"
        log.error("enterprise %s: the adapter of %s failed at call %d: %s", key.enterprise_number, key.crm, key.call_id, place)
        return failure(Problem.INTERNAL, place, is_ambiguous=True)
    return failure(Problem.TIMEOUT, f"no answer within {seconds:g} s", is_ambiguous=True)


async def _record(room: ChainRoom, attempt: Attempt) -> PushState | None:
    """Write the try down. Waits for the database as long as it takes. Of what is refused, as much as it takes.

    The state of the row from now on; None: the database took nothing.
    """
    mark = maybe_done_mark(attempt.key.kind)
    kept = {key: attempt.memory[key] for key in mark if key in attempt.memory}
    bare = attrs.evolve(attempt, reason="", advice="", request={}, response={}, memory=kept, report=None, revision=0)
    for what in (attempt, bare):
        try:
            return await room.with_store(attempt.key, lambda what=what: room.store.record_attempt(what))
        except StoreRejected as exc:
            key = attempt.key
            log.error("enterprise %s: %s, call %d: a try cannot be recorded: %s", key.enterprise_number, key.crm, key.call_id, exc)
    return None


def _tell(room: ChainRoom, desk: Desk, push: Push, outcome: Outcome, state: PushState) -> None:
    """A CRM that is dead for days would fill the log: of its dead letters the first of each problem is told, until it works again."""
    key = push.key
    if outcome.outcome in (OutcomeClass.DELIVERED, OutcomeClass.DUPLICATE):
        if dead := desk.works():
            log.info("enterprise %s: %s works again; given up meanwhile: %d", key.enterprise_number, key.crm, dead)
    elif outcome.problem is Problem.SWITCHED_OFF:
        # Somebody has done that, mostly on purpose: no alarm, and no figure that raises one.
        if desk.tell(outcome.problem):
            log.info("enterprise %s: %s is not told of call %d and others: %s", key.enterprise_number, key.crm, key.call_id, SWITCHED_OFF)
    elif state is PushState.DEAD:
        problem = outcome.problem.value if outcome.problem is not None else ""
        room.metrics.push_dead(key.crm, problem)
        if desk.tell(outcome.problem):
            log.warning(
                "enterprise %s: %s does not get the %s of call %d, tries: %d: %s (%s): %s; what to do: %s "
                "[others with this problem are only counted until it works again]",
                key.enterprise_number,
                key.crm,
                key.kind.value,
                key.call_id,
                push.attempts + 1,
                problem,
                outcome.fault.value,
                outcome.reason or "no reason given",
                outcome.advice or "nothing is known",
            )
