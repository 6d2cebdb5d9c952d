"""Which CRMs an enterprise has, whatever its settings hold."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm import registry
from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.checks import refused_targets
from gateway.crm.http import CrmHttp
from gateway.crm.own import OwnCrm, own_crm_maker
from gateway.crm.registry import Crms
from gateway.ports import EnterpriseConfig
from tester.fakes.crm import ScriptedCrm

SECRET = "a-secret-of-the-own-crm-1"
SHORT = "must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes"
NUMBER = "must be text, not a number (leading zeros would be lost): put it in quotes"
OWN = {"enabled": True, "url": "https://crm.example/calls", "secret": SECRET}


def june(integrations: Mapping[str, Any], **more: Any) -> EnterpriseConfig:
    return EnterpriseConfig(number="0367", token="t", integrations=integrations, **more)


@cache
def http() -> CrmHttp:
    """Reads the machine's certificates, which takes a while; nobody speaks through it here."""
    return CrmHttp()


def crms(*kinds: CrmKind) -> Crms:
    own = own_crm_maker(http(), lambda: datetime(2025, 10, 1, tzinfo=UTC))
    return Crms({CrmKind.OWN: own, **{kind: ScriptedCrm(kind).maker for kind in kinds}})


def test_enabled_are_the_known_ones_that_say_so_in_a_fixed_order() -> None:
    config = june(
        {"own": OWN, "ms": {"enabled": True}, "retailcrm": {"enabled": True}, "uon": {"enabled": False}, "smart": {"enabled": True}}
    )
    assert crms(CrmKind.RETAILCRM, CrmKind.UON).enabled(config) == (CrmKind.RETAILCRM, CrmKind.OWN)
    assert crms(CrmKind.RETAILCRM, CrmKind.UON).kinds == {CrmKind.RETAILCRM, CrmKind.UON, CrmKind.OWN}


def test_an_enterprise_that_is_not_active_has_none() -> None:
    assert crms().enabled(june({"own": OWN}, active=False)) == ()


@pytest.mark.parametrize("table", [None, "on", 1, [], {}, {"enabled": "true"}, {"enabled": 1}])
def test_what_is_damaged_is_switched_off(table: object) -> None:
    assert crms().enabled(june({"own": table})) == ()


@pytest.mark.parametrize(
    "config",
    [june({}), june({"own": {}}), june({"own": {**OWN, "enabled": False}}), june({"own": OWN}, active=False), june({"ms": 5})],
    ids=["taken out", "not switched on", "switched off", "an enterprise that is not active", "another one is damaged"],
)
def test_what_is_switched_off_has_nobody_to_tell(config: EnterpriseConfig) -> None:
    assert crms().told(config, "own") is None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (june({}, integrations_problem="integrations_config: is no object"), "integrations_config: is no object"),
        (june({"own": None}), "integrations.own: must be a table, not null"),
        (june({"own": []}), "integrations.own: must be a table, not a list"),
        (june({"own": {**OWN, "enabled": "no"}}), "integrations.own.enabled: must be true or false, not text"),
        (june({"own": {**OWN, "secret": "x"}}), SHORT),
        (june({"ms": {"enabled": True}}), "this version cannot speak to this CRM"),
        (june({"amo": {"enabled": True}}), "this version cannot speak to this CRM"),
    ],
)
def test_of_what_is_damaged_nobody_says_that_it_is_switched_off(config: EnterpriseConfig, said: str) -> None:
    crm = next(iter(config.integrations), "own")
    with pytest.raises(CrmSettingsError, match=said.replace("(", r"\(")):
        crms().told(config, crm)


def test_what_is_switched_on_is_told_through_its_adapter() -> None:
    known, config = crms(), june({"own": OWN})
    assert known.told(config, "own") is known.adapter(config, CrmKind.OWN)


def test_an_adapter_lives_as_long_as_its_settings_stay_equal() -> None:
    known = crms()
    first = known.adapter(june({"own": OWN}), CrmKind.OWN)
    assert isinstance(first, OwnCrm)
    assert known.adapter(june({"own": dict(OWN), "ms": {}}), CrmKind.OWN) is first
    changed = known.adapter(june({"own": {**OWN, "url": "https://other.example/"}}), CrmKind.OWN)
    assert changed is not first
    again = known.adapter(june({"own": OWN}), CrmKind.OWN)
    assert again is not first
    assert known.adapter(june({"own": OWN}, timezone="Asia/Almaty"), CrmKind.OWN) is not again


