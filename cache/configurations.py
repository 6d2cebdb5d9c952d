"""What is configured, for those who ask by key: counted, at most 90 s old, and never more than one enterprise loaded for one question.

Three kinds of answers are made of an enterprise: its whole configuration, the states of its integrations, its lines and managers. One
reading of the enterprise renews all three, and the `Directory`, the complete snapshot that intake and lanes read without asking here.

Readings overlap: a refresh of everything, an expired entry, a notice of a change. Each has a number from its beginning; what a reading
brings of an enterprise counts only if none that began later has been taken in already.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast

import attrs
import trio

from cache.core import Cache, Entry, Lifetimes, LookupFailed
from cache.directory import AmbiguousEnterprise, Directory
from cache.statistics import Statistics
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig

log = logging.getLogger(__name__)

T = TypeVar("T")

TTL_SECONDS = 90.0
# The three entries of an enterprise share its configuration (about 10 KB with some lines and managers): 100 MB when all of them are there.
MAX_ITEMS = 10_000

LIFETIMES = Lifetimes(fresh_seconds=TTL_SECONDS, missing_seconds=TTL_SECONDS, failed_seconds=5.0, load_seconds=30.0)


@attrs.frozen(kw_only=True)
class Integrations:
    """Which integrations of an enterprise are switched on. Times are aware UTC; it may be served after `expires_at` (see `Cache`)."""

    enterprise_number: str
    integrations: Mapping[str, bool]
    created_at: datetime
    expires_at: datetime


@attrs.frozen(kw_only=True)
class Metadata:
    """The lines of an enterprise by id and its managers by extension."""

    enterprise_number: str
    lines: Mapping[str, LineConfig]
    managers: Mapping[str, ManagerConfig]


@attrs.frozen(kw_only=True)
class Sizes:
    """How many enterprises each kind can answer for; keys that are known not to exist are no such entries."""

    integrations: int
    configs: int
    metadata: int


def tables_of(config: EnterpriseConfig) -> dict[str, Mapping[str, object]]:
    """The integrations that are tables, as they must be; whatever else stands there is none."""
    found = cast("Mapping[str, object]", config.integrations)
    return {name: cast("Mapping[str, object]", table) for name, table in found.items() if isinstance(table, Mapping)}


def integration_problems(config: EnterpriseConfig) -> tuple[str, ...]:
    """What is wrong with the integrations as a whole, one line for each; no values, which may be secrets."""
    problems = [config.integrations_problem] if config.integrations_problem else []
    problems += [f"integration {name!r} is not a table" for name in sorted(config.integrations.keys() - tables_of(config).keys())]
    return tuple(problems)


def metadata_of(config: EnterpriseConfig) -> Metadata:
    """The lines and managers of an enterprise."""
    return Metadata(
        enterprise_number=config.number,
        lines={line.line_id: line for line in config.lines},
        managers={manager.extension: manager for manager in config.managers},
    )


class Configurations:
    """Look-ups of what is configured, by number, token, secret or name.

    `load_all` reads every enterprise, `load_by_key` those that answer to one key; both raise what the store raises. `wall_clock` gives
    aware UTC. `on_invalidate` is called with the number of an enterprise whose integrations have changed or that has been invalidated:
    whatever else is known of it has to be forgotten. `problems_of` says what is wrong with the integrations of an enterprise; it is logged
    once for each change, for that enterprise alone.

    While the store is away, what was known is still served; `LookupFailed` is raised for the rest.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        load_all: Callable[[], Awaitable[Sequence[EnterpriseConfig]]],
        load_by_key: Callable[[str], Awaitable[Sequence[EnterpriseConfig]]],
        wall_clock: Callable[[], datetime],
        clock: Callable[[], float] = trio.current_time,
        on_invalidate: Sequence[Callable[[str], None]] = (),
        problems_of: Callable[[EnterpriseConfig], Sequence[str]] = integration_problems,
    ) -> None:
        self.last_refresh_at: datetime | None = None
        self.full_refreshes = 0
        self._directory = directory
        self._load_all = load_all
        self._load_by_key = load_by_key
        self._wall_clock = wall_clock
        self._on_invalidate = tuple(on_invalidate)
        self._problems_of = problems_of
        self._configs = self._cache("configurations", _itself, clock)
        self._integrations = self._cache("integrations", self._integrations_of, clock)
        self._metadata = self._cache("metadata", metadata_of, clock)
        self._readings = 0
        # By enterprise, the reading that was taken in last. Numbers stay when their enterprise goes: one entry for each that ever was.
        self._taken: dict[str, int] = {}
        self._told: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"<Configurations of {len(self._directory)} enterprises, last refresh at {self.last_refresh_at}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all loads, for ever; started when look-ups can load. See `Cache.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._configs.run)
            await nursery.start(self._integrations.run)
            await nursery.start(self._metadata.run)
            task_status.started()

    # ------------------------------------------------------------------ look-ups

    async def find(self, key: str) -> EnterpriseConfig | None:
        """The whole configuration; None when nobody has this key.

        Raises: `AmbiguousEnterprise`; `LookupFailed`: the store is away and the key is not known.
        """
        return await self._get(self._configs, key, _itself)

    async def integrations(self, key: str) -> Integrations | None:
        """Which integrations are switched on. Raises as `find`."""
        return await self._get(self._integrations, key, self._integrations_of)

    async def metadata(self, key: str) -> Metadata | None:
        """Lines and managers. Raises as `find`."""
        return await self._get(self._metadata, key, metadata_of)

    async def lines(self, key: str) -> Mapping[str, LineConfig] | None:
        """The lines by id. Raises as `find`."""
        found = await self.metadata(key)
        return found.lines if found is not None else None

    async def managers(self, key: str) -> Mapping[str, ManagerConfig] | None:
        """The managers by extension. Raises as `find`."""
        found = await self.metadata(key)
        return found.managers if found is not None else None

    async def line(self, key: str, line_id: str) -> LineConfig | None:
        """One line; None when there is no such line, or nobody has this key. Raises as `find`."""
        return (await self.lines(key) or {}).get(line_id)

    async def manager(self, key: str, extension: str) -> ManagerConfig | None:
        """One manager; None when there is none behind the extension, or nobody has this key. Raises as `find`."""
        return (await self.managers(key) or {}).get(extension)

    def metadata_hit(self, number: str) -> Entry[Metadata] | None:
        """Lines and managers of the enterprise with this number if they are at hand, without waiting; counted then."""
        return self._metadata.hit(number)

    # ------------------------------------------------------------------ readings

    async def refresh(self) -> int:
        """Read everything; how many enterprises there are. Raises what `load_all` raises, and nothing has changed then."""
        reading = self._begin()
        found = await self._load_all()
        there = {config.number for config in found}
        gone = [known.number for known in self._directory.enterprises if known.number not in there]
        self._take(reading, found, gone)
        self.last_refresh_at = self._wall_clock()
        self.full_refreshes += 1
        return len(self._directory)

    async def reload(self, number: str) -> None:
        """Read the enterprise with this number, which has changed, is new, or is gone. Raises what `load_by_key` raises."""
        await self._read(number)

    async def invalidate(self, key: str) -> bool:
        """Forget everything that is cached of an enterprise; the next look-up loads it. False: nobody has this key.

        The directory keeps what it has until then: intake cannot do without.
        """
        try:
            found = self._directory.resolve(key) or await self.find(key)
        except AmbiguousEnterprise as exc:
            numbers: tuple[str, ...] = exc.numbers
        except LookupFailed:
            numbers = ()
        else:
            numbers = (found.number,) if found is not None else ()
        for cache in self._caches:
            for each in (key, *numbers):
                cache.invalidate(each)
        for number in numbers:
            self._tell_invalidated(number)
        return bool(numbers)

    # ------------------------------------------------------------------ figures

    def entries(self) -> Mapping[str, Integrations]:
        """The states of integrations that are cached now, by number."""
        return _known(self._integrations)

    def config_entries(self) -> Mapping[str, EnterpriseConfig]:
        """The whole configurations that are cached now, by number."""
        return _known(self._configs)

    @property
    def statistics(self) -> Statistics:
        """Of the look-ups of `integrations`."""
        return self._integrations.statistics

    @property
    def config_statistics(self) -> Statistics:
        """Of the look-ups of `find`."""
        return self._configs.statistics

    @property
    def metadata_statistics(self) -> Statistics:
        """Of the look-ups of lines and managers."""
        return self._metadata.statistics

    @property
    def sizes(self) -> Sizes:
        """How many there are; in time proportional to the size of the caches."""
        return Sizes(integrations=len(_known(self._integrations)), configs=len(_known(self._configs)), metadata=len(_known(self._metadata)))

    # ------------------------------------------------------------------ inside

    @property
    def _caches(self) -> tuple[Cache[str, EnterpriseConfig], Cache[str, Integrations], Cache[str, Metadata]]:
        return self._configs, self._integrations, self._metadata

    def _cache(self, name: str, make: Callable[[EnterpriseConfig], T], clock: Callable[[], float]) -> Cache[str, T]:
        async def load(key: str) -> T | None:
            config = await self._read(key)
            if config is None:
                return None
            if config.number != key:
                # Those who wait get it; from now on the directory leads this key to the entry of the number.
                cache.invalidate(key)
            return make(config)

        cache: Cache[str, T] = Cache(name, load, lifetimes=LIFETIMES, max_items=MAX_ITEMS, clock=clock)
        return cache

    async def _get(self, cache: Cache[str, T], key: str, make: Callable[[EnterpriseConfig], T]) -> T | None:
        """Known keys lead to the entry of their number, others to one of their own, so each look-up is counted once."""
        known = self._directory.resolve(key)
        try:
            found = await cache.get(known.number if known is not None else key)
        except LookupFailed:
            known = self._directory.resolve(key)
            if known is None:
                raise
            # Invalidated while the store is away.
            return make(known)
        if found is None:
            # A key that was unknown and is more than one's: that was found out by the load.
            self._directory.resolve(key)
        return found

    def _begin(self) -> int:
        self._readings += 1
        return self._readings

    async def _read(self, key: str) -> EnterpriseConfig | None:
        """What the database has for a key that is a number, or that nobody had so far; None also when more than one have it."""
        reading = self._begin()
        found = await self._load_by_key(key)
        self._take(reading, found, () if any(config.number == key for config in found) else (key,))
        try:
            return self._directory.resolve(key)
        except AmbiguousEnterprise:
            return None

    def _take(self, reading: int, found: Iterable[EnterpriseConfig], gone: Iterable[str]) -> None:
        """Take in what a reading brought, but for enterprises of which a later one has been taken in."""
        kept = {config.number: config for config in self._directory.enterprises}
        invalid = [number for number in gone if number in kept and self._may_take(reading, number)]
        for number in invalid:
            del kept[number]
            self._told.pop(number, None)
        is_changed = bool(invalid)
        taken = [config for config in found if self._may_take(reading, config.number)]
        for config in taken:
            before = kept.get(config.number)
            # An equal one changes nothing: those who hold the old object see by it that nothing has changed.
            if before != config:
                kept[config.number], is_changed = config, True
                self._complain(config)
            if before is not None and before.integrations != config.integrations:
                invalid.append(config.number)
        if is_changed:
            self._directory.replace(kept.values())
        for number in invalid:
            for cache in self._caches:
                cache.invalidate(number)
            self._tell_invalidated(number)
        for config in taken:
            self._prime(kept[config.number])

    def _may_take(self, reading: int, number: str) -> bool:
        if self._taken.get(number, 0) > reading:
            return False
        self._taken[number] = reading
        return True

    def _prime(self, config: EnterpriseConfig) -> None:
        self._configs.put(config.number, config)
        self._integrations.put(config.number, self._integrations_of(config))
        self._metadata.put(config.number, metadata_of(config))

    def _tell_invalidated(self, number: str) -> None:
        for call in self._on_invalidate:
            call(number)

    def _complain(self, config: EnterpriseConfig) -> None:
        problems = tuple(self._problems_of(config))
        if problems == self._told.get(config.number, ()):
            return
        self._told[config.number] = problems
        for problem in problems:
            log.warning("enterprise %s: %s", config.number, problem)
        if not problems:
            log.info("enterprise %s: its integrations can be used again", config.number)

    def _integrations_of(self, config: EnterpriseConfig) -> Integrations:
        now = self._wall_clock()
        return Integrations(
            enterprise_number=config.number,
            integrations={name: config.active and table.get("enabled") is True for name, table in tables_of(config).items()},
            created_at=now,
            expires_at=now + timedelta(seconds=TTL_SECONDS),
        )


def _itself(config: EnterpriseConfig) -> EnterpriseConfig:
    return config


def _known(cache: Cache[str, T]) -> Mapping[str, T]:
    return {key: entry.value for key, entry in cache.entries().items() if entry.value is not None}
