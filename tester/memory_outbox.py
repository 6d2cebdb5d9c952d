"""The part of the store in memory that knows what is owed to CRMs."""

import json
import uuid
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from gateway.attempts import IntegrationLog
from gateway.calls.report import ReportKind
from gateway.ports import Attempt, Owed, Push, PushKey, PushState, Revived
from sql import crm_rows
from sql.documents import document, logged_document
from sql.texts import clean_key
from tester.memory_customers import MemoryCustomers
from tester.memory_subscribers import utc_now
from tester.stored_reports import content, recording_in, with_changes

# As sql/queries/recordings.sql has it.
_MAYBE_DONE = "maybe_done_hangup"


@attrs.define(kw_only=True)
class _PushRow:
    """A row of `crm_outbox`, but for its key."""

    push_id: str
    revision: int = 1
    unique_id: str
    report: str
    is_outside: bool = False
    state: PushState = PushState.PENDING
    attempts: int = 0
    next_at: datetime
    created_at: datetime
    attempted_at: datetime | None = None
    memory: dict[str, Any] = attrs.field(factory=dict[str, Any])
    outcome: str = ""
    problem: str = ""
    fault: str = ""
    reason: str = ""
    advice: str = ""


class MemoryOutbox(MemoryCustomers):
    """What is owed, by its key, and the log of attempts, the oldest first."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(now=now)
        self._pushes: dict[PushKey, _PushRow] = {}
        self._of_unique: dict[tuple[str, str], set[PushKey]] = {}
        # Where mergers have moved a row: from the key it had to the one it got.
        self._moved: dict[PushKey, PushKey] = {}
        self._attempts_log: list[IntegrationLog] = []
        # By account: the serial number, and the tokens as JSON text.
        self._tokens: dict[str, tuple[int, str]] = {}

    # looking in

    def put_report(self, key: PushKey, text: str) -> None:
        """Puts any JSON into `crm_outbox.report`."""
        _tell(self._pushes[key], text)

    def stored_report(self, key: PushKey) -> str:
        """`crm_outbox.report`"""
        return self._pushes[key].report

    # what is owed

    def _owe(self, number: str, owed: Sequence[Owed], survivors: Mapping[int, int], *, refresh: bool) -> list[PushKey]:
        fresh: list[PushKey] = []
        new_ids: dict[str, int] = {}
        at = self._now()
        for one in json.loads(crm_rows.owed_json(owed, survivors)):
            unique_id, report = one["unique_id"], json.dumps(one["report"], ensure_ascii=False)
            call_id, is_outside = one["call_id"], False
            if call_id:
                self._adopt(number, unique_id, call_id)
            else:
                call_id, is_outside = self._call_of_outside(number, unique_id)
                call_id = call_id or new_ids.get(unique_id)
            if call_id is None:
                call_id = new_ids[unique_id] = self._new_id()
            key = crm_rows.push_key({**one, "enterprise_number": number, "call_id": call_id})
            row = self._pushes.get(key) or self._same_call(key, unique_id)
            if row is None:
                row = _new_row(unique_id, report, at)
                row.is_outside = is_outside
                self._put_push(key, row)
                fresh.append(key)
            elif refresh and row.state is not PushState.DONE and not one["synthetic"]:
                known = recording_in(row.report)
                _tell(row, report if recording_in(report) or not known else with_changes(report, recording_url=known))
        return sorted(fresh, key=_place)

    def _adopt(self, number: str, unique_id: str, call_id: int) -> None:
        """What a report from outside has made for a UniqueId goes to the call that has it."""
        of_unique = self._of_unique.get((number, unique_id), set()) if unique_id else set[PushKey]()
        outside = {key.call_id for key in of_unique if self._pushes[key].is_outside and key.call_id != call_id}
        if outside:
            self._merge_pushes(number, dict.fromkeys(outside, call_id))

    def _put_push(self, key: PushKey, row: _PushRow) -> None:
        self._pushes[key] = row
        if row.unique_id:
            self._of_unique.setdefault((key.enterprise_number, row.unique_id), set()).add(key)

    def _take_push(self, key: PushKey) -> _PushRow:
        row = self._pushes.pop(key)
        self._of_unique.get((key.enterprise_number, row.unique_id), set()).discard(key)
        return row

    def _same_call(self, key: PushKey, unique_id: str) -> _PushRow | None:
        """The row of another call that has this UniqueId."""
        for other in self._of_unique.get((key.enterprise_number, unique_id), ()):
            if attrs.evolve(other, call_id=key.call_id) == key:
                return self._pushes[other]
        return None

    def _call_of_outside(self, number: str, unique_id: str) -> tuple[int | None, bool]:
        """Which call it is, and whether no event knows it."""
        logged = self._logged_call_id(number, unique_id) if unique_id else None
        if logged is not None:
            return logged, False
        told = self._of_unique.get((number, unique_id), set()) if unique_id else set[PushKey]()
        newest = max(told, key=lambda key: key.call_id, default=None)
        return (newest.call_id, self._pushes[newest].is_outside) if newest is not None else (None, True)

    @abstractmethod
    def _logged_call_id(self, number: str, unique_id: str) -> int | None:
        """The newest call that has an event with this UniqueId."""

    @abstractmethod
    def _new_id(self) -> int:
        """One that no event will have."""

    def _merge_pushes(self, number: str, survivors: Mapping[int, int]) -> None:
        """What survivors lack they get, the best of it: what a CRM was told already, else of the oldest call."""
        absorbed = sorted(
            (key for key in self._pushes if key.enterprise_number == number and key.call_id in survivors),
            key=lambda key: (self._pushes[key].state is PushState.PENDING, key.call_id),
        )
        families = {(target := attrs.evolve(key, call_id=survivors[key.call_id])): self._family(target) for key in absorbed}
        oldest = {target: family[0] for target, family in families.items() if family}
        for key in absorbed:
            target = attrs.evolve(key, call_id=survivors[key.call_id])
            if target not in self._pushes:
                row = self._take_push(key)
                self._put_push(target, row)
                self._moved[key] = target
                row.is_outside = False
                row.revision += row.state is not PushState.DONE
            elif self._pushes[key].state is PushState.PENDING:
                self._take_push(key)
        first = {oldest[target] for target in oldest if self._family(target)[0] != oldest[target]}
        for key in {own for target, family in families.items() for own in family if oldest[target] in first}:
            self._pushes[key].revision += self._pushes[key].state is not PushState.DONE

    async def accept_owed(self, enterprise_number: str, owed: Sequence[Owed]) -> Sequence[PushKey]:
        """Only the new ones."""
        await self._entered()
        return self._answered(self._owe(clean_key(enterprise_number), owed, {}, refresh=False))

    async def pending_pushes(self, *, after: PushKey | None, limit: int) -> Sequence[Push]:
        """By enterprise, call, CRM and kind."""
        await self._entered()
        found: list[Push] = []
        pending = (key for key, row in self._pushes.items() if row.state is PushState.PENDING)
        for key in sorted((key for key in pending if after is None or _place(key) > _place(after)), key=_place):
            if len(found) < limit:
                found += self._readable(key)
        return self._answered(found)

    async def push_of(self, key: PushKey) -> Push | None:
        """None unless it is pending."""
        await self._entered()
        found = self._found(_clean(key))
        if found is None or self._pushes[found].state is not PushState.PENDING:
            return self._answered(None)
        return self._answered(next(iter(self._readable(found)), None))

    def _found(self, key: PushKey) -> PushKey | None:
        """The row of this key now: mergers may have moved it."""
        while key not in self._pushes and key in self._moved:
            key = self._moved[key]
        return key if key in self._pushes else None

    def _push(self, key: PushKey) -> Push:
        row = self._pushes[key]
        family = self._family(key)
        columns = {field.name: getattr(row, field.name) for field in attrs.fields(_PushRow)}
        return crm_rows.push(
            {
                **columns,
                **attrs.asdict(key),
                "first_unique_id": self._pushes[family[0]].unique_id,
                "memories": [document(self._pushes[other].memory) for other in family],
                "has_ended": any(other.kind is ReportKind.HANGUP for other in family),
            }
        )

    def _family(self, key: PushKey) -> list[PushKey]:
        """All rows of the call and the CRM, the oldest first."""
        family = [other for kind in ReportKind if (other := attrs.evolve(key, kind=kind)) in self._pushes]
        return sorted(family, key=lambda other: (self._pushes[other].created_at, other.kind))

    def _readable(self, key: PushKey) -> list[Push]:
        """The push, unless it cannot be read: then it is dead from now on."""
        push = self._push(key)
        if crm_rows.is_readable(push):
            return [push]
        row = self._pushes[key]
        row.state, row.problem, row.fault, row.reason = PushState.DEAD, "internal", "ours", crm_rows.UNREADABLE
        return []

    # attempts

    async def record_attempt(self, attempt: Attempt) -> PushState:
        """Repeating it changes nothing."""
        await self._entered()
        attempt = crm_rows.clean_attempt(attempt)
        at = attempt.at.astimezone(UTC)
        found = self._found(attempt.key)
        row = self._pushes[found] if found else None
        if row is not None and row.attempted_at == at:
            return self._answered(row.state)
        if found is not None and row is not None and row.state is PushState.PENDING:
            self._record(found, row, attempt, at)
        self._attempts_log.append(
            IntegrationLog(
                created_at=at,
                enterprise_number=attempt.key.enterprise_number,
                integration_type=attempt.key.crm,
                event_type=crm_rows.event_type_of(attempt.key.kind),
                request_data=json.loads(logged_document(attempt.request)),
                response_data=json.loads(logged_document(attempt.response)),
                status=crm_rows.status_of(attempt),
                error_message=attempt.reason,
                call_id=attempt.key.call_id,
                unique_id=clean_key(attempt.report.unique_id) if attempt.report is not None else "",
                push_id=clean_key(attempt.push_id),
            )
        )
        return self._answered(row.state if row is not None else attempt.state)

    def _record(self, found: PushKey, row: _PushRow, attempt: Attempt, at: datetime) -> None:
        revision, sent = row.revision, crm_rows.report_json(attempt.report) if attempt.report is not None else ""
        is_split = self._tell_later(found, row, attempt) and found == attempt.key and sent != "" and content(row.report) == content(sent)
        is_renewed = sent != "" and revision != attempt.revision and not is_split
        row.state, row.next_at, row.attempted_at = attempt.state, attempt.next_at.astimezone(UTC), at
        if is_renewed and attempt.state is PushState.DEAD:
            row.state, row.next_at = PushState.PENDING, at
        if is_renewed and attempt.state is PushState.DONE:
            row.report = sent
        if sent and (attempt.state is PushState.DONE or not is_renewed):
            row.revision = attempt.revision
        row.attempts += 1
        row.memory = {**row.memory, **json.loads(document(attempt.memory))}
        for name in ("outcome", "problem", "fault", "reason", "advice"):
            setattr(row, name, getattr(attempt, name))

    def _tell_later(self, key: PushKey, row: _PushRow, attempt: Attempt) -> bool:
        """The recording of a call, when the CRM has, or may have, the end without it; whether it was so."""
        known = recording_in(row.report)
        may_have_it = attempt.state is PushState.DONE or attempt.memory.get(_MAYBE_DONE) is True
        is_late = key.kind is ReportKind.HANGUP and known not in ("", attempt.recording_url) and may_have_it
        if is_late:
            self._add_recording(key, row, known)
            _tell(row, with_changes(row.report, recording_url=attempt.recording_url))
        return is_late

    def _add_recording(self, ended: PushKey, row: _PushRow, address: str) -> list[PushKey]:
        key, at = attrs.evolve(ended, kind=ReportKind.RECORDING), self._now()
        if key in self._pushes or self._same_call(key, row.unique_id) is not None:
            return []
        report = with_changes(row.report, kind=str(ReportKind.RECORDING), recording_url=address)
        self._put_push(key, _new_row(row.unique_id, report, at))
        return [key]

    def _owe_recording(self, number: str, call_id: int, address: str) -> list[PushKey]:
        """The reports of the end take the link where the CRM cannot have them yet; otherwise it is told by itself."""
        changed: list[PushKey] = []
        for key, row in list(self._pushes.items()):
            if (key.enterprise_number, key.call_id) != (number, call_id) or not isinstance(json.loads(row.report), dict):
                continue
            is_untold = row.state is not PushState.DONE and row.memory.get(_MAYBE_DONE) is not True
            is_renewed = key.kind is ReportKind.RECORDING and row.state is PushState.PENDING
            if key.kind is ReportKind.DIAL or recording_in(row.report) == address:
                continue
            if is_renewed or (key.kind is ReportKind.HANGUP and is_untold):
                _tell(row, with_changes(row.report, recording_url=address))
                changed.append(key)
            elif key.kind is ReportKind.HANGUP:
                changed += self._add_recording(key, row, address)
        return sorted(changed, key=_place)

    def _is_untold(self, number: str, call_id: int) -> bool:
        """Whether some CRM has, or is to have, the end of the call without its recording."""
        ends = (key for key in self._pushes if (key.enterprise_number, key.call_id, key.kind) == (number, call_id, ReportKind.HANGUP))
        return any(
            not recording_in(self._pushes[key].report) and attrs.evolve(key, kind=ReportKind.RECORDING) not in self._pushes for key in ends
        )

    async def dead_pushes(self, enterprise_number: str, *, limit: int) -> Sequence[Push]:
        """The newest first."""
        await self._entered()
        dead = self._dead(clean_key(enterprise_number))
        dead.sort(key=_place)
        dead.sort(key=lambda key: self._pushes[key].created_at, reverse=True)
        return self._answered([self._push(key) for key in dead[:limit]])

    async def revive_pushes(self, enterprise_number: str, *, at: datetime, dial_first: Collection[str]) -> Revived:
        """In order."""
        await self._entered()
        found = crm_rows.revived(
            (key, self._is_too_late(key, dial_first)) for key in sorted(self._dead(clean_key(enterprise_number)), key=_place)
        )
        for key in found.keys:
            row = self._pushes[key]
            row.state, row.attempts, row.next_at = PushState.PENDING, 0, at.astimezone(UTC)
        for key in found.left:
            row = self._pushes[key]
            row.state, row.outcome, row.problem, row.fault = PushState.DONE, "nothing_to_do", "", ""
            row.reason, row.advice = crm_rows.CALL_ENDED, ""
        return self._answered(found)

    def _is_too_late(self, key: PushKey, dial_first: Collection[str]) -> bool:
        end = self._pushes.get(attrs.evolve(key, kind=ReportKind.HANGUP))
        return key.kind is ReportKind.DIAL and end is not None and (end.state is PushState.DONE or key.crm not in dial_first)

    def _dead(self, number: str) -> list[PushKey]:
        return [key for key, row in self._pushes.items() if key.enterprise_number == number and row.state is PushState.DEAD]

    @property
    def attempts(self) -> Sequence[IntegrationLog]:
        """Everything that CRMs were told, the oldest first."""
        return tuple(self._attempts_log)

    async def integration_logs(self, enterprise_number: str, *, limit: int) -> Sequence[IntegrationLog]:
        """The newest first."""
        await self._entered()
        number = clean_key(enterprise_number)
        found = [one for one in reversed(self._attempts_log) if one.enterprise_number == number]
        found.sort(key=lambda one: one.created_at, reverse=True)
        return self._answered(found[:limit])

    # tokens of CRMs

    async def crm_tokens(self, account: str) -> Mapping[str, Any] | None:
        """What was kept last."""
        await self._entered()
        kept = self._tokens.get(clean_key(account))
        return self._answered(crm_rows.tokens(kept[1]) if kept is not None else None)

    async def keep_crm_tokens(self, account: str, serial: int, tokens: Mapping[str, Any]) -> None:
        """Only newer ones."""
        await self._entered()
        kept = self._tokens.get(clean_key(account))
        if kept is None or kept[0] < serial:
            self._tokens[clean_key(account)] = (serial, document(tokens))
        self._answered(None)

    # housekeeping

    def _forget_pushes(self, at: datetime, limit: int) -> int:
        """What is done with and older; how many rows went."""
        old_keys = [key for key, row in self._pushes.items() if row.state is not PushState.PENDING and row.created_at < at][:limit]
        for key in old_keys:
            self._take_push(key)
        old = [one for one in self._attempts_log if one.created_at < at][:limit]
        self._attempts_log = [one for one in self._attempts_log if not any(one is gone for gone in old)]
        return len(old_keys) + len(old)


def _place(key: PushKey) -> tuple[str, int, str, str]:
    """Where a push stands in the order of all: the dial before the hangup."""
    return key.enterprise_number, key.call_id, key.crm, str(key.kind)


def _new_row(unique_id: str, report: str, at: datetime) -> _PushRow:
    return _PushRow(push_id=f"msg_{uuid.uuid4().hex}", unique_id=unique_id, report=report, next_at=at, created_at=at)


def _tell(row: _PushRow, report: str) -> None:
    """Let the row say this; if it is news, and not told yet, under another revision."""
    row.revision += row.state is not PushState.DONE and content(row.report) != content(report)
    row.report = report


def _clean(key: PushKey) -> PushKey:
    return attrs.evolve(key, enterprise_number=clean_key(key.enterprise_number), crm=clean_key(key.crm))
