"""What a CRM may hold of a call, whichever CRM it is: the common measure of all worlds."""

from datetime import datetime
from enum import StrEnum, auto

import attrs


class Ended(StrEnum):
    """How a call ended."""

    ANSWERED = auto()
    MISSED = auto()
    BUSY = auto()


class Step(StrEnum):
    """What a request tells a CRM: that a call rings, or how it ended."""

    DIAL = auto()
    HANGUP = auto()


@attrs.frozen(kw_only=True)
class Record:
    """A call as a CRM holds it. `person`: the extension of whose call it is, "" when nobody's; `seconds` as the CRM counts them.

    `waiting_seconds` is None, `mobile` and `transfers` are empty where the CRM has no place for them. `began_at`: aware UTC.
    """

    is_incoming: bool
    phone: str
    person: str
    ended: Ended
    began_at: datetime
    seconds: int
    waiting_seconds: int | None = None
    recordings: tuple[str, ...] = ()
    mobile: str = ""
    transfers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Truth:
    """What really happened in a call. `rang`: who rang of us, in order, or who called; `person`: who talked last, "" when nobody did.

    `mobile`: that of the employee who answered. `talk_seconds`, `waiting_seconds`: None when the host has told of no bridges.
    """

    is_incoming: bool
    phone: str
    rang: tuple[str, ...]
    person: str = ""
    mobile: str = ""
    transfers: tuple[str, ...] = ()
    ended: Ended
    began_at: datetime
    whole_seconds: int
    talk_seconds: int | None = None
    waiting_seconds: int | None = None
    recording_url: str = ""

    @property
    def only_one(self) -> str:
        """The one person it was about, although nobody may have talked; "" when there were several."""
        return self.person or (self.rang[0] if len(self.rang) == 1 and not self.mobile else "")

    @property
    def talked(self) -> int:
        """As well as it is known."""
        if self.ended is not Ended.ANSWERED:
            return 0
        return self.whole_seconds if self.talk_seconds is None else self.talk_seconds


@attrs.frozen(kw_only=True)
class Name:
    """By what a CRM is asked for a call: our id, and where it keeps none, the customer's number."""

    unique_id: str
    phone: str


@attrs.frozen(kw_only=True)
class Answer:
    """An answer that a fault puts in the place of the right one."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
