import contextlib
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import trio
import trio.testing
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli import app
from gateway.demo.chats import LineScreen, LiveScreen, texts_of
from gateway.demo.crms import DemoCrms
from gateway.demo.enterprise import ENTERPRISE, PARTS
from gateway.demo.stage import Stage, differences, invitation, usual_ports
from telegram_client.api import BotApi
from telegram_client.http import HttpClient
from tester.fakes.telegram import FakeTelegram

FINALS = (
    "✅ Завершен: +375 (29) 000-11-01 (Орлова Дарья Сергеевна) ↔ Сидоров П. И. (152), 00:12",
    "❌ Не отвечен: +375 (29) 000-11-02 (ООО «Липа») → Ковалёв И. О. (150), Петрова А. И. (151)",
    "✅ Завершен: +375 (29) 000-11-03 ↔ Сидоров П. И. (152), 00:18",
    "✅ Завершен (внутр.): Ковалёв И. О. (150) ↔ Сидоров П. И. (152), 00:08",
)
HELD = """\
RetailCRM has
  +375290001101: answered
  +375290001102: no answer
  +375290001103: answered
МойСклад has
  +375290001101: Входящий звонок отвечен
  +375290001102: Пропущенный входящий звонок
  +375290001103: Входящий звонок отвечен
U-ON has
  +375290001101: Статус: отвеченный
  +375290001102: Статус: неотвеченный
  +375290001103: Статус: отвеченный
Bitrix24 has
  +375290001101: 200
  +375290001102: 304
  +375290001103: 200
The own CRM has
  +375290001101: answered
  +375290001102: missed
  +375290001103: answered
"""
TRANSFER = "🔀 Петрова А. И. (151) → Сидоров П. И. (152)"
# Far above what it takes; only a hanging demo comes to it.
GIVE_UP_SECONDS = 120

Demo = subprocess.Popen[str]


