"""Delivery: the cards of all open calls, which chats they go to, and the couriers that bring them there.

Wanted against shown: a lane says what a card is to be (`want`), an event's nursery says to whom (`visit`), a courier makes it so. Nothing
here is a message that waits to be sent; what waits is the difference between two states, so what is overtaken is never sent.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

import attrs
import trio

from gateway.cards.board import CardChange
from gateway.errors import StoreRejected
from gateway.nurseries.bots import Bots
from gateway.nurseries.courier import Courier, End
from gateway.nurseries.living import Card, ChatKey, Slot
from gateway.nurseries.office import PostOffice
from gateway.nurseries.recipients import Recipients
from gateway.ports import EnterpriseConfig, Recipient, Shown

log = logging.getLogger(__name__)


class Delivery:
    """All living messages of this process. Couriers are children of `nursery`: one for each chat that something is to be brought to."""

    def __init__(self, *, office: PostOffice, bots: Bots, recipients: Recipients, nursery: trio.Nursery) -> None:
        self._office = office
        self._bots = bots
        self._recipients = recipients
        self._nursery = nursery
        # Call ids are ids of the log, which all enterprises share: they need no enterprise beside them.
        self._cards: dict[int, Card] = {}
        # What a restart finds in the store, until the card it belongs to is wanted.
        self._recalled: dict[int, tuple[Shown, ...]] = {}
        self._couriers: dict[ChatKey, Courier] = {}
        self._closing = False
        self._quiet = trio.Event()
        self.settled_cards = 0

    def __repr__(self) -> str:
        return f"<Delivery of {len(self._cards)} cards to {len(self._couriers)} chats>"

    # ------------------------------------------------------------------ for the lanes

    def want(self, enterprise: EnterpriseConfig, change: CardChange) -> Card:
        """The card of a call is to be this from now on. Nobody is told yet: `visit` those who are, then say `spread`."""
        card = self._cards.get(change.call_id)
        if card is None:
            card = self._cards[change.call_id] = Card(enterprise=enterprise, change=change)
            self._remember(card, self._recalled.pop(change.call_id, ()))
        card.turn_to(enterprise, change)
        card.spreads += 1
        if change.view is None:
            # Absorbed: no board will ever drop it, so it goes by itself when its messages are gone.
            card.is_forgotten = True
        return card

    def recall(self, enterprise_number: str, call_ids: Iterable[int], rows: Sequence[Shown]) -> None:
        """These calls are in memory again; `rows` is what the database knows to be shown of them."""
        by_call: dict[int, list[Shown]] = {call_id: [] for call_id in call_ids}
        for row in rows:
            if row.enterprise_number == enterprise_number and row.call_id in by_call:
                by_call[row.call_id].append(row)
        for call_id, shown in by_call.items():
            card = self._cards.get(call_id)
            if card is not None:
                # It had been dropped but was still being delivered: what it knows is newer than what the rows say.
                card.is_forgotten, card.then = False, None
            else:
                self._recalled[call_id] = tuple(shown)

    def take_in(self, call_id: int, event_id: int) -> None:
        """An event changed nothing on the card: the card stands for it as well."""
        card = self._cards.get(call_id)
        if card is None:
            return
        card.event_id = max(card.event_id, event_id)
        if card.is_shown:
            # It was shown between the making of the step and its commit: somebody has to tell the log.
            slot = next((slot for slot in card.slots.values() if slot.shown is not None and slot.shown.message_id is not None), None)
            if slot is not None:
                self._hand_over(slot)

    def is_shown(self, call_id: int) -> bool:
        """Whether some chat has the card as it stands."""
        card = self._cards.get(call_id)
        return card is not None and card.is_shown

    def is_settled(self, call_id: int) -> bool:
        """Whether nothing of the call is owed to anybody, now or after a restart."""
        card = self._cards.get(call_id)
        return card is None or (card.is_settled and not card.unpaid)

    def forget(self, call_id: int, *, then: Callable[[int], None] | None) -> None:
        """The board has dropped the call: it goes when nothing is left to do for it. Then `then` is called, unless something stays owed."""
        self._recalled.pop(call_id, None)
        card = self._cards.get(call_id)
        if card is None:
            if then is not None:
                then(call_id)
            return
        card.is_forgotten, card.then = True, then
        self._settle(card)

    # ------------------------------------------------------------------ for the event's nursery

    def spread(self, call_id: int) -> None:
        """All recipients have been visited for one `want`."""
        card = self._cards[call_id]
        card.spreads -= 1
        self._settle(card)

    def has(self, call_id: int, recipient: Recipient) -> bool:
        """Whether this chat has, or had, a message of this call."""
        card = self._cards.get(call_id)
        return card is not None and ChatKey(recipient.bot_token, recipient.chat_id) in card.slots

    def visit(self, call_id: int, chat: ChatKey) -> None:
        """Bring the chat up to date with the card of this call, now or as soon as it can be done."""
        card = self._cards.get(call_id)
        if card is None:
            return
        slot = card.slots.get(chat)
        if slot is None:
            if card.change.view is None:
                return
            slot = card.slots[chat] = Slot(card=card, chat=chat)
        self._hand_over(slot)

    def is_retracted(self, call_id: int) -> bool:
        """Whether the message of the call has to go."""
        card = self._cards.get(call_id)
        return card is not None and card.change.view is None

    def chats_of(self, call_id: int) -> list[ChatKey]:
        """The chats that have, or had, a message of this call."""
        card = self._cards.get(call_id)
        return list(card.slots) if card is not None else []

    # ------------------------------------------------------------------ for the service

    @property
    def waiting_cards(self) -> int:
        """Cards on their way to a chat, each chat counted."""
        return sum(len(card.queued) for card in self._cards.values())

    @property
    def held_cards(self) -> int:
        """Cards in memory."""
        return len(self._cards)

    async def idle(self) -> None:
        """Return when every card is where it should be, as far as that can be done at all."""
        while self.waiting_cards or any(card.spreads for card in self._cards.values()):
            self._quiet = trio.Event()
            await self._quiet.wait()

    def close(self) -> None:
        """Begin nothing new. Requests under way are finished and recorded; the rest stays owed in the database."""
        self._closing = True
        for courier in self._couriers.values():
            courier.close()

    # ------------------------------------------------------------------ couriers

    def _hand_over(self, slot: Slot) -> None:
        bot = self._bots.of(slot.chat.bot_token)
        if bot.rejected:
            slot.card.unpaid = True
            return
        courier = self._couriers.get(slot.chat)
        if courier is None:
            courier = self._couriers[slot.chat] = Courier(slot.chat, bot, self._office, on_settled=self._slot_settled)
        slot.card.queued.add(slot)
        courier.take(slot)
        if not courier.running and not self._closing:
            courier.running = True
            self._nursery.start_soon(self._drive, courier, name=repr(courier))

    async def _drive(self, courier: Courier) -> None:
        end = await courier.run()
        # No checkpoint between the end of the courier and its going from the books: what comes now finds it running or not at all.
        match end:
            case End.IDLE:
                self._discharge(courier)
            case End.CLOSED:
                pass
            case End.BOT_REJECTED:
                for slot in self._discharge(courier):
                    slot.card.unpaid = True
                    self._slot_settled(slot)
            case End.CHAT_GONE:
                slots = self._discharge(courier)
                self._recipients.drop(courier.chat.bot_token, courier.chat.chat_id)
                await self._bury(courier)
                for slot in slots:
                    self._slot_settled(slot)
            case End.CHAT_MOVED:
                assert courier.moved_to is not None
                slots = self._discharge(courier)
                await self._move(courier.chat, courier.moved_to)
                for slot in slots:
                    self._redirect(slot, courier.moved_to)
            case _:
                assert_never(end)

    def _discharge(self, courier: Courier) -> list[Slot]:
        courier.running = False
        self._couriers.pop(courier.chat, None)
        return courier.take_all()

    async def _bury(self, courier: Courier) -> None:
        chat, reason, at = courier.chat, courier.gone_because, self._office.clock()
        log.warning("chat %d is dead for bot %s: %s", chat.chat_id, courier.bot.bot_id, reason)
        try:
            await self._office.patience.with_store(
                "dead chat",
                lambda: self._office.store.bury_recipient(bot_token=chat.bot_token, chat_id=chat.chat_id, reason=reason, at=at),
            )
        except StoreRejected as exc:
            log.error("chat %d cannot be marked dead: %s", chat.chat_id, exc)

    async def _move(self, chat: ChatKey, new_chat_id: int) -> None:
        log.warning("chat %d is now chat %d", chat.chat_id, new_chat_id)
        try:
            await self._office.patience.with_store(
                "moved chat",
                lambda: self._office.store.move_recipient(bot_token=chat.bot_token, chat_id=chat.chat_id, new_chat_id=new_chat_id),
            )
        except StoreRejected as exc:
            log.error("chat %d cannot be moved to %d: %s", chat.chat_id, new_chat_id, exc)
        self._recipients.refresh()

    def _redirect(self, slot: Slot, new_chat_id: int) -> None:
        card, new = slot.card, ChatKey(slot.chat.bot_token, new_chat_id)
        card.slots.pop(slot.chat, None)
        card.queued.discard(slot)
        there = card.slots.setdefault(new, slot)
        if there is slot:
            slot.chat = new
            if slot.shown is not None:
                # Bot API, ResponseParameters: the supergroup is another chat; ids of messages of the group mean nothing there.
                slot.shown = attrs.evolve(slot.shown, chat_id=new_chat_id, message_id=None, superseded_message_id=None)
        self._hand_over(there)
        self._settle(card)

    # ------------------------------------------------------------------ memory

    def _remember(self, card: Card, rows: Iterable[Shown]) -> None:
        for row in rows:
            chat = ChatKey(row.bot_token, row.chat_id)
            card.slots[chat] = Slot(card=card, chat=chat, shown=row)
            if row.message_id is not None:
                card.marked_event_id = max(card.marked_event_id, row.event_id)

    def _slot_settled(self, slot: Slot) -> None:
        slot.card.queued.discard(slot)
        self.settled_cards += 1
        self._settle(slot.card)

    def _settle(self, card: Card) -> None:
        if card.is_settled:
            self._quiet.set()
        if not (card.is_forgotten and card.is_settled):
            return
        if self._cards.get(card.call_id) is card:
            del self._cards[card.call_id]
        then, card.then = card.then, None
        if then is not None and not card.unpaid:
            then(card.call_id)
