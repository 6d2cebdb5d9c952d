"""One living message per call and chat, through the whole service."""

import attrs
import trio
from trio.testing import MockClock

from tester.virtual import JUNE, House


async def test_a_missed_call_rings_once_more_and_leaves_one_message(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(1)
    assert house.texts() == ["📞 Дозвон от +375 (29) 000-12-34 → Петрова А. И. (151)"]
    event_id = await house.hang_up(status="0")
    await trio.sleep(5)
    assert house.texts() == ["❌ Не отвечен: +375 (29) 000-12-34 → Петрова А. И. (151)"]
    assert house.store.is_sent(event_id)
    assert all(house.store.is_processed(each) and house.store.is_sent(each) for each in house.store.event_ids)


async def test_an_answered_call_is_edited_in_place(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(1)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == ["✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"]
    assert len(house.messages()) == 1
    assert "📡 A1 основная" in house.messages()[0].text


async def test_every_subscriber_gets_its_message(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, subscribers=(1001, 1002, -1003)))
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(10)
    for chat_id in (1001, 1002, -1003):
        assert house.texts(chat_id) == ["✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"]
