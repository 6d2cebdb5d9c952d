"""The call as a value: its legs, the bridges they met in, and what start, dials and hangups said.

A call keeps facts: whatever order the events come in, the same facts stand here at the end. It also keeps a few marks that follow the
order of events, since no fact alone tells them: who is in which bridge now, and who came there and left, talkers, chain and talk time,
`left_at` and `customer_left_first`, the marks of company and ringing, the end. A replay repeats them because the log has kept order and
times. Conclusions are drawn anew from both in `gateway.calls.profile` (who is who), `gateway.calls.talk` (who talked),
`gateway.calls.closing` (when it ended). A piece is a call that has not shown yet what it is: a leg that has not met its call.
"""

from datetime import datetime

import attrs

from gateway.calls.channels import NO_CHANNEL, Channel
from gateway.calls.events import Dial, Hangup, Start
from gateway.calls.parties import Party

# More of these in one call is a host gone mad; the call goes on without the rest, so that memory stays bounded by open calls.
MAX_LEGS_ITEMS = 400
MAX_BRIDGES_ITEMS = 400
MAX_MOVES_ITEMS = 400
MAX_LINKEDIDS_ITEMS = 50
MAX_DIALS_ITEMS = 200
MAX_CHAIN_ITEMS = 100


@attrs.define
class Leg:
    """One channel of the call. `bridge_id` is where it is now ("" nowhere), `bridge_ids` where it has ever been."""

    unique_id: str
    channel: Channel = NO_CHANNEL
    caller: str = ""
    connected: str = ""
    exten: str = ""
    context: str = ""
    bridge_id: str = ""
    bridge_ids: dict[str, None] = attrs.field(factory=dict[str, None])


@attrs.define
class BridgeState:
    """A bridge: who is in it now and who has ever been. `holding`: a parking lot, being together means nothing. `moves`: who came (True)
    and who left (False), one after another; whose enter was lost only leaves.
    """

    holding: bool = False
    members: dict[str, None] = attrs.field(factory=dict[str, None])
    ever: dict[str, None] = attrs.field(factory=dict[str, None])
    moves: list[tuple[str, bool]] = attrs.field(factory=list[tuple[str, bool]])

    def enter(self, unique_id: str) -> None:
        """Note that a channel is in it from now on."""
        if unique_id not in self.members:
            self.members[unique_id] = None
            self._move(unique_id, entered=True)

    def leave(self, unique_id: str) -> None:
        """Note that a channel is in it no more. Somebody who left before it was known that he had come was in it until now."""
        if unique_id in self.members or unique_id not in self.ever:
            self.members.pop(unique_id, None)
            self._move(unique_id, entered=False)
        self.ever[unique_id] = None

    def _move(self, unique_id: str, *, entered: bool) -> None:
        if len(self.moves) < MAX_MOVES_ITEMS:
            self.moves.append((unique_id, entered))


@attrs.define(eq=False)
class Call:
    """Everything known of one call. `call_id` is the id of its first event."""

    call_id: int
    first_at: datetime
    last_at: datetime
    last_event_id: int
    data_source: str = "live"

    legs: dict[str, Leg] = attrs.field(factory=dict[str, Leg])
    bridges: dict[str, BridgeState] = attrs.field(factory=dict[str, BridgeState])
    pairs: dict[str, dict[int, str]] = attrs.field(factory=dict[str, dict[int, str]])
    linkedids: dict[str, None] = attrs.field(factory=dict[str, None])

    start: Start | None = None
    dials: list[Dial] = attrs.field(factory=list[Dial])
    hangups: dict[str, Hangup] = attrs.field(factory=dict[str, Hangup])

    # Marks of the talk: who talked with the customer, one after another, and who does now.
    talkers: tuple[Party, ...] = ()
    chain: list[Party] = attrs.field(factory=list[Party])
    followed: tuple[str, ...] = ()
    credited_bridges: dict[str, None] = attrs.field(factory=dict[str, None])
    first_talk_at: datetime | None = None
    talk_began_at: datetime | None = None
    talk_seconds: float = 0.0

    # Marks for the end: event ids, 0 = never.
    company_event_id: int = 0
    ringing_event_id: int = 0
    ringing_at: datetime | None = None
    left_at: datetime | None = None
    customer_left_first: bool = False

    closed_by: str = ""
    closed_at: datetime | None = None

    # Where its recording is. No event says so: whoever makes recordings does.
    recording_url: str = ""

    def leg(self, unique_id: str) -> Leg | None:
        """The leg of a channel, made when it is new; None when the call has too many already or the id is unknown."""
        found = self.legs.get(unique_id)
        if found is None and unique_id and len(self.legs) < MAX_LEGS_ITEMS:
            found = self.legs[unique_id] = Leg(unique_id)
        return found

    def bridge(self, bridge_id: str) -> BridgeState | None:
        """The state of a bridge, made when it is new; None when the call has too many already or the id is unknown."""
        found = self.bridges.get(bridge_id)
        if found is None and bridge_id and len(self.bridges) < MAX_BRIDGES_ITEMS:
            found = self.bridges[bridge_id] = BridgeState()
        return found

    def link(self, linkedid: str) -> bool:
        """Note a Linkedid of the call; False when it has too many already or the id is unknown."""
        if linkedid and len(self.linkedids) < MAX_LINKEDIDS_ITEMS:
            self.linkedids[linkedid] = None
        return linkedid in self.linkedids

    def other_half(self, leg: Leg) -> Leg | None:
        """The other end of a Local pair."""
        unique_id = self.pairs.get(leg.channel.pair, {}).get(3 - leg.channel.half)
        return self.legs.get(unique_id) if unique_id else None

    def absorb(self, other: "Call") -> None:
        """Take over all facts of another call, or piece, that turned out to be this one; of its marks those of company and ringing."""
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.last_event_id = max(self.last_event_id, other.last_event_id)
        for unique_id, leg in other.legs.items():
            self.legs.setdefault(unique_id, leg)
        for bridge_id, state in other.bridges.items():
            mine = self.bridges.setdefault(bridge_id, BridgeState())
            mine.holding = mine.holding or state.holding
            mine.members.update(state.members)
            mine.ever.update(state.ever)
            # Only a parking lot can be in two calls, and nobody asks who was there when: else the bridge has made them one long ago.
            mine.moves = [*mine.moves, *state.moves][:MAX_MOVES_ITEMS]
        for pair, halves in other.pairs.items():
            self.pairs.setdefault(pair, {}).update(halves)
        self.linkedids.update(other.linkedids)
        if self.start is None or (other.start is not None and other.start.event_id < self.start.event_id):
            self.start = other.start or self.start
        self.dials = sorted((*self.dials, *other.dials), key=lambda dial: dial.event_id)[:MAX_DIALS_ITEMS]
        for unique_id, hangup in other.hangups.items():
            self.hangups.setdefault(unique_id, hangup)
        if other.data_source != "live":
            self.data_source = other.data_source
        self.recording_url = self.recording_url or other.recording_url
        self.company_event_id = max(self.company_event_id, other.company_event_id)
        if other.ringing_event_id > self.ringing_event_id:
            self.ringing_event_id, self.ringing_at = other.ringing_event_id, other.ringing_at
