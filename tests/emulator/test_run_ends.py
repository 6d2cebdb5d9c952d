"""How runs end: forgotten, stopped, cut off. Their faults end with them, and a chat that was blocked is subscribed again."""

import io
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.errors import StoreRejected, StoreUnavailable
from tester.emulator.client import StreamEvent
from tester.emulator.emulator import ACTIVE_RUNS, TooManyRuns
from tester.emulator.event_log import EventLog
from tester.emulator.orders import LEFT_PAUSED, Faults, Judgement, Pace, RunState, TelegramTrouble, Verdict
from tester.emulator.pacer import LONGEST_PAUSE_SECONDS
from tester.emulator.revival import LAST_CHANCE_SECONDS, Burials
from tester.emulator.telling import WORDS, Teller
from tester.virtual import BOT, JUNE, NOON, Claims
from tests.emulator.stage import FAMILY, Stage, of_kind, open_stage, told

TWO_CHATS = attrs.evolve(FAMILY, subscribers=(1001, 1002))
EXPECTED = Verdict(judgement=Judgement.EXPECTED)
BLOCKED = Faults(telegram=TelegramTrouble.BLOCKED)
ROOM = LAST_CHANCE_SECONDS + 0.01
# The waits of a patient caller that has failed so often are more than 10 s together.
LONG = 8


async def subscribed(stage: Stage) -> set[int]:
    return {one.chat_id for one in await stage.store.recipients(JUNE.number)}


# ── forgotten ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_that_is_left_paused_ends_with_its_reason_and_its_faults_go(autojump_clock: MockClock) -> None:
    text = io.StringIO()
    async with open_stage(config=TWO_CHATS, log=EventLog(logging.StreamHandler(text))) as stage:
        faults = attrs.evolve(BLOCKED, crm_hangs=True)
        run = stage.start(pace=Pace.STEP, faults=faults)
        for _ in range(4):
            run.step()
            await trio.sleep(1)
        for _ in range(ACTIVE_RUNS - 1):
            stage.start(pace=Pace.STEP)
        with pytest.raises(TooManyRuns):
            stage.start()
        await trio.sleep(LONGEST_PAUSE_SECONDS - 10)
        assert (run.state, stage.watch.crm_hangs(JUNE.number)) == (RunState.PAUSED, True)
        assert await subscribed(stage) == {1002}
        await trio.sleep(20)
        events = await told(run)
        assert events[-1].data == {"state": "stopped", "reason": LEFT_PAUSED}
        assert of_kind(events, "verdict") == []
        assert f"RUN {run.id}: stopped: nobody pressed a button for 15 min" in text.getvalue()
        assert {one.state for one in stage.emulator.runs} == {RunState.STOPPED}
        assert (stage.is_quiet, stage.watch.crm_hangs(JUNE.number)) == (True, False)
        assert await subscribed(stage) == {1001, 1002}
        stage.house.tell(JUNE.number)
        assert (await stage.play()).state is RunState.DONE


@pytest.mark.parametrize(
    ("data", "why"), [({}, ""), ({"reason": LEFT_PAUSED}, ": it was paused and nobody pressed a button for a quarter of an hour")]
)
def test_the_terminal_says_why_a_run_was_stopped(data: dict[str, str], why: str) -> None:
    lines: list[str] = []
    teller = Teller(lines.append, WORDS["en"], total=3)
    assert teller.hear(StreamEvent(seq=1, kind="state", data={"state": "stopped", **data}))
    assert lines == ["the run was stopped" + why]


