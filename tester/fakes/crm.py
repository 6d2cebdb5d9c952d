"""A CRM whose answers are written down beforehand: it stands where an adapter stands, knows no HTTP and lives on Trio's clock.

For tests of whoever uses adapters (outbox, look-ups). What a real adapter does with a real CRM is tested against servers.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from gateway.calls.report import CallReport
from gateway.crm.base import CrmAdapter, CrmKind, CrmLookupFailed, Fault, Finding, Outcome, OutcomeClass, Problem
from gateway.ports import CustomerProfile, EnterpriseConfig

DELIVERED = Outcome(outcome=OutcomeClass.DELIVERED)
RETRYABLE = Outcome(outcome=OutcomeClass.RETRYABLE, problem=Problem.SERVER_ERROR, fault=Fault.THEIRS, reason="http=503", advice="wait")
PERMANENT = Outcome(outcome=OutcomeClass.PERMANENT, problem=Problem.UNAUTHORIZED, fault=Fault.OURS, reason="http=403", advice="a new key")


@attrs.frozen(kw_only=True)
class Play:
    """What the CRM does with one request: after `delay_seconds` it hangs for ever, raises `error`, or answers.

    `outcome` answers a push or a notice; a look-up is answered from `ScriptedCrm.profiles`.
    """

    outcome: Outcome = DELIVERED
    delay_seconds: float = 0.0
    hangs: bool = False
    error: Exception | None = None


HANG = Play(hangs=True)
LOOKUP_FAILS = Play(error=CrmLookupFailed(Problem.SERVER_ERROR, "http=503"))


@attrs.define(kw_only=True)
class Pushed:
    """A push that came in. `outcome` is None while it runs and when it was cancelled or has raised; `ended_at` then says which."""

    at: float
    enterprise_number: str
    report: CallReport
    push_id: str
    memory: Mapping[str, Any]
    outcome: Outcome | None = None
    ended_at: float | None = None
    was_cancelled: bool = False


@attrs.frozen(kw_only=True)
class Asked:
    """A look-up that came in."""

    at: float
    enterprise_number: str
    phone: str


@attrs.frozen(kw_only=True)
class Noticed:
    """A notice of an incoming call that came in."""

    at: float
    enterprise_number: str
    phone: str
    extensions: tuple[str, ...]


class ScriptedCrm:
    """The CRM behind any number of enterprises. It is an adapter itself (of `enterprise_number`), and `maker` makes it for others.

    `play(...)` writes down what the next pushes meet, one each; afterwards `usual` applies. `play_look_ups` and `usual_look_up` do the same
    for look-ups. Virtual times are those of `trio.current_time()`.
    """

    def __init__(
        self,
        kind: CrmKind = CrmKind.OWN,
        *,
        usual: Play | None = None,
        usual_look_up: Play | None = None,
        profiles: Mapping[str, CustomerProfile] | None = None,
        enterprise_number: str = "0367",
    ) -> None:
        self.kind = kind
        self.usual = usual or Play()
        self.usual_look_up = usual_look_up or Play()
        self.profiles: dict[str, CustomerProfile] = dict(profiles or {})
        self.pushes: list[Pushed] = []
        self.look_ups: list[Asked] = []
        self.notices: list[Noticed] = []
        self.under_way = 0
        self.most_under_way = 0
        self._enterprise_number = enterprise_number
        self._plays: deque[Play] = deque()
        self._look_up_plays: deque[Play] = deque()
        self._changed = trio.Event()

    def play(self, *plays: Play | Outcome) -> None:
        """What the next pushes meet, in order."""
        self._plays.extend(play if isinstance(play, Play) else Play(outcome=play) for play in plays)

    def play_look_ups(self, *plays: Play) -> None:
        """What the next look-ups meet, in order."""
        self._look_up_plays.extend(plays)

    def maker(self, config: EnterpriseConfig, _settings: Mapping[str, Any]) -> CrmAdapter:
        """A `CrmMaker`: this same CRM, as an enterprise sees it."""
        return _Seen(self, config.number)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds; it is looked at whenever something has come in or has ended here."""
        while not condition():
            await self._changed.wait()

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:
        return await self.push_of(self._enterprise_number, report, push_id=push_id, memory=memory)

    async def look_up(self, phone: str) -> CustomerProfile | None:
        return await self.look_up_of(self._enterprise_number, phone)

    async def admission(self, report: CallReport) -> None:
        """No limits."""

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:
        return await self.notify_of(self._enterprise_number, phone, extensions)

    async def examine(self, *, language: str) -> Sequence[Finding]:  # noqa: ARG002
        return (Finding(is_ok=True, text="scripted"),)

    async def push_of(self, enterprise_number: str, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:
        """A push of this enterprise. Raises what the play says, although a real adapter never raises."""
        pushed = Pushed(at=trio.current_time(), enterprise_number=enterprise_number, report=report, push_id=push_id, memory=dict(memory))
        self.pushes.append(pushed)
        play = self._plays.popleft() if self._plays else self.usual
        try:
            with self._counted():
                await _perform(play)
            pushed.outcome = play.outcome
        except trio.Cancelled:
            pushed.was_cancelled = True
            raise
        finally:
            pushed.ended_at = trio.current_time()
            self._stir()
        return play.outcome

    async def look_up_of(self, enterprise_number: str, phone: str) -> CustomerProfile | None:
        """A look-up of this enterprise."""
        self.look_ups.append(Asked(at=trio.current_time(), enterprise_number=enterprise_number, phone=phone))
        self._stir()
        with self._counted():
            await _perform(self._look_up_plays.popleft() if self._look_up_plays else self.usual_look_up)
        return self.profiles.get(phone)

    async def notify_of(self, enterprise_number: str, phone: str, extensions: Sequence[str]) -> Outcome | None:
        """A notice of this enterprise; `play` and `usual` are for pushes, so it is taken at once."""
        await trio.lowlevel.checkpoint()
        self.notices.append(Noticed(at=trio.current_time(), enterprise_number=enterprise_number, phone=phone, extensions=tuple(extensions)))
        self._stir()
        return DELIVERED

    @contextmanager
    def _counted(self) -> Generator[None]:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._stir()
        try:
            yield
        finally:
            self.under_way -= 1

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _Seen:
    """The adapter of one enterprise."""

    def __init__(self, crm: ScriptedCrm, enterprise_number: str) -> None:
        self.kind = crm.kind
        self._crm = crm
        self._enterprise_number = enterprise_number

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:
        return await self._crm.push_of(self._enterprise_number, report, push_id=push_id, memory=memory)

    async def look_up(self, phone: str) -> CustomerProfile | None:
        return await self._crm.look_up_of(self._enterprise_number, phone)

    async def admission(self, report: CallReport) -> None:
        """No limits."""

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:
        return await self._crm.notify_of(self._enterprise_number, phone, extensions)

    async def examine(self, *, language: str) -> Sequence[Finding]:  # noqa: ARG002
        return (Finding(is_ok=True, text="scripted"),)


async def _perform(play: Play) -> None:
    await trio.sleep(play.delay_seconds)
    if play.hangs:
        await trio.sleep_forever()
    if play.error is not None:
        raise play.error
