"""Committed events per second of the front door on one core, against a bare Quart-Trio JSON endpoint on the same core in the same run.

`python -m benchmarks.intake [--database URL] [--seconds 5] [--rounds 3]`. Without a URL an embedded server is started. Servers are pinned to
core 0, load and PostgreSQL run on the others. Rounds alternate between the peers, so that a machine that slows down slows both; the figure
is the ratio of the medians. Wanted: at least 0.6.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from sql.embedded import embedded_server
from sql.migrate import migrate

SERVER_CORE = 0


@asynccontextmanager
async def database(url: str | None) -> AsyncGenerator[str]:
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="gwb-") as directory:
        # The server may run as another account.
        Path(directory).chmod(0o711)
        async with embedded_server(Path(directory) / "data") as embedded:
            yield embedded


def pin(cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)


@asynccontextmanager
async def server(module: str, *arguments: str) -> AsyncGenerator[tuple[int, str]]:
    command = [sys.executable, "-O", "-m", module, *arguments]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, preexec_fn=lambda: pin({SERVER_CORE}))
    try:
        assert process.stdout is not None
        yield process.pid, (await process.stdout.receive_some()).decode().strip()
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), /proc/pid/stat: fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(pid: int, address: str, mode: str, seconds: float) -> dict[str, float]:
    before = cpu_seconds(pid)
    others = set(range(os.cpu_count() or 1)) - {SERVER_CORE} or {SERVER_CORE}
    command = [sys.executable, "-m", "benchmarks.load", address, mode, str(seconds)]
    done = await trio.run_process(command, capture_stdout=True, preexec_fn=lambda: pin(others))
    result: dict[str, float] = json.loads(done.stdout)
    return {**result, "cpu_us": (cpu_seconds(pid) - before) / result["events"] * 1e6}


async def compare(url: str, mode: str, seconds: float, rounds: int) -> float:
    results: dict[str, list[dict[str, float]]] = {"bare": [], "intake": []}
    async with server("benchmarks.bare_endpoint") as bare, server("benchmarks.intake_server", url) as intake:
        for _ in range(rounds):
            for name, (pid, address) in (("bare", bare), ("intake", intake)):
                results[name].append(await measure(pid, address, mode, seconds))
    median = {name: statistics.median(one["events_per_second"] for one in found) for name, found in results.items()}
    for name, found in results.items():
        p50, p99, cpu = (statistics.median(one[key] for one in found) for key in ("p50_ms", "p99_ms", "cpu_us"))
        print(f"  {name:7} {median[name]:7.0f} events/s   p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   CPU {cpu:5.0f} µs an event")
    return median["intake"] / median["bare"]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    async with database(options.database) as url:
        await migrate(url)
        for mode, what in (("kept", "40 kept connections"), ("new", "40 at once, a new connection for each event")):
            print(f"intake: {what}")
            ratio = await compare(url, mode, options.seconds, options.rounds)
            print(f"  committed events/s of the intake / answers/s of a bare Quart-Trio endpoint: {ratio:.2f} (wanted: 0.60)")


if __name__ == "__main__":
    trio.run(main)
