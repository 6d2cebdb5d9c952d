"""The peer of `benchmarks.store`: asyncpg on asyncio, the only use of another event loop in the house. Arguments as of `store_own`."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from benchmarks.common import pin
from benchmarks.store_own import BODY, BODY_HASH, INSERT


async def insert_until(database: Any, ends_at: float) -> int:
    at = datetime.now(UTC)
    done = 0
    while time.perf_counter() < ends_at:
        await database.fetchval(INSERT, "0367", "dial", "1700000000.1", BODY, BODY_HASH, at, done)
        done += 1
    return done


async def run(url: str, owner: str, tasks: int, seconds: float) -> None:
    driver: Any = asyncpg
    pool = await driver.create_pool(url, min_size=tasks, max_size=tasks)
    databases = [pool if owner == "pool" else await driver.connect(url) for _ in range(tasks)]
    done, took, cpu = 0, 0.0, 0.0
    for scale in (0.2, 1.0):  # the first one prepares
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(await asyncio.gather(*(insert_until(database, began + seconds * scale) for database in databases)))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    for database in {*databases, pool}:
        await database.close()
    print(json.dumps({"inserts_per_second": done / took, "cpu_microseconds": cpu / done * 1e6}))


if __name__ == "__main__":
    pin(0)
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
