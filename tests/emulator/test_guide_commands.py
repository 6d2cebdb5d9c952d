"""The administrators' guide: each of its shell commands on the logs, run by bash while calls are emulated, shows what the guide wants.

The commands stand here as they stand there, but for the token and the UniqueId of their examples. What they are run on is written by a
gateway that is running: nothing is closed, rotated or begun anew between two of them.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from gateway.logs import open_logs
from gateway.ports import LineConfig, ManagerConfig
from tester.emulator.client import Client, StreamEvent, open_client
from tester.emulator.companion import open_emulation
from tester.emulator.orders import Pace
from tester.running import enterprise, running_gateway

# In CI nobody reads what was skipped: there it is a failure.
pytestmark = pytest.mark.skipif(shutil.which("bash") is None and not os.environ.get("CI"), reason="the guide's commands need bash")

PATIENCE_SECONDS = 20.0
STOP_SECONDS = 5.0
EMULATED, RECEIVED = "call_tester_events.log", "0367.log"
# What stands at the end of each log after an event, and what the next one brings.
FOLLOWED = ((EMULATED, "🕐 Received: ", "📥 EMULATION RESPONSE"), (RECEIVED, "\n}\n", "🧪 TEST EVENT: "))
JUNE = attrs.evolve(
    enterprise(367),
    name="june",
    token="375290000900",
    lines=(LineConfig(line_id="0001363", name="A1 основная"),),
    managers=(ManagerConfig(extension="151", last_name="Петрова", first_name="Анна"),),
)

CLEAR_EMULATED = "cat /dev/null > logs/call_tester_events.log"
CLEAR_RECEIVED = "cat /dev/null > logs/0367.log"
CLEAR_BOTH = 'cat /dev/null > logs/call_tester_events.log && cat /dev/null > logs/0367.log && echo "✅ Логи очищены"'
FIND_EVENT = 'grep -A 10 "🚀 EMULATION" logs/call_tester_events.log'
FIND_ERRORS = 'grep "ERROR" logs/call_tester_events.log'
CHECK_SENT = 'tail -50 logs/call_tester_events.log | grep "📥 EMULATION RESPONSE"'
CHECK_RECEIVED = "tail -50 logs/0367.log"
COUNT_KINDS = """grep "🧪 TEST EVENT:" logs/0367.log | awk '{print $NF}' | sort | uniq -c"""
COUNT_SENT = 'echo "События от эмулятора:" && grep -c "📥 EMULATION RESPONSE" logs/call_tester_events.log'
COUNT_RECEIVED = 'echo "События на сервере 0367:" && grep -c "🧪 TEST EVENT" logs/0367.log'
LAST_SENT = 'echo "=== Последнее отправленное ===" && grep "📊 Event Data:" logs/call_tester_events.log | tail -1'
LAST_RECEIVED = 'echo "=== Последнее полученное ===" && grep "🧪 TEST EVENT" logs/0367.log | tail -1'
WATCH = (
    "tail -f logs/call_tester_events.log logs/0367.log",
    "tail -f logs/call_tester_events.log",
    "tail -f logs/0367.log",
)
# What shows all of a log, or its end.
SHOW_EMULATED = ("cat logs/call_tester_events.log", "tail -n 100 logs/call_tester_events.log")
SHOW_RECEIVED = ("cat logs/0367.log", "tail -n 50 logs/0367.log")
FIND_KIND = ('grep "hangup" logs/0367.log', 'grep "bridge" logs/0367.log')
FIND_TOKEN = f'grep "{JUNE.token}" logs/app.log'


@attrs.define(eq=False)
class Desk:
    """A tester at his terminal: calls by the emulator's API, commands in the directory of `logs`."""

    client: Client
    directory: Path

    async def begin(self, pattern: str = "2-1", *, pace: Pace = Pace.FAST, target: str = "") -> "Call":
        suggestion = await self.client.get("/api/suggestion", pattern=pattern, enterprise=JUNE.number)
        order = {"enterprise": JUNE.number, "pattern": pattern, "pace": pace.value, "target": target, **suggestion}
        run = await self.client.post("/api/runs", order)
        return Call(self.client, run["id"], [event["kind"] for event in run["events"]])

    async def bash(self, command: str, *, finds: bool = True) -> str:
        """What a command prints. `finds`: whether its grep finds anything."""
        done = await trio.run_process(
            ["bash", "-c", command], cwd=self.directory, stdin=b"", capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
        text = done.stdout.decode()
        assert done.returncode == (0 if finds else 1), f"{command}: {done.returncode}, {text}"
        return text

    async def lines(self, command: str) -> list[str]:
        return (await self.bash(command)).splitlines()

    def log(self, name: str) -> bytes:
        return (self.directory / "logs" / name).read_bytes()


@attrs.define(eq=False)
class Call:
    """A call that is being played."""

    client: Client
    run_id: str
    kinds: Sequence[str]

    async def step(self, events: int) -> None:
        """Let so many more events go, one by one."""
        for _ in range(events):
            await self.client.post(f"/api/runs/{self.run_id}/step")

    async def until_answered(self, events: int) -> None:
        """Wait until the first events are answered, or have failed; the call goes on."""
        answered: set[int] = set()
        with trio.CancelScope() as scope:

            def hear(event: StreamEvent) -> bool:
                if event.kind == "answer":
                    answered.add(event.data["index"])
                    if len(answered) >= events:
                        scope.cancel()
                return False

            await self.client.follow(self.run_id, hear)

    async def stop(self) -> None:
        await self.client.post(f"/api/runs/{self.run_id}/stop")


@asynccontextmanager
async def at_the_desk(url: str, directory: Path, **settings: str) -> AsyncGenerator[Desk]:
    with trio.fail_after(PATIENCE_SECONDS), open_logs(directory / "logs", traced=[JUNE.number]) as trace:
        async with (
            running_gateway(url, directory, [JUNE], trace=trace, companion_of=open_emulation, **settings) as running,
            open_client(running.emulator_url, password="", language="ru") as client,
        ):
            yield Desk(client, directory)


@pytest.fixture
async def desk(migrated_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with at_the_desk(migrated_url, tmp_path) as desk:
        yield desk


@contextmanager
def refused_url() -> Generator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def counted(printed: str) -> dict[str, int]:
    """What `uniq -c` printed."""
    pairs = [line.split() for line in printed.splitlines()]
    return {kind: int(number) for number, kind in pairs}


def sent_body(line: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(line.partition("📊 Event Data: ")[2])
    return body


async def test_what_was_sent_is_found_and_equals_what_was_received(desk: Desk) -> None:
    call = await desk.begin("2-8")
    await call.until_answered(len(call.kinds))
    await call.stop()
    # Steps 3 to 5 of the guide's routine, and its quick commands.
    sent = await desk.lines(CHECK_SENT)
    assert sent
    assert all(re.fullmatch(r"\S+ \S+ \[INFO\] call_tester: 📥 EMULATION RESPONSE for \w+", line) for line in sent)
    assert sent[-1].split()[-1] == call.kinds[-1]
    assert "🧪 TEST EVENT: " in await desk.bash(CHECK_RECEIVED)
    assert await desk.lines(COUNT_SENT) == ["События от эмулятора:", str(len(call.kinds))]
    assert await desk.lines(COUNT_RECEIVED) == ["События на сервере 0367:", str(len(call.kinds))]
    assert counted(await desk.bash(COUNT_KINDS)) == Counter(call.kinds)
    head, last = await desk.lines(LAST_SENT)
    assert head == "=== Последнее отправленное ==="
    assert sent_body(last)["Token"] == "***0900"
    assert (await desk.lines(LAST_RECEIVED))[1].split()[-1] == call.kinds[-1]
    # Each request with its answer.
    exchanges = (await desk.bash(FIND_EVENT)).split("🚀 EMULATION REQUEST to ")[1:]
    assert len(exchanges) == len(call.kinds)
    for kind, exchange in zip(call.kinds, exchanges, strict=True):
        assert f"📤 Event Type: {kind}\n" in exchange
        assert f"📥 EMULATION RESPONSE for {kind}\n" in exchange
        assert "📊 Response Status: 200\n" in exchange
    # One event on both sides.
    bodies = [sent_body(line) for line in await desk.lines('grep "📊 Event Data:" logs/call_tester_events.log')]
    unique_id = bodies[0]["UniqueId"]
    assert len(await desk.lines(f'grep "UniqueId: {unique_id}" logs/0367.log')) == [body["UniqueId"] for body in bodies].count(unique_id)
    for command in FIND_KIND:
        assert await desk.bash(command)
    # The whole logs.
    for command in SHOW_EMULATED:
        assert "🚀 EMULATION REQUEST to " in await desk.bash(command)
    for command in SHOW_RECEIVED:
        assert "📦 Full Body: {" in await desk.bash(command)
    assert await desk.lines(FIND_TOKEN)
    # Nothing went wrong, and the host's token is no business of the emulator's log.
    assert not await desk.bash(FIND_ERRORS, finds=False)
    assert not await desk.bash('grep "ERROR" logs/app.log', finds=False)
    assert not await desk.bash(f'grep "{JUNE.token}" logs/call_tester_events.log', finds=False)


async def test_logs_that_are_cleared_in_the_middle_of_a_call_go_on_from_there(desk: Desk) -> None:
    call = await desk.begin("2-1", pace=Pace.STEP)
    before = 3
    await call.step(before)
    await call.until_answered(before)
    assert (await desk.lines(COUNT_RECEIVED))[1] == str(before)
    for command in (CLEAR_EMULATED, CLEAR_RECEIVED):
        assert not await desk.bash(command)
    assert (desk.log(EMULATED), desk.log(RECEIVED)) == (b"", b"")
    await call.step(2)
    await call.until_answered(before + 2)
    assert (await desk.lines(COUNT_SENT))[1] == (await desk.lines(COUNT_RECEIVED))[1] == "2"
    assert await desk.lines(CLEAR_BOTH) == ["✅ Логи очищены"]
    rest = call.kinds[before + 2 :]
    await call.step(len(rest))
    await call.until_answered(len(call.kinds))
    assert (await desk.lines(COUNT_SENT))[1] == (await desk.lines(COUNT_RECEIVED))[1] == str(len(rest))
    assert counted(await desk.bash(COUNT_KINDS)) == Counter(rest)
    await call.stop()
    for name, first in ((EMULATED, "🚀 EMULATION REQUEST"), (RECEIVED, "🧪 TEST EVENT")):
        log = desk.log(name)
        # A writer with an offset of its own would leave a hole in front.
        assert b"\0" not in log
        assert first in log.decode().splitlines()[0]


async def test_both_logs_are_watched_while_a_call_is_played(desk: Desk) -> None:
    call = await desk.begin("1-1", pace=Pace.STEP)
    await call.step(1)
    await call.until_answered(1)
    for command in WATCH:
        assert await watched(desk, command, call)
    await call.stop()


async def watched(desk: Desk, command: str, call: Call) -> bool:
    """Whether the command tells of the next event in each log that it follows."""
    followed = [(last, new) for log, last, new in FOLLOWED if log in command]
    process = await trio.lowlevel.open_process(["bash", "-c", f"exec {command}"], cwd=desk.directory, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        # The end of what is there already comes first.
        await _printed(process.stdout, [last for last, _ in followed])
        await call.step(1)
        await _printed(process.stdout, [new for _, new in followed])
        return True
    finally:
        process.kill()
        with trio.move_on_after(STOP_SECONDS, shield=True):
            await process.wait()


async def _printed(output: trio.abc.ReceiveStream, marks: Sequence[str]) -> None:
    printed = b""
    while not all(mark.encode() in printed for mark in marks):
        chunk = await output.receive_some()
        assert chunk, f"the command has ended: {printed.decode(errors='replace')}"
        printed += chunk


async def test_a_gateway_that_cannot_be_reached_is_found_by_its_errors(migrated_url: str, tmp_path: Path) -> None:
    with refused_url() as elsewhere:
        async with at_the_desk(migrated_url, tmp_path, tester_targets=elsewhere) as desk:
            call = await desk.begin("3-2", target=elsewhere)
            await call.until_answered(len(call.kinds))
            told, why, *others = await desk.lines(FIND_ERRORS)
            assert re.fullmatch(rf"\S+ \S+ \[ERROR\] call_tester: ❌ EMULATION ERROR for {call.kinds[0]}", told)
            assert "❌ Error: ConnectError" in why
            assert len(others) == 2 * (len(call.kinds) - 1)
            # Nobody answered: neither command finds anything, and their counts are equal again.
            assert not await desk.bash(CHECK_SENT, finds=False)
            assert await desk.bash(COUNT_SENT, finds=False) == "События от эмулятора:\n0\n"
            assert await desk.bash(COUNT_RECEIVED, finds=False) == "События на сервере 0367:\n0\n"
