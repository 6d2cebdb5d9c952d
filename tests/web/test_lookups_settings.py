"""The settings of integrations: shown without secrets, put one table at a time."""

from collections.abc import AsyncIterator

import pytest

from tests.web.inside import API_KEY, AUTUMN, HOOK, JUNE, Inside, open_inside


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


async def test_settings_are_shown_without_secrets(inside: Inside) -> None:
    response = await inside.ask("GET", "/config/june")
    assert response.json == {
        "enterprise_number": "0367",
        "integrations": {
            "retailcrm": {"enabled": True, "domain": "https://store.example", "api_key": "***", "user_extensions": {"19": "150"}},
            "uon": {"enabled": False, "api_key": "***"},
            "bitrix24": {"enabled": True, "incoming_webhook": "https://portal.example/***", "webhook_token": "***"},
            "smart": {"primary": "retailcrm"},
        },
        "problems": ["integrations.bitrix24: this version cannot speak to this CRM"],
        "source": "cache",
        "cached_at": "2026-03-02T09:00:00+00:00",
    }
    for secret in (API_KEY, HOOK, "HookCode", "123456", JUNE.secret, JUNE.bot_token):
        assert secret not in response.body.decode()


@pytest.mark.parametrize("damaged", ["5", '"text"', "[]", '{"retailcrm": "s3cret-in-clear", "ms": {"enabled": true}}'])
async def test_damaged_settings_are_told_for_that_enterprise_alone(inside: Inside, damaged: str) -> None:
    inside.store.put_integrations("0367", damaged)
    await inside.ask("POST", "/cache/refresh")
    answer = await inside.get("/config/0367")
    assert answer["problems"]
    assert "s3cret-in-clear" not in str(answer)
    assert (await inside.get("/config/0368"))["problems"] == []
    assert (await inside.ask("PUT", "/config/0367/retailcrm", {"enabled": True, "domain": "store.example", "api_key": "key"})).status == 200
    assert (await inside.get("/integrations/0367"))["integrations"]["retailcrm"] is True


async def test_settings_that_are_not_in_memory_come_from_the_database() -> None:
    async with open_inside(is_read=False) as inside:
        assert (await inside.get("/config/0367"))["source"] == "database"
        assert (await inside.get("/config/0367"))["source"] == "cache"


async def test_settings_of_nobody_are_404(inside: Inside) -> None:
    for path, detail in (
        ("/config/0999", "No integration configurations found for enterprise 0999"),
        (f"/config/{JUNE.secret}", "No integration configurations found for enterprise ***"),
        ("/config/0367/ms", "Integration 'ms' not configured for enterprise 0367"),
        ("/config/0368/retailcrm", "Integration 'retailcrm' not configured for enterprise 0368"),
        ("/config/0999/retailcrm", "Enterprise not found"),
    ):
        response = await inside.ask("GET", path)
        assert (response.status, response.json) == (404, {"detail": detail})


async def test_one_table_is_shown_by_itself(inside: Inside) -> None:
    assert await inside.get("/config/0367/uon") == {
        "enterprise_number": "0367",
        "integration_type": "uon",
        "config": {"enabled": False, "api_key": "***"},
        "source": "cache",
    }


async def test_a_table_that_is_put_is_what_the_next_look_up_sees(inside: Inside) -> None:
    body = {"enabled": True, "api_key": "UonKey-9876543210-zyxw"}
    response = await inside.ask("PUT", "/config/june/uon", body)
    assert response.json == {
        "status": "success",
        "message": "Configuration of uon updated for enterprise 0367",
        "enterprise_number": "0367",
    }
    assert (await inside.get("/integrations/0367"))["integrations"]["uon"] is True
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == {**JUNE.integrations, "uon": body}


async def test_what_was_shown_can_be_put_back_without_losing_a_secret(inside: Inside) -> None:
    for name in ("retailcrm", "uon", "bitrix24", "smart"):
        shown = (await inside.get(f"/config/0367/{name}"))["config"]
        assert (await inside.ask("PUT", f"/config/0367/{name}", shown)).status == 200
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == JUNE.integrations


@pytest.mark.parametrize(
    ("name", "body", "status", "detail"),
    [
        ("retailcrm", {"enabled": True, "api_key": "***abcd"}, 422, "integrations.retailcrm: api_key: is masked"),
        ("ms", {"enabled": True, "api_token": "***"}, 422, "integrations.ms: api_token: is masked"),
        ("retailcrm", {"enabled": "yes"}, 422, "enabled: must be true or false"),
        ("retailcrm", {"enabled": True, "x": None}, 422, '"x": is null'),
        ("retailcrm", {"enabled": True, "x": {"y": [1, None]}}, 422, '"x.y[1]": is null'),
        ("retailcrm", {"enabled": True, "x": "a\0b"}, 422, "NUL"),
        ("smart", {"primary": "amocrm"}, 422, "primary"),
        ("own", {"enabled": True, "url": "https://crm.example/x", "secret": "s3cret-in-clear"}, 422, "secret"),
        ("amocrm", {"enabled": True}, 422, "there is no integration"),
        ("retailcrm", b"[]", 422, "not a JSON object"),
        ("retailcrm", b"{", 422, "not JSON"),
        ("retailcrm", b"", 422, "not JSON"),
    ],
)
async def test_a_table_that_cannot_be_meant_is_refused_and_changes_nothing(
    inside: Inside, name: str, body: object, status: int, detail: str
) -> None:
    response = await inside.ask("PUT", f"/config/0367/{name}", body)
    assert response.status == status
    assert detail in response.json["detail"]
    assert "s3cret-in-clear" not in response.body.decode()
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == JUNE.integrations


async def test_a_table_for_nobody_is_404(inside: Inside) -> None:
    response = await inside.ask("PUT", "/config/0999/retailcrm", {"enabled": True})
    assert (response.status, response.json) == (404, {"detail": "Enterprise not found"})


async def test_a_table_of_an_enterprise_that_is_gone_is_404(inside: Inside) -> None:
    async with open_inside([JUNE]) as other:
        other.rooms.directory.replace([JUNE, AUTUMN])
        assert (await other.ask("PUT", "/config/0369/uon", {"enabled": False})).status == 404
