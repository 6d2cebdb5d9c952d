"""One lane: the events of one enterprise, in the order of their arrival, through the board of its calls.

A lane decides nothing about calls (the board does) and shows nothing (delivery does). It owns the order: understand, commit, and only
then let the effects go. What it has understood is never dropped: the board has moved on, so its step is tried until the database takes it.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeVar

import trio

from gateway.cards.board import CardChange, Changes
from gateway.nurseries.draft import Draft
from gateway.nurseries.enterprise import line_rules_of, zone_of
from gateway.nurseries.lane_room import Calls, LaneRoom
from gateway.nurseries.ledger import Ledger
from gateway.ports import EnterpriseConfig, NamedCustomer, Owed, PushKey, StoredEvent

log = logging.getLogger(__name__)

T = TypeVar("T")

# One transaction takes at most so many events: at 1 ms of work an event, nobody's card waits for more than 0.2 s of others.
BATCH_EVENTS = 200
# So many are understood before others may run: about 1 ms, and some 10 ms where a host has gone mad within one call.
EVENTS_AT_A_TIME = 10
# An event in memory is about 1.5 KB: a full queue is 3 MB an enterprise. What does not fit is read from the store.
QUEUE_EVENTS = 2_000
# The wall clock may be set while a lane sleeps towards a deadline, so it looks again at least this often.
LONGEST_SLEEP_SECONDS = 60.0
# Hosts offer again, hours later, only hangups that got no answer; such a one must find its call even when memory has forgotten it. Other
# kinds with an unknown id begin something new, and are not worth a look-up each.
LATE_KINDS = frozenset({"hangup"})
# A recording goes onto the card of a call that ended no longer ago than this. Somebody may write the links of a whole archive.
RECORDING_LIFE = timedelta(hours=48)
# So many between two batches of events: a call that memory has forgotten costs some five readings.
RECORDINGS_AT_A_TIME = 10

_NOW: Final[Mapping[int, datetime]] = MappingProxyType({})


class Lane:
    """One enterprise. `run` is its task; `put`, `close` and `release` are for others and never wait."""

    def __init__(self, enterprise_number: str, room: LaneRoom) -> None:
        self.enterprise_number = enterprise_number
        self.restored = trio.Event()
        self.processed_events = 0
        self._room = room
        self._queue: deque[StoredEvent] = deque()
        # A lane begins behind: what the last process left is read the same way as what did not fit into the queue.
        self._behind = True
        # Applied, but not yet known to belong to any call: still unprocessed in the store, so that a restart reads them again. They end
        # with the deadlines of the board; a call has a handful of them.
        self._loose: set[int] = set()
        self._in_hand: Sequence[StoredEvent] = ()
        self._closing = False
        self._to_release: dict[int, None] = {}
        # Calls whose recording has become known: as many as `nurseries.recordings` has handed on since the last step.
        self._recorded: dict[int, None] = {}
        self._wake = trio.Event()
        self._advance_not_before = float("-inf")
        self._config = room.config_of(enterprise_number) or EnterpriseConfig(number=enterprise_number, token="")
        self._board = self._new_board()
        self._ledger = Ledger(enterprise_number, room.store, patience=room.patience)

    def __repr__(self) -> str:
        state = "behind" if self._behind else "level"
        return f"<Lane {self.enterprise_number} {state} queued={len(self._queue)} open={self.open_calls}>"

    @property
    def open_calls(self) -> int:
        """Calls that are held in memory."""
        return self._board.open_calls

    @property
    def queued_events(self) -> int:
        """Events in memory that wait to be understood."""
        return len(self._queue)

    @property
    def left_events(self) -> int:
        """Events in memory that the store still calls unprocessed; it holds others if `behind`."""
        return len(self._queue) + len(self._loose | {event.event_id for event in self._in_hand})

    @property
    def behind(self) -> bool:
        """Whether further events wait in the store only."""
        return self._behind

    def put(self, event: StoredEvent) -> None:
        """A stored event of this enterprise. Never refused: what does not fit is read from the store later."""
        if not self._behind:
            if len(self._queue) < QUEUE_EVENTS:
                self._queue.append(event)
            else:
                self._behind = True
                self._queue.clear()
        self._wake.set()

    def look_again(self) -> None:
        """Events of this enterprise may be in the store that nobody has handed in."""
        self._behind = True
        self._wake.set()

    def release(self, call_id: int) -> None:
        """Nothing of this forgotten call is owed any more: the next step says so."""
        self._to_release[call_id] = None
        self._wake.set()

    def note_recording(self, call_id: int) -> None:
        """Where the recording of this call is stands in the store."""
        self._recorded[call_id] = None
        self._wake.set()

    def close(self) -> None:
        """Finish what is stored, then end."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Restore, then understand events until closed. After cancellation the database holds what is left for the next start."""
        await self._restore()
        self.restored.set()
        while True:
            self._wake = trio.Event()
            self._in_hand = events = await self._next_events()
            if events or self._to_release:
                await self._understand(events)
                self._in_hand = ()
            elif (seconds := self._seconds_to_deadline()) <= 0:
                await self._advance()
            elif self._recorded:
                await self._show_recordings()
            elif self._closing and not self._behind:
                return
            else:
                # Asked once: a deadline that passes between two looks at the clock would be a negative time to wait.
                with trio.move_on_after(seconds):
                    await self._wake.wait()

    # ------------------------------------------------------------------ what there is to do

    async def _next_events(self) -> Sequence[StoredEvent]:
        if not self._behind:
            return [self._queue.popleft() for _ in range(min(BATCH_EVENTS, len(self._queue)))]
        # From here on new events are queued again, so that none can fall between reading and queue. No step is under way, so what the
        # store calls unprocessed and is not loose is exactly what is left to do, whatever the order in which ids became visible.
        self._behind, is_all = False, False
        try:
            events, is_all = await self._read_unprocessed()
        finally:
            self._behind = self._behind or not is_all
        if is_all:
            read = {event.event_id for event in events}
            self._queue = deque(event for event in self._queue if event.event_id not in read)
        else:
            self._queue.clear()
        return events

    async def _read_unprocessed(self) -> tuple[Sequence[StoredEvent], bool]:
        """The next events to be understood, and whether these are all."""
        store, number, after = self._room.store, self.enterprise_number, self._ledger.refused_up_to
        while True:
            read = await self._with_store(
                "unprocessed events",
                lambda after=after: store.unprocessed_events(number, after_event_id=after, limit=BATCH_EVENTS),
            )
            fresh = [event for event in read if event.event_id not in self._loose]
            if fresh or len(read) < BATCH_EVENTS:
                return fresh, len(read) < BATCH_EVENTS
            after = read[-1].event_id

    def _seconds_to_deadline(self) -> float:
        deadline = self._board.next_deadline()
        if deadline is None:
            return LONGEST_SLEEP_SECONDS
        seconds = (deadline - self._room.clock()).total_seconds()
        return min(max(seconds, self._advance_not_before - trio.current_time()), LONGEST_SLEEP_SECONDS)

    # ------------------------------------------------------------------ understanding

    async def _understand(self, events: Iterable[StoredEvent]) -> None:
        self._refit()
        draft = Draft()
        for number, event in enumerate(events, start=1):
            await self._understand_one(event, draft)
            if number % EVENTS_AT_A_TIME == 0:
                # Others may run, but nothing stops here: the board has moved on and the step must follow it.
                await trio.lowlevel.cancel_shielded_checkpoint()
        await self._settle(draft)

    async def _understand_one(self, event: StoredEvent, draft: Draft) -> None:
        due = self._board.next_deadline()
        if due is not None and due <= event.received_at:
            self._pass_time(event.received_at, draft)
        try:
            if event.unique_id and event.kind in LATE_KINDS and not self._board.knows(event):
                await self._bring_back(event, draft)
            changes = self._board.apply(event)
        except Exception as exc:
            # Safety net: whatever one event does to the board, the events after it must still be understood. It is recorded with its
            # error and passed over.
            log.exception("enterprise %s: event %d (%s) could not be applied", self.enterprise_number, event.event_id, event.kind)
            draft.refuse(event.event_id, f"{type(exc).__name__}: {exc}")
        else:
            draft.add(changes)
        self._loose.add(event.event_id)
        self.processed_events += 1

    async def _bring_back(self, event: StoredEvent, draft: Draft) -> None:
        """A finished call may be meant that memory has forgotten: then it comes back, so that it is corrected and not told twice."""
        store, number = self._room.store, self.enterprise_number
        call_id = await self._with_store("call of a UniqueId", lambda: store.call_id_of(number, event.unique_id))
        if call_id is not None and await self._reopen(call_id, draft) is not None:
            for recorded, address in (await self._recordings_of([call_id])).items():
                self._board.record(recorded, address)

    async def _reopen(self, call_id: int, draft: Draft, *, since: datetime | None = None) -> datetime | None:
        """Take a finished call into memory again. When its last event came; None: there is none any more, or none since then."""
        store, number = self._room.store, self.enterprise_number
        past = await self._with_store("events of a call", lambda: store.events_of_call(number, call_id))
        last_at = max((event.received_at for event in past), default=None)
        if last_at is None or (since is not None and last_at < since):
            return None
        shown = await self._with_store("what was shown", lambda: store.shown_of_calls(number, [call_id]))
        self._board.restore(past)
        self._to_release.pop(call_id, None)
        self._room.delivery.recall(number, [call_id], shown)
        # Its card was shown when it was new: only what changes from here on is to be shown now.
        draft.add(Changes(opened=(call_id,)))
        return last_at

    async def _recordings_of(self, call_ids: Sequence[int]) -> Mapping[int, str]:
        store, number = self._room.store, self.enterprise_number
        return await self._with_store("recordings", lambda: store.recordings_of(number, call_ids))

    async def _show_recordings(self) -> None:
        """Put the recordings that have become known onto their cards, wherever those are by now."""
        call_ids = list(islice(self._recorded, RECORDINGS_AT_A_TIME))
        for call_id in call_ids:
            del self._recorded[call_id]
        self._refit()
        draft, told_at = Draft(), dict[int, datetime]()
        for call_id, address in (await self._recordings_of(call_ids)).items():
            try:
                if not self._board.holds(call_id):
                    last_at = await self._reopen(call_id, draft, since=self._room.clock() - RECORDING_LIFE)
                    if last_at is None:
                        continue
                    # Whoever has subscribed since then has not seen the call, and is not to hear of it now.
                    told_at[call_id] = last_at
                draft.add(self._board.record(call_id, address))
            except Exception:
                # Safety net as for events: the lane must go on without this link.
                log.exception("enterprise %s: the recording of call %d cannot be shown", self.enterprise_number, call_id)
        await self._settle(draft, told_at=told_at)

    async def _advance(self) -> None:
        draft = Draft()
        self._pass_time(self._room.clock(), draft)
        await self._settle(draft)

    def _pass_time(self, now: datetime, draft: Draft) -> None:
        try:
            draft.add(self._board.advance(now))
        except Exception:
            # Safety net as for events: the lane must go on, and the event that came now is not to blame. The deadline is still due, so it
            # is left alone for a while.
            log.exception("enterprise %s: the passing of time could not be applied", self.enterprise_number)
            self._advance_not_before = trio.current_time() + LONGEST_SLEEP_SECONDS

    def _new_board(self) -> Calls:
        return self._room.board_of(zone_of(self._config), line_rules_of(self._config))

    def _refit(self) -> None:
        """Take over a configuration that was changed since the last event."""
        config = self._room.config_of(self.enterprise_number)
        if config is not None and config is not self._config:
            self._config = config
            self._board.zone = zone_of(config)
            self._board.set_line_rules(line_rules_of(config))

    # ------------------------------------------------------------------ commit, then effects

    async def _settle(self, draft: Draft, *, told_at: Mapping[int, datetime] = _NOW) -> None:
        """`told_at`: see `Events.show`, by call; what is not in it is news for everybody."""
        delivery = self._room.delivery
        released = [call_id for call_id in self._to_release if call_id not in draft.opened]
        self._to_release.clear()
        owing: list[int] = []
        for call_id in draft.dropped:
            (released if call_id not in draft.cards and delivery.is_settled(call_id) else owing).append(call_id)
        owed, named = self._owed_of(draft), self._named_of(draft)
        step = draft.step(self.enterprise_number, is_shown=delivery.is_shown, released=released, owed=owed, named=named)
        written = await self._ledger.commit(step) if step is not None else ()
        self._loose -= draft.settled_events
        for card in draft.cards.values():
            self._room.events.show(self._config, card, told_at=told_at.get(card.call_id))
        shown = {outcome.event_id for outcome in step.outcomes if outcome.shown} if step is not None else set[int]()
        for call_id, event_id in draft.quiet_events(is_shown=shown):
            delivery.take_in(call_id, event_id)
        for call_id in released:
            delivery.forget(call_id, then=None)
        for call_id in owing:
            delivery.forget(call_id, then=self.release)
        if written:
            self._room.push([PushKey(self.enterprise_number, each.report.call_id, each.crm, each.report.kind) for each in written])

    def _owed_of(self, draft: Draft) -> list[Owed]:
        owed: list[Owed] = []
        for report in draft.reports:
            try:
                owed += self._room.owed_of(self._config, report)
            except Exception:
                # Safety net: what is told to CRMs follows from the call and must not keep the call itself from being written.
                log.exception("enterprise %s: call %d: what CRMs are owed is not known", self.enterprise_number, report.call_id)
        return owed

    def _named_of(self, draft: Draft) -> list[NamedCustomer]:
        named: list[NamedCustomer] = []
        for record in draft.records:
            try:
                known = self._room.named_of(self._config, record)
            except Exception:
                # The same net: a name is a courtesy.
                log.exception("enterprise %s: call %d: its customer cannot be named", self.enterprise_number, record.call_id)
            else:
                named += [known] if known is not None else []
        return named

    # ------------------------------------------------------------------ restart

    async def _restore(self) -> None:
        """Rebuild the open calls by replay, and show what is wanted but not shown. There is no second recovery logic."""
        store, number = self._room.store, self.enterprise_number
        events = await self._with_store("live events", lambda: store.live_events(number))
        if not events:
            return
        draft = await self._replay(events)
        calls = {event.call_id for event in events if event.call_id is not None}
        for call_id, address in (await self._recordings_of(sorted(calls))).items():
            draft.add(self._board.record(call_id, address))
        # Written already, but for what changed rules or settings make of them now; writing a record again changes nothing else.
        step = draft.step(number, is_shown=lambda _: False, released=())
        if step is not None:
            await self._ledger.commit(step)
        # A call id is the id of its first event, so the ids of all these events also find the messages of calls that were absorbed
        # and whose deletion was still owed.
        shown = await self._with_store("what was shown", lambda: store.shown_of_calls(number, [event.event_id for event in events]))
        received_at = {event.event_id: event.received_at for event in events}
        newest_at = max(received_at.values())
        absorbed = {row.call_id for row in shown if row.message_id is not None} - calls
        self._room.delivery.recall(number, sorted(calls | absorbed), shown)
        draft.cards.update({gone: CardChange(call_id=gone, version=1, event_id=gone, view=None) for gone in sorted(absorbed)})
        for card in draft.cards.values():
            self._room.events.show(self._config, card, told_at=received_at.get(card.event_id, newest_at))
        for call_id in absorbed:
            self._room.delivery.forget(call_id, then=None)
        for call_id in draft.dropped:
            self._room.delivery.forget(call_id, then=self.release)
        log.info("enterprise %s: %d events replayed, %d calls open", number, len(events), self.open_calls)

    async def _replay(self, events: Sequence[StoredEvent]) -> Draft:
        """All calls at once; when that fails, call by call, so that one that cannot be replayed does not take the others along."""
        draft = Draft()
        try:
            draft.add(self._board.restore(events))
            return draft
        except Exception:
            # Safety net: a process that cannot start because of one call in its log would never start again.
            log.exception("enterprise %s: replay failed, trying call by call", self.enterprise_number)
        self._board, draft = self._new_board(), Draft()
        by_call: dict[int | None, list[StoredEvent]] = {}
        for event in events:
            by_call.setdefault(event.call_id, []).append(event)
        for call_id, of_call in by_call.items():
            await trio.lowlevel.checkpoint()
            try:
                draft.add(self._board.restore(of_call))
            except Exception:
                # The same net, now around the one call that is to blame.
                log.exception("enterprise %s: call %s cannot be replayed and is left out", self.enterprise_number, call_id)
        return draft

    async def _with_store(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        return await self._room.patience.with_store(f"enterprise {self.enterprise_number}: {what}", operation)
