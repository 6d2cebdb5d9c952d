"""What changes between two tries, or during one: a CRM is told the newest facts, and no id stands for two of them."""

import logging
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import CallReport
from gateway.crm.base import CrmKind, Outcome
from gateway.ports import Owed, PushKey, Step
from tester.fakes.crm import DELIVERED, HANG, PERMANENT, RETRYABLE, Play, ScriptedCrm
from tester.virtual import NUMBER
from tests.nurseries.outboxes import DIAL, HANGUP, Life, PostRoom, open_post_room, report, seen

FIRST = report(HANGUP)
SECOND = attrs.evolve(FIRST, extension="152", extensions=("152",))


@pytest.fixture
async def room(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[PostRoom]:
    yield open_post_room(nursery)
    nursery.cancel_scope.cancel()


async def step(life: Life, *reports: CallReport, merged: tuple[tuple[int, int], ...] = ()) -> None:
    """What a lane does: commit, then tell of all that it owes, new or not."""
    owed = tuple(Owed(crm=CrmKind.OWN, report=each) for each in reports)
    await life.room.store.commit_step(Step(enterprise_number=NUMBER, owed=owed, merged=merged))
    life.outbox.take(PushKey(NUMBER, each.call_id, CrmKind.OWN, each.kind) for each in reports)


def heard(crm: ScriptedCrm) -> list[tuple[float, str]]:
    """When the CRM was told whom."""
    return [(pushed.at, pushed.report.extension) for pushed in crm.pushes]


def ids_stand_for_one_content(crm: ScriptedCrm) -> bool:
    contents: dict[str, set[CallReport]] = {}
    for pushed in crm.pushes:
        contents.setdefault(pushed.push_id, set()).add(pushed.report)
    return all(len(each) == 1 for each in contents.values())


async def test_a_correction_between_two_tries_goes_out_under_another_id(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE, RETRYABLE)
    await step(life, FIRST)
    await trio.sleep(30)
    await step(life, SECOND)
    await trio.sleep(600)
    assert heard(crm) == [(0.0, "151"), (20.0, "151"), (120.0, "152")]
    ids = [pushed.push_id for pushed in crm.pushes]
    assert ids[0] == ids[1] != ids[2]
    assert [log.push_id for log in await room.logs()] == ids


@pytest.mark.parametrize(
    ("outcome", "times"),
    [(DELIVERED, [0.0]), (RETRYABLE, [0.0, 21.0]), (PERMANENT, [0.0, 1.0])],
    ids=["delivered", "to be tried again", "given up"],
)
async def test_a_correction_during_a_try_is_told_where_the_first_was_not_accepted(
    room: PostRoom, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, outcome: Outcome, times: list[float]
) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=0.1)
    crm.play(Play(outcome=outcome, delay_seconds=1.0))
    await step(life, FIRST)
    await trio.sleep(0.5)
    await step(life, SECOND)
    await trio.sleep(600)
    assert [at for at, _ in heard(crm)] == times
    assert ids_stand_for_one_content(crm)
    assert await room.pending() == await room.dead() == []
    assert life.outbox.waiting_pushes == 0
    # The row says what the CRM has.
    assert f'"extension": "{crm.pushes[-1].report.extension}"' in room.store.stored_report(PushKey(NUMBER, 1, "own", HANGUP))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_correction_during_the_last_try_has_one_more(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = HANG
    await step(life, FIRST)
    await trio.sleep(130)
    await step(life, SECOND)
    await trio.sleep(600)
    assert heard(crm) == [(0.0, "151"), (22.0, "151"), (128.0, "151"), (134.0, "152")]
    (dead,) = await room.dead()
    assert dead.report.extension == "152"


async def test_a_dead_letter_is_revived_with_what_is_known_by_then(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(PERMANENT)
    await step(life, FIRST)
    await trio.sleep(1)
    await step(life, SECOND)
    await trio.sleep(600)
    assert heard(crm) == [(0.0, "151")]
    await life.outbox.revive(NUMBER)
    await trio.sleep(1)
    assert heard(crm)[1:] == [(601.0, "152")]
    assert ids_stand_for_one_content(crm)


async def test_a_merger_between_two_tries_is_another_content(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE)
    await step(life, report(HANGUP, 2))
    await trio.sleep(5)
    await step(life, merged=((2, 1),))
    await trio.sleep(60)
    assert [pushed.report.call_id for pushed in crm.pushes] == [2, 1]
    assert ids_stand_for_one_content(crm)


async def test_what_came_from_outside_first_is_one_chain_with_what_the_lane_owes(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(Play(outcome=attrs.evolve(RETRYABLE, memory={"id": 7})))
    (outside,) = await life.put(report(DIAL, 0, "8.8"))
    await trio.sleep(5)
    await step(life, report(HANGUP, outside.call_id + 100, "8.8"))
    await trio.sleep(60)
    # The end waits for the dial, of which nobody needs to hear any more.
    assert [kind for _, kind in seen(crm)] == [DIAL, HANGUP]
    assert 20.0 <= crm.pushes[1].at <= 21.0
    assert [pushed.memory for pushed in crm.pushes] == [{}, {"id": 7}]
    assert await room.pending() == await room.dead() == []
    assert life.outbox.waiting_pushes == 0


async def test_a_dial_from_outside_that_is_under_way_is_not_overtaken_by_the_end(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(Play(outcome=attrs.evolve(DELIVERED, memory={"id": 7}), delay_seconds=1.5))
    (outside,) = await life.put(report(DIAL, 0, "8.8"))
    await trio.sleep(0.2)
    await step(life, report(DIAL, outside.call_id + 100, "8.8"), report(HANGUP, outside.call_id + 100, "8.8"))
    await trio.sleep(60)
    assert [pushed.report.kind for pushed in crm.pushes] == [DIAL, HANGUP]
    assert crm.pushes[1].at >= 1.5
    assert crm.pushes[1].memory == {"id": 7}
    assert crm.most_under_way == 1
    assert await room.pending() == []


async def test_a_try_without_an_answer_is_in_the_log_with_its_call(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(HANG)
    await step(life, FIRST)
    await trio.sleep(5)
    (log,) = await room.logs()
    assert (log.call_id, log.unique_id, log.push_id) == (1, "1.1", crm.pushes[0].push_id)
    assert log.request_data == {"kind": "hangup", "phone": "375290001234", "unique_id": "1.1"}
