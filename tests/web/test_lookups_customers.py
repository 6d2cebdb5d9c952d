"""Who calls: names, profiles, responsible people, enrichment and notices."""

from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from gateway.crm.base import CrmKind, CrmLookupFailed, Problem
from gateway.ports import CustomerProfile, NamedCustomer
from gateway.web import customer_desk
from tester.fakes.crm import HANG, LOOKUP_FAILS, Play
from tests.web.inside import JUNE, NOW, Inside, open_inside

PHONE = "375290001101"
ORLOVA = CustomerProfile(
    last_name="Орлова",
    first_name="Вера",
    source="retailcrm",
    external_id="77",
    phones=(PHONE, "375290001102"),
    extension="151",
    raw={"id": 77, "firstName": "Вера"},
)


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


async def test_a_name_is_null_and_then_the_one_of_the_crm(inside: Inside) -> None:
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
    await inside.ask("POST", "/cache/invalidate/0367")
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    assert await inside.get(f"/customer-name/june/%2B{PHONE}") == {"name": "Орлова Вера"}


async def test_a_name_of_the_database_asks_no_crm(inside: Inside) -> None:
    named = NamedCustomer(phone=PHONE, profile=CustomerProfile(enterprise_name="ООО Ромашка"), at=NOW)
    await inside.store.name_customer("0367", named)
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": "ООО Ромашка"}
    assert inside.crms[CrmKind.RETAILCRM].look_ups == []


@pytest.mark.parametrize("path", ["0999/375290001101", "twin/375290001101", "0367/151", "0367/unknown", f"{JUNE.secret}/375290001101"])
async def test_a_name_is_null_whatever_is_wrong(inside: Inside, path: str) -> None:
    assert await inside.get(f"/customer-name/{path}") == {"name": None}


async def test_a_name_is_null_without_store_or_crm(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].play_look_ups(LOOKUP_FAILS)
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
    inside.store.is_away = True
    assert await inside.get("/customer-name/0999/375290001103") == {"name": None}


async def test_a_name_is_null_in_time_when_the_crm_hangs(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_desk, "NAME_SECONDS", 0.05)
    inside.crms[CrmKind.RETAILCRM].play_look_ups(HANG, HANG, HANG)
    with trio.fail_after(1.5):
        assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
        assert (await inside.get(f"/customer-profile/0367/{PHONE}"))["last_name"] is None
        assert await inside.get(f"/responsible-extension/0367/{PHONE}") == {"extension": None}


async def test_a_profile_has_four_names_and_the_record_of_the_crm(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    assert await inside.get(f"/customer-profile/0367/{PHONE}") == {
        "last_name": "Орлова",
        "first_name": "Вера",
        "middle_name": None,
        "enterprise_name": None,
        "source": {"raw": {"id": 77, "firstName": "Вера"}, "type": "retailcrm"},
    }
    nobody = {"last_name": None, "first_name": None, "middle_name": None, "enterprise_name": None}
    assert await inside.get("/customer-profile/0367/375290001199") == nobody
    assert (await inside.ask("GET", f"/customer-profile/0999/{PHONE}")).status == 404


async def test_the_responsible_extension_is_cached_unless_it_must_be_asked_now(inside: Inside) -> None:
    crm = inside.crms[CrmKind.RETAILCRM]
    crm.profiles[PHONE] = ORLOVA
    path = f"/responsible-extension/0367/{PHONE}"
    assert await inside.get(path) == {"extension": "151"}
    crm.profiles[PHONE] = attrs.evolve(ORLOVA, extension="152")
    assert await inside.get(path) == {"extension": "151"}
    assert await inside.get(f"{path}?nocache=true") == {"extension": "152"}
    assert await inside.get(path) == {"extension": "152"}
    assert await inside.get("/responsible-extension/0367/375290001199") == {"extension": None}
    assert (await inside.ask("GET", f"/responsible-extension/0999/{PHONE}")).status == 404


# ── enrichment and notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_enrichment_writes_the_names_down_for_all_numbers_of_the_customer(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    old = CustomerProfile(last_name="Старая", source="ms")
    for phone in (PHONE, "375290001102"):
        await inside.store.name_customer("0367", NamedCustomer(phone=phone, profile=old, at=NOW))
    response = await inside.ask("POST", f"/enrich-customer/june/+{PHONE}")
    assert response.json == {
        "success": True,
        "full_name": "Орлова Вера",
        "source": "retailcrm",
        "external_id": "77",
        "person_uid": "retailcrm:77",
        "linked_phones": [f"+{PHONE}", "+375290001102"],
        "updated_count": 2,
        "is_primary_source": True,
    }
    for phone in (PHONE, "375290001102"):
        customer = await inside.store.customer("0367", phone)
        assert customer is not None
        assert customer.profile.name == "Орлова Вера"


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (None, "No customer profile found"),
        (attrs.evolve(ORLOVA, last_name="", first_name=""), "No name data in profile"),
        (attrs.evolve(ORLOVA, external_id=""), "No external_id found for retailcrm"),
    ],
)
async def test_an_enrichment_that_cannot_be_says_why_and_links_nobody(inside: Inside, profile: CustomerProfile | None, error: str) -> None:
    if profile is not None:
        inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = profile
    response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    assert (response.status, response.json) == (200, {"success": False, "error": error})
    assert await inside.store.customer("0367", PHONE) is None


