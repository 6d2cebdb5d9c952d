"""The front door with everything behind it that an answer waits for: journal, PostgreSQL, figures, access log.

`python -m benchmarks.intake_server DATABASE_URL` serves on a free port and prints it. Stored events go to nobody: what
becomes of them is measured elsewhere.
"""

import logging
import sys
from functools import partial

import trio

from cache.directory import Directory
from gateway.metrics import Metrics
from gateway.nurseries.clock import wall_clock
from gateway.nurseries.journal import Journal
from gateway.ports import EnterpriseConfig
from gateway.web.intake import Intake
from gateway.web.listeners import serve_app
from gateway.web.public import create_public_app
from sql.pool import open_pool
from sql.store import PostgresStore


def leave_no_trace(_number: str, /, **_what: str) -> None:
    """No enterprise is traced."""


async def main(database_url: str) -> None:
    # The access log is formatted and thrown away: writing the file is the same for both peers, and Quart's bare endpoint has none.
    logging.getLogger("gateway.access").setLevel(logging.INFO)
    logging.getLogger("gateway.access").addHandler(logging.NullHandler())
    logging.getLogger("gateway.access").propagate = False
    directory = Directory(EnterpriseConfig(number=f"{number:04}", token=f"3752900{number:05}") for number in range(400))
    metrics = Metrics()
    async with open_pool(database_url) as pool, trio.open_nursery() as nursery:
        store = PostgresStore(pool)
        journal = Journal(store, on_stored=lambda _: None, metrics=metrics)
        app = Intake(
            rest=create_public_app(on_update=None),
            store=store,
            journal=journal,
            directory=directory,
            metrics=metrics,
            clock=wall_clock,
            trace=leave_no_trace,
        )
        await nursery.start(journal.run)
        (address,) = await nursery.start(partial(serve_app, app, ["127.0.0.1:0"]))
        print(address, flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
