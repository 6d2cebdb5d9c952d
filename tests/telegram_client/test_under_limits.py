"""Client, gates and a Bot API that keeps its limits, together, in virtual time."""

from collections import Counter
from functools import partial

import pytest
import trio
import trio.testing

from telegram_client.api import BotApi
from telegram_client.errors import RetryAfter
from telegram_client.http import HttpClient
from telegram_client.limits import BotLimits
from tester.fakes.telegram import FakeTelegram, TrueLimits

TOKEN = "123456:TEST"


async def deliver(api: BotApi, limits: BotLimits, chat_id: int, text: str, *, urgent: bool) -> None:
    """What a sender does: wait, send, and on 429 tell the gates and wait again."""
    ticket = limits.ticket(chat_id, urgent=urgent)
    while True:
        await ticket.wait()
        try:
            await api.send_message(chat_id, text)
            return
        except RetryAfter as error:
            limits.too_many(chat_id, error.seconds)


@pytest.mark.parametrize("flooded", [None, 1, 0], ids=["calm", "one chat flooded", "all flooded"])
async def test_a_burst_is_delivered_whole_and_breaks_no_limit(flooded: int | None, autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram(limits=TrueLimits(enforced=True))
    limits = BotLimits()
    started_at = trio.current_time()
    async with HttpClient(transport=fake.transport()) as http_client:
        api = BotApi(TOKEN, http_client)
        async with trio.open_nursery() as nursery:
            if flooded is not None:
                fake.too_many(5, chat_id=flooded or None)
            for number in range(20):
                for chat_id in (1, 2, 3, -1, *range(100 + 10 * number, 110 + 10 * number)):
                    nursery.start_soon(partial(deliver, api, limits, chat_id, str(number), urgent=number % 4 == 3))
    assert not fake.violations
    assert Counter(len(fake.living(chat_id)) for chat_id in (1, 2, 3, -1, *range(100, 300))) == {20: 4, 1: 200}
    refused = sum(received.status == 429 for received in fake.requests)
    # A chat finds out with its first burst; what is in flight when the second chat is refused finds out too, nobody after that.
    assert refused <= {None: 0, 1: 3, 0: 30}[flooded]
    # The refused requests used up places in the minute of the group: its last messages come with the next minute.
    assert trio.current_time() - started_at < (66 if flooded == 0 else 36)


async def test_a_busy_group_does_not_slow_the_other_chats(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeTelegram(limits=TrueLimits(enforced=True))
    limits = BotLimits()
    started_at = trio.current_time()
    async with HttpClient(transport=fake.transport()) as http_client:
        api = BotApi(TOKEN, http_client)
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(partial(deliver, api, limits, -1, str(number), urgent=True))
            await trio.testing.wait_all_tasks_blocked()
            for chat_id in range(1, 4):
                nursery.start_soon(partial(deliver, api, limits, chat_id, "text", urgent=False))
    assert not fake.violations
    assert all(fake.living(chat_id)[0].sent_at == started_at for chat_id in range(1, 4))
    assert len(fake.living(-1)) == 100
