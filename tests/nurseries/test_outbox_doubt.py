"""What a try is told of those before it: whether the CRM may have carried one out although nobody has heard of it."""

from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import ReportKind
from gateway.crm.base import CrmKind, Fault, Outcome, OutcomeClass, Problem, may_be_done
from gateway.errors import StoreRejected
from gateway.ports import Attempt, PushState
from tester.fakes.crm import HANG, PERMANENT, RETRYABLE, Play, ScriptedCrm
from tester.fixtures import ErrorLog
from tester.memory import MemoryStore
from tests.nurseries.outboxes import DIAL, HANGUP, PostRoom, open_post_room, report

BROKEN_OFF = Outcome(outcome=OutcomeClass.RETRYABLE, problem=Problem.CONNECTION, fault=Fault.THEIRS, is_ambiguous=True)


def doubts(crm: ScriptedCrm) -> list[tuple[ReportKind, bool]]:
    """What was tried, and whether it might have been there already."""
    return [(pushed.report.kind, may_be_done(pushed.report, pushed.memory)) for pushed in crm.pushes]


@pytest.fixture
async def room(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[PostRoom]:
    yield open_post_room(nursery)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("lost", [HANG, Play(outcome=BROKEN_OFF)], ids=["cut at the deadline", "ambiguous"])
async def test_the_try_after_one_whose_end_nobody_heard_knows_it_and_so_do_all_later_ones(
    room: PostRoom, autojump_clock: MockClock, lost: Play
) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.play(lost, RETRYABLE)
    await life.put(report(DIAL), report(HANGUP), crm=CrmKind.RETAILCRM)
    await trio.sleep(300)
    assert doubts(crm) == [(DIAL, False), (DIAL, True), (DIAL, True), (HANGUP, False)]


async def test_what_was_surely_not_carried_out_leaves_no_doubt(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE, RETRYABLE)
    await life.put(report(HANGUP))
    await trio.sleep(300)
    assert doubts(crm) == [(HANGUP, False)] * 3


async def test_what_a_killed_process_may_have_sent_is_in_doubt_in_the_next(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(HANG)
    await life.put(report(HANGUP))
    await trio.sleep(1)
    await life.kill()
    crm.play(RETRYABLE)
    life = await room.start()
    await trio.sleep(30)
    assert doubts(crm) == [(HANGUP, False), (HANGUP, True), (HANGUP, True)]
    await life.put(report(HANGUP, 2))
    await trio.sleep(1)
    assert doubts(crm)[3:] == [(HANGUP, False)]


async def test_a_dead_letter_that_is_revived_is_still_in_doubt(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(BROKEN_OFF, PERMANENT)
    await life.put(report(HANGUP))
    await trio.sleep(30)
    assert len(await room.dead()) == 1
    await life.outbox.revive("0367")
    await trio.sleep(1)
    assert doubts(crm) == [(HANGUP, False), (HANGUP, True), (HANGUP, True)]


class _Choosy(MemoryStore):
    """Takes no record with a request in it."""

    async def record_attempt(self, attempt: Attempt) -> PushState:
        if attempt.request:
            raise StoreRejected("no")
        return await super().record_attempt(attempt)


async def test_of_a_record_that_is_refused_the_doubt_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: ErrorLog
) -> None:
    room = open_post_room(nursery)
    room.store = _Choosy(now=room.clock)
    crm, life = room.crm(), await room.start()
    crm.play(attrs.evolve(BROKEN_OFF, request={"a": 1}, memory={"b": 2}))
    await life.put(report(HANGUP))
    await trio.sleep(30)
    assert doubts(crm) == [(HANGUP, False), (HANGUP, True)]
    assert "b" not in crm.pushes[1].memory
    expected_errors.claim("a try cannot be recorded")
    nursery.cancel_scope.cancel()
