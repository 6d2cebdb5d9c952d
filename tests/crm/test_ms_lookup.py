"""Whose a number is in МойСклад, and what `gateway doctor` is told of an integration."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmLookupFailed, Finding, Problem
from gateway.crm.ms_lookup import extension_of, has_phone, profile_of
from gateway.crm.ms_settings import settings_of
from gateway.ports import CustomerProfile
from tester.fakes.crm_faults import FaultKind
from tests.crm.moysklad import KEY, TOKEN, World, moysklad
from tests.crm.told import PHONE

OWNER = "01234567-89ab-cdef-0123-456789abcdef"
SETTINGS = settings_of({"employee_mapping": {"151": {"employee_id": OWNER.upper()}}})


def row(name: str = "ООО Пример", **fields: Any) -> dict[str, Any]:
    owner = {"meta": {"href": f"https://api.moysklad.ru/api/remap/1.2/entity/employee/{OWNER}"}}
    return {"id": "1", "name": name, "companyType": "legal", "phone": f"+{PHONE}", "owner": owner, **fields}


def attributes(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


# names


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (row(), "ООО Пример"),
        (row(PHONE), ""),
        (row(f"+{PHONE}"), ""),
        (row("+375 (29) 000-12-34"), ""),
        (row("8 375290001234"), ""),
        (row("+ Что-то"), ""),
        (row("Пример 24"), "Пример 24"),
        (row(attributes=attributes(Имя="Анна", Фамилия="Иванова", Отчество="Петровна")), "ООО Пример (Иванова Анна)"),
        (row(attributes=attributes(имя="Анна")), "ООО Пример (Анна)"),
        (row(attributes=[1, {"name": 2, "value": 3}, {}]), "ООО Пример"),
        (row(PHONE, attributes=attributes(имя="Анна", фамилия="Иванова")), "Иванова Анна"),
        (row("Иванова А.", companyType="individual"), "Иванова А."),
        (row("Иванова А.", companyType="individual", legalLastName="Иванова", legalFirstName="Анна"), "Иванова Анна"),
        (row(PHONE, companyType="individual", legalLastName="Иванова"), "Иванова"),
        (row(PHONE, companyType="individual"), ""),
        (row("ИП Иванова", companyType="entrepreneur", legalLastName="Иванова"), "ИП Иванова"),
        (row(PHONE, companyType="entrepreneur", legalLastName="Иванова", legalFirstName="Анна"), "Иванова Анна"),
        (row(name=None), ""),  # pyright: ignore[reportArgumentType]
    ],
)
def test_names_of_counterparties(known: dict[str, Any], name: str) -> None:
    profile = profile_of(known, PHONE, SETTINGS)
    assert (profile.name, profile.source, profile.external_id) == (name, "ms", "1")


@pytest.mark.parametrize(
    ("phone", "is_there"),
    [
        (f"+{PHONE}", True),
        ("375 (29) 000-12-34", True),
        (f"+74950001234, +{PHONE}", True),
        (f"{PHONE} доб. 12", True),
        (f"{PHONE}5", False),
        (f"1{PHONE}", False),
        ("", False),
        (None, False),
    ],
)
def test_a_number_is_somebodys_with_all_of_its_digits(phone: str | None, is_there: bool) -> None:
    assert has_phone({"phone": phone}, PHONE) is is_there


@pytest.mark.parametrize(
    ("known", "extension"),
    [
        (row(), "151"),
        (row(owner={"meta": {"href": "https://api.moysklad.ru/api/remap/1.2/entity/employee/another"}}), ""),
        (row(owner={"meta": None}), ""),
        (row(owner=None), ""),
        ({}, ""),
    ],
)
def test_the_owner_is_responsible(known: dict[str, Any], extension: str) -> None:
    assert extension_of(known, SETTINGS) == extension


# look-ups


async def looked_up(world: World, phone: str = PHONE) -> CustomerProfile | None:
    with trio.fail_after(2):
        return await world.crm.look_up(phone)


async def failed(world: World) -> CrmLookupFailed:
    with pytest.raises(CrmLookupFailed) as raised:
        await looked_up(world)
    return raised.value


async def test_a_counterparty_is_found_with_one_request(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        petrov = world.account.employee_at("152")
        world.account.add_counterparty("Не тот", f"{PHONE}99")
        known = world.account.add_counterparty("ООО Пример", f"+{PHONE}", owner=petrov)
        profile = await looked_up(world)
        assert profile is not None
        assert (profile.name, profile.external_id, profile.extension) == ("ООО Пример", known.counterparty_id, "152")
        assert (profile.phones, profile.raw is not None) == ((PHONE,), True)
        assert len(world.asked) == 1


async def test_a_number_in_another_spelling_is_found(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.account.add_counterparty("ООО Пример", f"+74950001234; {PHONE}")
        profile = await looked_up(world)
        assert profile is not None
        assert profile.phones == ("74950001234", PHONE)


async def test_of_two_with_one_number_the_one_with_a_name_counts(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.account.add_counterparty(PHONE, PHONE)
        world.account.add_counterparty("ООО Пример", PHONE)
        profile = await looked_up(world)
        assert profile is not None
        assert profile.name == "ООО Пример"


async def test_a_contact_person_has_the_own_name_and_the_owner_of_the_company(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        company = world.account.add_counterparty("ООО Пример", "+74950001234", owner=world.account.employee_at("151"))
        world.account.add_person(company, "Сидоров Семён", "+74950001235")
        person = world.account.add_person(company, "Орлова Ольга", f"+{PHONE}")
        profile = await looked_up(world)
        assert profile is not None
        assert (profile.name, profile.external_id, profile.extension) == ("Орлова Ольга", person.person_id, "151")
        assert len(world.asked) == 3


async def test_nobody_is_nobody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        assert await looked_up(world) is None
        assert await looked_up(world, "") is None
        assert len(world.asked) == 2


async def test_without_a_token_nobody_is_asked(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"api_token": ""}) as world:
        assert await looked_up(world) is None
        assert world.asked == []


@pytest.mark.parametrize(
    ("kind", "how", "problem"),
    [
        (FaultKind.CLOSE, {}, Problem.CONNECTION),
        (FaultKind.GARBAGE, {}, Problem.BAD_ANSWER),
        (FaultKind.ANSWER, {"status": 200, "body": b'{"rows": 1}'}, Problem.BAD_ANSWER),
        (FaultKind.ANSWER, {"status": 503}, Problem.SERVER_ERROR),
        (FaultKind.ANSWER, {"status": 415, "body": b""}, Problem.REJECTED),
    ],
)
async def test_a_look_up_that_fails_says_why(
    kind: FaultKind, how: dict[str, Any], problem: Problem, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(kind, **how)
        assert (await failed(world)).problem is problem


async def test_a_refused_token_is_said_without_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"api_token": "HUSHHUSH"}) as world:
        error = await failed(world)
        assert (error.problem, str(error)) == (Problem.UNAUTHORIZED, "http=401, code 1056")


async def test_a_burst_of_look_ups_keeps_the_limit_of_the_dearest_tokens(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, weight=4.0) as world:
        world.fake.latency_seconds = 0.05

        async def one(number: int) -> None:
            await world.crm.look_up(f"3752900{number:05}")

        async with trio.open_nursery() as asked:
            for number in range(100):
                asked.start_soon(one, number)
        assert len(world.asked) == 200
        assert not world.fake.violations
        assert max(world.fake.peaks.values()) <= 1.0


async def test_who_waits_for_a_look_up_does_not_wait_for_the_line(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        for _ in range(5):
            await looked_up(world)
        assert (await failed(world)).problem is Problem.RATE_LIMIT


# the examination


async def examined(world: World, language: str = "en") -> list[Finding]:
    return list(await world.crm.examine(language=language))


async def test_all_is_well(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        findings = await examined(world)
        assert [(each.is_ok, each.text) for each in findings] == [
            (True, "calls: МойСклад accepts integration_code"),
            (True, "employee_mapping: all 2 extensions are known to МойСклад"),
            (True, "names: МойСклад accepts api_token"),
        ]
        assert world.account.calls == {}


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_wrong_keys_are_told_with_what_to_do(language: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"integration_code": "HUSH1", "api_token": "HUSH2"}) as world:
        findings = await examined(world, language)
        assert [each.is_ok for each in findings] == [False, False]
        assert all("http=401, code 1056" in each.text and each.advice for each in findings)
        assert ["integration_code" in findings[0].advice, "api_token" in findings[1].advice] == [True, True]
        assert "unauthorized" not in str(findings)
        assert "HUSH" not in str(findings)


@pytest.mark.parametrize(("language", "word"), [("en", "Connect the telephony solution"), ("ru", "Подключите телефонию")])
async def test_missing_telephony_is_told(language: str, word: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.account.has_phone_solution = False
        first = (await examined(world, language))[0]
        assert (first.is_ok, first.advice.startswith(word)) == (False, True)


async def test_people_who_are_not_there_are_named_by_their_extensions(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    gone = "00000000-0000-0000-0000-000000000000"
    mapping: dict[str, Any] = {"151": {"employee_id": gone}, "153": {}, "152": {}}
    async with moysklad(nursery, changes={"employee_mapping": mapping}) as world:
        wrong = [each.text for each in await examined(world) if not each.is_ok]
        assert wrong == [
            "employee_mapping: the employee of extension 151 is not among those who have an extension in МойСклад",
            "employee_mapping: nobody in МойСклад has extension 153",
        ]


async def test_people_with_another_extension_are_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        for employee in world.account.employees.values():
            employee.extension = "1" + employee.extension[1:][::-1]
        wrong = [each.text for each in await examined(world, "ru") if not each.is_ok]
        assert wrong == [
            "employee_mapping: у сотрудника с добавочным 151 в МойСклад добавочный 115",
            "employee_mapping: у сотрудника с добавочным 152 в МойСклад добавочный 125",
        ]


async def test_missing_settings_are_told_without_asking(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    changes: dict[str, Any] = {"enabled": False, "integration_code": "", "api_token": "", "employee_mapping": {}}
    async with moysklad(nursery, changes=changes) as world:
        assert [each.is_ok for each in await examined(world)] == [False, True]
        assert world.asked == []


async def test_an_empty_mapping_is_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery, changes={"employee_mapping": {}}) as world:
        assert "employee_mapping is empty: nobody gets a card" in [each.text for each in await examined(world)]


@pytest.mark.parametrize("kind", [FaultKind.CLOSE, FaultKind.GARBAGE, FaultKind.ANSWER])
async def test_an_examination_never_raises(kind: FaultKind, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with moysklad(nursery) as world:
        world.fake.fail(kind, times=None, status=200, body=b'{"employees": [1, {"meta": 2}, {"extention": 3}]}')
        findings = await examined(world)
        assert not all(each.is_ok for each in findings)
        assert not any(KEY in str(each) or TOKEN in str(each) for each in findings)
