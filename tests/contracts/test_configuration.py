"""Enterprises: loading them says what changed, and nothing when nothing did."""

from types import MappingProxyType

import attrs
import pytest

from gateway.errors import ConfigurationError
from gateway.ports import LineConfig, ManagerConfig, Store
from tester.samples import BOT, enterprise


async def test_an_enterprise_comes_back_as_it_was_loaded(store: Store) -> None:
    config = enterprise(secret="s", language="en", final="replace", timezone="Europe/Warsaw", active=False)
    assert list(await store.upsert_enterprises([config])) == [
        "enterprise 0367: added",
        "enterprise 0367: integration retailcrm added",
        "enterprise 0367: line 0001363 added",
        "enterprise 0367: manager 151 added",
        "enterprise 0367: subscriber 1001 added",
    ]
    assert list(await store.enterprises()) == [config]


async def test_loading_the_same_again_changes_nothing(store: Store) -> None:
    configs = [enterprise("0270"), enterprise("0367", integrations=MappingProxyType({"smart": {"list": (1, 2.5, None, True), 7: "seven"}}))]
    await store.upsert_enterprises(configs)
    assert list(await store.upsert_enterprises(configs)) == []
    assert list(await store.upsert_enterprises(await store.enterprises())) == []
    assert [one.number for one in await store.enterprises()] == ["0270", "0367"]


async def test_each_change_is_named_without_its_value(store: Store) -> None:
    before = enterprise(
        lines=(LineConfig(line_id="1"), LineConfig(line_id="2", name="b")),
        managers=(ManagerConfig(extension="150"), ManagerConfig(extension="151", last_name="Петрова")),
        integrations={"ms": {"api_token": "old"}, "uon": {}},
    )
    await store.upsert_enterprises([before])
    after = attrs.evolve(
        before,
        name="new",
        token="375299999999",
        secret="hidden",
        active=False,
        lines=(LineConfig(line_id="2", name="c", operator="A1"), LineConfig(line_id="3")),
        managers=(ManagerConfig(extension="151", last_name="Сидорова", personal_phone="375290000152"),),
        integrations={"ms": {"api_token": "new"}, "bitrix24": {}},
        subscribers=(1002, 1002),
    )
    assert list(await store.upsert_enterprises([after])) == [
        f"enterprise 0367: {change}"
        for change in (
            "name changed",
            "token changed",
            "secret changed",
            "active changed",
            "integration bitrix24 added",
            "integration ms changed",
            "integration uon removed",
            "line 1 removed",
            "line 2: name, operator changed",
            "line 3 added",
            "manager 150 removed",
            "manager 151: last_name, personal_phone changed",
            "subscriber 1002 added",
        )
    ]
    assert list(await store.enterprises()) == [attrs.evolve(after, subscribers=(1001, 1002))]


async def test_lines_and_managers_come_in_the_order_of_their_keys(store: Store) -> None:
    lines = tuple(LineConfig(line_id=key) for key in ("b", "B", "a", "10", "9"))
    await store.upsert_enterprises([enterprise(lines=lines, managers=())])
    [config] = await store.enterprises()
    assert [line.line_id for line in config.lines] == ["10", "9", "B", "a", "b"]


async def test_enterprises_that_are_not_named_are_left_alone(store: Store) -> None:
    await store.upsert_enterprises([enterprise("0270"), enterprise("0367")])
    assert "enterprise 0500: added" in await store.upsert_enterprises([enterprise("0500")])
    assert list(await store.upsert_enterprises([])) == []
    assert [one.number for one in await store.enterprises()] == ["0270", "0367", "0500"]


async def test_who_left_is_not_subscribed_again_by_the_file(store: Store) -> None:
    await store.upsert_enterprises([enterprise()])
    await store.unsubscribe(bot_token=BOT, chat_id=1001)
    assert list(await store.upsert_enterprises([enterprise()])) == []
    assert list(await store.recipients("0367")) == []


async def test_the_subscribers_of_a_file_follow_a_new_bot(store: Store) -> None:
    await store.upsert_enterprises([enterprise()])
    changed = await store.upsert_enterprises([enterprise(bot_token="7:OTHER")])
    assert list(changed) == ["enterprise 0367: bot_token changed", "enterprise 0367: subscriber 1001 added"]
    assert [(one.chat_id, one.bot_token) for one in await store.recipients("0367")] == [(1001, "7:OTHER")]


async def test_two_enterprises_may_exchange_their_tokens(store: Store) -> None:
    await store.upsert_enterprises([enterprise("0270", token="1"), enterprise("0367", token="2")])
    await store.upsert_enterprises([enterprise("0270", token="2"), enterprise("0367", token="1")])
    assert [one.token for one in await store.enterprises()] == ["2", "1"]


@pytest.mark.parametrize(
    ("configs", "text"),
    [
        ([enterprise("0367", token="taken-token")], "enterprise 0367: token is already that of enterprise 0270"),
        ([enterprise("0367"), enterprise("0500", token="375293330367")], "enterprise 0500: token is already that of enterprise 0367"),
        ([enterprise("0367"), enterprise("0367")], "enterprise 0367: number is given twice"),
        ([enterprise("0367", token="")], "enterprise 0367: token is empty"),
        ([enterprise("")], "enterprise: number is empty"),
        ([enterprise("0367", bot_token="")], "enterprise 0367: subscriber without a bot_token"),
        ([enterprise("0367", lines=(LineConfig(line_id="1"),) * 2)], "enterprise 0367: line 1 is given twice"),
        ([enterprise("0367", managers=(ManagerConfig(extension="151"),) * 2)], "enterprise 0367: manager 151 is given twice"),
        ([enterprise("0367", name="a\0")], "enterprise 0367: a text holds a character that cannot be stored"),
        ([enterprise("0367", integrations={"ms": {"key": ["a\ud800"]}})], "enterprise 0367: a text holds a character that cannot be"),
        ([enterprise("0367", integrations={"ms": {"at": object()}})], "enterprise 0367: integrations cannot be written as JSON"),
        ([enterprise("0367", integrations={"ms": float("nan")})], "enterprise 0367: integrations cannot be written as JSON"),
    ],
)
async def test_what_cannot_be_stored_is_named_and_changes_nothing(store: Store, configs: list[object], text: str) -> None:
    known = enterprise("0270", token="taken-token")
    await store.upsert_enterprises([known])
    with pytest.raises(ConfigurationError) as refused:
        await store.upsert_enterprises([enterprise("0250"), *configs])  # pyright: ignore[reportArgumentType]
    assert str(refused.value).startswith(text)
    assert "taken-token" not in str(refused.value)
    assert list(await store.enterprises()) == [known]


async def test_no_secret_is_in_the_repr_of_an_enterprise(store: Store) -> None:
    await store.upsert_enterprises([enterprise(secret="hidden")])
    text = repr(list(await store.enterprises()))
    assert not any(secret in text for secret in ("TEST", "hidden", "375293330367", "api_key"))
