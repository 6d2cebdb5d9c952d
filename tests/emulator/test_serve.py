"""The emulator of a real `gateway serve`: a process, PostgreSQL, sockets, a Telegram over HTTP."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx2 as httpx
import trio

from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram

COMMAND = (str(Path(sys.executable).with_name("gateway")), "serve")
JUNE = EnterpriseConfig(
    number="0367",
    name="june",
    token="375290000900",
    bot_token="100001:a-bot-of-the-tests",
    lines=(LineConfig(line_id="0001363", name="A1 основная"),),
    managers=(
        ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь"),
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна"),
    ),
    subscribers=(1001, 1002),
)
OTHER = "https://gateway.example"
# Far above what it takes; only what hangs comes to it.
PATIENCE_SECONDS = 60
GONE_SECONDS = 10


@attrs.frozen
class Served:
    """A running process and where it listens. `page`: of the emulator."""

    process: trio.Process
    public_url: str
    internal_url: str
    page: str
    client: httpx.AsyncClient
    directory: Path

    @property
    def api(self) -> str:
        return self.page.removesuffix("/test-interface") + "/api"

    async def asked(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = await (self.client.get(self.api + path) if body is None else self.client.post(self.api + path, json=body))
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def run(self, **order: Any) -> str:
        """The id of a run that has begun."""
        pattern = order.get("pattern", "2-1")
        values = (await self.asked(f"/suggestion?enterprise={JUNE.number}&pattern={pattern}"))["values"]
        given: dict[str, Any] = {"enterprise": JUNE.number, "pattern": pattern, "values": values, "faults": {}, "pace": "max", **order}
        return (await self.asked("/runs", given))["id"]

    async def heard(self, run_id: str, on_first_answer: Callable[[], None] = lambda: None) -> list[tuple[str, Any]]:
        """What the run's stream told until it ended, by kind."""
        told: list[tuple[str, Any]] = []
        async with self.client.stream("GET", f"{self.api}/runs/{run_id}/stream") as stream:
            kind = ""
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    told.append((kind, json.loads(value)))
                    if kind == "answer" and not any(before == "answer" for before, _ in told[:-1]):
                        on_first_answer()
        return told

    async def ended(self) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        with trio.fail_after(GONE_SECONDS):
            code = await self.process.wait()
        return code, (self.directory / "stderr.txt").read_text()

    def log(self) -> str:
        return (self.directory / "logs" / "app.log").read_text()


@asynccontextmanager
async def serving(url: str, directory: Path, telegram_url: str) -> AsyncGenerator[Served]:
    async with open_pool(url, max_size=1) as pool:
        await PostgresStore(pool).upsert_enterprises([JUNE])
    given = {
        "DATABASE_URL": url,
        "LOG_DIR": str(directory / "logs"),
        "BIND": "127.0.0.1:0",
        "INTERNAL_BIND": "127.0.0.1:0",
        "TESTER_BIND": "127.0.0.1:0",
        "TELEGRAM_BASE_URL": telegram_url,
        "BOT_UPDATES": "off",
        "TESTER_TARGETS": OTHER,
        # Traced enterprises have their host token in the logs.
        "TRACED_ENTERPRISES": "",
    }
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | {f"GATEWAY_{name}": value for name, value in given.items()}
    with (directory / "stderr.txt").open("wb") as errors:
        process = await trio.lowlevel.open_process(COMMAND, stdout=subprocess.PIPE, stderr=errors, env=environment)
    try:
        addresses = await addresses_of(process)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as client:
            yield Served(process, addresses["public listener"], addresses["internal listener"], addresses["emulator"], client, directory)
    finally:
        if process.poll() is None:
            process.kill()
        with trio.move_on_after(GONE_SECONDS, shield=True):
            await process.wait()


async def addresses_of(process: trio.Process) -> dict[str, str]:
    assert process.stdout is not None
    told = b""
    while told.count(b"\n") < 3:
        chunk = await process.stdout.receive_some()
        assert chunk, f"the gateway ends before it is ready: {told.decode()}"
        told += chunk
    lines = [line.partition(": ") for line in told.decode().splitlines()]
    return {name: address for name, _, address in lines}


def first_lines(fake: FakeTelegram, chat_id: int) -> list[str]:
    return [message.visible.splitlines()[0] for message in fake.living(chat_id)]


