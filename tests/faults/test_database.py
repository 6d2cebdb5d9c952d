"""PostgreSQL stopped and started under load: the gateway says so, survives, and keeps what it has promised."""

import random
import signal
from pathlib import Path

import httpx2 as httpx
import pytest
import trio

from sql.migrate import migrate
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram
from tester.running import enterprise
from tests.faults.hosts import ANSWER_SECONDS, Hosts, any_shapes, configure, doubled, lost, settle
from tests.faults.processes import RealGateway, real_database, real_gateway

HOUSES = (enterprise(1, chats=(1001, 1002), final="edit"), enterprise(2, chats=(1001,), final="replace"))
# Between two troubles.
QUIET_ITEMS = 20
# On a machine that does nothing else the gateway needs a fraction of a second for it.
NOTICED_SECONDS = 20.0


@pytest.mark.parametrize(
    "how",
    [
        [signal.SIGQUIT, signal.SIGINT],
        pytest.param([signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT, signal.SIGINT] * 2, marks=pytest.mark.chaos),
    ],
    ids=lambda how: f"{len(how)}-times",
)
async def test_a_database_that_goes_and_comes_back_costs_nothing_that_was_promised(
    data_dir: Path, tmp_path: Path, how: list[signal.Signals]
) -> None:
    telegram = FakeTelegram()
    async with real_database(data_dir) as database, serve_fake_telegram(telegram) as telegram_url:
        await migrate(database.url)
        await configure(database.url, HOUSES)
        async with real_gateway(database.url, tmp_path, telegram_url) as gateway:
            hosts = Hosts(gateway)
            await gateway.start()
            async with trio.open_nursery() as nursery:
                for house in HOUSES * 2:
                    nursery.start_soon(hosts.work, house, any_shapes(random.Random(house.number)))
                for number in how:
                    await _work_for_a_while(hosts)
                    await database.stop(number)
                    await _see_it_gone(gateway, hosts)
                    await database.start()
                    with trio.fail_after(NOTICED_SECONDS):
                        await gateway.ready()
                await _work_for_a_while(hosts)
                hosts.is_evening = True
            # The same process from the first event to the last.
            assert gateway.is_running
            assert lost(database.url, hosts.accepted) == []
            assert hosts.unanswered == []
            assert {delivery.status for delivery in hosts.refused} == {503}
            await settle(hosts, telegram)
            assert doubled(telegram, hosts.calls) == []


async def _work_for_a_while(hosts: Hosts) -> None:
    enough = len(hosts.accepted) + QUIET_ITEMS
    with trio.fail_after(NOTICED_SECONDS):
        await hosts.until(lambda: len(hosts.accepted) >= enough)


async def _see_it_gone(gateway: RealGateway, hosts: Hosts) -> None:
    """What a probe sees and what a host hears while the database is away."""
    more = len(hosts.refused) + 1
    with trio.fail_after(NOTICED_SECONDS):
        assert '"database"' in await gateway.unready()
        await hosts.until(lambda: len(hosts.refused) >= more)
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, verify=False, timeout=ANSWER_SECONDS) as client:
        stranger = {"Token": HOUSES[0].token, "UniqueId": "1.1", "Phone": "375290009999", "CallType": 0, "Trunk": "0001363"}
        answer = await client.post("/start", json=stranger)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["status"] == "error"
    assert (await gateway.health("live"))[0] == 200
