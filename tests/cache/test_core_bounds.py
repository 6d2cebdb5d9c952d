"""What a cache holds and does at once is bounded, and what is known goes last."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cache.core import LookupFailed
from cache.statistics import Statistics
from tests.cache.sources import Source, make_cache, running


async def test_the_least_recently_used_goes_when_the_cache_is_full(autojump_clock: MockClock) -> None:
    source = Source({key: ord(key) for key in "abcd"}, seconds=0)
    cache = make_cache(source, max_items=3)
    async with running(cache):
        for key in "abc":
            await cache.get(key)
        await cache.get("a")
        assert cache.hit("b") is not None
        assert cache.peek("c") is not None
        await cache.get("d")
        assert list(cache.entries()) == ["a", "b", "d"]
    assert cache.statistics == Statistics(hits=2, misses=4, loads=4, evictions=1)


async def test_an_expired_value_that_is_served_is_recently_used(autojump_clock: MockClock) -> None:
    cache = make_cache(Source(), max_items=2)
    cache.put("a", 1)
    cache.put("b", 2)
    await trio.sleep(1000)
    assert cache.hit("a") is not None
    cache.put("c", 3)
    assert list(cache.entries()) == ["a", "c"]


async def test_a_flood_of_unknown_keys_pushes_out_no_known_one(autojump_clock: MockClock) -> None:
    source = Source({"a": 1, "b": 2, "c": 3}, seconds=0)
    cache = make_cache(source, max_items=3)
    async with running(cache):
        for key in "abc":
            await cache.get(key)
        for number in range(1000):
            assert await cache.get(f"unknown {number}") is None
        assert list(cache.entries()) == ["a", "b", "c", "unknown 997", "unknown 998", "unknown 999"]
        assert len(cache) == 6
        assert cache.statistics.evictions == 997
        # What has expired goes with the next one that is not found.
        await trio.sleep(100)
        await cache.get("unknown 0")
        assert len(cache) == 4
        assert cache.statistics.evictions == 997


async def test_a_flood_of_keys_that_fail_pushes_out_nothing_and_is_bounded(autojump_clock: MockClock) -> None:
    source = Source(seconds=0, error=OSError())
    cache = make_cache(source, max_items=3)
    async with running(cache):
        for key in "abc":
            cache.put(key, 1)
        for number in range(100):
            with pytest.raises(LookupFailed):
                await cache.get(f"unknown {number}")
        assert list(cache.entries()) == ["a", "b", "c"]
        # The last three are left alone, the one before them has been forgotten and is asked again.
        assert cache.statistics.loads == 100
        for number in (97, 98, 99, 96):
            with pytest.raises(LookupFailed):
                await cache.get(f"unknown {number}")
        assert cache.statistics.loads == 101


async def test_loads_under_way_are_bounded_and_what_is_held_is_served_meanwhile(autojump_clock: MockClock) -> None:
    source = Source({"a": 1, "d": 4}, seconds=10)
    cache = make_cache(source, max_items=3)
    async with running(cache) as nursery:
        cache.put("a", 1)
        await trio.sleep(90)
        for key in ("b", "c", "d"):
            nursery.start_soon(cache.get, key)
        await wait_all_tasks_blocked()
        assert repr(cache) == "<Cache numbers: 1 items, 3 loads>"
        with pytest.raises(LookupFailed, match=r"^cache numbers: too many loads under way$"):
            await cache.get("e")
        with pytest.raises(LookupFailed, match=r"^cache numbers: too many loads under way$"):
            await cache.fetch("a")
        assert await cache.get("a") == 1
        assert await cache.get("d") == 4
        assert sorted(source.asked) == ["b", "c", "d"]
        # Now there is room for a refresh again, which the look-up above was the last to go without.
        assert await cache.get("a") == 1
        await wait_all_tasks_blocked()
        assert source.asked[3:] == ["a"]


async def test_loads_that_were_overtaken_count_as_under_way(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=10)
    cache = make_cache(source, max_items=2)
    async with running(cache) as nursery:
        for _ in range(2):
            nursery.start_soon(cache.get, "a")
            await wait_all_tasks_blocked()
            cache.invalidate("a")
        with pytest.raises(LookupFailed, match="too many loads under way"):
            await cache.get("a")
        await trio.sleep(10.1)
        assert await cache.get("a") == 1
