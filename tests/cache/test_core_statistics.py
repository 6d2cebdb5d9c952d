"""The figures of caches."""

import attrs

from cache.statistics import Statistics, sum_of


def test_a_cache_that_nobody_asked_has_a_hit_rate_of_nothing() -> None:
    assert Statistics().hit_rate_percent == 0.0
    assert Statistics(loads=5, failures=2).total_requests == 0


def test_the_hit_rate_has_two_decimals() -> None:
    assert Statistics(hits=2, misses=1).hit_rate_percent == 66.67
    assert Statistics(hits=1, stale_hits=1, negative_hits=0).hit_rate_percent == 100.0


def test_a_sum_adds_every_figure_and_stands_for_itself() -> None:
    names = [field.name for field in attrs.fields(Statistics)]
    first = Statistics(**{name: number for number, name in enumerate(names, 1)})
    second = Statistics(**{name: 100 * number for number, name in enumerate(names, 1)})
    total = sum_of([first, second])
    assert attrs.astuple(total) == tuple(101 * number for number, _ in enumerate(names, 1))
    first.hits += 1
    assert total.hits == 101
    assert sum_of([]) == Statistics()
