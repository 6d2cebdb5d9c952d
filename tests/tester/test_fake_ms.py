"""The fake МойСклад: each fact of its two APIs that adapters stand on."""

import gzip
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tester.fakes.crm_faults import FaultKind
from tester.fakes.crm_fronts import CrmTransport, serve_crm
from tester.fakes.crm_server import FIRST_DAY
from tester.fakes.ms import BUSY, MAINTENANCE, CardEventKind, CardState, FakeMoySklad, MsAccount

KEY, TOKEN = "phone-key", "json-token"
ACCEPT = "application/json;charset=utf-8"
PHONE_HEADERS = {"Lognex-Phone-Auth-Token": KEY, "Accept": ACCEPT, "Accept-Encoding": "gzip"}
JSON_HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": ACCEPT, "Accept-Encoding": "gzip"}
BASE = "https://api.moysklad.ru"
CALL = "/api/phone/1.0/call"
COUNTERPARTY = "/api/remap/1.2/entity/counterparty"
NUMBER = "+375290000001"
NEW_CALL: Mapping[str, Any] = {
    "externalId": "1759310248.0",
    "number": NUMBER,
    "isIncoming": True,
    "startTime": "2025-10-01 12:17:28",
}


@pytest.fixture
def fake() -> FakeMoySklad:
    return FakeMoySklad()


@pytest.fixture
def account(fake: FakeMoySklad) -> MsAccount:
    return fake.add_account(KEY, TOKEN)


def client_of(fake: FakeMoySklad, headers: Mapping[str, str] = PHONE_HEADERS) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=CrmTransport(fake), base_url=BASE, headers=dict(headers), timeout=5.0)


async def ask(
    fake: FakeMoySklad, method: str, path: str, content: object = None, headers: Mapping[str, str] = PHONE_HEADERS
) -> httpx.Response:
    async with client_of(fake, headers) as client:
        return await client.request(method, path, json=content)


async def look(fake: FakeMoySklad, path: str, **query: str) -> httpx.Response:
    async with client_of(fake, JSON_HEADERS) as client:
        return await client.get(path, params=query)


def codes(answer: httpx.Response) -> tuple[int, list[int]]:
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


def event(kind: str, extension: str = "", sequence: int = 1) -> dict[str, Any]:
    return {"eventType": kind, "sequence": sequence, **({"extension": extension} if extension else {})}


async def test_without_gzip_there_is_no_answer_worth_the_name(fake: FakeMoySklad, account: MsAccount) -> None:
    for headers in (PHONE_HEADERS, JSON_HEADERS):
        answer = await ask(fake, "GET", COUNTERPARTY, headers={**headers, "Accept-Encoding": "br, identity"})
        assert (answer.status_code, answer.content) == (415, b"")


async def test_answers_are_compressed(fake: FakeMoySklad, account: MsAccount) -> None:
    answer = await ask(fake, "POST", CALL, NEW_CALL)
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    sent = fake.requests[0].response
    assert sent is not None
    assert sent.body[:2] == b"\x1f\x8b"


async def test_another_accept_is_refused(fake: FakeMoySklad, account: MsAccount) -> None:
    assert codes(await ask(fake, "POST", CALL, NEW_CALL, {**PHONE_HEADERS, "Accept": "*/*"})) == (400, [1062])
    assert (await ask(fake, "POST", CALL, NEW_CALL, {**PHONE_HEADERS, "Accept": "application/json; charset=UTF-8"})).status_code == 200


@pytest.mark.parametrize(("path", "name"), [(CALL, "Lognex-Phone-Auth-Token"), (COUNTERPARTY, "Authorization")])
async def test_a_wrong_key_is_refused_with_its_headers(path: str, name: str, fake: FakeMoySklad, account: MsAccount) -> None:
    for value in ("", "wrong", "Bearer wrong", f"Basic {TOKEN}"):
        answer = await ask(fake, "POST", path, {"name": "x"}, {**PHONE_HEADERS, "Lognex-Phone-Auth-Token": "", name: value})
        assert codes(answer) == (401, [1056])
        assert answer.headers["x-lognex-auth-message"]
    assert account.calls == {}


