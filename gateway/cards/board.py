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
class Settled:
    """The fate of one event is known: it belongs to `call_id`, or to no call at all (None)."""

    event_id: int
    call_id: int | None


@attrs.frozen(kw_only=True)
class Changes:
    """What one event, or the passing of time, changed.

    `settled`: the events whose call is known now. The event just applied may be missing: it is a loose piece (a leg that has not met its
    call yet) and must stay unprocessed in the store, so that a restart reads it again; a later `Changes` (of another event or of `advance`)
    settles it, together with the others of its piece. `opened`: new calls. `merged`: (absorbed, survivor). `records`: finished calls, new or
    corrected. `dropped`: calls forgotten by memory.
    """

    settled: tuple[Settled, ...] = ()
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


