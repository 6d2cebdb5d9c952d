"""What CRMs are told: every recorded call, calls in any order, and single webhooks that are all there is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.codec import decode
from gateway.calls.events import Dial, Hangup
from gateway.calls.parties import Direction, PartyKind
from gateway.calls.phones import LineRule
from gateway.calls.report import CallReport, ReportKind
from gateway.calls.reporting import report_of_event
from gateway.cards.board import Board, Changes, Timing
from gateway.ports import StoredEvent
from tester import pbx
from tester.pbx import Posted
from tests.calls.scripts import CUSTOMER, LINE, MOBILE, disturbed, host, talks
from tests.calls.test_any_order import BODIES
from tests.playback import ZONE, Playback
from tests.recordings import CORPUS, LIVE, ORDERS, Recording, Webhook, recordings

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
RECORDED = recordings(CORPUS) + recordings(LIVE)


@attrs.define
class Told(Playback):
    """A playback that keeps what CRMs were told, in order and as it stands."""

    told: list[CallReport] = attrs.field(factory=list[CallReport])
    stands: dict[tuple[int, ReportKind], CallReport] = attrs.field(factory=dict[tuple[int, ReportKind], CallReport])

    def hangups(self) -> list[CallReport]:
        return [report for (_, kind), report in self.stands.items() if kind is HANGUP]

    def restart(self, before: Playback) -> None:
        """Go on where another run has stopped: its log is replayed, and what was loose is still unprocessed in the store."""
        assert self.board.restore(_with_calls(before)).reports == ()
        self.stored, self.now, self._seen = before.stored[:], before.now, set(before._seen)
        for event in before.stored:
            if event.event_id not in before.call_ids:
                self._take(self.board.apply(event))

    def _take(self, changes: Changes) -> Changes:
        for absorbed, _ in changes.merged:
            for kind in ReportKind:
                self.stands.pop((absorbed, kind), None)
        for report in changes.reports:
            self.told.append(report)
            self.stands[report.call_id, report.kind] = report
        # Zero-argument super does not survive the slots that attrs makes.
        return Playback._take(self, changes)


def told_of(script: Iterable[Posted], *, rules: Mapping[str, str] | None = None) -> Told:
    told = Told(board=Board(zone=ZONE, line_rules=rules or {}, timing=Timing()))
    told.play(((posted.at_seconds, posted.kind, posted.body) for posted in script), fast=False)
    told.wait_for_the_end()
    return told


def told_of_recording(webhooks: Iterable[Webhook], *, fast: bool = False) -> Told:
    told = Told()
    told.play(((webhook.at_seconds, webhook.kind, webhook.body) for webhook in webhooks), fast=fast)
    told.wait_for_the_end()
    return told


def assert_sound(report: CallReport) -> None:
    """What holds of every report, whatever has happened."""
    assert report.direction is not Direction.INTERNAL
    assert report.unique_id
    assert all(not number or number.isdecimal() for number in (report.phone, report.mobile, *report.extensions, *report.transfers))
    assert report.extension in ("", *report.extensions)
    assert (report.extension == "") == (len(report.extensions) != 1)
    assert not (report.extension and report.mobile)
    assert len(report.transfers) != 1
    times = [at for at in (report.started_at, report.answered_at, report.ended_at) if at is not None]
    assert all(at.tzinfo is UTC for at in times)
    assert times == sorted(times)
    seconds = (report.duration_seconds, report.talk_seconds, report.waiting_seconds)
    assert all(each is None or each >= 0 for each in seconds)
    if report.duration_seconds is not None:
        assert (report.waiting_seconds or 0) + (report.talk_seconds or 0) <= report.duration_seconds
    if report.kind is DIAL:
        assert (report.answered, report.busy, report.mobile, report.transfers) == (False, False, "", ())
        assert report.answered_at is report.ended_at is None
        assert seconds == (None, None, None)
    elif report.answered:
        assert (report.answered_at is None) == (report.waiting_seconds is None)
        assert not report.busy
    else:
        assert report.answered_at is None
        assert report.talk_seconds == 0
        assert report.waiting_seconds == report.duration_seconds
        assert not report.mobile


# ---------------------------------------------------------------------- recorded calls


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("recording", RECORDED, ids=str)
@pytest.mark.parametrize("fast", [False, True])
def test_of_every_recorded_call_crms_hear_what_its_card_shows(recording: Recording, order: Any, fast: bool) -> None:
    told = told_of_recording(order(recording.webhooks), fast=fast)
    external = {call_id: view for call_id, view in told.views.items() if view.direction is not Direction.INTERNAL}
    assert {(call_id, HANGUP) for call_id in external} == {key for key in told.stands if key[1] is HANGUP}
    for report in told.told:
        assert_sound(report)
    for call_id, view in external.items():
        report, record = told.stands[call_id, HANGUP], told.records[call_id]
        assert (report.direction, report.phone, report.line) == (view.direction, view.outside, view.line)
        assert report.unique_id == record.unique_id
        assert report.answered is view.answered
        assert report.extensions == tuple(party.number for party in view.people if party.kind is PartyKind.EXTENSION)
        assert [report.mobile] == ([party.number for party in view.people if party.kind is PartyKind.MOBILE] or [""])
        assert report.transfers == tuple(party.number for party in view.transfers)
        assert (report.started_at, report.ended_at, report.duration_seconds) == (record.date_received, record.date_end, record.duration)
        assert report.talk_seconds == (record.talk_seconds or 0)
        assert report.answered_at is not None or not report.answered


@pytest.mark.parametrize("recording", RECORDED, ids=str)
def test_the_ring_of_a_recorded_call_is_told_before_its_end_and_not_twice(recording: Recording) -> None:
    told = told_of_recording(recording.webhooks)
    for call_id in {report.call_id for report in told.told}:
        kinds = [report.kind for report in told.told if report.call_id == call_id]
        assert kinds == sorted(kinds)
        dials = [report for report in told.told if report.call_id == call_id and report.kind is DIAL]
        # Only who hung up in the greeting was never rung for.
        assert dials or recording.name == "L-04"
        assert len({attrs.evolve(dial, started_at=told.now) for dial in dials}) == len(dials)
        if dials:
            assert (dials[-1].phone, dials[-1].direction) == (told.stands[call_id, HANGUP].phone, told.stands[call_id, HANGUP].direction)


@pytest.mark.parametrize(
    ("name", "waiting_seconds", "talk_seconds"),
    [("L-01", 3, 6), ("L-08", 3, 6), ("L-16", 2, 14), ("L-24", 1, 0), ("L-25", 22, 7), ("L-30", 5, 5), ("L-35", 11, 5)],
)
def test_waiting_and_talk_of_a_live_call_are_those_of_its_telephones(name: str, waiting_seconds: int, talk_seconds: int) -> None:
    recording = next(each for each in RECORDED if each.name == name)
    report = told_of_recording(recording.webhooks).hangups()[0]
    assert report.answered_at == report.started_at + timedelta(seconds=waiting_seconds)
    assert (report.waiting_seconds, report.talk_seconds) == (waiting_seconds, talk_seconds)


@pytest.mark.parametrize("name", ["L-01", "L-16", "L-25", "L-35"])
def test_when_the_customer_was_answered_is_right_without_the_start_or_with_a_late_hangup(name: str) -> None:
    webhooks = next(each for each in RECORDED if each.name == name).webhooks
    whole = told_of_recording(webhooks).hangups()[0]
    late = [attrs.evolve(webhook, at_seconds=webhook.at_seconds + 6) if webhook.kind == "hangup" else webhook for webhook in webhooks]
    without_start = [webhook for webhook in webhooks if webhook.kind != "start"]
    for order in (sorted(late, key=lambda webhook: webhook.at_seconds), without_start):
        (report,) = told_of_recording(order).hangups()
        assert report.answered_at is not None
        assert whole.answered_at is not None
        assert abs(report.answered_at - whole.answered_at) <= timedelta(seconds=1)
        assert report.duration_seconds == whole.duration_seconds


# ---------------------------------------------------------------------- calls as we make them


def test_a_wider_ring_is_told_again_and_an_answer_ends_that() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("150")
    at.wait(5)
    talk.ring("150", "151")
    at.wait(5)
    talk.answer("151")
    at.wait(10)
    talk.attend("152", accepted=True)
    at.wait(10)
    talk.end()
    told = told_of(at.posted)
    assert [(report.kind, report.extensions, report.extension) for report in told.told] == [
        (DIAL, ("150",), "150"),
        (DIAL, ("150", "151"), ""),
        (HANGUP, ("152",), "152"),
    ]
    assert told.told[-1].transfers == ("151", "152")


def test_a_mobile_that_answers_is_no_extension() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("150", MOBILE)
    talk.mobile_answers(MOBILE)
    at.wait(10)
    talk.end()
    told = told_of(at.posted)
    assert told.told[0].extensions == ("150",)
    assert (told.told[-1].mobile, told.told[-1].extension, told.told[-1].extensions) == (MOBILE, "", ())


def test_the_rule_of_the_line_makes_the_number_that_crms_hear() -> None:
    at = host()
    talk = pbx.incoming(at, "80290001234", LINE)
    talk.ring("151")
    at.wait(5)
    talk.end()
    assert {report.phone for report in told_of(at.posted, rules={LINE: "+375{9}"}).told} == {"375290001234"}


def test_between_colleagues_nothing_is_told() -> None:
    at = host()
    pbx.internal(at, "150", "151", ring_seconds=3, talk_seconds=10)
    told = told_of(at.posted)
    assert told.records
    assert not told.told


def ended(*, status: str, extensions: Sequence[str] = (), dialled: bool = True, phone: str = CUSTOMER) -> Told:
    """An incoming call in which no bridge was heard."""
    told = Told()
    common = {"UniqueId": "1795420800.1", "Phone": phone, "CallType": 0, "Trunk": LINE}
    told.post("start", common)
    if dialled:
        told.post("dial", {**common, "Extensions": ["150", "151"]})
    times = {"StartTime": "2026-11-23 11:00:00", "DateReceived": "2026-11-23 11:00:00", "EndTime": "2026-11-23 11:00:20"}
    told.post("hangup", {**common, "CallStatus": status, "Extensions": list(extensions), **times}, after_seconds=20)
    return told


def test_busy_is_believed_only_where_somebody_was_rung() -> None:
    assert ended(status="1").hangups()[0].busy
    # A customer who gives up in the greeting has the same status.
    assert not ended(status="1", dialled=False).hangups()[0].busy
    assert not ended(status="0").hangups()[0].busy


def test_where_only_the_host_says_answered_nobody_knows_when() -> None:
    report = ended(status="2", extensions=["151"]).hangups()[0]
    assert report.answered
    assert report.extension == "151"
    assert (report.answered_at, report.talk_seconds, report.waiting_seconds, report.duration_seconds) == (None, None, None, 20)


@pytest.mark.parametrize("phone", ["", "<unknown>", "Anonymous", "0001363", "+", "9" * 40])
def test_a_withheld_or_damaged_number_is_empty(phone: str) -> None:
    assert {report.phone for report in ended(status="0", phone=phone).told} == {""}


def test_a_talk_that_was_never_seen_to_end_has_no_length() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151")
    at.wait(4)
    talk.answer("151")
    told = told_of(at.posted)
    told.wait(20_000)
    report = told.hangups()[0]
    assert report.answered
    assert report.waiting_seconds == 4
    assert report.talk_seconds is None


def test_a_late_hangup_is_told_only_if_it_changes_something() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151")
    at.wait(4)
    talk.answer("151")
    at.wait(10)
    talk.end()
    told = told_of(at.posted[:-1])
    assert [report.kind for report in told.told] == [DIAL, HANGUP]
    # Brought back from the log an hour later, as a lane does.
    again = Told()
    again.restart(told)
    again.now += timedelta(hours=1)
    hangup = at.posted[-1]
    again.post(hangup.kind, {**hangup.body, "EndTime": "2026-11-23 11:02:00"})
    assert [(report.kind, report.call_id, report.ended_at) for report in again.told] == [
        (HANGUP, 1, datetime(2026, 11, 23, 8, 2, tzinfo=UTC))
    ]
    again.post(hangup.kind, {**hangup.body, "EndTime": "2026-11-23 11:02:00", "Token": "another body"})
    assert len(again.told) == 1


# ---------------------------------------------------------------------- any order


@given(talks())
def test_every_event_twice_tells_the_same(script: list[Posted]) -> None:
    assert told_of([posted for posted in script for _ in range(2)]).hangups() == told_of(script).hangups()


@given(st.data())
def test_whatever_is_lost_or_late_every_report_is_sound_and_the_end_is_told_of_each_call(data: st.DataObject) -> None:
    told = told_of(data.draw(disturbed(data.draw(talks()))))
    for report in told.told:
        assert_sound(report)
    assert {report.call_id for report in told.hangups()} == set(told.records)


@given(st.data())
def test_the_same_facts_in_another_order_are_told_alike(data: st.DataObject) -> None:
    script = data.draw(talks())
    places = [(index + data.draw(st.floats(0, 3, allow_nan=False)), index) for index in range(len(script))]
    shuffled = [script[index] for _, index in sorted(places)]
    first, second = told_of(script), told_of(shuffled)
    (one,), (other,) = first.hangups(), second.hangups()
    # When the customer talked, and when he went without a hangup, only the order and the clock of the events tell.
    unclear = ["call_id", "answered_at", "talk_seconds", "waiting_seconds"]
    if any(record.closed_by != HANGUP for told in (first, second) for record in told.records.values()):
        unclear += ["started_at", "ended_at", "duration_seconds"]
    assert _without(one, unclear) == _without(other, unclear)


@given(st.data())
def test_after_a_restart_at_any_event_nothing_is_told_twice_and_nothing_is_forgotten(data: st.DataObject) -> None:
    script = data.draw(talks() | talks().flatmap(disturbed))
    at = data.draw(st.integers(0, len(script)))
    before, after, whole = Told(), Told(), Told()
    _post(before, script[:at])
    _post(whole, script)
    after.restart(before)
    _post(after, script[at:], since=max((posted.at_seconds for posted in script[:at]), default=0.0))
    for told in (whole, after):
        told.wait_for_the_end()
    # An end by a deadline is in no event, so it is told again where no event has come since: the store has that row already.
    assert _news([*before.told, *after.told]) == whole.told


def _post(told: Told, script: Iterable[Posted], *, since: float = 0.0) -> None:
    last = since
    for posted in script:
        told.post(posted.kind, posted.body, after_seconds=max(posted.at_seconds - last, 0.0))
        last = max(posted.at_seconds, last)


def _news(told: Iterable[CallReport]) -> list[CallReport]:
    last: dict[tuple[int, ReportKind], CallReport] = {}
    news: list[CallReport] = []
    for report in told:
        if last.get((report.call_id, report.kind)) != report:
            last[report.call_id, report.kind] = report
            news.append(report)
    return news


def _without(report: CallReport, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in attrs.asdict(report).items() if name not in names}


def _with_calls(told: Playback) -> list[StoredEvent]:
    return [attrs.evolve(event, call_id=call_id) for event in told.stored if (call_id := told.call_ids.get(event.event_id)) is not None]


# ---------------------------------------------------------------------- one webhook alone

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ENDED = {"StartTime": "2026-11-23 11:00:00", "DateReceived": "2026-11-23 11:00:00", "EndTime": "2026-11-23 11:00:20"}


def report_alone(kind: str, body: Mapping[str, Any], rules: Mapping[str, LineRule] | None = None) -> CallReport | None:
    event = decode(kind, {"UniqueId": "1795420800.1", **body}, event_id=0, at=AT, zone=ZONE)
    assert isinstance(event, Dial | Hangup)
    return report_of_event(event, rules=rules or {})


def told_alone(kind: str, body: Mapping[str, Any]) -> CallReport:
    report = report_alone(kind, body)
    assert report is not None
    return report


def test_a_dial_alone() -> None:
    report = told_alone("dial", {"Phone": "+375290001234", "CallType": 0, "Trunk": LINE, "Extensions": ["150", "151", MOBILE]})
    assert report == CallReport(
        kind=DIAL,
        call_id=0,
        unique_id="1795420800.1",
        direction=Direction.INCOMING,
        phone=CUSTOMER,
        line=LINE,
        extensions=("150", "151"),
        started_at=AT,
    )


def test_an_answered_hangup_alone() -> None:
    report = told_alone(
        "hangup", {"Phone": CUSTOMER, "CallType": "0", "CallStatus": "2", "Trunk": LINE, "Extensions": ["SIP/151"], **ENDED}
    )
    assert report == CallReport(
        kind=HANGUP,
        call_id=0,
        unique_id="1795420800.1",
        direction=Direction.INCOMING,
        phone=CUSTOMER,
        line=LINE,
        extensions=("151",),
        extension="151",
        started_at=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        ended_at=datetime(2026, 11, 23, 8, 0, 20, tzinfo=UTC),
        duration_seconds=20,
        answered=True,
    )


def test_a_missed_hangup_alone_was_waited_through() -> None:
    report = told_alone("hangup", {"Phone": CUSTOMER, "CallType": 0, "CallStatus": "1", "Extensions": ["150&151"], **ENDED})
    assert (report.extensions, report.extension, report.answered, report.busy) == (("150", "151"), "", False, True)
    assert (report.duration_seconds, report.waiting_seconds, report.talk_seconds) == (20, 20, 0)
    assert not told_alone("hangup", {"Phone": CUSTOMER, "CallType": 0, "CallStatus": "1", "Extensions": [""], **ENDED}).busy


def test_a_mobile_that_answered_alone() -> None:
    report = told_alone("hangup", {"Phone": CUSTOMER, "CallType": 0, "CallStatus": "2", "Extensions": [MOBILE], **ENDED})
    assert (report.mobile, report.extension, report.extensions) == (MOBILE, "", ())


def test_the_rule_of_the_line_is_applied_alone_too() -> None:
    body = {"Phone": "80290001234", "CallType": 0, "TrunkId": LINE, "Extensions": ["151"]}
    report = report_alone("dial", body, {LINE: LineRule("375", 9)})
    assert report is not None
    assert (report.phone, report.line) == (CUSTOMER, LINE)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        # By CallType.
        ({"CallType": 1, "Phone": CUSTOMER, "Extensions": ["151"]}, ("outgoing", CUSTOMER, "151")),
        ({"CallType": 1, "Phone": CUSTOMER, "Extensions": [""]}, ("outgoing", CUSTOMER, "")),
        ({"CallType": 1, "Phone": CUSTOMER, "CallerIDNum": "152", "Extensions": []}, ("outgoing", CUSTOMER, "152")),
        ({"CallType": 1, "CallerIDNum": "152", "Extensions": [CUSTOMER]}, ("outgoing", CUSTOMER, "152")),
        ({"CallType": 1, "Phone": CUSTOMER, "Extensions": [CUSTOMER]}, ("outgoing", CUSTOMER, "")),
        ({"CallType": 0, "CallerIDNum": CUSTOMER, "Extensions": ["151"]}, ("incoming", CUSTOMER, "151")),
        ({"CallType": 0, "ConnectedLineNum": CUSTOMER, "Extensions": ["151"]}, ("incoming", CUSTOMER, "151")),
        ({"CallType": 0, "Phone": CUSTOMER, "InternalCode": "151"}, ("incoming", CUSTOMER, "151")),
        ({"CallType": 0, "Phone": "Anonymous", "Extensions": ["151"]}, ("incoming", "", "151")),
        ({"CallType": 2, "Phone": "151", "Extensions": ["152"]}, None),
        # CallType says what the numbers refute.
        ({"CallType": 0, "Phone": "152", "Extensions": ["151"]}, None),
        ({"CallType": 1, "Phone": "152", "Extensions": ["151"]}, None),
        ({"CallType": 1, "Phone": MOBILE, "Extensions": [CUSTOMER]}, None),
        ({"CallType": 2, "Phone": CUSTOMER, "Extensions": ["152"]}, None),
        # By the numbers.
        ({"Phone": CUSTOMER, "CallerIDNum": "151"}, ("outgoing", CUSTOMER, "151")),
        ({"CallerIDNum": "151", "Extensions": [CUSTOMER]}, ("outgoing", CUSTOMER, "151")),
        ({"CallerIDNum": "151", "ConnectedLineNum": CUSTOMER}, ("outgoing", CUSTOMER, "151")),
        ({"Phone": "151", "Extensions": [CUSTOMER]}, ("outgoing", CUSTOMER, "151")),
        ({"CallerIDNum": CUSTOMER, "Extensions": ["151"]}, ("incoming", CUSTOMER, "151")),
        ({"Phone": CUSTOMER, "Extensions": ["151"]}, ("incoming", CUSTOMER, "151")),
        ({"Phone": CUSTOMER, "Extensions": ["151"], "CallType": "?"}, ("incoming", CUSTOMER, "151")),
        ({"CallerIDNum": "151", "Extensions": ["152"]}, None),
        ({"Phone": "151", "Extensions": ["152"]}, None),
        ({"Phone": "", "Extensions": ["151"]}, ("incoming", "", "151")),
        ({"Phone": "Anonymous"}, None),
    ],
)
@pytest.mark.parametrize("kind", ["dial", "hangup"])
def test_which_way_a_webhook_alone_goes(kind: str, body: Mapping[str, Any], wanted: tuple[str, str, str] | None) -> None:
    report = report_alone(kind, body)
    assert (report and (report.direction.value, report.phone, report.extension)) == wanted


def test_a_customer_who_hangs_up_after_a_transfer_has_called_us() -> None:
    body = {"CallType": 2, "CallStatus": "2", "Phone": CUSTOMER, "Extensions": ["152"], **ENDED}
    assert told_alone("hangup", body).direction is Direction.INCOMING
    # The channel of one that we called has no StartTime; its own hangup tells the call.
    assert report_alone("hangup", {**body, "StartTime": ""}) is None


@pytest.mark.parametrize(
    ("times", "duration_seconds"),
    [
        ({}, None),
        ({"StartTime": "2026-11-23 11:00:00"}, None),
        ({"EndTime": "2026-11-23 11:00:20"}, None),
        ({"StartTime": "2026-11-23 11:00:30", "EndTime": "2026-11-23 11:00:20"}, None),
        ({"StartTime": "rubbish", "EndTime": "2026-11-23 11:00:20", "DateReceived": "2026-11-23 11:00:05"}, 15),
        ({"StartTime": "2026-11-23T08:00:00Z", "EndTime": "2026-11-23T11:00:20"}, 20),
        ({"StartTime": "2026-11-23 11:00:20", "EndTime": "2026-11-23 11:00:20"}, 0),
    ],
)
def test_a_hangup_alone_has_a_length_only_if_it_says_one(times: Mapping[str, str], duration_seconds: int | None) -> None:
    # 1.1 is no time of this century.
    report = told_alone("hangup", {"UniqueId": "1.1", "CallType": 0, "CallStatus": "0", "Phone": CUSTOMER, "Extensions": ["151"], **times})
    assert (report.duration_seconds, report.waiting_seconds) == (duration_seconds, duration_seconds)
    assert (report.ended_at is None) == ("EndTime" not in times)


@pytest.mark.parametrize("recording", RECORDED, ids=str)
def test_the_webhooks_of_a_recorded_call_alone_tell_its_direction_and_customer(recording: Recording) -> None:
    told = told_of_recording(recording.webhooks)
    whole = {(report.direction, report.phone) for report in told.told}
    primaries = {report.unique_id: report for report in told.hangups()}
    for webhook in recording.webhooks:
        if webhook.kind not in ("dial", "hangup"):
            continue
        alone = report_alone(webhook.kind, webhook.body)
        of_primary = primaries.get(webhook.body["UniqueId"])
        if of_primary is None:
            # A leg of its call: nothing, but where an extension asks a mobile, which alone is a call like any other.
            assert alone is None or (alone.direction, alone.phone) in whole or alone.direction is Direction.OUTGOING
        else:
            assert alone is not None
            assert (alone.direction, alone.phone) == (of_primary.direction, of_primary.phone)
            if webhook.kind == "hangup" and of_primary.duration_seconds is not None and of_primary.ended_at == alone.ended_at:
                assert abs((alone.duration_seconds or 0) - of_primary.duration_seconds) <= 1


@given(st.sampled_from(["dial", "hangup"]), BODIES)
def test_no_body_of_json_makes_an_unsound_report(kind: str, body: dict[str, Any]) -> None:
    clean = json.loads(json.dumps(body).replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null"))
    event = decode(kind, {**clean, "UniqueId": "7.7"}, event_id=0, at=AT, zone=ZONE)
    assert isinstance(event, Dial | Hangup)
    report = report_of_event(event, rules={LINE: LineRule("375", 9)})
    if report is not None:
        if report.kind is HANGUP and report.answered is False:
            assert report.waiting_seconds == report.duration_seconds
        assert report.started_at.tzinfo is UTC
        assert report.ended_at is None or report.ended_at >= report.started_at
