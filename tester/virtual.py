"""A whole gateway in virtual time: the real service and its rooms, the store in memory, a Telegram without sockets, no doors."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import attrs
import trio

from cache.directory import Directory
from gateway.calls.recording import RecordedCall
from gateway.cards.board import Board, Timing
from gateway.crm.registry import Crms
from gateway.metrics import Metrics
from gateway.nurseries.bots import Bot, Bots, careful_limits
from gateway.nurseries.clock import TrioClock
from gateway.nurseries.doors import Doors
from gateway.nurseries.journal import Ticket
from gateway.nurseries.listener import Notice, Notices
from gateway.nurseries.patience import Patience
from gateway.nurseries.service import Outside, Running, Service
from gateway.ports import EnterpriseConfig, IncomingEvent, LineConfig, ManagerConfig, Store
from gateway.settings import BotUpdates
from telegram_client.api import BotApi
from telegram_client.http import HttpClient
from tester.fakes.telegram import FakeMessage, FakeTelegram
from tester.host import Host, Posted
from tester.memory import MemoryStore
from tester.story import tell

NOON = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
BOT = "123456:TEST"
NUMBER = "0367"
HOST = "375290000367"
JUNE = EnterpriseConfig(
    number=NUMBER,
    name="june",
    token=HOST,
    bot_token=BOT,
    lines=(LineConfig(line_id="0001363", name="A1 основная"),),
    managers=(ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна"),),
    subscribers=(1001,),
)


class Claims(Protocol):
    """The fixture `expected_errors` of `tester.fixtures`, as its tests see it."""

    def claim(self, fragment: str) -> list[logging.LogRecord]:
        """Takes out the ERROR records that contain the fragment; there must be one."""
        ...


@attrs.define(eq=False)
class Process:
    """One run of the gateway. `kill` is what `kill -9` is: nothing gets to say a last word that a shield does not give it."""

    service: Service
    running: Running
    scope: trio.CancelScope
    ended: trio.Event

    async def kill(self) -> None:
        self.scope.cancel()
        await self.ended.wait()

    async def stop(self) -> None:
        self.service.stop()
        await self.ended.wait()


@attrs.define(eq=False, kw_only=True)
class House:
    """What outlives a process: the store and Telegram. `start` runs a gateway on them."""

    nursery: trio.Nursery
    http: HttpClient
    telegram: FakeTelegram
    store: MemoryStore
    clock: TrioClock
    drain_seconds: float = 10.0
    updates: BotUpdates = BotUpdates.OFF
    timing: Timing = attrs.field(factory=Timing)
    crms: Crms = attrs.field(factory=lambda: Crms({}))
    crm_timeout_seconds: float = 2.0
    enrichment_budget_seconds: float = 0.3
    seen_store: Store | None = None
    directory: Directory = attrs.field(factory=Directory)
    notify: trio.Event = attrs.field(factory=trio.Event)
    changed: list[Notice] = attrs.field(factory=list[Notice])
    board: type[Board] = Board
    notices: Notices | None = None
    doors: Doors = attrs.field(factory=lambda: Doors(front={}, inside={}))
    running: Running | None = None
    opened: datetime = attrs.field(init=False)
    opened_seconds: float = attrs.field(init=False, factory=trio.current_time)

    def __attrs_post_init__(self) -> None:
        self.opened = self.clock()

    async def configure(self, *enterprises: EnterpriseConfig) -> None:
        await self.store.upsert_enterprises(enterprises)
        self.tell(*(enterprise.number for enterprise in enterprises))

    def tell(self, *numbers: str) -> None:
        """A notice of a change of each of these enterprises, as the triggers of the database give it; "" is that of a truncation."""
        self.changed += numbers
        self.notify.set()

    async def write_record_url(self, url: str, *, call_id: int | None = None) -> None:
        """What the recording service does: the link of a call (the newest) into the table, of which the trigger tells."""
        if call_id is None:
            [newest] = await self.store.calls(NUMBER, limit=1)
            call_id = newest.call_id
        self.store.record_urls[NUMBER, call_id] = url
        self.changed.append(RecordedCall(NUMBER, call_id))
        self.notify.set()

    def service(self) -> Service:
        """A gateway that nobody runs yet."""

        def doors_of(running: Running) -> Doors:
            self.running = running
            return self.doors

        return Service(
            Outside(
                store=self.seen_store or self.store,
                directory=self.directory,
                bots=Bots(lambda token: Bot(BotApi(token, self.http, "http://telegram.test"), careful_limits())),
                clock=self.clock,
                metrics=Metrics(),
                board_of=lambda zone, rules: self.board(zone=zone, line_rules=rules, timing=self.timing),
                notices=self.notices or self._notices,
                poll_api_of=lambda token: BotApi(token, self.http, "http://telegram.test"),
                doors_of=doors_of,
                updates=self.updates,
                public_base_url="https://gateway.test",
                drain_seconds=self.drain_seconds,
                retention_days=90,
                crm_timeout_seconds=self.crm_timeout_seconds,
                enrichment_budget_seconds=self.enrichment_budget_seconds,
                crms=self.crms,
                patience=Patience(jitter=lambda: 1.0),
                jitter=lambda: 1.0,
            )
        )

    async def start(self) -> Process:
        """Run a gateway until it is killed or stopped. On return it is ready."""
        service = self.service()
        scope, ready, ended = trio.CancelScope(), trio.Event(), trio.Event()

        async def live() -> None:
            with scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(service.run)
                    ready.set()
            ended.set()

        self.nursery.start_soon(live)
        await ready.wait()
        assert self.running is not None
        return Process(service, self.running, scope, ended)

    @asynccontextmanager
    async def _notices(self) -> AsyncGenerator[AsyncIterable[Notice]]:
        async def each() -> AsyncGenerator[Notice]:
            while True:
                await self.notify.wait()
                self.notify = trio.Event()
                changed, self.changed = self.changed, []
                for notice in changed:
                    yield notice

        notices = each()
        try:
            yield notices
        finally:
            await notices.aclose()

    async def post(self, kind: str, unique_id: str = "1.1", *, number: str = NUMBER, **fields: Any) -> int:
        """What the front door does with an event: stored for certain when this returns."""
        return (await self.submit(kind, unique_id, number=number, **fields).wait()).event_id

    def submit(self, kind: str, unique_id: str = "1.1", *, number: str = NUMBER, **fields: Any) -> Ticket:
        """Hand an event to the journal and do not wait."""
        assert self.running is not None
        return self.running.journal.submit(self.event(kind, unique_id, number=number, **fields))

    def event(self, kind: str, unique_id: str = "1.1", *, number: str = NUMBER, **fields: Any) -> IncomingEvent:
        """A webhook that arrives now."""
        return webhook(kind, unique_id, at=self.clock(), number=number, **fields)

    async def ring(self, unique_id: str = "1.1", **fields: Any) -> None:
        """A call comes in and rings at 151."""
        await self.post("start", unique_id, **fields)
        await self.post("dial", unique_id, Extensions=["151"], **fields)

    async def hang_up(self, unique_id: str = "1.1", *, status: str = "2", seconds: int = 65, **fields: Any) -> int:
        times = {"DateReceived": "2025-10-01 12:00:00", "StartTime": "2025-10-01 12:00:00"}
        end = f"2025-10-01 12:{seconds // 60:02}:{seconds % 60:02}"
        return await self.post("hangup", unique_id, CallStatus=status, Extensions=["151"], **times, EndTime=end, **fields)

    def host(self, *, seed: int = 0, linkedid: bool = False) -> Host:
        """A PBX of June's whose calls begin now. Several calls at once need seeds that are a thousand apart: UniqueIds come of them."""
        return Host(token=HOST, started_at=self.clock(), zone=ZoneInfo(JUNE.timezone), seed=seed, linkedid=linkedid)

    async def play(self, script: Iterable[Posted]) -> None:
        """A whole call (`tester.pbx`, `tester.patterns`): each webhook at its second, counted from now. All are stored on return."""
        assert self.running is not None
        began = trio.current_time()
        for posted in script:
            await trio.sleep_until(began + posted.at_seconds)
            event = stored_form(posted.body, posted.kind, at=self.clock())
            await self.running.journal.submit(event).wait()

    def story(self) -> str:
        """What happened until now, a line each in the order of time. The fixture `house` shows it with a test that fails."""
        return tell(store=self.store, telegram=self.telegram, began=self.opened, began_seconds=self.opened_seconds)

    def texts(self, chat_id: int = 1001) -> list[str]:
        """First lines of the living messages of a chat."""
        return [message.text.split("\n")[0] for message in self.telegram.living(chat_id)]

    def messages(self, chat_id: int = 1001, bot: str = BOT) -> tuple[FakeMessage, ...]:
        """All messages ever sent to a chat."""
        return self.telegram.chat(bot, chat_id).all_messages

    def requests(self, method: str | None = None) -> int:
        return sum(1 for request in self.telegram.requests if method in (None, request.method))


