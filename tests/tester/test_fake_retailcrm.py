"""The fake RetailCRM: what it takes, what it refuses in which words, what it holds."""

import json
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import hypothesis.strategies as st
import pytest
import trio
import trio.testing
from hypothesis import given

from tester.fakes.crm_faults import FaultKind
from tester.fakes.crm_fronts import CrmTransport, serve_crm
from tester.fakes.crm_server import FIRST_DAY
from tester.fakes.crm_wire import FORM_TYPE, JSON_TYPE, Request
from tester.fakes.retailcrm import FakeRetailCrm

KEY = "key-of-retailcrm"
BASE = "https://store.retailcrm.test"
PHONE = "+375290000001"
CALL = "1759310248.0"
EVENT: dict[str, Any] = {"phone": PHONE, "type": "in", "callExternalId": CALL, "codes": ["101"], "userIds": [27]}
UPLOAD: dict[str, Any] = {
    "date": "2025-10-01 12:17:28",
    "type": "in",
    "phone": "375290000001",
    "duration": 72,
    "result": "answered",
    "externalId": CALL,
    "userId": 27,
    "recordUrl": "https://pbx.example.com/recordings/file/1",
}


@pytest.fixture
def fake() -> FakeRetailCrm:
    fake = FakeRetailCrm()
    fake.add_user(27, first_name="Анна", last_name="Петрова", patronymic="Игоревна", email="a@example.com", code="101")
    return fake


def client_of(fake: FakeRetailCrm, key: str = KEY, base_url: str = BASE) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=CrmTransport(fake), base_url=base_url, headers={"X-API-KEY": key} if key else {})


async def send_event(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    fields = {"clientId": "0001", "event": json.dumps({**EVENT, **changes})}
    return await client.post("/api/v5/telephony/call/event", data=fields)


async def upload(client: httpx.AsyncClient, *calls: Any) -> httpx.Response:
    return await client.post("/api/v5/telephony/calls/upload", data={"clientId": "0001", "calls": json.dumps(calls)})


async def test_live_events_are_held_in_order_by_call(fake: FakeRetailCrm) -> None:
    async with client_of(fake) as client:
        for changes in ({"type": "in"}, {"callExternalId": "other"}, {"type": "hangup", "hangupStatus": "no answered"}):
            answer = await send_event(client, **changes)
            assert (answer.status_code, answer.json()) == (200, {"success": True, "notExistCodes": [], "notExistUsers": []})
    first, last = fake.events_of(CALL)
    assert (first.type, first.phone, first.codes, first.user_ids, first.client_id) == ("in", PHONE, ("101",), (27,), "0001")
    assert (last.type, last.hangup_status) == ("hangup", "no answered")
    assert len(fake.events) == 3
    assert fake.unknown_fields == set()


async def test_unknown_codes_and_users_are_told_and_are_no_error(fake: FakeRetailCrm) -> None:
    async with client_of(fake) as client:
        answer = await send_event(client, codes=["101", "999"], userIds=[27, 99], colour="red")
    assert answer.json() == {"success": True, "notExistCodes": ["999"], "notExistUsers": [99]}
    assert fake.unknown_fields == {"colour"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"type": "incoming"}, "type"),
        ({"type": None}, "type"),
        ({"phone": ""}, "phone"),
        ({"phone": 375290000001}, "phone"),
        ({"type": "hangup", "hangupStatus": "no answer"}, "hangupStatus"),
        ({"codes": "101"}, "codes"),
        ({"codes": [101]}, "codes"),
        ({"userIds": ["27"]}, "userIds"),
        ({"userIds": [True]}, "userIds"),
    ],
)
async def test_events_are_taken_literally(fake: FakeRetailCrm, changes: dict[str, Any], wrong: str) -> None:
    async with client_of(fake) as client:
        answer = await send_event(client, **changes)
    assert answer.status_code == 400
    assert (answer.json()["success"], answer.json()["errorMsg"]) == (False, "Errors in the entity format")
    assert list(answer.json()["errors"]) == [wrong]
    assert fake.events == []


async def test_a_json_body_is_no_form(fake: FakeRetailCrm) -> None:
    async with client_of(fake) as client:
        for body in ({"event": EVENT}, {"event": json.dumps(EVENT)}):
            answer = await client.post("/api/v5/telephony/call/event", json=body)
            assert (answer.status_code, answer.json()["errorMsg"]) == (400, "Parameter 'event' is missing")
        assert (await client.post("/api/v5/telephony/call/event", data={"event": "{"})).status_code == 400
        assert (await client.post("/api/v5/telephony/call/event", data={"event": "[]"})).status_code == 400
    assert fake.events == []