async def test_an_account_without_the_solution_is_refused(fake: FakeMoySklad, account: MsAccount) -> None:
    account.has_phone_solution = False
    assert codes(await ask(fake, "POST", CALL, NEW_CALL)) == (403, [55008])
    assert (await look(fake, COUNTERPARTY)).status_code == 200


async def test_accounts_do_not_see_each_other(fake: FakeMoySklad, account: MsAccount) -> None:
    other = fake.add_account("other-key", "other-token")
    await ask(fake, "POST", CALL, NEW_CALL)
    call_id = account.call("1759310248.0").call_id
    answer = await ask(fake, "GET", f"{CALL}/{call_id}", headers={**PHONE_HEADERS, "Lognex-Phone-Auth-Token": "other-key"})
    assert (codes(answer), other.calls) == ((404, [1021]), {})


async def test_each_required_field_is_named(fake: FakeMoySklad, account: MsAccount) -> None:
    answer = await ask(fake, "POST", CALL, {"number": NUMBER, "externalId": ""})
    assert codes(answer) == (412, [3000, 3000, 3000])
    first = answer.json()["errors"][0]
    assert set(first) == {"error", "parameter", "code", "error_message"}
    assert [error["parameter"] for error in answer.json()["errors"]] == ["externalId", "isIncoming", "startTime"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"startTime": "2025-10-01T12:17:28"}, 400, 2016),
        ({"startTime": "2025-13-01 12:17:28"}, 400, 2016),
        ({"isIncoming": "true"}, 400, 2016),
        ({"duration": "72"}, 400, 2016),
        ({"duration": -1}, 412, 3002),
        ({"duration": 10**10}, 412, 3008),
        ({"startTime": "9999-12-31 23:59:59", "duration": 5000}, 400, 2016),
        ({"recordUrl": "https://pbx.example.com/1"}, 400, 2016),
        ({"events": [event("RING", "101")]}, 412, 3005),
        ({"events": [event("HIDE_ALL")]}, 412, 3005),
        ({"events": [event("SHOW")]}, 412, 3000),
        ({"events": [{"eventType": "SHOW", "extension": "101"}]}, 412, 3000),
        ({"events": "SHOW"}, 400, 2016),
        ({"employee": {"type": "employee"}}, 400, 2010),
        ({"employee": {"href": f"{BASE}/api/remap/1.2/entity/employee/1"}}, 400, 2011),
        ({"employee": {"href": f"{BASE}/api/remap/1.2/entity/employee/1", "type": "employee"}}, 400, 2013),
        ({"counterparty": {"href": f"{BASE}/api/remap/1.2/entity/employee/1", "type": "employee"}}, 400, 1060),
    ],
)
async def test_a_wrong_field_is_refused_and_nothing_is_kept(
    fields: dict[str, Any], status: int, code: int, fake: FakeMoySklad, account: MsAccount
) -> None:
    assert codes(await ask(fake, "POST", CALL, {**NEW_CALL, **fields})) == (status, [code])
    assert account.calls == {}


async def test_a_body_must_be_a_json_object(fake: FakeMoySklad, account: MsAccount) -> None:
    async with client_of(fake) as client:
        assert codes(await client.post(CALL, content=b"externalId=1")) == (400, [2001])
        assert codes(await client.post(CALL, json=[NEW_CALL])) == (400, [2000])


