"""RetailCRM (API v5; abroad it is called Simla.com) on the wire: what a call becomes, what an answer means. Pure.

Sources: retailCRM API v5, "telephony/call/event", "telephony/calls/upload", "API rules"; enumerations as in its official PHP client.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlencode

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import ADVICE, failure
from gateway.crm.answers import may_be_done, problem_of_status, retry_after_seconds
from gateway.crm.base import Outcome, Problem
from gateway.crm.http import HttpAnswer, HttpRequest, form_request
from gateway.crm.retailcrm_settings import RetailSettings
from gateway.crm.targets import Target

VERSION = "/api/v5"
EVENT_PATH = f"{VERSION}/telephony/call/event"
UPLOAD_PATH = f"{VERSION}/telephony/calls/upload"
# A phone is required; production has always sent this for a withheld number.
WITHHELD = "000"
# Of an answer, in `integration_logs`: enough for any message.
KEPT_ANSWER_CHARACTERS = 2048
_SHOWN_REASON_CHARACTERS = 300
_DATE = "%Y-%m-%d %H:%M:%S"


# ---------------------------------------------------------------------- what a call becomes


def event_of(report: CallReport, settings: RetailSettings) -> Mapping[str, Any]:
    """The live event of a dial or a hangup. Everybody who rings is named, at the end the one who talked, or all who rang in vain."""
    is_hangup = report.kind is not ReportKind.DIAL
    event: dict[str, Any] = {
        "phone": f"+{report.phone or WITHHELD}",
        "type": "hangup" if is_hangup else _type_of(report),
        "callExternalId": report.unique_id,
    }
    if report.extensions:
        event["codes"] = list(report.extensions)
    if users := list(dict.fromkeys(user for extension in report.extensions for user in settings.users.get(extension, ()))):
        event["userIds"] = users
    if is_hangup:
        event["hangupStatus"] = "answered" if report.answered else "busy" if report.busy else "no answered"
    if settings.site:
        event["site"] = settings.site
    return event


def call_of(report: CallReport, settings: RetailSettings, zone: tzinfo) -> Mapping[str, Any]:
    """The call of the history. `zone`: that of the account, dates have none. Whose call it was is said only when it is known to be one."""
    call: dict[str, Any] = {
        "date": report.started_at.astimezone(zone).strftime(_DATE),
        "type": _type_of(report),
        "phone": report.phone or WITHHELD,
        "result": "answered" if report.answered else "busy" if report.busy else "no answer",
        "externalId": report.unique_id,
    }
    talked, waited = _seconds_of(report)
    if talked is not None:
        call["duration"] = talked
    if waited is not None:
        call["durationWaiting"] = waited
    users = settings.users.get(report.extension, ())
    if len(users) == 1:
        call["userId"] = users[0]
    elif report.extension:
        call["code"] = report.extension
    if report.recording_url:
        call["recordUrl"] = report.recording_url
    if settings.site:
        call["site"] = settings.site
    return call


def _type_of(report: CallReport) -> str:
    return "in" if report.direction is Direction.INCOMING else "out"


def _seconds_of(report: CallReport) -> tuple[int | None, int | None]:
    """What goes as duration and as waiting: talk and waiting where they are told apart; the whole length as duration where they are not.

    A call that nobody answered has its whole length as both: how long the customer held on is what one wants to know of it.
    """
    whole, talked, waited = report.duration_seconds, report.talk_seconds, report.waiting_seconds
    if not report.answered:
        return (whole if whole is not None else waited or 0), waited if waited is not None else whole
    if talked is not None or waited is None:
        return (talked, waited) if talked is not None else (whole, None)
    return (max(whole - waited, 0), waited) if whole is not None else (None, waited)


def event_request(settings: RetailSettings, event: Mapping[str, Any], *, account: str) -> HttpRequest:
    """`clientId` says whose telephone exchange it is: the number of the enterprise."""
    return _form(settings, EVENT_PATH, {"clientId": account, "event": _json(event)}, account=account)


def upload_request(settings: RetailSettings, calls: Iterable[Mapping[str, Any]], *, account: str) -> HttpRequest:
    """`account`: as in `event_request`."""
    return _form(settings, UPLOAD_PATH, {"clientId": account, "calls": _json(list(calls))}, account=account)


def get_request(settings: RetailSettings, path: str, query: Iterable[tuple[str, str]] = (), *, account: str) -> HttpRequest:
    """A question; `path` without a query of its own."""
    text = urlencode(list(query), errors="replace")
    return HttpRequest(
        method="GET", target=_target(settings, f"{path}?{text}" if text else path), account=account, headers=_headers(settings)
    )


def _form(settings: RetailSettings, path: str, fields: Mapping[str, str], *, account: str) -> HttpRequest:
    return form_request("POST", _target(settings, path), fields, account=account, headers=_headers(settings))


def _target(settings: RetailSettings, path: str) -> Target:
    return attrs.evolve(settings.account, path=path.encode("ascii"))


def _headers(settings: RetailSettings) -> Mapping[str, str]:
    # In a header the key stays out of the logs of those between.
    return {"X-API-KEY": settings.api_key}


def _json(content: Any) -> str:
    # ASCII, so that any text has a form, a lone surrogate too.
    return json.dumps(content, separators=(",", ":"))


# ---------------------------------------------------------------------- what an answer means


@attrs.frozen
class Hint:
    """What an administrator can do about a refusal of RetailCRM, one line each."""

    en: str
    ru: str

    def of(self, language: str) -> str:
        return self.ru if language == "ru" else self.en


NO_ACCOUNT = Hint(
    'There is no account of RetailCRM at this address: put the address that the browser shows into "domain", then run gateway load.',
    "По этому адресу нет аккаунта RetailCRM: укажите в domain адрес, который показывает браузер, и выполните gateway load.",
)
WRONG_KEY = Hint(
    'RetailCRM does not know this API key: copy it anew from Settings, Integration, API access keys into "api_key", then run gateway load.',
    "RetailCRM не знает этого ключа: скопируйте его из «Настройки → Интеграция → Ключи доступа к API» в api_key, выполните gateway load.",
)
NO_RIGHT = Hint(
    "The API key lacks a right: in RetailCRM allow it all methods of telephony, and reading customers, corporate customers and users.",
    "Ключу API не хватает прав: в RetailCRM разрешите ему все методы телефонии и чтение клиентов, корпоративных клиентов и пользователей.",
)

_WORDS: Mapping[str, tuple[Problem, Hint | None]] = MappingProxyType(
    {
        "account does not exist": (Problem.NOT_FOUND, NO_ACCOUNT),
        'wrong "apikey"': (Problem.UNAUTHORIZED, WRONG_KEY),
        '"apikey" is missing': (Problem.UNAUTHORIZED, WRONG_KEY),
        "access denied": (Problem.UNAUTHORIZED, NO_RIGHT),
        "rate limit": (Problem.RATE_LIMIT, None),
    }
)
_NO_ACCOUNT_STATUSES = frozenset({404, 405})


@attrs.frozen(kw_only=True)
class Said:
    """What RetailCRM has made of one request. `problem` None: it was carried out, and `content` is its answer.

    `kept`: for `integration_logs`.
    """

    problem: Problem | None = None
    reason: str = ""
    hint: Hint | None = None
    is_ambiguous: bool = False
    retry_after_seconds: float | None = None
    content: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    kept: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    def failure(self, what: str = "") -> Outcome:
        """The outcome of a push that this has ended. `what`: the request, in words."""
        assert self.problem is not None
        outcome = failure(
            self.problem,
            f"{what}: {self.reason}" if what else self.reason,
            is_ambiguous=self.is_ambiguous,
            retry_after_seconds=self.retry_after_seconds,
        )
        return attrs.evolve(outcome, advice=self.hint.en) if self.hint is not None else outcome

    def advice(self, language: str) -> str:
        """What can be done about it, "" when all is well."""
        if self.problem is None:
            return ""
        advice = ADVICE[self.problem]
        return self.hint.of(language) if self.hint is not None else advice.ru if language == "ru" else advice.en


def said_of(answer: HttpAnswer, settings: RetailSettings, *, now: datetime) -> Said:
    """Success is only what says so: every 200 with `success: false` is a refusal, and what is not JSON is not RetailCRM.

    retailCRM API v5, "API rules"; an unknown account answers everything but GET with a 405 page in HTML (its PHP client,
    `AccountNotFoundHandler`).
    """
    content = _object_of(answer)
    kept = {"status": answer.status, "body": _clean(answer.body.decode("utf-8", "replace"), settings)[:KEPT_ANSWER_CHARACTERS]}
    if answer.flaw:
        kept["flaw"] = answer.flaw
    message = _message_of(content or {}, settings)
    problem, hint = _judged(answer.status, content, message)
    if problem is None:
        return Said(content=content or {}, kept=kept)
    return Said(
        problem=problem,
        reason=": ".join(part for part in (f"http={answer.status}", message or answer.flaw) if part),
        hint=hint,
        is_ambiguous=may_be_done(answer.status) or (answer.status < 300 and problem is Problem.BAD_ANSWER),
        retry_after_seconds=retry_after_seconds(answer.retry_after, now=now),
        content=content or {},
        kept=kept,
    )


def _judged(status: int, content: Mapping[str, Any] | None, message: str) -> tuple[Problem | None, Hint | None]:
    # "API rules": the limit is told by 503; neither its words nor its form are promised.
    problem = Problem.RATE_LIMIT if status == 503 else problem_of_status(status)
    if content is None:
        if status in _NO_ACCOUNT_STATUSES:
            return Problem.NOT_FOUND, NO_ACCOUNT
        return (problem if problem is not None and problem not in _SAID_BY_RETAILCRM_ONLY else Problem.BAD_ANSWER), None
    if problem is None and content.get("success") is True:
        return None, None
    if problem is None and content.get("success") is not False:
        return Problem.BAD_ANSWER, None
    for words, meaning in _WORDS.items():
        if words in message.lower():
            return meaning
    if problem is Problem.UNAUTHORIZED:
        return problem, NO_RIGHT
    return problem or Problem.REJECTED, None


# A page in HTML with such a status is that of a firewall or a proxy between.
_SAID_BY_RETAILCRM_ONLY = frozenset({Problem.UNAUTHORIZED, Problem.REJECTED, Problem.NOT_FOUND})


def _object_of(answer: HttpAnswer) -> Mapping[str, Any] | None:
    if answer.flaw:
        return None
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", content) if isinstance(content, dict) else None


def _message_of(content: Mapping[str, Any], settings: RetailSettings) -> str:
    """`errorMsg` and `errors` (by field, or a list) on one line."""
    found = content.get("errorMsg")
    texts = [found] if isinstance(found, str) else []
    errors = content.get("errors")
    if isinstance(errors, dict):
        texts += [f"{name}: {text}" for name, text in cast("dict[str, Any]", errors).items()]
    elif isinstance(errors, list):
        texts += [str(text) for text in cast("list[Any]", errors)]
    plain = "".join(letter if letter.isprintable() else " " for letter in _clean("; ".join(texts), settings))
    return plain[:_SHOWN_REASON_CHARACTERS]


def _clean(text: str, settings: RetailSettings) -> str:
    """As PostgreSQL's JSON can hold it, without the key."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").replace(settings.api_key, "***")
