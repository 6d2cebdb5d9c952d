"""What U-ON is asked and what it says, without what it means for a call. Pure.

The key is a part of every path, and U-ON repeats the path of what it does not know ("No route found"): it is blanked in everything that
comes back. Status 404 says three things: nothing was found, a parameter is wrong, there is no such method.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import attrs

from gateway.crm.advice import failure
from gateway.crm.answers import problem_of_status, retry_after_seconds
from gateway.crm.base import Outcome, Problem
from gateway.crm.http import HttpAnswer, HttpRequest, form_request
from gateway.crm.uon_settings import UonSettings

KEPT_ANSWER_CHARACTERS = 2048
_LONGEST_MESSAGE = 160
# A key that is cut off by the end of an answer; less than this of it says nothing.
_SHORTEST_PART = 4

_WRONG_PARAMETER = re.compile(r"Parameter (\w{1,40}) is wrong", re.IGNORECASE)
_NO_ROUTE = re.compile(r"No route found", re.IGNORECASE)
_KEY_REFUSED = re.compile(r"\bapi.?key\b", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Said:
    """An answer, or why there is none (`problem`; `reason` is one line without secrets).

    `is_empty`: nothing was found. `wrong`: the parameter that U-ON does not like. `content`: the answer's fields, {} when it has none.
    `is_ambiguous`: it may have been carried out all the same. `kept`: for `integration_logs`.
    """

    problem: Problem | None = None
    reason: str = ""
    is_empty: bool = False
    wrong: str = ""
    is_ambiguous: bool = False
    retry_after_seconds: float | None = None
    content: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    kept: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def failure(self, what: str) -> Outcome:
        """The outcome of a failure at `what`."""
        return failure(
            self.problem or Problem.BAD_ANSWER,
            f"{what}: {self.reason}",
            is_ambiguous=self.is_ambiguous,
            retry_after_seconds=self.retry_after_seconds,
        )


def get_request(settings: UonSettings, path: str, *, account: str) -> HttpRequest:
    """A question. `path` as in `UonSettings.target`."""
    return HttpRequest(method="GET", target=settings.target(path), account=account, headers={"Accept": "application/json"})


def post_request(settings: UonSettings, path: str, fields: Mapping[str, str], *, account: str) -> HttpRequest:
    """Something to be created: a form, as all public clients of U-ON send it."""
    return form_request("POST", settings.target(path), fields, account=account, headers={"Accept": "application/json"})


def said_of(answer: HttpAnswer, settings: UonSettings, *, now: datetime) -> Said:
    """What an answer means by itself."""
    text = _blanked(answer, settings.key)
    kept: dict[str, Any] = {"status": answer.status, "body": text[:KEPT_ANSWER_CHARACTERS]}
    if answer.flaw:
        kept["flaw"] = answer.flaw
    content = None if answer.flaw else _object_of(text)
    problem, status = problem_of_status(answer.status), answer.status
    if problem is None:
        if content is None:
            return Said(problem=Problem.BAD_ANSWER, reason=f"http={status}: no answer of U-ON", is_ambiguous=True, kept=kept)
        # The status is repeated in the answer; were they to differ, the worse one counts.
        status = _status_in(content, status)
        problem = problem_of_status(status)
        if problem is None:
            return Said(content=content, kept=kept)
    message = _message_in(content or {})
    wrong = _WRONG_PARAMETER.search(message)
    is_empty = False
    if _KEY_REFUSED.search(message):
        problem = Problem.UNAUTHORIZED
    elif wrong is not None:
        problem = Problem.REJECTED
    elif status == 404 and content is not None:
        is_empty = not _NO_ROUTE.search(message)
    return Said(
        problem=problem,
        reason=f"http={status}{': ' if message else ''}{message}",
        is_empty=is_empty,
        wrong=wrong.group(1) if wrong is not None else "",
        is_ambiguous=_may_be_done(status),
        retry_after_seconds=retry_after_seconds(answer.retry_after, now=now),
        content=content or {},
        kept=kept,
    )


def _may_be_done(status: int) -> bool:
    """Here 503 too (`answers.may_be_done` takes its word): U-ON tells its limit by 429, and notices no repetitions, so a 503 of something
    between that came after the creation would make a second record. 408 is one that was cut off.
    """
    return status >= 500 or status == 408


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; [] for what is none."""
    return (
        [cast("Mapping[str, Any]", each) for each in cast("list[object]", value) if isinstance(each, dict)]
        if isinstance(value, list)
        else []
    )


def number_of(value: object) -> int | None:
    """U-ON writes numbers as numbers or as texts; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # Longer ones are no ids.
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()) else None


def text_of(value: object) -> str:
    """A text without spaces around it; "" for what is none."""
    return value.strip() if isinstance(value, str) else ""


def _blanked(answer: HttpAnswer, key: str) -> str:
    """As text that PostgreSQL's JSON can hold."""
    text = answer.body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    text = re.sub(re.escape(key), "***", text, flags=re.IGNORECASE)
    for size in range(len(key) - 1, _SHORTEST_PART - 1, -1) if answer.flaw else ():
        if text.lower().endswith(key[:size].lower()):
            return f"{text[:-size]}***"
    return text


def _object_of(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None


def _status_in(content: Mapping[str, Any], status: int) -> int:
    """The one that the answer repeats; 400 for an error without one."""
    error = content.get("error")
    if error:
        code = number_of(cast("Mapping[str, Any]", error).get("code")) if isinstance(error, dict) else None
        return code if code is not None and 300 <= code < 600 else 400
    code = number_of(content.get("result"))
    return code if code is not None and 100 <= code < 600 else status


def _message_in(content: Mapping[str, Any]) -> str:
    error = content.get("error")
    message = cast("Mapping[str, Any]", error).get("message") if isinstance(error, dict) else error
    return " ".join(text_of(message).split())[:_LONGEST_MESSAGE]