async def test_unknown_paths_calls_and_verbs(fake: FakeMoySklad, account: MsAccount) -> None:
    assert codes(await ask(fake, "GET", "/api/phone/1.0/calls")) == (404, [1002])
    assert codes(await ask(fake, "GET", "/elsewhere")) == (404, [1002])
    assert codes(await ask(fake, "DELETE", f"{CALL}/1")) == (405, [1039])
    assert codes(await ask(fake, "GET", CALL)) == (405, [1039])
    for path in ("1", "extid/1"):
        assert codes(await ask(fake, "GET", f"{CALL}/{path}")) == (404, [1021])
        assert codes(await ask(fake, "PUT", f"{CALL}/{path}", {})) == (404, [1021])
        assert codes(await ask(fake, "POST", f"{CALL}/{path}/event", event("SHOW", "101"))) == (404, [1021])


async def test_a_repeated_external_id_is_refused(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, NEW_CALL)
    assert codes(await ask(fake, "POST", CALL, {**NEW_CALL, "number": "+74950000000"})) == (412, [3006])
    assert len(account.calls) == 1


async def test_the_oldest_calls_are_dropped_beyond_the_bound(
    fake: FakeMoySklad, account: MsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tester.fakes.ms_account.KEPT_CALLS", 2)
    for number in range(4):
        await ask(fake, "POST", CALL, {**NEW_CALL, "externalId": str(number)})
    assert [call.external_id for call in account.calls.values()] == ["2", "3"]
    assert not account.has_call("1")


async def test_a_call_is_answered_with_whose_it_is(fake: FakeMoySklad, account: MsAccount) -> None:
    owner = account.add_employee("100", last_name="Иванов")
    customer = account.add_counterparty("ООО Пример", "375 (29) 000-00-01", owner=owner)
    content = (await ask(fake, "POST", CALL, NEW_CALL)).json()
    assert content == {
        "meta": {"href": f"{BASE}{CALL}/{content['id']}", "type": "call", "mediaType": "application/json"},
        "id": content["id"],
        "externalId": "1759310248.0",
        "number": NUMBER,
        "counterparty": {
            "href": f"{BASE}/api/remap/1.2/entity/counterparty/{customer.counterparty_id}",
            "type": "counterparty",
            "mediaType": "application/json",
        },
        "counterpartyowner": {
            "extention": "100",
            "meta": {
                "href": f"{BASE}/api/remap/1.2/entity/employee/{owner.employee_id}",
                "type": "employee",
                "mediaType": "application/json",
            },
        },
        "isIncoming": True,
        "startTime": "2025-10-01 12:17:28",
    }


async def test_a_counterparty_that_is_named_beats_the_number(fake: FakeMoySklad, account: MsAccount) -> None:
    account.add_counterparty("По номеру", NUMBER)
    named = account.add_counterparty("По ссылке")
    await ask(fake, "POST", CALL, {**NEW_CALL, "counterparty": {"meta": named.view["meta"]}})
    assert account.call("1759310248.0").counterparty_id == named.counterparty_id


async def test_milliseconds_are_answered_when_asked_for(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "startTime": "2025-10-01 12:17:28.5", "duration": 1500})
    call_id = account.call("1759310248.0").call_id
    plain = (await ask(fake, "GET", f"{CALL}/{call_id}")).json()
    assert (plain["startTime"], plain["endTime"], plain["duration"]) == ("2025-10-01 12:17:28", "2025-10-01 12:17:30", 1500)
    exact = (await ask(fake, "GET", f"{CALL}/{call_id}", headers={**PHONE_HEADERS, "X-Lognex-Format-Millisecond": "true"})).json()
    assert (exact["startTime"], exact["endTime"]) == ("2025-10-01 12:17:28.500", "2025-10-01 12:17:30.000")


async def test_the_end_beats_the_duration(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "endTime": "2025-10-01 12:18:40", "duration": 5})
    assert account.call("1759310248.0").duration_milliseconds == 72_000


