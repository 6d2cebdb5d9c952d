"""Both stores behind one door, each with a way to see what its protocol does not tell. For the contract suite."""

import json
from typing import Any, Protocol

import attrs

from gateway.ports import PushKey, Store
from sql.driver import Row
from sql.pool import Pool
from sql.store import PostgresStore
from sql.texts import clean_key
from tester.memory import MemoryStore


class House(Protocol):
    """A store and the columns of it that nobody reads back."""

    @property
    def store(self) -> Store:
        """What is under test."""
        ...

    async def flags(self, event_id: int) -> tuple[bool, bool, str]:
        """Of an event: processed, telegram_sent, error."""
        ...

    async def rejected(self) -> list[tuple[str, str, str, str]]:
        """Kind, token, body and reason of each refused event, the oldest first."""
        ...

    async def dead_reason(self, enterprise_number: str, bot_token: str, chat_id: int) -> str:
        """Why a subscription ended."""
        ...

    async def person(self, enterprise_number: str, phone: str) -> tuple[str, dict[str, list[str]]]:
        """Of a customer: meta.person_uid, "" when there is none, and meta.ids."""
        ...

    async def put_report(self, key: PushKey, text: str) -> None:
        """Put any JSON into `crm_outbox.report`."""
        ...

    async def report_of(self, key: PushKey) -> dict[str, Any]:
        """What stands in `crm_outbox.report`."""
        ...

    async def put_record_url(self, enterprise_number: str, call_id: int, text: str) -> None:
        """Put any text into `calls.record_url` of a finished call."""
        ...

    async def put_integrations(self, enterprise_number: str, text: str) -> None:
        """Put any JSON into `enterprises.integrations_config`."""
        ...


@attrs.frozen
class MemoryHouse:
    """The store in memory."""

    store: MemoryStore

    async def flags(self, event_id: int) -> tuple[bool, bool, str]:
        """As House says."""
        store = self.store
        return store.is_processed(event_id), store.is_sent(event_id), store.error_of(event_id)

    async def rejected(self) -> list[tuple[str, str, str, str]]:
        """As House says."""
        return [(one.kind, one.token, one.raw_body, one.reason) for one in self.store.rejected]

    async def dead_reason(self, enterprise_number: str, bot_token: str, chat_id: int) -> str:
        """As House says."""
        return self.store.dead_reason_of(enterprise_number, bot_token, chat_id)

    async def person(self, enterprise_number: str, phone: str) -> tuple[str, dict[str, list[str]]]:
        """As House says."""
        return self.store.person_of(enterprise_number, phone), self.store.ids_of(enterprise_number, phone)

    async def put_report(self, key: PushKey, text: str) -> None:
        """As House says."""
        self.store.put_report(key, text)

    async def report_of(self, key: PushKey) -> dict[str, Any]:
        """As House says."""
        return json.loads(self.store.stored_report(key))

    async def put_record_url(self, enterprise_number: str, call_id: int, text: str) -> None:
        """As House says."""
        self.store.record_urls[enterprise_number, call_id] = text

    async def put_integrations(self, enterprise_number: str, text: str) -> None:
        """As House says."""
        self.store.put_integrations(enterprise_number, text)


@attrs.frozen
class PostgresHouse:
    """The store in PostgreSQL."""

    store: PostgresStore
    pool: Pool

    async def flags(self, event_id: int) -> tuple[bool, bool, str]:
        """As House says."""
        row = await self.pool.fetchrow("select processed, telegram_sent, error from call_events where id = $1", event_id)
        assert row is not None
        return row["processed"], row["telegram_sent"], row["error"]

    async def rejected(self) -> list[tuple[str, str, str, str]]:
        """As House says."""
        found: list[Row] = await self.pool.fetch("select event_type, token, raw_body, reason from rejected_events order by id")
        return [(row["event_type"], row["token"], row["raw_body"], row["reason"]) for row in found]

    async def dead_reason(self, enterprise_number: str, bot_token: str, chat_id: int) -> str:
        """As House says."""
        reason = await self.pool.fetchval(
            "select dead_reason from telegram_users where enterprise_number = $1 and bot_token = $2 and tg_id = $3",
            clean_key(enterprise_number),
            bot_token,
            chat_id,
        )
        assert isinstance(reason, str)
        return reason

    async def person(self, enterprise_number: str, phone: str) -> tuple[str, dict[str, list[str]]]:
        """As House says."""
        meta = await self.pool.fetchval(
            "select meta from customers where enterprise_number = $1 and phone_e164 = $2", enterprise_number, f"+{phone}"
        )
        return meta.get("person_uid", ""), meta.get("ids", {})

    async def put_report(self, key: PushKey, text: str) -> None:
        """As House says."""
        await self.pool.execute(
            "update crm_outbox set report = $1::jsonb where enterprise_number = $2 and call_id = $3 and crm = $4 and kind = $5",
            text,
            key.enterprise_number,
            key.call_id,
            key.crm,
            str(key.kind),
        )

    async def report_of(self, key: PushKey) -> dict[str, Any]:
        """As House says."""
        text = await self.pool.fetchval(
            "select report::text from crm_outbox where enterprise_number = $1 and call_id = $2 and crm = $3 and kind = $4",
            key.enterprise_number,
            key.call_id,
            key.crm,
            str(key.kind),
        )
        return json.loads(text)

    async def put_record_url(self, enterprise_number: str, call_id: int, text: str) -> None:
        """As House says."""
        await self.pool.execute(
            "update calls set record_url = $1 where enterprise_number = $2 and call_id = $3", text, enterprise_number, call_id
        )

    async def put_integrations(self, enterprise_number: str, text: str) -> None:
        """As House says."""
        await self.pool.execute("update enterprises set integrations_config = $1::jsonb where number = $2", text, enterprise_number)
