"""Every kind of call, told to every CRM: nothing goes wrong, or there is nobody at the other end for a while."""

import pytest
import trio
from trio.testing import MockClock

from tests.crm.conformance.calls import ANSWERED, CALLS
from tests.crm.conformance.rooms import open_room
from tests.crm.conformance.worlds import WORLDS, WorldMaker

EACH_WORLD = pytest.mark.parametrize("world_of", WORLDS, ids=lambda world_of: world_of.__name__)


@EACH_WORLD
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_stands_in_a_crm_once_and_right_in_every_field(
    name: str, world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_room(nursery, world_of) as room:
        assert await room.told(CALLS[name].script(starts_at=room.house.clock())) == []


@EACH_WORLD
async def test_calls_of_the_same_time_are_not_mixed_up(world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_room(nursery, world_of) as room:
        scripts = [call.script(starts_at=room.house.clock(), number=number) for number, call in enumerate(CALLS.values())]
        async with trio.open_nursery() as callers:
            for script in scripts:
                callers.start_soon(room.play, script)
        await room.settle()
        assert [mistake for script in scripts for mistake in room.mistakes(script, ())] == []
        assert (await room.dead(), await room.pending()) == ([], [])


@EACH_WORLD
async def test_a_crm_that_takes_no_connections_hears_of_a_call_when_it_does(
    world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_room(nursery, world_of) as room:
        room.internet.is_down = True

        async def heal() -> None:
            await trio.sleep(60)
            room.internet.is_down = False

        nursery.start_soon(heal)
        assert await room.told(CALLS[ANSWERED].script(starts_at=room.house.clock())) == []
        assert room.internet.refused >= 2


@EACH_WORLD
async def test_a_kill_at_any_moment_of_a_call_costs_nothing(world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    found: list[str] = []
    async with open_room(nursery, world_of) as room:
        room.world.fake.latency_seconds = 0.2

        async def kill(at: int) -> None:
            await room.world.fake.until(lambda: len(room.world.fake.requests) >= at)
            # In the middle of a request; what it asks for is carried out or not.
            await trio.sleep(0.1)
            await room.restart()

        for number in range(6):
            async with trio.open_nursery() as watch:
                watch.start_soon(kill, len(room.world.fake.requests) + 1 + number)
                await room.next_second()
                found += await room.told(CALLS[ANSWERED].script(starts_at=room.house.clock(), number=number))
                watch.cancel_scope.cancel()
    assert not found, "\n".join(found)
