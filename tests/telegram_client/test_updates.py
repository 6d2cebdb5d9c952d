"""The poll: nothing is confirmed before it was handled, trouble is waited out, and commands are read."""

from collections.abc import AsyncIterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from telegram_client import errors
from telegram_client.api import BotApi
from telegram_client.errors import TelegramError
from telegram_client.http import HttpClient
from telegram_client.updates import LONGEST_BACK_OFF_SECONDS, Command, back_off_seconds, poll, read_command
from telegram_client.values import IncomingMessage, Update
from tester.fakes.telegram import FakeTelegram, FaultKind

TOKEN = "123456:TEST"
CHAT = 1001


@pytest.fixture
def fake() -> FakeTelegram:
    return FakeTelegram([TOKEN])


@pytest.fixture
async def api(fake: FakeTelegram) -> AsyncIterator[BotApi]:
    async with HttpClient(transport=fake.transport()) as http_client:
        yield BotApi(TOKEN, http_client)


async def test_updates_arrive_in_order_and_once(api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock) -> None:
    seen: list[int] = []

    async def handle(update: Update) -> None:
        await trio.sleep(1)
        seen.append(update.update_id)

    fake.bot(TOKEN).webhook = {"url": "https://old.example"}
    for _ in range(3):
        fake.push_text(TOKEN, CHAT, "hello")
    with trio.move_on_after(500):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll, api, handle)
            await trio.sleep(200)
            fake.push_text(TOKEN, CHAT, "late")
    assert seen == [1, 2, 3, 4]
    assert not fake.bot(TOKEN).updates
    assert {received.method for received in fake.requests} == {"deleteWebhook", "getUpdates"}
    # a getUpdates of 50 s each, not a hurry of them
    assert len(fake.requests) < 20


async def test_what_was_not_handled_comes_again(api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock) -> None:
    seen: list[int] = []

    async def stumble(update: Update) -> None:
        await trio.lowlevel.checkpoint()
        if update.update_id == 2:
            raise ZeroDivisionError
        seen.append(update.update_id)

    async def handle(update: Update) -> None:
        seen.append(update.update_id)
        await trio.lowlevel.checkpoint()

    for _ in range(3):
        fake.push_text(TOKEN, CHAT, "hello")
    with pytest.raises(ZeroDivisionError):
        await poll(api, stumble)
    with trio.move_on_after(10):
        await poll(api, handle)
    # 1 again: Telegram hears of what was handled only with the next request
    assert seen == [1, 1, 2, 3]


async def test_trouble_is_reported_and_waited_out(api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock) -> None:
    reports: list[tuple[errors.Kind, float]] = []
    seen: list[int] = []

    def report(error: TelegramError, seconds: float) -> None:
        reports.append((error.kind, seconds))

    async def handle(update: Update) -> None:
        seen.append(update.update_id)
        await trio.lowlevel.checkpoint()

    fake.fail(FaultKind.REFUSE, method="deleteWebhook")
    fake.fail(FaultKind.ANSWER, method="getUpdates", status=502)
    fake.fail(FaultKind.ANSWER, method="getUpdates", status=200, body=b"[]")
    fake.fail(FaultKind.ANSWER, method="getUpdates", status=429, headers=(("Retry-After", "33"),))
    fake.fail(FaultKind.ANSWER, method="getUpdates", status=200, body=b'{"ok":false,"error_code":409,"description":"Conflict: other"}')
    fake.push_text(TOKEN, CHAT, "hello")
    with trio.move_on_after(200):
        await poll(api, handle, report=report, jitter=lambda: 1.0)
    assert reports == [
        (errors.Kind.NETWORK_TROUBLE, 1),
        (errors.Kind.SERVER_TROUBLE, 2),
        (errors.Kind.BAD_ANSWER, 4),
        (errors.Kind.RETRY_AFTER, 33),
        (errors.Kind.CONFLICT, 16),
    ]
    assert seen == [1]


async def test_a_server_that_does_not_wait_is_not_asked_without_end(
    api: BotApi, fake: FakeTelegram, autojump_clock: trio.testing.MockClock
) -> None:
    async def handle(_update: Update) -> None: ...

    fake.fail(FaultKind.ANSWER, method="getUpdates", status=200, body=b'{"ok":true,"result":[]}', times=None)
    with trio.move_on_after(60):
        await poll(api, handle)
    assert len(fake.requests) <= 62


async def test_a_rejected_bot_ends_the_poll(api: BotApi, fake: FakeTelegram) -> None:
    async def handle(_update: Update) -> None: ...

    fake.revoke(TOKEN)
    with pytest.raises(errors.BotRejected):
        await poll(api, handle)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/start abc_DEF-123", Command(CHAT, "start", "abc_DEF-123")),
        ("/start", Command(CHAT, "start")),
        ("  /STOP  ", Command(CHAT, "stop")),
        ("/status@June_Bot", Command(CHAT, "status", "", "june_bot")),
        ("/start@june_bot\n code ", Command(CHAT, "start", "code", "june_bot")),
        ("/STOP@other_bot", Command(CHAT, "stop", "", "other_bot")),
        ("/stop@", None),
        ("hello /start", None),
        ("/", None),
        ("", None),
        ("/стоп", None),
        ("/start" + "x" * 100, None),
    ],
)
def test_commands_are_read(text: str, expected: Command | None) -> None:
    update = Update(update_id=1, message=IncomingMessage(message_id=1, chat_id=CHAT, text=text))
    assert read_command(update) == expected


def test_an_update_without_a_message_is_no_command() -> None:
    assert read_command(Update(update_id=1)) is None


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_the_back_off_grows_and_stays_bounded(failures: int, jitter: float) -> None:
    seconds = back_off_seconds(failures, jitter)
    assert 0.5 <= seconds <= LONGEST_BACK_OFF_SECONDS
    assert back_off_seconds(failures, 1) <= back_off_seconds(failures + 1, 1)
