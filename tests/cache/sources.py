"""A source for the cache core to stand in front of, and a cache that runs while a block does."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from cache.core import Cache, Lifetimes

HANGS = math.inf


@attrs.define
class Source:
    """Answers from `values`, as they are when it is asked, after `seconds`; or raises `error` then."""

    values: dict[str, int] = attrs.field(factory=dict[str, int])
    seconds: float = 1.0
    error: Exception | None = None
    asked: list[str] = attrs.field(factory=list[str])

    async def load(self, key: str) -> int | None:
        self.asked.append(key)
        value = self.values.get(key)
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return value


def make_cache(source: Source, lifetimes: Lifetimes | None = None, *, max_items: int = 100) -> Cache[str, int]:
    return Cache("numbers", source.load, lifetimes=lifetimes or Lifetimes(), max_items=max_items)


@asynccontextmanager
async def running(cache: Cache[str, int]) -> AsyncGenerator[trio.Nursery]:
    """The cache's nursery tree for the block; what is started in the nursery ends with it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(cache.run)
        yield nursery
        nursery.cancel_scope.cancel()
