"""The command line: what the user asks for, and how its end is told. The only place that starts Trio.

Expected errors (`GatewayError`, alone or in groups) become a line each on stderr: exit code 2 for settings and usage, 1 for the rest.
"""

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import attrs
import trio
import typer
from rich.console import Console

from gateway import administration, demo, listing
from gateway.bootstrap import open_gateway
from gateway.errors import GatewayError, SettingsError
from gateway.logs import RedactingFormatter, open_logs
from gateway.nurseries.service import run_until_signalled
from gateway.settings import Settings, load_settings
from tester.emulator import terminal
from tester.emulator.companion import EMULATOR_DOOR, open_emulation, page_urls
from tester.emulator.orders import LOCAL, Pace

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_FAILED = 1
_MISUSED = 2
# As a shell says it of a process that a signal has ended.
_SIGNALLED = 128
# Not a terminal: nobody looks at how wide it is, and `grep` wants a row on one line.
_WIDE_COLUMNS = 400

# Plain help and plain tracebacks: a pretty traceback prints local variables, tokens among them.
app = typer.Typer(
    name="gateway",
    help="Calls of Asterisk hosts become living Telegram messages.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings as TOML; GATEWAY_* variables win over it."),
]
EnterpriseArgument = Annotated[str, typer.Argument(metavar="NUMBER", help="The enterprise: its number, name or token.", show_default=False)]


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the gateway until SIGTERM or SIGINT; a second one stops it at once."""
    settings = _settings(config)
    raise typer.Exit(_run(partial(_serve, settings), when_interrupted=lambda _: 0))


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database up to date."""
    applied = _run(partial(administration.migrate_database, _settings(config)))
    _tell(f"applied {name}" for name in applied)
    if not applied:
        print("the database is up to date")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Enterprises, as in docs/operations.md.", show_default=False)],
    config: ConfigOption = None,
) -> None:
    """Take over a configuration of enterprises; says what has changed."""
    loaded = _run(partial(administration.load_file, _settings(config), file))
    _tell(loaded.changes or ["nothing changed"])
    for warning in loaded.warnings:
        print(f"gateway: warning: {warning}", file=sys.stderr)


@app.command()
def invite(number: EnterpriseArgument, config: ConfigOption = None) -> None:
    """Print a link by which one chat can subscribe to an enterprise, once, within 24 hours."""
    made = _run(partial(administration.invite, _settings(config), number))
    print(made.link)
    print(f"for one chat, until {made.expires_at.astimezone():%Y-%m-%d %H:%M %Z}", file=sys.stderr)


@app.command()
def calls(
    number: EnterpriseArgument,
    unique_id: Annotated[
        str | None, typer.Argument(metavar="[UNIQUEID]", help="Of any channel of a call: shows its events.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many calls.")] = 20,
    config: ConfigOption = None,
) -> None:
    """Show the last finished calls of an enterprise, or the events of one call in order."""
    settings = _settings(config)
    console = Console(width=None if sys.stdout.isatty() else _WIDE_COLUMNS, highlight=False)
    if unique_id is None:
        found = _run(partial(administration.finished_calls, settings, number, limit_items=limit))
        console.print(listing.calls_table(found) if found.calls else "no finished calls yet")
    else:
        console.print(listing.events_table(_run(partial(administration.events_of_call, settings, number, unique_id))))


@app.command(name="doctor")
def examine_crms(number: EnterpriseArgument, config: ConfigOption = None) -> None:
    """Ask the CRMs of an enterprise whether all is well; says what is wrong and what to do. Exit code 1 when something is wrong."""
    examination = _run(partial(administration.examine_crms, _settings(config), number))
    _tell(examination.lines())
    raise typer.Exit(_FAILED if examination.wrong else 0)


@app.command(name="demo")
def play_demo(
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Play at full speed, print the final messages, and end.")] = False,
    emulator: Annotated[bool, typer.Option("--emulator", help="Play nothing: the calls are yours, on the emulator's page.")] = False,
) -> None:
    """See it work: an invented enterprise, four calls, their messages. Needs no network and no configuration."""
    if fast and emulator:
        raise typer.BadParameter("--fast plays its calls and ends, --emulator plays none and stays: only one of them")
    play = demo.Play.FAST if fast else demo.Play.BY_HAND if emulator else demo.Play.FOR_SPECTATORS

    def interrupted(number: int) -> int:
        # Without --fast this is how the demo is meant to end.
        return _SIGNALLED + number if fast else 0

    raise typer.Exit(_run(partial(demo.run, play), when_interrupted=interrupted))


