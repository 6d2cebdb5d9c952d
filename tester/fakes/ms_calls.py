"""Calls of МойСклад as values, and what becomes of their cards on the screens of employees."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum, auto

import attrs


class CardEventKind(StrEnum):
    """What is done to a card (Phone API, `eventType`)."""

    SHOW = "SHOW"
    STARTTIME = "STARTTIME"
    HIDE = "HIDE"
    HIDE_ALL = "HIDE_ALL"


class CardState(Enum):
    """What somebody sees of a call: its card, its card with a running timer, or no more of it."""

    SHOWN = auto()
    TIMER = auto()
    HIDDEN = auto()


@attrs.frozen(kw_only=True)
class CardEvent:
    """An event of a call's cards. `extension` is "" for all. `at`: when it came, seconds of the server's clock."""

    kind: CardEventKind
    extension: str
    sequence: int
    at: float
    employee_id: str = ""


@attrs.define(kw_only=True, eq=False)
class MsCall:
    """A call as МойСклад holds it. Moments have no zone; `None` and "" are fields that nobody has filled yet.

    `number_of_updates`: how often it was changed after it was made, whatever there was to change.
    """

    call_id: str
    external_id: str
    number: str
    is_incoming: bool
    started_at: datetime
    ended_at: datetime | None = None
    duration_milliseconds: int | None = None
    extension: str = ""
    employee_id: str = ""
    counterparty_id: str = ""
    comment: str = ""
    record_urls: list[str] = attrs.field(factory=list[str])
    events: list[CardEvent] = attrs.field(factory=list[CardEvent])
    number_of_updates: int = 0

    @property
    def cards(self) -> Mapping[str, CardState]:
        """What each extension that ever got the card sees of it now.

        Events count in the order of their `sequence`, those with the same one in the order they came: a SHOW that comes late does not
        bring back what was hidden by a later number. Nobody but SHOW brings a card.
        """
        cards: dict[str, CardState] = {}
        for event in sorted(self.events, key=lambda event: event.sequence):
            match event.kind:
                case CardEventKind.SHOW:
                    cards[event.extension] = CardState.SHOWN
                case CardEventKind.STARTTIME:
                    if cards.get(event.extension) is CardState.SHOWN:
                        cards[event.extension] = CardState.TIMER
                case CardEventKind.HIDE:
                    if event.extension in cards:
                        cards[event.extension] = CardState.HIDDEN
                case CardEventKind.HIDE_ALL:
                    cards = dict.fromkeys(cards, CardState.HIDDEN)
        return cards

    @property
    def seen_by(self) -> frozenset[str]:
        """The extensions that have the card on their screens now."""
        return frozenset(extension for extension, state in self.cards.items() if state is not CardState.HIDDEN)
