"""The run of the demo: what is set up, played, compared and taken down. All of it goes by cancellation; nothing is left on the machine."""

import math
import os
import shlex
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import assert_never
from zoneinfo import ZoneInfo

import attrs
import trio
from rich.console import Console

from gateway.bootstrap import open_gateway
from gateway.demo.chats import LineScreen, LiveScreen, Screen, messages_of, panels, plain_chats, texts_of
from gateway.demo.crms import DemoCrms, open_crms, told, untold
from gateway.demo.enterprise import CUSTOMERS, ENTERPRISE, LINE, PARTS, Part
from gateway.errors import GatewayError
from gateway.logs import open_logs
from gateway.settings import Bind, Settings
from sql.embedded import embedded_server
from sql.migrate import migrate
from tester.emulator.companion import open_emulation, page_urls
from tester.fakes.telegram import FakeTelegram, serve_fake_telegram
from tester.patterns import PATTERNS
from tester.pbx import Host, Posted
from tester.player import AS_FAST_AS_POSSIBLE, REAL_TIME, Delivery, Player

# Calls overlap, so that one sees messages live side by side, and begin apart, so that one can follow.
PAUSE_BETWEEN_CALLS_SECONDS = 6.0
# From the last post on. Two chats with four calls each need about two seconds under the Bot API's limit of one message a second and chat.
FINALS_SECONDS = 12.0
# UniqueIds of calls that begin in the same second must differ.
_CHANNELS_PER_CALL = 1000
_LOOPBACK = "127.0.0.1"
_PUBLIC_PORT = 8000
_INTERNAL_PORTS = (8020, 8019)
_EMULATOR_PORT = 8025
_EXAMPLE_LINES = 21


class DemoFailed(GatewayError):
    """What the demo shows is not what it should be. A line for each difference."""


class Play(Enum):
    """What is played. `FOR_SPECTATORS`: the calls as they happen, then whatever one likes. `FAST`: the calls at full speed, no page.
    `BY_HAND`: nothing but what one plays on the page.
    """

    FOR_SPECTATORS = "for spectators"
    FAST = "fast"
    BY_HAND = "by hand"


@attrs.frozen(kw_only=True)
class Stage:
    """A running gateway between a host's side of HTTP and a Telegram. `page_url`: the emulator's, "" where there is none."""

    fake: FakeTelegram
    crms: DemoCrms
    public_url: str
    internal_url: str
    page_url: str
    log_dir: Path
    console: Console


async def run(play: Play) -> int:
    """Play the demo; the exit code. A fast one ends by itself, the others stay up until they are cancelled.

    Raises: DemoFailed (fast only); StoreUnavailable, SettingsError when something cannot be started. Nothing is left running.
    """
    console = Console()
    if play is not Play.FAST:
        _print(console, "Starting a database, a Telegram of our own and the gateway …")
    async with _open_stage(console, has_page=play is not Play.FAST) as stage:
        match play:
            case Play.FAST:
                await _play_fast(stage)
            case Play.FOR_SPECTATORS:
                await _play_for_spectators(stage)
            case Play.BY_HAND:
                _print(console, *_addresses(stage), "Nothing is played but what you play on the page. The demo stays up until Ctrl-C.")
                await trio.sleep_forever()
            case _ as unknown:
                assert_never(unknown)
    return 0


