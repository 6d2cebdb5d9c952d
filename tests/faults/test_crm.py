"""kill -9 and SIGTERM around a push to a CRM: the CRM hears of everything, and knows a repetition by its id."""

import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import psycopg
import pytest
import trio

from gateway.nurseries.desk import PLACES
from gateway.ports import EnterpriseConfig
from tester.fakes.own_crm import Fault, FaultKind, OwnCrmReceiver, serve_own_crm
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram
from tester.running import enterprise
from tests.faults.hosts import SHAPES, Hosts, any_shapes, configure, make_call, settle
from tests.faults.processes import LOOK_SECONDS, RealGateway, real_gateway

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ANSWERED = SHAPES[0]
# A push, on a machine that does other things as well; and a retry after it, which comes after 10 to 20 seconds.
PUSHED_SECONDS = 60.0
DRAIN_SECONDS = 5.0


@attrs.define(eq=False)
class World:
    """A gateway whose one enterprise has a CRM of its own, and the hosts that post to it."""

    gateway: RealGateway
    receiver: OwnCrmReceiver
    telegram: FakeTelegram
    house: EnterpriseConfig
    hosts: Hosts
    database_url: str

    async def until_pushed(self, items: int) -> None:
        with trio.fail_after(PUSHED_SECONDS):
            await self.receiver.until(lambda: len(self.receiver.events) >= items)

    async def until_heard(self, items: int) -> None:
        """So many requests have come to the CRM, answered or not."""
        with trio.fail_after(PUSHED_SECONDS):
            await self.receiver.until(lambda: len(self.receiver.deliveries) >= items)

    async def until_recorded(self) -> None:
        """Nothing is pending any more. There is nothing to wait on but the table."""
        with trio.fail_after(PUSHED_SECONDS):
            while True:
                if all(state != "pending" for _, state in self.states()):
                    return
                await trio.sleep(LOOK_SECONDS)

    async def die(self) -> None:
        self.gateway.kill()
        await self.gateway.gone()

    def ids(self) -> Counter[str]:
        """How often the CRM has taken, or had offered again, what it knows by each id."""
        return Counter(delivery.webhook_id for delivery in self.receiver.deliveries if not delivery.problem)

    def states(self) -> list[tuple[str, str]]:
        """What the outbox holds of each report: kind and state."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute("select kind, state from crm_outbox order by kind").fetchall()


@asynccontextmanager
async def open_world(database_url: str, directory: Path) -> AsyncGenerator[World]:
    receiver, telegram = OwnCrmReceiver(SECRET), FakeTelegram()
    async with serve_own_crm(receiver) as crm_url, serve_fake_telegram(telegram) as telegram_url:
        house = attrs.evolve(enterprise(1), integrations={"own": {"enabled": True, "url": crm_url, "secret": SECRET}})
        await configure(database_url, [house])
        settings = {"allow_private_targets": "true", "drain_seconds": str(DRAIN_SECONDS)}
        async with real_gateway(database_url, directory, telegram_url, **settings) as gateway:
            await gateway.start()
            yield World(gateway, receiver, telegram, house, Hosts(gateway), database_url)


async def test_what_was_committed_and_not_taken_by_the_crm_is_pushed_once_after_a_kill(migrated_url: str, tmp_path: Path) -> None:
    async with open_world(migrated_url, tmp_path) as world:
        # The first request comes in, and nothing is taken from it.
        world.receiver.fail(Fault(kind=FaultKind.HANG))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.hosts.play, make_call(world.house, 1, ANSWERED))
            await world.until_heard(1)
            await world.die()
            assert ("dial", "pending") in world.states()
            await world.gateway.start()
        await world.until_pushed(2)
        await settle(world.hosts, world.telegram)
        assert sorted(world.ids().values()) == [1, 1]
        assert world.states() == [("dial", "done"), ("hangup", "done")]
        assert world.receiver.deliveries[0].webhook_id in world.ids()


async def test_what_the_crm_took_and_nobody_recorded_is_offered_again_under_the_same_id(migrated_url: str, tmp_path: Path) -> None:
    async with open_world(migrated_url, tmp_path) as world:
        world.receiver.fail(Fault(kind=FaultKind.HANG, accepts=True))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.hosts.play, make_call(world.house, 1, ANSWERED))
            await world.until_heard(1)
            await world.die()
            await world.gateway.start()
        await world.until_pushed(2)
        await settle(world.hosts, world.telegram)
        assert sorted(world.ids().values()) == [1, 2]
        assert [event["type"] for event in world.receiver.events] == ["call.dial", "call.hangup"]
        assert world.states() == [("dial", "done"), ("hangup", "done")]


async def test_a_stop_waits_for_the_answer_of_the_crm(migrated_url: str, tmp_path: Path) -> None:
    async with open_world(migrated_url, tmp_path) as world:
        call = make_call(world.house, 1, ANSWERED)
        await world.hosts.play(call)
        await world.until_pushed(2)
        world.receiver.fail(Fault(kind=FaultKind.DELAY, delay_seconds=1.0))
        seen = len(world.hosts.accepted)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.hosts.play, make_call(world.house, 2, ANSWERED))
            with trio.fail_after(PUSHED_SECONDS):
                # Start and dial: the push of the ring is under way, or about to be.
                await world.hosts.until(lambda: len(world.hosts.accepted) >= seen + 2)
            world.gateway.send(signal.SIGTERM)
            assert await world.gateway.gone() == 0
            assert ("dial", "pending") not in world.states()
            await world.gateway.start()
        await world.until_pushed(4)
        await settle(world.hosts, world.telegram)
        assert sorted(world.ids().values()) == [1, 1, 1, 1]


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_at_any_moment_lose_no_report(migrated_url: str, tmp_path: Path, seed: int) -> None:
    die = random.Random(seed)
    async with open_world(migrated_url, tmp_path) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(world.hosts.work, world.house, any_shapes(random.Random(die.random())))
            for kills in range(1, 11):
                await world.until_heard(len(world.receiver.deliveries) + die.randint(1, 5))
                await world.die()
                # At most what was under way is offered again.
                assert sum(times - 1 for times in world.ids().values()) <= PLACES * kills
                await world.gateway.start()
            world.hosts.is_evening = True
        await world.until_recorded()
        await settle(world.hosts, world.telegram)
        assert {state for _, state in world.states()} == {"done"}
        assert len(world.states()) == len(world.receiver.events) == len(world.ids())
        order = [(event["data"]["call_id"], event["type"]) for event in world.receiver.events]
        rings = {call_id: at for at, (call_id, kind) in enumerate(order) if kind == "call.dial"}
        assert all(rings.get(call_id, -1) < at for at, (call_id, kind) in enumerate(order) if kind == "call.hangup")
