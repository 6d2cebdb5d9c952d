"""Pushes to CRMs: when they are tried, in which order, and what becomes of them."""

import logging
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmKind, Fault, Outcome, OutcomeClass, Problem
from gateway.nurseries.desk import FIRST_PLACES
from gateway.nurseries.outbox import ROUND_SECONDS
from gateway.ports import PushKey, PushState, Step
from tester.fakes.crm import DELIVERED, HANG, PERMANENT, RETRYABLE, Play
from tester.virtual import NUMBER, Claims
from tests.nurseries.outboxes import BOTH, DIAL, HANGUP, PostRoom, open_post_room, report, seen, told

NOTHING_TO_DO = Outcome(outcome=OutcomeClass.NOTHING_TO_DO)
DUPLICATE = Outcome(outcome=OutcomeClass.DUPLICATE)


def limited(seconds: float | None = None) -> Outcome:
    """Too many requests."""
    return Outcome(
        outcome=OutcomeClass.RETRYABLE, problem=Problem.RATE_LIMIT, fault=Fault.THEIRS, reason="http=429", retry_after_seconds=seconds
    )


@pytest.fixture
async def room(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[PostRoom]:
    yield open_post_room(nursery)
    nursery.cancel_scope.cancel()


# ---------------------------------------------------------------------- what is told, and when


async def test_a_call_is_told_at_once_the_dial_before_the_hangup(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    await life.call()
    await trio.sleep(1)
    assert seen(crm) == [(0.0, DIAL), (0.0, HANGUP)]
    assert await room.pending() == await room.dead() == []
    assert life.outbox.waiting_pushes == 0
    assert [(log.event_type, log.status) for log in await room.logs()] == [("call_event:dial", "success"), ("call_event:hangup", "success")]
    assert room.figure("gateway_crm_pushes_total", crm="own", kind="dial", outcome="delivered") == 1


@pytest.mark.parametrize("outcome", [DELIVERED, DUPLICATE, NOTHING_TO_DO])
async def test_what_the_crm_has_or_need_not_have_is_done(room: PostRoom, autojump_clock: MockClock, outcome: Outcome) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=outcome)
    await life.call()
    await trio.sleep(3600)
    assert len(crm.pushes) == 2
    assert await room.pending() == await room.dead() == []


async def test_a_first_try_has_two_seconds_and_each_retry_six_and_after_three_tries_the_push_is_dead(
    room: PostRoom, autojump_clock: MockClock
) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = HANG
    (key,) = await life.put(report(DIAL))
    await trio.sleep(3600)
    assert [(pushed.at, pushed.ended_at) for pushed in crm.pushes] == [(0.0, 2.0), (22.0, 28.0), (128.0, 134.0)]
    assert all(pushed.was_cancelled for pushed in crm.pushes)
    (dead,) = await room.dead()
    assert (dead.key, dead.state, dead.attempts) == (key, PushState.DEAD, 3)
    assert (dead.outcome, dead.problem, dead.fault, dead.reason) == ("retryable", "timeout", "theirs", "no answer within 6 s")
    assert dead.advice
    assert [log.status for log in await room.logs()] == ["error"] * 3
    assert room.figure("gateway_crm_dead_letters_total", crm="own", problem="timeout") == 1


async def test_each_repetition_has_the_same_id(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE, HANG)
    await life.put(report(DIAL))
    await trio.sleep(3600)
    assert len(crm.pushes) == 3
    assert len({pushed.push_id for pushed in crm.pushes}) == 1


async def test_an_answer_in_the_last_moment_counts(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1.999)
    await life.call()
    await trio.sleep(10)
    assert len(crm.pushes) == 2
    assert await room.pending() == []


async def test_the_hangup_waits_while_the_dial_is_tried_again(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.play(RETRYABLE, RETRYABLE)
    await life.put(report(DIAL), crm=CrmKind.RETAILCRM)
    await trio.sleep(5)
    await life.put(report(HANGUP), crm=CrmKind.RETAILCRM)
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (20.0, DIAL), (120.0, DIAL), (120.0, HANGUP)]


async def test_a_dial_that_was_not_accepted_is_not_tried_again_when_the_call_has_ended(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE)
    await life.put(report(DIAL))
    await trio.sleep(5)
    await life.put(report(HANGUP))
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (20.0, HANGUP)]
    assert await room.pending() == await room.dead() == []
    _, given_up, _ = await room.logs()
    assert (given_up.event_type, given_up.status) == ("call_event:dial", "success")
    assert "has ended" in given_up.error_message


