"""The peer of the gateway in `benchmarks.call_cost`: the same I/O for a call on the same libraries, and nothing else.

Each webhook is a Quart-Trio request answered after one insert through `sql/`; those that begin a stage are followed by a post with httpx2
for each subscriber. No understanding, no limits, no record of what was sent. `python -m benchmarks.call_cost_bare DATABASE_URL BOT_API_URL`
serves on a free port and prints its address.
"""

import sys
from functools import partial
from typing import Any, cast

import httpx2 as httpx
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.run import worker_serve
from quart import Response, jsonify, request
from quart_trio import QuartTrio

from sql.pool import Pool, open_pool

KINDS = ("start", "dial", "bridge", "hangup", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid")
SUBSCRIBERS = 3
TABLE = "CREATE TABLE bare_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text, unique_id text, body text)"
INSERT = "INSERT INTO bare_events (kind, unique_id, body) VALUES ($1, $2, $3) RETURNING id"
# As long as the gateway's message of that stage.
TEXT = "🔗 Разговор: +375 (29) 000-12-34 ↔ Петрова А. И. (150)\n📡 A1 основная"


def create_app(pool: Pool, client: httpx.AsyncClient, bot_api: str, nursery: trio.Nursery) -> QuartTrio:
    app = QuartTrio(__name__)

    async def send(chat_id: int) -> None:
        body = {"chat_id": chat_id, "text": TEXT, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}
        answer = await client.post(f"{bot_api}/bot100000:TEST/sendMessage", json=body)
        answer.json()

    async def webhook(kind: str) -> Response:
        raw_body = cast(bytes, await request.get_data())
        body = await request.get_json()
        event_id = await pool.fetchval(INSERT, kind, body["UniqueId"], raw_body.decode())
        # A call has two enters; the customer's begins the talk.
        if kind in ("start", "dial", "hangup") or (kind == "bridge" and body["Exten"]):
            for chat_id in range(SUBSCRIBERS):
                nursery.start_soon(send, 10_000 + chat_id)
        return jsonify(status="ok", event_id=event_id)

    for kind in KINDS:
        app.add_url_rule(f"/{kind}", kind, partial(webhook, kind), methods=["POST"])
    return app


async def main(database_url: str, bot_api: str) -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with open_pool(database_url) as pool, httpx.AsyncClient() as client, trio.open_nursery() as nursery:
        await pool.execute(TABLE)
        app = create_app(pool, client, bot_api, nursery)
        (address,) = await nursery.start(partial(worker_serve, ASGIWrapper(cast(Any, app)), config))
        print(f"public listener: {address}", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
