"""The fake Bitrix24: each fact of its REST API that an adapter stands on."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tester.fakes.bitrix24 import OVERLOAD_LIMIT, CallKind, EntityKind, FakeBitrix24
from tester.fakes.crm_faults import FaultKind
from tester.fakes.crm_fronts import CrmNetwork, CrmTransport, serve_crm
from tester.fakes.crm_server import FIRST_DAY
from tester.fakes.crm_wire import FORM_TYPE, JSON_TYPE

HOST = "portal.bitrix24.by"
CODE = "abc123"
NUMBER = "+375290000001"
REGISTER = "telephony.externalCall.register"
FINISH = "telephony.externalCall.finish"
SHOW = "telephony.externalCall.show"
HIDE = "telephony.externalCall.hide"
ATTACH = "telephony.externalCall.attachRecord"
SEARCH = "telephony.externalCall.searchCrmEntities"
CALL: Mapping[str, Any] = {
    "USER_PHONE_INNER": "101",
    "PHONE_NUMBER": NUMBER,
    "TYPE": 2,
    "CALL_START_DATE": "2025-10-01T12:17:28+03:00",
    "SHOW": 0,
    "LINE_NUMBER": "0001",
    "EXTERNAL_CALL_ID": "1759310248.0",
}


@pytest.fixture
def fake() -> FakeBitrix24:
    """A portal with three users, whose webhook may do all."""
    fake = FakeBitrix24(HOST, strict_auth=False)
    for extension in ("101", "102", "103"):
        fake.people.add_user(extension)
    fake.add_webhook(CODE)
    return fake


async def post(fake: FakeBitrix24, path: str, content: object = None, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=CrmTransport(fake), base_url=f"https://{HOST}", timeout=5.0) as client:
        return await client.post(path, **options) if content is None else await client.post(path, json=content, **options)


async def call(fake: FakeBitrix24, method: str, **params: Any) -> httpx.Response:
    return await post(fake, f"/rest/1/{CODE}/{method}", params)


async def result(fake: FakeBitrix24, method: str, **params: Any) -> Any:
    answer = await call(fake, method, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def registered(fake: FakeBitrix24, **params: Any) -> str:
    return (await result(fake, REGISTER, **{**CALL, **params}))["CALL_ID"]


def said(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"], answer.json()["error_description"]


@pytest.mark.parametrize(
    "name", ["telephony.externalCall.register", "telephony.externalcall.register.json", "TELEPHONY.EXTERNALCALL.REGISTER/"]
)
async def test_methods_are_known_in_any_case_with_json_and_a_slash(name: str, fake: FakeBitrix24) -> None:
    assert (await call(fake, name, **CALL)).status_code == 200
    assert len(fake.calls) == 1


async def test_parameters_come_in_the_query_in_forms_and_in_json(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    form = {"CALL_ID": call_id, "USER_ID[0]": "2", "USER_ID[1]": "3"}
    assert (await post(fake, f"/rest/1/{CODE}/{SHOW}", data=form)).json()["result"] is True
    assert fake.calls[0].shown_to == {2, 3}
    async with httpx.AsyncClient(transport=CrmTransport(fake), base_url=f"https://{HOST}") as client:
        await client.get(f"/rest/1/{CODE}/{HIDE}", params={"CALL_ID": call_id, "USER_ID[]": "2"})
        users = await client.get(f"/rest/1/{CODE}/user.get", params={"filter[UF_PHONE_INNER]": "103", "filter[ACTIVE]": "true"})
    assert fake.calls[0].shown_to == {3}
    assert [user["ID"] for user in users.json()["result"]] == ["3"]


async def test_every_answer_has_a_time_block(fake: FakeBitrix24, autojump_clock: trio.testing.MockClock) -> None:
    answer = (await call(fake, "scope")).json()
    assert answer["result"] == ["crm", "telephony", "user"]
    assert set(answer["time"]) == {
        *("start", "finish", "duration", "processing", "date_start", "date_finish", "operating_reset_at", "operating")
    }
    assert answer["time"]["date_start"] == "2026-01-01T03:00:00+03:00"


async def test_who_may_not_call_is_told_why(fake: FakeBitrix24) -> None:
    fake.add_webhook("narrow", user_id=2, scopes=["crm"])
    assert said(await post(fake, "/rest/1/wrong/user.get", {}))[:2] == (401, "INVALID_CREDENTIALS")
    assert said(await post(fake, f"/rest/2/{CODE}/user.get", {}))[:2] == (401, "INVALID_CREDENTIALS")
    assert said(await post(fake, "/rest/user.get", {}))[:2] == (401, "NO_AUTH_FOUND")
    assert said(await post(fake, "/rest/user.get", {"auth": "unknown"}))[:2] == (401, "invalid_token")
    assert said(await post(fake, f"/rest/2/narrow/{SEARCH}", {"PHONE_NUMBER": NUMBER}))[:2] == (401, "insufficient_scope")
    assert said(await call(fake, "crm.flight.get"))[:2] == (404, "ERROR_METHOD_NOT_FOUND")
    assert (await post(fake, "/elsewhere", {})).status_code == 404


async def test_strict_portals_let_applications_alone_register_and_finish() -> None:
    fake = FakeBitrix24(HOST)
    fake.people.add_user("101")
    fake.add_webhook(CODE)
    app = fake.install("local.1", "secret")
    refused = await call(fake, REGISTER, **CALL)
    assert said(refused) == (403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
    assert said(await call(fake, FINISH, CALL_ID="x", USER_ID=1))[1] == "WRONG_AUTH_TYPE"
    assert await result(fake, SEARCH, PHONE_NUMBER=NUMBER) == []
    taken = await post(fake, f"/rest/{REGISTER}", {**CALL, "auth": app.access_token})
    assert (taken.status_code, len(fake.calls)) == (200, 1)
    assert await result(fake, SHOW, CALL_ID=fake.calls[0].call_id) is True


async def test_an_access_token_expires_and_is_renewed(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeBitrix24(HOST)
    fake.people.add_user("101")
    app = fake.install("local.1", "secret")
    first = app.refresh_token
    asked = {"grant_type": "refresh_token", "client_id": "local.1", "client_secret": "secret", "refresh_token": first}
    network = CrmNetwork({HOST: fake, "oauth.bitrix.info": fake})
    async with httpx.AsyncClient(transport=network) as client:
        await trio.sleep(3599)
        assert (await client.post(f"https://{HOST}/rest/{REGISTER}", json={**CALL, "auth": app.access_token})).status_code == 200
        await trio.sleep(1)
        expired = await client.post(f"https://{HOST}/rest/{REGISTER}?auth={app.access_token}", json=dict(CALL))
        assert said(expired)[:2] == (401, "expired_token")
        renewed = await client.get("https://oauth.bitrix.info/oauth/token/", params=asked)
        content = renewed.json()
        assert (content["access_token"], content["refresh_token"]) == (app.access_token, app.refresh_token)
        assert (content["expires_in"], content["client_endpoint"]) == (3600, f"https://{HOST}/rest/")
        assert (await client.post(f"https://{HOST}/rest/{REGISTER}", json={**CALL, "auth": content["access_token"]})).status_code == 200
        again = await client.post("https://oauth.bitrix.info/oauth/token/", data=asked)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        other = await client.post("https://oauth.bitrix.info/oauth/token/", data={**asked, "client_secret": "x"})
        assert (other.status_code, other.json()) == (400, {"error": "invalid_client"})
        unknown = await client.post("https://oauth.bitrix.info/oauth/token/", data={**asked, "client_id": "x"})
        assert (unknown.status_code, unknown.json()) == (200, {"error": "wrong_client"})
        bad = await client.post("https://oauth.bitrix.info/oauth/token/", data={"grant_type": "password"})
        assert (bad.status_code, bad.json()["error"]) == (400, "invalid_request")
        await trio.sleep(180 * 24 * 3600)
        late = await client.post("https://oauth.bitrix.info/oauth/token/", data={**asked, "refresh_token": app.refresh_token})
        assert late.json()["error"] == "invalid_grant"
    assert "secret" not in repr(app)


async def test_a_call_is_registered_for_somebody_and_belongs_to_the_customer(fake: FakeBitrix24) -> None:
    fake.people.add(EntityKind.LEAD, "375290000001", title="Заявка")
    contact = fake.people.add(EntityKind.CONTACT, "+375 (29) 000-00-01", name="Анна", last_name="Петрова", assigned_to=2)
    answer = await result(fake, REGISTER, **CALL)
    assert re.fullmatch(r"externalCall\.[0-9a-f]{32}\.\d+", answer["CALL_ID"])
    assert answer == {
        "CALL_ID": answer["CALL_ID"],
        "CRM_CREATED_LEAD": None,
        "CRM_CREATED_ENTITIES": [],
        "CRM_ENTITY_TYPE": "CONTACT",
        "CRM_ENTITY_ID": contact.entity_id,
    }
    (held,) = fake.calls_of("1759310248.0")
    assert (held.user_id, held.kind, held.is_incoming, held.phone, held.line) == (1, CallKind.INCOMING, True, NUMBER, "0001")
    assert (held.started_at.isoformat(), held.is_finished) == ("2025-10-01T12:17:28+03:00", False)


async def test_a_lead_is_made_for_a_stranger_when_it_is_wished(fake: FakeBitrix24) -> None:
    assert (await result(fake, REGISTER, **CALL))["CRM_ENTITY_ID"] is None
    answer = await result(fake, REGISTER, **{**CALL, "CRM_CREATE": 1, "EXTERNAL_CALL_ID": "2"})
    assert (answer["CRM_CREATED_LEAD"], answer["CRM_ENTITY_TYPE"]) == (1, "LEAD")
    assert answer["CRM_CREATED_ENTITIES"] == [{"ENTITY_TYPE": "LEAD", "ENTITY_ID": 1}]


@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({"USER_PHONE_INNER": None}, "USER_ID or USER_PHONE_INNER should be set."),
        ({"USER_PHONE_INNER": "999"}, "USER_ID or USER_PHONE_INNER should be set."),
        ({"USER_ID": 77}, "User is not found or is not active."),
        ({"USER_ID": 3}, "User is not found or is not active."),
        ({"TYPE": 6}, "Unknown TYPE."),
        ({"TYPE": None}, "Unknown TYPE."),
        ({"CALL_START_DATE": "2025-10-01 12:17:28"}, "CALL_START_DATE should be in the ISO-8601 format."),
        ({"CALL_START_DATE": "2025-10-01T12:17:28"}, "CALL_START_DATE should be in the ISO-8601 format."),
        ({"PHONE_NUMBER": "withheld"}, "Unsupported phone number format."),
        ({"PHONE_NUMBER": ""}, "Unsupported phone number format."),
    ],
)
async def test_a_wrong_registration_is_refused(params: dict[str, Any], description: str, fake: FakeBitrix24) -> None:
    fake.people.users[3].is_active = False
    assert said(await call(fake, REGISTER, **{**CALL, **params})) == (400, "ERROR_CORE", description)
    assert fake.calls == []


@pytest.mark.parametrize(
    "other",
    [
        {"PHONE_NUMBER": "+375290000002"},
        {"TYPE": 1},
        {"USER_PHONE_INNER": "102"},
        {"LINE_NUMBER": "0002"},
        {"EXTERNAL_CALL_ID": "1759310248.1"},
    ],
)
async def test_the_same_registration_within_half_an_hour_is_the_same_call(
    other: dict[str, Any], fake: FakeBitrix24, autojump_clock: trio.testing.MockClock
) -> None:
    first = await registered(fake)
    await trio.sleep(1799)
    later = {"CALL_START_DATE": "2025-10-01T12:47:00+03:00", "USER_PHONE_INNER": None, "USER_ID": "1", "SHOW": 1}
    assert await registered(fake, **later) == first
    assert await registered(fake, **other) != first
    assert (fake.calls[0].times_registered, fake.calls[0].shown_to) == (2, {1})
    await trio.sleep(1)
    assert await registered(fake) != first


async def test_a_finished_call_is_registered_again_as_itself_and_cannot_be_finished_twice(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    await result(fake, FINISH, CALL_ID=call_id, USER_ID=2)
    assert await registered(fake, SHOW=1) == call_id
    assert fake.calls[0].shown_to == set()
    twice = await call(fake, FINISH, CALL_ID=call_id, USER_ID=1)
    assert said(twice) == (400, "ERROR_CORE", "Call is not found (call should be registered prior to finishing)")


async def test_applications_do_not_share_registrations(fake: FakeBitrix24) -> None:
    app = fake.install("local.1", "secret")
    first = await registered(fake)
    second = (await post(fake, f"/rest/{REGISTER}", {**CALL, "auth": app.access_token})).json()["result"]["CALL_ID"]
    assert (first != second, len(fake.calls_of("1759310248.0"))) == (True, 2)


async def test_the_oldest_calls_are_dropped_beyond_the_bound(fake: FakeBitrix24, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tester.fakes.bitrix24_calls.KEPT_CALLS", 2)
    for number in range(4):
        await registered(fake, EXTERNAL_CALL_ID=str(number))
    assert [call.external_call_id for call in fake.calls] == ["2", "3"]
    assert len({call.call_id for call in fake.calls}) == 2


async def test_a_card_is_shown_at_registration_unless_it_is_not_wished(fake: FakeBitrix24) -> None:
    await result(fake, REGISTER, **{key: value for key, value in CALL.items() if key != "SHOW"})
    assert fake.calls[0].shown_to == {1}


async def test_cards_are_shown_and_hidden_for_one_or_several(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    assert await result(fake, SHOW, CALL_ID=call_id, USER_ID=[2, "3"]) is True
    assert await result(fake, SHOW, CALL_ID=call_id) is True
    assert fake.calls[0].shown_to == {1, 2, 3}
    assert await result(fake, HIDE, CALL_ID=call_id, USER_ID=[1, 3]) is True
    assert await result(fake, HIDE, CALL_ID=call_id, USER_ID=2) is True
    assert fake.calls[0].shown_to == set()
    assert fake.calls[0].ever_shown_to == {1, 2, 3}
    assert await result(fake, SHOW, CALL_ID="unknown", USER_ID=2) is False
    assert await result(fake, HIDE, CALL_ID="unknown", USER_ID=2) is False


async def test_a_call_is_finished_with_a_statistic_and_an_activity(fake: FakeBitrix24) -> None:
    contact = fake.people.add(EntityKind.CONTACT, NUMBER)
    call_id = await registered(fake, SHOW=1)
    row = await result(fake, FINISH, CALL_ID=call_id, USER_PHONE_INNER="102", DURATION=72, STATUS_CODE="200", ADD_TO_CHAT=0)
    held = fake.calls[0]
    assert (held.user_id, held.duration_seconds, held.status_code, held.shown_to) == (2, 72, "200", set())
    assert held.activity is not None
    assert (held.activity.entity, held.activity.user_id) == ((EntityKind.CONTACT, contact.entity_id), 2)
    assert row == {
        **row,
        "CALL_ID": call_id,
        "EXTERNAL_CALL_ID": "1759310248.0",
        "PORTAL_USER_ID": 2,
        "PHONE_NUMBER": "375290000001",
        "PORTAL_NUMBER": "0001",
        "INCOMING": "2",
        "CALL_DURATION": 72,
        "CALL_STATUS": 1,
        "CALL_FAILED_CODE": "200",
        "CRM_ACTIVITY_ID": held.activity.activity_id,
        "CRM_ENTITY_TYPE": "CONTACT",
    }


@pytest.mark.parametrize(
    ("params", "code", "status"),
    [
        ({"DURATION": 5}, "200", 1),
        ({"DURATION": 0}, "304", 0),
        ({}, "304", 0),
        ({"DURATION": 0, "STATUS_CODE": "603-S"}, "603-S", 0),
        ({"DURATION": "0", "STATUS_CODE": "486", "FAILED_REASON": "занято"}, "486", 0),
    ],
)
async def test_the_status_of_a_call_is_that_named_or_that_of_its_duration(
    params: dict[str, Any], code: str, status: int, fake: FakeBitrix24
) -> None:
    row = await result(fake, FINISH, CALL_ID=await registered(fake), USER_ID=1, **params)
    assert (row["CALL_FAILED_CODE"], row["CALL_STATUS"], row["CRM_ACTIVITY_ID"]) == (code, status, None)
    assert (fake.calls[0].status_code, fake.calls[0].failed_reason) == (code, params.get("FAILED_REASON", ""))


async def test_what_cannot_be_finished(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    assert said(await call(fake, FINISH, CALL_ID=5, USER_ID=1)) == (400, "INVALID_ARGUMENT", "CALL_ID must be a string")
    assert said(await call(fake, FINISH, CALL_ID=call_id))[2] == "USER_ID or USER_PHONE_INNER should be set"
    assert said(await call(fake, FINISH, CALL_ID=call_id, USER_ID=77))[2] == "User is not found or is not active"
    unknown = "externalCall.00.1"
    assert said(await call(fake, FINISH, CALL_ID=unknown, USER_ID=1))[2].startswith("Call is not found")
    assert not fake.calls[0].is_finished


async def test_a_recording_is_attached_after_the_end_and_replaced_by_the_next(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    named = {"CALL_ID": call_id, "FILENAME": "1759310248.0.mp3", "RECORD_URL": "https://pbx.example.com/recordings/file/1"}
    early = await call(fake, ATTACH, **named)
    assert said(early) == (400, "ERROR_CORE", "Call is not found in the statistic table. It looks like it is not finished yet.")
    await result(fake, FINISH, CALL_ID=call_id, USER_ID=1, DURATION=72)
    assert await result(fake, ATTACH, **named) == {"FILE_ID": 501}
    assert await result(fake, ATTACH, CALL_ID=call_id, FILENAME="b.wav", FILE_CONTENT=base64.b64encode(b"RIFF").decode()) == {
        "FILE_ID": 502
    }
    record = fake.calls[0].record
    assert record is not None
    assert (record.file_id, record.name, record.content) == (502, "b.wav", b"RIFF")


async def test_the_document_gives_some_errors_an_empty_code(fake: FakeBitrix24) -> None:
    fake.telephony.unnamed_error = ""
    answer = await call(fake, ATTACH, CALL_ID="unknown", FILENAME="a.mp3")
    assert said(answer)[1] == ""


@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({}, "Required parameters are not set. Request should contain either URL or FILENAME parameter"),
        ({"FILENAME": ""}, "File name is empty"),
        ({"FILENAME": "a.ogg", "RECORD_URL": "https://pbx.example.com/a.mp3"}, "Wrong file extension. Only wav and mp3 are allowed"),
        ({"RECORD_URL": "https://pbx.example.com/recordings/file/1"}, "Wrong file extension. Only wav and mp3 are allowed"),
        ({"FILENAME": "a.mp3", "FILE_CONTENT": ""}, "File content is empty."),
        ({"FILENAME": "a.mp3", "FILE_CONTENT": "я"}, "File content is not properly encoded. Base64 encoding is expected."),
        ({"RECORD_URL": "https://pbx.example.com/gone.mp3"}, "Server returns HTTP error code 404"),
        ({"RECORD_URL": "https://192.168.0.5/a.mp3"}, "Record URL resolves to a non-public address and was blocked."),
        ({"RECORD_URL": "http://localhost/a.mp3"}, "Record URL resolves to a non-public address and was blocked."),
    ],
)
async def test_what_cannot_be_attached(params: dict[str, Any], description: str, fake: FakeBitrix24) -> None:
    fake.telephony.status_of_record = lambda url: 404 if "gone" in url else 200
    call_id = await registered(fake)
    await result(fake, FINISH, CALL_ID=call_id, USER_ID=1)
    assert said(await call(fake, ATTACH, CALL_ID=call_id, **params)) == (400, "ERROR_CORE", description)
    assert fake.calls[0].record is None


async def test_a_recording_may_be_sent_in_two_steps(fake: FakeBitrix24) -> None:
    call_id = await registered(fake)
    await result(fake, FINISH, CALL_ID=call_id, USER_ID=1)
    answer = await result(fake, ATTACH, CALL_ID=call_id, FILENAME="a.MP3")
    assert answer["fieldName"] == "file"
    uploaded = await post(fake, answer["uploadUrl"], files={"file": ("a.MP3", b"ID3")})
    assert (uploaded.status_code, uploaded.json()["result"]) == (200, {"FILE_ID": 501})
    assert said(await post(fake, answer["uploadUrl"], files={"file": ("a.MP3", b"ID3")}))[2] == "File content is empty."


async def test_a_customer_is_found_with_who_is_responsible(fake: FakeBitrix24) -> None:
    fake.people.add(EntityKind.COMPANY, "+375290000001", title="ООО Пример", assigned_to=77)
    fake.people.add(EntityKind.CONTACT, "375290000001", name="Анна", last_name="Петрова", assigned_to=2)
    found = await result(fake, SEARCH, PHONE_NUMBER="+375 29 000-00-01")
    assert [(each["CRM_ENTITY_TYPE"], each["CRM_ENTITY_ID"], each["NAME"]) for each in found] == [
        ("CONTACT", 1, "Петрова Анна"),
        ("COMPANY", 1, "ООО Пример"),
    ]
    assert (found[0]["ASSIGNED_BY_ID"], found[0]["ASSIGNED_BY"]["ID"], found[0]["ASSIGNED_BY"]["USER_PHONE_INNER"]) == (2, "2", "102")
    assert found[1]["ASSIGNED_BY"]["USER_PHONE_INNER"] is None
    assert await result(fake, SEARCH, PHONE_NUMBER="+375290000009") == []
    assert said(await call(fake, SEARCH)) == (400, "ERROR_CORE", "PHONE_NUMBER is empty")


async def test_duplicates_are_found_by_the_number_as_it_is_kept(fake: FakeBitrix24) -> None:
    fake.people.add(EntityKind.CONTACT, "+375 29 000-00-01")
    fake.people.add(EntityKind.LEAD, "375290000001")
    fake.people.add(EntityKind.COMPANY, "+375290000002")
    method = "crm.duplicate.findbycomm"
    assert await result(fake, method, type="PHONE", values=["+375290000001"]) == {"CONTACT": [1]}
    assert await result(fake, method, type="PHONE", values=["+375290000001", "375290000001"]) == {"CONTACT": [1], "LEAD": [1]}
    assert await result(fake, method, type="PHONE", values=["+375290000002"], entity_type="CONTACT") == []
    assert await result(fake, method, type="PHONE", values=[str(number) for number in range(20)] + ["+375290000002"]) == []
    assert said(await call(fake, method, values=["1"]))[1] == "Communication type is not defined"
    assert said(await call(fake, method, type="PHONE"))[1] == "Communication values is not defined"


async def test_contacts_and_companies_are_got_and_listed(fake: FakeBitrix24) -> None:
    fake.people.add(EntityKind.COMPANY, title="ООО Пример")
    fake.people.add(EntityKind.CONTACT, NUMBER, name="Анна", last_name="Петрова", second_name="Ивановна", company_id=1, assigned_to=2)
    for number in range(60):
        fake.people.add(EntityKind.CONTACT, f"+37529000{number:04d}9", name="Иван")
    contact = await result(fake, "crm.contact.get", id="1")
    assert (contact["ID"], contact["ASSIGNED_BY_ID"], contact["COMPANY_ID"]) == ("1", "2", "1")
    assert contact["PHONE"] == [{"ID": "10", "VALUE_TYPE": "WORK", "VALUE": NUMBER, "TYPE_ID": "PHONE"}]
    assert (await result(fake, "crm.company.get", ID=1))["TITLE"] == "ООО Пример"
    assert said(await call(fake, "crm.contact.get", id=99)) == (400, "", "Not found")
    listed = await result(fake, "crm.contact.list", filter={"PHONE": NUMBER}, select=["ID", "LAST_NAME", "PHONE"])
    assert listed == [{"ID": "1", "LAST_NAME": "Петрова", "PHONE": contact["PHONE"]}]
    assert await result(fake, "crm.contact.list", filter={"PHONE": NUMBER.removeprefix("+")}) == []
    assert "PHONE" not in (await result(fake, "crm.contact.list", filter={"!NAME": "Иван"}))[0]
    assert [row["ID"] for row in await result(fake, "crm.contact.list", filter={"%LAST_NAME": "петр"})] == ["1"]
    assert [row["ID"] for row in await result(fake, "crm.contact.list", filter={"@ID": ["2", "3"]})] == ["2", "3"]
    whole_page = (await call(fake, "crm.contact.list", filter={"NAME": "Иван"})).json()
    assert (len(whole_page["result"]), whole_page["total"], whole_page["next"]) == (50, 60, 50)


async def test_users_come_in_pages_of_fifty_with_ids_as_text(fake: FakeBitrix24) -> None:
    for _ in range(60):
        fake.people.add_user()
    fake.people.users[2].is_active = False
    first = (await call(fake, "user.get", filter={"ACTIVE": True, "USER_TYPE": "employee"}, start=0)).json()
    assert (len(first["result"]), first["total"], first["next"]) == (50, 62, 50)
    assert (first["result"][0]["ID"], first["result"][0]["UF_PHONE_INNER"], first["result"][1]["ID"]) == ("1", "101", "3")
    last = (await call(fake, "user.get", FILTER={"ACTIVE": True}, start=50)).json()
    assert (len(last["result"]), last["total"], "next" in last) == (12, 62, False)
    assert [user["ID"] for user in await result(fake, "user.get", UF_PHONE_INNER="103")] == ["3"]
    assert (await result(fake, "user.current"))["ID"] == "1"
    assert (await result(fake, "profile"))["ADMIN"] is True


async def test_a_batch_carries_out_commands_that_may_refer_to_earlier_ones(fake: FakeBitrix24) -> None:
    query = f"{REGISTER}?USER_ID=1&PHONE_NUMBER=%2B375290000001&TYPE=2&SHOW=0"
    commands = {
        "new": query,
        "show": f"{SHOW}?CALL_ID=$result[new][CALL_ID]&USER_ID[0]=2&USER_ID[1]=3",
        "people": "user.get?filter[UF_PHONE_INNER]=101",
        "hide": f"{HIDE}?CALL_ID=$result[new][CALL_ID]&USER_ID=$result[people][0][ID]",
        "wrong": "crm.contact.get?id=5",
        "nested": "batch?cmd[0]=user.get",
    }
    done = await result(fake, "batch", halt=0, cmd=commands)
    assert (done["result"]["show"], done["result"]["hide"]) == (True, True)
    assert (done["result_total"], done["result_next"]) == ({"people": 1}, [])
    assert done["result_error"]["wrong"] == {"error": "", "error_description": "Not found"}
    assert done["result_error"]["nested"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert set(done["result_time"]) == {"new", "show", "people", "hide"}
    assert fake.calls[0].shown_to == {2, 3}


async def test_a_batch_stops_at_an_error_when_it_is_told_to(fake: FakeBitrix24) -> None:
    done = await result(fake, "batch", halt=1, cmd=["crm.contact.get?id=5", "user.current"])
    assert (done["result"], done["result_error"]) == ([], [{"error": "", "error_description": "Not found"}])
    done = await result(fake, "batch", halt=0, cmd=["scope", "profile"])
    assert (len(done["result"]), done["result_error"]) == (2, [])
    too_long = await call(fake, "batch", cmd=["scope"] * 51)
    assert said(too_long)[:2] == (400, "ERROR_BATCH_LENGTH_EXCEEDED")


async def test_the_bucket_holds_fifty_and_drains_two_in_a_second(fake: FakeBitrix24, autojump_clock: trio.testing.MockClock) -> None:
    assert {(await call(fake, "scope")).status_code for _ in range(50)} == {200}
    refused = await call(fake, "scope")
    assert said(refused) == (503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
    assert "retry-after" not in refused.headers
    await trio.sleep(1)
    assert [(await call(fake, "scope")).status_code for _ in range(3)] == [200, 200, 503]
    await trio.sleep(0.5)
    assert (await call(fake, "batch", cmd=["scope"] * 50)).status_code == 200
    assert fake.violations == {"bucket": 2}


async def test_a_method_that_worked_too_long_is_blocked_alone(fake: FakeBitrix24, autojump_clock: trio.testing.MockClock) -> None:
    fake.work_seconds["user.get"] = 160.0
    operating: list[float] = []
    for _ in range(3):
        operating.append((await call(fake, "user.get")).json()["time"]["operating"])
        await trio.sleep(10)
    assert operating == [160.0, 320.0, 480.0]
    assert said(await call(fake, "user.get"))[:2] == (429, "OPERATION_TIME_LIMIT")
    assert said(await call(fake, "batch", cmd=["user.get"]))[:2] == (429, "OPERATION_TIME_LIMIT")
    assert (await call(fake, "scope")).status_code == 200
    await trio.sleep(600 - 30)
    assert (await call(fake, "user.get")).status_code == 200


async def test_other_errors_are_planned(fake: FakeBitrix24) -> None:
    fake.fail_with(OVERLOAD_LIMIT, times=2, path="REGISTER")
    assert said(await call(fake, REGISTER, **CALL))[:2] == (401, "OVERLOAD_LIMIT")
    assert (await call(fake, "scope")).status_code == 200
    assert said(await call(fake, REGISTER, **CALL))[:2] == (401, "OVERLOAD_LIMIT")
    assert (await call(fake, REGISTER, **CALL)).status_code == 200


async def test_a_timeout_after_the_registration_leaves_the_call(fake: FakeBitrix24, autojump_clock: trio.testing.MockClock) -> None:
    fake.fail(FaultKind.HANG, path="register", accepted=True)
    with pytest.raises(httpx.ReadTimeout):
        await registered(fake)
    assert await registered(fake) == fake.calls[0].call_id
    assert len(fake.calls) == 1


async def test_bodies_that_cannot_be_read_have_no_parameters(fake: FakeBitrix24) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"{", b"[1]", b'"x"', b""):
        async with httpx.AsyncClient(transport=CrmTransport(fake), base_url=f"https://{HOST}") as client:
            answer = await client.post(f"/rest/1/{CODE}/{FINISH}", content=body, headers=headers)
        assert said(answer)[1] == "INVALID_ARGUMENT", body


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["1", "101", NUMBER, "a.mp3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["0", "PHONE", "ID", "%NAME", "x"]), inner, max_size=3),
    max_leaves=6,
)
_NAMES = (
    "CALL_ID",
    "USER_ID",
    "USER_PHONE_INNER",
    "PHONE_NUMBER",
    "TYPE",
    "CALL_START_DATE",
    "SHOW",
    "DURATION",
    "STATUS_CODE",
    "FILENAME",
)
_MORE_NAMES = ("RECORD_URL", "FILE_CONTENT", "CRM_ENTITY_TYPE", "CRM_ENTITY_ID", "filter", "select", "start", "id", "type", "values", "cmd")


@given(
    method=st.sampled_from(
        [REGISTER, FINISH, SHOW, HIDE, ATTACH, SEARCH, "user.get", "crm.contact.list", "crm.duplicate.findbycomm", "batch"]
    ),
    params=st.dictionaries(st.sampled_from(_NAMES + _MORE_NAMES), _VALUES, max_size=8),
    query=st.text(max_size=30),
)
def test_anything_that_can_be_sent_is_answered(method: str, params: dict[str, Any], query: str) -> None:
    fake = FakeBitrix24(HOST, strict_auth=False, clock=lambda: 0.0, now=lambda: FIRST_DAY)
    fake.people.add_user("101")
    fake.people.add(EntityKind.CONTACT, NUMBER)
    fake.add_webhook(CODE)
    as_json = fake.request("POST", f"/rest/1/{CODE}/{method}", [("content-type", JSON_TYPE)], json.dumps(params).encode())
    as_form = fake.request("POST", f"/rest/1/{CODE}/{method}?{quote(query, safe='[]=&')}", [("content-type", FORM_TYPE)], query.encode())
    for request in (as_json, as_form):
        assert fake.uses(request)
        answer = fake.respond(request)
        assert answer.status in (200, 400)
        assert ("error" in answer.json()) is (answer.status != 200)


async def test_it_is_the_same_over_sockets(fake: FakeBitrix24) -> None:
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=f"{base_url}/rest/1/{CODE}/") as client:
        made = await client.post(f"{REGISTER}.json", json=dict(CALL))
        assert made.headers["content-type"] == "application/json; charset=utf-8"
        call_id = made.json()["result"]["CALL_ID"]
        finished = await client.post(FINISH, data={"CALL_ID": call_id, "USER_ID": "1", "DURATION": "72"})
        assert finished.json()["result"]["CALL_STATUS"] == 1
        assert said(await client.post(FINISH, json={"CALL_ID": call_id, "USER_ID": 1}))[0] == 400
    assert (fake.calls[0].duration_seconds, fake.calls[0].status_code) == (72, "200")


async def test_the_history_has_what_is_finished_and_says_who_may_not_see_it(fake: FakeBitrix24) -> None:
    first, second = await registered(fake), await registered(fake, EXTERNAL_CALL_ID="2.0")
    assert await result(fake, "voximplant.statistic.get", FILTER={"CALL_ID": first}) == []
    for call_id in (first, second):
        await result(fake, FINISH, CALL_ID=call_id, USER_ID=2, DURATION=9)
    (row,) = await result(fake, "voximplant.statistic.get", FILTER={"EXTERNAL_CALL_ID": "2.0"})
    assert (row["CALL_ID"], row["CALL_FAILED_CODE"], row["CALL_DURATION"], row["RECORD_FILE_ID"]) == (second, "200", "9", None)
    rows = await result(fake, "voximplant.statistic.get", SORT="ID", ORDER="DESC")
    assert [row["ID"] for row in rows] == ["2", "1"]
    fake.history.is_visible = False
    assert said(await call(fake, "voximplant.statistic.get")) == (403, "ACCESS_DENIED", "Access denied!")


async def test_portals_of_an_older_document_take_calls_of_one_number_for_one_until_it_ends(fake: FakeBitrix24) -> None:
    fake.telephony.shares_calls = True
    first = await registered(fake)
    assert await registered(fake, EXTERNAL_CALL_ID="2.0") == first
    await result(fake, FINISH, CALL_ID=first, USER_ID=1)
    assert await registered(fake, EXTERNAL_CALL_ID="2.0") != first