async def test_a_dial_is_tried_again_for_as_long_as_the_call_goes_on(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE, RETRYABLE)
    await life.put(report(DIAL))
    await trio.sleep(50)
    await life.put(report(HANGUP))
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (20.0, DIAL), (120.0, HANGUP)]


async def test_the_hangup_goes_when_the_dial_is_dead(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.play(RETRYABLE, RETRYABLE, RETRYABLE)
    await life.call(crm=CrmKind.RETAILCRM)
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (20.0, DIAL), (120.0, DIAL), (120.0, HANGUP)]
    assert [push.key.kind for push in await room.dead()] == [DIAL]


async def test_a_permanent_failure_is_dead_at_once(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(PERMANENT)
    await life.call()
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL), (0.0, HANGUP)]
    (dead,) = await room.dead()
    assert (dead.attempts, dead.problem, dead.fault, dead.reason, dead.advice) == (1, "unauthorized", "ours", "http=403", "a new key")


async def test_the_wish_of_a_crm_to_wait_is_kept(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(attrs.evolve(RETRYABLE, retry_after_seconds=90.0), attrs.evolve(RETRYABLE, retry_after_seconds=86_400.0))
    await life.put(report(DIAL))
    await trio.sleep(3600)
    assert [at for at, _ in seen(crm)] == [0.0, 90.0, 690.0]


async def test_a_rate_limit_pauses_the_account_and_costs_no_try(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(limited(30.0))
    await life.put(report(DIAL, 1))
    await trio.sleep(10)
    await life.call(2)
    await trio.sleep(3600)
    assert sorted((at, pushed[0]) for at, pushed in zip((push.at for push in crm.pushes), told(crm.pushes), strict=True)) == [
        (0.0, 1), (30.0, 1), (30.0, 2), (30.0, 2),
    ]  # fmt: skip
    assert life.outbox.waiting_pushes == 0


async def test_a_crm_that_says_nothing_but_too_many_requests_is_asked_ten_times(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=limited())
    await life.put(report(DIAL))
    await trio.sleep(3600)
    assert [at for at, _ in seen(crm)] == [0, 5, 15, 35, 75, 155, 255, 355, 455, 555]
    (dead,) = await room.dead()
    assert (dead.problem, dead.attempts) == ("rate_limit", 10)


async def test_what_the_crm_says_of_the_dial_comes_along_with_the_hangup(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(attrs.evolve(DELIVERED, memory={"id": 17}))
    await life.call()
    await trio.sleep(1)
    assert [pushed.memory for pushed in crm.pushes] == [{}, {"id": 17}]


async def test_what_comes_while_a_call_is_under_way_is_taken_along(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1.0)
    await life.put(report(DIAL))
    await trio.sleep(0.5)
    keys = await life.put(report(HANGUP))
    life.outbox.take(keys)
    life.outbox.take(keys)
    await trio.sleep(10)
    assert seen(crm) == [(0.0, DIAL), (1.0, HANGUP)]
    assert crm.most_under_way == 1


async def test_what_is_put_twice_is_sent_once(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    for _ in range(3):
        keys = await life.put(report(DIAL))
        life.outbox.take([*keys, PushKey(NUMBER, 1, "own", DIAL)])
        await trio.sleep(1)
    assert len(crm.pushes) == 1
    assert life.outbox.waiting_pushes == 0


# ---------------------------------------------------------------------- nobody waits for anybody else


async def test_a_crm_that_hangs_holds_up_no_other(room: PostRoom, autojump_clock: MockClock) -> None:
    hanging, other, elsewhere = room.crm(), room.crm(CrmKind.UON), room.crm(CrmKind.OWN, "0368")
    life = await room.start()
    hanging.usual = HANG
    for call_id in range(1, 101):
        await life.call(call_id)
        await life.call(call_id, crm=CrmKind.UON)
        await life.call(call_id, number="0368")
    await trio.sleep(0.001)
    for crm in (other, elsewhere):
        assert sorted(told(crm.pushes)) == sorted((call_id, kind) for call_id in range(1, 101) for kind in BOTH)
        assert {pushed.at for pushed in crm.pushes} == {0.0}
    assert len(hanging.pushes) == FIRST_PLACES


# ---------------------------------------------------------------------- settings


async def test_what_was_switched_off_meanwhile_is_given_up_quietly_and_can_be_revived(
    room: PostRoom, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(RETRYABLE)
    await life.call()
    await trio.sleep(5)
    room.crms.clear()
    await trio.sleep(3600)
    assert seen(crm) == [(0.0, DIAL)]
    assert await room.pending() == []
    assert [(push.key.kind, push.problem, push.fault, push.reason) for push in await room.dead()] == [
        (HANGUP, "switched_off", "ours", "the enterprise or its integration is switched off"),
    ]  # fmt: skip
    assert [(log.event_type, log.status) for log in await room.logs()] == [
        ("call_event:dial", "error"), ("call_event:dial", "success"), ("call_event:hangup", "error"),
    ]  # fmt: skip
    assert warnings(caplog) == []
    assert room.figure("gateway_crm_dead_letters_total", crm="own", problem="switched_off") == 0
    room.crms[NUMBER, "own"] = crm
    assert [key.kind for key in (await life.outbox.revive(NUMBER)).keys] == [HANGUP]
    await trio.sleep(1)
    assert [pushed.report.kind for pushed in crm.pushes] == [DIAL, HANGUP]


async def test_settings_that_cannot_be_used_are_our_fault_and_dead_at_once(room: PostRoom, autojump_clock: MockClock) -> None:
    room.wrong_settings = "url: is missing\nsecret: is too short"
    life = await room.start()
    await life.put(report(DIAL))
    await trio.sleep(1)
    (dead,) = await room.dead()
    assert (dead.problem, dead.fault, dead.reason) == ("settings", "ours", "url: is missing; secret: is too short")
    assert dead.advice


async def test_an_adapter_that_raises_takes_nothing_else_along(room: PostRoom, autojump_clock: MockClock, expected_errors: Claims) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(Play(error=KeyError("https://crm.example/?key=SECRET")))
    await life.call()
    await trio.sleep(1)
    assert seen(crm) == [(0.0, DIAL), (0.0, HANGUP)]
    (dead,) = await room.dead()
    assert (dead.problem, dead.fault, dead.attempts) == ("internal", "ours", 1)
    (record,) = expected_errors.claim("the adapter of own failed at call 1")
    assert "SECRET" not in f"{record.getMessage()}{record.exc_info}{dead}{await room.logs()}"
    assert "KeyError" in dead.reason


# ---------------------------------------------------------------------- what is said in the log


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_a_dead_letter_is_one_line_and_others_like_it_are_counted(
    room: PostRoom, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=PERMANENT)
    for call_id in range(1, 51):
        await life.call(call_id)
    await trio.sleep(1)
    (line,) = warnings(caplog)
    for fact in ("0367", "own", "call 1", "unauthorized", "http=403", "a new key"):
        assert fact in line
    assert room.figure("gateway_crm_dead_letters_total", crm="own", problem="unauthorized") == 100
    crm.play(RETRYABLE, RETRYABLE, RETRYABLE)
    await life.put(report(DIAL, 60))
    await trio.sleep(200)
    assert "server_error" in warnings(caplog)[1]
    crm.usual = Play()
    await life.put(report(DIAL, 70))
    await trio.sleep(1)
    assert "own works again; given up meanwhile: 101" in caplog.records[-1].getMessage()
    crm.usual = Play(outcome=PERMANENT)
    await life.put(report(DIAL, 80))
    await trio.sleep(1)
    assert len(warnings(caplog)) == 3


# ---------------------------------------------------------------------- the store


async def test_a_record_waits_for_a_database_that_is_away_and_nothing_is_sent_twice(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1.0)
    await life.call()
    await trio.sleep(0.5)
    room.store.unavailable = True
    await trio.sleep(60)
    assert len(crm.pushes) == 1
    room.store.unavailable = False
    await trio.sleep(60)
    assert [pushed.report.kind for pushed in crm.pushes] == [DIAL, HANGUP]
    assert await room.pending() == []


async def test_an_answer_of_the_database_that_was_lost_repeats_the_record_and_not_the_push(
    room: PostRoom, autojump_clock: MockClock
) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1.0)
    await life.put(report(DIAL))
    await trio.sleep(0.5)
    room.store.answers_to_lose = 1
    await trio.sleep(60)
    assert len(crm.pushes) == len(await room.logs()) == 1
    assert await room.pending() == []


async def test_what_others_put_into_the_table_is_found_by_the_next_round(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    await trio.sleep(1)
    await room.accept(report(DIAL), report(HANGUP))
    await trio.sleep(ROUND_SECONDS)
    assert [at for at, _ in seen(crm)] == [ROUND_SECONDS] * 2
    assert life.outbox.waiting_pushes == 0


async def test_a_round_does_not_hurry_what_waits(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=attrs.evolve(RETRYABLE, retry_after_seconds=500.0))
    await life.call()
    await trio.sleep(499)
    assert seen(crm) == [(0.0, DIAL)]
    assert life.outbox.waiting_pushes == 2


async def test_calls_that_become_one_bring_their_pushes_along_and_none_is_sent_twice_at_once(
    room: PostRoom, autojump_clock: MockClock
) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1.5)
    await life.put(report(DIAL, 2))
    await trio.sleep(1)
    await room.store.commit_step(Step(enterprise_number=NUMBER, opened=(1,), merged=((2, 1),)))
    await life.put(report(HANGUP, 1))
    await trio.sleep(60)
    assert [(pushed.at, pushed.report.kind) for pushed in crm.pushes] == [(0.0, DIAL), (2.0, HANGUP)]
    assert life.outbox.waiting_pushes == 0


# ---------------------------------------------------------------------- administrators


async def test_dead_letters_are_revived_and_tried_from_the_beginning(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = Play(outcome=PERMANENT)
    await life.call(1)
    await life.call(2)
    await life.put(report(DIAL, 3))
    await trio.sleep(60)
    assert life.outbox.waiting(NUMBER) == {}
    crm.usual = Play(outcome=RETRYABLE)
    revived = await life.outbox.revive(NUMBER)
    assert [(key.call_id, key.kind) for key in revived.keys] == [(1, HANGUP), (2, HANGUP), (3, DIAL)]
    assert [(key.call_id, key.kind) for key in revived.left] == [(1, DIAL), (2, DIAL)]
    await trio.sleep(1)
    assert life.outbox.waiting(NUMBER) == {"own": 3}
    assert life.outbox.waiting("0368") == {}
    crm.usual = Play()
    await trio.sleep(60)
    assert sorted(told(crm.pushes[-3:])) == [(1, HANGUP), (2, HANGUP), (3, DIAL)]
    assert await room.dead() == []
    assert life.outbox.waiting(NUMBER) == {}


async def test_a_crm_that_wants_a_dial_first_gets_both_again(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.play(PERMANENT, PERMANENT)
    await life.call(1, crm=CrmKind.RETAILCRM)
    await trio.sleep(1)
    crm.play(PERMANENT)
    await life.call(2, crm=CrmKind.RETAILCRM)
    await trio.sleep(1)
    revived = await life.outbox.revive(NUMBER)
    assert [key.call_id for key in revived.left] == [2]
    await trio.sleep(1)
    assert told(crm.pushes[-2:]) == [(1, DIAL), (1, HANGUP)]


async def test_nothing_is_sent_before_the_worker_runs(room: PostRoom, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    crm = room.crm()
    outbox = room.outbox(nursery)
    outbox.take(await room.accept(report(DIAL), report(HANGUP)))
    await trio.sleep(10)
    assert crm.pushes == []
    nursery.start_soon(outbox.run)
    await trio.sleep(1)
    assert seen(crm) == [(10.0, DIAL), (10.0, HANGUP)]
