"""Databases that tests throw away: an embedded server for one test run, and fresh databases on it.

Plain and synchronous: a server outlives the Trio runs of the tests that use it. The pytest fixtures that stand on it are in
`tester.fixtures`.
"""

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
import psycopg

from sql.cluster import (
    Cluster,
    locate,
    make_fresh_directory,
    make_socket_directory,
    read_postmaster,
    remove_socket_directory,
)
from sql.embedded import owned, settle_initialized

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.01
# Short enough for sockets, and open to everybody. A new database is some three hundred files: copied in memory they take 30 ms, on a disk
# 200 to 400 ms. Containers may have a memory file system of 64 MB, which is too small for a server with several databases.
ON_DISK = Path("/tmp")  # noqa: S108 - names are made by mkdtemp
IN_MEMORY = Path("/dev/shm")  # noqa: S108
_ENOUGH_BYTES = 1024**3


def temporary_root() -> Path:
    """Where disposable directories are made: in memory where there is room for them, else on the disk."""
    try:
        is_fit = os.access(IN_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(IN_MEMORY).free >= _ENOUGH_BYTES
    except OSError:
        is_fit = False
    return IN_MEMORY if is_fit else ON_DISK


def sweep() -> None:
    """Ends what killed test runs left behind: servers and directories that carry the number of a process that is gone."""
    for directory in (*ON_DISK.glob("gwt-*-*"), *IN_MEMORY.glob("gwt-*-*")):
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
    """The beginning of the name of a directory that `sweep` may remove once this process is gone."""
    return f"gwt-{os.getpid()}-"


@contextmanager
def disposable_directory() -> Generator[Path]:
    """Others may pass through it, unlike through `tmp_path`: a server that was dropped from root to another account has to."""
    directory = Path(tempfile.mkdtemp(prefix=disposable_name(), dir=temporary_root()))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def disposable_server() -> Generator[str]:
    """An embedded server while the block runs, which gets its URL. RuntimeError, with the end of its log, when it does not start."""
    sweep()
    with disposable_directory() as directory:
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
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the test database does not start: {cluster.log_path.read_text(errors='replace')[-2000:]}")


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    # urlunsplit drops the empty authority's slashes only when there is no scheme that needs them; ours always has a user.
    return urlunsplit(parts._replace(path=f"/{name}"))


@attrs.frozen
class Databases:
    """Makes and drops databases on one server."""

    server_url: str = attrs.field(repr=False)
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
