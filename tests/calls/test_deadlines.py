"""One deadline a call."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.deadlines import Deadlines

BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def test_the_earliest_comes_first() -> None:
    deadlines = Deadlines()
    deadlines.set(1, at(5))
    deadlines.set(2, at(3))
    assert deadlines.next() == at(3)
    assert deadlines.pop_due(at(2)) is None
    assert deadlines.pop_due(at(9)) == (at(3), 2)
    assert deadlines.pop_due(at(9)) == (at(5), 1)
    assert deadlines.next() is None


def test_a_moved_deadline_counts_only_at_its_new_time() -> None:
    deadlines = Deadlines()
    deadlines.set(1, at(3))
    deadlines.set(1, at(8))
    assert deadlines.pop_due(at(5)) is None
    assert deadlines.next() == at(8)
    deadlines.set(1, at(4))
    assert deadlines.pop_due(at(5)) == (at(4), 1)
    assert deadlines.pop_due(at(9)) is None


@given(st.lists(st.tuples(st.integers(1, 6), st.none() | st.integers(0, 50)), max_size=80))
def test_it_agrees_with_a_plain_dictionary(steps: list[tuple[int, int | None]]) -> None:
    deadlines, plain = Deadlines(), dict[int, datetime]()
    for call_id, seconds in steps:
        if seconds is None:
            deadlines.drop(call_id)
            plain.pop(call_id, None)
        else:
            deadlines.set(call_id, at(seconds))
            plain[call_id] = at(seconds)
        assert deadlines.next() == min(plain.values(), default=None)
    due: list[datetime] = []
    while (popped := deadlines.pop_due(at(100))) is not None:
        due.append(popped[0])
    assert due == sorted(plain.values())
