"""bridge, bridge_leave, bridge_create, bridge_destroy: who is with whom. Applying any of them twice changes nothing."""

from gateway.calls.call import BridgeState, Call, Leg
from gateway.calls.events import Bridge, BridgeCreate, BridgeDestroy, BridgeLeave
from gateway.handlers.callerid import learn


def apply(call: Call, event: Bridge) -> None:
    """A channel entered; it has left wherever it was before, even if the leave was lost."""
    leg = learn(call, event)
    state = call.bridge(event.bridge_id)
    if leg is None or state is None:
        return
    leg.bridge_ids[event.bridge_id] = None
    state.ever[event.unique_id] = None
    if event.unique_id in call.hangups:
        # A channel that hung up does not come back: this is late, or a repetition.
        return
    if leg.bridge_id != event.bridge_id:
        take_out(call, leg)
    leg.bridge_id = event.bridge_id
    state.enter(event.unique_id)


def apply_leave(call: Call, event: BridgeLeave) -> None:
    """A channel left, so it was there, even if the enter was lost. None remaining: everybody has left."""
    leg = learn(call, event)
    state = call.bridge(event.bridge_id)
    if leg is None or state is None:
        return
    state.leave(event.unique_id)
    leg.bridge_ids[event.bridge_id] = None
    if leg.bridge_id == event.bridge_id:
        leg.bridge_id = ""
    if event.remaining == 0:
        _empty(call, state)


def apply_create(call: Call, event: BridgeCreate) -> None:
    """A bridge was made; the kind of bridge is only told here."""
    state = call.bridge(event.bridge_id)
    if state is not None:
        state.holding = state.holding or event.holding


def apply_destroy(call: Call, event: BridgeDestroy) -> None:
    """A bridge is gone: everybody has left it."""
    state = call.bridges.get(event.bridge_id)
    if state is not None:
        _empty(call, state)


def take_out(call: Call, leg: Leg) -> None:
    """Note that a leg is in no bridge now."""
    state = call.bridges.get(leg.bridge_id)
    if state is not None:
        state.leave(leg.unique_id)
    leg.bridge_id = ""


def _empty(call: Call, state: BridgeState) -> None:
    for unique_id in list(state.members):
        take_out(call, call.legs[unique_id])
