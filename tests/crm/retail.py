"""A RetailCRM that an adapter talks to over a network in memory, and reports of calls."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmAdapter, Outcome
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.retailcrm import retailcrm_maker
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_network import Heard, MemoryNetwork, Reply, Site, speak_http
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Cut
from tester.fakes.retailcrm import FakeRetailCrm

KEY = "0123456789abcdefKEYofRETAILCRM00"
HOST = "store.retailcrm.test"
PHONE = "375290001234"
SETTINGS: Mapping[str, Any] = {
    "enabled": True,
    "domain": f"https://{HOST}",
    "api_key": KEY,
    "user_extensions": {"27": "151", "28": "152", "29": None},
    "last_sync": "2025-01-01T00:00:00",
}
JUNE = EnterpriseConfig(number="0367", token="token-of-june", timezone="Europe/Minsk")
# 12:17:28 in Minsk.
BEGAN = datetime(2025, 10, 1, 9, 17, 28, tzinfo=UTC)
RUNG = CallReport(
    kind=ReportKind.DIAL,
    call_id=7,
    unique_id="1759310248.0",
    direction=Direction.INCOMING,
    phone=PHONE,
    line="0001363",
    extensions=("151", "152", "153"),
    started_at=BEGAN,
)
TALKED = attrs.evolve(
    RUNG,
    kind=ReportKind.HANGUP,
    extensions=("152",),
    extension="152",
    answered_at=BEGAN + timedelta(seconds=7),
    ended_at=BEGAN + timedelta(seconds=72),
    duration_seconds=72,
    talk_seconds=65,
    waiting_seconds=7,
    answered=True,
    recording_url="https://gateway.example/recordings/file/1",
)
MISSED = attrs.evolve(
    RUNG, kind=ReportKind.HANGUP, ended_at=BEGAN + timedelta(seconds=20), duration_seconds=20, talk_seconds=0, waiting_seconds=20
)


def site_of(fake: CrmServer) -> Site:
    """The fake as what lives at an address."""

    async def handle(heard: Heard) -> Reply:
        target = f"{heard.path}?{heard.query}" if heard.query else heard.path
        response = await fake.answer(fake.request(heard.method, target, list(heard.headers.items()), heard.body))
        if response.cut is not Cut.NOTHING:
            return Reply(sends_nothing=True)
        return Reply(status=response.status, headers=tuple(response.all_headers), body=response.body)

    async def site(stream: trio.abc.Stream) -> None:
        await speak_http(handle, stream)

    return site


@attrs.define
class House:
    """The fake, and adapters for it."""

    fake: FakeRetailCrm
    http: CrmHttp
    limiters: Limiters = attrs.field(factory=Limiters)

    def adapter(self, config: EnterpriseConfig = JUNE, **changes: Any) -> CrmAdapter:
        """Of an enterprise with these settings."""
        return retailcrm_maker(self.http, self.limiters, lambda: BEGAN)(config, {**SETTINGS, **changes})


@asynccontextmanager
async def retail_house(nursery: trio.Nursery, **how: Any) -> AsyncGenerator[House]:
    """An account with three people."""
    fake = FakeRetailCrm({KEY: None}, hosts=(HOST,), **how)
    fake.add_user(27, first_name="Анна", last_name="Петрова", code="151")
    fake.add_user(28, first_name="Иван", last_name="Сидоров", code="152")
    fake.add_user(30, first_name="Олег", last_name="Ким", code="153")
    network = MemoryNetwork(nursery)
    network.place(HOST, site_of(fake))
    network.place("nobody.retailcrm.test", site_of(fake))
    async with CrmHttp(network=network) as http:
        yield House(fake, http)
    nursery.cancel_scope.cancel()


async def push(crm: CrmAdapter, report: CallReport, memory: Mapping[str, Any] | None = None) -> Outcome:
    """As the outbox does it, without its deadline."""
    await crm.admission(report)
    return await crm.push(report, push_id="msg_1", memory=memory or {})
