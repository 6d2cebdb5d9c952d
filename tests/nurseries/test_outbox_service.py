"""CRMs in the house: what events lead to, whom a CRM holds up (nobody), what a stop and a kill leave of it."""

import logging
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.report import ReportKind
from gateway.crm.base import CrmKind
from gateway.crm.registry import Crms
from gateway.nurseries.desk import PLACES
from gateway.ports import EnterpriseConfig, Push
from tester.fakes.crm import HANG, PERMANENT, RETRYABLE, Play, ScriptedCrm
from tester.virtual import JUNE, NUMBER, House, open_house

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP


def with_crms(house: House, *kinds: CrmKind) -> tuple[EnterpriseConfig, list[ScriptedCrm]]:
    """June with these CRMs. Names are looked up in none of them: that is another room's business."""
    crms = [ScriptedCrm(kind) for kind in kinds]
    house.crms = Crms({crm.kind: crm.maker for crm in crms})
    return attrs.evolve(JUNE, integrations={kind.value: {"enabled": True} for kind in kinds}), crms


async def one_crm(house: House, kind: CrmKind = CrmKind.OWN) -> ScriptedCrm:
    config, (crm,) = with_crms(house, kind)
    await house.configure(config)
    return crm


async def a_call(house: House, unique_id: str = "1.1") -> None:
    """Rings for two seconds, then ends."""
    await house.ring(unique_id)
    await trio.sleep(2)
    await house.hang_up(unique_id)


async def pending(house: House) -> Sequence[Push]:
    return await house.store.pending_pushes(after=None, limit=10_000)


def kinds(crm: ScriptedCrm) -> list[ReportKind]:
    return [pushed.report.kind for pushed in crm.pushes]


