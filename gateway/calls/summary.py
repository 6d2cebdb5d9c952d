"""What is said of a call in words and rows: people, line, number. The one source of the card and of the record."""

from collections.abc import Iterable, Mapping

from gateway.calls.call import Call
from gateway.calls.channels import ChannelKind
from gateway.calls.parties import Direction, Party, PartyKind, Stage
from gateway.calls.phones import LineRule, apply_line_rule, is_internal
from gateway.calls.profile import Profile, is_outside
from gateway.calls.progress import answered, rung_extensions
from gateway.calls.record import CallRecord
from gateway.calls.times import span_of

LineRules = Mapping[str, LineRule]

_CALL_TYPES = {Direction.INCOMING: 0, Direction.OUTGOING: 1, Direction.INTERNAL: 2}
_ANSWERED = 2
_NOT_ANSWERED = 0


def line_of(call: Call, profile: Profile) -> str:
    """The line: incoming as called; outgoing the one really used. "" for internal calls."""
    if profile.direction is Direction.INTERNAL:
        return ""
    if profile.direction is Direction.INCOMING and call.start is not None and call.start.trunk:
        return call.start.trunk
    hangup = call.hangups.get(profile.primary)
    told = hangup.trunk if hangup else ""
    dials = [dial.trunk for dial in call.dials if dial.trunk and dial.unique_id == profile.primary]
    if profile.direction is Direction.INCOMING:
        candidates = [*dials, told, _exten_line(call, profile)]
    else:
        used = [call.legs[anchor].channel.peer for anchor in profile.anchors if call.legs[anchor].bridge_ids]
        candidates = [told, *reversed(used), *reversed(dials)]
    return next((line for line in candidates if line), "")


def outside_of(profile: Profile, line: str, rules: LineRules) -> str:
    """The customer's number, the rule of the line applied to incoming calls."""
    rule = rules.get(line) if profile.direction is Direction.INCOMING else None
    return profile.outside if rule is None else apply_line_rule(profile.outside, rule)


def people_of(call: Call, profile: Profile, stage: Stage) -> tuple[Party, ...]:
    """Our side of the call at a stage; see `gateway.cards.view.CallView.people`."""
    if profile.direction is Direction.INTERNAL:
        return _called_colleague(call, profile)
    match stage:
        case Stage.TALK:
            return call.talkers or tuple(call.chain[-1:])
        case Stage.FINAL if call.chain:
            return tuple(call.chain[-1:])
        case Stage.FINAL if profile.direction is Direction.INCOMING:
            return _answerer(call, profile) if answered(call, profile) else _extensions(rung_extensions(call))
        case Stage.DIAL if profile.direction is Direction.INCOMING:
            return _ringing(call)
        case _:
            return (Party(PartyKind.EXTENSION, profile.extension),) if profile.extension else ()


def record_of(call: Call, profile: Profile, rules: LineRules) -> CallRecord:
    """The row of a call that has ended."""
    span, line = span_of(call, profile), line_of(call, profile)
    internal = profile.direction is Direction.INTERNAL
    return CallRecord(
        call_id=call.call_id,
        unique_id=profile.primary,
        phone=profile.extension if internal else outside_of(profile, line, rules),
        extension=", ".join(party.number for party in people_of(call, profile, Stage.FINAL)),
        call_type=_CALL_TYPES[profile.direction],
        call_status=_ANSWERED if answered(call, profile) else _NOT_ANSWERED,
        trunk=line,
        date_received=span.began,
        date_end=span.ended,
        duration=span.seconds,
        talk_seconds=round(call.talk_seconds) if call.chain else None,
        transfers=" → ".join(party.number for party in call.chain) if len(call.chain) > 1 else "",
        closed_by=call.closed_by,
        data_source=call.data_source,
    )


def _called_colleague(call: Call, profile: Profile) -> tuple[Party, ...]:
    if call.chain:
        return tuple(call.chain[-1:])
    hangup = call.hangups.get(profile.primary)
    leg = call.legs.get(profile.primary)
    candidates = [
        *(hangup.extensions if hangup else ()),
        *(number for dial in call.dials for number in dial.extensions),
        leg.exten if leg else "",
        leg.connected if leg else "",
    ]
    return _extensions([number for number in candidates if is_internal(number) and number != profile.extension][:1])


def _answerer(call: Call, profile: Profile) -> tuple[Party, ...]:
    """Who answered where only the host's word tells: the last dialled peer of the main hangup, else the only one that rang."""
    hangup = call.hangups.get(profile.primary)
    told = [number for number in (hangup.extensions if hangup else ()) if number != profile.outside]
    rung = rung_extensions(call)
    numbers = told[:1] or (rung if len(rung) == 1 else ())
    return tuple(Party(PartyKind.MOBILE if is_outside(number) else PartyKind.EXTENSION, number) for number in numbers)


def _ringing(call: Call) -> tuple[Party, ...]:
    """Who rings now: the list of the last dial; mobiles only where nobody else rings."""
    last = next((dial for dial in reversed(call.dials) if dial.call_type == 0), None)
    if last is None:
        return ()
    inside = [number for number in last.extensions if is_internal(number)]
    return _extensions(inside) or tuple(Party(PartyKind.MOBILE, number) for number in last.extensions if is_outside(number))


def _extensions(numbers: Iterable[str]) -> tuple[Party, ...]:
    return tuple(Party(PartyKind.EXTENSION, number) for number in numbers)


def _exten_line(call: Call, profile: Profile) -> str:
    leg = call.legs.get(profile.primary)
    if leg is None or leg.channel.kind is not ChannelKind.TRUNK:
        return ""
    return leg.exten if leg.exten.isdigit() and not is_internal(leg.exten) else leg.channel.peer
