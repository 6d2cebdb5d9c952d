"""SIGTERM to a gateway under load: exit 0 in time, nothing lost, nothing doubled; a second one ends it at once."""

import random
import signal
from pathlib import Path

import httpx2 as httpx
import pytest
import trio

from tester.fakes.telegram import FakeTelegram, serve_fake_telegram
from tester.running import enterprise
from tests.faults.hosts import Hosts, any_shapes, configure, doubled, lost, settle
from tests.faults.processes import LOOK_SECONDS, RealGateway, real_gateway

HOUSES = (enterprise(1, chats=(1001, 1002), final="edit"), enterprise(2, chats=(1001,), final="replace"))
# Nothing gets into this chat: its cards hold the drain up until its deadline.
FLOODED = 1002
FLOOD_SECONDS = 3600.0
LOAD_ITEMS = 30
PATIENCE_SECONDS = 20.0
DRAIN_SECONDS = 1.0
# A stop takes at most `drain_seconds` + 3 s (docs/operations.md, "Stop"). The rest is for a machine that does other things as well.
STOPPED_SECONDS = DRAIN_SECONDS + 3.0 + 10.0


@pytest.mark.parametrize("calls_at_once", [1, pytest.param(10, marks=pytest.mark.chaos)])
async def test_a_stop_under_load_ends_in_time_and_loses_nothing(migrated_url: str, tmp_path: Path, calls_at_once: int) -> None:
    await configure(migrated_url, HOUSES)
    telegram = FakeTelegram()
    async with (
        serve_fake_telegram(telegram) as telegram_url,
        real_gateway(migrated_url, tmp_path, telegram_url, drain_seconds=str(DRAIN_SECONDS)) as gateway,
    ):
        hosts = Hosts(gateway)
        await gateway.start()
        telegram.too_many(FLOOD_SECONDS, chat_id=FLOODED)
        async with trio.open_nursery() as nursery:
            for house in HOUSES * calls_at_once:
                nursery.start_soon(hosts.work, house, any_shapes(random.Random(house.number)))
            with trio.fail_after(PATIENCE_SECONDS):
                await hosts.until(lambda: len(hosts.accepted) >= LOAD_ITEMS * calls_at_once)
            gateway.send(signal.SIGTERM)
            with trio.fail_after(STOPPED_SECONDS):
                assert await gateway.gone() == 0
            assert lost(migrated_url, hosts.accepted) == []
            (last_words,) = gateway.logged("left in the database")
            assert " 0 cards, " not in last_words
            telegram.heal()
            await gateway.start()
            hosts.is_evening = True
        await settle(hosts, telegram)
        assert doubled(telegram, hosts.calls) == []


async def test_a_second_signal_ends_it_at_once_and_loses_nothing(migrated_url: str, tmp_path: Path) -> None:
    await configure(migrated_url, HOUSES)
    telegram = FakeTelegram()
    async with (
        serve_fake_telegram(telegram) as telegram_url,
        real_gateway(migrated_url, tmp_path, telegram_url, drain_seconds="600") as gateway,
    ):
        hosts = Hosts(gateway)
        await gateway.start()
        telegram.too_many(FLOOD_SECONDS, chat_id=FLOODED)
        async with trio.open_nursery() as nursery:
            for house in HOUSES:
                nursery.start_soon(hosts.work, house, any_shapes(random.Random(house.number)))
            with trio.fail_after(PATIENCE_SECONDS):
                await hosts.until(lambda: len(hosts.accepted) >= LOAD_ITEMS)
                gateway.send(signal.SIGTERM)
                await _front_closed(gateway)
                assert "listeners" in await gateway.unready()
                gateway.send(signal.SIGTERM)
                assert await gateway.gone() == 128 + signal.SIGTERM
            telegram.heal()
            await gateway.start()
            hosts.is_evening = True
        assert lost(migrated_url, hosts.accepted) == []
        await settle(hosts, telegram)
        # As with a kill: a request whose answer had not come yet.
        assert len(doubled(telegram, hosts.calls)) <= 1


async def _front_closed(gateway: RealGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, verify=False) as client:
        while True:
            try:
                await client.get("/")
            except httpx.TransportError:
                return
            await trio.sleep(LOOK_SECONDS)
