"""What the board tells of calls that become one, and of calls that go on."""

from collections.abc import Sequence
from typing import Any

from gateway.calls.report import CallReport, ReportKind
from gateway.cards.board import Changes
from tests.playback import Playback

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
CUSTOMER, OTHER, LINE = "375290001234", "375290005678", "0001363"


def told(*changes: Changes) -> list[tuple[int, ReportKind]]:
    return [(report.call_id, report.kind) for each in changes for report in each.reports]


def reports(changes: Sequence[Changes]) -> list[CallReport]:
    return [report for each in changes for report in each.reports]


def start(playback: Playback, unique_id: str = "1.1", **fields: Any) -> Changes:
    return playback.post("start", {"UniqueId": unique_id, "Phone": CUSTOMER, "CallType": 0, "Trunk": LINE, **fields})


def ring(playback: Playback, *extensions: str, unique_id: str = "1.1") -> Changes:
    body = {"UniqueId": unique_id, "Phone": CUSTOMER, "CallType": 0, "Trunk": LINE, "Extensions": list(extensions)}
    return playback.post("dial", body)


def call_out(playback: Playback, unique_id: str = "5.1") -> Changes:
    body = {"UniqueId": unique_id, "Phone": OTHER, "CallType": 1, "Trunk": LINE, "Extensions": ["151"]}
    return playback.post("dial", body)


def enter(playback: Playback, unique_id: str, channel: str, *, bridge: str = "b", **fields: Any) -> Changes:
    return playback.post("bridge", {"UniqueId": unique_id, "Channel": channel, "BridgeUniqueid": bridge, **fields})


def hang_up(playback: Playback, unique_id: str = "1.1", **fields: Any) -> Changes:
    times = {"StartTime": "2026-11-23 11:00:00", "EndTime": "2026-11-23 11:00:30"}
    body = {"UniqueId": unique_id, "Phone": CUSTOMER, "CallType": 0, "Extensions": ["151"], "CallStatus": "2", "Trunk": LINE, **times}
    return playback.post("hangup", {**body, **fields})


def test_a_greeting_is_no_ring() -> None:
    playback = Playback()
    assert told(start(playback), hang_up(playback, CallStatus="1", Extensions=[""])) == [(1, HANGUP)]


def test_the_same_ring_again_is_no_news() -> None:
    playback = Playback()
    start(playback)
    assert told(ring(playback, "151")) == [(1, DIAL)]
    assert told(ring(playback, "151"), start(playback, Again="1")) == []


def test_a_call_whose_ring_was_lost_is_told_once_it_talks() -> None:
    playback = Playback()
    start(playback)
    enter(playback, "1.1", f"SIP/{LINE}-00000001", CallerIDNum=CUSTOMER)
    talk = [enter(playback, "1.2", "SIP/151-00000002", CallerIDNum="151"), ring(playback, "151"), ring(playback, "151", "152")]
    assert told(*talk) == [(1, DIAL)]
    assert reports(talk)[0].extensions == ("151",)


def test_a_survivor_that_has_told_its_ring_keeps_quiet_and_the_absorbed_is_forgotten() -> None:
    playback = Playback()
    start(playback)
    rings = [ring(playback, "151"), call_out(playback)]
    assert [kind for _, kind in told(*rings)] == [DIAL, DIAL]
    changes = [
        enter(playback, "1.1", f"SIP/{LINE}-00000001", CallerIDNum=CUSTOMER),
        enter(playback, "5.1", "SIP/151-00000005", CallerIDNum="151"),
    ]
    assert changes[-1].merged == ((3, 1),)
    assert told(*changes) == []
    assert told(hang_up(playback)) == [(1, HANGUP)]


def test_a_survivor_that_has_told_nothing_tells_the_ring_itself() -> None:
    playback = Playback()
    start(playback)
    assert told(call_out(playback)) == [(2, DIAL)]
    enter(playback, "1.1", f"SIP/{LINE}-00000001", CallerIDNum=CUSTOMER)
    changes = enter(playback, "5.1", "SIP/151-00000005", CallerIDNum="151")
    assert changes.merged == ((2, 1),)
    # The store gives it the row of the absorbed call, if that was written already, and this is no news then.
    assert told(changes) == [(1, DIAL)]
    assert changes.reports[0].phone == CUSTOMER


def test_a_corrected_end_is_told_again_and_the_same_end_is_not() -> None:
    playback = Playback()
    start(playback)
    ring(playback, "151")
    assert told(hang_up(playback)) == [(1, HANGUP)]
    assert told(hang_up(playback, Token="once more")) == []
    later = hang_up(playback, EndTime="2026-11-23 11:00:40")
    assert told(later) == [(1, HANGUP)]
    assert later.reports[0].duration_seconds == 40


def test_a_call_that_is_forgotten_leaves_nothing_behind() -> None:
    playback = Playback()
    for number in range(3):
        start(playback, f"{number}.1")
        ring(playback, "151", unique_id=f"{number}.1")
        hang_up(playback, f"{number}.1")
    playback.wait_for_the_end()
    assert playback.dropped
    # The same ids later are new calls.
    assert told(start(playback, "0.1", Later="1"), ring(playback, "150", unique_id="0.1")) == [(10, DIAL)]
