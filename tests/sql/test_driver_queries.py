import datetime as dt
import uuid
from decimal import Decimal

import pytest
import trio
import trio.testing
from psycopg.types.json import Jsonb

from gateway.errors import StoreRejected, StoreUnavailable
from sql import driver
from sql.driver import Connection, connect
from sql.errors import ConnectionLost, QueryRejected, ServerBusy

AWARE = dt.datetime(2024, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("int", 5),
        ("bigint", 2**40),
        ("bigint", -1),
        ("text", "a 'quoted' \\ \" text, юникод 🙂"),
        ("text", ""),
        ("boolean", True),
        ("double precision", 1.5),
        ("numeric", Decimal("1.50")),
        ("bytea", bytes(range(256))),
        ("bytea", b""),
        ("timestamptz", AWARE),
        ("date", AWARE.date()),
        ("interval", dt.timedelta(days=2, seconds=5)),
        ("uuid", uuid.UUID(int=7)),
        ("text[]", ["a", None, 'with "quotes", and \\', "", "NULL"]),
        ("bigint[]", [1, 2**40]),
        ("bytea[]", [b"\x00\\'\xff", b""]),
        ("timestamptz[]", [AWARE, None]),
        ("int[]", []),
        ("text", None),
    ],
)
async def test_a_value_comes_back_as_it_went(connection: Connection, type_name: str, value: object) -> None:
    for _ in range(3):  # unprepared, being prepared, prepared
        assert await connection.fetchval(f"SELECT $1::{type_name}", value) == value


@pytest.mark.parametrize(
    ("type_name", "usual", "others"),
    [
        ("timestamptz", AWARE, ["2024-03-01 12:30+03", AWARE.replace(tzinfo=None), AWARE.date(), None]),
        ("bytea", b"\x00\x01", ["\\x0001", "plain", None]),
        ("double precision", 1.5, [2, "2.5", Decimal("1e-3"), float("inf"), None]),
        ("uuid", uuid.UUID(int=7), ["00000000-0000-0000-0000-000000000008", None]),
    ],
)
async def test_being_prepared_for_one_kind_of_value_changes_the_meaning_of_no_other(
    connection: Connection, type_name: str, usual: object, others: list[object]
) -> None:
    sql = f"SELECT $1::{type_name}, $2::{type_name}"
    for _ in range(3):
        await connection.fetchrow(sql, usual, usual)
    for other in others:
        as_text = await connection.fetchval(f"SELECT '{other}'::{type_name}" if other is not None else "SELECT NULL")
        for _ in range(2):
            assert list((await connection.fetchrow(f"{sql} AS second", other, usual) or {}).values()) == [as_text, usual]
            assert await connection.fetchval(sql, other, usual) == as_text
    with pytest.raises(StoreRejected):
        await connection.fetchval(sql, "nonsense \\x", usual)
    assert await connection.fetchval(sql, usual, usual) == usual


async def test_json_goes_as_text_or_as_jsonb_and_comes_back_decoded(connection: Connection) -> None:
    assert await connection.fetchval("SELECT $1::jsonb", '{"a": [1, null]}') == {"a": [1, None]}
    assert await connection.fetchval("SELECT $1::jsonb", Jsonb({"a": "б"})) == {"a": "б"}


async def test_rows_are_dicts_in_the_order_of_the_query(connection: Connection) -> None:
    rows = await connection.fetch("SELECT n, n * $1 AS product FROM generate_series(1, 3) AS n ORDER BY n", 10)
    assert rows == [{"n": 1, "product": 10}, {"n": 2, "product": 20}, {"n": 3, "product": 30}]
    assert await connection.fetchrow("SELECT 1 AS a, 2 AS b") == {"a": 1, "b": 2}


async def test_without_a_row_there_is_an_empty_list_or_none(connection: Connection) -> None:
    assert await connection.fetch("SELECT 1 WHERE false") == []
    assert await connection.fetchrow("SELECT 1 WHERE false") is None
    assert await connection.fetchval("SELECT 1 WHERE false") is None
    assert await connection.fetchval("SET LOCAL work_mem = '1MB'") is None


