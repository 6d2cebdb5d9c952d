"""The draft of a step: what of several changes is written."""

from datetime import UTC, datetime

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.cards.board import Changes, Settled
from gateway.nurseries.draft import Draft
from gateway.ports import CustomerProfile, NamedCustomer, Owed

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def report(call_id: int, kind: ReportKind, *extensions: str) -> CallReport:
    return CallReport(
        kind=kind,
        call_id=call_id,
        unique_id=f"{call_id}.1",
        direction=Direction.INCOMING,
        phone="375290001234",
        extensions=extensions,
        started_at=AT,
    )


def reports(*changes: Changes) -> list[CallReport]:
    draft = Draft()
    for each in changes:
        draft.add(each)
    return list(draft.reports)


def test_the_newest_report_of_each_call_and_kind_counts_in_the_order_of_the_first() -> None:
    first, wider, other, end = report(1, DIAL, "151"), report(1, DIAL, "151", "152"), report(2, DIAL), report(1, HANGUP)
    assert reports(Changes(reports=(first,)), Changes(reports=(other,)), Changes(reports=(wider, end))) == [wider, other, end]


def test_what_an_absorbed_call_wanted_to_tell_is_dropped() -> None:
    survivor = report(1, DIAL, "151")
    absorbed = Changes(reports=(report(2, DIAL), report(2, HANGUP)))
    assert reports(absorbed, Changes(merged=((2, 1),), reports=(survivor,))) == [survivor]
    assert reports(absorbed, Changes(merged=((2, 1),))) == []


def test_what_is_owed_and_who_is_named_go_with_the_step() -> None:
    draft = Draft()
    assert draft.step("0367", is_shown=lambda _: False, released=()) is None
    draft.add(Changes(settled=(Settled(event_id=7, call_id=1),), reports=(report(1, DIAL),)))
    owed = Owed(crm="own", report=report(1, DIAL))
    named = NamedCustomer(phone="375290001234", profile=CustomerProfile(last_name="Иванов"), at=AT)
    step = draft.step("0367", is_shown=lambda _: False, released=(), owed=[owed], named=[named])
    assert step is not None
    assert (step.owed, step.named) == ((owed,), (named,))
