import json
import ssl
from collections.abc import Awaitable, Callable

import httpx2 as httpx
import pytest
import trio
import trio.testing

from tester.pbx import Posted
from tester.player import AS_FAST_AS_POSSIBLE, Player

BASE_URL = "http://gateway.invalid"


def script(*seconds: float) -> list[Posted]:
    return [Posted(at, "dial", {"Token": "375290000900", "UniqueId": f"1.{number}"}) for number, at in enumerate(seconds)]


class Gateway:
    """An intake on the clock of the test."""

    def __init__(self, answer: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None) -> None:
        self.seen: list[tuple[float, httpx.Request]] = []
        self._answer = answer

    def player(self, speed: float = 1.0) -> Player:
        return Player(base_url=BASE_URL, transport=httpx.MockTransport(self._handle), speed=speed)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((trio.current_time(), request))
        if self._answer is not None:
            return await self._answer(request)
        return httpx.Response(200, json={"status": "ok", "event_id": len(self.seen)})


async def test_a_script_is_posted_in_its_order_with_token_in_header_and_body(autojump_clock: trio.testing.MockClock) -> None:
    gateway = Gateway()
    report = await gateway.player().play(script(0, 1.5, 4))
    assert [at for at, _ in gateway.seen] == pytest.approx([0, 1.5, 4])
    request = gateway.seen[1][1]
    assert (request.method, request.url.path, request.headers["Token"]) == ("POST", "/dial", "375290000900")
    assert json.loads(request.content) == {"Token": "375290000900", "UniqueId": "1.1"}
    assert [delivery.event_id for delivery in report.deliveries] == [1, 2, 3]
    assert report.failed == ()


@pytest.mark.parametrize(("speed", "end_seconds"), [(1.0, 60.0), (10.0, 6.0), (AS_FAST_AS_POSSIBLE, 0.0)])
async def test_speed_shortens_the_waits(autojump_clock: trio.testing.MockClock, speed: float, end_seconds: float) -> None:
    gateway = Gateway()
    await gateway.player(speed=speed).play(script(0, 60))
    assert gateway.seen[-1][0] == pytest.approx(end_seconds)


async def test_one_request_is_under_way_at_a_time_and_late_events_follow_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async def answer_late(_: httpx.Request) -> httpx.Response:
        await trio.sleep(2)
        return httpx.Response(200, json={"status": "ok", "event_id": 7, "duplicate": True})

    gateway = Gateway(answer_late)
    report = await gateway.player().play(script(0, 0, 0, 10))
    assert [at for at, _ in gateway.seen] == pytest.approx([0, 2, 4, 10])
    assert report.slowest_seconds == pytest.approx(2)
    assert all(delivery.duplicate for delivery in report.deliveries)


async def test_no_answer_within_three_seconds_costs_the_event_and_not_the_next_one(autojump_clock: trio.testing.MockClock) -> None:
    async def answer_the_second(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["UniqueId"] == "1.0":
            await trio.sleep_forever()
        return httpx.Response(200, json={"status": "ok", "event_id": 1})

    report = await Gateway(answer_the_second).player().play(script(0, 1))
    first, second = report.deliveries
    assert (first.status, first.error, first.latency_seconds) == (None, "no answer within 3 s", pytest.approx(3))
    assert (second.status, second.error) == (200, "")
    assert report.failed == (first,)


async def test_what_is_not_a_200_with_an_event_id_is_told_as_an_error() -> None:
    answers = iter(
        [
            httpx.Response(401, json={"status": "error", "error": "unknown Token"}),
            httpx.Response(200, json={"status": "ok"}),
            httpx.Response(200, text="<html>\nsomebody else</html>"),
            httpx.Response(503, content=b""),
        ]
    )
    transport = httpx.MockTransport(lambda _: next(answers))
    report = await Player(base_url=BASE_URL, transport=transport).play(script(0, 0, 0, 0))
    assert [delivery.error for delivery in report.deliveries] == [
        "401: unknown Token",
        '200: {"status":"ok"}',
        "200: <html> somebody else</html>",
        "503: an empty answer",
    ]


async def test_a_gateway_that_is_not_there_is_told_and_progress_is_reported() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    free_port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    seen: list[str] = []
    player = Player(base_url=f"http://127.0.0.1:{free_port}", fresh_connections=True)
    report = await player.play(script(0, 0), lambda delivery: seen.append(delivery.error))
    assert len(seen) == 2
    assert all(delivery.status is None and delivery.error.startswith("ConnectError") for delivery in report.deliveries)


@pytest.mark.parametrize(("fresh_connections", "connections"), [(False, 1), (True, 3)])
async def test_a_connection_is_kept_or_made_anew_for_each_event(nursery: trio.Nursery, fresh_connections: bool, connections: int) -> None:
    accepted = 0
    body = b'{"status":"ok","event_id":1}'

    async def answer(stream: trio.SocketStream) -> None:
        nonlocal accepted
        accepted += 1
        received = b""
        while chunk := await stream.receive_some():
            received += chunk
            if received.endswith(b"}"):
                received = b""
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    listeners: list[trio.SocketListener] = await nursery.start(trio.serve_tcp, answer, 0)
    port = listeners[0].socket.getsockname()[1]
    player = Player(base_url=f"http://127.0.0.1:{port}", fresh_connections=fresh_connections)
    report = await player.play(script(0, 0, 0))
    assert report.failed == ()
    assert accepted == connections


@pytest.mark.parametrize(("scheme", "is_verified"), [("http", False), ("HTTP", False), ("https", True)])
async def test_certificates_are_for_https_only(monkeypatch: pytest.MonkeyPatch, scheme: str, is_verified: bool) -> None:
    made: list[ssl.SSLContext] = []
    make = ssl.SSLContext.__new__

    def remember(cls: type[ssl.SSLContext], protocol: int) -> ssl.SSLContext:
        made.append(make(cls, protocol))
        return made[-1]

    monkeypatch.setattr(ssl.SSLContext, "__new__", staticmethod(remember))
    await Player(base_url=f"{scheme}://gateway.invalid").play(())
    assert {context.verify_mode is ssl.CERT_REQUIRED for context in made} == {is_verified}


async def test_one_webhook_at_a_time_can_be_posted_and_its_answer_looked_at(autojump_clock: trio.testing.MockClock) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "ok", "event_id": 3}, headers={"X-Server": "s"})

    gateway = Gateway(answer)
    player = gateway.player()
    posted = Posted(99, "dial", {"Token": "375290000900", "UniqueId": "1.1"})
    async with player.connected() as post:
        delivery = await post(posted)
    assert (delivery.event_id, delivery.answer_headers["x-server"]) == (3, "s")
    assert json.loads(delivery.answer_text) == {"status": "ok", "event_id": 3}
    assert player.url(posted) == str(gateway.seen[0][1].url)
    assert player.headers(posted) == {"Content-Type": "application/json", "Token": "375290000900"}
    assert {name: gateway.seen[0][1].headers[name] for name in player.headers(posted)} == player.headers(posted)
    assert gateway.seen[0][0] == pytest.approx(0)


async def test_an_answer_that_cannot_be_decoded_costs_the_event_only() -> None:
    broken = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")))
    report = await Player(base_url=BASE_URL, transport=broken).play(script(0, 0))
    assert [delivery.status for delivery in report.deliveries] == [None, None]
    assert report.deliveries[0].error.startswith("DecodingError")
