"""A МойСклад that an adapter talks to over a network in memory, told of calls as the outbox does it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, Outcome, Problem, may_be_done, maybe_done_mark
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.ms import ms_crm_maker
from gateway.ports import EnterpriseConfig
from tester.fakes.crm_network import MemoryNetwork, http_over, site_of
from tester.fakes.ms import FakeMoySklad, MsAccount, MsCall
from tests.crm import told
from tests.crm.told import BEGAN, MISSED, RUNG, URL

KEY, TOKEN = "PHONEKEYd03627d59c1948a0f9a6aa1e", "JSONTOKENd03627d59c1948a0f9a6aa1"
HOST = "api.moysklad.ru"
TIMEOUT_SECONDS = 2.0
JUNE = EnterpriseConfig(number="0367", token="token-of-june")
TALKED = attrs.evolve(told.TALKED, ended_at=BEGAN + timedelta(seconds=72, milliseconds=500))
RECORDED = attrs.evolve(TALKED, kind=ReportKind.RECORDING, recording_url=URL)
DIALLED = attrs.evolve(RUNG, direction=Direction.OUTGOING, extensions=("151",), extension="151")
UNANSWERED = attrs.evolve(MISSED, direction=Direction.OUTGOING, extensions=("151",), extension="151")


@attrs.define
class World:
    """`memory`: what the pushes have left, by the `unique_id` of their call."""

    fake: FakeMoySklad
    account: MsAccount
    http: CrmHttp
    crm: CrmAdapter
    limiters: Limiters
    memories: dict[str, dict[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]])

    async def push(self, report: CallReport) -> Outcome:
        """One try, as `gateway.nurseries.chain` does it."""
        memory = self.memories.setdefault(report.unique_id, {})
        await self.crm.admission(report)
        outcome = failure(Problem.TIMEOUT, "no answer in time", is_ambiguous=True)
        with trio.move_on_after(TIMEOUT_SECONDS):
            outcome = await self.crm.push(report, push_id="msg_1", memory=dict(memory))
        memory.update(outcome.memory)
        if not outcome.outcome.is_done and (outcome.is_ambiguous or may_be_done(report, memory)):
            memory.update(maybe_done_mark(report.kind))
        return outcome

    @property
    def call(self) -> MsCall:
        """The only one there is."""
        (call,) = self.account.calls.values()
        return call

    @property
    def asked(self) -> list[str]:
        """Method and path of each request so far."""
        return [f"{each.request.method} {each.request.path.partition('/1.')[2][2:]}" for each in self.fake.requests]


def table_of(account: MsAccount, **changes: Any) -> dict[str, Any]:
    """The settings for an account whose employees have extensions."""
    mapping = {each.extension: {"name": each.last_name, "employee_id": each.employee_id} for each in account.employees.values()}
    table: dict[str, Any] = {"enabled": True, "integration_code": KEY, "api_token": TOKEN, "employee_mapping": mapping}
    return {**table, **changes}


@asynccontextmanager
async def moysklad(nursery: trio.Nursery, *, changes: Mapping[str, Any] | None = None, weight: float = 4.0) -> AsyncGenerator[World]:
    """With employees at 151 and 152, and nobody at 153."""
    fake, network, limiters = FakeMoySklad(), MemoryNetwork(nursery), Limiters()
    account = fake.add_account(KEY, TOKEN, weight=weight)
    account.add_employee("151", last_name="Иванова")
    account.add_employee("152", last_name="Петров")
    network.place(HOST, site_of(fake))
    async with http_over(network) as http:
        crm = ms_crm_maker(http, limiters, lambda: BEGAN)(JUNE, table_of(account, **(changes or {})))
        yield World(fake=fake, account=account, http=http, crm=crm, limiters=limiters)
    nursery.cancel_scope.cancel()
