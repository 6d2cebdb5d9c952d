"""A thousand calls for a CRM that hangs: what that may cost, and whom."""

from collections.abc import AsyncGenerator

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.crm.base import CrmKind
from gateway.nurseries.desk import ALL_PLACES, FIRST_PLACES, MOST_CALLS, PLACES, RETRY_PLACES, ChainKey, Desk
from gateway.nurseries.outbox import Agenda
from gateway.ports import PushKey
from tester.fakes.crm import HANG, RETRYABLE, Play
from tester.virtual import NUMBER
from tests.nurseries.outboxes import BOTH, DIAL, HANGUP, PostRoom, open_post_room, report, told

CALLS = range(1, 1001)


@pytest.fixture
async def room(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[PostRoom]:
    yield open_post_room(nursery)
    nursery.cancel_scope.cancel()


def chain(call_id: int, number: str = NUMBER) -> ChainKey:
    return ChainKey(number, call_id, "own")


async def test_a_burst_for_a_crm_that_hangs_holds_a_few_requests_and_tasks(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.usual = HANG
    tasks = trio.lowlevel.current_statistics().tasks_living
    for call_id in CALLS:
        await life.put(report(DIAL, call_id))
    await trio.testing.wait_all_tasks_blocked()
    assert crm.under_way == FIRST_PLACES
    assert trio.lowlevel.current_statistics().tasks_living == tasks + FIRST_PLACES
    assert life.outbox.waiting_pushes == 1000
    await trio.sleep(300)
    assert crm.most_under_way <= PLACES
    assert trio.lowlevel.current_statistics().tasks_living <= tasks + PLACES
    # So many first tries every two seconds, and at most two retries beside them.
    assert 150 * FIRST_PLACES <= len(crm.pushes) <= 150 * PLACES + PLACES


async def test_when_the_crm_comes_back_every_call_of_the_burst_is_told_in_its_order(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(CrmKind.RETAILCRM), await room.start()
    crm.usual = HANG
    for call_id in CALLS:
        await life.call(call_id, crm=CrmKind.RETAILCRM)
    await trio.sleep(20)
    crm.usual = Play(delay_seconds=0.1)
    await trio.sleep(200)
    heard = told([pushed for pushed in crm.pushes if pushed.outcome is not None])
    assert sorted(heard) == [(call_id, kind) for call_id in CALLS for kind in BOTH]
    assert all(heard.index((call_id, DIAL)) < heard.index((call_id, HANGUP)) for call_id in CALLS)
    assert await room.pending() == await room.dead() == []
    assert life.outbox.waiting_pushes == 0


async def test_retries_have_their_own_places_beside_the_news(room: PostRoom, autojump_clock: MockClock) -> None:
    crm, life = room.crm(), await room.start()
    crm.play(*[RETRYABLE] * 10)
    for call_id in range(1, 11):
        await life.put(report(DIAL, call_id))
    await trio.sleep(19)
    crm.usual = HANG
    for call_id in CALLS:
        await life.put(report(DIAL, 100 + call_id))
    await trio.sleep(1.5)
    assert crm.under_way == PLACES
    assert sorted(pushed.report.call_id for pushed in crm.pushes if pushed.at == 20.0) == [1, 2]


async def test_hundreds_of_crms_that_hang_leave_descriptors_for_the_doors(room: PostRoom, autojump_clock: MockClock) -> None:
    crms = [room.crm(number=f"{number:04d}") for number in range(300)]
    life = await room.start()
    for number, crm in enumerate(crms):
        crm.usual = HANG
        for call_id in range(10):
            life.outbox.take(await room.accept(report(DIAL, number * 10 + call_id + 1), number=f"{number:04d}"))
    await trio.sleep(1)
    # Each may have one; what is beyond that is shared.
    assert all(crm.under_way >= 1 for crm in crms)
    assert sum(crm.under_way for crm in crms) <= ALL_PLACES + len(crms)


async def test_what_a_desk_cannot_keep_in_mind_is_found_in_the_store_later(
    room: PostRoom, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.nurseries.desk.MOST_CALLS", 10)
    crm, life = room.crm(), await room.start()
    crm.usual = Play(delay_seconds=1)
    for call_id in range(1, 31):
        await life.put(report(DIAL, call_id))
    assert life.outbox.waiting_pushes == 10
    await trio.sleep(1000)
    assert sorted(told(crm.pushes)) == [(call_id, DIAL) for call_id in range(1, 31)]


def test_a_desk_keeps_a_bounded_number_of_calls_in_mind() -> None:
    desk = Desk()
    assert all(desk.owe(chain(call_id), DIAL) for call_id in range(MOST_CALLS))
    assert not desk.owe(chain(MOST_CALLS), DIAL)
    assert desk.owe(chain(1), HANGUP)
    desk.settle(chain(2), DIAL)
    assert desk.owe(chain(MOST_CALLS), DIAL)
    assert desk.owed_pushes == MOST_CALLS + 1


@given(st.lists(st.tuples(st.sampled_from(["first", "retry", "begin", "end", "crowd"]), st.integers(0, 30)), max_size=200))
def test_whatever_is_put_a_desk_keeps_to_its_places_and_never_doubles_a_call(steps: list[tuple[str, int]]) -> None:
    desk, running, lined_up = Desk(), dict[ChainKey, None](), set[ChainKey]()
    for step, number in steps:
        match step:
            case "first" | "retry":
                desk.line_up(chain(number), is_retry=step == "retry")
                if chain(number) not in running:
                    lined_up.add(chain(number))
            case "end":
                if running:
                    ended = list(running)[number % len(running)]
                    again = desk.looks_again(ended)
                    assert not again or not desk.looks_again(ended)
                    desk.end(ended)
                    del running[ended]
            case _:
                begun = list(desk.begin(places=0 if step == "crowd" else 100, is_draining=False))
                assert not set(begun) & running.keys()
                assert set(begun) <= lined_up
                assert step != "crowd" or not begun or not running
                running.update(dict.fromkeys(begun))
                lined_up -= set(begun)
                assert len(running) == desk.running <= PLACES
                if step == "begin" and lined_up:
                    # Somebody waits only where the places of its line are taken.
                    assert len(running) >= RETRY_PLACES
    for _ in range(100):
        for each in list(desk.begin(places=100, is_draining=False)):
            lined_up.discard(each)
            running[each] = None
        for each in list(running):
            desk.end(each)
            del running[each]
    assert not lined_up


def test_a_draining_desk_begins_no_retries() -> None:
    desk = Desk()
    desk.line_up(chain(1), is_retry=True)
    assert list(desk.begin(places=10, is_draining=True)) == []
    desk.line_up(chain(1), is_retry=False)
    assert list(desk.begin(places=10, is_draining=True)) == [chain(1)]


def test_the_agenda_keeps_the_last_time_of_each_chain() -> None:
    agenda = Agenda()
    assert agenda.next_at == float("inf")
    agenda.put(chain(1), 10.0)
    agenda.put(chain(2), 5.0)
    agenda.put(chain(1), 20.0)
    assert agenda.due(10.0) == [chain(2)]
    assert agenda.due(19.9) == []
    assert agenda.next_at == 20.0
    assert agenda.due(20.0) == [chain(1)]
    assert agenda.due(1e9) == []


def test_keys_of_rows_know_their_chain() -> None:
    assert chain(7).push_key(HANGUP) == PushKey(NUMBER, 7, "own", HANGUP)
