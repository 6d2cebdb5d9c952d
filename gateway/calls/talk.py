"""Who talks with the customer, and who did: from the bridges.

Whoever shares a bridge with the customer's leg talks. A Local pair is looked through: behind its other end stand those in that end's
bridge. Trunk legs that are not the customer's are employees' mobiles. A parking lot is no talk. The chain of talkers is what a subscriber
reads as transfers: a new link is added when nobody of those who talked before is there any more; a conference adds none.
"""

from collections.abc import Sequence
from datetime import datetime

from gateway.calls.call import MAX_CHAIN_ITEMS, BridgeState, Call, Leg
from gateway.calls.channels import ChannelKind
from gateway.calls.parties import Direction, Party, PartyKind
from gateway.calls.phones import is_internal
from gateway.calls.profile import Profile, is_outside


def has_company(call: Call, profile: Profile) -> bool:
    """Whether anything at all, a Local end included, is in a bridge with the customer."""
    for unique_id in profile.anchors:
        leg = call.legs.get(unique_id)
        if leg is not None and leg.bridge_id and not call.bridges[leg.bridge_id].holding:
            for member in call.bridges[leg.bridge_id].members:
                if member not in profile.anchors:
                    return True
    return False


def in_bridge(call: Call, profile: Profile) -> bool:
    """Whether a leg of the customer is in a bridge now, a parking lot included."""
    for unique_id in profile.anchors:
        leg = call.legs.get(unique_id)
        if leg is not None and leg.bridge_id:
            return True
    return False


def was_in_bridge(call: Call, profile: Profile) -> bool:
    """Whether a leg of the customer has ever been in a bridge other than a parking lot."""
    return any(not call.bridges[bridge_id].holding for leg in _anchors(call, profile) for bridge_id in leg.bridge_ids)


def talkers_now(call: Call, profile: Profile) -> tuple[Party, ...]:
    """Those who talk with the customer at this moment, in the order in which they came."""
    found: dict[Party, None] = {}
    for leg in _anchors(call, profile):
        if leg.bridge_id:
            _gather(call, profile, leg.bridge_id, found, set())
    if not found and profile.from_crm and profile.extension and any(leg.bridge_id for leg in _anchors(call, profile)):
        # A CRM-started call hangs in two bridges joined by a Local pair of which some listeners report nothing.
        found[Party(PartyKind.EXTENSION, profile.extension)] = None
    return tuple(found)


def follow_talk(call: Call, profile: Profile, at: datetime, event_id: int) -> None:
    """Bring talkers, chain, talk time and the marks for the end up to date after the bridges changed."""
    anchors = _anchors(call, profile)
    if not call.talkers and not any(leg.bridge_ids for leg in anchors):
        # The customer has not been in any bridge yet.
        return
    if profile.direction is Direction.INTERNAL and call.followed != profile.anchors:
        # Another telephone stands in the customer's place now: whom that one met is told anew.
        call.chain.clear()
        call.credited_bridges.clear()
        call.followed = profile.anchors
    before, now = call.talkers, talkers_now(call, profile)
    if before and call.talk_began_at is not None and not now:
        call.talk_seconds += max((at - call.talk_began_at).total_seconds(), 0.0)
        call.talk_began_at = None
    if now and call.talk_began_at is None:
        call.talk_began_at = at
        if call.first_talk_at is None:
            call.first_talk_at = at
    call.talkers = now
    _credit_unseen(call, profile)
    if now:
        call.credited_bridges.update((leg.bridge_id, None) for leg in anchors if leg.bridge_id)
        _link(call, now)
    if has_company(call, profile):
        call.company_event_id = event_id
        call.customer_left_first = False
    if in_bridge(call, profile):
        call.left_at = None
    elif call.left_at is None and was_in_bridge(call, profile):
        call.left_at = at


def _link(call: Call, parties: Sequence[Party]) -> None:
    if (not call.chain or call.chain[-1] not in parties) and len(call.chain) < MAX_CHAIN_ITEMS:
        call.chain.append(parties[0])


def _credit_unseen(call: Call, profile: Profile) -> None:
    """Where enter or leave events are missing or came in another order, nobody was ever seen together with the customer in a bridge that
    both were in. Whoever must have been there with him then, by what is known of their comings and goings, talked with him; once he has
    left and nobody can be told from these, whoever has been in it at all.
    """
    for leg in _anchors(call, profile):
        for bridge_id in leg.bridge_ids:
            state = call.bridges[bridge_id]
            if bridge_id in call.credited_bridges or state.holding:
                continue
            met = _met(call, profile, leg, state)
            if not met and bridge_id != leg.bridge_id:
                ever = [party for key in state.ever if (party := _direct_party(call.legs.get(key), profile)) is not None]
                met = [ever] if ever else []
            if met:
                call.credited_bridges[bridge_id] = None
                for parties in met:
                    _link(call, parties)


