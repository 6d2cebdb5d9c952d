"""Ours of `benchmarks.store`: URL, owner of the connections, tasks, seconds. Prints one JSON object."""

import hashlib
import json
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import trio

from benchmarks.common import pin
from sql.driver import Connection
from sql.pool import Pool, open_pool

INSERT = """
INSERT INTO inserted (enterprise, kind, unique_id, raw_body, body_hash, received_at, number)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
"""
BODY = json.dumps({"Event": 1, "UniqueId": "1700000000.1", "Phone": "375290000000", "Extensions": ["150"] * 40})
BODY_HASH = hashlib.sha256(BODY.encode()).digest()


async def insert_for_ever(database: Pool | Connection, done: list[int], place: int) -> None:
    at = datetime.now(UTC)
    while True:
        await database.fetchval(INSERT, "0367", "dial", "1700000000.1", BODY, BODY_HASH, at, done[place])
        done[place] += 1


async def run(url: str, owner: str, tasks: int, seconds: float) -> None:
    done = [0] * tasks
    took, cpu = 0.0, 0.0
    async with open_pool(url, max_size=tasks) as pool, AsyncExitStack() as leases:
        databases: list[Pool | Connection] = [
            pool if owner == "pool" else await leases.enter_async_context(pool.acquire()) for _ in range(tasks)
        ]
        for scale in (0.2, 1.0):  # the first one opens connections and prepares
            done[:] = [0] * tasks
            began, cpu = time.perf_counter(), time.process_time()
            with trio.move_on_after(seconds * scale):
                async with trio.open_nursery() as nursery:
                    for place, database in enumerate(databases):
                        nursery.start_soon(insert_for_ever, database, done, place)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"inserts_per_second": sum(done) / took, "cpu_microseconds": cpu / sum(done) * 1e6}))


if __name__ == "__main__":
    pin(0)
    trio.run(run, sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
