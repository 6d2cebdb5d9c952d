"""What follows from an event and must not hold up the lane: one child of the events nursery for each card that has changed, and one for
each call and CRM that is to hear of it.

Siblings never fail each other: what goes wrong with one is contained there. What has to outlive the child (a card under a limit) is handed
to those who live longer.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import trio

from gateway.cards.board import CardChange
from gateway.nurseries.delivery import Delivery
from gateway.nurseries.enrichment import Enrichment, Search
from gateway.nurseries.living import Card, ChatKey
from gateway.nurseries.recipients import Recipients
from gateway.ports import EnterpriseConfig

log = logging.getLogger(__name__)


class Events:
    """Starts a child of `nursery`, the events nursery, for each changed card."""

    def __init__(self, *, delivery: Delivery, recipients: Recipients, enrichment: Enrichment, nursery: trio.Nursery) -> None:
        self._delivery = delivery
        self._recipients = recipients
        self._enrichment = enrichment
        self._nursery = nursery

    def show(self, enterprise: EnterpriseConfig, change: CardChange, *, told_at: datetime | None = None) -> None:
        """The card of a call has changed; call it only when that is committed. Does not wait.

        `told_at`: after a restart, only to those who were subscribed by then or have a message of the call already.
        """
        # Wanted at once and in the order of the lane, with the names that memory knows; who gets it may take a moment, and finds the
        # newest then.
        card = self._delivery.want(enterprise, change)
        searches = self._enrichment.look(card)
        self._nursery.start_soon(self._follow_up, card, searches, told_at, name=f"event of call {card.call_id}")

    async def _follow_up(self, card: Card, searches: Sequence[Search], told_at: datetime | None) -> None:
        if not searches:
            await self._tell(card, told_at)
            return
        # This nursery is the event's: its searches may outlast the telling, and never the events nursery around it.
        async with trio.open_nursery() as nursery:
            for search in searches:
                nursery.start_soon(contained, "a name", card.call_id, partial(self._search, card, search))
            await self._tell(card, told_at)

    async def _tell(self, card: Card, told_at: datetime | None) -> None:
        try:
            await contained("cards", card.call_id, lambda: self._spread(card, told_at))
        finally:
            self._delivery.spread(card.call_id)
        await contained("the name of its customer", card.call_id, lambda: self._enrichment.keep(card))

    async def _spread(self, card: Card, told_at: datetime | None) -> None:
        call_id, number = card.call_id, card.enterprise.number
        if not self._delivery.is_retracted(call_id):
            # Read while the names are searched for; the wait has one deadline.
            await self._recipients.of(number)
            await self._enrichment.settled(card)
        recipients = await self._recipients.of(number)
        card.naming.is_spread = True
        for recipient in recipients:
            if told_at is None or recipient.subscribed_at <= told_at or self._delivery.has(call_id, recipient):
                self._delivery.visit(call_id, ChatKey(recipient.bot_token, recipient.chat_id))
        # A card that has to go goes everywhere, also from the chats that have left since.
        if self._delivery.is_retracted(call_id):
            for chat in self._delivery.chats_of(call_id):
                self._delivery.visit(call_id, chat)

    async def _search(self, card: Card, search: Search) -> None:
        if await self._enrichment.search(card, search):
            # Too late for the message: it is edited, where it is.
            for recipient in await self._recipients.of(card.enterprise.number):
                if self._delivery.has(card.call_id, recipient):
                    self._delivery.visit(card.call_id, ChatKey(recipient.bot_token, recipient.chat_id))
        await self._enrichment.keep(card)


async def contained(what: str, call_id: int, work: Callable[[], Awaitable[None]]) -> None:
    """One sibling's work. An error that nobody expected is logged and ends here; cancellation passes."""
    try:
        await work()
    except Exception:
        # Safety net of the events nursery: a bug in one sibling must not cancel the others, nor take the process down with it.
        log.exception("call %d: %s failed", call_id, what)