async def test_whoever_goes_on_pressing_has_as_long_as_he_likes(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start("3-2", pace=Pace.STEP)
        while run.state is RunState.PAUSED:
            await trio.sleep(LONGEST_PAUSE_SECONDS - 1)
            run.step()
            await wait_all_tasks_blocked()
        await told(run)
        assert run.state is RunState.DONE


# ── blocked ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_blocked_chat_owes_nothing_the_others_do_and_it_is_subscribed_again(autojump_clock: MockClock) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        run = await stage.play(faults=BLOCKED)
        assert run.verdict == EXPECTED, run.verdict
        assert len(stage.house.telegram.chat(BOT, 1001).all_messages) == 0
        assert len(stage.house.telegram.chat(BOT, 1002).all_messages) == 1
        assert await subscribed(stage) == {1001, 1002}
        # The store in memory has no triggers that would tell the gateway.
        stage.house.tell("0367")
        again = await stage.play()
        assert again.verdict == EXPECTED, again.verdict
        assert len(stage.house.telegram.chat(BOT, 1001).all_messages) == 1


@pytest.mark.parametrize("ticks", [1, 20, 40, 60, 80, 120])
async def test_a_blocked_chat_is_subscribed_again_after_a_stop_too(ticks: int, autojump_clock: MockClock) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        run = stage.start(faults=BLOCKED)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        run.stop()
        await trio.sleep(10)
        assert await subscribed(stage) == {1001, 1002}


async def test_a_store_that_is_away_is_asked_again_to_subscribe_a_chat(autojump_clock: MockClock) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        stage.store.revival_errors += [StoreUnavailable("away"), StoreUnavailable("away")]
        await stage.play(faults=BLOCKED)
        assert await subscribed(stage) == {1001, 1002}


@pytest.mark.parametrize("error", [StoreRejected("no"), ZeroDivisionError("a fault of ours")])
async def test_a_chat_that_cannot_be_subscribed_again_is_an_error_in_the_log_and_nothing_worse(
    error: Exception, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        stage.store.revival_errors += [error, error]
        run = await stage.play(faults=BLOCKED)
        assert run.verdict == EXPECTED
        assert expected_errors.claim("1001")


async def test_with_the_only_chat_blocked_nothing_can_be_seen(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = await stage.play(faults=BLOCKED)
        assert run.verdict is not None
        assert (run.verdict.judgement, len(run.verdict.differences)) == (Judgement.UNSEEN, 1)
        assert "заблокировал" in run.verdict.differences[0]


@asynccontextmanager
async def blocked_with_the_burial_away(errors: int) -> AsyncGenerator[Stage]:
    """A stage where a chat is refused and so many tries to write that down fail."""
    async with open_stage(config=TWO_CHATS) as stage:
        stage.store.burial_errors += [StoreUnavailable("away")] * errors
        yield stage


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_chat_that_is_written_off_long_after_the_run_comes_back_too(is_stopped: bool, autojump_clock: MockClock) -> None:
    async with blocked_with_the_burial_away(LONG) as stage:
        run = stage.start(faults=BLOCKED)
        if is_stopped:
            await trio.sleep(0.5)
            run.stop()
        await told(run)
        # The verdict does not wait for the database for ever.
        assert stage.store.burial_errors
        assert run.state is (RunState.STOPPED if is_stopped else RunState.DONE)
        await trio.sleep(60)
        assert not stage.store.burial_errors
        assert await subscribed(stage) == {1001, 1002}


async def test_who_unsubscribes_while_he_is_blocked_stays_unsubscribed(autojump_clock: MockClock) -> None:
    async with blocked_with_the_burial_away(3) as stage:
        run = stage.start(faults=BLOCKED)
        await trio.sleep(0.1)
        assert stage.store.burial_errors
        assert await stage.store.unsubscribe(bot_token=BOT, chat_id=1001)
        await told(run)
        await trio.sleep(60)
        assert await subscribed(stage) == {1002}
        assert stage.store.dead_reason_of(JUNE.number, BOT, 1001) == "unsubscribed"


# ── cut off by the end of the gateway ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5, 1.6, 2.0])
async def test_a_shutdown_gives_a_blocked_chat_back_within_a_second(seconds: float, autojump_clock: MockClock) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        run = stage.start(faults=BLOCKED)
        await trio.sleep(seconds)
        began = trio.current_time()
        await stage.end()
        assert trio.current_time() - began < ROOM
        assert run.state.is_over
        assert await subscribed(stage) == {1001, 1002}
        assert stage.is_quiet


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_shutdown_without_the_database_takes_a_second_and_says_who_is_lost(
    is_over: bool, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    async with blocked_with_the_burial_away(LONG) as stage:
        run = stage.start(faults=BLOCKED)
        await trio.sleep(1)
        if is_over:
            await told(run)
        began = trio.current_time()
        await stage.end()
        assert trio.current_time() - began == pytest.approx(LAST_CHANCE_SECONDS)
        [line] = expected_errors.claim(f"run {run.id} of the emulator: chats 1001 may have lost their subscription")
        assert line.getMessage().endswith("/start in the chat subscribes it again")
        assert stage.is_quiet


async def test_a_shutdown_holds_up_nothing_where_nobody_is_blocked(autojump_clock: MockClock) -> None:
    async with open_stage(config=TWO_CHATS) as stage:
        run = stage.start(pace=Pace.REAL, faults=Faults(crm_hangs=True, telegram=TelegramTrouble.BROKEN))
        await trio.sleep(2)
        began = trio.current_time()
        await stage.end()
        assert (trio.current_time(), run.state) == (began, RunState.STOPPED)


# ── burials ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_burial_is_under_way_until_the_store_has_answered(autojump_clock: MockClock) -> None:
    burials = Burials()

    async def is_settled(chat_id: int) -> bool:
        with trio.move_on_after(1) as patience:
            await burials.settled(BOT, chat_id)
        return not patience.cancelled_caught

    assert await is_settled(1)
    for error in (StoreUnavailable("away"), StoreUnavailable("away")):
        with pytest.raises(StoreUnavailable), burials.burial(BOT, 1, NOON):
            raise error
        assert (await is_settled(1), await is_settled(2)) == (False, True)
    with burials.burial(BOT, 1, NOON):
        assert not await is_settled(1)
    assert await is_settled(1)
    with pytest.raises(StoreRejected), burials.burial(BOT, 1, NOON):
        raise StoreRejected("no")
    assert await is_settled(1)


@pytest.mark.parametrize(("away_seconds", "judged"), [(5.0, Judgement.EXPECTED), (60.0, Judgement.DIFFERENT)])
async def test_a_database_that_goes_away_while_a_run_is_judged_is_waited_for_but_not_for_ever(
    away_seconds: float, judged: Judgement, autojump_clock: MockClock
) -> None:
    async with open_stage() as stage:
        # Its end comes by grace, so that nothing of it is shown when the database goes away.
        run = stage.start("2-5")
        async for event in run.events():
            if event.data == {"state": "judging"}:
                break
        stage.store.unavailable = True
        await trio.sleep(away_seconds)
        stage.store.unavailable = False
        await told(run)
        assert run.verdict is not None
        assert run.verdict.judgement is judged
        assert stage.is_quiet
