"""The emulator's log: the guide's shell commands on what real runs have written, and no token in it."""

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import httpx2 as httpx
import pytest
import trio
from trio.testing import MockClock

from gateway.errors import SettingsError
from tester.emulator.event_log import EVENT_LOG_NAME, Exchange, masked_body, masked_token, open_event_log
from tester.emulator.orders import EventFault, EventTrouble, Faults, Pace
from tester.host import Posted
from tester.player import Delivery
from tests.emulator.stage import FAMILY, open_stage, told

TOKEN = "375290000367"
NOW = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
CONFIG = attrs.evolve(FAMILY, token=TOKEN)
Shell = Callable[[str], str]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a command of the guide in the directory above `logs`."""

    def run(command: str) -> str:
        return subprocess.run(command, shell=True, cwd=tmp_path, check=False, capture_output=True, text=True).stdout

    return run


async def test_the_commands_of_the_guide_work(autojump_clock: MockClock, tmp_path: Path, shell: Shell) -> None:
    log = f"logs/{EVENT_LOG_NAME}"
    with open_event_log(tmp_path / "logs") as events:
        async with open_stage(config=CONFIG, log=events) as stage:
            await stage.play()
            assert shell(f'grep -c "📥 EMULATION RESPONSE" {log}') == "10\n"
            # Cleared while the gateway goes on writing.
            shell(f'cat /dev/null > {log} && echo "✅ Логи очищены"')
            run = await stage.play()
    total = len(run.plan.events)
    assert int(shell(f'grep -c "📥 EMULATION RESPONSE" {log}')) == total
    assert len(shell(f'tail -50 {log} | grep "📥 EMULATION RESPONSE"').splitlines()) >= 4
    assert shell(f'grep "ERROR" {log}') == ""
    last = shell(f'grep "📊 Event Data:" {log} | tail -1')
    assert '"EndTime": "' in last
    assert '"Token": "***0367"' in last
    blocks = shell(f'grep -A 10 "🚀 EMULATION" {log}').split("--\n")
    parts = [re.sub(r"^\S+ \S+ \[(\w+)\] call_tester: ", r"[\1] ", line) for line in blocks[0].splitlines()[:10]]
    assert [line.split(":")[0] for line in parts] == [
        "[INFO] 🚀 EMULATION REQUEST to http",
        "[INFO] 📤 Event Type",
        "[INFO] 🕐 Sent",
        "[INFO] 📋 Request Headers",
        "[INFO] 📊 Event Data",
        "[INFO] 📥 EMULATION RESPONSE for start",
        "[INFO] 📊 Response Status",
        "[INFO] 📋 Response Headers",
        "[INFO] 📊 Response Data",
        "[INFO] 🕐 Received",
    ]
    assert '"Token": "***0367"' in parts[3]
    assert '{"status": "ok", "event_id": ' in parts[8]
    text = (tmp_path / log).read_text(encoding="utf-8")
    assert "\0" not in text
    assert TOKEN not in text
    kinds = shell(f"grep \"📤 Event Type:\" {log} | awk '{{print $NF}}' | sort | uniq -c").split()
    assert kinds[1::2] == sorted({event.posted.kind for event in run.plan.events})


async def test_what_went_wrong_is_found_as_an_error_and_nothing_else_is(autojump_clock: MockClock, tmp_path: Path, shell: Shell) -> None:
    log = f"logs/{EVENT_LOG_NAME}"

    async def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/start":
                return httpx.Response(401, json={"status": "error", "error": f"unknown Token {TOKEN}", "HINT": "ERROR"})
            case "/dial":
                await trio.sleep_forever()
            case _:
                pass
        return httpx.Response(200, text="<h1>ERROR</h1>", headers={"X-Server": "ERROR"})

    with open_event_log(tmp_path / "logs") as events:
        async with open_stage(config=CONFIG, log=events) as stage:
            stage.answer_instead = answer
            order = stage.order(faults=Faults(events=(EventFault(index=4, trouble=EventTrouble.LOSE),)))
            values = {**order.values, "line_id": "ERROR_1"}
            await told(stage.emulator.start(attrs.evolve(order, values=values)))
    errors = [line.partition("call_tester: ")[2] for line in shell(f'grep "ERROR" {log}').splitlines()]
    assert errors[:4] == [
        "❌ EMULATION ERROR for start",
        "❌ Error: 401: unknown Token ***0367",
        "❌ EMULATION ERROR for new_callerid",
        "❌ Error: 200: <h1>ERROR</h1>",
    ]
    assert all(line.startswith("❌ E") for line in errors)
    # The dial was never answered, one webhook was lost: all others have one response each.
    assert int(shell(f'grep -c "📥 EMULATION RESPONSE" {log}')) == 8
    assert "lost on purpose" in shell(f'grep "🕳️" {log}')
    assert '"Trunk": "\\u0045RROR_1"' in shell(f'grep "📊 Event Data:" {log} | head -1')


async def test_a_request_that_was_stopped_is_written_down_without_a_response(
    autojump_clock: MockClock, tmp_path: Path, shell: Shell
) -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    with open_event_log(tmp_path / "logs") as events:
        async with open_stage(config=CONFIG, log=events) as stage:
            stage.answer_instead = hang
            run = stage.start(pace=Pace.REAL)
            await trio.sleep(1)
            run.stop()
            await told(run)
            await trio.sleep(1)
    text = (tmp_path / "logs" / EVENT_LOG_NAME).read_text(encoding="utf-8")
    assert "🛑 EMULATION STOPPED for start" in text
    assert "📥 EMULATION RESPONSE" not in text
    assert f"⏹️ RUN {run.id}: stopped" in text


async def test_lines_of_two_runs_do_not_mix(autojump_clock: MockClock, tmp_path: Path) -> None:
    with open_event_log(tmp_path) as events:
        async with open_stage(config=CONFIG, log=events) as stage:
            for run in [stage.start(pace=Pace.REAL) for _ in range(3)]:
                await told(run)
    lines = (tmp_path / EVENT_LOG_NAME).read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if "🚀 EMULATION REQUEST" in line:
            assert "📥 EMULATION RESPONSE" in lines[place + 5]


def test_a_token_that_comes_back_in_an_answer_is_masked(tmp_path: Path) -> None:
    posted = Posted(0.0, "dial", {"Token": TOKEN, "UniqueId": "1.1", "Phone": "375290001111"})
    delivery = Delivery(
        posted=posted,
        latency_seconds=0.1,
        status=500,
        error=f"500: {TOKEN} is nobody",
        answer_text=f'{{"echo": {{"Token": "{TOKEN}", "api_key": "s3cretkey"}}}}',
        answer_headers={"token": TOKEN, "location": f"/x?y={TOKEN}"},
    )
    with open_event_log(tmp_path) as events:
        events.exchanged(
            Exchange(run_id="1-1", url="http://h", posted=posted, headers={"Token": TOKEN}, sent_at=NOW, ended_at=NOW, delivery=delivery)
        )
        events.started("1-1", "ERROR in a title")
    text = (tmp_path / EVENT_LOG_NAME).read_text(encoding="utf-8")
    assert TOKEN not in text
    assert "s3cretkey" not in text
    assert text.count("***0367") == 6
    assert "375290001111" in text
    assert "Error in a title" in text


@pytest.mark.parametrize(("token", "wanted"), [("375290000367", "***0367"), ("0367", "***"), ("", ""), ("12345", "***2345")])
def test_four_characters_of_a_token_are_shown(token: str, wanted: str) -> None:
    assert masked_token(token) == wanted
    assert masked_body({"Token": token, "Phone": "1"}) == {"Token": wanted, "Phone": "1"}


def test_a_directory_that_cannot_be_written_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="log_dir"), open_event_log(tmp_path / "file"):
        pass
