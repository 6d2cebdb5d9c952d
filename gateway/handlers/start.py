"""start: a call came in on a line."""

from gateway.calls.call import Call
from gateway.calls.events import Start


def apply(call: Call, event: Start) -> None:
    """Keep the first start; a later one of the same channel may only fill in the number."""
    if call.start is None or (not call.start.phone and event.phone):
        call.start = event
    call.leg(event.unique_id)
