"""The fake Bitrix24 as the vendor's own client sees it, over real sockets. Where the extra `clients` is not installed this is skipped."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import attrs
import pytest
import trio

from tester.fakes.bitrix24 import OVERLOAD_LIMIT, EntityKind, FakeBitrix24
from tester.fakes.bitrix24_wire import QUERY_LIMIT_EXCEEDED
from tester.fakes.crm_fronts import serve_crm

PORTAL = "portal.bitrix24.by"
CODE = "abc123"
NUMBER = "+375290001234"
CALL: dict[str, Any] = {
    "call_type": 2,
    "user_phone_inner": "101",
    "call_start_date": "2025-10-01T12:17:28+03:00",
    "show": 0,
    "line_number": "0001363",
    "external_call_id": "1759310248.0",
}


@attrs.define(eq=False)
class Client:
    """b24pysdk, made to speak plain HTTP to a loopback port: it has `https://` and the authorization server's host built in."""

    sdk: Any
    errors: Any
    fake: FakeBitrix24
    monkeypatch: pytest.MonkeyPatch

    async def ask(self, questions: Callable[[], Any]) -> Any:
        """What the client makes of the fake's answers. In a thread that is waited for: the loop that runs meanwhile answers it."""
        caller: Any = import_module("b24pysdk.api.callers.call_method")
        oauth: Any = import_module("b24pysdk.api.requesters.bitrix_oauth_requester")

        def in_thread() -> Any:
            # Settings of the client are those of its thread.
            self.sdk.Config().configure(default_max_retries=1)
            return questions()

        async with serve_crm(self.fake) as base_url:
            self.monkeypatch.setattr(caller._MethodCaller, "_base_url", f"{base_url}/rest")
            self.monkeypatch.setattr(oauth.BitrixOAuthRequester, "_OAUTH_TOKEN_URL", f"{base_url}/oauth/token/")
            return await trio.to_thread.run_sync(in_thread)

    def by_webhook(self, code: str = CODE) -> Any:
        return self.sdk.Client(self.sdk.BitrixWebhook(domain=PORTAL, webhook_token=f"1/{code}"))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """With a portal of three users and a customer."""
    sdk: Any = pytest.importorskip("b24pysdk", reason="the vendor's client is not installed")
    errors: Any = pytest.importorskip("b24pysdk.errors")
    fake = FakeBitrix24(PORTAL, strict_auth=False)
    for extension in ("101", "102", "103"):
        fake.people.add_user(extension)
    fake.people.add(EntityKind.CONTACT, NUMBER, name="Вера", last_name="Лис", assigned_to=1)
    fake.add_webhook(CODE)
    return Client(sdk, errors, fake, monkeypatch)


async def test_a_call_goes_through_the_vendors_client_as_through_ours(client: Client) -> None:
    def questions() -> Any:
        bitrix = client.by_webhook()
        calls = bitrix.telephony.external_call
        call_id = calls.register(NUMBER, **CALL).result["CALL_ID"]
        return (
            calls.register(NUMBER, **CALL).result["CALL_ID"] == call_id,
            calls.show(call_id, user_id=[2, 3]).result,
            calls.hide(call_id, user_id=[3]).result,
            calls.finish(call_id, user_id=2, duration=65, status_code="200", add_to_chat=0).result["CALL_DURATION"],
            calls.attach_record(call_id, filename="1.mp3", record_url="https://gateway.example/1.mp3").result["FILE_ID"],
            calls.search_crm_entities(NUMBER).result[0]["NAME"],
            [row["EXTERNAL_CALL_ID"] for row in bitrix.voximplant.statistic.get(filter={"CALL_ID": call_id}).result],
            [user["UF_PHONE_INNER"] for user in bitrix.user.get().result],
        )

    is_same, shown, hidden, seconds, file_id, name, history, extensions = await client.ask(questions)
    assert (is_same, shown, hidden, int(seconds), file_id > 0, history) == (True, True, True, 65, True, ["1759310248.0"])
    assert "Вера" in name
    assert extensions == ["101", "102", "103"]
    (call,) = client.fake.calls
    assert (call.is_finished, call.duration_seconds, call.times_registered) == (True, 65, 2)
    assert call.record is not None


async def test_refusals_are_those_that_the_vendors_client_knows(client: Client) -> None:
    errors = client.errors

    def error_of(question: Callable[[], Any]) -> object:
        with pytest.raises(errors.BitrixSDKException) as raised:
            question()
        return raised.type

    def questions() -> list[object]:
        calls = client.by_webhook().telephony.external_call
        found = [error_of(lambda: client.by_webhook("another1").telephony.external_call.register(NUMBER, **CALL).result)]
        found.append(error_of(lambda: calls.finish("nobody", user_id=1, duration=0).result))
        client.fake.strict_auth = True
        found.append(error_of(lambda: calls.register(NUMBER, **CALL).result))
        for error in (QUERY_LIMIT_EXCEEDED, OVERLOAD_LIMIT):
            client.fake.fail_with(error)
            found.append(error_of(lambda: calls.search_crm_entities(NUMBER).result))
        return found

    assert await client.ask(questions) == [
        errors.BitrixAPIInvalidCredentials,
        errors.BitrixAPIBadRequest,
        errors.BitrixAPIWrongAuthType,
        errors.BitrixAPIQueryLimitExceeded,
        errors.BitrixAPIOverloadLimit,
    ]


async def test_the_vendors_client_renews_an_expired_token(client: Client) -> None:
    app = client.fake.install("local.0001", "client-secret-of-the-app-0001")
    client.fake.strict_auth = True
    first = app.access_token
    app.access_tokens[first] = 0.0

    def questions() -> Any:
        application = client.sdk.BitrixApp(client_id=app.client_id, client_secret=app.client_secret)
        token = client.sdk.BitrixToken(domain=PORTAL, auth_token=first, refresh_token=app.refresh_token, bitrix_app=application)
        registered = client.sdk.Client(token).telephony.external_call.register(NUMBER, **CALL).result
        return registered["CALL_ID"], token.auth_token, token.refresh_token

    call_id, access_token, refresh_token = await client.ask(questions)
    assert (access_token, refresh_token) == (app.access_token, app.refresh_token)
    assert access_token != first
    assert [call.call_id for call in client.fake.calls] == [call_id]
