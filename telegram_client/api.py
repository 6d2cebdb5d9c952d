"""The methods of the Bot API that are needed here, one request each: no retries, no limits, no state.

Whoever calls decides about repeating (`errors`) and about the right moment (`limits`). Source of all names: Bot API.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote

from telegram_client.errors import BadAnswer, TelegramError, classify
from telegram_client.http import Address, HttpClient, RawAnswer
from telegram_client.values import Message, Undecodable, Update, User, read_message, read_updates, read_user

_T = TypeVar("_T")

PARSE_MODE = "HTML"
MOST_UPDATES = 100
"""Bot API, getUpdates: limit is 1-100."""

ANSWER_BYTES = 1024 * 1024
"""Bound of an ordinary answer: the largest real one is a message of 4096 characters with its entities and the message it replies to."""

UPDATES_BYTES = 16 * 1024 * 1024
"""Bound of an answer of getUpdates: a hundred of those."""

_NO_PREVIEW = {"is_disabled": True}


class BotApi:
    """One bot.

    Args:
        token: the bot's token. It never shows: not in the repr, not in an error, not in a log.
        http_client: entered by the caller, shared between bots.
        base_url: `https://api.telegram.org`, or a Bot API server of one's own.
        answer_seconds: how long to wait for an answer; `get_updates` adds its own waiting time.

    Every method raises `errors.TelegramError`, and nothing else for anything that the other side or the network does. After cancellation
    the request may or may not have been carried out.
    """

    def __init__(
        self, token: str, http_client: HttpClient, base_url: str = "https://api.telegram.org", *, answer_seconds: float = 15.0
    ) -> None:
        self._token = token
        # One path segment whatever the token holds: a malformed one gets its 404 from Telegram instead of asking for something else.
        self._segment = quote(token, safe=":")
        self._http = http_client
        self._base_url = base_url.rstrip("/")
        self._answer_seconds = answer_seconds
        self._addresses: dict[str, Address] = {}
        Address.of(self._base_url)  # a bad address is told now, not with the first message

    def __repr__(self) -> str:
        return f"BotApi({self.bot_id})"

    @property
    def bot_id(self) -> str:
        """The part of the token before the colon: the bot's user id, which is no secret. "?" when the token has no such part."""
        head, colon, _ = self._token.partition(":")
        return head if colon and head.isascii() and head.isdigit() else "?"

    async def get_me(self) -> User:
        """Who the bot is; the cheapest way to check a token."""
        return _read("getMe", read_user, await self._call("getMe", {}))

    async def send_message(
        self,
        chat_id: int,
        text: str,
        *,
        reply_to_message_id: int | None = None,
        silent: bool = False,
        parse_mode: str | None = PARSE_MODE,
        reply_markup: Mapping[str, Any] | None = None,
    ) -> Message:
        """Send a text of 1-4096 characters. Where the message to reply to is gone, it is sent without a reply."""
        body = self._text_body(chat_id, text, parse_mode, reply_markup)
        if reply_to_message_id is not None:
            body["reply_parameters"] = {"message_id": reply_to_message_id, "allow_sending_without_reply": True}
        if silent:
            body["disable_notification"] = True
        return _read("sendMessage", read_message, await self._call("sendMessage", body))

    async def edit_message_text(
        self,
        chat_id: int,
        message_id: int,
        text: str,
        *,
        parse_mode: str | None = PARSE_MODE,
        reply_markup: Mapping[str, Any] | None = None,
    ) -> None:
        """Replace the text. Without `reply_markup` a keyboard is taken away. Raises `NotModified` when it already reads so."""
        body = self._text_body(chat_id, text, parse_mode, reply_markup)
        body["message_id"] = message_id
        await self._call("editMessageText", body)

    async def delete_message(self, chat_id: int, message_id: int) -> None:
        """Delete a message younger than 48 hours. Raises `MessageGone` when there is nothing left to delete."""
        await self._call("deleteMessage", {"chat_id": chat_id, "message_id": message_id})

    async def get_updates(
        self,
        offset: int | None = None,
        timeout_seconds: int = 0,
        allowed_updates: Sequence[str] | None = None,
        *,
        limit: int = MOST_UPDATES,
    ) -> tuple[Update, ...]:
        """Updates from `offset` on; all earlier ones are confirmed and will not come again. Waits up to `timeout_seconds` for the first."""
        body: dict[str, Any] = {"timeout": timeout_seconds, "limit": limit}
        if offset is not None:
            body["offset"] = offset
        if allowed_updates is not None:
            body["allowed_updates"] = list(allowed_updates)
        result = await self._call("getUpdates", body, extra_seconds=timeout_seconds, max_bytes=UPDATES_BYTES)
        return _read("getUpdates", read_updates, result)

    async def set_webhook(
        self, url: str, *, secret_token: str = "", allowed_updates: Sequence[str] | None = None, drop_pending_updates: bool = False
    ) -> None:
        """Have updates posted to `url` (https, port 443, 80, 88 or 8443) with the header `X-Telegram-Bot-Api-Secret-Token`."""
        body: dict[str, Any] = {"url": url, "drop_pending_updates": drop_pending_updates}
        if secret_token:
            body["secret_token"] = secret_token
        if allowed_updates is not None:
            body["allowed_updates"] = list(allowed_updates)
        await self._call("setWebhook", body)

    async def delete_webhook(self, *, drop_pending_updates: bool = False) -> None:
        """Needed before polling. Harmless when there is none."""
        await self._call("deleteWebhook", {"drop_pending_updates": drop_pending_updates})

    async def answer_callback_query(self, query_id: str, text: str = "") -> None:
        """Stop the waiting animation of a pressed button, with a short text if there is one."""
        body: dict[str, Any] = {"callback_query_id": query_id}
        if text:
            body["text"] = text
        await self._call("answerCallbackQuery", body)

    def _text_body(self, chat_id: int, text: str, parse_mode: str | None, reply_markup: Mapping[str, Any] | None) -> dict[str, Any]:
        body: dict[str, Any] = {"chat_id": chat_id, "text": text, "link_preview_options": _NO_PREVIEW}
        if parse_mode is not None:
            body["parse_mode"] = parse_mode
        if reply_markup is not None:
            body["reply_markup"] = reply_markup
        return body

    async def _call(self, method: str, body: Mapping[str, Any], *, extra_seconds: float = 0.0, max_bytes: int = ANSWER_BYTES) -> object:
        """The `result` of a method that succeeded, never None."""
        # A lone surrogate, which JSON from outside may hold, has no UTF-8: a question mark is better than a message that is never sent.
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        raw = await self._http.post(
            self._address(method),
            content,
            method=method,
            answer_seconds=self._answer_seconds + extra_seconds,
            max_bytes=max_bytes,
        )
        payload = _json_object(raw.body)
        if payload is not None and payload.get("ok") is True and raw.status < 300:
            result = payload.get("result")
            if result is None or result is False:
                raise BadAnswer("ok without a result", method=method, ambiguous=True)
            return result
        raise self._failure(raw, payload, method)

    def _failure(self, raw: RawAnswer, payload: Mapping[str, Any] | None, method: str) -> TelegramError:
        if payload is not None and isinstance(payload.get("description"), str):
            payload = {**payload, "description": self._clean(payload["description"])}
        return classify(raw.status, payload, method=method, retry_after=raw.retry_after)

    def _clean(self, text: str) -> str:
        """A proxy in between may put the address it was asked for into its text."""
        return text.replace(self._token, "<token>").replace(self._segment, "<token>") if self._token else text

    def _address(self, method: str) -> Address:
        address = self._addresses.get(method)
        if address is None:
            address = self._addresses[method] = Address.of(f"{self._base_url}/bot{self._segment}/{method}")
        return address


def _read(method: str, read: Callable[[object], _T], result: object) -> _T:
    trouble: BadAnswer
    try:
        return read(result)
    except Undecodable as exc:
        trouble = BadAnswer(f"ok with an unreadable result: {exc}", method=method, ambiguous=True)
    raise trouble


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        # Not UTF-8, not JSON and absurd numbers are ValueErrors; nesting without end is a RecursionError.
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else None
