"""Integrations: set one by one by whoever has its settings; what somebody has broken is the trouble of one enterprise."""

import json
from types import MappingProxyType
from typing import Any

import pytest
import trio

from gateway.errors import ConfigurationError
from gateway.ports import Store
from tester.houses import House
from tester.samples import NUMBER, enterprise

DEEP = '{"retailcrm": ' + '{"a": ' * 60 + "1" + "}" * 61
# The JSON that an administrator has written, and what is said of it.
BROKEN = (
    ('"retailcrm"', "integrations_config is a text instead of an object"),
    ("[1, {}]", "integrations_config is a list instead of an object"),
    ("5.5", "integrations_config is a number instead of an object"),
    ("true", "integrations_config is true or false instead of an object"),
    ("null", "integrations_config is null instead of an object"),
    (DEEP, "integrations_config is nested more than 40 levels deep"),
    ('{"retailcrm": ' + "9" * 5000 + "}", "integrations_config cannot be read (ValueError)"),
    ('{"retailcrm": ' + "[" * 1500 + "]" * 1500 + "}", "integrations_config "),  # by whom it is refused depends on Python
)


async def integrations(store: Store, number: str = NUMBER) -> Any:
    [config] = await store.enterprises_by_key(number)
    return config.integrations


# finding


async def test_an_enterprise_is_found_by_number_token_secret_and_name(store: Store) -> None:
    first, second = enterprise(NUMBER, name="june", secret="hidden"), enterprise("0270", name="july")
    await store.upsert_enterprises([first, second])
    for key in (NUMBER, "june", "hidden", first.token):
        assert list(await store.enterprises_by_key(key)) == [first]
    for key in ("", "nobody", "JUNE", "367", "\0", "\ud800", "9" * 5000):
        assert list(await store.enterprises_by_key(key)) == []


async def test_a_key_of_several_enterprises_finds_them_all(store: Store) -> None:
    configs = [enterprise("0270", name="june"), enterprise(NUMBER, name="june"), enterprise("0500", name=NUMBER)]
    await store.upsert_enterprises(configs)
    assert [one.number for one in await store.enterprises_by_key("june")] == ["0270", NUMBER]
    assert [one.number for one in await store.enterprises_by_key(NUMBER)] == [NUMBER, "0500"]


# setting


async def test_an_integration_is_set_without_touching_the_others(store: Store) -> None:
    await store.upsert_enterprises(
        [enterprise("0270"), enterprise(integrations={"ms": {"enabled": True}, "uon": {"api_key": "old", "a": 1}})]
    )
    assert await store.set_integration(NUMBER, "uon", MappingProxyType({"api_key": "new", "list": (1, 2.5)})) is True
    assert await integrations(store) == {"ms": {"enabled": True}, "uon": {"api_key": "new", "list": [1, 2.5]}}
    assert await integrations(store, "0270") == enterprise("0270").integrations
    assert await store.set_integration("9999", "uon", {}) is False


async def test_two_integrations_set_at_once_are_both_there(store: Store) -> None:
    await store.upsert_enterprises([enterprise(integrations={})])

    async def put(integration: str) -> None:
        for revision in range(10):
            await store.set_integration(NUMBER, integration, {"revision": revision})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, "ms")
        nursery.start_soon(put, "uon")
    assert await integrations(store) == {"ms": {"revision": 9}, "uon": {"revision": 9}}


@pytest.mark.parametrize("config", [{"key": "a\0"}, {"key": ["\ud800"]}, {"at": object()}, {"number": float("nan")}])
async def test_settings_that_cannot_be_stored_are_refused_without_a_value(store: Store, config: dict[str, Any]) -> None:
    await store.upsert_enterprises([enterprise(integrations={"uon": {"api_key": "secret"}})])
    with pytest.raises(ConfigurationError) as refused:
        await store.set_integration(NUMBER, "uon", {"api_key": "secret", **config})
    assert "secret" not in str(refused.value)
    assert await integrations(store) == {"uon": {"api_key": "secret"}}


async def test_settings_nested_too_deep_are_refused(store: Store) -> None:
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"a": deep}
    await store.upsert_enterprises([enterprise()])
    for refused in (store.set_integration(NUMBER, "uon", deep), store.upsert_enterprises([enterprise(integrations=deep)])):
        with pytest.raises(ConfigurationError, match="nested more than 40 levels"):
            await refused
    assert await integrations(store) == enterprise().integrations


# what is broken


@pytest.mark.parametrize(("text", "problem"), BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_integrations_config_is_said_and_the_others_are_read_as_before(house: House, text: str, problem: str) -> None:
    store = house.store
    await store.upsert_enterprises([enterprise("0270"), enterprise(), enterprise("0500")])
    await house.put_integrations(NUMBER, text)
    before, broken, after = await store.enterprises()
    assert (before, after) == (enterprise("0270"), enterprise("0500"))
    assert broken.integrations == {}
    assert broken.integrations_problem.startswith(problem)
    assert (broken.lines, broken.managers, broken.subscribers) == (enterprise().lines, enterprise().managers, enterprise().subscribers)
    assert list(await store.enterprises_by_key(NUMBER)) == [broken]
    assert list(await store.recipients(NUMBER)) != []


async def test_nonsense_within_the_object_is_kept_as_given(house: House) -> None:
    nonsense: dict[str, Any] = {"retailcrm": 5, "ms": [None], "smart": "off", "": {"a": {"b": {"c": []}}}, "big": 10**400}
    await house.store.upsert_enterprises([enterprise()])
    await house.put_integrations(NUMBER, json.dumps(nonsense))
    [config] = await house.store.enterprises()
    assert (config.integrations, config.integrations_problem) == (nonsense, "")


@pytest.mark.parametrize("text", [text for text, _ in BROKEN[:5]])
async def test_setting_an_integration_makes_an_object_of_what_was_none(house: House, text: str) -> None:
    await house.store.upsert_enterprises([enterprise()])
    await house.put_integrations(NUMBER, text)
    assert await house.store.set_integration(NUMBER, "uon", {"enabled": True}) is True
    [config] = await house.store.enterprises()
    assert (config.integrations, config.integrations_problem) == ({"uon": {"enabled": True}}, "")


async def test_a_load_repairs_what_is_broken(house: House) -> None:
    store = house.store
    config = enterprise(integrations={})
    await store.upsert_enterprises([config])
    await house.put_integrations(NUMBER, "5")
    assert list(await store.upsert_enterprises([config])) == ["enterprise 0367: integrations that could not be read replaced"]
    assert list(await store.enterprises()) == [config]
    assert list(await store.upsert_enterprises([config])) == []
