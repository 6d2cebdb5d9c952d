"""What a run is told of its enterprise, and what it breaks, in virtual time; the tap in the store at a real database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.errors import StoreRejected
from gateway.ports import Attempt, Owed, PushState, Shown, Step
from sql.pool import open_pool
from telegram_client.api import BotApi
from telegram_client.errors import ChatGone, ChatGoneReason, RetryAfter, ServerTrouble, TelegramError
from telegram_client.http import Address, HttpClient
from tester.emulator.orders import Faults, TelegramTrouble
from tester.emulator.watch import (
    BROKEN_REQUESTS,
    RETRY_AFTER_SECONDS,
    TOO_MANY_REQUESTS,
    Watch,
    WatchedCrmHttp,
    WatchedStore,
    WatchedTelegram,
)
from tester.fakes.crm_network import MemoryNetwork, Reply
from tester.fakes.telegram import FakeTelegram
from tester.virtual import BOT, JUNE, NOON, Claims
from tests.crm.reports import TALKED
from tests.crm.sites import ASK, answering

FOLLOWED = attrs.evolve(JUNE, subscribers=(1001, -1002))
BASE = "https://api.telegram.test"
# Of a database that is there.
PATIENCE_SECONDS = 5


@attrs.define
class Notes:
    """A watcher that writes down what it is told."""

    steps: list[Step] = attrs.field(factory=list[Step])
    messages: list[Shown] = attrs.field(factory=list[Shown])
    attempts: list[Attempt] = attrs.field(factory=list[Attempt])
    refusals: list[tuple[str, int, int, int | None]] = attrs.field(factory=list[tuple[str, int, int, int | None]])

    def understood(self, step: Step) -> None:
        self.steps.append(step)

    def shown(self, shown: Shown) -> None:
        self.messages.append(shown)

    def attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def answered(self, *, method: str, chat_id: int, status: int, retry_after: int | None) -> None:
        self.refusals.append((method, chat_id, status, retry_after))


class Broken(Notes):
    def understood(self, step: Step) -> None:
        raise RuntimeError(step.enterprise_number)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def fake() -> FakeTelegram:
    return FakeTelegram()


@pytest.fixture
async def http(watch: Watch, fake: FakeTelegram) -> AsyncIterator[HttpClient]:
    async with WatchedTelegram(watch, transport=fake.transport()) as client:
        yield client


@pytest.fixture
def api(http: HttpClient) -> BotApi:
    return BotApi(BOT, http, BASE)


async def tried(api: BotApi, chat_id: int, *, times: int) -> list[type[TelegramError] | None]:
    """What became of so many messages, one after the other at Telegram's own pace."""
    became: list[type[TelegramError] | None] = []
    for number in range(times):
        await trio.sleep(10)
        try:
            await api.send_message(chat_id, f"message {number}")
        except TelegramError as trouble:
            became.append(type(trouble))
        else:
            became.append(None)
    return became


def shown_in(chat_id: int, *, number: str = JUNE.number) -> Shown:
    return Shown(
        enterprise_number=number,
        call_id=1,
        bot_token=BOT,
        chat_id=chat_id,
        message_id=7,
        stage=1,
        text="📞",
        text_hash=b"1",
        event_id=1,
        sent_at=NOON,
        updated_at=NOON,
    )


# who is told


def test_only_the_runs_of_an_enterprise_are_told_of_it_and_only_while_they_follow() -> None:
    watch, one, other, stranger = Watch(), Notes(), Notes(), Notes()
    with watch.following(FOLLOWED, one, Faults()):
        with watch.following(FOLLOWED, other, Faults()), watch.following(attrs.evolve(JUNE, number="0368"), stranger, Faults()):
            watch.understood(Step(enterprise_number=JUNE.number))
            watch.shown(shown_in(1001))
        watch.shown(shown_in(-1002))
    watch.shown(shown_in(1001))
    watch.understood(Step(enterprise_number=JUNE.number))
    assert ([shown.chat_id for shown in one.messages], len(one.steps)) == ([1001, -1002], 1)
    assert ([shown.chat_id for shown in other.messages], len(other.steps)) == ([1001], 1)
    assert stranger == Notes()


def test_a_run_that_leaves_while_it_is_told_holds_up_nobody() -> None:
    watch, second = Watch(), Notes()

    class Leaving(Notes):
        def shown(self, shown: Shown) -> None:
            super().shown(shown)
            following.__exit__(None, None, None)

    first = Leaving()
    following = watch.following(FOLLOWED, first, Faults())
    following.__enter__()
    with watch.following(FOLLOWED, second, Faults()):
        watch.shown(shown_in(1001))
        watch.shown(shown_in(1001))
    assert (len(first.messages), len(second.messages)) == (1, 2)


