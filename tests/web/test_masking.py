"""Settings as they may be shown, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.masking import MASK, MaskedValue, masked, unmasked


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        ({"api_key": "short"}, {"api_key": "***"}),
        ({"api_key": "fifteen-letters"}, {"api_key": "***"}),
        ({"api_key": "sixteen--letters"}, {"api_key": "***"}),
        ({"api_token": 1234567}, {"api_token": "***"}),
        ({"apiKey": "x", "API_KEY": "y"}, {"apiKey": "***", "API_KEY": "***"}),
        ({"integration_code": "abc", "webhook_token": "t", "secret": "s", "password": "p"}, {
            "integration_code": "***", "webhook_token": "***", "secret": "***", "password": "***"}),
        ({"api_key": ""}, {"api_key": ""}),
        ({"enabled": True, "use_token": False}, {"enabled": True, "use_token": False}),
        ({"tokens": ["a", {"x": "b"}, 5]}, {"tokens": ["***", {"x": "***"}, "***"]}),
        ({"credentials": {"user": "anna", "n": 3}}, {"credentials": {"user": "***", "n": "***"}}),
        ({"domain": "https://store.example", "api_url": "http://127.0.0.1:8080/"}, {
            "domain": "https://store.example", "api_url": "http://127.0.0.1:8080/"}),
        ({"incoming_webhook": "https://portal.example/rest/1/abcdef/"}, {"incoming_webhook": "https://portal.example/***"}),
        ({"url": "https://crm.example/hooks/T0/B0/abcdef"}, {"url": "https://crm.example/***"}),
        ({"url": "https://crm.example?token=abc"}, {"url": "https://crm.example/***"}),
        ({"url": "https://user:word@crm.example:8443/x"}, {"url": "https://***@crm.example:8443/***"}),
        ({"url": "https://[2001:db8::1]:8443/x"}, {"url": "https://[2001:db8::1]:8443/***"}),
        ({"url": "https://[broken/x"}, {"url": "***"}),
        ({"url": "://abc"}, {"url": "***"}),
        ({"domain": "store.example"}, {"domain": "store.example"}),
        ({"domain": "a-very-long-name-of-store1.example.com"}, {"domain": "a-very-long-name-of-store1.example.com"}),
        ({"note": "AbCdEfGhIjKlMnOpQrSt123456"}, {"note": "***"}),
        ({"employee_id": "5b2f3c1e-0000-11ee-0a80-000000000001"}, {"employee_id": "5b2f3c1e-0000-11ee-0a80-000000000001"}),
        ({"last_sync": "2025-01-01T00:00:00"}, {"last_sync": "2025-01-01T00:00:00"}),
        ({"user_extensions": {"19": "150"}}, {"user_extensions": {"19": "150"}}),
        ({"webhooks": {"client": [], "click_phone": ["https://x.example/y"]}}, {
            "webhooks": {"client": [], "click_phone": ["https://x.example/***"]}}),
        ({"order_source": "Телефонный звонок", "task_minutes": 15, "x": None}, {
            "order_source": "Телефонный звонок", "task_minutes": 15, "x": None}),
    ],
)  # fmt: skip
def test_secrets_are_masked_and_the_rest_is_shown(table: dict[str, Any], shown: dict[str, Any]) -> None:
    assert masked(table) == shown


def test_what_is_nested_without_end_is_masked() -> None:
    deep: dict[str, Any] = {"x": "y"}
    for _ in range(500):
        deep = {"x": deep}
    assert MASK in str(masked(deep))


KEYS = st.sampled_from(["api_key", "url", "name", "token", "x"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.from_regex(r"https?://[a-z]{1,9}\.example/[a-z0-9/]{0,20}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, TREES))
def test_what_was_shown_stands_for_what_is_stored(table: dict[str, Any]) -> None:
    assert unmasked(masked(table), table) == table


def test_new_values_replace_old_ones() -> None:
    stored = {"api_key": "old-key-of-the-store", "enabled": False}
    assert unmasked({"api_key": "new", "enabled": True}, stored) == {"api_key": "new", "enabled": True}
    assert unmasked({"enabled": True}, stored) == {"enabled": True}


def test_no_character_of_a_secret_is_shown() -> None:
    assert masked({"secret": "whsec_" + "A" * 40 + "LaSw", "tokens": ["t" * 40 + "abcd"]}) == {"secret": "***", "tokens": ["***"]}


@pytest.mark.parametrize(
    ("given_table", "place"),
    [
        ({"other": "***"}, "other"),
        ({"api_key": "***tore"}, "api_key"),
        ({"tokens": ["***"]}, r"tokens\[0\]"),
        ({"tokens": ["***", "***", "***"]}, r"tokens\[0\]"),
        ({"api_key": "***tore!"}, "api_key"),
        ({"other": "***tore"}, "other"),
        ({"list": ["***tore"]}, r"list\[0\]"),
        ({"deep": {"er": "***"}}, "deep.er"),
        ({"url": "https://crm.example/***"}, "url"),
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(given_table: dict[str, Any], place: str) -> None:
    with pytest.raises(MaskedValue, match=f"^{place}: is masked"):
        unmasked(given_table, {"api_key": "old-key-of-the-store", "list": {}, "deep": [], "tokens": ["first", "second"]})
