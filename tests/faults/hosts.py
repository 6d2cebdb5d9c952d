"""Calls for the fault tests: hosts that post until they hear 200, and what the chats owe for each call in the end."""

import itertools
import random
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import attrs
import httpx2 as httpx
import psycopg
import trio

from gateway.ports import EnterpriseConfig
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.fakes.telegram import FakeMessage, FakeTelegram
from tester.patterns import roles
from tester.patterns.pattern import Cast
from tester.patterns.short import SHORT_CALLS
from tester.pbx import Host, Posted, connect, fail, incoming, outgoing
from tester.player import AS_FAST_AS_POSSIBLE, Delivery, Player
from tests.faults.processes import RealGateway
from tests.playback import Playback

ZONE = ZoneInfo("Europe/Minsk")
STARTED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TRUNK = "0001363"
# Who is in a call, by the number of its extension: no shape has two of the same number.
_PEOPLE = (
    (roles.MANAGER, roles.CALLER),
    (roles.SECOND, roles.ALSO_RINGS_1, roles.CALLEE),
    (roles.ALSO_RINGS_2,),
)
# What a script plays in 12 seconds is posted in 1.5.
SPEED = 8.0
RETRY_SECONDS = 0.05
SHOWN_SECONDS = 60.0
# A real host gives up after three seconds; the rest is for a machine that does other things as well.
ANSWER_SECONDS = 10.0
# Numbers of calls go into extensions of four digits, three for each call.
MOST_CALLS = 3000


@attrs.frozen(kw_only=True)
class Call:
    """One call of one enterprise. `mark` is found in the messages of this call and in no others; `final` is the text that is owed."""

    house: EnterpriseConfig
    number: int
    script: tuple[Posted, ...]
    mark: re.Pattern[str]
    final: str


def _went_out(pbx: Host, cast: Cast) -> None:
    call = outgoing(pbx, cast[roles.MANAGER], cast[roles.PHONE], cast[roles.LINE])
    pbx.wait(4)
    connect(call)
    pbx.wait(6)
    call.end(by_customer=False)


def _went_out_in_vain(pbx: Host, cast: Cast) -> None:
    call = outgoing(pbx, cast[roles.MANAGER], cast[roles.PHONE], cast[roles.LINE])
    pbx.wait(5)
    fail(call)


def _passed_on_blindly(pbx: Host, cast: Cast) -> None:
    call = incoming(pbx, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=1)
    call.ring(cast[roles.MANAGER])
    pbx.wait(2)
    call.answer(cast[roles.MANAGER])
    pbx.wait(3)
    call.blind(cast[roles.SECOND], answered=True)
    pbx.wait(3)
    call.end()


SHAPES: tuple[Callable[[Host, Cast], None], ...] = (
    *(pattern.perform for pattern in SHORT_CALLS.values()),
    _went_out,
    _went_out_in_vain,
    _passed_on_blindly,
)


def make_call(house: EnterpriseConfig, number: int, shape: Callable[[Host, Cast], None]) -> Call:
    """Nobody in this call is in another one, so that messages can be told apart. `number` is that of the call among all calls."""
    assert number < MOST_CALLS
    phone, extensions = f"37529000{number:04d}", [str(1000 + 3 * number + at) for at in range(len(_PEOPLE))]
    values = {role.key: extension for people, extension in zip(_PEOPLE, extensions, strict=True) for role in people}
    cast = Cast(values={**values, roles.PHONE.key: phone, roles.LINE.key: TRUNK})
    pbx = Host(token=house.token, started_at=STARTED_AT, zone=ZONE, seed=1000 * number)
    shape(pbx, cast)
    playback = Playback()
    playback.play((posted.at_seconds, posted.kind, posted.body) for posted in pbx.posted)
    playback.wait_for_the_end()
    (final,) = playback.texts
    assert final[0] in "✅❌", final
    mark = "|".join((re.escape(cast.customer(phone)), *(rf"\b{extension}\b" for extension in extensions)))
    return Call(house=house, number=number, script=tuple(pbx.posted), mark=re.compile(mark), final=final)