def test_enterprises_do_not_share_adapters() -> None:
    known = crms()
    other = EnterpriseConfig(number="0368", token="o", integrations={"own": OWN})
    assert known.adapter(june({"own": OWN}), CrmKind.OWN) is not known.adapter(other, CrmKind.OWN)


def test_the_number_of_adapters_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_ADAPTERS", 2)
    known = crms(CrmKind.MS, CrmKind.UON)
    config = june({"own": OWN, "ms": {}, "uon": {}})
    first = known.adapter(config, CrmKind.OWN)
    known.adapter(config, CrmKind.MS)
    assert known.adapter(config, CrmKind.OWN) is first
    known.adapter(config, CrmKind.UON)
    assert known.adapter(config, CrmKind.OWN) is not first


@pytest.mark.parametrize(
    ("integrations", "kind", "text"),
    [
        ({}, CrmKind.OWN, "integrations.own: is no table"),
        ({"own": "x"}, CrmKind.OWN, "integrations.own: is no table"),
        ({"ms": {"enabled": True}}, CrmKind.MS, "integrations.ms: this version cannot speak to this CRM"),
        ({"own": {}}, CrmKind.OWN, "integrations.own: url: is missing\nintegrations.own: secret: is missing"),
        (
            {"own": {"url": "https://HUSH@crm.example", "secret": "HUSH"}},
            CrmKind.OWN,
            f"integrations.own: url: must have no user and password in it\nintegrations.own: secret: {SHORT}",
        ),
        (
            {"own": {"url": 5, "secret": ["HUSH"]}},
            CrmKind.OWN,
            f"integrations.own: url: {NUMBER}\nintegrations.own: secret: must be text, not a list",
        ),
    ],
)
def test_an_adapter_without_good_settings_is_refused_in_words(integrations: Mapping[str, Any], kind: CrmKind, text: str) -> None:
    with pytest.raises(CrmSettingsError) as raised:
        crms().adapter(june(integrations), kind)
    assert str(raised.value) == text


def test_keys_that_nobody_knows_do_not_stop_the_adapter() -> None:
    assert crms().adapter(june({"own": {**OWN, "colour": "red"}}), CrmKind.OWN).kind is CrmKind.OWN


@pytest.mark.parametrize(
    ("smart", "primary"),
    [
        ({"primary": "uon"}, CrmKind.UON),
        ({"primary": "own"}, CrmKind.OWN),
        ({"primary": "amo"}, CrmKind.RETAILCRM),
        ({"primary": ["ms"]}, CrmKind.RETAILCRM),
        ({}, CrmKind.RETAILCRM),
        ("ms", CrmKind.RETAILCRM),
        (None, CrmKind.RETAILCRM),
    ],
)
def test_the_primary_crm_is_what_smart_says_or_retailcrm(smart: object, primary: CrmKind) -> None:
    assert crms().primary(june({"smart": smart})) is primary
    assert crms().primary(june({})) is CrmKind.RETAILCRM


def test_everything_that_is_wrong_is_told_in_one_line_each() -> None:
    config = june(
        {
            "own": {"enabled": True, "url": "https://HUSH@crm.example", "colour": "HUSH"},
            "ms": {"enabled": True, "integration_code": "HUSH"},
            "uon": "HUSH",
            "amo": {"enabled": True},
            "retailcrm": {"enabled": "true"},
            "smart": {"primary": "amo"},
        },
        integrations_problem="integrations_config: is no object",
    )
    problems = crms().problems(config)
    assert problems == (
        "integrations_config: is no object",
        "integrations.own: url: must have no user and password in it",
        "integrations.own: secret: is missing",
        'integrations.own: unknown key "colour"',
        "integrations.ms: this version cannot speak to this CRM",
        "integrations.uon: must be a table, not text",
        'integrations: unknown key "amo"',
        "integrations.retailcrm: enabled: must be true or false, without quotes, not text",
        'integrations.smart: primary: must be retailcrm, ms, uon, bitrix24 or own, not "amo"',
    )
    assert "HUSH" not in repr(problems)