def test_what_a_run_cannot_take_is_logged_and_costs_the_gateway_nothing(expected_errors: Claims) -> None:
    watch, sound = Watch(), Notes()
    with watch.following(FOLLOWED, Broken(), Faults()), watch.following(FOLLOWED, sound, Faults()):
        watch.understood(Step(enterprise_number=JUNE.number))
    assert len(sound.steps) == 1
    expected_errors.claim("could not take what it was told")


# in the place of Telegram


async def test_without_a_run_every_request_goes_its_way(api: BotApi, fake: FakeTelegram, autojump_clock: MockClock) -> None:
    assert await tried(api, 1001, times=2) == [None, None]
    assert len(fake.living(1001)) == 2


async def test_too_many_requests_are_refused_in_each_chat_and_the_pause_is_named(
    api: BotApi, watch: Watch, fake: FakeTelegram, autojump_clock: MockClock
) -> None:
    notes = Notes()
    with watch.following(FOLLOWED, notes, Faults(telegram=TelegramTrouble.TOO_MANY)):
        with pytest.raises(RetryAfter) as refused:
            await api.send_message(1001, "first")
        assert refused.value.seconds == RETRY_AFTER_SECONDS
        assert await tried(api, 1001, times=2) == [RetryAfter, None]
        assert await tried(api, -1002, times=3) == [RetryAfter, RetryAfter, None]
    assert TOO_MANY_REQUESTS == 2
    assert [len(fake.living(chat)) for chat in FOLLOWED.subscribers] == [1, 1]
    assert notes.refusals == [("sendMessage", chat, 429, RETRY_AFTER_SECONDS) for chat in (1001, 1001, -1002, -1002)]


async def test_a_broken_telegram_answers_three_times_and_has_done_nothing(
    api: BotApi, watch: Watch, fake: FakeTelegram, autojump_clock: MockClock
) -> None:
    notes = Notes()
    with watch.following(FOLLOWED, notes, Faults(telegram=TelegramTrouble.BROKEN)):
        assert await tried(api, 1001, times=4) == [ServerTrouble] * BROKEN_REQUESTS + [None]
    assert len(fake.living(1001)) == 1
    assert notes.refusals == [("sendMessage", 1001, 502, None)] * BROKEN_REQUESTS


async def test_a_blocked_bot_is_refused_by_the_first_chat_alone_and_for_as_long_as_the_run_lasts(
    api: BotApi, watch: Watch, autojump_clock: MockClock
) -> None:
    with watch.following(FOLLOWED, Notes(), Faults(telegram=TelegramTrouble.BLOCKED)):
        assert await tried(api, 1001, times=5) == [ChatGone] * 5
        assert await tried(api, -1002, times=1) == [None]
        with pytest.raises(ChatGone) as refused:
            await api.edit_message_text(1001, 1, "edited")
        assert refused.value.reason is ChatGoneReason.BLOCKED
    assert await tried(api, 1001, times=1) == [None]


async def test_other_bots_and_other_chats_are_left_alone(http: HttpClient, api: BotApi, watch: Watch, autojump_clock: MockClock) -> None:
    with watch.following(FOLLOWED, Notes(), Faults(telegram=TelegramTrouble.TOO_MANY)):
        assert await tried(BotApi("654321:TEST", http, BASE), 1001, times=1) == [None]
        assert await tried(api, 4004, times=1) == [None]
        # No chat at all.
        assert (await api.get_me()).user_id == 123456


@pytest.mark.parametrize("body", [b"", b"chat_id=1001", b"[1001]", b"\xff"])
async def test_a_request_that_cannot_be_looked_at_goes_its_way_and_is_an_error_in_the_log(
    watch: Watch, body: bytes, expected_errors: Claims
) -> None:
    address = Address.of(f"{BASE}/bot{BOT}/sendMessage")
    with watch.following(FOLLOWED, Notes(), Faults(telegram=TelegramTrouble.BLOCKED)):
        assert watch.in_place_of_telegram(address, body, method="sendMessage") is None
    expected_errors.claim("could not look at a request to Telegram")


