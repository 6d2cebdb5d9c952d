"""What is owed to whom for one report."""

from datetime import UTC, datetime

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmKind
from gateway.crm.owing import owed_of

BEGUN = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
DIAL = CallReport(
    kind=ReportKind.DIAL,
    call_id=7,
    unique_id="1.1",
    direction=Direction.INCOMING,
    phone="375290001234",
    line="0001363",
    extensions=("151", "152"),
    started_at=BEGUN,
)
HANGUP = attrs.evolve(
    DIAL,
    kind=ReportKind.HANGUP,
    extensions=("152",),
    extension="152",
    mobile="375290005678",
    transfers=("151", "152"),
    answered_at=BEGUN.replace(second=5),
    ended_at=BEGUN.replace(minute=1),
    duration_seconds=60,
    talk_seconds=55,
    waiting_seconds=5,
    answered=True,
    recording_url="https://records.example/1.mp3",
)
EVERY = tuple(CrmKind)


def test_nobody_is_owed_anything_where_no_crm_is_enabled() -> None:
    assert owed_of((), DIAL) == owed_of((), HANGUP) == ()


def test_a_dial_is_owed_once_to_every_crm() -> None:
    owed = owed_of((*EVERY, CrmKind.OWN), DIAL)
    assert [each.crm for each in owed] == [kind.value for kind in EVERY]
    assert all(each.report is DIAL for each in owed)


def test_a_hangup_is_owed_to_every_crm_and_a_made_up_dial_to_retailcrm_before_it() -> None:
    owed = owed_of(EVERY, HANGUP)
    assert [each.report for each in owed if each.crm != CrmKind.RETAILCRM] == [HANGUP] * (len(EVERY) - 1)
    dial, hangup = (each.report for each in owed if each.crm == CrmKind.RETAILCRM)
    assert hangup is HANGUP
    assert (dial.kind, dial.synthetic, dial.call_id, dial.unique_id) == (ReportKind.DIAL, True, 7, "1.1")
    assert (dial.phone, dial.line, dial.extensions, dial.extension, dial.started_at) == ("375290001234", "0001363", ("152",), "152", BEGUN)


def test_a_made_up_dial_says_nothing_of_the_end() -> None:
    (dial, _) = (each.report for each in owed_of((CrmKind.RETAILCRM,), HANGUP))
    assert attrs.evolve(dial, synthetic=False, extension="", extensions=("151", "152")) == DIAL


def test_what_is_recovered_hours_later_rings_nobody() -> None:
    recovered = attrs.evolve(HANGUP, recovered=True)
    assert [each.report for each in owed_of(EVERY, recovered)] == [recovered] * len(EVERY)
