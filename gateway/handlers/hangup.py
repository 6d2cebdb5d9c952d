"""hangup: a channel that ran the dialplan ended. Whether that ends the call is decided in `gateway.calls.closing`."""

from gateway.calls.call import MAX_LEGS_ITEMS, Call
from gateway.calls.events import Hangup
from gateway.handlers.bridge import take_out


def apply(call: Call, event: Hangup) -> None:
    """Keep one hangup a channel: of two that differ the one that knows the later end, whatever their order."""
    known = call.hangups.get(event.unique_id)
    if known is not None and known.end_time is not None and (event.end_time is None or event.end_time < known.end_time):
        return
    if known is None and len(call.hangups) >= MAX_LEGS_ITEMS:
        return
    call.hangups[event.unique_id] = event
    if event.data_source != "live":
        call.data_source = event.data_source
    leg = call.leg(event.unique_id)
    if leg is not None:
        # Its channel is gone, so it is in no bridge any more; old listeners never say so.
        take_out(call, leg)