def _met(call: Call, profile: Profile, leg: Leg, state: BridgeState) -> list[list[Party]]:
    """Those who were in a bridge together with a leg of the customer, anew after each that came or left. Whose enter was lost was there at
    least when he left. Where that of the customer was, he may have been there from the beginning, but not before the one who has talked
    with him last, if that one is among them.
    """
    met: list[list[Party]] = []
    present: dict[str, Party] = {}
    always = inside = next((not entered for unique_id, entered in state.moves if unique_id == leg.unique_id), False)
    for unique_id, entered in state.moves:
        if unique_id == leg.unique_id:
            inside = entered
        elif (party := _direct_party(call.legs.get(unique_id), profile)) is not None:
            if entered:
                present[unique_id] = party
            elif present.pop(unique_id, None) is None and inside:
                met.append([*present.values(), party])
        if inside and present:
            met.append(list(present.values()))
    if always and call.chain:
        return met[next((place for place, parties in enumerate(met) if call.chain[-1] in parties), 0) :]
    return met


def link_through_pairs(call: Call, profile: Profile) -> None:
    """Once the call has ended, the last resort: those behind Local pairs that were with the customer in a bridge in which nobody was seen
    to talk with him. The order of events, or a loss, hid that the other end of the pair was with somebody at that time.

    Who is known to have talked was with the pair at another time, as the one who asked. Only bridges after the last talk count, so that
    the chain stays in the order of time. A bridge is not marked as credited: what its own events tell later is worth more.
    """
    for leg in _anchors(call, profile):
        for bridge_id in _after_last_talk(call, leg):
            found: list[Party] = []
            for unique_id in call.bridges[bridge_id].ever:
                end = call.legs.get(unique_id)
                if end is not None and end.channel.kind is ChannelKind.LOCAL:
                    found.extend(party for party in _behind(call, profile, end) if party not in call.chain)
            if found:
                _link(call, found)


def _after_last_talk(call: Call, leg: Leg) -> list[str]:
    """The bridges in which a leg has been after the last one that is known as a talk."""
    found: list[str] = []
    for bridge_id in leg.bridge_ids:
        if bridge_id in call.credited_bridges:
            found.clear()
        elif not call.bridges[bridge_id].holding:
            found.append(bridge_id)
    return found


def _behind(call: Call, profile: Profile, end: Leg) -> list[Party]:
    """Who was behind one end of a pair: those who ever met its other end, or else the one whom it calls. A mobile answered unless the host
    says that it did not; a consultation, which meets others before anybody answers, counts when the host says that it was handed over (a
    hangup of the pair that was answered and names the customer).
    """
    other = call.other_half(end)
    if other is not None:
        found: dict[Party, None] = {}
        for bridge_id in other.bridge_ids:
            for unique_id in call.bridges[bridge_id].ever:
                party = _direct_party(call.legs.get(unique_id), profile)
                if party is not None:
                    found[party] = None
        if found:
            return list(found)
    hangup = call.hangups.get(other.unique_id) if other is not None else None
    number = end.channel.peer
    called = Party(PartyKind.EXTENSION if is_internal(number) else PartyKind.MOBILE, number)
    if is_outside(number) and not end.channel.is_consultation:
        return [] if hangup is not None and hangup.call_status == "0" else [called]
    handed_over = hangup is not None and hangup.call_status == "2" and hangup.phone == profile.outside
    return [called] if handed_over and number else []


def _anchors(call: Call, profile: Profile) -> list[Leg]:
    return [leg for unique_id in profile.anchors if (leg := call.legs.get(unique_id)) is not None]


def _gather(call: Call, profile: Profile, bridge_id: str, found: dict[Party, None], seen: set[str]) -> None:
    """Add those in a bridge, looking through Local pairs; `seen` keeps pairs that are joined in a ring from going round for ever."""
    state = call.bridges.get(bridge_id)
    if state is None or state.holding or bridge_id in seen:
        return
    seen.add(bridge_id)
    for unique_id in state.members:
        leg = call.legs.get(unique_id)
        if leg is None:
            continue
        if leg.channel.kind is ChannelKind.LOCAL:
            other = call.other_half(leg)
            if other is not None and other.bridge_id:
                _gather(call, profile, other.bridge_id, found, seen)
            continue
        party = _direct_party(leg, profile)
        if party is not None:
            found[party] = None


def _direct_party(leg: Leg | None, profile: Profile) -> Party | None:
    if leg is None or leg.unique_id in profile.anchors:
        return None
    kind, number = leg.channel.kind, leg.caller
    if kind is ChannelKind.EXTENSION:
        return Party(PartyKind.EXTENSION, leg.channel.peer)
    if kind is ChannelKind.UNKNOWN and is_internal(number):
        return Party(PartyKind.EXTENSION, number)
    if kind is ChannelKind.LOCAL or not is_outside(number) or number == profile.outside:
        return None
    # Outgoing and internal calls reach mobiles of employees through trunk legs too (follow-me).
    return Party(PartyKind.MOBILE, number) if profile.direction is not Direction.INTERNAL or kind is ChannelKind.TRUNK else None