def test_good_settings_and_switched_off_ones_have_no_problems() -> None:
    assert crms().problems(june({"own": OWN, "ms": {"enabled": False}, "smart": {"primary": "own"}})) == ()
    assert crms().problems(june({"own": {"enabled": False}})) == ()


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("http://crm.example/HUSH", "plain http is refused"),
        ("https://192.168.1.5/HUSH", "an address in a private network is refused"),
        ("https://[::1]:8443/HUSH", "an address in a private network is refused"),
        ("https://localhost/HUSH", "an address in a private network is refused"),
        ("https://crm.example/HUSH", ""),
        ("https://[2606:4700::1]/", ""),
    ],
)
def test_an_address_that_can_never_be_asked_is_a_problem_unless_private_ones_are_allowed(url: str, refusal: str) -> None:
    config = june({"own": {**OWN, "url": url}})
    told = f"integrations.own: url: {refusal}, unless the gateway's setting allow_private_targets is true"
    maker = own_crm_maker(http(), lambda: datetime(2025, 10, 1, tzinfo=UTC))
    assert Crms({CrmKind.OWN: maker}, allow_private_targets=False).problems(config) == ((told,) if refusal else ())
    assert Crms({CrmKind.OWN: maker}, allow_private_targets=True).problems(config) == ()
    off = june({"own": {**OWN, "url": url, "enabled": False}})
    assert Crms({CrmKind.OWN: maker}, allow_private_targets=False).problems(off) == ()


@pytest.mark.parametrize(
    ("kind", "table", "keys"),
    [
        ("retailcrm", {"domain": "10.0.0.7", "api_key": "HUSH"}, ["domain"]),
        ("ms", {"phone_api_url": "http://ms.example/api", "json_api_url": "https://127.0.0.1/api"}, ["phone_api_url", "json_api_url"]),
        ("uon", {"api_url": "http://uon.example"}, ["api_url"]),
        ("bitrix24", {"incoming_webhook": "http://b24.example/rest/1/HUSHHUSH/"}, ["incoming_webhook"]),
        ("own", {"url": "no address"}, []),
        ("own", {"url": 5}, []),
    ],
)
def test_the_addresses_of_every_crm_are_looked_at(kind: str, table: dict[str, Any], keys: list[str]) -> None:
    found = list(refused_targets(kind, {"enabled": True, **table}))
    assert [problem.split(": ")[1] for problem in found] == keys
    assert "HUSH" not in str(found)


@pytest.mark.parametrize(
    ("smart", "problem"),
    [
        ({"primary": "uon", "mode": "name-only", "lines": {"gsm:0001363": {"enabled": True, "algorithm": "last_call"}}}, None),
        ({"enabled": True, "lines": {"sip:office-1": {"line_name_order": 1, "send_shop_name": False, "do_routing": True}}}, None),
        ({"lines": {"sip:x": {"algorithm": "retailcrm"}}}, None),
        ({"primery": "uon"}, 'unknown key "primery" (is "primary" meant?)'),
        ({"mode": "on"}, 'mode: must be routing+name, name-only or off, not "on"'),
        ({"lines": []}, "lines: must be a table, not a list"),
        ({"lines": {"0001363": {}}}, 'lines: "0001363": must be gsm: and the number of a line, or sip: and its name'),
        ({"lines": {"gsm:1": True}}, 'lines: "gsm:1": must be a table, not true or false'),
        ({"lines": {"gsm:1": {"do_route": True}}}, 'lines: "gsm:1": unknown key "do_route" (is "do_routing" meant?)'),
        ({"lines": {"gsm:1": {"enabled": "yes"}}}, 'lines: "gsm:1": enabled: must be true or false, without quotes, not text'),
        (
            {"lines": {"gsm:1": {"shop_name_order": "2"}}},
            'lines: "gsm:1": shop_name_order: must be a whole number, without quotes, not text',
        ),
    ],
)
def test_the_table_smart_is_read_strictly(smart: dict[str, Any], problem: str | None) -> None:
    found = crms().problems(june({"smart": smart}))
    place = "integrations.smart: "
    assert [line.removeprefix(place) for line in found] == ([problem] if problem else [])


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["own", "ms", "https://crm.example/"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["enabled", "url", "secret", "primary"]) | st.text(max_size=4), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*CrmKind, "smart"]) | st.text(max_size=4), anything))
def test_any_settings_are_read_without_an_error(integrations: dict[str, Any]) -> None:
    known, config = crms(), june(integrations)
    assert all("\n" not in problem for problem in known.problems(config))
    assert isinstance(known.primary(config), CrmKind)
    for kind in known.enabled(config):
        with suppress(CrmSettingsError):
            known.adapter(config, kind)
