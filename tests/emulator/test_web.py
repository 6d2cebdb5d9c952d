"""The page and the API over real sockets: what is told, what is refused and how, who may ask, and the end."""

from typing import Any

import pytest
import trio

from gateway.errors import SettingsError
from gateway.settings import Bind, load_settings
from gateway.web.listeners import BindError
from tester.emulator.client import StreamParser
from tester.emulator.orders import RunState
from tester.patterns import PATTERNS
from tests.emulator.desk import EVERYWHERE, HERE, REMOTE, TOKEN, Desk, open_desk, whole
from tests.web.conftest import open_client

PASSWORD = "correct horse"
# base64 of qa:correct horse
BASIC = {"authorization": "Basic cWE6Y29ycmVjdCBob3JzZQ=="}


async def until_over(desk: Desk, run_id: str) -> Any:
    async with desk.client() as client:
        await whole(client, f"/api/runs/{run_id}/stream")
    return await desk.get(f"/api/runs/{run_id}")


# ── what there is ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_enterprises_that_calls_can_be_played_for_are_listed_without_their_secrets() -> None:
    async with open_desk() as desk:
        assert await desk.get("/api/enterprises") == [
            {"number": "0367", "name": "Июнь", "has_token": True, "language": "ru", "subscribers": 0, "crms": ["retailcrm"]}
        ]
        assert await desk.get("/health") == {"status": "ok", "enterprises_loaded": 1, "runs": 0}


async def test_managers_and_lines_have_the_keys_of_the_guide() -> None:
    async with open_desk() as desk:
        managers = await desk.get("/api/managers?enterprise=0367")
        assert managers["150"] == {
            "name": "150 - Игорь Ковалёв",
            "clean_name": "Игорь Ковалёв",
            "personal_phone": "375290000150",
            "follow_me_number": "",
            "follow_me_enabled": False,
        }
        assert managers["152"]["name"] == "152"
        assert await desk.get("/api/lines?enterprise=0367") == {
            "0001363": {"name": "А1 основная", "operator": "A1"},
            "office": {"name": "Офис", "operator": "Билайн"},
        }


async def test_what_is_configured_now_counts_and_not_what_was_at_the_start() -> None:
    async with open_desk() as desk:
        desk.enterprises.clear()
        assert await desk.get("/api/enterprises") == []
        assert (await desk.ask("GET", "/api/lines?enterprise=0367")).status == 404


async def test_patterns_are_told_in_the_language_asked_for() -> None:
    async with open_desk() as desk:
        russian, english = await desk.get("/api/patterns"), await desk.get("/api/patterns?lang=en")
        assert [pattern["key"] for pattern in russian] == list(PATTERNS)
        assert {pattern["key"][0]: pattern["group"] for pattern in russian} == {"1": "outgoing", "2": "incoming", "3": "internal"}
        for pattern, other in zip(russian, english, strict=True):
            assert pattern["title"] != other["title"]
            assert [role["key"] for role in pattern["roles"]] == [role.key for role in PATTERNS[pattern["key"]].roles]
            assert all(role.keys() == {"key", "kind", "title", "is_optional", "default"} for role in other["roles"])


@pytest.mark.parametrize("can_block", [False, True])
async def test_targets_say_what_can_be_broken_there_and_why_not(can_block: bool) -> None:
    async with open_desk(can_block=can_block) as desk:
        here, elsewhere = await desk.get("/api/targets")
        assert here["address"] == ""
        assert here["is_local"] is True
        assert here["name"].startswith("этот шлюз (http://127.0.0.1:")
        assert here["troubles"] == {"telegram": ["429", "5xx", "blocked"] if can_block else ["429", "5xx"], "crm": True}
        assert list(here["why_not"]) == ([] if can_block else ["blocked"])
        assert (elsewhere["address"], elsewhere["name"]) == (REMOTE, REMOTE)
        assert elsewhere["troubles"] == {"telegram": [], "crm": False}
        assert list(elsewhere["why_not"]) == ["429", "5xx", "blocked", "crm"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("%2B375%2029%20000-11-11", {"is_valid": True, "shown": "+375 (29) 000-11-11", "digits": "375290001111", "error": ""}),
        ("", {"is_valid": False}),
        ("37529", {"is_valid": False}),
        ("9" * 60, {"is_valid": False}),
        ("%F0%9F%93%B1", {"is_valid": False}),
    ],
)
async def test_a_number_is_checked_while_it_is_typed(typed: str, told: dict[str, Any]) -> None:
    async with open_desk() as desk:
        answer = await desk.get(f"/api/phone?lang=en&number={typed}")
        assert answer.keys() == {"is_valid", "shown", "digits", "error"}
        assert answer | told == answer
        assert bool(answer["error"]) is not answer["is_valid"]


