"""A subscriber that is a group, where Telegram lets only so many messages through in a minute."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from tester.emulator.orders import EventFault, EventTrouble, Faults, Judgement
from tester.emulator.run import GROUP_SECONDS
from tests.emulator.stage import FAMILY, open_stage

GROUP = attrs.evolve(FAMILY, subscribers=(-1001000000001,))
# Each call needs a message and an edit or two; a group has 19 in a minute.
CALLS = 12


async def test_a_group_that_has_used_up_its_minute_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_stage(config=GROUP) as stage:
        runs = [await stage.play() for _ in range(CALLS)]
        assert [run.verdict.judgement for run in runs if run.verdict] == [Judgement.EXPECTED] * CALLS


async def test_whom_nobody_holds_back_is_not_waited_for_so_long(autojump_clock: MockClock) -> None:
    lengths: list[float] = []
    for config in (FAMILY, GROUP):
        async with open_stage(config=config) as stage:
            began = trio.current_time()
            hangup = EventFault(index=3, trouble=EventTrouble.LOSE)
            run = await stage.play("2-2", faults=Faults(events=(hangup,)))
            assert run.verdict is not None
            assert run.verdict.judgement is Judgement.DIFFERENT
            lengths.append(trio.current_time() - began)
    assert lengths[1] - lengths[0] == pytest.approx(GROUP_SECONDS, abs=1)
