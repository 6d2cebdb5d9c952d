"""The queue in front of one bot: who may send next, and when. Waiting only; the counting is in `budgets`.

Each chat has two queues (urgent places, the rest) and its own budget. A chat that waits and has budget stands in the `ready` heap under
its first place, one without stands in the `opening` heap under the time its budget comes back, one that nobody waits for in the `idle` heap
until it can be forgotten. Whenever something changes, `_pump` moves the chats whose time has come and grants while the bot has budget.

Nobody polls: one of the waiting places, the timekeeper, sleeps until the next moment at which a grant is possible. Its alarm is moved when
plans change, and when it leaves, another takes over. So a grant costs one wake-up (two when the timekeeper changes) and O(log n),
however many wait.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable

import anyio
import anyio.lowlevel

from telegram_client.budgets import NEVER, ChatBudget, Window

URGENT, ORDINARY = 0, 1


class Place:
    """Somebody who waits to send one request to a chat. `rank` URGENT passes ORDINARY, in all chats of the bot."""

    __slots__ = ("chat_id", "event", "granted_at", "order", "rank", "waiting")

    def __init__(self, chat_id: int, rank: int) -> None:
        self.chat_id = chat_id
        self.rank = rank
        self.order = 0
        self.waiting = False
        self.granted_at = NEVER
        self.event = anyio.Event()


class _Chat:
    """A chat's budget and queues, and which entries of the heaps are meant: all others are leftovers."""

    __slots__ = ("budget", "chat_id", "idle_at", "listed", "opening_at", "queues")

    def __init__(self, chat_id: int, budget: ChatBudget) -> None:
        self.chat_id = chat_id
        self.budget = budget
        self.queues: tuple[OrderedDict[int, Place], OrderedDict[int, Place]] = (OrderedDict(), OrderedDict())
        self.listed: tuple[int, int] | None = None
        self.opening_at: float | None = None
        self.idle_at: float | None = None

    def __lt__(self, other: "_Chat") -> bool:
        return self.chat_id < other.chat_id

    def head(self) -> tuple[int, int] | None:
        """(rank, order) of the place that is next."""
        for rank in (URGENT, ORDINARY):
            if self.queues[rank]:
                return rank, next(iter(self.queues[rank]))
        return None


