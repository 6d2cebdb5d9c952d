"""What the fault tests kill: a real `gateway serve` and a real PostgreSQL, each stopped by its own pid at the end of its block."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx2 as httpx
import trio

from sql.cluster import Cluster, locate, make_fresh_directory, make_socket_directory, read_postmaster, remove_socket_directory
from sql.embedded import owned, settle_initialized

COMMAND = (str(Path(sys.executable).with_name("gateway")), "serve")
# Python, all imports and a replay, on a machine that is busy with other tests.
START_SECONDS = 60.0
GONE_SECONDS = 20.0
LOOK_SECONDS = 0.02


@attrs.define(eq=False)
class RealGateway:
    """A gateway as a process. `start` may be called again whenever it is gone; its ports change with each life."""

    directory: Path
    environment: Mapping[str, str] = attrs.field(repr=False)
    process: trio.Process | None = None
    url: str = ""
    internal_url: str = ""
    _serving: trio.Event = attrs.field(factory=trio.Event)

    async def start(self) -> None:
        """Return when it has said where it listens. Cancelled: it may be anywhere on the way there, and `kill` ends it."""
        assert self.process is None or self.process.returncode is not None, "it is still running"
        with (self.directory / "stderr.txt").open("ab") as errors:
            self.process = await trio.lowlevel.open_process(
                COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=self.environment
            )
        with trio.fail_after(START_SECONDS):
            addresses = await self._addresses(self.process)
        self.url, self.internal_url = addresses["public"], addresses["internal"]
        self._serving.set()

    async def serving(self) -> str:
        """Where to post to, as soon as there is such a place."""
        while not self.url:
            await self._serving.wait()
        return self.url

    def kill(self) -> None:
        """kill -9, now. Harmless when it is gone already."""
        self._forget_address()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def send(self, number: signal.Signals) -> None:
        """A signal to a process that must be running."""
        assert self.is_running, self.printed()
        assert self.process is not None
        self.process.send_signal(number)

    async def gone(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        with trio.fail_after(GONE_SECONDS):
            code = await self.process.wait()
        self._forget_address()
        return code

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.poll() is None

    def printed(self) -> str:
        """What its lives have written to stderr."""
        errors = self.directory / "stderr.txt"
        return errors.read_text(errors="replace") if errors.exists() else ""

    def logged(self, *fragments: str) -> list[str]:
        """The lines of app.log that hold one of the fragments."""
        log = self.directory / "logs" / "app.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if any(fragment in line for fragment in fragments)]

    @property
    def errors(self) -> list[str]:
        """Everything it complained of in all its lives: ERROR and worse, and what went to stderr."""
        return [*self.logged("[ERROR]", "[CRITICAL]"), *self.printed().splitlines()]

    async def health(self, path: str) -> tuple[int, str]:
        """Status and body of /health/live or /health/ready."""
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10.0) as client:
            answer = await client.get(f"{self.internal_url}/health/{path}")
        return answer.status_code, answer.text

    async def ready(self) -> None:
        """Return when /health/ready says so. There is nothing to wait on but the answer: a probe asks again, too."""
        while True:
            status, _ = await self.health("ready")
            if status == 200:
                return
            await trio.sleep(LOOK_SECONDS)

    async def unready(self) -> str:
        """What /health/ready answers as soon as it is not 200."""
        while True:
            status, body = await self.health("ready")
            if status != 200:
                assert status == 503
                return body
            await trio.sleep(LOOK_SECONDS)

    async def _addresses(self, process: trio.Process) -> dict[str, str]:
        assert process.stdout is not None
        told = b""
        while True:
            lines = [line.partition(" listener: ") for line in told.decode().splitlines(keepends=True) if line.endswith("\n")]
            addresses = {door: address.strip() for door, _, address in lines if address}
            if {"public", "internal"} <= addresses.keys():
                return addresses
            chunk = await process.stdout.receive_some()
            assert chunk, f"the gateway ends before it is ready: {told.decode()}{self.printed()}"
            told += chunk

    def _forget_address(self) -> None:
        if self.url:
            self.url = self.internal_url = ""
            self._serving = trio.Event()


@asynccontextmanager
async def real_gateway(database_url: str, directory: Path, telegram_url: str, **settings: str) -> AsyncGenerator[RealGateway]:
    """A gateway that is not started yet. At the end of the block, whatever happens, no process of it is left."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    own = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(directory / "data"),
        "LOG_DIR": str(directory / "logs"),
        "BIND": "127.0.0.1:0",
        "INTERNAL_BIND": "127.0.0.1:0",
        "TESTER_BIND": "",
        "TELEGRAM_BASE_URL": telegram_url,
        "BOT_UPDATES": "off",
    }
    given = own | {name.upper(): value for name, value in settings.items()}
    gateway = RealGateway(directory, inherited | {f"GATEWAY_{name}": value for name, value in given.items()})
    try:
        yield gateway
    finally:
        gateway.kill()
        if gateway.process is not None:
            with trio.move_on_after(GONE_SECONDS, shield=True):
                await gateway.process.wait()


@attrs.define(eq=False)
class RealDatabase:
    """A PostgreSQL of the test's own. It keeps its word: what it has committed is there after `crash`."""

    cluster: Cluster
    socket_directory: Path
    process: trio.Process | None = None

    @property
    def url(self) -> str:
        """The same in all its lives."""
        return self.cluster.url(self.socket_directory)

    async def start(self) -> None:
        """Return when it accepts connections."""
        with self.cluster.log_path.open("ab") as log:
            command, options = self.cluster.server_command(self.socket_directory), self.cluster.spawn_options()
            self.process = await trio.lowlevel.open_process(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        with trio.fail_after(START_SECONDS):
            while not self._is_ready(self.process.pid):
                assert self.process.poll() is None, self.cluster.log_path.read_text(errors="replace")
                await trio.sleep(LOOK_SECONDS)

    async def stop(self, number: signal.Signals) -> None:
        """SIGINT throws everybody out and writes a checkpoint; SIGQUIT is a crash."""
        assert self.process is not None
        self.process.send_signal(number)
        with trio.fail_after(GONE_SECONDS):
            await self.process.wait()

    def _is_ready(self, pid: int) -> bool:
        postmaster = read_postmaster(self.cluster)
        return postmaster is not None and postmaster.pid == pid and postmaster.ready


@asynccontextmanager
async def real_database(data_dir: Path) -> AsyncGenerator[RealDatabase]:
    """A running server with an empty database."""
    cluster = locate(data_dir, durable=True)
    with owned(cluster):
        make_fresh_directory(cluster)
        # Nothing may be lost by a crash of the server; a crash of the machine does not come in tests.
        command = attrs.evolve(cluster, durable=False).initdb_command()
        await trio.run_process(command, stdin=b"", capture_stdout=True, capture_stderr=True, **cluster.spawn_options())
        settle_initialized(cluster)
        database = RealDatabase(cluster, make_socket_directory(cluster))
        try:
            await database.start()
            yield database
        finally:
            if database.process is not None and database.process.poll() is None:
                database.process.send_signal(signal.SIGQUIT)
                with trio.move_on_after(GONE_SECONDS, shield=True):
                    await database.process.wait()
            remove_socket_directory(cluster, database.socket_directory)