async def test_a_put_fills_what_is_empty_replaces_the_comment_and_adds_recordings(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "comment": "звонят"})
    call = account.call("1759310248.0")
    assert (call.ended_at, call.duration_milliseconds, call.extension) == (None, None, "")
    first = {"extension": "101", "endTime": "2025-10-01 12:18:40", "recordUrl": ["https://pbx.example.com/1"], "comment": "ответили"}
    second = {
        "extension": "102",
        "endTime": "2025-10-01 13:00:00",
        "duration": 1,
        "recordUrl": ["https://pbx.example.com/1"],
        "comment": None,
        "number": "+74950000000",
        "isIncoming": False,
    }
    assert (await ask(fake, "PUT", f"{CALL}/{call.call_id}", first)).json()["comment"] == "ответили"
    answer = await ask(fake, "PUT", f"{CALL}/extid/1759310248.0", second)
    assert answer.status_code == 200
    assert (call.extension, call.duration_milliseconds, call.comment, call.number) == ("101", 72_000, "ответили", NUMBER)
    assert answer.json()["recordUrl"] == ["https://pbx.example.com/1"] * 2
    assert call.number_of_updates == 2


async def test_a_refused_put_changes_nothing(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, NEW_CALL)
    answer = await ask(fake, "PUT", f"{CALL}/extid/1759310248.0", {"extension": "101", "duration": 1, "events": [event("RING", "101")]})
    call = account.call("1759310248.0")
    assert (codes(answer), call.extension, call.ended_at, call.number_of_updates) == ((412, [3005]), "", None, 0)


async def test_a_long_comment_is_cut(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "comment": "я" * 5000})
    assert account.call("1759310248.0").comment == "я" * 4096


async def test_an_extension_names_its_employee_and_an_employee_beats_it(fake: FakeMoySklad, account: MsAccount) -> None:
    one, two = account.add_employee("101"), account.add_employee("102")
    await ask(fake, "POST", CALL, {**NEW_CALL, "extension": "101"})
    await ask(fake, "POST", CALL, {**NEW_CALL, "externalId": "2", "extension": "101", "employee": two.view["meta"]})
    assert [call.employee_id for call in account.calls.values()] == [one.employee_id, two.employee_id]


async def test_cards_are_shown_timed_and_hidden_by_events(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "events": [event("SHOW", "101"), event("SHOW", "102")]})
    call = account.call("1759310248.0")
    assert call.cards == {"101": CardState.SHOWN, "102": CardState.SHOWN}
    answer = await ask(fake, "POST", f"{CALL}/{call.call_id}/event", event("STARTTIME", "101", 2))
    assert (answer.status_code, answer.content) == (204, b"")
    await ask(fake, "POST", f"{CALL}/extid/1759310248.0/event", event("HIDE", "102", 3))
    await ask(fake, "POST", f"{CALL}/{call.call_id}/event", event("STARTTIME", "103", 3))
    assert (call.cards, call.seen_by) == ({"101": CardState.TIMER, "102": CardState.HIDDEN}, {"101"})
    await ask(fake, "PUT", f"{CALL}/{call.call_id}", {"events": [event("HIDE_ALL", sequence=999)]})
    assert call.seen_by == set()
    assert [(each.kind, each.sequence) for each in call.events][-1] == (CardEventKind.HIDE_ALL, 999)


async def test_a_card_event_that_comes_late_counts_by_its_sequence(fake: FakeMoySklad, account: MsAccount) -> None:
    await ask(fake, "POST", CALL, {**NEW_CALL, "events": [event("SHOW", "101")]})
    path = f"{CALL}/extid/1759310248.0/event"
    await ask(fake, "POST", path, event("HIDE_ALL", sequence=999))
    await ask(fake, "POST", path, event("SHOW", "101", 2))
    assert account.call("1759310248.0").cards == {"101": CardState.HIDDEN}


async def test_a_card_goes_to_the_employee_that_is_named(fake: FakeMoySklad, account: MsAccount) -> None:
    employee = account.add_employee("105")
    shown = {**event("SHOW", "101"), "employee": employee.view["meta"]}
    await ask(fake, "POST", CALL, {**NEW_CALL, "events": [shown]})
    assert account.call("1759310248.0").seen_by == {"105"}


