"""Every CRM hangs for ever: what that costs the messages.

The real service on the real clock, in this process, with 100 enterprises, each with a bot and a chat of its own, so that no limit of
Telegram makes anybody wait. The store is the one in memory, Telegram is the fake. Half of the enterprises have no integrations, the others
a CRM that answers neither look-ups nor pushes; both play the same calls at the same time, so a machine that is busy is so for both. Every
call comes from a number that nobody has asked for. The stages of a call are further apart than the budget of look-ups, so each of them
costs one request, and these must be the same in number, order and text.
"""

import time
from collections.abc import Iterator
from typing import Any

import attrs
import trio

from benchmarks.common import Figure, main, note, pin
from gateway.crm.base import CrmKind
from gateway.crm.registry import Crms
from gateway.ports import EnterpriseConfig
from tester.fakes.crm import HANG, ScriptedCrm
from tester.virtual import JUNE, House, open_house

NAME = "hanging CRMs"
PAIRS = 50
# From an event of a call to its next one: more than the budget, and than the second that Telegram wants between two messages of a chat.
STAGE_SECONDS = 1.2
STAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("start", {}),
    ("dial", {"Extensions": ["151"]}),
    ("hangup", {"Extensions": ["151"], "CallStatus": "2"}),
)
INTEGRATIONS = {
    "own": {"enabled": True, "url": "https://crm.example/calls", "secret": "whsec_" + "A" * 43 + "="},
    "smart": {"primary": "own"},
}
SETTLE_SECONDS = 3.0


@attrs.frozen
class Tenant:
    """One of a pair of enterprises."""

    pair: int
    has_crm: bool

    @property
    def number(self) -> str:
        return f"{2 * self.pair + self.has_crm:04}"

    @property
    def bot_token(self) -> str:
        return f"1{self.number}:TEST"

    @property
    def chat_id(self) -> int:
        return 1000 + int(self.number)

    def config(self) -> EnterpriseConfig:
        return attrs.evolve(
            JUNE,
            number=self.number,
            name=f"house{self.number}",
            token=f"37529000{self.number}",
            bot_token=self.bot_token,
            subscribers=(self.chat_id,),
            integrations=INTEGRATIONS if self.has_crm else {},
        )


@attrs.define
class Seen:
    """What became of one tenant's calls: when events were accepted and requests came, their methods, and all texts of all messages."""

    accepted_at: list[float] = attrs.field(factory=list[float])
    requested_at: list[float] = attrs.field(factory=list[float])
    methods: list[str] = attrs.field(factory=list[str])
    texts: list[str] = attrs.field(factory=list[str])

    @property
    def waits(self) -> list[float]:
        return [requested - accepted for accepted, requested in zip(self.accepted_at, self.requested_at, strict=False)]


@attrs.define
class Run:
    """One run."""

    calls: int
    seen: dict[Tenant, Seen]
    look_ups: int = 0
    pushes: int = 0

    def wait(self, part: float, *, has_crm: bool) -> float:
        """A quantile of the waits from the acceptance of an event to its request."""
        waits = sorted(wait for tenant, seen in self.seen.items() if tenant.has_crm is has_crm for wait in seen.waits)
        return waits[min(int(len(waits) * part), len(waits) - 1)]

    def requests(self, *, has_crm: bool) -> int:
        return sum(len(seen.methods) for tenant, seen in self.seen.items() if tenant.has_crm is has_crm)

    def different(self) -> int:
        """Requests and texts that one of a pair had and the other had not, or not in this place."""
        found = 0
        for pair in range(PAIRS):
            one, other = self.seen[Tenant(pair, has_crm=False)], self.seen[Tenant(pair, has_crm=True)]
            for ours, theirs in ((one.methods, other.methods), (one.texts, other.texts)):
                found += abs(len(ours) - len(theirs)) + sum(a != b for a, b in zip(ours, theirs, strict=False))
        return found


async def run(rounds: int) -> Run:
    tenants = [Tenant(pair, has_crm) for pair in range(PAIRS) for has_crm in (False, True)]
    seen = {tenant: Seen() for tenant in tenants}
    crm = ScriptedCrm(usual=HANG, usual_look_up=HANG)
    async with trio.open_nursery() as nursery, open_house(nursery) as house:
        house.crms = Crms({CrmKind.OWN: crm.maker})
        await house.configure(*[tenant.config() for tenant in tenants])
        process = await house.start()
        async with trio.open_nursery() as hosts:
            for tenant in tenants:
                hosts.start_soon(play, house, tenant, rounds, seen[tenant].accepted_at)
        await trio.sleep(SETTLE_SECONDS)
        by_chat = {tenant.chat_id: seen[tenant] for tenant in tenants}
        for request in house.telegram.requests:
            if request.chat_id is not None:
                by_chat[request.chat_id].requested_at.append(request.at)
                by_chat[request.chat_id].methods.append(request.method)
        for tenant in tenants:
            messages = house.messages(tenant.chat_id, tenant.bot_token)
            seen[tenant].texts = [version.text for message in messages for version in message.history]
        await process.stop()
        nursery.cancel_scope.cancel()
    return Run(rounds * PAIRS, seen, len(crm.look_ups), len(crm.pushes))


async def play(house: House, tenant: Tenant, rounds: int, accepted_at: list[float]) -> None:
    # Spread over a stage, so that they do not all come at once.
    due = trio.current_time() + tenant.pair / PAIRS * STAGE_SECONDS
    for call in range(rounds):
        phone = f"37529{tenant.pair:03}{call:04}"
        for kind, fields in STAGES:
            await trio.sleep_until(due)
            await house.post(kind, f"{tenant.pair}.{call}", number=tenant.number, Phone=phone, **fields)
            accepted_at.append(trio.current_time())
            due += STAGE_SECONDS


def measure(quick: bool) -> Iterator[Figure]:
    pin(0)
    rounds = 2 if quick else 10
    note(f"{rounds * PAIRS} calls with CRMs that hang, as many without")
    began = time.process_time()
    found = trio.run(run, rounds)
    spent = time.process_time() - began
    above = found.wait(0.99, has_crm=True) - found.wait(0.99, has_crm=False)
    owed = found.calls * len(STAGES)
    yield Figure(
        benchmark=NAME, name="p99 from event to request, above that without look-ups", value=above, unit="s", wanted="<= 0.35", digits=3
    )
    for part, word in ((0.5, "median"), (0.99, "p99")):
        for has_crm in (False, True):
            name = f"  {word} {'with CRMs that hang' if has_crm else 'without look-ups'}"
            yield Figure(benchmark=NAME, name=name, value=1000 * found.wait(part, has_crm=has_crm), unit="ms", digits=1)
    yield Figure(
        benchmark=NAME, name="requests and texts that differ, or differ in order", value=found.different(), wanted="<= 0", digits=0
    )
    yield Figure(benchmark=NAME, name="requests made of those owed", value=found.requests(has_crm=True) / owed, wanted=">= 1")
    yield Figure(benchmark=NAME, name="look-ups that reached a CRM, for each call", value=found.look_ups / found.calls, wanted="<= 1")
    yield Figure(benchmark=NAME, name="  pushes that reached a CRM, for each call", value=found.pushes / found.calls)
    yield Figure(benchmark=NAME, name="  CPU of all of it", value=spent, unit="s", digits=1)


if __name__ == "__main__":
    main(measure)
