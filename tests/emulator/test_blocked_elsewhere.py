"""A run of an enterprise whose only chat another run has blocked."""

import attrs
import pytest
from trio.testing import MockClock

from tester.emulator.orders import Faults, Judgement, Pace, TelegramTrouble
from tests.emulator.stage import FAMILY, open_stage, told


@pytest.mark.parametrize(("language", "said"), [("ru", "«заблокировал» прогон {run}"), ("en", "“blocked” by run {run}")])
async def test_a_run_beside_one_that_blocks_the_only_chat_says_so(language: str, said: str, autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        blocking = stage.start(pace=Pace.REAL, faults=Faults(telegram=TelegramTrouble.BLOCKED))
        # As the gateway reads it anew once the chat has lost its subscription.
        stage.enterprises[:] = [attrs.evolve(FAMILY, subscribers=())]
        beside = stage.emulator.start(stage.order(), language)
        await told(beside)
        assert beside.verdict is not None
        assert beside.verdict.judgement is Judgement.UNSEEN
        assert said.format(run=blocking.id) in beside.verdict.differences[0]
        # Without such a run there is nobody.
        await told(blocking)
        alone = await stage.play()
        assert alone.verdict is not None
        assert "нет подписчиков" in alone.verdict.differences[0]
