"""The client against the fake Bot API, in virtual time: each row of the reaction table, bad answers, and a token that never shows."""

import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio

from telegram_client import errors
from telegram_client.api import BotApi
from telegram_client.errors import TelegramError
from telegram_client.http import HttpClient
from telegram_client.values import User
from tester.fakes.telegram import FakeTelegram, FaultKind, TrueLimits

TOKEN = "123456:TEST-secret_part"
CHAT = 1001


@pytest.fixture
def fake() -> FakeTelegram:
    return FakeTelegram([TOKEN])


@pytest.fixture
async def api(fake: FakeTelegram) -> AsyncIterator[BotApi]:
    async with HttpClient(transport=fake.transport()) as http_client:
        yield BotApi(TOKEN, http_client, "https://api.telegram.test")


async def caught(request: Awaitable[object]) -> TelegramError:
    with pytest.raises(TelegramError) as info:
        await request
    assert info.value.__context__ is None
    assert info.value.__cause__ is None
    return info.value


async def test_a_message_is_sent_edited_and_deleted(api: BotApi, fake: FakeTelegram) -> None:
    message = await api.send_message(CHAT, "📞 <b>Звонок</b> &amp; ещё", silent=True)
    assert (message.chat_id, message.message_id) == (CHAT, 1)
    assert message.date > 1_700_000_000
    [shown] = fake.living(CHAT)
    assert (shown.text, shown.visible, shown.silent) == ("📞 <b>Звонок</b> &amp; ещё", "📞 Звонок & ещё", True)
    await api.edit_message_text(CHAT, message.message_id, "✅ Завершен")
    assert [version.text for version in shown.history] == ["📞 <b>Звонок</b> &amp; ещё", "✅ Завершен"]
    await api.delete_message(CHAT, message.message_id)
    assert fake.living(CHAT) == ()
    assert shown.deleted


async def test_the_request_says_what_the_bot_api_wants(fake: FakeTelegram) -> None:
    bodies: list[dict[str, Any]] = []

    class Listening(FakeTelegram):
        async def handle(self, token: str, method: str, body: bytes) -> Any:
            bodies.append(json.loads(body))
            return await super().handle(token, method, body)

    async with HttpClient(transport=Listening().transport()) as http_client:
        api = BotApi(TOKEN, http_client, "https://api.telegram.test/")
        await api.send_message(CHAT, "текст", reply_to_message_id=7, reply_markup={"inline_keyboard": []})
        await api.edit_message_text(CHAT, 1, "<b>", parse_mode=None)
    assert bodies[0] == {
        "chat_id": CHAT,
        "text": "текст",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
        "reply_parameters": {"message_id": 7, "allow_sending_without_reply": True},
        "reply_markup": {"inline_keyboard": []},
    }
    assert bodies[1] == {"chat_id": CHAT, "message_id": 1, "text": "<b>", "link_preview_options": {"is_disabled": True}}


async def test_a_reply_hangs_on_its_message_and_a_lost_one_is_sent_without(api: BotApi, fake: FakeTelegram) -> None:
    first = await api.send_message(CHAT, "one")
    await api.send_message(CHAT, "two", reply_to_message_id=first.message_id)
    await api.send_message(CHAT, "three", reply_to_message_id=999)
    assert [message.reply_to for message in fake.living(CHAT)] == [None, first.message_id, None]