@attrs.define(eq=False)
class Hosts:
    """Hosts that are not like the real ones: an event is posted again until it is answered 200, since only what was so answered counts.

    `deliveries`: every attempt. `calls`: what was begun. `on_accepted` is called after each 200.
    """

    gateway: RealGateway
    speed: float = SPEED
    on_accepted: Callable[[Delivery], None] = lambda _: None
    calls: list[Call] = attrs.field(factory=list[Call])
    deliveries: list[Delivery] = attrs.field(factory=list[Delivery])
    is_evening: bool = False
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def work(self, house: EnterpriseConfig, shapes: Iterable[Callable[[Host, Cast], None]]) -> None:
        """One call after another, in these shapes, until it is evening."""
        for shape in shapes:
            if self.is_evening:
                return
            await self.play(make_call(house, next(self._numbers), shape))

    async def play(self, call: Call) -> None:
        """Post one call, each event until it is taken."""
        self.calls.append(call)
        began = trio.current_time()
        for posted in call.script:
            await trio.sleep_until(began + posted.at_seconds / self.speed)
            await self._post(posted)

    async def until(self, seen: Callable[[], bool]) -> None:
        """Return as soon as `seen()` is true; it is asked again after every attempt to post."""
        while not seen():
            await self._changed.wait()

    @property
    def accepted(self) -> list[Delivery]:
        """What was answered 200."""
        return [delivery for delivery in self.deliveries if not delivery.error]

    @property
    def refused(self) -> list[Delivery]:
        """What was answered, but not with 200."""
        return [delivery for delivery in self.deliveries if delivery.error and delivery.status is not None]

    @property
    def unanswered(self) -> list[Delivery]:
        """What was not answered at all, or too late."""
        return [delivery for delivery in self.deliveries if delivery.status is None]

    async def _post(self, posted: Posted) -> None:
        while True:
            # A transport that does not read the certificates of the world: that would take longer than all the rest.
            transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
            url = await self.gateway.serving()
            player = Player(base_url=url, speed=AS_FAST_AS_POSSIBLE, timeout_seconds=ANSWER_SECONDS, transport=transport)
            (delivery,) = (await player.play([posted])).deliveries
            self.deliveries.append(delivery)
            self._changed.set()
            self._changed = trio.Event()
            if not delivery.error:
                self.on_accepted(delivery)
                return
            await trio.sleep(RETRY_SECONDS)


def any_shapes(die: random.Random) -> Iterator[Callable[[Host, Cast], None]]:
    """Calls of all shapes without end: every shape once, then again in another order."""
    while True:
        yield from die.sample(SHAPES, len(SHAPES))


async def configure(database_url: str, houses: Sequence[EnterpriseConfig]) -> None:
    """These are the enterprises of the database."""
    async with open_pool(database_url) as pool:
        await PostgresStore(pool).upsert_enterprises(houses)


def unshown(telegram: FakeTelegram, calls: Iterable[Call]) -> list[str]:
    """The finals that a chat does not have, now."""
    texts: dict[tuple[str, int], set[str]] = {}
    missing: list[str] = []
    for call, chat_id in _owed(calls):
        key = (call.house.number, chat_id)
        if key not in texts:
            texts[key] = {message.text for message in _messages(telegram, call.house, chat_id)}
        if call.final not in texts[key]:
            missing.append(f"call {call.number} in chat {chat_id} of {call.house.number}: {call.final!r}")
    return missing


def doubled(telegram: FakeTelegram, calls: Iterable[Call]) -> list[str]:
    """What the chats have of a call beyond one message."""
    found: list[str] = []
    for call, chat_id in _owed(calls):
        of_call = [message.text for message in _messages(telegram, call.house, chat_id) if call.mark.search(message.text)]
        # The right one is looked for elsewhere; here it does not matter which of them is the one too many.
        found += [f"call {call.number} in chat {chat_id} of {call.house.number}: {text!r}" for text in of_call[1:]]
    return found


def unrecorded(telegram: FakeTelegram, database_url: str) -> set[FakeMessage]:
    """Living messages that no table knows of: the gateway died between Telegram's acceptance and its record."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select bot_id, chat_id, message_id, superseded_message_id from telegram_messages").fetchall()
    known = {(bot_id, chat_id, message_id) for bot_id, chat_id, *message_ids in rows for message_id in message_ids}
    return {
        message
        for bot in telegram.bots.values()
        for chat in bot.chats.values()
        for message in chat.messages
        if (str(bot.bot_id), chat.chat_id, message.message_id) not in known
    }


def lost(database_url: str, accepted: Iterable[Delivery]) -> list[Delivery]:
    """What was answered 200 and is not in the database."""
    with psycopg.connect(database_url) as connection:
        stored = {event_id for (event_id,) in connection.execute("select id from call_events")}
    return [delivery for delivery in accepted if delivery.event_id not in stored]


async def settle(hosts: Hosts, telegram: FakeTelegram) -> None:
    """Every final comes to every chat that it is owed to; then the gateway is stopped in order, and has nothing to complain of."""
    gateway, calls = hosts.gateway, hosts.calls
    assert gateway.is_running, gateway.printed()
    with trio.move_on_after(SHOWN_SECONDS):
        await telegram.until(lambda: not unshown(telegram, calls))
    # Whatever is still to be deleted or corrected is so before it ends.
    gateway.send(signal.SIGTERM)
    assert await gateway.gone() == 0
    missing, complaints = unshown(telegram, calls), gateway.errors
    assert not missing, missing
    assert not complaints, "\n".join(complaints)


def _owed(calls: Iterable[Call]) -> Iterator[tuple[Call, int]]:
    return ((call, chat_id) for call in calls for chat_id in call.house.subscribers)


def _messages(telegram: FakeTelegram, house: EnterpriseConfig, chat_id: int) -> tuple[FakeMessage, ...]:
    return telegram.chat(house.bot_token, chat_id).messages
