"""The stores that the contract is held against."""

from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest

from gateway.ports import Store
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.houses import House, MemoryHouse, PostgresHouse
from tester.memory import MemoryStore

# Emptying a few rows takes a millisecond, a fresh database for each test takes half a second.
TABLES = (
    "call_events", "live_calls", "calls", "telegram_messages", "bots", "rejected_events", "invites", "enterprises", "customers",
    "crm_outbox", "integration_logs", "crm_tokens",
)  # fmt: skip
EMPTY = "; ".join(f"delete from {table}" for table in TABLES)


class _Databases(Protocol):
    """As in the conftest above."""

    def create(self, template: str = ...) -> str: ...
    def drop(self, name: str) -> None: ...
    def url(self, name: str) -> str: ...


@pytest.fixture(scope="session")
def contract_url(databases: _Databases, migrated_template: str) -> Iterator[str]:
    """One database for all tests of the contract; each begins by emptying it."""
    name = databases.create(migrated_template)
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture(params=["memory", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Where the store is: "" for memory."""
    return "" if request.param == "memory" else request.getfixturevalue("contract_url")


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """An empty store, once in memory and once in PostgreSQL."""
    if store_url:
        async with open_pool(store_url, max_size=4) as pool:
            await pool.execute(EMPTY)
            yield PostgresHouse(PostgresStore(pool), pool)
    else:
        yield MemoryHouse(MemoryStore())


@pytest.fixture
async def store(house: House) -> Store:
    """The store alone."""
    return house.store
