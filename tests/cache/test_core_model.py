"""The cache against models of it that are too simple to be wrong, for any order of things."""

import math
from collections import OrderedDict

import attrs
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from cache.core import Cache, Lifetimes, LookupFailed
from cache.shelf import Shelf
from tests.cache.sources import running

KEYS = st.sampled_from("abc")
SECONDS = st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0, 11.0])
LIFETIMES = Lifetimes(fresh_seconds=3, stale_seconds=8, missing_seconds=2, failed_seconds=1)


@attrs.define
class QuickSource:
    """Answers at once, after a checkpoint, with what it has now."""

    values: dict[str, int] = attrs.field(factory=dict[str, int])
    fails: bool = False
    asked: list[str] = attrs.field(factory=list[str])

    async def load(self, key: str) -> int | None:
        self.asked.append(key)
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise OSError
        return self.values.get(key)


@attrs.define
class Model:
    """One look-up after another, each load over before the next: what is answered and how often the source is asked."""

    source: QuickSource
    held: dict[str, tuple[int | None, float]] = attrs.field(factory=dict[str, tuple[int | None, float]])
    failed_at: dict[str, float] = attrs.field(factory=dict[str, float])
    asked: int = 0

    def get(self, key: str, now: float) -> int | str | None:
        value, at = self.held.get(key, (None, -math.inf))
        age = now - at
        if value is None and age < LIFETIMES.missing_seconds:
            return None
        served = value is not None and age < LIFETIMES.fresh_seconds + LIFETIMES.stale_seconds
        if not (served and age < LIFETIMES.fresh_seconds) and now - self.failed_at.get(key, -math.inf) >= LIFETIMES.failed_seconds:
            self.load(key, now)
            if not served and not self.source.fails:
                return self.source.values.get(key)
        return value if served else "failed"

    def load(self, key: str, now: float) -> None:
        self.asked += 1
        if self.source.fails:
            self.failed_at[key] = now
        else:
            self.put(key, self.source.values.get(key), now)

    def put(self, key: str, value: int | None, now: float) -> None:
        self.held[key] = (value, now)
        self.failed_at.pop(key, None)

    def invalidate(self, key: str) -> None:
        self.held.pop(key, None)
        self.failed_at.pop(key, None)


STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("fetch"), KEYS),
    st.tuples(st.just("invalidate"), KEYS),
    st.tuples(st.just("put"), KEYS, st.none() | st.integers(0, 9)),
    st.tuples(st.just("source"), KEYS, st.none() | st.integers(0, 9)),
    st.tuples(st.just("fails"), st.booleans()),
    st.tuples(st.just("sleep"), SECONDS),
)


@given(st.lists(STEPS, max_size=40))
def test_it_answers_and_asks_as_a_dictionary_with_dates_would(steps: list[tuple[str, ...]]) -> None:
    async def play() -> None:
        source = QuickSource()
        model = Model(source)
        cache: Cache[str, int] = Cache("numbers", source.load, lifetimes=LIFETIMES, max_items=10)
        async with running(cache):
            for step in steps:
                await _play(step, source, model, cache)
                await wait_all_tasks_blocked()
                assert len(source.asked) == model.asked
        statistics = cache.statistics
        gets = sum(step[0] == "get" for step in steps)
        assert (statistics.total_requests, statistics.loads) == (gets, model.asked)
        assert statistics.stale_hits + statistics.negative_hits <= statistics.hits

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def _play(step: tuple[object, ...], source: QuickSource, model: Model, cache: Cache[str, int]) -> None:
    now = trio.current_time()
    match step:
        case ("get", str(key)):
            try:
                found = await cache.get(key)
            except LookupFailed:
                found = "failed"
            assert found == model.get(key, now)
        case ("fetch", str(key)):
            try:
                assert await cache.fetch(key) == source.values.get(key)
            except LookupFailed:
                assert source.fails
            model.load(key, now)
        case ("invalidate", str(key)):
            cache.invalidate(key)
            model.invalidate(key)
        case ("put", str(key), (None | int()) as value):
            cache.put(key, value)
            model.put(key, value, now)
        case ("source", str(key), (None | int()) as value):
            source.values.pop(key, None)
            if value is not None:
                source.values[key] = value
        case ("fails", bool(fails)):
            source.fails = fails
        case ("sleep", float(seconds)):
            await trio.sleep(seconds)
        case _:
            raise AssertionError(step)


# Of loads; this one also fails.
FAILING_SECONDS = 5.0


