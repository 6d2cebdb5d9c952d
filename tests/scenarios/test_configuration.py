"""The configuration of a running gateway follows its database: real triggers, real notices, a connection that is lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import LiteralString

import attrs
import httpx2 as httpx
import psycopg
import trio

from gateway.administration import load_file
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from gateway.settings import load_settings
from tester.running import RunningGateway, enterprise, running_gateway

PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.02
HOUSE = attrs.evolve(
    enterprise(1),
    lines=(LineConfig(line_id="0001363", name="A1 основная"),),
    managers=(ManagerConfig(extension="151", last_name="Петрова"),),
)
OTHER = enterprise(2)
FILE = f"""
[[enterprise]]
number = "{HOUSE.number}"
name = "{HOUSE.name}"
token = "{HOUSE.token}"
bot_token = "{HOUSE.bot_token}"
telegram = {{ final = "{HOUSE.final}" }}
[[enterprise.line]]
id = "0001363"
name = "A1 основная"
[[enterprise.manager]]
extension = "151"
last_name = "LAST_NAME"
[[enterprise.subscriber]]
chat_id = 1001

[[enterprise]]
number = "{OTHER.number}"
name = "{OTHER.name}"
token = "{OTHER.token}"
bot_token = "{OTHER.bot_token}"
telegram = {{ final = "{OTHER.final}" }}
"""
THIRD = """insert into enterprises (number, name, name2, secret, bot_token, timezone, language, final, active, integrations_config)
    values ('0003', 'third', '375290000003', '', '', 'Europe/Minsk', 'ru', 'auto', true, '{}')"""
LISTENERS = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen %'"
CALL = {"Token": HOUSE.token, "UniqueId": "1.1", "Phone": "375290001234", "CallType": 0, "Trunk": "0001363", "Extensions": ["151"]}


async def until(condition: Callable[[], bool]) -> None:
    """The configuration changes without an event for a test."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(LOOK_SECONDS)


def execute(url: str, *statements: LiteralString) -> None:
    """As an administrator with psql: in one transaction."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def known(running: RunningGateway, key: str) -> EnterpriseConfig | None:
    return running.gateway.directory.resolve(key)


def manager_of(running: RunningGateway) -> str:
    found = known(running, HOUSE.number)
    return found.managers[0].last_name if found is not None and found.managers else ""


async def test_what_is_written_with_psql_is_known_without_a_refresh(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE, OTHER]) as running:
        execute(migrated_url, "update managers set last_name = 'Сидорова' where enterprise_number = '0001'")
        await until(lambda: manager_of(running) == "Сидорова")
        execute(migrated_url, THIRD)
        await until(lambda: known(running, "third") is not None)
        execute(migrated_url, "update enterprises set name = 'renamed' where number = '0003'")
        await until(lambda: known(running, "renamed") is not None)
        assert known(running, "third") is None
        execute(migrated_url, "delete from enterprises where number = '0003'")
        await until(lambda: known(running, "renamed") is None)
        assert known(running, OTHER.number) is not None


async def test_what_changed_while_nobody_listened_is_known_after_the_reconnect(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE]) as running:
        # The connection is gone before the change is committed, so its notice reaches nobody.
        execute(migrated_url, LISTENERS, "update managers set last_name = 'Сидорова'")
        await until(lambda: manager_of(running) == "Сидорова")
        # The new connection hears again.
        execute(migrated_url, "update managers set last_name = 'Кузнецова'")
        await until(lambda: manager_of(running) == "Кузнецова")


async def test_a_broken_integrations_config_is_the_trouble_of_one_enterprise(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE, OTHER]) as running:
        execute(
            migrated_url,
            "update enterprises set integrations_config = '[1, 2]' where number = '0001'",
            "update enterprises set name = 'other' where number = '0002'",
        )
        await until(lambda: known(running, "other") is not None)
        await until(lambda: (found := known(running, HOUSE.number)) is not None and bool(found.integrations_problem))
        assert manager_of(running) == "Петрова"


async def gateway_load(url: str, directory: Path, last_name: str) -> Sequence[str]:
    """What `gateway load` does with a file in which the manager is called so; what it says has changed."""
    path = directory / "enterprises.toml"
    path.write_text(FILE.replace("LAST_NAME", last_name), encoding="utf-8")
    loaded = await load_file(load_settings({"GATEWAY_DATABASE_URL": url}), path)
    assert not loaded.warnings
    return loaded.changes


async def test_a_load_between_two_events_of_a_call_is_on_its_card_and_loses_nothing(migrated_url: str, tmp_path: Path) -> None:
    async with running_gateway(migrated_url, tmp_path, [HOUSE, OTHER]) as running, httpx.AsyncClient(base_url=running.url) as client:
        telegram = running.telegram

        async def post(kind: str, **fields: str) -> None:
            assert (await client.post(f"/{kind}", json={**CALL, **fields})).status_code == 200

        def texts() -> list[str]:
            return [message.text.split("\n")[0] for message in telegram.living(1001)]

        with trio.fail_after(PATIENCE_SECONDS):
            await post("start")
            await post("dial")
            await telegram.until(lambda: texts() == ["📞 Дозвон от +375 (29) 000-12-34 → Петрова (151)"])
            changes = await gateway_load(migrated_url, tmp_path, "Сидорова")
            assert [change for change in changes if "151" in change or "manager" in change], changes
            await until(lambda: manager_of(running) == "Сидорова")
            # The call goes on with the name that it began with; the next one has the new name.
            await post("hangup", CallStatus="0")
            await telegram.until(lambda: texts() == ["❌ Не отвечен: +375 (29) 000-12-34 → Петрова (151)"])
            await post("start", UniqueId="2.2")
            await post("dial", UniqueId="2.2")
            await telegram.until(lambda: texts()[1:] == ["📞 Дозвон от +375 (29) 000-12-34 → Сидорова (151)"])
            assert not await gateway_load(migrated_url, tmp_path, "Сидорова")
        (row,) = await running.gateway.store.calls(HOUSE.number, limit=5)
        assert (row.unique_id, row.extension) == ("1.1", "151")


async def test_loads_while_calls_run_disturb_none_of_them(migrated_url: str, tmp_path: Path) -> None:
    calls = 3
    async with running_gateway(migrated_url, tmp_path, [HOUSE, OTHER]) as running, httpx.AsyncClient(base_url=running.url) as client:

        async def play(number: int) -> None:
            body = {**CALL, "UniqueId": f"{number}.1", "Phone": f"37529000{number:04}"}
            for kind, fields in (("start", {}), ("dial", {}), ("hangup", {"CallStatus": "0"})):
                answer = await client.post(f"/{kind}", json={**body, **fields})
                assert answer.status_code == 200

        async def load() -> None:
            for number in range(20):
                await gateway_load(migrated_url, tmp_path, f"Петрова{number}")

        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load)
                for number in range(calls):
                    nursery.start_soon(play, number)
            await until(lambda: manager_of(running) == "Петрова19")
            telegram = running.telegram
            await telegram.until(lambda: sum(message.text.startswith("❌") for message in telegram.living(1001)) == calls)
        assert all("Петрова" in message.text for message in telegram.living(1001))
