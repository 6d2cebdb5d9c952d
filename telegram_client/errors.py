"""What can go wrong with a request to the Bot API, as a closed set of errors, and the one table that tells them apart.

The texts of these errors are safe to log: they hold Telegram's description, cleaned of the bot's token, and never a URL.
Sources: Bot API, "Making requests" and "ResponseParameters"; texts as the Bot API server writes them.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, cast

import attrs

DEFAULT_PAUSE_SECONDS = 5.0
"""The pause after a 429 that names none."""

LONGEST_PAUSE_SECONDS = 3600.0
"""No answer, however odd, silences a chat for longer. If Telegram means it, it says so again: one request an hour."""

DESCRIPTION_LIMIT = 300


class Kind(StrEnum):
    """The classes of trouble, for log fields and metric labels."""

    RETRY_AFTER = "retry_after"
    NOT_MODIFIED = "not_modified"
    MESSAGE_GONE = "message_gone"
    REPLY_GONE = "reply_gone"
    PARSE_REJECTED = "parse_rejected"
    CHAT_GONE = "chat_gone"
    CHAT_MOVED = "chat_moved"
    BOT_REJECTED = "bot_rejected"
    CONFLICT = "conflict"
    BAD_REQUEST = "bad_request"
    SERVER_TROUBLE = "server_trouble"
    NETWORK_TROUBLE = "network_trouble"
    BAD_ANSWER = "bad_answer"


class ChatGoneReason(StrEnum):
    """Why a chat cannot be written to. FORBIDDEN is any 403 that says something else."""

    NOT_FOUND = "not_found"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"
    KICKED = "kicked"
    NOT_A_MEMBER = "not_a_member"
    CANNOT_INITIATE = "cannot_initiate"
    DELETED = "deleted"
    FORBIDDEN = "forbidden"


class TelegramError(Exception):
    """Base of all errors of this client.

    `method`: the Bot API method. `description`: what Telegram said, or what happened. `ambiguous`: the request may have been carried out
    all the same, so repeating a send may double the message. `retriable`: the same request may succeed later.
    """

    kind: ClassVar[Kind]
    retriable: ClassVar[bool] = False

    def __init__(self, description: str = "", *, method: str = "", ambiguous: bool = False) -> None:
        super().__init__(description)
        self.description = description
        self.method = method
        self.ambiguous = ambiguous

    def __str__(self) -> str:
        return f"{self.method or 'Bot API'}: {self.kind.value}: {self.description}"


class RetryAfter(TelegramError):
    """429: too much. Nothing was done; repeat after `seconds`. Other chats of the bot may be refused too."""

    kind = Kind.RETRY_AFTER
    retriable = True

    def __init__(self, description: str = "", *, method: str = "", seconds: float = DEFAULT_PAUSE_SECONDS) -> None:
        super().__init__(description, method=method)
        self.seconds = seconds


class NotModified(TelegramError):
    """The message already reads so. For a caller that wants a state this is success."""

    kind = Kind.NOT_MODIFIED


class MessageGone(TelegramError):
    """The message to edit or delete is not there, or may no longer be edited or deleted."""

    kind = Kind.MESSAGE_GONE


class ReplyGone(TelegramError):
    """The message to reply to is not there."""

    kind = Kind.REPLY_GONE


class ParseRejected(TelegramError):
    """The markup of the text is broken. The same text sent plain (`parse_mode=None`) will be taken."""

    kind = Kind.PARSE_REJECTED


class ChatGone(TelegramError):
    """The chat is not there for this bot; `reason` says why. Only the other side can change that."""

    kind = Kind.CHAT_GONE

    def __init__(self, description: str = "", *, method: str = "", reason: ChatGoneReason = ChatGoneReason.FORBIDDEN) -> None:
        super().__init__(description, method=method)
        self.reason = reason


class ChatMoved(TelegramError):
    """The group became a supergroup: repeat with `new_chat_id` and remember it."""

    kind = Kind.CHAT_MOVED

    def __init__(self, description: str = "", *, method: str = "", new_chat_id: int) -> None:
        super().__init__(description, method=method)
        self.new_chat_id = new_chat_id


class BotRejected(TelegramError):
    """401, or 404 for a malformed token: no request of this bot will ever succeed with this token."""

    kind = Kind.BOT_REJECTED


class Conflict(TelegramError):
    """409: somebody else polls with this token, or a webhook is set."""

    kind = Kind.CONFLICT
    retriable = True


class BadRequest(TelegramError):
    """Any other refusal: empty or too long text, no rights to write, a query too old. Repeating the same is useless."""

    kind = Kind.BAD_REQUEST


class ServerTrouble(TelegramError):
    """5xx: trouble on their side. Always ambiguous: a gateway in front of the Bot API answers so for a request that went through."""

    kind = Kind.SERVER_TROUBLE
    retriable = True


class NetworkTrouble(TelegramError):
    """No answer: connect errors (not `ambiguous`), timeouts and resets after the request was on its way (`ambiguous`)."""

    kind = Kind.NETWORK_TROUBLE
    retriable = True


class BadAnswer(TelegramError):
    """An answer that is none of the Bot API's: not JSON, not an object, `ok` without a result, too large, a proxy's page."""

    kind = Kind.BAD_ANSWER
    retriable = True


_Make = Callable[[str, str], TelegramError]


@attrs.frozen
class Rule:
    """With this error code (None: any) and any of these words (none: always) in the lower-case description, the error is `make`."""

    code: int | None
    words: tuple[str, ...]
    make: _Make


def _plain(error: type[TelegramError]) -> _Make:
    return lambda description, method: error(description, method=method)


def _retry_after(description: str, method: str) -> TelegramError:
    return RetryAfter(description, method=method)


def _gone(reason: ChatGoneReason) -> _Make:
    return lambda description, method: ChatGone(description, method=method, reason=reason)


# The first rule that fits decides. Codes tell first; words are read only where one code has several meanings (400, 403, 404).
# Before this table `parameters` are looked at (`classify`): they are meant for machines and win over code and words.
RULES: tuple[Rule, ...] = (
    Rule(429, (), _retry_after),
    Rule(420, (), _retry_after),  # the code of the layer below, seen when a local Bot API server passes it on
    Rule(401, (), _plain(BotRejected)),
    Rule(404, ("method not found",), _plain(BadRequest)),
    Rule(404, (), _plain(BotRejected)),
    Rule(409, (), _plain(Conflict)),
    Rule(400, ("message is not modified", "message_not_modified"), _plain(NotModified)),
    Rule(
        400,
        ("to be replied not found", "reply message not found", "replied message not found", "message to reply not found"),
        _plain(ReplyGone),
    ),
    Rule(
        400,
        (
            "message to edit not found",
            "message can't be edited",
            "message to delete not found",
            "message can't be deleted",
            "message_id_invalid",
            "message identifier is not specified",
            "message not found",
        ),
        _plain(MessageGone),
    ),
    Rule(400, ("can't parse entities", "can't parse message text", "entity_bounds_invalid", "entities_too_long"), _plain(ParseRejected)),
    Rule(400, ("bot was blocked", "user_is_blocked"), _gone(ChatGoneReason.BLOCKED)),
    Rule(400, ("deactivated",), _gone(ChatGoneReason.DEACTIVATED)),
    Rule(400, ("kicked",), _gone(ChatGoneReason.KICKED)),
    Rule(400, ("not a member", "channel_private"), _gone(ChatGoneReason.NOT_A_MEMBER)),
    Rule(400, ("group chat was upgraded", "chat was deleted"), _gone(ChatGoneReason.DELETED)),
    Rule(400, ("chat not found", "peer_id_invalid", "chat_id is empty", "chat_id_invalid"), _gone(ChatGoneReason.NOT_FOUND)),
    Rule(403, ("blocked",), _gone(ChatGoneReason.BLOCKED)),
    Rule(403, ("deactivated",), _gone(ChatGoneReason.DEACTIVATED)),
    Rule(403, ("kicked",), _gone(ChatGoneReason.KICKED)),
    Rule(403, ("not a member",), _gone(ChatGoneReason.NOT_A_MEMBER)),
    Rule(403, ("can't initiate conversation",), _gone(ChatGoneReason.CANNOT_INITIATE)),
    Rule(403, ("chat was deleted",), _gone(ChatGoneReason.DELETED)),
    Rule(403, (), _gone(ChatGoneReason.FORBIDDEN)),
)

_RETRY_WORDS = re.compile(r"retry after (\d{1,9})")


def classify(status: int, payload: Mapping[str, Any] | None, *, method: str = "", retry_after: str = "") -> TelegramError:
    """The error that a failed answer means.

    Args:
        status: the HTTP status.
        payload: the answer as a JSON object, or None when it is none of the Bot API's (a proxy's page, a broken body).
        method: the Bot API method, for the text.
        retry_after: the HTTP header of that name, used only when the payload names no pause.

    An answer without the Bot API's shape decides nothing about a chat or a bot: a proxy's 403 page must not end a subscription.
    """
    if payload is None or payload.get("ok") is not False:
        if status == 429:
            return RetryAfter("429 from something before the Bot API", method=method, seconds=_pause(retry_after, ""))
        if status >= 500:
            return ServerTrouble(f"HTTP {status}", method=method, ambiguous=True)
        return BadAnswer(f"HTTP {status}, not an answer of the Bot API", method=method, ambiguous=True)
    code = _code(payload.get("error_code"), status)
    description = _text(payload.get("description")) or f"error {code} without a description"
    parameters = payload.get("parameters")
    hints: Mapping[str, object] = cast(Mapping[str, object], parameters) if isinstance(parameters, Mapping) else {}
    new_chat_id = hints.get("migrate_to_chat_id")
    if type(new_chat_id) is int and new_chat_id:
        return ChatMoved(description, method=method, new_chat_id=new_chat_id)
    pause = hints.get("retry_after")
    if pause is not None:
        return RetryAfter(description, method=method, seconds=_pause(pause, description))
    if code >= 500:
        return ServerTrouble(description, method=method, ambiguous=True)
    words = description.lower().replace("\u2019", "'")
    for rule in RULES:
        if rule.code == code and (not rule.words or any(word in words for word in rule.words)):
            error = rule.make(description, method)
            if isinstance(error, RetryAfter):
                error.seconds = _pause(retry_after, description)
            return error
    return BadRequest(description, method=method)


def _code(value: object, status: int) -> int:
    return value if type(value) is int and 100 <= value <= 999 else status


def _text(value: object) -> str:
    return value[:DESCRIPTION_LIMIT] if isinstance(value, str) else ""


def _pause(value: object, description: str) -> float:
    """A pause in seconds between 1 and `LONGEST_PAUSE_SECONDS`, from a number, digits, or the words of the description."""
    found = _RETRY_WORDS.search(description.lower())
    seconds: float = int(found.group(1)) if found else DEFAULT_PAUSE_SECONDS
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        seconds = int(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:  # false for NaN too
        seconds = min(value, LONGEST_PAUSE_SECONDS)
    return min(max(float(seconds), 1.0), LONGEST_PAUSE_SECONDS)
