"""`/telegram/…`: where other programs note the messages that they have sent themselves. See `gateway.web.message_cache`."""

import re
from typing import Any, Final

from quart import Response, request
from quart_trio import QuartTrio

from gateway.calls.envelope import EnvelopeError, read_body
from gateway.web.details import Detail, json_answer, posted_body, serve
from gateway.web.message_cache import MessageCache, MessageKind, Messages

# Bot API, Chat: an id has at most 52 significant bits; those of groups are negative. @names are not taken.
_CHAT_ID: Final = re.compile(r"-?[0-9]{1,16}")
_PHONE: Final = re.compile(r"\+?[0-9]{3,32}")
_LAST_MESSAGE_ID: Final = 2**53


class TelegramMessages:
    """The endpoints of the message cache."""

    def __init__(self, cache: MessageCache) -> None:
        self._cache = cache

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        serve(app, "POST", "/telegram/message", self.note)
        serve(app, "GET", "/telegram/messages/<phone>/<chat_id>", self.messages)
        serve(app, "DELETE", "/telegram/messages/<phone>/<chat_id>", self.take)

    async def note(self) -> Response:
        """A message has been sent."""
        try:
            fields = read_body(await posted_body()).fields
        except EnvelopeError as exc:
            raise Detail(422, str(exc)) from exc
        key = _key(str(fields.get("phone", "")), str(fields.get("chat_id", "")))
        kind, message_id = fields.get("event_type"), fields.get("message_id")
        if kind not in tuple(MessageKind):
            raise Detail(422, f"event_type: must be one of {', '.join(MessageKind)}")
        if type(message_id) is not int or not 0 < message_id < _LAST_MESSAGE_ID:
            raise Detail(422, "message_id: must be a whole number above 0")
        self._cache.note(key, MessageKind(kind), message_id)
        return json_answer({"status": "ok", "cache_key": key, "event_type": kind, "message_id": message_id})

    async def messages(self, phone: str, chat_id: str) -> Response:
        """What is noted."""
        key = _key(phone, chat_id)
        found = self._cache.messages(key)
        return json_answer({"cache_key": key, "messages": _shape(found)}) if found else _nothing(key)

    async def take(self, phone: str, chat_id: str) -> Response:
        """What was noted, and is not any more; the caller deletes these messages now. Of unknown event types there is nothing."""
        key = _key(phone, chat_id)
        if not self._cache.messages(key):
            return _nothing(key)
        asked = request.args.getlist("event_types")
        kinds = [kind for kind in MessageKind if not asked or kind in asked]
        taken = self._cache.take(key, kinds)
        return json_answer(
            {
                "status": "deleted" if asked else "deleted_all",
                "cache_key": key,
                "deleted_types": list(taken),
                "deleted_messages": {kind: list(ids) for kind, ids in taken.items()},
            }
        )


def _key(phone: str, chat_id: str) -> str:
    if not _PHONE.fullmatch(phone):
        raise Detail(422, "phone: must be digits")
    if not _CHAT_ID.fullmatch(chat_id):
        raise Detail(422, "chat_id: must be a whole number")
    return f"{phone}:{chat_id}"


def _shape(messages: Messages) -> dict[str, Any]:
    return {kind: list(ids) if kind is MessageKind.DIAL else ids[-1] for kind, ids in messages.items()}


def _nothing(key: str) -> Response:
    return json_answer({"error": "No messages found", "cache_key": key}, 404)
