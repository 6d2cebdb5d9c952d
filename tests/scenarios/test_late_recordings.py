"""A recording that becomes known after the call: real triggers, real notices, a link written with psql."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import httpx2 as httpx
import psycopg
import trio

from tester.running import RunningGateway, enterprise, running_gateway

PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.02
URL = "https://pbx.example/recordings/file/1"
# A CRM that is not there: what is owed to it stays in the table, to be looked at.
HOUSE = attrs.evolve(
    enterprise(1), integrations={"own": {"enabled": True, "url": "http://127.0.0.1:1/calls", "secret": "a-secret-of-the-tests-of-24"}}
)
CALL = {"Token": HOUSE.token, "UniqueId": "1.1", "Phone": "375290001234", "CallType": 0, "Trunk": "0001363", "Extensions": ["151"]}
OWED = "select report ->> 'recording_url' from crm_outbox where kind = 'hangup'"


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(LOOK_SECONDS)


async def a_call(running: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        now = f"{datetime.now(ZoneInfo(HOUSE.timezone)):%F %T}"
        ended = {"CallStatus": "2", "DateReceived": now, "StartTime": now, "EndTime": now}
        for kind, fields in (("dial", {}), ("hangup", ended)):
            assert (await client.post(f"/{kind}", json=CALL | fields)).status_code == 200
    await until(lambda: any(message.text.startswith("✅") for message in running.telegram.living(1001)))


def owed(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(OWED).fetchone()
    return row[0] if row else None


def write_link(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update calls set record_url = %s where unique_id = '1.1'", (URL,))


async def test_a_link_that_is_written_with_psql_is_owed_and_shown(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE]) as running:
        await a_call(running)
        write_link(migrated_url)
        await until(lambda: f'<a href="{URL}">' in running.telegram.living(1001)[0].text)
        assert owed(migrated_url) == URL


async def test_a_link_that_was_written_while_no_gateway_ran_is_owed_after_the_start(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE]) as running:
        await a_call(running)
    write_link(migrated_url)
    assert owed(migrated_url) == ""
    async with running_gateway(migrated_url, tmp_path, [HOUSE]):
        await until(lambda: owed(migrated_url) == URL)
