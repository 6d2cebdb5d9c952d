"""The internal listener on a real socket, over the store in memory and CRMs whose answers are written down."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import trio

from cache.directory import Directory
from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.registry import Crms
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.nurseries.lookups import make_lookups
from gateway.nurseries.outbox import Outbox
from gateway.nurseries.patience import Patience
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig, Owed, PushKey
from gateway.web.health import Health
from gateway.web.internal import Rooms, create_internal_app
from gateway.web.listeners import serve_app
from tester.fakes.crm import ScriptedCrm
from tester.memory import MemoryStore
from tests.web.conftest import Response, open_client

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
API_KEY = "RcKey-0123456789-abcdef"
HOOK = "https://portal.example/rest/1/HookCode0123456789/"

JUNE = EnterpriseConfig(
    number="0367",
    name="june",
    token="375290000900",
    secret="s3cret-of-june",
    bot_token="100001:TEST-of-june",
    integrations={
        "retailcrm": {"enabled": True, "domain": "https://store.example", "api_key": API_KEY, "user_extensions": {"19": "150"}},
        "uon": {"enabled": False, "api_key": "UonKey-1"},
        "bitrix24": {"enabled": True, "incoming_webhook": HOOK, "webhook_token": "HookToken-123456"},
        "smart": {"primary": "retailcrm"},
    },
    lines=(
        LineConfig(line_id="0001363", name="А1 основная", incoming_transform="+375{9}"),
        LineConfig(line_id="0001364"),
        LineConfig(line_id="office", name="Офис", operator="Билайн"),
    ),
    managers=(
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна", personal_phone="375290000151"),
        ManagerConfig(extension="152"),
    ),
)
MAY = EnterpriseConfig(number="0368", name="may", token="375290000901")
AUTUMN = EnterpriseConfig(number="0369", name="autumn", token="375290000902", active=False, integrations=JUNE.integrations)
TWINS = (
    EnterpriseConfig(number="0370", name="twin", token="375290000903"),
    EnterpriseConfig(number="0371", name="twin", token="375290000904"),
)
EVERYBODY = (JUNE, MAY, AUTUMN, *TWINS)


class AwayStore(MemoryStore):
    """A store that can be taken away."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.is_away = False
        self.hangs = False
        self.accept_gate: trio.Event | None = None
        self.accept_waits = trio.Event()
        self.loads = 0

    async def _entered(self) -> None:
        if self.hangs:
            await trio.sleep_forever()
        if self.is_away:
            raise StoreUnavailable("the server is gone: password=hunter2")
        await super()._entered()

    async def enterprises_by_key(self, key: str) -> Sequence[EnterpriseConfig]:
        self.loads += 1
        return await super().enterprises_by_key(key)

    async def accept_owed(self, enterprise_number: str, owed: Sequence[Owed]) -> Sequence[PushKey]:
        if self.accept_gate is not None:
            self.accept_waits.set()
            await self.accept_gate.wait()
        return await super().accept_owed(enterprise_number, owed)


@attrs.define(eq=False, kw_only=True)
class Inside:
    """What stands behind the listener."""

    address: str
    store: AwayStore
    rooms: Rooms
    crms: Mapping[CrmKind, ScriptedCrm]

    async def ask(self, method: str, path: str, body: object = b"", headers: Mapping[str, str] | None = None) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with open_client(self.address) as client:
            return await client.request(method, path, raw, headers)

    async def get(self, path: str) -> Any:
        response = await self.ask("GET", path)
        assert response.status == 200, (response.status, response.body)
        return response.json

    async def until_pushed(self, kind: CrmKind, count: int) -> None:
        with trio.fail_after(5):
            await self.crms[kind].until(lambda: sum(push.ended_at is not None for push in self.crms[kind].pushes) >= count)


def rooms_of(store: MemoryStore, crms: Crms, nursery: trio.Nursery) -> Rooms:
    """Rooms as the service has them, on this store; nothing runs yet."""
    directory, metrics = Directory(), Metrics()
    lookups = make_lookups(store=store, directory=directory, crms=crms, clock=lambda: NOW, metrics=metrics, crm_timeout_seconds=2.0)

    def adapter_of(number: str, crm: str) -> Any:
        config = directory.resolve(number)
        return crms.adapter(config, CrmKind(crm)) if config is not None else None

    outbox = Outbox(
        store=store,
        clock=lambda: NOW,
        patience=Patience(jitter=lambda: 1.0),
        metrics=metrics,
        adapter_of=adapter_of,
        timeout_seconds=2.0,
        jitter=lambda: 1.0,
        nursery=nursery,
    )
    return Rooms(
        store=store,
        directory=directory,
        configurations=lookups.configurations,
        customers=lookups.customers,
        crms=crms,
        outbox=outbox,
        clock=lambda: NOW,
    )


@asynccontextmanager
async def open_inside(
    enterprises: Sequence[EnterpriseConfig] = EVERYBODY,
    *,
    kinds: Sequence[CrmKind] = (CrmKind.RETAILCRM, CrmKind.UON, CrmKind.OWN),
    is_read: bool = True,
    wrong_settings: Sequence[CrmKind] = (),
) -> AsyncGenerator[Inside]:
    store = AwayStore()
    await store.upsert_enterprises(enterprises)
    scripted = {kind: ScriptedCrm(kind) for kind in kinds}

    def refuse(_config: EnterpriseConfig, _settings: Mapping[str, Any]) -> Any:
        raise CrmSettingsError("integrations.x: domain: is missing\nintegrations.x: api_key: is missing")

    crms = Crms({kind: refuse if kind in wrong_settings else crm.maker for kind, crm in scripted.items()})
    async with trio.open_nursery() as nursery:
        rooms = rooms_of(store, crms, nursery)
        await nursery.start(rooms.configurations.run)
        await nursery.start(rooms.customers.run)
        if is_read:
            await rooms.configurations.refresh()
        nursery.start_soon(rooms.outbox.run)  # noqa: ASYNC113  (it works from the first moment and is not waited for)
        health = Health(store=store, replayed=lambda: True, listening=lambda: True)
        app = create_internal_app(health=health, metrics=Metrics(), rooms=rooms)
        (address,) = await nursery.start(partial(serve_app, app, ["127.0.0.1:0"]))
        yield Inside(address=address, store=store, rooms=rooms, crms=scripted)
        nursery.cancel_scope.cancel()
