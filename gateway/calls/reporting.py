"""What a CRM is told of a call, drawn from its facts and marks, or from one webhook where that is all there is. Pure.

Times are the host's. When the customer first talked is told only by the arrival of bridge events, so our clock is brought to the host's:
what both clocks have seen (the begin, the ends) differs by how far apart they are, plus a delay that is never negative, so the least
difference is the best.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import assert_never

import attrs

from gateway.calls.call import Call
from gateway.calls.closing import HANGUP
from gateway.calls.events import Dial, Hangup
from gateway.calls.parties import Direction, Party, PartyKind, Stage
from gateway.calls.phones import is_internal, is_unknown
from gateway.calls.profile import Profile, is_outside, same_number
from gateway.calls.progress import answered, rung_extensions
from gateway.calls.report import CallReport, ReportKind
from gateway.calls.summary import LineRules, line_of, outside_of, people_of
from gateway.calls.times import Span, span_of

_BUSY = "1"
_INCOMING, _OUTGOING, _INTERNAL = 0, 1, 2


def report_of(call: Call, profile: Profile, rules: LineRules, kind: ReportKind) -> CallReport | None:
    """What CRMs are told of a call as it stands; None of an internal call, and of the end of one that has not ended."""
    if profile.direction is Direction.INTERNAL:
        return None
    match kind:
        case ReportKind.DIAL:
            return _dial_of(call, profile, rules)
        case ReportKind.HANGUP:
            return _hangup_of(call, profile, rules) if call.closed_by else None
        case ReportKind.RECORDING:
            # No event of a call tells of its recording: the store makes the report out of that of the end.
            return None
        case _:
            assert_never(kind)


def report_of_event(event: Dial | Hangup, *, rules: LineRules) -> CallReport | None:
    """What CRMs are told when nothing but one webhook is known; None when it is not that of an external call of its own.

    `call_id` is 0. The direction is that of CallType, but where the numbers show that it cannot be; without one the numbers tell. Nothing
    is known then of bridges: neither `answered_at` nor how long anybody talked.
    """
    profile = _profile_of_event(event)
    if profile is None:
        return None
    call = Call(0, event.at, event.at, event.event_id, data_source=event.data_source)
    call_type = _INCOMING if profile.direction is Direction.INCOMING else _OUTGOING
    if isinstance(event, Dial):
        call.dials.append(attrs.evolve(event, call_type=call_type, extensions=_extensions_of_event(event)))
        report = _dial_of(call, profile, rules)
    else:
        told = attrs.evolve(event, call_type=call_type, extensions=_extensions_of_event(event))
        if told.extensions:
            call.dials.append(_ring_of(told, call_type))
        call.hangups[event.unique_id] = told
        call.closed_by, call.closed_at = HANGUP, event.at
        report = _without_guesses(event, _hangup_of(call, profile, rules))
    return attrs.evolve(report, unique_id=event.unique_id)


def _dial_of(call: Call, profile: Profile, rules: LineRules) -> CallReport:
    line = line_of(call, profile)
    # Whoever talks already has been rung, even if nobody has told us.
    people = people_of(call, profile, Stage.DIAL) or people_of(call, profile, Stage.TALK)
    ringing = dict.fromkeys(_numbers(people, PartyKind.EXTENSION))
    extensions = tuple(dict.fromkeys([*(number for number in rung_extensions(call) if number in ringing), *ringing]))
    return CallReport(
        kind=ReportKind.DIAL,
        call_id=call.call_id,
        unique_id=_unique_id(call, profile),
        direction=profile.direction,
        phone=_phone(profile, line, rules),
        line=line,
        extensions=extensions,
        extension=extensions[0] if len(extensions) == 1 else "",
        started_at=call.first_at,
        recovered=call.data_source != "live",
    )


def _hangup_of(call: Call, profile: Profile, rules: LineRules) -> CallReport:
    line, span, is_answered = line_of(call, profile), span_of(call, profile), answered(call, profile)
    people = people_of(call, profile, Stage.FINAL)
    extensions = _numbers(people, PartyKind.EXTENSION)
    mobiles = _numbers(people, PartyKind.MOBILE) if is_answered else ()
    talk_seconds, waiting_seconds = _talk_and_waiting(call, profile, span, is_answered=is_answered)
    knows_when = is_answered and waiting_seconds is not None
    return CallReport(
        kind=ReportKind.HANGUP,
        call_id=call.call_id,
        unique_id=_unique_id(call, profile),
        direction=profile.direction,
        phone=_phone(profile, line, rules),
        line=line,
        extensions=extensions,
        extension=extensions[0] if len(extensions) == 1 else "",
        mobile=mobiles[0] if mobiles else "",
        transfers=tuple([party.number for party in call.chain]) if len(call.chain) > 1 else (),
        started_at=span.began,
        answered_at=span.began + timedelta(seconds=waiting_seconds or 0) if knows_when else None,
        ended_at=span.ended,
        duration_seconds=span.seconds,
        talk_seconds=talk_seconds,
        waiting_seconds=waiting_seconds,
        answered=is_answered,
        busy=not is_answered and _is_busy(call, profile),
        recovered=call.data_source != "live",
    )


def _unique_id(call: Call, profile: Profile) -> str:
    # A damaged start may have no UniqueId; calls without one must still be told apart.
    return profile.primary or next(iter(call.legs), "") or str(call.call_id)


def _phone(profile: Profile, line: str, rules: LineRules) -> str:
    number = outside_of(profile, line, rules)
    return "" if is_unknown(number) else number


def _numbers(people: Iterable[Party], kind: PartyKind) -> tuple[str, ...]:
    return tuple([party.number for party in people if party.kind is kind])


def _main_hangups(call: Call, profile: Profile) -> list[Hangup]:
    """The hangups of the customer's side and of ours; not those of consultations and mobiles."""
    return [call.hangups[key] for key in dict.fromkeys((profile.primary, *profile.anchors, *profile.ours)) if key in call.hangups]


