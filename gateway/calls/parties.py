"""Who takes part: directions and the people of the enterprise."""

from enum import StrEnum, auto

import attrs


class Direction(StrEnum):
    """Which way a call goes, decided by start and dial, by the shape of the bridge events where those are missing."""

    INCOMING = auto()
    OUTGOING = auto()
    INTERNAL = auto()


class PartyKind(StrEnum):
    """What stands behind a number on our side of the call."""

    EXTENSION = auto()
    MOBILE = auto()


@attrs.frozen
class Party:
    """Somebody of the enterprise: an extension ("151"), or the mobile of an employee that was called (digits)."""

    kind: PartyKind
    number: str
