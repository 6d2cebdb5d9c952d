"""The door of an emulator on real sockets. Webhooks go to a front door that takes everything; no gateway stands behind it."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import trio

from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from gateway.settings import Bind
from gateway.web.asgi import Receive, Scope, Send, answer, receive_body
from gateway.web.listeners import serve_app
from gateway.web.problems import Answer
from tester.emulator.emulator import Emulator, Target
from tester.emulator.event_log import silent_event_log
from tester.emulator.orders import LOCAL
from tester.emulator.watch import Watch
from tester.emulator.web import emulator_door
from tester.memory import MemoryStore
from tests.web.conftest import Client, Response, open_client

TOKEN = "375290000900"
JUNE = EnterpriseConfig(
    number="0367",
    name="Июнь",
    token=TOKEN,
    secret="s3cret-of-june",
    bot_token="100001:TEST-of-june",
    integrations={"retailcrm": {"enabled": True}, "uon": {"enabled": False}, "smart": {"enabled": True}, "own": "rubbish"},
    lines=(LineConfig(line_id="0001363", name="А1 основная"), LineConfig(line_id="office", name="Офис", operator="Билайн")),
    managers=(
        ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь", middle_name="Олегович", personal_phone="375290000150"),
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна"),
        ManagerConfig(extension="152"),
    ),
)
AUTUMN = EnterpriseConfig(number="0369", name="autumn", token="375290000902", active=False)
REMOTE = "http://127.0.0.1:9"
HERE = Bind("127.0.0.1", 0)
EVERYWHERE = Bind("0.0.0.0", 0)


@attrs.define(eq=False)
class Front:
    """Takes webhooks, and answers when `gate` is open."""

    gate: trio.Event = attrs.field(factory=trio.Event)
    taken: list[tuple[str, Mapping[str, Any]]] = attrs.field(factory=list[tuple[str, Mapping[str, Any]]])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.taken.append((scope["path"].removeprefix("/"), json.loads(await receive_body(scope, receive))))
        number = len(self.taken)
        await self.gate.wait()
        await answer(send, Answer(200, json.dumps({"status": "ok", "event_id": number, "duplicate": False}).encode()))


@attrs.define(eq=False, kw_only=True)
class Desk:
    """The door, and what stands behind it."""

    addresses: Sequence[str]
    emulator: Emulator
    front: Front
    enterprises: list[EnterpriseConfig]
    targets: list[Target]
    stop: trio.Event
    ended: trio.Event

    @property
    def url(self) -> str:
        return f"http://{self.addresses[0]}"

    async def ask(self, method: str, path: str, body: object = b"", headers: Mapping[str, str] | None = None, *, door: int = 0) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.client(door) as client:
            return await client.request(method, path, raw, headers)

    async def get(self, path: str) -> Any:
        response = await self.ask("GET", path)
        assert response.status == 200, (response.status, response.body)
        return response.json

    def client(self, door: int = 0) -> Any:
        return open_client(self.addresses[door])

    async def order(self, pattern: str = "1-8", **changes: Any) -> dict[str, Any]:
        """An order with the values that are proposed."""
        values = (await self.get(f"/api/suggestion?pattern={pattern}&enterprise=0367"))["values"]
        return {"enterprise": "0367", "pattern": pattern, "values": values, "pace": "max", **changes}

    async def start(self, pattern: str = "1-8", **changes: Any) -> Any:
        response = await self.ask("POST", "/api/runs", await self.order(pattern, **changes))
        assert response.status == 201, (response.status, response.body)
        return response.json


@asynccontextmanager
async def open_desk(
    binds: Sequence[Bind] = (HERE,),
    password: str = "",
    *,
    enterprises: Sequence[EnterpriseConfig] = (JUNE, AUTUMN),
    can_block: bool = True,
    is_open: bool = True,
) -> AsyncGenerator[Desk]:
    """`is_open`: whether the front door answers from the beginning."""
    front, stop, ended = Front(), trio.Event(), trio.Event()
    if is_open:
        front.gate.set()
    known = list(enterprises)
    async with trio.open_nursery() as nursery:
        (front_address,) = await nursery.start(partial(serve_app, front, ["127.0.0.1:0"]))
        targets = [Target(address=LOCAL, url=f"http://{front_address}", is_local=True), Target(address=REMOTE, url=REMOTE)]
        emulator = Emulator(
            enterprises=lambda: known,
            targets=lambda: targets,
            watch=Watch(),
            store=MemoryStore(),
            clock=lambda: datetime.now(UTC),
            log=silent_event_log(),
            closing_grace_seconds=0.1,
            can_block=can_block,
        )

        async def serve(task_status: trio.TaskStatus[Sequence[str]]) -> None:  # noqa: ASYNC128  # the door says that it has started
            await emulator_door(
                emulator,
                binds,
                password,
                enterprises=lambda: known,
                can_block=can_block,
                shutdown_trigger=stop.wait,
                task_status=task_status,
            )
            ended.set()

        addresses = await nursery.start(serve)
        yield Desk(addresses=addresses, emulator=emulator, front=front, enterprises=known, targets=targets, stop=stop, ended=ended)
        nursery.cancel_scope.cancel()


async def whole(client: Client, path: str, headers: Mapping[str, str] | None = None) -> str:
    """A stream to its end."""
    response = await client.request("GET", path, b"", headers)
    assert response.status == 200, (response.status, response.body)
    return response.body.decode()
