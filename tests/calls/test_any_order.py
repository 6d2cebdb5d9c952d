"""Whatever is lost, doubled or late: one call, one message, no way back. On generated calls."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.ports import StoredEvent
from tester.pbx import Posted
from tests.calls.scripts import disturbed, talks
from tests.playback import Playback

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [
    *("Token", "UniqueId", "Linkedid", "Phone", "Extensions", "CallType", "CallStatus", "Trunk", "DateReceived", "StartTime", "EndTime"),
    *("Channel", "CallerIDNum", "ConnectedLineNum", "Exten", "Context", "BridgeUniqueid", "BridgeNumChannels", "BridgeTechnology"),
    "ExternalInitiated",
]
VALUES = JSON_VALUES | st.sampled_from(["151", "1.1", "1.2", "SIP/151-0", "Local/1@dialexecute-0;1", "b"])
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES)
KINDS = st.sampled_from(
    ["start", "dial", "bridge", "hangup", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid", "nonsense"],
)


def played(script: list[Posted]) -> Playback:
    playback = Playback()
    playback.play((posted.at_seconds, posted.kind, posted.body) for posted in script)
    playback.wait_for_the_end()
    return playback


def assert_one_living_message(playback: Playback) -> None:
    assert len(playback.views) == 1, playback.texts
    for views in playback.history.values():
        stages = [view.stage for view in views]
        assert stages == sorted(stages)


@given(talks())
def test_a_call_is_one_message_whose_stages_never_go_back(script: list[Posted]) -> None:
    playback = played(script)
    assert_one_living_message(playback)
    assert all(view.stage == 4 for view in playback.views.values())


@given(st.data())
def test_a_lost_channel_event_and_a_local_disorder_do_no_harm(data: st.DataObject) -> None:
    playback = played(data.draw(disturbed(data.draw(talks()))))
    assert_one_living_message(playback)


@given(talks())
def test_every_event_twice_shows_the_same(script: list[Posted]) -> None:
    assert played([posted for posted in script for _ in range(2)]).first_lines == played(script).first_lines


@given(st.data())
def test_replay_from_the_stored_events_gives_the_same_cards(data: st.DataObject) -> None:
    script = data.draw(disturbed(data.draw(talks())))
    live = Playback()
    live.play((posted.at_seconds, posted.kind, posted.body) for posted in script)
    settled = [event for event in live.stored if live.call_ids.get(event.event_id) is not None]
    events = [_with_call(event, live) for event in settled]
    replayed = Playback()
    for card in replayed.board.restore(events).cards:
        assert card.view is not None
        replayed.views[card.call_id] = card.view
    # What is still loose was never marked as processed: a restart reads it again after the replay.
    for event in live.stored:
        if event.event_id not in live.call_ids:
            for card in replayed.board.apply(event).cards:
                assert card.view is not None
                replayed.views[card.call_id] = card.view
    assert replayed.views == live.views


@given(talks(), talks(linkedid=False))
def test_calls_one_after_another_stay_two(one: list[Posted], other: list[Posted]) -> None:
    playback = Playback()
    for offset, script in ((0, one), (7_000, other)):
        playback.play((posted.at_seconds, posted.kind, _renumbered(posted.body, offset)) for posted in script)
        playback.wait_for_the_end()
    assert len(playback.views) == 2, playback.texts


@given(st.lists(st.tuples(KINDS, BODIES), max_size=30))
def test_no_body_of_json_ever_stops_the_board(posts: list[tuple[str, dict[str, Any]]]) -> None:
    playback = Playback()
    for kind, body in posts:
        playback.post(kind, json.loads(json.dumps(body).replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null")))
    playback.wait(20_000)
    assert playback.board.open_calls == 0


def _with_call(event: StoredEvent, playback: Playback) -> StoredEvent:
    return StoredEvent(
        event_id=event.event_id,
        enterprise_number=event.enterprise_number,
        kind=event.kind,
        unique_id=event.unique_id,
        raw_body=event.raw_body,
        received_at=event.received_at,
        call_id=playback.call_ids[event.event_id],
    )


def _renumbered(body: Any, offset: int) -> dict[str, Any]:
    """The same call later on the same host: other channels, other bridges."""
    if not offset:
        return dict(body)
    changed = dict(body)
    unique_id = body["UniqueId"]
    if unique_id:
        seconds, counter = unique_id.split(".")
        changed["UniqueId"] = f"{int(seconds) + 3600}.{int(counter) + offset}"
    if "BridgeUniqueid" in body:
        changed["BridgeUniqueid"] = "f" + body["BridgeUniqueid"][1:]
    if "Channel" in body:
        changed["Channel"] = body["Channel"].replace("-0", "-f")
    return changed
