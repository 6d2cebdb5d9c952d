"""Putting the gateway together: the only module that chooses adapters. PostgreSQL, the Bot API over HTTP, the wall clock, the web."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import tzinfo
from functools import partial
from typing import Protocol

import attrs

from cache.directory import Directory
from gateway.calls.recording import RecordedCall
from gateway.cards.board import Board, Timing
from gateway.crm.base import CrmKind
from gateway.crm.bitrix24 import bitrix24_maker
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.ms import ms_crm_maker
from gateway.crm.own import own_crm_maker
from gateway.crm.registry import Crms
from gateway.crm.retailcrm import retailcrm_maker
from gateway.crm.uon import uon_crm_maker
from gateway.logs import Trace
from gateway.metrics import Metrics
from gateway.nurseries.bots import Bot, Bots, careful_limits
from gateway.nurseries.clock import wall_clock
from gateway.nurseries.doors import FRONT_DOOR, Addresses, Door, Doors
from gateway.nurseries.listener import Notice
from gateway.nurseries.service import Outside, Running, Service
from gateway.ports import Store
from gateway.settings import EMBEDDED, BotUpdates, Settings
from gateway.web.health import Health
from gateway.web.intake import Intake
from gateway.web.internal import Rooms, create_internal_app
from gateway.web.listeners import serve_app
from gateway.web.public import create_public_app
from sql.driver import connect
from sql.embedded import embedded_server
from sql.migrate import migrate
from sql.notifications import Notification
from sql.pool import Pool, open_pool
from sql.store import PostgresStore
from telegram_client.api import BotApi
from telegram_client.http import HttpClient

# sql/migrations: every write to the configuration tables tells the first channel, every link of a recording the second.
CHANNEL = "gateway_configuration"
RECORDINGS_CHANNEL = "gateway_recordings"
# A request that runs while everything ends is a look at health or figures; nothing is lost with it.
INSIDE_GRACEFUL_SECONDS = 0.2
# A monitor, an administrator's curl: what the public door needs must not be taken by these.
INSIDE_CONNECTIONS = 50


@attrs.frozen(kw_only=True)
class Gateway:
    """A gateway ready to run: `await nursery.start(gateway.service.run)` gives its addresses by door ("public", "internal").

    It ends after `gateway.service.stop()`. `database_url` is where its database really is, also when it is the embedded one.
    """

    service: Service
    store: PostgresStore
    directory: Directory
    metrics: Metrics
    database_url: str = attrs.field(repr=False)


class Companion(Protocol):
    """Somebody who lives beside the gateway in its process: the emulator. It may put subclasses in the place of what the gateway writes to
    and speaks through, to see and to disturb, and has doors of its own.
    """

    def store(self, pool: Pool) -> PostgresStore:
        """The store on this pool."""
        ...

    def telegram(self) -> HttpClient:
        """The client for messages, not yet entered."""
        ...

    def crm_http(self, *, allow_private_targets: bool) -> CrmHttp:
        """The client for CRMs, not yet entered."""
        ...

    def doors(self, *, store: PostgresStore, directory: Directory, addresses: Callable[[], Addresses]) -> Mapping[str, Door]:
        """Its doors, by a name of their own; `gateway.nurseries.doors.Doors.beside`. `addresses`: of all doors that are open by then."""
        ...


class Alone:
    """Nobody: the gateway has its own adapters and its own doors."""

    def store(self, pool: Pool) -> PostgresStore:
        """The plain one."""
        return PostgresStore(pool)

    def telegram(self) -> HttpClient:
        """The plain one."""
        return HttpClient()

    def crm_http(self, *, allow_private_targets: bool) -> CrmHttp:
        """The plain one."""
        return CrmHttp(allow_private_targets=allow_private_targets)

    def doors(self, *, store: PostgresStore, directory: Directory, addresses: Callable[[], Addresses]) -> Mapping[str, Door]:  # noqa: ARG002
        """None."""
        return {}


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the database of these settings while the block runs.

    The embedded server is started, brought up to date, and stopped at the end. Another one is neither waited for nor changed.
    Raises: `SettingsError`, `StoreUnavailable`, `MigrationError`, for the embedded server only.
    """
    if settings.database_url != EMBEDDED:
        yield settings.database_url
        return
    async with embedded_server(settings.data_dir) as url:
        await migrate(url)
        yield url


@asynccontextmanager
async def open_crms(settings: Settings, store: Store, companion: Companion | None = None) -> AsyncGenerator[Crms]:
    """Everything that CRMs are spoken to with, while the block runs. `store` is where those keep their tokens that renew them."""
    async with (companion or Alone()).crm_http(allow_private_targets=settings.allow_private_targets) as http:
        limiters = Limiters()
        yield Crms(
            {
                CrmKind.RETAILCRM: retailcrm_maker(http, limiters, wall_clock),
                CrmKind.MS: ms_crm_maker(http, limiters, wall_clock),
                CrmKind.UON: uon_crm_maker(http, limiters, wall_clock),
                CrmKind.BITRIX24: bitrix24_maker(http, limiters, store, wall_clock),
                CrmKind.OWN: own_crm_maker(http, wall_clock),
            },
            allow_private_targets=settings.allow_private_targets,
        )


