"""Tokens of CRMs: the last ones are kept, and old ones never come back."""

from gateway.ports import Store

ACCOUNT = "a" * 64


async def test_tokens_come_back_as_they_were_kept(store: Store) -> None:
    assert await store.crm_tokens(ACCOUNT) is None
    await store.keep_crm_tokens(ACCOUNT, 1, {"refresh_token": "first", "serial": 1})
    assert await store.crm_tokens(ACCOUNT) == {"refresh_token": "first", "serial": 1}
    assert await store.crm_tokens("b" * 64) is None


async def test_newer_tokens_replace_older_ones_and_never_the_other_way(store: Store) -> None:
    for serial in (2, 1, 2):
        await store.keep_crm_tokens(ACCOUNT, serial, {"refresh_token": f"token-{serial}"})
    assert await store.crm_tokens(ACCOUNT) == {"refresh_token": "token-2"}
    await store.keep_crm_tokens(ACCOUNT, 3, {"refresh_token": "token-3"})
    assert await store.crm_tokens(ACCOUNT) == {"refresh_token": "token-3"}


async def test_tokens_survive_a_change_of_the_configuration(store: Store) -> None:
    await store.keep_crm_tokens(ACCOUNT, 1, {"refresh_token": "first"})
    await store.set_integration("0367", "bitrix24", {})
    assert await store.crm_tokens(ACCOUNT) == {"refresh_token": "first"}
