"""Both APIs of МойСклад as seen from here: one request, one judged answer, the account's limit kept.

`judged` reads an answer and is pure; `MsApi` sends. Source of all facts: the documentation of Phone API 1.0 and JSON API 1.2 (errors,
limits). It gives codes without their status, so a code counts before the status.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any, cast

import attrs

from gateway.crm.advice import failure
from gateway.crm.answers import may_be_done, problem_of_status, retry_after_seconds
from gateway.crm.base import Outcome, Problem
from gateway.crm.http import CrmHttp, CrmTrouble, HttpAnswer, HttpRequest
from gateway.crm.limits import Limiter, LimitReached, Places
from gateway.crm.targets import Target
from gateway.errors import GatewayError

ACCEPT = "application/json;charset=utf-8"
RETRY_HEADER = "x-lognex-retry-after"
# 1095: "repeat the request after a while"; the vendor's support says a minute.
OVERLOADED_SECONDS = 60.0
# Of an answer, in `integration_logs`.
KEPT_ANSWER_CHARACTERS = 2048

_LONGEST_MILLISECONDS_DIGITS = 9
_LONGEST_PARAMETER = 40
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.]")


class Verdict(Enum):
    """What an answer means where it is no failure. MISSING: there is no such object. EXISTS: the `externalId` is taken.

    BAD_LINK: an object that the request points to is not there.
    """

    OK = auto()
    MISSING = auto()
    EXISTS = auto()
    BAD_LINK = auto()


_PROBLEMS: Mapping[int, Problem] = {
    1002: Problem.NOT_FOUND,
    1049: Problem.RATE_LIMIT,
    1056: Problem.UNAUTHORIZED,
    1065: Problem.SERVER_ERROR,
    1073: Problem.RATE_LIMIT,
    1074: Problem.SERVER_ERROR,
    1095: Problem.SERVER_ERROR,
    1999: Problem.SERVER_ERROR,
    55008: Problem.UNAUTHORIZED,
}
_OVERLOADED = 1095
# Said before anything is begun, whatever the status: maintenance, overload, another request was faster.
_SURELY_NOT_DONE = frozenset((1065, 1074, _OVERLOADED))
_NO_SOLUTION = 55008
# 1000: what stands in the place of an id is none.
_MISSING = frozenset((1000, 1021))
_EXISTS = 3006
_BAD_LINK = frozenset((1051, 1052, 1060, 2010, 2011, 2013))

NO_SOLUTION_ADVICE = {
    "en": "Connect the telephony solution in the applications of МойСклад and put its key into integration_code.",
    "ru": "Подключите телефонию на странице приложений МойСклад и впишите её ключ в integration_code.",
}
NO_GZIP_ADVICE = {
    "en": "Something between the gateway and МойСклад takes the header Accept-Encoding: gzip away: change that proxy or firewall.",
    "ru": "Что-то между шлюзом и МойСклад убирает заголовок Accept-Encoding: gzip — настройте этот прокси или файрвол.",
}


@attrs.frozen(kw_only=True)
class Said:
    """A judged answer. `content`: the JSON object, empty where there is none."""

    verdict: Verdict
    content: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)


class MsTrouble(GatewayError):
    """МойСклад has not done what was asked. The text is one line without secrets; the rest as in `Outcome`.

    `advice`: by language, where that of the problem says too little.
    """

    def __init__(
        self,
        problem: Problem,
        reason: str,
        *,
        is_ambiguous: bool = False,
        retry_after_seconds: float | None = None,
        advice: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.problem = problem
        self.is_ambiguous = is_ambiguous
        self.retry_after_seconds = retry_after_seconds
        self.advice = advice or {}

    def outcome(self, trace: "Trace") -> Outcome:
        """What became of the push that met it."""
        failed = failure(
            self.problem,
            str(self),
            is_ambiguous=self.is_ambiguous,
            retry_after_seconds=self.retry_after_seconds,
            request=trace.request,
            response=trace.response,
        )
        return attrs.evolve(failed, advice=self.advice.get("en", failed.advice), memory=trace.memory)


@attrs.define
class Trace:
    """What one push has asked and heard, for `integration_logs`: the last exchange, and in short those `before` it.

    `memory`: what was learnt that later pushes of the call must know.
    """

    memory: dict[str, Any] = attrs.field(factory=dict[str, Any])
    request: dict[str, Any] = attrs.field(factory=dict[str, Any])
    response: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def asked(self, request: dict[str, Any]) -> None:
        """The next exchange begins."""
        before = self.request.get("before", [])
        if self.request:
            last = {"method": self.request["method"], "url": self.request["url"], "status": self.response.get("status")}
            before = [*before, last]
        self.request = {**request, "before": before} if before else request
        self.response = {}


def judged(answer: HttpAnswer, *, now: datetime) -> Said:
    """Raises `MsTrouble`. `now`: aware."""
    content = _object(answer)
    errors = _errors(content)
    codes = [code for code, _ in errors]
    if answer.status // 100 == 2:
        if answer.flaw or (content is None and answer.body):
            reason = answer.flaw or "what it says is no JSON object"
            raise MsTrouble(Problem.BAD_ANSWER, f"http={answer.status}, {reason}", is_ambiguous=True)
        return Said(verdict=Verdict.OK, content=content or {})
    if answer.flaw and not errors:
        # A status alone is no word of МойСклад's: a 404 without its code may be anybody's on the way.
        raise MsTrouble(Problem.BAD_ANSWER, f"http={answer.status}, {answer.flaw}", is_ambiguous=may_be_done(answer.status))
    verdict = _verdict(answer.status, errors)
    if verdict is not None:
        return Said(verdict=verdict, content=content or {})
    problem = next((_PROBLEMS[code] for code in codes if code in _PROBLEMS), None) or problem_of_status(answer.status)
    raise MsTrouble(
        problem or Problem.BAD_ANSWER,
        _reason(answer.status, errors),
        is_ambiguous=(may_be_done(answer.status) or 1999 in codes) and not _SURELY_NOT_DONE.intersection(codes),
        retry_after_seconds=OVERLOADED_SECONDS if _OVERLOADED in codes else _wish(answer, now),
        advice=NO_SOLUTION_ADVICE if _NO_SOLUTION in codes else NO_GZIP_ADVICE if answer.status == 415 and not answer.body else None,
    )


def _verdict(status: int, errors: list[tuple[int, str]]) -> Verdict | None:
    codes = {code for code, _ in errors}
    if codes & _BAD_LINK or any(code in _MISSING and "employee" in about for code, about in errors):
        return Verdict.BAD_LINK
    if _EXISTS in codes:
        return Verdict.EXISTS
    # Which code a call that is not there has by its `externalId` is not documented: any but "unknown path" will do.
    if codes & _MISSING or (status == 404 and codes and 1002 not in codes):
        return Verdict.MISSING
    return None


def _object(answer: HttpAnswer) -> Mapping[str, Any] | None:
    try:
        content = json.loads(answer.body) if answer.body else None
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", content) if isinstance(content, dict) else None


def _errors(content: Mapping[str, Any] | None) -> list[tuple[int, str]]:
    """Code and what it is about, for each error that has a code."""
    errors: Any = (content or {}).get("errors")
    if not isinstance(errors, list):
        return []
    known = [cast("dict[str, Any]", each) for each in cast("list[object]", errors) if isinstance(each, dict)]
    return [
        (code, f"{each.get('parameter') or ''}: {each.get('error') or ''}")
        for each in known
        if isinstance(code := each.get("code"), int) and not isinstance(code, bool)
    ]


def _reason(status: int, errors: list[tuple[int, str]]) -> str:
    """Codes and names of fields only: texts quote values."""
    said = [f"http={status}"]
    for code, about in errors[:5]:
        name = _NOT_IN_A_NAME.sub("", about.partition(":")[0])[:_LONGEST_PARAMETER]
        said.append(f"code {code} ({name})" if name else f"code {code}")
    return ", ".join(said)


def _wish(answer: HttpAnswer, now: datetime) -> float | None:
    """`X-Lognex-Retry-After` is in milliseconds."""
    text = answer.headers.get(RETRY_HEADER, "").strip()
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_MILLISECONDS_DIGITS:
        return int(text) / 1000
    return retry_after_seconds(answer.retry_after, now=now)


class MsApi:
    """One of the APIs, for one account. `headers` carry its key; `secrets` are blanked in what is kept of answers."""

    def __init__(
        self,
        http: CrmHttp,
        base: Target,
        headers: Mapping[str, str],
        *,
        account: str,
        limiter: Limiter,
        secrets: tuple[str, ...],
        clock: Callable[[], datetime],
    ) -> None:
        self.limiter = limiter
        self._http = http
        self._base = base
        self._headers = {"Accept": ACCEPT, **headers}
        self._account = account
        self._secrets = secrets
        self._clock = clock

    def __repr__(self) -> str:
        return f"MsApi({self._base.shown})"

    async def ask(
        self, places: Places, method: str, path: str, fields: Mapping[str, Any] | None = None, *, trace: Trace | None = None
    ) -> Said:
        """One request. `path`: below the API's address, encoded. Raises `MsTrouble`.

        Cancelled, it may have been carried out; `trace` then has the request without an answer.
        """
        trace = trace or Trace()
        request: dict[str, Any] = {"method": method, "url": f"{self._base.shown.rstrip('/')}{path}"}
        trace.asked(request if fields is None else {**request, "body": dict(fields)})
        try:
            async with places.request():
                answer = await self._http.send(self._request(method, path, fields))
        except CrmTrouble as exc:
            raise MsTrouble(exc.problem, str(exc), is_ambiguous=exc.is_ambiguous) from None
        except LimitReached as exc:
            raise MsTrouble(Problem.RATE_LIMIT, str(exc), retry_after_seconds=exc.wait_seconds) from None
        trace.response = self._kept(answer)
        try:
            return judged(answer, now=self._clock())
        except MsTrouble as exc:
            if exc.problem is Problem.RATE_LIMIT:
                places.pause(exc.retry_after_seconds or 1.0)
            raise

    def _request(self, method: str, path: str, fields: Mapping[str, Any] | None) -> HttpRequest:
        # ASCII, so that any text has a form, a lone surrogate too.
        body = b"" if fields is None else json.dumps(fields, separators=(",", ":")).encode()
        return HttpRequest(
            method=method,
            target=attrs.evolve(self._base, path=self._base.path.rstrip(b"/") + path.encode("ascii")),
            account=self._account,
            headers=self._headers if fields is None else {**self._headers, "Content-Type": "application/json"},
            body=body,
            wanted_headers=(RETRY_HEADER,),
        )

    def _kept(self, answer: HttpAnswer) -> dict[str, Any]:
        """The beginning of an answer, as text that PostgreSQL's JSON can hold, without the keys."""
        text = answer.body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        kept: dict[str, Any] = {"status": answer.status, "body": text[:KEPT_ANSWER_CHARACTERS]}
        return {**kept, "flaw": answer.flaw} if answer.flaw else kept
