"""The board of one enterprise: events in, cards out. Puts the switchboard and the views together for the lane."""

from datetime import datetime

import attrs

from gateway.calls.record import CallRecord
from gateway.cards.view import CallView


@attrs.frozen(kw_only=True)
class CardChange:
    """The card of a call is now `view`; None = the call was absorbed by another one and its message has to go.

    `version` rises with every change of the card of a call, `event_id` is the last event the card takes in.
    """

    call_id: int
    version: int
    event_id: int
    view: CallView | None


@attrs.frozen(kw_only=True)
class Changes:
    """What one event, or the passing of time, changed.

    `call_id`: the group the event went to (a call, or a piece not yet understood), None when it belongs nowhere. `opened`: new groups.
    `merged`: (absorbed, survivor). `records`: finished calls, new or corrected. `dropped`: groups forgotten by memory.
    """

    call_id: int | None = None
    opened: tuple[int, ...] = ()
    merged: tuple[tuple[int, int], ...] = ()
    cards: tuple[CardChange, ...] = ()
    records: tuple[CallRecord, ...] = ()
    dropped: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class Timing:
    """The rules with a time in them, in seconds."""

    closing_grace_seconds: float = 8.0
    open_call_seconds: float = 14400.0
    linger_seconds: float = 30.0


