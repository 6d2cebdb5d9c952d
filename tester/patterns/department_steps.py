"""A call to a department of colleagues: one short number rings all of them."""

from collections.abc import Sequence

import attrs

from tester.host import ActKind, Host


def call_department(
    host: Host, caller: str, department: str, members: Sequence[str], *, ring_seconds: float, talk_seconds: float | None
) -> None:
    """A colleague calls a department; the first of its members answers, or nobody does (`talk_seconds` None).

    The channel dies in the incoming context: the hangup has CallType 0, an extension as Phone, no line, and no StartTime. Where nobody
    answered it is the only webhook, as in any internal call, and names nobody, as with any group. Hosts that send such calls were seen to
    mark them as started by a CRM.
    """
    began = host.now_seconds
    host.act(ActKind.CALL, caller, department)
    host.name(caller, caller)
    calling = host.channel(f"SIP/{caller}", caller, exten=department)
    for member in members:
        host.act(ActKind.RING, caller, member)
    host.wait(ring_seconds)
    if talk_seconds is not None:
        answers = members[0]
        host.act(ActKind.ANSWER, caller, answers)
        called = host.channel(f"SIP/{answers}", answers, connected=caller, linked=calling)
        calling.connected = answers
        host.bridge(called, calling)
        host.wait(talk_seconds)
        host.act(ActKind.END, answers, caller)
        host.leave(called)
        host.leave(calling)
    else:
        host.act(ActKind.END, caller)
    host.hangup(
        calling.unique_id,
        caller,
        members[:1] if talk_seconds is not None else [],
        call_type=0,
        answered=talk_seconds is not None,
        began_seconds=began,
        trunk="",
    )
    host.posted[:] = [
        attrs.evolve(one, body={**one.body, "ExternalInitiated": True} | ({"StartTime": ""} if one.kind == "hangup" else {}))
        for one in host.posted
    ]
