"""U-ON behind the outbox: one record for a call, also when tries are cut off, answers are lost or the process is killed."""

from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmKind
from tester.fakes.crm_faults import FaultKind
from tester.virtual import NUMBER
from tests.crm.test_uon_delivery import HISTORY, PAGE, RECORD
from tests.crm.told import RUNG
from tests.crm.travel import TALKED, Travel, open_travel
from tests.nurseries.outboxes import Life, PostRoom, open_post_room

DIAL_AND_END = (RUNG, TALKED)


@pytest.fixture
async def travel(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[Travel]:
    async with open_travel(nursery) as travel:
        yield travel


@pytest.fixture
def room(nursery: trio.Nursery, travel: Travel) -> PostRoom:
    room = open_post_room(nursery)
    room.crms[NUMBER, CrmKind.UON.value] = travel.adapter()
    return room


async def put(life: Life) -> None:
    await life.put(*DIAL_AND_END, crm=CrmKind.UON)


async def test_dial_and_end_arrive_in_this_order(travel: Travel, room: PostRoom, autojump_clock: MockClock) -> None:
    life = await room.start()
    await put(life)
    await trio.sleep(10)
    assert (sorted(travel.told), travel.calls()) == ([5, 6], [RECORD])
    assert [received.request.path.rsplit("/", 1)[0].rpartition("/")[2] for received in travel.fake.requests][-1] == "call_history"
    assert await room.pending() == await room.dead() == []


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_record_whose_answer_never_comes_stands_there_once(
    travel: Travel, room: PostRoom, autojump_clock: MockClock, accepted: bool
) -> None:
    travel.fake.fail(FaultKind.HANG, path=HISTORY, accepted=accepted)
    life = await room.start()
    await put(life)
    await trio.sleep(300)
    assert travel.calls() == [RECORD]
    assert await room.pending() == await room.dead() == []
    assert [log.error_message for log in await room.logs()][1] == "no answer in time"


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_process_that_is_killed_while_it_waits_leaves_one_record(
    travel: Travel, room: PostRoom, autojump_clock: MockClock, accepted: bool
) -> None:
    travel.fake.fail(FaultKind.HANG, path=HISTORY, accepted=accepted)
    life = await room.start()
    await put(life)
    await travel.fake.until(lambda: bool(travel.fake.received(HISTORY)))
    await trio.sleep(0.5)
    await life.kill()
    assert [push.attempts for push in await room.pending()] == [0]
    await trio.sleep(5)
    await room.start()
    await trio.sleep(60)
    assert travel.calls() == [RECORD]
    assert len(travel.fake.received(PAGE)) == 1


async def test_what_was_given_up_and_is_revived_is_looked_for_first(travel: Travel, room: PostRoom, autojump_clock: MockClock) -> None:
    travel.fake.fail(FaultKind.CLOSE, path=HISTORY, accepted=True)
    travel.fake.fail(FaultKind.ANSWER, path=PAGE, status=403, times=1)
    life = await room.start()
    await life.put(attrs.evolve(TALKED, recovered=True), crm=CrmKind.UON)
    await trio.sleep(300)
    (dead,) = await room.dead()
    assert "GET" in dead.advice
    await life.outbox.revive(NUMBER)
    await trio.sleep(10)
    assert travel.calls() == [RECORD]
    assert await room.dead() == []