@pytest.mark.parametrize(
    ("failure", "error"),
    [(Problem.BAD_ANSWER, "Invalid profile data"), (Problem.UNAUTHORIZED, "Customer look-up failed: unauthorized")],
)
async def test_an_enrichment_says_what_failed_at_the_crm(inside: Inside, failure: Problem, error: str) -> None:
    inside.crms[CrmKind.RETAILCRM].play_look_ups(Play(error=CrmLookupFailed(failure, "http=403")))
    response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    assert (response.status, response.json) == (200, {"success": False, "error": error})


async def test_an_enrichment_says_that_the_settings_of_the_primary_crm_are_wrong() -> None:
    async with open_inside([JUNE], wrong_settings=[CrmKind.RETAILCRM]) as inside:
        response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    error = "The settings of the primary CRM are wrong: integrations.x: domain: is missing; integrations.x: api_key: is missing"
    assert (response.status, response.json) == (200, {"success": False, "error": error})


@pytest.mark.parametrize("retailcrm", [{}, {"retailcrm": {**JUNE.integrations["retailcrm"], "enabled": False}}])
async def test_an_enrichment_says_that_the_primary_crm_is_switched_off(retailcrm: dict[str, object]) -> None:
    settings = {"uon": {"enabled": True, "api_key": "UonKey-1"}, **retailcrm}
    async with open_inside([attrs.evolve(JUNE, integrations=settings)]) as inside:
        response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    error = "The primary CRM retailcrm is switched off or not configured, see smart.primary"
    assert (response.status, response.json) == (200, {"success": False, "error": error})


async def test_an_enrichment_needs_integrations_an_enterprise_and_a_number(inside: Inside) -> None:
    for path, error in (("0368/375290001101", "No integrations configured"), ("0367/151", "No customer profile found")):
        assert (await inside.ask("POST", f"/enrich-customer/{path}")).json == {"success": False, "error": error}
    assert (await inside.ask("POST", f"/enrich-customer/0999/{PHONE}")).status == 404


async def test_a_company_is_linked_as_a_company(inside: Inside) -> None:
    profile = attrs.evolve(ORLOVA, enterprise_name="ООО Ромашка", is_company=True)
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = profile
    answer = (await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")).json
    assert (answer["full_name"], answer["person_uid"]) == ("ООО Ромашка", "retailcrm_corp:77")
    assert (await inside.get(f"/customer-profile/0367/{PHONE}"))["source"]["type"] == "retailcrm_corporate"


async def test_a_notice_goes_to_the_people_it_is_for() -> None:
    settings = {"uon": {"enabled": True}, "smart": {"primary": "uon"}}
    async with open_inside([attrs.evolve(JUNE, integrations=settings)]) as inside:
        body = {"enterprise_number": "0367", "phone": f"+{PHONE}", "extension": "152", "extensions_all": ["151", "152", "x", None]}
        response = await inside.ask("POST", "/notify/incoming", body)
        (notice,) = inside.crms[CrmKind.UON].notices
    assert (response.status, response.json) == (200, {"success": True, "provider": "uon", "status": "delivered"})
    assert (notice.phone, notice.extensions) == (PHONE, ("152", "151"))


@pytest.mark.parametrize("number", ["0368", "0369"])
async def test_a_notice_for_a_crm_that_has_none_is_not_implemented(inside: Inside, number: str) -> None:
    response = await inside.ask("POST", "/notify/incoming", {"enterprise_number": number, "phone": PHONE, "extension": "151"})
    assert response.json == {"success": False, "provider": "retailcrm", "error": "provider_not_implemented"}


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "enterprise_number required"),
        (b"{", 400, "enterprise_number required"),
        (b"[]", 400, "enterprise_number required"),
        ({"enterprise_number": ["0367"]}, 400, "enterprise_number required"),
        ({"enterprise_number": "0367"}, 400, "phone required"),
        ({"enterprise_number": "0999", "phone": PHONE}, 404, "Enterprise not found"),
    ],
)
async def test_a_notice_that_is_none_is_refused(inside: Inside, body: object, status: int, detail: str) -> None:
    response = await inside.ask("POST", "/notify/incoming", body)
    assert (response.status, response.json) == (status, {"detail": detail})
