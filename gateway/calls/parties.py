"""The words for a call: which way it goes, how far it has come, who takes part."""

from enum import IntEnum, StrEnum, auto

import attrs


class Direction(StrEnum):
    """Which way a call goes, decided by start and dial, by the shape of the bridge events where those are missing."""

    INCOMING = auto()
    OUTGOING = auto()
    INTERNAL = auto()


class Stage(IntEnum):
    """How far a call has come. What is shown never goes back to a lower stage."""

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
