"""From the JSON body of a webhook to an event. The one place that knows the wire's field names and its dirt.

Total: any JSON object makes an event; what cannot be read counts as unknown. Hosts send CallType as number or string, Extensions missing,
`[""]`, with "SIP/150" elements or as one string "150&151", `<unknown>` or "Anonymous" for numbers, and times that never were.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, cast

from gateway.calls import events
from gateway.calls.channels import parse_channel
from gateway.calls.phones import MAX_DIGITS, digits, is_unknown

# Longest number, id or name that is believed; anything longer is rubbish that must not grow our memory.
MAX_FIELD_CHARACTERS = 128
MAX_EXTENSIONS_ITEMS = 200

# Other names for the line, and further numbers, in webhooks that are passed on.
_PASSED_ON = (
    *(("TrunkId", "trunk"), ("INCALL", "trunk"), ("Incall", "trunk")),
    *(("CallerIDNum", "caller"), ("ConnectedLineNum", "connected"), ("InternalCode", "internal_code")),
)
_PASSED_ON_KEYS = frozenset(key for key, _ in _PASSED_ON)

Body = Mapping[str, Any]


def decode(kind: str, body: Body, *, event_id: int, at: datetime, zone: tzinfo, data_source: str = "live") -> events.AnyEvent | None:
    """Make the event of a body.

    Args:
        kind: the webhook's name; an unknown one gives None.
        body: the flat JSON object.
        event_id, at, data_source: as stored.
        zone: the host's zone; hosts send naive local times.
    """
    make = _MAKERS.get(kind)
    if make is None:
        return None
    common: dict[str, Any] = {
        "event_id": event_id,
        "at": at,
        "unique_id": _text(body.get("UniqueId")),
        "linkedid": _text(body.get("Linkedid")),
        "external_initiated": "ExternalInitiated" in body and body["ExternalInitiated"] in (True, 1, "true", "True", "1"),
        "data_source": data_source,
    }
    return make(body, common, zone)


def decode_text(
    kind: str, raw_body: str, *, event_id: int, at: datetime, zone: tzinfo, data_source: str = "live"
) -> events.AnyEvent | None:
    """As `decode`, from the stored text. A text that is no JSON object counts as an empty one."""
    try:
        text = raw_body.strip(_JSON_BLANKS)
        body, end = _JSON.raw_decode(text)
        if end != len(text):
            body = None
    except (ValueError, RecursionError):
        body = None
    return decode(kind, cast(Body, body) if isinstance(body, dict) else {}, event_id=event_id, at=at, zone=zone, data_source=data_source)


def _keep(text: str) -> str:
    return text


# Numbers stay text: a number with 5,000 digits is valid JSON and must not stop us. (json.loads would make this decoder anew for each body.)
_JSON_BLANKS = " \t\n\r"
_JSON = json.JSONDecoder(parse_int=_keep, parse_float=_keep, parse_constant=_keep)


def _text(value: object) -> str:
    """A scalar as short printable text; everything else is unknown."""
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
    else:
        return ""
    if len(text) > MAX_FIELD_CHARACTERS or not text.isprintable():
        return ""
    return text


def _number(value: object) -> str:
    # The usual case first: hosts send bare digits.
    if isinstance(value, str) and len(value) <= MAX_DIGITS and value.isascii() and value.isdecimal():
        return value
    return digits(_text(value))


def _phone(value: object) -> str:
    # GSM lines send their own id (0001363) in start: that is nobody's number.
    number = _number(value)
    return "" if is_unknown(number) else number


def _small_int(value: object) -> int | None:
    text = _text(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


def _extensions(value: object) -> tuple[str, ...]:
    items = cast(list[object], value) if isinstance(value, list) else [value]
    found: dict[str, None] = {}
    for item in items[:MAX_EXTENSIONS_ITEMS]:
        for part in _text(item).split("&"):
            number = digits(part.rpartition("/")[2])
            if number:
                found[number] = None
    return tuple(found)


def _time(value: object, zone: tzinfo) -> datetime | None:
    text = _text(value)
    if not text:
        return None
    try:
        # fromisoformat is 20 times as fast as strptime, but takes other forms too; the separators leave only this one.
        usual = len(text) == 19 and text[4] == text[7] == "-" and text[10] == " " and text[13] == text[16] == ":"
        if usual:
            return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
        if text[10:11] == "T":
            # Hosts do not, but those who pass webhooks on may write times so, with or without a zone.
            iso = datetime.fromisoformat(text)
            return (iso if iso.tzinfo is not None else iso.replace(tzinfo=zone)).astimezone(UTC)
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _of_dialplan(body: Body, common: dict[str, Any]) -> dict[str, Any]:
    """The line, and the numbers that only those add who pass webhooks on; most bodies are of hosts and have none of them."""
    common["trunk"] = _text(body.get("Trunk"))
    if not _PASSED_ON_KEYS.isdisjoint(body):
        for key, name in _PASSED_ON:
            if key in body:
                common[name] = common[name] or _text(body[key]) if name == "trunk" else _phone(body[key])
    return common


def _start(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.Start:
    return events.Start(**common, phone=_phone(body.get("Phone")), trunk=_text(body.get("Trunk")))


def _dial(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.Dial:
    return events.Dial(
        **_of_dialplan(body, common),
        phone=_phone(body.get("Phone")),
        extensions=_extensions(body.get("Extensions")),
        call_type=_small_int(body.get("CallType")),
    )


def _hangup(body: Body, common: dict[str, Any], zone: tzinfo) -> events.Hangup:
    return events.Hangup(
        **_of_dialplan(body, common),
        phone=_phone(body.get("Phone")),
        extensions=_extensions(body.get("Extensions")),
        call_type=_small_int(body.get("CallType")),
        call_status=_text(body.get("CallStatus")),
        date_received=_time(body.get("DateReceived"), zone),
        start_time=_time(body.get("StartTime"), zone),
        end_time=_time(body.get("EndTime"), zone),
    )


def _channel_fields(body: Body, common: dict[str, Any]) -> dict[str, Any]:
    common["channel"] = parse_channel(_text(body.get("Channel")))
    common["caller"] = _number(body.get("CallerIDNum"))
    common["connected"] = _number(body.get("ConnectedLineNum"))
    common["exten"] = _text(body.get("Exten"))
    return common


def _new_callerid(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.NewCallerId:
    return events.NewCallerId(**_channel_fields(body, common), context=_text(body.get("Context")))


def _bridge(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.Bridge:
    return events.Bridge(**_channel_fields(body, common), bridge_id=_text(body.get("BridgeUniqueid")))


def _bridge_leave(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.BridgeLeave:
    fields = _channel_fields(body, common)
    return events.BridgeLeave(**fields, bridge_id=_text(body.get("BridgeUniqueid")), remaining=_small_int(body.get("BridgeNumChannels")))


def _bridge_create(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.BridgeCreate:
    holding = _text(body.get("BridgeTechnology")) == "holding_bridge"
    return events.BridgeCreate(**common, bridge_id=_text(body.get("BridgeUniqueid")), holding=holding)


def _bridge_destroy(body: Body, common: dict[str, Any], _zone: tzinfo) -> events.BridgeDestroy:
    return events.BridgeDestroy(**common, bridge_id=_text(body.get("BridgeUniqueid")))


_MAKERS: Mapping[str, Callable[[Body, dict[str, Any], tzinfo], events.AnyEvent]] = {
    "start": _start,
    "dial": _dial,
    "hangup": _hangup,
    "new_callerid": _new_callerid,
    "bridge": _bridge,
    "bridge_leave": _bridge_leave,
    "bridge_create": _bridge_create,
    "bridge_destroy": _bridge_destroy,
}
