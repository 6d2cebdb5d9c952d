"""Names, companies and owners from RetailCRM, and what the doctor finds there."""

from collections.abc import Sequence
from typing import Any, cast

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.crm.base import CrmLookupFailed, Finding, Problem
from gateway.crm.limits import Window
from gateway.crm.retailcrm_examination import examine
from gateway.crm.retailcrm_lookup import CUSTOMERS_PATH, MANAGER_PATH, customer_with, look_up
from gateway.crm.retailcrm_settings import settings_of
from gateway.crm.retailcrm_wire import Said
from gateway.ports import CustomerProfile
from tester.fakes.crm_faults import FaultKind
from tests.crm.retail import KEY, SETTINGS, push, retail_house
from tests.crm.told import PHONE, RUNG

CUSTOMERS, CORPORATE = r"/customers\?", "customers-corporate"
IVANOV = {"last_name": "Иванов", "first_name": "Пётр", "patronymic": "Ильич"}


async def test_one_question_gives_name_and_owner(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        customer = house.fake.add_customer("+375 (29) 000-12-34", "+375290005678", manager_id=27, **IVANOV)
        found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert (found.name, found.extension, found.source) == ("Иванов Пётр Ильич", "151", "retailcrm")
        assert (found.external_id, found.phones, found.is_company) == (str(customer.customer_id), (PHONE, "375290005678"), False)
        assert found.raw is not None
        assert found.raw["id"] == customer.customer_id
        assert [each.request.path for each in house.fake.requests] == ["/api/v5/telephony/manager", "/api/v5/customers-corporate"]


async def test_the_own_mapping_goes_before_the_code_there(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(PHONE, manager_id=30, **IVANOV)
        for mapping, extension in (({}, "153"), ({"30": "777"}, "777")):
            found = await house.adapter(user_extensions=mapping).look_up(PHONE)
            assert found is not None
            assert found.extension == extension


async def test_somebody_whom_the_telephone_does_not_know_is_searched_for(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(PHONE, manager_id=28, **IVANOV)
        # As keys without the right to telephony meet it.
        house.fake.keys[KEY] = ("customers",)
        found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert (found.name, found.extension) == ("Иванов Пётр Ильич", "152")
        assert house.fake.received(CUSTOMERS)[0].request.query == {"filter[name]": PHONE, "limit": "20"}


def telephone_says(content: dict[str, Any], *cards: dict[str, Any]) -> CustomerProfile | None:
    """What is made of this answer of the telephone's, where the search gives these cards."""

    async def get(path: str, query: Sequence[tuple[str, str]]) -> Said:
        await trio.lowlevel.checkpoint()
        return Said(content=content if path == MANAGER_PATH else {"customers": list(cards)} if path == CUSTOMERS_PATH else {})

    return trio.run(look_up, settings_of(SETTINGS), PHONE, get)


@pytest.mark.parametrize(
    "customer", [{}, {"id": 1, "firstName": "Чужой"}, {"id": 1, "firstName": "Чужой", "phones": [{"number": f"{PHONE}9"}]}]
)
def test_whom_the_telephone_names_without_this_number_is_a_stranger_and_so_is_the_manager(customer: dict[str, Any]) -> None:
    answer = {"customer": customer, "manager": {"id": 27, "code": "151"}}
    assert telephone_says(answer) is None
    found = telephone_says(answer, {"id": 2, "firstName": "Пётр", "managerId": 28, "phones": [{"number": PHONE}]})
    assert found is not None
    assert (found.name, found.external_id, found.extension) == ("Пётр", "2", "152")


def test_whom_the_telephone_names_without_numbers_is_believed_once_the_card_has_this_number() -> None:
    answer = {"customer": {"id": 2, "firstName": "Пётр"}, "manager": {"id": 30, "code": "153"}}
    found = telephone_says(answer, {"id": 2, "firstName": "Пётр", "phones": [{"number": PHONE}]})
    assert found is not None
    assert (found.name, found.extension) == ("Пётр", "153")


async def test_nobody_is_nobody_even_where_filters_are_ignored(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(f"{PHONE}9", **IVANOV)
        assert await house.adapter().look_up(PHONE) is None
        assert await house.adapter().look_up("") is None
        assert house.fake.received(CUSTOMERS)


def test_of_several_cards_the_first_with_a_name_is_taken() -> None:
    cards: list[dict[str, Any]] = [
        {"id": 1, "firstName": "Чужой", "phones": [{"number": "+375290009999"}]},
        {"id": 2, "firstName": "+375290001234", "phones": [{"number": "+375290001234"}]},
        {"id": 3, "firstName": "Пётр", "phones": [{"number": "80290001111"}, {"number": "375-29-000-12-34"}]},
    ]
    assert (customer_with(PHONE, cards) or {})["id"] == 3
    assert (customer_with(PHONE, cards[:2]) or {})["id"] == 2
    assert customer_with(PHONE, cards[:1]) is None


async def test_a_card_that_is_called_by_its_number_is_nameless(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(PHONE, first_name=f"+{PHONE}", manager_id=27)
        found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert (found.name, found.extension) == ("", "151")


@pytest.mark.parametrize("place", [0, 1])
async def test_the_company_wins_over_its_contact(nursery: trio.Nursery, autojump_clock: MockClock, place: int) -> None:
    async with retail_house(nursery) as house:
        other = house.fake.add_customer("375290007777", first_name="Анна")
        contact = house.fake.add_customer(PHONE, **IVANOV)
        contacts = [other, contact] if place else [contact, other]
        company = house.fake.add_corporate("ООО Ромашка", *contacts, manager_id=28)
        found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert (found.name, found.last_name, found.extension) == ("ООО Ромашка", "Иванов", "152")
        assert (found.external_id, found.is_company) == (str(company.corporate_id), True)


async def test_a_company_that_does_not_have_the_contact_is_not_believed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(PHONE, **IVANOV)
        stranger = house.fake.add_customer("375290007777", first_name="Анна")
        company = house.fake.add_corporate("ООО Чужие", stranger)
        body = {"success": True, "customersCorporate": [company.shown()]}
        house.fake.fail(FaultKind.ANSWER, path=CORPORATE, status=200, body=str(body).replace("'", '"').replace("True", "true").encode())
        found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert (found.name, found.is_company) == ("Иванов Пётр Ильич", False)


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.CLOSE, FaultKind.ANSWER])
async def test_a_name_does_not_wait_for_its_company(nursery: trio.Nursery, autojump_clock: MockClock, kind: FaultKind) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_customer(PHONE, **IVANOV)
        house.fake.fail(kind, path=CORPORATE)
        with trio.fail_after(1.5):
            found = await house.adapter().look_up(PHONE)
        assert found is not None
        assert found.name == "Иванов Пётр Ильич"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": FaultKind.CLOSE}, Problem.CONNECTION),
        ({"kind": FaultKind.GARBAGE}, Problem.BAD_ANSWER),
        ({"kind": FaultKind.ANSWER}, Problem.SERVER_ERROR),
        ({"kind": FaultKind.ANSWER, "path": CUSTOMERS}, Problem.SERVER_ERROR),
    ],
)
async def test_a_crm_that_fails_is_told_as_such(
    nursery: trio.Nursery, autojump_clock: MockClock, fault: dict[str, Any], problem: Problem
) -> None:
    async with retail_house(nursery) as house:
        house.fake.fail(**fault)
        with pytest.raises(CrmLookupFailed) as raised:
            await house.adapter().look_up(PHONE)
        assert raised.value.problem is problem


async def test_a_wrong_key_is_told_as_such(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        with pytest.raises(CrmLookupFailed, match=r'http=403: Wrong "apiKey" value\.') as raised:
            await house.adapter(api_key="another-key-0123456789").look_up(PHONE)
        assert raised.value.problem is Problem.UNAUTHORIZED


async def test_a_look_up_does_not_wait_for_a_limit_beyond_its_deadline(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.crm.retailcrm.TELEPHONY_RULES", (Window(1, 30.0),))
    async with retail_house(nursery) as house:
        crm = house.adapter()
        await push(crm, RUNG)
        start = trio.current_time()
        with pytest.raises(CrmLookupFailed) as raised, trio.move_on_after(2.5):
            await crm.look_up(PHONE)
        assert (raised.value.problem, trio.current_time()) == (Problem.RATE_LIMIT, start)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "customer", "manager", "customers", "phones", "number", "code", "firstName", "customersCorporate", "mainCompany"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_it_answers_no_look_up_and_no_examination_breaks(content: Any) -> None:
    async def get(path: str, query: Sequence[tuple[str, str]]) -> Said:
        await trio.lowlevel.checkpoint()
        known: dict[str, Any] = {"customer": content, "users": content, "pagination": content}
        if isinstance(content, dict):
            known = cast("dict[str, Any]", content)
        return Said(content=known)

    async def main() -> None:
        await look_up(settings_of(SETTINGS), PHONE, get)
        await examine(settings_of(SETTINGS), get, language="ru")

    trio.run(main)


# ---------------------------------------------------------------------- the doctor


def oks(findings: Sequence[Finding]) -> list[bool]:
    return [finding.is_ok for finding in findings]


async def test_a_good_account_has_nothing_to_complain_of(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        findings = await house.adapter(site="main").examine(language="en")
        assert [finding.text for finding in findings] == [
            "the address and the key are good",
            "the key has the right telephony: telling calls",
            "the key has the right customers: names of those who call",
            "users mapped and active: 2",
        ]
        assert oks(findings) == [True] * 4
        assert {each.request.method for each in house.fake.requests} == {"GET"}


async def test_what_is_wrong_is_said_with_what_to_do(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.add_user(31, active=False)
        house.fake.keys[KEY] = ("users",)
        findings = await house.adapter(site="other", user_extensions={"27": "151", "31": "154", "99": "155"}).examine(language="ru")
        assert [finding.text for finding in findings if not finding.is_ok] == [
            "у ключа нет права «телефония: передача звонков» (telephony/call/event, telephony/calls/upload, telephony/manager)",
            "у ключа нет права «клиенты: имена звонящих» (customers)",
            "site: у ключа нет магазина other",
            "пользователь 31 (добавочный 154) отключён",
            "пользователя 99 (добавочный 155) нет",
        ]
        assert all(finding.advice for finding in findings if not finding.is_ok)
        assert all("\n" not in finding.text + finding.advice for finding in findings)


@pytest.mark.parametrize(
    ("changes", "text", "advice"),
    [
        ({"api_key": "another-key-0123456789"}, 'http=403: Wrong "apiKey" value.', "does not know this API key"),
        ({"domain": "nobody.retailcrm.test"}, "http=404: Account does not exist.", "no account of RetailCRM at this address"),
        ({"domain": "nowhere.retailcrm.test"}, "the name does not resolve: Name or service not known", "its name resolves"),
    ],
)
async def test_an_account_that_cannot_be_asked(
    nursery: trio.Nursery, autojump_clock: MockClock, changes: dict[str, Any], text: str, advice: str
) -> None:
    async with retail_house(nursery) as house:
        (finding,) = await house.adapter(**changes).examine(language="en")
        assert (finding.is_ok, finding.text) == (False, f"RetailCRM does not accept us: {text}")
        assert advice in finding.advice


EVENT, UPLOAD, MANAGER = "/api/telephony/call/event", "/api/telephony/calls/upload", "/api/telephony/manager"


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({"credentials": [EVENT, UPLOAD, MANAGER, "/api/customers"]}, []),
        ({"credentials": ["/api/v5/telephony/call/event", "telephony/calls/upload", f"{MANAGER}/", "/api/v5/customers"]}, []),
        ({"credentials": ["/api/telephony/*", "/api/customers/*"]}, []),
        ({"credentials": ["/api/*"]}, []),
        ({"scopes": ["telephony_read", "telephony_write", "customer_read"]}, []),
        ({"credentials": [EVENT, MANAGER, "/api/customers"]}, ["telephony/calls/upload"]),
        ({"credentials": ["/api/telephony/setting/{code}", "/api/customers"]}, ["telephony/call/event", "telephony/calls/upload"]),
        ({"credentials": [EVENT, UPLOAD, MANAGER, "/api/customers/create", "/api/customers-corporate"]}, ["customers"]),
        ({"scopes": ["telephony_read", "customer_write"]}, ["telephony/call/event", "customers"]),
        ({"credentials": [], "scopes": []}, []),
    ],
)
def test_a_right_is_each_method_by_its_whole_name(content: dict[str, Any], missing: list[str]) -> None:
    async def get(path: str, query: Sequence[tuple[str, str]]) -> Said:
        await trio.lowlevel.checkpoint()
        return Said(content=content)

    async def main() -> Sequence[Finding]:
        return await examine(settings_of({**SETTINGS, "user_extensions": {}}), get, language="en")

    lacking = " ".join(finding.text for finding in trio.run(main) if not finding.is_ok)
    assert all(method in lacking for method in missing)
    assert bool(lacking) is bool(missing)
    assert "api/" not in lacking


async def test_no_mapping_is_no_mistake(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        findings = await house.adapter(user_extensions={}).examine(language="en")
        assert oks(findings) == [True] * 4
        assert "user_extensions is empty" in findings[-1].text


async def test_people_that_cannot_be_listed_are_said(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        house.fake.keys[KEY] = ("telephony", "customers")
        findings = await house.adapter().examine(language="en")
        assert findings[-1].text == "the people could not be checked: http=403: Access denied."
        assert "lacks a right" in findings[-1].advice


async def test_hundreds_of_people_are_looked_through(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with retail_house(nursery) as house:
        for user_id in range(1000, 1450):
            house.fake.add_user(user_id)
        findings = await house.adapter(user_extensions={"1449": "151"}).examine(language="en")
        assert findings[-1].text == "users mapped and active: 1"
        for user_id in range(2000, 2100):
            house.fake.add_user(user_id)
        assert attrs.asdict((await house.adapter().examine(language="en"))[-1]) == {
            "is_ok": True,
            "text": "too many users to check the mapping",
            "advice": "",
        }
