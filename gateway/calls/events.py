"""The eight webhooks of a host as values: what happened, cleaned of the wire's dirt. `gateway.calls.codec` makes them.

Frozen, but without slots here and in the other values that are made for every event: attrs makes such an object in half the time.
"""

from datetime import datetime

import attrs

from gateway.calls.channels import Channel


@attrs.frozen(kw_only=True, slots=False)
class Event:
    """What every event says.

    `event_id` is the place in the log, `at` when we received it (aware UTC): the order and the clock of all rules. `unique_id` is that of
    the channel ("" for bridge_create and bridge_destroy), `bridge_id` that of the bridge ("" where the event is about none). `linkedid` is
    "" on hosts that do not send it. `external_initiated` is a hint of the host that leaks to unrelated calls.
    """

    event_id: int
    at: datetime
    unique_id: str
    linkedid: str = ""
    external_initiated: bool = False
    data_source: str = "live"
    bridge_id: str = ""


@attrs.frozen(kw_only=True, slots=False)
class Start(Event):
    """A call came in on a line. `phone` may be the line's own id on some GSM lines; it is "" then and the dial says it."""

    phone: str
    trunk: str


@attrs.frozen(kw_only=True, slots=False)
class Dial(Event):
    """Somebody is rung: extensions of an incoming call (call type 0), or an outside number (1). `extensions` as sent, cleaned.

    `caller`, `connected` and `internal_code` are not sent by hosts, but by those who pass webhooks on; "" when absent.
    """

    phone: str
    extensions: tuple[str, ...]
    call_type: int | None
    trunk: str
    caller: str = ""
    connected: str = ""
    internal_code: str = ""


@attrs.frozen(kw_only=True, slots=False)
class Hangup(Event):
    """A channel that ran the dialplan ended. `call_type` tells the context it died in, not the direction of the call. Times aware UTC.

    `caller`, `connected` and `internal_code` as in `Dial`.
    """

    phone: str
    extensions: tuple[str, ...]
    call_type: int | None
    call_status: str
    trunk: str
    date_received: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    caller: str = ""
    connected: str = ""
    internal_code: str = ""


@attrs.frozen(kw_only=True, slots=False)
class ChannelEvent(Event):
    """What the channel events share: the channel and the numbers it knows, digits, "" where unknown. `exten` as sent."""

    channel: Channel
    caller: str
    connected: str
    exten: str = ""


@attrs.frozen(kw_only=True, slots=False)
class NewCallerId(ChannelEvent):
    """A channel learned its number; the only announcement of the trunk leg of an outgoing call."""

    context: str


@attrs.frozen(kw_only=True, slots=False)
class Bridge(ChannelEvent):
    """A channel entered a bridge."""


@attrs.frozen(kw_only=True, slots=False)
class BridgeLeave(ChannelEvent):
    """A channel left a bridge; `remaining` channels stay in it, None when that cannot be read."""

    remaining: int | None


@attrs.frozen(kw_only=True, slots=False)
class BridgeCreate(Event):
    """A bridge was made; `holding` when it is a parking lot, where being together means nothing."""

    holding: bool


@attrs.frozen(kw_only=True, slots=False)
class BridgeDestroy(Event):
    """A bridge is gone, and everybody has left it."""


AnyEvent = Start | Dial | Hangup | NewCallerId | Bridge | BridgeLeave | BridgeCreate | BridgeDestroy
