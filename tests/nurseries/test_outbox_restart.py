"""Cancelled at any step, stopped, or killed between the CRM's acceptance and our record: every report arrives, known by its id."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from gateway.calls.report import CallReport
from gateway.crm.base import CrmKind, Outcome, Problem
from gateway.errors import StoreRejected
from gateway.nurseries.desk import FIRST_PLACES
from gateway.ports import Attempt, Push, PushKey, PushState
from tester.fakes.crm import HANG, RETRYABLE, Play
from tester.memory import MemoryStore
from tester.virtual import Claims
from tests.nurseries.outboxes import BOTH, DIAL, HANGUP, PostRoom, open_post_room, report, seen, told


@pytest.fixture
async def room(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[PostRoom]:
    yield open_post_room(nursery)
    nursery.cancel_scope.cancel()


async def test_what_was_committed_and_not_pushed_is_pushed_once_after_a_restart(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    await room.accept(report(DIAL), report(HANGUP))
    await life.kill()
    assert crm.pushes == []
    await room.start()
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (0.0, HANGUP)]


async def test_all_pages_of_what_is_pending_are_read(room: PostRoom, autojump_clock: MockClock) -> None:
    crm = room.crm()
    for call_id in range(1, 701):
        await room.accept(report(DIAL, call_id), report(HANGUP, call_id))
    await room.start()
    await trio.sleep(10)
    assert sorted(told(crm.pushes)) == [(call_id, kind) for call_id in range(1, 701) for kind in BOTH]


async def test_a_restart_keeps_the_count_of_tries_and_their_times(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.usual = Play(outcome=RETRYABLE)
    await life.call(crm=CrmKind.RETAILCRM)
    await trio.sleep(50)
    await life.kill()
    await trio.sleep(10)
    await room.start()
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (20.0, DIAL), (120.0, DIAL), (120.0, HANGUP), (140.0, HANGUP), (240.0, HANGUP)]


async def test_reports_of_an_enterprise_that_is_gone_are_given_up(room: PostRoom, autojump_clock: MockClock) -> None:
    await room.accept(report(DIAL), crm=CrmKind.UON)
    life = await room.start()
    await trio.sleep(1)
    assert await room.pending() == []
    assert [push.problem for push in await room.dead()] == ["switched_off"]
    assert life.outbox.waiting_pushes == 0


async def test_a_push_that_is_cut_off_stays_pending_as_it_was(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = HANG
    await life.put(report(DIAL))
    await trio.sleep(1)
    await life.kill()
    (pending,) = await room.pending()
    assert pending.attempts == 0
    assert await room.logs() == []


@attrs.define(eq=False)
class Fuse:
    """Cancels a life at the k-th step of what goes on between outbox, store and CRM."""

    steps_left: int
    scope: trio.CancelScope | None = None

    async def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0 and self.scope is not None:
            self.scope.cancel()
        await trio.lowlevel.checkpoint()


class FusedStore(MemoryStore):
    """Every access of an outbox is two steps: before it is done and after. `deaf`: writes are lost, as those of a dead process are."""

    fuse: Fuse
    deaf = False

    async def push_of(self, key: PushKey) -> Push | None:
        await self.fuse.step()
        push = await super().push_of(key)
        await self.fuse.step()
        return push

    async def record_attempt(self, attempt: Attempt) -> PushState:
        await self.fuse.step()
        if self.deaf:
            await trio.sleep_forever()
        state = await super().record_attempt(attempt)
        await self.fuse.step()
        return state


@attrs.define(eq=False)
class Receiver:
    """A CRM that takes everything but the first `refusals`. A request is a step before it is taken, and one after."""

    fuse: Fuse
    refusals: int = 0
    kind: CrmKind = CrmKind.RETAILCRM
    taken: list[tuple[str, CallReport]] = attrs.field(factory=list[tuple[str, CallReport]])

    async def admission(self, report: CallReport) -> None: ...

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        await self.fuse.step()
        if self.refusals:
            self.refusals -= 1
            return RETRYABLE
        self.taken.append((push_id, report))
        await self.fuse.step()
        return Play().outcome

    async def look_up(self, phone: str) -> None: ...

    async def notify_incoming(self, phone: str, extensions: object) -> None: ...

    async def examine(self, *, language: str) -> tuple[()]:  # noqa: ARG002
        return ()


# A call makes at most 20 steps: two looks and a record, the request, for dial and hangup; with two refusals, 12 more.
@pytest.mark.parametrize("refusals", [0, 2])
@pytest.mark.parametrize("is_deaf", [False, True], ids=["cancelled", "killed"])
@pytest.mark.parametrize("k", range(1, 41))
async def test_cut_off_at_any_step_every_report_arrives_and_only_an_unrecorded_one_is_repeated(
    nursery: trio.Nursery, autojump_clock: MockClock, k: int, is_deaf: bool, refusals: int
) -> None:
    room = open_post_room(nursery)
    room.store = store = FusedStore(now=room.clock)
    store.fuse = fuse = Fuse(k)
    receiver = Receiver(fuse, refusals)
    room.crms["0367", "retailcrm"] = receiver
    life = await room.start()
    fuse.scope = life.scope
    await life.put(report(DIAL), crm=CrmKind.RETAILCRM)
    await life.put(report(HANGUP), crm=CrmKind.RETAILCRM)
    with trio.move_on_after(200):
        await life.ended.wait()
    # A cancelled process still writes down what was accepted; a dead one does not.
    store.deaf = is_deaf and life.scope.cancel_called
    await life.kill()
    unrecorded = {push.push_id for push in await room.pending()} & {push_id for push_id, _ in receiver.taken}
    store.deaf, fuse.scope = False, None
    await room.start()
    await trio.sleep(200)
    kinds = [each.kind for _, each in receiver.taken]
    ids = [push_id for push_id, _ in receiver.taken]
    assert kinds == sorted(kinds)
    assert set(kinds) == {DIAL, HANGUP}
    assert {push_id for push_id in ids if ids.count(push_id) > 1} == unrecorded
    assert len(ids) == 2 + len(unrecorded)
    assert len(set(ids)) == 2
    assert is_deaf or not unrecorded or life.scope.cancel_called
    assert await room.pending() == await room.dead() == []
    nursery.cancel_scope.cancel()


class StubbornStore(MemoryStore):
    """Takes no records, or only bare ones."""

    takes_bare = False
    refused = 0

    async def record_attempt(self, attempt: Attempt) -> PushState:
        if attempt.request or not self.takes_bare:
            self.refused += 1
            raise StoreRejected("no")
        return await super().record_attempt(attempt)


async def test_a_record_that_the_database_refuses_is_said_and_not_tried_for_ever(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    room = open_post_room(nursery)
    room.store = store = StubbornStore(now=room.clock)
    crm, life = room.crm(), await room.start()
    await life.call()
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (0.0, HANGUP)]
    await life.put(report(DIAL, 2))
    life.outbox.take([PushKey("0367", 1, "own", DIAL)])
    await trio.sleep(3600)
    assert told(crm.pushes[2:]) == [(2, DIAL)]
    assert store.refused == 6
    assert life.outbox.waiting_pushes == 0
    expected_errors.claim("a try cannot be recorded: no")
    nursery.cancel_scope.cancel()


async def test_of_a_record_that_the_database_refuses_the_state_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    room = open_post_room(nursery)
    room.store = store = StubbornStore(now=room.clock)
    store.takes_bare = True
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=attrs.evolve(Play().outcome, request={"a": "\x00"}))
    await life.call()
    await trio.sleep(1)
    assert await room.pending() == []
    assert len(await room.logs()) == 2
    expected_errors.claim("a try cannot be recorded: no")
    nursery.cancel_scope.cancel()


async def test_closing_gives_up_requests_and_writes_down_what_was_accepted(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=0.5)
    crm.play(HANG)
    await life.put(report(DIAL, 1))
    await life.put(report(DIAL, 2))
    with trio.move_on_after(0.5):
        await life.outbox.drain()
    await trio.lowlevel.checkpoint()
    room.store.latency_seconds = 1.0
    life.outbox.close()
    await trio.sleep(1.5)
    assert life.outbox.running_chains == 0
    assert [push.key.call_id for push in await room.pending()] == [1]
    assert life.outbox.waiting_pushes == 1
    await life.put(report(DIAL, 3))
    await trio.sleep(3600)
    assert 3 not in {pushed.report.call_id for pushed in crm.pushes}


async def test_draining_waits_for_first_tries_and_leaves_retries(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE)
    crm.usual = Play(delay_seconds=1.0)
    await life.put(report(DIAL, 1))
    for call_id in range(2, 2 + 2 * FIRST_PLACES):
        await life.put(report(DIAL, call_id))
    await life.outbox.drain()
    assert trio.current_time() == 2.0
    assert [push.key.call_id for push in await room.pending()] == [1]
    await trio.sleep(3600)
    assert [push.key.call_id for push in await room.pending()] == [1]
    assert life.outbox.waiting_pushes == 1


async def test_draining_does_not_wait_for_a_crm_that_asked_us_to_wait(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(attrs.evolve(RETRYABLE, problem=Problem.RATE_LIMIT, retry_after_seconds=300.0))
    await life.put(report(DIAL, 1))
    await trio.sleep(1)
    await life.put(report(DIAL, 2))
    await life.outbox.drain()
    assert trio.current_time() == 1.0
    assert life.outbox.waiting_pushes == 2
