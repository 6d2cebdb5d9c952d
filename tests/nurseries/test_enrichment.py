"""Names on cards, through the whole service: who waits for whom, what comes late, and that nothing is asked twice."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.ports import NamedCustomer
from tester.fakes.crm import HANG, LOOKUP_FAILS
from tester.virtual import BOT, NOON, House
from tests.nurseries.named_calls import IVANOV, NAMED, NUMBER, PETROVA, PHONE, WITH_CRM, figure, open_crm, versions


async def test_a_name_that_comes_in_time_is_in_the_first_message(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house, delay_seconds=0.2)
    await house.start()
    await house.ring()
    await trio.sleep(5)
    assert versions(house) == [[f"📞 Дозвон от {NAMED} → {PETROVA}"]]
    assert house.messages()[0].sent_at == pytest.approx(0.2, abs=0.05)
    assert house.requests() == 1
    assert len(crm.look_ups) == 1
    assert figure(house, "gateway_late_names_total") == 0


async def test_the_first_message_waits_for_0_3_seconds_and_is_edited_when_the_name_comes(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house, delay_seconds=1.5)
    await house.start()
    await house.ring()
    await trio.sleep(1.4)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]
    assert house.messages()[0].sent_at == pytest.approx(0.3)
    await trio.sleep(5)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}", f"📞 Дозвон от {NAMED} → {PETROVA}"]]
    assert len(crm.look_ups) == 1
    assert figure(house, "gateway_late_names_total") == 1
    assert figure(house, "gateway_lookups_total", what="customer", result="found") == 1


async def test_what_memory_knows_is_waited_for_by_nobody(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    process = await house.start()
    process.running.lookups.customers.put("0367", PHONE, IVANOV)
    await house.ring()
    await house.telegram.until(lambda: bool(house.texts()))
    assert house.texts() == [f"📞 Дозвон от {NAMED} → {PETROVA}"]
    assert house.messages()[0].sent_at == pytest.approx(0.0, abs=0.01)
    assert crm.look_ups == []
    assert figure(house, "gateway_lookups_total", what="customer", result="hit") == 1
    assert figure(house, "gateway_lookups_total", what="managers", result="hit") == 1
    assert figure(house, "gateway_lookups_total", what="line", result="hit") == 1


async def test_the_budget_begins_when_the_card_is_first_wanted_and_not_anew_with_each_event(
    house: House, autojump_clock: MockClock
) -> None:
    await open_crm(house, delay_seconds=1.9)
    await house.start()
    await house.post("start")
    await trio.sleep(0.2)
    await house.post("dial", Extensions=["151"])
    await trio.sleep(0.15)
    # 0.3 s after the start, 0.1 s after the dial.
    assert house.messages()[0].sent_at == pytest.approx(0.3)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]


async def test_later_versions_never_wait(house: House, autojump_clock: MockClock) -> None:
    await open_crm(house, delay_seconds=1.9)
    await house.start()
    await house.ring()
    await trio.sleep(1.2)
    began = trio.current_time()
    await house.hang_up()
    await house.telegram.until(lambda: house.texts()[-1].startswith("✅"))
    assert trio.current_time() == pytest.approx(began, abs=0.01)


async def test_a_hanging_crm_costs_the_first_message_0_3_seconds_and_nothing_else(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    crm.usual_look_up = HANG
    await house.start()
    await house.ring()
    await trio.sleep(10)
    await house.hang_up()
    await trio.sleep(10)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}", f"✅ Завершен: {NUMBER} ↔ {PETROVA}, 01:05"]]
    assert house.messages()[0].sent_at == pytest.approx(0.3)
    assert len(crm.look_ups) == 1
    assert figure(house, "gateway_lookups_total", what="customer", result="failed") == 1
    assert figure(house, "gateway_lookup_failures_total", source="crm", problem="timeout") == 1


async def test_a_look_up_that_fails_is_counted_and_takes_no_other_name_along(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    crm.usual_look_up = LOOKUP_FAILS
    await house.start()
    await house.ring()
    await trio.sleep(1)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]
    assert "📡 A1 основная" in house.messages()[0].text
    assert house.messages()[0].sent_at == pytest.approx(0.0, abs=0.01)
    assert figure(house, "gateway_lookup_failures_total", source="crm", problem="server_error") == 1


async def test_a_call_asks_once_whatever_happens_in_it_and_whoever_is_told(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house, config=attrs.evolve(WITH_CRM, subscribers=(1001, 1002, 1003, 1004, 1005)))
    crm.profiles.clear()
    await house.start()
    await house.ring()
    await trio.sleep(100)
    await house.post("dial", Extensions=["151", "152"])
    await trio.sleep(100)
    await house.hang_up()
    await trio.sleep(20)
    # "Nobody" is remembered for 90 seconds only, but the call has asked.
    assert len(crm.look_ups) == 1
    for chat_id in (1001, 1005):
        assert house.texts(chat_id) == [f"✅ Завершен: {NUMBER} ↔ {PETROVA}, 01:05"]


async def test_a_name_somebody_else_found_meanwhile_is_taken_from_memory(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    crm.play_look_ups(LOOKUP_FAILS)
    process = await house.start()
    await house.ring()
    await trio.sleep(10)
    assert await process.running.lookups.customers.name(WITH_CRM, PHONE) == "Иванов Пётр"
    await house.hang_up()
    await trio.sleep(3)
    assert house.texts() == [f"✅ Завершен: {NAMED} ↔ {PETROVA}, 01:05"]


@pytest.mark.parametrize(("status", "mode"), [("2", "auto"), ("0", "auto"), ("2", "comment"), ("0", "edit"), ("2", "replace")])
async def test_a_name_that_comes_after_the_end_edits_the_final_without_a_sound(
    house: House, autojump_clock: MockClock, status: str, mode: str
) -> None:
    await open_crm(house, config=attrs.evolve(WITH_CRM, final=mode), delay_seconds=1.9)
    await house.start()
    await house.ring()
    await trio.sleep(1)
    await house.hang_up(status=status)
    await trio.sleep(0.5)
    messages = len(house.messages())
    final = house.texts()[-1]
    assert NUMBER in final
    assert "Иванов" not in final
    await trio.sleep(10)
    assert len(house.messages()) == messages
    assert house.texts()[-1] == final.replace(NUMBER, NAMED)
    assert house.telegram.violations == {}


async def test_after_a_restart_a_message_keeps_the_name_that_the_database_knows(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    await house.store.name_customer("0367", NamedCustomer(phone=PHONE, profile=IVANOV, at=NOON))
    process = await house.start()
    await house.ring()
    await trio.sleep(2)
    assert house.texts() == [f"📞 Дозвон от {NAMED} → {PETROVA}"]
    await process.kill()
    # A database that has much to do at first: longer than the first message of a call would wait.
    house.store.latency_seconds = 0.6
    await house.start()
    await trio.sleep(10)
    assert house.requests() == 1
    house.store.latency_seconds = 0.0
    await house.hang_up()
    await trio.sleep(2)
    assert house.texts() == [f"✅ Завершен: {NAMED} ↔ {PETROVA}, 01:05"]
    assert crm.look_ups == []


async def test_after_a_restart_a_name_only_the_crm_knows_is_waited_for_and_not_edited_twice(
    house: House, autojump_clock: MockClock
) -> None:
    await open_crm(house, delay_seconds=1.5)
    process = await house.start()
    await house.ring()
    await trio.sleep(5)
    requests = house.requests()
    await process.kill()
    await house.start()
    await trio.sleep(10)
    assert house.requests() == requests
    assert house.texts() == [f"📞 Дозвон от {NAMED} → {PETROVA}"]


async def test_a_final_owed_at_a_restart_is_told_at_the_latest_when_the_crm_has_been_given_up(
    house: House, autojump_clock: MockClock
) -> None:
    crm = await open_crm(house)
    process = await house.start()
    await house.ring()
    await trio.sleep(5)
    house.telegram.too_many(3)
    await house.hang_up()
    await process.kill()
    crm.usual_look_up = HANG
    await trio.sleep(100)
    await house.start()
    began = trio.current_time()
    await house.telegram.until(lambda: house.texts()[-1].startswith("✅"))
    assert trio.current_time() - began <= 2.5


async def test_a_stop_is_not_held_up_by_a_late_look_up_and_what_was_shown_stays(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    crm.usual_look_up = HANG
    process = await house.start()
    await house.ring()
    await trio.sleep(0.5)
    began = trio.current_time()
    await process.stop()
    assert trio.current_time() == pytest.approx(began, abs=0.1)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]


async def test_a_stop_lets_the_first_message_have_its_budget(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    crm.usual_look_up = HANG
    process = await house.start()
    await house.ring()
    await trio.sleep(0.1)
    await process.stop()
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]
    assert house.messages()[0].sent_at == pytest.approx(0.3)
    assert trio.current_time() < 1


async def test_a_late_name_does_not_go_to_who_has_left(house: House, autojump_clock: MockClock) -> None:
    await open_crm(house, config=attrs.evolve(WITH_CRM, subscribers=(1001, 1002)), delay_seconds=1.5)
    process = await house.start()
    await house.ring()
    await trio.sleep(1)
    await house.store.unsubscribe(bot_token=BOT, chat_id=1002)
    house.tell("0367")
    await trio.sleep(5)
    assert [len(history) for history in versions(house, 1001)] == [2]
    assert [len(history) for history in versions(house, 1002)] == [1]
    await house.hang_up()
    await trio.sleep(600)
    assert process.running.delivery.held_cards == 0


async def test_a_late_name_after_a_restart_does_not_tell_who_was_not_to_be_told(house: House, autojump_clock: MockClock) -> None:
    house.crm_timeout_seconds = 5.0
    await open_crm(house, delay_seconds=4)
    process = await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(2)
    await process.kill()
    await house.configure(attrs.evolve(WITH_CRM, subscribers=(1001, 1002)))
    await house.start()
    await trio.sleep(10)
    assert house.texts(1001) == [f"✅ Завершен: {NAMED} ↔ {PETROVA}, 01:05"]
    assert house.messages(1002) == ()


async def test_a_budget_of_nothing_waits_for_nothing(house: House, autojump_clock: MockClock) -> None:
    house.enrichment_budget_seconds = 0.0
    await open_crm(house, delay_seconds=0.1)
    await house.start()
    await house.ring()
    await trio.sleep(5)
    assert [len(history) for history in versions(house)] == [2]
    assert house.messages()[0].sent_at == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("killed_after", [0.0, 0.1, 0.29, 0.3, 0.31, 0.7, 1.0, 1.01, 1.49, 1.5, 1.51, 1.9, 2.5])
@pytest.mark.parametrize("status", ["0", "2"])
async def test_killed_at_any_moment_around_a_late_name_one_named_final_is_left(
    house: House, autojump_clock: MockClock, killed_after: float, status: str
) -> None:
    crm = await open_crm(house, delay_seconds=1.5)
    process = await house.start()
    await house.ring()
    began = trio.current_time()
    await trio.sleep_until(began + min(killed_after, 1.0))
    if killed_after > 1.0:
        await house.hang_up(status=status)
        await trio.sleep_until(began + killed_after)
    await process.kill()
    await house.start()
    if killed_after <= 1.0:
        await house.hang_up(status=status)
    await trio.sleep(10)
    head, tail = ("✅ Завершен", f" ↔ {PETROVA}, 01:05") if status == "2" else ("❌ Не отвечен", f" → {PETROVA}")
    assert house.texts() == [f"{head}: {NAMED}{tail}"]
    assert len(crm.look_ups) <= 2
    assert house.telegram.violations == {}
    customer = await house.store.customer("0367", PHONE)
    assert customer is not None
    assert (customer.profile.name, customer.calls_total_in) == ("Иванов Пётр", 1)
