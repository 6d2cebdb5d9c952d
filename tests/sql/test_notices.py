"""Running gateways hear of every change of the configuration, with whatever tool it was made: payload = enterprise, once a transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from gateway.calls.recording import Recording
from gateway.ports import Owed, Step
from sql.driver import Connection, connect
from sql.pool import Pool, open_pool
from sql.store import PostgresStore
from tester.samples import BOT, NUMBER, enterprise, finished, named, report

Heard = Callable[[], Awaitable[list[str]]]
URL = "https://pbx.example/recordings/file/1"


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    async with open_pool(migrated_url, max_size=4) as pool:
        await PostgresStore(pool).upsert_enterprises([enterprise("0270"), enterprise()])
        yield pool


@pytest.fixture
async def heard(pool: Pool, migrated_url: str) -> AsyncIterator[Heard]:
    """What was told since the last time, sorted."""
    listener: Connection = await connect(migrated_url)
    await listener.listen("gateway_configuration")
    await listener.listen("gateway_recordings")
    notifications = listener.notifications()

    async def take() -> list[str]:
        # The end mark is told after everything that was committed before it.
        await pool.execute("select pg_notify('gateway_configuration', 'end mark')")
        payloads: list[str] = []
        with trio.fail_after(5):
            async for notification in notifications:
                if notification.payload == "end mark":
                    break
                payloads.append(notification.payload)
        return sorted(payloads)

    yield take
    listener.close()


# As an administrator writes them in psql: one transaction a line.
CHANGES: tuple[tuple[str, list[str]], ...] = (
    ("update enterprises set name = 'x' where number = '0367'", [NUMBER]),
    ("update enterprises set integrations_config = '5' where number = '0367'", [NUMBER]),
    ("update enterprises set integrations_config = integrations_config || '{\"a\": 1}'", ["0270", NUMBER]),
    ("update enterprises set number = '0368' where number = '0270' and not exists (select from lines)", []),
    ("insert into lines values ('0367', '1', 'name', 'A1', ''), ('0367', '2', 'name', 'A1', '')", [NUMBER]),
    ("update lines set name = 'x'", ["0270", NUMBER]),
    ("update lines set enterprise_number = '0270', line_id = '7' where enterprise_number = '0367'", ["0270", NUMBER]),
    ("delete from lines where enterprise_number = '0367'", [NUMBER]),
    ("insert into managers values ('0367', '1', 'a', 'b', 'c', '')", [NUMBER]),
    ("update managers set last_name = 'x' where enterprise_number = '0270'", ["0270"]),
    ("delete from managers", ["0270", NUMBER]),
    (f"insert into telegram_users (enterprise_number, bot_token, tg_id, subscribed_at) values ('0367', '{BOT}', 7, now())", [NUMBER]),
    ("update telegram_users set dead_at = now() where enterprise_number = '0367'", [NUMBER]),
    ("delete from telegram_users where enterprise_number = '0270'", ["0270"]),
    ("insert into enterprises values ('0500', '', 't', '', '', 'Europe/Minsk', 'ru', 'auto', true, '{}')", ["0500"]),
    ("delete from enterprises where number = '0367'", [NUMBER]),
    ("delete from enterprises where number = 'none'", []),
    ("truncate managers", [""]),
    ("truncate lines", [""]),
    ("truncate telegram_users", [""]),
    ("truncate enterprises cascade", [""]),
)  # fmt: skip


async def test_a_change_by_hand_is_told(pool: Pool, heard: Heard) -> None:
    for change, payloads in CHANGES:
        await pool.execute("delete from enterprises")
        await PostgresStore(pool).upsert_enterprises([enterprise("0270"), enterprise()])
        await heard()
        await pool.execute(change)
        assert await heard() == payloads, change


async def test_a_transaction_tells_of_an_enterprise_once_and_only_when_it_commits(pool: Pool, heard: Heard) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            for table in ("enterprises", "lines", "managers", "telegram_users"):
                column = "number" if table == "enterprises" else "enterprise_number"
                await connection.execute(f"update {table} set {column} = {column}")
            assert await heard() == []
        assert await heard() == ["0270", NUMBER]
        await connection.execute("begin")
        await connection.execute("delete from enterprises")
        await connection.execute("rollback")
    assert await heard() == []


async def test_a_load_and_a_setting_are_told_once_each(pool: Pool, heard: Heard) -> None:
    store = PostgresStore(pool)
    await store.upsert_enterprises([enterprise("0270"), enterprise(name="new", lines=(), managers=(), subscribers=(7, 8))])
    assert await heard() == [NUMBER]
    await store.upsert_enterprises([enterprise("0270")])
    assert await heard() == []
    await store.set_integration(NUMBER, "ms", {"enabled": True})
    await store.set_integration("9999", "ms", {"enabled": True})
    assert await heard() == [NUMBER]


async def test_work_is_no_news(pool: Pool, heard: Heard) -> None:

    store = PostgresStore(pool)
    await store.commit_step(
        Step(enterprise_number=NUMBER, records=(finished(1),), owed=(Owed(crm="own", report=report()),), named=(named(),))
    )
    assert await heard() == []


BY_HAND = f"""insert into calls (enterprise_number, call_id, unique_id, phone, extension, call_type, call_status, date_received, trunk,
    transfers, closed_by, data_source, record_url) values ('my house', 7, '', '', '', 0, 0, now(), '', '', '', '', '{URL}')"""
RECORDED: tuple[tuple[str, list[str]], ...] = (
    (f"update calls set record_url = '{URL}' where call_id = 1", ["0367 1"]),
    (f"update calls set record_url = '{URL}'", ["0367 1", "0367 2"]),
    (f"update calls set record_url = '{URL}', phone = phone where call_id = 3", []),
    ("update calls set record_url = ''", []),
    ("update calls set record_url = null", []),
    ("update calls set phone = '375290009999'", []),
    (BY_HAND, ["my house 7"]),
)


@pytest.mark.parametrize(("change", "payloads"), RECORDED)
async def test_a_link_of_a_recording_is_told_with_its_call(pool: Pool, heard: Heard, change: str, payloads: list[str]) -> None:
    await PostgresStore(pool).commit_step(Step(enterprise_number=NUMBER, records=(finished(1), finished(2))))
    await heard()
    await pool.execute(change)
    assert await heard() == payloads


async def test_a_link_that_was_told_is_told_again_only_when_it_changes(pool: Pool, heard: Heard) -> None:
    store = PostgresStore(pool)
    await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(1),)))
    for address, payloads in ((URL, ["0367 1"]), (URL, []), (f"{URL}0", ["0367 1"])):
        await store.accept_recording(NUMBER, Recording(call_id=1, url=address))
        assert await heard() == payloads
    await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(1, duration=70),)))
    assert await heard() == []
    assert await store.recordings_of(NUMBER, [1]) == {1: f"{URL}0"}
