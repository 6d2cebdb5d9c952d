"""Runs in virtual time on a whole gateway: paces, buttons, faults, verdicts, and that nothing is left running."""

import json
import logging

import attrs
import httpx2 as httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.ports import EnterpriseConfig
from tester.emulator.emulator import ACTIVE_RUNS, KEPT_RUNS, NoSuchRun, NotRunning, OrderRefused, TooManyRuns
from tester.emulator.orders import EventFault, EventTrouble, Faults, Judgement, Pace, RunState, TelegramTrouble
from tester.emulator.run import Run, RunIsOver
from tester.patterns import PATTERNS
from tester.virtual import Claims
from tests.emulator.stage import FAMILY, REMOTE, kinds, of_kind, open_stage, told


def judgement(run: Run) -> Judgement | None:
    return run.verdict.judgement if run.verdict is not None else None


def only(trouble: EventTrouble, index: int, seconds: float = 0.0) -> Faults:
    return Faults(events=(EventFault(index=index, trouble=trouble, seconds=seconds),))


# ── playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", sorted(PATTERNS))
async def test_every_pattern_is_played_as_expected(key: str, autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = await stage.play(key)
        assert (run.state, run.verdict.judgement if run.verdict else None) == (RunState.DONE, Judgement.EXPECTED), run.verdict
        assert run.posted_items == len(run.plan.events)
        assert stage.is_quiet


@pytest.mark.parametrize(("pace", "speed"), [(Pace.REAL, 1.0), (Pace.TEN, 10.0)])
async def test_a_pace_says_how_long_the_posting_takes(pace: Pace, speed: float, autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        began = trio.current_time()
        run = await stage.play(pace=pace)
        wanted = [event.posted.at_seconds / speed for event in run.plan.events]
        assert [at - began for at, _ in stage.posted] == pytest.approx(wanted, abs=0.01)
        assert judgement(run) is Judgement.EXPECTED


async def test_what_happens_is_told_in_its_order_and_again_to_whoever_comes_late(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start()
        live = await told(run)
        assert [event.seq for event in live] == list(range(1, len(live) + 1))
        assert kinds(live)[:3] == ["state", "post", "answer"]
        assert kinds(live)[-2:] == ["verdict", "state"]
        assert [data["state"] for data in of_kind(live, "state")] == ["running", "judging", "done"]
        assert await told(run) == live
        assert await told(run, after=live[-3].seq) == live[-2:]
        post, answer = of_kind(live, "post")[0], of_kind(live, "answer")[0]
        assert (post["kind"], post["url"], post["body"]["Token"]) == ("start", "http://gateway.test/start", "***0367")
        assert (answer["index"], answer["status"], answer["duplicate"], answer["error"]) == (0, 200, False, "")
        assert isinstance(answer["event_id"], int)
        messages = of_kind(live, "message")
        assert messages[0]["change"] == "sent"
        assert messages[-1]["text"].startswith("✅ Завершен")
        assert {data["chat"] for data in messages} == {1001}
        assert {data["call"] for data in messages} == {1}


async def test_any_number_of_readers_get_the_same(autojump_clock: MockClock) -> None:
    heard: list[list[int]] = []

    async def read(run: Run) -> None:
        heard.append([event.seq for event in await told(run)])

    async with open_stage() as stage:
        run = stage.start(pace=Pace.REAL)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read, run)
        assert len(heard) == 5
        assert all(one == heard[0] for one in heard)


async def test_bodies_of_two_runs_have_nothing_in_common(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        first, second = await stage.play(), await stage.play()
        ids = [{event.unique_id for event in run.plan.events} - {""} for run in (first, second)]
        assert ids[0]
        assert not ids[0] & ids[1]


async def test_two_calls_of_one_customer_at_once_are_two_and_each_sees_its_own(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        order = stage.order("2-1", pace=Pace.REAL)
        runs = [stage.emulator.start(order) for _ in range(2)]
        for run in runs:
            events = await told(run)
            assert judgement(run) is Judgement.EXPECTED, run.verdict
            assert {data["call"] for data in of_kind(events, "message")} == {1}


# ── buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_time_stands_still_while_a_run_is_paused(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        began = trio.current_time()
        run = stage.start(pace=Pace.REAL)
        last = run.plan.events[-1].posted.at_seconds
        await trio.sleep(1)
        run.pause()
        run.pause()
        assert run.state is RunState.PAUSED
        there = len(stage.posted)
        await trio.sleep(500)
        assert len(stage.posted) == there
        run.resume()
        assert run.state is RunState.RUNNING
        await told(run)
        assert stage.posted[-1][0] - began == pytest.approx(last + 500, abs=0.01)
        assert judgement(run) is Judgement.EXPECTED, run.verdict


async def test_step_by_step_one_webhook_goes_for_each_step_and_the_rest_as_it_happened(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(pace=Pace.STEP)
        await trio.sleep(100)
        assert (run.state, stage.posted) == (RunState.PAUSED, [])
        for wanted in (1, 2, 3):
            run.step()
            await trio.sleep(0.1)
            assert len(stage.posted) == wanted
        began, gone = trio.current_time(), run.plan.events[2].posted.at_seconds
        run.resume()
        await told(run)
        ahead = [event.posted.at_seconds - gone for event in run.plan.events[3:]]
        assert [at - began for at, _ in stage.posted[3:]] == pytest.approx(ahead, abs=0.01)
        assert judgement(run) is Judgement.EXPECTED


async def test_a_step_in_the_middle_of_a_call_sends_the_next_webhook_now(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(pace=Pace.REAL)
        await trio.sleep(0.5)
        while run.state is RunState.RUNNING:
            run.step()
            await trio.sleep(0.1)
        await told(run)
        assert len(stage.posted) == len(run.plan.events)
        assert stage.posted[-1][0] < 3
        assert judgement(run) is Judgement.EXPECTED


@pytest.mark.parametrize("at_seconds", [0.0, 0.3, 1.0, 5.0, 11.0, 27.2, 28.0])
async def test_stop_ends_a_run_at_once_and_nothing_is_left(at_seconds: float, autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(pace=Pace.REAL)
        if at_seconds:
            await trio.sleep(at_seconds)
        run.stop()
        assert run.state is RunState.STOPPED
        there = len(stage.posted)
        events = await told(run)
        assert events[-1].data == {"state": "stopped"}
        await trio.sleep(60)
        assert len(stage.posted) == there
        assert run.verdict is None
        assert stage.is_quiet
        for button in (run.pause, run.resume, run.step, run.stop):
            with pytest.raises(RunIsOver):
                button()


async def test_everything_but_stop_is_too_late_when_all_is_posted(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start("1-8")
        async for event in run.events():
            if event.data == {"state": "judging"}:
                break
        for button in (run.pause, run.resume, run.step):
            with pytest.raises(RunIsOver, match="все события уже отправлены"):
                button()
        run.stop()
        assert run.state is RunState.STOPPED


async def test_the_end_of_the_emulator_stops_every_run(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        runs = [stage.start(pace=Pace.REAL) for _ in range(3)]
        await trio.sleep(2)
    assert {run.state for run in runs} == {RunState.STOPPED}
    assert stage.is_quiet
    with pytest.raises(NotRunning):
        stage.start()


async def test_cancelled_at_every_step_a_run_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        for ticks in range(60):
            run = stage.start(pace=Pace.FAST)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            if run.state.is_over:
                break
            run.stop()
            await told(run)
            await wait_all_tasks_blocked()
            assert run.state is RunState.STOPPED
            assert stage.is_quiet


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_lost_webhook_is_not_posted_and_is_told(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(faults=only(EventTrouble.LOSE, 2))
        events = await told(run)
        lost = run.plan.events[2].posted
        assert of_kind(events, "lost") == [{"index": 2, "kind": lost.kind}]
        assert len(stage.posted) == len(run.plan.events) - 1
        assert run.posted_items == len(run.plan.events)


async def test_a_doubled_webhook_goes_out_twice_and_counts_once(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(faults=only(EventTrouble.DOUBLE, 0))
        events = await told(run)
        assert [kind for _, kind in stage.posted[:2]] == ["start", "start"]
        first, second = of_kind(events, "answer")[:2]
        assert (first["duplicate"], second["duplicate"]) == (False, True)
        assert first["event_id"] == second["event_id"]
        assert judgement(run) is Judgement.EXPECTED


async def test_a_delayed_webhook_is_overtaken_and_holds_nobody_up(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(pace=Pace.REAL, faults=only(EventTrouble.DELAY, 0, 11.0))
        events = await told(run)
        order = [data["index"] for data in of_kind(events, "post")]
        assert order[:4] == [1, 2, 0, 3]
        assert judgement(run) is Judgement.EXPECTED, run.verdict


async def test_swapped_webhooks_change_places(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(faults=only(EventTrouble.SWAP, 4))
        events = await told(run)
        assert [data["index"] for data in of_kind(events, "post")][3:7] == [3, 5, 4, 6]
        assert judgement(run) is Judgement.EXPECTED, run.verdict


@pytest.mark.parametrize("trouble", [TelegramTrouble.TOO_MANY, TelegramTrouble.BROKEN])
async def test_telegram_in_trouble_delays_the_chat_and_changes_nothing(trouble: TelegramTrouble, autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start(pace=Pace.REAL, faults=Faults(telegram=trouble))
        events = await told(run)
        refused = of_kind(events, "telegram")
        assert {data["status"] for data in refused} == ({429} if trouble is TelegramTrouble.TOO_MANY else {502})
        assert judgement(run) is Judgement.EXPECTED, run.verdict


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_chat_that_shows_something_else_is_a_difference_with_both_texts(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = stage.start("2-1", faults=Faults(events=tuple(EventFault(index=index, trouble=EventTrouble.LOSE) for index in (3, 4, 5))))
        hangup = attrs.evolve(run.plan.events[-1].posted)

        async def answer(request: httpx.Request) -> httpx.Response:
            # Somebody answers for the gateway what it would answer, and forgets the end.
            return (
                httpx.Response(200, json={"status": "ok", "event_id": 10_000})
                if request.url.path == "/hangup"
                else await stage.take(request)
            )

        stage.answer_instead = answer
        await told(run)
        assert hangup.kind == "hangup"
        assert run.verdict is not None
        assert run.verdict.judgement is Judgement.DIFFERENT
        [line] = run.verdict.differences
        assert line.startswith("чат 1001: должно быть «✅ Завершен: +375 (29)")


async def test_differences_are_told_in_the_language_of_whoever_ordered(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        stage.answer_instead = lambda _: _refuse()
        run = stage.emulator.start(stage.order("3-2"), "en")
        await told(run)
        assert run.verdict is not None
        assert run.verdict.judgement is Judgement.DIFFERENT
        assert run.verdict.differences[0].startswith("event 1 (hangup) was not accepted: 503")
        assert run.verdict.differences[1].startswith("chat 1001: there is no message “❌ Не отвечен (внутр.): ")
        # Whoever looks later may speak another one.
        russian = run.verdict_in("ru")
        assert russian is not None
        assert russian.differences[0].startswith("событие 1 (hangup) не принято: 503")
        heard = [event.data async for event in run.events(language="ru") if event.kind == "verdict"]
        assert heard == [{"judgement": "different", "differences": list(russian.differences)}]


async def _refuse() -> httpx.Response:
    return httpx.Response(503, json={"status": "error", "error": "try again later"})


async def test_another_gateway_is_not_seen_unless_it_refuses(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        run = await stage.play("3-2", target=REMOTE)
        assert judgement(run) is Judgement.UNSEEN
        stage.answer_instead = lambda _: _refuse()
        refused = await stage.play("3-2", target=REMOTE)
        assert judgement(refused) is Judgement.DIFFERENT


@pytest.mark.parametrize(
    ("config", "why"), [(attrs.evolve(FAMILY, bot_token="", subscribers=()), "бота"), (attrs.evolve(FAMILY, subscribers=()), "подписчиков")]
)
async def test_without_a_chat_nothing_can_be_seen(config: EnterpriseConfig, why: str, autojump_clock: MockClock) -> None:
    async with open_stage(config=config) as stage:
        run = await stage.play("3-2")
        assert run.verdict is not None
        assert run.verdict.judgement is Judgement.UNSEEN
        assert why in run.verdict.differences[0]


@pytest.mark.parametrize("final", ["edit", "replace", "comment", "auto"])
@pytest.mark.parametrize("key", ["2-1", "2-2"])
async def test_every_way_of_telling_the_end_is_understood(key: str, final: str, autojump_clock: MockClock) -> None:
    async with open_stage(config=attrs.evolve(FAMILY, final=final)) as stage:
        run = stage.start(key, pace=Pace.REAL)
        events = await told(run)
        assert judgement(run) is Judgement.EXPECTED, run.verdict
        changes = [data["change"] for data in of_kind(events, "message")]
        is_replaced = final == "replace" or (final == "auto" and key == "2-2")
        assert ("deleted" in changes) == is_replaced
        assert changes.count("sent") == (1 if final == "edit" or (final == "auto" and key == "2-1") else 2)


# ── orders, and many runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_orders_that_make_no_sense_are_refused_with_the_field(autojump_clock: MockClock) -> None:
    async with open_stage(can_block=False) as stage:
        good = stage.order()
        bad = {
            "enterprise": attrs.evolve(good, enterprise="9999"),
            "pattern": attrs.evolve(good, pattern="9-9"),
            "target": attrs.evolve(good, target="http://evil.test"),
            "faults": attrs.evolve(good, faults=Faults(telegram=TelegramTrouble.BLOCKED)),
            "external_phone": attrs.evolve(good, values={**good.values, "external_phone": "abc"}),
        }
        for field, order in bad.items():
            for ask in (stage.emulator.plan, stage.emulator.start):
                with pytest.raises(OrderRefused) as refused:
                    ask(order, "en")
                assert set(refused.value.fields) == {field}
        for faults in (Faults(crm_hangs=True), Faults(telegram=TelegramTrouble.BROKEN)):
            with pytest.raises(OrderRefused):
                stage.emulator.start(attrs.evolve(good, target=REMOTE, faults=faults))
        for config in (attrs.evolve(FAMILY, active=False), attrs.evolve(FAMILY, token="")):
            stage.enterprises[:] = [config]
            with pytest.raises(OrderRefused):
                stage.emulator.start(good)
        assert stage.emulator.runs == ()


async def test_only_so_many_runs_are_played_at_once_and_kept(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        runs = [stage.start("3-2", pace=Pace.STEP) for _ in range(ACTIVE_RUNS)]
        with pytest.raises(TooManyRuns):
            stage.start("3-2")
        for run in runs:
            run.stop()
        for _ in range(KEPT_RUNS):
            stage.start("3-2", pace=Pace.STEP).stop()
        assert len(stage.emulator.runs) == KEPT_RUNS
        newest = stage.emulator.runs[0]
        assert stage.emulator.find(newest.id) is newest
        with pytest.raises(NoSuchRun):
            stage.emulator.find(runs[0].id)


async def test_a_fault_of_ours_fails_one_run_and_no_other(autojump_clock: MockClock, expected_errors: Claims) -> None:
    async with open_stage() as stage:
        broken = stage.start("2-1", pace=Pace.FAST)

        async def talk_nonsense(request: httpx.Request) -> httpx.Response:
            if len(stage.posted) > 4:
                raise RuntimeError("a fault of ours")
            return await stage.take(request)

        stage.answer_instead = talk_nonsense
        events = await told(broken)
        assert broken.state is RunState.FAILED
        assert events[-1].data == {"state": "failed"}
        assert expected_errors.claim(f"run {broken.id} of the emulator failed")
        assert stage.is_quiet
        stage.answer_instead = None
        other = await stage.play()
        assert judgement(other) is Judgement.EXPECTED


async def test_a_gateway_that_does_not_answer_costs_the_event_and_not_the_run(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:

        async def hang_once(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/start":
                await trio.sleep_forever()
            return await stage.take(request)

        stage.answer_instead = hang_once
        run = stage.start()
        events = await told(run)
        first = of_kind(events, "answer")[0]
        assert (first["status"], first["event_id"], first["error"]) == (None, None, "no answer within 3 s")
        assert run.verdict is not None
        assert run.verdict.differences[0] == "событие 1 (start) не принято: no answer within 3 s"


async def test_no_secret_is_told(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = attrs.evolve(FAMILY, token="host-token-of-june-0367")
    async with open_stage(config=secret) as stage:
        run = stage.start()
        events = await told(run)
        told_text = json.dumps([dict(event.data) for event in events]) + repr(run) + caplog.text
        assert "***0367" in told_text
        assert secret.token not in told_text
        assert secret.bot_token not in told_text
