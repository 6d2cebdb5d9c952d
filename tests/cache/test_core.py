"""The cache in front of a slow source: what is asked of the source, what is served, and when, in virtual time."""

import math
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cache.core import Cache, Entry, Lifetimes, LookupFailed
from cache.statistics import Statistics
from tests.cache.sources import Source, make_cache, running

LIFETIMES = Lifetimes(fresh_seconds=90, missing_seconds=60, failed_seconds=5)


async def test_a_value_is_loaded_once_and_served_for_its_time_without_a_question(autojump_clock: MockClock) -> None:
    source = Source({"a": 1})
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        for _ in range(90):
            assert await cache.get("a") == 1
            await trio.sleep(1)
    assert source.asked == ["a"]
    assert cache.statistics == Statistics(hits=89, misses=1, loads=1)


async def test_what_is_held_is_served_without_a_checkpoint() -> None:
    cache = make_cache(Source())
    cache.put("a", 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await cache.get("a") == 1


async def test_an_expired_value_is_served_at_once_while_one_refresh_runs(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=2)
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        cache.put("a", 1)
        source.values["a"] = 2
        await trio.sleep(90)
        asked_at = trio.current_time()
        for _ in range(10):
            assert await cache.get("a") == 1
            assert cache.hit("a") == Entry(value=1, loaded_at=asked_at - 90, expires_at=asked_at)
        assert trio.current_time() == asked_at
        await trio.sleep(1.9)
        assert await cache.get("a") == 1
        await trio.sleep(0.2)
        assert cache.hit("a") == Entry(value=2, loaded_at=asked_at + 2, expires_at=asked_at + 92)
    assert source.asked == ["a"]
    assert cache.statistics == Statistics(hits=22, stale_hits=21, loads=1, refreshes=1)


async def test_a_value_too_old_to_be_served_is_waited_for(autojump_clock: MockClock) -> None:
    source = Source({"a": 2})
    cache = make_cache(source, attrs.evolve(LIFETIMES, stale_seconds=30))
    async with running(cache):
        cache.put("a", 1)
        await trio.sleep(120)
        assert cache.hit("a") is None
        assert cache.peek("a") is None
        assert not cache.entries()
        assert await cache.get("a") == 2
    assert cache.statistics == Statistics(misses=1, loads=1)


async def test_what_does_not_exist_is_remembered_and_not_served_once_expired(autojump_clock: MockClock) -> None:
    source = Source()
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        for _ in range(60):
            assert await cache.get("a") is None
            await trio.sleep(1)
        assert source.asked == ["a"]
        assert cache.statistics == Statistics(hits=59, negative_hits=59, misses=1, loads=1)
        source.values["a"] = 1
        # Created meanwhile: the very next look-up finds it.
        assert cache.hit("a") is None
        assert await cache.get("a") == 1
    assert cache.statistics == Statistics(hits=59, negative_hits=59, misses=2, loads=2)


async def test_a_value_that_has_gone_is_not_found_after_its_refresh(autojump_clock: MockClock) -> None:
    cache = make_cache(Source(), LIFETIMES)
    async with running(cache):
        cache.put("a", 1)
        await trio.sleep(90)
        assert await cache.get("a") == 1
        await trio.sleep(1.1)
        assert await cache.get("a") is None
    assert cache.statistics == Statistics(hits=2, stale_hits=1, negative_hits=1, loads=1, refreshes=1)
    assert list(cache.entries()) == ["a"]


async def test_a_thousand_look_ups_of_one_cold_key_make_one_load(autojump_clock: MockClock) -> None:
    source = Source({"a": 1})
    cache = make_cache(source)
    found: list[int | None] = []

    async def look_up() -> None:
        found.append(await cache.get("a"))

    async with running(cache), trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(look_up)
    assert found == [1] * 1000
    assert source.asked == ["a"]
    assert cache.statistics == Statistics(misses=1000, loads=1)
    assert trio.current_time() == 1


async def test_keys_are_loaded_beside_each_other(autojump_clock: MockClock) -> None:
    source = Source({str(number): number for number in range(50)})
    cache = make_cache(source)
    async with running(cache), trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(cache.get, str(number))
    assert trio.current_time() == 1
    assert {key: entry.value for key, entry in cache.entries().items()} == source.values


async def test_what_is_only_looked_at_is_not_counted_and_starts_nothing(autojump_clock: MockClock) -> None:
    source = Source()
    cache = make_cache(source)
    async with running(cache):
        cache.put("a", 1)
        await trio.sleep(1000)
        assert cache.peek("a") == Entry(value=1, loaded_at=0.0, expires_at=90.0)
        assert cache.peek("b") is None
        assert cache.hit("b") is None
        assert list(cache.entries()) == ["a"]
        await wait_all_tasks_blocked()
    assert source.asked == []
    assert cache.statistics == Statistics()


async def test_after_a_warm_up_nearly_all_look_ups_are_hits(autojump_clock: MockClock) -> None:
    source = Source({str(number): number for number in range(10)})
    cache = make_cache(source)
    async with running(cache):
        for key, value in source.values.items():
            cache.put(key, value)
        for number in range(100):
            assert await cache.get(str(number % 10)) == number % 10
            await trio.sleep(2)
    assert len(cache) == 10
    assert cache.statistics.hit_rate_percent == 100.0
    assert cache.statistics.total_requests == 100


async def test_a_snapshot_does_not_change_with_the_cache() -> None:
    cache = make_cache(Source())
    cache.put("a", 1)
    entries = cache.entries()
    cache.put("b", 2)
    assert list(entries) == ["a"]


async def test_another_clock_can_be_given_and_is_the_only_one_for_entries() -> None:
    now = [1000.0]
    cache: Cache[str, int] = Cache("numbers", Source().load, lifetimes=Lifetimes(), max_items=1, clock=lambda: now[0])
    cache.put("a", 1)
    assert cache.peek("a") == Entry(value=1, loaded_at=1000.0, expires_at=1090.0)
    now[0] += 90
    assert cache.hit("a") is not None
    assert cache.statistics.stale_hits == 1


def test_lifetimes_and_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_items"):
        make_cache(Source(), max_items=0)
    for name in ("fresh_seconds", "stale_seconds", "missing_seconds", "failed_seconds", "load_seconds"):
        for value in (-1.0, math.nan):
            with pytest.raises(ValueError, match=name):
                Lifetimes(**{name: value})


async def test_lifetimes_of_nothing_make_every_look_up_a_load(autojump_clock: MockClock) -> None:
    source = Source({"a": 1})
    never = Lifetimes(fresh_seconds=0, stale_seconds=0, missing_seconds=0, failed_seconds=0)
    cache = make_cache(source, never)
    async with running(cache):
        for _ in range(3):
            assert await cache.get("a") == 1
            assert await cache.get("b") is None
        source.error = OSError()
        for _ in range(2):
            with pytest.raises(LookupFailed):
                await cache.get("a")
        assert len(source.asked) == 8
        # Also then, who asks together shares a load.
        source.error = None
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(cache.get, "a")
    assert len(source.asked) == 9


async def test_a_loader_that_raises_before_it_waits_is_a_failure_like_others(autojump_clock: MockClock) -> None:
    async def load(key: str) -> int | None:
        raise KeyError(key)

    cache: Cache[str, int] = Cache("numbers", load, lifetimes=Lifetimes(), max_items=1)
    async with running(cache):
        with pytest.raises(LookupFailed, match=r"^cache numbers: KeyError$"):
            await cache.get("a")


async def test_one_cache_may_load_from_another(autojump_clock: MockClock) -> None:
    source = Source({"a": 1})
    below = make_cache(source)
    above: Cache[str, int] = Cache("above", below.get, lifetimes=Lifetimes(), max_items=10)
    async with running(below), running(above), trio.open_nursery() as nursery:
        for call in (above.get, below.get, above.fetch):
            nursery.start_soon(partial(call, "a"))
    assert source.asked == ["a"]
    assert (await above.get("a"), await below.get("a")) == (1, 1)
