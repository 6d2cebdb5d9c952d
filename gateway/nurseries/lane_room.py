"""What all lanes share, and what each needs of its board."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Protocol

import attrs

from gateway.calls.record import CallRecord
from gateway.calls.report import CallReport
from gateway.cards.board import Changes
from gateway.nurseries.clock import Clock
from gateway.nurseries.delivery import Delivery
from gateway.nurseries.event import Events
from gateway.nurseries.patience import Patience
from gateway.ports import EnterpriseConfig, NamedCustomer, Owed, PushKey, Store, StoredEvent


class Calls(Protocol):
    """What a lane needs of `gateway.cards.board.Board`."""

    zone: tzinfo

    def set_line_rules(self, line_rules: Mapping[str, str]) -> None: ...
    def apply(self, event: StoredEvent) -> Changes: ...
    def advance(self, now: datetime) -> Changes: ...
    def next_deadline(self) -> datetime | None: ...
    def restore(self, events: Sequence[StoredEvent]) -> Changes: ...
    def knows(self, event: StoredEvent) -> bool: ...
    def holds(self, call_id: int) -> bool: ...
    def record(self, call_id: int, recording_url: str) -> Changes: ...
    @property
    def open_calls(self) -> int: ...


def _owes_nothing(_config: EnterpriseConfig, _report: CallReport) -> Sequence[Owed]:
    return ()


def _names_nobody(_config: EnterpriseConfig, _record: CallRecord) -> NamedCustomer | None:
    return None


def _pushes_nothing(_keys: Sequence[PushKey]) -> None:
    return None


@attrs.frozen(kw_only=True)
class LaneRoom:
    """What all lanes share. `config_of` answers None for an enterprise that is not configured any more.

    `owed_of`: what the CRMs of an enterprise are owed for a report; `named_of`: who a finished call was with, as far as memory knows. Both
    are asked before the step is written and must not wait. `push`: what was written of it is there; called after the commit only.
    """

    store: Store
    delivery: Delivery
    events: Events
    clock: Clock
    patience: Patience
    board_of: Callable[[tzinfo, Mapping[str, str]], Calls]
    config_of: Callable[[str], EnterpriseConfig | None]
    owed_of: Callable[[EnterpriseConfig, CallReport], Sequence[Owed]] = _owes_nothing
    named_of: Callable[[EnterpriseConfig, CallRecord], NamedCustomer | None] = _names_nobody
    push: Callable[[Sequence[PushKey]], None] = _pushes_nothing
