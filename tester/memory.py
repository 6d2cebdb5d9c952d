"""The store in memory: the twin of `sql.store.PostgresStore`, for tests.

It takes, refuses and answers what PostgreSQL does; one contract suite runs on both. Beyond the protocol it can be broken on purpose
(`unavailable`, `answers_to_lose`, `latency_seconds`) and looked into. Every method has its checkpoints before it does anything; the rest
runs without one, so a cancelled call has either happened or not.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from gateway.calls.record import CallRecord
from gateway.calls.recording import RecordedCall, Recording, recording_address
from gateway.errors import StoreRejected
from gateway.ports import Appended, IncomingEvent, PushKey, Shown, Step, StoredEvent
from sql import rows
from sql.texts import clean_key, clean_reason, clean_text, is_text
from tester.memory_outbox import MemoryOutbox
from tester.memory_subscribers import utc_now

# Ordered sets: event ids in the order of arrival.
_Ids = dict[int, None]


@attrs.define(kw_only=True)
class _LoggedEvent:
    """A row of `call_events`."""

    event: StoredEvent
    processed: bool = False
    telegram_sent: bool = False
    error: str = ""


@attrs.frozen(kw_only=True)
class RejectedEvent:
    """A row of `rejected_events`."""

    kind: str
    token: str
    raw_body: str
    reason: str
    received_at: datetime


class MemoryStore(MemoryOutbox):
    """`gateway.ports.Store` without a database. `rejected` holds the rows of `rejected_events`."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(now=now)
        self.rejected: deque[RejectedEvent] = deque(maxlen=rows.REJECTED_ROWS)
        self._log: dict[int, _LoggedEvent] = {}
        self._last_id = 0
        self._first_ids: dict[rows.EventKey, int] = {}
        self._unprocessed: dict[str, _Ids] = {}
        self._of_unique_id: dict[tuple[str, str], _Ids] = {}
        self._of_call: dict[tuple[str, int], _Ids] = {}
        self._live: dict[str, _Ids] = {}
        # By enterprise and call, then by bot id and chat.
        self._messages: dict[tuple[str, int], dict[tuple[str, int], Shown]] = {}
        # `calls.record_url`, by enterprise and call. Whoever puts something in does what psql does.
        self.record_urls: dict[tuple[str, int], str] = {}

    # looking in

    @property
    def event_ids(self) -> Sequence[int]:
        """Of all events stored."""
        return tuple(self._log)

    @property
    def events(self) -> Sequence[StoredEvent]:
        """All events stored, in the order of arrival."""
        return self._events(self._log)

    def is_processed(self, event_id: int) -> bool:
        """`call_events.processed`"""
        return self._log[event_id].processed

    def is_sent(self, event_id: int) -> bool:
        """`call_events.telegram_sent`"""
        return self._log[event_id].telegram_sent

    def error_of(self, event_id: int) -> str:
        """`call_events.error`"""
        return self._log[event_id].error

    def dead_reason_of(self, enterprise_number: str, bot_token: str, chat_id: int) -> str:
        """`telegram_users.dead_reason`"""
        return self._subscriptions[enterprise_number, bot_token, chat_id].dead_reason

    # the log of events

    async def append_events(self, batch: Sequence[IncomingEvent]) -> Sequence[Appended]:
        """Refuses the whole batch for one body that is no JSON text."""
        await self._entered()
        for event in batch:
            _check_body(event.raw_body)
        return self._answered([self._append(event) for event in batch])

    def _append(self, event: IncomingEvent) -> Appended:
        key = rows.event_key(event)
        if key is not None and (first_id := self._first_ids.get(key)) is not None:
            return Appended(event_id=first_id, duplicate=True)
        event_id, number, unique_id = self._new_id(), clean_key(event.enterprise_number), clean_key(event.unique_id)
        if key is not None:
            self._first_ids[key] = event_id
        stored = StoredEvent(
            event_id=event_id,
            enterprise_number=number,
            kind=clean_key(event.kind),
            unique_id=unique_id,
            raw_body=event.raw_body,
            received_at=event.received_at,
            data_source=event.data_source,
        )
        self._log[event_id] = _LoggedEvent(event=stored)
        self._unprocessed.setdefault(number, {})[event_id] = None
        if unique_id:
            self._of_unique_id.setdefault((number, unique_id), {})[event_id] = None
        return Appended(event_id=event_id)

    async def reject_event(self, *, kind: str, token: str, raw_body: str, reason: str, received_at: datetime) -> None:
        """Keeps the newest `rows.REJECTED_ROWS`."""
        await self._entered()
        self.rejected.append(
            RejectedEvent(
                kind=clean_key(kind),
                token=clean_key(rows.masked_token(token)),
                raw_body=rows.masked_body(raw_body, token),
                reason=clean_reason(reason),
                received_at=received_at,
            )
        )
        self._answered(None)

    async def unprocessed_events(self, enterprise_number: str, *, after_event_id: int, limit: int) -> Sequence[StoredEvent]:
        """In order of ids."""
        await self._entered()
        ids = [event_id for event_id in self._unprocessed.get(clean_key(enterprise_number), {}) if event_id > after_event_id]
        return self._answered(self._events(ids[:limit]))

    async def enterprises_with_work(self) -> Sequence[str]:
        """In order."""
        await self._entered()
        return self._answered(sorted({number for work in (self._live, self._unprocessed) for number, ids in work.items() if ids}))

    def _events(self, ids: Iterable[int]) -> list[StoredEvent]:
        return [self._log[event_id].event for event_id in ids]

    # calls

    async def commit_step(self, step: Step) -> None:
        """Repeating it changes nothing."""
        await self._entered()
        number = clean_key(step.enterprise_number)
        records = [_as_stored(record) for record in step.records]
        for outcome in step.outcomes:
            logged = self._log.get(outcome.event_id)
            if logged is None or logged.event.enterprise_number != number:
                continue
            self._assign(outcome.event_id, outcome.call_id)
            logged.processed, logged.error = True, clean_reason(outcome.error)
            logged.telegram_sent |= outcome.shown
            self._unprocessed.get(number, {}).pop(outcome.event_id, None)
        live = self._live.setdefault(number, {})
        live.update(dict.fromkeys(step.opened))
        survivors = rows.final_survivors(step.merged)
        self._merge(number, survivors)
        for record in records:
            known = self._records.get((number, record.call_id))
            self._put_record(number, attrs.evolve(record, uuid=known.uuid if known else record.uuid or str(uuid.uuid4())))
        for call_id in step.released:
            live.pop(call_id, None)
        self._owe(number, step.owed, survivors, refresh=True)
        for named in step.named:
            self._name(number, named)
        self._answered(None)

    def _assign(self, event_id: int, call_id: int | None) -> None:
        logged = self._log[event_id]
        number, before = logged.event.enterprise_number, logged.event.call_id
        if before == call_id:
            return
        if before is not None:
            del self._of_call[number, before][event_id]
        if call_id is not None:
            self._of_call.setdefault((number, call_id), {})[event_id] = None
        logged.event = attrs.evolve(logged.event, call_id=call_id)

    def _merge(self, number: str, survivors: dict[int, int]) -> None:
        for absorbed, survivor in sorted(survivors.items()):
            for event_id in list(self._of_call.get((number, absorbed), {})):
                self._assign(event_id, survivor)
            self._live.get(number, {}).pop(absorbed, None)
            record = self._take_record(number, absorbed)
            address = self.record_urls.pop((number, absorbed), "")
            if record is not None and (number, survivor) not in self._records:
                self._put_record(number, attrs.evolve(record, call_id=survivor))
                self.record_urls[number, survivor] = address
        self._merge_pushes(number, survivors)

    async def live_events(self, enterprise_number: str) -> Sequence[StoredEvent]:
        """In order of ids."""
        await self._entered()
        number = clean_key(enterprise_number)
        ids = [event_id for call_id in self._live.get(number, {}) for event_id in self._of_call.get((number, call_id), {})]
        return self._answered(self._events(sorted(ids)))

    async def call_id_of(self, enterprise_number: str, unique_id: str) -> int | None:
        """The newest."""
        await self._entered()
        return self._answered(self._logged_call_id(clean_key(enterprise_number), clean_key(unique_id)))

    def _logged_call_id(self, number: str, unique_id: str) -> int | None:
        ids = self._of_unique_id.get((number, unique_id), {})
        return max((event.call_id for event in self._events(ids) if event.call_id is not None), default=None)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    async def events_of_call(self, enterprise_number: str, call_id: int) -> Sequence[StoredEvent]:
        """In order of ids."""
        await self._entered()
        return self._answered(self._events(sorted(self._of_call.get((clean_key(enterprise_number), call_id), {}))))

    async def calls(self, enterprise_number: str, *, limit: int) -> Sequence[CallRecord]:
        """The newest first."""
        await self._entered()
        number = clean_key(enterprise_number)
        found = [record for (owner, _), record in self._records.items() if owner == number]
        found.sort(key=lambda record: (record.date_received, record.call_id), reverse=True)
        return self._answered(found[:limit])

    # recordings

    async def accept_recording(self, enterprise_number: str, recording: Recording) -> Sequence[PushKey]:
        """What has changed of the call's pushes."""
        await self._entered()
        number, unique_id = clean_key(enterprise_number), clean_key(recording.unique_id)
        call_id = recording.call_id or self._recorded_call(number, unique_id)
        address = recording_address(recording.url or (self.record_urls.get((number, call_id), "") if call_id else ""))
        if not call_id or not address:
            return self._answered([])
        if (number, call_id) in self._records:
            self.record_urls[number, call_id] = address
        return self._answered(self._owe_recording(number, call_id, address))

    def _recorded_call(self, number: str, unique_id: str) -> int | None:
        if not unique_id:
            return None
        finished = [call_id for (owner, call_id), record in self._records.items() if owner == number and record.unique_id == unique_id]
        return self._logged_call_id(number, unique_id) or max(finished, default=None) or self._call_of_outside(number, unique_id)[0]

    async def untold_recordings(self, *, since: datetime, after: RecordedCall | None, limit: int) -> Sequence[RecordedCall]:
        """By enterprise and call."""
        await self._entered()
        found = sorted(
            key
            for key, address in self.record_urls.items()
            if address and key in self._records and self._records[key].date_received >= since and self._is_untold(*key)
        )
        beginning = (after.enterprise_number, after.call_id) if after else ("", -1)
        return self._answered([RecordedCall(*key) for key in found if key > beginning][:limit])

    async def recordings_of(self, enterprise_number: str, call_ids: Sequence[int]) -> Mapping[int, str]:
        """By call."""
        await self._entered()
        number = clean_key(enterprise_number)
        found = {call_id: recording_address(self.record_urls.get((number, call_id), "")) for call_id in call_ids}
        return self._answered({call_id: address for call_id, address in found.items() if address})

    # what was shown to whom

    async def shown_of_calls(self, enterprise_number: str, call_ids: Sequence[int]) -> Sequence[Shown]:
        """By call, bot and chat."""
        await self._entered()
        number = clean_key(enterprise_number)
        found = [
            attrs.evolve(message, bot_token=self._bots[bot_id])
            for call_id in set(call_ids)
            for (bot_id, _), message in self._messages.get((number, call_id), {}).items()
        ]
        return self._answered(sorted(found, key=lambda message: (message.call_id, message.bot_token, message.chat_id)))

    async def record_shown(self, shown: Shown, *, mark_events: bool) -> None:
        """With `mark_events` the call's events up to `shown.event_id` have reached a chat."""
        await self._entered()
        number, bot_id = clean_key(shown.enterprise_number), rows.bot_id_of(shown.bot_token)
        self._bots.setdefault(bot_id, shown.bot_token)
        stored = attrs.evolve(shown, enterprise_number=number, text=clean_text(shown.text), stage=int(shown.stage))
        self._messages.setdefault((number, shown.call_id), {})[bot_id, shown.chat_id] = stored
        if mark_events:
            for event_id in self._of_call.get((number, shown.call_id), {}):
                if event_id <= shown.event_id:
                    self._log[event_id].telegram_sent = True
        self._answered(None)

    def _move_messages(self, bot_id: str, chat_id: int, new_chat_id: int) -> None:
        for messages in self._messages.values():
            old = messages.pop((bot_id, chat_id), None)
            if old is not None:
                messages.setdefault(
                    (bot_id, new_chat_id), attrs.evolve(old, chat_id=new_chat_id, message_id=None, superseded_message_id=None)
                )

    # housekeeping

    async def delete_older_than(self, at: datetime, *, limit: int) -> int:
        """At most `limit` events, messages, pushes and attempts each; how many rows went."""
        await self._entered()
        understood = (logged.event for logged in self._log.values() if logged.processed)
        old_events = [
            event.event_id for event in understood if event.received_at < at and not self._is_live(event.enterprise_number, event.call_id)
        ][:limit]
        for event_id in old_events:
            self._delete(event_id)
        old_messages = [
            (call, chat)
            for call, messages in self._messages.items()
            for chat, message in messages.items()
            if message.updated_at < at and not self._is_live(*call)
        ][:limit]
        for call, chat in old_messages:
            del self._messages[call][chat]
        self._messages = {call: messages for call, messages in self._messages.items() if messages}
        self._invites = {code: invite for code, invite in self._invites.items() if invite.expires_at >= at}
        return self._answered(len(old_events) + len(old_messages) + self._forget_pushes(at, limit))

    def _is_live(self, number: str, call_id: int | None) -> bool:
        return call_id in self._live.get(number, {})

    def _delete(self, event_id: int) -> None:
        self._assign(event_id, None)
        event = self._log.pop(event_id).event
        self._of_unique_id.get((event.enterprise_number, event.unique_id), {}).pop(event_id, None)
        self._first_ids = {key: first_id for key, first_id in self._first_ids.items() if first_id != event_id}

    async def ping(self) -> None:
        """Raises: StoreUnavailable."""
        await self._entered()
        self._answered(None)

    async def missing_migrations(self) -> Sequence[str]:
        """Memory has no schema."""
        await self._entered()
        return self._answered(())


def _check_body(raw_body: str) -> None:
    """PostgreSQL takes a text as json when it is one by RFC 8259; NaN and Infinity are not, and numbers may be as long as they like."""
    if not is_text(raw_body):
        raise StoreRejected("a body is not Unicode")

    def refuse(_: str) -> None:
        raise StoreRejected("a body is not JSON")

    try:
        json.loads(raw_body, parse_int=str, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise StoreRejected("a body is not JSON") from None


def _as_stored(record: CallRecord) -> CallRecord:
    """The record as it comes back; refuses a uuid that is none."""
    try:
        given = str(uuid.UUID(record.uuid)) if record.uuid else ""
    except ValueError:
        raise StoreRejected("a record has a uuid that is none") from None
    return attrs.evolve(
        record,
        uuid=given,
        unique_id=clean_key(record.unique_id),
        phone=clean_text(record.phone),
        extension=clean_text(record.extension),
        trunk=clean_text(record.trunk),
        transfers=clean_text(record.transfers),
        closed_by=clean_text(record.closed_by),
        date_received=record.date_received.astimezone(UTC),
        date_end=record.date_end.astimezone(UTC) if record.date_end else None,
    )
