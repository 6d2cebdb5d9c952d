"""The courier of one chat: the single writer of all cards there, one request at a time, finals first, the newest version always.

What is to be done is decided by `gateway.cards.policy`; a courier does it, writes down what was shown, and reacts to what Telegram says
(each class of error once, in `_react`). It never takes back a request that is under way: a newer version waits and comes next.
"""

import html
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import assert_never

import attrs
import trio

from gateway.cards.policy import Delete, Edit, Nothing, Plan, Send, Wanted, plan, plan_when_gone
from gateway.errors import StoreRejected
from gateway.nurseries.bots import Bot
from gateway.nurseries.enterprise import final_mode_of
from gateway.nurseries.living import ChatKey, Slot
from gateway.nurseries.office import PostOffice
from gateway.ports import Shown
from telegram_client.api import PARSE_MODE
from telegram_client.errors import (
    BadAnswer,
    BotRejected,
    ChatGone,
    ChatMoved,
    Conflict,
    MessageGone,
    NetworkTrouble,
    NotModified,
    ParseRejected,
    ReplyGone,
    RetryAfter,
    ServerTrouble,
    TelegramError,
)
from telegram_client.limits import Ticket

log = logging.getLogger(__name__)

# What Telegram has accepted is written down even when the process is told to end: for so long, then the next process may double it.
RECORD_SECONDS = 2.0
# A message that is in the way but cannot be deleted is left there after so many tries.
DELETIONS = 5


# The names of what is done, in the figures.
_ACTIONS: Mapping[type, str] = {Send: "sent", Edit: "edited", Delete: "deleted"}


class End(Enum):
    """Why a courier has ended."""

    IDLE = auto()
    CLOSED = auto()
    CHAT_GONE = auto()
    CHAT_MOVED = auto()
    BOT_REJECTED = auto()


@attrs.frozen(kw_only=True)
class Attempt:
    """One version of one card on its way to a chat. `plan` None: the chat does not take this version, it is passed over."""

    slot: Slot
    plan: Plan | None
    wanted: Wanted | None
    event_id: int


