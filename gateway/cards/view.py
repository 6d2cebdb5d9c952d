"""The view of a call: everything a card says, before names and language. Values only; `view_of` makes one from a call."""

from datetime import datetime
from enum import IntEnum, StrEnum, auto

import attrs


class Direction(StrEnum):
    """Which way a call goes, decided by start and dial, by the shape of the bridge events where those are missing."""

    INCOMING = auto()
    OUTGOING = auto()
    INTERNAL = auto()


class Stage(IntEnum):
    """How far a call has come. A card never goes back to a lower stage."""

    START = 1
    DIAL = 2
    TALK = 3
    FINAL = 4


class PartyKind(StrEnum):
    """What stands behind a number on our side of the call."""

    EXTENSION = auto()
    MOBILE = auto()


@attrs.frozen
class Party:
    """Somebody of the enterprise: an extension ("151"), or the mobile of an employee that was called (digits)."""

    kind: PartyKind
    number: str


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