async def test_me_updates_webhook_and_buttons(api: BotApi, fake: FakeTelegram) -> None:
    assert await api.get_me() == User(user_id=123456, is_bot=True, username="bot_123456_bot", first_name="Bot")
    await api.set_webhook("https://gate.example/hook", secret_token="s3cret", allowed_updates=["message"], drop_pending_updates=True)
    assert fake.bot(TOKEN).webhook == {
        "url": "https://gate.example/hook",
        "secret_token": "s3cret",
        "allowed_updates": ["message"],
        "drop_pending_updates": True,
    }
    assert type(await caught(api.get_updates())) is errors.Conflict
    await api.delete_webhook()
    update_id = fake.push_text(TOKEN, CHAT, "/start code", username="ivan")
    query_id = fake.push_button(TOKEN, CHAT, 1, "more")
    first, second = await api.get_updates()
    assert first.update_id == update_id
    assert first.message is not None
    assert (first.message.chat_id, first.message.text) == (CHAT, "/start code")
    assert second.callback_query is not None
    assert (second.callback_query.query_id, second.callback_query.data) == (query_id, "more")
    await api.answer_callback_query(query_id, "готово")
    assert fake.bot(TOKEN).answered_queries == [(query_id, "готово")]
    assert type(await caught(api.answer_callback_query(query_id))) is errors.BadRequest
    assert await api.get_updates(second.update_id + 1) == ()


# one test for each row of the reaction table


async def test_too_many_requests(api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock) -> None:
    fake.too_many(5, chat_id=CHAT, retry_after=35)
    error = await caught(api.send_message(CHAT, "text"))
    assert isinstance(error, errors.RetryAfter)
    assert error.seconds == 35
    await api.send_message(CHAT + 1, "text")
    await trio.sleep(5)
    await api.send_message(CHAT, "text")


async def test_message_is_not_modified(api: BotApi) -> None:
    message = await api.send_message(CHAT, "text")
    assert type(await caught(api.edit_message_text(CHAT, message.message_id, "text"))) is errors.NotModified


async def test_message_to_edit_or_delete_not_found(api: BotApi) -> None:
    assert type(await caught(api.edit_message_text(CHAT, 5, "text"))) is errors.MessageGone
    assert type(await caught(api.delete_message(CHAT, 5))) is errors.MessageGone


async def test_a_message_is_too_old_to_delete(api: BotApi, autojump_clock: trio.testing.MockClock) -> None:
    message = await api.send_message(CHAT, "text")
    await trio.sleep(48 * 3600 + 1)
    assert type(await caught(api.delete_message(CHAT, message.message_id))) is errors.MessageGone


async def test_broken_markup_is_taken_as_plain_text(api: BotApi, fake: FakeTelegram) -> None:
    error = await caught(api.send_message(CHAT, "Звонок от <unknown>"))
    assert type(error) is errors.ParseRejected
    await api.send_message(CHAT, "Звонок от <unknown>", parse_mode=None)
    assert fake.living(CHAT)[0].visible == "Звонок от <unknown>"


async def test_lost_chats(api: BotApi, fake: FakeTelegram) -> None:
    chat = fake.chat(TOKEN, CHAT)
    expected = {
        chat.vanish: errors.ChatGoneReason.NOT_FOUND,
        chat.block: errors.ChatGoneReason.BLOCKED,
        chat.deactivate: errors.ChatGoneReason.DEACTIVATED,
        chat.kick: errors.ChatGoneReason.KICKED,
    }
    for happen, reason in expected.items():
        happen()
        error = await caught(api.send_message(CHAT, "text"))
        assert isinstance(error, errors.ChatGone)
        assert error.reason is reason
    chat.welcome()
    await api.send_message(CHAT, "text")


async def test_a_group_that_moved(api: BotApi, fake: FakeTelegram) -> None:
    fake.chat(TOKEN, -5).move_to(-1000000000005)
    error = await caught(api.send_message(-5, "text"))
    assert isinstance(error, errors.ChatMoved)
    assert (await api.send_message(error.new_chat_id, "text")).chat_id == -1000000000005


async def test_a_rejected_bot(fake: FakeTelegram) -> None:
    async with HttpClient(transport=fake.transport()) as http_client:
        for token in ("999999:other", "no token at all", "", "../123456:TEST", "1:2?x=/#"):
            api = BotApi(token, http_client, "https://api.telegram.test")
            assert type(await caught(api.get_me())) is errors.BotRejected
        fake.revoke(TOKEN)
        assert type(await caught(BotApi(TOKEN, http_client).get_me())) is errors.BotRejected


