"""An outbox on its own in virtual time: the store in memory, CRMs whose answers are written down, no calls behind them."""

from collections.abc import Sequence

import attrs
import trio
import trio.testing

from gateway.attempts import IntegrationLog
from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmAdapter, CrmKind, CrmSettingsError
from gateway.metrics import Metrics
from gateway.nurseries.clock import TrioClock
from gateway.nurseries.outbox import Outbox
from gateway.nurseries.patience import Patience
from gateway.ports import Owed, Push, PushKey
from tester.fakes.crm import Pushed, ScriptedCrm
from tester.memory import MemoryStore
from tester.virtual import NOON, NUMBER

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
BOTH = (DIAL, HANGUP)


def report(kind: ReportKind, call_id: int = 1, unique_id: str = "") -> CallReport:
    """A call that was answered, or begins to ring."""
    return CallReport(
        kind=kind,
        call_id=call_id,
        unique_id=unique_id or f"{call_id}.1",
        direction=Direction.INCOMING,
        phone="375290001234",
        line="0001363",
        extensions=("151",),
        extension="151",
        started_at=NOON,
        answered=kind is HANGUP,
    )


@attrs.define(eq=False, kw_only=True)
class PostRoom:
    """What outlives a process: the store and the CRMs. `start` makes an outbox; one at a time."""

    nursery: trio.Nursery
    clock: TrioClock
    store: MemoryStore
    crms: dict[tuple[str, str], CrmAdapter] = attrs.field(factory=dict[tuple[str, str], CrmAdapter])
    wrong_settings: str = ""
    metrics: Metrics = attrs.field(factory=Metrics)

    def crm(self, kind: CrmKind = CrmKind.OWN, number: str = NUMBER) -> ScriptedCrm:
        """A CRM that this enterprise has from now on."""
        crm = ScriptedCrm(kind, enterprise_number=number)
        self.crms[number, kind.value] = crm
        return crm

    def adapter_of(self, number: str, crm: str) -> CrmAdapter | None:
        if self.wrong_settings:
            raise CrmSettingsError(self.wrong_settings)
        return self.crms.get((number, crm))

    def outbox(self, nursery: trio.Nursery) -> Outbox:
        """One that nobody runs yet."""
        return Outbox(
            store=self.store,
            clock=self.clock,
            patience=Patience(jitter=lambda: 1.0),
            metrics=self.metrics,
            adapter_of=self.adapter_of,
            timeout_seconds=2.0,
            jitter=lambda: 1.0,
            nursery=nursery,
        )

    async def start(self) -> "Life":
        """An outbox that has looked at everything that was pending."""
        scope, ended = trio.CancelScope(), trio.Event()

        async def run(*, task_status: trio.TaskStatus[Outbox]) -> None:
            with scope:
                async with trio.open_nursery() as workers, trio.open_nursery() as events:
                    outbox = self.outbox(events)
                    workers.start_soon(outbox.run)
                    task_status.started(outbox)
                    await trio.sleep_forever()
            ended.set()

        outbox = await self.nursery.start(run)
        await trio.testing.wait_all_tasks_blocked()
        return Life(self, outbox, scope, ended)

    async def accept(self, *reports: CallReport, crm: CrmKind = CrmKind.OWN, number: str = NUMBER) -> Sequence[PushKey]:
        """Write down that these are owed, and tell nobody."""
        return await self.store.accept_owed(number, [Owed(crm=crm.value, report=each) for each in reports])

    async def dead(self, number: str = NUMBER) -> Sequence[Push]:
        return await self.store.dead_pushes(number, limit=10_000)

    async def pending(self) -> Sequence[Push]:
        return await self.store.pending_pushes(after=None, limit=100_000)

    async def logs(self, number: str = NUMBER) -> Sequence[IntegrationLog]:
        """The oldest first."""
        return (await self.store.integration_logs(number, limit=100_000))[::-1]

    def figure(self, name: str, **labels: str) -> float:
        """A figure of the metrics; 0 when nobody has counted it."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@attrs.define(eq=False)
class Life:
    """One run of an outbox."""

    room: PostRoom
    outbox: Outbox
    scope: trio.CancelScope
    ended: trio.Event

    async def put(self, *reports: CallReport, crm: CrmKind = CrmKind.OWN, number: str = NUMBER) -> Sequence[PushKey]:
        """What a lane does: commit, then tell."""
        keys = await self.room.accept(*reports, crm=crm, number=number)
        self.outbox.take(keys)
        return keys

    async def call(self, call_id: int = 1, *, crm: CrmKind = CrmKind.OWN, number: str = NUMBER) -> None:
        """A call that rings and ends at once."""
        await self.put(report(DIAL, call_id), report(HANGUP, call_id), crm=crm, number=number)

    async def kill(self) -> None:
        self.scope.cancel()
        await self.ended.wait()


def seen(crm: ScriptedCrm) -> list[tuple[float, ReportKind]]:
    """When it was told what."""
    return [(pushed.at, pushed.report.kind) for pushed in crm.pushes]


def told(pushes: Sequence[Pushed]) -> list[tuple[int, ReportKind]]:
    """Of which calls it was told what."""
    return [(pushed.report.call_id, pushed.report.kind) for pushed in pushes]


def open_post_room(nursery: trio.Nursery, store: MemoryStore | None = None) -> PostRoom:
    """Nothing running yet."""
    clock = TrioClock(NOON)
    return PostRoom(nursery=nursery, clock=clock, store=store or MemoryStore(now=clock))
