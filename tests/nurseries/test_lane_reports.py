"""What lanes owe to CRMs: written with the events, handed on after the commit, and never in the way of the call itself."""

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.record import CallRecord
from gateway.calls.report import ReportKind
from gateway.crm.base import CrmKind
from gateway.crm.registry import Crms
from gateway.errors import StoreRejected
from gateway.nurseries import enrichment
from gateway.ports import EnterpriseConfig, Step
from tester.fakes.crm import ScriptedCrm
from tester.memory import MemoryStore
from tester.virtual import JUNE, Claims, House

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
ANSWERED = "✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"
WITH_CRM = attrs.evolve(JUNE, integrations={"own": {"enabled": True}})


class Steps(MemoryStore):
    """Keeps the steps it has taken, and refuses those that owe one of `refused`."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        super().__init__(now=now)
        self.refused: Sequence[ReportKind] = ()
        self.taken: list[Step] = []

    async def commit_step(self, step: Step) -> None:
        if any(owed.report.kind in self.refused for owed in step.owed):
            raise StoreRejected("not this one")
        await super().commit_step(step)
        self.taken.append(step)

    @property
    def owed(self) -> list[ReportKind]:
        return [owed.report.kind for step in self.taken for owed in step.owed]


async def open_house(house: House) -> tuple[Steps, ScriptedCrm]:
    house.store = store = Steps(now=house.clock)
    crm = ScriptedCrm(CrmKind.OWN)
    house.crms = Crms({CrmKind.OWN: crm.maker})
    await house.configure(WITH_CRM)
    return store, crm


def kinds(crm: ScriptedCrm) -> list[ReportKind]:
    return [pushed.report.kind for pushed in crm.pushes]


async def test_a_report_is_written_in_the_step_of_its_events(house: House, autojump_clock: MockClock) -> None:
    store, crm = await open_house(house)
    await house.start()
    await house.ring()
    await trio.sleep(2)
    event_id = await house.hang_up()
    await trio.sleep(60)
    assert store.owed == [DIAL, HANGUP]
    end = next(step for step in store.taken if step.records)
    assert [owed.report.kind for owed in end.owed] == [HANGUP]
    assert [outcome.event_id for outcome in end.outcomes] == [event_id]
    assert kinds(crm) == [DIAL, HANGUP]


async def test_nothing_is_pushed_before_its_step_is_written(house: House, autojump_clock: MockClock) -> None:
    store, crm = await open_house(house)
    await house.start()
    await house.ring()
    store.unavailable = True
    await trio.sleep(30)
    assert not store.owed
    assert not crm.pushes
    store.unavailable = False
    await trio.sleep(30)
    assert kinds(crm) == [DIAL]
    store.latency_seconds = 0.5
    began = trio.current_time()
    await house.hang_up()
    await trio.sleep(30)
    # The event, the step and the row: three times the store.
    assert crm.pushes[-1].at - began >= 1.0
    assert kinds(crm) == [DIAL, HANGUP]


@pytest.mark.parametrize(("refused", "pushed"), [([DIAL], [HANGUP]), ([HANGUP], [DIAL]), ([DIAL, HANGUP], [])])
async def test_of_a_step_that_is_taken_apart_only_what_was_written_is_pushed(
    house: House, autojump_clock: MockClock, expected_errors: Claims, refused: list[ReportKind], pushed: list[ReportKind]
) -> None:
    store, crm = await open_house(house)
    store.refused = refused
    await house.start()
    # Both in one step.
    house.submit("start")
    house.submit("dial", Extensions=["151"])
    await house.hang_up()
    await trio.sleep(60)
    expected_errors.claim("refused")
    assert kinds(crm) == pushed
    assert store.owed == pushed
    assert house.texts() == [ANSWERED]
    assert len(await store.calls(JUNE.number, limit=10)) == 1


async def test_a_late_hangup_owes_only_what_it_changes(house: House, autojump_clock: MockClock) -> None:
    store, _ = await open_house(house)
    await house.start()
    await house.ring()
    await trio.sleep(2)
    await house.hang_up()
    await trio.sleep(3600)
    before = len(store.owed)
    await house.hang_up(Again="the same end in another body")
    await trio.sleep(3600)
    assert len(store.owed) == before
    await house.hang_up(seconds=70)
    await trio.sleep(3600)
    assert store.owed[before:] == [HANGUP]


async def test_after_a_restart_nothing_is_owed_again(house: House, autojump_clock: MockClock) -> None:
    store, crm = await open_house(house)
    process = await house.start()
    await house.ring()
    await trio.sleep(2)
    await house.hang_up()
    await trio.sleep(5)
    await process.kill()
    await house.start()
    await trio.sleep(3600)
    assert store.owed == [DIAL, HANGUP]
    assert kinds(crm) == [DIAL, HANGUP]


class Clumsy(Crms):
    """Forgets what an enterprise has."""

    broken = False

    def enabled(self, config: EnterpriseConfig) -> tuple[CrmKind, ...]:
        if self.broken:
            raise ZeroDivisionError("what was it")
        return super().enabled(config)


async def test_a_mistake_about_crms_does_not_take_the_call_along(house: House, autojump_clock: MockClock, expected_errors: Claims) -> None:
    house.crms = crms = Clumsy({})
    await house.start()
    crms.broken = True
    await house.ring()
    await house.hang_up()
    await trio.sleep(60)
    expected_errors.claim("what CRMs are owed is not known")
    assert house.texts() == [ANSWERED]


async def test_a_mistake_about_names_does_not_take_the_call_along(
    house: House, autojump_clock: MockClock, expected_errors: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named_of(_self: object, _config: EnterpriseConfig, record: CallRecord) -> None:
        raise ZeroDivisionError(record.phone)

    monkeypatch.setattr(enrichment.Enrichment, "named_of", named_of)
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(60)
    expected_errors.claim("its customer cannot be named")
    assert house.texts() == [ANSWERED]
