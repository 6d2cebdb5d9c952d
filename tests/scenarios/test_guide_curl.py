"""The administrators' guide: each of its curl commands, run by a shell, gives what the guide wants.

The commands stand here as they stand there, but for the port and for invented numbers.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from gateway.ports import CustomerProfile, LineConfig, ManagerConfig, NamedCustomer
from sql.driver import connect
from tester.fakes.own_crm import Fault, FaultKind, OwnCrmReceiver, serve_own_crm
from tester.running import RunningGateway, enterprise, running_gateway
from tests.scenarios import jq_stand_in

MISSING = [tool for tool in ("bash", "curl") if shutil.which(tool) is None]
WANTED = f"the guide's commands need {' and '.join(MISSING)}: apt-get install {' '.join(MISSING)}"
# In CI nobody reads what was skipped: there it is a failure, see `tools`.
pytestmark = pytest.mark.skipif(bool(MISSING) and not os.environ.get("CI"), reason=WANTED)

JUNE = attrs.evolve(
    enterprise(367),
    name="june",
    token="375290000900",
    secret="s3cret-of-june",
    integrations={
        "ms": {"enabled": True, "api_token": "MsToken-0123456789"},
        "uon": {"enabled": True, "api_key": "UonKey-0123456789"},
        "retailcrm": {"enabled": True, "domain": "https://store.example", "api_key": "RcKey-0123456789"},
        "smart": {"primary": "ms"},
    },
    lines=(LineConfig(line_id="0001363", name="А1 основная", incoming_transform="+375{9}"),),
    managers=(ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна"),),
)
STRANGER, CUSTOMER = "375290001101", "375290001102"


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands need, jq by its stand-in where there is none."""
    if MISSING:
        pytest.fail(WANTED)
    if shutil.which("jq") is None:
        stand_in = tmp_path / "tools" / "jq"
        stand_in.parent.mkdir()
        stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{jq_stand_in.__file__}" "$@"\n', encoding="utf-8")
        stand_in.chmod(0o755)
        monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
