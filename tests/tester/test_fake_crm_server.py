"""What all fake CRMs have in common: the record, faults, limits, and the ways to reach them."""

from collections.abc import Sequence

import httpx2 as httpx
import pytest
import trio
import trio.testing

from tester.fakes.crm_faults import GARBAGE, FaultKind
from tester.fakes.crm_fronts import CrmNetwork, CrmTransport, serve_crm
from tester.fakes.crm_limits import Bucket, Level, Limit, Meter, Parallel, Use, Window
from tester.fakes.crm_server import FIRST_DAY, CrmServer, Routes
from tester.fakes.crm_wire import BadBody, Request, Response, json_response

BASE = "http://crm.test"


class Notebook(CrmServer):
    """The smallest CRM: it writes down what is posted to /note."""

    def __init__(self, limits: Sequence[Limit] = (), *, enforced: bool = True) -> None:
        super().__init__(enforced=enforced)
        self.limits = limits
        self.notes: list[str] = []
        self.routes = Routes()
        self.routes.add("POST", "/note", lambda request, _: self._write(request))
        self.routes.add("GET", "/note/([0-9]+)", lambda _, found: json_response({"note": self.notes[int(found.group(1))]}))

    def uses(self, request: Request) -> Sequence[Use]:
        return [Use(limit, request.header("key")) for limit in self.limits]

    def respond(self, request: Request) -> Response:
        handler = self.routes.find(request.method, request.path)
        if handler is not None:
            return handler(request)
        return json_response({"known": sorted(self.routes.methods(request.path))}, 405 if self.routes.methods(request.path) else 404)

    def too_many(self, request: Request, over: Level) -> Response:
        assert request.method
        return json_response({"limit": over.name}, 429, (("Retry-After", f"{over.wait_seconds:g}"),))

    def _write(self, request: Request) -> Response:
        self.notes.append(request.form["text"])
        return json_response({"at": request.at, "when": request.when.isoformat()})


def client_of(fake: CrmServer, seconds: float | None = 5.0) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=CrmTransport(fake), base_url=BASE, timeout=seconds)


async def note(client: httpx.AsyncClient, text: str = "текст", key: str = "k") -> httpx.Response:
    return await client.post("/note", data={"text": text}, headers={"key": key})


