"""The board of one enterprise: events in, cards out. Puts the switchboard and the views together for the lane."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

import attrs

from gateway import handlers
from gateway.calls.closing import Timing
from gateway.calls.codec import decode_text
from gateway.calls.parties import Direction, Stage
from gateway.calls.phones import LineRule, parse_line_rule
from gateway.calls.progress import Known
from gateway.calls.record import CallRecord
from gateway.calls.report import CallReport, ReportKind
from gateway.calls.reporting import report_of
from gateway.calls.summary import record_of
from gateway.calls.switchboard import Outcome, Switchboard
from gateway.cards.view import CallView, view_of
from gateway.handlers.callerid import announces_transfer
from gateway.ports import StoredEvent

__all__ = ["Board", "CardChange", "Changes", "Settled", "Timing"]


@attrs.frozen(kw_only=True, slots=False)
class CardChange:
    """The card of a call is now `view`; None = the call was absorbed by another one and its message has to go.

    `version` rises with every change of the card of a call, `event_id` is the last event the card takes in.
    """

    call_id: int
    version: int
    event_id: int
    view: CallView | None


@attrs.frozen(kw_only=True, slots=False)
class Settled:
    """The fate of one event is known: it belongs to `call_id`, or to no call at all (None)."""

    event_id: int
    call_id: int | None


@attrs.frozen(kw_only=True, slots=False)
class Changes:
    """What one event, or the passing of time, changed.

    `settled`: the events whose call is known now. The event just applied may be missing: it is a loose piece (a leg that has not met its
    call yet) and must stay unprocessed in the store, so that a restart reads it again; a later `Changes` (of another event or of `advance`)
    settles it, together with the others of its piece. `opened`: new calls. `merged`: (absorbed, survivor). `records`: finished calls, new
    or corrected. `dropped`: calls forgotten by memory. `reports`: what CRMs are to be told, external calls only.
    """

    settled: tuple[Settled, ...] = ()
    opened: tuple[int, ...] = ()
    merged: tuple[tuple[int, int], ...] = ()
    cards: tuple[CardChange, ...] = ()
    records: tuple[CallRecord, ...] = ()
    dropped: tuple[int, ...] = ()
    reports: tuple[CallReport, ...] = ()


class Board:
    """One enterprise's open calls and their cards. Pure but for its memory: equal events give equal cards.

    When the configuration changes, `zone` is assigned and `set_line_rules` (line id -> rule) called; both count from the next event on.
    """

    def __init__(self, *, zone: tzinfo, line_rules: Mapping[str, str], timing: Timing) -> None:
        self.zone = zone
        self._rules = _parse_rules(line_rules)
        self._switchboard = Switchboard(handle=handlers.apply, announces_transfer=announces_transfer, timing=timing)
        self._cards: dict[int, CardChange] = {}
        self._records: dict[int, CallRecord] = {}
        # What CRMs were last told of a call: at most two small values for each open call.
        self._told: dict[int, dict[ReportKind, CallReport]] = {}

    @property
    def open_calls(self) -> int:
        """How many calls and pieces memory holds, ended ones that linger included."""
        return len(self._switchboard)

    def set_line_rules(self, line_rules: Mapping[str, str]) -> None:
        """Take over changed line rules."""
        self._rules = _parse_rules(line_rules)

    def knows(self, event: StoredEvent) -> bool:
        """Whether memory knows the channel of an event; if not, a finished call in the store may."""
        return event.unique_id in self._switchboard

    def next_deadline(self) -> datetime | None:
        """When `advance` has something to do, None when never."""
        return self._switchboard.next_deadline()

    def advance(self, now: datetime) -> Changes:
        """Let time pass: calls end by grace or silence, ended ones are forgotten."""
        return self._changes(self._switchboard.advance(now))

    def apply(self, event: StoredEvent) -> Changes:
        """Take over one event. Total: any JSON object will do."""
        return self._apply(event, call_id=None)

    def holds(self, call_id: int) -> bool:
        """Whether memory holds this call."""
        return self._switchboard.get(call_id) is not None

    def record(self, call_id: int, recording_url: str) -> Changes:
        """The recording of a call is known now. Nothing for a call that memory does not hold."""
        return self._changes(self._switchboard.record(call_id, recording_url))

    def restore(self, events: Sequence[StoredEvent]) -> Changes:
        """Replay events whose call is known, after a restart or to reopen a finished call. Their cards and records as they stand then.

        No reports: they were written with the events. What follows tells only what differs from them.
        """
        cards: dict[int, CardChange] = {}
        records: dict[int, CallRecord] = {}
        for event in events:
            changes = self._apply(event, call_id=event.call_id)
            cards.update({card.call_id: card for card in changes.cards})
            records.update({record.call_id: record for record in changes.records})
        return Changes(cards=tuple(cards.values()), records=tuple(records.values()))

    def _apply(self, event: StoredEvent, *, call_id: int | None) -> Changes:
        decoded = decode_text(
            event.kind,
            event.raw_body,
            event_id=event.event_id,
            at=event.received_at,
            zone=self.zone,
            data_source=event.data_source,
        )
        if decoded is None:
            return Changes(settled=(Settled(event_id=event.event_id, call_id=None),))
        return self._changes(self._switchboard.apply(decoded, call_id=call_id))

    def _changes(self, outcome: Outcome) -> Changes:
        cards: list[CardChange] = []
        records: list[CallRecord] = []
        reports: list[CallReport] = []
        for absorbed, _ in outcome.merged:
            card = self._cards.pop(absorbed, None)
            self._records.pop(absorbed, None)
            self._told.pop(absorbed, None)
            if card is not None:
                cards.append(attrs.evolve(card, version=card.version + 1, view=None))
        for call_id in outcome.touched:
            self._look_at(call_id, cards, records, reports)
        for call_id in outcome.dropped:
            self._cards.pop(call_id, None)
            self._records.pop(call_id, None)
            self._told.pop(call_id, None)
        return Changes(
            settled=tuple([Settled(event_id=event_id, call_id=call_id) for event_id, call_id in outcome.settled.items()]),
            opened=tuple(outcome.opened),
            merged=tuple(outcome.merged),
            cards=tuple(cards),
            records=tuple(records),
            dropped=tuple(outcome.dropped),
            reports=tuple(reports),
        )

    def _look_at(self, call_id: int, cards: list[CardChange], records: list[CallRecord], reports: list[CallReport]) -> None:
        known = self._switchboard.get(call_id)
        if known is None or known.profile is None:
            return
        view = view_of(known.call, known.profile, self._rules)
        shown = self._cards.get(call_id)
        is_news = view is not None and (shown is None or _supersedes(view, shown.view))
        if view is not None and is_news:
            version = shown.version + 1 if shown is not None else 1
            card = CardChange(call_id=call_id, version=version, event_id=known.call.last_event_id, view=view)
            self._cards[call_id] = card
            cards.append(card)
        if view is not None and self._wants_dial(view, is_news=is_news, call_id=call_id):
            self._tell(known, ReportKind.DIAL, reports)
        if known.call.closed_by:
            record = record_of(known.call, known.profile, self._rules)
            if record != self._records.get(call_id):
                self._records[call_id] = record
                records.append(record)
                self._tell(known, ReportKind.HANGUP, reports)

    def _wants_dial(self, view: CallView, *, is_news: bool, call_id: int) -> bool:
        """Whether the first ring is to be told: once, also where only the talk was heard, and again when others ring, until one answers."""
        if view.direction is Direction.INTERNAL:
            return False
        match view.stage:
            case Stage.DIAL:
                return is_news or ReportKind.DIAL not in self._told.get(call_id, ())
            case Stage.TALK:
                return ReportKind.DIAL not in self._told.get(call_id, ())
            case Stage.START | Stage.FINAL:
                return False

    def _tell(self, known: Known, kind: ReportKind, reports: list[CallReport]) -> None:
        if known.profile is None:
            return
        report = report_of(known.call, known.profile, self._rules, kind)
        told = self._told.setdefault(known.call.call_id, {})
        if report is not None and report != told.get(kind):
            told[kind] = report
            reports.append(report)


def _supersedes(view: CallView, shown: CallView | None) -> bool:
    """Whether a view is news: different, and no earlier stage than what is shown (a call that goes on after its end was told stays
    told).
    """
    return shown is None or (view != shown and view.stage >= shown.stage)


def _parse_rules(line_rules: Mapping[str, str]) -> dict[str, LineRule]:
    """Read the rules; one that cannot be read is none (the configuration is checked when it is loaded)."""
    rules: dict[str, LineRule] = {}
    for line_id, text in line_rules.items():
        try:
            rule = parse_line_rule(text)
        except ValueError:
            rule = None
        if rule is not None:
            rules[line_id] = rule
    return rules
