"""What only the store in PostgreSQL has: other connections, other gateways, and a server that goes away."""

from collections.abc import AsyncIterator, Awaitable, Callable

import attrs
import pytest
import trio

from gateway.errors import StoreUnavailable
from gateway.ports import EventOutcome, Step
from sql.driver import connect
from sql.pool import Pool, open_pool
from sql.store import PostgresStore
from tester.samples import BOT, NOON, NUMBER, enterprise, finished, incoming, message

# Of conftest: do the work again and again, cancelled at one more of its steps each time, and check after each.
AtEachStep = Callable[[Callable[[], Awaitable[object]], Callable[[bool], Awaitable[object]]], Awaitable[int]]


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with open_pool(migrated_url, max_size=8) as pool:
        yield pool


async def test_one_event_posted_many_times_at_once_is_stored_once(pool: Pool) -> None:
    store = PostgresStore(pool)
    answers: list[tuple[int, bool]] = []

    async def post() -> None:
        [appended] = await store.append_events([incoming("hangup")])
        answers.append((appended.event_id, appended.duplicate))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(post)
    assert len({event_id for event_id, _ in answers}) == 1
    assert sorted(duplicate for _, duplicate in answers) == [False] + [True] * 7


async def test_two_chats_with_one_code_do_not_both_get_in(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.upsert_enterprises([enterprise(subscribers=())])
    await store.create_invite(enterprise_number=NUMBER, code="code", expires_at=NOON.replace(year=2100))
    answers: list[str | None] = []

    async def redeem(chat_id: int) -> None:
        answers.append(await store.redeem_invite(bot_token=BOT, code="code", chat_id=chat_id, at=NOON))

    async with trio.open_nursery() as nursery:
        for chat_id in range(8):
            nursery.start_soon(redeem, chat_id)
    assert answers.count(NUMBER) == 1
    assert len(await store.recipients(NUMBER)) == 1


async def test_running_gateways_hear_of_configuration_and_subscriptions(pool: Pool, migrated_url: str) -> None:
    store = PostgresStore(pool)
    listener = await connect(migrated_url)
    await listener.listen("gateway_configuration")
    notifications = listener.notifications()

    async def heard() -> str:
        with trio.fail_after(5):
            notification = await anext(notifications)
        assert notification.channel == "gateway_configuration"
        return notification.payload

    await store.upsert_enterprises([enterprise(subscribers=(1001,))])
    assert await heard() == NUMBER
    # Nothing changes, so nobody is told; the next thing heard is the next change.
    await store.upsert_enterprises([enterprise(subscribers=(1001,))])
    await store.create_invite(enterprise_number=NUMBER, code="code", expires_at=NOON.replace(year=2100))
    await store.redeem_invite(bot_token=BOT, code="none", chat_id=5, at=NOON)
    await store.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=NOON)
    assert await heard() == NUMBER
    await store.bury_recipient(bot_token=BOT, chat_id=5, reason="blocked", at=NOON)
    assert await heard() == NUMBER
    await store.revive_recipient(bot_token=BOT, chat_id=5, at=NOON)
    assert await heard() == NUMBER
    await store.move_recipient(bot_token=BOT, chat_id=5, new_chat_id=6)
    assert await heard() == NUMBER
    await store.unsubscribe(bot_token=BOT, chat_id=6)
    assert await heard() == NUMBER
    with trio.move_on_after(0.05) as nothing_more:
        await anext(notifications)
    assert nothing_more.cancelled_caught
    listener.close()


async def test_a_server_that_is_away_is_unavailable_for_every_method(pool: Pool) -> None:
    store = PostgresStore(pool)
    pool.close()
    for method in (
        lambda: store.append_events([incoming()]),
        lambda: store.commit_step(Step(enterprise_number=NUMBER, merged=((2, 1),))),
        lambda: store.record_shown(message(1), mark_events=True),
        lambda: store.upsert_enterprises([enterprise()]),
        store.missing_migrations,
        store.ping,
    ):
        with pytest.raises(StoreUnavailable):
            await method()


