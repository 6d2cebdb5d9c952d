"""What the core needs of the outside world: values that cross the edge and the protocols of whoever stands there.

Implementations: `sql.store.PostgresStore` and its twin `tester.memory.MemoryStore` for `Store`. One contract suite runs on both.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import attrs

from gateway.attempts import IntegrationLog
from gateway.calls.record import CallRecord
from gateway.calls.recording import RecordedCall, Recording
from gateway.calls.report import CallReport, ReportKind


@attrs.frozen(kw_only=True)
class IncomingEvent:
    """A webhook as it came, before it is stored.

    `raw_body` is the JSON text exactly as posted. `body_hash` identifies the body whatever the order of its keys; only `start`, `dial` and
    `hangup` are dropped as duplicates by (enterprise, kind, unique_id, body_hash). `received_at` is aware UTC.
    """

    enterprise_number: str
    kind: str
    unique_id: str
    raw_body: str
    body_hash: bytes
    received_at: datetime
    data_source: str = "live"


@attrs.frozen(kw_only=True)
class Appended:
    """What became of one incoming event. `event_id` is that of the first one when `duplicate`."""

    event_id: int
    duplicate: bool = False


@attrs.frozen(kw_only=True)
class StoredEvent:
    """An event of the log. `call_id` is set once the lane has understood it; ids rise in the order of arrival."""

    event_id: int
    enterprise_number: str
    kind: str
    unique_id: str
    raw_body: str
    received_at: datetime
    data_source: str = "live"
    call_id: int | None = None


@attrs.frozen(kw_only=True)
class EventOutcome:
    """What the lane made of one event. `shown` = a chat already has this state or a newer one; `error` = why it could not be applied."""

    event_id: int
    call_id: int | None
    shown: bool = False
    error: str = ""


@attrs.frozen
class PushKey:
    """What is owed to one CRM about one call: the key of a row of `crm_outbox`. `crm` as in `gateway.crm.base.CrmKind`."""

    enterprise_number: str
    call_id: int
    crm: str
    kind: ReportKind


@attrs.frozen(kw_only=True)
class Owed:
    """A report that a CRM is to get.

    A row that is there already stays as it is, but one that is not done takes the newer report. A report counts as there when its
    call or its `unique_id` has a row of this CRM and kind. A report from outside has no call (`call_id` 0): the store takes the call that
    knows the `unique_id`, in the log or among what is owed, else a new id that no event will have; the call that owes something for this
    `unique_id` later takes those rows over.
    """

    crm: str
    report: CallReport


class PushState(StrEnum):
    """`PENDING`: to be tried (again) at `next_at`. `DONE`: the CRM has it or need not. `DEAD`: given up, see reason and advice."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class Push:
    """A row of `crm_outbox`.

    `push_id` names the row: it is made with it and never changes. `revision` rises with each change of what is to be told.
    `report.unique_id` is that of the first row of this call and CRM, so that the CRM knows the call by one id. `memory`: what earlier
    pushes of this call to this CRM left. `attempts`: tries that have ended. `has_ended`: the end of the call is told to this CRM, or is to
    be. `problem`, `fault`, `reason`, `advice`: of the last failure, as in `gateway.crm.base.Outcome`.
    """

    key: PushKey
    push_id: str
    report: CallReport
    state: PushState = PushState.PENDING
    attempts: int = 0
    next_at: datetime
    created_at: datetime
    revision: int = 1
    has_ended: bool = False
    memory: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    outcome: str = ""
    problem: str = ""
    fault: str = ""
    reason: str = ""
    advice: str = ""

    @property
    def content_id(self) -> str:
        """By which a CRM knows a repetition: the same for every try of this report, another one when the report says something else."""
        return self.push_id if self.revision == 1 else f"{self.push_id}_{self.revision}"


@attrs.frozen(kw_only=True)
class Revived:
    """What became of the dead letters of an enterprise: `keys` are tried anew; `left` were dials of calls that have ended."""

    keys: tuple[PushKey, ...] = ()
    left: tuple[PushKey, ...] = ()


@attrs.frozen(kw_only=True)
class Attempt:
    """One try of a push and what it makes of its row, together with its row in `integration_logs`.

    `state` and `next_at` are the row's from now on; `memory` is merged over what it has. `request` and `response` are JSON values.
    `recording_url`: what the report said that was sent; a recording that became known meanwhile is then still to be told.
    `report`, `revision`, `push_id` (the content's): what was sent. A report that has changed since (another revision) stays pending if the
    CRM has not taken the one that was sent; if it has, the row says what was sent. Revision 0: nobody knows, the row's own is meant.
    """

    key: PushKey
    at: datetime
    state: PushState
    next_at: datetime
    outcome: str
    problem: str = ""
    fault: str = ""
    reason: str = ""
    advice: str = ""
    request: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    response: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    memory: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    recording_url: str = ""
    report: CallReport | None = None
    revision: int = 0
    push_id: str = ""


