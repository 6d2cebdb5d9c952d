"""A host that plays calls: what the telephones do, in; the webhooks that its listener posts, out.

`Host` plays one PBX: it hands out UniqueIds, channel names and bridges, and keeps the clock. A call is written as the steps of its
telephones (`incoming`, `ring`, `answer`, `attend`, …); each step appends `Posted` webhooks with the fields, encodings and order that
hosts were seen to use. Nothing is posted here; `tester.player` does that.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

import attrs

UNKNOWN = "<unknown>"
_CONTEXT_TRUNK = "from-out-office"
_CONTEXT_CONSULTATION = "dialexecute"
_CONTEXT_TRANSFER = "inoffice"
_CONTEXT_MOBILE = "179e93af"


@attrs.frozen
class Posted:
    """One webhook: which endpoint, its body, and when it is posted, in seconds from the start of the script."""

    at_seconds: float
    kind: str
    body: Mapping[str, Any]


@attrs.define
class Line:
    """One channel of a call on the host."""

    unique_id: str
    channel: str
    number: str
    exten: str = ""
    connected: str = UNKNOWN
    bridge_id: str = ""


@attrs.define
class Host:
    """One PBX. `token` is what it sends as its id; `started_at` (aware) is the instant of the script's second 0; `zone` its local time."""

    token: str
    started_at: datetime
    zone: tzinfo
    seed: int = 0
    linkedid: bool = False
    posted: list[Posted] = attrs.field(factory=list[Posted])
    _now_seconds: float = 0.0
    _channels: int = 0
    _pairs: int = 0
    _bridges: int = 0
    _members: dict[str, dict[str, Line]] = attrs.field(factory=dict[str, dict[str, Line]])
    _linked: dict[str, str] = attrs.field(factory=dict[str, str])

    # time

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._now_seconds += seconds

    def local_time(self, seconds: float | None = None) -> str:
        """The host's local time as hangups write it."""
        at = self.started_at + timedelta(seconds=self._now_seconds if seconds is None else seconds)
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    @property
    def now_seconds(self) -> float:
        """The script's clock."""
        return self._now_seconds

    # channels

    def channel(self, name: str, number: str, *, exten: str = "", connected: str = UNKNOWN, linked: Line | None = None) -> Line:
        """Create a channel. `name` is `SIP/151`, or a whole Local name; a SIP name gets its hex suffix."""
        self._channels += 1
        created = self.started_at + timedelta(seconds=self._now_seconds)
        unique_id = f"{int(created.astimezone(UTC).timestamp())}.{self.seed + self._channels}"
        if name.startswith("SIP/"):
            name = f"{name}-{self.seed + self._channels:08x}"
        self._linked[unique_id] = self._linked[linked.unique_id] if linked is not None else unique_id
        return Line(unique_id, name, number, exten, connected)

    def local_pair(self, target: str, context: str, *, linked: Line) -> tuple[Line, Line]:
        """Create the two ends of a Local channel to `target`; `;2` is created right after `;1`."""
        self._pairs += 1
        name = f"Local/{target}@{context}-{self.seed + self._pairs:08x}"
        one = self.channel(f"{name};1", target, exten=target, linked=linked)
        return one, self.channel(f"{name};2", "", exten=target, linked=linked)

    # webhooks

    def post(self, kind: str, unique_id: str, fields: Mapping[str, Any]) -> None:
        """Append one webhook."""
        body: dict[str, Any] = {"Token": self.token, "UniqueId": unique_id, **fields}
        if self.linkedid and unique_id:
            body["Linkedid"] = self._linked.get(unique_id, unique_id)
        self.posted.append(Posted(self._now_seconds, kind, body))

    def start(self, line: Line, phone: str, trunk: str) -> None:
        """Post start."""
        self.post("start", line.unique_id, {"Phone": phone, "CallType": 0, "Trunk": trunk})

    def dial(self, unique_id: str, phone: str, extensions: Sequence[str], call_type: int, trunk: str) -> None:
        """Post dial."""
        self.post(
            "dial",
            unique_id,
            {
                "Phone": phone,
                "Extensions": list(extensions),
                "CallType": call_type,
                "Trunk": trunk,
                "ExtTrunk": "",
                "ExtPhone": phone if call_type == 0 else "",
            },
        )

    def hangup(
        self,
        unique_id: str,
        phone: str,
        extensions: Sequence[str],
        *,
        call_type: int,
        answered: bool,
        began_seconds: float,
        trunk: str | None = None,
        status: str = "",
    ) -> None:
        """Post hangup. Internal legs (call type 2) have no line and no StartTime."""
        began = self.local_time(began_seconds)
        fields: dict[str, Any] = {
            "Phone": phone,
            "Extensions": list(extensions) or [""],
            "CallType": call_type,
            "CallStatus": status or ("2" if answered else "0"),
            "DateReceived": began,
            "StartTime": "" if call_type == 2 else began,
            "EndTime": self.local_time(),
        }
        if trunk is not None:
            fields["Trunk"] = trunk
        self.post("hangup", unique_id, fields)

    def new_callerid(self, line: Line, context: str, *, connected: str | None = None, caller: str | None = None) -> None:
        """Post new_callerid."""
        fields = self._channel_fields(line) | {"Context": context, "Exten": line.exten}
        if connected is not None:
            fields["ConnectedLineNum"] = connected
        if caller is not None:
            fields["CallerIDNum"] = caller
        self.post("new_callerid", line.unique_id, fields)

    def bridge(self, *lines: Line) -> str:
        """Make a bridge and let channels enter it, in the order given."""
        self._bridges += 1
        # Version and variant of a UUID stand in the bits 62 to 79: the seed goes above them, so that no two hosts name the same bridge.
        bridge_id = str(UUID(int=(self.seed << 80) + self._bridges, version=4))
        self._members[bridge_id] = {}
        self.post("bridge_create", "", _bridge_fields(bridge_id))
        for line in lines:
            self.enter(line, bridge_id)
        return bridge_id

    def enter(self, line: Line, bridge_id: str) -> None:
        """Let a channel enter a bridge."""
        self._members[bridge_id][line.unique_id] = line
        line.bridge_id = bridge_id
        self.post("bridge", line.unique_id, self._channel_fields(line) | {"Exten": line.exten, "BridgeUniqueid": bridge_id})

    def leave(self, line: Line) -> None:
        """Let a channel leave its bridge; the last one destroys it."""
        bridge_id, line.bridge_id = line.bridge_id, ""
        members = self._members[bridge_id]
        members.pop(line.unique_id, None)
        fields = self._channel_fields(line) | {"BridgeUniqueid": bridge_id, "BridgeNumChannels": str(len(members))}
        self.post("bridge_leave", line.unique_id, fields)
        if not members:
            self.post("bridge_destroy", "", _bridge_fields(bridge_id))

    def members(self, bridge_id: str) -> list[Line]:
        """Who is in a bridge, in the order of entering."""
        return list(self._members.get(bridge_id, {}).values())

    def _channel_fields(self, line: Line) -> dict[str, Any]:
        return {
            "Channel": line.channel,
            "CallerIDNum": line.number or UNKNOWN,
            "CallerIDName": UNKNOWN,
            "ConnectedLineNum": line.connected or UNKNOWN,
            "ConnectedLineName": UNKNOWN,
        }


