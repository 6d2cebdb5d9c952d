"""The service: the tree of nurseries, the order of start and of shutdown. It knows its rooms and none of the adapters behind them.

    workers   listener, recordings, janitor, polls, outbox, gauges; the inner doors (health, figures), open all the time
    └─ events   couriers, one child for each card that has changed, and one for each call and CRM that is being told of it
       └─ laning   the lanes, which start those
          └─ writing   the journal, which feeds the lanes
             └─ front   the doors where events come in, and those beside them (the emulator's page); they stop first

So the end is the way of an event: each nursery is left when what feeds it has ended, and has the one deadline of the drain.

A worker that breaks takes the process down with its reason; a bad event or a bad enterprise never does: see the safety nets of the rooms.
"""

import logging
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import tzinfo

import attrs
import trio

from cache.directory import AmbiguousEnterprise, Directory
from gateway.calls.report import CallReport
from gateway.crm.base import CrmAdapter
from gateway.crm.owing import owed_of
from gateway.crm.registry import Crms
from gateway.metrics import Metrics
from gateway.nurseries.bots import Bots
from gateway.nurseries.clock import Clock
from gateway.nurseries.conversation import Conversation
from gateway.nurseries.delivery import Delivery
from gateway.nurseries.doors import Addresses, Doors, open_doors
from gateway.nurseries.enrichment import Enrichment
from gateway.nurseries.event import Events
from gateway.nurseries.janitor import keep_house
from gateway.nurseries.journal import Journal
from gateway.nurseries.lane_room import Calls, LaneRoom
from gateway.nurseries.lanes import Lanes
from gateway.nurseries.listener import Listener, Notices
from gateway.nurseries.lookups import Lookups, make_lookups
from gateway.nurseries.office import PostOffice
from gateway.nurseries.outbox import Outbox
from gateway.nurseries.patience import Patience
from gateway.nurseries.polls import Polls
from gateway.nurseries.recipients import Recipients
from gateway.nurseries.recordings import Recordings
from gateway.nurseries.refresh import keep_fresh
from gateway.ports import EnterpriseConfig, Owed, Store
from gateway.settings import BotUpdates
from telegram_client.api import BotApi

log = logging.getLogger(__name__)

# After the drain's deadline a request that is under way may still end, so that its message is recorded and not doubled at the next start.
# With what the front needs this stays within the three seconds that are promised beyond `drain_seconds`.
LAST_WORDS_SECONDS = 2.0
GAUGE_SECONDS = 5.0
MIGRATIONS_SECONDS = 1.0


@attrs.frozen(kw_only=True)
class Outside:
    """Everything the service needs that is not its own: adapters, settings, the web."""

    store: Store
    directory: Directory
    bots: Bots
    clock: Clock
    metrics: Metrics
    board_of: Callable[[tzinfo, Mapping[str, str]], Calls]
    notices: Notices
    poll_api_of: Callable[[str], BotApi]
    doors_of: Callable[["Running"], Doors]
    updates: BotUpdates = BotUpdates.POLLING
    public_base_url: str = ""
    drain_seconds: float
    retention_days: int
    crm_timeout_seconds: float
    enrichment_budget_seconds: float
    crms: Crms = attrs.field(factory=lambda: Crms({}))
    measure: Callable[[], None] = lambda: None
    patience: Patience = attrs.field(factory=Patience)
    jitter: Callable[[], float] = random.random


@attrs.define(kw_only=True, eq=False)
class Running:
    """The rooms of a running service, for the web and for those who watch. `addresses`: of the doors that are open by now."""

    journal: Journal
    lanes: Lanes
    delivery: Delivery
    outbox: Outbox
    lookups: Lookups
    enrichment: Enrichment
    polls: Polls
    listener: Listener
    recordings: Recordings
    addresses: dict[str, Sequence[str]] = attrs.field(factory=dict[str, Sequence[str]])
    replayed: bool = False
    listening: bool = False


@attrs.frozen(kw_only=True)
class Left:
    """What a shutdown left in the database for the next start.

    `is_exact` is false where more events than `left_events` may be there: the deadline came while somebody had yet to read or to write.
    """

    finished_events: int
    left_events: int
    is_exact: bool
    finished_cards: int
    left_cards: int
    finished_pushes: int
    left_pushes: int
    open_calls: int