async def test_a_call_posted_by_the_page_ends_as_expected_in_every_chat(migrated_url: str, tmp_path: Path) -> None:
    fake = FakeTelegram([JUNE.bot_token])
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(fake) as telegram_url, serving(migrated_url, tmp_path, telegram_url) as gateway:
            page = await gateway.client.get(gateway.page)
            assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
            here, other = await gateway.asked("/targets")
            assert (here["address"], here["is_local"], other["address"], other["is_local"]) == ("", True, OTHER, False)
            assert gateway.public_url in here["name"]
            told = await gateway.heard(await gateway.run())
            assert [event["status"] for kind, event in told if kind == "answer"] == [200] * len([1 for kind, _ in told if kind == "post"])
            [verdict] = [event for kind, event in told if kind == "verdict"]
            assert verdict == {"judgement": "expected", "differences": []}
            assert first_lines(fake, 1001) == first_lines(fake, 1002)
            assert first_lines(fake, 1001)[0].startswith("✅ Завершен: ")
            shown = {event["text"] for kind, event in told if kind == "message"}
            assert any(text.startswith("✅ Завершен: ") for text in shown)
            gateway.process.send_signal(signal.SIGTERM)
            assert await gateway.ended() == (0, "")
    assert f"emulator: {gateway.page}" in gateway.log()
    everything = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "***0900" in everything
    assert JUNE.token not in everything
    assert JUNE.bot_token not in everything


async def test_faults_hit_the_gateway_from_inside_and_the_chats_are_right_in_the_end(migrated_url: str, tmp_path: Path) -> None:
    fake = FakeTelegram([JUNE.bot_token])
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(fake) as telegram_url, serving(migrated_url, tmp_path, telegram_url) as gateway:
            told = await gateway.heard(await gateway.run(faults={"telegram": "429"}))
            assert {(event["chat"], event["status"]) for kind, event in told if kind == "telegram"} == {(1001, 429), (1002, 429)}
            assert [event["judgement"] for kind, event in told if kind == "verdict"] == ["expected"]
            assert first_lines(fake, 1001)[0].startswith("✅ Завершен: ")
            assert {received.status for received in fake.requests} <= {200}


async def test_a_chat_that_had_blocked_the_bot_gets_messages_again_after_the_run(migrated_url: str, tmp_path: Path) -> None:
    fake = FakeTelegram([JUNE.bot_token])
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(fake) as telegram_url, serving(migrated_url, tmp_path, telegram_url) as gateway:
            told = await gateway.heard(await gateway.run(faults={"telegram": "blocked"}))
            assert {(event["chat"], event["status"]) for kind, event in told if kind == "telegram"} == {(1001, 403)}
            assert [event["judgement"] for kind, event in told if kind == "verdict"] == ["expected"]
            assert (first_lines(fake, 1001), len(first_lines(fake, 1002))) == ([], 1)
            told = await gateway.heard(await gateway.run())
            assert [event["judgement"] for kind, event in told if kind == "verdict"] == ["expected"]
            assert len(first_lines(fake, 1001)) == 1


async def test_sigterm_ends_a_run_that_is_going_and_everything_else_cleanly(migrated_url: str, tmp_path: Path) -> None:
    fake = FakeTelegram([JUNE.bot_token])
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(fake) as telegram_url, serving(migrated_url, tmp_path, telegram_url) as gateway:
            began = trio.current_time()
            run_id = await gateway.run(pace="1", faults={"crm_hangs": True})
            told = await gateway.heard(run_id, partial(gateway.process.send_signal, signal.SIGTERM))
            # The reader of its stream learns how the run ended.
            assert [event["state"] for kind, event in told if kind == "state"][-1] == "stopped"
            assert await gateway.ended() == (0, "")
            assert trio.current_time() - began < GONE_SECONDS
    assert "Traceback" not in gateway.log()
    assert "connections were cut" not in gateway.log()


async def test_sigterm_in_the_middle_of_a_run_leaves_a_blocked_chat_subscribed(migrated_url: str, tmp_path: Path) -> None:
    fake = FakeTelegram([JUNE.bot_token])
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(fake) as telegram_url, serving(migrated_url, tmp_path, telegram_url) as gateway:
            run_id = await gateway.run(pace="1", faults={"telegram": "blocked"})
            async with gateway.client.stream("GET", f"{gateway.api}/runs/{run_id}/stream") as stream:
                async for line in stream.aiter_lines():
                    if line == "event: telegram":
                        gateway.process.send_signal(signal.SIGTERM)
            began = trio.current_time()
            assert await gateway.ended() == (0, "")
            assert trio.current_time() - began < GONE_SECONDS / 2
            log = gateway.log()
        async with open_pool(migrated_url, max_size=1) as pool:
            assert {one.chat_id for one in await PostgresStore(pool).recipients(JUNE.number)} == {1001, 1002}
    assert "chat 1001 is dead" in log
    assert "ERROR" not in log
