"""Every recorded call through the front door: real HTTP in, real PostgreSQL, real HTTP out to the fake Bot API.

Each recording is played into an enterprise of its own, all at the same time, as fast as a host can post.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
import trio

from tester.fakes.telegram import FakeTelegram
from tester.pbx import Posted
from tester.player import AS_FAST_AS_POSSIBLE, Player
from tester.running import bot_token, enterprise, running_gateway
from tests.recordings import CORPUS, LIVE, ORDERS, Recording, Webhook, recordings, unmet

Order = Callable[[Sequence[Webhook]], list[Webhook]]

CHAT = 1001
# The shortest that still lets a customer change bridges; the true 8 s are tested on a mocked clock.
GRACE_SECONDS = "2.0"
PATIENCE_SECONDS = 30.0


@attrs.frozen
class Play:
    """One recording in one enterprise."""

    number: int
    recording: Recording
    webhooks: tuple[Webhook, ...]

    def script(self) -> list[Posted]:
        token = enterprise(self.number).token
        return [Posted(0.0, webhook.kind, {**webhook.body, "Token": token}) for webhook in self.webhooks]

    def wrong(self, telegram: FakeTelegram) -> list[str]:
        """What the chat does not show as it should, now."""
        living = [message.text for message in telegram.chat(bot_token(self.number), CHAT).messages]
        return [f"{self.recording}: {line}" for line in unmet(self.recording.finals, living)]


async def _show(database_url: str, directory: Path, found: Sequence[Recording], change: Order) -> None:
    plays = [Play(number, recording, tuple(change(recording.webhooks))) for number, recording in enumerate(found, start=1)]
    enterprises = [enterprise(play.number) for play in plays]
    async with running_gateway(database_url, directory, enterprises, closing_grace_seconds=GRACE_SECONDS) as running:
        player = Player(base_url=running.url, speed=AS_FAST_AS_POSSIBLE)
        async with trio.open_nursery() as nursery:
            for play in plays:
                nursery.start_soon(_play, player, play)
        with trio.move_on_after(PATIENCE_SECONDS):
            await running.telegram.until(lambda: not any(play.wrong(running.telegram) for play in plays))
        assert [line for play in plays for line in play.wrong(running.telegram)] == []


async def _play(player: Player, play: Play) -> None:
    report = await player.play(play.script())
    assert report.failed == ()


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls of real hosts are not here")
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
async def test_calls_of_real_hosts(migrated_url: str, tmp_path: Path, order: Order) -> None:
    await _show(migrated_url, tmp_path, recordings(CORPUS), order)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
async def test_calls_of_a_live_asterisk(migrated_url: str, tmp_path: Path, order: Order) -> None:
    await _show(migrated_url, tmp_path, recordings(LIVE), order)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
async def test_calls_of_a_host_that_sends_linkedid(migrated_url: str, tmp_path: Path, order: Order) -> None:
    await _show(migrated_url, tmp_path, recordings(LIVE), lambda webhooks: [webhook.with_linkedid() for webhook in order(webhooks)])
