"""What a plain answered incoming call costs the gateway: CPU of its process for 10 webhooks and 3 subscribers who see 4 stages each.

Beside it a bare stack (`benchmarks.call_cost_bare`) that does the same I/O and nothing else: 10 Quart-Trio requests, 10 inserts through
`sql/`, 12 posts with httpx2. Both processes stand on the same PostgreSQL, are posted the same webhooks at the same pace by this process,
a connection each as hosts do it, and talk to the same fake Bot API, which runs in this process. The measured processes have core 0,
everything else the others. Rounds alternate, and the gateway's CPU is counted from one round of its own to the next: what it does later
for a call (end of the lingering, releases, its own polls and deadlines) is paid by it too.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import trio

from benchmarks.common import Figure, cores, cpu_seconds, main, note, pin
from sql.embedded import embedded_server
from tester import pbx
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram

NAME = "call cost"
ZONE = ZoneInfo("Europe/Minsk")
LINE = "0001363"
MEASURED_CORE = 0
# An enterprise has a bot of its own and one call in a round, so that no limit of the Bot API holds a message back.
ENTERPRISES = 60
SUBSCRIBERS = 3
STAGES = 4
POSTS = SUBSCRIBERS * STAGES
EVENTS = 10
# A chat takes one message a second and a small burst: stages this far apart are all sent, whatever the pace of the calls.
STAGE_SECONDS = 1.2
CALL_EVERY_SECONDS = 0.1
DEADLINE_SECONDS = 60.0

_ADDRESS = re.compile(r"^public.*http://(\S+)\n", re.MULTILINE)


@attrs.define
class Peer:
    """A process under measurement. `cpu` holds the seconds of each round, `began` its clock at the beginning of the last one."""

    name: str
    pid: int
    address: str
    cpu: list[float] = attrs.field(factory=list[float])


def webhooks(enterprise: int, at: datetime) -> list[pbx.Posted]:
    """A plain answered incoming call, its stages far enough apart, all else at once."""
    # No channel and no bridge of an earlier call comes again.
    host = pbx.Host(token_of(enterprise), at, ZONE, seed=int(at.timestamp()) % 100_000_000 * 8)
    talk = pbx.incoming(host, f"37529000{enterprise:04}", LINE)
    host.wait(STAGE_SECONDS)
    talk.ring("150", "151")
    host.wait(STAGE_SECONDS)
    talk.answer("150")
    host.wait(STAGE_SECONDS)
    talk.end()
    return host.posted


def token_of(enterprise: int) -> str:
    return f"3752933{enterprise:05}"


def configuration() -> str:
    """As `gateway load` takes it."""
    parts: list[str] = []
    for enterprise in range(ENTERPRISES):
        parts.append(
            f'[[enterprise]]\nnumber = "{1000 + enterprise}"\nname = "june {enterprise}"\ntoken = "{token_of(enterprise)}"\n'
            f'bot_token = "{100_000 + enterprise}:TEST"\n'
            f'[[enterprise.line]]\nid = "{LINE}"\nname = "A1 основная"\noperator = "A1"\nincoming_transform = "+375{{9}}"\n'
            '[[enterprise.manager]]\nextension = "150"\nlast_name = "Петрова"\nfirst_name = "Анна"\nmiddle_name = "Игоревна"\n'
        )
        parts += [f"[[enterprise.subscriber]]\nchat_id = {10_000 + enterprise * SUBSCRIBERS + chat}\n" for chat in range(SUBSCRIBERS)]
    return "".join(parts)


async def post(address: str, posted: pbx.Posted) -> None:
    """One webhook on a connection of its own, as hosts send them; in as little Python as it takes."""
    body = json.dumps(posted.body).encode()
    host, _, port = address.rpartition(":")
    head = (
        f"POST /{posted.kind} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: python-requests/2.25.1\r\nAccept-Encoding: gzip, deflate\r\n"
        f"Accept: */*\r\nConnection: keep-alive\r\nContent-type: application/json\r\nToken: {posted.body['Token']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(head.encode() + body)
        answer = await stream.receive_some(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a webhook was answered {answer[:200]!r}")


async def call(address: str, enterprise: int) -> None:
    script = webhooks(enterprise, datetime.now(UTC))
    began = trio.current_time()
    for posted in script:
        await trio.sleep_until(began + posted.at_seconds)
        await post(address, posted)


async def round_of(peer: Peer, fake: FakeTelegram, calls: int) -> None:
    """So many calls, until every message of theirs is out."""
    fake.requests.clear()
    async with trio.open_nursery() as nursery:
        for enterprise in range(calls):
            nursery.start_soon(call, peer.address, enterprise)
            await trio.sleep(CALL_EVERY_SECONDS)
    with trio.move_on_after(DEADLINE_SECONDS) as waiting:
        await fake.until(lambda: messages(fake) >= calls * POSTS)
    if waiting.cancelled_caught:
        raise SystemExit(f"{peer.name}: {messages(fake)} messages came, {calls * POSTS} were to come")
    # What follows the last answer: records, the last commit.
    await trio.sleep(0.5)


def messages(fake: FakeTelegram) -> int:
    return sum(1 for request in fake.requests if request.method in ("sendMessage", "editMessageText"))


@asynccontextmanager
async def process(name: str, command: Sequence[str], environment: Mapping[str, str]) -> AsyncGenerator[Peer]:
    """A process on the measured core. It prints its address at the end of a line that begins with "public"."""
    run = await trio.lowlevel.open_process(
        list(command), stdout=subprocess.PIPE, env={**os.environ, **environment}, preexec_fn=lambda: pin(MEASURED_CORE)
    )
    try:
        assert run.stdout is not None
        told = ""
        while (found := _ADDRESS.search(told)) is None:
            chunk = await run.stdout.receive_some()
            if not chunk:
                raise SystemExit(f"{name}: ended before it was ready")
            told += chunk.decode()
        yield Peer(name, run.pid, found[1])
    finally:
        run.terminate()
        with trio.move_on_after(20, shield=True):
            await run.wait()


@asynccontextmanager
async def world() -> AsyncGenerator[tuple[FakeTelegram, Peer, Peer]]:
    """PostgreSQL, the fake Bot API, and both peers with the same database."""
    with tempfile.TemporaryDirectory(prefix="gwb-") as directory:
        at = Path(directory)
        await trio.Path(at).chmod(0o711)  # the server may run as another account
        await trio.Path(at / "load.toml").write_text(configuration(), encoding="utf-8")
        fake = FakeTelegram()
        async with embedded_server(at / "data") as url, serve_fake_telegram(fake) as bot_api:
            environment = {
                "GATEWAY_DATABASE_URL": url,
                "GATEWAY_TELEGRAM_BASE_URL": bot_api,
                "GATEWAY_BIND": "127.0.0.1:0",
                "GATEWAY_INTERNAL_BIND": "127.0.0.1:0",
                "GATEWAY_TESTER_BIND": "",
                "GATEWAY_LOG_DIR": str(at / "logs"),
            }
            gateway = [str(Path(sys.executable).with_name("gateway"))]
            for command in (["migrate"], ["load", str(at / "load.toml")]):
                await trio.run_process([*gateway, *command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
            bare = [sys.executable, "-m", "benchmarks.call_cost_bare", url, bot_api]
            async with process("gateway", [*gateway, "serve"], environment) as ours, process("bare", bare, {}) as theirs:
                yield fake, ours, theirs


async def compare(*, quick: bool) -> tuple[int, Peer, Peer, float]:
    """Calls of each peer, both peers, and what the idle gateway costs in a second."""
    others = set(cores()[1:]) or set(cores())
    os.sched_setaffinity(0, others)
    rounds, calls = (1, 20) if quick else (5, ENTERPRISES)
    async with world() as (fake, gateway, bare):
        for peer in (gateway, bare):
            await round_of(peer, fake, 10)  # connections, statements and caches are made once
        await trio.sleep(2)
        before = cpu_seconds(gateway.pid)
        await trio.sleep(5)
        idle = (cpu_seconds(gateway.pid) - before) / 5
        last = cpu_seconds(gateway.pid)
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}, {calls} calls each")
            await round_of(gateway, fake, calls)
            before = cpu_seconds(bare.pid)
            await round_of(bare, fake, calls)
            bare.cpu.append(cpu_seconds(bare.pid) - before)
            now = cpu_seconds(gateway.pid)
            gateway.cpu.append(now - last)
            last = now
    return rounds * calls, gateway, bare, idle


def measure(quick: bool) -> Iterator[Figure]:
    calls, gateway, bare, idle = trio.run(lambda: compare(quick=quick))
    ours, theirs = sum(gateway.cpu) / calls, sum(bare.cpu) / calls
    yield Figure(
        benchmark=NAME, name=f"CPU of a call against the bare stack, {calls} calls each", value=ours / theirs, unit="x", wanted="<= 1.5"
    )
    yield Figure(benchmark=NAME, name="  gateway, CPU a call", value=ours * 1000, unit="ms", digits=1)
    yield Figure(benchmark=NAME, name="  bare stack, CPU a call", value=theirs * 1000, unit="ms", digits=1)
    yield Figure(benchmark=NAME, name="  idle gateway, CPU a second", value=idle * 1000, unit="ms", digits=1)


if __name__ == "__main__":
    main(measure)
