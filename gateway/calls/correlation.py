"""Which call a stray event belongs to, where no id says it. Rules D, E, F and G of the field, all within one enterprise.

Ids come first (`gateway.calls.switchboard`): the UniqueId, the bridge, the Local pair, the neighbouring id, Linkedid. What is left are
channels that have not met their call in a bridge yet and hangups of channels never seen. They are matched by numbers, newest call first,
and only where several keys agree: two calls of one customer, or a redial, must stay two. Where nothing is certain a piece waits for its
bridge.
"""

from collections.abc import Iterable, Sequence

from gateway.calls import events
from gateway.calls.call import Call, Leg
from gateway.calls.channels import ChannelKind
from gateway.calls.parties import Direction, Party, PartyKind
from gateway.calls.phones import is_internal
from gateway.calls.profile import calls_mobile, created, is_outside, same_number
from gateway.calls.progress import Known
from gateway.calls.talk import has_company, in_bridge


def find_dial(event: events.Dial, candidates: Sequence[Known]) -> Known | None:
    """Rule E: a dial of call type 1 that rings an employee's mobile inside an open call.

    Its caller is the customer (ring group), or an extension that has a consultation open which nobody has answered yet (attended transfer
    to follow-me). A dial of an extension without one is a new call, even if that extension is in another: a redial, or a second line.
    """
    if event.call_type != 1:
        return None
    first = event.extensions[0] if event.extensions else ""
    open_calls = [known for known in candidates if not known.call.closed_by]
    if calls_mobile(event):
        mine = [known for known in open_calls if known.profile is not None and same_number(known.profile.outside, first)]
        ringing = [known for known in mine if _rings(known.call, event.phone)]
        free = [
            known for known in ringing if not any(same_number(dial.phone, event.phone) for dial in known.call.dials if dial.call_type == 1)
        ]
        return _only_or_newest(
            free or ringing or [known for known in mine if known.profile and known.profile.direction is Direction.INCOMING]
        )
    if is_internal(first):
        return _only_or_newest([known for known in open_calls if _still_rings_somebody(known.call, first)])
    return _only_or_newest([known for known in open_calls if not first and _rings(known.call, event.phone)])


def find_channel(event: events.ChannelEvent, candidates: Sequence[Known], *, announces_transfer: bool) -> Known | None:
    """Rules D (trunk leg of a dial), F (consultation), G (target of a blind transfer) and the Local legs of a mobile."""
    open_calls = [known for known in candidates if not known.call.closed_by]
    match event.channel.kind:
        case ChannelKind.TRUNK:
            return _trunk_leg(event.channel.peer, event.caller, event.connected, open_calls)
        case ChannelKind.LOCAL:
            return _local_leg(event, open_calls)
        case ChannelKind.EXTENSION if announces_transfer:
            return _transfer_target(
                event.connected, [known for known in candidates if not known.call.closed_by or known.waits_for_transfer]
            )
        case ChannelKind.EXTENSION if isinstance(event, events.Bridge) and not event.exten:
            return _answering_telephone(event.channel.peer, event.connected, open_calls)
        case _:
            return None


def find_hangup(event: events.Hangup, candidates: Sequence[Known]) -> Known | None:
    """A hangup of a channel never seen: the phone that merely rang (pickup), or what is left of a consultation or a transferred leg."""
    if event.call_type == 1 and event.extensions and is_outside(event.extensions[0]):
        return _only_or_newest(
            [
                known
                for known in candidates
                if known.profile is not None
                and (_rings(known.call, event.phone) or same_number(known.profile.outside, event.extensions[0]))
            ]
        )
    if event.call_type == 1 and event.extensions:
        return _only_or_newest([known for known in candidates if _asks_somebody(known, event.extensions[0])])
    if event.call_type == 0 and is_internal(event.phone):
        # A REFER while the target rings: the transferor's second leg dies with the customer's line and start.
        return _only_or_newest(
            [known for known in candidates if event.trunk and _has_telephone(known.call, event.phone) and known.profile is not None]
        )
    if event.call_type != 2:
        return None
    if is_outside(event.phone):
        return _only_or_newest(
            [known for known in candidates if known.profile is not None and same_number(known.profile.outside, event.phone)]
        )
    if is_internal(event.phone):
        picked = [known for known in candidates if event.call_status == "1" and _rings(known.call, event.phone)]
        return _only_or_newest(picked or [known for known in candidates if _asks(known, event)])
    return None


