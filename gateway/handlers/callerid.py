"""new_callerid, and what every channel event teaches about its leg."""

from gateway.calls.call import Call, Leg
from gateway.calls.channels import ChannelKind
from gateway.calls.events import ChannelEvent, NewCallerId
from gateway.calls.phones import is_internal

# Context of the target of a blind transfer of an outgoing or internal call (host dialplan).
TRANSFER_CONTEXT = "inoffice"


def apply(call: Call, event: NewCallerId) -> None:
    """Learn the leg. The target of a blind transfer announces itself here: the call rings anew."""
    leg = learn(call, event)
    if leg is None:
        return
    leg.context = event.context or leg.context
    if announces_transfer(event):
        call.ringing_event_id, call.ringing_at = event.event_id, event.at


def announces_transfer(event: NewCallerId) -> bool:
    """Whether this is a called telephone in the context of transfers: it knows its own number and whom it will talk to."""
    return (
        event.context == TRANSFER_CONTEXT
        and event.channel.kind is ChannelKind.EXTENSION
        and bool(event.connected)
        and event.caller == event.channel.peer
        and is_internal(event.exten)
    )


def learn(call: Call, event: ChannelEvent) -> Leg | None:
    """Take over what an event says of its channel; what it does not know ("") never overwrites what is known."""
    leg = call.leg(event.unique_id)
    if leg is None:
        return None
    channel = event.channel
    if channel.kind is not ChannelKind.UNKNOWN:
        leg.channel = channel
        if channel.kind is ChannelKind.LOCAL:
            call.pairs.setdefault(channel.pair, {})[channel.half] = event.unique_id
    leg.caller = event.caller or leg.caller
    leg.connected = event.connected or leg.connected
    # The first Exten tells how the channel began; after a transfer it is the target's.
    leg.exten = leg.exten or event.exten
    return leg