async def test_calls_are_uploaded_once_by_their_external_id(fake: FakeRetailCrm) -> None:
    async with client_of(fake) as client:
        first = await upload(client, UPLOAD)
        assert first.json() == {"success": True, "processedCallsCount": 1, "duplicateCalls": []}
        second = await upload(client, {**UPLOAD, "duration": 1}, {**UPLOAD, "externalId": "2"})
        assert second.json() == {"success": True, "processedCallsCount": 1, "duplicateCalls": [CALL]}
    [call] = fake.calls_of(CALL)
    assert (call.duration, call.result, call.uploads, call.record_url) == (72, "answered", 2, UPLOAD["recordUrl"])
    assert (call.date.isoformat(), call.client_id) == ("2025-10-01T12:17:28", "0001")
    assert len(fake.calls) == 2


async def test_the_user_of_a_call_beats_its_code(fake: FakeRetailCrm) -> None:
    fake.add_user(28, code="102")
    async with client_of(fake) as client:
        await upload(client, {**UPLOAD, "code": "102"})
        await upload(client, {**UPLOAD, "externalId": "2", "userId": None, "code": "102"})
        await upload(client, {**UPLOAD, "externalId": "3", "userId": None, "code": "103"})
    managers = [fake.manager_of(call) for call in fake.calls]
    assert [manager and manager.user_id for manager in managers] == [27, 28, None]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"type": "hangup"}, "type"),
        ({"result": "no answered"}, "result"),
        ({"result": None}, "result"),
        ({"date": "2025-10-01T12:17:28"}, "date"),
        ({"date": "2025-10-1 12:17:28"}, "date"),
        ({"date": "2025-13-01 12:17:28"}, "date"),
        ({"date": None}, "date"),
        ({"duration": "72"}, "duration"),
        ({"duration": -1}, "duration"),
        ({"durationWaiting": 1.5}, "durationWaiting"),
        ({"phone": None}, "phone"),
        ({"userId": "27"}, "userId"),
        ({"externalId": 1}, "externalId"),
    ],
)
async def test_one_wrong_call_refuses_the_whole_upload(fake: FakeRetailCrm, changes: dict[str, Any], wrong: str) -> None:
    async with client_of(fake) as client:
        answer = await upload(client, UPLOAD, {**UPLOAD, "externalId": "2", **changes})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"calls[1].{wrong}"]
    assert fake.calls == []


async def test_an_upload_holds_fifty_calls_and_no_more(fake: FakeRetailCrm) -> None:
    calls = [{**UPLOAD, "externalId": str(number)} for number in range(51)]
    async with client_of(fake) as client:
        assert (await upload(client, *calls)).status_code == 400
        assert (await upload(client)).status_code == 400
        assert (await client.post("/api/v5/telephony/calls/upload", data={"calls": json.dumps(UPLOAD)})).status_code == 400
        assert fake.calls == []
        assert (await upload(client, *calls[:50])).json()["processedCallsCount"] == 50


async def test_the_key_may_be_in_the_header_the_query_or_the_form(fake: FakeRetailCrm) -> None:
    fields = {"event": json.dumps(EVENT)}
    async with client_of(fake, key="") as client:
        path = "/api/v5/telephony/call/event"
        for answer in (
            await client.post(path, data=fields, headers={"X-API-KEY": KEY}),
            await client.post(path, data=fields, params={"apiKey": KEY}),
            await client.post(path, data={**fields, "apiKey": KEY}),
        ):
            assert answer.status_code == 200
        missing = await client.post(path, data=fields)
        assert (missing.status_code, missing.json()) == (403, {"success": False, "errorMsg": '"apiKey" is missing.'})
        wrong = await client.post(path, data=fields, headers={"X-API-KEY": "wrong"})
        assert (wrong.status_code, wrong.json()["errorMsg"]) == (403, 'Wrong "apiKey" value.')
    assert len(fake.events) == 3


