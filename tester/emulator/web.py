"""The page of the emulator and the API behind it, on the addresses of `tester_bind`.

The bind decides who may ask: on a loopback address programs and pages of this machine, elsewhere whoever knows the password.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio
from quart import Response, request
from quart_trio import QuartTrio

from gateway.errors import GatewayError, SettingsError
from gateway.ports import EnterpriseConfig
from gateway.settings import Bind
from gateway.web.asgi import App
from gateway.web.details import json_answer, posted_body
from gateway.web.guards import LoopbackOnly, NoForeignPages, PasswordOnly
from gateway.web.listeners import serve_app
from gateway.web.quart_errors import create_app, serve_patiently
from tester.emulator.assets import INDEX, Asset, read_assets
from tester.emulator.emulator import Emulator, NoSuchRun, NotRunning, OrderRefused, TooManyRuns
from tester.emulator.reading import BadRequest, read_order
from tester.emulator.run import Run, RunEvent, RunIsOver
from tester.emulator.shapes import (
    enterprise_shape,
    line_shape,
    manager_shape,
    pattern_shape,
    plan_shape,
    run_shape,
    runs_shape,
    target_shape,
)
from tester.emulator.stream import Followed, Streams
from tester.emulator.telephone import check_phone
from tester.emulator.wording import DEFAULT_LANGUAGE, LANGUAGES
from tester.patterns import PATTERNS

# At shutdown: the requests that are running, and what streams have still to tell of runs that were stopped by it.
GRACEFUL_SECONDS: Final = 2.0
# Streams end when their runs are over; this is for clients that do not read.
_LAST_WORDS_SECONDS: Final = 1.0
# 32 streams, and what browsers open beside them.
MAX_CONNECTIONS: Final = 96

PAGE_PATHS: Final = ("/", "/test-interface")
_POLICY: Final = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@attrs.frozen(kw_only=True)
class Desk:
    """What the API asks. `can_block`: whether a run may have Telegram say that a bot is blocked, which ends a subscription for a while."""

    emulator: Emulator
    enterprises: Callable[[], Sequence[EnterpriseConfig]]
    can_block: bool

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        app.get("/health")(self.health)
        app.get("/api/enterprises")(self.list_enterprises)
        app.get("/api/managers")(self.list_managers)
        app.get("/api/lines")(self.list_lines)
        app.get("/api/targets")(self.list_targets)
        app.get("/api/patterns")(self.list_patterns)
        app.get("/api/phone")(self.check_phone)
        app.get("/api/suggestion")(self.suggest)
        app.post("/api/plans")(self.plan)
        app.post("/api/runs")(self.start)
        app.get("/api/runs")(self.list_runs)
        app.get("/api/runs/<run_id>")(self.show_run)
        for name, action in _ACTIONS.items():
            app.add_url_rule(f"/api/runs/<run_id>/{name}", name, partial(self.act, action), methods=["POST"])

    async def health(self) -> Response:
        """For probes and people."""
        return json_answer({"status": "ok", "enterprises_loaded": len(self._active()), "runs": len(self.emulator.runs)})

    async def list_enterprises(self) -> Response:
        """Those that calls can be played for."""
        return json_answer([enterprise_shape(config) for config in self._active()])

    async def list_managers(self) -> Response:
        """Everybody with an extension."""
        return json_answer({manager.extension: manager_shape(manager) for manager in self._asked().managers})

    async def list_lines(self) -> Response:
        """All lines."""
        return json_answer({line.line_id: line_shape(line) for line in self._asked().lines})

    async def list_targets(self) -> Response:
        """Where calls can be played."""
        language = _language()
        return json_answer([target_shape(target, language, can_block=self.can_block) for target in self.emulator.targets(language)])

    async def list_patterns(self) -> Response:
        """All kinds of call."""
        language = _language()
        return json_answer([pattern_shape(pattern, language) for pattern in PATTERNS.values()])

    async def check_phone(self) -> Response:
        """What is being typed in."""
        typed, language = _asked_for("number"), _language()
        checked = check_phone(typed, language)
        return json_answer({"is_valid": checked.is_valid, "shown": checked.shown, "digits": checked.digits, "error": checked.error})

    async def suggest(self) -> Response:
        """Who could play the roles of a pattern."""
        return json_answer({"values": dict(self.emulator.suggest(_asked_for("pattern"), _asked_for("enterprise"), _language()))})

    async def plan(self) -> Response:
        """What a call would be; nothing is played."""
        language = _language()
        return json_answer(plan_shape(self.emulator.plan(read_order(await posted_body()), language), language))

    async def start(self) -> Response:
        """Play a call."""
        language = _language()
        return json_answer(run_shape(self.emulator.start(read_order(await posted_body()), language), language), 201)

    async def list_runs(self) -> Response:
        """The last runs, the newest first."""
        return json_answer(runs_shape(self.emulator.runs, _language()))

    async def show_run(self, run_id: str) -> Response:
        """One run."""
        language = _language()
        return json_answer(run_shape(self.emulator.find(run_id, language), language))

    async def act(self, action: Callable[[Run, str], None], run_id: str) -> Response:
        """Have a run do something."""
        language = _language()
        run = self.emulator.find(run_id, language)
        action(run, language)
        return json_answer(run_shape(run, language))

    def _active(self) -> list[EnterpriseConfig]:
        return [config for config in self.enterprises() if config.active]

    def _asked(self) -> EnterpriseConfig:
        number = _asked_for("enterprise")
        for config in self._active():
            if config.number == number:
                return config
        raise _NotFound("there is no such enterprise")


_ACTIONS: Final[Mapping[str, Callable[[Run, str], None]]] = MappingProxyType(
    {"pause": Run.pause, "resume": Run.resume, "step": Run.step, "stop": Run.stop}
)


def _app(desk: Desk) -> App:
    app = create_app("tester.emulator")
    desk.add_to(app)
    assets = read_assets()
    for path in PAGE_PATHS:
        app.add_url_rule(path, path, partial(_asset, assets[INDEX]), methods=["GET"])
    for name, asset in assets.items():
        app.add_url_rule(f"/{name}", name, partial(_asset, asset), methods=["GET"])
    app.after_request(_secured)
    app.register_error_handler(BadRequest, _bad_request)
    app.register_error_handler(OrderRefused, _refused)
    app.register_error_handler(NoSuchRun, _not_found)
    app.register_error_handler(_NotFound, _not_found)
    app.register_error_handler(NotRunning, _not_running)
    app.register_error_handler(TooManyRuns, _conflict)
    app.register_error_handler(RunIsOver, _conflict)
    return serve_patiently(app)


async def _asset(asset: Asset) -> Response:
    """A file of the page. Browsers ask each time whether it is still the same: after an update nobody sees the old page."""
    if request.if_none_match.contains_weak(asset.etag):
        response = Response(b"", status=304)
    else:
        response = Response(asset.content, content_type=asset.content_type)
    response.set_etag(asset.etag)
    response.headers["Cache-Control"] = "no-cache"
    return response


async def _secured(response: Response) -> Response:
    """Nothing from outside is loaded, nobody frames the page, and what the API says is kept nowhere."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


