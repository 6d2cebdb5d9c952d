"""Janitor, recipients, patience, drafts."""

from datetime import datetime, timedelta

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.cards.board import CardChange, Changes, Settled
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.nurseries.clock import TrioClock, wall_clock
from gateway.nurseries.draft import Draft
from gateway.nurseries.enterprise import final_mode_of, zone_of
from gateway.nurseries.janitor import BATCH_ROWS, ROUND_SECONDS, keep_house, sweep
from gateway.nurseries.patience import STORE_BACKOFF, TELEGRAM_BACKOFF, Backoff, Patience
from gateway.nurseries.recipients import Recipients
from gateway.ports import EventOutcome
from tester.memory import MemoryStore
from tester.virtual import BOT, JUNE, NOON

PATIENCE = Patience(jitter=lambda: 1.0)


@given(failures=st.integers(1, 10**6), jitter=st.floats(0, 1))
def test_a_wait_is_never_longer_than_its_limit_nor_shorter_than_half_the_first(failures: int, jitter: float) -> None:
    for backoff in (STORE_BACKOFF, TELEGRAM_BACKOFF):
        assert backoff.first_seconds / 2 <= backoff.delay_seconds(failures, jitter) <= backoff.limit_seconds


def test_waits_double() -> None:
    backoff = Backoff(first_seconds=1, limit_seconds=10)
    assert [backoff.delay_seconds(failures, 1.0) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


async def test_only_an_absent_store_is_waited_for(autojump_clock: MockClock) -> None:
    tries: list[float] = []

    async def absent_twice() -> str:
        await trio.lowlevel.checkpoint()
        tries.append(trio.current_time())
        if len(tries) < 3:
            raise StoreUnavailable
        return "there"

    assert await PATIENCE.with_store("test", absent_twice) == "there"
    assert tries == pytest.approx([0, 0.1, 0.3])

    async def refusing() -> None:
        await trio.lowlevel.checkpoint()
        raise StoreRejected("no")

    with pytest.raises(StoreRejected):
        await PATIENCE.with_store("test", refusing)


async def test_a_clock_on_trio_runs_with_it(autojump_clock: MockClock) -> None:
    clock = TrioClock(NOON)
    await trio.sleep(90)
    assert clock() == NOON + timedelta(seconds=90)
    assert wall_clock().utcoffset() == timedelta(0)


class Attic(MemoryStore):
    rows: int = 0
    asked: list[tuple[datetime, int]]

    async def delete_older_than(self, at: datetime, *, limit: int) -> int:
        await trio.lowlevel.checkpoint()
        if self.unavailable:
            raise StoreUnavailable
        self.asked.append((at, limit))
        gone = min(limit, self.rows)
        self.rows -= gone
        return gone


async def test_the_janitor_deletes_a_few_at_a_time_until_nothing_is_left(autojump_clock: MockClock) -> None:
    store, clock = Attic(), TrioClock(NOON)
    store.rows, store.asked = 2 * BATCH_ROWS + 1, []
    assert await sweep(store, clock=clock, retention_days=90) == 2 * BATCH_ROWS + 1
    assert [limit for _, limit in store.asked] == [BATCH_ROWS] * 4
    assert store.asked[0][0] == NOON - timedelta(days=90)


async def test_the_janitor_survives_a_round_without_a_store(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store, clock = Attic(), TrioClock(NOON)
    store.rows, store.asked, store.unavailable = 5, [], True

    async def run() -> None:
        await keep_house(store, clock=clock, retention_days=90)

    nursery.start_soon(run)
    await trio.sleep(1)
    store.unavailable = False
    await trio.sleep(ROUND_SECONDS)
    assert store.rows == 0
    nursery.cancel_scope.cancel()


async def test_recipients_read_before_a_change_are_not_kept_after_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    await store.upsert_enterprises([JUNE])
    recipients = Recipients(store, patience=PATIENCE)
    store.latency_seconds = 1

    async def read() -> None:
        await recipients.of("0367")

    nursery.start_soon(read)
    await trio.sleep(0.5)
    recipients.refresh()
    await trio.sleep(1)
    store.latency_seconds = 0
    await store.upsert_enterprises([attrs.evolve(JUNE, subscribers=(1001, 1002))])
    assert [recipient.chat_id for recipient in await recipients.of("0367")] == [1001, 1002]
    recipients.drop(BOT, 1001)
    assert [recipient.chat_id for recipient in await recipients.of("0367")] == [1002]


async def test_recipients_of_one_enterprise_are_read_again_without_the_others(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    may = attrs.evolve(JUNE, number="0368", name="may", token="375290000368")
    await store.upsert_enterprises([JUNE, may])
    recipients = Recipients(store, patience=PATIENCE)
    await recipients.of("0367")
    await recipients.of("0368")
    await store.upsert_enterprises([attrs.evolve(each, subscribers=(1001, 1002)) for each in (JUNE, may)])
    recipients.refresh_of("0367")
    assert [recipient.chat_id for recipient in await recipients.of("0367")] == [1001, 1002]
    assert [recipient.chat_id for recipient in await recipients.of("0368")] == [1001]


def test_odd_words_in_the_database_have_a_safe_meaning(caplog: pytest.LogCaptureFixture) -> None:
    odd = attrs.evolve(JUNE, timezone="Mars/Olympus", final="louder")
    assert str(zone_of(odd)) == "UTC"
    assert final_mode_of(odd).value == "auto"
    assert str(zone_of(attrs.evolve(JUNE, timezone="../../etc/passwd"))) == "UTC"


def card(call_id: int, event_id: int) -> CardChange:
    return CardChange(call_id=call_id, version=event_id, event_id=event_id, view=None)


def test_a_draft_keeps_the_newest_of_each_call_and_follows_merges() -> None:
    draft = Draft()
    draft.add(Changes(settled=(Settled(event_id=1, call_id=1),), opened=(1,), cards=(card(1, 1),)))
    draft.add(Changes(settled=(Settled(event_id=2, call_id=2),), opened=(2,)))
    draft.add(Changes(settled=(Settled(event_id=3, call_id=1),), merged=((2, 1),), cards=(card(1, 3),)))
    draft.refuse(4, "why")
    step = draft.step("0367", is_shown=lambda _: True, released=(9,))
    assert step is not None
    assert step.opened == (1,)
    assert step.merged == ((2, 1),)
    assert step.released == (9,)
    assert step.outcomes == (
        EventOutcome(event_id=1, call_id=1),
        EventOutcome(event_id=2, call_id=1),
        EventOutcome(event_id=3, call_id=1),
        EventOutcome(event_id=4, call_id=None, error="why"),
    )
    assert list(draft.quiet_events(is_shown=())) == []
    assert Draft().step("0367", is_shown=lambda _: True, released=()) is None


def test_an_event_that_changed_nothing_on_a_shown_card_is_shown() -> None:
    draft = Draft()
    draft.add(Changes(settled=(Settled(event_id=7, call_id=1),)))
    step = draft.step("0367", is_shown=lambda call_id: call_id == 1, released=())
    assert step is not None
    assert step.outcomes == (EventOutcome(event_id=7, call_id=1, shown=True),)
    assert list(draft.quiet_events(is_shown={7})) == []
    assert list(draft.quiet_events(is_shown=())) == [(1, 7)]