async def test_a_crm_hears_of_the_ring_and_of_the_end_when_they_happen(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    await house.start()
    await a_call(house)
    await trio.sleep(60)
    dial, hangup = crm.pushes
    assert (dial.at, dial.report.kind, dial.report.extensions, dial.report.phone) == (0.0, DIAL, ("151",), "375290001234")
    assert (hangup.report.kind, hangup.report.answered, hangup.report.unique_id) == (HANGUP, True, dial.report.unique_id)
    assert 2.0 <= hangup.at <= 12.0
    assert await pending(house) == []


async def test_an_event_posted_twice_is_told_once(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    await house.start()
    for _ in range(3):
        await a_call(house)
        await trio.sleep(60)
    assert kinds(crm) == [DIAL, HANGUP]


async def test_retailcrm_gets_a_made_up_dial_before_a_hangup_that_comes_alone(house: House, autojump_clock: MockClock) -> None:
    config, crms = with_crms(house, CrmKind.RETAILCRM, CrmKind.OWN)
    await house.configure(config)
    await house.start()
    await house.hang_up()
    await trio.sleep(60)
    retail, own = crms
    assert [(pushed.report.kind, pushed.report.synthetic) for pushed in retail.pushes] == [(DIAL, True), (HANGUP, False)]
    assert kinds(own) == [HANGUP]


async def test_an_internal_call_is_nobody_elses_business(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    await house.start()
    await house.hang_up(CallType=2, Phone="152", Trunk="", status="0")
    await trio.sleep(60)
    assert house.texts() != []
    assert crm.pushes == []


@pytest.mark.parametrize("play", [HANG, Play(outcome=RETRYABLE), Play(delay_seconds=1.9)], ids=["hangs", "fails", "is slow"])
async def test_telegram_and_other_crms_do_not_notice_what_a_crm_does(house: House, autojump_clock: MockClock, play: Play) -> None:
    config, (bad, good) = with_crms(house, CrmKind.UON, CrmKind.OWN)
    await house.configure(config)
    process = await house.start()
    times: list[tuple[list[float], list[float]]] = []
    for usual in (Play(), play):
        bad.usual = usual
        begun, requests, pushes = trio.current_time(), house.requests(), len(good.pushes)
        for number in range(10):
            await house.ring(f"{len(times)}.{number}", Phone=f"3752900000{number:02}")
        await trio.sleep(2)
        for number in range(10):
            await house.hang_up(f"{len(times)}.{number}", Phone=f"3752900000{number:02}")
        await trio.sleep(600)
        sent = [request.at - begun for request in list(house.telegram.requests)[requests:]]
        times.append((sent, [pushed.at - begun for pushed in good.pushes[pushes:]]))
    assert len(times[0][0]) == len(times[1][0]) > 0
    assert times[0][0] == pytest.approx(times[1][0])
    assert times[0][1] == pytest.approx(times[1][1])
    assert process.running.outbox.waiting_pushes == 0


async def test_a_crm_that_was_switched_off_gets_nothing_more(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    crm.usual = Play(outcome=RETRYABLE)
    await house.start()
    await a_call(house)
    await trio.sleep(5)
    await house.configure(attrs.evolve(JUNE, integrations={"own": {"enabled": False}}))
    await trio.sleep(600)
    assert kinds(crm) == [DIAL]
    assert await pending(house) == []
    assert [push.problem for push in await house.store.dead_pushes(NUMBER, limit=10)] == ["switched_off"]


DAMAGES = ("[]", '{"own": []}', '{"own": {"enabled": "yes"}}', '"off"', "null")
SWITCHES = ('{"own": {"enabled": false}}', "{}")


@pytest.mark.parametrize("damage", [*DAMAGES, *SWITCHES])
async def test_what_is_owed_outlives_a_moment_of_damaged_settings(house: House, autojump_clock: MockClock, damage: str) -> None:
    crm = await one_crm(house)
    crm.usual = HANG
    process = await house.start()
    await house.ring()
    await trio.sleep(5)
    house.store.put_integrations(NUMBER, damage)
    house.tell(NUMBER)
    crm.usual = Play()
    await trio.sleep(600)
    assert kinds(crm) == [DIAL]
    (dead,) = await house.store.dead_pushes(NUMBER, limit=10)
    assert (dead.problem, dead.fault) == ("switched_off" if damage in SWITCHES else "settings", "ours")
    assert {log.status for log in await house.store.integration_logs(NUMBER, limit=10)} == {"error"}
    await house.configure(attrs.evolve(JUNE, integrations={"own": {"enabled": True}}))
    assert len((await process.running.outbox.revive(NUMBER)).keys) == 1
    await trio.sleep(10)
    assert kinds(crm) == [DIAL, DIAL]


async def test_a_kill_between_commit_and_push_costs_nothing(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    process = await house.start()
    crm.usual = HANG
    await house.ring()
    await trio.sleep(1)
    await process.kill()
    crm.usual = Play()
    await house.start()
    await house.hang_up()
    await trio.sleep(600)
    delivered = [pushed for pushed in crm.pushes if pushed.outcome is not None]
    assert [pushed.report.kind for pushed in delivered] == [DIAL, HANGUP]
    assert crm.pushes[0].push_id == delivered[0].push_id


async def test_a_stop_lets_requests_finish_and_counts_what_is_left(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    crm = await one_crm(house)
    process = await house.start()
    crm.usual = Play(delay_seconds=1.5)
    await house.ring()
    await trio.sleep(0.5)
    await process.stop()
    assert trio.current_time() < 3.0
    assert kinds(crm) == [DIAL]
    assert crm.pushes[0].outcome is not None
    assert process.service.left is not None
    assert (process.service.left.finished_pushes, process.service.left.left_pushes) == (1, 0)
    assert await pending(house) == []
    assert "1 reports to CRMs settled" in caplog.text


async def test_a_stop_ends_in_time_when_a_crm_hangs_with_many_calls(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    process = await house.start()
    crm.usual = HANG
    for number in range(100):
        await house.ring(f"1.{number}", Phone=f"3752900000{number:02}")
    await trio.sleep(100)
    begun = trio.current_time()
    await process.stop()
    assert trio.current_time() - begun <= house.drain_seconds + 3
    assert process.service.left is not None
    assert process.service.left.left_pushes == len(await pending(house)) > 0


async def test_a_thousand_calls_for_a_crm_that_hangs_hold_a_few_requests(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    process = await house.start()
    crm.usual = HANG
    for number in range(1000):
        await house.post("dial", f"1.{number}", Phone=f"37529000{number:04}", Extensions=["151"])
    await trio.sleep(60)
    assert crm.most_under_way <= PLACES
    assert process.running.outbox.running_chains <= PLACES


async def test_a_burst_with_a_crm_that_hangs_goes_to_telegram_as_without_any(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    times: list[list[tuple[float, str]]] = []
    for is_there in (False, True):
        async with open_house(nursery) as house:
            if is_there:
                (await one_crm(house)).usual = HANG
            process, begun = await house.start(), trio.current_time()
            for number in range(200):
                await house.post("dial", f"1.{number}", Phone=f"37529000{number:04}", Extensions=["151"])
            await trio.sleep(600)
            times.append([(round(request.at - begun, 6), request.method) for request in house.telegram.requests])
            await process.kill()
    assert times[0] == times[1] != []
    nursery.cancel_scope.cancel()


async def test_dead_letters_are_revived_when_the_settings_are_corrected(house: House, autojump_clock: MockClock) -> None:
    crm = await one_crm(house)
    crm.usual = Play(outcome=PERMANENT)
    process = await house.start()
    await a_call(house)
    await trio.sleep(60)
    dead = await house.store.dead_pushes(NUMBER, limit=10)
    assert sorted(push.key.kind for push in dead) == [DIAL, HANGUP]
    assert all(push.advice for push in dead)
    crm.usual = Play()
    revived = await process.running.outbox.revive(NUMBER)
    assert ([key.kind for key in revived.keys], [key.kind for key in revived.left]) == ([HANGUP], [DIAL])
    await trio.sleep(60)
    assert kinds(crm) == [DIAL, HANGUP, HANGUP]
    assert await house.store.dead_pushes(NUMBER, limit=10) == []
