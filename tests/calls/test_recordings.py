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


@pytest.mark.parametrize("pause_seconds", [3.0, 12.0])
@pytest.mark.parametrize("linked", [False, True])
def test_calls_one_after_another_on_one_host_end_as_they_were(pause_seconds: float, linked: bool) -> None:
    playback = Playback()
    found = recordings(CORPUS) + recordings(LIVE)
    for recording in found:
        webhooks = [webhook.with_linkedid() for webhook in recording.webhooks] if linked else recording.webhooks
        playback.play((webhook.at_seconds, webhook.kind, webhook.body) for webhook in webhooks)
        playback.wait(pause_seconds)
    playback.wait_for_the_end()
    assert unmet([final for recording in found for final in recording.finals], playback.texts) == []
