"""The draft of a step: what a batch of events made, gathered until one transaction writes it. Values only, no I/O."""

from collections.abc import Callable, Collection, Iterator, KeysView, Sequence

from gateway.calls.record import CallRecord
from gateway.calls.report import CallReport, ReportKind
from gateway.cards.board import CardChange, Changes
from gateway.ports import EventOutcome, NamedCustomer, Owed, Step


class Draft:
    """Several `Changes` put together in order: of cards, records and reports the newest of each call (and kind) counts."""

    def __init__(self) -> None:
        self.opened: dict[int, None] = {}
        self.dropped: dict[int, None] = {}
        self.cards: dict[int, CardChange] = {}
        self._merged: list[tuple[int, int]] = []
        self._records: dict[int, CallRecord] = {}
        self._reports: dict[tuple[int, ReportKind], CallReport] = {}
        self._calls: dict[int, int | None] = {}
        self._errors: dict[int, str] = {}

    def add(self, changes: Changes) -> None:
        """Take over what one event, or the passing of time, changed."""
        for call_id in changes.opened:
            self.opened[call_id] = None
            self.dropped.pop(call_id, None)
        for absorbed, survivor in changes.merged:
            self._merged.append((absorbed, survivor))
            # Opened and absorbed within one batch: for the database it has never been.
            self.opened.pop(absorbed, None)
            self._records.pop(absorbed, None)
            for kind in ReportKind:
                self._reports.pop((absorbed, kind), None)
            for event_id, call_id in self._calls.items():
                if call_id == absorbed:
                    self._calls[event_id] = survivor
        for record in changes.records:
            self._records[record.call_id] = record
        for report in changes.reports:
            self._reports[report.call_id, report.kind] = report
        for card in changes.cards:
            self.cards[card.call_id] = card
        for call_id in changes.dropped:
            self.dropped[call_id] = None
        for settled in changes.settled:
            self._calls[settled.event_id] = settled.call_id

    def refuse(self, event_id: int, error: str) -> None:
        """The event could not be understood."""
        self._calls[event_id] = None
        self._errors[event_id] = error

    @property
    def records(self) -> Collection[CallRecord]:
        """Of the calls that have ended, or whose end was corrected."""
        return self._records.values()

    @property
    def reports(self) -> Collection[CallReport]:
        """What CRMs are to be told, oldest first. Nothing of calls that were absorbed: the one that has them tells of itself."""
        return self._reports.values()

    @property
    def settled_events(self) -> KeysView[int]:
        """The events whose fate is known, refused ones included."""
        return self._calls.keys()

    def quiet_events(self, *, is_shown: Collection[int]) -> Iterator[tuple[int, int]]:
        """(call id, event id) of events that changed nothing on the card of their call, but for those in `is_shown`."""
        for event_id, call_id in self._calls.items():
            if call_id is None or event_id in is_shown:
                continue
            if call_id not in self.cards or self.cards[call_id].event_id < event_id:
                yield call_id, event_id

    def step(
        self,
        enterprise_number: str,
        *,
        is_shown: Callable[[int], bool],
        released: Sequence[int],
        owed: Sequence[Owed] = (),
        named: Sequence[NamedCustomer] = (),
    ) -> Step | None:
        """What is to be written; None when there is nothing. `is_shown`: whether some chat has the card of a call as it stands.

        `owed` and `named`: what follows from `reports` and `records` for this enterprise.
        """
        gone = set(released)
        opened = tuple(call_id for call_id in self.opened if call_id not in gone)
        outcomes = tuple(
            EventOutcome(
                event_id=event_id,
                call_id=call_id,
                shown=call_id is not None and call_id not in self.cards and is_shown(call_id),
                error=self._errors.get(event_id, ""),
            )
            for event_id, call_id in self._calls.items()
        )
        if not (outcomes or opened or self._merged or self._records or released or owed or named):
            return None
        return Step(
            enterprise_number=enterprise_number,
            outcomes=outcomes,
            opened=opened,
            merged=tuple(self._merged),
            records=tuple(self._records.values()),
            released=tuple(released),
            owed=tuple(owed),
            named=tuple(named),
        )