async def test_two_pollers(api: BotApi, autojump_clock: trio.testing.MockClock) -> None:
    first: list[TelegramError] = []

    async def poll() -> None:
        first.append(await caught(api.get_updates(timeout_seconds=50)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        assert await api.get_updates(timeout_seconds=10) == ()
    assert [type(error) for error in first] == [errors.Conflict]


async def test_trouble_of_server_and_network(api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock) -> None:
    rows: list[tuple[FaultKind, dict[str, Any], type[TelegramError], bool, int]] = [
        (FaultKind.REFUSE, {}, errors.NetworkTrouble, False, 0),
        (FaultKind.CLOSE, {}, errors.NetworkTrouble, True, 0),
        (FaultKind.CLOSE, {"accepted": True}, errors.NetworkTrouble, True, 1),
        (FaultKind.HANG, {}, errors.NetworkTrouble, True, 0),
        (FaultKind.HANG, {"accepted": True}, errors.NetworkTrouble, True, 1),
        (FaultKind.DELAY, {"seconds": 100}, errors.NetworkTrouble, True, 0),
        (FaultKind.HALF_ANSWER, {}, errors.NetworkTrouble, True, 1),
        (FaultKind.ANSWER, {"status": 502, "body": b"<html>Bad Gateway</html>"}, errors.ServerTrouble, True, 0),
        (FaultKind.ANSWER, {"status": 500, "accepted": True}, errors.ServerTrouble, True, 1),
        (FaultKind.ANSWER, {"status": 403, "body": b"<html>blocked by policy</html>"}, errors.BadAnswer, True, 0),
        (FaultKind.ANSWER, {"status": 302, "headers": (("Location", "https://elsewhere.test/"),)}, errors.BadAnswer, True, 0),
        (FaultKind.ANSWER, {"status": 429, "headers": (("Retry-After", "9"),)}, errors.RetryAfter, False, 0),
    ]
    for kind, how, expected, ambiguous, accepted in rows:
        before = len(fake.living(CHAT))
        fake.fail(kind, **how)
        error = await caught(api.send_message(CHAT, "text"))
        assert type(error) is expected, kind
        assert error.ambiguous is ambiguous, (kind, how)
        assert error.retriable
        assert len(fake.living(CHAT)) - before == accepted, (kind, how)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"ok"',
        b"\xff\xfe",
        b'{"ok":true',
        b'{"ok":true}',
        b'{"ok":true,"result":null}',
        b'{"ok":true,"result":false}',
        b'{"ok":true,"result":{}}',
        b'{"ok":true,"result":[]}',
        b'{"ok":true,"result":{"message_id":"1","chat":{"id":5}}}',
        b'{"ok":true,"result":{"message_id":true,"chat":{"id":5}}}',
        b'{"ok":true,"result":{"message_id":1,"chat":5}}',
        b'{"ok":true,"result":{"message_id":1e400,"chat":{"id":5}}}',
        b'{"ok":true,"result":{"message_id":' + b"9" * 5000 + b',"chat":{"id":5}}}',
        b'{"ok":"true","result":{"message_id":1,"chat":{"id":5}}}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b" " * (1024 * 1024 + 1),
    ],
    ids=lambda body: body[:40].decode("ascii", "replace"),
)
async def test_an_answer_that_is_none_is_a_bad_answer(api: BotApi, fake: FakeTelegram, body: bytes) -> None:
    fake.fail(FaultKind.ANSWER, status=200, body=body, accepted=True)
    error = await caught(api.send_message(CHAT, "text"))
    assert type(error) is errors.BadAnswer
    assert error.ambiguous


async def test_a_compressed_answer_is_refused_unread(api: BotApi, fake: FakeTelegram) -> None:
    fake.fail(FaultKind.ANSWER, status=200, body=b"\x1f\x8b", headers=(("Content-Encoding", "gzip"),))
    assert type(await caught(api.get_me())) is errors.BadAnswer


