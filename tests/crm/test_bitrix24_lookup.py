"""Who has a number, and what the doctor finds."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmKind, CrmLookupFailed, Problem
from gateway.crm.bitrix24_answers import B24Trouble
from gateway.crm.bitrix24_lookup import first_id, profile_of_record, profile_of_search
from gateway.crm.bitrix24_settings import settings_of
from gateway.ports import CustomerProfile
from tester.fakes.bitrix24 import EntityKind
from tester.fakes.bitrix24_wire import QUERY_LIMIT_EXCEEDED
from tester.fakes.crm_faults import FaultKind
from tests.crm.portal import CODE, HOST, World, bitrix24
from tests.crm.told import PHONE

SETTINGS = settings_of({"incoming_webhook": f"https://{HOST}/rest/1/{CODE}/", "user_extensions": {"7": "107"}})


def narrow(world: World) -> None:
    """A webhook without the right "telephony"."""
    world.fake.access.webhooks.clear()
    world.fake.add_webhook(CODE, scopes=["crm"])


def kept(profile: CustomerProfile | None) -> tuple[Any, ...]:
    assert profile is not None
    names = (profile.last_name, profile.first_name, profile.middle_name, profile.enterprise_name)
    return (*names, profile.is_company, profile.external_id, profile.extension)


# search


async def test_a_contact_goes_before_a_company_and_a_company_before_a_lead(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        assert await world.crm.look_up(PHONE) is None
        people = world.fake.people
        people.add(EntityKind.LEAD, f"+{PHONE}", title="Заявка с сайта", assigned_to=3)
        profile = await world.crm.look_up(PHONE)
        assert kept(profile) == ("Заявка", "с", "сайта", "", False, "1", "")
        assert profile is not None
        assert profile.name == "Заявка с сайта"
        people.add(EntityKind.COMPANY, f"+{PHONE}", title="ООО «Ромашка»", assigned_to=2)
        assert kept(await world.crm.look_up(PHONE)) == ("", "", "", "ООО «Ромашка»", True, "1", "152")
        people.add(EntityKind.CONTACT, f"+{PHONE}", name="Анна", last_name="Иванова", assigned_to=1)
        profile = await world.crm.look_up(PHONE)
        assert kept(profile) == ("Иванова", "Анна", "", "", False, "1", "151")
        assert profile is not None
        assert (profile.source, profile.phones, profile.name) == (CrmKind.BITRIX24, (PHONE,), "Иванова Анна")
        assert world.asked == ["searchCrmEntities"] * 4


async def test_a_responsible_without_an_extension_there_has_the_one_of_the_settings(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with bitrix24(nursery, changes={"user_extensions": {"3": "153"}}) as world:
        world.fake.people.add(EntityKind.CONTACT, f"+{PHONE}", last_name="Иванова", assigned_to=3)
        profile = await world.crm.look_up(PHONE)
        assert profile is not None
        assert profile.extension == "153"


async def test_without_the_right_for_telephony_the_record_is_read(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        narrow(world)
        assert await world.crm.look_up(PHONE) is None
        people = world.fake.people
        people.add(EntityKind.LEAD, PHONE, title="Заявка", assigned_to=1)
        assert kept(await world.crm.look_up(PHONE)) == ("Заявка", "", "", "", False, "1", "151")
        people.add(EntityKind.COMPANY, PHONE, title="ООО «Ромашка»", assigned_to=2)
        assert kept(await world.crm.look_up(PHONE)) == ("", "", "", "ООО «Ромашка»", True, "1", "152")
        people.add(EntityKind.CONTACT, f"+{PHONE}", name="Анна", second_name="Петровна", last_name="Иванова", assigned_to=2)
        profile = await world.crm.look_up(PHONE)
        assert kept(profile) == ("Иванова", "Анна", "Петровна", "", False, "1", "152")
        assert profile is not None
        assert profile.phones == (PHONE,)
        # That the right is missing is asked once.
        assert world.asked == ["searchCrmEntities", "findbycomm", *["findbycomm", "get"] * 3]


async def test_a_right_for_telephony_that_is_given_later_is_noticed_after_an_hour(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        narrow(world)
        await world.crm.look_up(PHONE)
        world.fake.access.webhooks.clear()
        world.fake.add_webhook(CODE)
        await trio.sleep(3500)
        await world.crm.look_up(PHONE)
        await trio.sleep(101)
        await world.crm.look_up(PHONE)
        assert world.asked == ["searchCrmEntities", "findbycomm", "findbycomm", "searchCrmEntities"]


async def test_a_portal_that_cannot_say_is_told_from_one_that_knows_nobody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail_with(QUERY_LIMIT_EXCEEDED)
        with pytest.raises(CrmLookupFailed) as raised:
            await world.crm.look_up(PHONE)
        assert (raised.value.problem, raised.value.__context__) == (Problem.RATE_LIMIT, None)
        # The portal wants to be left alone for a second: who has less time is told so at once.
        with trio.move_on_after(0.5), pytest.raises(CrmLookupFailed) as raised:
            await world.crm.look_up(PHONE)
        assert (raised.value.problem, trio.current_time()) == (Problem.RATE_LIMIT, 0.0)
        assert await world.crm.look_up(PHONE) is None
        world.fake.fail(FaultKind.CLOSE)
        with pytest.raises(CrmLookupFailed) as raised:
            await world.crm.look_up(PHONE)
        assert raised.value.problem is Problem.CONNECTION


async def test_nobody_is_looked_up_without_a_number_and_noticed_outside_of_a_call(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery) as world:
        assert await world.crm.look_up("") is None
        assert await world.crm.notify_incoming(PHONE, ["151"]) is None
        assert world.asked == []


def test_what_a_portal_says_is_believed_as_far_as_it_can_be_read() -> None:
    rows: list[Any] = [
        None,
        {"CRM_ENTITY_TYPE": "DEAL"},
        {"CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 797, "NAME": None, "ASSIGNED_BY": []},
    ]
    assert kept(profile_of_search(rows, SETTINGS, PHONE)) == ("", "", "", "", False, "797", "")
    assert profile_of_search([], SETTINGS, PHONE) is None
    with pytest.raises(B24Trouble, match="no list"):
        profile_of_search({"a": 1}, SETTINGS, PHONE)
    row = {
        "CRM_ENTITY_TYPE": "CONTACT",
        "NAME": "Иванова Анна Петровна Мария",
        "ASSIGNED_BY_ID": "7",
        "ASSIGNED_BY": {"USER_PHONE_INNER": None},
    }
    assert kept(profile_of_search([row], SETTINGS, PHONE)) == ("Иванова", "Анна", "Петровна Мария", "", False, "", "107")


@pytest.mark.parametrize(
    ("found", "entity_id"),
    [({"CONTACT": ["5", 6]}, 5), ({"CONTACT": ["x", 6]}, 6), ({"LEAD": [1]}, None), ([], None), ({"CONTACT": 5}, None)],
)
def test_the_first_duplicate_is_taken(found: Any, entity_id: int | None) -> None:
    assert first_id(found, "CONTACT") == entity_id


def record_of(*phones: Any) -> dict[str, Any]:
    return {"ID": "5", "NAME": "Анна", "PHONE": list(phones), "ASSIGNED_BY_ID": 7}


def test_all_numbers_of_a_record_are_told() -> None:
    record = record_of({"VALUE": "+375 29 000-00-01"}, {"VALUE": ""}, "x", {"VALUE": "+375 (29) 000-12-34"})
    profile = profile_of_record("CONTACT", record, SETTINGS, PHONE)
    assert profile is not None
    assert (profile.phones, profile.extension, profile.name) == (("375290000001", PHONE), "107", "Анна")


@pytest.mark.parametrize("value", ["+375 29 000-00-01", "1234", f"{PHONE}0", f"8{PHONE}"])
def test_a_record_with_other_numbers_only_is_somebody_elses(value: str) -> None:
    assert profile_of_record("CONTACT", record_of({"VALUE": value}), SETTINGS, PHONE) is None


def test_a_record_that_tells_no_numbers_is_believed() -> None:
    profile = profile_of_record("CONTACT", record_of(), SETTINGS, PHONE)
    assert profile is not None
    assert (profile.phones, profile.name) == ((PHONE,), "Анна")


# the doctor


async def findings(world: World, language: str = "en") -> list[tuple[bool, str, str]]:
    return [(each.is_ok, each.text, each.advice) for each in await world.crm.examine(language=language)]


@pytest.mark.parametrize("as_application", [False, True])
async def test_a_healthy_portal_has_nothing_but_good_news(nursery: trio.Nursery, autojump_clock: MockClock, as_application: bool) -> None:
    async with bitrix24(nursery, as_application=as_application, strict=as_application) as world:
        door = "application" if as_application else "inbound webhook"
        assert await findings(world) == [
            (True, f"the portal {HOST} answers ({door})", ""),
            (True, "rights: telephony, crm, user", ""),
            (True, "it works as user 1", ""),
            (True, "calls may be registered", ""),
            (True, "the history of calls can be read", ""),
            (True, "people in user_extensions: 2, all are there", ""),
        ]
        assert world.fake.calls == []
        assert all(ok and any("а" <= letter <= "я" for letter in text) for ok, text, _ in await findings(world, "ru"))


async def test_a_webhook_that_may_not_register_is_found_without_registering(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, strict=True) as world:
        (bad,) = [each for each in await findings(world, "ru") if not each[0]]
        assert "WRONG_AUTH_TYPE" in bad[1]
        assert "подключите шлюз как приложение" in bad[2]
        assert (world.fake.calls, "register" in world.asked) == ([], False)


async def test_rights_and_people_that_are_missing_are_named(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    changes = {"user_extensions": {"1": "151", "2": "199", "44": "144"}, "default_user": "55"}
    async with bitrix24(nursery, changes=changes) as world:
        bad = [(text, advice) for ok, text, advice in await findings(world) if not ok]
        assert bad == [
            (
                "user 2 has extension 152 in Bitrix24 and 199 in user_extensions",
                "Calls go by user_extensions; make both the same so that calls from Bitrix24 find their way too.",
            ),
            ("user 44 of extension 144 is no active user of the portal", "Correct user_extensions or default_user."),
            ("default_user 55 is no active user of the portal", "Correct user_extensions or default_user."),
        ]
        narrow(world)
        bad = [(text, advice) for ok, text, advice in await findings(world) if not ok]
        assert bad[0] == ("rights that are missing: telephony, user", "Add these rights to the webhook or application.")
        assert len(bad) == 4


async def test_people_on_further_pages_are_found(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, changes={"user_extensions": {"120": "220"}}) as world:
        for number in range(4, 131):
            world.fake.people.add_user(str(number + 100))
        assert (await findings(world))[-1] == (True, "people in user_extensions: 1, all are there", "")
        assert world.asked.count("get") == 4


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_a_portal_that_does_not_answer_or_know_the_key_is_one_finding(
    nursery: trio.Nursery, autojump_clock: MockClock, language: str
) -> None:
    async with bitrix24(nursery) as world:
        world.fake.fail(FaultKind.CLOSE)
        ((ok, text, advice),) = await findings(world, language)
        assert (ok, text.startswith(f"{HOST}: no answer")) == (False, True)
        assert advice
        world.fake.access.webhooks.clear()
        ((ok, text, advice),) = await findings(world, language)
        assert (ok, "INVALID_CREDENTIALS" in text) == (False, True)
        assert advice.startswith("The portal does not know the inbound webhook" if language == "en" else "Портал не знает этот входящий")
        assert "incoming_webhook" in advice