@asynccontextmanager
async def open_gateway(settings: Settings, *, trace: Trace | None = None, companion: Companion | None = None) -> AsyncGenerator[Gateway]:
    """Everything a gateway needs, open while the block runs; run it in a nursery of your own.

    Args:
        settings: port 0 in a bind takes a free port; the real addresses come with the start of `Service.run`.
        trace: writes down the events of traced enterprises (`gateway.logs.open_logs`).
        companion: lives beside the gateway; nobody without it.

    At the end, also when cancelled, connections are closed and the embedded server is stopped. Nothing may use the gateway then.
    """
    companion = companion or Alone()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(open_database(settings))
        pool = await stack.enter_async_context(open_pool(url))
        http = await stack.enter_async_context(companion.telegram())
        # A long poll holds its connection for a minute: on a pool of their own, polls take none from the messages. There is one for each
        # bot, so their number is bounded by the configuration; any other bound would starve the bots beyond it.
        poll_http = await stack.enter_async_context(HttpClient(max_connections=None))
        store = companion.store(pool)
        crms = await stack.enter_async_context(open_crms(settings, store, companion))
        directory, metrics = Directory(), Metrics()
        doors_of = partial(
            _doors, settings, store=store, directory=directory, metrics=metrics, crms=crms, trace=trace or Trace({}), companion=companion
        )
        outside = Outside(
            store=store,
            directory=directory,
            bots=Bots(lambda token: Bot(BotApi(token, http, settings.telegram_base_url), careful_limits())),
            clock=wall_clock,
            metrics=metrics,
            board_of=_board_maker(settings),
            notices=partial(_notices, url),
            poll_api_of=lambda token: BotApi(token, poll_http, settings.telegram_base_url),
            doors_of=doors_of,
            updates=settings.bot_updates,
            public_base_url=settings.public_base_url,
            drain_seconds=settings.drain_seconds,
            retention_days=settings.retention_days,
            crms=crms,
            crm_timeout_seconds=settings.crm_timeout_seconds,
            enrichment_budget_seconds=settings.enrichment_budget_seconds,
            measure=partial(_measure, pool, metrics),
        )
        yield Gateway(service=Service(outside), store=store, directory=directory, metrics=metrics, database_url=url)


def _board_maker(settings: Settings) -> Callable[[tzinfo, Mapping[str, str]], Board]:
    timing = Timing(closing_grace_seconds=settings.closing_grace_seconds, open_call_seconds=settings.open_call_seconds)

    def make(zone: tzinfo, line_rules: Mapping[str, str]) -> Board:
        return Board(zone=zone, line_rules=line_rules, timing=timing)

    return make


def _doors(
    settings: Settings,
    running: Running,
    *,
    store: PostgresStore,
    directory: Directory,
    metrics: Metrics,
    crms: Crms,
    trace: Trace,
    companion: Companion,
) -> Doors:
    health = Health(store=store, replayed=lambda: running.replayed, listening=lambda: running.listening)
    on_update = running.polls.on_update if settings.bot_updates is BotUpdates.WEBHOOK else None

    intake = Intake(
        rest=create_public_app(on_update=on_update),
        store=store,
        journal=running.journal,
        directory=directory,
        metrics=metrics,
        clock=wall_clock,
        trace=trace.trace_event,
    )
    rooms = Rooms(
        store=store,
        directory=directory,
        configurations=running.lookups.configurations,
        customers=running.lookups.customers,
        crms=crms,
        outbox=running.outbox,
        clock=wall_clock,
    )
    inside = create_internal_app(health=health, metrics=metrics, rooms=rooms)
    return Doors(
        front={FRONT_DOOR: partial(serve_app, intake, [str(bind) for bind in settings.bind])},
        inside={
            "internal": partial(
                serve_app,
                inside,
                [str(bind) for bind in settings.internal_bind],
                graceful_seconds=INSIDE_GRACEFUL_SECONDS,
                max_connections=INSIDE_CONNECTIONS,
            )
        },
        beside=companion.doors(store=store, directory=directory, addresses=lambda: running.addresses),
    )


@asynccontextmanager
async def _notices(url: str) -> AsyncGenerator[AsyncIterable[Notice]]:
    connection = await connect(url)
    try:
        await connection.listen(CHANNEL)
        await connection.listen(RECORDINGS_CHANNEL)
        async with aclosing(_read(connection.notifications())) as notices:
            yield notices
    finally:
        connection.close()


async def _read(notifications: AsyncIterable[Notification]) -> AsyncGenerator[Notice]:
    async for notification in notifications:
        if notification.channel != RECORDINGS_CHANNEL:
            yield notification.payload
            continue
        number, _, call_id = notification.payload.rpartition(" ")
        # Anybody who may log in to the database may send anything; call ids are bigint.
        if number and call_id.isascii() and call_id.isdecimal() and int(call_id) < 2**63:
            yield RecordedCall(number, int(call_id))


def _measure(pool: Pool, metrics: Metrics) -> None:
    statistics = pool.statistics()
    metrics.pool_connections("open", statistics.size)
    metrics.pool_connections("idle", statistics.idle)
    metrics.pool_connections("waiting", statistics.waiting)
