"""What a CRM is told of a call: values only. A report is made of all facts of the call, not of one webhook, where more is known."""

from datetime import datetime
from enum import StrEnum, auto

import attrs

from gateway.calls.parties import Direction


class ReportKind(StrEnum):
    """The moments that are told: the first ring of an external call, its end, and a recording that became known after the end was told."""

    DIAL = auto()
    HANGUP = auto()
    RECORDING = auto()


@attrs.frozen(kw_only=True)
class CallReport:
    """An external call at its first ring (`DIAL`) or at its end (`HANGUP`); `RECORDING` is the end again, now with `recording_url`.

    `unique_id` is the primary id of the call (see `CallRecord`); the CRM knows the call by it. `phone` is the customer's number, digits,
    line rule applied, "" when it is withheld. `line` the trunk. `extensions`: DIAL incoming: all that ring, in the order of their first
    ring; outgoing: the one that calls; HANGUP answered: the one who talked last (with `extension` the same); not answered: all that rang.
    `extension`: the one person of our side this is about, "" when there is none or several ring. `mobile`: digits of the employee's mobile
    that answered, "" otherwise. `transfers`: the chain of talkers when there were at least two. Times are aware UTC; `answered_at` is when
    the customer first talked to somebody, None when not answered or not known. Seconds are whole and never negative, None when unknown:
    `duration_seconds` from begin to end, `talk_seconds` measured from bridges, `waiting_seconds` from begin to answer (to the end where
    nobody answered). `busy`: the host said so (CallStatus "1") and nobody answered. `recovered`: not heard live. `synthetic`: made up,
    because a CRM wants a dial before a hangup and none was heard; never shown to people as news.
    """

    kind: ReportKind
    call_id: int
    unique_id: str
    direction: Direction
    phone: str
    line: str = ""
    extensions: tuple[str, ...] = ()
    extension: str = ""
    mobile: str = ""
    transfers: tuple[str, ...] = ()
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    talk_seconds: int | None = None
    waiting_seconds: int | None = None
    answered: bool = False
    busy: bool = False
    recording_url: str = ""
    recovered: bool = False
    synthetic: bool = False