# ── plans and runs ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_plan_tells_the_whole_call_with_the_token_masked() -> None:
    async with open_desk() as desk:
        faults = {"events": [{"index": 1, "trouble": "delay", "seconds": 2.5}]}
        response = await desk.ask("POST", "/api/plans?lang=en", await desk.order("2-1", pace="1", faults=faults))
        assert response.status == 200
        plan = response.json
        assert plan.keys() == {"events", "acts", "people", "seconds", "finals", "messages"}
        assert [event["index"] for event in plan["events"]] == list(range(len(plan["events"])))
        assert plan["events"][0].keys() == {"index", "at_seconds", "kind", "unique_id", "summary", "body", "trouble"}
        assert [event["trouble"] for event in plan["events"][:3]] == ["", "delay", ""]
        assert {event["body"]["Token"] for event in plan["events"]} == {"***0900"}
        assert plan["acts"][0].keys() == {"at_seconds", "kind", "source", "target"}
        assert {act[end] for act in plan["acts"] for end in ("source", "target") if act[end]} == {one["number"] for one in plan["people"]}
        assert plan["messages"][-1]["text"].startswith("✅")
        assert plan["finals"][0][0].startswith("✅")
        assert plan["seconds"] > 0
        assert TOKEN not in response.body.decode()
        assert desk.front.taken == [], "nothing is played"


async def test_a_run_is_played_and_told_to_its_end() -> None:
    async with open_desk() as desk:
        order = await desk.order("1-8", linkedid=True)
        response = await desk.ask("POST", "/api/runs", order)
        assert response.status == 201
        run = response.json
        assert (run["state"], run["posted"], run["total"], run["verdict"]) == ("running", 0, len(run["events"]), None)
        faults: dict[str, Any] = {"events": [], "telegram": None, "crm_hangs": False}
        assert run["order"] == {**order, "faults": faults, "target": ""}, "the order as it can be given again"

        async with desk.client() as client:
            text = await whole(client, f"/api/runs/{run['id']}/stream")
        events = StreamParser().feed(text.encode())
        kinds = [event.kind for event in events]
        assert kinds[:3] == ["state", "post", "answer"]
        assert kinds[-2:] == ["verdict", "state"]
        assert TOKEN not in text
        assert [kind for kind, _ in desk.front.taken] == [event["kind"] for event in run["events"]]
        assert {body["Token"] for _, body in desk.front.taken} == {TOKEN}

        over = await desk.get(f"/api/runs/{run['id']}")
        assert (over["state"], over["posted"]) == ("done", over["total"])
        assert over["verdict"]["judgement"] == "unseen"
        assert over["verdict"]["differences"]
        assert [one["id"] for one in await desk.get("/api/runs")] == [run["id"]]
        await is_told_in_the_language_asked_for(desk, run["id"])

        async with desk.client() as client:
            rest = await whole(client, f"/api/runs/{run['id']}/stream", {"last-event-id": str(events[-2].seq)})
        assert [event.kind for event in StreamParser().feed(rest.encode())] == ["state"]


async def is_told_in_the_language_asked_for(desk: Desk, run_id: str) -> None:
    """Whatever language a run was ordered in, its events and its verdict are told in that of whoever looks."""
    said = {"ru": ("150 набирает +375", "у предприятия нет подписчиков"), "en": ("150 dials +375", "the enterprise has no subscribers")}
    for language, (summary, verdict) in said.items():
        run = await desk.get(f"/api/runs/{run_id}?lang={language}")
        assert summary in run["events"][0]["summary"]
        assert verdict in run["verdict"]["differences"][0]
        [listed] = await desk.get(f"/api/runs?lang={language}")
        assert listed == run
        async with desk.client() as client:
            events = StreamParser().feed((await whole(client, f"/api/runs/{run_id}/stream?lang={language}")).encode())
        assert [event.data for event in events if event.kind == "verdict"] == [run["verdict"]]


