"""What statuses and `Retry-After` mean, and the table of advice."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.advice import ADVICE, advice_of, failure
from gateway.crm.answers import may_be_done, problem_of_status, retry_after_seconds
from gateway.crm.base import Fault, OutcomeClass, Problem

NOW = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)


def test_every_status_has_one_meaning() -> None:
    special = {
        401: Problem.UNAUTHORIZED,
        403: Problem.UNAUTHORIZED,
        404: Problem.NOT_FOUND,
        408: Problem.TIMEOUT,
        410: Problem.NOT_FOUND,
        425: Problem.RATE_LIMIT,
        429: Problem.RATE_LIMIT,
    }
    by_class = {2: None, 3: Problem.REDIRECT, 4: Problem.REJECTED, 5: Problem.SERVER_ERROR}
    for status in range(100, 700):
        assert problem_of_status(status) is special.get(status, by_class.get(status // 100, Problem.BAD_ANSWER)), status


def test_only_a_failure_that_came_later_leaves_a_doubt() -> None:
    assert [status for status in (200, 302, 400, 429, 500, 502, 503, 504) if may_be_done(status)] == [500, 502, 504]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 10, None),
        ("nan", None),
        ("soon", None),
        ("Wed, 01 Oct 2025 09:01:30 GMT", 90.0),
        ("Wed, 01 Oct 2025 12:01:30 +0300", 90.0),
        ("Wed, 01 Oct 2025 09:01:30 -0000", 90.0),
        ("Wed, 01 Oct 2025 08:00:00 GMT", 0.0),
        ("Wed, 01 Oct 20250 09:01:30 GMT", None),
        ("Wed, 99 Oct 2025 09:01:30 GMT", None),
    ],
)
def test_the_wish_to_come_back_later_is_read(header: str, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


@given(st.text(max_size=60))
def test_any_header_is_a_wish_or_none(header: str) -> None:
    seconds = retry_after_seconds(header, now=NOW)
    assert seconds is None or seconds >= 0


def test_every_problem_has_advice_in_both_languages_on_one_line() -> None:
    assert set(ADVICE) == set(Problem)
    for problem in Problem:
        english, russian = advice_of(problem, "en"), advice_of(problem, "ru")
        assert advice_of(problem, "be") == english
        assert re.search("[а-я]", russian)
        assert not re.search("[а-я]", english)
        assert not [text for text in (english, russian) if "\n" in text or not text.endswith(".")]


@pytest.mark.parametrize("problem", Problem)
def test_a_failure_has_the_class_and_the_fault_of_its_problem(problem: Problem) -> None:
    outcome = failure(problem, "http=500", retry_after_seconds=3.0)
    assert outcome.outcome is (OutcomeClass.RETRYABLE if ADVICE[problem].is_retryable else OutcomeClass.PERMANENT)
    assert outcome.fault is ADVICE[problem].fault is not Fault.NONE
    assert outcome.retry_after_seconds == (3.0 if ADVICE[problem].is_retryable else None)
    assert (outcome.problem, outcome.reason, outcome.advice) == (problem, "http=500", advice_of(problem, "en"))