async def test_a_key_may_lack_a_right_and_says_which_it_has(fake: FakeRetailCrm) -> None:
    fake.keys["partial"] = ("telephony",)
    async with client_of(fake, "partial") as client:
        assert (await send_event(client)).status_code == 200
        refused = await client.get("/api/v5/customers")
        assert (refused.status_code, refused.json()["errorMsg"]) == (403, "Access denied.")
        credentials = (await client.get("/api/credentials")).json()
        assert credentials["credentials"] == ["/api/telephony/call/event", "/api/telephony/calls/upload", "/api/telephony/manager"]
        assert (credentials["success"], credentials["siteAccess"], credentials["sitesAvailable"]) == (True, "access_full", ["main"])


async def test_unknown_methods_verbs_and_accounts() -> None:
    fake = FakeRetailCrm(hosts=["store.retailcrm.test"])
    async with client_of(fake) as client:
        unknown = await client.get("/api/v5/telephony/setting/asterisk")
        assert (unknown.status_code, unknown.json()) == (404, {"success": False, "errorMsg": "API method not found"})
        verb = await client.get("/api/v5/telephony/call/event")
        assert (verb.status_code, verb.json()["errorMsg"]) == (405, "Method Not Allowed")
        assert (await client.get("/api/v4/customers")).status_code == 404
    async with client_of(fake, base_url="https://elsewhere.retailcrm.test") as client:
        nobody = await client.get("/api/v5/customers")
        assert (nobody.status_code, nobody.json()["errorMsg"]) == (404, "Account does not exist.")
        posted = await send_event(client)
        assert (posted.status_code, posted.headers["content-type"]) == (405, "text/html")


async def test_limits_are_ten_a_second_and_forty_for_telephony(fake: FakeRetailCrm, autojump_clock: trio.testing.MockClock) -> None:
    fake.keys["second"] = None
    async with client_of(fake) as client, client_of(fake, "second") as other:
        assert [(await send_event(client)).status_code for _ in range(40)] == [200] * 40
        assert (fake.violations, fake.peaks) == ({}, {"telephony requests per second": 1.0})
        refused = await send_event(client)
        assert (refused.status_code, refused.json()) == (503, {"success": False, "errorMsg": "Rate limit exceeded"})
        assert "retry-after" not in refused.headers
        assert [(await client.get("/api/v5/users")).status_code for _ in range(11)] == [200] * 10 + [503]
        assert (await other.get("/api/v5/users")).status_code == 200
        await trio.sleep(1)
        assert (await send_event(client)).status_code == 200
    assert fake.violations == {"requests per second": 1, "telephony requests per second": 1}
    assert len(fake.events) == 41


async def test_customers_are_found_by_name_or_number(fake: FakeRetailCrm) -> None:
    fake.add_customer("+375 29 000-00-02", first_name="Борис")
    fake.add_customer(PHONE, first_name="Вера", last_name="Иванова", patronymic="Олеговна", external_id="ext-2", manager_id=27)
    async with client_of(fake) as client:
        for filters in ({"filter[name]": "375290000001"}, {"filter[name]": "иванова"}, {"filter[phone]": PHONE}):
            found = (await client.get("/api/v5/customers", params={**filters, "limit": 20})).json()
            assert found["pagination"] == {"limit": 20, "totalCount": 1, "currentPage": 1, "totalPageCount": 1}
            assert [each["firstName"] for each in found["customers"]] == ["Вера"]
        assert found["customers"][0] == {
            "type": "customer",
            "id": 2,
            "externalId": "ext-2",
            "isContact": False,
            "createdAt": "2025-01-01 10:00:00",
            "managerId": 27,
            "site": "main",
            "firstName": "Вера",
            "lastName": "Иванова",
            "patronymic": "Олеговна",
            "phones": [{"number": PHONE}],
            "addresses": [],
            "customFields": [],
        }
        everybody = (await client.get("/api/v5/customers", params={"filter[unheardOf]": "1"})).json()
        assert [each["id"] for each in everybody["customers"]] == [2, 1]
        assert (await client.get("/api/v5/customers", params={"filter[name]": "375299999999"})).json()["customers"] == []
        fake.phone_filter_works = False
        assert len((await client.get("/api/v5/customers", params={"filter[phone]": PHONE})).json()["customers"]) == 2
        assert (await client.get("/api/v5/customers/2?by=id")).json()["customer"]["lastName"] == "Иванова"
        assert (await client.get("/api/v5/customers/ext-2")).json()["customer"]["id"] == 2
        gone = await client.get("/api/v5/customers/2")
        assert (gone.status_code, gone.json()["errorMsg"]) == (404, "Not found")


