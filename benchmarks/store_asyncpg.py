"""The peer of `benchmarks.store`: asyncpg on asyncio, the only use of another event loop in the house. URL, tasks, seconds."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from benchmarks.common import pin
from benchmarks.store_own import BODY, BODY_HASH, INSERT


async def insert_until(connection: Any, ends_at: float) -> int:
    at = datetime.now(UTC)
    done = 0
    while time.perf_counter() < ends_at:
        await connection.fetchval(INSERT, "0367", "dial", "1700000000.1", BODY, BODY_HASH, at, done)
        done += 1
    return done


async def run(url: str, tasks: int, seconds: float) -> None:
    driver: Any = asyncpg
    connections = [await driver.connect(url) for _ in range(tasks)]
    done, took, cpu = 0, 0.0, 0.0
    for scale in (0.2, 1.0):  # the first one prepares
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(await asyncio.gather(*(insert_until(connection, began + seconds * scale) for connection in connections)))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    for connection in connections:
        await connection.close()
    print(json.dumps({"inserts_per_second": done / took, "cpu_microseconds": cpu / done * 1e6}))


if __name__ == "__main__":
    pin(0)
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
