"""Arrays written by us mean to PostgreSQL what they mean to us."""

from datetime import UTC, datetime, timedelta, timezone

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql.arrays import boolean_array, bytes_array, number_array, text_array, time_array
from sql.driver import connect

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(["NULL", "", '{"', "\\"])
numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(timezone(timedelta(hours=3))))  # noqa: DTZ001


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(rows=st.lists(st.tuples(texts, st.binary(max_size=8), times, numbers, st.booleans()), max_size=8))
def test_every_element_comes_back(database_url: str, rows: list[tuple[str, bytes, datetime, int | None, bool]]) -> None:
    async def compare() -> None:
        connection = await connect(database_url)
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], [], []]
        writers = (text_array, bytes_array, time_array, number_array, boolean_array)
        found = await connection.fetch(
            "select * from unnest($1::text[], $2::bytea[], $3::timestamptz[], $4::bigint[], $5::boolean[]) as t (a, b, c, d, e)",
            *(write(column) for write, column in zip(writers, columns, strict=True)),  # pyright: ignore[reportArgumentType]
        )
        connection.close()
        assert [tuple(row.values()) for row in found] == rows

    trio.run(compare)


def test_times_may_be_of_any_zone() -> None:
    assert time_array([datetime(2025, 10, 1, 12, tzinfo=UTC)]) == '{"2025-10-01T12:00:00+00:00"}'
