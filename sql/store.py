"""The store in PostgreSQL: `gateway.ports.Store`, one method after the other. What is decided is decided in SQL or in `sql.configuration`.

Texts that PostgreSQL cannot hold (NUL, halves of surrogate pairs) are stored with U+FFFD in their place, and keys (enterprise numbers,
UniqueIds) are cut to `rows.KEY_CHARACTERS`: no event is refused for them. The raw body alone is stored as it is or not at all.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from gateway.calls.record import CallRecord
from gateway.errors import StoreUnavailable
from gateway.ports import (
    Appended,
    EnterpriseConfig,
    EventOutcome,
    IncomingEvent,
    Recipient,
    Shown,
    Step,
    StoredEvent,
)
from sql import crm_rows, rows
from sql.arrays import boolean_array, bytes_array, number_array, text_array, time_array
from sql.configuration import Change, StoredEnterprise, plain_integration, planned_changes
from sql.crm_store import CrmStore
from sql.driver import Connection
from sql.migrate import missing
from sql.texts import clean_key, clean_reason, clean_text

UNSUBSCRIBED = "unsubscribed"


class PostgresStore(CrmStore):
    """`gateway.ports.Store` on a pool of connections, which belongs to the caller."""

    # the log of events

    async def append_events(self, batch: Sequence[IncomingEvent]) -> Sequence[Appended]:
        """Store a batch in one statement and one commit; one answer for each event, in order, with rising ids.

        Raises: StoreRejected when one of them cannot be stored (its body is no JSON text): then none is. Repeat them one by one.
        """
        if not batch:
            return []
        ids = [
            row["id"]
            for row in await self._pool.fetch(
                self._sql["append_events"],
                text_array([clean_key(event.enterprise_number) for event in batch]),
                text_array([clean_key(event.kind) for event in batch]),
                text_array([clean_key(event.unique_id) for event in batch]),
                text_array([event.raw_body for event in batch]),
                bytes_array([event.body_hash for event in batch]),
                time_array([event.received_at for event in batch]),
                text_array([event.data_source for event in batch]),
            )
        ]
        if len(ids) == len(batch):
            return [Appended(event_id=event_id) for event_id in ids]
        return _matched(batch, ids, await self._first_ids(batch))

    async def _first_ids(self, batch: Sequence[IncomingEvent]) -> dict[rows.EventKey, int]:
        keys = list(dict.fromkeys(key for event in batch if (key := rows.event_key(event))))
        found = await self._pool.fetch(
            self._sql["first_events"],
            text_array([enterprise_number for enterprise_number, _, _, _ in keys]),
            text_array([kind for _, _, kind, _ in keys]),
            text_array([unique_id for _, unique_id, _, _ in keys]),
            bytes_array([body_hash for _, _, _, body_hash in keys]),
        )
        return {keys[row["position"] - 1]: row["id"] for row in found}

    async def reject_event(self, *, kind: str, token: str, raw_body: str, reason: str, received_at: datetime) -> None:
        """Keep a refused event, its token masked; only the newest `rows.REJECTED_ROWS` are kept."""
        await self._pool.execute(
            self._sql["reject_event"],
            clean_key(kind),
            clean_key(rows.masked_token(token)),
            rows.masked_body(raw_body, token),
            clean_reason(reason),
            received_at,
            rows.REJECTED_ROWS,
        )

    async def unprocessed_events(self, enterprise_number: str, *, after_event_id: int, limit: int) -> Sequence[StoredEvent]:
        """In order of ids. An event that another process commits late can have an id below one that was already returned."""
        found = await self._pool.fetch(self._sql["unprocessed_events"], clean_key(enterprise_number), after_event_id, limit)
        return [rows.stored_event(row) for row in found]

    async def enterprises_with_work(self) -> Sequence[str]:
        """The numbers of those with live calls or unprocessed events, in order."""
        return [row["enterprise_number"] for row in await self._pool.fetch(self._sql["enterprises_with_work"])]

    # calls

    async def commit_step(self, step: Step) -> None:
        """Write a step in one round trip: one statement for most, one more for each thing few have. Repeating it changes nothing."""
        statements = _statements(step)
        if len(statements) == 1:
            [(name, arguments)] = statements
            await self._pool.execute(self._sql[name], *arguments)
            return
        async with self._pool.acquire() as connection, connection.pipeline():
            for name, arguments in statements:
                await connection.execute(self._sql[name], *arguments)

    async def live_events(self, enterprise_number: str) -> Sequence[StoredEvent]:
        """The understood events of all live calls, in order of ids."""
        return [rows.stored_event(row) for row in await self._pool.fetch(self._sql["live_events"], clean_key(enterprise_number))]

    async def call_id_of(self, enterprise_number: str, unique_id: str) -> int | None:
        """The newest call that has an event with this UniqueId."""
        return await self._pool.fetchval(self._sql["call_id_of"], clean_key(enterprise_number), clean_key(unique_id))

    async def events_of_call(self, enterprise_number: str, call_id: int) -> Sequence[StoredEvent]:
        """In order of ids."""
        found = await self._pool.fetch(self._sql["events_of_call"], clean_key(enterprise_number), call_id)
        return [rows.stored_event(row) for row in found]

    async def calls(self, enterprise_number: str, *, limit: int) -> Sequence[CallRecord]:
        """Finished calls, the newest first."""
        return [rows.call_record(row) for row in await self._pool.fetch(self._sql["newest_calls"], clean_key(enterprise_number), limit)]

    # what was shown to whom

    async def recipients(self, enterprise_number: str) -> Sequence[Recipient]:
        """Living subscriptions to the bot that the enterprise has now, the oldest first."""
        return [rows.recipient(row) for row in await self._pool.fetch(self._sql["recipients"], clean_key(enterprise_number))]

    async def shown_of_calls(self, enterprise_number: str, call_ids: Sequence[int]) -> Sequence[Shown]:
        """By call, bot and chat. Bots appear with the newest token known of them."""
        found = await self._pool.fetch(self._sql["shown_of_calls"], clean_key(enterprise_number), number_array(call_ids))
        return [rows.shown(row) for row in found]

    async def record_shown(self, shown: Shown, *, mark_events: bool) -> None:
        """Write the row of a message; with `mark_events` the call's events up to `shown.event_id` have reached a chat. One round trip."""
        await self._pool.execute(
            self._sql["record_shown"],
            clean_key(shown.enterprise_number),
            shown.call_id,
            rows.bot_id_of(shown.bot_token),
            shown.bot_token,
            shown.chat_id,
            shown.message_id,
            int(shown.stage),
            clean_text(shown.text),
            shown.text_hash,
            shown.event_id,
            shown.sent_at,
            shown.updated_at,
            mark_events,
            shown.superseded_message_id,
        )

    async def bury_recipient(self, *, bot_token: str, chat_id: int, reason: str, at: datetime) -> None:
        """The chat can no longer be reached by this bot, for all enterprises it serves. A subscription already dead keeps its reason."""
        await self._pool.execute(self._sql["bury_recipient"], bot_token, chat_id, clean_reason(reason), at)

    async def unbury_recipient(self, *, bot_token: str, chat_id: int, since: datetime, at: datetime) -> None:
        """Take back every burial of the chat since then: it could be reached after all. Who unsubscribed meanwhile stays away."""
        await self._pool.execute(self._sql["unbury_recipient"], bot_token, chat_id, since, at, UNSUBSCRIBED)

    async def move_recipient(self, *, bot_token: str, chat_id: int, new_chat_id: int) -> None:
        """A group became a supergroup: its subscriptions go over, and what it was shown; message ids do not, they mean nothing there."""
        if chat_id == new_chat_id:
            return
        bot_id = rows.bot_id_of(bot_token)
        async with self._pool.acquire() as connection, connection.pipeline():
            await connection.execute(self._sql["copy_subscriptions"], bot_token, chat_id, new_chat_id)
            await connection.execute(self._sql["drop_subscriptions"], bot_token, chat_id)
            await connection.execute(self._sql["move_messages"], bot_id, chat_id, new_chat_id)
            await connection.execute(self._sql["drop_messages"], bot_id, chat_id)

    # subscriptions

    async def create_invite(self, *, enterprise_number: str, code: str, expires_at: datetime) -> None:
        """Only a hash of the code is stored. Raises: StoreRejected for an enterprise that is not there."""
        await self._pool.execute(self._sql["create_invite"], rows.code_hash_of(code), clean_key(enterprise_number), expires_at)

    async def redeem_invite(self, *, bot_token: str, code: str, chat_id: int, at: datetime) -> str | None:
        """The enterprise that the chat now follows; None for a code that is unknown, expired, used, or meant for another bot.

        A chat that repeats its own code while it is subscribed is told the same again and nothing changes.
        """
        row = await self._pool.fetchrow(self._sql["redeem_invite"], bot_token, rows.code_hash_of(code), chat_id, at)
        return row["enterprise_number"] if row else None

    async def revive_recipient(self, *, bot_token: str, chat_id: int, at: datetime) -> bool:
        """Whether the chat is subscribed now: it had been before, however that ended. False for a chat that was never invited."""
        row = await self._pool.fetchrow(self._sql["revive_recipient"], bot_token, chat_id, at)
        return row is not None and bool(row["revived"] or row["living"])

    async def unsubscribe(self, *, bot_token: str, chat_id: int) -> bool:
        """Whether a living subscription ended."""
        return bool(await self._pool.fetch(self._sql["unsubscribe"], bot_token, chat_id, UNSUBSCRIBED))

    async def subscription_status(self, *, bot_token: str, chat_id: int) -> str | None:
        """The enterprise that the chat follows through this bot, of several the newest; None when there is none."""
        return await self._pool.fetchval(self._sql["subscription_status"], bot_token, chat_id)

    # configuration

    async def enterprises(self) -> Sequence[EnterpriseConfig]:
        """All enterprises by number. `subscribers`: the chats with a living subscription, the oldest first."""
        async with self._pool.acquire() as connection:
            return [stored.config for stored in (await self._stored_enterprises(connection)).values()]

    async def enterprises_by_key(self, key: str) -> Sequence[EnterpriseConfig]:
        """Those that have the key as number, token, secret or name; mostly one or none. None have an empty one."""
        if not key:
            return []
        async with self._pool.acquire() as connection:
            return [stored.config for stored in (await self._stored_enterprises(connection, clean_text(key))).values()]

    async def upsert_enterprises(self, enterprises: Sequence[EnterpriseConfig]) -> Sequence[str]:
        """Make the configuration of these enterprises so; returns what changed, one line each, never a value.

        Lines and managers not named are removed, subscribers not named stay, enterprises not named are left alone.
        Raises: ConfigurationError when it cannot be, such as for a token that is another's. Then nothing has changed.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(self._sql["lock_configuration"])
            changes = planned_changes(await self._stored_enterprises(connection), enterprises)
            if changes:
                await self._apply(connection, changes)
        return [line for change in changes for line in change.lines]

    async def set_integration(self, enterprise_number: str, integration: str, config: Mapping[str, Any]) -> bool:
        """Put one integration's settings in the place of those before, and leave the others alone. False: there is no such enterprise.

        Raises: ConfigurationError for settings that cannot be stored as JSON.
        """
        table = json.dumps(plain_integration(integration, config))
        return bool(await self._pool.fetch(self._sql["set_integration"], clean_key(enterprise_number), table))

    async def _stored_enterprises(self, connection: Connection, key: str | None = None) -> dict[str, StoredEnterprise]:
        stored: dict[str, StoredEnterprise] = {}
        for row in await connection.fetch(self._sql["enterprises"], key):
            config = rows.enterprise(row)
            stored[config.number] = StoredEnterprise(config=config, chats=frozenset(chat_id for chat_id, _ in row["subscribers"]))
        return stored

    async def _apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        sql = self._sql
        await connection.execute(sql["upsert_enterprises"], rows.enterprises_json([change.config for change in changes]))
        async with connection.pipeline():
            for change in changes:
                config = change.config
                await connection.execute(sql["drop_lines"], config.number)
                await connection.execute(sql["add_lines"], config.number, rows.parts_json(config.lines))
                await connection.execute(sql["drop_managers"], config.number)
                await connection.execute(sql["add_managers"], config.number, rows.parts_json(config.managers))
                if change.renewed_token is not None:
                    await connection.execute(
                        sql["renew_bot_token"], config.number, rows.bot_id_of(config.bot_token), change.renewed_token, config.bot_token
                    )
                await connection.execute(sql["add_subscribers"], config.number, config.bot_token, number_array(change.new_chats))

    # housekeeping

    async def delete_older_than(self, at: datetime, *, limit: int) -> int:
        """Delete at most `limit` events that came before `at`, as many records of messages not changed since, as many pushes that are done
        or dead, and as many attempts; how many rows went.

        What belongs to a live call stays, and so does what was never understood or is pending. The rows of `calls` stay. Repeat until 0.
        """
        async with self._pool.acquire() as connection:
            gone = len(await connection.fetch(self._sql["delete_old_events"], at, limit))
            for name in ("delete_old_messages", "delete_old_pushes", "delete_old_attempts"):
                gone += len(await connection.fetch(self._sql[name], at, limit))
            await connection.execute(self._sql["delete_old_invites"], at)
        return gone

    async def ping(self) -> None:
        """Raises: StoreUnavailable."""
        await self._pool.fetchval(self._sql["ping"])

    async def missing_migrations(self) -> Sequence[str]:
        """The names of the migrations not yet applied."""
        return await missing(self._pool)


def _matched(batch: Sequence[IncomingEvent], ids: Sequence[int], first_ids: dict[rows.EventKey, int]) -> list[Appended]:
    """Which event got which id, when some were there before: the new ids are in the order of the batch."""
    fresh = iter(ids)
    left = set(ids)
    appended: list[Appended] = []
    for event in batch:
        key = rows.event_key(event)
        if key is None:
            appended.append(Appended(event_id=next(fresh)))
            continue
        first_id = first_ids.get(key)
        if first_id is None:
            # Retention took it between the two statements. The next try stores the event as new.
            raise StoreUnavailable("a repeated event was deleted while it was looked up")
        if first_id in left:
            left.discard(first_id)
            appended.append(Appended(event_id=next(fresh)))
        else:
            appended.append(Appended(event_id=first_id, duplicate=True))
    return appended


def _statements(step: Step) -> list[tuple[str, tuple[object, ...]]]:
    """The queries that write a step, in order, with their arguments."""
    number, survivors = clean_key(step.enterprise_number), rows.final_survivors(step.merged)
    statements: list[tuple[str, tuple[object, ...]]] = []
    if survivors or step.owed:
        statements.append(("lock_owed", (number,)))
    if survivors:
        absorbed, targets = number_array(survivors), number_array(survivors.values())
        statements += [
            ("merge_events", (number, absorbed, targets)),
            ("merge_records", (number, absorbed, targets)),
            ("forget_absorbed", (number, absorbed)),
            ("merge_pushes", (number, absorbed, targets)),
        ]
    statements.append(("commit_step", (number, *_step_arguments(step, survivors))))
    if step.records:
        statements.append(("record_calls", (number, rows.records_json(step.records))))
    if step.owed:
        owed = crm_rows.owed_json(step.owed, survivors)
        statements += [("adopt_pushes", (number, owed)), ("owe", (number, owed, True))]
    wanted = [naming for one in step.named if (naming := crm_rows.naming(one))]
    statements += [("name_customer", (number, *crm_rows.naming_arguments(naming))) for naming in wanted]
    return statements


def _step_arguments(step: Step, survivors: dict[int, int]) -> tuple[object, ...]:
    outcomes = [_outcome(outcome, survivors) for outcome in {outcome.event_id: outcome for outcome in step.outcomes}.values()]
    gone = {*step.released, *survivors}
    return (
        number_array([outcome.event_id for outcome in outcomes]),
        number_array([outcome.call_id for outcome in outcomes]),
        boolean_array([outcome.shown for outcome in outcomes]),
        text_array([clean_reason(outcome.error) for outcome in outcomes]),
        number_array([call_id for call_id in step.opened if call_id not in gone]),
        number_array(step.released),
    )


def _outcome(outcome: EventOutcome, survivors: dict[int, int]) -> EventOutcome:
    if outcome.call_id is None or outcome.call_id not in survivors:
        return outcome
    return attrs.evolve(outcome, call_id=survivors[outcome.call_id])