def pieces_of_dial(dial: events.Dial, pieces: Iterable[Call]) -> list[Call]:
    """Pieces that came before the dial they belong to: the trunk leg it made, the telephone that a CRM rang first."""
    first = dial.extensions[0] if dial.extensions else ""
    found: list[Call] = []
    for piece in pieces:
        for leg in piece.legs.values():
            if leg.channel.kind is ChannelKind.TRUNK:
                # The channel that dials is the older one: a leg made before it is what is left of an earlier call to this number.
                fits = (
                    leg.channel.peer == dial.trunk
                    and same_number(leg.caller, dial.phone)
                    and (not first or _same(leg.connected, first))
                    and not created(leg.unique_id) < created(dial.unique_id)
                )
            elif leg.channel.kind is ChannelKind.EXTENSION:
                knows = same_number(leg.caller, dial.phone) or same_number(leg.connected, dial.phone)
                # A telephone that has left its bridge again dials nobody any more: it is what is left of an earlier call.
                fits = (
                    knows
                    and created(leg.unique_id) < created(dial.unique_id)
                    and (leg.channel.peer == first or _same(first, dial.phone))
                    and (bool(leg.bridge_id) or not leg.bridge_ids)
                )
            else:
                fits = False
            if fits:
                found.append(piece)
                break
    return found


def pieces_of_ring(dial: events.Dial, pieces: Iterable[Call]) -> list[Call]:
    """Pieces that came before the ring list that names their mobile: Local pairs to it on behalf of this customer."""
    mobiles = [number for number in dial.extensions if is_outside(number)]
    return [
        piece
        for piece in pieces
        if any(
            leg.channel.kind is ChannelKind.LOCAL
            and any(same_number(leg.channel.peer, mobile) for mobile in mobiles)
            and (same_number(leg.caller, dial.phone) or same_number(leg.connected, dial.phone))
            for leg in piece.legs.values()
        )
    ]


def _trunk_leg(line: str, caller: str, connected: str, calls: Sequence[Known]) -> Known | None:
    """Rule D with its three keys: the number called, who calls, the line; the newest dial that has no leg yet."""
    found: list[Known] = []
    for known in calls:
        for dial in known.call.dials:
            if dial.call_type == 1 and dial.trunk == line and same_number(dial.phone, caller):
                first = dial.extensions[0] if dial.extensions else ""
                if not first or _same(first, connected):
                    found.append(known)
                    break
    free = [known for known in found if not any(_is_trunk_of(leg, line, caller) for leg in known.call.legs.values())]
    return _only_or_newest(free or found)


def _is_trunk_of(leg: Leg, line: str, caller: str) -> bool:
    return leg.channel.kind is ChannelKind.TRUNK and leg.channel.peer == line and same_number(leg.caller, caller)


def _local_leg(event: events.ChannelEvent, calls: Sequence[Known]) -> Known | None:
    real = [known for known in calls if known.profile is not None]
    asks = event.caller if event.channel.half == 2 else event.connected
    if event.channel.is_consultation:
        holders = [known for known in real if _in_bridge(known.call, asks) or _seems_to_talk_with(known, asks)]
        # An extension in two calls at once: its consultation will say whose it is when it meets the extension in a bridge.
        return holders[0] if len(holders) == 1 else None
    mobile = event.channel.peer
    if is_internal(asks):
        return _only_or_newest([known for known in real if _asks_somebody(known, asks)])
    mine = [
        known
        for known in real
        if known.profile and any(same_number(known.profile.outside, number) for number in (event.caller, event.connected))
    ]
    return _only_or_newest(
        [known for known in mine if _rings(known.call, mobile) and known.profile and not same_number(known.profile.outside, mobile)]
    )


def _transfer_target(stays: str, calls: Sequence[Known]) -> Known | None:
    found = [
        known
        for known in calls
        if known.profile is not None
        and (
            same_number(known.profile.outside, stays)
            or (known.profile.direction is Direction.INTERNAL and _has_telephone(known.call, stays))
        )
        and known.call.chain
    ]
    return _only_or_newest([known for known in found if not known.call.talkers] or found)


def _asks(known: Known, event: events.Hangup) -> bool:
    """Rule F for a hangup: its phone is a telephone of an open call that asks somebody.

    Its pair is open, or the customer waits for it; or the whole pair was lost, and the telephone names the one it asked as its other side.
    So does the telephone of the one who was asked: it names the asker, whose pair tells so.
    """
    if known.profile is None or known.call.closed_by or known.profile.direction is Direction.INTERNAL:
        return False
    if _asks_somebody(known, event.phone):
        return True
    target = event.extensions[0] if event.extensions else ""
    legs = known.call.legs.values()
    if not target or any(leg.channel.is_consultation and _asker(leg) in (event.phone, target) for leg in legs):
        return False
    return any(leg.channel.kind is ChannelKind.EXTENSION and leg.channel.peer == event.phone and leg.connected == target for leg in legs)


