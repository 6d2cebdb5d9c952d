"""A webhook in one line, for people. Pure."""

from collections.abc import Sequence
from typing import Any, cast

from gateway.calls.phones import display
from tester.emulator.wording import Wording, wording_of
from tester.host import UNKNOWN, Posted

_SHOWN_BRIDGE_DIGITS = 4


def summary(posted: Posted, language: str) -> str:
    """What the host says with it."""
    wording = wording_of(language)
    body = posted.body
    phone = _number(body.get("Phone"))
    people = ", ".join(_people(body.get("Extensions"))) or wording.nobody
    line = _text(body.get("Trunk"))
    bridge = _text(body.get("BridgeUniqueid"))[-_SHOWN_BRIDGE_DIGITS:]
    channel = _text(body.get("Channel"))
    match posted.kind:
        case "start":
            return wording.start.format(phone=phone, line=line)
        case "dial" if str(body.get("CallType")) == "1":
            return wording.dial_out.format(people=people, phone=phone, line=line)
        case "dial":
            return wording.dial_in.format(phone=phone, people=people)
        case "bridge":
            return wording.bridge.format(channel=channel, bridge=bridge)
        case "bridge_create":
            return wording.bridge_create.format(bridge=bridge)
        case "bridge_leave":
            return wording.bridge_leave.format(channel=channel, bridge=bridge, left=_text(body.get("BridgeNumChannels")))
        case "bridge_destroy":
            return wording.bridge_destroy.format(bridge=bridge)
        case "new_callerid":
            connected = _number(body.get("ConnectedLineNum"))
            return wording.new_callerid.format(channel=channel, number=_number(body.get("CallerIDNum")), connected=connected)
        case "hangup":
            return wording.hangup.format(phone=phone, people=people, answered=_ending(body.get("CallStatus"), wording))
        case _:
            return posted.kind


def _ending(status: object, wording: Wording) -> str:
    return wording.answered if str(status) == "2" else wording.not_answered


def _people(extensions: Any) -> Sequence[str]:
    if not isinstance(extensions, list):
        return ()
    return [_number(extension) for extension in cast("list[Any]", extensions) if extension]


def _number(value: object) -> str:
    text = _text(value)
    return text if text == UNKNOWN else display(text) or text


def _text(value: object) -> str:
    return str(value) if value not in (None, "") else "—"
