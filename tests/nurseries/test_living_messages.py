"""One living message per call and chat, through the whole service."""

import attrs
import trio
from trio.testing import MockClock

from tester.virtual import JUNE, House

RINGING = "📞 Дозвон от +375 (29) 000-12-34 → Петрова А. И. (151)"
MISSED = "❌ Не отвечен: +375 (29) 000-12-34 → Петрова А. И. (151)"
ANSWERED = "✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"


async def test_a_missed_call_rings_once_more_and_leaves_one_message(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(1)
    assert house.texts() == [RINGING]
    await house.hang_up(status="0")
    await trio.sleep(5)
    assert house.texts() == [MISSED]
    assert [message.silent for message in house.messages()] == [False, False]
    assert all(house.store.is_processed(each) and house.store.is_sent(each) for each in house.store.event_ids)


async def test_an_answered_call_is_edited_in_place(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(1)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == [ANSWERED]
    assert len(house.messages()) == 1
    assert "📡 A1 основная" in house.messages()[0].text


async def test_every_subscriber_gets_its_message(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, subscribers=(1001, 1002, -1003)))
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(10)
    for chat_id in (1001, 1002, -1003):
        assert house.texts(chat_id) == [ANSWERED]


async def test_a_start_overtaken_by_its_dial_costs_no_message(house: House, autojump_clock: MockClock) -> None:
    house.telegram.too_many(10, chat_id=1001)
    await house.start()
    await house.ring()
    await trio.sleep(30)
    assert [version.text.split("\n")[0] for version in house.messages()[0].history] == [RINGING]


async def test_stages_overtaken_under_a_rate_limit_are_never_sent(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    house.telegram.too_many(5)
    await house.ring()
    await trio.sleep(1)
    await house.hang_up()
    await trio.sleep(3)
    assert house.messages() == ()
    await trio.sleep(10)
    assert [[version.text.split("\n")[0] for version in message.history] for message in house.messages()] == [[ANSWERED]]


async def test_a_late_correction_edits_the_final(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await house.hang_up(status="0")
    await trio.sleep(5)
    await house.hang_up(status="2", seconds=70)
    await trio.sleep(5)
    assert house.texts() == ["✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:10"]


async def test_a_hangup_after_the_call_was_forgotten_makes_no_second_message(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    await house.ring()
    await house.hang_up(status="0")
    await trio.sleep(600)
    assert process.running.delivery.held_cards == 0
    await house.hang_up(status="2", seconds=70)
    await trio.sleep(5)
    assert house.texts() == ["✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:10"]
    assert len(await house.store.calls("0367", limit=10)) == 1
    await trio.sleep(600)
    assert (process.running.delivery.held_cards, process.running.lanes.open_calls) == (0, 0)


async def test_what_changed_nothing_on_a_shown_card_counts_as_sent(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(2)
    quiet = await house.post("new_callerid", "1.1", CallerIDNum="375290001234")
    await trio.sleep(2)
    assert house.store.is_sent(quiet)


async def test_a_finished_call_leaves_nothing_in_memory(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    for number in range(20):
        await house.ring(f"{number}.1", Phone=f"3752900{number:05}")
        await house.hang_up(f"{number}.1", Phone=f"3752900{number:05}")
    await trio.sleep(1000)
    assert len(house.texts()) == 20
    assert (process.running.delivery.held_cards, process.running.lanes.open_calls) == (0, 0)
    assert await house.store.live_events("0367") == []
    assert house.telegram.violations == {}


async def test_a_call_of_which_nothing_comes_any_more_ends_by_silence(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(house.timing.open_call_seconds + 5)
    (message,) = house.telegram.living(1001)
    assert "⚠️ завершение не получено" in message.text
    assert [record.closed_by for record in await house.store.calls("0367", limit=2)] == ["silence"]


async def test_the_configuration_is_followed(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.configure(attrs.evolve(JUNE, managers=(), subscribers=(1001, 1002)))
    await trio.sleep(1)
    await house.ring()
    await trio.sleep(5)
    assert house.texts(1002) == ["📞 Дозвон от +375 (29) 000-12-34 → 151"]
