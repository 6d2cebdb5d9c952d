"""What the fake Telegram remembers: bots, chats, messages with everything they ever said, and the faults a test has planned."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

import attrs
import trio

from tester.fakes.telegram_rules import Meter


@attrs.frozen
class Version:
    """What a message said from a moment on. `at` is `trio.current_time()`."""

    at: float
    text: str


@attrs.define(eq=False, kw_only=True)
class FakeMessage:
    """A message of the bot. `text` as sent, `visible` as read; `history` holds every text it had, the first one too."""

    chat_id: int
    message_id: int
    text: str
    visible: str
    parse_mode: str | None
    sent_at: float
    history: list[Version]
    reply_to: int | None = None
    silent: bool = False
    reply_markup: Any = None
    deleted_at: float | None = None

    @property
    def deleted(self) -> bool:
        """Whether it is gone from the chat."""
        return self.deleted_at is not None


class FakeChat:
    """One chat as one bot sees it. What is done to it here is what people do to chats."""

    def __init__(self, chat_id: int, keep_messages: int) -> None:
        self.chat_id = chat_id
        self._keep = keep_messages
        self._messages: OrderedDict[int, FakeMessage] = OrderedDict()
        self._last_message_id = 0
        self.refusal: tuple[int, str] | None = None
        self.moved_to: int | None = None

    @property
    def messages(self) -> tuple[FakeMessage, ...]:
        """The living messages, in the order in which they were sent."""
        return tuple(message for message in self._messages.values() if not message.deleted)

    @property
    def all_messages(self) -> tuple[FakeMessage, ...]:
        """The deleted ones too; the oldest are dropped beyond `keep_messages`."""
        return tuple(self._messages.values())

    def find(self, message_id: object) -> FakeMessage | None:
        """A living message."""
        message = self._messages.get(message_id) if isinstance(message_id, int) else None
        return None if message is None or message.deleted else message

    def next_message_id(self) -> int:
        """Ids rise within a chat; those of people's own messages are among them."""
        self._last_message_id += 1
        return self._last_message_id

    def add(self, message: FakeMessage) -> None:
        """Put a sent message into the chat."""
        self._messages[message.message_id] = message
        while len(self._messages) > self._keep:
            self._messages.popitem(last=False)

    def block(self) -> None:
        """The user blocks the bot."""
        self.refusal = (403, "Forbidden: bot was blocked by the user")

    def deactivate(self) -> None:
        """The user deletes the account."""
        self.refusal = (403, "Forbidden: user is deactivated")

    def kick(self) -> None:
        """The bot is thrown out of the group."""
        self.refusal = (403, "Forbidden: bot was kicked from the group chat")

    def vanish(self) -> None:
        """The chat is one that the bot has never seen."""
        self.refusal = (400, "Bad Request: chat not found")

    def welcome(self) -> None:
        """The bot may write again."""
        self.refusal = None

    def move_to(self, new_chat_id: int) -> None:
        """The group becomes a supergroup."""
        self.moved_to = new_chat_id


class FakeBot:
    """One bot: its chats, its updates, its webhook."""

    def __init__(self, token: str, username: str, meter: Meter) -> None:
        self.token = token
        self.bot_id = int(token.partition(":")[0])
        self.username = username
        self.meter = meter
        self.chats: dict[int, FakeChat] = {}
        self.webhook: dict[str, Any] | None = None
        self.revoked = False
        self.updates: deque[dict[str, Any]] = deque()
        self.last_update_id = 0
        self.poll_number = 0
        self.woken = trio.Event()
        self.open_queries: set[str] = set()
        self.answered_queries: list[tuple[str, str]] = []

    def wake_polls(self) -> None:
        """Let whoever waits for updates look again."""
        self.woken.set()
        self.woken = trio.Event()


class ChangeKind(Enum):
    """What happened to a message."""

    SENT = auto()
    EDITED = auto()
    DELETED = auto()


@attrs.frozen
class Change:
    """A change that somebody who looks at the chat would see."""

    kind: ChangeKind
    bot_id: int
    message: FakeMessage


@attrs.define(kw_only=True)
class Received:
    """A request as it came. `status` is that of the answer, 0 when there was none (yet)."""

    at: float
    bot_id: int | None
    method: str
    chat_id: int | None
    status: int = 0


class FaultKind(Enum):
    """How a request goes wrong.

    DELAY: it is handled `seconds` later. HANG: no answer, ever. CLOSE: the connection ends without an answer. HALF_ANSWER: it ends in the
    middle of the answer. ANSWER: `status` and `body` instead of the right answer. REFUSE: no connection (over real sockets the same as
    CLOSE).
    """

    DELAY = auto()
    HANG = auto()
    CLOSE = auto()
    HALF_ANSWER = auto()
    ANSWER = auto()
    REFUSE = auto()


@attrs.define(kw_only=True)
class Fault:
    """A planned fault. `accepted`: the request is carried out all the same. `times` None: every time."""

    kind: FaultKind
    method: str | None = None
    chat_id: int | None = None
    times: int | None = 1
    accepted: bool = False
    seconds: float = 0.0
    status: int = 502
    body: bytes = b""
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()

    def fits(self, method: str, chat_id: int | None) -> bool:
        """Whether this request is meant."""
        return (self.method is None or self.method == method) and (self.chat_id is None or self.chat_id == chat_id)


@attrs.frozen(kw_only=True)
class Flood:
    """429 until `until`, for one chat or (None) all. `retry_after` None: what is left."""

    until: float
    chat_id: int | None
    retry_after: int | None


class Cut(Enum):
    """What is left out of an answer."""

    NOTHING = auto()
    HALF = auto()
    ALL = auto()
    CONNECTION = auto()


@attrs.frozen(kw_only=True)
class Answer:
    """What a front is to send. With `cut` it ends the connection there."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    cut: Cut = Cut.NOTHING


def take_fault(faults: list[Fault], method: str, chat_id: int | None) -> Fault | None:
    """The first planned fault that fits, counted down."""
    for fault in faults:
        if fault.fits(method, chat_id):
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    faults.remove(fault)
            return fault
    return None


def living(chats: Iterable[FakeChat | None]) -> tuple[FakeMessage, ...]:
    """The living messages of several chats in the order of sending."""
    messages = [message for chat in chats if chat is not None for message in chat.messages]
    return tuple(sorted(messages, key=lambda message: message.sent_at))
