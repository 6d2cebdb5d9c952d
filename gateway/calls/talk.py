"""Who talks with the customer, and who did: from the bridges.

Whoever shares a bridge with the customer's leg talks. A Local pair is looked through: behind its other end stand those in that end's
bridge. Trunk legs that are not the customer's are employees' mobiles. A parking lot is no talk. The chain of talkers is what a subscriber
reads as transfers: a new link is added when nobody of those who talked before is there any more; a conference adds none.
"""

from collections.abc import Sequence
from datetime import datetime

from gateway.calls.call import MAX_CHAIN_ITEMS, Call, Leg
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
    _credit_left_bridges(call, profile)
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


def _credit_left_bridges(call: Call, profile: Profile) -> None:
    """Where enter or leave events are missing or came in another order, nobody was ever seen together with the customer in a bridge that
    both were in. Once the customer has left such a bridge, whoever has been in it counts as having talked; of several the one whom his
    channel names as its other side was the last.
    """
    for leg in _anchors(call, profile):
        for bridge_id in leg.bridge_ids:
            state = call.bridges[bridge_id]
            if bridge_id == leg.bridge_id or bridge_id in call.credited_bridges or state.holding:
                continue
            parties = [party for key in state.ever if (party := _direct_party(call.legs.get(key), profile)) is not None]
            if parties:
                call.credited_bridges[bridge_id] = None
                _link(call, parties)
                named = [party for party in parties if party.number == leg.connected]
                if named:
                    _link(call, named)


def _credit_unseen(call: Call, profile: Profile) -> None:
    """Whoever leaves the bridge in which the customer is, and was never seen to enter it, was with him until now."""
    for leg in _anchors(call, profile):
        state = call.bridges.get(leg.bridge_id)
        if state is None or leg.bridge_id in call.credited_bridges or state.holding:
            continue
        parties = [party for key in state.unseen if (party := _direct_party(call.legs.get(key), profile)) is not None]
        if parties:
            call.credited_bridges[leg.bridge_id] = None
            _link(call, parties)


def link_through_pairs(call: Call, profile: Profile) -> None:
    """Once the call has ended, the last resort: those behind Local pairs that were with the customer in a bridge in which nobody was seen
    to talk with him. The order of events, or a loss, hid that the other end of the pair was with somebody at that time.

    An outside number is a mobile that answered; a consultation counts when the host says that it was handed over (a hangup of the pair
    that was answered and names the customer). Only bridges after the last talk count, so that the chain stays in the order of time.
    """
    for leg in _anchors(call, profile):
        for bridge_id in _after_last_talk(call, leg):
            found: list[Party] = []
            for unique_id in call.bridges[bridge_id].ever:
                end = call.legs.get(unique_id)
                if end is not None and end.channel.kind is ChannelKind.LOCAL:
                    found.extend(_behind(call, profile, end))
            if found:
                call.credited_bridges[bridge_id] = None
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
    if is_outside(end.channel.peer):
        return [Party(PartyKind.MOBILE, end.channel.peer)]
    hangup = call.hangups.get(other.unique_id) if other is not None else None
    if hangup is not None and hangup.call_status == "2" and hangup.phone == profile.outside and is_internal(end.channel.peer):
        return [Party(PartyKind.EXTENSION, end.channel.peer)]
    return []


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