def _bridge_fields(bridge_id: str) -> dict[str, Any]:
    return {
        "BridgeUniqueid": bridge_id,
        "BridgeType": "",
        "BridgeTechnology": "simple_bridge",
        "BridgeCreator": UNKNOWN,
        "BridgeName": UNKNOWN,
        "BridgeNumChannels": "0",
    }


@attrs.define
class Talk:
    """A call of a customer with the enterprise, step by step. Made by `incoming` or `outgoing`; the steps are its methods.

    `customer` is the customer's channel, `holder` the telephone that talks now, `primary` the id under which the call's hangup is posted.
    """

    host: Host
    phone: str
    trunk: str
    primary: str
    call_type: int
    began_seconds: float
    customer: Line
    holder: Line | None = None
    first: str = ""
    answered: bool = False
    moved: bool = False

    def ring(self, *extensions: str) -> None:
        """A ring step: who rings now."""
        self.host.dial(self.customer.unique_id, self.phone, extensions, 0, self.trunk)

    def answer(self, extension: str, *, called_first: bool = True) -> None:
        """A telephone answers. `called_first`: the called side enters the bridge before the caller (live hosts; both are seen)."""
        telephone = self.host.channel(f"SIP/{extension}", extension, connected=self.phone, linked=self.customer)
        self.customer.connected = extension
        self.host.bridge(*((telephone, self.customer) if called_first else (self.customer, telephone)))
        self.holder, self.answered = telephone, True
        self.first = self.first or extension

    def ring_mobile(self, mobile: str) -> tuple[Line, Line, Line]:
        """A manager's mobile is rung inside the call: a Local pair and a trunk leg."""
        host = self.host
        one, two = host.local_pair(mobile, _CONTEXT_MOBILE, linked=self.customer)
        one.number, one.connected, one.exten = self.trunk, self.phone, self.trunk
        two.number, two.connected = self.phone, self.trunk
        host.new_callerid(one, _CONTEXT_MOBILE)
        host.new_callerid(two, _CONTEXT_MOBILE)
        host.dial(two.unique_id, mobile, [self.phone], 1, self.trunk)
        leg = host.channel(f"SIP/{self.trunk}", mobile, exten=mobile, connected=self.phone, linked=self.customer)
        host.new_callerid(leg, _CONTEXT_TRUNK)
        return one, two, leg

    def mobile_answers(self, mobile: str) -> None:
        """The mobile is rung and answers: two bridges joined by the pair."""
        one, two, leg = self.ring_mobile(mobile)
        self.host.wait(3)
        self.host.bridge(leg, two)
        self.host.bridge(one, self.customer)
        self.holder, self.answered = leg, True

    def mobile_gives_up(self, mobile: str) -> None:
        """The mobile is rung and does not answer."""
        _, two, _ = self.ring_mobile(mobile)
        began = self.host.now_seconds
        self.host.wait(4)
        self.host.hangup(two.unique_id, mobile, [self.phone], call_type=1, answered=False, began_seconds=began, trunk=self.trunk)

    def attend(self, target: str, *, accepted: bool, picked_up: bool = True) -> None:
        """Attended transfer: the holder asks `target`; accepted, refused after a word, or not picked up."""
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        talk_bridge, asks = holder.bridge_id, holder.number
        one, two = host.local_pair(target, _CONTEXT_CONSULTATION, linked=self.customer)
        one.connected, two.number, began = asks, asks, host.now_seconds
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        host.new_callerid(one, _CONTEXT_CONSULTATION)
        consultation = host.bridge(one)
        host.leave(holder)
        host.enter(holder, consultation)
        host.wait(3)
        telephone = host.channel(f"SIP/{target}", target, connected=asks, linked=self.customer)
        two.connected = target
        if picked_up:
            target_bridge = host.bridge(telephone, two)
            host.wait(4)
            if accepted:
                self._hand_over(one, two, telephone, talk_bridge, target_bridge, began)
                return
            host.leave(telephone)
            host.leave(two)
        host.hangup(two.unique_id, asks, [target], call_type=2, answered=picked_up, began_seconds=began)
        host.leave(one)
        host.leave(holder)
        host.enter(holder, talk_bridge)

    def blind(self, target: str, *, answered: bool) -> None:
        """Blind transfer: both leave, the target rings, and answers or not."""
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        host.leave(holder)
        host.leave(self.customer)
        self.moved = True
        if self.call_type == 1:
            host.hangup(
                self.primary, self.phone, [holder.number], call_type=1, answered=True, began_seconds=self.began_seconds, trunk=self.trunk
            )
            self.primary = self.customer.unique_id
        telephone = host.channel(f"SIP/{target}", target, exten=target, connected=self.phone, linked=self.customer)
        if self.call_type == 1:
            host.new_callerid(telephone, _CONTEXT_TRANSFER)
        telephone.exten = ""
        host.wait(5)
        self.holder = None
        self.first = target
        if answered:
            self.customer.connected, self.customer.exten = target, target
            host.bridge(telephone, self.customer)
            self.holder = telephone

    def end(self, *, by_customer: bool = True, hangup: bool = True) -> None:
        """The call ends; without `hangup` the host loses that webhook, or never sends it."""
        host = self.host
        bridge_id = self.customer.bridge_id
        others = [line for line in host.members(bridge_id) if line is not self.customer]
        for line in [self.customer, *others] if by_customer else [*others, self.customer]:
            if line.bridge_id:
                host.leave(line)
        if not hangup:
            return
        transferred = self.moved
        host.hangup(
            self.primary,
            self.phone,
            [self.first] if self.first else [],
            call_type=2 if transferred else self.call_type,
            answered=self.holder is not None,
            began_seconds=self.began_seconds,
            trunk=None if transferred else self.trunk,
        )

    def _hand_over(self, one: Line, two: Line, telephone: Line, talk_bridge: str, target_bridge: str, began: float) -> None:
        host, holder = self.host, self.holder
        assert holder is not None
        host.leave(holder)
        host.leave(one)
        if self.call_type == 1 and holder.unique_id == self.primary:
            host.hangup(
                self.primary, self.phone, [holder.number], call_type=1, answered=True, began_seconds=self.began_seconds, trunk=self.trunk
            )
        host.enter(one, talk_bridge)
        host.leave(self.customer)
        two.number = self.phone
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        self.customer.connected = telephone.number
        host.enter(self.customer, target_bridge)
        host.leave(two)
        host.leave(one)
        host.hangup(two.unique_id, self.phone, [telephone.number], call_type=2, answered=True, began_seconds=began)
        self.holder = telephone