def merging(first: int, second: int) -> Step:
    """A step that writes everything a step can."""
    return Step(
        enterprise_number=NUMBER,
        outcomes=(EventOutcome(event_id=first, call_id=first), EventOutcome(event_id=second, call_id=second)),
        opened=(first,),
        merged=((second, first),),
        records=(finished(first),),
    )


async def test_a_step_that_is_cancelled_while_it_waits_is_not_done(pool: Pool) -> None:
    store = PostgresStore(pool)
    first, second = (one.event_id for one in await store.append_events([incoming("bridge", "1.1"), incoming("bridge", "2.1")]))
    async with pool.acquire() as other, other.transaction():
        await other.execute("select 1 from call_events where id = $1::bigint for update", second)
        with trio.move_on_after(0.2) as scope:
            await store.commit_step(merging(first, second))
        assert scope.cancelled_caught
    assert len(await store.unprocessed_events(NUMBER, after_event_id=0, limit=9)) == 2
    assert list(await store.live_events(NUMBER)) == []
    assert list(await store.calls(NUMBER, limit=9)) == []


async def test_a_step_that_is_cancelled_at_any_point_is_wholly_done_or_not_at_all(pool: Pool, at_each_step: AtEachStep) -> None:
    store = PostgresStore(pool)
    ids: list[int] = []

    async def renew() -> None:
        await pool.execute("delete from call_events; delete from live_calls; delete from calls")
        appended = await store.append_events([incoming("bridge", "1.1"), incoming("bridge", "2.1")])
        ids[:] = [one.event_id for one in appended]

    async def check(cut: bool) -> None:
        waiting = len(await store.unprocessed_events(NUMBER, after_event_id=0, limit=9))
        live = [one.call_id for one in await store.live_events(NUMBER)]
        calls = len(await store.calls(NUMBER, limit=9))
        assert (waiting, live, calls) in ((2, [], 0), (0, [ids[0]] * 2, 1))
        assert cut or not waiting
        # The connection is clean, and repeating is harmless.
        await store.commit_step(merging(*ids))
        assert [one.call_id for one in await store.live_events(NUMBER)] == [ids[0]] * 2
        await renew()

    await renew()
    assert await at_each_step(lambda: store.commit_step(merging(*ids)), check) >= 2


async def test_the_view_of_the_guide_shows_events_without_the_token(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.upsert_enterprises([enterprise(token="375293332255")])
    await store.append_events([incoming("bridge_create", "", body='{"x": "\\u0000"}'), incoming("dial", "1.1", number="9999")])
    found = await pool.fetch('select "timestamp", unique_id, token, event_type, raw_data::text as raw_data from asterisk_logs order by id')
    assert found == [
        {"timestamp": NOON, "unique_id": "", "token": "***2255", "event_type": "bridge_create", "raw_data": '{"x": "\\u0000"}'},
        {
            "timestamp": NOON,
            "unique_id": "1.1",
            "token": "***",
            "event_type": "dial",
            "raw_data": '{"Event": "dial", "UniqueId": "1.1"}',
        },
    ]


async def test_secrets_are_in_no_table_but_their_own(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.upsert_enterprises([enterprise()])
    await store.create_invite(enterprise_number=NUMBER, code="the-code", expires_at=NOON)
    await store.record_shown(message(1), mark_events=True)
    [row] = await pool.fetch("select * from telegram_messages")
    assert row["bot_id"] == "123456"
    assert BOT not in str(row)
    assert "the-code" not in str(await pool.fetch("select * from invites"))
    assert BOT not in repr(store)


async def test_what_was_shown_is_one_statement_however_many_events(pool: Pool) -> None:
    store = PostgresStore(pool)
    appended = await store.append_events([incoming("bridge", f"{n}") for n in range(50)])
    ids = [one.event_id for one in appended]
    outcomes = tuple(EventOutcome(event_id=event_id, call_id=ids[0]) for event_id in ids)
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=outcomes))
    await store.record_shown(attrs.evolve(message(ids[0]), event_id=ids[-1]), mark_events=True)
    assert await pool.fetchval("select count(*) from call_events where telegram_sent") == 50
