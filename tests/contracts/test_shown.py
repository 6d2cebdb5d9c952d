"""What was shown to whom."""

from datetime import timedelta

import attrs

from gateway.ports import EventOutcome, Step, Store
from tester.houses import House
from tester.samples import BOT, NOON, NUMBER, enterprise, incoming, message


async def test_a_message_comes_back_as_it_was_recorded(store: Store) -> None:
    shown = message(5, text="📞 Звонок <b>&amp;</b>", stage=4, superseded_message_id=76)
    await store.record_shown(shown, mark_events=True)
    assert list(await store.shown_of_calls(NUMBER, [5, 6])) == [shown]
    assert list(await store.shown_of_calls(NUMBER, [])) == []
    assert list(await store.shown_of_calls("0270", [5])) == []


async def test_a_newer_state_replaces_the_row_of_its_chat_only(store: Store) -> None:
    await store.record_shown(message(5, 1001), mark_events=False)
    await store.record_shown(message(5, -1002), mark_events=False)
    await store.record_shown(message(5, 1001, bot_token="7:OTHER"), mark_events=False)
    newer = message(5, 1001, message_id=None, stage=4, text="", text_hash=b"", event_id=9, updated_at=NOON + timedelta(seconds=9))
    await store.record_shown(newer, mark_events=False)
    await store.record_shown(newer, mark_events=False)
    assert list(await store.shown_of_calls(NUMBER, [5])) == [message(5, -1002), newer, message(5, 1001, bot_token="7:OTHER")]


async def test_what_cannot_be_stored_of_a_text_is_replaced(store: Store) -> None:
    await store.record_shown(message(5, text="a\0b\ud800"), mark_events=False)
    [shown] = await store.shown_of_calls(NUMBER, [5])
    assert shown.text == "a\ufffdb\ufffd"


async def test_marking_reaches_the_events_of_the_call_up_to_the_one_shown(house: House) -> None:
    appended = await house.store.append_events([incoming("bridge", f"{n}.1") for n in range(5)])
    first, second, third, other, waiting = (one.event_id for one in appended)
    outcomes = [EventOutcome(event_id=event_id, call_id=first) for event_id in (first, second, third)]
    outcomes.append(EventOutcome(event_id=other, call_id=other))
    await house.store.commit_step(Step(enterprise_number=NUMBER, outcomes=tuple(outcomes)))
    await house.store.record_shown(message(first, event_id=second), mark_events=False)
    assert [(await house.flags(event_id))[1] for event_id in (first, second)] == [False, False]
    await house.store.record_shown(message(first, event_id=second), mark_events=True)
    await house.store.record_shown(message(first, event_id=second), mark_events=True)
    sent = [(await house.flags(event_id))[1] for event_id in (first, second, third, other, waiting)]
    assert sent == [True, True, False, False, False]


async def test_a_renewed_bot_token_keeps_messages_and_subscribers(store: Store) -> None:
    await store.upsert_enterprises([enterprise(subscribers=(1001, 1002))])
    await store.record_shown(message(5), mark_events=False)
    changed = await store.upsert_enterprises([enterprise(bot_token="123456:NEWER", subscribers=(1001, 1002))])
    assert list(changed) == ["enterprise 0367: bot_token changed"]
    assert [(one.chat_id, one.bot_token) for one in await store.recipients(NUMBER)] == [(1001, "123456:NEWER"), (1002, "123456:NEWER")]
    assert list(await store.shown_of_calls(NUMBER, [5])) == [message(5, bot_token="123456:NEWER")]
    # An old writer does not bring the old token back.
    await store.record_shown(message(6, bot_token=BOT), mark_events=False)
    assert [one.bot_token for one in await store.shown_of_calls(NUMBER, [6])] == ["123456:NEWER"]


async def test_a_moved_chat_keeps_what_it_was_shown_without_the_message(store: Store) -> None:
    await store.record_shown(message(5, -1, superseded_message_id=76), mark_events=False)
    await store.record_shown(message(6, -1), mark_events=False)
    await store.record_shown(message(6, -2, message_id=8), mark_events=False)
    await store.record_shown(message(5, -1, bot_token="7:OTHER"), mark_events=False)
    for _ in range(2):
        await store.move_recipient(bot_token=BOT, chat_id=-1, new_chat_id=-2)
    assert list(await store.shown_of_calls(NUMBER, [5, 6])) == [
        message(5, -2, message_id=None),
        message(5, -1, bot_token="7:OTHER"),
        message(6, -2, message_id=8),
    ]


async def test_big_numbers_of_chats_and_messages_are_kept(store: Store) -> None:
    shown = message(5, -(2**62), message_id=2**40)
    await store.record_shown(shown, mark_events=False)
    assert list(await store.shown_of_calls(NUMBER, [5])) == [attrs.evolve(shown)]
