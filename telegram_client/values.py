"""What the Bot API answers with, as small values, and how they are read.

A needed field of a wrong type is an error, an unknown field is passed over.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

_T = TypeVar("_T")


class Undecodable(ValueError):
    """The result is not what the method promises. The text names the field, never its value."""


@attrs.frozen(kw_only=True)
class User:
    """A user or bot (Bot API, User)."""

    user_id: int
    is_bot: bool = False
    username: str = ""
    first_name: str = ""


@attrs.frozen(kw_only=True)
class Message:
    """A message in a chat (Bot API, Message), as far as a sender needs it. `date`: Unix seconds, 0 when it is no longer accessible."""

    message_id: int
    chat_id: int
    date: int = 0


@attrs.frozen(kw_only=True)
class IncomingMessage:
    """A message somebody wrote to the bot. `text` is "" for anything but text; `from_user` is None in channels."""

    message_id: int
    chat_id: int
    chat_type: str = "private"
    date: int = 0
    text: str = ""
    from_user: User | None = None


@attrs.frozen(kw_only=True)
class CallbackQuery:
    """A pressed button (Bot API, CallbackQuery). `message` is the one it hangs on, if Telegram still knows it."""

    query_id: str
    from_user: User
    data: str = ""
    message: Message | None = None


@attrs.frozen(kw_only=True)
class Update:
    """One update. Both parts are None for a kind that is not read here: it only wants to be confirmed."""

    update_id: int
    message: IncomingMessage | None = None
    callback_query: CallbackQuery | None = None


def read_user(value: object) -> User:
    """Bot API, User."""
    fields = _object(value, "User")
    return User(
        user_id=_int(fields, "id"),
        is_bot=fields.get("is_bot") is True,
        username=_text(fields, "username"),
        first_name=_text(fields, "first_name"),
    )


def read_message(value: object) -> Message:
    """Bot API, Message (also InaccessibleMessage)."""
    fields = _object(value, "Message")
    chat = _object(fields.get("chat"), "Chat")
    return Message(message_id=_int(fields, "message_id"), chat_id=_int(chat, "id"), date=_int_or_0(fields, "date"))


def read_updates(value: object) -> tuple[Update, ...]:
    """The result of getUpdates. An update whose inside cannot be read is kept as one to be confirmed: it must not come for ever."""
    if not isinstance(value, list):
        raise Undecodable("updates are not an array")
    return tuple(read_update(item) for item in cast(list[object], value))


def read_update(value: object) -> Update:
    """Bot API, Update; also the body of a webhook request."""
    fields = _object(value, "Update")
    return Update(
        update_id=_int(fields, "update_id"),
        message=_lenient(_read_incoming, fields.get("message")),
        callback_query=_lenient(_read_callback, fields.get("callback_query")),
    )


def _read_incoming(value: object) -> IncomingMessage:
    fields = _object(value, "Message")
    chat = _object(fields.get("chat"), "Chat")
    return IncomingMessage(
        message_id=_int(fields, "message_id"),
        chat_id=_int(chat, "id"),
        chat_type=_text(chat, "type") or "private",
        date=_int_or_0(fields, "date"),
        text=_text(fields, "text"),
        from_user=_lenient(read_user, fields.get("from")),
    )


def _read_callback(value: object) -> CallbackQuery:
    fields = _object(value, "CallbackQuery")
    query_id = _text(fields, "id")
    if not query_id:
        raise Undecodable("CallbackQuery.id is not a string")
    return CallbackQuery(
        query_id=query_id,
        from_user=read_user(fields.get("from")),
        data=_text(fields, "data"),
        message=_lenient(read_message, fields.get("message")),
    )


def _lenient(read: Callable[[object], _T], value: object) -> _T | None:
    if value is None:
        return None
    try:
        return read(value)
    except Undecodable:
        return None


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Undecodable(f"{what} is not an object")
    return cast(Mapping[str, Any], value)


def _int(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    # Chat ids have at most 52 bits, all ids fit 64 (Bot API, Chat): anything else would not fit a database column either.
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise Undecodable(f"{name} is not a 64-bit integer")
    return value


def _int_or_0(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
