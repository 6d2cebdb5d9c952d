"""What a client may meet at the other end, and a client on a network in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.crm.http import CrmHttp, CrmTrouble, HttpRequest
from gateway.crm.targets import Target
from tester.fakes.crm_network import Heard, MemoryNetwork, Reply, Site, http_over, speak_http

TARGET = Target.of("https://crm.example/calls")
ASK = HttpRequest(method="GET", target=TARGET)
OTHER_ADDRESS = "2606:4700::1111"


def answering(reply: Reply, heard: list[Heard] | None = None) -> Site:
    async def handle(request: Heard) -> Reply:
        await trio.lowlevel.checkpoint()
        if heard is not None:
            heard.append(request)
        return reply

    async def site(stream: trio.abc.Stream) -> None:
        await speak_http(handle, stream)

    return site


def saying(*parts: bytes, pause_seconds: float = 0.0, then_hangs: bool = False) -> Site:
    """Bytes as they are, after the first bytes of a request."""

    async def site(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some()
            try:
                for part in parts:
                    await stream.send_all(part)
                    await trio.sleep(pause_seconds)
            except trio.BrokenResourceError:
                return
            if then_hangs:
                await trio.sleep_forever()

    return site


@asynccontextmanager
async def client(
    nursery: trio.Nursery, site: Site | None = None, *, allow_private_targets: bool = False
) -> AsyncGenerator[tuple[MemoryNetwork, CrmHttp]]:
    network = MemoryNetwork(nursery)
    if site is not None:
        network.place("crm.example", site)
    async with http_over(network, allow_private_targets=allow_private_targets) as http:
        yield network, http
    assert network.open_connections == 0
    nursery.cancel_scope.cancel()


async def trouble(http: CrmHttp, request: HttpRequest = ASK) -> CrmTrouble:
    with pytest.raises(CrmTrouble) as raised:
        await http.send(request)
    assert (raised.value.__context__, raised.value.__cause__) == (None, None)
    return raised.value
