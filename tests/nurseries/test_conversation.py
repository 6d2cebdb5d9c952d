"""What the bot answers, by long polling and by webhook."""

from datetime import timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.nurseries.polls import secret_of
from gateway.settings import BotUpdates
from tester.fakes.telegram import FaultKind
from tester.virtual import BOT, JUNE, Claims, House

NEW = 2002


async def invited(house: House, code: str = "welcome") -> str:
    await house.store.create_invite(enterprise_number="0367", code=code, expires_at=house.clock() + timedelta(hours=24))
    return code


async def test_somebody_subscribes_gets_cards_and_leaves_again(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    house.telegram.push_text(BOT, NEW, f"/start {await invited(house)}")
    await trio.sleep(5)
    assert len(house.texts(NEW)) == 1
    await house.ring()
    await trio.sleep(5)
    assert house.texts(NEW)[1].startswith("📞 Дозвон")
    house.telegram.push_text(BOT, NEW, "/stop")
    await trio.sleep(5)
    await house.ring("2.1", Phone="375290009999")
    await trio.sleep(5)
    assert len(house.texts(NEW)) == 3
    assert [recipient.chat_id for recipient in await house.store.recipients("0367")] == [1001]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("/start", "откройте ссылку"),
        ("/start wrong", "код не подходит"),
        ("/stop", "не подписан"),
        ("/status", "не подписан"),
        ("/dance", "/status"),
    ],
)
async def test_a_stranger_is_answered_in_russian(house: House, autojump_clock: MockClock, text: str, fragment: str) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    house.telegram.push_text(BOT, NEW, text)
    await trio.sleep(5)
    (answer,) = house.messages(NEW)
    assert fragment in answer.text.lower()


async def test_what_is_no_command_gets_no_answer(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    house.telegram.push_text(BOT, NEW, "hello")
    await trio.sleep(5)
    assert house.messages(NEW) == ()


async def test_a_command_to_another_bot_is_not_ours(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    for text in ("/stop@other_bot", "/status@other_bot", "/start@other_bot code"):
        house.telegram.push_text(BOT, 1001, text)
    await trio.sleep(5)
    assert house.messages() == ()
    assert len(await house.store.recipients("0367")) == 1
    for _ in range(2):
        house.telegram.push_text(BOT, 1001, f"/status@{house.telegram.bot(BOT).username.upper()}")
    await trio.sleep(5)
    assert len(house.messages()) == 2
    assert house.requests("getMe") == 1


async def test_a_command_that_names_a_bot_is_passed_over_while_the_name_of_ours_is_unknown(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    named = f"/stop@{house.telegram.bot(BOT).username}"
    house.telegram.fail(FaultKind.CLOSE, method="getMe", times=2)
    for text in (named, named, "/status"):
        house.telegram.push_text(BOT, 1001, text)
    await trio.sleep(5)
    assert len(house.messages()) == 1
    assert len(await house.store.recipients("0367")) == 1
    assert caplog.text.count("until its own name is known") == 1
    house.telegram.push_text(BOT, 1001, named)
    await trio.sleep(5)
    assert len(house.messages()) == 2
    assert list(await house.store.recipients("0367")) == []


async def test_start_revives_a_subscription_that_had_died(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    house.telegram.chat(BOT, 1001).block()
    await house.ring()
    await trio.sleep(5)
    house.telegram.chat(BOT, 1001).welcome()
    house.telegram.push_text(BOT, 1001, "/start")
    await trio.sleep(5)
    await house.hang_up()
    await trio.sleep(5)
    assert len(house.texts()) == 2
    assert house.texts()[1].startswith("✅")


async def test_an_answer_under_a_rate_limit_comes_later(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    house.telegram.too_many(4, chat_id=NEW)
    house.telegram.push_text(BOT, NEW, "/status")
    await trio.sleep(10)
    assert len(house.messages(NEW)) == 1


async def test_commands_wait_while_the_store_is_away(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    code = await invited(house)
    house.store.unavailable = True
    house.telegram.push_text(BOT, NEW, f"/start {code}")
    await trio.sleep(30)
    house.store.unavailable = False
    await trio.sleep(10)
    assert NEW in [recipient.chat_id for recipient in await house.store.recipients("0367")]


async def test_polls_follow_the_configuration(house: House, autojump_clock: MockClock, expected_errors: Claims) -> None:
    house.updates = BotUpdates.POLLING
    await house.start()
    other = "777:OTHER"
    await house.configure(attrs.evolve(JUNE, bot_token=other))
    await trio.sleep(2)
    house.telegram.push_text(other, NEW, "/status")
    await trio.sleep(5)
    assert len(house.messages(NEW, other)) == 1
    house.telegram.push_text(BOT, NEW, "/status")
    await trio.sleep(60)
    assert house.messages(NEW) == ()


async def test_a_second_poller_is_an_alarm_and_waited_out(house: House, autojump_clock: MockClock, expected_errors: Claims) -> None:
    house.updates = BotUpdates.POLLING
    body = b'{"ok": false, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"}'
    house.telegram.fail(FaultKind.ANSWER, method="getUpdates", status=409, body=body, content_type="application/json")
    await house.start()
    house.telegram.push_text(BOT, NEW, "/status")
    await trio.sleep(30)
    expected_errors.claim("somebody else reads its updates")
    assert len(house.messages(NEW)) == 1


async def test_updates_by_webhook_need_the_secret(house: House, autojump_clock: MockClock) -> None:
    house.updates = BotUpdates.WEBHOOK
    process = await house.start()
    await trio.sleep(1)
    webhook = house.telegram.bot(BOT).webhook
    assert webhook is not None
    assert webhook["secret_token"] == secret_of(BOT)
    message = {"message_id": 1, "chat": {"id": NEW, "type": "private"}, "date": 0, "text": "/status"}
    update = {"update_id": 5, "message": message}
    on_update = process.running.polls.on_update
    assert not await on_update(123456, "", update)
    assert not await on_update(123456, "wrong ключ", update)
    assert not await on_update(999, secret_of(BOT), update)
    assert house.messages(NEW) == ()
    assert await on_update(123456, secret_of(BOT), update)
    assert await on_update(123456, secret_of(BOT), {"no": "update"})
    assert len(house.messages(NEW)) == 1


def test_the_secret_of_a_webhook_does_not_show_the_token() -> None:
    assert "TEST" not in secret_of(BOT)
    assert secret_of(BOT) != secret_of("777:OTHER")
