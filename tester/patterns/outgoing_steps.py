"""Steps of outgoing calls beyond those of `tester.pbx`: a click in a CRM, the next line, a direction that is forbidden; and what some
builds of a host's dialplan and listener make of the webhooks.
"""

from typing import Any

import attrs

from tester.host import ActKind, Host, Posted
from tester.pbx import Talk, connect

CRM = "CRM"
"""Who rings the manager when a call was clicked in a CRM, in the diagram of the call."""

_CONTEXT_TRUNK = "from-out-office"
_CONTEXT_CLICK = "dialexecute"
_ONCE = frozenset({"bridge_create", "bridge_destroy", "hangup"})


@attrs.frozen(kw_only=True)
class Click:
    """A click in a CRM: how long the manager, then the customer take to answer, and how long they talk."""

    pickup_seconds: float
    answer_seconds: float
    talk_seconds: float


def click_in_crm(host: Host, extension: str, phone: str, trunk: str, click: Click) -> None:
    """A CRM rings the extension; when it is picked up, the host dials the number for it through a Local pair.

    The channel that dials, and whose hangup ends the call, is the pair's `;2`: it shares no bridge with the manager's telephone, and
    nothing is told of the pair itself. All webhooks carry the CRM's flag.
    """
    host.act(ActKind.RING, CRM, extension)
    telephone = host.channel(f"SIP/{extension}", extension, connected=f"+{phone}")
    host.wait(click.pickup_seconds)
    host.act(ActKind.ANSWER, CRM, extension)
    one, two = host.local_pair(phone, _CONTEXT_CLICK, linked=telephone)
    two.number = extension
    host.bridge(telephone, one)
    host.act(ActKind.CALL, extension, phone)
    talk = Talk(host, phone, trunk, two.unique_id, 1, host.now_seconds, two, holder=two, first=extension)
    _dial(talk, trunk)
    host.wait(click.answer_seconds)
    connect(talk)
    host.wait(click.talk_seconds)
    talk.end()
    host.leave(one)
    host.leave(telephone)
    host.posted[:] = [one for one in host.posted if not str(one.body.get("Channel", "")).startswith("Local/")]
    leak_flag(host)


def next_line(talk: Talk, trunk: str) -> None:
    """The line is busy and the next one is tried: a second dial with the same UniqueId. The host counts the call from it."""
    line_busy(talk)
    talk.host.act(ActKind.CALL, trunk, talk.phone)
    talk.received_seconds, talk.began_seconds = talk.began_seconds, talk.host.now_seconds
    _dial(talk, trunk)


def line_busy(talk: Talk) -> None:
    """The line is busy; no webhook says so."""
    talk.host.act(ActKind.BUSY, talk.trunk, talk.first)


def forbidden(host: Host, extension: str, phone: str, trunk: str) -> None:
    """The rule of a line does not let the extension dial this number.

    The dialplan ends the call before any Dial, so that a hangup is all there is: CallType 1 (the channel dies in the outgoing context),
    CallStatus "1" (nothing was dialled), no StartTime. It names the line whose rule said no, for the listener drops a hangup without one,
    and the caller, as older dialplans do.
    """
    host.act(ActKind.CALL, extension, phone)
    telephone = host.channel(f"SIP/{extension}", extension, exten=phone)
    began = host.now_seconds
    host.wait(2)
    host.act(ActKind.FORBID, trunk, extension)
    host.hangup(telephone.unique_id, phone, [extension], call_type=1, answered=False, began_seconds=began, trunk=trunk, status="1")
    host.posted[-1] = _with(host.posted[-1], {"StartTime": ""})


def name_nobody(host: Host) -> None:
    """What newer dialplans make of it: a hangup of an outgoing call names nobody, for it reads a variable that only some lines set."""
    host.posted[:] = [
        _with(one, {"Extensions": [""]}) if one.kind == "hangup" and one.body["CallType"] == 1 else one for one in host.posted
    ]


def leak_flag(host: Host, *, since: int = 0) -> None:
    """What the listener build with ExternalInitiated makes of it, from the event with that index on.

    It marks whatever it posts, whoever began the call, and of its whole life it posts only the first bridge_create, bridge_destroy and
    hangup.
    """
    seen = {one.kind for one in host.posted[:since]}
    heard: list[Posted] = []
    for one in host.posted[since:]:
        if one.kind not in _ONCE or one.kind not in seen:
            heard.append(_with(one, {"ExternalInitiated": True}))
        seen.add(one.kind)
    host.posted[since:] = heard


def _dial(talk: Talk, trunk: str) -> None:
    """The number is dialled on a line; the customer's leg is that line's from now on."""
    host = talk.host
    host.dial(talk.primary, talk.phone, [talk.first], 1, trunk)
    assert talk.holder is not None, "somebody must dial"
    talk.customer = host.channel(f"SIP/{trunk}", talk.phone, exten=talk.phone, connected=talk.first, linked=talk.holder)
    host.new_callerid(talk.customer, _CONTEXT_TRUNK)
    talk.customer.exten, talk.trunk = "", trunk


def _with(posted: Posted, fields: dict[str, Any]) -> Posted:
    return attrs.evolve(posted, body={**posted.body, **fields})
