"""What the chat will show, step by step, as the pure rooms of the gateway say it: an enterprise's board, and the text of a card. Pure."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

import attrs

from gateway.calls.closing import Timing
from gateway.cards.board import Board, Changes
from gateway.cards.names import FullName, Names
from gateway.cards.text import render
from gateway.cards.view import CallView
from gateway.nurseries.enterprise import line_rules_of, zone_of
from gateway.ports import EnterpriseConfig, StoredEvent
from tester.emulator.faults import Sending
from tester.fakes.telegram_rules import visible_text

# The front door knows a second one of these by its body and stores it once.
_ONCE_KINDS = frozenset({"start", "dial", "hangup"})
# Two webhooks that are posted without waiting still do not arrive in the same moment.
_BETWEEN_SECONDS = 0.005
# After the last event the board is asked what time alone will change; what happens later than this nobody waits for.
_PATIENCE_SECONDS = 12.0


@attrs.frozen(kw_only=True)
class PreviewMessage:
    """After the event number `after_index`, which is posted at a second of the script, the message of a call says `text`; "" when it goes.

    `late_seconds`: so long after that event where time alone has changed the message. These are real seconds at any pace: the gateway's
    patience knows nothing of the script. `call` counts the calls of the script from 1.
    """

    after_index: int
    at_seconds: float
    call: int
    text: str
    late_seconds: float = 0.0


def preview(
    sendings: Sequence[Sending], config: EnterpriseConfig, *, timing: Timing, begun_at: datetime, speed: float
) -> tuple[PreviewMessage, ...]:
    """The messages of a script that is posted from `begun_at` on. Names of customers and the limits of Telegram are not known here."""
    zone = zone_of(config)
    board = Board(zone=zone, line_rules=line_rules_of(config), timing=timing)
    messages = _Messages(config, zone)
    sent = [sending for sending in sendings if not sending.is_lost]
    now, at_seconds, index = begun_at, 0.0, 0
    for number, (sending, event) in enumerate(_events(sent, config, begun_at, speed)):
        for due, changes in _passed(board, event.received_at):
            messages.take((changes,), index, at_seconds, late_seconds=(due - now).total_seconds())
        now, at_seconds, index = event.received_at, sending.at_seconds, sending.index
        messages.take((board.apply(attrs.evolve(event, event_id=number + 1)),), index, at_seconds)
    until = now + timedelta(seconds=timing.closing_grace_seconds + _PATIENCE_SECONDS)
    while (due := board.next_deadline()) is not None and due <= until:
        messages.take((board.advance(due),), index, at_seconds, late_seconds=(due - now).total_seconds())
        if board.next_deadline() == due:
            break
    return tuple(messages.all)


def _events(sent: Iterable[Sending], config: EnterpriseConfig, begun_at: datetime, speed: float) -> Iterator[tuple[Sending, StoredEvent]]:
    seen: set[tuple[str, str]] = set()
    for place, sending in enumerate(sent):
        body = json.dumps(dict(sending.posted.body), ensure_ascii=False)
        if sending.posted.kind in _ONCE_KINDS:
            if (sending.posted.kind, body) in seen:
                continue
            seen.add((sending.posted.kind, body))
        seconds = place * _BETWEEN_SECONDS + (0.0 if math.isinf(speed) else sending.at_seconds / speed)
        yield (
            sending,
            StoredEvent(
                event_id=0,
                enterprise_number=config.number,
                kind=sending.posted.kind,
                unique_id=str(sending.posted.body.get("UniqueId", "")),
                raw_body=body,
                received_at=begun_at + timedelta(seconds=seconds),
            ),
        )


def _passed(board: Board, now: datetime) -> Iterator[tuple[datetime, Changes]]:
    """As a lane does: what is due before an event comes before it."""
    due = board.next_deadline()
    if due is not None and due <= now:
        yield due, board.advance(now)


class _Messages:
    """The texts of the calls, as they change."""

    def __init__(self, config: EnterpriseConfig, zone: tzinfo) -> None:
        self._config = config
        self._zone = zone
        self._managers = {
            manager.extension: FullName(last_name=manager.last_name, first_name=manager.first_name, middle_name=manager.middle_name)
            for manager in config.managers
        }
        self._lines = {line.line_id: line.name for line in config.lines}
        self._calls: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self.all: list[PreviewMessage] = []

    def take(self, changes: Iterable[Changes], index: int, at_seconds: float, *, late_seconds: float = 0.0) -> None:
        for card in (card for change in changes for card in change.cards):
            text = self._text(card.view) if card.view is not None else ""
            if text == self._texts.get(card.call_id, ""):
                continue
            self._texts[card.call_id] = text
            call = self._calls.setdefault(card.call_id, len(self._calls) + 1)
            self.all.append(PreviewMessage(after_index=index, at_seconds=at_seconds, call=call, text=text, late_seconds=late_seconds))

    def _text(self, view: CallView) -> str:
        names = Names(managers=self._managers, line=self._lines.get(view.line) or None)
        return visible_text(render(view, names, self._config.language, self._zone), "HTML")
