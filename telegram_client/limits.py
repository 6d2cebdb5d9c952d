"""When a request may be sent: the Bot API's limits as gates one can await.

Limits (Bot FAQ, "My bot is hitting limits"): about 30 requests a second per bot, one a second per chat with short bursts tolerated, 20 a
minute per group. Sends, edits and deletes all count.
"""

import anyio

from telegram_client.budgets import BOT_WINDOW_SECONDS, GROUP_WINDOW_SECONDS, ChatBudget, Window
from telegram_client.gate import ORDINARY, URGENT, Gate, Place


class Ticket:
    """The right to send one request to a chat; from `BotLimits.ticket`. It takes its place in the queue when it is waited for."""

    __slots__ = ("_gate", "_place")

    def __init__(self, gate: Gate, place: Place) -> None:
        self._gate = gate
        self._place = place

    def __repr__(self) -> str:
        return f"<Ticket for {self.chat_id}{', urgent' if self.urgent else ''}{', waiting' if self._place.waiting else ''}>"

    @property
    def chat_id(self) -> int:
        """The chat it is good for."""
        return self._place.chat_id

    @property
    def urgent(self) -> bool:
        """Whether it passes those that are not."""
        return self._place.rank == URGENT

    def hurry(self) -> None:
        """Become urgent, also while waiting: behind the urgent ones that were there before."""
        self._gate.promote(self._place)

    async def wait(self) -> None:
        """Return when one request may be sent; every return uses up budget for one request.

        A checkpoint. After cancellation nothing was used and the place in the queue is given up. May be called again for a repetition.
        """
        await self._gate.wait(self._place)


class BotLimits:
    """The limits of one bot. All requests to its chats go through tickets; whatever is not about a chat (getUpdates, …) needs none.

    Urgent tickets pass the others, in their chat and in all chats of the bot; equals are served in their order. A chat that is paused or
    out of budget holds up no other. Times are `anyio.current_time()`.

    `margin_seconds` widens each window: requests granted exactly a window apart would reach Telegram closer together when the later one
    travels faster.

    Memory: a chat is forgotten once its budgets are full again; what is kept are the chats of the last minute, the paused and the
    waiting ones.
    """

    def __init__(
        self,
        *,
        per_bot_per_second: int = 30,
        per_chat_per_second: float = 1.0,
        chat_burst: int = 3,
        group_per_minute: int = 20,
        margin_seconds: float = 0.1,
    ) -> None:
        if per_bot_per_second < 1 or per_chat_per_second <= 0 or chat_burst < 1 or group_per_minute < 1 or margin_seconds < 0:
            raise ValueError("limits must be positive")

        def new_chat_budget(chat_id: int) -> ChatBudget:
            return ChatBudget(
                interval_seconds=1.0 / per_chat_per_second,
                burst=chat_burst,
                margin_seconds=margin_seconds,
                # Groups and channels have negative ids (Bot API, Chat).
                group=Window(group_per_minute, GROUP_WINDOW_SECONDS + margin_seconds) if chat_id < 0 else None,
            )

        self._gate = Gate(Window(per_bot_per_second, BOT_WINDOW_SECONDS + margin_seconds), new_chat_budget)
        self._flooded: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<BotLimits: {self.waiting_items} waiting, {self.tracked_chats} chats>"

    @property
    def waiting_items(self) -> int:
        """How many tickets wait now."""
        return self._gate.waiting_items

    @property
    def tracked_chats(self) -> int:
        """Of how many chats something is remembered."""
        return self._gate.chat_items

    def ticket(self, chat_id: int, *, urgent: bool) -> Ticket:
        """A ticket for one request (repeatable) to a chat. `urgent`: a final."""
        return Ticket(self._gate, Place(chat_id, URGENT if urgent else ORDINARY))

    def pause_chat(self, chat_id: int, seconds: float) -> None:
        """Grant nothing for this chat for so long; a longer pause that is already there stays."""
        self._gate.pause_chat(chat_id, seconds)

    def pause_bot(self, seconds: float) -> None:
        """Grant nothing at all for so long; a longer pause that is already there stays."""
        self._gate.pause_bot(seconds)

    def too_many(self, chat_id: int, seconds: float) -> None:
        """A 429 came for this chat: pause it. When another chat is still in such a pause, it is the bot that is too fast: pause the bot."""
        now = anyio.current_time()
        self._flooded = {known: until for known, until in self._flooded.items() if until > now}
        if any(known != chat_id for known in self._flooded):
            self.pause_bot(seconds)
        self._flooded[chat_id] = max(now + seconds, self._flooded.get(chat_id, now))
        self.pause_chat(chat_id, seconds)