def started(*arguments: str) -> Demo:
    # A demo has no settings: what stands in the environment must not change it.
    environment = {**os.environ, "GATEWAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "GATEWAY_NONSENSE": "1"}
    code = "from gateway.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "demo", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def left_of(demo: Demo) -> list[str]:
    """Directories of this demo, and processes that work in them or were started with them."""
    mark = f"/tmp/gateway-demo-{demo.pid}-"
    found = [str(path) for path in Path("/tmp").glob(f"gateway-demo-{demo.pid}-*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, place = (process / "cmdline").read_bytes().decode(errors="replace"), str((process / "cwd").readlink())
        except OSError:
            continue
        if mark in command or mark in place:
            found.append(f"process {process.name}: {command}")
    return found


def lines_until(demo: Demo, fragment: str) -> Iterator[str]:
    assert demo.stdout is not None
    for line in demo.stdout:
        yield line.rstrip("\n")
        if fragment in line:
            return
    pytest.fail(f"the demo ended before it said {fragment!r}")


def test_the_fast_demo_ends_with_the_finals_of_its_calls_in_both_chats_and_leaves_nothing() -> None:
    demo = started("--fast")
    output, errors = demo.communicate(timeout=GIVE_UP_SECONDS)
    assert (demo.returncode, errors) == (0, "")
    assert output.endswith(HELD)
    chats_part = output.removesuffix(HELD)
    _, *chats = re.split(r"^chat (?:\d+)$", chats_part, flags=re.MULTILINE)
    assert len(chats) == 2
    for chat in chats:
        messages = [message.strip().splitlines() for message in chat.strip().split("\n\n")]
        assert sorted(message[0] for message in messages) == sorted(FINALS)
        assert next(message for message in messages if "000-11-03" in message[0])[2].strip() == TRANSFER
    assert left_of(demo) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing(number: signal.Signals) -> None:
    demo = started()
    try:
        # One while the database is being made, one when calls are running.
        list(lines_until(demo, "Starting" if number is signal.SIGTERM else "message 1 sent"))
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=GIVE_UP_SECONDS)
    finally:
        demo.kill()
    assert (demo.returncode, errors) == (0, "")
    assert left_of(demo) == []


def test_a_demo_whose_reader_has_gone_ends_without_a_word() -> None:
    demo = started("--fast")
    assert demo.stdout is not None
    demo.stdout.close()
    demo.stdout = None
    _, errors = demo.communicate(timeout=GIVE_UP_SECONDS)
    assert (demo.returncode, errors) == (1, "")
    assert left_of(demo) == []


def test_a_fast_demo_that_is_interrupted_says_so_by_its_exit_code() -> None:
    demo = started("--fast")
    try:
        while not list(Path("/tmp").glob(f"gateway-demo-{demo.pid}-*")) and demo.poll() is None:
            time.sleep(0.01)
        demo.send_signal(signal.SIGTERM)
        output, errors = demo.communicate(timeout=GIVE_UP_SECONDS)
    finally:
        demo.kill()
    assert (demo.returncode, output, errors) == (128 + signal.SIGTERM, "", "")
    assert left_of(demo) == []


@pytest.fixture
def taken_port() -> Iterator[int]:
    """The usual port of the page, taken by us or by somebody else already."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8025)))
        yield 8025


def test_a_demo_for_the_emulator_plays_nothing_and_has_all_that_any_call_needs(taken_port: int) -> None:
    demo = started("--emulator")
    try:
        told = [line.partition(": ") for line in lines_until(demo, "stays up until")]
        addresses = {name: address for name, _, address in told if address}
        page = addresses["emulator"]
        assert page.endswith("/test-interface")
        assert f":{taken_port}/" not in page
        with httpx.Client(base_url=page.removesuffix("/test-interface"), trust_env=False, timeout=GIVE_UP_SECONDS) as client:
            assert client.get(page).status_code == 200
            assert client.get(f"{addresses['internal listener']}/health/ready").status_code == 200
            keys = [pattern["key"] for pattern in client.get("/api/patterns").json()]
            order: dict[str, Any] = {"enterprise": ENTERPRISE.number, "faults": {}, "pace": "max"}
            for key in keys:
                values = client.get("/api/suggestion", params={"enterprise": ENTERPRISE.number, "pattern": key}).json()["values"]
                order |= {"pattern": key, "values": values}
                plan = client.post("/api/plans", json=order)
                assert plan.status_code == 200, (key, plan.text)
            run = client.post("/api/runs", json=order).json()
            stream = client.get(f"/api/runs/{run['id']}/stream").text
            assert '"judgement":"expected"' in stream.replace(" ", "")
        demo.send_signal(signal.SIGINT)
        output, errors = demo.communicate(timeout=GIVE_UP_SECONDS)
    finally:
        demo.kill()
    assert (demo.returncode, output, errors) == (0, "", "")
    assert left_of(demo) == []


def test_a_demo_is_fast_or_for_the_emulator() -> None:
    refused = CliRunner().invoke(app, ["demo", "--fast", "--emulator"])
    assert refused.exit_code == 2
    assert "only one of them" in refused.stderr


def test_of_demos_that_begin_at_the_same_time_one_tries_the_usual_ports() -> None:
    # The first may be somebody else's, on another worker.
    with usual_ports(), usual_ports() as are_ours:
        assert not are_ours


# what is drawn and compared, without a gateway


@asynccontextmanager
async def bot_of(fake: FakeTelegram) -> AsyncGenerator[BotApi]:
    async with HttpClient(transport=fake.transport()) as http:
        yield BotApi(ENTERPRISE.bot_token, http, "http://telegram.invalid")


async def show_all_finals(bot: BotApi) -> None:
    for chat_id in ENTERPRISE.subscribers:
        for part in PARTS:
            first, *further = part.final.lines()
            await bot.send_message(chat_id, "\n".join([first, "📡 A1", *further, "⏰ 12:00"]))


async def test_every_final_must_be_in_every_chat_and_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    async with bot_of(fake) as bot:
        assert len(list(differences(fake))) == len(PARTS) * len(ENTERPRISE.subscribers)
        await show_all_finals(bot)
        assert list(differences(fake)) == []
        await bot.edit_message_text(1002, 4, "🔗 Разговор (внутр.): Ковалёв И. О. (150) ↔ Сидоров П. И. (152)\n⏰ 12:00")
    assert list(differences(fake)) == [
        f"chat 1002 does not show «{FINALS[3]}»",
        "chat 1002 shows «🔗 Разговор (внутр.): Ковалёв И. О. (150) ↔ Сидоров П. И. (152) / ⏰ 12:00», which is no final of this demo",
    ]


async def test_a_doubled_final_is_a_difference(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    async with bot_of(fake) as bot:
        await show_all_finals(bot)
        await bot.send_message(1001, FINALS[1])
    assert list(differences(fake)) == [f"chat 1001 shows «{FINALS[1]}», which is no final of this demo"]


def drawn(screen: LiveScreen, console: Console) -> str:
    with console.capture() as capture:
        console.print(screen.draw())
    return capture.get()


async def test_an_edit_is_counted_and_a_deleted_message_fades_away(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    console = Console(file=io.StringIO(), width=100, height=40)
    screen = LiveScreen(fake, console)
    async with bot_of(fake) as bot:
        message = await bot.send_message(1001, "📞 Звонок")
        assert "📞 Звонок" in drawn(screen, console)
        await bot.edit_message_text(1001, message.message_id, "🔗 Разговор")
        assert "edited 1×" in drawn(screen, console)
        await bot.delete_message(1001, message.message_id)
        assert "deleted" in drawn(screen, console)
        await trio.sleep(10)
        assert "deleted" not in drawn(screen, console)
    assert list(texts_of(fake, 1001)) == []


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (110, 30), (200, 50)])
async def test_the_newest_messages_fit_into_the_terminal_with_all_their_letters(
    autojump_clock: trio.testing.MockClock, width: int, height: int
) -> None:
    fake = FakeTelegram()
    console = Console(file=io.StringIO(), width=width, height=height)
    screen = LiveScreen(fake, console)
    screen.announce("one")
    screen.announce("two")
    async with bot_of(fake) as bot:
        for _ in range(5):
            await show_all_finals(bot)
            await trio.sleep(60)
    output = drawn(screen, console)
    assert len(output.splitlines()) <= height
    assert "Ковалёв" in output
    assert "…" not in output


async def test_without_a_terminal_every_change_is_lines_of_text(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    file = io.StringIO()
    async with bot_of(fake) as bot:
        with LineScreen(fake, Console(file=file)) as screen:
            screen.announce("1/4 [title]")
            message = await bot.send_message(1001, "📞 Звонок &lt;x&gt;\n📡 A1")
            await bot.delete_message(1001, message.message_id)
    assert file.getvalue() == "1/4 [title]\nchat 1001, message 1 sent\n  📞 Звонок <x>\n  📡 A1\nchat 1001, message 1 deleted\n"


def test_the_example_commands_are_whole_shell_commands_with_the_token_of_the_demo(tmp_path: Path) -> None:
    stage = Stage(
        fake=FakeTelegram(),
        crms=DemoCrms(integrations={}, each=()),
        public_url="http://127.0.0.1:8000",
        internal_url="http://127.0.0.1:8020",
        page_url="http://127.0.0.1:8025/test-interface",
        log_dir=tmp_path,
        console=Console(),
    )
    commands = [shlex.split(line) for line in invitation(stage) if line.startswith("curl")]
    assert any(line.endswith(f": {stage.page_url}") for line in invitation(stage))
    assert [command[3] for command in commands] == [
        "http://127.0.0.1:8000/dial",
        "http://127.0.0.1:8000/hangup",
        "http://127.0.0.1:8020/customer-name/demo/375290001101",
        "http://127.0.0.1:8020/stats",
    ]
    bodies = [json.loads(command[-1]) for command in commands[:2]]
    assert {body["Token"] for body in bodies} == {ENTERPRISE.token}
    assert len({body["UniqueId"] for body in bodies}) == 1