class Gate:
    """Grants places in the order (rank, order of arrival) as the budgets allow. Times are `anyio.current_time()`."""

    def __init__(self, bot: Window, new_chat_budget: Callable[[int], ChatBudget]) -> None:
        self._bot = bot
        self._bot_paused_until = NEVER
        self._new_chat_budget = new_chat_budget
        self._chats: dict[int, _Chat] = {}
        self._ready: list[tuple[int, int, _Chat]] = []
        self._opening: list[tuple[float, _Chat]] = []
        self._idle: list[tuple[float, _Chat]] = []
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        self._timekeeper: Place | None = None
        self._alarm: anyio.CancelScope | None = None
        self._last_order = 0

    @property
    def waiting_items(self) -> int:
        """How many places wait now."""
        return len(self._waiting)

    @property
    def chat_items(self) -> int:
        """Of how many chats something is remembered."""
        return len(self._chats)

    async def wait(self, place: Place) -> None:
        """Return when the place is granted. A checkpoint; after cancellation the place and its budget are given up."""
        if place.waiting:
            raise RuntimeError("this place is already being waited for")
        await anyio.lowlevel.checkpoint_if_cancelled()
        place.granted_at = NEVER
        self._enter(place)
        try:
            if not place.waiting:
                await anyio.lowlevel.cancel_shielded_checkpoint()
            while place.waiting:
                # Set without a grant means: you are the timekeeper now.
                place.event = anyio.Event()
                if self._timekeeper is None:
                    self._timekeeper = place
                if self._timekeeper is place:
                    with anyio.CancelScope(deadline=self._next_grant_at()) as self._alarm:
                        await place.event.wait()
                    self._pump(anyio.current_time())
                else:
                    await place.event.wait()
        except BaseException:
            # Only cancellation comes here; whatever it is, the place or the unused budget belongs to the others.
            self._leave(place)
            raise

    def promote(self, place: Place) -> None:
        """Make it urgent; among the urgent ones it is the newest."""
        if place.rank == URGENT:
            return
        if not place.waiting:
            place.rank = URGENT
            return
        chat = self._chats[place.chat_id]
        del chat.queues[place.rank][place.order]
        place.rank = URGENT
        self._append(chat, place)
        self._settle(chat, anyio.current_time())

    def pause_chat(self, chat_id: int, seconds: float) -> None:
        """Grant nothing for this chat for so long; a longer pause stays."""
        now = anyio.current_time()
        chat = self._chat(chat_id)
        chat.budget.pause_until(now + seconds)
        self._settle(chat, now)

    def pause_bot(self, seconds: float) -> None:
        """Grant nothing at all for so long; a longer pause stays."""
        now = anyio.current_time()
        self._bot_paused_until = max(self._bot_paused_until, now + seconds)
        self._pump(now)

    def _enter(self, place: Place) -> None:
        place.waiting = True
        self._waiting[place] = None
        chat = self._chat(place.chat_id)
        self._append(chat, place)
        self._settle(chat, anyio.current_time())

    def _append(self, chat: _Chat, place: Place) -> None:
        self._last_order += 1
        place.order = self._last_order
        chat.queues[place.rank][place.order] = place

    def _leave(self, place: Place) -> None:
        chat = self._chat(place.chat_id)
        if place.waiting:
            place.waiting = False
            del self._waiting[place]
            del chat.queues[place.rank][place.order]
        elif place.granted_at != NEVER:
            self._bot.give_back(place.granted_at)
            chat.budget.give_back(place.granted_at)
        if self._timekeeper is place:
            self._hand_over()
        self._settle(chat, anyio.current_time())

    def _chat(self, chat_id: int) -> _Chat:
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = self._chats[chat_id] = _Chat(chat_id, self._new_chat_budget(chat_id))
        return chat

    def _settle(self, chat: _Chat, now: float) -> None:
        self._file(chat, now)
        self._pump(now)

    def _file(self, chat: _Chat, now: float) -> None:
        """Put the chat where it belongs after anything about it changed: ready, opening later, idle, or forgotten."""
        head = chat.head()
        if head is None:
            self._file_idle(chat, now)
            return
        at = chat.budget.open_at(now)
        if at > now:
            chat.listed = None
            # An entry that comes too early does no harm: the chat is filed again then.
            if chat.opening_at is None or at < chat.opening_at:
                chat.opening_at = at
                heapq.heappush(self._opening, (at, chat))
        elif chat.listed != head:
            chat.listed = head
            heapq.heappush(self._ready, (*head, chat))
            if len(self._ready) > 2 * len(self._chats) + 64:
                self._ready = [entry for entry in self._ready if entry[2].listed == entry[:2]]
                heapq.heapify(self._ready)

    def _file_idle(self, chat: _Chat, now: float) -> None:
        chat.listed = None
        at = chat.budget.full_at(now)
        if at <= now:
            # A leftover entry may lead to a chat that was forgotten and met again as another object.
            if self._chats.get(chat.chat_id) is chat:
                del self._chats[chat.chat_id]
        elif chat.idle_at is None:
            chat.idle_at = at
            heapq.heappush(self._idle, (at, chat))

    def _pump(self, now: float) -> None:
        """Grant what may be granted now, and set the alarm for the next time."""
        while self._idle and self._idle[0][0] <= now:
            _, chat = heapq.heappop(self._idle)
            chat.idle_at = None
            self._file(chat, now)
        while self._opening and self._opening[0][0] <= now:
            at, chat = heapq.heappop(self._opening)
            if chat.opening_at == at:
                chat.opening_at = None
                self._file(chat, now)
        while self._ready and self._bot_open_at() <= now:
            rank, order, chat = heapq.heappop(self._ready)
            if chat.listed == (rank, order):
                chat.listed = None
                if chat.budget.open_at(now) <= now:
                    self._grant(chat, chat.queues[rank].pop(order), now)
                self._file(chat, now)
        if self._alarm is not None:
            due = self._next_grant_at()
            if self._alarm.deadline != due:
                self._alarm.deadline = due

    def _grant(self, chat: _Chat, place: Place, now: float) -> None:
        chat.budget.take(now)
        self._bot.take(now)
        place.granted_at = now
        place.waiting = False
        del self._waiting[place]
        place.event.set()
        if self._timekeeper is place:
            self._hand_over()

    def _hand_over(self) -> None:
        """The timekeeper leaves. The newest takes over: it is likely to stay longest."""
        self._alarm = None
        self._timekeeper = next(reversed(self._waiting), None)
        if self._timekeeper is not None:
            self._timekeeper.event.set()

    def _bot_open_at(self) -> float:
        return max(self._bot_paused_until, self._bot.open_at)

    def _next_grant_at(self) -> float:
        # A ready chat waits for the bot alone: after `_pump` there is none unless the bot is closed.
        if self._ready:
            return self._bot_open_at()
        return max(self._opening[0][0], self._bot_open_at()) if self._opening else math.inf
