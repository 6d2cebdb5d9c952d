"""What the bot does for somebody who writes to it: /start, /stop, /status. Ends in the store and in one answer."""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from cache.directory import Directory
from gateway.cards.answers import Answer, answer_text
from gateway.errors import StoreRejected
from gateway.nurseries.bots import Bots
from gateway.nurseries.clock import Clock
from gateway.nurseries.patience import TELEGRAM_BACKOFF, Patience
from gateway.nurseries.recipients import Recipients
from gateway.ports import EnterpriseConfig, Store
from telegram_client.errors import RetryAfter, TelegramError
from telegram_client.updates import Command, read_command
from telegram_client.values import Update

log = logging.getLogger(__name__)

T = TypeVar("T")

# Whoever gets no answer writes again; after so many tries the answer is let go.
ANSWER_TRIES = 4


@attrs.frozen(kw_only=True)
class Conversation:
    """Answers commands. A command that comes twice (an update repeated after a crash) does no harm and is answered again."""

    store: Store
    directory: Directory
    bots: Bots
    recipients: Recipients
    clock: Clock
    patience: Patience
    jitter: Callable[[], float] = random.random

    async def hear(self, bot_token: str, update: Update) -> None:
        """Take one update. What was subscribed is stored when this returns; the answer may have been lost.

        A command that names another bot (`/stop@other_bot`, in groups) is not ours and gets no answer.
        """
        command = read_command(update)
        if command is None or (command.addressee and command.addressee != await self._username(bot_token)):
            return
        try:
            answer, number = await self._obey(bot_token, command)
        except StoreRejected as exc:
            log.warning("a /%s of chat %d was refused by the database: %s", command.name, command.chat_id, exc)
            answer, number = Answer.CODE_UNUSABLE, None
        enterprise = self._enterprise(bot_token, number)
        text = answer_text(answer, enterprise.language, number=number or "", name=enterprise.name if number else "")
        await self._say(bot_token, command.chat_id, text)

    async def _obey(self, bot_token: str, command: Command) -> tuple[Answer, str | None]:
        store, chat_id = self.store, command.chat_id
        followed = await self._with_store(lambda: store.subscription_status(bot_token=bot_token, chat_id=chat_id))
        match command.name:
            case "start" if command.argument:
                number = await self._with_store(
                    lambda: store.redeem_invite(bot_token=bot_token, code=command.argument, chat_id=chat_id, at=self.clock())
                )
                self.recipients.refresh()
                if number is None:
                    return Answer.CODE_UNUSABLE, None
                return (Answer.ALREADY_SUBSCRIBED if number == followed else Answer.SUBSCRIBED), number
            case "start":
                if followed is not None:
                    return Answer.ALREADY_SUBSCRIBED, followed
                revived = await self._with_store(lambda: store.revive_recipient(bot_token=bot_token, chat_id=chat_id, at=self.clock()))
                if not revived:
                    return Answer.CODE_MISSING, None
                self.recipients.refresh()
                number = await self._with_store(lambda: store.subscription_status(bot_token=bot_token, chat_id=chat_id))
                return Answer.REVIVED, number
            case "stop":
                ended = await self._with_store(lambda: store.unsubscribe(bot_token=bot_token, chat_id=chat_id))
                self.recipients.drop(bot_token, chat_id)
                return (Answer.UNSUBSCRIBED if ended else Answer.NOT_SUBSCRIBED), followed
            case "status":
                return (Answer.STATUS, followed) if followed is not None else (Answer.NOT_SUBSCRIBED, None)
            case _:
                return Answer.UNKNOWN_COMMAND, None

    async def _username(self, bot_token: str) -> str:
        """The bot's username, asked for once. "" while Telegram does not tell it: then no command that names a bot is taken for ours."""
        bot = self.bots.of(bot_token)
        if not bot.username:
            try:
                bot.username = (await bot.api.get_me()).username.lower()
            except TelegramError as exc:
                if not bot.is_name_missed:
                    log.warning("bot %s: commands that name a bot are passed over until its own name is known: %s", bot.bot_id, exc)
                bot.is_name_missed = True
        return bot.username

    async def _say(self, bot_token: str, chat_id: int, text: str) -> None:
        bot = self.bots.of(bot_token)
        for failures in range(1, ANSWER_TRIES + 1):
            await bot.limits.ticket(chat_id, urgent=False).wait()
            try:
                await bot.api.send_message(chat_id, text)
                return
            except RetryAfter as exc:
                bot.limits.too_many(chat_id, exc.seconds)
            except TelegramError as exc:
                if not exc.retriable or failures == ANSWER_TRIES:
                    log.warning("chat %d gets no answer: %s", chat_id, exc)
                    return
                await trio.sleep(TELEGRAM_BACKOFF.delay_seconds(failures, self.jitter()))

    def _enterprise(self, bot_token: str, number: str | None) -> EnterpriseConfig:
        """The one that is spoken of, or any of the bot's: all that is needed then is its language."""
        for enterprise in self.directory.enterprises:
            if enterprise.number == number if number is not None else enterprise.bot_token == bot_token:
                return enterprise
        return EnterpriseConfig(number=number or "", token="")

    async def _with_store(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await self.patience.with_store("a command to the bot", operation)