class Courier:
    """All cards of one chat. `take` hands it a slot; whoever finds it not `running` starts `run`."""

    def __init__(self, chat: ChatKey, bot: Bot, office: PostOffice, *, on_settled: Callable[[Slot], None]) -> None:
        self.chat = chat
        self.bot = bot
        self.running = False
        self.moved_to: int | None = None
        self.gone_because = ""
        self._office = office
        self._on_settled = on_settled
        self._finals: dict[Slot, None] = {}
        self._others: dict[Slot, None] = {}
        self._ticket: Ticket | None = None
        self._waiting: trio.CancelScope | None = None
        self._closing = False
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Courier {self.bot.bot_id} to {self.chat.chat_id}: {len(self._finals)} finals, {len(self._others)} others>"

    def take(self, slot: Slot) -> None:
        """Bring the chat up to date with this card."""
        if slot.card.is_final:
            self._others.pop(slot, None)
            self._finals.setdefault(slot)
            if self._ticket is not None:
                self._ticket.hurry()
        else:
            self._finals.pop(slot, None)
            self._others.setdefault(slot)

    def take_all(self) -> list[Slot]:
        """Everything it still had to bring, now somebody else's business."""
        slots = [*self._finals, *self._others]
        self._finals.clear()
        self._others.clear()
        return slots

    def close(self) -> None:
        """Begin nothing new; what is under way is finished."""
        self._closing = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> End:
        """Work until nothing is left, or until it makes no sense any more.

        After cancellation every chat has, and the store says, what had been done; a new message in the very moment of its sending may be in
        the chat without the store knowing.
        """
        admitted = False
        while not self._closing:
            if self.bot.rejected:
                return End.BOT_REJECTED
            slot = next(iter(self._finals or self._others), None)
            if slot is None:
                return End.IDLE
            attempt: Attempt | None = None
            try:
                attempt = self._plan(slot)
                if attempt.plan is None or isinstance(attempt.plan, Nothing):
                    await self._conclude(attempt)
                elif not admitted:
                    # The choice is made again afterwards: what was newest before the wait may not be so after it.
                    admitted = await self._admission()
                else:
                    admitted = False
                    await self._carry_out(attempt)
                    self._failures = 0
            except TelegramError as exc:
                assert attempt is not None
                if (end := await self._react(attempt, exc)) is not None:
                    return end
            except Exception:
                # Safety net: one card that cannot be drawn or understood must not silence the chat. This state of it is given up, the next
                # one is tried again.
                log.exception("call %d: its card cannot be brought to chat %d", slot.card.call_id, self.chat.chat_id)
                self._drop(slot)
        return End.CLOSED

    # ------------------------------------------------------------------ what is to be done, and when

    def _plan(self, slot: Slot) -> Attempt:
        card, shown = slot.card, slot.shown
        wanted = card.wanted()
        todo: Plan | None
        if wanted is not None and wanted.text_hash == slot.refused:
            todo = None
        elif wanted is not None and slot.is_gone:
            todo = plan_when_gone(wanted)
        else:
            todo = plan(slot.living(), wanted, final=final_mode_of(card.enterprise), now=self._office.clock())
        if shown is not None and shown.superseded_message_id is not None and not isinstance(todo, Send | Edit):
            todo = Delete(shown.superseded_message_id)
        return Attempt(slot=slot, plan=todo, wanted=wanted, event_id=card.event_id)

    async def _admission(self) -> bool:
        """Wait until the limits let one request through. Whether they did; they do not when the courier is closed."""
        self._ticket = ticket = self.bot.limits.ticket(self.chat.chat_id, urgent=bool(self._finals))
        try:
            return await self._wait(ticket.wait)
        finally:
            self._ticket = None

    async def _wait(self, wait: Callable[[], Awaitable[None]]) -> bool:
        with trio.CancelScope() as scope:
            self._waiting = scope
            await wait()
        self._waiting = None
        return not scope.cancelled_caught

    async def _conclude(self, attempt: Attempt) -> None:
        """Nothing is to be done for the chat. The log may still have to hear that the card stands for later events as well."""
        slot, card, shown = attempt.slot, attempt.slot.card, attempt.slot.shown
        if attempt.plan is not None and attempt.wanted is not None and shown is not None and shown.message_id is not None:
            card.is_shown = True
            if card.marked_event_id < attempt.event_id:
                await self._record(attempt, attrs.evolve(shown, event_id=max(shown.event_id, attempt.event_id)))
                return
        self._drop(slot)

    def _drop(self, slot: Slot) -> None:
        self._finals.pop(slot, None)
        self._others.pop(slot, None)
        self._on_settled(slot)

    # ------------------------------------------------------------------ doing it

    async def _carry_out(self, attempt: Attempt) -> None:
        match attempt.plan:
            case Send():
                async with self._office.turn.taken():
                    await self._send(attempt, attempt.plan)
            case Edit():
                await self._edit(attempt, attempt.plan)
            case Delete(message_id):
                await self.bot.api.delete_message(self.chat.chat_id, message_id)
                await self._deleted(attempt, message_id)
            case Nothing() | None:
                raise AssertionError("nothing cannot be carried out")
            case _:
                assert_never(attempt.plan)

    async def _send(self, attempt: Attempt, send: Send) -> None:
        wanted, slot, card, now = attempt.wanted, attempt.slot, attempt.slot.card, self._office.clock()
        assert wanted is not None
        text, parse_mode = self._wording(slot, wanted)
        message = await self.bot.api.send_message(
            self.chat.chat_id, text, parse_mode=parse_mode, reply_to_message_id=None if slot.is_alone else send.reply_to, silent=send.silent
        )
        slot.is_gone = slot.is_alone = False
        shown = Shown(
            enterprise_number=card.enterprise.number,
            call_id=card.call_id,
            bot_token=self.chat.bot_token,
            chat_id=self.chat.chat_id,
            message_id=message.message_id,
            stage=wanted.stage,
            text=wanted.text,
            text_hash=wanted.text_hash,
            event_id=attempt.event_id,
            sent_at=now,
            updated_at=now,
            superseded_message_id=send.then_delete,
        )
        await self._done(attempt, shown)

    async def _edit(self, attempt: Attempt, edit: Edit) -> None:
        wanted, shown = attempt.wanted, attempt.slot.shown
        assert wanted is not None
        assert shown is not None
        text, parse_mode = self._wording(attempt.slot, wanted)
        # Not modified is the state we want: a kill fell between an edit and its record.
        with suppress(NotModified):
            await self.bot.api.edit_message_text(self.chat.chat_id, edit.message_id, text, parse_mode=parse_mode)
        edited = attrs.evolve(shown, chat_id=self.chat.chat_id, stage=wanted.stage, text=wanted.text, text_hash=wanted.text_hash)
        await self._done(attempt, attrs.evolve(edited, event_id=attempt.event_id, updated_at=self._office.clock()))

    async def _deleted(self, attempt: Attempt, message_id: int) -> None:
        shown = attempt.slot.shown
        assert shown is not None
        if message_id == shown.superseded_message_id:
            left = attrs.evolve(shown, superseded_message_id=None)
        else:
            left = attrs.evolve(shown, message_id=None)
        attempt.slot.failed_deletions = 0
        await self._done(attempt, left)

    def _wording(self, slot: Slot, wanted: Wanted) -> tuple[str, str | None]:
        return (plain_text(wanted.text), None) if wanted.text_hash == slot.plain else (wanted.text, PARSE_MODE)

    async def _done(self, attempt: Attempt, shown: Shown) -> None:
        self._office.metrics.message(_ACTIONS[type(attempt.plan)], "ok")
        attempt.slot.shown = shown
        # Telegram has it. That must not be forgotten because the process is told to end just now.
        with trio.move_on_after(RECORD_SECONDS, shield=True) as scope:
            await self._record(attempt, shown)
        if scope.cancelled_caught:
            await self._record(attempt, shown)

    async def _record(self, attempt: Attempt, shown: Shown) -> None:
        """Write down what the chat has. Waits for the database as long as it takes."""
        slot, card = attempt.slot, attempt.slot.card
        slot.shown = shown
        mark = shown.message_id is not None and card.marked_event_id < shown.event_id
        try:
            await self._office.patience.with_store(
                f"call {card.call_id}: what was shown", lambda: self._office.store.record_shown(shown, mark_events=mark)
            )
        except StoreRejected as exc:
            log.error("call %d: what chat %d has cannot be recorded: %s", card.call_id, self.chat.chat_id, exc)
        # Only now: while the first chat's mark was on its way, another chat's could have been the one that a crash lets through.
        card.marked_event_id = max(card.marked_event_id, shown.event_id if mark else 0)

    # ------------------------------------------------------------------ what Telegram says

    async def _react(self, attempt: Attempt, error: TelegramError) -> End | None:
        """One reaction for each class of error; None: go on."""
        self._office.metrics.telegram_error(error.kind.value)
        if (action := _ACTIONS.get(type(attempt.plan))) is not None:
            self._office.metrics.message(action, error.kind.value)
        slot, chat_id = attempt.slot, self.chat.chat_id
        match error:
            case RetryAfter():
                self.bot.limits.too_many(chat_id, error.seconds)
            case ChatGone():
                self.gone_because = f"{error.reason.value}: {error.description}"
                return End.CHAT_GONE
            case ChatMoved():
                self.moved_to = error.new_chat_id
                return End.CHAT_MOVED
            case BotRejected():
                if not self.bot.rejected:
                    self.bot.rejected = True
                    log.error("bot %s: Telegram refuses its token, nothing is sent any more: %s", self.bot.bot_id, error)
                return End.BOT_REJECTED
            case _ if isinstance(attempt.plan, Delete):
                await self._deletion_failed(attempt, attempt.plan, error)
            case MessageGone() if isinstance(attempt.plan, Edit):
                slot.is_gone = True
            case ReplyGone() if not slot.is_alone:
                slot.is_alone = True
            case ParseRejected() if attempt.wanted is not None and slot.plain != attempt.wanted.text_hash:
                log.warning("call %d: chat %d does not take the markup, sending plain text: %s", slot.card.call_id, chat_id, error)
                slot.plain = attempt.wanted.text_hash
            case ServerTrouble() | NetworkTrouble() | BadAnswer() | Conflict():
                await self._back_off(slot, error)
            case _:
                log.warning("call %d: chat %d refuses this version, passed over: %s", slot.card.call_id, chat_id, error)
                slot.refused = attempt.wanted.text_hash if attempt.wanted is not None else None
        return None

    async def _deletion_failed(self, attempt: Attempt, deletion: Delete, error: TelegramError) -> None:
        attempt.slot.failed_deletions += 1
        if error.retriable and attempt.slot.failed_deletions < DELETIONS:
            await self._back_off(attempt.slot, error)
            return
        if not isinstance(error, MessageGone):
            log.warning("call %d: a message in chat %d stays: %s", attempt.slot.card.call_id, self.chat.chat_id, error)
        await self._deleted(attempt, deletion.message_id)

    async def _back_off(self, slot: Slot, error: TelegramError) -> None:
        """Wait, then try something else first: an answer that only one card gets must not hold up the others."""
        self._failures += 1
        if self._failures == 1:
            log.warning("chat %d cannot be reached, trying again: %s", self.chat.chat_id, error)
        for queue in (self._finals, self._others):
            if slot in queue:
                del queue[slot]
                queue[slot] = None
        seconds = self._office.backoff.delay_seconds(self._failures, self._office.patience.jitter())
        await self._wait(partial(trio.sleep, seconds))


def plain_text(text: str) -> str:
    """A card without its markup."""
    return html.unescape(re.sub(r"<[^<>]*>", "", text))