async def test_pages_have_four_sizes(fake: FakeRetailCrm) -> None:
    for number in range(21):
        fake.add_user(100 + number)
    async with client_of(fake) as client:
        page = (await client.get("/api/v5/users", params={"page": 2})).json()
        assert page["pagination"] == {"limit": 20, "totalCount": 22, "currentPage": 2, "totalPageCount": 2}
        assert [user["id"] for user in page["users"]] == [119, 120]
        assert "code" not in page["users"][0]
        for limit in (20, 50, 100, 250):
            assert (await client.get("/api/v5/users", params={"limit": limit})).status_code == 200
    async with client_of(fake) as client:
        fake.meter.enforced = False
        for params in ({"limit": 10}, {"limit": "many"}, {"page": 0}):
            assert (await client.get("/api/v5/users", params=params)).status_code == 400
        assert (await client.get("/api/v5/users/27")).json()["user"]["lastName"] == "Петрова"
        assert (await client.get("/api/v5/users/1")).status_code == 404


async def test_customers_are_created_with_201(fake: FakeRetailCrm) -> None:
    async with client_of(fake) as client:
        raw: dict[str, Any] = {"firstName": PHONE, "phones": [{"number": PHONE}], "managerId": 27, "externalId": "e"}
        created = await client.post("/api/v5/customers/create", data={"customer": json.dumps(raw), "site": "second"})
        assert (created.status_code, created.json()) == (201, {"success": True, "id": 1})
        assert (fake.customers[1].phones, fake.customers[1].manager_id, fake.customers[1].site) == ([PHONE], 27, "second")
        for changes in ({}, {"externalId": "f", "managerId": 99}, {"externalId": "f", "phones": [PHONE]}, {"externalId": 5}):
            refused = await client.post("/api/v5/customers/create", data={"customer": json.dumps({**raw, **changes})})
            assert refused.status_code == 400
        assert (await client.post("/api/v5/customers/create", data={})).json()["errorMsg"] == "Parameter 'customer' is missing"
    assert len(fake.customers) == 1


async def test_companies_are_found_by_their_contacts(fake: FakeRetailCrm) -> None:
    contact = fake.add_customer(PHONE, first_name="Вера")
    fake.add_corporate("ООО Пример", contact, manager_id=27)
    fake.add_corporate("ООО Другая")
    async with client_of(fake) as client:
        found = (await client.get("/api/v5/customers-corporate", params={"filter[contactIds][]": contact.customer_id})).json()
        [company] = found["customersCorporate"]
        assert (company["mainCompany"]["name"], company["managerId"], company["nickName"]) == ("ООО Пример", 27, "ООО Пример")
        assert company["mainCustomerContact"]["customer"] == {"id": contact.customer_id}
        contacts = (await client.get(f"/api/v5/customers-corporate/{company['id']}/contacts?by=id&site=main")).json()["contacts"]
        assert [(each["isMain"], each["customer"]["id"]) for each in contacts] == [(True, contact.customer_id)]
        assert (await client.get(f"/api/v5/customers-corporate/{company['id']}/contacts")).status_code == 404
        shown = (await client.get(f"/api/v5/customers-corporate/{company['id']}?by=id")).json()
        assert shown["customerCorporate"]["mainCompany"]["name"] == "ООО Пример"
        assert (await client.get("/api/v5/customers-corporate/99")).status_code == 404
    assert contact.is_contact


async def test_one_question_tells_who_calls_and_whose_customer_it_is(fake: FakeRetailCrm) -> None:
    fake.add_customer(PHONE, first_name="Вера", last_name="Иванова", manager_id=27)
    path = "/api/v5/telephony/manager"
    async with client_of(fake) as client:
        known = (await client.get(path, params={"phone": "375290000001", "details": 1, "ignoreStatus": 1})).json()
        assert known["manager"] == {
            "id": 27,
            "firstName": "Анна",
            "lastName": "Петрова",
            "patronymic": "Игоревна",
            "email": "a@example.com",
            "code": "101",
        }
        assert known["customer"] == {"id": 1, "firstName": "Вера", "lastName": "Иванова", "phones": [{"number": PHONE}]}
        assert set(known["links"]) == {"newOrderLink", "customerLink"}
        unknown = (await client.get(path, params={"phone": "375290000009", "details": 1, "ignoreStatus": 1})).json()
        assert set(unknown) == {"success", "links"}
        assert set(unknown["links"]) == {"newOrderLink", "newCustomerLink"}
        fake.users[27].status = "busy"
        assert "manager" not in (await client.get(path, params={"phone": PHONE, "details": 1})).json()
        assert "customer" not in (await client.get(path, params={"phone": PHONE, "ignoreStatus": 1})).json()
        assert (await client.get(path)).json()["errorMsg"] == "Parameter 'phone' is missing"


