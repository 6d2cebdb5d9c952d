"""What each kind of event does to a call. Pure: a handler takes over facts and draws no conclusions."""

from typing import assert_never

from gateway.calls import events
from gateway.calls.call import Call
from gateway.handlers import bridge, callerid, dial, hangup, start


def apply(call: Call, event: events.AnyEvent) -> None:
    """Take over the facts of an event into its call."""
    match event:
        case events.Bridge():
            bridge.apply(call, event)
        case events.BridgeLeave():
            bridge.apply_leave(call, event)
        case events.NewCallerId():
            callerid.apply(call, event)
        case events.Start():
            start.apply(call, event)
        case events.Dial():
            dial.apply(call, event)
        case events.Hangup():
            hangup.apply(call, event)
        case events.BridgeCreate():
            bridge.apply_create(call, event)
        case events.BridgeDestroy():
            bridge.apply_destroy(call, event)
        case _:
            assert_never(event)