async def test_updates_that_cannot_be_read_are_kept_to_be_confirmed(api: BotApi, fake: FakeTelegram) -> None:
    fake.push_update(TOKEN, message={"text": "no chat"})
    fake.push_update(TOKEN, poll={"id": "1"})
    fake.push_update(TOKEN, callback_query="nonsense")
    assert [(update.update_id, update.message, update.callback_query) for update in await api.get_updates()] == [
        (1, None, None),
        (2, None, None),
        (3, None, None),
    ]


async def test_a_text_with_a_lone_surrogate_is_sent(api: BotApi, fake: FakeTelegram) -> None:
    await api.send_message(CHAT, "имя \ud83d конец")
    assert fake.living(CHAT)[0].text == "имя ? конец"


async def test_text_bounds_are_the_servers(api: BotApi) -> None:
    assert type(await caught(api.send_message(CHAT, " \n"))) is errors.BadRequest
    assert type(await caught(api.send_message(CHAT, "x" * 4097))) is errors.BadRequest
    await api.send_message(CHAT, "&lt;" * 4096)


async def test_a_request_that_is_cancelled_leaves_the_client_usable(api: BotApi, fake: FakeTelegram) -> None:
    fake.fail(FaultKind.HANG)
    with trio.move_on_after(0.01) as scope:
        await api.send_message(CHAT, "text")
    assert scope.cancelled_caught
    await api.send_message(CHAT, "text")


def test_a_bad_base_address_is_told_at_once() -> None:
    for base_url in ("", "api.telegram.org", "ftp://api.telegram.org", "http://", "http://[::1", "http://host:port"):
        with pytest.raises(ValueError, match="not an http or https address"):
            BotApi(TOKEN, HttpClient(transport=FakeTelegram().transport()), base_url)


# secrecy


async def test_the_token_never_shows(
    api: BotApi, fake: FakeTelegram, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"ok": False, "error_code": 400, "description": f"cannot reach /bot{TOKEN}/sendMessage"}).encode()
    plans: list[Callable[[], object]] = [
        lambda: fake.fail(FaultKind.REFUSE),
        lambda: fake.fail(FaultKind.CLOSE),
        lambda: fake.fail(FaultKind.HANG),
        lambda: fake.fail(FaultKind.HALF_ANSWER),
        lambda: fake.fail(FaultKind.ANSWER, status=400, body=echo),
        lambda: fake.fail(FaultKind.ANSWER, status=502, body=echo),
        lambda: fake.fail(FaultKind.ANSWER, status=200, body=f"<html>/bot{TOKEN}/".encode()),
        lambda: fake.fail(FaultKind.ANSWER, status=200, body=b'{"ok":true,"result":{}}'),
        lambda: fake.fail(FaultKind.ANSWER, status=307, headers=(("Location", f"https://elsewhere.test/bot{TOKEN}/getMe"),)),
        fake.chat(TOKEN, CHAT).block,
        lambda: fake.revoke(TOKEN),
    ]
    seen: list[str] = [repr(api), str(api), repr(vars(api)["_addresses"])]
    for plan in plans:
        plan()
        try:
            await api.send_message(CHAT, "text")
        except TelegramError as error:
            chain = "".join(traceback.format_exception(error))
            seen += [str(error), repr(error), repr(error.args), repr(vars(error)), chain]
        else:
            pytest.fail("it should have failed")
    seen += [caplog.text, repr([record.__dict__ for record in caplog.records])]
    assert "secret_part" not in "\n".join(seen)
    assert api.bot_id == "123456"
    assert repr(api) == "BotApi(123456)"


async def test_limits_of_the_fake_refuse_what_is_too_much(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram(limits=TrueLimits(enforced=True))
    async with HttpClient(transport=fake.transport()) as http_client:
        api = BotApi(TOKEN, http_client)
        for _ in range(3):
            await api.send_message(CHAT, "text")
        error = await caught(api.send_message(CHAT, "text"))
        assert isinstance(error, errors.RetryAfter)
        await trio.sleep(error.seconds)
        await api.send_message(CHAT, "text")
    assert fake.violations == {"chat": 1}
