"""Who is who in a call: direction, primary id, the customer's number and legs, our side. Drawn from the facts, whatever their order.

Rules (from the hosts' behaviour):
1. A start, or a dial of call type 0, makes an incoming call; a dial of call type 1 an outgoing one, unless an incoming call contains it:
   then it rings an employee's mobile. A hangup's call type tells where a channel died and decides only where nothing else is known.
2. Without start and dial the shape of the legs tells: a line in Exten on a trunk leg = incoming; an outside number in Exten on a telephone
   = outgoing; two telephones in a bridge = internal; a trunk leg and a telephone = whoever was created first calls.
3. The customer's leg is the primary one (incoming) or the trunk legs that called the customer's number (outgoing). It survives transfers.
   Other trunk legs are employees' mobiles. In an internal call the caller's telephone stands in the customer's place, or, when the caller
   has transferred the called one to a third and is gone, the called one's.
"""

from collections.abc import Iterable

import attrs

from gateway.calls.call import Call, Leg
from gateway.calls.channels import ChannelId, ChannelKind, parse_unique_id
from gateway.calls.events import Dial, Hangup
from gateway.calls.parties import Direction
from gateway.calls.phones import is_internal

# Two spellings of one number (375…, 80…, bare) share at least this many last digits.
_SIGNIFICANT_DIGITS = 9
_NO_ID = ChannelId(1 << 62, 0)


@attrs.frozen(kw_only=True, slots=False)
class Profile:
    """The conclusions. `primary` and `anchors` are UniqueIds; `anchors` are the customer's legs (internal: the caller's); `ours` the legs
    whose hangup may end an outgoing call. `outside` is "" when unknown or internal; `extension` is who calls (outgoing, internal).
    """

    direction: Direction
    primary: str
    anchors: tuple[str, ...]
    ours: tuple[str, ...] = ()
    outside: str = ""
    extension: str = ""
    from_crm: bool = False


def same_number(one: str, other: str) -> bool:
    """Whether two spellings are the same outside number."""
    if one == other:
        return bool(one)
    if len(one) < _SIGNIFICANT_DIGITS or len(other) < _SIGNIFICANT_DIGITS:
        return False
    return one[-_SIGNIFICANT_DIGITS:] == other[-_SIGNIFICANT_DIGITS:]


def is_outside(number: str) -> bool:
    """Whether a number is known and not an extension."""
    return bool(number) and not is_internal(number)


def created(unique_id: str) -> ChannelId:
    """The creation order of a channel; unreadable ids come last."""
    return parse_unique_id(unique_id) or _NO_ID


def calls_mobile(dial: Dial) -> bool:
    """Whether a dial of call type 1 names the customer as the caller: it rings an employee's mobile inside an incoming call."""
    first = dial.extensions[0] if dial.extensions else ""
    return dial.call_type == 1 and is_outside(first) and not same_number(first, dial.phone)


def profile_of(call: Call) -> Profile | None:
    """Draw the conclusions; None while the facts do not tell what this is (a piece)."""
    rings = [dial for dial in call.dials if dial.call_type == 0]
    if call.start is not None or any(not is_internal(dial.phone) for dial in rings):
        return _incoming(call, rings)
    outgoing = [dial for dial in call.dials if dial.call_type == 1 and not calls_mobile(dial)]
    if outgoing:
        return _outgoing(call, min(outgoing, key=lambda dial: (created(dial.unique_id), dial.event_id)))
    if rings or any(dial.call_type == 2 and is_internal(dial.phone) for dial in call.dials):
        return _internal(call)
    return _by_shape(call) or _by_hangup(call)


def _incoming(call: Call, rings: list[Dial]) -> Profile:
    if call.start is not None:
        primary = call.start.unique_id
    elif rings:
        primary = rings[0].unique_id
    else:
        primary = _first(leg for leg in _of_kind(call, ChannelKind.TRUNK))
    hangup = call.hangups.get(primary)
    leg = call.legs.get(primary)
    # A GSM line may put its own id into start; the dial, which comes later, knows the caller.
    numbers = [dial.phone for dial in reversed(rings)]
    numbers += [call.start.phone if call.start else "", leg.caller if leg else "", hangup.phone if hangup else ""]
    return Profile(direction=Direction.INCOMING, primary=primary, anchors=(primary,), outside=_first_outside(numbers))


def _first_outside(numbers: Iterable[str]) -> str:
    for number in numbers:
        if is_outside(number):
            return number
    return ""


def _outgoing(call: Call, dial: Dial | None, outside: str = "", primary: str = "") -> Profile:
    telephones = _of_kind(call, ChannelKind.EXTENSION)
    if dial is not None:
        primary, outside = dial.unique_id, dial.phone
    trunks = [leg.unique_id for leg in _of_kind(call, ChannelKind.TRUNK) if same_number(leg.caller, outside)]
    # A CRM rings the telephone first: its channel is older than the one that dials.
    early = [leg for leg in telephones if leg.unique_id != primary and created(leg.unique_id) < created(primary)]
    hangup = call.hangups.get(primary)
    candidates = [
        *(dial.extensions if dial else ()),
        _number_of(call.legs.get(primary)),
        *(leg.channel.peer for leg in sorted(early, key=lambda leg: created(leg.unique_id))),
        *(hangup.extensions if hangup else ()),
        *(leg.channel.peer for leg in telephones),
    ]
    return Profile(
        direction=Direction.OUTGOING,
        primary=primary,
        anchors=tuple(trunks),
        ours=(primary, *(leg.unique_id for leg in early)),
        outside=outside if is_outside(outside) else "",
        extension=next((number for number in candidates if is_internal(number)), ""),
        from_crm=bool(early),
    )