def webhook(kind: str, unique_id: str, *, at: datetime, number: str = NUMBER, **fields: Any) -> IncomingEvent:
    """An event of an incoming call on line 0001363, as the front door makes it of a body."""
    body: dict[str, Any] = {"Token": HOST, "UniqueId": unique_id, "Phone": "375290001234", "CallType": 0, "Trunk": "0001363", **fields}
    return stored_form(body, kind, at=at, number=number)


def stored_form(body: Mapping[str, Any], kind: str, *, at: datetime, number: str = NUMBER) -> IncomingEvent:
    """What the front door makes of a body."""
    text = json.dumps(dict(body), ensure_ascii=False)
    return IncomingEvent(
        enterprise_number=number,
        kind=kind,
        unique_id=str(body["UniqueId"]),
        raw_body=text,
        body_hash=sha256(text.encode()).digest(),
        received_at=at,
    )


@asynccontextmanager
async def open_house(nursery: trio.Nursery) -> AsyncGenerator[House]:
    """A house with one enterprise and one subscriber, nothing running yet. `nursery` is where its processes live."""
    telegram, clock = FakeTelegram(), TrioClock(NOON)
    async with HttpClient(transport=telegram.transport()) as http:
        house = House(nursery=nursery, http=http, telegram=telegram, store=MemoryStore(now=clock), clock=clock)
        await house.configure(JUNE)
        yield house
