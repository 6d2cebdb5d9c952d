"""Every recorded call, through the pure rooms, in every order: the quick twin of tests/scenarios/test_recordings.py."""

from collections.abc import Callable, Sequence

import pytest

from tests.playback import Playback
from tests.recordings import CORPUS, LIVE, ORDERS, Recording, Webhook, recordings, unmet

Order = Callable[[Sequence[Webhook]], list[Webhook]]


def _play(recording: Recording, webhooks: Sequence[Webhook], *, fast: bool = True) -> None:
    playback = Playback()
    playback.play(((webhook.at_seconds, webhook.kind, webhook.body) for webhook in webhooks), fast=fast)
    playback.wait_for_the_end()
    assert unmet(recording.finals, playback.texts) == []
    for views in playback.history.values():
        stages = [view.stage for view in views]
        assert stages == sorted(stages)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("recording", recordings(CORPUS), ids=str)
def test_a_call_of_a_real_host_ends_as_it_was(recording: Recording, order: Order) -> None:
    _play(recording, order(recording.webhooks))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("recording", recordings(LIVE), ids=str)
def test_a_call_of_a_live_asterisk_ends_as_it_was(recording: Recording, order: Order) -> None:
    _play(recording, order(recording.webhooks))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("recording", recordings(LIVE), ids=str)
def test_a_host_that_sends_linkedid_shows_the_same(recording: Recording, order: Order) -> None:
    _play(recording, [webhook.with_linkedid() for webhook in order(recording.webhooks)])


@pytest.mark.parametrize("recording", recordings(CORPUS) + recordings(LIVE), ids=str)
def test_at_the_speed_of_the_call_it_ends_the_same(recording: Recording) -> None:
    _play(recording, recording.webhooks, fast=False)
