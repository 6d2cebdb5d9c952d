"""A gateway in virtual time, with one CRM that is a fake behind the real adapter, the real HTTP and a network in memory."""

import json
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Any

import attrs
import trio
import trio.testing

from gateway.calls.recording import Recording
from gateway.crm.base import CrmKind
from gateway.crm.limits import Limiters
from gateway.crm.registry import Crms
from gateway.ports import EnterpriseConfig, IncomingEvent, IntegrationLog, Push
from tester.fakes.crm_network import PUBLIC_ADDRESS, Heard, Reply, http_over, speak_http
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Cut, Response
from tester.virtual import JUNE, NUMBER, House, Process, open_house
from tests.crm.conformance.calls import RECORDING_URL, Recorded, Script
from tests.crm.conformance.facts import Step
from tests.crm.conformance.world import Means, World
from tests.crm.conformance.worlds import WorldMaker

# How long the gateway thinks at most before it has written down what it owes.
THINKING_SECONDS = 15.0
# Longer than every wait of a push that is delivered in the end.
LONGEST_SECONDS = 1500.0
# The names of people are another room's business: nobody is asked for them.
_NOBODY_KNOWS_NAMES = {CrmKind.UON: CrmKind.MS}


class Wire(trio.abc.Stream):
    """The client's end of a connection. After a `reset` it ends with an error instead of the end of the stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.is_reset = False
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received = await self._stream.receive_some(max_bytes)
        if not received and self.is_reset:
            raise trio.BrokenResourceError
        return received

    async def aclose(self) -> None:
        await self._stream.aclose()


class Internet:
    """A `gateway.crm.network.Network` on which every name leads to one fake. While `is_down` it refuses connections."""

    def __init__(self, fake: CrmServer, nursery: trio.Nursery) -> None:
        self.is_down = False
        self.refused = 0
        self._fake = fake
        self._nursery = nursery

    async def resolve(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return [PUBLIC_ADDRESS]

    async def connect(self, address: str, port: int) -> trio.abc.Stream:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        if self.is_down:
            self.refused += 1
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        wire = Wire(ours)
        self._nursery.start_soon(self._serve, theirs, wire)
        return wire

    async def secure(self, stream: trio.abc.Stream, context: ssl.SSLContext, name: str) -> trio.abc.Stream:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return stream

    async def _serve(self, stream: trio.abc.Stream, wire: Wire) -> None:
        async def handle(heard: Heard) -> Reply:
            target = f"{heard.path}?{heard.query}" if heard.query else heard.path
            response = await self._fake.answer(self._fake.request(heard.method, target, list(heard.headers.items()), heard.body))
            match response.cut:
                case Cut.NOTHING:
                    return Reply(status=response.status, headers=tuple(response.all_headers), body=response.body)
                case Cut.HALF:
                    await stream.send_all(_half(response))
                case Cut.RESET:
                    wire.is_reset = True
                case Cut.ALL | Cut.CONNECTION:
                    pass
            return Reply(sends_nothing=True)

        await speak_http(handle, stream)


def _half(response: Response) -> bytes:
    headers = [*response.all_headers, ("Content-Length", str(len(response.body)))]
    head = f"HTTP/1.1 {response.status} OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{head}\r\n".encode() + response.body[: len(response.body) // 2]


@attrs.define(eq=False, kw_only=True)
class Room:
    """A running gateway and its CRM."""

    house: House
    world: World[Any]
    internet: Internet
    process: Process

    async def play(self, script: Script) -> None:
        """The call happens; at the end every push that can be done at once is done."""
        began = trio.current_time()
        for posted in script.posted:
            await trio.sleep_until(began + posted.at_seconds)
            raw = json.dumps(dict(posted.body), ensure_ascii=False)
            event = IncomingEvent(
                enterprise_number=NUMBER,
                kind=posted.kind,
                unique_id=str(posted.body["UniqueId"]),
                raw_body=raw,
                body_hash=sha256(raw.encode()).digest(),
                received_at=self.house.clock(),
                data_source="live" if script.is_heard_live else "recovery",
            )
            await self.process.running.journal.submit(event).wait()
        match script.recorded:
            case Recorded.NEVER:
                return
            case Recorded.AT_ONCE:
                await trio.sleep(THINKING_SECONDS)
            case Recorded.LATER:
                await self.settle()
        keys = await self.house.store.accept_recording(NUMBER, Recording(unique_id=script.unique_id, url=RECORDING_URL))
        self.process.running.outbox.take(keys)

    async def told(self, script: Script) -> list[str]:
        """Play the call, wait until nothing is owed any more, and say what is wrong then."""
        begun = len(self.world.fake.requests)
        await self.play(script)
        await self.settle()
        requests = [each.request for each in list(self.world.fake.requests)[begun:] if each.carried_out]
        found = list(self.mistakes(script, [self.world.step_of(each) for each in requests]))
        found += [f"given up: {push.key.kind}: {push.reason}" for push in await self.dead() if push.report.unique_id == script.unique_id]
        return found + [f"still owed: {push.key.kind}" for push in await self.pending()]

    def mistakes(self, script: Script, steps: Sequence[Step | None]) -> Iterator[str]:
        """What is wrong with a call that was told in these steps."""
        wanted = self.world.fitted(script.truth)
        records = list(self.world.records(script.name))
        if not self.world.keeps_late_recordings and script.recorded is Recorded.LATER:
            wanted = attrs.evolve(wanted, recordings=())
        elif not self.world.keeps_late_recordings:
            # It came with the end, or too late for it.
            records = [attrs.evolve(record, recordings=wanted.recordings) if not record.recordings else record for record in records]
        if records != [wanted]:
            yield f"there is {records}, wanted {wanted}"
        if Step.HANGUP in steps and Step.DIAL in steps[steps.index(Step.HANGUP) :]:
            yield f"told in the order {steps}"
        if self.world.open_cards:
            yield f"cards that stay open: {self.world.open_cards}"

    async def settle(self, seconds: float = LONGEST_SECONDS) -> None:
        """Until nothing is owed any more, at most so long."""
        until = trio.current_time() + seconds
        await trio.sleep(THINKING_SECONDS)
        # There is nobody to tell it; in virtual time looking costs nothing.
        while self.process.running.outbox.waiting_pushes and trio.current_time() < until:  # noqa: ASYNC110
            await trio.sleep(THINKING_SECONDS)

    async def change(self, settings: Mapping[str, Any]) -> None:
        """The administrator loads other settings of the CRM."""
        await self.house.configure(_config(self.world, settings))
        await trio.sleep(1)

    async def restart(self) -> None:
        """The process is killed and begins anew."""
        await self.process.kill()
        self.process = await self.house.start()

    async def pending(self) -> Sequence[Push]:
        return await self.house.store.pending_pushes(after=None, limit=10_000)

    async def dead(self) -> Sequence[Push]:
        return await self.house.store.dead_pushes(NUMBER, limit=10_000)

    async def logs(self) -> Sequence[IntegrationLog]:
        return await self.house.store.integration_logs(NUMBER, limit=100_000)

    async def next_second(self) -> None:
        """Hosts write whole seconds: calls begin at one."""
        now = self.house.clock()
        await trio.sleep((timedelta(seconds=1) - timedelta(microseconds=now.microsecond)).total_seconds() if now.microsecond else 0.0)


def _config(world: World[Any], settings: Mapping[str, Any]) -> EnterpriseConfig:
    """One enterprise with nothing but this CRM: no chat hears of its calls, and nobody is asked for names."""
    primary = CrmKind.MS if world.kind is CrmKind.UON else CrmKind.UON
    integrations = {world.kind.value: settings, "smart": {"primary": primary.value}}
    return attrs.evolve(JUNE, subscribers=(), bot_token="", integrations=integrations)


@asynccontextmanager
async def open_room(nursery: trio.Nursery, world_of: WorldMaker, *, is_wrong: bool = False) -> AsyncGenerator[Room]:
    """A gateway that runs, and a CRM that nobody has told anything yet. `is_wrong`: with a mistake in the key. Empties `nursery`."""
    async with open_house(nursery) as house:
        world = world_of(house.clock)
        internet = Internet(world.fake, nursery)
        async with http_over(internet) as http:
            means = Means(http=http, limiters=Limiters(), store=house.store, clock=house.clock)
            house.crms = Crms({world.kind: world.maker(means)})
            await house.configure(_config(world, world.wrong_settings if is_wrong else world.settings))
            process = await house.start()
            yield Room(house=house, world=world, internet=internet, process=process)
            await process.kill()
        nursery.cancel_scope.cancel()
