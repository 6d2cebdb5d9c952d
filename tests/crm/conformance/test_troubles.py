"""Troubles of every kind with every CRM, for a while: no call is lost, none is doubled, none is told in another order than it happened."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from _pytest.mark import ParameterSet
from trio.testing import MockClock

from tests.crm.conformance.calls import ANSWERED, CALLS, RECORDED
from tests.crm.conformance.faults import TROUBLES, Trouble
from tests.crm.conformance.rooms import Room, open_room
from tests.crm.conformance.world import World
from tests.crm.conformance.world_bitrix24 import Bitrix24Application
from tests.crm.conformance.worlds import WORLDS, WorldMaker

# Each of these leaves something else behind, on the way and in the CRM; the others are like one of them.
WORST = ("too many requests, with a wish", "a reset", "no answer", "no answer after it was carried out", "garbage after it was carried out")
# Of one call, with all that is asked once more.
MOST_REQUESTS = 20
# Those that a CRM may take for others, or count otherwise.
TOLD = tuple(name for name in CALLS if name not in (ANSWERED, "incoming, missed by the only one", "outgoing, busy"))


# What is behind the two doors of Bitrix24 is the same.
ONE_DOOR = tuple(world_of for world_of in WORLDS if world_of is not Bitrix24Application)


def rows(*names: str, worlds: Sequence[type[World[Any]]] = WORLDS) -> list[ParameterSet]:
    """Worlds by troubles; each row has its name."""
    found = [(world_of, name) for world_of in worlds for name in names if world_of.kind not in TROUBLES[name].spares]
    return [pytest.param(world_of, TROUBLES[name], id=f"{world_of.__name__}: {name}") for world_of, name in found]


async def assert_no_secrets(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """In no line of the log, in no row of `integration_logs`, in no reason that an administrator reads."""
    texts = [caplog.text, *map(repr, await room.logs()), *map(repr, await room.dead())]
    assert not [secret for secret in room.world.secrets if any(secret in text for text in texts)]


@pytest.mark.parametrize(("world_of", "trouble"), rows(*TROUBLES, worlds=ONE_DOOR))
async def test_no_call_is_lost_or_doubled_when_the_telling_of_its_end_goes_wrong(
    world_of: WorldMaker, trouble: Trouble, nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    found: list[str] = []
    async with open_room(nursery, world_of) as room:
        for number, name in enumerate(TOLD):
            fault = trouble.plan(room.world, where=room.world.makes_the_record)
            await room.next_second()
            found += [f"{name}: {each}" for each in await room.told(CALLS[name].script(starts_at=room.house.clock(), number=number))]
            assert fault.met == 1, name
        requests = len(room.world.fake.requests)
        await trio.sleep(400)
        assert len(room.world.fake.requests) == requests
        await assert_no_secrets(room, caplog)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("world_of", "trouble"), rows(*WORST))
async def test_no_call_is_lost_or_doubled_whichever_of_its_requests_goes_wrong(
    world_of: WorldMaker, trouble: Trouble, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    found: list[str] = []
    requests = 0
    async with open_room(nursery, world_of) as room:
        for number in range(MOST_REQUESTS):
            fault = trouble.plan(room.world, skip=number, where=room.world.is_telling)
            await room.next_second()
            script = CALLS[RECORDED].script(starts_at=room.house.clock(), number=number)
            found += [f"request {number}: {each}" for each in await room.told(script)]
            if not fault.met:
                break
            requests += 1
        assert 1 < requests < MOST_REQUESTS
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("world_of", "trouble"), rows(*WORST))
async def test_all_is_told_after_a_minute_in_which_nothing_works(
    world_of: WorldMaker, trouble: Trouble, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_room(nursery, world_of) as room:

        async def heal() -> None:
            await trio.sleep(60)
            room.world.fake.heal()

        trouble.plan(room.world, times=None, where=room.world.is_telling)
        nursery.start_soon(heal)
        assert await room.told(CALLS[ANSWERED].script(starts_at=room.house.clock())) == []
