"""What every test may ask for: a gateway in virtual time, a real database, and silence at level ERROR.

A pytest plugin: `pytest_plugins = ["tester.fixtures"]` in the topmost `conftest.py` brings them all. See docs/testing.md.
"""

import itertools
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from sql.driver import connect
from sql.migrate import migrate
from tester.databases import Databases, disposable_directory, disposable_server
from tester.virtual import House, open_house


@pytest.fixture
async def house(request: pytest.FixtureRequest, nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[House]:
    """A whole gateway in virtual time: one enterprise, one subscriber, nothing running yet.

    The test itself must ask for `autojump_clock` too: pytest-trio looks for a clock among the arguments of the test alone. What happened in
    the house is shown with a test that fails.
    """
    if trio.lowlevel.current_clock() is not autojump_clock:
        pytest.fail("a test that takes `house` must take `autojump_clock` too: otherwise its time is real")
    async with open_house(nursery) as house:
        try:
            yield house
        finally:
            request.node.add_report_section("call", "in the house", house.story())
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The server of this worker: embedded, or GATEWAY_TEST_DATABASE_URL, where several runs may meet."""
    prefix = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'master')}_{os.getpid()}"
    given = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if given:
        yield Databases(given, prefix, itertools.count(1))
    else:
        with disposable_server() as url:
            yield Databases(url, prefix, itertools.count(1))


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> Iterator[str]:
    """The name of a database with all migrations, to be copied."""

    async def apply(url: str) -> None:
        connection = await connect(url)
        try:
            await migrate(connection)
        finally:
            connection.close()

    name = databases.create()
    trio.run(apply, databases.url(name))
    yield name
    databases.drop(name)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A fresh empty database."""
    name = databases.create()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture
def migrated_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """A fresh database with all migrations applied."""
    name = databases.create(migrated_template)
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory for a test that starts its own embedded server; `tmp_path` is closed to the account that root drops to."""
    with disposable_directory() as directory:
        yield directory / "data"


@attrs.define
class ErrorLog:
    """The ERROR records of one test; those nobody claims fail it."""

    unclaimed: list[logging.LogRecord] = attrs.field(factory=list[logging.LogRecord])

    def claim(self, fragment: str) -> list[logging.LogRecord]:
        """Takes out the records whose text contains the fragment; there must be one."""
        claimed = [record for record in self.unclaimed if fragment in record.getMessage()]
        assert claimed, f"no ERROR record says {fragment!r}: {[record.getMessage() for record in self.unclaimed]}"
        self.unclaimed = [record for record in self.unclaimed if record not in claimed]
        return claimed


class _Collector(logging.Handler):
    def __init__(self, errors: ErrorLog) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.unclaimed.append(record)


@pytest.fixture(autouse=True)
def expected_errors() -> Iterator[ErrorLog]:
    """A test in which something is logged at ERROR says so with `expected_errors.claim("…")`; otherwise it fails."""
    errors = ErrorLog()
    collector = _Collector(errors)
    logging.getLogger().addHandler(collector)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(collector)
    if errors.unclaimed:
        pytest.fail("unclaimed ERROR records: " + "; ".join(f"{record.name}: {record.getMessage()}" for record in errors.unclaimed))
