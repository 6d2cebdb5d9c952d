"""Subscriptions that end because a run has Telegram say that the bot is blocked, and how they come back.

The gateway writes such a chat off right after the answer, as it should; with its database away, when that is back. Whoever is subscribed
again before is written off afterwards. So the store tells of every burial (`Burials`), and a chat comes back (`Revival`) when none of its
burials is under way any more.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

import attrs
import trio

from gateway.errors import StoreRejected
from gateway.nurseries.clock import Clock
from gateway.nurseries.patience import Patience
from gateway.ports import Store

LAST_CHANCE_SECONDS = 1.0
"""So long a run that is cut off by the end of the gateway goes on to subscribe chats again."""

# Between the answer and the burial nothing is waited for; this is for a machine that is busy.
_BURIAL_SECONDS = 0.25

_log = logging.getLogger(__name__)


class Burials:
    """The burials that are under way in the store of this process."""

    def __init__(self) -> None:
        # By bot, chat and the instant that is written down: each try of a burial has the same.
        self._begun: set[tuple[str, int, datetime]] = set()
        self._news = trio.Event()

    @contextmanager
    def burial(self, bot_token: str, chat_id: int, at: datetime) -> Generator[None]:
        """Around one try. Whoever buries tries until the store has answered (`gateway.nurseries.patience`): until then it is under way."""
        one = bot_token, chat_id, at
        self._begun.add(one)
        try:
            yield
        except StoreRejected:
            self._settle(one)
            raise
        self._settle(one)

    def _settle(self, one: tuple[str, int, datetime]) -> None:
        self._begun.discard(one)
        self._news.set()
        self._news = trio.Event()

    async def settled(self, bot_token: str, chat_id: int) -> None:
        """Return when no burial of this chat is under way."""
        while any((bot, chat) == (bot_token, chat_id) for bot, chat, _ in self._begun):
            await self._news.wait()


@attrs.define(eq=False, kw_only=True)
class Revival:
    """The subscriptions that a run with `TelegramTrouble.BLOCKED` owes to its chats.

    Args:
        run_id: for the log.
        owed: the chats, asked when the run's faults are gone.
        since: what died before is none of the run's business.
    """

    run_id: str
    bot_token: str = attrs.field(repr=False)
    owed: Callable[[], Sequence[int]]
    since: datetime
    store: Store
    clock: Clock
    burials: Burials
    _due: trio.Event = attrs.field(factory=trio.Event, init=False)
    _done: trio.Event = attrs.field(factory=trio.Event, init=False)

    def begin(self) -> None:
        """The run's faults are gone."""
        self._due.set()

    async def done(self) -> None:
        """Return when nobody is owed anything any more, or never will get it."""
        await self._done.wait()

    async def run(self) -> None:
        """Once begun, give back every subscription; with the database away, as soon as it is back. Who cannot get it is an ERROR line.

        Cancelled: begins at once and has `LAST_CHANCE_SECONDS`.
        """
        back: set[int] = set()
        try:
            await self._due.wait()
            await self._give_back(back)
        except trio.Cancelled:
            with trio.move_on_after(LAST_CHANCE_SECONDS, shield=True):
                await self._give_back(back)
            self._lose([chat_id for chat_id in self.owed() if chat_id not in back], "the gateway ends before its database has answered")
            raise
        finally:
            self._done.set()

    async def _give_back(self, back: set[int]) -> None:
        """`back`: the chats that are dealt with."""
        await trio.sleep(_BURIAL_SECONDS)
        for chat_id in self.owed():
            await self.burials.settled(self.bot_token, chat_id)
            try:
                await self._revive(chat_id)
            except StoreRejected as exc:
                self._lose([chat_id], str(exc))
            except Exception as exc:  # noqa: BLE001
                # Safety net as for the run: from here an error would reach the gateway.
                self._lose([chat_id], "a fault of the emulator", fault=exc)
            back.add(chat_id)

    async def _revive(self, chat_id: int) -> None:
        await Patience().with_store(
            f"run {self.run_id}, chat {chat_id} is to be subscribed again",
            lambda: self.store.unbury_recipient(bot_token=self.bot_token, chat_id=chat_id, since=self.since, at=self.clock()),
        )

    def _lose(self, chats: Sequence[int], why: str, *, fault: Exception | None = None) -> None:
        if chats:
            _log.error(
                "run %s of the emulator: chats %s may have lost their subscription (%s): /start in the chat subscribes it again",
                self.run_id,
                ", ".join(map(str, chats)),
                why,
                exc_info=fault,
            )
