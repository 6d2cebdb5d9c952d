"""When a push is tried again, and when it is given up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.base import OutcomeClass, Problem
from gateway.nurseries.retries import LONGEST_WAIT_SECONDS, TRIES, TRIES_UNDER_RATE_LIMIT, pause_seconds, wait_seconds

RETRYABLE = (Problem.TIMEOUT, Problem.CONNECTION, Problem.SERVER_ERROR, Problem.BAD_ANSWER)


def wait(problem: Problem | None, attempts: int, *, last: str = "", wish: float | None = None, jitter: float = 1.0) -> float | None:
    return wait_seconds(OutcomeClass.RETRYABLE, problem, attempts=attempts, last_problem=last, retry_after_seconds=wish, jitter=jitter)


@pytest.mark.parametrize("problem", RETRYABLE)
def test_three_tries_over_two_minutes(problem: Problem) -> None:
    assert [wait(problem, attempts) for attempts in (1, 2, 3, 4)] == [20.0, 100.0, None, None]


def test_waits_are_taken_between_their_half_and_their_whole() -> None:
    assert [wait(Problem.TIMEOUT, attempts, jitter=0.0) for attempts in (1, 2)] == [10.0, 50.0]
    assert wait(Problem.TIMEOUT, 1, jitter=0.5) == 15.0


def test_what_is_not_retryable_is_dead_at_once() -> None:
    for problem in Problem:
        waits = wait_seconds(OutcomeClass.PERMANENT, problem, attempts=1, last_problem="", retry_after_seconds=5.0, jitter=1.0)
        assert waits is None


def test_too_many_requests_gets_ten_tries() -> None:
    limit = Problem.RATE_LIMIT
    assert [wait(limit, attempts, last=limit if attempts > 1 else "") for attempts in range(1, 11)] == [
        5, 10, 20, 40, 80, 100, 100, 100, 100, None,
    ]  # fmt: skip


def test_too_many_requests_does_not_use_up_the_tries_for_another_failure() -> None:
    assert wait(Problem.TIMEOUT, 5, last="rate_limit") == 100.0
    assert wait(Problem.TIMEOUT, 6, last="timeout") is None
    assert wait(Problem.TIMEOUT, TRIES_UNDER_RATE_LIMIT, last="rate_limit") is None


@pytest.mark.parametrize("problem", [*RETRYABLE, Problem.RATE_LIMIT])
def test_a_longer_wish_of_the_crm_is_kept_up_to_ten_minutes_and_a_shorter_one_changes_nothing(problem: Problem) -> None:
    assert wait(problem, 1, wish=300.0) == 300.0
    assert wait(problem, 1, wish=86_400.0) == wait(problem, 1, wish=math.inf) == LONGEST_WAIT_SECONDS
    assert wait(problem, 1, wish=1.0) == wait(problem, 1, wish=-5.0) == wait(problem, 1, wish=math.nan) == wait(problem, 1)


def test_a_wish_gives_no_further_try() -> None:
    assert wait(Problem.SERVER_ERROR, TRIES, wish=30.0) is None


def test_only_a_rate_limit_pauses_everything() -> None:
    assert pause_seconds(Problem.RATE_LIMIT, None) == 1.0
    assert pause_seconds(Problem.RATE_LIMIT, 30.0) == 30.0
    assert pause_seconds(Problem.RATE_LIMIT, 86_400.0) == LONGEST_WAIT_SECONDS
    assert [pause_seconds(problem, 30.0) for problem in (None, *RETRYABLE)] == [0.0] * (len(RETRYABLE) + 1)


@given(
    outcome=st.sampled_from(OutcomeClass),
    problem=st.none() | st.sampled_from(Problem),
    attempts=st.integers(1, 10**6),
    last=st.sampled_from(["", *Problem]),
    wish=st.none() | st.floats(),
    jitter=st.floats(0, 1),
)
def test_every_wait_is_finite_and_every_push_ends(
    outcome: OutcomeClass, problem: Problem | None, attempts: int, last: str, wish: float | None, jitter: float
) -> None:
    seconds = wait_seconds(outcome, problem, attempts=attempts, last_problem=last, retry_after_seconds=wish, jitter=jitter)
    if seconds is None:
        assert outcome is not OutcomeClass.RETRYABLE or attempts >= TRIES
    else:
        assert 2.5 <= seconds <= LONGEST_WAIT_SECONDS
        assert attempts < TRIES_UNDER_RATE_LIMIT
    assert 0 <= pause_seconds(problem, wish) <= LONGEST_WAIT_SECONDS
