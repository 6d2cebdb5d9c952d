"""What only the store in PostgreSQL has of customers and of what is owed: other hands, other connections, and what was there before."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from gateway.calls.report import ReportKind
from gateway.errors import StoreUnavailable
from gateway.ports import Attempt, Owed, PushKey, PushState, Step
from sql.errors import QueryRejected
from sql.migrate import known_migrations, migrate
from sql.pool import Pool, open_pool
from sql.store import PostgresStore
from tester.samples import NOON, NUMBER, enterprise, finished, incoming, named, report

AtEachStep = Callable[[Callable[[], Awaitable[object]], Callable[[bool], Awaitable[object]]], Awaitable[int]]
PHONE, SECOND = "375290001234", "375290005678"
BOTH = (ReportKind.DIAL, ReportKind.HANGUP)
KEY = PushKey(NUMBER, 1, "own", ReportKind.DIAL)


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with open_pool(migrated_url, max_size=8) as pool:
        yield pool


async def in_counts(store: PostgresStore, phone: str = PHONE) -> tuple[int, int, int]:
    customer = await store.customer(NUMBER, phone)
    assert customer is not None
    return customer.calls_total_in, customer.calls_answered_in, customer.calls_missed_in


# other hands


async def test_an_administrator_puts_in_a_customer_with_a_name(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(1),)))
    await pool.execute("delete from customers")
    await pool.execute(
        "insert into customers (enterprise_number, phone_e164, last_name, calls_total_in)"
        " values ('0367', '+375290001234', 'Иванов', 99), ('0367', '+375290005678', 'Петров', 99)"
    )
    customer = await store.customer(NUMBER, PHONE)
    assert customer is not None
    assert (customer.profile.name, customer.profile.source, customer.first_seen_at) == ("Иванов", "", finished(1).date_received)
    assert await in_counts(store) == (1, 1, 0)
    assert await in_counts(store, SECOND) == (0, 0, 0)
    await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(2, call_status=0),)))
    assert await in_counts(store) == (2, 1, 1)


@pytest.mark.parametrize(
    "row",
    [
        "(enterprise_number, phone_e164) values ('0367', '375290001234')",
        "(enterprise_number, phone_e164) values ('0367', '+')",
        "(enterprise_number, phone_e164, meta) values ('0367', '+375290001234', '[]')",
    ],
)
async def test_a_customer_that_nobody_would_find_is_refused(pool: Pool, row: str) -> None:
    with pytest.raises(QueryRejected):
        await pool.execute(f"insert into customers {row}")


async def test_counts_follow_calls_that_are_changed_or_deleted_by_hand(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.commit_step(Step(enterprise_number=NUMBER, records=tuple(finished(n) for n in range(1, 6))))
    await pool.execute("update calls set call_status = 0 where call_id <= 2")
    assert await in_counts(store) == (5, 3, 2)
    await pool.execute("update calls set phone = '375290005678' where call_id = 5")
    assert (await in_counts(store), await in_counts(store, SECOND)) == ((4, 2, 2), (1, 1, 0))
    await pool.execute("delete from calls where call_id = 4")
    assert await in_counts(store) == (3, 1, 2)
    await pool.execute("delete from calls")
    customer = await store.customer(NUMBER, PHONE)
    assert customer is not None
    assert (customer.calls_total_in, customer.last_call_at, customer.last_success_at) == (0, None, None)


@pytest.mark.parametrize("meta", ['{"ids": 5, "person_uid": ["x"]}', '{"ids": {"retailcrm": "7"}}', '{"ids": ["a"], "mine": {"b": null}}'])
async def test_a_broken_meta_takes_names_and_keeps_what_is_not_ours(pool: Pool, meta: str) -> None:
    store = PostgresStore(pool)
    await pool.execute("insert into customers (enterprise_number, phone_e164, meta) values ('0367', $1, $2::jsonb)", f"+{PHONE}", meta)
    assert await store.customer(NUMBER, PHONE) is not None
    assert await store.name_customer(NUMBER, named(external_id="7", phones=(PHONE,))) == 1
    found = await pool.fetchval("select meta from customers")
    assert (found["person_uid"], found["ids"]) == ("retailcrm:7", {"retailcrm": ["7"]})
    assert ("mine" in found) == ("mine" in meta)


async def test_what_was_there_before_is_counted_by_the_migration(database_url: str) -> None:
    first, *later = known_migrations()
    async with open_pool(database_url, max_size=2) as pool:
        await migrate(pool, [first])
        await pool.execute(
            "insert into calls (enterprise_number, call_id, unique_id, phone, extension, call_type, call_status, date_received, trunk,"
            " transfers, closed_by, data_source) select '0367', n, n::text, case n when 9 then '' else '375290001234' end, '150, 151',"
            " n % 3, 2 * (n % 2), timestamptz '2025-10-01 12:00+00' + n * interval '1 minute', '', '', 'hangup', 'live'"
            " from generate_series(1, 9) as n"
        )
        assert await migrate(pool) == [migration.name for migration in later]
        customer = await PostgresStore(pool).customer(NUMBER, PHONE)
        assert customer is not None
        # 3, 6 are incoming, 1, 4, 7 outgoing, the others internal; the odd ones were answered.
        assert (customer.calls_total_in, customer.calls_answered_in, customer.calls_total_out, customer.calls_answered_out) == (2, 1, 3, 2)
        assert (customer.last_call_direction, customer.last_call_status, customer.last_agent_internal) == ("out", "answered", "150")


# other connections


async def test_the_same_report_from_outside_many_times_at_once_is_new_once(pool: Pool) -> None:
    store = PostgresStore(pool)
    answers: list[PushKey] = []

    async def accept(kind: ReportKind) -> None:
        answers.extend(await store.accept_owed(NUMBER, [Owed(crm="own", report=report(kind, 0, unique_id="5.5"))]))

    async with trio.open_nursery() as nursery:
        for kind in itertools.chain.from_iterable([ReportKind.DIAL, ReportKind.HANGUP] for _ in range(4)):
            nursery.start_soon(accept, kind)
    assert sorted(key.kind for key in answers) == [ReportKind.DIAL, ReportKind.HANGUP]
    assert len({key.call_id for key in answers}) == 1


async def test_a_report_from_outside_during_the_step_that_owes_it_is_there_once(pool: Pool) -> None:
    store = PostgresStore(pool)
    for round_number in range(1, 6):
        new: list[PushKey] = []
        unique_id = f"{round_number}.1"

        async def accept(unique_id: str = unique_id, new: list[PushKey] = new) -> None:
            new.extend(await store.accept_owed(NUMBER, [Owed(crm="own", report=report(call_id=0, unique_id=unique_id))]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            step = Step(enterprise_number=NUMBER, owed=(Owed(crm="own", report=report(call_id=round_number * 1000, unique_id=unique_id)),))
            nursery.start_soon(store.commit_step, step)
        pushes = [one for one in await store.pending_pushes(after=None, limit=99) if one.report.unique_id == unique_id]
        assert len(pushes) == 1


async def test_a_report_from_outside_during_the_step_of_its_call_is_of_that_call(pool: Pool) -> None:
    store = PostgresStore(pool)
    for round_number in range(1, 11):
        unique_id, call_id = f"{round_number}.1", round_number * 1000
        outside = [Owed(crm="own", report=report(ReportKind.DIAL, 0, unique_id=unique_id))]
        owed = Owed(crm="own", report=report(ReportKind.HANGUP, call_id, unique_id=unique_id))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.accept_owed, NUMBER, outside)
            nursery.start_soon(store.commit_step, Step(enterprise_number=NUMBER, merged=((call_id + 1, call_id),), owed=(owed,)))
        pushes = [one for one in await store.pending_pushes(after=None, limit=99) if one.report.unique_id == unique_id]
        assert [push.key.call_id for push in pushes] == [call_id, call_id]


async def test_an_attempt_that_waits_for_a_correction_says_what_was_sent(pool: Pool) -> None:
    store = PostgresStore(pool)
    for number, state in enumerate((PushState.DONE, PushState.DEAD), start=1):
        key = PushKey(NUMBER, number, "own", ReportKind.HANGUP)
        sent = report(ReportKind.HANGUP, number)
        await store.commit_step(Step(enterprise_number=NUMBER, owed=(Owed(crm="own", report=sent),)))
        tried = Attempt(key=key, at=NOON, state=state, next_at=NOON, outcome="", report=sent, revision=1)
        async with trio.open_nursery() as nursery, pool.acquire() as other, other.transaction():
            await other.execute("update crm_outbox set report = jsonb_set(report, '{phone}', '\"1\"') where call_id = $1", number)
            nursery.start_soon(store.record_attempt, tried)
            await until_somebody_waits(pool)
    [push] = await store.pending_pushes(after=None, limit=9)
    assert (push.key.call_id, push.report.phone, push.revision) == (2, "1", 2)
    assert await pool.fetchval("select report ->> 'phone' from crm_outbox where call_id = 1") == PHONE


async def until_somebody_waits(pool: Pool) -> None:
    with trio.fail_after(5):
        while not await pool.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"):  # noqa: ASYNC110
            await trio.sleep(0.005)


@pytest.mark.parametrize("is_known", [True, False])
async def test_another_crm_that_waits_for_the_primary_one_does_not_overwrite_its_name(pool: Pool, is_known: bool) -> None:
    store = PostgresStore(pool)
    if is_known:
        await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(1),)))
    async with trio.open_nursery() as nursery, pool.acquire() as other, other.transaction():
        await other.execute(
            "insert into customers (enterprise_number, phone_e164, last_name) values ('0367', '+375290001234', 'Иванов')"
            " on conflict (enterprise_number, phone_e164) do update set last_name = 'Иванов'"
        )
        nursery.start_soon(store.name_customer, NUMBER, named(last_name="Петров", source="uon", is_primary=False))
        await until_somebody_waits(pool)
    customer = await store.customer(NUMBER, PHONE)
    assert customer is not None
    assert customer.profile.name == "Иванов"


async def test_an_attempt_that_waits_for_a_merger_is_recorded(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.commit_step(Step(enterprise_number=NUMBER, owed=(Owed(crm="own", report=report()),)))
    done = Attempt(key=KEY, at=NOON, state=PushState.DONE, next_at=NOON, outcome="delivered")
    async with trio.open_nursery() as nursery, pool.acquire() as other, other.transaction():
        await other.execute("update crm_outbox set call_id = 7, former_call_ids = '{1}'")
        nursery.start_soon(store.record_attempt, done)
        with trio.fail_after(5):
            while not await pool.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"):  # noqa: ASYNC110
                await trio.sleep(0.005)
    assert await store.pending_pushes(after=None, limit=9) == []


async def test_a_load_while_calls_run_disturbs_neither(pool: Pool) -> None:
    store = PostgresStore(pool)
    ended = trio.Event()
    loads = 0

    async def load() -> None:
        nonlocal loads
        for name in itertools.count():
            await store.upsert_enterprises([enterprise("0270", name=f"{name}"), enterprise(name=f"{name}", subscribers=(name,))])
            await store.set_integration(NUMBER, "ms", {"revision": name})
            loads += 1
            if ended.is_set():
                return

    async def run(number: str) -> None:
        for call_id in range(1, 31):
            owed = tuple(Owed(crm="own", report=report(kind, call_id)) for kind in BOTH)
            step = Step(
                enterprise_number=number, records=(finished(call_id),), owed=owed, named=(named(external_id="7", phones=(SECOND,)),)
            )
            await store.commit_step(step)
            await store.name_customer(number, named(SECOND, external_id="7", phones=(PHONE,)))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load)
            async with trio.open_nursery() as lanes:
                lanes.start_soon(run, NUMBER)
                lanes.start_soon(run, "0270")
            ended.set()
    assert loads > 1
    assert await in_counts(store) == (30, 30, 0)
    assert len(await store.pending_pushes(after=None, limit=999)) == 120
    [config] = await store.enterprises_by_key(NUMBER)
    assert config.integrations["ms"] == {"revision": loads - 1}


# cancellation and a server that goes away


def whole(call_id: int) -> Step:
    """A step that writes everything it can write of customers and CRMs."""
    owed = tuple(Owed(crm="own", report=report(kind, call_id)) for kind in BOTH)
    return Step(
        enterprise_number=NUMBER, opened=(call_id,), merged=((99, call_id),), records=(finished(call_id),), owed=owed, named=(named(),)
    )


async def test_a_step_that_is_cancelled_at_any_point_owes_counts_and_names_all_or_nothing(pool: Pool, at_each_step: AtEachStep) -> None:
    store = PostgresStore(pool)

    async def check(cut: bool) -> None:
        pushes = len(await store.pending_pushes(after=None, limit=9))
        customer = await store.customer(NUMBER, PHONE)
        state = (pushes, customer.calls_total_in, customer.profile.name) if customer else (pushes, 0, "")
        assert state in ((0, 0, ""), (2, 1, "Иванов Иван"))
        assert cut or pushes
        await store.commit_step(whole(1))
        assert len(await store.pending_pushes(after=None, limit=9)) == 2
        assert await in_counts(store) == (1, 1, 0)
        await pool.execute("delete from calls; delete from crm_outbox; delete from customers; delete from live_calls")

    assert await at_each_step(lambda: store.commit_step(whole(1)), check) >= 2


async def test_a_server_that_is_away_is_unavailable_for_every_method(pool: Pool) -> None:
    store = PostgresStore(pool)
    pool.close()
    for method in (
        lambda: store.commit_step(whole(1)),
        lambda: store.accept_owed(NUMBER, [Owed(crm="own", report=report())]),
        lambda: store.pending_pushes(after=None, limit=9),
        lambda: store.push_of(KEY),
        lambda: store.record_attempt(Attempt(key=KEY, at=NOON, state=PushState.DONE, next_at=NOON, outcome="")),
        lambda: store.customer(NUMBER, PHONE),
        lambda: store.name_customer(NUMBER, named()),
        lambda: store.enterprises_by_key(NUMBER),
        lambda: store.set_integration(NUMBER, "ms", {}),
    ):
        with pytest.raises(StoreUnavailable):
            await method()


async def test_an_id_from_outside_is_none_that_an_event_will_have(pool: Pool) -> None:
    store = PostgresStore(pool)
    await store.append_events([incoming("dial", "1.1")])
    [key] = await store.accept_owed(NUMBER, [Owed(crm="own", report=report(call_id=0, unique_id="9.9"))])
    [event] = await store.append_events([incoming("dial", "2.1")])
    assert key.call_id < event.event_id
    # A batch that was refused leaves a gap as well: nobody counts on ids without one.
    assert await pool.fetchval("select count(*) from call_events") == 2
