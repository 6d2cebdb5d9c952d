"""The peer of the intake: the least that Quart-Trio on Hypercorn can do with the same request. It parses the JSON, answers, stores nothing.

`python -m benchmarks.bare_endpoint` serves on a free port and prints it.
"""

from functools import partial
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.run import worker_serve
from quart import Response, jsonify, request
from quart_trio import QuartTrio


def create_app() -> QuartTrio:
    app = QuartTrio(__name__)

    @app.post("/start")
    async def start() -> Response:
        body = await request.get_json()
        return jsonify(status="ok", event_id=len(body))

    return app


async def main() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    # So that a run of a keep-alive connection is not cut; our listener does not either.
    config.keep_alive_max_requests = 2**31
    config.backlog = 1024
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(worker_serve, ASGIWrapper(cast(Any, create_app())), config))
        print(address.removeprefix("http://"), flush=True)


if __name__ == "__main__":
    trio.run(main)
