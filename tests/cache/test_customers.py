"""Who has a number, in virtual time: memory, then the database, then the primary CRM."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from cache.core import LookupFailed
from cache.customers import Customers, Source, asked_number
from cache.statistics import Statistics
from gateway.cards.customers import clean_profile
from gateway.errors import StoreUnavailable
from gateway.ports import Customer, CustomerProfile, EnterpriseConfig, NamedCustomer

NOON = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
JUNE = EnterpriseConfig(number="0367", name="june", token="375290000367")
MAY = EnterpriseConfig(number="0368", name="may", token="375290000368")
PHONE = "375290001234"
IVANOV = CustomerProfile(last_name="Иванов", first_name="Пётр", source="own", external_id="7", extension="151")
OLD_IVANOV = CustomerProfile(last_name="Иванович", source="own", external_id="7")


@attrs.define(eq=False)
class World:
    """A database and a CRM, with what they were asked and when."""

    rows: dict[tuple[str, str], Customer] = attrs.field(factory=dict[tuple[str, str], Customer])
    people: dict[tuple[str, str], CustomerProfile] = attrs.field(factory=dict[tuple[str, str], CustomerProfile])
    asked_rows: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    asked_crm: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    failures: list[tuple[Source, str]] = attrs.field(factory=list[tuple[Source, str]])
    store_error: Exception | None = None
    crm_error: Exception | None = None
    store_seconds: float = 0.0
    crm_seconds: float = 0.0

    def store(self, profile: CustomerProfile, *, named_at: datetime | None, config: EnterpriseConfig = JUNE) -> None:
        self.rows[config.number, PHONE] = Customer(enterprise_number=config.number, phone=PHONE, profile=profile, named_at=named_at)

    async def stored(self, number: str, phone: str) -> Customer | None:
        self.asked_rows.append((number, phone))
        await trio.sleep(self.store_seconds)
        if self.store_error is not None:
            raise self.store_error
        return self.rows.get((number, phone))

    async def look_up(self, config: EnterpriseConfig, phone: str) -> CustomerProfile | None:
        self.asked_crm.append((config.number, phone))
        await trio.sleep(self.crm_seconds)
        if self.crm_error is not None:
            raise self.crm_error
        return self.people.get((config.number, phone))

    def fail(self, source: Source, error: Exception) -> None:
        self.failures.append((source, type(error).__name__))


@asynccontextmanager
async def open_customers(world: World) -> AsyncGenerator[Customers]:
    customers = Customers(
        stored=world.stored,
        look_up=world.look_up,
        clean=clean_profile,
        timeout_seconds=2.0,
        wall_clock=lambda: NOON + timedelta(seconds=trio.current_time()),
        on_failure=world.fail,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(customers.run)
        yield customers
        nursery.cancel_scope.cancel()


async def test_memory_then_the_database_then_the_crm(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        assert await customers.profile(JUNE, "+375 29 000-12-34") == IVANOV
        assert (world.asked_rows, world.asked_crm) == ([("0367", PHONE)], [("0367", PHONE)])
        assert customers.statistics == Statistics(hits=1, misses=1, loads=1)
        # Another enterprise is another world.
        assert await customers.name(MAY, PHONE) is None
        assert world.asked_crm == [("0367", PHONE), ("0368", PHONE)]


async def test_what_the_database_knows_is_not_asked_of_the_crm(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    world.store(OLD_IVANOV, named_at=NOON - timedelta(hours=23))
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванович"
        await trio.sleep(1000)
        assert world.asked_crm == []


async def test_a_name_that_was_put_in_by_hand_stands(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    world.store(CustomerProfile(last_name="Важный"), named_at=None)
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Важный"
        await trio.sleep(1000)
        assert await customers.name(JUNE, PHONE) == "Важный"
        assert world.asked_crm == []


async def test_a_name_older_than_a_day_is_served_while_the_crm_is_asked(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV}, crm_seconds=1.5)
    world.store(OLD_IVANOV, named_at=NOON - timedelta(days=1, seconds=1))
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванович"
        assert trio.current_time() == 0
        await trio.sleep(1.4)
        assert await customers.name(JUNE, PHONE) == "Иванович"
        await trio.sleep(0.2)
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        assert len(world.asked_crm) == 1
        assert customers.is_unstored("0367", PHONE)


async def test_an_old_name_stands_where_the_crm_knows_nobody_or_fails(autojump_clock: MockClock) -> None:
    for error in (None, OSError("no route")):
        world = World(crm_error=error)
        world.store(OLD_IVANOV, named_at=NOON - timedelta(days=9))
        async with open_customers(world) as customers:
            assert await customers.name(JUNE, PHONE) == "Иванович"
            await trio.sleep(1)
            assert await customers.name(JUNE, PHONE) == "Иванович"
            assert len(world.asked_crm) == 1


async def test_nobody_is_remembered_for_90_seconds(autojump_clock: MockClock) -> None:
    world = World()
    async with open_customers(world) as customers:
        assert await customers.profile(JUNE, PHONE) is None
        await trio.sleep(89)
        assert await customers.profile(JUNE, PHONE) is None
        assert len(world.asked_crm) == len(world.asked_rows) == 1
        world.people["0367", PHONE] = IVANOV
        await trio.sleep(1)
        assert await customers.profile(JUNE, PHONE) == IVANOV


async def test_a_name_corrected_in_the_database_is_seen_by_the_first_look_up_after_90_seconds(autojump_clock: MockClock) -> None:
    world = World()
    world.store(OLD_IVANOV, named_at=NOON)
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванович"
        world.store(CustomerProfile(last_name="Важный"), named_at=None)
        await trio.sleep(89.9)
        assert await customers.name(JUNE, PHONE) == "Иванович"
        await trio.sleep(0.1)
        assert customers.hit(JUNE, PHONE) is None
        assert await customers.name(JUNE, PHONE) == "Важный"
        assert world.asked_crm == []


async def test_a_name_put_in_by_hand_is_not_replaced_by_what_the_crm_said_of_the_person_responsible(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    world.store(CustomerProfile(last_name="Важный"), named_at=None)
    async with open_customers(world) as customers:
        assert await customers.responsible_extension(JUNE, PHONE) == "151"
        assert await customers.name(JUNE, PHONE) == "Важный"
        assert customers.take_named("0367", PHONE) is None
        assert await customers.responsible_extension(JUNE, PHONE, fresh=True) == "151"
        assert customers.take_named("0367", PHONE) is None


async def test_a_name_that_is_not_written_down_yet_outlives_the_crm_until_it_knows_nobody(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        world.crm_error = OSError("no route")
        for _ in range(50):
            await trio.sleep(90)
            assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        await trio.sleep(1)
        world.crm_error = None
        world.people.clear()
        await trio.sleep(99)
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        await trio.sleep(100)
        assert await customers.name(JUNE, PHONE) is None
        assert customers.take_named("0367", PHONE) is None


async def test_a_name_of_the_crm_is_served_after_90_seconds_while_it_is_asked_again(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): OLD_IVANOV})
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванович"
        world.people["0367", PHONE] = IVANOV
        world.crm_seconds = 1
        await trio.sleep(90)
        assert await customers.name(JUNE, PHONE) == "Иванович"
        await trio.sleep(1.1)
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        assert len(world.asked_crm) == 2


async def test_a_thousand_who_ask_at_once_make_one_question(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV}, store_seconds=0.1, crm_seconds=1)
    async with open_customers(world) as customers:
        names: list[str | None] = []

        async def ask() -> None:
            names.append(await customers.name(JUNE, PHONE))

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(ask)
            nursery.start_soon(customers.responsible_extension, JUNE, PHONE)
        assert names == ["Иванов Пётр"] * 1000
        assert (len(world.asked_rows), len(world.asked_crm)) == (1, 1)


async def test_who_gives_up_leaves_the_answer_to_the_next(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV}, crm_seconds=1)
    async with open_customers(world) as customers:
        with trio.move_on_after(0.3):
            await customers.name(JUNE, PHONE)
        await trio.sleep(0.8)
        assert customers.known("0367", PHONE) == IVANOV
        assert len(world.asked_crm) == 1


@pytest.mark.parametrize(
    "phone",
    [
        "",
        "<unknown>",
        "Anonymous",
        "abc",
        "151",
        "1510",
        "12",
        "0001363",
        "+000 29 000-12-34",
        "3" * 16,
        "9" * 10_000,
        "٣٧٥٢٩",
        "\x00",
        "🎉",
    ],
)
async def test_what_is_no_outside_number_is_nobody_without_a_question(phone: str, autojump_clock: MockClock) -> None:
    world = World()
    async with open_customers(world) as customers:
        assert await customers.profile(JUNE, phone) is None
        assert await customers.name(JUNE, phone) is None
        assert await customers.responsible_extension(JUNE, phone, fresh=True) is None
        assert customers.hit(JUNE, phone) is None
        assert customers.known("0367", phone) is None
        customers.put("0367", phone, IVANOV)
        assert (world.asked_rows, world.asked_crm, len(customers)) == ([], [], 0)
        assert customers.statistics == Statistics()


def test_a_number_is_asked_for_by_its_digits() -> None:
    assert asked_number("+375 (29) 000-12-34") == PHONE
    assert asked_number("20001") == "20001"
    assert asked_number(None) == ""


async def test_a_crm_that_hangs_is_given_up_after_two_seconds(autojump_clock: MockClock) -> None:
    world = World(crm_seconds=1e9)
    async with open_customers(world) as customers:
        assert await customers.profile(JUNE, PHONE) is None
        assert trio.current_time() == 2.0
        assert world.failures == [(Source.CRM, "TooSlowError")]
        with pytest.raises(LookupFailed):
            await customers.look_up(JUNE, PHONE)
        await trio.sleep(4.9)
        assert await customers.profile(JUNE, PHONE) is None
        assert len(world.asked_crm) == 1
        await trio.sleep(0.2)
        world.crm_seconds, world.people["0367", PHONE] = 0.0, IVANOV
        assert await customers.profile(JUNE, PHONE) == IVANOV


async def test_a_crm_that_fails_three_times_in_a_row_rests_for_five_seconds_for_all_numbers_of_its_enterprise(
    autojump_clock: MockClock,
) -> None:
    world = World(crm_error=OSError("no route"))
    async with open_customers(world) as customers:
        for number in range(10):
            assert await customers.profile(JUNE, f"37529000000{number}") is None
        assert len(world.asked_crm) == 3
        assert world.failures == [(Source.CRM, "OSError")] * 3
        # Another enterprise has another CRM.
        assert await customers.profile(MAY, PHONE) is None
        assert len(world.asked_crm) == 4
        await trio.sleep(5)
        assert await customers.profile(JUNE, "375290000010") is None
        assert await customers.profile(JUNE, "375290000011") is None
        assert len(world.asked_crm) == 5
        await trio.sleep(5)
        world.crm_error = None
        for number in range(5):
            assert await customers.profile(JUNE, f"37529000002{number}") is None
        assert len(world.asked_crm) == 10


async def test_without_the_database_the_crm_is_asked_and_nobody_is_not_remembered(autojump_clock: MockClock) -> None:
    world = World(store_error=StoreUnavailable("away"))
    async with open_customers(world) as customers:
        assert await customers.profile(JUNE, PHONE) is None
        assert (len(world.asked_rows), len(world.asked_crm)) == (1, 1)
        assert world.failures == [(Source.DATABASE, "StoreUnavailable")]
        world.store_error = None
        world.store(OLD_IVANOV, named_at=NOON)
        await trio.sleep(5)
        assert await customers.name(JUNE, PHONE) == "Иванович"
        world.store_error = StoreUnavailable("away")
        world.people["0367", "375290005678"] = IVANOV
        assert await customers.name(JUNE, "375290005678") == "Иванов Пётр"


async def test_a_database_that_hangs_leaves_the_crm_its_two_seconds(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV}, store_seconds=1e9, crm_seconds=1.9)
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        assert trio.current_time() == pytest.approx(3.9)
        assert world.failures == [(Source.DATABASE, "TooSlowError")]


async def test_the_person_responsible_costs_no_second_question_and_is_kept_90_seconds(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    async with open_customers(world) as customers:
        assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
        assert await customers.responsible_extension(JUNE, PHONE) == "151"
        assert len(world.asked_crm) == 1
        world.people["0367", PHONE] = attrs.evolve(IVANOV, extension="152")
        await trio.sleep(89)
        assert await customers.responsible_extension(JUNE, PHONE) == "151"
        assert await customers.responsible_extension(JUNE, PHONE, fresh=True) == "152"
        assert await customers.responsible_extension(JUNE, PHONE) == "152"
        assert len(world.asked_crm) == 2
        await trio.sleep(90)
        assert await customers.responsible_extension(JUNE, PHONE) == "152"
        assert len(world.asked_crm) == 3


async def test_nobody_responsible_is_kept_too(autojump_clock: MockClock) -> None:
    world = World()
    async with open_customers(world) as customers:
        for _ in range(5):
            assert await customers.responsible_extension(JUNE, PHONE) is None
        assert len(world.asked_crm) == 1
        world.crm_error = OSError("no route")
        assert await customers.responsible_extension(JUNE, PHONE, fresh=True) is None


@pytest.mark.parametrize("extension", ["", "15", "15100", "ivanov", "１５１", "+151"])
async def test_an_extension_that_is_none_is_nobody(extension: str, autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): attrs.evolve(IVANOV, extension=extension)})
    async with open_customers(world) as customers:
        assert await customers.responsible_extension(JUNE, PHONE) is None


async def test_a_name_that_a_crm_gave_is_to_be_written_down_once(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    async with open_customers(world) as customers:
        await trio.sleep(3)
        await customers.profile(JUNE, PHONE)
        named = customers.take_named("0367", PHONE)
        assert named == NamedCustomer(phone=PHONE, profile=IVANOV, at=NOON + timedelta(seconds=3))
        assert customers.take_named("0367", PHONE) is None
        assert not customers.is_unstored("0367", PHONE)
        assert named is not None
        customers.give_back("0367", named)
        assert customers.take_named("0367", PHONE) == named


async def test_what_the_database_said_is_not_to_be_written_down(autojump_clock: MockClock) -> None:
    world = World()
    world.store(OLD_IVANOV, named_at=NOON)
    async with open_customers(world) as customers:
        await customers.profile(JUNE, PHONE)
        assert customers.take_named("0367", PHONE) is None


async def test_invalidate_forgets_all_of_one_enterprise_also_what_is_on_its_way(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV, ("0368", PHONE): IVANOV, ("0367", "375290005678"): OLD_IVANOV}, crm_seconds=1)
    async with open_customers(world) as customers:
        await customers.profile(JUNE, PHONE)
        await customers.profile(MAY, PHONE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(customers.profile, JUNE, "375290005678")
            await trio.sleep(0.5)
            customers.invalidate("0367")
        assert customers.known("0367", PHONE) is None
        assert customers.known("0367", "375290005678") is None
        # Another account may have said it.
        assert customers.take_named("0367", PHONE) is None
        assert customers.take_named("0367", "375290005678") is None
        assert customers.known("0368", PHONE) == IVANOV
        assert customers.take_named("0368", PHONE) is not None


async def test_what_was_put_is_clean(autojump_clock: MockClock) -> None:
    async with open_customers(World()) as customers:
        customers.put("0367", "+375290001234", attrs.evolve(IVANOV, last_name=" Ива\x00нов\n\t ", first_name="Неизвестный"))
        known = customers.known("0367", PHONE)
        assert known is not None
        assert known.name == "Иванов"
        customers.put("0367", PHONE, None)
        assert await customers.profile(JUNE, PHONE) is None


async def test_without_run_memory_still_answers(autojump_clock: MockClock) -> None:
    world = World(people={("0367", PHONE): IVANOV})
    async with open_customers(world) as customers:
        await customers.profile(JUNE, PHONE)
    assert await customers.name(JUNE, PHONE) == "Иванов Пётр"
    assert await customers.name(MAY, PHONE) is None