async def test_an_upload_may_be_carried_out_and_never_answered(fake: FakeRetailCrm, autojump_clock: trio.testing.MockClock) -> None:
    fake.fail(FaultKind.HANG, path="calls/upload", accepted=True)
    async with client_of(fake) as client:
        assert (await send_event(client)).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            await upload(client, UPLOAD)
        assert (await upload(client, UPLOAD)).json()["duplicateCalls"] == [CALL]
    assert [call.uploads for call in fake.calls] == [2]


async def test_it_can_be_reached_over_http_by_anybody(fake: FakeRetailCrm) -> None:
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=base_url, headers={"X-API-KEY": KEY}) as client:
        assert (await send_event(client)).json()["success"]
        assert (await upload(client, UPLOAD)).json()["processedCallsCount"] == 1
        assert (await client.get("/api/api-versions")).json()["versions"] == ["3.0", "4.0", "5.0"]
        assert (await client.get("/nowhere")).status_code == 404


PATHS = ("*", "/", "/api", "/api/credentials", "/api/v5/customers?limit=x&filter[name]=%FF", f"/api/v5/users/{'9' * 5000}")
POSTS = ("/api/v5/telephony/call/event", "/api/v5/telephony/calls/upload", "/api/v5/customers/create")
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*EVENT, *UPLOAD, "phones", "firstName")), inner),
    max_leaves=20,
)


@given(
    method=st.sampled_from(("GET", "POST", "DELETE")),
    target=st.sampled_from(PATHS + POSTS) | st.text(st.characters(min_codepoint=33, max_codepoint=126)),
    body=st.binary()
    | st.fixed_dictionaries({}, optional={name: JSONS.map(json.dumps) | st.text() for name in ("event", "calls", "customer")}).map(
        lambda fields: urlencode(fields).encode()
    ),
    content_type=st.sampled_from((FORM_TYPE, JSON_TYPE, "")),
)
def test_nothing_that_is_sent_brings_it_down(method: str, target: str, body: bytes, content_type: str) -> None:
    fake = FakeRetailCrm()
    headers = (("content-type", content_type), ("x-api-key", KEY))
    request = Request(method=method, target=target, headers=headers, body=body, at=0.0, when=FIRST_DAY)
    assert list(fake.uses(request))
    assert fake.respond(request).status in (200, 201, 400, 404, 405)


async def test_the_public_client_of_the_vendor_agrees(fake: FakeRetailCrm) -> None:
    retailcrm: Any = pytest.importorskip("retailcrm", reason="the public client is not installed")
    fake.add_customer(PHONE, first_name="Вера", manager_id=27)

    def ask(base_url: str) -> list[tuple[int, Any]]:
        client = retailcrm.v5(base_url, KEY)
        wrong = retailcrm.v5(base_url, "wrong")
        answers = [
            client.api_credentials(),
            client.telephony_call_event(EVENT),
            client.telephony_calls_upload([UPLOAD]),
            client.telephony_calls_upload([UPLOAD]),
            client.telephony_manager("375290000001"),
            client.customers({"name": "375290000001"}),
            client.customer(1, "id"),
            client.users(limit=100),
            client.user(27),
            client.telephony_call_event({**EVENT, "type": "nonsense"}),
            wrong.users(),
        ]
        return [(answer.get_status_code(), answer.get_response()) for answer in answers]

    async with serve_crm(fake) as base_url:
        # A thread that is waited for: every request of the client is answered by the loop that runs meanwhile.
        answers = await trio.to_thread.run_sync(ask, base_url)
    assert [status for status, _ in answers] == [200] * 9 + [400, 403]
    assert [answers[3][1]["duplicateCalls"], answers[4][1]["customer"]["firstName"], answers[5][1]["customers"][0]["id"]] == [
        [CALL],
        "Вера",
        1,
    ]
    assert (len(fake.events_of(CALL)), len(fake.calls), fake.unknown_fields) == (1, 1, set())