class Service:
    """One gateway. `run` is its life; `stop` begins the end of it."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._stop = trio.Event()
        self.left: Left | None = None

    def stop(self) -> None:
        """Stop accepting, finish what is running within `drain_seconds`, leave the rest in the database. `run` returns then."""
        self._stop.set()

    async def run(self, *, task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED) -> None:
        """Started, with the addresses by door, when the configuration is read, all open calls are replayed and every door is open.

        Waits for the database as long as it takes. Cancelled: everything stops at once, and what is not done is in the database.
        """
        outside = self._outside
        async with trio.open_nursery() as workers:
            async with trio.open_nursery() as events:
                async with trio.open_nursery() as laning:
                    running = self._compose(events, laning)
                    await workers.start(running.lookups.run)
                    doors = outside.doors_of(running)
                    await open_doors(doors.inside, running.addresses, workers, trio.sleep_forever)
                    await self._start(running, workers)
                    async with trio.open_nursery() as writing:
                        await writing.start(running.journal.run)
                        async with trio.open_nursery() as front:
                            await open_doors(doors.beside, running.addresses, front, self._stop.wait)
                            await open_doors(doors.front, running.addresses, front, self._stop.wait)
                            running.listening = True
                            task_status.started(running.addresses)
                            await self._stop.wait()
                            deadline = trio.current_time() + outside.drain_seconds
                            running.listening = False
                            before = running.lanes.processed_events, running.delivery.settled_cards, running.outbox.settled_pushes
                            # The doors finish the requests they have let in; what those bring is still stored.
                        running.journal.close()
                        writing.cancel_scope.deadline = deadline
                    running.lanes.close()
                    laning.cancel_scope.deadline = deadline
                with trio.CancelScope(deadline=deadline):
                    await running.delivery.idle()
                    await running.outbox.drain()
                running.delivery.close()
                running.outbox.close()
                running.enrichment.close()
                events.cancel_scope.deadline = trio.current_time() + LAST_WORDS_SECONDS
            self.left = Left(
                finished_events=running.lanes.processed_events - before[0],
                left_events=running.lanes.left_events,
                # Of the batch that a cut journal was writing nobody knows; its hosts were not answered 200.
                is_exact=not running.lanes.behind and not writing.cancel_scope.cancelled_caught,
                finished_cards=running.delivery.settled_cards - before[1],
                left_cards=running.delivery.waiting_cards,
                finished_pushes=running.outbox.settled_pushes - before[2],
                left_pushes=running.outbox.waiting_pushes,
                open_calls=running.lanes.open_calls,
            )
            workers.cancel_scope.cancel()
        _tell(self.left, outside.metrics)

    def _compose(self, events: trio.Nursery, laning: trio.Nursery) -> Running:
        outside = self._outside
        recipients = Recipients(outside.store, patience=outside.patience)
        office = PostOffice(store=outside.store, clock=outside.clock, patience=outside.patience, metrics=outside.metrics)
        delivery = Delivery(office=office, bots=outside.bots, recipients=recipients, nursery=events)
        outbox = Outbox(
            store=outside.store,
            clock=outside.clock,
            patience=outside.patience,
            metrics=outside.metrics,
            adapter_of=lambda number, crm: _adapter_of(outside, number, crm),
            timeout_seconds=outside.crm_timeout_seconds,
            jitter=outside.jitter,
            nursery=events,
        )
        lookups = make_lookups(
            store=outside.store,
            directory=outside.directory,
            crms=outside.crms,
            clock=outside.clock,
            metrics=outside.metrics,
            crm_timeout_seconds=outside.crm_timeout_seconds,
        )
        enrichment = Enrichment(
            lookups=lookups, store=outside.store, metrics=outside.metrics, budget_seconds=outside.enrichment_budget_seconds
        )
        room = LaneRoom(
            store=outside.store,
            delivery=delivery,
            events=Events(delivery=delivery, recipients=recipients, enrichment=enrichment, nursery=events),
            clock=outside.clock,
            patience=outside.patience,
            board_of=outside.board_of,
            config_of=lambda number: _config_of(outside.directory, number),
            owed_of=lambda config, report: _owed_of(outside.crms, config, report),
            push=outbox.take,
            named_of=enrichment.named_of,
        )
        lanes = Lanes(room, laning)
        journal = Journal(outside.store, on_stored=lanes.put, on_doubt=lanes.look_again, metrics=outside.metrics)
        conversation = Conversation(
            store=outside.store,
            directory=outside.directory,
            bots=outside.bots,
            recipients=recipients,
            clock=outside.clock,
            patience=outside.patience,
        )
        polls = Polls(
            way=outside.updates,
            directory=outside.directory,
            conversation=conversation,
            api_of=outside.poll_api_of,
            jitter=outside.jitter,
            public_base_url=outside.public_base_url,
        )
        recordings = Recordings(
            store=outside.store, clock=outside.clock, patience=outside.patience, push=outbox.take, show=lanes.note_recording
        )
        listener = Listener(
            configurations=lookups.configurations,
            notices=outside.notices,
            patience=outside.patience,
            on_reload=(recipients.refresh_of, lambda _: polls.refresh()),
            on_refresh=(recipients.refresh, polls.refresh),
            on_connect=(lanes.look_everywhere, recordings.look_back),
            on_recorded=recordings.heard,
        )
        return Running(
            journal=journal,
            lanes=lanes,
            delivery=delivery,
            outbox=outbox,
            lookups=lookups,
            enrichment=enrichment,
            polls=polls,
            listener=listener,
            recordings=recordings,
        )

    async def _start(self, running: Running, workers: trio.Nursery) -> None:
        workers.start_soon(self._gauge, running)
        await self._await_migrations()
        await workers.start(running.listener.run)
        workers.start_soon(self._keep_fresh, running)
        await running.lanes.start()
        running.replayed = True
        workers.start_soon(running.outbox.run)
        workers.start_soon(running.recordings.run)
        workers.start_soon(running.polls.run)
        workers.start_soon(self._keep_house)

    async def _await_migrations(self) -> None:
        """A database that lacks tables is not ours to change here: `gateway migrate` is asked for, and waited for."""
        told = False
        while missing := await self._outside.patience.with_store("migrations", self._outside.store.missing_migrations):
            if not told:
                log.warning("the database lacks migrations (%s): waiting for `gateway migrate`", ", ".join(missing))
                told = True
            await trio.sleep(MIGRATIONS_SECONDS)

    async def _keep_fresh(self, running: Running) -> None:
        await keep_fresh(running.listener.refresh, jitter=self._outside.jitter)

    async def _keep_house(self) -> None:
        outside = self._outside
        await keep_house(outside.store, clock=outside.clock, retention_days=outside.retention_days)

    async def _gauge(self, running: Running) -> None:
        while True:
            self._outside.metrics.lanes_waiting(running.lanes.queued_events)
            self._outside.metrics.calls_open(running.lanes.open_calls)
            self._outside.metrics.pushes_waiting(running.outbox.waiting_pushes)
            self._outside.measure()
            await trio.sleep(GAUGE_SECONDS)


def _config_of(directory: Directory, number: str) -> EnterpriseConfig | None:
    try:
        config = directory.resolve(number)
    except AmbiguousEnterprise:
        return None
    # A number that is not configured any more may be the name of another enterprise.
    return config if config is not None and config.number == number else None


def _owed_of(crms: Crms, config: EnterpriseConfig, report: CallReport) -> Sequence[Owed]:
    return owed_of(crms.enabled(config), report)


def _adapter_of(outside: Outside, number: str, crm: str) -> CrmAdapter | None:
    """As `Crms.told`; None also when the enterprise is not configured any more."""
    config = _config_of(outside.directory, number)
    return outside.crms.told(config, crm) if config is not None else None


def _tell(left: Left, metrics: Metrics) -> None:
    metrics.drained("finished", left.finished_events + left.finished_cards + left.finished_pushes)
    metrics.drained("left", left.left_events + left.left_cards + left.left_pushes)
    log.info(
        "stopped: while stopping %d events were understood, %d cards brought and %d reports to CRMs settled; "
        "left in the database: %s%d events, %d cards, %d calls open, %d reports to CRMs",
        left.finished_events,
        left.finished_cards,
        left.finished_pushes,
        "" if left.is_exact else "at least ",
        left.left_events,
        left.left_cards,
        left.open_calls,
        left.left_pushes,
    )


@attrs.define(eq=False)
class _Life:
    """From the first signal to the exit code."""

    service: Service
    is_ready: bool = False
    exit_code: int = 0

    async def watch(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        is_first = True
        async for number in signals:
            name = signal.Signals(number).name
            if is_first and self.is_ready:
                log.info("%s: stopping", name)
                self.service.stop()
            else:
                log.warning("%s: stopping at once", name)
                self.exit_code = 0 if is_first else 128 + number
                scope.cancel()
            is_first = False


async def run_until_signalled(service: Service, *, on_ready: Callable[[Mapping[str, Sequence[str]]], None]) -> int:
    """Run the service until SIGTERM or SIGINT; the exit code of the process.

    The first signal begins the orderly end: 0. So does one before the service is ready, when there is nothing yet to be ended. A second one
    stops everything at once: 128 and its number, as a shell says it of a process that a signal has ended.
    """
    life = _Life(service)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life.watch, signals, nursery.cancel_scope)
            async with trio.open_nursery() as inner:
                addresses = await inner.start(service.run)
                life.is_ready = True
                on_ready(addresses)
            nursery.cancel_scope.cancel()
    return life.exit_code