@asynccontextmanager
async def _open_stage(console: Console, *, has_page: bool) -> AsyncGenerator[Stage]:
    # Below /tmp others get through to the server's files: as root the server runs as somebody else.
    directories = tempfile.TemporaryDirectory(prefix=f"gateway-demo-{os.getpid()}-", dir="/tmp", ignore_cleanup_errors=True)
    with directories as name, usual_ports() as are_ours:
        bind = _bind if are_ours else _free_bind
        directory = Path(name)
        fake = FakeTelegram([ENTERPRISE.bot_token])
        async with (
            embedded_server(directory, durable=False) as database_url,
            serve_fake_telegram(fake) as telegram_url,
            open_crms() as crms,
        ):
            await migrate(database_url)
            settings = Settings(
                database_url=database_url,
                data_dir=directory,
                log_dir=directory / "logs",
                bind=(await bind(_PUBLIC_PORT),),
                internal_bind=tuple([await bind(port) for port in _INTERNAL_PORTS]),
                tester_bind=(await bind(_EMULATOR_PORT),) if has_page else (),
                telegram_base_url=telegram_url,
                # The demo's CRMs are on this machine.
                allow_private_targets=True,
            )
            with (
                open_logs(settings.log_dir, level=settings.log_level.value, traced=settings.traced_enterprises) as trace,
                open_emulation(settings) as emulation,
            ):
                async with open_gateway(settings, trace=trace, companion=emulation) as gateway, trio.open_nursery() as nursery:
                    await gateway.store.upsert_enterprises([attrs.evolve(ENTERPRISE, integrations=crms.integrations)])
                    addresses = await nursery.start(gateway.service.run)
                    yield Stage(
                        fake=fake,
                        crms=crms,
                        public_url=f"http://{addresses['public'][0]}",
                        internal_url=f"http://{addresses['internal'][0]}",
                        page_url=next(iter(page_urls(addresses)), ""),
                        log_dir=settings.log_dir,
                        console=console,
                    )
                    # An orderly end would leave for a next start what nobody will read.
                    nursery.cancel_scope.cancel()


@contextmanager
def usual_ports() -> Generator[bool]:
    """Whether the usual ports may be tried, while the block runs: among the demos of a machine by one, since two that begin at the same
    time would both find them free. What says so is an abstract name (Linux), which is gone with its process.
    """
    with socket.socket(socket.AF_UNIX) as mark:
        try:
            mark.bind("\0asterisk-call-gateway-demo")
            are_ours = True
        except OSError:
            are_ours = False
        yield are_ours


async def _free_bind(_port: int) -> Bind:
    return Bind(_LOOPBACK, 0)


async def _bind(port: int) -> Bind:
    """The usual port, or a free one where somebody listens already (a gateway of this machine, perhaps)."""
    try:
        listeners = await trio.open_tcp_listeners(port, host=_LOOPBACK)
    except OSError:
        return Bind(_LOOPBACK, 0)
    for listener in listeners:
        await listener.aclose()
    return Bind(_LOOPBACK, port)


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _play_fast(stage: Stage) -> None:
    player = Player(base_url=stage.public_url, speed=AS_FAST_AS_POSSIBLE)
    refused: list[str] = []

    def posted(delivery: Delivery) -> None:
        if delivery.error:
            refused.append(f"POST /{delivery.posted.kind} was not accepted: {delivery.error}")

    async with trio.open_nursery() as nursery:
        for position, part in enumerate(PARTS):
            nursery.start_soon(player.play, _script(part, position, in_the_past=True), posted)
    await _finals(stage)
    if stage.console.is_terminal:
        for chat_id in ENTERPRISE.subscribers:
            stage.console.print(f"chat {chat_id}", highlight=False)
            stage.console.print(*panels(messages_of(stage.fake, chat_id), math.inf), sep="\n")
    else:
        _print(stage.console, *plain_chats(stage.fake))
    _print(stage.console, *told(stage.crms))
    problems = [*refused, *differences(stage.fake), *untold(stage.crms)]
    if problems:
        raise DemoFailed("\n".join(problems))


async def _play_for_spectators(stage: Stage) -> None:
    _print(stage.console, f"The gateway listens on {stage.public_url} (hosts) and {stage.internal_url} (health, figures).")
    async with _shown(stage) as screen:
        async with trio.open_nursery() as nursery:
            for position, part in enumerate(PARTS):
                screen.announce(f"{position + 1}/{len(PARTS)} {part.title}")
                play = Player(base_url=stage.public_url, speed=REAL_TIME).play
                nursery.start_soon(play, _script(part, position, in_the_past=False), screen.posted)
                if part is not PARTS[-1]:
                    await trio.sleep(PAUSE_BETWEEN_CALLS_SECONDS)
        await _finals(stage)
    _print(stage.console, *differences(stage.fake), *untold(stage.crms), "", *told(stage.crms), *invitation(stage))
    async with _shown(stage, reserved_lines=_EXAMPLE_LINES):
        await trio.sleep_forever()


