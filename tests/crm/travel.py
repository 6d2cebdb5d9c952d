"""A U-ON that an adapter talks to over a network in memory, and reports of calls."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, Outcome, Problem, maybe_done_mark
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.uon import uon_crm_maker
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_network import MemoryNetwork, http_over, site_of
from tester.fakes.uon import FakeUon
from tests.crm import told
from tests.crm.told import BEGAN, RUNG, URL

KEY = "KeyOfUon0001HUSH"
HOST = "api.u-on.test"
SETTINGS: Mapping[str, Any] = {
    "enabled": True,
    "api_url": f"https://{HOST}",
    "api_key": KEY,
    "subdomain": "id12345.u-on.ru",
    "user_extensions": {"5": "151", "6": "152", "7": None},
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": False},
}
JUNE = EnterpriseConfig(number="0367", token="token-of-june", timezone="Europe/Minsk")
TALKED = attrs.evolve(told.TALKED, recording_url=URL)
DIALLED = attrs.evolve(RUNG, direction=Direction.OUTGOING, extensions=("151",), extension="151")
TRY_SECONDS = 2.0


@attrs.define
class Travel:
    """The fake, and adapters for it."""

    fake: FakeUon
    http: CrmHttp
    network: MemoryNetwork
    limiters: Limiters = attrs.field(factory=Limiters)

    def adapter(self, config: EnterpriseConfig = JUNE, **changes: Any) -> CrmAdapter:
        """Of an enterprise with these settings."""
        return uon_crm_maker(self.http, self.limiters, lambda: BEGAN)(config, {**SETTINGS, **changes})

    def calls(self) -> list[dict[str, Any]]:
        """What is in the history, without the ids."""
        return [{name: value for name, value in call.shown().items() if name != "id"} for call in self.fake.account.calls]

    @property
    def told(self) -> list[int]:
        """Who was shown a pop-up, in order."""
        return [notice.manager_id for notice in self.fake.account.notifications]


@asynccontextmanager
async def open_travel(nursery: trio.Nursery, **how: Any) -> AsyncGenerator[Travel]:
    """An account with three managers."""
    fake = FakeUon([KEY], **how)
    fake.account.add_manager(5, surname="Петрова", name="Анна", extension="151")
    fake.account.add_manager(6, surname="Сидоров", name="Иван", extension="152")
    fake.account.add_manager(7, surname="Ким", name="Олег")
    network = MemoryNetwork(nursery)
    network.place(HOST, site_of(fake))
    try:
        async with http_over(network) as http:
            yield Travel(fake, http, network)
    finally:
        nursery.cancel_scope.cancel()


async def push(crm: CrmAdapter, report: CallReport, memory: Mapping[str, Any] | None = None) -> Outcome:
    """As the outbox does it: admission, then two seconds; a try that is cut off there is ambiguous."""
    await crm.admission(report)
    with trio.move_on_after(TRY_SECONDS):
        return await crm.push(report, push_id="msg_1", memory=memory or {})
    return failure(Problem.TIMEOUT, "cut off", is_ambiguous=True)


def after(outcome: Outcome, report: CallReport, memory: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The memory for the next try."""
    known = {**(memory or {}), **outcome.memory}
    return {**known, **maybe_done_mark(report.kind)} if outcome.is_ambiguous and not outcome.outcome.is_done else known


async def push_until_over(crm: CrmAdapter, report: CallReport, *, tries: int = 3) -> list[Outcome]:
    """The tries of a report, 20 s apart, until one is not to be repeated."""
    outcomes: list[Outcome] = []
    memory: Mapping[str, Any] = {}
    for _ in range(tries):
        outcomes.append(await push(crm, report, memory))
        memory = after(outcomes[-1], report, memory)
        if outcomes[-1].outcome.value != "retryable":
            break
        await trio.sleep(20)
    return outcomes
