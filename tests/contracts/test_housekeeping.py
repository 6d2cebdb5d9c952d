"""Retention and health."""

from datetime import timedelta

from gateway.ports import EventOutcome, Step, Store
from tester.samples import BOT, NOON, NUMBER, enterprise, finished, incoming, message

OLD = NOON - timedelta(days=91)
LIMIT = NOON - timedelta(days=90)


async def test_old_events_go_in_bounded_portions_and_the_calls_stay(store: Store) -> None:
    appended = await store.append_events([incoming("bridge", f"{n}.1", at=OLD) for n in range(5)] + [incoming("bridge", at=NOON)])
    ids = [one.event_id for one in appended]
    outcomes = tuple(EventOutcome(event_id=event_id, call_id=ids[0]) for event_id in ids)
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=outcomes, records=(finished(ids[0]),)))
    assert [await store.delete_older_than(LIMIT, limit=3) for _ in range(3)] == [3, 2, 0]
    assert [one.event_id for one in await store.events_of_call(NUMBER, ids[0])] == [ids[5]]
    assert len(await store.calls(NUMBER, limit=9)) == 1


async def test_what_is_live_or_was_never_understood_stays_however_old(store: Store) -> None:
    appended = await store.append_events([incoming("bridge", "1.1", at=OLD), incoming("bridge", "2.1", at=OLD)])
    live, waiting = (one.event_id for one in appended)
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=(EventOutcome(event_id=live, call_id=live),), opened=(live,)))
    await store.record_shown(message(live, updated_at=OLD), mark_events=False)
    assert await store.delete_older_than(LIMIT, limit=9) == 0
    await store.commit_step(Step(enterprise_number=NUMBER, released=(live,)))
    assert await store.delete_older_than(LIMIT, limit=9) == 2
    assert list(await store.shown_of_calls(NUMBER, [live])) == []
    assert [one.event_id for one in await store.unprocessed_events(NUMBER, after_event_id=0, limit=9)] == [waiting]


async def test_old_messages_and_invitations_go_as_well(store: Store) -> None:
    await store.upsert_enterprises([enterprise(subscribers=())])
    await store.create_invite(enterprise_number=NUMBER, code="old", expires_at=OLD)
    await store.create_invite(enterprise_number=NUMBER, code="new", expires_at=NOON)
    for call_id in range(3):
        await store.record_shown(message(call_id, updated_at=OLD), mark_events=False)
    await store.record_shown(message(9), mark_events=False)
    assert [await store.delete_older_than(LIMIT, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [one.call_id for one in await store.shown_of_calls(NUMBER, range(10))] == [9]
    assert await store.redeem_invite(bot_token=BOT, code="old", chat_id=5, at=OLD - timedelta(days=1)) is None
    assert await store.redeem_invite(bot_token=BOT, code="new", chat_id=5, at=OLD) == NUMBER


async def test_an_event_that_was_deleted_is_new_when_it_comes_again(store: Store) -> None:
    [first] = await store.append_events([incoming("hangup", at=OLD)])
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=(EventOutcome(event_id=first.event_id, call_id=None),)))
    assert await store.delete_older_than(LIMIT, limit=9) == 1
    [again] = await store.append_events([incoming("hangup")])
    assert not again.duplicate
    assert again.event_id > first.event_id


async def test_a_store_that_is_there_answers_and_misses_nothing(store: Store) -> None:
    await store.ping()
    assert list(await store.missing_migrations()) == []