async def test_execute_returns_the_tag_of_the_last_statement(connection: Connection) -> None:
    assert await connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)") == "INSERT 0 2"
    assert await connection.execute("UPDATE t SET a = $1", 3) == "UPDATE 2"
    assert await connection.execute("") == ""


async def test_several_statements_in_one_text_are_one_transaction(connection: Connection) -> None:
    await connection.execute("CREATE TABLE t (a int)")
    with pytest.raises(QueryRejected):
        await connection.execute("INSERT INTO t VALUES (1); SELECT 1 / 0")
    assert await connection.fetchval("SELECT count(*) FROM t") == 0
    assert connection.clean


async def test_one_prepared_statement_serves_all_values_from_the_second_use_on(connection: Connection) -> None:
    sql = "SELECT $1::bigint + 0, $2::timestamptz, $3::text"
    await connection.fetchrow(sql, 1, None, "a")
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    for value in (1, 2**15, 2**40, None):
        await connection.fetchrow(sql, value, AWARE, "b")
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE statement = $1", sql) == 1


async def test_the_oldest_statements_make_room(connection: Connection) -> None:
    for number in range(driver.STATEMENTS_ITEMS + 5):
        for _ in range(2):
            await connection.fetchval(f"SELECT {number} + $1::int", 1)
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") <= driver.STATEMENTS_ITEMS


async def test_a_changed_schema_under_a_prepared_statement_is_not_noticed(connection: Connection, observer: Connection) -> None:
    await connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    for _ in range(3):
        assert await connection.fetch("SELECT * FROM t WHERE a = $1", 1) == [{"a": 1}]
    await observer.execute("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'")
    assert await connection.fetch("SELECT * FROM t WHERE a = $1", 1) == [{"a": 1, "b": "new"}]


async def test_deallocated_statements_are_made_anew(connection: Connection) -> None:
    for _ in range(3):
        await connection.fetchval("SELECT $1::int", 1)
    await connection.execute("DEALLOCATE ALL")
    assert await connection.fetchval("SELECT $1::int", 1) == 1


async def test_instants_are_utc_whatever_the_database_is_set_to(database_url: str, observer: Connection) -> None:
    name = await observer.fetchval("SELECT current_database()")
    await observer.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Europe/Minsk'; ALTER DATABASE \"{name}\" SET datestyle = 'German'")
    connection = await connect(database_url)
    try:
        value = await connection.fetchval("SELECT timestamptz '2024-03-01 12:30:15.123456+00'")
        assert value == AWARE
        assert value.utcoffset() == dt.timedelta(0)
    finally:
        connection.close()


@pytest.mark.parametrize("value", ["nul \x00", "\ud800", {"no": "encoding"}, object(), ["nul \x00"]])
async def test_a_value_that_cannot_be_sent_is_rejected_and_harms_nothing(connection: Connection, value: object) -> None:
    for _ in range(3):
        with pytest.raises(StoreRejected):
            await connection.fetchval("SELECT $1::text", value)
        assert connection.clean
    assert await connection.fetchval("SELECT $1::text", "fine") == "fine"


async def test_too_many_parameters_are_rejected(connection: Connection) -> None:
    with pytest.raises(StoreRejected):
        await connection.fetchval("SELECT $1::int", *range(70_000))
    assert connection.clean


async def test_a_value_python_cannot_hold_is_rejected(connection: Connection) -> None:
    with pytest.raises(StoreRejected):
        await connection.fetchval("SELECT 'infinity'::timestamptz")
    with pytest.raises(StoreRejected):
        await connection.fetch("SELECT 'infinity'::timestamptz")
    assert connection.clean


