"""Who follows which enterprise through which bot."""

from datetime import timedelta

import pytest

from gateway.errors import StoreRejected
from gateway.ports import Store
from tester.houses import House
from tester.samples import BOT, NOON, NUMBER, enterprise

LATER = NOON + timedelta(hours=1)
TOMORROW = NOON + timedelta(hours=24)


async def chats(store: Store, number: str = NUMBER) -> list[int]:
    """Who gets the cards of an enterprise."""
    return [one.chat_id for one in await store.recipients(number)]


@pytest.fixture
async def invited(store: Store) -> Store:
    """A store with an enterprise that nobody follows and one invitation to it."""
    await store.upsert_enterprises([enterprise(subscribers=())])
    await store.create_invite(enterprise_number=NUMBER, code="code", expires_at=TOMORROW)
    return store


async def test_an_invitation_subscribes_one_chat_once(invited: Store) -> None:
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=LATER) == NUMBER
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=6, at=LATER) is None
    [recipient] = await invited.recipients(NUMBER)
    assert (recipient.chat_id, recipient.bot_token, recipient.subscribed_at) == (5, BOT, LATER)
    assert "TEST" not in repr(recipient)


async def test_the_same_chat_may_repeat_its_code_only_while_it_is_subscribed(invited: Store) -> None:
    await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=NOON)
    # A repeat after a lost answer.
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=LATER) == NUMBER
    assert [one.subscribed_at for one in await invited.recipients(NUMBER)] == [NOON]
    await invited.unsubscribe(bot_token=BOT, chat_id=5)
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=LATER) is None


async def test_an_invitation_that_is_unknown_expired_or_for_another_bot_is_none(invited: Store) -> None:
    assert await invited.redeem_invite(bot_token=BOT, code="c\0de\ud800", chat_id=5, at=LATER) is None
    assert await invited.redeem_invite(bot_token="7:OTHER", code="code", chat_id=5, at=LATER) is None
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=TOMORROW) is None
    assert await chats(invited) == []


async def test_an_invitation_to_nowhere_cannot_be_made(store: Store) -> None:
    with pytest.raises(StoreRejected):
        await store.create_invite(enterprise_number="9999", code="code", expires_at=TOMORROW)


async def test_making_an_invitation_again_changes_nothing(invited: Store) -> None:
    await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=NOON)
    await invited.create_invite(enterprise_number=NUMBER, code="code", expires_at=TOMORROW)
    assert await invited.redeem_invite(bot_token=BOT, code="code", chat_id=6, at=LATER) is None


async def test_an_invitation_revives_a_dead_subscription(invited: Store) -> None:
    await invited.redeem_invite(bot_token=BOT, code="code", chat_id=5, at=NOON)
    await invited.bury_recipient(bot_token=BOT, chat_id=5, reason="blocked", at=NOON)
    await invited.create_invite(enterprise_number=NUMBER, code="second", expires_at=TOMORROW)
    assert await invited.redeem_invite(bot_token=BOT, code="second", chat_id=5, at=LATER) == NUMBER
    assert [one.subscribed_at for one in await invited.recipients(NUMBER)] == [LATER]


async def test_a_buried_chat_gets_nothing_until_it_revives(house: House) -> None:
    store = house.store
    await store.upsert_enterprises([enterprise("0270", subscribers=(5,)), enterprise(subscribers=(5, 6))])
    for reason in ("403: blocked\0", "second reason"):
        await store.bury_recipient(bot_token=BOT, chat_id=5, reason=reason, at=NOON)
    assert (await chats(store, "0270"), await chats(store)) == ([], [6])
    assert await house.dead_reason(NUMBER, BOT, 5) == "403: blocked\ufffd"
    assert await store.subscription_status(bot_token=BOT, chat_id=5) is None
    assert await store.revive_recipient(bot_token=BOT, chat_id=5, at=LATER) is True
    assert await store.revive_recipient(bot_token=BOT, chat_id=5, at=LATER) is True
    assert (await chats(store, "0270"), sorted(await chats(store))) == ([5], [5, 6])
    assert await house.dead_reason(NUMBER, BOT, 5) == ""


async def test_nobody_revives_who_was_never_there(store: Store) -> None:
    await store.upsert_enterprises([enterprise()])
    assert await store.revive_recipient(bot_token=BOT, chat_id=4711, at=NOON) is False
    await store.bury_recipient(bot_token=BOT, chat_id=4711, reason="", at=NOON)
    assert await chats(store) == [1001]


