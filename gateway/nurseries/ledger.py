"""The ledger: the steps of one lane, written for certain. What the database refuses is taken apart until the rest is in."""

import logging
from collections.abc import Sequence

from gateway.errors import StoreRejected
from gateway.nurseries.patience import Patience
from gateway.ports import EventOutcome, Owed, Step, Store

log = logging.getLogger(__name__)


class Ledger:
    """Writes steps. `refused_up_to`: the last event of which the database takes nothing at all, not even an error; 0 for none."""

    def __init__(self, enterprise_number: str, store: Store, *, patience: Patience) -> None:
        self.refused_up_to = 0
        self._enterprise_number = enterprise_number
        self._store = store
        self._patience = patience

    async def commit(self, step: Step) -> Sequence[Owed]:
        """Write a step, however long it takes. What of `step.owed` is written now: all of it, but for what the database refuses."""
        try:
            await self._patience.with_store(f"enterprise {step.enterprise_number}: step", lambda: self._store.commit_step(step))
        except StoreRejected as exc:
            log.error("enterprise %s: a step was refused, taking it apart: %s", self._enterprise_number, exc)
            return await self._commit_in_parts(step, str(exc))
        return step.owed

    async def _commit_in_parts(self, step: Step, error: str) -> Sequence[Owed]:
        """The database refuses something in the step. Keep all that it takes; what it does not take is recorded as an error."""
        number = self._enterprise_number
        parts = [Step(enterprise_number=number, opened=step.opened, merged=step.merged, released=step.released)]
        parts += [Step(enterprise_number=number, outcomes=(outcome,)) for outcome in step.outcomes]
        parts += [Step(enterprise_number=number, records=(record,)) for record in step.records]
        parts += [Step(enterprise_number=number, owed=(owed,)) for owed in step.owed]
        parts += [Step(enterprise_number=number, named=(named,)) for named in step.named]
        written: list[Owed] = []
        for part in parts:
            if refusal := await self._refusal_of(part):
                log.error("enterprise %s: refused and passed over: %r: %s", number, part, refusal)
                for outcome in part.outcomes:
                    await self._commit_error(outcome, error)
            else:
                written += part.owed
        return written

    async def _commit_error(self, outcome: EventOutcome, error: str) -> None:
        bare = EventOutcome(event_id=outcome.event_id, call_id=None, error=outcome.error or error)
        if refusal := await self._refusal_of(Step(enterprise_number=self._enterprise_number, outcomes=(bare,))):
            # Not even this: the event stays unprocessed. Reading on after it keeps the lane from meeting it again in this run.
            log.error("enterprise %s: event %d cannot be marked: %s", self._enterprise_number, outcome.event_id, refusal)
            self.refused_up_to = max(self.refused_up_to, outcome.event_id)

    async def _refusal_of(self, part: Step) -> str:
        try:
            await self._patience.with_store(f"enterprise {part.enterprise_number}: part of a step", lambda: self._store.commit_step(part))
        except StoreRejected as exc:
            return str(exc) or "refused"
        return ""
