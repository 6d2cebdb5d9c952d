"""A host's clockwork: it hands out UniqueIds, channel names and bridges, keeps the time, and writes down the webhooks of its listener.

`Host` plays one PBX. What the telephones of its calls do is in `tester.pbx`; nothing is posted here, `tester.player` does that.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from uuid import UUID

import attrs

UNKNOWN = "<unknown>"


@attrs.frozen
class Posted:
    """One webhook: which endpoint, its body, and when it is posted, in seconds from the start of the script."""

    at_seconds: float
    kind: str
    body: Mapping[str, Any]


class ActKind(StrEnum):
    """What people and telephones do, as a diagram of the call shows it.

    `CALL`: source dials target. `RING`: target rings for source. `ANSWER`: source and target talk from now on. `HOLD`: they no longer do,
    and the call goes on. `TRANSFER`: source hands the other one over to target. `NO_ANSWER`: source has rung for target, and nobody picks
    up. `REFUSE`: source does not want what target asks of him, or does not let his mobile ring on. `BUSY`: the line source is taken, and
    target does not get through. `FORBID`: the rule of the line source does not let target dial this. `END`: source hangs up on target, ""
    when there is none.
    """

    CALL = "call"
    RING = "ring"
    ANSWER = "answer"
    HOLD = "hold"
    TRANSFER = "transfer"
    NO_ANSWER = "no_answer"
    REFUSE = "refuse"
    BUSY = "busy"
    FORBID = "forbid"
    END = "end"


@attrs.frozen
class Act:
    """One thing that is done, in seconds from the start of the script. `source` and `target` are numbers as they are dialled."""

    at_seconds: float
    kind: ActKind
    source: str
    target: str


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
    acts: list[Act] = attrs.field(factory=list[Act])
    _now_seconds: float = 0.0
    _channels: int = 0
    _pairs: int = 0
    _bridges: int = 0
    _members: dict[str, dict[str, Line]] = attrs.field(factory=dict[str, dict[str, Line]])
    _linked: dict[str, str] = attrs.field(factory=dict[str, str])
    _names: dict[str, str] = attrs.field(factory=dict[str, str])

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

    def act(self, kind: ActKind, source: str, target: str = "") -> None:
        """Note what is done now, for the diagram of the call; nothing is posted by it."""
        self.acts.append(Act(self._now_seconds, kind, source, target))

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

    def name(self, number: str, name: str) -> None:
        """From now on channels call this number by this name."""
        self._names[number] = name

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
        received_seconds: float | None = None,
    ) -> None:
        """Post hangup. Internal legs (call type 2) have no line and no StartTime.

        `received_seconds`: when the DateReceived of a customer's channel has moved on from its begin, with a ring step or a transfer; such
        a channel has its StartTime whatever the call type.
        """
        began = self.local_time(began_seconds)
        has_start = call_type != 2 or received_seconds is not None
        fields: dict[str, Any] = {
            "Phone": phone,
            "Extensions": list(extensions) or [""],
            "CallType": call_type,
            "CallStatus": status or ("2" if answered else "0"),
            "DateReceived": began if received_seconds is None else self.local_time(received_seconds),
            "StartTime": began if has_start else "",
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
        fields = self._channel_fields(line) | {"Exten": line.exten, "BridgeUniqueid": bridge_id}
        if fields["CallerIDName"] == UNKNOWN:
            fields["CallerIDName"] = ""
        self.post("bridge", line.unique_id, fields)

    def leave(self, line: Line, *, destroys: bool = True) -> None:
        """Let a channel leave its bridge; the last one destroys it, unless somebody does it later (`destroy`)."""
        bridge_id, line.bridge_id = line.bridge_id, ""
        members = self._members[bridge_id]
        members.pop(line.unique_id, None)
        fields = self._channel_fields(line) | {"BridgeUniqueid": bridge_id, "BridgeNumChannels": str(len(members))}
        self.post("bridge_leave", line.unique_id, fields)
        if not members and destroys:
            self.destroy(bridge_id)

    def destroy(self, bridge_id: str) -> None:
        """Destroy a bridge that all have left."""
        self.post("bridge_destroy", "", _bridge_fields(bridge_id))

    def members(self, bridge_id: str) -> list[Line]:
        """Who is in a bridge, in the order of entering."""
        return list(self._members.get(bridge_id, {}).values())

    def _channel_fields(self, line: Line) -> dict[str, Any]:
        return {
            "Channel": line.channel,
            "CallerIDNum": line.number or UNKNOWN,
            "CallerIDName": self._names.get(line.number, UNKNOWN),
            "ConnectedLineNum": line.connected or UNKNOWN,
            "ConnectedLineName": self._names.get(line.connected, UNKNOWN),
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
