"""Customers: the counts follow the calls, the names those who may say them."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from gateway.ports import Customer, Step, Store
from tester.houses import House
from tester.samples import NOON, NUMBER, finished, named

PHONE, SECOND, THIRD = "375290001234", "375290005678", "74950000000"
LATER = NOON + timedelta(hours=1)


async def customer(store: Store, phone: str = PHONE) -> Customer:
    found = await store.customer(NUMBER, phone)
    assert found is not None
    return found


async def counts(store: Store, phone: str = PHONE) -> tuple[int, int, int, int, int, int]:
    """In and out: total, answered, missed."""
    one = await customer(store, phone)
    return (
        one.calls_total_in, one.calls_total_out, one.calls_answered_in, one.calls_answered_out, one.calls_missed_in, one.calls_missed_out
    )  # fmt: skip


async def record(store: Store, *records: Any, **parts: Any) -> None:
    await store.commit_step(Step(enterprise_number=NUMBER, records=records, **parts))


def missed(call_id: int, **changes: Any) -> Any:
    return finished(call_id, **{"call_status": 0, "talk_seconds": None, "extension": "150, 151", **changes})


# counts


async def test_a_finished_call_is_counted_for_its_customer(store: Store) -> None:
    await record(store, finished(1))
    assert await customer(store) == Customer(
        enterprise_number=NUMBER,
        phone=PHONE,
        profile=attrs.evolve(named().profile, last_name="", first_name="", source="", phones=(PHONE,)),
        first_seen_at=NOON + timedelta(seconds=1),
        last_seen_at=NOON + timedelta(seconds=66),
        calls_total_in=1,
        calls_answered_in=1,
        last_call_at=NOON + timedelta(seconds=66),
        last_call_direction="in",
        last_call_status="answered",
        last_success_at=NOON + timedelta(seconds=66),
        last_agent_internal="151",
        last_line="0001363",
    )
    assert await store.customer("0270", PHONE) is None
    assert await store.customer(NUMBER, SECOND) is None
    assert await store.customer(NUMBER, "") is None
    assert await store.customer(NUMBER, "no\0number") is None


async def test_calls_are_counted_by_way_and_end(store: Store) -> None:
    await record(store, finished(1), missed(2), missed(3), finished(4, call_type=1), missed(5, call_type=1, date_end=None))
    assert await counts(store) == (3, 2, 1, 1, 2, 1)
    one = await customer(store)
    assert (one.last_call_direction, one.last_call_status, one.last_agent_internal) == ("out", "missed", "150")
    assert one.last_call_at == NOON + timedelta(seconds=5)
    assert one.last_success_at == NOON + timedelta(seconds=69)


async def test_internal_calls_and_calls_without_a_number_count_for_nobody(store: Store) -> None:
    await record(
        store, finished(1, call_type=2, phone="151"), finished(2, phone=""), finished(3, phone="no number"), finished(4, phone="9" * 33)
    )
    for phone in ("151", "", "no number", "9" * 33):
        assert await store.customer(NUMBER, phone) is None
    await record(store, finished(5, phone="9" * 32))
    assert await counts(store, "9" * 32) == (1, 0, 1, 0, 0, 0)


async def test_repeating_a_step_counts_nothing_again(store: Store) -> None:
    for _ in range(3):
        await record(store, finished(1), missed(2))
    assert await counts(store) == (2, 0, 1, 0, 1, 0)


async def test_a_corrected_call_moves_the_difference(store: Store) -> None:
    await record(store, missed(1))
    await record(store, finished(1))
    assert await counts(store) == (1, 0, 1, 0, 0, 0)
    await record(store, finished(1, call_type=1))
    assert await counts(store) == (0, 1, 0, 1, 0, 0)
    await record(store, finished(1, phone=SECOND))
    assert await counts(store) == (0, 0, 0, 0, 0, 0)
    assert await counts(store, SECOND) == (1, 0, 1, 0, 0, 0)
    left = await customer(store)
    assert (left.last_call_at, left.last_call_direction, left.last_call_status, left.last_success_at) == (None, "unknown", "unknown", None)
    await record(store, finished(1, call_type=2))
    assert await counts(store, SECOND) == (0, 0, 0, 0, 0, 0)


async def test_a_new_customer_of_a_new_and_of_a_corrected_call_is_counted_once_for_each(store: Store) -> None:
    await record(store, finished(1))
    await record(store, finished(1, phone=SECOND), finished(2, phone=SECOND))
    assert (await counts(store), await counts(store, SECOND)) == ((0, 0, 0, 0, 0, 0), (2, 0, 2, 0, 0, 0))


async def test_what_is_last_goes_back_when_the_last_call_is_taken_out(store: Store) -> None:
    await record(store, finished(1), finished(2, extension="152"))
    await record(store, missed(2))
    assert (await customer(store)).last_success_at == NOON + timedelta(seconds=66)
    await record(store, finished(2, call_type=2))
    one = await customer(store)
    assert (one.last_call_at, one.last_call_status, one.last_agent_internal) == (NOON + timedelta(seconds=66), "answered", "151")


async def test_a_recovered_call_that_is_older_is_counted_but_is_not_the_last(store: Store) -> None:
    await record(store, finished(100))
    await record(store, missed(101, date_received=NOON - timedelta(days=1), date_end=NOON - timedelta(hours=23)))
    one = await customer(store)
    assert (one.calls_total_in, one.last_call_status) == (2, "answered")
    assert one.first_seen_at == NOON - timedelta(days=1)
    assert one.last_seen_at == one.last_call_at == NOON + timedelta(seconds=165)


async def test_an_absorbed_call_is_counted_no_more(store: Store) -> None:
    await record(store, finished(1), missed(2), finished(3, phone=SECOND))
    await record(store, merged=((2, 1), (3, 1)))
    assert await counts(store) == (1, 0, 1, 0, 0, 0)
    assert await counts(store, SECOND) == (0, 0, 0, 0, 0, 0)


async def test_a_record_that_goes_over_to_the_survivor_is_counted_once(store: Store) -> None:
    await record(store, finished(3), missed(2))
    await record(store, merged=((3, 1), (2, 1)))
    assert await counts(store) == (1, 0, 0, 0, 1, 0)
    await record(store, finished(1), merged=((3, 1), (2, 1)))
    assert await counts(store) == (1, 0, 1, 0, 0, 0)


async def test_enterprises_count_for_themselves(store: Store) -> None:
    await record(store, finished(1))
    await store.commit_step(Step(enterprise_number="0270", records=(missed(1),)))
    assert await counts(store) == (1, 0, 1, 0, 0, 0)
    other = await store.customer("0270", PHONE)
    assert other is not None
    assert (other.calls_total_in, other.calls_missed_in) == (1, 1)


# names


async def test_a_name_comes_back_as_it_was_given(store: Store) -> None:
    given = named(middle_name="Иванович", enterprise_name="ООО «Ромашка»", external_id="77", is_company=True, extension="151", raw={"a": 1})
    assert await store.name_customer(NUMBER, given) == 1
    one = await customer(store)
    assert one.profile == attrs.evolve(given.profile, extension="", raw=None, phones=(PHONE,))
    assert (one.named_at, one.first_seen_at, one.calls_total_in) == (NOON, None, 0)
    await record(store, finished(1))
    assert (await customer(store)).profile.name == "ООО «Ромашка»"
    assert await counts(store) == (1, 0, 1, 0, 0, 0)


async def test_a_name_for_a_number_that_called_leaves_its_counts(store: Store) -> None:
    await record(store, finished(1))
    assert await store.name_customer(NUMBER, named()) == 1
    assert await counts(store) == (1, 0, 1, 0, 0, 0)
    assert (await customer(store)).profile.name == "Иванов Иван"


async def test_the_same_name_again_changes_nothing_but_when_it_was_said(store: Store) -> None:
    await store.name_customer(NUMBER, named(external_id="7"))
    assert await store.name_customer(NUMBER, named(external_id="7", at=LATER)) == 0
    assert (await customer(store)).named_at == LATER


async def test_the_primary_crm_replaces_names_whole(store: Store) -> None:
    await store.name_customer(NUMBER, named(middle_name="Иванович", enterprise_name="ООО"))
    assert await store.name_customer(NUMBER, named(last_name="Петров", source="ms", at=NOON - timedelta(days=1))) == 1
    one = await customer(store)
    assert (one.profile.name, one.profile.source, one.named_at) == ("Петров Иван", "ms", NOON - timedelta(days=1))


async def test_what_a_crm_said_earlier_does_not_replace_what_it_said_later(store: Store) -> None:
    await store.name_customer(NUMBER, named(at=LATER))
    assert await store.name_customer(NUMBER, named(last_name="Петров", at=NOON)) == 0
    assert (await customer(store)).profile.last_name == "Иванов"


async def test_another_crm_fills_only_what_is_empty_and_may_correct_itself(store: Store) -> None:
    await record(store, finished(1))
    assert await store.name_customer(NUMBER, named(last_name="Петров", source="ms", external_id="m1", is_primary=False)) == 1
    assert await store.name_customer(NUMBER, named(last_name="Сидоров", source="uon", is_primary=False)) == 0
    assert await store.name_customer(NUMBER, named(last_name="Петренко", source="ms", external_id="m1", is_primary=False, at=LATER)) == 1
    assert (await customer(store)).profile.last_name == "Петренко"
    assert await store.name_customer(NUMBER, named()) == 1
    assert await store.name_customer(NUMBER, named(last_name="Петренко", source="ms", is_primary=False, at=LATER)) == 0
    assert (await customer(store)).profile.last_name == "Иванов"


async def test_another_crm_leaves_its_id_and_links_nobody(house: House) -> None:
    store = house.store
    await store.name_customer(NUMBER, named(external_id="7"))
    assert await store.name_customer(NUMBER, named(source="ms", external_id="m1", is_primary=False, phones=(PHONE, SECOND))) == 1
    assert await house.person(NUMBER, PHONE) == ("retailcrm:7", {"retailcrm": ["7"], "ms": ["m1"]})
    assert await store.customer(NUMBER, SECOND) is None


@pytest.mark.parametrize("profile", [{"last_name": "", "first_name": ""}, {"last_name": "", "first_name": "", "external_id": "7"}])
async def test_a_name_that_is_none_changes_nothing(store: Store, profile: dict[str, Any]) -> None:
    assert await store.name_customer(NUMBER, named(**profile)) == 0
    assert await store.customer(NUMBER, PHONE) is None


@pytest.mark.parametrize("phone", ["", "+375290001234", "no number", "9" * 33, "\0", "٣٧٥"])
async def test_a_name_for_what_is_no_number_changes_nothing(store: Store, phone: str) -> None:
    assert await store.name_customer(NUMBER, named(phone)) == 0
    assert await store.customer(NUMBER, phone) is None


async def test_names_hold_whatever_a_crm_says(store: Store) -> None:
    odd = named(last_name="<b>\0Ж\ud800" + "я" * 10_000, external_id="\0" * 300, phones=("no number", *(str(n) for n in range(500))))
    assert await store.name_customer(NUMBER, odd) == 1
    profile = (await customer(store)).profile
    assert profile.last_name == "<b>\ufffdЖ\ufffd" + "я" * 194
    assert profile.external_id == ""


# persons


async def test_the_primary_crm_links_the_numbers_of_one_customer(house: House) -> None:
    store = house.store
    await record(store, finished(1), finished(2, phone=SECOND))
    given = named(external_id="7", phones=(PHONE, SECOND, THIRD))
    assert await store.name_customer(NUMBER, given) == 2
    assert (await customer(store, SECOND)).profile == attrs.evolve(given.profile, phones=(PHONE, SECOND))
    # A number that never called gets no row for that.
    assert await store.customer(NUMBER, THIRD) is None
    assert await house.person(NUMBER, SECOND) == ("retailcrm:7", {"retailcrm": ["7"]})
    assert await store.name_customer(NUMBER, given) == 0


async def test_a_name_put_in_by_hand_gives_way_only_where_the_crm_was_asked_for_that_number(store: Store) -> None:
    await record(store, finished(1), finished(2, phone=SECOND))
    by_hand = named(phone=SECOND, last_name="Важный", source="", external_id="")
    assert await store.name_customer(NUMBER, by_hand) == 1
    await store.name_customer(NUMBER, named(external_id="7", phones=(PHONE, SECOND), at=LATER))
    assert (await customer(store)).profile.last_name == "Иванов"
    assert (await customer(store, SECOND)).profile.last_name == "Важный"
    await store.name_customer(NUMBER, named(phone=SECOND, external_id="7", phones=(PHONE, SECOND), at=LATER))
    assert (await customer(store, SECOND)).profile.last_name == "Иванов"


async def test_a_number_that_is_no_longer_the_customers_is_unlinked(house: House) -> None:
    store = house.store
    await record(store, finished(1), finished(2, phone=SECOND), finished(3, phone=THIRD))
    await store.name_customer(NUMBER, named(external_id="7", phones=(PHONE, SECOND, THIRD)))
    assert await store.name_customer(NUMBER, named(external_id="7", at=LATER, phones=(PHONE, THIRD))) == 1
    assert await house.person(NUMBER, SECOND) == ("", {})
    assert (await customer(store)).profile.phones == (PHONE, THIRD)
    assert (await customer(store, SECOND)).profile.phones == (SECOND,)
    # A CRM that gives no numbers has not said that these are not the customer's.
    assert await store.name_customer(NUMBER, named(external_id="7", at=LATER)) == 0
    assert (await customer(store)).profile.phones == (PHONE, THIRD)


async def test_nobody_is_linked_without_an_id_or_a_source(house: House) -> None:
    store = house.store
    await record(store, finished(1), finished(2, phone=SECOND))
    profiles: tuple[dict[str, Any], ...] = ({}, {"source": "", "external_id": "7"}, {"external_id": "7" * 101})
    for profile in profiles:
        await store.name_customer(NUMBER, named(phones=(PHONE, SECOND), **profile))
        assert await house.person(NUMBER, PHONE) == ("", {})
        assert (await customer(store, SECOND)).profile.name == ""


async def test_a_company_and_a_person_with_one_id_are_two(house: House) -> None:
    store = house.store
    await store.name_customer(NUMBER, named(PHONE, external_id="7"))
    await store.name_customer(NUMBER, named(SECOND, external_id="7", is_company=True, enterprise_name="ООО"))
    assert (await house.person(NUMBER, PHONE))[0] == "retailcrm:7"
    assert await house.person(NUMBER, SECOND) == ("retailcrm_corp:7", {"retailcrm_corp": ["7"]})
    assert (await customer(store)).profile.phones == (PHONE,)


async def test_persons_of_two_enterprises_are_two(store: Store) -> None:
    await record(store, finished(1))
    await store.commit_step(Step(enterprise_number="0270", records=(finished(2, phone=SECOND),)))
    assert await store.name_customer(NUMBER, named(external_id="7", phones=(PHONE, SECOND))) == 1
    other = await store.customer("0270", SECOND)
    assert other is not None
    assert other.profile.name == ""


async def test_names_are_written_with_the_step_that_ends_the_call(house: House) -> None:
    step = Step(
        enterprise_number=NUMBER, records=(finished(1), finished(2, phone=SECOND)), named=(named(external_id="7", phones=(SECOND,)),)
    )
    for _ in range(2):
        await house.store.commit_step(step)
        for phone in (PHONE, SECOND):
            assert (await customer(house.store, phone)).profile.name == "Иванов Иван"
            assert await counts(house.store, phone) == (1, 0, 1, 0, 0, 0)
    assert await house.person(NUMBER, SECOND) == ("retailcrm:7", {"retailcrm": ["7"]})
