"""A RetailCRM that an adapter talks to over a network in memory, and reports of calls."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from gateway.calls.report import CallReport
from gateway.crm.base import CrmAdapter, Outcome
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.retailcrm import retailcrm_maker
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_network import MemoryNetwork, http_over, site_of
from tester.fakes.retailcrm import FakeRetailCrm
from tests.crm import told
from tests.crm.told import BEGAN, URL

KEY = "0123456789abcdefKEYofRETAILCRM00"
HOST = "store.retailcrm.test"
SETTINGS: Mapping[str, Any] = {
    "enabled": True,
    "domain": f"https://{HOST}",
    "api_key": KEY,
    "user_extensions": {"27": "151", "28": "152", "29": None},
    "last_sync": "2025-01-01T00:00:00",
}
JUNE = EnterpriseConfig(number="0367", token="token-of-june", timezone="Europe/Minsk")
TALKED = attrs.evolve(told.TALKED, recording_url=URL)


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
    async with http_over(network) as http:
        yield House(fake, http)
    nursery.cancel_scope.cancel()


async def push(crm: CrmAdapter, report: CallReport, memory: Mapping[str, Any] | None = None) -> Outcome:
    """As the outbox does it, without its deadline."""
    await crm.admission(report)
    return await crm.push(report, push_id="msg_1", memory=memory or {})
