"""Who asks may be cancelled at any step, and the cache itself too: loads are neither lost nor doubled, and nobody hangs."""

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cache.core import Cache, Lifetimes, LookupFailed
from cache.statistics import Statistics
from tests.cache.sources import HANGS, Source, make_cache, running

# The load below has this many checkpoints; a look-up of a cold key ends within twice as many rounds of the scheduler.
CHECKPOINTS = 4
STEPS = range(2 * CHECKPOINTS + 2)


@attrs.define
class SteppingSource:
    """Loads in a known number of scheduler rounds, without time passing."""

    asked: int = 0
    answered: int = 0
    has_been_asked: trio.Event = attrs.field(factory=trio.Event)

    async def load(self, key: str) -> int | None:
        self.asked += 1
        self.has_been_asked.set()
        for _ in range(CHECKPOINTS):
            await trio.lowlevel.checkpoint()
        self.answered += 1
        return len(key)


def make_stepping() -> tuple[SteppingSource, Cache[str, int]]:
    source = SteppingSource()
    return source, Cache("lengths", source.load, lifetimes=Lifetimes(), max_items=10)


async def rounds(number: int) -> None:
    for _ in range(number):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("others", [0, 3], ids=["alone", "with others"])
@pytest.mark.parametrize("how", ["get", "fetch"])
async def test_who_asked_first_may_be_cancelled_at_any_step(step: int, others: int, how: str) -> None:
    source, cache = make_stepping()
    ask: Callable[[str], Awaitable[int | None]] = cache.get if how == "get" else cache.fetch
    found: list[int | None] = []

    async def first(scope: trio.CancelScope) -> None:
        with scope:
            found.append(await ask("abc"))

    async def other() -> None:
        found.append(await cache.get("abc"))

    async with running(cache), trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(first, scope)
        await source.has_been_asked.wait()
        for _ in range(others):
            nursery.start_soon(other)
        await rounds(step)
        scope.cancel()
        await wait_all_tasks_blocked()
        assert cache.hit("abc") is not None
        assert (source.asked, source.answered) == (1, 1)
        assert found in ([3] * others, [3] * (others + 1))
        # Nothing is left of it.
        assert repr(cache) == "<Cache lengths: 1 items, 0 loads>"


@pytest.mark.parametrize("step", STEPS)
async def test_all_who_ask_may_be_cancelled_at_any_step(step: int) -> None:
    source, cache = make_stepping()
    async with running(cache):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(cache.get, "abc")
            await rounds(step)
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        # Those cancelled before they ran have asked nothing.
        asked = min(cache.statistics.misses, 1)
        assert source.asked == source.answered == len(cache) == asked
        assert await cache.get("abc") == 3
    assert source.asked == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_value_may_be_put_at_any_step_of_a_load(step: int) -> None:
    # Trio runs tasks that are due together in any order: both orders come up.
    for _ in range(20):
        source, cache = make_stepping()
        found: list[int | None] = []

        async def look_up(cache: Cache[str, int], found: list[int | None]) -> None:
            found.append(await cache.get("abc"))

        async with running(cache), trio.open_nursery() as nursery:
            nursery.start_soon(look_up, cache, found)
            await source.has_been_asked.wait()
            await rounds(step)
            is_under_way = source.answered == 0
            cache.put("abc", 100)
            await wait_all_tasks_blocked()
            assert found == [100 if is_under_way else 3]
            assert await cache.get("abc") == 100
        assert source.answered == 1


@pytest.mark.parametrize("step", STEPS)
async def test_the_cache_may_be_cancelled_at_any_step_and_nobody_hangs(step: int) -> None:
    source, cache = make_stepping()
    ended: list[int | str | None] = []

    async def ask(how: Callable[[str], Awaitable[int | None]]) -> None:
        try:
            ended.append(await how("abc"))
        except LookupFailed as exc:
            ended.append(str(exc))

    with trio.fail_after(5):
        async with trio.open_nursery() as asking, running(cache) as nursery:
            for how in (cache.get, cache.get, cache.fetch):
                asking.start_soon(ask, how)
            await rounds(step)
            # Not current any more, but somebody may wait for it.
            cache.invalidate("abc")
            asking.start_soon(ask, cache.get)
            await rounds(step % 3)
            nursery.cancel_scope.cancel()
    assert len(ended) == 4
    assert set(ended) <= {3, "cache lengths: the cache was stopped", "cache lengths: the cache is not running"}
    assert repr(cache) == f"<Cache lengths: {len(cache)} items, 0 loads, not running>"
    assert cache.statistics.failures == 0
    # What was loaded is held, and it can be run again.
    async with running(cache):
        assert await cache.get("abc") == 3
    assert source.answered >= 1


async def test_a_cache_that_does_not_run_serves_what_it_holds_and_fails_at_once_otherwise(autojump_clock: MockClock) -> None:
    source = Source({"a": 2, "b": 2})
    cache = make_cache(source)
    cache.put("a", 1)

    async def check() -> None:
        assert await cache.get("a") == 1
        for ask in (cache.get, cache.fetch):
            with pytest.raises(LookupFailed, match=r"^cache numbers: the cache is not running$"):
                await ask("b")

    await check()
    await trio.sleep(100)
    await check()
    assert repr(cache) == "<Cache numbers: 1 items, 0 loads, not running>"
    async with running(cache):
        assert await cache.get("b") == 2
    cache.invalidate("b")
    await check()
    assert source.asked == ["b"]
    # Not the source's failures, and no reason to leave it alone.
    assert cache.statistics.failures == 0


async def test_who_waits_is_told_when_the_cache_is_stopped_even_by_a_load_that_hangs(autojump_clock: MockClock) -> None:
    cache = make_cache(Source(seconds=HANGS))
    told: list[str] = []

    async def look_up() -> None:
        with pytest.raises(LookupFailed) as caught:
            await cache.get("a")
        told.append(str(caught.value))

    async with trio.open_nursery() as asking, running(cache) as nursery:
        for _ in range(3):
            asking.start_soon(look_up)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert told == ["cache numbers: the cache was stopped"] * 3
    assert trio.current_time() == 1
    assert cache.statistics == Statistics(misses=3, loads=1)


async def test_while_the_last_loads_clean_up_nothing_new_is_started(autojump_clock: MockClock) -> None:
    async def load(key: str) -> int | None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(3, shield=True):
                await trio.sleep_forever()
        return None

    cache: Cache[str, int] = Cache("numbers", load, lifetimes=Lifetimes(), max_items=10)

    async def look_up() -> None:
        with pytest.raises(LookupFailed, match="the cache was stopped"):
            await cache.get("a")

    async with trio.open_nursery() as asking, running(cache) as nursery:
        asking.start_soon(look_up)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            with pytest.raises(LookupFailed, match="the cache is not running"):
                await cache.get("b")
    assert trio.current_time() == 3


async def test_a_cache_runs_once_at_a_time() -> None:
    cache = make_cache(Source())
    async with running(cache):
        with pytest.raises(RuntimeError, match="runs already"):
            await cache.run()
        assert "not running" not in repr(cache)


async def test_an_interrupt_in_a_load_is_no_failure_but_the_end() -> None:
    async def load(key: str) -> int | None:
        await trio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    cache: Cache[str, int] = Cache("numbers", load, lifetimes=Lifetimes(), max_items=10)
    # The interrupt ends the nursery around the block, not the look-up.
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(cache):
            with pytest.raises(LookupFailed, match="the cache was stopped"):
                await cache.get("a")
            await trio.sleep_forever()
    assert cache.statistics.failures == 0
