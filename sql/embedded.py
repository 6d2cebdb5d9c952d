"""An embedded PostgreSQL server that belongs to the gateway: started with it, stopped with it, found again after a `kill -9`.

The server listens on a unix socket only. Whoever holds the lock file of the cluster owns the server; the kernel drops the lock with its
holder, so what a killed gateway leaves behind is a server (or a stale `postmaster.pid`) without an owner. The next owner stops such a
server and starts its own: one path for every case, and crash recovery is PostgreSQL's.
"""

import fcntl
import logging
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import trio

from gateway.errors import SettingsError, StoreUnavailable
from sql.cluster import (
    Cluster,
    is_our_server,
    locate,
    make_fresh_directory,
    make_socket_directory,
    read_postmaster,
    remove_socket_directory,
)

INITDB_SECONDS = 120.0
# Crash recovery reads at most max_wal_size (256 MB) and a bit; the rest is room for a slow disk.
START_SECONDS = 120.0
FAST_STOP_SECONDS = 10.0
IMMEDIATE_STOP_SECONDS = 5.0
LOOK_SECONDS = 0.02
# A server that dies as soon as it is ready must not keep the machine busy.
RESTART_PAUSE_SECONDS = 0.5
LOG_BYTES = 10 * 1024 * 1024
# Backends of a killed postmaster notice its death within moments; until the last one is gone a new postmaster refuses to start.
_BACKENDS_LEFT = "shared memory block"

_log = logging.getLogger(__name__)


class ClusterInUse(SettingsError):
    """Another gateway owns the cluster. Its server may be reached by `running_url`."""


@asynccontextmanager
async def embedded_server(data_dir: Path, *, durable: bool = True) -> AsyncGenerator[str]:
    """Runs the server of a data directory while the block runs.

    Args:
        data_dir: made when missing; the cluster lies in it (see `sql.cluster` for the exception) and stays after the block.
        durable: False gives up safety against a crash of the machine for speed, for tests.

    Yields: the URL of its database. Connections are possible at once.

    Raises:
        ClusterInUse: another gateway uses the cluster.
        SettingsError: the extra is missing, the directory is unusable.
        StoreUnavailable: the server does not start; the text says where its log is.

    A server that ends by itself (killed for its memory, say) is started again; connections are lost, what was committed is not.
    After the block, also when cancelled, the server has been stopped (fast shutdown, after 10 s immediate).
    """
    cluster = locate(data_dir, durable=durable)
    with owned(cluster):
        await _stop_left_over(cluster)
        if not cluster.initialized:
            await _initialize(cluster)
        socket_directory = make_socket_directory(cluster)
        try:
            running = _Running(await _start(cluster, socket_directory))
            try:
                async with _watched(running, cluster, socket_directory):
                    yield cluster.url(socket_directory)
            finally:
                # Only now: whatever cancels the block, its own cleaning up still finds the database.
                await _stop(running.server)  # noqa: ASYNC102  (each of its steps is shielded with a deadline)
        finally:
            remove_socket_directory(cluster, socket_directory)


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that another gateway runs in a data directory; None while there is none that accepts connections.

    Raises: SettingsError. The server stays that gateway's: it may end at any moment.
    """
    cluster = locate(data_dir, durable=True)
    postmaster = read_postmaster(cluster)
    if postmaster is None or not postmaster.ready or postmaster.socket_directory is None or not is_our_server(cluster, postmaster.pid):
        return None
    return cluster.url(postmaster.socket_directory)


@contextmanager
def owned(cluster: Cluster) -> Generator[None]:
    """Holds the lock of the cluster. The number in the file is for people; the lock alone counts.

    The descriptor is not inherited (PEP 446): the server would keep the lock of a killed gateway alive.
    """
    try:
        opened = cluster.lock_path.open("a+", encoding="ascii")
    except PermissionError as exc:
        # Begun by root or another service account, and that one owns all of it.
        raise SettingsError(f"data_dir: the database {cluster.directory} belongs to another account: {exc.strerror}") from exc
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise ClusterInUse(f"data_dir: the database {cluster.directory} is in use by another gateway (process {holder})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def settle_initialized(cluster: Cluster) -> None:
    """Puts a cluster that initdb has finished into its place, durably."""
    cluster.fresh_directory.rename(cluster.directory)
    parent = os.open(cluster.directory.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def remove_stale_locks(cluster: Cluster) -> None:
    """PostgreSQL believes a lock file whose number lives, even when it is a stranger's (another boot, another container) or a zombie's."""
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"):
        (cluster.directory / name).unlink(missing_ok=True)


def log_size(cluster: Cluster) -> int:
    """Bytes in the server's log now; an overgrown log starts anew."""
    try:
        size = cluster.log_path.stat().st_size
    except FileNotFoundError:
        return 0
    if size > LOG_BYTES:
        os.truncate(cluster.log_path, 0)
        return 0
    return size