async def test_every_request_is_recorded_with_its_parts_and_its_time(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook()
    await trio.sleep(3)
    async with client_of(fake) as client:
        assert (await note(client)).json() == {"at": 3.0, "when": "2026-01-01T00:00:03+00:00"}
        await client.put("/else/%D1%8F?a=1&a=2&b[]=", json={"x": [1]}, headers={"Key": "K"})
    first, second = fake.requests
    assert (first.request.method, first.request.path, first.request.parsed, first.status, first.answered_at) == (
        "POST",
        "/note",
        {"text": "текст"},
        200,
        3.0,
    )
    assert second.request.path == "/else/я"
    assert second.request.query_pairs == (("a", "1"), ("a", "2"), ("b[]", ""))
    assert second.request.query == {"a": "2", "b[]": ""}
    assert (second.request.parsed, second.request.header("KEY"), second.request.host) == ({"x": [1]}, "K", "crm.test")
    assert (second.status, second.request.when) == (404, FIRST_DAY.replace(second=3))
    assert fake.received("^/NOTE", "POST") == [first]
    assert fake.received("note", "GET") == []


def test_bodies_that_are_not_what_they_seem() -> None:
    def posted(body: bytes, content_type: str = "") -> Request:
        return Request(method="POST", target="/", headers=(("content-type", content_type),), body=body, at=0, when=FIRST_DAY)

    form = "application/x-www-form-urlencoded; charset=UTF-8"
    assert posted(b"a=1&b=", form).form == {"a": "1", "b": ""}
    assert posted(b'{"a": 1}', "application/json").form == {}
    assert posted(b"").parsed is None
    assert posted(b"nonsense").parsed is None
    with pytest.raises(BadBody):
        _ = posted(b"\xff=1", form).form
    with pytest.raises(BadBody):
        posted(b"[" * 100_000).json()
    assert "secret" not in repr(posted(b"secret"))


async def test_routes_know_a_wrong_verb_from_an_unknown_path() -> None:
    async with client_of(Notebook()) as client:
        await note(client, "один")
        assert (await client.get("/note/0")).json() == {"note": "один"}
        assert ((await client.delete("/note")).status_code, (await client.get("/no")).status_code) == (405, 404)


@pytest.mark.parametrize(
    ("kind", "accepted", "error", "written"),
    [
        (FaultKind.HANG, False, httpx.ReadTimeout, False),
        (FaultKind.HANG, True, httpx.ReadTimeout, True),
        (FaultKind.CLOSE, False, httpx.RemoteProtocolError, False),
        (FaultKind.CLOSE, True, httpx.RemoteProtocolError, True),
        (FaultKind.RESET, False, httpx.ReadError, False),
        (FaultKind.RESET, True, httpx.ReadError, True),
        (FaultKind.HALF_ANSWER, False, httpx.RemoteProtocolError, True),
        (FaultKind.REFUSE, True, httpx.ConnectError, False),
    ],
)
async def test_faults_end_requests_before_or_after_they_are_carried_out(
    kind: FaultKind, accepted: bool, error: type[Exception], written: bool, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Notebook()
    fake.fail(kind, accepted=accepted)
    async with client_of(fake) as client:
        with pytest.raises(error):
            await note(client)
        assert (bool(fake.notes), fake.requests[0].carried_out, fake.under_way) == (written, written, 0)
        assert fake.requests[0].fault == kind.name
        assert (await note(client)).status_code == 200
    assert not fake.faults


@pytest.mark.parametrize(
    ("kind", "accepted", "error", "written"),
    [
        (FaultKind.HANG, True, httpx.ReadTimeout, True),
        (FaultKind.CLOSE, False, httpx.RemoteProtocolError, False),
        (FaultKind.RESET, True, httpx.ReadError, True),
        (FaultKind.HALF_ANSWER, False, httpx.RemoteProtocolError, True),
        (FaultKind.REFUSE, False, httpx.RemoteProtocolError, False),
    ],
)
async def test_faults_are_the_same_over_sockets(kind: FaultKind, accepted: bool, error: type[Exception], written: bool) -> None:
    fake = Notebook()
    fake.fail(kind, accepted=accepted)
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=base_url, timeout=0.2) as client:
        with pytest.raises(error):
            await note(client)
        await fake.until(lambda: not fake.under_way)
        assert bool(fake.notes) is written
        assert (await note(client)).status_code == 200


async def test_an_answer_may_be_replaced_or_garbled() -> None:
    fake = Notebook()
    fake.fail(FaultKind.ANSWER, status=503, headers=(("Retry-After", "7"),))
    fake.fail(FaultKind.GARBAGE)
    async with client_of(fake) as client:
        busy = await note(client)
        assert (busy.status_code, busy.headers["retry-after"], busy.headers["content-type"]) == (503, "7", "text/html")
        assert fake.notes == []
        garbled = await note(client)
        assert (garbled.status_code, garbled.content, fake.notes) == (200, GARBAGE, ["текст"])


async def test_faults_fit_are_counted_and_healed() -> None:
    def says_x(request: Request) -> bool:
        return request.form["text"] == "x"

    fake = Notebook()
    fault = fake.fail(FaultKind.ANSWER, method="POST", path="NOTE", where=says_x, skip=1, times=2)
    async with client_of(fake) as client:
        statuses = [(await note(client, text)).status_code for text in ("x", "y", "x", "y", "x", "x")]
        assert statuses == [200, 200, 502, 200, 502, 200]
        assert (fault.met, fake.faults) == (2, [])
        fake.fail(FaultKind.ANSWER, times=None)
        assert [(await note(client)).status_code for _ in range(3)] == [502] * 3
        fake.heal()
        assert (await note(client)).status_code == 200


async def test_a_delay_comes_before_the_deed_or_after_it(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook()
    fake.latency_seconds = 0.5
    fake.fail(FaultKind.DELAY, seconds=2)
    fake.fail(FaultKind.DELAY, seconds=2, accepted=True)
    async with client_of(fake) as client:
        assert (await note(client)).json()["at"] == 2.5
        assert trio.current_time() == 2.5
        assert (await note(client)).json()["at"] == 3.0
        assert trio.current_time() == 5.0


async def test_a_client_that_leaves_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    parallel = Parallel("parallel", 1)
    fake = Notebook([parallel])
    fake.fail(FaultKind.DELAY, seconds=10)
    fake.fail(FaultKind.HANG, accepted=True)
    async with client_of(fake, seconds=None) as client:
        for _ in range(2):
            with trio.move_on_after(1):
                await note(client)
        await trio.sleep(60)
        assert [(each.was_cancelled, each.carried_out, each.status) for each in fake.requests] == [(True, False, 0), (True, True, 0)]
        assert (fake.notes, fake.under_way, fake.violations.total()) == (["текст"], 0, 0)
        assert (await note(client)).status_code == 200


async def test_a_client_that_leaves_is_noticed_over_sockets() -> None:
    fake = Notebook()
    fake.fail(FaultKind.DELAY, seconds=1000)
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=base_url) as client, trio.open_nursery() as nursery:
        nursery.start_soon(note, client)
        await fake.until(lambda: fake.under_way == 1)
        nursery.cancel_scope.cancel()
    await fake.until(lambda: fake.under_way == 0)
    assert (fake.requests[0].was_cancelled, fake.notes) == (True, [])


async def test_each_step_of_a_request_may_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook([Parallel("parallel", 5)])
    fake.latency_seconds = 1
    for tenths in range(40):
        fake.heal()
        fake.fail(FaultKind.DELAY, seconds=2, accepted=bool(tenths % 2))
        async with client_of(fake, seconds=None) as client:
            with trio.move_on_after(tenths / 10):
                await note(client)
        assert fake.under_way == 0
    assert len(fake.notes) == sum(each.carried_out for each in fake.requests)
    assert fake.peaks == {"parallel": 0.2}


async def test_a_limit_is_refused_counted_and_its_peak_kept(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook([Window("per second", 3, 1.0)])
    async with client_of(fake) as client:
        for _ in range(2):
            await note(client)
        assert (fake.violations, fake.peaks) == ({}, {"per second": pytest.approx(2 / 3)})
        await trio.sleep(0.4)
        assert (await note(client)).status_code == 200
        refused = await note(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "0.6")
        assert (await note(client, key="other")).status_code == 200
        await trio.sleep(0.6)
        assert [(await note(client)).status_code for _ in range(3)] == [200, 200, 429]
        assert (fake.violations["per second"], fake.requests[3].carried_out) == (2, False)
        assert fake.peaks["per second"] == pytest.approx(4 / 3)


async def test_a_limit_that_is_not_enforced_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook([Window("per second", 1, 1.0)], enforced=False)
    async with client_of(fake) as client:
        assert [(await note(client)).status_code for _ in range(3)] == [200] * 3
    assert (fake.violations, fake.peaks) == ({"per second": 2}, {"per second": 3.0})


def test_a_window_weighs_and_says_when_there_is_room() -> None:
    window, meter = Window("units", 10, 3.0), Meter()
    for at, weight in ((0.0, 4), (1.0, 4)):
        assert meter.admit([Use(window, "k", weight)], at) is None
    over = meter.admit([Use(window, "k", 8)], 1.5)
    assert over is not None
    assert (over.used, over.wait_seconds) == (16, 2.5)
    assert meter.admit([Use(window, "k", 6)], 3.0) is None
    assert window.level("k", 3.0, 0).used == 10


def test_a_bucket_drains_steadily() -> None:
    bucket, meter = Bucket("bucket", 50, 2.0), Meter()
    assert [meter.admit([Use(bucket, "portal")], 0.0) for _ in range(50)] == [None] * 50
    over = meter.admit([Use(bucket, "portal")], 0.0)
    assert over is not None
    assert over.wait_seconds == 0.5
    assert meter.admit([Use(bucket, "portal")], 0.5) is None
    assert bucket.level("portal", 1.0, 0).used == 49


async def test_parallel_requests_are_counted_while_they_last(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook([Parallel("parallel", 2)])
    fake.latency_seconds = 1
    statuses: list[int] = []

    async def one(client: httpx.AsyncClient) -> None:
        statuses.append((await note(client)).status_code)

    async with client_of(fake) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one, client)
        assert sorted(statuses) == [200, 200, 429]
        assert (await note(client)).status_code == 200
    assert (fake.violations, fake.peaks) == ({"parallel": 1}, {"parallel": 1.5})


def test_the_longest_wait_of_several_limits_counts() -> None:
    short, long, meter = Window("short", 1, 1.0), Window("long", 1, 60.0), Meter()
    uses = [Use(short, "k"), Use(long, "k")]
    assert meter.admit(uses, 0.0) is None
    over = meter.admit(uses, 0.5)
    assert over is not None
    assert (over.name, over.wait_seconds, meter.violations) == ("long", 59.5, {"short": 1, "long": 1})


async def test_several_crms_are_one_network() -> None:
    one, two = Notebook(), Notebook()
    network = CrmNetwork({"one.test": one, "two.test": two})
    async with httpx.AsyncClient(transport=network) as client:
        await client.post("https://one.test/note", data={"text": "1"})
        await client.post("https://TWO.test:8443/note", data={"text": "2"})
        await client.post("http://192.0.2.1/note", data={"text": "3"}, headers={"Host": "two.test"})
        with pytest.raises(httpx.ConnectError):
            await client.get("https://three.test/")
    assert (one.notes, two.notes) == (["1"], ["2", "3"])


async def test_a_connection_is_kept_over_sockets_and_chunks_are_read() -> None:
    fake = Notebook()
    async with serve_crm(fake) as base_url:
        address = httpx.URL(base_url)
        assert address.port is not None
        stream = await trio.open_tcp_stream("127.0.0.1", address.port)
        async with stream:
            for _ in range(2):
                await stream.send_all(
                    b"POST /note HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n5\r\ntext=\r\n1\r\na\r\n0\r\n\r\n"
                )
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        assert fake.notes == ["a", "a"]
        async with await trio.open_tcp_stream("127.0.0.1", address.port) as other:
            await other.send_all(b"nonsense\r\n\r\n")
            assert await other.receive_some() == b""


async def test_an_answer_without_a_body_is_sent_over_sockets() -> None:
    class Silent(Notebook):
        def respond(self, request: Request) -> Response:
            return Response(status=204 if request.body == b"" else 200, content_type="")

    fake = Silent()
    async with serve_crm(fake) as base_url, httpx.AsyncClient(base_url=base_url) as client:
        for _ in range(2):
            answer = await client.post("/x")
            assert (answer.status_code, answer.content) == (204, b"")
        fake.fail(FaultKind.HALF_ANSWER)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/x")


async def test_listeners_hear_of_each_end(autojump_clock: trio.testing.MockClock) -> None:
    fake = Notebook()
    ends: list[tuple[int, bool]] = []
    fake.on_answer.append(lambda received: ends.append((received.status, received.was_cancelled)))
    fake.fail(FaultKind.REFUSE)
    fake.fail(FaultKind.HANG)
    async with client_of(fake, seconds=1) as client:
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                await note(client)
        await note(client)
    assert ends == [(0, False), (0, True), (200, False)]
