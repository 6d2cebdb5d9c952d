"""What the answers of Bitrix24 mean. Pure.

B24 REST, "Errors": an error is `{"error": code, "error_description": text}`, whatever its status is, 200 among them. What counts is the
code: the statuses of several have changed over the years. Methods of telephony say everything under ERROR_CORE; there the text counts.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, cast

import attrs

from gateway.crm.advice import ADVICE, Advice, failure
from gateway.crm.answers import may_be_done, problem_of_status, retry_after_seconds
from gateway.crm.base import Outcome, OutcomeClass, Problem
from gateway.crm.bitrix24_settings import SHORTEST_SECRET, whole
from gateway.crm.http import HttpAnswer
from gateway.errors import GatewayError

# B24 REST, "Limits": the bucket of an ordinary plan loses two requests in a second.
QUERY_LIMIT_SECONDS = 1.0
# 480 seconds of work of a method in ten minutes; the answer may say when the ten minutes are over.
OPERATION_LIMIT_SECONDS = 60.0
# The whole portal is stopped, and no document says for how long.
OVERLOAD_SECONDS = 300.0
_LONGEST_TEXT = 300


class Refusal(Enum):
    """What is special about an error, for those who can do something about it."""

    NOBODY = auto()
    USER_MISSING = auto()
    CALL_MISSING = auto()
    RECORD_UNREACHABLE = auto()
    RECORD_PRIVATE = auto()
    NOT_FINISHED = auto()
    TOKEN = auto()
    GRANT = auto()
    APPLICATION = auto()
    WRONG_AUTH_TYPE = auto()
    SCOPE = auto()
    RIGHT = auto()
    PLAN = auto()
    PORTAL_GONE = auto()
    DOOR = auto()


class B24Trouble(GatewayError):
    """A method that gave no result. The text is one line without secrets.

    `code`: the vendor's, "" when it gave none. `pause_seconds`: for how long the whole portal wants to be left alone.
    """

    def __init__(
        self,
        problem: Problem,
        text: str,
        *,
        code: str = "",
        refusal: Refusal | None = None,
        is_ambiguous: bool = False,
        retry_after_seconds: float | None = None,
        pause_seconds: float = 0.0,
    ) -> None:
        super().__init__(text)
        self.problem = problem
        self.code = code
        self.refusal = refusal
        self.is_ambiguous = is_ambiguous
        self.retry_after_seconds = retry_after_seconds
        self.pause_seconds = pause_seconds

    def without(self, secrets: tuple[str, ...]) -> "B24Trouble":
        """The same, with these blanked in its text; a new one, which has not been raised yet."""
        return B24Trouble(
            self.problem,
            shown_without(str(self), secrets),
            code=self.code,
            refusal=self.refusal,
            is_ambiguous=self.is_ambiguous,
            retry_after_seconds=self.retry_after_seconds,
            pause_seconds=self.pause_seconds,
        )

    @property
    def advice(self) -> Advice:
        """What an administrator can do about it."""
        return advice_of_refusal(self.refusal, self.problem)

    @property
    def outcome(self) -> Outcome:
        """Of the push that it ended."""
        made = failure(self.problem, str(self), is_ambiguous=self.is_ambiguous, retry_after_seconds=self.retry_after_seconds)
        advice = self.advice
        return attrs.evolve(
            made,
            advice=advice.en,
            fault=advice.fault,
            outcome=OutcomeClass.RETRYABLE if advice.is_retryable else OutcomeClass.PERMANENT,
        )


def _advice(problem: Problem, en: str, ru: str) -> Advice:
    row = ADVICE[problem]
    return Advice(fault=row.fault, is_retryable=row.is_retryable, en=en, ru=ru)


_ADVICE: Mapping[Refusal, Advice] = MappingProxyType(
    {
        Refusal.NOBODY: _advice(
            Problem.SETTINGS,
            "Nobody has taken part in this call whose it could be: name a default_user, who gets such calls.",
            "В звонке не участвовал никто, кому его записать: задайте default_user — ему достанутся такие звонки.",
        ),
        Refusal.USER_MISSING: _advice(
            Problem.REJECTED,
            "No active user of Bitrix24 has this extension: put it into user_extensions, or name a default_user for such calls.",
            "Ни у одного активного сотрудника Битрикс24 нет этого добавочного: внесите его в user_extensions или задайте default_user.",
        ),
        Refusal.RECORD_UNREACHABLE: _advice(
            Problem.SERVER_ERROR,
            "Bitrix24 downloads recordings itself and could not get this one: its address must open from the internet without a password.",
            "Битрикс24 сам скачивает записи и не смог получить эту: её адрес должен открываться из интернета без пароля.",
        ),
        Refusal.RECORD_PRIVATE: _advice(
            Problem.REJECTED,
            "Bitrix24 downloads recordings itself, and the address of this one is in a private network: publish the recordings.",
            "Битрикс24 сам скачивает записи, а адрес этой — в частной сети: откройте записи для доступа из интернета.",
        ),
        Refusal.TOKEN: _advice(
            Problem.UNAUTHORIZED,
            "The portal does not accept the application's token: authorize the application again and load the new refresh_token.",
            "Портал не принимает токен приложения: авторизуйте приложение заново и загрузите новый refresh_token.",
        ),
        Refusal.GRANT: _advice(
            Problem.UNAUTHORIZED,
            "The refresh_token is used up, expired or revoked: authorize the application again and load the new refresh_token.",
            "refresh_token использован, просрочен или отозван: авторизуйте приложение заново и загрузите новый refresh_token.",
        ),
        Refusal.APPLICATION: _advice(
            Problem.UNAUTHORIZED,
            "client_id or client_secret is not that of the application: copy both from its card in Bitrix24.",
            "client_id или client_secret не от этого приложения: скопируйте оба из его карточки в Битрикс24.",
        ),
        Refusal.WRONG_AUTH_TYPE: _advice(
            Problem.UNAUTHORIZED,
            "An inbound webhook may not register calls on this portal: connect the gateway as an application (portal_domain, client_id, "
            "client_secret, refresh_token).",
            "На этом портале входящий вебхук не может регистрировать звонки: подключите шлюз как приложение (portal_domain, client_id, "
            "client_secret, refresh_token).",
        ),
        Refusal.SCOPE: _advice(
            Problem.UNAUTHORIZED,
            "The webhook or application lacks a right: give it telephony, crm and user.",
            "Вебхуку или приложению не хватает прав: включите telephony, crm и user.",
        ),
        Refusal.RIGHT: _advice(
            Problem.UNAUTHORIZED,
            "The user behind the webhook or application lacks a right in Bitrix24: use an administrator's.",
            "Сотруднику, от имени которого работает вебхук или приложение, не хватает прав в Битрикс24: используйте администратора.",
        ),
        Refusal.PLAN: _advice(
            Problem.UNAUTHORIZED,
            "The portal's plan has no REST API, or the user may not use it: Bitrix24 gives it to commercial plans only.",
            "На тарифе портала нет REST API или он закрыт для сотрудника: Битрикс24 даёт его только на коммерческих тарифах.",
        ),
        Refusal.DOOR: _advice(
            Problem.UNAUTHORIZED,
            "The portal does not know the inbound webhook: it was deleted, or incoming_webhook is wrong. Copy the address from Bitrix24.",
            "Портал не знает этот входящий вебхук: он удалён, или адрес в incoming_webhook неверен. Скопируйте его из Битрикс24 заново.",
        ),
        Refusal.PORTAL_GONE: _advice(
            Problem.NOT_FOUND,
            "This portal has been deleted: switch the integration off or put in the new portal.",
            "Этот портал удалён: выключите интеграцию или укажите новый портал.",
        ),
    }
)

# Code in lower case: what it means. Refusals of telephony under ERROR_CORE are below.
_BY_CODE: Mapping[str, tuple[Problem, Refusal | None]] = MappingProxyType(
    {
        "query_limit_exceeded": (Problem.RATE_LIMIT, None),
        "operation_time_limit": (Problem.RATE_LIMIT, None),
        "overload_limit": (Problem.RATE_LIMIT, None),
        "expired_token": (Problem.UNAUTHORIZED, Refusal.TOKEN),
        "invalid_token": (Problem.UNAUTHORIZED, Refusal.TOKEN),
        "no_auth_found": (Problem.UNAUTHORIZED, Refusal.DOOR),
        "invalid_credentials": (Problem.UNAUTHORIZED, Refusal.DOOR),
        "authorization_error": (Problem.UNAUTHORIZED, None),
        "wrong_auth_type": (Problem.UNAUTHORIZED, Refusal.WRONG_AUTH_TYPE),
        "insufficient_scope": (Problem.UNAUTHORIZED, Refusal.SCOPE),
        "user_access_error": (Problem.UNAUTHORIZED, Refusal.RIGHT),
        "access_denied": (Problem.UNAUTHORIZED, Refusal.PLAN),
        "payment_required": (Problem.UNAUTHORIZED, Refusal.PLAN),
        "portal_deleted": (Problem.NOT_FOUND, Refusal.PORTAL_GONE),
        # What lacks a right is sometimes said to be no method at all.
        "error_method_not_found": (Problem.NOT_FOUND, Refusal.SCOPE),
        "internal_server_error": (Problem.SERVER_ERROR, None),
        "error_unexpected_answer": (Problem.SERVER_ERROR, None),
        "invalid_request": (Problem.REJECTED, None),
        "error_batch_method_not_allowed": (Problem.REJECTED, None),
        "error_batch_length_exceeded": (Problem.REJECTED, None),
        # The authorization server (b24pysdk knows these).
        "invalid_grant": (Problem.UNAUTHORIZED, Refusal.GRANT),
        "invalid_client": (Problem.UNAUTHORIZED, Refusal.APPLICATION),
        "wrong_client": (Problem.UNAUTHORIZED, Refusal.APPLICATION),
        "not_installed": (Problem.UNAUTHORIZED, Refusal.GRANT),
    }
)
# A part of the text in lower case: what it means. B24 REST, telephony.externalCall.*; older documents end some of the texts differently.
_BY_TEXT: tuple[tuple[str, Problem, Refusal | None], ...] = (
    ("user is not found", Problem.REJECTED, Refusal.USER_MISSING),
    ("user_phone_inner should be set", Problem.REJECTED, Refusal.USER_MISSING),
    ("not finished yet", Problem.REJECTED, Refusal.NOT_FINISHED),
    ("call is not found", Problem.REJECTED, Refusal.CALL_MISSING),
    ("server returns http error", Problem.SERVER_ERROR, Refusal.RECORD_UNREACHABLE),
    ("non-public address", Problem.REJECTED, Refusal.RECORD_PRIVATE),
    ("unexpected database error", Problem.SERVER_ERROR, None),
    ("access denied", Problem.UNAUTHORIZED, Refusal.RIGHT),
)
_TEXT_CODES = frozenset(("error_core", "", "error_argument"))


def advice_of_refusal(refusal: Refusal | None, problem: Problem) -> Advice:
    """The special advice of a refusal, else that of the problem. Whether to try again is up to the problem."""
    special = _ADVICE.get(refusal) if refusal is not None else None
    return ADVICE[problem] if special is None else attrs.evolve(special, is_retryable=ADVICE[problem].is_retryable)


@attrs.frozen(kw_only=True)
class B24Answer:
    """What came back: `content` is the JSON object, None when it is none."""

    status: int
    content: Mapping[str, Any] | None
    flaw: str = ""
    retry_after: str = ""

    @property
    def has_result(self) -> bool:
        """Whether it is what the method was asked for."""
        return self.status // 100 == 2 and self.content is not None and "error" not in self.content and "result" in self.content


def answer_of(answer: HttpAnswer) -> B24Answer:
    """An answer, read."""
    content: Any = None
    if not answer.flaw:
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            content = None
    is_object = isinstance(content, dict)
    return B24Answer(
        status=answer.status,
        content=cast("dict[str, Any]", content) if is_object else None,
        flaw=answer.flaw or ("" if is_object else "the answer is no JSON object"),
        retry_after=answer.retry_after,
    )


def trouble_of(answer: B24Answer, *, now: datetime) -> B24Trouble:
    """Why there is no result. `now`: aware."""
    content = answer.content or {}
    if "error" not in content:
        return _trouble_without_code(answer, now)
    code, said = _line(content["error"]), _line(content.get("error_description"))
    problem, refusal = _meaning(code.lower(), said.lower(), answer.status)
    wish, pause = _wishes(code.lower(), content, answer, now)
    return B24Trouble(
        problem,
        f"http={answer.status} {code}: {said}" if said else f"http={answer.status} {code}",
        code=code.lower(),
        refusal=refusal,
        is_ambiguous=problem is Problem.SERVER_ERROR and refusal is None,
        retry_after_seconds=wish,
        pause_seconds=pause,
    )


def _trouble_without_code(answer: B24Answer, now: datetime) -> B24Trouble:
    problem = problem_of_status(answer.status)
    if problem is None:
        why = answer.flaw or "there is neither result nor error in it"
        return B24Trouble(Problem.BAD_ANSWER, f"http={answer.status}: {why}", is_ambiguous=True)
    return B24Trouble(
        problem,
        f"http={answer.status}",
        is_ambiguous=may_be_done(answer.status),
        retry_after_seconds=retry_after_seconds(answer.retry_after, now=now),
    )


def _meaning(code: str, said: str, status: int) -> tuple[Problem, Refusal | None]:
    if code in _TEXT_CODES:
        for part, problem, refusal in _BY_TEXT:
            if part in said:
                return problem, refusal
    if code == "access_denied" and said.startswith("access denied"):
        # B24 REST, voximplant.statistic.get: the same code for a right that the user lacks.
        return Problem.UNAUTHORIZED, Refusal.RIGHT
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    return (problem_of_status(status) or Problem.REJECTED), None


def _wishes(code: str, content: Mapping[str, Any], answer: B24Answer, now: datetime) -> tuple[float | None, float]:
    """When to ask again, and for how long to ask nothing at all."""
    told = retry_after_seconds(answer.retry_after, now=now)
    match code:
        case "query_limit_exceeded":
            wish = max(QUERY_LIMIT_SECONDS, told or 0.0)
            return wish, wish
        case "operation_time_limit":
            return max(1.0, told or _reset_seconds(content, now) or OPERATION_LIMIT_SECONDS), 0.0
        case "overload_limit":
            wish = max(OVERLOAD_SECONDS, told or 0.0)
            return wish, wish
        case _:
            return told, 0.0


def _reset_seconds(content: Mapping[str, Any], now: datetime) -> float | None:
    """B24 REST, "time": `operating_reset_at` is a moment in seconds since 1970."""
    block: Any = content.get("time")
    moment = whole(cast("Mapping[str, Any]", block).get("operating_reset_at")) if isinstance(block, Mapping) else None
    return max(0.0, moment - now.timestamp()) if moment is not None and moment < 10**11 else None


def shown_without(text: str, secrets: tuple[str, ...]) -> str:
    """The text with these blanked, the longest first: one may be part of another."""
    for secret in sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return text


def _line(value: Any) -> str:
    return " ".join(str(value).split())[:_LONGEST_TEXT] if isinstance(value, str | int | float) else ""
