"""What a CRM refuses for good: it is given up at once, with words for the administrator, and nobody is asked again."""

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import ReportKind
from tester.fakes.crm_faults import FaultKind
from tester.virtual import NUMBER
from tests.crm.conformance.calls import ANSWERED, CALLS
from tests.crm.conformance.facts import Answer
from tests.crm.conformance.rooms import open_room
from tests.crm.conformance.test_troubles import assert_no_secrets
from tests.crm.conformance.worlds import WORLDS, WorldMaker

EACH_WORLD = pytest.mark.parametrize("world_of", WORLDS, ids=lambda world_of: world_of.__name__)
HOUR_SECONDS = 3600.0


@EACH_WORLD
async def test_a_wrong_key_is_told_once_and_a_right_one_brings_the_call(
    world_of: WorldMaker, nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_room(nursery, world_of, is_wrong=True) as room:
        world = room.world
        script = CALLS[ANSWERED].script(starts_at=room.house.clock())
        await room.play(script)
        await room.settle()
        requests = len(world.fake.requests)
        dead = {push.key.kind: push for push in await room.dead()}
        assert set(dead) == {ReportKind.DIAL, ReportKind.HANGUP}
        assert {(push.attempts, push.outcome, push.fault) for push in dead.values()} == {(1, "permanent", "ours")}
        assert all(push.reason and push.advice for push in dead.values())
        await trio.sleep(HOUR_SECONDS)
        assert len(world.fake.requests) == requests
        assert not world.records(script.name)
        await room.change(world.settings)
        await room.process.running.outbox.revive(NUMBER)
        await room.settle()
        assert list(room.mistakes(script, ())) == []
        assert await room.dead() == []
        await assert_no_secrets(room, caplog)


REFUSALS = [pytest.param(world_of, number, id=f"{world_of.__name__}: {number}") for world_of in WORLDS for number in range(2)]


@pytest.mark.parametrize(("world_of", "number"), REFUSALS)
async def test_a_report_that_a_crm_refuses_is_given_up_at_once_and_holds_up_no_other(
    world_of: WorldMaker, number: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_room(nursery, world_of) as room:
        world = room.world
        answer = world.refusals[min(number, len(world.refusals) - 1)]
        fault = world.fake.fail(FaultKind.ANSWER, times=None, where=world.makes_the_record, **_said(answer))
        refused = CALLS[ANSWERED].script(starts_at=room.house.clock())
        await room.play(refused)
        await room.settle()
        (dead,) = await room.dead()
        assert (dead.key.kind, dead.attempts, dead.outcome) == (ReportKind.HANGUP, 1, "permanent")
        assert dead.reason
        assert dead.advice
        met = fault.met
        await trio.sleep(HOUR_SECONDS)
        assert fault.met == met
        world.fake.heal()
        await room.next_second()
        script = CALLS[ANSWERED].script(starts_at=room.house.clock(), number=1)
        assert [each for each in await room.told(script) if "cards" not in each] == []


def _said(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "body": answer.body, "content_type": answer.content_type, "headers": answer.headers}
