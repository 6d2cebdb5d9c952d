"""Every kind of call, played by the emulator into a running gateway, seen in its chats: real HTTP, a real PostgreSQL, Telegram over HTTP.

Each kind has an enterprise of its own, so that all of them are played at the same time.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from tester.emulator.client import Client, StreamEvent, open_client
from tester.emulator.companion import open_emulation
from tester.emulator.orders import Judgement, Pace, RunState
from tester.fakes.telegram import FakeTelegram
from tester.patterns import PATTERNS
from tester.running import enterprise, running_gateway

CHAT = 1001
# The shortest that still lets a customer change bridges; the true 8 s are tested on a mocked clock.
GRACE_SECONDS = "2.0"
PATIENCE_SECONDS = 120.0
# Streams are bounded (tester.emulator.stream), and so is what two cores can do within the three seconds that a host waits.
AT_ONCE = 30


def house(number: int) -> EnterpriseConfig:
    """Some people have a name, some do not; one line has."""
    return attrs.evolve(
        enterprise(number, chats=(CHAT,), final="auto"),
        lines=(LineConfig(line_id="0001363", name="A1 основная"), LineConfig(line_id="0001366")),
        managers=(
            ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь"),
            ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна", personal_phone="375290001111"),
            ManagerConfig(extension="152"),
        ),
    )


@attrs.frozen(eq=False)
class Case:
    """A kind of call at a host of its own, which sends `Linkedid` or does not."""

    key: str
    linkedid: bool
    house: EnterpriseConfig


CASES = [Case(key, linkedid, house(number)) for number, (key, linkedid) in enumerate(itertools.product(PATTERNS, (False, True)), start=1)]


@attrs.define
class Played:
    """What a run told, and what the chat then had."""

    verdict: Mapping[str, Any] | None = None
    state: str = RunState.RUNNING
    owed: int = 0
    refused: list[str] = attrs.field(factory=list[str])
    told: dict[int, str] = attrs.field(factory=dict[int, str])
    shown: Sequence[str] = ()

    def hear(self, event: StreamEvent) -> bool:
        """Whether it is over."""
        data = event.data
        match event.kind:
            case "state":
                self.state = data["state"]
            case "verdict":
                self.verdict = data
            case "answer" if data["error"]:
                self.refused.append(f"{data['index']}: {data['error']}")
            case "message" if data["change"] == "deleted":
                self.told.pop(data["message"], None)
            case "message":
                self.told[data["message"]] = data["text"]
            case _:
                pass
        return RunState(self.state).is_over

    def check(self) -> None:
        assert self.refused == []
        assert (self.state, self.verdict) == (RunState.DONE, {"judgement": Judgement.EXPECTED, "differences": []})
        # The verdict is the emulator's; this is what a subscriber sees.
        assert sorted(self.shown) == sorted(self.told.values())
        assert len(self.shown) == self.owed


async def play(client: Client, telegram: FakeTelegram, case: Case) -> Played:
    """One call, as `gateway emulate` does it."""
    played = Played()
    suggestion = await client.get("/api/suggestion", pattern=case.key, enterprise=case.house.number)
    order = {"enterprise": case.house.number, "pattern": case.key, "pace": Pace.FAST.value, "linkedid": case.linkedid, **suggestion}
    run = await client.post("/api/runs", order)
    played.owed = len(run["finals"])
    await client.follow(run["id"], played.hear)
    played.shown = [message.visible for message in telegram.chat(case.house.bot_token, CHAT).messages]
    return played


async def test_every_pattern_shows_what_it_promises_and_nothing_else(migrated_url: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    played: dict[Case, Played] = {}
    beside = partial(open_emulation, active_runs=AT_ONCE)
    async with running_gateway(
        migrated_url, tmp_path, [case.house for case in CASES], companion_of=beside, closing_grace_seconds=GRACE_SECONDS
    ) as running:
        limit = trio.CapacityLimiter(AT_ONCE)

        async def take(client: Client, case: Case) -> None:
            async with limit:
                played[case] = await play(client, running.telegram, case)

        with trio.fail_after(PATIENCE_SECONDS):
            async with open_client(running.emulator_url, password="", language="ru") as client, trio.open_nursery() as nursery:
                for case in CASES:
                    nursery.start_soon(take, client, case)
    for case in CASES:
        with subtests.test(pattern=case.key, linkedid=case.linkedid):
            played[case].check()
