"""A Bot API in memory: bots, chats, messages, the errors of the real one, and faults by script.

One core (`telegram_core`), two fronts (`telegram_server`): a transport for tests in virtual time, and real HTTP on a loopback port.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from tester.fakes.telegram_chats import (
    Change,
    ChangeKind,
    FakeBot,
    FakeChat,
    FakeMessage,
    Fault,
    FaultKind,
    Flood,
    Received,
    Version,
    living,
)
from tester.fakes.telegram_core import TelegramCore
from tester.fakes.telegram_rules import TrueLimits
from tester.fakes.telegram_server import FakeTransport, serve

__all__ = [
    "Change",
    "ChangeKind",
    "FakeBot",
    "FakeChat",
    "FakeMessage",
    "FakeTelegram",
    "Fault",
    "FaultKind",
    "Received",
    "TrueLimits",
    "Version",
    "serve_fake_telegram",
]


class FakeTelegram(TelegramCore):
    """A whole Telegram, as far as bots see it.

    Args:
        bots: the tokens that exist; None: every well-formed one does.
        limits: what may be sent. What is more is counted in `violations`, and refused with 429 when they are enforced.
        keep_messages: per chat; older ones are dropped.

    Every chat exists unless a test says otherwise (`chat(…).vanish()`). `requests` holds the last requests; each of `on_change` is
    called after every visible change, and must not raise.
    """

    def living(self, chat_id: int) -> tuple[FakeMessage, ...]:
        """What is in this chat now, of all bots, in the order of sending."""
        return living(bot.chats.get(chat_id) for bot in self.bots.values())

    @property
    def violations(self) -> Counter[str]:
        """How often which limit (bot, chat, group) was broken."""
        total: Counter[str] = Counter()
        for bot in self.bots.values():
            total.update(bot.meter.violations)
        return total

    async def until(self, seen: Callable[[], bool]) -> None:
        """Return as soon as `seen()` is true; it is asked again after every request and every change of a message."""
        while not seen():
            await self.changed.wait()

    def revoke(self, token: str) -> None:
        """The token becomes invalid: 401."""
        self.bot(token).revoked = True

    def fail(self, kind: FaultKind, **how: Any) -> Fault:
        """Plan a fault (fields of `Fault`). Planned ones are used up in order; `heal` drops them."""
        fault = Fault(kind=kind, **how)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No more planned faults and floods."""
        self.faults.clear()
        self.floods.clear()

    def too_many(self, seconds: float, *, chat_id: int | None = None, retry_after: int | None = None) -> None:
        """Answer 429 for so many seconds from now, in one chat or in all."""
        self.floods.append(Flood(until=trio.current_time() + seconds, chat_id=chat_id, retry_after=retry_after))

    def push_update(self, token: str, **content: Any) -> int:
        """Queue an update for the bot; its id."""
        bot = self.bot(token)
        bot.last_update_id += 1
        bot.updates.append({"update_id": bot.last_update_id, **content})
        bot.wake_polls()
        return bot.last_update_id

    def push_text(self, token: str, chat_id: int, text: str, *, username: str = "") -> int:
        """Somebody writes to the bot; the update's id."""
        message_id = self.chat(token, chat_id).next_message_id()
        sender = {"id": abs(chat_id), "is_bot": False, "first_name": "Somebody", **({"username": username} if username else {})}
        return self.push_update(token, message={**self.message_fields(chat_id, message_id), "from": sender, "text": text})

    def push_button(self, token: str, chat_id: int, message_id: int, data: str) -> str:
        """Somebody presses a button; the query's id."""
        bot = self.bot(token)
        query_id = str(bot.last_update_id + 1)
        bot.open_queries.add(query_id)
        sender = {"id": abs(chat_id), "is_bot": False, "first_name": "Somebody"}
        message = self.message_fields(chat_id, message_id)
        self.push_update(token, callback_query={"id": query_id, "from": sender, "data": data, "message": message})
        return query_id

    def transport(self) -> FakeTransport:
        """For `HttpClient(transport=…)`: the fake without sockets, fit for a mocked clock."""
        return FakeTransport(self)


def serve_fake_telegram(fake: FakeTelegram, *, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
    """Serve the fake over HTTP while an `async with` block runs, which gets the base URL. Port 0 takes a free one."""
    return serve(fake, host=host, port=port)
