"""A whole gateway with an emulator beside it, on real ports, as `gateway serve` has it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from cache.directory import Directory
from gateway.bootstrap import Gateway, open_gateway
from gateway.logs import open_logs
from gateway.nurseries.clock import wall_clock
from gateway.nurseries.service import Addresses, Door
from gateway.ports import EnterpriseConfig
from gateway.settings import load_settings
from sql.pool import Pool, open_pool
from sql.store import PostgresStore
from tester.emulator.emulator import Emulator, Target
from tester.emulator.event_log import EventLog, open_event_log
from tester.emulator.watch import Watch, WatchedCrmHttp, WatchedStore, WatchedTelegram
from tester.emulator.web import emulator_door
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram

STOP_SECONDS = 20.0


@attrs.frozen
class C:
    log: EventLog
    active_runs: int
    grace: float
    watch: Watch = attrs.field(factory=Watch)

    def store(self, pool: Pool) -> WatchedStore:
        return WatchedStore(pool, self.watch)

    def telegram(self) -> WatchedTelegram:
        return WatchedTelegram(self.watch)

    def crm_http(self, *, allow_private_targets: bool) -> WatchedCrmHttp:
        return WatchedCrmHttp(self.watch, allow_private_targets=allow_private_targets)

    def doors(self, *, store: PostgresStore, directory: Directory, addresses: Addresses) -> Mapping[str, Door]:
        enterprises = lambda: directory.enterprises  # noqa
        emulator = Emulator(
            enterprises=enterprises, targets=[Target(address="", url=f"http://{addresses['public'][0]}", is_local=True)],
            watch=self.watch, store=store, clock=wall_clock, log=self.log, closing_grace_seconds=self.grace, active_runs=self.active_runs)
        return {"tester": partial(emulator_door, emulator, ["127.0.0.1:0"], enterprises=enterprises, can_block=True)}


@attrs.frozen
class Emulating:
    url: str
    emulator_url: str
    gateway: Gateway
    telegram: FakeTelegram
    log_dir: Path


@asynccontextmanager
async def emulating_gateway(
    database_url: str, directory: Path, enterprises: Sequence[EnterpriseConfig], *, active_runs: int = 8, **settings: str
) -> AsyncGenerator[Emulating]:
    async with open_pool(database_url) as pool:
        await PostgresStore(pool).upsert_enterprises(enterprises)
    telegram = FakeTelegram()
    async with serve_fake_telegram(telegram) as telegram_url:
        given = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_DATA_DIR": str(directory / "data"),
            "GATEWAY_LOG_DIR": str(directory / "logs"),
            "GATEWAY_BIND": "127.0.0.1:0",
            "GATEWAY_INTERNAL_BIND": "127.0.0.1:0",
            "GATEWAY_TELEGRAM_BASE_URL": telegram_url,
            "GATEWAY_BOT_UPDATES": "off",
        } | {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
        s = load_settings(given)
        with open_logs(s.log_dir, traced=s.traced_enterprises) as trace, open_event_log(s.log_dir) as log:
            c = C(log, active_runs, s.closing_grace_seconds)
            async with open_gateway(s, trace=trace, companion=c) as gateway, trio.open_nursery() as nursery:
                a = await nursery.start(gateway.service.run)
                yield Emulating(f"http://{a['public'][0]}", f"http://{a['tester'][0]}", gateway, telegram, s.log_dir)
                gateway.service.stop()
                nursery.cancel_scope.deadline = trio.current_time() + STOP_SECONDS
