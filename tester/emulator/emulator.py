"""The emulator: takes orders, plays them, and keeps the last runs for whoever asks."""

import secrets
from collections.abc import Callable, Mapping, Sequence

import trio

from gateway.calls.closing import Timing
from gateway.errors import GatewayError
from gateway.nurseries.clock import Clock
from gateway.ports import EnterpriseConfig, Store
from tester.emulator.casting import people_of, suggestion
from tester.emulator.event_log import EventLog
from tester.emulator.orders import Order, TelegramTrouble
from tester.emulator.plan import OrderRefused, Plan, make_plan
from tester.emulator.run import Run, Surroundings, Target
from tester.emulator.watch import Watch
from tester.emulator.wording import DEFAULT_LANGUAGE, Wording, wording_of
from tester.patterns import PATTERNS
from tester.patterns.pattern import Pattern
from tester.player import Player

__all__ = ["Emulator", "NoSuchRun", "NotRunning", "OrderRefused", "Plan", "Run", "Target", "TooManyRuns"]

KEPT_RUNS = 20
"""Runs that can be asked for: a run with its journal is some 100 KB, at most about 2 MB."""

ACTIVE_RUNS = 8
"""Calls that are played at once, unless a test asks for more: a page shows one, and a gateway at work is not to be flooded by chance."""

# A host counts its channels; so many of one call are more than any pattern has, and two runs of a process share none.
_CHANNELS_OF_A_RUN = 1000
# Where the counting begins is thrown for each process: UniqueIds made in one second before and after a restart differ as well.
_SEED_BASES = 10**6


class NoSuchRun(GatewayError):
    """No run of this id is kept."""


class TooManyRuns(GatewayError):
    """As many calls are being played as may be at once."""


class NotRunning(TooManyRuns):
    """No call can be played: the gateway is still opening its front door, or is about to end."""