async def running(migrated_url: str, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(migrated_url, tmp_path, [JUNE, enterprise(270)]) as gateway:
        yield gateway


async def shell(running: RunningGateway, command: str) -> str:
    """What the command prints, with our port in the place of 8020."""
    address = running.internal_url.removeprefix("http://")
    line = command.replace("127.0.0.1:8020", address)
    assert address in line
    with trio.fail_after(20):
        done = await trio.run_process(
            ["bash", "-c", f"set -o pipefail; {line}"], stdin=b"", capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    assert done.returncode == 0, done.stdout
    return done.stdout.decode()


async def curl(running: RunningGateway, command: str) -> Any:
    return json.loads(await shell(running, command.replace("curl", "curl -s", 1)))


async def sql(url: str, statement: str) -> None:
    """As an administrator writes it in psql."""
    connection = await connect(url)
    try:
        await connection.execute(statement)
    finally:
        connection.close()


async def test_integrations_by_number_and_by_name(running: RunningGateway) -> None:
    for key in ("0367", "june"):
        answer = await curl(running, f"curl http://127.0.0.1:8020/integrations/{key}")
        assert answer["integrations"] == {"ms": True, "uon": True, "retailcrm": True}
    assert await curl(running, "curl http://127.0.0.1:8020/integrations/july") == {"detail": "Enterprise not found"}


async def test_a_customer_without_a_name_and_one_with_a_name(running: RunningGateway, migrated_url: str) -> None:
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-name/0367/{STRANGER}") == {"name": None}
    await sql(
        migrated_url,
        "insert into customers (enterprise_number, phone_e164, last_name, first_name)"
        f" values ('0367', '+{CUSTOMER}', 'Орлова', 'Вера'), ('0367', '+{STRANGER}', 'Сидоров', 'Павел')",
    )
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-name/0367/{CUSTOMER}") == {"name": "Орлова Вера"}
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-profile/0367/{CUSTOMER}") == {
        "last_name": "Орлова",
        "first_name": "Вера",
        "middle_name": None,
        "enterprise_name": None,
    }
    await curl(running, "curl -X POST http://127.0.0.1:8020/cache/invalidate/0367")
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-name/0367/{STRANGER}") == {"name": "Сидоров Павел"}


@pytest.mark.parametrize("page", ["integration.md", "integration.ru.md"])
async def test_the_statements_of_the_page_name_a_customer_whom_a_crm_has_named_and_give_the_name_back(
    running: RunningGateway, migrated_url: str, page: str
) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    by_hand, given_back = (block.partition("```")[0] for block in text.split("```sql\n")[2:4])
    phone = "375290001234"
    crm = CustomerProfile(last_name="Чужая", enterprise_name="ООО", source="ms", external_id="7", phones=(phone, CUSTOMER))
    store = running.gateway.store
    await store.name_customer("0367", NamedCustomer(phone=phone, profile=crm, at=datetime(2026, 3, 2, tzinfo=UTC)))
    await sql(migrated_url, by_hand)
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-name/0367/{phone}") == {"name": "Орлова Вера"}
    # What the CRM says of another number of the same person.
    await store.name_customer("0367", NamedCustomer(phone=CUSTOMER, profile=crm, at=datetime(2026, 3, 3, tzinfo=UTC)))
    await curl(running, "curl -X POST http://127.0.0.1:8020/cache/invalidate/0367")
    assert await curl(running, f"curl http://127.0.0.1:8020/customer-name/0367/{phone}") == {"name": "Орлова Вера"}
    await sql(migrated_url, given_back)
    customer = await store.customer("0367", phone)
    assert customer is not None
    assert (customer.profile.name, customer.profile.source) == ("", "")


async def test_a_manager_and_a_line(running: RunningGateway) -> None:
    manager = await curl(running, "curl http://127.0.0.1:8020/metadata/0367/manager/151")
    assert (manager["full_name"], manager["short_name"], manager["exists"]) == ("Петрова Анна Игоревна", "Петрова А.И.", True)
    line = await curl(running, "curl http://127.0.0.1:8020/metadata/0367/line/0001363")
    assert line == {"enterprise_number": "0367", "line_id": "0001363", "name": "А1 основная", "operator": "A1", "exists": True}
    missing = await curl(running, "curl http://127.0.0.1:8020/metadata/0367/manager/999")
    assert missing == {"detail": "Manager 999 not found for enterprise 0367"}


async def test_the_cache_is_not_empty_and_hits(running: RunningGateway) -> None:
    for _ in range(5):
        await curl(running, "curl http://127.0.0.1:8020/integrations/0367")
    figures = await curl(running, "curl http://127.0.0.1:8020/stats")
    assert figures["cache_size"] == figures["config_cache_size"] == 2
    assert figures["hits"] >= 5
    assert figures["hit_rate_percent"] > 50
    assert figures["last_full_refresh"]
    assert await curl(running, "curl -X POST http://127.0.0.1:8020/cache/refresh") == {"message": "Cache refreshed successfully"}


@pytest.mark.parametrize(
    ("program", "outputs"),
    [
        (".", [{"a": 1, "b": [1, 2]}]),
        (".a, .b", [1, [1, 2]]),
        (".b | length", [2]),
        ("{a, c: .b}", [{"a": 1, "c": [1, 2]}]),
    ],
)
def test_the_stand_in_of_jq_says_what_jq_says(program: str, outputs: list[Any]) -> None:
    document = {"a": 1, "b": [1, 2]}
    for command in (["jq"], [sys.executable, jq_stand_in.__file__]):
        if shutil.which(command[0]) is not None:
            done = subprocess.run([*command, program], input=json.dumps(document), capture_output=True, text=True, check=True)
            said, decoder, found = done.stdout.strip(), json.JSONDecoder(), list[Any]()
            while said:
                output, end = decoder.raw_decode(said)
                found.append(output)
                said = said[end:].strip()
            assert found == outputs


async def test_the_lines_with_jq_and_the_alert(running: RunningGateway) -> None:
    await curl(running, "curl http://127.0.0.1:8020/integrations/0367")
    assert json.loads(await shell(running, "curl -s http://127.0.0.1:8020/stats | jq"))["cache_size"] == 2
    printed = await shell(running, "curl -s http://127.0.0.1:8020/stats | jq '.cache_size, .hit_rate_percent'")
    assert [float(line) for line in printed.split()] == [2, 100]
    # What `watch -n 30` of the guide repeats.
    watched = await shell(
        running,
        'curl -s http://127.0.0.1:8020/stats | jq "{cache_size, hit_rate_percent, config_cache_size, last_refresh: .last_full_refresh}"',
    )
    assert json.loads(watched).keys() == {"cache_size", "hit_rate_percent", "config_cache_size", "last_refresh"}
    alert = """if [ $(curl -s http://127.0.0.1:8020/stats | jq '.cache_size') -eq 0 ]; then
        echo "❌ ALERT: Integration cache is empty!"
        curl -X POST http://127.0.0.1:8020/cache/refresh
    fi"""
    assert await shell(running, alert) == ""


async def test_an_update_in_the_database_is_seen_without_an_invalidation(running: RunningGateway, migrated_url: str) -> None:
    async def primary() -> str:
        answer = await curl(running, "curl http://127.0.0.1:8020/config/0367/smart")
        found: str = answer["config"]["primary"]
        return found

    assert await primary() == "ms"
    await sql(
        migrated_url,
        "UPDATE enterprises SET integrations_config = jsonb_set(COALESCE(integrations_config, '{}'::jsonb), '{smart,primary}',"
        " '\"retailcrm\"') WHERE number = '0367'",
    )
    with trio.fail_after(10):
        while await primary() != "retailcrm":
            pass
    message = await curl(running, "curl -X POST http://127.0.0.1:8020/cache/invalidate/0367")
    assert message == {"message": "Cache invalidated for enterprise 0367"}
    assert await primary() == "retailcrm"


async def test_settings_put_with_curl_are_stored_and_shown_without_their_secrets(running: RunningGateway) -> None:
    body = '{"enabled": false, "api_key": "***"}'
    put = f"curl -X PUT http://127.0.0.1:8020/config/0367/uon -H 'Content-Type: application/json' -d '{body}'"
    assert (await curl(running, put))["status"] == "success"
    (stored,) = await running.gateway.store.enterprises_by_key("0367")
    assert stored.integrations["uon"] == {"enabled": False, "api_key": "UonKey-0123456789"}
    assert (await curl(running, "curl http://127.0.0.1:8020/integrations/0367"))["integrations"]["uon"] is False
    everything = await shell(running, "curl -s http://127.0.0.1:8020/config/0367")
    assert "UonKey" not in everything


async def test_a_call_event_posted_with_curl_is_accepted(running: RunningGateway) -> None:
    raw = '{"Phone": "375290001101", "CallType": 0, "Extensions": ["151"], "Trunk": "0001363"}'
    body = f'{{"token": "375290000900", "uniqueId": "1759310248.0", "event_type": "dial", "raw": {raw}}}'
    post = f"curl -X POST http://127.0.0.1:8020/dispatch/call-event -H 'Content-Type: application/json' -d '{body}'"
    # No CRM of this enterprise has an adapter in this version: nothing is owed, and that is no error.
    assert await curl(running, post) == {"success": True}
    unknown = post.replace("375290000900", "375290009999")
    assert await curl(running, unknown) == {"detail": "enterprise not found by token"}


SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
TIMES = '"DateReceived": "2026-03-02 11:58:00", "StartTime": "2026-03-02 11:58:00", "EndTime": "2026-03-02 11:59:30"'


def event(kind: str, unique_id: str) -> str:
    """The command that posts a dial or an answered hangup."""
    raw = f'{{"Phone": "80290001101", "CallType": 0, "CallStatus": "2", "Extensions": ["151"], "Trunk": "0001363", {TIMES}}}'
    body = f'{{"token": "375290000900", "uniqueId": "{unique_id}", "event_type": "{kind}", "raw": {raw}}}'
    return f"curl -X POST http://127.0.0.1:8020/dispatch/call-event -H 'Content-Type: application/json' -d '{body}'"


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """There is nothing to wait on but the answers."""
    with trio.fail_after(20):
        while not await ask():
            pass


async def test_what_is_posted_reaches_the_own_crm_and_what_it_refuses_can_be_tried_again(migrated_url: str, tmp_path: Path) -> None:
    receiver = OwnCrmReceiver(SECRET)
    async with serve_own_crm(receiver) as crm_url:
        house = attrs.evolve(JUNE, integrations={"own": {"enabled": True, "url": crm_url, "secret": SECRET}})
        async with running_gateway(migrated_url, tmp_path, [house], allow_private_targets="true") as running:
            assert await curl(running, event("dial", "1757840723.1")) == {"success": True}
            assert await curl(running, event("dial", "1757840723.1")) == {"status": "ignored", "reason": "duplicate"}
            with trio.fail_after(20):
                await receiver.until(lambda: len(receiver.events) == 1)
            assert receiver.events[0]["type"] == "call.dial"
            assert (receiver.events[0]["data"]["phone"], receiver.events[0]["data"]["unique_id"]) == ("+375290001101", "1757840723.1")

            async def letters() -> list[Any]:
                found: list[Any] = (await curl(running, "curl http://127.0.0.1:8020/dispatch/june/dead"))["dead"]
                return found

            async def is_dead() -> bool:
                return bool(await letters())

            receiver.fail(Fault(kind=FaultKind.STATUS, status=401))
            assert await curl(running, event("hangup", "1757840723.1")) == {"success": True}
            await until(is_dead)
            (letter,) = await letters()
            assert (letter["kind"], letter["fault"], letter["class"], letter["problem"]) == ("hangup", "ours", "permanent", "unauthorized")
            assert letter["advice"]
            assert await curl(running, "curl -X POST http://127.0.0.1:8020/dispatch/june/retry") == {
                "enterprise_number": "0367",
                "revived": 1,
                "left": 0,
            }
            with trio.fail_after(20):
                await receiver.until(lambda: len(receiver.events) == 2)

            async def is_logged() -> bool:
                rows = (await curl(running, "curl 'http://127.0.0.1:8020/dispatch/0367/log?limit=10'"))["log"]
                tries = [(row["event_type"], row["status"]) for row in reversed(rows)]
                told = [("call_event:dial", "success"), ("call_event:hangup", "error"), ("call_event:hangup", "success")]
                return tries == told and SECRET not in str(rows)

            await until(is_logged)
            assert await letters() == []


async def test_what_a_host_has_told_already_is_a_duplicate(migrated_url: str, tmp_path: Path) -> None:
    receiver = OwnCrmReceiver(SECRET)
    async with serve_own_crm(receiver) as crm_url:
        house = attrs.evolve(JUNE, integrations={"own": {"enabled": True, "url": crm_url, "secret": SECRET}})
        async with running_gateway(migrated_url, tmp_path, [house], allow_private_targets="true") as running:
            body = '{"Token": "375290000900", "UniqueId": "1757840723.1", "Phone": "375290001101", "CallType": 0, "Trunk": "0001363"'
            for path, more in (("start", "}"), ("dial", ', "Extensions": ["151"]}')):
                await shell(running, f"curl -s {running.url}/{path} -d '{body}{more}' && curl -s http://127.0.0.1:8020/health/live")
            with trio.fail_after(20):
                await receiver.until(lambda: len(receiver.events) == 1)
            assert await curl(running, event("dial", "1757840723.1")) == {"status": "ignored", "reason": "duplicate"}
            assert await curl(running, event("hangup", "1757840723.1")) == {"success": True}
            with trio.fail_after(20):
                await receiver.until(lambda: len(receiver.events) == 2)
            assert {event["data"]["call_id"] for event in receiver.events} == {receiver.events[0]["data"]["call_id"]}
