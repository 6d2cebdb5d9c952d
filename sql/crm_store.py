"""The half of the store in PostgreSQL that knows customers and what is owed to CRMs; `sql.store` has the other half."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.attempts import IntegrationLog
from gateway.calls.recording import RecordedCall, Recording, recording_address
from gateway.ports import Attempt, Customer, NamedCustomer, Owed, Push, PushKey, PushState, Revived
from sql import crm_rows
from sql.arrays import number_array, text_array
from sql.documents import document
from sql.pool import Pool
from sql.query_files import load_queries
from sql.texts import clean_key

# Before every key: enterprise numbers are not empty, and nothing is below the smallest bigint.
_BEGINNING = ("", -(2**63), "", "")


class CrmStore:
    """Its part of `gateway.ports.Store`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries()

    # what is owed to CRMs

    async def accept_owed(self, enterprise_number: str, owed: Sequence[Owed]) -> Sequence[PushKey]:
        """The keys of those that are new, in order; what is there already stays as it is, also while it is pending."""
        if not owed:
            return []
        number = clean_key(enterprise_number)
        async with self._pool.acquire() as connection, connection.pipeline():
            await connection.execute(self._sql["lock_owed"], number)
            added = await connection.fetch(self._sql["owe"], number, crm_rows.owed_json(owed, {}), False)
        return [crm_rows.push_key(row) for row in added]

    async def pending_pushes(self, *, after: PushKey | None, limit: int) -> Sequence[Push]:
        """The next page by enterprise, call, CRM and kind (the dial before the hangup); shorter than `limit` only at the end.

        A row that cannot be read is dead from then on, says so, and is not in the page.
        """
        key = (after.enterprise_number, after.call_id, after.crm, str(after.kind)) if after else _BEGINNING
        while True:
            found = [crm_rows.push(row) for row in await self._pool.fetch(self._sql["pending_pushes"], *key, limit)]
            unreadable = [push for push in found if not crm_rows.is_readable(push)]
            if not unreadable:
                return found
            await self._bury(unreadable)

    async def push_of(self, key: PushKey) -> Push | None:
        """The push if it is pending; of a call that was absorbed meanwhile, the survivor's, with its key."""
        row = await self._pool.fetchrow(
            self._sql["push_of"], clean_key(key.enterprise_number), key.call_id, clean_key(key.crm), str(key.kind)
        )
        if row is None:
            return None
        push = crm_rows.push(row)
        if crm_rows.is_readable(push):
            return push
        await self._bury([push])
        return None

    async def _bury(self, unreadable: Sequence[Push]) -> None:
        await self._pool.execute(self._sql["bury_pushes"], text_array(push.push_id for push in unreadable), crm_rows.UNREADABLE)

    async def record_attempt(self, attempt: Attempt) -> PushState:
        """Write what became of a try, and its row of the log, also when the push is no longer pending or has gone. The row's state now."""
        arguments = crm_rows.attempt_arguments(crm_rows.clean_attempt(attempt))
        return PushState(await self._pool.fetchval(self._sql["record_attempt"], *arguments))

    async def dead_pushes(self, enterprise_number: str, *, limit: int) -> Sequence[Push]:
        """The newest first."""
        return [crm_rows.push(row) for row in await self._pool.fetch(self._sql["dead_pushes"], clean_key(enterprise_number), limit)]

    async def revive_pushes(self, enterprise_number: str, *, at: datetime, dial_first: Collection[str]) -> Revived:
        """What is dead of an enterprise is pending again, as if never tried; dials of calls that have ended only where a CRM (`dial_first`)
        wants one before the end, and has not heard of the end; the others are done with. In order.
        """
        found = await self._pool.fetch(
            self._sql["revive_pushes"], clean_key(enterprise_number), at, text_array(dial_first), crm_rows.CALL_ENDED
        )
        return crm_rows.revived((crm_rows.push_key(row), row["is_left"]) for row in found)

    async def integration_logs(self, enterprise_number: str, *, limit: int) -> Sequence[IntegrationLog]:
        """The newest first."""
        found = await self._pool.fetch(self._sql["integration_logs"], clean_key(enterprise_number), limit)
        return [crm_rows.integration_log(row) for row in found]

    # tokens of CRMs

    async def crm_tokens(self, account: str) -> Mapping[str, Any] | None:
        """What was kept last for this account; None: nothing, or nothing that can be read."""
        text = await self._pool.fetchval(self._sql["crm_tokens"], clean_key(account))
        return crm_rows.tokens(text) if text is not None else None

    async def keep_crm_tokens(self, account: str, serial: int, tokens: Mapping[str, Any]) -> None:
        """Keep these unless some with the same or a higher serial number are there."""
        await self._pool.execute(self._sql["keep_crm_tokens"], clean_key(account), serial, document(tokens))

    # recordings

    async def accept_recording(self, enterprise_number: str, recording: Recording) -> Sequence[PushKey]:
        """What of the call's pushes got the link, or was added for it, in order; nothing when all have it, or when it is no address."""
        number = clean_key(enterprise_number)
        async with self._pool.acquire() as connection, connection.transaction():
            found = await connection.fetchrow(
                self._sql["recorded_call"], number, recording.call_id, clean_key(recording.unique_id) if not recording.call_id else ""
            )
            address = recording_address(recording.url or (found["record_url"] if found else ""))
            if found is None or not address:
                return []
            await connection.execute(self._sql["record_url"], number, found["call_id"], address)
            changed = await connection.fetch(self._sql["owe_recording"], number, found["call_id"], address)
        return [crm_rows.push_key(row) for row in changed]

    async def untold_recordings(self, *, since: datetime, after: RecordedCall | None, limit: int) -> Sequence[RecordedCall]:
        """The next page, by enterprise and call, of calls since then with a link that some CRM is not to hear of yet."""
        number, call_id = (after.enterprise_number, after.call_id) if after else _BEGINNING[:2]
        found = await self._pool.fetch(self._sql["untold_recordings"], since, number, call_id, limit)
        return [RecordedCall(row["enterprise_number"], row["call_id"]) for row in found]

    async def recordings_of(self, enterprise_number: str, call_ids: Sequence[int]) -> Mapping[int, str]:
        """The links of those of these calls that have one."""
        found = await self._pool.fetch(self._sql["recordings_of"], clean_key(enterprise_number), number_array(call_ids))
        return {row["call_id"]: address for row in found if (address := recording_address(row["record_url"]))}

    # customers

    async def customer(self, enterprise_number: str, phone: str) -> Customer | None:
        """Who has a number (digits)."""
        row = await self._pool.fetchrow(self._sql["customer"], clean_key(enterprise_number), crm_rows.e164(clean_key(phone)))
        return crm_rows.customer(row) if row else None

    async def name_customer(self, enterprise_number: str, named: NamedCustomer) -> int:
        """How many rows changed: that of the number, and those of the person's other numbers. 0 for a name that is none."""
        wanted = crm_rows.naming(named)
        if wanted is None:
            return 0
        return await self._pool.fetchval(self._sql["name_customer"], clean_key(enterprise_number), *crm_rows.naming_arguments(wanted))
