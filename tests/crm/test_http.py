"""The client below all CRMs in virtual time: where it connects, what it reads, what it gives up and when."""

import gzip

import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import Problem
from gateway.crm.http import MOST_ANSWER_BYTES, HttpAnswer, HttpRequest, form_request, json_request
from gateway.crm.targets import Target
from tester.fakes.crm_network import PUBLIC_ADDRESS, Heard, Reply, Site
from tests.crm.sites import ASK, OTHER_ADDRESS, TARGET, answering, client, saying, trouble

# what is sent


async def test_a_request_has_what_a_crm_needs(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    heard: list[Heard] = []
    async with client(nursery, answering(Reply(status=201, headers=(("Retry-After", "5"),), body=b"{}"), heard)) as (network, http):
        put = json_request("PUT", Target.of("https://crm.example:8443/a/b?c=d"), {"имя": 1}, headers={"X-Key": "k"})
        assert await http.send(put) == HttpAnswer(status=201, body=b"{}", retry_after="5")
        assert await http.send(form_request("POST", TARGET, {"call": '{"a": 1}', "x": "é\ud800"})) == HttpAnswer(
            status=201, body=b"{}", retry_after="5"
        )
        await http.send(ASK)
        assert network.secured == ["crm.example", "crm.example"]
        assert network.connected == [(PUBLIC_ADDRESS, 8443), (PUBLIC_ADDRESS, 443)]
    first, second, third = heard
    assert (first.method, first.path, first.query, first.body) == ("PUT", "/a/b", "c=d", b'{"\\u0438\\u043c\\u044f":1}')
    assert (first.headers["host"], first.headers["content-type"], first.headers["x-key"]) == ("crm.example:8443", "application/json", "k")
    assert first.headers["accept-encoding"] == "gzip"
    assert second.body == b"call=%7B%22a%22%3A+1%7D&x=%C3%A9%3F"
    assert (second.headers["host"], second.headers["content-type"]) == ("crm.example", "application/x-www-form-urlencoded")
    assert (third.method, third.body) == ("GET", b"")


async def test_a_header_that_http_cannot_carry_is_the_fault_of_the_settings(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (_, http):
        for value in ("HUSH\r\nX: y", "HUSH\x00", " HUSH"):
            refused = await trouble(http, HttpRequest(method="GET", target=TARGET, headers={"X-Key": value}))
            assert (refused.problem, refused.is_ambiguous) == (Problem.SETTINGS, False)
            assert "HUSH" not in str(refused)


# where it goes


async def test_plain_http_is_refused_before_anything_is_looked_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        refused = await trouble(http, HttpRequest(method="GET", target=Target.of("http://crm.example/")))
        assert (refused.problem, refused.is_ambiguous, network.resolved) == (Problem.TARGET_REFUSED, False, [])


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"])
async def test_a_name_that_leads_inside_is_not_connected_to(nursery: trio.Nursery, autojump_clock: MockClock, address: str) -> None:
    async with client(nursery) as (network, http):
        network.place("crm.example", answering(Reply()), address=address)
        refused = await trouble(http)
        assert (refused.problem, refused.is_ambiguous, network.connected) == (Problem.TARGET_REFUSED, False, [])


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://[::1]/", "https://192.168.1.1:8443/", "https://[fd00::1]/"])
async def test_an_address_inside_is_not_connected_to(nursery: trio.Nursery, autojump_clock: MockClock, url: str) -> None:
    async with client(nursery) as (network, http):
        refused = await trouble(http, HttpRequest(method="GET", target=Target.of(url)))
        assert (refused.problem, network.connected, network.resolved) == (Problem.TARGET_REFUSED, [], [])


async def test_private_targets_are_reached_where_they_are_allowed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, allow_private_targets=True) as (network, http):
        network.place("crm.example", answering(Reply()), address="10.0.0.1")
        assert (await http.send(HttpRequest(method="GET", target=Target.of("http://crm.example/")))).status == 200
        assert (await http.send(ASK)).status == 200
        assert network.connected == [("10.0.0.1", 80), ("10.0.0.1", 443)]


async def test_a_name_that_changes_its_answer_gains_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """DNS rebinding: public for whoever looks first, loopback for whoever connects."""
    async with client(nursery, answering(Reply(headers=(("Connection", "close"),)))) as (network, http):
        network.place("inside.example", answering(Reply(body=b"inside")), address="127.0.0.1")
        network.answer("crm.example", [PUBLIC_ADDRESS], ["127.0.0.1"])
        assert (await http.send(ASK)).body == b""
        # One look-up, and its answer is what was connected to.
        assert (network.resolved, network.connected) == (["crm.example"], [(PUBLIC_ADDRESS, 443)])
        assert (await trouble(http)).problem is Problem.TARGET_REFUSED
        assert network.connected == [(PUBLIC_ADDRESS, 443)]


async def test_of_mixed_answers_only_public_addresses_are_tried(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        network.answer("crm.example", ["127.0.0.1", "1.2.3.4", "::1", PUBLIC_ADDRESS])
        assert (await http.send(ASK)).status == 200
        assert network.connected == [("1.2.3.4", 443), (PUBLIC_ADDRESS, 443)]


# getting a connection


async def test_a_name_that_does_not_resolve(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (_, http):
        failed = await trouble(http)
        assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, False)
        assert str(failed) == "the name does not resolve: Name or service not known"


async def test_nobody_listens(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (network, http):
        network.answer("crm.example", [PUBLIC_ADDRESS])
        failed = await trouble(http)
        assert (failed.problem, failed.is_ambiguous, str(failed)) == (Problem.CONNECTION, False, "no connection: Connection refused")


async def test_an_address_that_swallows_costs_a_quarter_of_a_second(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        network.silent = {OTHER_ADDRESS, "2606:4700::2"}
        network.answer("crm.example", [OTHER_ADDRESS, "2606:4700::2", PUBLIC_ADDRESS])
        began = trio.current_time()
        assert (await http.send(ASK)).status == 200
        assert trio.current_time() - began == pytest.approx(0.25)
        # By turns: the other family comes second.
        assert [address for address, _ in network.connected] == [OTHER_ADDRESS, PUBLIC_ADDRESS]


async def test_of_many_addresses_six_are_tried(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (network, http):
        network.answer("crm.example", [f"1.1.1.{number}" for number in range(100)])
        assert (await trouble(http)).problem is Problem.CONNECTION
        assert len(network.connected) == 6


@pytest.mark.parametrize("stage", ["name", "address", "tls"])
async def test_a_connection_that_does_not_come_about_is_bounded(nursery: trio.Nursery, autojump_clock: MockClock, stage: str) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        network.silent_names = {"crm.example"} if stage == "name" else set()
        network.silent = {PUBLIC_ADDRESS} if stage == "address" else set()
        network.tls_hangs = stage == "tls"
        began = trio.current_time()
        failed = await trouble(http)
        assert trio.current_time() - began == pytest.approx(5.0)
        assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, False)
        assert network.open_connections == 0


# the answer


async def test_a_compressed_answer_is_unpacked(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    body = b'{"ok": true}' * 1000
    packed = Reply(headers=(("Content-Encoding", "GZip"),), body=gzip.compress(body))
    async with client(nursery, answering(packed)) as (_, http):
        assert await http.send(ASK) == HttpAnswer(status=200, body=body)


async def test_an_answer_without_a_body_is_whole_whatever_it_says_of_its_compression(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with client(nursery, answering(Reply(headers=(("Content-Encoding", "gzip"),)))) as (_, http):
        assert await http.send(ASK) == HttpAnswer(status=200, body=b"")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
TOO_LONG = f"the answer has more than {MOST_ANSWER_BYTES} bytes"
BROKEN = "the answer's compression is broken"


@pytest.mark.parametrize(
    ("site", "flaw"),
    [
        (answering(Reply(body=b" " * (5 * MOST_ANSWER_BYTES))), TOO_LONG),
        (answering(Reply(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(b" " * (200 * MOST_ANSWER_BYTES)))), TOO_LONG),
        (answering(Reply(headers=(("Content-Encoding", "gzip"),), body=b"no gzip at all")), BROKEN),
        (answering(Reply(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(b"cut")[:-3])), BROKEN),
        (answering(Reply(headers=(("Content-Encoding", "br"),), body=b"x")), "the answer is compressed in a way that was not asked for"),
        (saying(HEAD + b"\r\nhalf"), "the answer broke off (RemoteProtocolError)"),
        (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n"), "the answer broke off (RemoteProtocolError)"),
    ],
)
async def test_an_answer_that_is_no_good_keeps_its_status_and_says_why(
    nursery: trio.Nursery, autojump_clock: MockClock, site: Site, flaw: str
) -> None:
    async with client(nursery, site) as (network, http):
        answer = await http.send(ASK)
        assert (answer.status, answer.flaw) == (200, flaw)
        assert len(answer.body) <= MOST_ANSWER_BYTES
        # Only a connection whose answer was read to its end may be used again.
        was_read_whole = answer.body == b"cut"
        assert network.open_connections == int(was_read_whole)


async def test_an_answer_of_the_greatest_size_is_read(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply(body=b" " * MOST_ANSWER_BYTES))) as (_, http):
        answer = await http.send(ASK)
        assert (len(answer.body), answer.flaw) == (MOST_ANSWER_BYTES, "")


@pytest.mark.parametrize(
    "site",
    [
        saying(),
        saying(b"220 mail.example ESMTP\r\n"),
        saying(b"HTTP/1.1 200 OK\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
    ],
)
async def test_what_does_not_speak_http_leaves_a_doubt(nursery: trio.Nursery, autojump_clock: MockClock, site: Site) -> None:
    async with client(nursery, site) as (network, http):
        failed = await trouble(http)
        assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, True)
        assert network.open_connections == 0


async def test_there_is_no_deadline_but_the_callers(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    slow = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", *[b"x"] * 10, pause_seconds=600)
    async with client(nursery, slow) as (_, http):
        assert (await http.send(ASK)).body == b"x" * 10


async def test_an_answer_that_drips_for_ever_ends_with_the_callers_deadline(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    drip = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 1000, pause_seconds=0.1)
    async with client(nursery, drip) as (network, http):
        with trio.move_on_after(2) as scope:
            await http.send(ASK)
        assert scope.cancelled_caught
        assert network.open_connections == 0