@app.command(name="emulate")
def emulate_call(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="The number of a kind of call, such as 2-1.", show_default=False)] = "",
    *,
    is_list: Annotated[bool, typer.Option("--list", help="Tell the patterns with their titles, and end.")] = False,
    enterprise: Annotated[str, typer.Option(metavar="NUMBER", help="Needed when there are several.", show_default=False)] = "",
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ROLE=VALUE", help="Who plays what; may be repeated. The rest is suggested.", show_default=False),
    ] = None,
    pace: Annotated[str, typer.Option(metavar="|".join(terminal.PACES), help="How fast.")] = Pace.REAL.value,
    faults: Annotated[
        list[str] | None, typer.Option("--fault", metavar="FAULT", help=f"May be repeated: {terminal.FAULTS}.", show_default=False)
    ] = None,
    target: Annotated[str, typer.Option(metavar="URL", help="One of tester_targets, else this gateway.", show_default=False)] = LOCAL,
    linkedid: Annotated[bool, typer.Option("--linkedid", help="As a newer host, which sends Linkedid.")] = False,
    language: Annotated[str, typer.Option(metavar="|".join(terminal.LANGUAGES))] = terminal.LANGUAGE,
    config: ConfigOption = None,
) -> None:
    """Play a call at the emulator of the running gateway and tell what becomes of it. Exit code 1: the chats are not as they should be."""
    asked = terminal.Asked(
        pattern=pattern,
        is_list=is_list,
        enterprise=enterprise,
        values=values or (),
        pace=pace,
        faults=faults or (),
        target=target,
        linkedid=linkedid,
        language=language,
    )
    raise typer.Exit(_run(partial(terminal.run, _settings(config), asked, partial(print, flush=True))))


def main() -> None:
    """The command `gateway`."""
    app()


async def _serve(settings: Settings) -> int:
    traced = settings.traced_enterprises
    with open_logs(settings.log_dir, level=settings.log_level.value, traced=traced) as trace:
        try:
            with _warned_on_stderr() as be_quiet, open_emulation(settings) as emulation:

                def tell(addresses: Mapping[str, Sequence[str]]) -> None:
                    be_quiet()
                    _tell_addresses(addresses)

                async with open_gateway(settings, trace=trace, companion=emulation) as gateway:
                    return await run_until_signalled(gateway.service, on_ready=tell)
        except Exception as exc:
            # Whatever ends the process is to be found in its log too; it is raised again.
            leaves = list(_leaves(exc))
            reasons = "; ".join(dict.fromkeys(str(leaf) or type(leaf).__name__ for leaf in leaves))
            _log.critical("the gateway ends: %s", reasons, exc_info=not all(isinstance(leaf, GatewayError) for leaf in leaves))
            raise


@contextmanager
def _warned_on_stderr() -> Generator[Callable[[], None]]:
    """Until the gateway is ready its warnings are on stderr too: it may wait long, for its database or for `gateway migrate`.

    Calling what the block gets ends that; so does its end.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(RedactingFormatter("gateway: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield lambda: root.removeHandler(handler)
    finally:
        root.removeHandler(handler)


def _tell_addresses(addresses: Mapping[str, Sequence[str]]) -> None:
    lines = [f"{door} listener: http://{address}" for door, bound in addresses.items() if door != EMULATOR_DOOR for address in bound]
    for line in (*lines, *(f"emulator: {url}" for url in page_urls(addresses))):
        print(line, flush=True)
        _log.info("%s", line)


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(os.environ, config)
    except SettingsError as exc:
        _refuse([exc])


# ── running and ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@attrs.define(eq=False)
class _Interruption:
    """The first signal that came, 0 for none. What runs is cancelled by it."""

    number: int = 0

    async def watch(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            self.number = self.number or number
            scope.cancel()


def _signals_of_the_end() -> Sequence[signal.Signals]:
    """SIGHUP: the terminal was closed, and the embedded server, which does not belong to it, has to be stopped. nohup has it ignored."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _run(work: Callable[[], Awaitable[_T]], *, when_interrupted: Callable[[int], int] = lambda number: _SIGNALLED + number) -> _T:
    """The result of `work`. A signal cancels it and exits with `when_interrupted(number)`; expected errors are told."""
    interruption = _Interruption()

    async def interruptible() -> _T | None:
        result: _T | None = None
        with trio.open_signal_receiver(*_signals_of_the_end()) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(interruption.watch, signals, nursery.cancel_scope)
                result = await work()
                nursery.cancel_scope.cancel()
        return result

    try:
        result = trio.run(interruptible)
    except GatewayError as exc:
        _refuse([exc])
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))  # pyright: ignore[reportUnknownArgumentType]
        # rich makes SystemExit of a pipe that broke.
        if all(isinstance(leaf, (BrokenPipeError, SystemExit)) for leaf in leaves):
            _leave_the_reader()
        if not all(isinstance(leaf, GatewayError) for leaf in leaves):
            raise
        _refuse(leaves)
    if interruption.number:
        raise typer.Exit(when_interrupted(interruption.number))
    return result  # pyright: ignore[reportReturnType]  (None only when interrupted, or when it is the result)


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            yield from _leaves(inner)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield exc


def _refuse(errors: Sequence[BaseException]) -> NoReturn:
    """One line for each thing that is wrong, and the exit code."""
    for line in dict.fromkeys(line for error in errors for line in str(error).splitlines()):
        print(f"gateway: {line}", file=sys.stderr)
    raise typer.Exit(_MISUSED if all(isinstance(error, SettingsError) for error in errors) else _FAILED)


def _leave_the_reader() -> NoReturn:
    """Whoever read our output has gone (`| head`): nothing is to be said to him, also not by Python's last flush (signal, "SIGPIPE")."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(_FAILED)


def _tell(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        print(line)