async def test_each_of_two_runs_has_its_own_refusals_and_all_runs_of_the_chat_hear_of_them(
    api: BotApi, watch: Watch, autojump_clock: MockClock
) -> None:
    one, other, quiet = Notes(), Notes(), Notes()
    faults = Faults(telegram=TelegramTrouble.TOO_MANY)
    with watch.following(FOLLOWED, one, faults), watch.following(FOLLOWED, other, faults), watch.following(FOLLOWED, quiet, Faults()):
        assert await tried(api, 1001, times=5) == [RetryAfter] * 4 + [None]
    assert len(one.refusals) == len(other.refusals) == len(quiet.refusals) == 4


@pytest.mark.parametrize(("token", "base"), [(f"{BOT}-renewed", BASE), (BOT, f"{BASE}/behind/a/path"), ("123456:a/b ü", BASE)])
async def test_a_bot_is_known_by_its_id_wherever_the_bot_api_stands(
    http: HttpClient, watch: Watch, token: str, base: str, autojump_clock: MockClock
) -> None:
    with watch.following(FOLLOWED, Notes(), Faults(telegram=TelegramTrouble.BLOCKED)):
        assert await tried(BotApi(token, http, base), 1001, times=1) == [ChatGone]


async def test_an_enterprise_without_a_bot_or_without_subscribers_can_be_followed(
    api: BotApi, watch: Watch, autojump_clock: MockClock
) -> None:
    faults = Faults(telegram=TelegramTrouble.BLOCKED)
    with (
        watch.following(attrs.evolve(JUNE, bot_token=""), Notes(), faults),
        watch.following(attrs.evolve(JUNE, subscribers=()), Notes(), faults),
    ):
        assert await tried(api, 1001, times=1) == [None]


async def test_nothing_that_could_be_printed_holds_the_token(
    api: BotApi, http: HttpClient, watch: Watch, autojump_clock: MockClock
) -> None:
    secret = BOT.partition(":")[2]
    with watch.following(FOLLOWED, Notes(), Faults(telegram=TelegramTrouble.BLOCKED)):
        for thing in (watch, vars(watch), http, vars(http)):
            assert secret not in repr(thing)


# in the place of the CRMs


async def test_the_crms_of_an_enterprise_hang_until_the_caller_gives_up_and_others_answer(
    nursery: trio.Nursery, watch: Watch, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery)
    network.place("crm.example", answering(Reply(body=b"{}")))
    asked = attrs.evolve(ASK, account=JUNE.number)
    async with WatchedCrmHttp(watch, allow_private_targets=False, network=network) as http:
        with watch.following(FOLLOWED, Notes(), Faults(crm_hangs=True)):
            began = trio.current_time()
            with trio.move_on_after(2) as scope:
                await http.send(asked)
            assert (scope.cancelled_caught, trio.current_time() - began, network.connected) == (True, 2, [])
            assert (await http.send(attrs.evolve(ASK, account="0368"))).status == 200
        with watch.following(FOLLOWED, Notes(), Faults()):
            assert (await http.send(asked)).status == 200
    nursery.cancel_scope.cancel()


# the store


async def test_the_store_tells_what_it_has_written(migrated_url: str, watch: Watch) -> None:
    notes = Notes()
    async with open_pool(migrated_url) as pool:
        store = WatchedStore(pool, watch)
        await store.upsert_enterprises([FOLLOWED])
        with watch.following(FOLLOWED, notes, Faults()):
            step = Step(enterprise_number=JUNE.number, opened=(1,))
            await store.commit_step(step)
            await store.record_shown(shown_in(1001), mark_events=True)
            [key] = await store.accept_owed(JUNE.number, [Owed(crm="own", report=TALKED)])
            at = datetime.now(UTC)
            attempt = Attempt(key=key, at=at, state=PushState.DONE, next_at=at, outcome="accepted")
            assert await store.record_attempt(attempt) is PushState.DONE
        with trio.fail_after(PATIENCE_SECONDS):
            await store.bury_recipient(bot_token=BOT, chat_id=1001, reason="blocked", at=at)
            await watch.burials.settled(BOT, 1001)
            with pytest.raises(StoreRejected):
                await store.bury_recipient(bot_token=BOT, chat_id=2**63, reason="blocked", at=at)
            await watch.burials.settled(BOT, 2**63)
        assert (notes.steps, notes.messages, notes.attempts) == ([step], [shown_in(1001)], [attempt])


async def test_what_the_database_does_not_take_is_not_told(migrated_url: str, watch: Watch) -> None:
    notes = Notes()
    async with open_pool(migrated_url) as pool:
        store = WatchedStore(pool, watch)
        with watch.following(FOLLOWED, notes, Faults()), pytest.raises(StoreRejected):
            await store.record_shown(attrs.evolve(shown_in(1001), call_id=2**63), mark_events=True)
    assert notes == Notes()
