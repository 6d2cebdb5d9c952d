import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import trio
from typer.testing import CliRunner, Result

from gateway.calls.record import CallRecord
from gateway.cli import app
from gateway.configuration import load_configuration
from gateway.ports import EnterpriseConfig, EventOutcome, IncomingEvent, Step, Store
from gateway.settings import load_settings
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram

BOT_TOKEN = "100001:a-bot-of-the-tests"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONFIGURATION = """
[[enterprise]]
number = "0367"
name = "june"
token = "375290000900"
bot_token = "100001:a-bot-of-the-tests"

[[enterprise.line]]
id = "0001363"
name = "A1"

[[enterprise.subscriber]]
chat_id = 1001
"""
# Without subscribers: they need a bot, and a gateway with a bot would go out to ask for its updates.
WITHOUT_A_BOT = re.sub(r"bot_token.*\n", "", CONFIGURATION.partition("[[enterprise.subscriber]]")[0])
JUNE = EnterpriseConfig(number="0367", name="june", token="375290000900", bot_token=BOT_TOKEN)

Gateway = Callable[..., Result]


@pytest.fixture
def gateway(migrated_url: str, tmp_path: Path) -> Gateway:
    """The command line in this process, on a migrated database."""

    def run(*arguments: str, **environment: str) -> Result:
        settings = {"GATEWAY_DATABASE_URL": migrated_url, "GATEWAY_LOG_DIR": str(tmp_path / "logs"), **environment}
        return CliRunner(env=settings).invoke(app, arguments, catch_exceptions=False)

    return run


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "june.toml"
    path.write_text(CONFIGURATION)
    return path


@contextlib.asynccontextmanager
async def store_of(url: str) -> AsyncGenerator[Store]:
    async with open_pool(url, max_size=2) as pool:
        yield PostgresStore(pool)


def environment(url: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, "GATEWAY_DATABASE_URL": url, **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from gateway.cli import main; main()", *arguments]


# load and migrate


def test_loading_says_what_changed_and_then_that_nothing_did(gateway: Gateway, configuration: Path) -> None:
    first = gateway("load", str(configuration))
    assert (first.exit_code, first.stderr) == (0, "")
    assert "0367" in first.stdout
    assert "375290000900" not in first.stdout
    second = gateway("load", str(configuration))
    assert (second.exit_code, second.stdout) == (0, "nothing changed\n")


def test_a_crm_that_the_settings_forbid_to_ask_is_loaded_with_a_warning(gateway: Gateway, configuration: Path) -> None:
    own = '\n[enterprise.integrations.own]\nenabled = true\nurl = "http://127.0.0.1:9/HUSH"\nsecret = "HUSHHUSHHUSHHUSHHUSHHUSH"\n'
    configuration.write_text(CONFIGURATION.replace("\n[[enterprise.line]]", f"{own}\n[[enterprise.line]]"))
    forbidden = gateway("load", str(configuration))
    refusal = "integrations.own: url: plain http is refused, unless the gateway's setting allow_private_targets is true"
    assert (forbidden.exit_code, forbidden.stderr) == (0, f"gateway: warning: enterprise 0367: {refusal}\n")
    allowed = gateway("load", str(configuration), GATEWAY_ALLOW_PRIVATE_TARGETS="true")
    assert (allowed.exit_code, allowed.stdout, allowed.stderr) == (0, "nothing changed\n", "")


def test_everything_that_is_wrong_with_a_file_is_told_in_a_line_each(gateway: Gateway, configuration: Path) -> None:
    configuration.write_text(CONFIGURATION.replace("[[enterprise.line]]", 'nmae = "x"\n[[enterprise.line]]').replace("0001363", "0 1"))
    result = gateway("load", str(configuration))
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"gateway: {configuration}: enterprise") for line in lines)


