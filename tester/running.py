"""A whole gateway on real ports, in the test's own process: real PostgreSQL, real HTTP, a fake Bot API on a loopback port."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import attrs
import trio

from gateway.bootstrap import Companion, Gateway, open_gateway
from gateway.logs import Trace
from gateway.ports import EnterpriseConfig
from gateway.settings import Settings, load_settings
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.emulator.companion import EMULATOR_DOOR
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram

STOP_SECONDS = 20.0


@attrs.frozen(kw_only=True)
class RunningGateway:
    """Where it listens, and what it is. `emulator_url`: "" when there is none."""

    url: str
    internal_url: str
    emulator_url: str
    gateway: Gateway
    telegram: FakeTelegram


def bot_token(number: int) -> str:
    """An invented token."""
    return f"{100_000 + number}:TEST-{number:030d}"


def enterprise(number: int, *, chats: Sequence[int] = (1001,), final: str = "edit") -> EnterpriseConfig:
    """An invented enterprise with a bot of its own and no names."""
    return EnterpriseConfig(
        number=f"{number:04d}",
        name=f"house{number}",
        token=f"3752900{number:05d}",
        bot_token=bot_token(number),
        final=final,
        subscribers=tuple(chats),
    )


@asynccontextmanager
async def running_gateway(
    database_url: str,
    directory: Path,
    enterprises: Sequence[EnterpriseConfig],
    *,
    trace: Trace | None = None,
    companion_of: Callable[[Settings], AbstractContextManager[Companion | None]] = lambda _: nullcontext(),
    **settings: str,
) -> AsyncGenerator[RunningGateway]:
    """A gateway that serves these enterprises while the block runs; it is stopped in order at the end.

    Args:
        database_url: of a database with all migrations.
        directory: for its data and its logs.
        enterprises: as they are to be configured.
        trace: as for `gateway.bootstrap.open_gateway`.
        companion_of: who lives beside it, `tester.emulator.companion.open_emulation` for instance.
        settings: by name, in the place of the ones that are usual here.
    """
    async with open_pool(database_url) as pool:
        await PostgresStore(pool).upsert_enterprises(enterprises)
    telegram = FakeTelegram()
    async with serve_fake_telegram(telegram) as telegram_url:
        given = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_DATA_DIR": str(directory / "data"),
            "GATEWAY_LOG_DIR": str(directory / "logs"),
            "GATEWAY_BIND": "127.0.0.1:0",
            "GATEWAY_INTERNAL_BIND": "127.0.0.1:0",
            "GATEWAY_TESTER_BIND": "127.0.0.1:0",
            "GATEWAY_TELEGRAM_BASE_URL": telegram_url,
            "GATEWAY_BOT_UPDATES": "off",
        } | {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
        built = load_settings(given)
        with companion_of(built) as companion:
            async with open_gateway(built, trace=trace, companion=companion) as gateway, trio.open_nursery() as nursery:
                addresses = await nursery.start(gateway.service.run)
                yield RunningGateway(
                    url=_url(addresses["public"]),
                    internal_url=_url(addresses["internal"]),
                    emulator_url=_url(addresses[EMULATOR_DOOR]) if EMULATOR_DOOR in addresses else "",
                    gateway=gateway,
                    telegram=telegram,
                )
                gateway.service.stop()
                nursery.cancel_scope.deadline = trio.current_time() + STOP_SECONDS


def _url(addresses: Sequence[str]) -> str:
    return f"http://{addresses[0]}"