async def test_a_burial_is_taken_back_and_nothing_that_was_before_it_or_somebodys_wish(house: House) -> None:
    store = house.store
    await store.upsert_enterprises([enterprise("0270", subscribers=(5,)), enterprise(subscribers=(5, 6, 7))])
    for chat_id, at in ((5, LATER), (6, NOON)):
        await store.bury_recipient(bot_token=BOT, chat_id=chat_id, reason="blocked", at=at)
    await store.unsubscribe(bot_token=BOT, chat_id=7)
    for chat_id in (5, 6, 7, 4711):
        await store.unbury_recipient(bot_token=BOT, chat_id=chat_id, since=LATER, at=TOMORROW)
    assert (await chats(store, "0270"), await chats(store)) == ([5], [5])
    assert [one.subscribed_at for one in await store.recipients(NUMBER)] == [TOMORROW]
    assert [await house.dead_reason(NUMBER, BOT, chat_id) for chat_id in (5, 6, 7)] == ["", "blocked", "unsubscribed"]


async def test_who_unsubscribes_is_gone_and_may_come_back(house: House) -> None:
    store = house.store
    await store.upsert_enterprises([enterprise()])
    assert await store.subscription_status(bot_token=BOT, chat_id=1001) == NUMBER
    assert await store.unsubscribe(bot_token=BOT, chat_id=1001) is True
    assert await store.unsubscribe(bot_token=BOT, chat_id=1001) is False
    assert await chats(store) == []
    assert await house.dead_reason(NUMBER, BOT, 1001) == "unsubscribed"
    assert await store.subscription_status(bot_token=BOT, chat_id=1001) is None
    assert await store.revive_recipient(bot_token=BOT, chat_id=1001, at=LATER) is True
    assert await chats(store) == [1001]


async def test_the_status_is_that_of_the_newest_subscription_to_a_bot_in_use(store: Store) -> None:
    first, second = enterprise("0270", subscribers=()), enterprise("0367", subscribers=())
    await store.upsert_enterprises([first, second])
    for at, number in ((LATER, "0270"), (NOON, "0367")):
        await store.create_invite(enterprise_number=number, code=number, expires_at=TOMORROW)
        await store.redeem_invite(bot_token=BOT, code=number, chat_id=5, at=at)
    assert await store.subscription_status(bot_token=BOT, chat_id=5) == "0270"
    await store.upsert_enterprises([enterprise("0270", subscribers=(), bot_token="7:OTHER")])
    assert await store.subscription_status(bot_token=BOT, chat_id=5) == "0367"
    assert await store.subscription_status(bot_token="7:OTHER", chat_id=5) is None
    assert await chats(store, "0270") == []


async def test_recipients_come_oldest_first(store: Store) -> None:
    await store.upsert_enterprises([enterprise(subscribers=())])
    for minutes, chat_id in ((3, 1), (1, 2), (2, 3)):
        await store.create_invite(enterprise_number=NUMBER, code=str(chat_id), expires_at=TOMORROW)
        await store.redeem_invite(bot_token=BOT, code=str(chat_id), chat_id=chat_id, at=NOON + timedelta(minutes=minutes))
    assert await chats(store) == [2, 3, 1]
    assert list(await store.recipients("9999")) == []


async def test_a_moved_chat_is_subscribed_under_its_new_number(store: Store) -> None:
    await store.upsert_enterprises([enterprise("0270", subscribers=(-1,)), enterprise(subscribers=(-1, -3))])
    for _ in range(2):
        await store.move_recipient(bot_token=BOT, chat_id=-1, new_chat_id=-2)
    assert await chats(store, "0270") == [-2]
    assert sorted(await chats(store)) == [-3, -2]
    await store.move_recipient(bot_token=BOT, chat_id=-2, new_chat_id=-2)
    assert sorted(await chats(store)) == [-3, -2]


async def test_a_chat_that_moved_onto_a_known_one_is_living_if_either_was(house: House) -> None:
    store = house.store
    await store.upsert_enterprises([enterprise(subscribers=(-1, -2, -3, -4))])
    await store.bury_recipient(bot_token=BOT, chat_id=-2, reason="kicked", at=NOON)
    await store.move_recipient(bot_token=BOT, chat_id=-1, new_chat_id=-2)
    assert sorted(await chats(store)) == [-4, -3, -2]
    assert await house.dead_reason(NUMBER, BOT, -2) == ""
    await store.bury_recipient(bot_token=BOT, chat_id=-3, reason="kicked", at=NOON)
    await store.move_recipient(bot_token=BOT, chat_id=-3, new_chat_id=-5)
    await store.move_recipient(bot_token=BOT, chat_id=-5, new_chat_id=-4)
    assert sorted(await chats(store)) == [-4, -2]
