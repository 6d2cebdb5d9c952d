"""The switchboard: one enterprise's open calls, which call an event belongs to, and when a call ends.

The way of an event: (1) deadlines that passed before it are carried out; (2) ids say which calls know it, and those become one: Linkedid,
UniqueId, bridge, Local pair, the neighbouring id of a pair; (3) where no id does, numbers may (`gateway.calls.correlation`); (4) else it
begins a new piece; (5) its facts are taken over by the handler; (6) conclusions are drawn. A piece becomes a call when there is something
to show. Pure: the clock is that of the events; equal events give equal calls.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.calls import correlation, events
from gateway.calls.call import Call
from gateway.calls.channels import Channel, ChannelKind, neighbour
from gateway.calls.closing import HANGUP, Closing, Timing, closing_of
from gateway.calls.deadlines import Deadlines
from gateway.calls.ids import Ids
from gateway.calls.parties import Direction
from gateway.calls.profile import profile_of
from gateway.calls.progress import Known, stage_of
from gateway.calls.talk import follow_talk, has_company, link_through_pairs

# How long a leg may wait for its call: a CRM lets the employee's telephone ring first, nobody for longer than this.
PIECE = timedelta(seconds=120)
# Bridges announced and not yet entered; more than this are forgotten oldest first.
MAX_LOOSE_BRIDGES_ITEMS = 2000

# Webhooks of the dialplan, not of a channel: these may come of a channel that no other webhook has told of.
_OF_DIALPLAN = (events.Hangup, events.Dial)
# These say nothing of any channel.
_OF_BRIDGE_ALONE = (events.BridgeCreate, events.BridgeDestroy)

Handler = Callable[[Call, events.AnyEvent], None]
AnnouncesTransfer = Callable[[events.NewCallerId], bool]


class Outcome:
    """What happened to the calls. `settled` maps event ids to their call (None: no call's). `touched` are calls whose card may have
    changed.
    """

    __slots__ = ("dropped", "merged", "opened", "settled", "touched")

    def __init__(self) -> None:
        self.settled: dict[int, int | None] = {}
        self.opened: list[int] = []
        self.merged: list[tuple[int, int]] = []
        self.touched: dict[int, None] = {}
        self.dropped: list[int] = []


class Switchboard:
    """The open calls of one enterprise.

    Memory: a call lives from its first event until `linger_seconds` after its last one once it has ended; a piece for `PIECE`.
    """

    def __init__(self, *, handle: Handler, announces_transfer: AnnouncesTransfer, timing: Timing) -> None:
        self._handle = handle
        self._announces_transfer = announces_transfer
        self._timing = timing
        self._known: dict[int, Known] = {}
        self._ids = Ids()
        self._deadlines = Deadlines()
        self._loose_bridges: dict[str, events.BridgeCreate] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, unique_id: str) -> bool:
        return unique_id in self._ids.unique_ids

    def get(self, call_id: int) -> Known | None:
        """The open call with this id."""
        return self._known.get(call_id)

    def next_deadline(self) -> datetime | None:
        """When `advance` has something to do."""
        return self._deadlines.next()

    def advance(self, now: datetime) -> Outcome:
        """Carry out the deadlines that have passed: calls end, ended ones and lost pieces are forgotten."""
        outcome = Outcome()
        self._pass_time(now, outcome)
        return outcome

    def apply(self, event: events.AnyEvent, *, call_id: int | None = None) -> Outcome:
        """Take over one event.

        Args:
            event: with `event.at` not before that of any event applied earlier; but for a replay: a finished call that is brought back
                is replayed with its old times.
            call_id: on replay, the call it is known to belong to; nothing is guessed then.
        """
        outcome = Outcome()
        known = self._forced(event, call_id) if call_id is not None else self._find(event, outcome)
        # On replay nothing is forgotten: a later event of the log may belong to a call that has long ended.
        self._pass_time(event.at, outcome, spare=known.call.call_id if known else None, may_forget=call_id is None)
        if known is None:
            self._keep_loose(event, outcome)
            return outcome
        self._take_over(known, event)
        if call_id is None and isinstance(event, events.Dial):
            known = self._gather_pieces(known, event, outcome)
        self._conclude(known, event, outcome)
        return outcome

    def record(self, call_id: int, recording_url: str) -> Outcome:
        """The recording of an open call, or of one that has ended and is still here, is known now."""
        outcome = Outcome()
        known = self._known.get(call_id)
        if known is not None and known.real and known.call.recording_url != recording_url:
            known.call.recording_url = recording_url
            outcome.touched[call_id] = None
        return outcome

    # which call

    def _find(self, event: events.AnyEvent, outcome: Outcome) -> Known | None:
        found = self._by_ids(event)
        if not any(known.real for known in found):
            # Nobody knows it, or only pieces do: its numbers may say whose piece that is.
            known = self._by_numbers(event)
            if known is not None and known not in found:
                found.append(known)
        if found:
            return self._join(found, outcome)
        if isinstance(event, _OF_BRIDGE_ALONE) or not (event.unique_id or event.bridge_id):
            return None
        return self._begin(event)

    def _by_ids(self, event: events.AnyEvent) -> list[Known]:
        found = self._ids.by_ids(event, bridge_id=self._tying_bridge(event))
        if not found and isinstance(event, _OF_DIALPLAN):
            half = self._other_end(event.unique_id)
            if half is not None:
                found[half] = None
        return [self._known[call_id] for call_id in found]

    def _other_end(self, unique_id: str) -> int | None:
        """The call with the Local end that was created right before or after this id and whose other end is not known."""
        for step, half in ((-1, 1), (1, 2)):
            beside = neighbour(unique_id, step)
            call_id = self._ids.unique_ids.get(beside)
            leg = self._known[call_id].call.legs.get(beside) if call_id is not None else None
            if leg is not None and call_id is not None and leg.channel.kind is ChannelKind.LOCAL and leg.channel.half == half:
                call = self._known[call_id].call
                if call.other_half(leg) is None and call.leg(unique_id) is not None:
                    call.legs[unique_id].channel = Channel(ChannelKind.LOCAL, leg.channel.peer, leg.channel.pair, 3 - half)
                    call.pairs[leg.channel.pair][3 - half] = unique_id
                    return call_id
        return None

    def _by_numbers(self, event: events.AnyEvent) -> Known | None:
        candidates = [
            known
            for call_id in self._ids.by_numbers(event)
            # Two different Linkedids are two calls, whatever their numbers.
            if not ((known := self._known[call_id]).call.linkedids and event.linkedid)
        ]
        if not candidates:
            return None
        if isinstance(event, events.Dial):
            return correlation.find_dial(event, candidates)
        if isinstance(event, events.Hangup):
            return correlation.find_hangup(event, candidates)
        if isinstance(event, events.ChannelEvent):
            announces = isinstance(event, events.NewCallerId) and self._announces_transfer(event)
            return correlation.find_channel(event, candidates, announces_transfer=announces)
        return None

    def _tying_bridge(self, event: events.AnyEvent) -> str:
        """The bridge of an event, "" when being in it ties nobody together."""
        bridge_id = event.bridge_id
        loose = self._loose_bridges.get(bridge_id) if bridge_id else None
        return "" if loose is not None and loose.holding else bridge_id

    def _begin(self, event: events.AnyEvent) -> Known:
        call = Call(event.event_id, event.at, event.at, event.event_id, data_source=event.data_source)
        known = self._known[call.call_id] = Known(call)
        return known

    def _forced(self, event: events.AnyEvent, call_id: int) -> Known:
        known = self._known.get(call_id)
        if known is None:
            known = self._known[call_id] = Known(Call(call_id, event.at, event.at, event.event_id, data_source=event.data_source))
        return known

    def _join(self, found: list[Known], outcome: Outcome) -> Known:
        """Make all that an event ties together one call: a call swallows pieces, an outside call an internal one, the older the younger."""
        if len(found) == 1:
            return found[0]
        found.sort(key=_seniority)
        survivor = found[0]
        for absorbed in found[1:]:
            self._merge(absorbed, survivor, outcome)
        return survivor

    def _merge(self, absorbed: Known, survivor: Known, outcome: Outcome) -> None:
        call_id, gone = survivor.call.call_id, absorbed.call.call_id
        self._ids.move(absorbed, survivor)
        survivor.call.absorb(absorbed.call)
        if not survivor.call.chain and not (absorbed.profile and absorbed.profile.direction is Direction.INTERNAL):
            survivor.call.chain.extend(absorbed.call.chain)
            survivor.call.first_talk_at = absorbed.call.first_talk_at
        survivor.loose_event_ids.extend(absorbed.loose_event_ids)
        del self._known[gone]
        self._deadlines.drop(gone)
        outcome.touched.pop(gone, None)
        if absorbed.real:
            outcome.merged.append((gone, call_id))

    def _gather_pieces(self, known: Known, dial: events.Dial, outcome: Outcome) -> Known:
        others = [self._known[call_id] for call_id in self._ids.by_numbers(dial) if call_id != known.call.call_id]
        pieces = [other.call for other in others if not other.real]
        found = correlation.pieces_of_dial(dial, pieces) if dial.call_type == 1 else correlation.pieces_of_ring(dial, pieces)
        return self._join([known, *(self._known[piece.call_id] for piece in found)], outcome) if found else known

    # what it changes

    def _keep_loose(self, event: events.AnyEvent, outcome: Outcome) -> None:
        """A bridge announced before anybody entered it waits for its call; anything else without a call is nobody's."""
        if not isinstance(event, events.BridgeCreate) or not event.bridge_id:
            outcome.settled[event.event_id] = None
            return
        known = self._loose_bridges.pop(event.bridge_id, None)
        if known is not None:
            outcome.settled[event.event_id] = None
        self._loose_bridges[event.bridge_id] = known or event
        for bridge_id, loose in list(self._loose_bridges.items()):
            expired = event.at - loose.at > PIECE
            if not expired and len(self._loose_bridges) <= MAX_LOOSE_BRIDGES_ITEMS:
                break
            if loose.holding and expired and len(self._loose_bridges) <= MAX_LOOSE_BRIDGES_ITEMS:
                # A parking lot stays known as one while it may be in use.
                outcome.settled.setdefault(loose.event_id, None)
                continue
            del self._loose_bridges[bridge_id]
            outcome.settled.setdefault(loose.event_id, None)

    def _take_over(self, known: Known, event: events.AnyEvent) -> None:
        call = known.call
        call.last_at = max(call.last_at, event.at)
        call.last_event_id = max(call.last_event_id, event.event_id)
        known.loose_event_ids.append(event.event_id)
        bridge_id = event.bridge_id
        loose = self._loose_bridges.get(bridge_id) if bridge_id else None
        if loose is not None:
            self._handle(call, loose)
            if not loose.holding:
                del self._loose_bridges[bridge_id]
                known.loose_event_ids.append(loose.event_id)
        self._ids.enter(known, event, bridge_id=self._tying_bridge(event))
        if isinstance(event, events.BridgeLeave):
            self._note_who_left(known, event)
        self._handle(call, event)

    def _note_who_left(self, known: Known, event: events.BridgeLeave) -> None:
        """Whether the customer was the first to leave: then nobody transfers him anywhere."""
        if known.profile is not None and event.unique_id in known.profile.anchors:
            known.call.customer_left_first = bool(event.remaining)

    def _conclude(self, known: Known, event: events.AnyEvent, outcome: Outcome) -> None:
        call = known.call
        # A call does not cease to be one because a later fact makes its shape unclear; without a profile it would never end.
        known.profile = profile = profile_of(call) or known.profile
        closing = None
        if profile is not None:
            follow_talk(call, profile, event.at, event.event_id)
            closing = closing_of(call, profile, self._timing)
            if closing.closed_by or (call.closed_by and closing.closes_by == HANGUP):
                # The hangup of a call that had ended without one corrects how it ended.
                self._close(known, HANGUP, event.at)
            elif call.closed_by and (has_company(call, profile) or call.ringing_event_id == event.event_id):
                call.closed_by = ""
                call.closed_at = None
        self._settle(known, outcome)
        self._set_deadline(known, closing)

    def _settle(self, known: Known, outcome: Outcome) -> None:
        call_id = known.call.call_id
        if not known.real:
            if stage_of(known.call, known.profile) is None:
                return
            known.real = True
            outcome.opened.append(call_id)
        for event_id in known.loose_event_ids:
            outcome.settled[event_id] = call_id
        known.loose_event_ids.clear()
        outcome.touched[call_id] = None

    def _close(self, known: Known, closed_by: str, at: datetime) -> None:
        """End a call, or correct how it ended. What the order of events hid of the talk is taken from who ever met whom."""
        call, profile = known.call, known.profile
        if call.closed_at is None:
            call.closed_at = at
        call.closed_by = closed_by
        if profile is not None:
            link_through_pairs(call, profile)

    # time

    def _set_deadline(self, known: Known, closing: Closing | None) -> None:
        call = known.call
        if not known.real:
            self._deadlines.set(call.call_id, call.last_at + PIECE)
        elif call.closed_by:
            self._deadlines.set(call.call_id, call.last_at + self._timing.linger)
        elif closing is not None and closing.deadline is not None:
            self._deadlines.set(call.call_id, closing.deadline)

    def _pass_time(self, now: datetime, outcome: Outcome, *, spare: int | None = None, may_forget: bool = True) -> None:
        """Carry out deadlines up to `now`, each at its own time.

        `spare`: a call that an event just reached is not forgotten. A lane advances before it applies, so there it matters only to a call
        that was brought back in between, with its old deadline; else to a board that is driven without a lane.
        Where nothing `may_forget`, the deadlines of what is to be forgotten stay due, for the next `advance`.
        """
        kept: list[tuple[int, datetime]] = []
        while (due := self._deadlines.pop_due(now)) is not None:
            at, call_id = due
            known = self._known.get(call_id)
            if known is None:
                continue
            if known.real and not known.call.closed_by:
                self._end_by_time(known, at, outcome)
            elif not may_forget:
                kept.append((call_id, at))
            elif call_id != spare:
                self._forget(known, outcome)
        for call_id, at in kept:
            self._deadlines.set(call_id, at)

    def _end_by_time(self, known: Known, at: datetime, outcome: Outcome) -> None:
        if known.profile is None:
            return
        call_id = known.call.call_id
        closing = closing_of(known.call, known.profile, self._timing)
        if closing.deadline is None or closing.deadline <= at:
            self._close(known, closing.closes_by or closing.closed_by or HANGUP, at)
            outcome.touched[call_id] = None
            # The end itself is news: what ended late must not be forgotten at once.
            known.call.last_at = max(known.call.last_at, at)
        self._set_deadline(known, closing)

    def _forget(self, known: Known, outcome: Outcome) -> None:
        call_id = known.call.call_id
        self._ids.leave(known)
        del self._known[call_id]
        self._deadlines.drop(call_id)
        for event_id in known.loose_event_ids:
            outcome.settled[event_id] = None
        if known.real:
            outcome.dropped.append(call_id)


def _seniority(known: Known) -> tuple[bool, bool, int]:
    """Who swallows whom: calls before pieces, outside calls before internal ones, the older first."""
    internal = known.profile is not None and known.profile.direction is Direction.INTERNAL
    return not known.real, internal, known.call.call_id
