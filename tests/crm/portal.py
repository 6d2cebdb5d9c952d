"""A Bitrix24 that an adapter talks to over a network in memory, told of calls as the outbox does it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, Outcome, Problem, may_be_done, maybe_done_mark
from gateway.crm.bitrix24 import bitrix24_maker
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.errors import StoreUnavailable
from gateway.ports import EnterpriseConfig
from tester.fakes.bitrix24 import B24App, B24Call, FakeBitrix24
from tester.fakes.crm_network import MemoryNetwork, http_over, site_of
from tests.crm.told import BEGAN, MISSED, RUNG, TALKED, URL

HOST, OAUTH_HOST = "portal.bitrix24.by", "oauth.bitrix.info"
CODE = "HUSHk3yofaw3bh00"
TIMEOUT_SECONDS = 2.0
JUNE = EnterpriseConfig(number="0367", token="token-of-june")
RECORDED = attrs.evolve(TALKED, kind=ReportKind.RECORDING, recording_url=URL)
DIALLED = attrs.evolve(RUNG, direction=Direction.OUTGOING, extensions=("151",), extension="151")
UNANSWERED = attrs.evolve(MISSED, direction=Direction.OUTGOING, extensions=("151",), extension="151")


class Shelf:
    """Where tokens are kept, as the store does it. `is_away`: it cannot be reached. `on_keep` is called before each keeping."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, dict[str, Any]]] = {}
        self.is_away = False
        self.times_kept = 0
        self.on_keep: Callable[[], None] = lambda: None

    async def crm_tokens(self, account: str) -> Mapping[str, Any] | None:
        """What was kept last."""
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise StoreUnavailable("away")
        return self.kept.get(account, (0, None))[1]

    async def keep_crm_tokens(self, account: str, serial: int, tokens: Mapping[str, Any]) -> None:
        """Only newer ones."""
        self.on_keep()
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise StoreUnavailable("away")
        self.times_kept += 1
        if self.kept.get(account, (0, {}))[0] < serial:
            self.kept[account] = (serial, dict(tokens))


def clock() -> datetime:
    """The wall clock: the call begins when virtual time does."""
    return BEGAN + timedelta(seconds=trio.current_time())


@attrs.define
class World:
    """`memories`: what the pushes have left, by the `unique_id` of their call. `app` is there where the door is an application's."""

    fake: FakeBitrix24
    http: CrmHttp
    limiters: Limiters
    store: Shelf
    table: Mapping[str, Any]
    crm: CrmAdapter
    app: B24App | None = None
    memories: dict[str, dict[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]])

    def restart(self, *, table: Mapping[str, Any] | None = None, keeps_limiters: bool = False) -> None:
        """What a new process has: the settings and the store."""
        limiters = self.limiters if keeps_limiters else Limiters()
        self.crm = bitrix24_maker(self.http, limiters, self.store, clock)(JUNE, table or self.table)

    async def push(self, report: CallReport, crm: CrmAdapter | None = None) -> Outcome:
        """One try, as `gateway.nurseries.chain` does it."""
        crm, memory = crm or self.crm, self.memories.setdefault(report.unique_id, {})
        await crm.admission(report)
        outcome = failure(Problem.TIMEOUT, "cancelled from outside", is_ambiguous=True)
        with trio.move_on_after(TIMEOUT_SECONDS):
            outcome = await crm.push(report, push_id="msg_1", memory=dict(memory))
        memory.update(outcome.memory)
        if not outcome.outcome.is_done and (outcome.is_ambiguous or may_be_done(report, memory)):
            memory.update(maybe_done_mark(report.kind))
        return outcome

    @property
    def call(self) -> B24Call:
        """The only one there is."""
        (call,) = self.fake.calls
        return call

    @property
    def asked(self) -> list[str]:
        """The last word of each method so far."""
        return [each.request.path.rpartition("/")[2].rpartition(".")[2] for each in self.fake.requests]


@asynccontextmanager
async def bitrix24(
    nursery: trio.Nursery, *, as_application: bool = False, strict: bool = False, changes: Mapping[str, Any] | None = None
) -> AsyncGenerator[World]:
    """Users 1 and 2 have the extensions 151 and 152, 153 is nobody's. User 3 has none."""
    fake, network, limiters, store = FakeBitrix24(HOST, strict_auth=strict), MemoryNetwork(nursery), Limiters(), Shelf()
    for extension in ("151", "152", ""):
        fake.people.add_user(extension)
    network.place(HOST, site_of(fake))
    network.place(OAUTH_HOST, site_of(fake), address="5.5.5.6")
    users = {"1": "151", "2": "152"}
    app = fake.install("local.1", "HUSHclientSecret0") if as_application else None
    table: dict[str, Any] = {"enabled": True, "user_extensions": users}
    if app is None:
        fake.add_webhook(CODE)
        table["incoming_webhook"] = f"https://{HOST}/rest/1/{CODE}/"
    else:
        door = {"portal_domain": HOST, "client_id": app.client_id, "client_secret": app.client_secret, "refresh_token": app.refresh_token}
        table.update(door)
    table.update(changes or {})
    async with http_over(network) as http:
        crm = bitrix24_maker(http, limiters, store, clock)(JUNE, table)
        yield World(fake=fake, http=http, limiters=limiters, store=store, table=table, crm=crm, app=app)
    nursery.cancel_scope.cancel()
