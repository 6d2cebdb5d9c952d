"""How the fake Telegram answers a request: the methods of the Bot API, its errors, planned faults.

Decisions are synchronous; only delays, hangs and long polls wait. Time is `trio.current_time()`.
"""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import trio

from tester.fakes.telegram_chats import (
    Answer,
    Change,
    ChangeKind,
    Cut,
    FakeBot,
    FakeChat,
    FakeMessage,
    Fault,
    FaultKind,
    Flood,
    Received,
    Version,
    take_fault,
)
from tester.fakes.telegram_rules import MOST_CHARACTERS, MarkupError, Meter, TrueLimits, visible_text

FIRST_DATE = 1_767_225_600
"""The `date` of a message sent when the clock reads 0 (2026-01-01): virtual clocks know no calendar."""

DELETABLE_SECONDS = 48 * 3600
KEPT_REQUESTS = 20_000

_TOKEN = re.compile(r"\d{1,19}:[A-Za-z0-9_-]+", re.ASCII)


class Refusal(Exception):
    """The Bot API says no."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


class TelegramCore:
    """Bots, chats and the one entrance for requests; see `tester.fakes.telegram.FakeTelegram` for the arguments."""

    def __init__(self, bots: Iterable[str] | None = None, *, limits: TrueLimits | None = None, keep_messages: int = 5000) -> None:
        self._any_bot = bots is None
        self._limits = limits or TrueLimits()
        self._keep_messages = keep_messages
        self.bots: dict[str, FakeBot] = {}
        self.faults: list[Fault] = []
        self.floods: list[Flood] = []
        self.changed = trio.Event()
        self.requests: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self.on_change: list[Callable[[Change], None]] = []
        self._methods: dict[str, Callable[[FakeBot, Mapping[str, Any]], object]] = {
            "getMe": self._get_me,
            "sendMessage": self._send_message,
            "editMessageText": self._edit_message_text,
            "deleteMessage": self._delete_message,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "answerCallbackQuery": self._answer_callback_query,
        }
        for token in bots or ():
            self.bot(token)

    def bot(self, token: str) -> FakeBot:
        """The bot with this token, made at first mention."""
        if token not in self.bots:
            if _TOKEN.fullmatch(token) is None:
                raise ValueError("not a bot token")
            head = token.partition(":")[0]
            self.bots[token] = FakeBot(token, f"bot_{head}_bot", Meter(self._limits))
        return self.bots[token]

    def chat(self, token: str, chat_id: int) -> FakeChat:
        """The chat as this bot sees it, made at first mention."""
        chats = self.bot(token).chats
        if chat_id not in chats:
            chats[chat_id] = FakeChat(chat_id, self._keep_messages)
        return chats[chat_id]

    async def handle(self, token: str, method: str, body: bytes) -> Answer:
        """Answer one request. Waits where a delay, a hang or a long poll says so; cancelled when the client goes away."""
        params = _params(body)
        chat_id = _as_int(params.get("chat_id")) if params is not None else None
        bot = self.bots.get(token)
        received = Received(at=trio.current_time(), bot_id=bot.bot_id if bot else None, method=method, chat_id=chat_id)
        self.requests.append(received)
        self._stir()
        fault = take_fault(self.faults, method, chat_id)
        if fault is not None and fault.kind is FaultKind.DELAY:
            await trio.sleep(fault.seconds)
            fault = None
        answer = Answer()
        if fault is None or fault.accepted or fault.kind is FaultKind.HALF_ANSWER:
            answer = await self._answer(token, method, params)
        if fault is not None:
            answer = await _spoil(fault, answer)
        received.status = answer.status if answer.cut in (Cut.NOTHING, Cut.HALF) else 0
        self._stir()
        return answer

    async def _answer(self, token: str, method: str, params: Mapping[str, Any] | None) -> Answer:
        try:
            result = await self._result(self._authorize(token), method, params)
        except Refusal as no:
            content: dict[str, Any] = {"ok": False, "error_code": no.code, "description": no.description}
            if no.parameters:
                content["parameters"] = no.parameters
            return Answer(status=no.code, body=_json(content))
        return Answer(body=_json({"ok": True, "result": result}))

    async def _result(self, bot: FakeBot, method: str, params: Mapping[str, Any] | None) -> object:
        if params is None:
            raise Refusal(400, "Bad Request: can't parse the request as a JSON object")
        if method == "getUpdates":
            return await self._get_updates(bot, params)
        if method not in self._methods:
            raise Refusal(404, "Not Found: method not found")
        return self._methods[method](bot, params)

    def _authorize(self, token: str) -> FakeBot:
        bot = self.bots.get(token)
        if bot is None:
            if _TOKEN.fullmatch(token) is None:
                raise Refusal(404, "Not Found")
            if not self._any_bot:
                raise Refusal(401, "Unauthorized")
            bot = self.bot(token)
        if bot.revoked:
            raise Refusal(401, "Unauthorized")
        return bot

    # methods

    def _get_me(self, bot: FakeBot, _params: Mapping[str, Any]) -> object:
        return {"id": bot.bot_id, "is_bot": True, "first_name": "Bot", "username": bot.username}

    def _send_message(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        chat = self._writable_chat(bot, params)
        text, visible, parse_mode = _text(params)
        reply_to = _reply_to(chat, params.get("reply_parameters"))
        now = trio.current_time()
        message = FakeMessage(
            chat_id=chat.chat_id,
            message_id=chat.next_message_id(),
            text=text,
            visible=visible,
            parse_mode=parse_mode,
            sent_at=now,
            history=[Version(now, text)],
            reply_to=reply_to,
            silent=params.get("disable_notification") is True,
            reply_markup=params.get("reply_markup"),
        )
        chat.add(message)
        self._tell(Change(ChangeKind.SENT, bot.bot_id, message))
        return self._shown(message)

    def _edit_message_text(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        chat = self._writable_chat(bot, params)
        message = chat.find(params.get("message_id"))
        if message is None:
            raise Refusal(400, "Bad Request: message to edit not found")
        text, visible, parse_mode = _text(params)
        reply_markup = params.get("reply_markup")
        if (text, parse_mode, reply_markup) == (message.text, message.parse_mode, message.reply_markup):
            raise Refusal(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current "
                "content and reply markup of the message",
            )
        message.text, message.visible, message.parse_mode, message.reply_markup = text, visible, parse_mode, reply_markup
        message.history.append(Version(trio.current_time(), text))
        self._tell(Change(ChangeKind.EDITED, bot.bot_id, message))
        return self._shown(message)

    def _delete_message(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        chat = self._writable_chat(bot, params)
        message = chat.find(params.get("message_id"))
        if message is None:
            raise Refusal(400, "Bad Request: message to delete not found")
        now = trio.current_time()
        if now - message.sent_at > DELETABLE_SECONDS:
            raise Refusal(400, "Bad Request: message can't be deleted")
        message.deleted_at = now
        self._tell(Change(ChangeKind.DELETED, bot.bot_id, message))
        return True

    def _set_webhook(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        url = params.get("url")
        if url and not str(url).startswith("https://"):
            raise Refusal(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        bot.webhook = dict(params) if url else None
        bot.wake_polls()
        return True

    def _delete_webhook(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        bot.webhook = None
        if params.get("drop_pending_updates") is True:
            bot.updates.clear()
        return True

    def _answer_callback_query(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        query_id = str(params.get("callback_query_id"))
        if query_id not in bot.open_queries:
            raise Refusal(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        bot.open_queries.remove(query_id)
        bot.answered_queries.append((query_id, str(params.get("text", ""))))
        return True

    async def _get_updates(self, bot: FakeBot, params: Mapping[str, Any]) -> object:
        offset = _as_int(params.get("offset"))
        limit = min(max(_as_int(params.get("limit")) or 100, 1), 100)
        bot.poll_number += 1
        poll_number = bot.poll_number
        bot.wake_polls()
        with trio.move_on_after(_as_int(params.get("timeout")) or 0):
            while True:
                if bot.webhook is not None:
                    raise Refusal(
                        409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first"
                    )
                if bot.poll_number != poll_number:
                    raise Refusal(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
                while offset is not None and bot.updates and bot.updates[0]["update_id"] < offset:
                    bot.updates.popleft()
                if bot.updates:
                    break
                await bot.woken.wait()
        return [bot.updates[at] for at in range(min(limit, len(bot.updates)))]

    # parts of methods

    def _writable_chat(self, bot: FakeBot, params: Mapping[str, Any]) -> FakeChat:
        chat_id = _as_int(params.get("chat_id"))
        if chat_id is None:
            raise Refusal(400, "Bad Request: chat_id is empty" if not params.get("chat_id") else "Bad Request: chat not found")
        now = trio.current_time()
        self.floods = [flood for flood in self.floods if flood.until > now]
        waits = [flood.retry_after or max(1, math.ceil(flood.until - now)) for flood in self.floods if flood.chat_id in (None, chat_id)]
        wait = max(waits) if waits else bot.meter.admit(chat_id, now)
        if wait is not None:
            raise Refusal(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        chat = self.chat(bot.token, chat_id)
        if chat.refusal is not None:
            raise Refusal(*chat.refusal)
        if chat.moved_to is not None:
            raise Refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.moved_to)
        return chat

    def _tell(self, change: Change) -> None:
        for listener in self.on_change:
            listener(change)
        self._stir()

    def _stir(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _shown(self, message: FakeMessage) -> dict[str, Any]:
        return {**self.message_fields(message.chat_id, message.message_id), "text": message.visible}

    def message_fields(self, chat_id: int, message_id: int) -> dict[str, Any]:
        """What every message has (Bot API, Message)."""
        kind = "private" if chat_id > 0 else "supergroup"
        return {"message_id": message_id, "date": FIRST_DATE + int(trio.current_time()), "chat": {"id": chat_id, "type": kind}}


async def _spoil(fault: Fault, answer: Answer) -> Answer:
    match fault.kind:
        case FaultKind.HANG:
            await trio.sleep_forever()
            raise AssertionError
        case FaultKind.CLOSE:
            return Answer(cut=Cut.ALL)
        case FaultKind.REFUSE:
            return Answer(cut=Cut.CONNECTION)
        case FaultKind.HALF_ANSWER:
            return Answer(status=answer.status, body=answer.body, cut=Cut.HALF)
        case FaultKind.ANSWER:
            return Answer(status=fault.status, body=fault.body, content_type=fault.content_type, headers=fault.headers)
        case FaultKind.DELAY:
            return answer


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _params(body: bytes) -> Mapping[str, Any] | None:
    try:
        params: object = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return cast(Mapping[str, Any], params) if isinstance(params, dict) else None


def _as_int(value: object) -> int | None:
    """Numbers may come as strings (Bot API takes both)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        return int(value)
    return None


def _text(params: Mapping[str, Any]) -> tuple[str, str, str | None]:
    text = params.get("text")
    if not isinstance(text, str):
        raise Refusal(400, "Bad Request: message text is empty")
    parse_mode = params.get("parse_mode")
    if parse_mode not in (None, "HTML"):
        raise Refusal(400, "Bad Request: unsupported parse_mode")
    try:
        visible = visible_text(text, parse_mode)
    except MarkupError as exc:
        raise Refusal(400, f"Bad Request: can't parse entities: {exc}") from exc
    if not visible:
        raise Refusal(400, "Bad Request: message text is empty")
    if len(visible) > MOST_CHARACTERS:
        raise Refusal(400, "Bad Request: message is too long")
    return text, visible, parse_mode


def _reply_to(chat: FakeChat, wanted: object) -> int | None:
    if not isinstance(wanted, dict):
        return None
    parameters = cast(Mapping[str, Any], wanted)
    message = chat.find(parameters.get("message_id"))
    if message is None and parameters.get("allow_sending_without_reply") is not True:
        raise Refusal(400, "Bad Request: message to be replied not found")
    return None if message is None else message.message_id