@pytest.mark.parametrize(
    ("conditions", "extensions"),
    [
        ("", ["101", "102", "210"]),
        ("extention=101", ["101"]),
        ("extention=101;extention=210", ["101", "210"]),
        ("extention!=101;extention!=102", ["210"]),
        ("extention~10", ["101", "102", "210"]),
        ("extention~=10", ["101", "102"]),
        ("extention=~0", ["210"]),
    ],
)
async def test_employees_are_found_by_the_vendors_spelling(
    conditions: str, extensions: list[str], fake: FakeMoySklad, account: MsAccount
) -> None:
    for extension in ("101", "102", "210", ""):
        account.add_employee(extension)
    async with client_of(fake) as client:
        answer = await client.get("/api/phone/1.0/employee", params={"filter": conditions})
        assert [each["extention"] for each in answer.json()["employees"]] == extensions
        assert codes(await client.get("/api/phone/1.0/employee", params={"filter": "extension=101"})) == (412, [1034])


async def test_counterparties_are_filtered_and_searched(fake: FakeMoySklad, account: MsAccount) -> None:
    owner = account.add_employee("101", last_name="Петрова", first_name="Анна")
    firm = account.add_counterparty("ООО Пример", "+375290000001", owner=owner, tags=["опт"])
    man = account.add_counterparty("Сидоров", "+375290000012", company_type="individual", fields={"legalLastName": "Сидоров"})
    account.add_person(firm, "Ольга", "+375290000077", position="бухгалтер")
    found = (await look(fake, COUNTERPARTY, filter="phone~3752900000", limit="10")).json()
    assert found["meta"] == {**found["meta"], "size": 2, "limit": 10, "offset": 0}
    assert [row["id"] for row in found["rows"]] == [firm.counterparty_id, man.counterparty_id]
    row = found["rows"][0]
    assert (row["name"], row["companyType"], row["tags"], row["contactpersons"]["meta"]["size"]) == ("ООО Пример", "legal", ["опт"], 1)
    assert row["owner"]["meta"]["href"].endswith(f"/employee/{owner.employee_id}")
    assert "email" not in row

    async def ids(**query: str) -> list[str]:
        return [row["id"] for row in (await look(fake, COUNTERPARTY, **query)).json()["rows"]]

    assert await ids(filter="phone=+375290000012") == [man.counterparty_id]
    assert await ids(filter="phone~=375") == []
    assert await ids(filter="phone=~0012") == [man.counterparty_id]
    assert await ids(filter="companyType=individual;name~сид") == [man.counterparty_id]
    assert await ids(filter="phone~375290000077") == []
    assert await ids(search="375290000077") == [firm.counterparty_id]
    assert await ids(limit="1", offset="1") == [man.counterparty_id]
    assert codes(await look(fake, COUNTERPARTY, filter="telephone=1")) == (412, [1034])
    assert codes(await look(fake, COUNTERPARTY, limit="x")) == (400, [1040])
    persons = (await look(fake, f"{COUNTERPARTY}/{firm.counterparty_id}/contactpersons")).json()["rows"]
    assert [(person["name"], person["phone"], person["position"]) for person in persons] == [("Ольга", "+375290000077", "бухгалтер")]


async def test_a_single_object_of_the_json_api(fake: FakeMoySklad, account: MsAccount) -> None:
    employee = account.add_employee("101", last_name="Петрова", first_name="Анна", middle_name="Ивановна")
    path = "/api/remap/1.2/entity/employee"
    assert (await look(fake, f"{path}/{employee.employee_id}")).json()["name"] == "Петрова А. И."
    assert [row["id"] for row in (await look(fake, path)).json()["rows"]] == [employee.employee_id]
    assert (await look(fake, "/api/remap/1.2/context/employee")).json()["id"] == employee.employee_id
    assert codes(await look(fake, f"{path}/1")) == (404, [1021])
    assert codes(await look(fake, f"{COUNTERPARTY}/1")) == (404, [1021])
    assert codes(await look(fake, "/api/remap/1.2/entity/firm")) == (404, [1002])


