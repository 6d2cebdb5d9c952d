"""What follows from an event and must not hold up the lane: one child of the events nursery for each card that has changed.

Siblings never fail each other: what goes wrong with one is contained there. What has to outlive the child (a card under a limit) is handed
to those who live longer.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import trio

from gateway.cards.board import CardChange
from gateway.nurseries.delivery import Delivery
from gateway.nurseries.living import ChatKey
from gateway.nurseries.recipients import Recipients
from gateway.ports import EnterpriseConfig

log = logging.getLogger(__name__)


class Events:
    """Starts a child of `nursery`, the events nursery, for each changed card."""

    def __init__(self, *, delivery: Delivery, recipients: Recipients, nursery: trio.Nursery) -> None:
        self._delivery = delivery
        self._recipients = recipients
        self._nursery = nursery

    def show(self, enterprise: EnterpriseConfig, card: CardChange, *, told_at: datetime | None = None) -> None:
        """The card of a call has changed; call it only when that is committed. Does not wait.

        `told_at`: after a restart, only to those who were subscribed by then or have a message of the call already.
        """
        # Wanted at once and in the order of the lane; who gets it may take a moment, and finds the newest then.
        self._delivery.want(enterprise, card)
        self._nursery.start_soon(self._follow_up, enterprise.number, card.call_id, told_at, name=f"event of call {card.call_id}")

    async def _follow_up(self, enterprise_number: str, call_id: int, told_at: datetime | None) -> None:
        try:
            await contained("cards", call_id, lambda: self._spread(enterprise_number, call_id, told_at))
        finally:
            self._delivery.spread(call_id)

    async def _spread(self, enterprise_number: str, call_id: int, told_at: datetime | None) -> None:
        for recipient in await self._recipients.of(enterprise_number):
            if told_at is None or recipient.subscribed_at <= told_at or self._delivery.has(call_id, recipient):
                self._delivery.visit(call_id, ChatKey(recipient.bot_token, recipient.chat_id))
        # A card that has to go goes everywhere, also from the chats that have left since.
        if self._delivery.is_retracted(call_id):
            for chat in self._delivery.chats_of(call_id):
                self._delivery.visit(call_id, chat)


async def contained(what: str, call_id: int, work: Callable[[], Awaitable[None]]) -> None:
    """One sibling's work. An error that nobody expected is logged and ends here; cancellation passes."""
    try:
        await work()
    except Exception:
        # Safety net of the events nursery: a bug in one sibling must not cancel the others, nor take the process down with it.
        log.exception("call %d: %s failed", call_id, what)
