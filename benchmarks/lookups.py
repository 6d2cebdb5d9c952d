"""Look-ups in a cache: what one of a key that is held costs, beside that of a bare dictionary, and how often a cold key is loaded.

The cache is the bare core, in a running Trio with its real clock. Speed is taken from CPU time, the best of several rounds in turns with
the dictionary's: neighbours on the machine make a round slower, never faster.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

import trio

from benchmarks.common import Figure, main, note, pin
from cache.core import Cache, Lifetimes

NAME = "lookups"
# As many enterprises as a gateway may have; each round asks for all of them in turn.
KEYS = tuple(f"{number:04d}" for number in range(1000))
ROUND_LOOKUPS = 100 * len(KEYS)
COLD_LOOKUPS = 1000
WANTED_MICROSECONDS = 20


def each_key() -> Iterator[str]:
    for _ in range(ROUND_LOOKUPS // len(KEYS)):
        yield from KEYS


async def load(key: str) -> int | None:
    await trio.sleep(0.01)
    return int(key)


async def microseconds_of(ask: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    await ask()
    return (time.process_time() - began) / ROUND_LOOKUPS * 1e6


async def hot(cache: Cache[str, int], rounds: int) -> tuple[float, float, float]:
    """Microseconds of `get`, of `hit` and of a dictionary."""
    bare = dict.fromkeys(KEYS, 1)
    for key, value in bare.items():
        cache.put(key, value)

    async def get() -> None:
        for key in each_key():
            await cache.get(key)

    async def hit() -> None:
        for key in each_key():
            cache.hit(key)

    async def look_up_bare() -> None:
        for key in each_key():
            bare[key]

    best = [float("inf")] * 3
    for _ in range(rounds):
        for place, ask in enumerate((get, hit, look_up_bare)):
            best[place] = min(best[place], await microseconds_of(ask))
    return best[0], best[1], best[2]


async def cold(cache: Cache[str, int]) -> int:
    """Loads for so many look-ups of one key at once."""
    before = cache.statistics.loads
    async with trio.open_nursery() as nursery:
        for _ in range(COLD_LOOKUPS):
            nursery.start_soon(cache.get, "10000")
    return cache.statistics.loads - before


async def measured(rounds: int) -> tuple[float, float, float, int]:
    cache: Cache[str, int] = Cache(NAME, load, lifetimes=Lifetimes(fresh_seconds=3600), max_items=2 * len(KEYS))
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        figures = (*await hot(cache, rounds), await cold(cache))
        nursery.cancel_scope.cancel()
    return figures


def measure(quick: bool) -> Iterable[Figure]:
    pin(0)
    note("look-ups of keys that are held, and of one that is not")
    get, hit, bare, loads = trio.run(measured, 3 if quick else 20)
    yield Figure(benchmark=NAME, name="look-up of a held key", value=get, unit="µs", wanted=f"<= {WANTED_MICROSECONDS}")
    yield Figure(benchmark=NAME, name="  against a bare dictionary", value=get / bare, unit="x", digits=0)
    yield Figure(benchmark=NAME, name="  without await", value=hit, unit="µs")
    yield Figure(benchmark=NAME, name="  a bare dictionary", value=bare, unit="µs", digits=3)
    yield Figure(benchmark=NAME, name=f"loads for {COLD_LOOKUPS:,} look-ups of a cold key at once", value=loads, wanted="<= 1", digits=0)


if __name__ == "__main__":
    main(measure)
