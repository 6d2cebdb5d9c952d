"""Polls: how bots hear of what people write to them. One long poll, or one webhook, for each bot token that is configured."""

import hmac
import logging
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

import attrs
import trio

from cache.directory import Directory
from gateway.nurseries.conversation import Conversation
from gateway.settings import BotUpdates
from telegram_client.api import BotApi
from telegram_client.errors import BotRejected, Conflict, TelegramError
from telegram_client.updates import back_off_seconds, poll
from telegram_client.values import Undecodable, Update, read_update

log = logging.getLogger(__name__)

UPDATES = ("message",)


@attrs.define(eq=False)
class _Ear:
    """The task of one bot."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Polls:
    """Keeps one task for each distinct bot token of the active enterprises.

    `api_of` makes the clients: a long poll holds a connection for as long as it lasts, so they should have a pool of their own.
    """

    def __init__(
        self,
        *,
        way: BotUpdates,
        directory: Directory,
        conversation: Conversation,
        api_of: Callable[[str], BotApi],
        jitter: Callable[[], float],
        public_base_url: str = "",
    ) -> None:
        self._way = way
        self._directory = directory
        self._conversation = conversation
        self._api_of = api_of
        self._jitter = jitter
        self._public_base_url = public_base_url
        self._ears: dict[str, _Ear] = {}
        self._changed = trio.Event()

    def refresh(self) -> None:
        """The configuration has been read again."""
        self._changed.set()

    async def run(self) -> None:
        """For ever. An update counts as heard only once it has been dealt with."""
        if self._way is BotUpdates.OFF:
            return
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                self._follow(nursery)
                await self._changed.wait()

    async def on_update(self, bot_id: int, secret: str, update: Mapping[str, Any]) -> bool:
        """An update that came by webhook. False when there is no such bot, or when this is not its secret."""
        for token in self._tokens():
            if token.partition(":")[0] == str(bot_id) and hmac.compare_digest(secret_of(token).encode(), secret.encode("utf-8", "replace")):
                try:
                    await self._conversation.hear(token, read_update(update))
                except Undecodable as exc:
                    # Telegram repeats what is not answered 200; an update that cannot be read would come for ever.
                    log.warning("bot %d: an update that cannot be read: %s", bot_id, exc)
                return True
        return False

    def _tokens(self) -> set[str]:
        return {enterprise.bot_token for enterprise in self._directory.enterprises if enterprise.active and enterprise.bot_token}

    def _follow(self, nursery: trio.Nursery) -> None:
        tokens = self._tokens()
        for token in self._ears.keys() - tokens:
            self._ears.pop(token).scope.cancel()
        for token in sorted(tokens - self._ears.keys()):
            ear = self._ears[token] = _Ear()
            nursery.start_soon(self._listen, token, ear)

    async def _listen(self, token: str, ear: _Ear) -> None:
        api = self._api_of(token)
        with ear.scope:
            try:
                if self._way is BotUpdates.WEBHOOK:
                    await self._set_webhook(api, token)
                else:
                    hear: Callable[[Update], Any] = partial(self._conversation.hear, token)
                    await poll(api, hear, allowed_updates=UPDATES, report=partial(_report, api.bot_id), jitter=self._jitter)
            except BotRejected as exc:
                log.error("bot %s: Telegram refuses its token, nobody can subscribe: %s", api.bot_id, exc)

    async def _set_webhook(self, api: BotApi, token: str) -> None:
        url = f"{self._public_base_url}/telegram/{api.bot_id}"
        failures = 0
        while True:
            try:
                await api.set_webhook(url, secret_token=secret_of(token), allowed_updates=UPDATES)
                return
            except BotRejected:
                raise
            except TelegramError as exc:
                failures += 1
                seconds = back_off_seconds(failures, self._jitter())
                _report(api.bot_id, exc, seconds)
                await trio.sleep(seconds)


def secret_of(token: str) -> str:
    """The secret of a bot's webhook: made of its token, so it needs no storing and tells nothing (Bot API, setWebhook: A-Za-z0-9_-)."""
    return hmac.new(token.encode(), b"webhook", sha256).hexdigest()


def _report(bot_id: str, error: TelegramError, seconds: float) -> None:
    if isinstance(error, Conflict):
        log.error("bot %s: somebody else reads its updates too, next try in %.0f s: %s", bot_id, seconds, error)
    else:
        log.warning("bot %s: its updates cannot be read, next try in %.0f s: %s", bot_id, seconds, error)
