"""The view of a call: everything a card says, before names and language. Values only; `view_of` makes one from a call."""

from datetime import datetime
from enum import IntEnum

import attrs

from gateway.calls.parties import Direction, Party, PartyKind

__all__ = ["CallView", "Direction", "Party", "PartyKind", "Stage"]


class Stage(IntEnum):
    """How far a call has come. A card never goes back to a lower stage."""

    START = 1
    DIAL = 2
    TALK = 3
    FINAL = 4


@attrs.frozen(kw_only=True)
class CallView:
    """What one card shows.

    `outside` is the customer's number, digits without "+", line rule applied; "" when it is not known. Empty for internal calls.
    `people`: incoming START: nobody or the extension asked for; DIAL: those that ring now; TALK: those that talk now; FINAL answered: the last
    that talked; FINAL not answered incoming: all that rang, in the order of their first ring; outgoing: the extension that calls. For
    internal calls `people` are the called and `caller` is the caller.
    `transfers` holds the accepted transfers as the chain of those who talked one after another (at least two), else nothing.
    """

    direction: Direction
    stage: Stage
    outside: str = ""
    caller: Party | None = None
    people: tuple[Party, ...] = ()
    line: str = ""
    transfers: tuple[Party, ...] = ()
    answered: bool = False
    duration_seconds: int | None = None
    started_at: datetime | None = None
    from_crm: bool = False
    recovered: bool = False
    ended_by_silence: bool = False
    recording_url: str = ""
