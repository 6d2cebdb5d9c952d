"""`gateway emulate`: what it asks, what it tells, how it ends. Against the door of an emulator, and against what only looks like one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import GatewayError
from gateway.ports import LineConfig, ManagerConfig
from gateway.settings import Settings, load_settings
from gateway.web.asgi import Receive, Scope, Send, answer, receive_body
from gateway.web.listeners import serve_app
from gateway.web.problems import Answer
from tester.emulator import client as client_room
from tester.emulator import terminal
from tester.emulator.client import Misuse, StreamEvent, StreamParser, Unreachable
from tester.emulator.companion import open_emulation
from tester.emulator.orders import RunState
from tester.emulator.telling import WORDS
from tester.emulator.terminal import Asked
from tester.emulator.wording import LANGUAGES
from tester.running import enterprise, running_gateway
from tests.emulator.desk import EVERYWHERE, JUNE, Desk, open_desk


def settings_of(address: str, **more: str) -> Settings:
    return load_settings({"GATEWAY_TESTER_BIND": address, **more})


@attrs.define
class Told:
    """What was told, and how it ended."""

    lines: list[str] = attrs.field(factory=list[str])
    code: int | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


async def emulate(address: str, asked: Asked, **more: str) -> Told:
    told = Told()
    with trio.fail_after(20):
        told.code = await terminal.run(settings_of(address, **more), asked, told.lines.append)
    return told


# ── a call ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_is_told_event_by_event_with_its_answers_and_the_verdict() -> None:
    async with open_desk() as desk:
        told = await emulate(desk.addresses[0], Asked(pattern="1-8", pace="max"))
        assert told.code == 0, told.text
        run = desk.emulator.runs[0]
        assert told.lines[0].startswith("1-8 «")
        assert told.lines[0].endswith(f"seen also at http://{desk.addresses[0]}/test-interface")
        events = [line for line in told.lines if "event " in line and " in " in line][-len(run.plan.events) :]
        assert [line.split()[1] for line in events] == [event.posted.kind for event in run.plan.events]
        assert all("200 in " in line for line in events)
        assert "played, and not looked at" in told.lines
        assert told.lines[-1].startswith("  "), "why nobody looked"
        assert JUNE.token not in told.text


async def test_everything_of_the_order_can_be_said() -> None:
    async with open_desk() as desk:
        asked = Asked(
            pattern="2-1",
            enterprise="0367",
            values=("external_phone=+7 495 000-11-11", "internal_phone = 152"),
            pace="max",
            faults=("lose:2", "delay:1:0.5", "telegram:5xx", "crm"),
            linkedid=True,
            language="ru",
        )
        told = await emulate(desk.addresses[0], asked)
        order = desk.emulator.runs[0].order
        assert (order.values["external_phone"], order.values["internal_phone"]) == ("+7 495 000-11-11", "152")
        assert [(fault.index, fault.trouble, fault.seconds) for fault in order.faults.events] == [(1, "lose", 0.0), (0, "delay", 0.5)]
        assert (order.faults.telegram, order.faults.crm_hangs, order.linkedid, order.pace) == ("5xx", True, True, "max")
        assert any("нарочно потеряно" in line for line in told.lines)
        assert "предприятие 0367" in told.lines[0]


async def test_somebody_who_is_given_a_role_by_hand_leaves_his_other_one() -> None:
    async with open_desk() as desk:
        suggested = (await desk.get("/api/suggestion?pattern=1-4&enterprise=0367"))["values"]
        second = suggested["second_internal_phone"]
        told = await emulate(desk.addresses[0], Asked(pattern="1-4", pace="max", values=(f"internal_phone={second}",)))
        assert told.code == 0, told.text
        values = desk.emulator.runs[0].order.values
        assert (values["internal_phone"], values["second_internal_phone"]) == (second, suggested["internal_phone"])


async def test_all_patterns_are_listed() -> None:
    async with open_desk() as desk:
        told = await emulate(desk.addresses[0], Asked(is_list=True))
        russian = await emulate(desk.addresses[0], Asked(is_list=True, language="ru"))
    assert told.code == 0
    assert len(told.lines) == len(russian.lines) == 45
    assert told.lines[0].startswith("1-1   ")
    assert told.lines[0] != russian.lines[0]


async def test_a_run_that_somebody_else_stops_is_no_success() -> None:
    async with open_desk(is_open=False) as desk, trio.open_nursery() as nursery:
        told = Told()

        async def play() -> None:
            told.code = await terminal.run(settings_of(desk.addresses[0]), Asked(pattern="2-1"), told.lines.append)

        nursery.start_soon(play)
        await until(lambda: bool(desk.front.taken))
        desk.emulator.runs[0].stop()
    assert told.code == 1
    assert told.lines[-1] == "the run was stopped"


async def test_cancelled_it_stops_the_run() -> None:
    async with open_desk(is_open=False) as desk:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(emulate, desk.addresses[0], Asked(pattern="2-1"))
            await until(lambda: bool(desk.front.taken))
            nursery.cancel_scope.cancel()
        assert desk.emulator.runs[0].state is RunState.STOPPED


async def test_a_reader_that_goes_away_stops_the_run() -> None:
    def tell(line: str) -> None:
        if "chat" in line or "/" in line:
            raise BrokenPipeError

    async with open_desk() as desk:
        with pytest.RaisesGroup(BrokenPipeError, allow_unwrapped=True):
            await terminal.run(settings_of(desk.addresses[0]), Asked(pattern="2-1"), tell)
        assert desk.emulator.runs[0].state is RunState.STOPPED


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not is_so():  # noqa: ASYNC110 (as the outside would: look until it is so)
            await trio.sleep(0.005)


# ── misuse ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(), "which pattern?"),
        (Asked(pattern="2-1", pace="step"), "--pace step: wanted 1, 10, max"),
        (Asked(pattern="2-1", language="de"), "--language de: wanted ru or en"),
        (Asked(pattern="2-1", values=("external_phone",)), "--set external_phone: wanted role=value"),
        (Asked(pattern="2-1", values=("=1",)), "--set =1: wanted role=value"),
        (Asked(pattern="2-1", values=("line_id=1", "line_id=2")), "--set line_id=2: line_id is set twice"),
        (Asked(pattern="2-1", values=("phone=1",)), "--set phone: there is no such role in 2-1; there are "),
        (Asked(pattern="2-1", faults=("lose:0",)), "--fault lose:0: wanted lose:3, "),
        (Asked(pattern="2-1", faults=("telegram:502",)), "--fault telegram:502: wanted "),
        (Asked(pattern="2-1", faults=("delay:3",)), "--fault delay:3: seconds belong to delay"),
        (Asked(pattern="2-1", faults=("lose:3:1",)), "--fault lose:3:1: seconds belong to delay"),
        (Asked(pattern="2-1", faults=("lose:999",)), "faults: "),
        (Asked(pattern="2-31"), "there is no pattern '2-31'; did you mean 2-3"),
        (Asked(pattern="x\x1b[31m"), "there is no pattern 'x?[31m'; `gateway emulate --list`"),
        (Asked(pattern="2-1", enterprise="0368"), "enterprise: "),
        (Asked(pattern="2-1", target="http://elsewhere.example"), "target: "),
        (Asked(pattern="2-1", values=("external_phone=12",)), "external_phone: "),
    ],
)
async def test_what_cannot_be_meant_is_said_in_a_line_and_nothing_is_played(asked: Asked, said: str) -> None:
    async with open_desk() as desk:
        with pytest.raises(Misuse) as caught:
            await terminal.run(settings_of(desk.addresses[0]), asked, print)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(desk.emulator.runs) == 0


async def test_among_several_enterprises_one_must_be_named() -> None:
    other = attrs.evolve(JUNE, number="0370", name="other", token="375290000903")
    async with open_desk(enterprises=(JUNE, other)) as desk:
        with pytest.raises(Misuse, match="--enterprise NUMBER, one of 0367, 0370"):
            await terminal.run(settings_of(desk.addresses[0]), Asked(pattern="2-1"), print)
        assert (await emulate(desk.addresses[0], Asked(pattern="1-8", pace="max", enterprise="0370"))).code == 0
        desk.enterprises.clear()
        with pytest.raises(Misuse, match="no enterprise is loaded yet"):
            await terminal.run(settings_of(desk.addresses[0]), Asked(pattern="2-1"), print)


async def test_the_password_is_that_of_the_settings() -> None:
    async with open_desk([EVERYWHERE], "correct horse") as desk:
        bind = desk.addresses[0]
        assert bind.startswith("0.0.0.0:")
        assert (await emulate(bind, Asked(is_list=True), GATEWAY_TESTER_PASSWORD="correct horse")).code == 0
        with pytest.raises(Misuse, match="wants another password") as caught:
            await emulate(bind, Asked(is_list=True), GATEWAY_TESTER_PASSWORD="battery staple")
        assert "battery" not in str(caught.value)


# ── what is no emulator ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_nobody_listens_it_says_what_to_look_at() -> None:
    with pytest.raises(Unreachable, match="is the gateway running, and is tester_bind set"):
        await terminal.run(settings_of("127.0.0.1:1"), Asked(pattern="2-1"), print)


@pytest.mark.parametrize(("bind", "said"), [("", "tester_bind is empty"), ("127.0.0.1:0", "tester_bind has port 0")])
async def test_settings_without_an_emulator_are_named(bind: str, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        await terminal.run(settings_of(bind), Asked(pattern="2-1"), print)


Scripted = Mapping[str, Sequence[tuple[int, bytes]]]

PATTERNS = json.dumps([{"key": "2-1", "title": "A call", "roles": []}]).encode()
RUN = {"id": "7", "total": 1, "seconds": 0, "order": {"pattern": "2-1", "enterprise": "0367", "pace": "1"}}
BEGUN: Scripted = {
    "/api/patterns": [(200, PATTERNS)],
    "/api/enterprises": [(200, b'[{"number": "0367"}]')],
    "/api/suggestion": [(200, b'{"values": {}}')],
    "/api/runs": [(201, json.dumps(RUN).encode())],
    "/api/runs/7/stop": [(409, b'{"status": "error", "error": "it is over"}')],
}


def said(seq: int, kind: str, /, **data: Any) -> bytes:
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


@attrs.define(eq=False)
class Script:
    """Answers by path, each answer once but for the last; what was asked, with the ids that streams went on from."""

    answers: dict[str, list[tuple[int, bytes]]]
    asked: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive_body(scope, receive)
        self.asked.append((scope["path"], dict(scope["headers"]).get(b"last-event-id", b"").decode()))
        left = self.answers.get(scope["path"], [(404, b'"nothing"')])
        status, body = left.pop(0) if len(left) > 1 else left[0]
        await answer(send, Answer(status, body))


@asynccontextmanager
async def open_script(answers: Scripted) -> AsyncGenerator[tuple[str, Script]]:
    script = Script({path: list(listed) for path, listed in answers.items()})
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve_app, script, ["127.0.0.1:0"]))
        yield address, script
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "is no emulator (status 200)"),
        (200, b'"text"', "is no emulator (status 200)"),
        (502, b"<html>Bad Gateway</html>", "is no emulator (status 502)"),
        (500, b'{"status": "error", "error": "internal\\nerror"}', "internal error"),
        (403, b'{"status": "error", "error": "this machine only"}', "this machine only"),
    ],
)
async def test_answers_that_no_emulator_gives_are_errors_in_one_line(status: int, body: bytes, said: str) -> None:
    async with open_script({"/api/patterns": [(status, body)]}) as (address, _):
        with pytest.raises(GatewayError) as caught:
            await terminal.run(settings_of(address), Asked(pattern="2-1"), print)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_a_stream_that_breaks_is_taken_up_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_room, "_REOPEN_SECONDS", 0.01)
    stream = [
        (200, said(1, "state", state="running") + said(2, "lost", index=0, kind="start") + b"id: 3\nevent: verd"),
        (503, b'{"status": "error", "error": "too many"}'),
        (200, b": nothing yet\n\nid: 3\nevent: news\ndata: {}\n\n"),
        (200, said(4, "verdict", judgement="expected", differences=[]) + said(5, "state", state="done")),
    ]
    async with open_script({**BEGUN, "/api/runs/7/stream": stream}) as (address, script):
        told = await emulate(address, Asked(pattern="2-1"))
    assert told.code == 0
    assert told.lines[1:] == ["  1/1   start           lost on purpose", "as expected"]
    assert [last for path, last in script.asked if path.endswith("/stream")] == ["", "2", "2", "3"]


async def test_a_gateway_that_goes_away_is_said_and_the_run_is_not_called_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_room, "_REOPEN_SECONDS", 0.01)
    async with open_script({**BEGUN, "/api/runs/7/stream": [(200, said(1, "state", state="running"))]}) as (address, script):
        with pytest.raises(Unreachable, match="does not tell any more"):
            await emulate(address, Asked(pattern="2-1"))
    assert script.asked[-1] == ("/api/runs/7/stop", ""), "in case it is still there"


@pytest.mark.parametrize(
    ("judgement", "state", "code"),
    [("expected", "done", 0), ("unseen", "done", 0), ("different", "done", 1), ("expected", "failed", 1), ("expected", "stopped", 1)],
)
async def test_the_exit_code_is_the_verdict(judgement: str, state: str, code: int) -> None:
    stream = said(1, "verdict", judgement=judgement, differences=["chat 1001: wanted «a»,\nthere is «b»"]) + said(2, "state", state=state)
    async with open_script({**BEGUN, "/api/runs/7/stream": [(200, stream)]}) as (address, _):
        told = await emulate(address, Asked(pattern="2-1"))
    assert told.code == code
    assert "  chat 1001: wanted «a»,?there is «b»" in told.lines


async def test_what_happens_in_chats_in_telegram_and_in_crms_is_told() -> None:
    stream = (
        said(1, "post", index=0, kind="start", at_seconds=0.0, at="", url="", body={})
        + said(2, "answer", index=0, status=None, seconds=3.0, event_id=None, duplicate=False, error="no answer within 3 s")
        + said(3, "answer", index=0, status=200, seconds=0.0042, event_id=17, duplicate=True, error="")
        + said(4, "message", chat=1001, message=5, call=1, change="edited", text="✅ Завершен\n\x1b[2J", at="")
        + said(5, "message", chat=1001, message=5, call=1, change="deleted", text="", at="")
        + said(6, "telegram", method="sendMessage", chat=1001, status=429, retry_after=2)
        + said(7, "telegram", method="editMessageText", chat=1001, status=502, retry_after=None)
        + said(8, "crm", crm="retailcrm", kind="dial", outcome="retry", problem="timeout")
        + said(9, "crm", crm="uon", kind="hangup", outcome="done", problem="")
        + said(10, "something new", what=1)
        + said(11, "state", state="done")
    )
    async with open_script({**BEGUN, "/api/runs/7/stream": [(200, stream)]}) as (address, _):
        told = await emulate(address, Asked(pattern="2-1"))
    assert told.lines[1:] == [
        "  1/1   start           no answer, no answer within 3 s",
        "  1/1   start           200 in 4 ms, event 17, known already",
        "        chat 1001, message 5, edited",
        "          ✅ Завершен",
        "          ?[2J",
        "        chat 1001, message 5, deleted",
        "        Telegram, sendMessage 1001: 429, come back in 2 s",
        "        Telegram, editMessageText 1001: 502",
        "        CRM retailcrm, dial: retry (timeout)",
        "        CRM uon, hangup: done",
    ]
    assert told.code == 1, "no verdict is no success"


def test_events_are_read_however_the_stream_is_cut() -> None:
    whole = b"retry: 1000\n\n" + said(1, "state", state="х") + b":\n\n" + b"data: [1]\nid: 2\n\n" + said(3, "state", state="done")
    wanted = [StreamEvent(seq=1, kind="state", data={"state": "х"}), StreamEvent(seq=3, kind="state", data={"state": "done"})]
    for size in range(1, len(whole)):
        parser = StreamParser()
        assert [event for start in range(0, len(whole), size) for event in parser.feed(whole[start : start + size])] == wanted


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def command(desk: Desk, *arguments: str, until_stdout: bytes = b"", send: signal.Signals | None = None) -> tuple[int, str, str]:
    """The command line in a process of its own: its exit code and what it said. `send`: a signal, when it has said `until_stdout`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", "from gateway.cli import main; main()", "emulate", *arguments],
        env={**environment, "GATEWAY_TESTER_BIND": desk.addresses[0]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    out = b""
    with trio.fail_after(30):
        async for chunk in process.stdout:
            out += chunk
            if send is not None and until_stdout in out:
                process.send_signal(send)
                send = None
        err = b"".join([chunk async for chunk in process.stderr])
        return await process.wait(), out.decode(), err.decode()


def test_a_terminal_speaks_every_language_of_the_emulator() -> None:
    assert set(WORDS) == set(LANGUAGES)
    assert Asked(pattern="2-1").language in LANGUAGES


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["2-1", "--fault", "eat:3"], 2, "gateway: --fault eat:3: wanted lose:3, "),
        (["2-1", "--set", "line_id"], 2, "gateway: --set line_id: wanted role=value"),
        ([], 2, "gateway: which pattern?"),
        (["2-1"], 1, "gateway: no emulator at http://127.0.0.1:1: is the gateway running, "),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner(env={"GATEWAY_TESTER_BIND": "127.0.0.1:1"}).invoke(app, ["emulate", *arguments], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1


async def test_a_call_that_a_whole_gateway_shows_is_as_expected(migrated_url: str, data_dir: Path) -> None:
    house = attrs.evolve(
        enterprise(1),
        lines=(LineConfig(line_id="0001363", name="A1 основная"),),
        managers=(ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь"), ManagerConfig(extension="151")),
    )
    async with running_gateway(
        migrated_url, data_dir, [house], companion_of=open_emulation, closing_grace_seconds="0.5", bot_updates="off"
    ) as running:
        told = await emulate(
            running.emulator_url.removeprefix("http://"), Asked(pattern="1-1", pace="max", faults=("double:1", "telegram:429"))
        )
    assert told.code == 0, told.text
    assert told.lines[-1] == "as expected"
    assert any("known already" in line for line in told.lines)
    assert any(line.strip().startswith("Telegram, sendMessage 1001: 429, come back in 2 s") for line in told.lines)
    assert any("✅" in line for line in told.lines)


async def test_a_call_is_played_by_the_command() -> None:
    async with open_desk() as desk:
        code, out, err = await command(desk, "1-8", "--pace", "max")
    assert (code, err) == (0, "")
    assert "200 in " in out


async def test_ctrl_c_stops_the_run_and_exits_130() -> None:
    async with open_desk() as desk:
        code, out, err = await command(desk, "2-1", until_stdout=b"200 in ", send=signal.SIGINT)
        assert (code, err) == (130, "")
        assert desk.emulator.runs[0].state is RunState.STOPPED
        assert "verdict" not in out
