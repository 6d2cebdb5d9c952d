"""Every query is one that PostgreSQL understands against the schema, and the frequent ones use the index that they name."""

import re
from collections.abc import AsyncIterator

import pytest

from sql.driver import Connection, connect
from sql.query_files import load_queries, sections

QUERIES = load_queries()


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[Connection]:
    connection = await connect(migrated_url)
    yield connection
    connection.close()


async def test_every_query_can_be_prepared(connection: Connection) -> None:
    for name, query in QUERIES.items():
        await connection.execute(f"prepare {name} as {query}")
    assert await connection.fetchval("select count(*) from pg_prepared_statements where not from_sql is false") == len(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_says_what_it_locks(name: str) -> None:
    comment = "\n".join(line for line in QUERIES[name].splitlines() if line.startswith("--"))
    assert "Locks:" in comment or name == "ping"


@pytest.mark.parametrize("name", QUERIES)
def test_every_parameter_has_its_type_written_beside_it(name: str) -> None:
    code = "\n".join(line for line in QUERIES[name].splitlines() if not line.startswith("--"))
    assert re.findall(r"\$\d+(?!\d)(?!::)", code) == []


FREQUENT = (
    "append_events", "first_events", "unprocessed_events", "commit_step", "merge_events", "merge_records", "live_events", "call_id_of",
    "events_of_call", "newest_calls", "recipients", "shown_of_calls", "record_shown", "redeem_invite", "subscription_status",
    "record_calls", "owe", "merge_pushes", "push_of", "pending_pushes", "record_attempt", "bury_pushes", "dead_pushes", "revive_pushes",
    "integration_logs", "customer", "name_customer", "recorded_call", "record_url", "owe_recording", "recordings_of",
)  # fmt: skip


async def test_a_plan_made_on_young_tables_reads_no_big_table_whole(connection: Connection) -> None:
    # A generic plan on new tables: what a connection keeps while the tables grow, until they are analyzed.
    await connection.execute("set plan_cache_mode = force_generic_plan")
    for name in FREQUENT:
        await connection.execute(f"prepare {name} as {QUERIES[name]}")
        parameters = max(int(number) for number in re.findall(r"\$(\d+)", QUERIES[name]))
        rows = await connection.fetch(f"explain execute {name}({', '.join(['null'] * parameters)})")
        plan = "\n".join(row["QUERY PLAN"] for row in rows)
        for table in ("call_events", "calls", "telegram_messages", "crm_outbox", "integration_logs", "customers"):
            assert not re.search(rf"Seq Scan on {table}\b", plan), f"{name}:\n{plan}"


def test_a_file_is_cut_into_its_queries() -> None:
    text = "-- About the file.\n\n-- name: one\n-- Locks: none.\nselect 1\n\n-- name: two\nselect 2\n"
    assert sections(text) == [("one", "-- one\n-- Locks: none.\nselect 1"), ("two", "-- two\nselect 2")]


def test_a_query_without_a_statement_is_an_error() -> None:
    with pytest.raises(ValueError, match="two is empty"):
        sections("-- name: one\nselect 1\n-- name: two\n-- only words\n")