def _asks_somebody(known: Known, extension: str) -> bool:
    """Whether an extension of the call has a consultation open: its pair is there, or the customer waits alone in the bridge it has
    left.
    """
    if known.profile is None or known.call.closed_by:
        return False
    waits = in_bridge(known.call, known.profile) and not has_company(known.call, known.profile)
    return _consults(known.call, extension) or (waits and known.call.chain[-1:] == [Party(PartyKind.EXTENSION, extension)])


def _seems_to_talk_with(known: Known, extension: str) -> bool:
    """Whether the customer is in a bridge with nobody that we saw enter, and names this extension as the other side."""
    call, profile = known.call, known.profile
    if profile is None or call.chain:
        return False
    return any((leg := call.legs.get(key)) is not None and bool(leg.bridge_ids) and leg.connected == extension for key in profile.anchors)


def _answering_telephone(extension: str, customer: str, calls: Sequence[Known]) -> Known | None:
    """The telephone of an incoming call that rings it enters a bridge, and the customer's own enter may be lost. Only where one call
    fits.
    """
    found = [
        known
        for known in calls
        if known.profile is not None
        and same_number(known.profile.outside, customer)
        and _rings(known.call, extension)
        and not known.call.chain
    ]
    return found[0] if len(found) == 1 else None


def _consults(call: Call, extension: str) -> bool:
    """Whether an extension has a consultation pair in this call that is still there."""
    return any(_asks_through(call, leg, extension) for leg in call.legs.values())


def _still_rings_somebody(call: Call, extension: str) -> bool:
    """Whether an extension has a consultation in this call that nobody has answered yet, so that it may still ring a mobile.

    `;2` is the end that dials: once it has been in a bridge, it rings nobody any more. Who has hung up may dial anew. In doubt a dial is a
    call of its own: the bridge brings a mobile that answers back to its call, but nothing takes apart two calls that were made one.
    """
    telephones = [leg for leg in call.legs.values() if leg.channel.kind is ChannelKind.EXTENSION and leg.channel.peer == extension]
    if any(leg.unique_id in call.hangups for leg in telephones):
        return False
    for leg in call.legs.values():
        if _asks_through(call, leg, extension):
            dialling = leg if leg.channel.half == 2 else call.other_half(leg)
            if dialling is None or not dialling.bridge_ids:
                return True
    return False


def _asks_through(call: Call, end: Leg, extension: str) -> bool:
    """Whether a leg is an end of a consultation pair of this extension that is still there and has not been handed over to the customer."""
    if not end.channel.is_consultation or _asker(end) != extension or _is_gone(call, end):
        return False
    other = call.other_half(end)
    return other is None or _asker(other) in ("", extension)


def _is_gone(call: Call, end: Leg) -> bool:
    """Whether a Local pair is no more: an end has hung up, or whichever ends have ever been in a bridge have left it. Not every listener
    sends the hangup of a pair.
    """
    other = call.other_half(end)
    ends = [end] if other is None else [end, other]
    met = [leg for leg in ends if leg.bridge_ids]
    return any(leg.unique_id in call.hangups for leg in ends) or (bool(met) and not any(leg.bridge_id for leg in met))


def _asker(leg: Leg) -> str:
    """Who asks through an end of a consultation pair: `;2` calls in his name, `;1` is connected to him."""
    return leg.caller if leg.channel.half == 2 else leg.connected


def _rings(call: Call, number: str) -> bool:
    return any(dial.call_type == 0 and any(_same(number, rung) for rung in dial.extensions) for dial in call.dials)


def _has_telephone(call: Call, extension: str) -> bool:
    return any(leg.channel.kind is ChannelKind.EXTENSION and leg.channel.peer == extension for leg in call.legs.values())


def _in_bridge(call: Call, extension: str) -> bool:
    return any(
        leg.channel.kind is ChannelKind.EXTENSION and leg.channel.peer == extension and bool(leg.bridge_id or leg.bridge_ids)
        for leg in call.legs.values()
    )


def _same(one: str, other: str) -> bool:
    return bool(one) and (one == other or same_number(one, other))


def _only_or_newest(found: Sequence[Known]) -> Known | None:
    """Candidates come newest first."""
    return found[0] if found else None