def log_since(cluster: Cluster, offset: int) -> str:
    """What the server has written since."""
    try:
        with cluster.log_path.open("rb") as log:
            log.seek(offset)
            return log.read(LOG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


@attrs.define
class _Running:
    """The server of the moment."""

    server: trio.Process


@asynccontextmanager
async def _watched(running: _Running, cluster: Cluster, socket_directory: Path) -> AsyncGenerator[None]:
    """Keeps a server running during the block. What the block raises comes out as it is, not in a group of one."""
    alone: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_running, running, cluster, socket_directory)
            yield
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        alone = next(iter(group.exceptions))
    if alone is not None:
        raise alone


async def _keep_running(running: _Running, cluster: Cluster, socket_directory: Path) -> None:
    """Raises StoreUnavailable when the server cannot be started again."""
    while True:
        code = await running.server.wait()
        _log.error("the embedded database ended by itself (exit code %d), it is started again", code)
        await trio.sleep(RESTART_PAUSE_SECONDS)
        await _stop_left_over(cluster)
        running.server = await _start(cluster, socket_directory)
        _log.warning("the embedded database runs again")


async def _initialize(cluster: Cluster) -> None:
    make_fresh_directory(cluster)
    with trio.move_on_after(INITDB_SECONDS):
        made = await trio.run_process(
            cluster.initdb_command(), check=False, capture_stdout=True, stderr=subprocess.STDOUT, **cluster.spawn_options()
        )
        if made.returncode == 0:
            settle_initialized(cluster)
            return
        raise StoreUnavailable(f"the embedded database could not be made: {_last_line(made.stdout.decode(errors='replace'))}")
    raise StoreUnavailable(f"the embedded database could not be made within {INITDB_SECONDS:.0f} s")


async def _start(cluster: Cluster, socket_directory: Path) -> trio.Process:
    """A server that accepts connections. When this raises or is cancelled, no server is left."""
    with trio.move_on_after(START_SECONDS):
        while True:
            offset = log_size(cluster)
            with cluster.log_path.open("ab") as log:
                server = await trio.lowlevel.open_process(
                    cluster.server_command(socket_directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **cluster.spawn_options()
                )
            ready = False
            try:
                ready = await _becomes_ready(cluster, server)
            finally:
                if not ready:
                    await _stop(server)  # noqa: ASYNC102  (each of its steps is shielded with a deadline)
            if ready:
                return server
            printed = log_since(cluster, offset)
            if _BACKENDS_LEFT not in printed:
                raise StoreUnavailable(f"the embedded database does not start: {_last_line(printed)} (see {cluster.log_path})")
            await trio.sleep(LOOK_SECONDS)
    raise StoreUnavailable(f"the embedded database did not start within {START_SECONDS:.0f} s (see {cluster.log_path})")


async def _becomes_ready(cluster: Cluster, server: trio.Process) -> bool:
    """True once it accepts connections, False when it has ended. pg_ctl waits in the same way: there is no event to wait for."""
    while server.poll() is None:
        postmaster = read_postmaster(cluster)
        if postmaster is not None and postmaster.pid == server.pid and postmaster.ready:
            return True
        await trio.sleep(LOOK_SECONDS)
    return False


async def _stop(server: trio.Process) -> None:
    """Ends our own server, whatever is being cancelled: a deadline for each step, the last step cannot be refused."""
    for number, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS),
        (signal.SIGKILL, IMMEDIATE_STOP_SECONDS),
    ):
        if server.poll() is not None:
            return
        server.send_signal(number)
        with trio.move_on_after(seconds, shield=True):
            await server.wait()


async def _stop_left_over(cluster: Cluster) -> None:
    """Stops the server of a gateway that was killed, and heals a pid file that nobody stands behind."""
    postmaster = read_postmaster(cluster)
    if postmaster is None:
        return
    for number, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS),
        (signal.SIGKILL, IMMEDIATE_STOP_SECONDS),
    ):
        if not is_our_server(cluster, postmaster.pid):
            break
        os.kill(postmaster.pid, number)
        with trio.move_on_after(seconds):
            # Another gateway's child: the kernel tells us nothing of its end.
            while is_our_server(cluster, postmaster.pid):  # noqa: ASYNC110
                await trio.sleep(LOOK_SECONDS)
    if is_our_server(cluster, postmaster.pid):
        raise StoreUnavailable(f"the database server {postmaster.pid} of a former gateway cannot be stopped")
    remove_stale_locks(cluster)
    if postmaster.socket_directory is not None:
        remove_socket_directory(cluster, postmaster.socket_directory)


def _last_line(text: str) -> str:
    """What went wrong, of all that was printed: the last line of the gravest kind, without its time stamp."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for kind in ("PANIC:", "FATAL:", "error:"):
        of_kind = [line[line.index(kind) :] for line in lines if kind in line]
        if of_kind:
            return of_kind[-1]
    return lines[-1] if lines else "it printed nothing"
