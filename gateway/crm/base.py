"""The contract between the gateway and a CRM: what it is told, what may come of it, what it can be asked.

An adapter is made for one enterprise and one of its integrations. It knows the CRM's requests and answers and nothing of retries, order or
the database: it says what happened (`Outcome`), others decide. Errors of HTTP never leave an adapter.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import attrs

from gateway.calls.report import CallReport, ReportKind
from gateway.errors import GatewayError
from gateway.ports import CustomerProfile


class CrmKind(StrEnum):
    """The integrations that are CRMs, by the name of their table in `integrations_config`."""

    RETAILCRM = "retailcrm"
    MS = "ms"
    UON = "uon"
    BITRIX24 = "bitrix24"
    OWN = "own"


class OutcomeClass(StrEnum):
    """What became of one push."""

    DELIVERED = "delivered"
    DUPLICATE = "duplicate"
    NOTHING_TO_DO = "nothing_to_do"
    RETRYABLE = "retryable"
    PERMANENT = "permanent"

    @property
    def is_done(self) -> bool:
        """Whether the CRM has it, or need not have it."""
        return self in (OutcomeClass.DELIVERED, OutcomeClass.DUPLICATE, OutcomeClass.NOTHING_TO_DO)


class Fault(StrEnum):
    """Whose fault a failure is: the enterprise's settings here (ours), or the CRM and the way to it (theirs)."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"


class Problem(StrEnum):
    """Why a push or a look-up failed: a closed set, log field and label of figures. What to do about each is in `ADVICE`."""

    SETTINGS = "settings"
    SWITCHED_OFF = "switched_off"
    TARGET_REFUSED = "target_refused"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    REDIRECT = "redirect"
    BAD_ANSWER = "bad_answer"
    INTERNAL = "internal"


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one push, in words without secrets.

    `reason`: one line. `advice`: what an administrator can do, one line, "" when nothing. `retry_after_seconds`: the CRM's own wish.
    `is_ambiguous`: the CRM may have carried it out all the same. `request` and `response` go to `integration_logs`: JSON values without
    keys or tokens. `memory`: what later pushes of the same call to the same CRM must know (the CRM's id of the call), merged over what was
    known.
    """

    outcome: OutcomeClass
    problem: Problem | None = None
    fault: Fault = Fault.NONE
    reason: str = ""
    advice: str = ""
    retry_after_seconds: float | None = None
    is_ambiguous: bool = False
    request: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    response: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    memory: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


def maybe_done_mark(kind: ReportKind) -> Mapping[str, Any]:
    """What stands in the memory of a call's pushes when a try of this kind of report may have been carried out although nobody has heard
    of it: cut off, ended by an ambiguous answer, or never written down. It stays there; whoever tries sets it.
    """
    return {f"maybe_done_{kind}": True}


def may_be_done(report: CallReport, memory: Mapping[str, Any]) -> bool:
    """Whether an earlier try of this report may have been carried out. A CRM that notices no repetitions is to be asked first then."""
    return all(memory.get(key) is value for key, value in maybe_done_mark(report.kind).items())


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that an examination of an integration found, for an administrator. One line each, never a secret; `advice` "" when all is
    well.

    `text` and `advice` are in the language that was asked for.
    """

    is_ok: bool
    text: str
    advice: str = ""


class CrmSettingsError(GatewayError):
    """The settings of an integration are not usable. One line for each thing that is wrong; never a secret."""


class CrmLookupFailed(GatewayError):
    """A CRM could not say who a number belongs to. The text is one line without secrets."""

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem


class CrmAdapter(Protocol):
    """One integration of one enterprise.

    Cancellation: every method may be cancelled at any time (the caller sets the deadline); the request may then have been carried out.
    """

    kind: CrmKind

    async def admission(self, report: CallReport) -> None:
        """Wait until the CRM's limits let the requests of this push through, and take their places. The deadline of a push begins after
        it.
        """
        ...

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:
        """Tell the CRM. `push_id` is the same for every try of the same report: the CRM may know a repetition by it. A report that has
        changed between two tries (a correction, a merger) has another one. Never raises.

        `memory`: what earlier pushes of the call left; `may_be_done` reads from it whether this very report may be there already.
        """
        ...

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """Who has this number (digits)? None: the CRM knows nobody, or cannot be asked at all. Raises `CrmLookupFailed`."""
        ...

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:
        """Show a notice of an incoming call to these people, outside of any call. None: this CRM has no such thing."""
        ...

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """Ask the CRM harmless questions: is the key good, are the rights there, do the mapped people exist? Changes nothing. Never
        raises.
        """
        ...
