"""kill -9 of the gateway at moments that hurt: no final is lost, and no kill doubles more than one message."""

import random
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path

import attrs
import pytest
import trio

from tester.fakes.telegram import Change, ChangeKind, FakeMessage, FakeTelegram, serve_fake_telegram
from tester.player import Delivery
from tester.running import enterprise
from tests.faults.hosts import Hosts, any_shapes, configure, doubled, lost, settle, unrecorded
from tests.faults.processes import RealGateway, real_gateway

# Five chats. New messages go one at a time, but whoever has waited a second for the turn goes ahead without it
# (`gateway.nurseries.office.Turn`): with many more chats, or a slow Telegram, a kill may double more than one message.
HOUSES = (enterprise(1, chats=(1001, 1002), final="edit"), enterprise(2, chats=(1001, 1002, 1003), final="replace"))
MOMENT_SECONDS = 10.0
MOST_MOMENTS = 10
# What a restart begins with is over by then, even on a slow machine.
START_SECONDS = 3.0


class Moment(Enum):
    """When the gateway dies. SENT, EDITED, DELETED: Telegram has just done it, and its answer is never heard. ANSWERED, HUNG_UP: an event,
    or the last one of a call, is promised and not yet shown.
    """

    SENT = auto()
    EDITED = auto()
    DELETED = auto()
    ANSWERED = auto()
    HUNG_UP = auto()
    STARTING = auto()


_MOMENT_OF_CHANGE = {ChangeKind.SENT: Moment.SENT, ChangeKind.EDITED: Moment.EDITED, ChangeKind.DELETED: Moment.DELETED}


@attrs.define(eq=False)
class Reaper:
    """Kills the gateway in the middle of what the others do."""

    gateway: RealGateway
    _moment: Moment | None = None
    _left: int = 0
    _struck: trio.Event = attrs.field(factory=trio.Event)

    async def strike(self, moment: Moment, after: int) -> None:
        """Kill it when the moment has come so many times, or in the middle of nowhere when it does not come."""
        self._moment, self._left, self._struck = moment, after, trio.Event()
        with trio.move_on_after(MOMENT_SECONDS):
            await self._struck.wait()
        self._moment = None
        self.gateway.kill()

    def see(self, moment: Moment) -> None:
        """Something has happened."""
        if moment is self._moment:
            self._left -= 1
            if self._left <= 0:
                self.gateway.kill()
                self._moment = None
                self._struck.set()

    def see_accepted(self, delivery: Delivery) -> None:
        """An event was answered 200."""
        self.see(Moment.HUNG_UP if delivery.posted.kind == "hangup" else Moment.ANSWERED)

    def see_change(self, change: Change) -> None:
        """Telegram has shown something to somebody."""
        self.see(_MOMENT_OF_CHANGE[change.kind])


async def _survive(database_url: str, directory: Path, moments: Sequence[Moment], die: random.Random) -> None:
    await configure(database_url, HOUSES)
    telegram = FakeTelegram()
    async with serve_fake_telegram(telegram) as telegram_url, real_gateway(database_url, directory, telegram_url) as gateway:
        reaper = Reaper(gateway)
        telegram.on_change.append(reaper.see_change)
        hosts = Hosts(gateway, on_accepted=reaper.see_accepted)
        cut_off: set[FakeMessage] = set()
        await gateway.start()
        async with trio.open_nursery() as nursery:
            for house in HOUSES:
                nursery.start_soon(hosts.work, house, any_shapes(random.Random(die.random())))
            for moment in moments:
                await _die(gateway, reaper, moment, die)
                cut_off |= unrecorded(telegram, database_url)
                await gateway.start()
            hosts.is_evening = True
        await settle(hosts, telegram)
        assert lost(database_url, hosts.accepted) == []
        # Doubled is what was cut off in the very moment of a kill, and nothing else; and that is one message for each.
        beyond = unrecorded(telegram, database_url)
        assert len(doubled(telegram, hosts.calls)) == len(beyond)
        assert beyond <= cut_off
        assert len(beyond) <= len(moments), beyond


async def _die(gateway: RealGateway, reaper: Reaper, moment: Moment, die: random.Random) -> None:
    if moment is Moment.STARTING:
        gateway.kill()
        await gateway.gone()
        with trio.move_on_after(die.uniform(0.0, START_SECONDS)):
            await gateway.start()
        gateway.kill()
    else:
        await reaper.strike(moment, after=die.randint(1, 2 if moment is Moment.HUNG_UP else MOST_MOMENTS))
    await gateway.gone()


async def test_kills_lose_no_final_and_double_one_message_each_at_most(migrated_url: str, tmp_path: Path) -> None:
    await _survive(migrated_url, tmp_path, (Moment.HUNG_UP, Moment.SENT), random.Random(2))


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [1, 2])
async def test_thirty_kills_of_all_kinds_do_no_more_harm(migrated_url: str, tmp_path: Path, seed: int) -> None:
    die = random.Random(seed)
    await _survive(migrated_url, tmp_path, die.choices(list(Moment), k=30), die)