async def test_a_counterparty_is_made_and_changed(fake: FakeMoySklad, account: MsAccount) -> None:
    employee = account.add_employee("101")
    fields = {"name": NUMBER, "phone": NUMBER, "email": "", "tags": ["Создан автоматически"], "owner": {"meta": employee.view["meta"]}}
    made = (await ask(fake, "POST", COUNTERPARTY, fields, JSON_HEADERS)).json()
    held = account.counterparties[made["id"]]
    assert (held.name, held.phone, held.owner_id, held.tags) == (NUMBER, NUMBER, employee.employee_id, ["Создан автоматически"])
    changed = {"name": "Сидоров", "companyType": "individual", "description": "сам позвонил"}
    assert (await ask(fake, "PUT", f"{COUNTERPARTY}/{made['id']}", changed, JSON_HEADERS)).json()["description"] == "сам позвонил"
    assert (held.name, held.phone, held.company_type) == ("Сидоров", NUMBER, "individual")
    assert codes(await ask(fake, "POST", COUNTERPARTY, {"phone": NUMBER}, JSON_HEADERS)) == (412, [3000])
    assert codes(await ask(fake, "POST", COUNTERPARTY, {"name": "x", "companyType": "state"}, JSON_HEADERS)) == (412, [3005])


async def test_the_hundred_and_first_request_in_five_seconds_is_refused(
    fake: FakeMoySklad, account: MsAccount, autojump_clock: trio.testing.MockClock
) -> None:
    async with client_of(fake) as client:
        statuses = [(await client.get("/api/phone/1.0/employee")).status_code for _ in range(100)]
        assert set(statuses) == {200}
        refused = await client.get("/api/phone/1.0/employee")
        assert codes(refused) == (429, [1049])
        names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-Lognex-Retry-TimeInterval", "X-Lognex-Reset", "X-Lognex-Retry-After")
        assert [refused.headers[name] for name in names] == ["100", "0", "5000", "5000", "5000"]
        await trio.sleep(5)
        passed = await client.get("/api/phone/1.0/employee")
        assert [passed.headers[name] for name in names] == ["100", "99", "5000", "0", "0"]
    assert fake.violations == {"phone rate": 1}