def test_a_missing_file_is_an_error_in_one_line(gateway: Gateway, tmp_path: Path) -> None:
    result = gateway("load", str(tmp_path / "none.toml"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_an_empty_database_is_migrated_once_and_before_that_nothing_is_loaded(
    database_url: str, gateway: Gateway, configuration: Path
) -> None:
    refused = gateway("load", str(configuration), GATEWAY_DATABASE_URL=database_url)
    assert refused.exit_code == 1
    assert refused.stderr.rstrip().endswith("run gateway migrate")
    first = gateway("migrate", GATEWAY_DATABASE_URL=database_url)
    assert first.exit_code == 0
    assert first.stdout.startswith("applied 0001_")
    assert gateway("migrate", GATEWAY_DATABASE_URL=database_url).stdout == "the database is up to date\n"
    assert gateway("load", str(configuration), GATEWAY_DATABASE_URL=database_url).exit_code == 0


# what cannot work


def test_a_bad_setting_is_one_line_and_exit_code_2(gateway: Gateway) -> None:
    result = gateway("serve", GATEWAY_BINT="127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "gateway: GATEWAY_BINT: there is no such setting; did you mean bind?\n"


def test_a_database_that_is_away_is_one_line_without_its_password(gateway: Gateway) -> None:
    result = gateway("calls", "0367", GATEWAY_DATABASE_URL="postgresql://gateway:s3cret@127.0.0.1:1/gateway?connect_timeout=2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.stderr


def test_a_taken_address_is_one_line_and_in_the_log(gateway: Gateway, tmp_path: Path, expected_errors: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = gateway("serve", GATEWAY_BIND=address, GATEWAY_INTERNAL_BIND="127.0.0.1:0", GATEWAY_TESTER_BIND="")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"gateway: cannot listen on {address}: ")
    assert len(result.stderr.splitlines()) == 1
    expected_errors.claim("the gateway ends")
    log = (tmp_path / "logs" / "app.log").read_text()
    assert address in log
    assert "Traceback" not in log


def test_the_taken_address_of_the_emulator_is_named_by_its_setting(gateway: Gateway, expected_errors: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = gateway("serve", GATEWAY_BIND="127.0.0.1:0", GATEWAY_INTERNAL_BIND="127.0.0.1:0", GATEWAY_TESTER_BIND=address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"gateway: tester_bind: cannot listen on {address}: ")
    assert len(result.stderr.splitlines()) == 1
    expected_errors.claim("the gateway ends")


def test_help_shows_the_commands_that_there_are(gateway: Gateway) -> None:
    result = gateway("--help")
    shown = re.findall(r"^  ([a-z]+) ", result.stdout, re.MULTILINE)
    assert sorted(set(shown)) == ["calls", "demo", "doctor", "emulate", "invite", "load", "migrate", "serve"]


def test_the_examples_of_the_readme_are_understood(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    settings, enterprises = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "settings.toml").write_text(settings)
    (tmp_path / "enterprises.toml").write_text(enterprises)
    assert load_settings({}, tmp_path / "settings.toml").data_dir == Path("/var/lib/gateway")
    assert load_configuration(tmp_path / "enterprises.toml")[0].number == "0367"


# calls


async def _remember_a_call(url: str) -> None:
    async with store_of(url) as store:
        await store.upsert_enterprises([JUNE])
        bodies = (
            ("dial", {"Token": JUNE.token, "UniqueId": "1772442000.1", "Phone": "375290001234", "Extensions": ["151"], "CallType": 0}),
            ("hangup", {"Token": JUNE.token, "UniqueId": "1772442000.1", "CallStatus": "2", "Trunk": "\x1b[2J[red]x"}),
        )
        appended = await store.append_events(
            [
                IncomingEvent(
                    enterprise_number="0367",
                    kind=kind,
                    unique_id=str(body["UniqueId"]),
                    raw_body=json.dumps(body),
                    body_hash=kind.encode(),
                    received_at=START + timedelta(seconds=seconds),
                )
                for seconds, (kind, body) in enumerate(bodies)
            ]
        )
        record = CallRecord(
            call_id=appended[0].event_id,
            unique_id="1772442000.1",
            phone="375290001234",
            extension="151",
            call_type=0,
            call_status=2,
            trunk="0001363",
            date_received=START,
            date_end=START + timedelta(seconds=75),
            duration=75,
            talk_seconds=60,
            transfers="",
            closed_by="hangup",
        )
        outcomes = tuple(EventOutcome(event_id=event.event_id, call_id=record.call_id) for event in appended)
        await store.commit_step(Step(enterprise_number="0367", outcomes=outcomes, records=(record,)))


def test_finished_calls_are_a_row_each_in_the_time_of_the_enterprise(gateway: Gateway, migrated_url: str) -> None:
    trio.run(_remember_a_call, migrated_url)
    result = gateway("calls", "june")
    assert (result.exit_code, result.stderr) == (0, "")
    row = next(line for line in result.stdout.splitlines() if "1772442000.1" in line)
    for cell in ("2026-03-02 12:00:00", "in", "+375 (29) 000-12-34", "151", "yes", "01:15", "01:00", "0001363", "hangup"):
        assert f" {cell} " in row


def test_the_events_of_a_call_are_shown_in_order_without_tokens_and_control_characters(gateway: Gateway, migrated_url: str) -> None:
    trio.run(_remember_a_call, migrated_url)
    result = gateway("calls", "0367", "1772442000.1")
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if "1772442000.1" in line]
    assert ["dial" in row for row in rows] == [True, False]
    assert "12:00:00.000" in rows[0]
    assert 'Phone=375290001234 Extensions=["151"] CallType=0' in rows[0]
    assert "Trunk=?[2J[red]x" in rows[1]
    assert "375290000900" not in result.stdout
    assert "\x1b" not in result.stdout


def test_calls_that_are_not_there_are_told(gateway: Gateway, configuration: Path) -> None:
    nobody = gateway("calls", "0399")
    assert (nobody.exit_code, nobody.stderr) == (1, "gateway: there is no such enterprise; configured: none, see gateway load\n")
    gateway("load", str(configuration))
    unknown = gateway("calls", "0399")
    assert (unknown.exit_code, unknown.stderr) == (1, "gateway: there is no such enterprise; configured: 0367 (june)\n")
    assert gateway("calls", "0367").stdout == "no finished calls yet\n"
    lost = gateway("calls", "0367", "1.\x1b1")
    assert (lost.exit_code, lost.stderr) == (1, 'gateway: enterprise 0367 has no call with the UniqueId "1.?1"\n')


# invite


async def test_an_invite_is_a_link_that_one_chat_can_use_once_within_a_day(migrated_url: str) -> None:
    async with store_of(migrated_url) as store, serve_fake_telegram(FakeTelegram([BOT_TOKEN])) as telegram_url:
        await store.upsert_enterprises([JUNE])
        result = await trio.run_process(
            command("invite", "june"),
            env=environment(migrated_url, GATEWAY_TELEGRAM_BASE_URL=telegram_url),
            capture_stdout=True,
            capture_stderr=True,
        )
        found = re.fullmatch(r"https://t\.me/bot_100001_bot\?start=([A-Za-z0-9_-]{22})\n", result.stdout.decode())
        assert found is not None
        code = found[1]
        now = datetime.now(UTC)
        tomorrow = now + timedelta(hours=24)
        assert await store.redeem_invite(bot_token=BOT_TOKEN, code=code, chat_id=1001, at=tomorrow) is None
        assert await store.redeem_invite(bot_token=BOT_TOKEN, code=code, chat_id=1001, at=tomorrow - timedelta(minutes=5)) == "0367"
        assert await store.redeem_invite(bot_token=BOT_TOKEN, code=code, chat_id=1002, at=now) is None


async def test_without_an_answer_from_telegram_there_is_no_invite_and_no_token_in_the_error(migrated_url: str) -> None:
    fake = FakeTelegram([BOT_TOKEN])
    fake.revoke(BOT_TOKEN)
    async with store_of(migrated_url) as store, serve_fake_telegram(fake) as telegram_url:
        await store.upsert_enterprises([JUNE])
        result = await trio.run_process(
            command("invite", "0367"),
            env=environment(migrated_url, GATEWAY_TELEGRAM_BASE_URL=telegram_url),
            check=False,
            capture_stdout=True,
            capture_stderr=True,
        )
    error = result.stderr.decode()
    assert (result.returncode, result.stdout) == (1, b"")
    assert error.startswith("gateway: Telegram does not say who the bot of enterprise 0367 is, so there is no link: getMe: ")
    assert len(error.splitlines()) == 1
    assert BOT_TOKEN.partition(":")[2] not in error


def test_an_enterprise_without_a_bot_cannot_invite(gateway: Gateway, configuration: Path) -> None:
    configuration.write_text(WITHOUT_A_BOT)
    gateway("load", str(configuration))
    result = gateway("invite", "0367")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "has no bot_token" in result.stderr


# doctor

OWN_CRM = """
[enterprise.integrations.own]
enabled = true
url = "https://crm.example/calls/HUSHHUSHHUSHHUSHHUSHHUSH0"
secret = "HUSHHUSHHUSHHUSHHUSHHUSH"
"""


def load_with(gateway: Gateway, configuration: Path, integration: str) -> None:
    configuration.write_text(CONFIGURATION.replace("\n[[enterprise.line]]", f"{integration}\n[[enterprise.line]]"))
    assert gateway("load", str(configuration)).exit_code == 0


@pytest.mark.parametrize("key", ["0367", "june", "375290000900"])
def test_the_doctor_says_that_all_is_well(gateway: Gateway, configuration: Path, key: str) -> None:
    load_with(gateway, configuration, OWN_CRM)
    result = gateway("doctor", key)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["Предприятие 0367 (june)", "own: в порядке"]
    assert lines[-1] == "Всё в порядке."
    assert "HUSH" not in result.stdout


def test_the_doctor_says_what_is_wrong_and_what_to_do_and_exits_1(gateway: Gateway, configuration: Path) -> None:
    load_with(gateway, configuration, OWN_CRM.replace("https://crm.example", "http://127.0.0.1:9"))
    result = gateway("doctor", "0367")
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[1] == "own: есть ошибки"
    assert lines[2].startswith("  - integrations.own: url: plain http is refused")
    assert lines[3].startswith("    → ")
    assert lines[-1] == "Найдено ошибок: 1."
    assert "HUSH" not in result.stdout
    assert gateway("doctor", "0367", GATEWAY_ALLOW_PRIVATE_TARGETS="true").exit_code == 0


def test_the_doctor_speaks_the_language_of_the_enterprise(gateway: Gateway, configuration: Path) -> None:
    configuration.write_text(CONFIGURATION.replace('name = "june"', 'name = "june"\nlanguage = "en"', 1))
    assert gateway("load", str(configuration)).exit_code == 0
    result = gateway("doctor", "june")
    assert (result.exit_code, result.stdout) == (0, "Enterprise 0367 (june)\nno CRM is connected\nAll is well.\n")


def test_the_doctor_knows_no_strangers(gateway: Gateway, configuration: Path) -> None:
    gateway("load", str(configuration))
    result = gateway("doctor", "0399")
    assert (result.exit_code, result.stderr) == (1, "gateway: there is no such enterprise; configured: 0367 (june)\n")


# serve


@contextlib.contextmanager
def serving(tmp_path: Path, env: dict[str, str]) -> Generator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """A gateway in a process of its own, without the emulator, and its addresses by name."""
    binds = {"GATEWAY_BIND": "127.0.0.1:0", "GATEWAY_INTERNAL_BIND": "127.0.0.1:0", "GATEWAY_TESTER_BIND": ""}
    logs = {"GATEWAY_LOG_DIR": str(tmp_path / "logs")}
    process = subprocess.Popen(command("serve"), env={**env, **binds, **logs}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        yield process, dict(line.strip().split(" listener: ") for line in lines)
    finally:
        process.kill()
        process.communicate()


def test_serve_prints_a_line_for_each_listener_takes_events_and_exits_0_on_sigterm(
    gateway: Gateway, configuration: Path, migrated_url: str, tmp_path: Path
) -> None:
    configuration.write_text(WITHOUT_A_BOT)
    gateway("load", str(configuration))
    with serving(tmp_path, environment(migrated_url)) as (process, addresses):
        assert set(addresses) == {"public", "internal"}
        body = {"Token": "375290000900", "UniqueId": "1772442000.1", "CallStatus": "0", "CallType": 0, "Phone": "375290001234"}
        assert httpx.post(f"{addresses['public']}/hangup", json=body, trust_env=False).status_code == 200
        assert httpx.get(f"{addresses['internal']}/health/ready", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert "1772442000.1" in gateway("calls", "0367").stdout
    assert "🧪 TEST EVENT: hangup" in (tmp_path / "logs" / "0367.log").read_text()


def test_a_running_gateway_with_an_embedded_database_shares_it_with_commands_and_stops_it_at_its_end(
    gateway: Gateway, configuration: Path, data_dir: Path, tmp_path: Path, expected_errors: Any
) -> None:
    configuration.write_text(WITHOUT_A_BOT)
    embedded = {"GATEWAY_DATABASE_URL": "embedded", "GATEWAY_DATA_DIR": str(data_dir)}
    with serving(tmp_path, environment("embedded", GATEWAY_DATA_DIR=str(data_dir))) as (process, _):
        assert gateway("load", str(configuration), **embedded).exit_code == 0
        assert gateway("load", str(configuration), **embedded).stdout == "nothing changed\n"
        assert gateway("doctor", "0367", **embedded).exit_code == 0
        second = gateway("serve", **embedded)
        assert second.exit_code == 2
        assert f"in use by another gateway (process {process.pid})" in second.stderr
        expected_errors.claim("the gateway ends")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