def _is_busy(call: Call, profile: Profile) -> bool:
    """Whether the host says busy. It sends the same status for a customer who gives up in the greeting; then nobody was dialled."""
    return bool(call.dials) and any(hangup.call_status == _BUSY for hangup in _main_hangups(call, profile))


# ---------------------------------------------------------------------- times


def _talk_and_waiting(call: Call, profile: Profile, span: Span, *, is_answered: bool) -> tuple[int | None, int | None]:
    """How long the customer talked and waited, whole seconds that fit into the length of the call; None where no bridge tells."""
    longest = span.seconds
    if not is_answered:
        return 0, longest
    if call.first_talk_at is None or not call.chain:
        return None, None
    # A talk that has not been seen to end was not measured.
    talked = max(round(call.talk_seconds), 0) if call.talk_began_at is None else None
    talked = min(talked, longest) if talked is not None and longest is not None else talked
    waited = max(round((call.first_talk_at - _ahead(call, profile, span) - span.began).total_seconds()), 0)
    return talked, waited if longest is None else min(waited, longest - (talked or 0))


def _ahead(call: Call, profile: Profile, span: Span) -> timedelta:
    """How far our clock is ahead of the host's."""
    differences = [call.first_at - span.began]
    differences += [hangup.at - hangup.end_time for hangup in _main_hangups(call, profile) if hangup.end_time is not None]
    return min(differences)


def _without_guesses(event: Hangup, report: CallReport) -> CallReport:
    """Of a single webhook the time of its arrival says nothing: it may be an old one that is told now."""
    if event.end_time is None:
        return attrs.evolve(report, ended_at=None, duration_seconds=None, waiting_seconds=None)
    if report.started_at == event.end_time and event.end_time not in (event.start_time, event.date_received):
        return attrs.evolve(report, duration_seconds=None, waiting_seconds=None)
    return report


# ---------------------------------------------------------------------- one webhook alone


def _profile_of_event(event: Dial | Hangup) -> Profile | None:
    direction = _direction_of_event(event)
    if direction is None:
        return None
    if direction is Direction.INCOMING:
        outside = next((number for number in (event.phone, event.caller, event.connected) if is_outside(number)), "")
        return Profile(direction=direction, primary=event.unique_id, anchors=(event.unique_id,), outside=outside)
    called = (event.phone, *event.extensions, event.connected, event.caller)
    if is_internal(event.caller):
        # The caller is told apart, so what stands among the extensions is who is called.
        called = (*event.extensions, event.phone, event.connected)
    ours = (event.caller, event.internal_code, *event.extensions, event.connected, event.phone)
    return Profile(
        direction=direction,
        primary=event.unique_id,
        anchors=(),
        ours=(event.unique_id,),
        outside=next((number for number in called if is_outside(number)), ""),
        extension=next((number for number in ours if is_internal(number)), ""),
    )


def _direction_of_event(event: Dial | Hangup) -> Direction | None:
    """Which way the call of a webhook goes; None when it is internal, or a leg of another call that has webhooks of its own."""
    nobody_outside = not any(is_outside(number) for number in (event.phone, event.caller, event.connected))
    among_us = nobody_outside and (is_internal(event.phone) or is_internal(event.caller))
    match event.call_type:
        case 0:
            # A department's call has call type 0 too; a withheld number is nobody's, not one of ours.
            return None if among_us else Direction.INCOMING
        case 1:
            return Direction.OUTGOING if _is_outgoing(event, among_us=among_us) else None
        case 2:
            # The customer's own channel, after a transfer: it dies where colleagues' do, but only calls from outside have a StartTime.
            is_customer = isinstance(event, Hangup) and is_outside(event.phone) and event.start_time is not None
            return Direction.INCOMING if is_customer else None
        case _:
            return _direction_by_numbers(event, among_us=among_us)


def _is_outgoing(event: Dial | Hangup, *, among_us: bool) -> bool:
    if among_us:
        return is_internal(event.caller) and any(is_outside(number) for number in event.extensions)
    first = event.extensions[0] if event.extensions else ""
    # A customer as the caller: an employee's mobile is rung inside of another call.
    return is_internal(event.caller) or not (is_outside(first) and is_outside(event.phone) and not same_number(first, event.phone))


def _direction_by_numbers(event: Dial | Hangup, *, among_us: bool) -> Direction | None:
    asks_outside = any(is_outside(number) for number in event.extensions)
    if is_internal(event.caller) or (is_internal(event.phone) and not is_outside(event.caller)):
        return None if among_us and not asks_outside else Direction.OUTGOING
    # A withheld number is possible; a call of which nothing at all is known is none.
    known = (event.phone, event.caller, event.connected, event.internal_code, *event.extensions)
    return Direction.INCOMING if any(known) else None


def _extensions_of_event(event: Dial | Hangup) -> tuple[str, ...]:
    """Those that a webhook names on our side; where the list is missing the other fields may know one."""
    others = (event.internal_code, event.connected, event.caller)
    return event.extensions or tuple([number for number in others if is_internal(number)][:1])


def _ring_of(hangup: Hangup, call_type: int) -> Dial:
    """The ring that a hangup speaks of."""
    return Dial(
        event_id=hangup.event_id,
        at=hangup.at,
        unique_id=hangup.unique_id,
        phone=hangup.phone,
        extensions=hangup.extensions,
        call_type=call_type,
        trunk=hangup.trunk,
    )
