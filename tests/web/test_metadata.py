"""Lines and managers by name."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from gateway.ports import LineConfig, ManagerConfig
from gateway.web.metadata_shapes import full_name, line_name, operator_of, short_name
from tests.web.inside import EVERYBODY, JUNE, Inside, open_inside


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("A1 основная", "A1"),
        ("А1 основная", "A1"),
        ("офис а1", "A1"),
        ("А1офис", "A1"),
        ("Velcom 2", "A1"),
        ("велком", "A1"),
        ("МТС", "МТС"),
        ("mts резерв", "МТС"),
        ("МTC", "МТС"),
        ("Life:) дом", "life:)"),
        ("sip-1", "SIP"),
        ("BA1", "GSM"),
        ("A12", "GSM"),
        ("Основная", "GSM"),
        ("", "Unknown"),
    ],
)
def test_the_operator_of_a_gsm_line_is_told_by_its_name(name: str, operator: str) -> None:
    assert operator_of(LineConfig(line_id="0001363", name=name)) == operator


def test_the_operator_is_the_one_that_is_configured() -> None:
    assert operator_of(LineConfig(line_id="0001363", name="МТС", operator="Билайн")) == "Билайн"
    assert operator_of(LineConfig(line_id="office", name="МТС", operator="Билайн")) == "Билайн"


@pytest.mark.parametrize("line_id", ["office", "000136", "00013630"])
def test_what_is_no_gsm_line_is_a_sip_line(line_id: str) -> None:
    assert operator_of(LineConfig(line_id=line_id, name="МТС")) == "SIP"


def test_a_line_without_a_name_is_called_by_its_id() -> None:
    assert line_name(LineConfig(line_id="0001363")) == "GSM-0001363"
    assert line_name(LineConfig(line_id="office")) == "office"


@pytest.mark.parametrize(
    ("names", "full", "short"),
    [
        (("Петрова", "Анна", "Игоревна"), "Петрова Анна Игоревна", "Петрова А.И."),
        (("Петрова", "Анна", ""), "Петрова Анна", "Петрова А."),
        (("Петрова", "", ""), "Петрова", "Петрова"),
        (("", "Анна", "Игоревна"), "Анна Игоревна", "Анна"),
        (("", "", ""), None, None),
    ],
)
def test_the_names_of_a_manager(names: tuple[str, str, str], full: str | None, short: str | None) -> None:
    last, first, middle = names
    manager = ManagerConfig(extension="151", last_name=last, first_name=first, middle_name=middle)
    assert (full_name(manager), short_name(manager)) == (full, short)


@pytest.mark.parametrize("key", ["0367", "june", "375290000900"])
async def test_a_manager_is_found(inside: Inside, key: str) -> None:
    assert await inside.get(f"/metadata/{key}/manager/151") == {
        "enterprise_number": "0367",
        "internal_phone": "151",
        "full_name": "Петрова Анна Игоревна",
        "short_name": "Петрова А.И.",
        "personal_phone": "375290000151",
        "follow_me_number": None,
        "follow_me_enabled": False,
        "user_id": None,
        "exists": True,
    }


async def test_a_manager_without_a_name_has_none(inside: Inside) -> None:
    answer = await inside.get("/metadata/0367/manager/152")
    assert (answer["full_name"], answer["short_name"], answer["personal_phone"], answer["exists"]) == (None, None, None, True)


async def test_a_line_is_found(inside: Inside) -> None:
    assert await inside.get("/metadata/june/line/0001363") == {
        "enterprise_number": "0367",
        "line_id": "0001363",
        "name": "А1 основная",
        "operator": "A1",
        "exists": True,
    }


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/metadata/june/line/0009999", "Line 0009999 not found for enterprise 0367"),
        ("/metadata/june/manager/999", "Manager 999 not found for enterprise 0367"),
        ("/metadata/0999/line/0001363", "Enterprise not found"),
        ("/metadata/0999/manager/151", "Enterprise not found"),
        ("/metadata/0999/lines", "Enterprise not found"),
        ("/metadata/0999/managers", "Enterprise not found"),
        (f"/metadata/{JUNE.secret}/lines", "Enterprise not found"),
    ],
)
async def test_what_is_not_there_is_404(inside: Inside, path: str, detail: str) -> None:
    response = await inside.ask("GET", path)
    assert (response.status, response.json) == (404, {"detail": detail})


async def test_all_lines_are_listed_with_every_key(inside: Inside) -> None:
    answer = await inside.get("/metadata/0367/lines")
    assert (answer["enterprise_number"], answer["lines_count"]) == ("0367", 3)
    assert answer["lines"]["0001363"] == {
        "line_id": "0001363",
        "type": "GSM",
        "name": "А1 основная",
        "operator": "A1",
        "incoming_transform": "+375{9}",
        "internal_id": None,
        "phone": None,
        "prefix": None,
        "goip_name": None,
        "goip_ip": None,
        "shop_name": None,
        "provider_id": None,
        "in_schema": None,
        "out_schema": None,
    }
    assert {line_id: (line["name"], line["operator"], line["type"]) for line_id, line in answer["lines"].items()} == {
        "0001363": ("А1 основная", "A1", "GSM"),
        "0001364": ("GSM-0001364", "Unknown", "GSM"),
        "office": ("Офис", "Билайн", "SIP"),
    }


async def test_all_managers_are_listed_and_no_password(inside: Inside) -> None:
    answer = await inside.get("/metadata/0367/managers")
    assert (answer["enterprise_number"], answer["managers_count"]) == ("0367", 2)
    assert answer["managers"]["151"] == {
        "user_id": None,
        "full_name": "Петрова Анна Игоревна",
        "short_name": "Петрова А.И.",
        "last_name": "Петрова",
        "first_name": "Анна",
        "patronymic": "Игоревна",
        "personal_phone": "375290000151",
        "follow_me_number": None,
        "follow_me_enabled": False,
    }
    assert "password" not in str(answer)


async def test_an_enterprise_without_lines_and_managers_has_none(inside: Inside) -> None:
    assert await inside.get("/metadata/0368/lines") == {"enterprise_number": "0368", "lines_count": 0, "lines": {}}
    assert await inside.get("/metadata/0368/managers") == {"enterprise_number": "0368", "managers_count": 0, "managers": {}}


async def test_how_much_is_known(inside: Inside) -> None:
    assert await inside.get("/metadata/stats") == {
        "enterprises": len(EVERYBODY),
        "total_lines": 3,
        "total_managers": 2,
        "last_updates": {config.number: "2026-03-02T09:00:00+00:00" for config in EVERYBODY},
        "memory_enterprises": [config.number for config in EVERYBODY],
    }


async def test_a_refresh_of_one_reads_that_one(inside: Inside) -> None:
    await rename(inside)
    response = await inside.ask("POST", "/metadata/june/refresh")
    assert (response.status, response.json) == (
        200,
        {"message": "Metadata refreshed for enterprise 0367", "enterprise_number": "0367", "timestamp": "2026-03-02T09:00:00+00:00"},
    )
    assert (await inside.get("/metadata/0367/manager/151"))["short_name"] == "Орлова В."


async def test_a_refresh_of_all_reads_all(inside: Inside) -> None:
    await rename(inside)
    response = await inside.ask("POST", "/metadata/refresh-all")
    assert response.json | {"message": ""} == {
        "message": "",
        "loaded_enterprises": len(EVERYBODY),
        "timestamp": "2026-03-02T09:00:00+00:00",
    }
    assert (await inside.get("/metadata/0367/manager/151"))["short_name"] == "Орлова В."


async def rename(inside: Inside) -> None:
    manager = ManagerConfig(extension="151", last_name="Орлова", first_name="Вера")
    await inside.store.upsert_enterprises([attrs.evolve(JUNE, managers=(manager,))])
    assert (await inside.get("/metadata/0367/manager/151"))["short_name"] == "Петрова А.И."


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/metadata/stats"),
        ("GET", "/metadata/0367/lines"),
        ("GET", "/metadata/0367/managers"),
        ("GET", "/metadata/0367/line/0001363"),
        ("GET", "/metadata/0367/manager/151"),
        ("POST", "/metadata/0367/refresh"),
        ("POST", "/metadata/refresh-all"),
    ],
)
async def test_before_the_first_reading_there_is_no_metadata(method: str, path: str) -> None:
    async with open_inside(is_read=False) as inside:
        response = await inside.ask(method, path)
    body: Any = response.json
    assert (response.status, body, response.headers["retry-after"]) == (503, {"detail": "Metadata cache not initialized"}, "5")
