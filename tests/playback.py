"""Webhooks played through the board of one enterprise, without I/O: what a chat would have shown."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from gateway.calls.record import CallRecord
from gateway.cards.board import Board, Changes, Timing
from gateway.cards.names import NO_NAMES
from gateway.cards.text import render
from gateway.cards.view import CallView
from gateway.ports import StoredEvent

ZONE = ZoneInfo("Europe/Minsk")
BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
# Far enough for the grace and the longest ringing, not for the silence of hours.
_AFTERWARDS_SECONDS = 300.0


@attrs.define
class Playback:
    """A board and everything that came out of it."""

    board: Board = attrs.field(factory=lambda: Board(zone=ZONE, line_rules={}, timing=Timing()))
    views: dict[int, CallView] = attrs.field(factory=dict[int, CallView])
    history: dict[int, list[CallView]] = attrs.field(factory=dict[int, list[CallView]])
    records: dict[int, CallRecord] = attrs.field(factory=dict[int, CallRecord])
    stored: list[StoredEvent] = attrs.field(factory=list[StoredEvent])
    call_ids: dict[int, int | None] = attrs.field(factory=dict[int, int | None])
    retracted: list[int] = attrs.field(factory=list[int])
    dropped: list[int] = attrs.field(factory=list[int])
    now: datetime = BEGAN
    _seen: set[str] = attrs.field(factory=set[str])

    def post(self, kind: str, body: Mapping[str, Any], *, after_seconds: float = 0.01) -> Changes:
        """Take in one webhook as the store would give it on: start, dial and hangup only once."""
        self.now += timedelta(seconds=after_seconds)
        raw_body = json.dumps(body)
        key = kind + json.dumps(body, sort_keys=True)
        if kind in ("start", "dial", "hangup"):
            if key in self._seen:
                return Changes()
            self._seen.add(key)
        event = StoredEvent(
            event_id=len(self.stored) + 1,
            enterprise_number="0367",
            kind=kind,
            unique_id=str(body.get("UniqueId", "")),
            raw_body=raw_body,
            received_at=self.now,
        )
        self.stored.append(event)
        return self._take(self.board.apply(event))

    def play(self, webhooks: Iterable[tuple[float, str, Mapping[str, Any]]], *, fast: bool = True) -> None:
        """Take in webhooks one after another, at their own times or as fast as a host can post."""
        last = 0.0
        for at_seconds, kind, body in webhooks:
            self.post(kind, body, after_seconds=0.01 if fast else max(at_seconds - last, 0.0))
            last = at_seconds

    def wait(self, seconds: float) -> None:
        """Let time pass; every deadline on the way is carried out at its time."""
        until = self.now + timedelta(seconds=seconds)
        while (deadline := self.board.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self._take(self.board.advance(self.now))
        self.now = until

    def wait_for_the_end(self) -> None:
        """Let the short deadlines pass."""
        self.wait(_AFTERWARDS_SECONDS)

    @property
    def texts(self) -> list[str]:
        """The living messages."""
        return [render(view, NO_NAMES, "ru", ZONE) for view in self.views.values()]

    @property
    def first_lines(self) -> list[str]:
        """The first line of each living message."""
        return [text.split("\n")[0] for text in self.texts]

    def _take(self, changes: Changes) -> Changes:
        for settled in changes.settled:
            self.call_ids[settled.event_id] = settled.call_id
        for absorbed, survivor in changes.merged:
            self.call_ids = {key: survivor if value == absorbed else value for key, value in self.call_ids.items()}
        for card in changes.cards:
            if card.view is None:
                self.views.pop(card.call_id, None)
                self.retracted.append(card.call_id)
            else:
                self.views[card.call_id] = card.view
                self.history.setdefault(card.call_id, []).append(card.view)
        self.records.update({record.call_id: record for record in changes.records})
        self.dropped.extend(changes.dropped)
        return changes
