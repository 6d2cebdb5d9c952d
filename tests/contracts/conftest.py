"""The stores that the contract is held against."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports import Store
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.houses import House, MemoryHouse, PostgresHouse
from tester.memory import MemoryStore


@pytest.fixture(params=["memory", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Where the store is: "" for memory."""
    return "" if request.param == "memory" else request.getfixturevalue("migrated_url")


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """An empty store, once in memory and once in PostgreSQL."""
    if store_url:
        async with open_pool(store_url, max_size=4) as pool:
            yield PostgresHouse(PostgresStore(pool), pool)
    else:
        yield MemoryHouse(MemoryStore())


@pytest.fixture
async def store(house: House) -> Store:
    """The store alone."""
    return house.store
