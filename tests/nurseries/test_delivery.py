"""What Telegram says, and what a courier does about it: the table of reactions, row by row."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.nurseries.courier import plain_text
from tester.fakes.telegram import FaultKind
from tester.virtual import BOT, JUNE, Claims, House

RINGING = "📞 Дозвон от +375 (29) 000-12-34 → Петрова А. И. (151)"
MISSED = "❌ Не отвечен: +375 (29) 000-12-34 → Петрова А. И. (151)"
ANSWERED = "✅ Завершен: +375 (29) 000-12-34 ↔ Петрова А. И. (151), 01:05"


def refusal(code: int, description: str, parameters: str = "") -> dict[str, object]:
    extra = f', "parameters": {{{parameters}}}' if parameters else ""
    body = f'{{"ok": false, "error_code": {code}, "description": "{description}"{extra}}}'
    return {"status": code, "body": body.encode(), "content_type": "application/json"}


async def test_retry_after_is_kept_to_the_second_and_the_newest_goes_out(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    house.telegram.fail(FaultKind.ANSWER, **refusal(429, "Too Many Requests: retry after 7", '"retry_after": 7'))
    began = trio.current_time()
    await house.ring()
    await trio.sleep(3)
    await house.hang_up()
    await house.telegram.until(lambda: bool(house.texts()))
    assert trio.current_time() - began == pytest.approx(7, abs=0.1)
    assert house.texts() == [ANSWERED]
    assert house.requests() == 2


async def test_not_modified_is_success(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(2)
    # Carried out, but the answer is lost: the second try hears that nothing was modified.
    house.telegram.fail(FaultKind.CLOSE, method="editMessageText", accepted=True)
    event_id = await house.hang_up()
    await trio.sleep(10)
    assert house.texts() == [ANSWERED]
    assert house.requests("editMessageText") == 2
    assert house.store.is_sent(event_id)


async def test_an_edit_of_a_message_that_is_gone_becomes_a_new_message_without_sound(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring()
    await trio.sleep(2)
    house.messages()[0].deleted_at = trio.current_time()
    await house.hang_up()
    await trio.sleep(10)
    assert house.texts() == [ANSWERED]
    assert house.messages()[-1].silent


async def test_what_cannot_be_parsed_is_sent_once_as_plain_text(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    house.telegram.fail(FaultKind.ANSWER, method="sendMessage", **refusal(400, "Bad Request: can't parse entities: at byte offset 3"))
    await house.ring()
    await trio.sleep(5)
    assert house.texts() == [RINGING]
    assert house.messages()[0].parse_mode is None
    assert house.requests() == 2


def test_plain_text_has_no_markup_and_no_escapes() -> None:
    assert plain_text('a &lt;b&gt; &amp; <a href="https://x/?a=1&amp;b">c</a>') == "a <b> & c"


async def test_a_chat_that_is_gone_is_buried_and_holds_up_nobody(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, subscribers=(1001, 1002)))
    process = await house.start()
    house.telegram.chat(BOT, 1001).block()
    await house.ring()
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts(1002) == [ANSWERED]
    assert "blocked" in house.store.dead_reason_of("0367", BOT, 1001)
    await house.ring("2.1", Phone="375290009999")
    await trio.sleep(5)
    assert len(house.texts(1002)) == 2
    assert sum(1 for request in house.telegram.requests if request.chat_id == 1001) == 1
    await trio.sleep(5 * 3600)
    assert process.running.delivery.held_cards == 0
    assert await house.store.live_events("0367") == []


async def test_a_hanging_chat_does_not_hold_up_the_others(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, subscribers=(1001, 1002, 1003)))
    await house.start()
    house.telegram.fail(FaultKind.HANG, chat_id=1001, times=None)
    began = trio.current_time()
    await house.ring()
    await house.telegram.until(lambda: bool(house.texts(1002)) and bool(house.texts(1003)))
    # The turn of new messages is held by the hanging one; the others wait for it a second at most.
    assert trio.current_time() - began < 2.1


async def test_a_group_that_became_a_supergroup_is_followed(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, subscribers=(-1003,)))
    process = await house.start()
    await house.ring()
    await trio.sleep(2)
    house.telegram.chat(BOT, -1003).move_to(-100777)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts(-100777) == [ANSWERED]
    assert [recipient.chat_id for recipient in await house.store.recipients("0367")] == [-100777, 1001]
    await trio.sleep(600)
    assert process.running.delivery.held_cards == 0


async def test_a_bot_whose_token_is_refused_alarms_once_and_stays_owed(
    house: House, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    process = await house.start()
    await house.ring()
    await trio.sleep(2)
    house.telegram.revoke(BOT)
    await house.hang_up()
    await house.ring("2.1", Phone="375290009999")
    await trio.sleep(5)
    assert len(expected_errors.claim("refuses its token")) == 1
    assert house.requests() == 2
    await trio.sleep(600)
    # Memory is free, but the database knows that the final was never shown: the next process shows it.
    assert process.running.delivery.held_cards == 1
    house.telegram.bot(BOT).revoked = False
    await process.kill()
    await house.start()
    await trio.sleep(5)
    assert ANSWERED in house.texts()


@pytest.mark.parametrize("fault", [FaultKind.CLOSE, FaultKind.HALF_ANSWER, FaultKind.ANSWER, FaultKind.REFUSE])
async def test_trouble_is_waited_out_and_the_newest_goes_out(house: House, autojump_clock: MockClock, fault: FaultKind) -> None:
    await house.start()
    house.telegram.fail(fault, method="sendMessage", times=3, status=502, body=b"<html>bad gateway</html>")
    await house.ring()
    await house.hang_up()
    await trio.sleep(30)
    assert house.texts()[-1] == ANSWERED


async def test_a_refused_version_is_passed_over_and_the_next_is_tried(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    house.telegram.fail(FaultKind.ANSWER, method="sendMessage", **refusal(400, "Bad Request: message text is odd"))
    await house.ring()
    await trio.sleep(2)
    assert house.texts() == []
    assert house.requests() in (1, 2)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == [ANSWERED]


async def test_a_message_that_cannot_be_deleted_is_left_after_some_tries(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    await house.ring()
    await trio.sleep(2)
    house.telegram.fail(FaultKind.CLOSE, method="deleteMessage", times=None)
    await house.hang_up(status="0")
    await trio.sleep(600)
    assert house.texts() == [RINGING, MISSED]
    assert house.requests("deleteMessage") == 5
    assert process.running.delivery.held_cards == 0


async def test_finals_pass_waiting_intermediates(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.ring("1.1")
    await trio.sleep(2)
    house.telegram.too_many(3)
    for number in range(2, 8):
        await house.ring(f"{number}.1", Phone=f"37529000000{number}")
    await house.hang_up("1.1")
    await trio.sleep(3.9)
    assert house.texts()[0] == ANSWERED
    assert len(house.texts()) < 4
    await trio.sleep(60)
    assert len(house.texts()) == 7
    assert house.telegram.violations == {}


async def test_comment_mode_answers_the_living_message(house: House, autojump_clock: MockClock) -> None:
    await house.configure(attrs.evolve(JUNE, final="comment"))
    await house.start()
    await house.ring()
    await trio.sleep(2)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == [RINGING, ANSWERED]
    assert house.messages()[1].reply_to == house.messages()[0].message_id


async def test_a_card_that_cannot_be_drawn_silences_nobody(house: House, autojump_clock: MockClock, expected_errors: Claims) -> None:
    await house.configure(attrs.evolve(JUNE, language="tlh"))
    await house.start()
    await house.ring()
    await trio.sleep(2)
    if not house.texts():
        expected_errors.claim("cannot be brought")
    await house.configure(attrs.evolve(JUNE, language="ru"))
    await trio.sleep(1)
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts() == [ANSWERED]


@pytest.mark.parametrize("travel_seconds", [0.0, 0.15])
async def test_a_burst_behind_a_flood_shows_every_final_and_breaks_no_limit(
    house: House, autojump_clock: MockClock, travel_seconds: float
) -> None:
    chats = (1001, 1002, 1003, 1004, -1005)
    await house.configure(attrs.evolve(JUNE, subscribers=chats))
    process = await house.start()
    house.telegram.fail(FaultKind.DELAY, seconds=travel_seconds, times=None)
    house.telegram.too_many(5)
    calls = 60
    for number in range(calls):
        house.submit("start", f"{number}.1", Phone=f"37529000{number:04}")
        house.submit("dial", f"{number}.1", Phone=f"37529000{number:04}", Extensions=["151"])
    await trio.sleep(20)
    for number in range(calls):
        await house.hang_up(f"{number}.1", status="0", Phone=f"37529000{number:04}")
    await trio.sleep(1200)
    for chat_id in chats:
        assert len(house.texts(chat_id)) == calls
        assert all(text.startswith("❌") for text in house.texts(chat_id))
    assert house.telegram.violations == {}
    await trio.sleep(600)
    assert process.running.delivery.held_cards == 0