@pytest.mark.parametrize(("weight", "most"), [(1, 45), (2, 22), (3, 15), (4, 11)])
async def test_a_request_of_a_token_weighs_what_the_account_says(
    weight: int, most: int, fake: FakeMoySklad, autojump_clock: trio.testing.MockClock
) -> None:
    fake.add_account(KEY, TOKEN, weight=weight)
    async with client_of(fake, JSON_HEADERS) as client:
        statuses = [(await client.get(COUNTERPARTY)).status_code for _ in range(most + 1)]
        assert statuses == [200] * most + [429]
        # The two APIs have limits of their own.
        assert (await client.post(CALL, json=NEW_CALL, headers=PHONE_HEADERS)).status_code == 200
        await trio.sleep(3)
        assert (await client.get(COUNTERPARTY)).headers["x-ratelimit-remaining"] == str((45 - weight) // weight)


async def test_more_than_five_at_once_are_refused(fake: FakeMoySklad, account: MsAccount, autojump_clock: trio.testing.MockClock) -> None:
    fake.latency_seconds = 0.1
    answers: list[httpx.Response] = []

    async def one(client: httpx.AsyncClient, path: str) -> None:
        answers.append(await client.get(path))

    async with client_of(fake) as phone, client_of(fake, JSON_HEADERS) as json_api, trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(one, phone, "/api/phone/1.0/employee")
            nursery.start_soon(one, json_api, COUNTERPARTY)
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 2
    assert [codes(answer) for answer in answers if answer.status_code == 429] == [(429, [1073])] * 2
    assert fake.violations == {"phone parallel": 1, "json parallel": 1}


async def test_maintenance_and_overload_are_said_in_the_vendors_words(fake: FakeMoySklad, account: MsAccount) -> None:
    fake.fail_with(MAINTENANCE)
    fake.fail_with(BUSY)
    assert codes(await ask(fake, "POST", CALL, NEW_CALL)) == (503, [1074])
    assert codes(await ask(fake, "POST", CALL, NEW_CALL)) == (503, [1095])
    assert (await ask(fake, "POST", CALL, NEW_CALL)).status_code == 200


async def test_a_timeout_after_the_call_was_made_leaves_the_call(
    fake: FakeMoySklad, account: MsAccount, autojump_clock: trio.testing.MockClock
) -> None:
    fake.fail(FaultKind.HANG, path="/call$", accepted=True)
    with pytest.raises(httpx.ReadTimeout):
        await ask(fake, "POST", CALL, NEW_CALL)
    assert codes(await ask(fake, "POST", CALL, NEW_CALL)) == (412, [3006])
    assert (await ask(fake, "GET", f"{CALL}/extid/1759310248.0")).json()["number"] == NUMBER


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["1", "101", NUMBER, "SHOW"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["href", "type", "meta", "eventType", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = ("externalId", "number", "isIncoming", "startTime", "endTime", "duration", "extension", "employee", "counterparty", "recordUrl")
_MORE_NAMES = ("comment", "events", "eventType", "sequence", "name", "phone", "companyType", "owner", "tags", "description", "id", "meta")


@given(
    path=st.sampled_from([CALL, f"{CALL}/extid/1", f"{CALL}/extid/1/event", COUNTERPARTY, "/api/phone/1.0/employee"]),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    fields=st.dictionaries(st.sampled_from(_NAMES + _MORE_NAMES), _VALUES, max_size=8),
    query=st.text(max_size=30),
)
def test_anything_that_can_be_sent_is_answered(path: str, method: str, fields: dict[str, Any], query: str) -> None:
    fake = FakeMoySklad(clock=lambda: 0.0, now=lambda: FIRST_DAY)
    account = fake.add_account(KEY, TOKEN)
    account.add_counterparty("ООО Пример", NUMBER)
    headers = [*PHONE_HEADERS.items(), *JSON_HEADERS.items()]
    fake.respond(fake.request("POST", CALL, headers, json.dumps({**NEW_CALL, "externalId": "1"}).encode()))
    for sent in (fields, {**NEW_CALL, **fields}):
        target = f"{path}?{quote(query, safe='=&~')}&filter={quote(query)}&limit={quote(query)}"
        answer = fake.respond(fake.request(method, target, headers, json.dumps(sent).encode()))
        assert answer.status in (200, 204, 400, 404, 405, 412)
        if answer.body:
            assert ("errors" in json.loads(gzip.decompress(answer.body))) is (answer.status >= 400)


async def test_it_is_the_same_over_sockets(fake: FakeMoySklad, account: MsAccount) -> None:
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=base_url, headers=PHONE_HEADERS) as client:
        made = await client.post(CALL, json={**NEW_CALL, "events": [event("SHOW", "101")]})
        assert (made.status_code, made.headers["content-encoding"], made.json()["externalId"]) == (200, "gzip", "1759310248.0")
        hidden = await client.post(f"{CALL}/{made.json()['id']}/event", json=event("HIDE_ALL", sequence=999))
        assert (hidden.status_code, hidden.content) == (204, b"")
        bare = await client.get(f"{CALL}/extid/1759310248.0", headers={"Accept-Encoding": "identity"})
        assert (bare.status_code, bare.content) == (415, b"")
        assert codes(await client.get(f"{CALL}/extid/2")) == (404, [1021])
    assert account.call("1759310248.0").cards == {"101": CardState.HIDDEN}
