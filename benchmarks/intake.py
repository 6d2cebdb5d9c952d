"""The front door: committed events a second on one core, against a bare Quart-Trio JSON endpoint on the same core in the same run.

The database of `GATEWAY_TEST_DATABASE_URL` (which keeps what was posted), else an embedded server. The servers are pinned to the first
core, the load to the second; PostgreSQL runs where it likes, as it does in life. Rounds alternate between the peers, so that a machine that
slows down slows both; ratios are those of medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import trio

from benchmarks.common import Figure, cpu_seconds, main, note, pin
from sql.embedded import embedded_server
from sql.migrate import migrate

NAME = "intake"
SERVER_CORE, LOAD_CORE = 0, 1
WANTED = ">= 0.6"
# What hosts do (a connection for every event), and what a proxy in front of us would do.
MODES = {"new": "a new connection for each event", "kept": "kept connections"}
PEERS = {"bare": "a bare Quart-Trio endpoint", "intake": "the intake"}


@attrs.frozen(kw_only=True)
class Round:
    """One round of load on one peer."""

    events_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@contextmanager
def data_directory() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="gwb-") as directory:
        # Started as root, the server runs as another account, which has to pass.
        Path(directory).chmod(0o711)
        yield Path(directory) / "data"


@asynccontextmanager
async def database() -> AsyncGenerator[str]:
    given = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with data_directory() as directory:
        async with embedded_server(directory) as url:
            yield url


@asynccontextmanager
async def server(module: str, *arguments: str) -> AsyncGenerator[tuple[int, str]]:
    """A peer in a process of its own: its id and its address."""
    command = [sys.executable, "-m", module, *arguments]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        pin(SERVER_CORE, process.pid)
        assert process.stdout is not None
        yield process.pid, (await process.stdout.receive_some()).decode().strip()
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


async def measure_once(pid: int, address: str, mode: str, seconds: float) -> Round:
    before = cpu_seconds(pid)
    command = [sys.executable, "-m", "benchmarks.load", address, mode, str(seconds)]
    done = await trio.run_process(command, capture_stdout=True, preexec_fn=lambda: pin(LOAD_CORE))
    result: dict[str, float] = json.loads(done.stdout)
    return Round(
        events_per_second=result["events_per_second"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        cpu_us=(cpu_seconds(pid) - before) / result["events"] * 1e6,
    )


async def compare(url: str, mode: str, *, seconds: float, rounds: int) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {peer: [] for peer in PEERS}
    async with server("benchmarks.bare_endpoint") as bare, server("benchmarks.intake_server", url) as intake:
        for number in range(rounds):
            note(f"  {MODES[mode]}: round {number + 1} of {rounds}")
            for peer, (pid, address) in zip(PEERS, (bare, intake), strict=True):
                results[peer].append(await measure_once(pid, address, mode, seconds))
    return results


def figures(mode: str, results: dict[str, list[Round]]) -> Iterator[Figure]:
    median = {
        peer: {field.name: statistics.median(getattr(one, field.name) for one in rounds) for field in attrs.fields(Round)}
        for peer, rounds in results.items()
    }
    ratio = median["intake"]["events_per_second"] / median["bare"]["events_per_second"]
    yield Figure(benchmark=NAME, name=f"{MODES[mode]}: committed events/s : answers/s of a bare endpoint", value=ratio, wanted=WANTED)
    for peer, what in PEERS.items():
        yield Figure(benchmark=NAME, name=f"  {what}", value=median[peer]["events_per_second"], unit="events/s", digits=0)
        yield Figure(benchmark=NAME, name="  answered within, p50", value=median[peer]["p50_ms"], unit="ms", digits=1)
        yield Figure(benchmark=NAME, name="  answered within, p99", value=median[peer]["p99_ms"], unit="ms", digits=1)
        yield Figure(benchmark=NAME, name="  CPU of the process for an event", value=median[peer]["cpu_us"], unit="µs", digits=0)


async def measure_all(*, seconds: float, rounds: int) -> list[Figure]:
    found: list[Figure] = []
    async with database() as url:
        await migrate(url)
        for mode in MODES:
            found += figures(mode, await compare(url, mode, seconds=seconds, rounds=rounds))
    return found


def measure(quick: bool) -> Iterable[Figure]:
    return trio.run(lambda: measure_all(seconds=1.5 if quick else 4.0, rounds=2 if quick else 5))


if __name__ == "__main__":
    main(measure)
