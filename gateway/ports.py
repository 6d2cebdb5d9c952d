"""What the core needs of the outside world: values that cross the edge and the protocols of whoever stands there.

Implementations: `sql.store.PostgresStore` and its twin `tester.memory.MemoryStore` for `Store`. One contract suite runs on both.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from gateway.calls.record import CallRecord


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


@attrs.frozen(kw_only=True)
class Step:
    """Everything one transaction of a lane writes.

    `opened`: calls that now live in memory, by call id (the id of their first event); pieces are not opened before they become calls.
    `merged`: (absorbed, survivor): all events and the finished record of the absorbed one belong to the survivor from now on.
    `records`: finished calls, new or corrected. `released`: calls of which nothing is owed any more and whose memory is freed.
    """

    enterprise_number: str
    outcomes: tuple[EventOutcome, ...] = ()
    opened: tuple[int, ...] = ()
    merged: tuple[tuple[int, int], ...] = ()
    records: tuple[CallRecord, ...] = ()
    released: tuple[int, ...] = ()


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
    async def move_recipient(self, *, bot_token: str, chat_id: int, new_chat_id: int) -> None: ...

    # subscriptions
    async def create_invite(self, *, enterprise_number: str, code: str, expires_at: datetime) -> None: ...
    async def redeem_invite(self, *, bot_token: str, code: str, chat_id: int, at: datetime) -> str | None: ...
    async def revive_recipient(self, *, bot_token: str, chat_id: int, at: datetime) -> bool: ...
    async def unsubscribe(self, *, bot_token: str, chat_id: int) -> bool: ...
    async def subscription_status(self, *, bot_token: str, chat_id: int) -> str | None: ...

    # configuration
    async def enterprises(self) -> Sequence[EnterpriseConfig]: ...
    async def upsert_enterprises(self, enterprises: Sequence[EnterpriseConfig]) -> Sequence[str]: ...

    # housekeeping
    async def delete_older_than(self, at: datetime, *, limit: int) -> int: ...
    async def ping(self) -> None: ...
    async def missing_migrations(self) -> Sequence[str]: ...
