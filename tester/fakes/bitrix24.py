"""A Bitrix24 portal in memory: its REST API, its calls and people, its limits and its errors.

Source of all facts: the vendor's REST documentation. Where it leaves room, the fake is the stricter one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import attrs
import trio

from tester.fakes.bitrix24_access import ALL_SCOPES, Access, B24App, B24Webhook
from tester.fakes.bitrix24_calls import B24Activity, B24Call, B24Record, CallKind, Telephony
from tester.fakes.bitrix24_crm import B24Entity, B24User, EntityKind, People
from tester.fakes.bitrix24_history import History
from tester.fakes.bitrix24_wire import (
    ACCESS_DENIED,
    BATCH_LENGTH_EXCEEDED,
    BATCH_METHOD_NOT_ALLOWED,
    DATABASE_ERROR,
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_FOUND,
    OPERATION_TIME_LIMIT,
    OVERLOAD_LIMIT,
    PORTAL_DELETED,
    QUERY_LIMIT_EXCEEDED,
    UNEXPECTED_ANSWER,
    USER_ACCESS_ERROR,
    WRONG_AUTH_TYPE,
    Asker,
    B24Error,
    B24Refusal,
    Listing,
    Method,
    Params,
    command_of,
    is_true,
    method_name,
    params_of,
    php_array,
)
from tester.fakes.crm_faults import Fault, FaultKind
from tester.fakes.crm_limits import Bucket, Level, Use, Window
from tester.fakes.crm_server import CrmServer, calendar
from tester.fakes.crm_wire import Request, Response, json_response

__all__ = [
    "ACCESS_DENIED",
    "DATABASE_ERROR",
    "INTERNAL_SERVER_ERROR",
    "OVERLOAD_LIMIT",
    "PORTAL_DELETED",
    "UNEXPECTED_ANSWER",
    "USER_ACCESS_ERROR",
    "B24Activity",
    "B24App",
    "B24Call",
    "B24Entity",
    "B24Error",
    "B24Record",
    "B24User",
    "B24Webhook",
    "CallKind",
    "EntityKind",
    "FakeBitrix24",
]

MOST_COMMANDS = 50
# An ordinary plan; Enterprise drains 5 in a second and holds 250.
BUCKET_REQUESTS = 50
DRAINED_PER_SECOND = 2.0
WORK_SECONDS = 480.0
WORK_WINDOW_SECONDS = 600.0
USUAL_WORK_SECONDS = 0.1

_PATH = re.compile(r"/rest/(?:(?P<user>\d+)/(?P<code>[\w-]+)/)?(?P<method>[A-Za-z0-9_.]+/?)", re.ASCII)
_ZONE = timezone(timedelta(hours=3))


class FakeBitrix24(CrmServer):
    """One portal; also the authorization server for its application: give it both hosts.

    Args:
        host: the portal's name.
        strict_auth: `register` and `finish` are for applications only, as the document says. Portals that let webhooks do it were seen.
        clock, now, enforced: as in `CrmServer`.

    Limits, counted for the portal: "bucket", a request fills it by one; and for each method "work", seconds: what a request takes is in
    `work_seconds` by method in lower case, otherwise `USUAL_WORK_SECONDS`. `people`, `telephony` and `history` hold what there is.
    """

    def __init__(
        self,
        host: str = "portal.bitrix24.by",
        *,
        strict_auth: bool = True,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], datetime] = calendar,
        enforced: bool = True,
    ) -> None:
        super().__init__(clock=clock, now=now, enforced=enforced)
        self.host = host
        self.strict_auth = strict_auth
        self.access = Access(host)
        self.people = People()
        self.telephony = Telephony(self.people, host)
        self.history = History(self.telephony)
        self.work_seconds: dict[str, float] = {}
        self.bucket = Bucket("bucket", BUCKET_REQUESTS, DRAINED_PER_SECOND)
        self._work = Window("work", WORK_SECONDS, WORK_WINDOW_SECONDS)
        self._methods: dict[str, Method] = {
            **self.people.methods(),
            **self.telephony.methods(),
            **self.history.methods(),
            "scope": Method(handler=lambda asker, _: sorted(asker.scopes)),
            "profile": Method(handler=self._profile),
        }

    # what tests, demo and emulator say

    def add_webhook(self, code: str, *, user_id: int = 1, scopes: Iterable[str] = ALL_SCOPES) -> B24Webhook:
        """An inbound webhook; its address is `/rest/<user_id>/<code>/`."""
        webhook = B24Webhook(user_id=user_id, code=code, scopes=frozenset(scopes))
        self.access.webhooks.append(webhook)
        return webhook

    def install(self, client_id: str, client_secret: str, *, user_id: int = 1, scopes: Iterable[str] = ALL_SCOPES) -> B24App:
        """An application gets in, and its first pair of tokens."""
        app = B24App(client_id=client_id, client_secret=client_secret, scopes=frozenset(scopes), user_id=user_id)
        app.issue(self._clock())
        self.access.apps.append(app)
        return app

    def fail_with(self, error: B24Error, **how: object) -> Fault:
        """Plan an error of the portal (fields of `Fault`)."""
        said = error.response
        return self.fail(FaultKind.ANSWER, status=error.status, body=said.body, content_type=said.content_type, **how)

    @property
    def calls(self) -> list[B24Call]:
        """All calls, in the order of registration."""
        return list(self.telephony.calls.values())

    def calls_of(self, external_call_id: str) -> list[B24Call]:
        """The calls that the gateway knows by this id: more than one is a double."""
        return [call for call in self.calls if call.external_call_id == external_call_id]

    # what the vendor says

    def respond(self, request: Request) -> Response:
        if request.path.rstrip("/") == "/oauth/token":
            return self.access.renewed(request, params_of(request))
        found = _PATH.fullmatch(request.path)
        if found is None or request.method not in ("GET", "POST"):
            return METHOD_NOT_FOUND.response
        method, params = method_name(found["method"]), params_of(request)
        try:
            if method == "upload":
                return self._answer(request, method, self.telephony.upload(str(params.get("token")), request.body))
            asker = self.access.asker(request, found.groupdict(), params)
            if method == "batch":
                return self._answer(request, method, self._batch(request, asker, params))
            return self._answer(request, method, self._called(asker, method, params))
        except B24Refusal as no:
            return no.error.response

    def too_many(self, request: Request, over: Level) -> Response:  # noqa: ARG002 - the same shape for all vendors
        return (QUERY_LIMIT_EXCEEDED if over.name == self.bucket.name else OPERATION_TIME_LIMIT).response

    def uses(self, request: Request) -> Sequence[Use]:
        found = _PATH.fullmatch(request.path)
        if found is None:
            return ()
        method = method_name(found["method"])
        methods = [method] if method != "batch" else [command_of(text, {})[0] for text in _commands(params_of(request)).values()]
        work = Counter[str]()
        for each in methods:
            if each in self._methods:
                work[each] += 1
        return (
            Use(self.bucket, self.host),
            *(Use(self._work, each, times * self._seconds_of(each)) for each, times in work.items()),
        )

    def _seconds_of(self, method: str) -> float:
        return self.work_seconds.get(method, USUAL_WORK_SECONDS)

    def _called(self, asker: Asker, name: str, params: Params) -> object:
        method = self._methods.get(name)
        if method is None:
            # A batch is not in the table: who asks for one here does so inside of another.
            raise B24Refusal(BATCH_METHOD_NOT_ALLOWED if name == "batch" else METHOD_NOT_FOUND)
        if method.scopes and not method.scopes & asker.scopes:
            by = "access token" if asker.is_app else "webhook token"
            raise B24Refusal(B24Error(401, "insufficient_scope", f"The request requires higher privileges than provided by the {by}"))
        if method.for_apps_only and self.strict_auth and not asker.is_app:
            raise B24Refusal(WRONG_AUTH_TYPE)
        return method.handler(asker, params)

    def _profile(self, asker: Asker, _params: Params) -> object:
        user = self.people.users.get(asker.user_id)
        names = {} if user is None else {"NAME": user.name, "LAST_NAME": user.last_name}
        return {"ID": str(asker.user_id), "ADMIN": asker.user_id == 1, **names}

    def _batch(self, request: Request, asker: Asker, params: Params) -> object:
        commands = _commands(params)
        if len(commands) > MOST_COMMANDS:
            raise B24Refusal(BATCH_LENGTH_EXCEEDED)
        results: dict[str, object] = {}
        errors: dict[str, object] = {}
        totals: dict[str, object] = {}
        nexts: dict[str, object] = {}
        times: dict[str, object] = {}
        for key, text in commands.items():
            name, arguments = command_of(text, results)
            try:
                result = self._called(asker, name, arguments)
            except B24Refusal as no:
                errors[key] = no.error.view
                if is_true(params.get("halt"), default=False):
                    break
                continue
            if isinstance(result, Listing):
                totals[key] = result.total
                if result.next_start is not None:
                    nexts[key] = result.next_start
            results[key] = result.rows if isinstance(result, Listing) else result
            times[key] = self._time(request, name)
        return {
            "result": php_array(results),
            "result_error": php_array(errors),
            "result_total": php_array(totals),
            "result_next": php_array(nexts),
            "result_time": php_array(times),
        }

    def _answer(self, request: Request, method: str, result: object) -> Response:
        content: dict[str, Any] = {"result": result.rows if isinstance(result, Listing) else result}
        if isinstance(result, Listing):
            content["total"] = result.total
            if result.next_start is not None:
                content["next"] = result.next_start
        content["time"] = self._time(request, method)
        return attrs.evolve(json_response(content), content_type="application/json; charset=utf-8")

    def _time(self, request: Request, method: str) -> dict[str, Any]:
        """The block that says how long it took; in virtual time nothing takes any."""
        moment = request.when.astimezone(_ZONE)
        shown = moment.isoformat(timespec="seconds")
        return {
            "start": moment.timestamp(),
            "finish": moment.timestamp(),
            "duration": 0.0,
            "processing": 0.0,
            "date_start": shown,
            "date_finish": shown,
            "operating_reset_at": int(moment.timestamp() + WORK_WINDOW_SECONDS),
            "operating": self._work.level(method, request.at, 0).used,
        }


def _commands(params: Params) -> Mapping[str, str]:
    commands: Any = params.get("cmd")
    if isinstance(commands, list):
        members = cast("list[object]", commands)
        return {str(number): str(text) for number, text in enumerate(members)}
    if isinstance(commands, dict):
        return {str(key): str(text) for key, text in cast("dict[object, object]", commands).items()}
    return {}
