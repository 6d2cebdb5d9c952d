"""Living messages as they are held in memory: what a call's card is to say, and what each chat has of it. No I/O.

Memory: a card is about 3 KB with its view, names and text, a slot about 1 KB. 1,000 open calls with 5 subscribers are 8 MB. Both go when
the call has been dropped by its board and nothing of it is owed any more, so what is held is bounded by the open calls and by what Telegram
has not taken yet.
"""

from collections.abc import Callable

import attrs

from gateway.cards.board import CardChange
from gateway.cards.policy import Living, Wanted, wanted
from gateway.cards.text import render
from gateway.cards.view import Stage
from gateway.nurseries.enterprise import zone_of
from gateway.nurseries.naming import Naming
from gateway.ports import EnterpriseConfig, Shown


@attrs.frozen
class ChatKey:
    """A chat as one bot sees it."""

    bot_token: str = attrs.field(repr=False)
    chat_id: int


@attrs.define(eq=False, kw_only=True)
class Card:
    """The card of one call, the same for all chats.

    `event_id`: the last event that it stands for; `marked_event_id`: up to where the log says so (`call_events.telegram_sent`).
    `queued`: its slots that wait for, or are in, the hands of a courier. `spreads`: events that have not yet reached all recipients.
    `unpaid`: something cannot be delivered by this process (a rejected bot) and stays owed in the database. `naming`: the names so far.
    """

    enterprise: EnterpriseConfig
    change: CardChange
    event_id: int = 0
    marked_event_id: int = 0
    slots: dict[ChatKey, "Slot"] = attrs.field(factory=dict["ChatKey", "Slot"], repr=False)
    queued: set["Slot"] = attrs.field(factory=set["Slot"], repr=False)
    spreads: int = 0
    unpaid: bool = False
    is_shown: bool = False
    is_forgotten: bool = False
    then: Callable[[int], None] | None = attrs.field(default=None, repr=False)
    naming: Naming = attrs.field(factory=Naming, repr=False)
    _wanted: Wanted | None = attrs.field(default=None, init=False, repr=False)

    @property
    def call_id(self) -> int:
        """The call."""
        return self.change.call_id

    @property
    def is_settled(self) -> bool:
        """Whether this process has nothing left to do for the card."""
        return not self.queued and not self.spreads

    @property
    def is_final(self) -> bool:
        """Whether the call is over; such cards pass the others."""
        return self.change.view is not None and self.change.view.stage is Stage.FINAL

    def turn_to(self, enterprise: EnterpriseConfig, change: CardChange) -> None:
        """Say something else from now on."""
        self.enterprise, self.change = enterprise, change
        self.event_id = max(self.event_id, change.event_id)
        self.is_shown = False
        self._wanted = None

    def rename(self) -> None:
        """Its names have changed: the same state of the call in other words."""
        self._wanted = None

    def wanted(self) -> Wanted | None:
        """What the card says now, None when its message has to go.

        Made when first asked for: a stage that is overtaken before anybody looks costs no text.
        """
        view = self.change.view
        if self._wanted is None and view is not None:
            text = render(view, self.naming.names_for(view), self.enterprise.language, zone_of(self.enterprise))
            self._wanted = wanted(text, view.stage, answered=view.answered)
        return self._wanted


@attrs.define(eq=False, kw_only=True)
class Slot:
    """One card in one chat.

    `refused`, `plain`: hashes of what the chat does not take at all, and of what it does not take with markup. `is_gone`: the living
    message is not there any more, so the next version is sent anew. `is_alone`: the message to reply to is not there any more.
    """

    card: Card
    chat: ChatKey
    shown: Shown | None = None
    refused: bytes | None = None
    plain: bytes | None = None
    is_gone: bool = False
    is_alone: bool = False
    failed_deletions: int = 0

    def living(self) -> Living | None:
        """What the chat has, as the policy wants to know it."""
        shown = self.shown
        if shown is None:
            return None
        return Living(message_id=shown.message_id, stage=Stage(shown.stage), text_hash=shown.text_hash, sent_at=shown.sent_at)
