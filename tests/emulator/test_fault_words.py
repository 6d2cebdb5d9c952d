"""Faults written as `gateway emulate` takes them: in the log, and back again."""

import io
import logging

from trio.testing import MockClock

from tester.emulator.event_log import EventLog
from tester.emulator.orders import EventFault, EventTrouble, Faults, TelegramTrouble
from tester.emulator.shapes import order_shape
from tester.emulator.terminal import read_faults
from tests.emulator.stage import open_stage

EVERYTHING = Faults(
    events=(
        EventFault(index=0, trouble=EventTrouble.SWAP),
        EventFault(index=2, trouble=EventTrouble.LOSE),
        EventFault(index=3, trouble=EventTrouble.DOUBLE),
        EventFault(index=4, trouble=EventTrouble.DELAY, seconds=2.5),
    ),
    telegram=TelegramTrouble.TOO_MANY,
    crm_hangs=True,
)


async def test_a_run_is_written_down_with_its_faults_as_a_terminal_takes_them(autojump_clock: MockClock) -> None:
    text = io.StringIO()
    async with open_stage(log=EventLog(logging.StreamHandler(text))) as stage:
        broken, well = await stage.play("1-1", faults=EVERYTHING), await stage.play("1-1")
        assert order_shape(broken.order)["faults"] == read_faults(str(EVERYTHING).split())
    begun = [line for line in text.getvalue().splitlines() if line.startswith("▶️")]
    played = "pattern 1-1 of enterprise 0367 to http://gateway.test, pace max"
    assert begun == [
        f"▶️ RUN {broken.id}: {played}, faults swap:1 lose:3 double:4 delay:5:2.5 telegram:429 crm",
        f"▶️ RUN {well.id}: {played}",
    ]
