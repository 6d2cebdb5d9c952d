"""The emulator as it lives beside the gateway, in its process: what of the gateway it taps, and the door to its page.

It is in the process because it wants to see what was really stored and shown, and because a fault in the place of Telegram must hit one
chat and nobody else. What it plays goes over HTTP to the front door all the same, as a host's webhooks do.
"""

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from urllib.parse import urlsplit

import trio

from cache.directory import Directory
from gateway.loopback import is_loopback_host
from gateway.nurseries.clock import wall_clock
from gateway.nurseries.doors import FRONT_DOOR, Addresses, Door
from gateway.ports import EnterpriseConfig
from gateway.settings import Settings
from gateway.web.listeners import BindError
from sql.pool import Pool
from sql.store import PostgresStore
from tester.emulator.emulator import ACTIVE_RUNS, Emulator
from tester.emulator.event_log import EventLog, open_event_log
from tester.emulator.orders import LOCAL
from tester.emulator.run import Target
from tester.emulator.watch import Watch, WatchedCrmHttp, WatchedStore, WatchedTelegram
from tester.emulator.web import emulator_door

EMULATOR_DOOR = "emulator"
PAGE = "/test-interface"

# Addresses to listen on that are none to go to.
_ANYWHERE = MappingProxyType({"0.0.0.0": "127.0.0.1", "[::]": "[::1]"})  # noqa: S104  (to be replaced)


class Emulation:
    """`gateway.bootstrap.Companion`: the emulator of one gateway.

    Args:
        settings: of the gateway; `tester_bind` must not be empty.
        log: of what is played.
        active_runs: so many calls may be played at once.
    """

    def __init__(self, settings: Settings, log: EventLog, *, active_runs: int = ACTIVE_RUNS) -> None:
        self._settings = settings
        self._log = log
        self._active_runs = active_runs
        self._watch = Watch()

    def store(self, pool: Pool) -> WatchedStore:
        """Tells runs what was stored."""
        return WatchedStore(pool, self._watch)

    def telegram(self) -> WatchedTelegram:
        """Answers in Telegram's place where a run wants that."""
        return WatchedTelegram(self._watch)

    def crm_http(self, *, allow_private_targets: bool) -> WatchedCrmHttp:
        """Hangs where a run wants that."""
        return WatchedCrmHttp(self._watch, allow_private_targets=allow_private_targets)

    def doors(self, *, store: PostgresStore, directory: Directory, addresses: Callable[[], Addresses]) -> Mapping[str, Door]:
        """The page and its API. `addresses`: the first of "public" is where calls are posted to by default, once it is there."""
        settings = self._settings
        can_block = is_own_telegram(settings.telegram_base_url)

        def enterprises() -> Sequence[EnterpriseConfig]:
            return directory.enterprises

        emulator = Emulator(
            enterprises=enterprises,
            targets=lambda: _targets(settings, addresses().get(FRONT_DOOR, ())),
            watch=self._watch,
            store=store,
            clock=wall_clock,
            log=self._log,
            closing_grace_seconds=settings.closing_grace_seconds,
            can_block=can_block,
            active_runs=self._active_runs,
        )
        return {EMULATOR_DOOR: partial(_door, emulator, settings, enterprises=enterprises, can_block=can_block)}


@contextmanager
def open_emulation(settings: Settings, *, active_runs: int = ACTIVE_RUNS) -> Generator[Emulation | None]:
    """The companion of a gateway with these settings, with its log, while the block runs; None when they want no emulator.

    `active_runs`: as for `Emulation`.

    Raises: `SettingsError` when the log cannot be written.
    """
    if not settings.tester_bind:
        yield None
        return
    with open_event_log(settings.log_dir) as log:
        yield Emulation(settings, log, active_runs=active_runs)


def is_own_telegram(base_url: str) -> bool:
    """Whether this Bot API is a fake one for certain: one on this machine. Anywhere else may be people, whose subscription no test ends."""
    return is_loopback_host(urlsplit(base_url).hostname or "")


def page_urls(addresses: Addresses) -> Sequence[str]:
    """Where the page is, by the addresses of a running gateway; none without an emulator."""
    return [f"http://{reachable(address)}{PAGE}" for address in addresses.get(EMULATOR_DOOR, ())]


def reachable(address: str) -> str:
    """The address by which a listener is reached from this machine."""
    host, _, port = address.rpartition(":")
    return f"{_ANYWHERE.get(host, host)}:{port}"


def _targets(settings: Settings, public_addresses: Sequence[str]) -> Sequence[Target]:
    if not public_addresses:
        return ()
    here = Target(address=LOCAL, url=f"http://{reachable(public_addresses[0])}", is_local=True)
    return (here, *(Target(address=url, url=url) for url in settings.tester_targets))


async def _door(  # noqa: ASYNC114, ASYNC128  (the door inside says that it has started)
    emulator: Emulator,
    settings: Settings,
    *,
    enterprises: Callable[[], Sequence[EnterpriseConfig]],
    can_block: bool,
    shutdown_trigger: Callable[[], Awaitable[object]] = trio.sleep_forever,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """`emulator_door`, whose errors say which setting they are about: its default stops a start where something else has the port."""
    try:
        await emulator_door(
            emulator,
            settings.tester_bind,
            settings.tester_password,
            enterprises=enterprises,
            can_block=can_block,
            shutdown_trigger=shutdown_trigger,
            task_status=task_status,
        )
    except* BindError as errors:
        lines = "; ".join(str(leaf) for leaf in _leaves(errors))
        raise BindError(f'tester_bind: {lines} (another address, or "" for no emulator)') from None


def _leaves(group: BaseExceptionGroup[BindError]) -> Iterator[BindError]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner
