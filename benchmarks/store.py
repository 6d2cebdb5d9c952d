"""One-row inserts a second through `sql/` against asyncpg on its own asyncio loop: same server, same statement, same concurrency.

Each peer runs in a process of its own on one core, and the rounds alternate, so that neighbours on the machine slow both; the figure is the
median of the ratios of neighbouring rounds. The server does not wait for its disk: that time is the same for both and would only hide the
difference. Like is compared with like: one connection a task on both sides, and a connection of the pool for every insert on both sides
(asyncpg's pool also resets the session at every return; ours refuses dirty connections instead).
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import trio

from benchmarks.common import Figure, main, note
from sql.driver import connect
from sql.embedded import embedded_server

NAME = "store"
# (who owns the connections, tasks). One task alone shows the length of a round trip; ten is the pool of a gateway.
SETTINGS = (("connections", 1), ("connections", 10), ("pool", 10))
TABLE = """
DROP TABLE IF EXISTS inserted;
CREATE TABLE inserted (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, enterprise text NOT NULL, kind text NOT NULL, unique_id text NOT NULL,
    raw_body text NOT NULL, body_hash bytea NOT NULL, received_at timestamptz NOT NULL, number int NOT NULL
)
"""


@attrs.frozen(kw_only=True)
class Round:
    """What one process measured: inserts a second of wall time, and its own CPU microseconds for one."""

    inserts_per_second: float
    cpu_microseconds: float


async def measured(peer: str, url: str, owner: str, tasks: int, seconds: float) -> Round:
    connection = await connect(url)
    try:
        await connection.execute(TABLE)
    finally:
        connection.close()
    command = [sys.executable, "-m", f"benchmarks.store_{peer}", url, owner, str(tasks), str(seconds)]
    run = await trio.run_process(command, capture_stdout=True)
    return Round(**json.loads(run.stdout))


async def rounds_of(*, quick: bool) -> dict[tuple[str, int], list[tuple[Round, Round]]]:
    seconds, rounds = (0.4, 1) if quick else (0.5, 5)
    found: dict[tuple[str, int], list[tuple[Round, Round]]] = {setting: [] for setting in SETTINGS}
    with tempfile.TemporaryDirectory(prefix="gwb-") as directory:
        await trio.Path(directory).chmod(0o711)  # the server may run as another account
        async with embedded_server(Path(directory) / "data", durable=False) as url:
            for number in range(rounds):
                note(f"round {number + 1} of {rounds}")
                for owner, tasks in SETTINGS:
                    # Who goes first changes: the first one finds the server's caches colder.
                    order = ("own", "asyncpg") if number % 2 else ("asyncpg", "own")
                    pair = {peer: await measured(peer, url, owner, tasks, seconds) for peer in order}
                    found[owner, tasks].append((pair["own"], pair["asyncpg"]))
    return found


def measure(quick: bool) -> Iterator[Figure]:
    found = trio.run(lambda: rounds_of(quick=quick))
    for (owner, tasks), pairs in found.items():
        what = "a pool" if owner == "pool" else "own connections" if tasks > 1 else "own connection"
        name = f"inserts/s against asyncpg, {tasks} task{'s' if tasks > 1 else ''}, {what}"
        ratio = statistics.median(own.inserts_per_second / peer.inserts_per_second for own, peer in pairs)
        yield Figure(benchmark=NAME, name=name, value=ratio, unit="x", wanted=">= 1.0")
        for name, place in (("sql/", 0), ("asyncpg", 1)):
            rate = statistics.median(pair[place].inserts_per_second for pair in pairs)
            cpu = statistics.median(pair[place].cpu_microseconds for pair in pairs)
            yield Figure(benchmark=NAME, name=f"  {name}", value=rate, unit="inserts/s", digits=0)
            yield Figure(benchmark=NAME, name=f"  {name}, CPU of its process for one", value=cpu, unit="µs", digits=0)


if __name__ == "__main__":
    main(measure)
