"""The fake Telegram itself: what it keeps, what it refuses, what it counts."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2 as httpx
import pytest
import trio
import trio.testing

from tester.fakes.telegram import Change, ChangeKind, FakeTelegram, FaultKind, TrueLimits, serve_fake_telegram
from tester.fakes.telegram_rules import MarkupError, visible_text

TOKEN = "123456:TEST"
CHAT = 1001


async def ask(fake: FakeTelegram, method: str, token: str = TOKEN, **params: Any) -> Mapping[str, Any]:
    answer = await fake.handle(token, method, json.dumps(params).encode())
    payload = json.loads(answer.body)
    assert answer.status == (200 if payload["ok"] else payload["error_code"])
    return payload


async def send(fake: FakeTelegram, text: str = "text", chat_id: int = CHAT, **params: Any) -> Mapping[str, Any]:
    return await ask(fake, "sendMessage", chat_id=chat_id, text=text, **params)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<b>жирный</b> и <i>курсив</i>", "жирный и курсив"),
        ('<a href="https://gate.example/?a=1&amp;b=2">Запись</a>', "Запись"),
        ("<blockquote expandable>много</blockquote>", "много"),
        ('<span class="tg-spoiler">тайна</span>', "тайна"),
        ("&lt;unknown&gt; &amp; &quot;x&quot; &#33;", '<unknown> & "x" !'),
        ("a & b &nbsp; &copy;", "a & b &nbsp; &copy;"),
        ("<B>x</b>", "x"),
        ("<b>x</>", "x"),
        ("1 > 0", "1 > 0"),
    ],
)
def test_markup_that_telegram_takes(text: str, seen: str) -> None:
    assert visible_text(text, "HTML") == seen


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("от <unknown>", 'Unsupported start tag "unknown" at byte offset 5'),
        ("1 < 2", "Unclosed start tag at byte offset 2"),
        ("1 < 2 > 0", 'Unsupported start tag "" at byte offset 2'),
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<br>", 'Unsupported start tag "br" at byte offset 0'),
        ("<span>x</span>", 'Unsupported start tag "span" at byte offset 0'),
    ],
)
def test_markup_that_telegram_refuses(text: str, complaint: str) -> None:
    with pytest.raises(MarkupError) as info:
        visible_text(text, "HTML")
    assert str(info.value) == complaint


def test_without_a_parse_mode_everything_is_text() -> None:
    assert visible_text("от <unknown> &amp;", None) == "от <unknown> &amp;"


async def test_ids_rise_within_a_chat_and_bots_do_not_see_each_other(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    assert (await send(fake))["result"]["message_id"] == 1
    await trio.sleep(1)
    assert (await send(fake))["result"]["message_id"] == 2
    assert (await send(fake, chat_id=1002))["result"]["message_id"] == 1
    await trio.sleep(1)
    other = await ask(fake, "sendMessage", "777:OTHER", chat_id=CHAT, text="other")
    assert other["result"]["message_id"] == 1
    assert (await ask(fake, "editMessageText", "777:OTHER", chat_id=CHAT, message_id=2, text="x"))["error_code"] == 400
    assert [message.text for message in fake.living(CHAT)] == ["text", "text", "other"]
    assert [message.text for message in fake.chat("777:OTHER", CHAT).messages] == ["other"]


async def test_history_and_deletion_keep_their_times(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    started_at = trio.current_time()
    await send(fake, "one")
    await trio.sleep(3)
    await ask(fake, "editMessageText", chat_id=CHAT, message_id=1, text="two")
    await trio.sleep(4)
    assert (await ask(fake, "deleteMessage", chat_id=str(CHAT), message_id=1))["result"] is True
    [message] = fake.chat(TOKEN, CHAT).all_messages
    assert [(version.at - started_at, version.text) for version in message.history] == [(0, "one"), (3, "two")]
    assert message.deleted_at == started_at + 7
    assert fake.chat(TOKEN, CHAT).messages == ()


async def test_old_messages_are_dropped_beyond_the_bound() -> None:
    fake = FakeTelegram(keep_messages=3)
    for number in range(10):
        await send(fake, str(number))
    assert [message.text for message in fake.living(CHAT)] == ["7", "8", "9"]


async def test_changes_are_told_and_can_be_waited_for() -> None:
    fake = FakeTelegram()
    changes: list[Change] = []
    fake.on_change.append(changes.append)
    done = trio.Event()

    async def wait() -> None:
        await fake.until(lambda: any(message.text == "two" for message in fake.living(CHAT)))
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await send(fake, "one")
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        await ask(fake, "editMessageText", chat_id=CHAT, message_id=1, text="two")
    await ask(fake, "deleteMessage", chat_id=CHAT, message_id=1)
    assert [change.kind for change in changes] == [ChangeKind.SENT, ChangeKind.EDITED, ChangeKind.DELETED]
    assert changes[0].bot_id == 123456


async def test_tokens_chats_and_methods_that_do_not_exist() -> None:
    fake = FakeTelegram([TOKEN])
    assert (await ask(fake, "getMe", "1:unknown"))["error_code"] == 401
    assert (await ask(fake, "getMe", "malformed"))["error_code"] == 404
    assert (await ask(fake, "getMe"))["result"]["id"] == 123456
    assert (await ask(fake, "flyToTheMoon"))["description"] == "Not Found: method not found"
    assert (await ask(fake, "sendMessage", text="x"))["description"] == "Bad Request: chat_id is empty"
    assert (await ask(fake, "sendMessage", chat_id="@nobody", text="x"))["description"] == "Bad Request: chat not found"
    assert (await ask(fake, "sendMessage", chat_id=CHAT))["description"] == "Bad Request: message text is empty"
    answer = await fake.handle(TOKEN, "getMe", b"chat_id=5")
    assert answer.status == 400


async def test_a_reply_needs_its_message_unless_it_may_go_without() -> None:
    fake = FakeTelegram()
    assert (await send(fake, reply_parameters={"message_id": 9}))["description"] == "Bad Request: message to be replied not found"
    assert (await send(fake, reply_parameters={"message_id": 9, "allow_sending_without_reply": True}))["ok"]


async def test_true_limits_are_counted_and_only_refused_when_enforced(autojump_clock: trio.testing.MockClock) -> None:
    counting = FakeTelegram()
    for _ in range(5):
        assert (await send(counting))["ok"]
    assert counting.violations == {"chat": 2}
    enforcing = FakeTelegram(limits=TrueLimits(enforced=True))
    for _ in range(3):
        assert (await send(enforcing))["ok"]
    refused = await send(enforcing)
    assert (refused["error_code"], refused["parameters"]) == (429, {"retry_after": 1})
    await trio.sleep(1)
    assert (await send(enforcing))["ok"]
    assert enforcing.violations == {"chat": 1}


async def test_the_bot_and_group_limits_are_sliding_windows(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram(limits=TrueLimits(enforced=True))
    for chat_id in range(1, 31):
        assert (await send(fake, chat_id=chat_id))["ok"]
    await trio.sleep(0.9)
    assert (await send(fake, chat_id=31))["error_code"] == 429
    await trio.sleep(0.1)
    assert (await send(fake, chat_id=31))["ok"]
    for _ in range(20):
        await trio.sleep(1)
        assert (await send(fake, chat_id=-7))["ok"]
    await trio.sleep(1)
    refused = await send(fake, chat_id=-7)
    assert refused["parameters"] == {"retry_after": 40}
    await trio.sleep(40)
    assert (await send(fake, chat_id=-7))["ok"]
    assert fake.violations == {"bot": 1, "group": 1}


async def test_floods_last_as_long_as_planned(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram()
    fake.too_many(5)
    assert (await send(fake))["parameters"] == {"retry_after": 5}
    await trio.sleep(2.5)
    assert (await send(fake, chat_id=1002))["parameters"] == {"retry_after": 3}
    await trio.sleep(2.5)
    assert (await send(fake))["ok"]
    fake.too_many(100, chat_id=CHAT, retry_after=7)
    assert (await send(fake))["parameters"] == {"retry_after": 7}
    fake.heal()
    assert (await send(fake))["ok"]


async def test_faults_fit_method_and_chat_and_are_used_up() -> None:
    fake = FakeTelegram()
    fake.fail(FaultKind.ANSWER, method="sendMessage", chat_id=CHAT, status=500, times=2)
    assert (await send(fake, chat_id=1002))["ok"]
    for _ in range(2):
        assert (await fake.handle(TOKEN, "sendMessage", json.dumps({"chat_id": CHAT, "text": "x"}).encode())).status == 500
    assert (await send(fake))["ok"]
    assert [(received.method, received.chat_id, received.status) for received in fake.requests] == [
        ("sendMessage", 1002, 200),
        ("sendMessage", CHAT, 500),
        ("sendMessage", CHAT, 500),
        ("sendMessage", CHAT, 200),
    ]


async def test_it_can_be_reached_over_http_by_anybody() -> None:
    fake = FakeTelegram()
    async with serve_fake_telegram(fake) as base_url, httpx.AsyncClient() as client:
        response = await client.post(f"{base_url}/bot{TOKEN}/sendMessage", json={"chat_id": CHAT, "text": "привет"})
        assert response.json()["result"]["text"] == "привет"
        assert (await client.get(f"{base_url}/bot{TOKEN}/getMe")).json()["ok"]
        assert (await client.post(f"{base_url}/elsewhere")).status_code == 404
        assert (await client.post(f"{base_url}/bot{TOKEN}/sendMessage", content=b"\xff")).status_code == 400
        fake.fail(FaultKind.CLOSE)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"{base_url}/bot{TOKEN}/getMe")