@attrs.define
class VersionedSource:
    """One value that only grows. A load sees it as it is when it begins, as a query does, and takes as long as it was told."""

    delays: list[float]
    version: int = 1
    loads: int = 0

    async def load(self, key: str) -> int | None:
        assert key == "a"
        seen = self.version
        delay = self.delays[self.loads % len(self.delays)]
        self.loads += 1
        await trio.sleep(delay)
        if delay == FAILING_SECONDS:
            raise OSError
        return seen


@attrs.define
class Readers:
    """Look-ups, and the version that whoever asks now must be given at least."""

    source: VersionedSource
    cache: Cache[str, int]
    told: int = 1

    async def read(self, begins: float, patience: float) -> None:
        await trio.sleep(begins)
        # Twice: what is held by then must not be older either.
        for _ in range(2):
            wanted = self.told
            with trio.move_on_after(patience):
                try:
                    found = await self.cache.get("a")
                except LookupFailed:
                    return
                assert found is not None
                assert found >= wanted

    async def change(self, pause: float, how: str) -> None:
        await trio.sleep(pause)
        self.source.version += 1
        match how:
            case "invalidate":
                self.cache.invalidate("a")
            case "where":
                self.cache.invalidate_where(lambda key: key == "a")
            case "clear":
                self.cache.clear()
            case "put":
                self.cache.put("a", self.source.version)
            case _:
                try:
                    await self.cache.fetch("a")
                except LookupFailed:
                    return
        self.told = self.source.version

    async def play(self, changes: list[tuple[float, str]], readers: list[tuple[float, float]]) -> None:
        async with running(self.cache):
            async with trio.open_nursery() as nursery:
                for begins, patience in readers:
                    nursery.start_soon(self.read, begins, patience)
                for pause, how in changes:
                    await self.change(pause, how)
            await trio.sleep(60)
            assert ", 0 loads" in repr(self.cache)


HOW_CHANGED = st.sampled_from(["invalidate", "where", "clear", "put", "fetch"])


@given(
    delays=st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.0, FAILING_SECONDS]), min_size=1, max_size=5),
    changes=st.lists(st.tuples(st.sampled_from([0.1, 0.5, 1.5]), HOW_CHANGED), max_size=8),
    readers=st.lists(st.tuples(st.floats(0, 8), st.sampled_from([0.2, 1.0, 20.0])), min_size=1, max_size=12),
)
def test_nobody_who_asks_after_a_change_was_told_gets_what_was_before_it(
    delays: list[float], changes: list[tuple[float, str]], readers: list[tuple[float, float]]
) -> None:
    source = VersionedSource(delays)

    async def play() -> None:
        cache: Cache[str, int] = Cache("versions", source.load, lifetimes=LIFETIMES, max_items=50)
        await Readers(source, cache).play(changes, readers)

    trio.run(play, clock=MockClock(autojump_threshold=0))


@given(
    st.lists(st.tuples(st.sampled_from(["use", "known", "missing", "fail", "drop"]), st.sampled_from("abcdefg")), max_size=60),
    st.integers(1, 4),
)
@example([("fail", "a"), ("fail", "b"), ("fail", "a"), ("fail", "c")], 2)
def test_a_shelf_holds_the_most_recently_used_and_each_kind_within_its_bound(steps: list[tuple[str, str]], max_items: int) -> None:
    shelf: Shelf[str, int] = Shelf(Lifetimes(), max_items)
    known: OrderedDict[str, int] = OrderedDict()
    missing: list[str] = []
    failures: list[str] = []
    for number, (what, key) in enumerate(steps):
        gone = 0
        if what == "use":
            entry = shelf.use(key, 0)
            assert (entry.value if entry else "nothing") == known.get(key, None if key in missing else "nothing")
            if key in known:
                known.move_to_end(key)
            continue
        failures = [one for one in failures if one != key]
        if what == "fail":
            shelf.fail(key, "why", 0)
            failures = [*failures, key][-max_items:]
            continue
        known.pop(key, None)
        missing = [one for one in missing if one != key]
        if what == "drop":
            shelf.drop(key)
            continue
        if what == "known":
            known[key] = number
            if len(known) > max_items:
                known.popitem(last=False)
                gone = 1
        else:
            missing.append(key)
            gone = len(missing[:-max_items])
            missing = missing[-max_items:]
        assert shelf.keep(key, number if what == "known" else None, 0) == gone
    assert list(shelf.entries(0)) == [*known, *missing]
    assert [key for key in "abcdefg" if shelf.failure(key, 0)] == sorted(failures)
    assert len(shelf) == len(known) + len(missing)
