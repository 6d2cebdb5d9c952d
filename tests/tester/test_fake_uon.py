"""The fake U-ON Travel: what it takes, what it refuses in which words, what it holds."""

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
from tester.fakes.uon import FakeUon

KEY = "KeyOfUon0001"
CALL: dict[str, Any] = {
    "phone": "375290000001",
    "start": "2025-10-01 12:17:28",
    "duration": 72,
    "direction": 2,
    "manager_id": "5",
    "record_link": "https://pbx.example.com/recordings/file/1",
    "note": "Статус: отвеченный",
}


@pytest.fixture
def fake() -> FakeUon:
    fake = FakeUon([KEY])
    fake.account.add_manager(5, surname="Петрова", name="Анна", email="a@example.com", extension="101")
    fake.account.add_manager(6, extension="102")
    return fake


def client_of(fake: FakeUon, key: str = KEY) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=CrmTransport(fake), base_url=f"https://api.u-on.test/{key}")


async def create_call(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/call_history/create.json", data={**CALL, **changes})


async def test_calls_come_as_forms_or_json_and_ids_are_strings(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        answer = await create_call(client)
        assert (answer.status_code, answer.json()) == (200, {"result": 200, "id": "1"})
        assert (await client.post("/call_history/create.json", json=CALL)).json() == {"result": 200, "id": "2"}
    first, second = fake.account.calls
    assert (first.phone, first.start, first.duration, first.direction, first.manager_id) == ("375290000001", CALL["start"], 72, 2, 5)
    assert (first.record_link, first.note) == (CALL["record_link"], "Статус: отвеченный")
    assert second.shown() == {**first.shown(), "id": 2}
    assert fake.account.unknown_fields == set()


async def test_a_repeated_call_stands_there_twice(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        for _ in range(2):
            assert (await create_call(client)).json()["result"] == 200
    assert len(fake.account.calls_with("375290000001")) == 2


async def test_a_call_needs_no_manager_and_unknown_fields_are_noticed(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        await client.post("/call_history/create.json", data={**CALL, "manager_id": "", "external_id": "1759310248.0"})
    assert fake.account.calls[0].manager_id is None
    assert fake.account.unknown_fields == {"external_id"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"phone": ""}, "phone"),
        ({"start": "2025-10-01T12:17:28"}, "start"),
        ({"start": "01.10.2025 12:17"}, "start"),
        ({"duration": "1:12"}, "duration"),
        ({"duration": -1}, "duration"),
        ({"direction": 3}, "direction"),
        ({"direction": "in"}, "direction"),
        ({"manager_id": "99"}, "manager_id"),
    ],
)
async def test_a_wrong_parameter_is_a_404_with_its_name(fake: FakeUon, changes: dict[str, Any], wrong: str) -> None:
    async with client_of(fake) as client:
        answer = await create_call(client, **changes)
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"Parameter {wrong} is wrong")
        answer = await client.post("/call_history/create.json", json={**CALL, **changes})
        assert answer.status_code == 404
        assert (await client.post("/call_history/create.json", content=b"\xff")).status_code == 404
        assert (await client.post("/call_history/create.json", json=[1])).status_code == 404
    assert fake.account.calls == []


async def test_the_history_is_read_back_in_pages_of_a_hundred(fake: FakeUon) -> None:
    fake.meter.enforced = False
    async with client_of(fake) as client:
        empty = await client.get("/call_history/1.json")
        assert (empty.status_code, empty.json()) == (404, {"result": 404})
        for number in range(101):
            await create_call(client, phone=f"37529{number:07}")
        newest = (await client.get("/call_history/1.json")).json()
        assert (newest["result"], newest["pages_all"], len(newest["users"])) == (200, 2, 100)
        assert newest["users"][0] == {**CALL, "id": "101", "phone": "375290000100", "duration": "72", "direction": "2"}
        assert [call["id"] for call in (await client.get("/call_history/2.json")).json()["users"]] == ["1"]
        assert (await client.get("/call_history/3.json")).status_code == 404
        fake.account.history_newest_first = False
        fake.account.history_field = "records"
        fake.account.numbers_as_text = False
        assert (await client.get("/call_history/1.json")).json()["records"][0]["id"] == 1