@attrs.frozen(kw_only=True)
class CustomerProfile:
    """Who has a number. Any name may be "".

    `source`: the CRM that said so (`gateway.crm.base.CrmKind`), "" when nobody knows where it comes from. `external_id`: the CRM's id of
    the customer, "" when it gave none. `phones`: all numbers of the customer, digits. `extension`: of the manager responsible, "" when
    none. `is_company`: `external_id` is that of a company. `raw`: the CRM's record as it came, for those who ask for it.
    """

    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""
    enterprise_name: str = ""
    source: str = ""
    external_id: str = ""
    is_company: bool = False
    phones: tuple[str, ...] = ()
    extension: str = ""
    raw: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What is shown: the company, else "last first middle"; "" when there is neither."""
        return self.enterprise_name or " ".join(part for part in (self.last_name, self.first_name, self.middle_name) if part)


@attrs.frozen(kw_only=True)
class Customer:
    """A row of `customers`: a number that called or was called, who it is, and the counts of its calls.

    `named_at`: when the names were last said by their source, None when there are none. The counts are those of the enterprise's finished
    external calls with this number: they follow the rows of `calls`, corrections and mergers included.
    """

    enterprise_number: str
    phone: str
    profile: CustomerProfile
    named_at: datetime | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    calls_total_in: int = 0
    calls_total_out: int = 0
    calls_answered_in: int = 0
    calls_answered_out: int = 0
    calls_missed_in: int = 0
    calls_missed_out: int = 0
    last_call_at: datetime | None = None
    last_call_direction: str = ""
    last_call_status: str = ""
    last_success_at: datetime | None = None
    last_agent_internal: str = ""
    last_line: str = ""


@attrs.frozen(kw_only=True)
class NamedCustomer:
    """A name that a CRM gave for a number, to be kept in `customers`. `is_primary`: the CRM is the enterprise's primary one.

    Names of the primary CRM replace others; those of another CRM only fill an empty row. Only the primary's external id links several
    numbers to one person (`meta.person_uid`), and only if there is one.
    """

    phone: str
    profile: CustomerProfile
    at: datetime
    is_primary: bool = True


@attrs.frozen(kw_only=True)
class Step:
    """Everything one transaction of a lane writes.

    `opened`: calls that now live in memory, by call id (the id of their first event); pieces are not opened before they become calls.
    `merged`: (absorbed, survivor): all events and the finished record of the absorbed one belong to the survivor from now on.
    `records`: finished calls, new or corrected; the counts of their customers follow them. `released`: calls of which nothing is owed any
    more and whose memory is freed. `owed`: what CRMs are to be told. `named`: customers whose names are known by the end of their calls.
    """

    enterprise_number: str
    outcomes: tuple[EventOutcome, ...] = ()
    opened: tuple[int, ...] = ()
    merged: tuple[tuple[int, int], ...] = ()
    records: tuple[CallRecord, ...] = ()
    released: tuple[int, ...] = ()
    owed: tuple[Owed, ...] = ()
    named: tuple[NamedCustomer, ...] = ()


@attrs.frozen(kw_only=True)
class Recipient:
    """A living subscription of one chat to one bot."""

    enterprise_number: str
    bot_token: str = attrs.field(repr=False)
    chat_id: int
    subscribed_at: datetime


@attrs.frozen(kw_only=True)
class Shown:
    """What one chat has of one call: the row of `telegram_messages`.

    `message_id` is the living message, None when there is none (never sent, or given up). `text_hash` identifies text and stage, so that
    wanted and shown are compared, not counted. `sent_at` is when the living message was first sent (its age decides on replies).
    `event_id` is the last event that the text takes in. `stage` as in `gateway.cards.view.Stage`. `superseded_message_id`: the message that
    the living one has replaced and whose deletion is still owed; None when nothing is to be deleted.
    """

    enterprise_number: str
    call_id: int
    bot_token: str = attrs.field(repr=False)
    chat_id: int
    message_id: int | None
    stage: int
    text: str
    text_hash: bytes
    event_id: int
    sent_at: datetime
    updated_at: datetime
    superseded_message_id: int | None = None


@attrs.frozen(kw_only=True)
class LineConfig:
    """A line (trunk) of an enterprise. `incoming_transform` as `<prefix>{N}`, "" for none."""

    line_id: str
    name: str = ""
    operator: str = ""
    incoming_transform: str = ""


@attrs.frozen(kw_only=True)
class ManagerConfig:
    """Somebody behind an extension. `personal_phone` as digits."""

    extension: str
    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""
    personal_phone: str = ""


@attrs.frozen(kw_only=True)
class EnterpriseConfig:
    """An enterprise as configured. `final`: auto, edit, replace, comment. `integrations` is kept as given, one object per integration."""

    number: str
    name: str = ""
    token: str = attrs.field(repr=False)
    secret: str = attrs.field(default="", repr=False)
    bot_token: str = attrs.field(default="", repr=False)
    timezone: str = "Europe/Minsk"
    language: str = "ru"
    final: str = "auto"
    active: bool = True
    integrations: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    # What of `integrations_config` in the database could not be read at all; "" when nothing. One line without values.
    integrations_problem: str = ""
    lines: tuple[LineConfig, ...] = ()
    managers: tuple[ManagerConfig, ...] = ()
    subscribers: tuple[int, ...] = ()


class Store(Protocol):
    """The durable state. Every method is one transaction; what it returns is true after a crash.

    Errors: `gateway.errors.StoreUnavailable` when the database cannot be reached (try again later; the method may or may not have been
    carried out and is safe to repeat), `gateway.errors.StoreRejected` when it refused the values (repeating is useless).
    Cancellation: the transaction is either wholly done or not at all, and the connection is clean.
    """

    # the log of events
    async def append_events(self, batch: Sequence[IncomingEvent]) -> Sequence[Appended]: ...
    async def reject_event(self, *, kind: str, token: str, raw_body: str, reason: str, received_at: datetime) -> None: ...
    async def unprocessed_events(self, enterprise_number: str, *, after_event_id: int, limit: int) -> Sequence[StoredEvent]: ...
    async def enterprises_with_work(self) -> Sequence[str]: ...

    # calls
    async def commit_step(self, step: Step) -> None: ...
    async def live_events(self, enterprise_number: str) -> Sequence[StoredEvent]: ...
    async def call_id_of(self, enterprise_number: str, unique_id: str) -> int | None: ...
    async def events_of_call(self, enterprise_number: str, call_id: int) -> Sequence[StoredEvent]: ...
    async def calls(self, enterprise_number: str, *, limit: int) -> Sequence[CallRecord]: ...

    # what was shown to whom
    async def recipients(self, enterprise_number: str) -> Sequence[Recipient]: ...
    async def shown_of_calls(self, enterprise_number: str, call_ids: Sequence[int]) -> Sequence[Shown]: ...
    async def record_shown(self, shown: Shown, *, mark_events: bool) -> None: ...
    async def bury_recipient(self, *, bot_token: str, chat_id: int, reason: str, at: datetime) -> None: ...
    async def unbury_recipient(self, *, bot_token: str, chat_id: int, since: datetime, at: datetime) -> None: ...
    async def move_recipient(self, *, bot_token: str, chat_id: int, new_chat_id: int) -> None: ...

    # subscriptions
    async def create_invite(self, *, enterprise_number: str, code: str, expires_at: datetime) -> None: ...
    async def redeem_invite(self, *, bot_token: str, code: str, chat_id: int, at: datetime) -> str | None: ...
    async def revive_recipient(self, *, bot_token: str, chat_id: int, at: datetime) -> bool: ...
    async def unsubscribe(self, *, bot_token: str, chat_id: int) -> bool: ...
    async def subscription_status(self, *, bot_token: str, chat_id: int) -> str | None: ...

    # what is owed to CRMs
    async def accept_owed(self, enterprise_number: str, owed: Sequence[Owed]) -> Sequence[PushKey]: ...
    async def pending_pushes(self, *, after: PushKey | None, limit: int) -> Sequence[Push]: ...
    async def push_of(self, key: PushKey) -> Push | None: ...
    async def record_attempt(self, attempt: Attempt) -> PushState: ...
    async def dead_pushes(self, enterprise_number: str, *, limit: int) -> Sequence[Push]: ...
    async def revive_pushes(self, enterprise_number: str, *, at: datetime, dial_first: Collection[str]) -> Revived: ...
    async def integration_logs(self, enterprise_number: str, *, limit: int) -> Sequence[IntegrationLog]: ...

    # recordings
    async def accept_recording(self, enterprise_number: str, recording: Recording) -> Sequence[PushKey]: ...
    async def untold_recordings(self, *, since: datetime, after: RecordedCall | None, limit: int) -> Sequence[RecordedCall]: ...
    async def recordings_of(self, enterprise_number: str, call_ids: Sequence[int]) -> Mapping[int, str]: ...

    # tokens of CRMs that are renewed by using them up: the last kept by account; kept only if the serial number is higher
    async def crm_tokens(self, account: str) -> Mapping[str, Any] | None: ...
    async def keep_crm_tokens(self, account: str, serial: int, tokens: Mapping[str, Any]) -> None: ...

    # customers
    async def customer(self, enterprise_number: str, phone: str) -> Customer | None: ...
    async def name_customer(self, enterprise_number: str, named: NamedCustomer) -> int: ...

    # configuration
    async def enterprises(self) -> Sequence[EnterpriseConfig]: ...
    async def enterprises_by_key(self, key: str) -> Sequence[EnterpriseConfig]: ...
    async def upsert_enterprises(self, enterprises: Sequence[EnterpriseConfig]) -> Sequence[str]: ...
    async def set_integration(self, enterprise_number: str, integration: str, config: Mapping[str, Any]) -> bool: ...

    # housekeeping
    async def delete_older_than(self, at: datetime, *, limit: int) -> int: ...
    async def ping(self) -> None: ...
    async def missing_migrations(self) -> Sequence[str]: ...
