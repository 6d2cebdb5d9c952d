"""A source that fails or hangs: nobody hangs with it, it is left alone for a while, and nothing of its errors leaks."""

import logging

import attrs
import pytest
import trio
from trio.testing import MockClock

from cache.core import Lifetimes, LookupFailed
from cache.statistics import Statistics
from tests.cache.sources import HANGS, Source, make_cache, running

LIFETIMES = Lifetimes(fresh_seconds=90, missing_seconds=60, failed_seconds=5)


async def test_a_failure_without_an_older_value_is_told_to_all_who_wait(autojump_clock: MockClock) -> None:
    source = Source(error=OSError("connection to secret@database refused"))
    cache = make_cache(source)
    told: list[str] = []

    async def look_up() -> None:
        with pytest.raises(LookupFailed) as caught:
            await cache.get("secret key")
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        told.append(str(caught.value))

    async with running(cache), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(look_up)
    assert told == ["cache numbers: OSError"] * 3
    assert cache.statistics == Statistics(misses=3, loads=1, failures=1)


async def test_after_a_failure_the_source_is_left_alone_for_a_while(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=0.5, error=OSError())
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        with pytest.raises(LookupFailed):
            await cache.get("a")
        source.error = None
        failed_at = trio.current_time()
        for _ in range(5):
            with pytest.raises(LookupFailed, match=r"^cache numbers: OSError$"):
                await cache.get("a")
            assert trio.current_time() % 1 == failed_at % 1
            await trio.sleep(1)
        assert source.asked == ["a"]
        assert await cache.get("a") == 1
    assert source.asked == ["a", "a"]
    assert cache.statistics == Statistics(misses=7, loads=2, failures=1)


async def test_a_failing_key_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    source = Source({"b": 2}, error=OSError())
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        with pytest.raises(LookupFailed):
            await cache.get("a")
        source.error = None
        assert await cache.get("b") == 2


async def test_an_expired_value_is_served_as_long_as_its_refresh_fails(autojump_clock: MockClock) -> None:
    source = Source({"a": 2}, seconds=0, error=OSError())
    cache = make_cache(source, LIFETIMES)
    async with running(cache):
        cache.put("a", 1)
        await trio.sleep(90)
        # For 50 seconds, ten times a second, beginning with the expiry: asked at 0, 5, 10, …, 45 seconds.
        for _ in range(500):
            assert await cache.get("a") == 1
            await trio.sleep(0.1)
        assert 10 <= len(source.asked) <= 11  # sums of 0.1 are not exact
        source.error = None
        await trio.sleep(5)
        assert await cache.get("a") == 1
        await trio.sleep(0.1)
        assert await cache.get("a") == 2
    assert cache.statistics.failures == len(source.asked) - 1
    assert cache.statistics.refreshes == cache.statistics.loads == len(source.asked)


async def test_failures_are_logged_without_keys_or_texts_and_not_again_and_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(seconds=0, error=OSError("password"))
    cache = make_cache(source)

    async def fail(key: str) -> None:
        with pytest.raises(LookupFailed):
            await cache.get(key)

    async with running(cache):
        for number in range(100):
            await fail(f"secret {number}")
        source.error = ValueError("password")
        await fail("secret 100")
        await trio.sleep(60)
        source.error = OSError("password")
        await fail("secret 101")
    assert [(record.levelno, record.exc_info, record.getMessage()) for record in caplog.records if record.name == "cache.core"] == [
        (logging.WARNING, None, "cache numbers: a load failed: OSError (failures so far: 1)"),
        (logging.WARNING, None, "cache numbers: a load failed: ValueError (failures so far: 101)"),
        (logging.WARNING, None, "cache numbers: a load failed: OSError (failures so far: 102)"),
    ]


async def test_a_load_that_takes_too_long_has_failed_and_holds_up_no_other_key(autojump_clock: MockClock) -> None:
    source = Source({"a": 1, "b": 2}, seconds=HANGS)
    cache = make_cache(source, attrs.evolve(LIFETIMES, load_seconds=30))
    async with running(cache) as nursery:

        async def impatient() -> None:
            with trio.move_on_after(0.3) as scope:
                await cache.get("a")
            assert scope.cancelled_caught

        for _ in range(10):
            nursery.start_soon(impatient)
        await trio.sleep(1)
        source.seconds = 1
        assert await cache.get("b") == 2
        assert trio.current_time() == 2
        with pytest.raises(LookupFailed, match=r"^cache numbers: TooSlowError$"):
            await cache.get("a")
        assert trio.current_time() == 30
        await trio.sleep(5)
        assert await cache.get("a") == 1
    assert source.asked == ["a", "b", "a"]
    assert cache.statistics == Statistics(misses=13, loads=3, failures=1)


async def test_a_refresh_that_hangs_delays_nobody(autojump_clock: MockClock) -> None:
    source = Source({"a": 1}, seconds=HANGS)
    cache = make_cache(source, attrs.evolve(LIFETIMES, load_seconds=30))
    async with running(cache):
        cache.put("a", 1)
        await trio.sleep(90)
        for _ in range(100):
            asked_at = trio.current_time()
            assert await cache.get("a") == 1
            assert trio.current_time() == asked_at
            await trio.sleep(1)
    # At 0, 35 and 70 seconds: each ends after 30 and is followed by 5 of rest.
    assert len(source.asked) == 3