@asynccontextmanager
async def _shown(stage: Stage, *, reserved_lines: int = 0) -> AsyncGenerator[Screen]:
    screen: Screen
    if stage.console.is_terminal:
        screen = LiveScreen(stage.fake, stage.console, reserved_lines=reserved_lines)
    else:
        screen = LineScreen(stage.fake, stage.console)
    with screen:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.show)
            yield screen
            nursery.cancel_scope.cancel()


def _script(part: Part, position: int, *, in_the_past: bool) -> Sequence[Posted]:
    """The webhooks of a part. Played fast, the call has just ended: its times must not lie in the future."""
    make = partial(Host, token=ENTERPRISE.token, zone=ZoneInfo(ENTERPRISE.timezone), seed=position * _CHANNELS_PER_CALL)
    now = datetime.now(UTC)
    script = part.pattern.script(make(started_at=now), part.cast)
    if in_the_past:
        script = part.pattern.script(make(started_at=now - timedelta(seconds=script.seconds)), part.cast)
    return script.posted


# ── what must be seen at the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _finals(stage: Stage) -> None:
    """Wait until every chat shows every final and nothing else, or for long enough."""
    with trio.move_on_after(FINALS_SECONDS):
        await stage.fake.until(lambda: not any(differences(stage.fake)))
        await stage.crms.until_told()


def differences(fake: FakeTelegram) -> Iterator[str]:
    """What is missing in the chats or too much, a line each; none when all is well."""
    for chat_id in ENTERPRISE.subscribers:
        left = list(texts_of(fake, chat_id))
        missing: list[str] = []
        for part in PARTS:
            found = next((text for text in left if not part.final.difference(text)), None)
            if found is None:
                missing.append(" ".join(part.final.lines()))
            else:
                left.remove(found)
        yield from (f"chat {chat_id} does not show «{wanted}»" for wanted in missing)
        yield from (f"chat {chat_id} shows «{' / '.join(text.splitlines())}», which is no final of this demo" for text in left)


def invitation(stage: Stage) -> Iterator[str]:
    """What one can do now. Typed twice, the second answer says "duplicate"."""
    now = datetime.now(UTC)
    local = now.astimezone(ZoneInfo(ENTERPRISE.timezone))
    began, ended = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (local, local + timedelta(seconds=42)))
    common = f'"Token":"{ENTERPRISE.token}","UniqueId":"{int(now.timestamp())}.9001","Phone":"375290001199","Trunk":"{LINE}","CallType":0'
    yield ""
    yield "The demo stays up until Ctrl-C. A call of your own: it rings, …"
    yield _curl(stage, "dial", f'{{{common},"Extensions":["150","151"]}}')
    yield "… and ends after a talk of 42 seconds."
    yield _curl(
        stage,
        "hangup",
        f'{{{common},"Extensions":["151"],"CallStatus":"2","DateReceived":"{began}","StartTime":"{began}","EndTime":"{ended}"}}',
    )
    yield "Who calls, and is the cache used?"
    yield f"curl -sw '\\n' {stage.internal_url}/customer-name/{ENTERPRISE.name}/{next(iter(CUSTOMERS))}"
    yield f"curl -sw '\\n' {stage.internal_url}/stats"
    yield f"Any of {len(PATTERNS)} kinds of call, with faults if you like: {stage.page_url}"
    yield f"Logs: {stage.log_dir}; is it well: {stage.internal_url}/health/ready; figures: {stage.internal_url}/metrics"
    yield ""


def _addresses(stage: Stage) -> Iterator[str]:
    """One on each line, its name before it, as `gateway serve` says them."""
    yield f"public listener: {stage.public_url}"
    yield f"internal listener: {stage.internal_url}"
    yield f"emulator: {stage.page_url}"
    yield f"logs: {stage.log_dir}"


def _curl(stage: Stage, kind: str, body: str) -> str:
    return f"curl -sw '\\n' {stage.public_url}/{kind} -d {shlex.quote(body)}"


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        # Not wrapped by us: a command that is copied must not have line breaks in it.
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.file.flush()
