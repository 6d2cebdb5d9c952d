"""Names on cards, through the whole service: which ones are asked for, shown and kept, and what odd ones become."""

from datetime import timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.errors import StoreUnavailable
from gateway.ports import CustomerProfile, NamedCustomer, Step
from tester.memory import MemoryStore
from tester.virtual import NOON, House
from tests.nurseries.named_calls import IVANOV, NAMED, NUMBER, PETROVA, PHONE, WITH_CRM, figure, open_crm, versions


async def test_the_name_from_a_crm_is_kept_with_the_end_of_the_call(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    process = await house.start()
    await house.ring()
    await trio.sleep(1)
    before = await house.store.customer("0367", PHONE)
    assert before is None or before.profile.name == ""
    await house.hang_up()
    await trio.sleep(1)
    after = await house.store.customer("0367", PHONE)
    assert after is not None
    assert (after.profile.name, after.profile.source, after.profile.external_id) == ("Иванов Пётр", "own", "7")
    assert after.named_at == NOON
    assert after.calls_answered_in == 1
    # The next process asks nobody but the database.
    await process.kill()
    await trio.sleep(1000)
    await house.start()
    await house.ring("2.2")
    await trio.sleep(1)
    assert house.texts()[-1] == f"📞 Дозвон от {NAMED} → {PETROVA}"
    assert len(crm.look_ups) == 1


async def test_a_card_that_began_with_an_old_name_ends_with_the_new_one(house: House, autojump_clock: MockClock) -> None:
    await open_crm(house, delay_seconds=1)
    old = CustomerProfile(last_name="Иванович", source="own", external_id="7")
    await house.store.name_customer("0367", NamedCustomer(phone=PHONE, profile=old, at=NOON - timedelta(days=2)))
    await house.start()
    await house.ring()
    await trio.sleep(5)
    assert house.texts() == [f"📞 Дозвон от {NUMBER} (Иванович) → {PETROVA}"]
    await house.hang_up()
    await trio.sleep(5)
    assert house.texts()[-1].split("\n")[0] == f"✅ Завершен: {NAMED} ↔ {PETROVA}, 01:05"


async def test_a_name_corrected_by_hand_is_on_the_first_card_after_90_seconds(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    for number, name in enumerate(("Прежний", "Важный"), start=1):
        await house.store.name_customer("0367", NamedCustomer(phone=PHONE, profile=CustomerProfile(last_name=name), at=house.clock()))
        await house.ring(f"{number}.{number}")
        await trio.sleep(90)
    assert house.texts() == [f"📞 Дозвон от {NUMBER} ({name}) → {PETROVA}" for name in ("Прежний", "Важный")]


class Noted(MemoryStore):
    """Says by which way names came in."""

    steps: list[tuple[int, ...]]
    alone: list[NamedCustomer]

    async def commit_step(self, step: Step) -> None:
        if step.named:
            self.steps.append(tuple(record.call_id for record in step.records))
        await super().commit_step(step)

    async def name_customer(self, enterprise_number: str, named: NamedCustomer) -> int:
        self.alone.append(named)
        if self.unavailable:
            raise StoreUnavailable("away")
        return await super().name_customer(enterprise_number, named)


@pytest.fixture
def noted(house: House) -> Noted:
    store = Noted(now=house.clock)
    store.steps, store.alone = [], []
    house.store = store
    return store


async def test_a_name_is_written_once_in_the_transaction_that_closes_its_call(
    house: House, noted: Noted, autojump_clock: MockClock
) -> None:
    await open_crm(house)
    await house.start()
    await house.ring()
    await trio.sleep(1)
    await house.hang_up()
    await trio.sleep(5)
    # A correction makes a record again, and no name.
    await house.hang_up(seconds=70)
    await trio.sleep(5)
    (call,) = await house.store.calls("0367", limit=2)
    assert (noted.steps, noted.alone) == ([(call.call_id,)], [])


async def test_a_late_name_that_the_database_does_not_take_now_waits_for_the_next_call(
    house: House, noted: Noted, autojump_clock: MockClock
) -> None:
    await open_crm(house, delay_seconds=1.9)
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(1.5)
    noted.unavailable = True
    await trio.sleep(1)
    assert len(noted.alone) == 1
    noted.unavailable = False
    await house.ring("2.2")
    await house.hang_up("2.2")
    await trio.sleep(1)
    assert len(noted.steps) == 1
    customer = await house.store.customer("0367", PHONE)
    assert customer is not None
    assert customer.profile.name == "Иванов Пётр"


async def test_a_name_that_comes_after_the_end_is_kept_too(house: House, autojump_clock: MockClock) -> None:
    await open_crm(house, delay_seconds=1.9)
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(1.8)
    before = await house.store.customer("0367", PHONE)
    assert before is not None
    assert (before.profile.name, before.calls_answered_in) == ("", 1)
    await trio.sleep(0.2)
    after = await house.store.customer("0367", PHONE)
    assert after is not None
    assert (after.profile.name, after.calls_answered_in) == ("Иванов Пётр", 1)


async def test_a_crm_that_is_switched_off_or_not_the_primary_one_is_not_asked(house: House, autojump_clock: MockClock) -> None:
    own = {**WITH_CRM.integrations["own"]}
    for integrations in ({"own": {**own, "enabled": False}, "smart": {"primary": "own"}}, {"own": own}, {}):
        crm = await open_crm(house, config=attrs.evolve(WITH_CRM, integrations=integrations))
        process = await house.start()
        await house.ring()
        await trio.sleep(3)
        assert crm.look_ups == []
        assert house.texts()[-1] == f"📞 Дозвон от {NUMBER} → {PETROVA}"
        await process.kill()


@pytest.mark.parametrize("phone", ["", "<unknown>", "Anonymous", "0001363", "+000", "12", "1" * 40])
async def test_for_a_number_that_is_none_nobody_is_asked(house: House, autojump_clock: MockClock, phone: str) -> None:
    crm = await open_crm(house)
    await house.start()
    await house.ring(Phone=phone)
    await trio.sleep(3)
    assert len(house.texts()) == 1
    assert crm.look_ups == []
    assert house.messages()[0].sent_at == pytest.approx(0.0, abs=0.01)


async def test_an_extension_that_nobody_knows_is_shown_bare(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.post("start")
    await house.post("dial", Extensions=["999", "151"])
    await trio.sleep(2)
    assert house.texts() == [f"📞 Дозвон от {NUMBER} → 999, {PETROVA}"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>Рога</b> & «Копыта»", "&lt;b&gt;Рога&lt;/b&gt; &amp; «Копыта»"),
        ("Рога\x00 и\n\n копыта\x1b", "Рога и копыта"),
        ("я" * 10_000, "я" * 95 + "…"),
    ],
)
async def test_what_a_crm_calls_somebody_is_shown_in_one_safe_line(house: House, autojump_clock: MockClock, name: str, shown: str) -> None:
    crm = await open_crm(house)
    crm.profiles[PHONE] = attrs.evolve(IVANOV, last_name="", first_name="", enterprise_name=name)
    await house.start()
    await house.ring()
    await trio.sleep(3)
    assert house.texts() == [f"📞 Дозвон от {NUMBER} ({shown}) → {PETROVA}"]
    await house.hang_up()
    await trio.sleep(3)
    customer = await house.store.customer("0367", PHONE)
    assert customer is not None
    assert customer.profile.enterprise_name == name[:200].replace("\x00", "").replace("\n\n", "").replace("\x1b", "")


@pytest.mark.parametrize("name", ["Неизвестный", "Доб.151", "375290001234", "+375 29 000-12-34", "-", "\x00\x01"])
async def test_what_is_no_name_is_none(house: House, autojump_clock: MockClock, name: str) -> None:
    crm = await open_crm(house)
    crm.profiles[PHONE] = CustomerProfile(last_name=name, source="own", external_id="7")
    await house.start()
    await house.ring()
    await trio.sleep(3)
    assert versions(house) == [[f"📞 Дозвон от {NUMBER} → {PETROVA}"]]


async def test_managers_and_lines_that_were_invalidated_are_loaded_and_fail_alone(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    assert await process.running.lookups.configurations.invalidate("june")
    await house.ring()
    await trio.sleep(1)
    assert house.texts() == [f"📞 Дозвон от {NUMBER} → {PETROVA}"]
    assert figure(house, "gateway_lookups_total", what="line", result="found") == 1


async def test_an_internal_call_has_no_customer(house: House, autojump_clock: MockClock) -> None:
    crm = await open_crm(house)
    await house.start()
    await house.post("start", Phone="", CallType=2, CallerIDNum="152", Extensions=["151"], Trunk="")
    await house.post("dial", Phone="", CallType=2, CallerIDNum="152", Extensions=["151"], Trunk="")
    await trio.sleep(3)
    assert len(house.texts()) == 1
    assert crm.look_ups == []
