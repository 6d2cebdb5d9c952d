"""What every test may ask for: a real database, a directory that a database server can reach, and silence at level ERROR."""

import itertools
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import attrs
import hypothesis
import psycopg
import pytest
import trio

from sql.cluster import (
    Cluster,
    locate,
    make_fresh_directory,
    make_socket_directory,
    read_postmaster,
    remove_socket_directory,
)
from sql.embedded import owned, settle_initialized

# Two cores shared with databases and servers: no deadline per example. CI repeats the same examples, a developer gets new ones.
hypothesis.settings.register_profile("developer", deadline=None, max_examples=60)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")

START_SECONDS = 60.0
STOP_SECONDS = 20.0
TEMPORARY = Path("/tmp")  # short enough for sockets, and open to everybody


def _sweep() -> None:
    """Ends what killed test runs left behind: servers and directories that carry the number of a process that is gone."""
    for directory in TEMPORARY.glob("gwt-*-*"):
        pid = directory.name.split("-")[1]
        if not pid.isdecimal() or Path("/proc", pid).exists():
            continue
        for cwd in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if cwd.readlink().is_relative_to(directory):
                    os.kill(int(cwd.parent.name), signal.SIGQUIT)
            except OSError:
                continue  # another user's, or just gone
        shutil.rmtree(directory, ignore_errors=True)


def disposable_name() -> str:
    """The beginning of the name of a directory that `_sweep` may remove once this process is gone."""
    return f"gwt-{os.getpid()}-"


@contextmanager
def _disposable_directory() -> Generator[Path]:
    """Others may pass through it, unlike through `tmp_path`: a server that was dropped from root to another account has to."""
    directory = Path(tempfile.mkdtemp(prefix=disposable_name(), dir=TEMPORARY))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _disposable_server() -> Generator[str]:
    """The embedded server without Trio: it outlives the Trio runs of the tests. One per xdist worker."""
    _sweep()
    with _disposable_directory() as directory:
        cluster = locate(directory, durable=False)
        with owned(cluster), cluster.log_path.open("ab") as log:
            make_fresh_directory(cluster)
            subprocess.run(
                cluster.initdb_command(), check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **cluster.spawn_options()
            )
            settle_initialized(cluster)
            socket_directory = make_socket_directory(cluster)
            server: subprocess.Popen[bytes] = subprocess.Popen(
                cluster.server_command(socket_directory), stdout=log, stderr=log, **cluster.spawn_options()
            )
            try:
                _await_ready(cluster, server)
                yield cluster.url(socket_directory)
            finally:
                # Nothing in it is worth a checkpoint: SIGQUIT ends it at once.
                server.send_signal(signal.SIGQUIT)
                server.wait(STOP_SECONDS)
                remove_socket_directory(cluster, socket_directory)


def _await_ready(cluster: Cluster, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and server.poll() is None:
        postmaster = read_postmaster(cluster)
        if postmaster is not None and postmaster.ready:
            return
        time.sleep(0.01)
    pytest.fail(f"the test database does not start: {cluster.log_path.read_text(errors='replace')[-2000:]}")


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    # urlunsplit drops the empty authority's slashes only when there is no scheme that needs them; ours always has a user.
    return urlunsplit(parts._replace(path=f"/{name}"))


@attrs.frozen
class Databases:
    """Makes and drops databases on one server."""

    server_url: str
    prefix: str
    numbers: Iterator[int]

    def create(self, template: str = "template0") -> str:
        """A new database; the template must have no connection. Copying files is twice as quick here as writing them to the log."""
        name = f"{self.prefix}_{next(self.numbers)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        """Whoever is still connected is thrown out."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, name: str) -> str:
        """Where it is."""
        return _with_database(self.server_url, name)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def databases(worker_id: str) -> Iterator[Databases]:
    """The server of this worker: embedded, or GATEWAY_TEST_DATABASE_URL, where several runs may meet."""
    prefix = f"test_{worker_id}_{os.getpid()}"
    given = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if given:
        yield Databases(given, prefix, itertools.count(1))
    else:
        with _disposable_server() as url:
            yield Databases(url, prefix, itertools.count(1))


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> Iterator[str]:
    """The name of a database with all migrations, to be copied."""
    from sql.driver import connect
    from sql.migrate import migrate

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
    with _disposable_directory() as directory:
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
