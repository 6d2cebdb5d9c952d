"""Five hundred calls at once: the limits of each vendor are kept to the letter, and used as far as they are ours."""

from datetime import datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.ports import Owed
from tester.virtual import NUMBER
from tests.crm.conformance.facts import Ended, Name
from tests.crm.conformance.rooms import open_room
from tests.crm.conformance.world_bitrix24 import Bitrix24Application
from tests.crm.conformance.worlds import WORLDS, WorldMaker

BURST_CALLS = 500
LONGEST_SECONDS = 3600.0
# The two doors of Bitrix24 lead to the same limit.
WITH_LIMITS = [world_of for world_of in WORLDS if world_of.limit_name and world_of is not Bitrix24Application]


def missed(number: int, at: datetime) -> tuple[CallReport, CallReport]:
    """The ring and the end of a call that two have missed."""
    rung = CallReport(
        kind=ReportKind.DIAL,
        call_id=number,
        unique_id=f"1759310248.{number}",
        direction=Direction.INCOMING,
        phone=f"37529000{number:04}",
        line="0001363",
        extensions=("151", "152"),
        started_at=at,
    )
    times = {"ended_at": at + timedelta(seconds=20), "duration_seconds": 20, "talk_seconds": 0, "waiting_seconds": 20}
    return rung, attrs.evolve(rung, kind=ReportKind.HANGUP, **times)


@pytest.mark.parametrize("world_of", WITH_LIMITS, ids=lambda world_of: world_of.__name__)
async def test_a_burst_of_calls_breaks_no_limit_and_loses_no_call(
    world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_room(nursery, world_of) as room:
        world, outbox = room.world, room.process.running.outbox
        world.fake.latency_seconds = 0.05
        calls = [missed(number, room.house.clock()) for number in range(1, BURST_CALLS + 1)]
        owed = [Owed(crm=world.kind.value, report=report) for reports in zip(*calls, strict=True) for report in reports]
        outbox.take(await room.house.store.accept_owed(NUMBER, owed))
        await room.settle(LONGEST_SECONDS)
        assert (world.fake.violations.total(), outbox.waiting_pushes) == (0, 0)
        assert world.near <= world.fake.peaks[world.limit_name] <= 1.0
        assert max(world.fake.peaks.values()) <= 1.0
        for rung, ended in calls:
            (record,) = world.records(Name(unique_id=rung.unique_id, phone=rung.phone))
            assert (record.ended, record.phone, record.began_at) == (Ended.MISSED, ended.phone, rung.started_at)
        assert await room.dead() == []
