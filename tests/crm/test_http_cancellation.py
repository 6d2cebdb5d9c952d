"""Requests to CRMs that are cut off, and CRMs that hang: nothing stays open, nobody else waits. In virtual time."""

import gzip
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.crm import http as crm_http
from gateway.crm.http import CrmHttp, HttpRequest
from gateway.crm.targets import Target
from tester.fakes.crm_network import PUBLIC_ADDRESS, MemoryNetwork, Reply, Site
from tests.crm.sites import ASK, OTHER_ADDRESS, answering, client, saying

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"


def prepared(name: str) -> Callable[[MemoryNetwork], None]:
    def prepare(network: MemoryNetwork) -> None:
        network.silent_names = {"crm.example"} if name == "resolving" else set()
        network.silent = {PUBLIC_ADDRESS} if name == "connecting" else set()
        network.tls_hangs = name == "handshake"

    return prepare


@pytest.mark.parametrize(
    ("step", "site"),
    [
        ("resolving", saying()),
        ("connecting", saying()),
        ("handshake", saying()),
        ("waiting for the answer", saying(then_hangs=True)),
        ("in the middle of the head", saying(b"HTTP/1.1 200", then_hangs=True)),
        ("in the middle of the body", saying(HEAD + b"\r\nhalf", then_hangs=True)),
        ("in the middle of a packed body", saying(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")[:5], then_hangs=True)),
    ],
)
async def test_cancellation_closes_the_connection_at_every_step(
    nursery: trio.Nursery, autojump_clock: MockClock, step: str, site: Site
) -> None:
    async with client(nursery, site) as (network, http):
        prepared(step)(network)
        with trio.move_on_after(1) as scope:
            await http.send(ASK)
        assert scope.cancelled_caught
        assert network.open_connections == 0
        # Nothing is left behind that would stand in the way of the next.
        prepared("")(network)
        network.place("crm.example", answering(Reply()))
        assert (await http.send(ASK)).status == 200


async def test_a_request_can_be_cancelled_at_every_checkpoint(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Cut off after 1, 2, 3 … steps until it gets through: no connection and no place is ever left."""
    async with client(nursery, answering(Reply(headers=(("Connection", "close"),), body=gzip.compress(b"x" * 10)))) as (network, http):
        steps, is_cut = 0, True
        while is_cut:
            steps += 1
            is_cut = await cut_after(steps, http)
            await wait_all_tasks_blocked()
            assert network.open_connections == 0
            assert not http._places  # pyright: ignore[reportPrivateUsage]
        assert steps > 10


async def cut_after(steps: int, http: CrmHttp) -> bool:
    """Whether a request was still running after so many steps, and was cut off there."""
    with trio.CancelScope() as scope:

        async def cut() -> None:
            for _ in range(steps):
                await trio.lowlevel.cancel_shielded_checkpoint()
            scope.cancel()

        async with trio.open_nursery() as racing:
            racing.start_soon(cut)
            await http.send(ASK)
            racing.cancel_scope.cancel()
    return scope.cancelled_caught


@pytest.mark.parametrize("url", ["https://crm.example/", "http://crm.example/"])
@pytest.mark.parametrize("last_step", ["resolved", "connected", "secured"])
async def test_a_deadline_that_passes_between_two_steps_loses_no_connection(
    nursery: trio.Nursery, autojump_clock: MockClock, url: str, last_step: str
) -> None:
    """What was waited for has come, and the deadline with it: nothing is cut off, but nothing may be begun any more."""
    async with client(nursery, answering(Reply()), allow_private_targets=True) as (network, http):
        with trio.CancelScope() as scope:
            network.on_step = lambda step: scope.cancel() if step == last_step else None
            await http.send(HttpRequest(method="GET", target=Target.of(url)))
        assert scope.cancelled_caught == (last_step != "secured" or url.startswith("https"))
        assert network.open_connections == (0 if scope.cancelled_caught else 1)
        assert not http._places  # pyright: ignore[reportPrivateUsage]


async def test_of_two_connections_that_stand_at_once_one_is_closed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        network.place("crm.example", answering(Reply()), address=OTHER_ADDRESS)
        network.answer("crm.example", [OTHER_ADDRESS, PUBLIC_ADDRESS])
        network.slow_seconds = {OTHER_ADDRESS: 0.5, PUBLIC_ADDRESS: 0.25}
        assert (await http.send(ASK)).status == 200
        assert (len(network.connections), network.open_connections) == (2, 1)


# one CRM that hangs


async def test_a_crm_that_hangs_holds_up_only_itself(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (network, http):
        network.place("crm.example", saying(then_hangs=True))
        network.place("good.example", answering(Reply()), address="1.2.3.4")
        async with trio.open_nursery() as asking:
            for _ in range(100):
                asking.start_soon(http.send, ASK)
            await wait_all_tasks_blocked()
            assert network.open_connections == crm_http.CONNECTIONS_OF_A_TARGET
            with trio.fail_after(1):
                assert (await http.send(HttpRequest(method="GET", target=Target.of("https://good.example/")))).status == 200
            asking.cancel_scope.cancel()
        assert not http._places  # pyright: ignore[reportPrivateUsage]


async def test_all_connections_together_are_bounded(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (network, http):
        async with trio.open_nursery() as asking:
            for number in range(40):
                network.place(f"crm{number}.example", saying(then_hangs=True), address=f"1.2.3.{number}")
                for _ in range(10):
                    asking.start_soon(http.send, HttpRequest(method="GET", target=Target.of(f"https://crm{number}.example/")))
            await wait_all_tasks_blocked()
            assert network.open_connections == crm_http.MOST_CONNECTIONS
            asking.cancel_scope.cancel()
        assert network.open_connections == 0


async def test_only_so_many_idle_connections_are_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery) as (network, http):
        for number in range(crm_http.MOST_IDLE + 5):
            network.place(f"crm{number}.example", answering(Reply()), address=f"1.2.3.{number}")
            await http.send(HttpRequest(method="GET", target=Target.of(f"https://crm{number}.example/")))
        assert network.open_connections == crm_http.MOST_IDLE


async def test_idle_connections_are_used_again_and_closed_with_the_client(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with client(nursery, answering(Reply())) as (network, http):
        for _ in range(3):
            assert (await http.send(ASK)).status == 200
        assert (len(network.connections), network.open_connections) == (1, 1)