class _NotFound(GatewayError):
    """There is nothing of this name."""


def _error(status: int, error: Exception, fields: Mapping[str, str] | None = None) -> Response:
    shape: dict[str, Any] = {"status": "error", "error": " ".join(str(error).split())}
    return json_answer(shape if fields is None else {**shape, "fields": dict(fields)}, status)


def _bad_request(error: Exception) -> Response:
    return _error(422, error, {})


def _refused(error: Exception) -> Response:
    return _error(422, error, error.fields if isinstance(error, OrderRefused) else {})


def _not_found(error: Exception) -> Response:
    return _error(404, error)


def _conflict(error: Exception) -> Response:
    return _error(409, error)


def _not_running(error: Exception) -> Response:
    return _error(503, error)


def _asked_for(name: str) -> str:
    value = request.args.get(name)
    if value is None:
        raise BadRequest(f"{name}: is missing in the query")
    return value


def _language() -> str:
    language = request.args.get("lang", DEFAULT_LANGUAGE)
    if language not in LANGUAGES:
        raise BadRequest(f"lang: must be one of {', '.join(LANGUAGES)}")
    return language


@attrs.frozen
class _Retold:
    """A run told in one language (`tester.emulator.stream.Followed`)."""

    run: Run
    language: str

    def events(self, after: int = 0) -> AsyncIterable[RunEvent]:
        return self.run.events(after, self.language)


def _find(emulator: Emulator, run_id: str, language: str) -> Followed | str:
    try:
        return _Retold(emulator.find(run_id, language), language)
    except NoSuchRun as exc:
        return str(exc)


async def emulator_door(
    emulator: Emulator,
    binds: Sequence[Bind],
    password: str = "",
    *,
    enterprises: Callable[[], Sequence[EnterpriseConfig]],
    can_block: bool,
    shutdown_trigger: Callable[[], Awaitable[object]] = trio.sleep_forever,
    graceful_seconds: float = GRACEFUL_SECONDS,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the emulator and serve its page until `shutdown_trigger` returns.

    Args:
        emulator: its runs live in a nursery of this function.
        binds: each gets the guard that its address needs.
        password: of the addresses that other machines reach.
        enterprises: those of now.
        can_block: whether a run may have Telegram say that a bot is blocked.
        task_status: started with the addresses really bound, in the order of `binds`.

    Then all runs are stopped, their streams tell so and end, and running requests are finished within `graceful_seconds`. Cancelled,
    everything is cut at once. A door among those that stop first needs no connection to be cut.

    Raises: `gateway.web.listeners.BindError`; `SettingsError` when an address that other machines reach has no password.
    """
    if not password and not all(bind.is_loopback for bind in binds):
        raise SettingsError("tester_bind: an address that other machines reach needs tester_password")
    streams = Streams(_app(Desk(emulator=emulator, enterprises=enterprises, can_block=can_block)), partial(_find, emulator))
    guard_of = _guards(streams, password)
    is_over = trio.Event()
    async with trio.open_nursery() as doors:
        async with trio.open_nursery() as running:
            await running.start(emulator.run_all)
            addresses: list[str] = []
            for bind in binds:
                serve = partial(serve_app, guard_of(bind), [str(bind)], shutdown_trigger=is_over.wait, graceful_seconds=graceful_seconds)
                addresses += await doors.start(partial(serve, max_connections=MAX_CONNECTIONS))
            task_status.started(addresses)
            await shutdown_trigger()
            running.cancel_scope.cancel()
        is_over.set()
        await streams.finish(_LAST_WORDS_SECONDS)


def _guards(streams: Streams, password: str) -> Callable[[Bind], App]:
    """The application as each bind serves it. What is guessed at one address counts at all of them."""
    here = LoopbackOnly(NoForeignPages(streams, linked_paths=PAGE_PATHS))
    # The password comes second: the pages of other sites cannot use up a user's guesses.
    elsewhere = NoForeignPages(PasswordOnly(streams, password), is_loopback=False, linked_paths=PAGE_PATHS) if password else None

    def guard_of(bind: Bind) -> App:
        return here if elsewhere is None or bind.is_loopback else elsewhere

    return guard_of
