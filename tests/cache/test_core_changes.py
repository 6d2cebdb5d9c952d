"""What was put, invalidated or fetched wins over loads under way."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cache.core import Lifetimes, LookupFailed
from cache.statistics import Statistics
from tests.cache.sources import Source, make_cache, running

LIFETIMES = Lifetimes(fresh_seconds=90, missing_seconds=60, failed_seconds=5)


async def test_a_value_put_during_a_load_wins_and_is_given_at_once_to_who_waits(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=10)
    cache = make_cache(source)
    found: list[tuple[int | None, float]] = []

    async def look_up() -> None:
        found.append((await cache.get("a"), trio.current_time()))

    async with running(cache) as nursery:
        nursery.start_soon(look_up)
        await trio.sleep(3)
        cache.put("a", 5)
        assert await cache.get("a") == 5
        await trio.sleep(20)
        assert await cache.get("a") == 5
    assert found == [(5, 3.0)]
    assert source.asked == ["a"]


async def test_a_put_that_says_there_is_none_wins_too(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=10)
    cache = make_cache(source)
    async with running(cache) as nursery:
        nursery.start_soon(cache.get, "a")
        await trio.sleep(3)
        cache.put("a", None)
        await trio.sleep(20)
        assert await cache.get("a") is None


async def test_what_was_loaded_before_an_invalidation_is_not_kept(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=2)
    cache = make_cache(source)
    found: dict[str, tuple[int | None, float]] = {}

    async def look_up(who: str) -> None:
        found[who] = (await cache.get("a"), trio.current_time())

    async with running(cache) as nursery:
        nursery.start_soon(look_up, "before")
        await trio.sleep(1)
        source.values["a"] = 2
        cache.invalidate("a")
        nursery.start_soon(look_up, "after")
        await trio.sleep(1.5)
        assert cache.peek("a") is None
        await trio.sleep(1)
        assert await cache.get("a") == 2
    assert found == {"before": (1, 2.0), "after": (2, 3.0)}
    assert source.asked == ["a", "a"]


async def test_a_failure_from_before_an_invalidation_is_forgotten_with_it(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=2, error=OSError())
    cache = make_cache(source, LIFETIMES)
    async with running(cache) as nursery:
        with pytest.raises(LookupFailed):
            await cache.get("a")
        cache.invalidate("a")
        source.error = None
        assert await cache.get("a") == 1

        # And one of a load under way is not held against those who ask afterwards.
        async def look_up() -> None:
            with pytest.raises(LookupFailed):
                await cache.get("b")

        source.values["b"] = 2
        nursery.start_soon(look_up)
        await trio.sleep(1)
        source.error = OSError()
        cache.invalidate("b")
        await trio.sleep(1.5)
        source.error = None
        assert await cache.get("b") == 2


async def test_only_keys_that_match_are_invalidated_whatever_is_held_of_them(autojump_clock: MockClock) -> None:
    source = Source({"a1": 1, "b1": 1})
    cache = make_cache(source, LIFETIMES)
    async with running(cache) as nursery:
        for key in ("a1", "b1", "a2", "b2"):
            await cache.get(key)
        source.error = OSError()
        for key in ("a3", "b3"):
            with pytest.raises(LookupFailed):
                await cache.get(key)
        source.error = None
        for key in ("a4", "b4"):
            nursery.start_soon(cache.get, key)
        await wait_all_tasks_blocked()
        cache.invalidate_where(lambda key: key.startswith("a"))
        assert set(cache.entries()) == {"b1", "b2"}
        await trio.sleep(1.1)
        assert set(cache.entries()) == {"b1", "b2", "b4"}
        assert await cache.get("a3") is None
        with pytest.raises(LookupFailed):
            await cache.get("b3")


async def test_a_cleared_cache_holds_nothing_and_counts_on(autojump_clock: MockClock) -> None:
    source = Source({"a": 1})
    cache = make_cache(source)
    async with running(cache) as nursery:
        await cache.get("a")
        await cache.get("b")
        nursery.start_soon(cache.get, "c")
        await wait_all_tasks_blocked()
        cache.clear()
        assert len(cache) == 0
        assert not cache.entries()
        await trio.sleep(2)
        assert len(cache) == 0
        assert cache.statistics == Statistics(misses=3, loads=3)
        source.error = OSError()
        with pytest.raises(LookupFailed):
            await cache.get("d")
        source.error = None
        cache.clear()
        assert await cache.get("d") is None


async def test_nothing_is_invalidated_when_the_question_whether_a_key_matches_fails() -> None:
    cache = make_cache(Source())
    cache.put("a", 1)
    cache.put("b", 1)

    def matches(key: str) -> bool:
        return 1 / (key != "b") > 0

    with pytest.raises(ZeroDivisionError):
        cache.invalidate_where(matches)
    assert len(cache) == 2


async def test_a_fetch_asks_the_source_whatever_is_held_and_keeps_the_answer(autojump_clock: MockClock) -> None:
    source = Source({"a": 2})
    cache = make_cache(source)
    async with running(cache):
        cache.put("a", 1)
        assert await cache.fetch("a") == 2
        assert await cache.get("a") == 2
        del source.values["a"]
        assert await cache.fetch("a") is None
        assert await cache.get("a") is None
    assert cache.statistics == Statistics(hits=2, negative_hits=1, loads=2)


async def test_a_fetch_never_gives_what_was_asked_before_it(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=2)
    cache = make_cache(source)
    found: dict[str, tuple[int | None, float]] = {}

    async def look_up(who: str) -> None:
        found[who] = (await cache.get("a"), trio.current_time())

    async with running(cache) as nursery:
        nursery.start_soon(look_up, "before")
        await trio.sleep(1)
        source.values["a"] = 2
        nursery.start_soon(look_up, "joins the first")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as fetching:
            # Those that ask at once share one load.
            for _ in range(100):
                fetching.start_soon(cache.fetch, "a")
            await trio.sleep(0.5)
            nursery.start_soon(look_up, "joins the fetch")
        assert await cache.get("a") == 2
    assert found == {"before": (1, 2.0), "joins the first": (1, 2.0), "joins the fetch": (2, 3.0)}
    assert source.asked == ["a", "a"]


async def test_a_fetch_that_fails_says_so_and_leaves_what_is_held(autojump_clock: MockClock) -> None:
    source = Source({"a": 2}, error=OSError())
    cache = make_cache(source)
    async with running(cache):
        cache.put("a", 1)
        for _ in range(2):  # it asks again, however short ago the failure was
            with pytest.raises(LookupFailed, match=r"^cache numbers: OSError$"):
                await cache.fetch("a")
        assert await cache.get("a") == 1
    assert cache.statistics == Statistics(hits=1, loads=2, failures=2)


async def test_who_waits_for_a_load_that_fails_gets_what_a_newer_one_has_brought(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=5, error=OSError())
    cache = make_cache(source)
    found: list[int | None] = []

    async def look_up() -> None:
        found.append(await cache.get("a"))

    async with running(cache) as nursery:
        nursery.start_soon(look_up)
        await trio.sleep(1)
        source.error, source.seconds = None, 1
        assert await cache.fetch("a") == 1
        source.error = OSError()
        await trio.sleep(5)
        # The failure of the older load is not held against the key either.
        cache.put("a", 2)
        assert await cache.get("a") == 2
    assert found == [1]
    assert cache.statistics.failures == 1