async def test_a_violated_constraint_is_named_and_its_values_are_not(connection: Connection) -> None:
    await connection.execute("CREATE TABLE t (secret text CONSTRAINT one_of_each PRIMARY KEY)")
    await connection.execute("INSERT INTO t VALUES ($1)", "s3cret-value")
    with pytest.raises(QueryRejected) as caught:
        await connection.execute("INSERT INTO t VALUES ($1)", "s3cret-value")
    assert caught.value.sqlstate == "23505"
    assert caught.value.constraint == "one_of_each"
    assert "one_of_each" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("sql", "value"),
    [("SELECT $1::int", "s3cret-value"), ("SELECT $1::jsonb", "s3cret-value"), ("SELECT $1::timestamptz", "s3cret-value")],
)
async def test_a_value_the_server_refuses_is_not_in_the_text(connection: Connection, sql: str, value: str) -> None:
    with pytest.raises(QueryRejected) as caught:
        await connection.fetchval(sql, value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.sqlstate[:2] == "22"


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("08006", ConnectionLost),
        ("57P01", ConnectionLost),
        ("57P03", ConnectionLost),
        ("53300", ServerBusy),
        ("53100", ServerBusy),
        ("40001", ServerBusy),
        ("40P01", ServerBusy),
        ("55P03", ServerBusy),
        ("57014", ServerBusy),
        ("58030", ServerBusy),
        ("25006", ServerBusy),
        ("23502", QueryRejected),
        ("22001", QueryRejected),
        ("42501", QueryRejected),
        ("P0001", QueryRejected),
        ("ZZ999", QueryRejected),
    ],
)
async def test_a_sqlstate_says_whether_repeating_is_right(connection: Connection, sqlstate: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'some text' USING ERRCODE = '{sqlstate}'; END $$")
    assert isinstance(caught.value, StoreRejected if error is QueryRejected else StoreUnavailable)
    assert sqlstate in str(caught.value)
    assert connection.closed == (error is ConnectionLost)


async def test_a_name_that_does_not_exist_is_in_the_text(connection: Connection) -> None:
    with pytest.raises(QueryRejected, match="no_such_table"):
        await connection.fetch("SELECT * FROM no_such_table")


async def test_copy_is_refused_and_ends_the_connection(connection: Connection) -> None:
    with pytest.raises(StoreRejected, match="COPY"):
        await connection.execute("COPY (SELECT 1) TO STDOUT")
    assert connection.closed


async def test_megabytes_go_both_ways(connection: Connection) -> None:
    text = "ы" * 4_000_000
    assert await connection.fetchval("SELECT $1::text", text) == text
    rows = await connection.fetch("SELECT repeat('x', 1000) AS x FROM generate_series(1, 5000)")
    assert len(rows) == 5000


async def test_tasks_that_share_a_connection_take_turns(connection: Connection) -> None:
    seen: list[int] = []

    async def ask(number: int) -> None:
        assert await connection.fetchval("SELECT $1::int FROM pg_sleep(0.001)", number) == number
        seen.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)
    assert sorted(seen) == list(range(20))
    assert connection.clean


async def test_notifications_arrive_in_order_also_between_queries(connection: Connection, observer: Connection) -> None:
    await connection.listen("lane")
    await connection.listen('odd "name"')
    await observer.execute("NOTIFY lane, 'one'")
    await observer.execute('NOTIFY "odd ""name""", \'two\'')
    await connection.execute("SELECT 1")
    await observer.execute("NOTIFY lane")
    received: list[tuple[str, str]] = []
    with trio.fail_after(10):
        async for notification in connection.notifications():
            received.append((notification.channel, notification.payload))
            if len(received) == 3:
                break
    assert received == [("lane", "one"), ('odd "name"', "two"), ("lane", "")]


async def test_a_reader_of_notifications_that_is_cancelled_loses_none(connection: Connection, observer: Connection) -> None:
    await connection.listen("lane")
    notifications = connection.notifications()
    with trio.move_on_after(0.05) as scope:
        await anext(notifications)
    assert scope.cancelled_caught
    await observer.execute("NOTIFY lane, 'late'")
    with trio.fail_after(10):
        assert (await anext(notifications)).payload == "late"


async def test_a_reader_of_notifications_learns_that_the_connection_ended(connection: Connection, observer: Connection) -> None:
    await connection.listen("lane")
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    await observer.execute("SELECT pg_terminate_backend($1::int)", pid)
    with trio.fail_after(10), pytest.raises(StoreUnavailable):
        await anext(connection.notifications())
    assert connection.closed


async def test_closing_wakes_whoever_uses_the_connection(connection: Connection) -> None:
    async def ask() -> None:
        with pytest.raises(StoreUnavailable):
            await connection.execute("SELECT pg_sleep(60)")

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            connection.close()
    connection.close()
    with pytest.raises(StoreUnavailable):
        await connection.execute("SELECT 1")