async def test_the_history_of_a_client_is_read_back(fake: FakeUon) -> None:
    client_id = fake.account.add_client("+375290000001").client_id
    async with client_of(fake) as client:
        assert (await client.get(f"/call_history_by_user/{client_id}/1.json")).status_code == 404
        await create_call(client)
        await create_call(client, phone="375290000002")
        calls = (await client.get(f"/call_history_by_user/{client_id}/1.json")).json()["users"]
        assert [call["phone"] for call in calls] == ["375290000001"]
        assert (await client.get("/call_history_by_user/99/1.json")).status_code == 404


async def test_notifications_are_held_by_manager(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        for manager_id in (5, 6, 5):
            answer = await client.post("/notification/create.json", data={"text": f"для {manager_id}<br/>", "manager_id": manager_id})
            assert answer.json()["result"] == 200
            assert isinstance(answer.json()["id"], str)
        for wrong in ({"text": "", "manager_id": "5"}, {"text": "x"}, {"text": "x", "manager_id": "7"}):
            assert (await client.post("/notification/create.json", data=wrong)).status_code == 404
    assert fake.account.notices_of(5) == ["для 5<br/>", "для 5<br/>"]
    assert fake.account.notices_of(6) == ["для 6<br/>"]


async def test_clients_are_found_by_digits_and_kept_with_a_space(fake: FakeUon) -> None:
    fake.account.add_client("+375290000001", surname="Иванова", name="Вера", second_name="Олеговна", manager_id=5, office_id=3)
    fake.account.add_client("375290000001", company="ООО Пример", phone_mobile=" 375290000002")
    async with client_of(fake) as client:
        person, company = (await client.get("/user/phone/375290000001.json")).json()["users"]
        assert (person["u_id"], person["u_type"], person["u_phone"], person["manager_id"]) == ("1", 1, " 375290000001", "5")
        assert (person["u_surname"], person["u_name"], person["u_sname"]) == ("Иванова", "Вера", "Олеговна")
        assert (company["u_type"], company["u_company"], company["manager_id"]) == (2, "ООО Пример", "0")
        assert len((await client.get("/user/phone/375290000002.json")).json()["users"]) == 1
        assert len((await client.get("/user/phone/375290000001/3.json")).json()["users"]) == 1
        for nobody in ("375290000009", "+375290000001", "%2B375290000001"):
            answer = await client.get(f"/user/phone/{nobody}.json")
            assert (answer.status_code, answer.json()) == (404, {"result": 404})
        fake.account.numbers_as_text = False
        assert (await client.get("/user/phone/375290000002.json")).json()["users"][0]["u_id"] == 2


async def test_clients_can_be_created(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        created = await client.post("/user/create.json", data={"u_phone_mobile": "+375290000003", "u_surname": "375290000003"})
        assert created.json() == {"result": 200, "id": "1"}
        assert (await client.post("/user/create.json", data={"u_manager_id": "nobody"})).status_code == 404
        [found] = (await client.get("/user/phone/375290000003.json")).json()["users"]
        assert (found["u_phone_mobile"], found["u_surname"]) == (" 375290000003", "375290000003")


async def test_managers_tell_their_extensions(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        first, second = (await client.get("/manager.json")).json()["users"]
        assert (first["u_id"], first["u_surname"], first["u_name"], first["active"], first["ip_internal_number"]) == (
            "5",
            "Петрова",
            "Анна",
            "1",
            "101",
        )
        assert (second["u_surname"], second["role_id"], second["u_email"]) == (None, "1", "")
        fake.account.numbers_as_text = False
        assert (await client.get("/manager/6.json")).json()["users"][0]["u_id"] == 6
        assert (await client.get("/manager/7.json")).json() == {"result": 404}
        fake.account.managers.clear()
        assert (await client.get("/manager.json")).status_code == 404


async def test_the_key_is_a_part_of_the_path(fake: FakeUon) -> None:
    async with client_of(fake, "WrongKey") as client:
        wrong = await client.get("/manager.json")
        assert (wrong.status_code, wrong.json()["error"]["message"]) == (403, "API key is wrong")
    async with client_of(fake) as client:
        for path in ("/lead/update/1.json", "/clients.json", "/manager.xml", "/manager"):
            unknown = await client.get(path)
            assert unknown.status_code == 404
            assert unknown.json()["error"]["message"].startswith("No route found")
        assert (await client.get("/call_history/create.json")).status_code == 404


async def test_a_key_may_only_read_or_only_write(fake: FakeUon) -> None:
    async with client_of(fake) as client:
        fake.account.allows_post = False
        assert ((await client.get("/manager.json")).status_code, (await create_call(client)).status_code) == (200, 403)
        fake.account.allows_post, fake.account.allows_get = True, False
        assert ((await client.get("/manager.json")).status_code, (await create_call(client)).status_code) == (403, 200)


async def test_ten_requests_a_second_by_key_and_no_hint_how_long_to_wait(autojump_clock: trio.testing.MockClock) -> None:
    fake = FakeUon([KEY, "SecondKey"])
    async with client_of(fake) as client, client_of(fake, "SecondKey") as other:
        assert [(await create_call(client, manager_id="")).status_code for _ in range(11)] == [200] * 10 + [429]
        refused = await client.get("/manager.json")
        assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
        assert (await create_call(other, manager_id="")).status_code == 200
        await trio.sleep(1)
        assert (await create_call(client, manager_id="")).status_code == 200
    assert (fake.violations, fake.peaks) == ({"requests per second": 2}, {"requests per second": 1.1})
    assert [len(account.calls) for account in fake.accounts.values()] == [11, 1]


async def test_a_call_may_be_created_and_never_answered(fake: FakeUon, autojump_clock: trio.testing.MockClock) -> None:
    fake.fail(FaultKind.HANG, path="call_history/create", accepted=True)
    async with client_of(fake) as client:
        with pytest.raises(httpx.ReadTimeout):
            await create_call(client)
        assert [call["start"] for call in (await client.get("/call_history/1.json")).json()["users"]] == [CALL["start"]]


async def test_it_can_be_reached_over_http_by_anybody(fake: FakeUon) -> None:
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=f"{base_url}/{KEY}") as client:
        assert (await create_call(client)).json() == {"result": 200, "id": "1"}
        assert (await client.get("/user/phone/375290000001.json")).status_code == 404
        assert len((await client.get("/manager.json")).json()["users"]) == 2


PATHS = ("*", "/", f"/{KEY}", f"/{KEY}/manager.json", f"/{KEY}/user/phone/1.json", f"/{KEY}/call_history/{'9' * 5000}.json")
POSTS = tuple(f"/{KEY}/{name}/create.json" for name in ("call_history", "notification", "user"))
VALUES = st.dictionaries(st.sampled_from((*CALL, "text", "u_phone", "u_manager_id")), st.text() | st.integers() | st.none() | st.booleans())


@given(
    method=st.sampled_from(("GET", "POST", "DELETE")),
    target=st.sampled_from(PATHS + POSTS) | st.text(st.characters(min_codepoint=33, max_codepoint=126)),
    body=st.binary() | VALUES.map(lambda values: json.dumps(values).encode()) | VALUES.map(lambda values: urlencode(values).encode()),
    content_type=st.sampled_from((FORM_TYPE, JSON_TYPE, "")),
)
def test_nothing_that_is_sent_brings_it_down(method: str, target: str, body: bytes, content_type: str) -> None:
    fake = FakeUon([KEY])
    request = Request(method=method, target=target, headers=(("content-type", content_type),), body=body, at=0.0, when=FIRST_DAY)
    assert list(fake.uses(request))
    assert fake.respond(request).status in (200, 403, 404)