async def test_a_run_goes_step_by_step_and_is_stopped() -> None:
    async with open_desk() as desk:
        run = await desk.start("2-1", pace="step")
        assert run["state"] == "paused"
        stepped = await desk.ask("POST", f"/api/runs/{run['id']}/step", {})
        assert stepped.status == 200
        async with desk.client() as client:
            await client.send(f"GET /api/runs/{run['id']}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            received = b""
            while b"event: answer" not in received:
                received += await client.stream.receive_some(65536)
        assert (await desk.get(f"/api/runs/{run['id']}"))["posted"] == 1
        assert (await desk.ask("POST", f"/api/runs/{run['id']}/resume")).json["state"] == "running"
        assert (await desk.ask("POST", f"/api/runs/{run['id']}/pause")).json["state"] == "paused"
        assert (await desk.ask("POST", f"/api/runs/{run['id']}/stop")).json["state"] == "stopped"
        for action in ("pause", "resume", "step", "stop"):
            refused = await desk.ask("POST", f"/api/runs/{run['id']}/{action}?lang=en")
            assert (refused.status, refused.json["status"], refused.json["error"]) == (409, "error", "the run is over")
        assert (await until_over(desk, run["id"]))["verdict"] is None


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


BAD_ORDERS: list[tuple[dict[str, Any], str]] = [
    ({"pattern": 1}, "pattern: must be a text, not a number"),
    ({"pattern": None}, "pattern: is missing"),
    ({"speed": 1}, "the body: there is no key 'speed'"),
    ({"pace": 1}, "pace: must be one of 1, 10, step, max"),
    ({"pace": ["1"]}, "pace: must be one of"),
    ({"linkedid": "yes"}, "linkedid: must be true or false, not text"),
    ({"values": []}, "values: must be an object, not a list"),
    ({"values": {"external_phone": 375290001111}}, "external_phone: must be a text, not a number"),
    ({"values": {"external_phone": "1" * 300}}, "external_phone: is longer than 200 characters"),
    ({"values": {str(number): "" for number in range(40)}}, "values: there are more than 32"),
    ({"faults": None}, "faults: must be an object, not null"),
    ({"faults": {"events": [{"index": True, "trouble": "lose"}]}}, "faults.events[0].index: must be the number of an event"),
    ({"faults": {"events": [{"index": -1, "trouble": "lose"}]}}, "faults.events[0].index: must be the number of an event"),
    ({"faults": {"events": [{"index": 1, "trouble": "eat"}]}}, "faults.events[0].trouble: must be one of lose, double, delay, swap"),
    ({"faults": {"events": [{"index": 1, "trouble": "delay", "seconds": 1e9}]}}, "faults.events[0].seconds: must be 0 to 60"),
    ({"faults": {"events": [{"index": 1, "trouble": "delay", "seconds": float("nan")}]}}, "seconds: must be a number"),
    ({"faults": {"events": [{}] * 501}}, "faults.events: there are more than 500"),
    ({"faults": {"telegram": "502"}}, "faults.telegram: must be one of 429, 5xx, blocked"),
    ({"faults": {"crm_hangs": 1}}, "crm_hangs: must be true or false"),
]


@pytest.mark.parametrize(("change", "said"), BAD_ORDERS)
@pytest.mark.parametrize("path", ["/api/plans", "/api/runs"])
async def test_an_order_that_cannot_be_meant_is_refused_in_one_line(path: str, change: dict[str, Any], said: str) -> None:
    async with open_desk() as desk:
        response = await desk.ask("POST", path, await desk.order() | change)
        assert response.status == 422
        assert response.json["status"] == "error"
        assert said in response.json["error"]
        assert "\n" not in response.json["error"]
        assert response.json["fields"] == {}
        assert await desk.get("/api/runs") == []


@pytest.mark.parametrize("target", [REMOTE, f"{REMOTE}/"])
async def test_a_target_may_have_its_slash(target: str) -> None:
    async with open_desk() as desk:
        response = await desk.ask("POST", "/api/runs", await desk.order(target=target, pace="step"))
        assert (response.status, response.json["order"]["target"]) == (201, REMOTE)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xfe", b"[" * 60_000, b"1" * 5000])
async def test_a_body_that_is_no_order_is_refused(body: bytes) -> None:
    async with open_desk() as desk:
        assert (await desk.ask("POST", "/api/runs", body)).status == 422


async def test_what_is_wrong_with_a_role_is_said_beside_it_in_the_language_asked_for() -> None:
    async with open_desk() as desk:
        order = await desk.order("1-8")
        order["values"] |= {"external_phone": "12", "internal_phone": "abc"}
        russian, english = await desk.ask("POST", "/api/runs", order), await desk.ask("POST", "/api/runs?lang=en", order)
        assert russian.status == english.status == 422
        assert russian.json["fields"].keys() == english.json["fields"].keys() == {"external_phone", "internal_phone"}
        assert all(russian.json["fields"][key] != english.json["fields"][key] for key in russian.json["fields"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/managers", 422),
        ("GET", "/api/managers?enterprise=0368", 404),
        ("GET", "/api/managers?enterprise=0369", 404),
        ("GET", f"/api/lines?enterprise={TOKEN}", 404),
        ("GET", "/api/phone", 422),
        ("GET", "/api/patterns?lang=de", 422),
        ("GET", "/api/suggestion?pattern=9-9&enterprise=0367", 422),
        ("GET", "/api/suggestion?pattern=2-1&enterprise=0369", 422),
        ("GET", "/api/runs/1", 404),
        ("GET", "/api/runs/1/stream", 404),
        ("POST", "/api/runs/1/stop", 404),
        ("GET", "/api/runs/1/stop", 405),
        ("DELETE", "/api/runs/1", 405),
        ("POST", "/api/enterprises", 405),
        ("GET", "/../orders.py", 404),
        ("GET", "/page/index.html", 404),
        ("GET", "/%2e%2e/web.py", 404),
        ("GET", "/nothing", 404),
    ],
)
async def test_what_is_not_there_is_said_as_json(method: str, path: str, status: int) -> None:
    async with open_desk() as desk:
        response = await desk.ask(method, path)
        assert (response.status, response.json["status"]) == (status, "error")
        assert "\n" not in response.json["error"]
        assert TOKEN not in response.body.decode()


async def test_more_calls_than_may_be_at_once_are_refused() -> None:
    async with open_desk() as desk:
        statuses = [(await desk.ask("POST", "/api/runs", await desk.order(pace="step"))).status for _ in range(9)]
        assert statuses == [201] * 8 + [409]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/test-interface", "/test-interface?enterprise=0367&lang=en"])
async def test_the_page_loads_nothing_from_outside_and_is_framed_by_nobody(path: str) -> None:
    async with open_desk() as desk:
        response = await desk.ask("GET", path)
        assert response.status == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        assert response.headers["content-security-policy"] == policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-cache"
        assert b"<!doctype html>" in response.body.lower()


async def test_the_files_of_the_page_are_asked_for_again_and_sent_only_when_they_are_new() -> None:
    async with open_desk() as desk, desk.client() as client:
        first = await client.request("GET", "/emulator.js")
        assert first.headers["content-type"] == "text/javascript; charset=utf-8"
        again = await client.request("GET", "/emulator.js", b"", {"if-none-match": f'"other", {first.headers["etag"]}'})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        changed = await client.request("GET", "/emulator.js", b"", {"if-none-match": '"older"'})
        assert changed.body == first.body


async def test_answers_of_the_api_are_kept_nowhere() -> None:
    async with open_desk() as desk:
        headers = (await desk.ask("GET", "/api/enterprises")).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_address_has_the_guard_that_it_needs() -> None:
    async with open_desk([HERE, EVERYWHERE, Bind("::1", 0)], PASSWORD) as desk:
        for loopback in (0, 2):
            assert (await desk.ask("GET", "/api/enterprises", door=loopback)).status == 200
            assert (await desk.ask("GET", "/api/enterprises", headers={"host": "evil.example"}, door=loopback)).status == 403
        for path in ("/", "/test-interface", "/emulator.js", "/health", "/api/enterprises", "/api/runs/1/stream"):
            refused = await desk.ask("GET", path, door=1)
            assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="gateway", charset="UTF-8"')
        assert (await desk.ask("POST", "/api/runs", {}, door=1)).status == 401
        assert (await desk.ask("GET", "/api/enterprises", headers={"host": "gateway.example", **BASIC}, door=1)).status == 200
        foreign = {"host": "gateway.example", "origin": "https://evil.example", **BASIC}
        assert (await desk.ask("POST", "/api/runs", {}, headers=foreign, door=1)).status == 403


@pytest.mark.parametrize("host", ["LOCALHOST", "LocalHost", "127.8.8.8"])
async def test_every_spelling_of_this_machine_that_the_settings_take_without_a_password_is_served(host: str) -> None:
    (bind,) = load_settings({"GATEWAY_TESTER_BIND": str(Bind(host, 0))}).tester_bind
    async with open_desk([bind]) as desk:
        port = desk.addresses[0].rpartition(":")[2]
        async with open_client(desk.addresses[0]) as client:
            for name in ("localhost", "LOCALHOST", "127.0.0.1"):
                assert (await client.request("GET", "/health", b"", {"host": f"{name}:{port}"})).status == 200
            assert (await client.request("GET", "/health", b"", {"host": "evil.example"})).status == 403


async def test_pages_of_other_sites_start_no_runs() -> None:
    async with open_desk() as desk:
        order = await desk.order()
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example:8025"}):
            assert (await desk.ask("POST", "/api/runs", order, headers=headers)).status == 403
        assert await desk.get("/api/runs") == []
        followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert (await desk.ask("GET", "/test-interface", headers=followed)).status == 200
        assert (await desk.ask("GET", "/api/runs", headers=followed)).status == 403


async def test_before_the_front_door_is_open_nothing_is_played_and_the_reason_is_said() -> None:
    async with open_desk() as desk:
        order, reason = await desk.order(), "шлюз ещё запускается, повторите чуть позже"
        open_by_now = list(desk.targets)
        desk.targets.clear()
        for method, path in (("POST", "/api/runs"), ("POST", "/api/plans"), ("GET", "/api/targets")):
            refused = await desk.ask(method, path, order if method == "POST" else b"")
            assert (refused.status, refused.json) == (503, {"status": "error", "error": reason})
        assert (await desk.ask("GET", "/test-interface")).status == 200
        desk.targets.extend(open_by_now)
        assert (await desk.ask("POST", "/api/runs", order)).status == 201


async def test_an_address_that_others_reach_is_refused_without_a_password() -> None:
    with pytest.RaisesGroup(SettingsError, flatten_subgroups=True, allow_unwrapped=True):
        async with open_desk([HERE, EVERYWHERE]):
            pass


async def test_an_address_in_use_is_an_error_that_names_it() -> None:
    async with open_desk() as desk:
        taken = Bind("127.0.0.1", int(desk.addresses[0].rpartition(":")[2]))
        with pytest.RaisesGroup(pytest.RaisesExc(BindError, match="Address already in use"), flatten_subgroups=True):
            async with open_desk([HERE, taken]):
                pass


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_at_shutdown_runs_are_stopped_their_streams_say_so_and_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with open_desk(is_open=False) as desk:
        run = await desk.start("2-1", pace="1")
        async with desk.client() as streaming, desk.client() as idle:
            await idle.request("GET", "/health")
            await streaming.send(f"GET /api/runs/{run['id']}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            with trio.fail_after(5):
                received = b""
                while b"event: post" not in received:
                    received += await streaming.stream.receive_some(65536)
                desk.stop.set()
                while chunk := await streaming.stream.receive_some(65536):
                    received += chunk
                await desk.ended.wait()
        assert b'event: state\ndata: {"state": "stopped"}' in received
        assert received.endswith(b"0\r\n\r\n"), "the answer has its end"
        assert desk.emulator.find(run["id"]).state is RunState.STOPPED
    assert not caplog.records


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    async with open_desk() as desk, desk.client() as slow:
        run = await desk.start("2-1", pace="1")
        await slow.send(f"GET /api/runs/{run['id']}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        await slow.stream.receive_some(10)
        desk.stop.set()
        with trio.fail_after(5):
            await desk.ended.wait()


async def test_the_access_log_has_no_numbers_of_queries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.access")
    async with open_desk() as desk:
        await desk.get("/api/phone?number=%2B375290001111")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "gateway.access"]
    assert '"GET /api/phone HTTP/1.1" 200 ' in line
    assert "0001111" not in line