def incoming(host: Host, phone: str, trunk: str, *, greeting_seconds: float = 0.0) -> Talk:
    """A customer calls in on a line."""
    customer = host.channel(f"SIP/{trunk}", phone, exten=trunk)
    host.start(customer, phone, trunk)
    host.new_callerid(customer, _CONTEXT_TRUNK)
    began = host.now_seconds
    host.wait(greeting_seconds)
    return Talk(host, phone, trunk, customer.unique_id, 0, began, customer)


def outgoing(host: Host, extension: str, phone: str, trunk: str) -> Talk:
    """An extension dials out. `connect` has the customer answer."""
    telephone = host.channel(f"SIP/{extension}", extension, exten=phone)
    host.dial(telephone.unique_id, phone, [extension], 1, trunk)
    customer = host.channel(f"SIP/{trunk}", phone, exten=phone, connected=extension, linked=telephone)
    host.new_callerid(customer, _CONTEXT_TRUNK)
    customer.exten = ""
    return Talk(host, phone, trunk, telephone.unique_id, 1, host.now_seconds, customer, holder=telephone, first=extension)


def connect(talk: Talk) -> None:
    """The customer of an outgoing call answers."""
    assert talk.holder is not None
    talk.host.bridge(talk.customer, talk.holder)
    talk.answered = True


def fail(talk: Talk) -> None:
    """An outgoing call that nobody answered ends."""
    talk.holder = None
    talk.end()


def internal(host: Host, caller: str, callee: str, *, ring_seconds: float, talk_seconds: float | None) -> None:
    """A colleague calls a colleague; `talk_seconds` None = nobody answers, and the only webhook is the hangup."""
    began = host.now_seconds
    calling = host.channel(f"SIP/{caller}", caller, exten=callee, connected=callee)
    host.wait(ring_seconds)
    if talk_seconds is not None:
        called = host.channel(f"SIP/{callee}", callee, connected=caller, linked=calling)
        host.bridge(calling, called)
        host.wait(talk_seconds)
        host.leave(called)
        host.leave(calling)
    host.hangup(calling.unique_id, caller, [callee], call_type=2, answered=talk_seconds is not None, began_seconds=began)
