"""A gateway in virtual time with an emulator in its process: the network is a transport that hands webhooks to the journal."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import attrs
import httpx2 as httpx
import trio

from gateway.cards.board import Timing
from gateway.nurseries.clock import TrioClock
from gateway.ports import Attempt, EnterpriseConfig, IncomingEvent, ManagerConfig, PushState, Shown, Step
from tester.emulator.emulator import Emulator, Target
from tester.emulator.event_log import EventLog, silent_event_log
from tester.emulator.orders import LOCAL, Faults, Order, Pace
from tester.emulator.run import Run, RunEvent
from tester.emulator.watch import Watch, WatchedTelegram
from tester.fakes.telegram import FakeTelegram
from tester.memory import MemoryStore
from tester.player import Player
from tester.virtual import JUNE, NOON, House

URL = "http://gateway.test"
REMOTE = "http://elsewhere.test"
GRACE_SECONDS = Timing().closing_grace_seconds

FAMILY = attrs.evolve(
    JUNE,
    managers=(
        *JUNE.managers,
        ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь", personal_phone="375290009150"),
    ),
)
"""June with two managers; one of them has a mobile."""

Answerer = Callable[[httpx.Request], Awaitable[httpx.Response]]


class WatchedMemory(MemoryStore):
    """The store in memory, told on as `WatchedStore` does."""

    def __init__(self, watch: Watch, now: Callable[[], datetime]) -> None:
        super().__init__(now=now)
        self._watch = watch
        self.burial_errors: list[Exception] = []
        self.revival_errors: list[Exception] = []

    async def bury_recipient(self, *, bot_token: str, chat_id: int, reason: str, at: datetime) -> None:
        with self._watch.burials.burial(bot_token, chat_id, at):
            if self.burial_errors:
                raise self.burial_errors.pop(0)
            await super().bury_recipient(bot_token=bot_token, chat_id=chat_id, reason=reason, at=at)

    async def unbury_recipient(self, *, bot_token: str, chat_id: int, since: datetime, at: datetime) -> None:
        if self.revival_errors:
            raise self.revival_errors.pop(0)
        await super().unbury_recipient(bot_token=bot_token, chat_id=chat_id, since=since, at=at)

    async def commit_step(self, step: Step) -> None:
        await super().commit_step(step)
        self._watch.understood(step)

    async def record_shown(self, shown: Shown, *, mark_events: bool) -> None:
        await super().record_shown(shown, mark_events=mark_events)
        self._watch.shown(shown)

    async def record_attempt(self, attempt: Attempt) -> PushState:
        state = await super().record_attempt(attempt)
        self._watch.attempted(attempt)
        return state


@attrs.define(eq=False, kw_only=True)
class Stage:
    """What tests look at. `posted`: instants (virtual) and kinds of what reached the gateway. `answer_instead`: in the gateway's place."""

    house: House
    emulator: Emulator
    store: WatchedMemory
    watch: Watch
    enterprises: list[EnterpriseConfig]
    posted: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    bodies: list[Mapping[str, Any]] = attrs.field(factory=list[Mapping[str, Any]])
    answer_instead: Answerer | None = None
    life: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def live(self, *, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC114, ASYNC128  (the emulator says that it has started)
        """The emulator, until `end`."""
        with self.life:
            await self.emulator.run_all(task_status=task_status)
        self.ended.set()

    async def end(self) -> None:
        """What a shutdown does to the emulator."""
        self.life.cancel()
        await self.ended.wait()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody watches any more."""
        return not vars(self.watch)["_of_enterprise"] and not vars(self.watch)["_of_bot"]

    def order(self, pattern: str = "2-1", **changes: Any) -> Order:
        """An order with the values that are proposed."""
        values = dict(self.emulator.suggest(pattern, JUNE.number))
        order = Order(enterprise=JUNE.number, pattern=pattern, values=values, pace=Pace.FAST)
        return attrs.evolve(order, **changes)

    def start(self, pattern: str = "2-1", **changes: Any) -> Run:
        return self.emulator.start(self.order(pattern, **changes))

    async def play(self, pattern: str = "2-1", **changes: Any) -> Run:
        """Start a run and wait for its end."""
        run = self.start(pattern, **changes)
        await told(run)
        return run

    async def handle(self, request: httpx.Request) -> httpx.Response:
        kind = request.url.path.removeprefix("/")
        self.posted.append((trio.current_time(), kind))
        body = json.loads(request.content)
        self.bodies.append(body)
        if self.answer_instead is not None:
            return await self.answer_instead(request)
        return await self.take(request)

    async def take(self, request: httpx.Request) -> httpx.Response:
        """The front door."""
        body = json.loads(request.content)
        running = self.house.running
        assert running is not None
        text = json.dumps(body, ensure_ascii=False)
        event = IncomingEvent(
            enterprise_number=JUNE.number,
            kind=request.url.path.removeprefix("/"),
            unique_id=body["UniqueId"],
            raw_body=text,
            body_hash=sha256(text.encode()).digest(),
            received_at=self.house.clock(),
        )
        appended = await running.journal.submit(event).wait()
        return httpx.Response(200, json={"status": "ok", "event_id": appended.event_id, "duplicate": appended.duplicate})


@asynccontextmanager
async def open_stage(*, config: EnterpriseConfig = FAMILY, log: EventLog | None = None, can_block: bool = True) -> AsyncGenerator[Stage]:
    """A gateway that runs, and an emulator that takes orders; both end with the block."""
    watch, clock, telegram = Watch(), TrioClock(NOON), FakeTelegram()
    store = WatchedMemory(watch, clock)
    enterprises: list[EnterpriseConfig] = [config]
    stages: list[Stage] = []
    async with WatchedTelegram(watch, transport=telegram.transport()) as http, trio.open_nursery() as nursery:
        house = House(nursery=nursery, http=http, telegram=telegram, store=store, clock=clock)
        await house.configure(config)

        def player_of(url: str) -> Player:
            return Player(base_url=url, transport=httpx.MockTransport(stages[0].handle))

        emulator = Emulator(
            enterprises=lambda: enterprises,
            targets=lambda: (Target(address=LOCAL, url=URL, is_local=True), Target(address=REMOTE, url=REMOTE)),
            watch=watch,
            store=store,
            clock=clock,
            log=log or silent_event_log(),
            closing_grace_seconds=GRACE_SECONDS,
            can_block=can_block,
            seed_base=77,
            player_of=player_of,
        )
        stages.append(Stage(house=house, emulator=emulator, store=store, watch=watch, enterprises=enterprises))
        process = await house.start()
        await nursery.start(stages[0].live)
        yield stages[0]
        await process.stop()
        nursery.cancel_scope.cancel()


async def told(run: Run, after: int = 0) -> list[RunEvent]:
    """Everything that a run tells, until it is over."""
    return [event async for event in run.events(after)]


def kinds(events: Sequence[RunEvent]) -> list[str]:
    return [event.kind for event in events]


def of_kind(events: Sequence[RunEvent], kind: str) -> list[Mapping[str, Any]]:
    return [event.data for event in events if event.kind == kind]


NO_FAULTS = Faults()