def _internal(call: Call) -> Profile:
    hangups = [hangup for hangup in call.hangups.values() if is_internal(hangup.phone)]
    telephones = sorted(_of_kind(call, ChannelKind.EXTENSION), key=lambda leg: created(leg.unique_id))
    dial = next((dial for dial in call.dials if is_internal(dial.phone)), None)
    callers = [leg for leg in telephones if leg.exten]
    primary = dial.unique_id if dial else (callers or telephones)[0].unique_id if telephones else hangups[0].unique_id
    stayer = _who_stays(call, telephones, primary) if primary in call.hangups else None
    if stayer is not None:
        return Profile(direction=Direction.INTERNAL, primary=primary, anchors=(stayer.unique_id,), extension=stayer.channel.peer)
    hangup = call.hangups.get(primary)
    number = _number_of(call.legs.get(primary)) or (dial.phone if dial else "") or (hangup.phone if hangup else "")
    return Profile(direction=Direction.INTERNAL, primary=primary, anchors=(primary,), extension=number if is_internal(number) else "")


def _who_stays(call: Call, telephones: list[Leg], caller: str) -> Leg | None:
    """The called telephone that the caller has transferred to a third one: it met the caller in one bridge and another telephone in a
    later.
    """
    for leg in telephones:
        met = [{key for key in call.bridges[bridge_id].ever if key != leg.unique_id} for bridge_id in leg.bridge_ids]
        third = {other.unique_id for other in telephones} - {leg.unique_id, caller}
        if (
            leg.unique_id != caller
            and len(met) > 1
            and any(caller in others for others in met)
            and met[-1] & third
            and caller not in met[-1]
        ):
            return leg
    return None


def _by_shape(call: Call) -> Profile | None:
    trunks = _of_kind(call, ChannelKind.TRUNK)
    telephones = _of_kind(call, ChannelKind.EXTENSION)
    for leg in trunks:
        if leg.exten and not is_internal(leg.exten) and leg.exten.isdigit() and not same_number(leg.exten, leg.caller):
            return _incoming_by(call, leg)
    for leg in telephones:
        if is_outside(leg.exten) and leg.exten.isdigit():
            return _outgoing(call, None, outside=leg.exten, primary=leg.unique_id)
    if len(telephones) > 1 and not trunks and _share_a_bridge(call, telephones):
        return _internal(call)
    if trunks and telephones and _share_a_bridge(call, [*trunks, *telephones]):
        first = min((*trunks, *telephones), key=lambda leg: created(leg.unique_id))
        if first in trunks:
            return _incoming_by(call, first)
        return _outgoing(call, None, outside=trunks[0].caller, primary=first.unique_id)
    return None


def _incoming_by(call: Call, leg: Leg) -> Profile:
    hangup = call.hangups.get(leg.unique_id)
    outside = leg.caller or (hangup.phone if hangup else "")
    return Profile(
        direction=Direction.INCOMING, primary=leg.unique_id, anchors=(leg.unique_id,), outside=outside if is_outside(outside) else ""
    )


def _by_hangup(call: Call) -> Profile | None:
    for hangup in call.hangups.values():
        if hangup.unique_id in call.legs and len(call.legs) > 1:
            continue
        found = _by_one_hangup(call, hangup)
        if found is not None:
            return found
    return None


def _by_one_hangup(call: Call, hangup: Hangup) -> Profile | None:
    if is_internal(hangup.phone):
        # A department's call has call type 0 and no line; a REFERred leg has the customer's line. Status "1" with nobody dialled is a
        # telephone that merely rang, or a call to a service of the PBX.
        department = hangup.call_type == 0 and not hangup.trunk
        if not (department or hangup.call_type == 2) or (hangup.call_status == "1" and not hangup.extensions):
            return None
        return Profile(direction=Direction.INTERNAL, primary=hangup.unique_id, anchors=(hangup.unique_id,), extension=hangup.phone)
    if not is_outside(hangup.phone):
        return None
    if hangup.call_type == 0:
        return Profile(direction=Direction.INCOMING, primary=hangup.unique_id, anchors=(hangup.unique_id,), outside=hangup.phone)
    first = hangup.extensions[0] if hangup.extensions else ""
    if hangup.call_type == 1 and not is_outside(first):
        return _outgoing(call, None, outside=hangup.phone, primary=hangup.unique_id)
    return None


def _of_kind(call: Call, kind: ChannelKind) -> list[Leg]:
    return [leg for leg in call.legs.values() if leg.channel.kind is kind]


def _first(legs: Iterable[Leg]) -> str:
    return min((leg.unique_id for leg in legs), key=created, default="")


def _number_of(leg: Leg | None) -> str:
    if leg is None:
        return ""
    return leg.channel.peer if leg.channel.kind is ChannelKind.EXTENSION else ""


def _share_a_bridge(call: Call, legs: list[Leg]) -> bool:
    wanted = {leg.unique_id for leg in legs}
    return any(not state.holding and len(wanted.intersection(state.ever)) > 1 for state in call.bridges.values())
