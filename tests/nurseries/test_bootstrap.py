"""The gateway as it is put together: PostgreSQL, real sockets, the wall clock. Its rules are tested in virtual time; this is the wiring."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import httpx2 as httpx
import trio

from gateway.bootstrap import Gateway, open_gateway
from gateway.settings import Bind, BotUpdates, Settings
from sql.migrate import migrate
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram
from tester.virtual import BOT, HOST, JUNE

RINGING = "📞 Дозвон от +375 (29) 000-12-34 → Петрова А. И. (151)"
MISSED = "❌ Не отвечен: +375 (29) 000-12-34 → Петрова А. И. (151)"
PATIENCE_SECONDS = 20
BODY = {"Token": HOST, "UniqueId": "1.1", "Phone": "375290001234", "CallType": 0, "Trunk": "0001363"}
HANGUP = {**BODY, "Extensions": ["151"], "CallStatus": "0", "DateReceived": "2025-10-01 12:00:00", "EndTime": "2025-10-01 12:00:20"}


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[tuple[Gateway, Mapping[str, Sequence[str]]]]:
    async with open_gateway(settings) as gateway, trio.open_nursery() as nursery:
        addresses: Mapping[str, Sequence[str]] = await nursery.start(gateway.service.run)
        yield gateway, addresses
        gateway.service.stop()


def settings_for(database_url: str, telegram_url: str) -> Settings:
    anywhere = (Bind("127.0.0.1", 0),)
    return Settings(
        database_url=database_url,
        telegram_base_url=telegram_url,
        bind=anywhere,
        internal_bind=anywhere,
        bot_updates=BotUpdates.POLLING,
        drain_seconds=5.0,
    )


async def test_a_call_goes_through_the_real_gateway_and_lives_on_after_a_restart(migrated_url: str) -> None:
    telegram = FakeTelegram()

    def first_lines(chat_id: int) -> list[str]:
        return [message.text.split("\n")[0] for message in telegram.living(chat_id)]

    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(telegram) as url, httpx.AsyncClient() as client:
            settings = settings_for(migrated_url, url)
            async with running(settings) as (gateway, addresses):
                public, internal = addresses["public"][0], addresses["internal"][0]
                assert (await client.get(f"http://{internal}/health/ready")).status_code == 200
                assert (await client.post(f"http://{public}/start", json=BODY)).status_code == 401
                # Told by NOTIFY.
                await gateway.store.upsert_enterprises([JUNE])
                await accepted(client, f"http://{public}/start")
                await client.post(f"http://{public}/dial", json={**BODY, "Extensions": ["151"]})
                await telegram.until(lambda: first_lines(1001) == [RINGING])
                await gateway.store.upsert_enterprises([attrs.evolve(JUNE, subscribers=(1001, 1002))])
            async with running(settings) as (gateway, addresses):
                answer = await client.post(f"http://{addresses['public'][0]}/hangup", json=HANGUP)
                assert answer.status_code == 200
                await telegram.until(lambda: first_lines(1001) == first_lines(1002) == [MISSED])
                telegram.push_text(BOT, 1002, "/status")
                await telegram.until(lambda: len(first_lines(1002)) == 2)
                (record,) = await gateway.store.calls("0367", limit=5)
                assert (record.call_status, record.duration, record.closed_by) == (0, 20, "hangup")


async def test_every_bot_is_heard_however_many_there_are(migrated_url: str) -> None:
    # More than the default bound of a client's pool; the polls begin in the order of the tokens.
    tokens = [f"{number}:TEST" for number in range(1000, 1210)]
    telegram = FakeTelegram(bots=tokens)
    bots = [attrs.evolve(JUNE, number=f"n{token}", name="", token=f"host {token}", bot_token=token) for token in tokens]
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(telegram) as url, open_pool(migrated_url) as pool:
            await PostgresStore(pool).upsert_enterprises(bots)
            async with running(settings_for(migrated_url, url)):
                await telegram.until(lambda: len({one.bot_id for one in telegram.requests if one.method == "getUpdates"}) == len(tokens))


async def test_readiness_says_what_is_missing_until_it_is_there(database_url: str) -> None:
    telegram = FakeTelegram()
    with trio.fail_after(PATIENCE_SECONDS):
        async with serve_fake_telegram(telegram) as url, httpx.AsyncClient() as client, trio.open_nursery() as nursery:
            port = await free_port()
            settings = attrs.evolve(settings_for(database_url, url), internal_bind=(Bind("127.0.0.1", port),))
            async with open_gateway(settings) as gateway:
                ready = trio.Event()

                async def run() -> None:
                    async with trio.open_nursery() as inner:
                        await inner.start(gateway.service.run)
                        ready.set()

                nursery.start_soon(run)
                address = f"http://127.0.0.1:{port}/health/ready"
                answer = await first_answer(client, address)
                assert answer.status_code == 503
                assert answer.json()["missing"] == ["migrations", "replay", "listeners"]
                await migrate(database_url)
                await ready.wait()
                assert (await client.get(address)).status_code == 200
                gateway.service.stop()


async def first_answer(client: httpx.AsyncClient, address: str) -> httpx.Response:
    while True:
        try:
            return await client.get(address)
        except httpx.ConnectError:
            await trio.lowlevel.checkpoint()


async def accepted(client: httpx.AsyncClient, address: str) -> None:
    """Post the start until the token is known."""
    while True:
        answer = await client.post(address, json=BODY)
        if answer.status_code == 200:
            return


async def free_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    assert isinstance(port, int)
    await listener.aclose()
    return port


async def test_a_gateway_without_a_database_can_be_stopped() -> None:
    settings = settings_for("postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1")
    async with open_gateway(settings) as gateway:
        with trio.move_on_after(0.2) as scope:
            await gateway.service.run()
    assert scope.cancelled_caught
    assert "postgresql" not in repr(gateway)