class Emulator:
    """Runs are children of `run_all`. Everything else never waits.

    Args:
        enterprises: as they are configured now.
        targets: where calls may be posted to, this gateway among them; nothing before its front door is open.
        can_block: whether Telegram may be made to say that a subscriber has blocked the bot (`TelegramTrouble.BLOCKED`).
        seed_base: from 0 to 999,999, in the place of chance.
        player_of: a host that posts to an address.
        patterns: by key.
        active_runs: so many calls may be played at once.
    """

    def __init__(
        self,
        *,
        enterprises: Callable[[], Sequence[EnterpriseConfig]],
        targets: Callable[[], Sequence[Target]],
        watch: Watch,
        store: Store,
        clock: Clock,
        log: EventLog,
        closing_grace_seconds: float,
        can_block: bool = True,
        seed_base: int | None = None,
        player_of: Callable[[str], Player] = lambda url: Player(base_url=url),
        patterns: Mapping[str, Pattern] = PATTERNS,
        active_runs: int = ACTIVE_RUNS,
    ) -> None:
        self._targets = targets
        self._enterprises = enterprises
        self._patterns = patterns
        self._active_runs = active_runs
        self._clock = clock
        self._timing = Timing(closing_grace_seconds=closing_grace_seconds)
        self._can_block = can_block
        self._seed_base = secrets.randbelow(_SEED_BASES) if seed_base is None else seed_base
        self._started_items = 0
        self._suggested_items = 0
        self._around = Surroundings(
            watch=watch, store=store, clock=clock, log=log, closing_grace_seconds=closing_grace_seconds, player_of=player_of
        )
        # The oldest first.
        self._runs: dict[str, Run] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def runs(self) -> Sequence[Run]:
        """The runs that are kept, the newest first."""
        return tuple(reversed(self._runs.values()))

    def targets(self, language: str = DEFAULT_LANGUAGE) -> Sequence[Target]:
        """Where calls can be played. Raises: `NotRunning`, in the language asked for, when that is not known yet."""
        targets = self._targets()
        if not targets:
            raise NotRunning(wording_of(language).not_ready)
        return targets

    async def run_all(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there for runs, until cancelled; all of them are stopped then."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def plan(self, order: Order, language: str = DEFAULT_LANGUAGE) -> Plan:
        """What an order would come to; nothing is played. Raises: `OrderRefused`, `NotRunning`, in the language asked for."""
        config, _ = self._understood(order, language)
        return self._planned(order, config, language)

    def start(self, order: Order, language: str = DEFAULT_LANGUAGE) -> Run:
        """Play a call. Raises: `OrderRefused`, `TooManyRuns`, in the language asked for."""
        wording = wording_of(language)
        config, target = self._understood(order, language)
        plan = self._planned(order, config, language)
        if self._nursery is None:
            raise NotRunning(wording.not_running)
        if sum(not run.state.is_over for run in self._runs.values()) >= self._active_runs:
            raise TooManyRuns(wording.too_many_runs.format(most=self._active_runs))
        self._started_items += 1
        # The base tells the runs of two processes apart: a page may still ask for one that was before a restart.
        run_id = f"{self._seed_base:05x}-{self._started_items}"
        blocked_by = self._blocking(config.number)
        run = Run(run_id, plan, config, target=target, surroundings=self._around, language=language, blocked_by=blocked_by)
        self._runs[run_id] = run
        self._forget()
        self._nursery.start_soon(run.carry_out, name=repr(run))
        return run

    def find(self, run_id: str, language: str = DEFAULT_LANGUAGE) -> Run:
        """A run that is kept. Raises: `NoSuchRun`."""
        run = self._runs.get(run_id)
        if run is None:
            raise NoSuchRun(wording_of(language).no_such_run.format(value=run_id))
        return run

    def suggest(self, pattern_key: str, enterprise_number: str, language: str = DEFAULT_LANGUAGE) -> Mapping[str, str]:
        """Values with which a pattern can be played, by the key of a role; nobody is in them who plays in another run now.

        Outside numbers are others each time: two pages that are open at once do not play the same customer. Raises: `OrderRefused`.
        """
        wording = wording_of(language)
        config, pattern = self._enterprise(enterprise_number, wording), self._pattern(pattern_key, wording)
        self._suggested_items += 1
        return suggestion(pattern, config, seed=self._seed_base + self._suggested_items, busy=self._busy(enterprise_number))

    def _busy(self, enterprise_number: str) -> frozenset[str]:
        orders = [run.order for run in self._playing(enterprise_number)]
        return frozenset[str]().union(*(people_of(self._patterns[order.pattern], order.values) for order in orders))

    def _blocking(self, enterprise_number: str) -> str:
        """The run that has a chat of this enterprise blocked now, or ""."""
        playing = self._playing(enterprise_number)
        return next((run.id for run in playing if run.order.faults.telegram is TelegramTrouble.BLOCKED), "")

    def _playing(self, enterprise_number: str) -> Sequence[Run]:
        return [run for run in self._runs.values() if not run.state.is_over and run.order.enterprise == enterprise_number]

    def _planned(self, order: Order, config: EnterpriseConfig, language: str) -> Plan:
        return make_plan(
            order,
            config,
            self._pattern(order.pattern, wording_of(language)),
            now=self._clock(),
            seed=(self._seed_base + self._started_items + 1) * _CHANNELS_OF_A_RUN,
            timing=self._timing,
            language=language,
        )

    def _understood(self, order: Order, language: str) -> tuple[EnterpriseConfig, Target]:
        targets, wording = self.targets(language), wording_of(language)
        config = self._enterprise(order.enterprise, wording)
        self._pattern(order.pattern, wording)
        target = next((target for target in targets if target.address == order.target), None)
        if target is None:
            raise OrderRefused({"target": wording.unknown_target.format(value=order.target)}, wording)
        faults = order.faults
        if faults.telegram is not None and not target.is_local:
            raise OrderRefused({"faults": wording.telegram_not_there}, wording)
        if faults.telegram is TelegramTrouble.BLOCKED and not self._can_block:
            raise OrderRefused({"faults": wording.blocked_not_there}, wording)
        if faults.crm_hangs and not target.is_local:
            raise OrderRefused({"faults": wording.crm_not_there}, wording)
        return config, target

    def _enterprise(self, number: str, wording: Wording) -> EnterpriseConfig:
        config = next((config for config in self._enterprises() if config.number == number), None)
        if config is None:
            problem = wording.unknown_enterprise
        elif not config.active:
            problem = wording.inactive_enterprise
        elif not config.token:
            problem = wording.tokenless
        else:
            return config
        raise OrderRefused({"enterprise": problem.format(value=number)}, wording)

    def _pattern(self, key: str, wording: Wording) -> Pattern:
        pattern = self._patterns.get(key)
        if pattern is None:
            raise OrderRefused({"pattern": wording.unknown_pattern.format(value=key)}, wording)
        return pattern

    def _forget(self) -> None:
        over = [run_id for run_id, run in self._runs.items() if run.state.is_over]
        for run_id in over[: max(0, len(self._runs) - KEPT_RUNS)]:
            del self._runs[run_id]
