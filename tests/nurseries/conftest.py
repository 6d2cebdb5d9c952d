"""A gateway in virtual time for every test of this room that asks for it."""

from collections.abc import AsyncGenerator

import pytest
import trio
from trio.testing import MockClock

from tester.virtual import House, open_house


@pytest.fixture
async def house(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[House]:
    """One enterprise, one subscriber, nothing running yet. The test itself must ask for the clock too: pytest-trio looks for it there."""
    async with open_house(nursery) as house:
        yield house
        nursery.cancel_scope.cancel()
