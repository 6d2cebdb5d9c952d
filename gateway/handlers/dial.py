"""dial: somebody is rung, once more for every step of a ring group and every line tried."""

from gateway.calls.call import MAX_DIALS_ITEMS, Call
from gateway.calls.events import Dial


def apply(call: Call, event: Dial) -> None:
    """Keep every dial that says something new; the same list on the same line again is a duplicate."""
    known = any(
        (dial.unique_id, dial.extensions, dial.trunk, dial.phone, dial.call_type)
        == (event.unique_id, event.extensions, event.trunk, event.phone, event.call_type)
        for dial in call.dials
    )
    if not known and len(call.dials) < MAX_DIALS_ITEMS:
        call.dials.append(event)
        if event.call_type == 0:
            call.ringing_event_id, call.ringing_at = event.event_id, event.at
    call.leg(event.unique_id)
