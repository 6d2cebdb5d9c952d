"""What goes over the wire of Bitrix24: parameters as PHP reads them, errors, the envelope of results, references inside a batch.

Source: the vendor's REST documentation.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import parse_qsl

import attrs

from tester.fakes.crm_wire import BadBody, Request, Response, json_response

PAGE_ROWS = 50

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_REFERENCE = re.compile(r"\$result((?:\[[^\]]*\])+)")

Params = Mapping[str, Any]


@attrs.frozen
class B24Error:
    """An error as it is answered."""

    status: int
    error: str
    description: str

    @property
    def view(self) -> dict[str, str]:
        """The body, and the member of `result_error` in a batch."""
        return {"error": self.error, "error_description": self.description}

    @property
    def response(self) -> Response:
        """The answer. It has neither `time` nor `Retry-After`."""
        return json_response(self.view, self.status)


QUERY_LIMIT_EXCEEDED = B24Error(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
OPERATION_TIME_LIMIT = B24Error(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit")
NO_AUTH_FOUND = B24Error(401, "NO_AUTH_FOUND", "Wrong authorization data")
EXPIRED_TOKEN = B24Error(401, "expired_token", "The access token provided has expired.")
INVALID_TOKEN = B24Error(401, "invalid_token", "Unable to get application by token")
INVALID_CREDENTIALS = B24Error(401, "INVALID_CREDENTIALS", "Invalid request credentials")
WRONG_AUTH_TYPE = B24Error(403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
METHOD_NOT_FOUND = B24Error(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
BATCH_METHOD_NOT_ALLOWED = B24Error(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
BATCH_LENGTH_EXCEEDED = B24Error(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
# What only happens when a test wants it; for `FakeBitrix24.fail_with`. The document has changed the statuses of several of these
# over the years (403 and 503 became 401): what counts is the code.
ACCESS_DENIED = B24Error(401, "ACCESS_DENIED", "REST is available only on commercial plans")
OVERLOAD_LIMIT = B24Error(401, "OVERLOAD_LIMIT", "REST API is blocked due to overload")
USER_ACCESS_ERROR = B24Error(401, "user_access_error", "The user does not have access to the application")
PORTAL_DELETED = B24Error(403, "PORTAL_DELETED", "Portal was deleted")
INTERNAL_SERVER_ERROR = B24Error(500, "INTERNAL_SERVER_ERROR", "Internal server error")
UNEXPECTED_ANSWER = B24Error(500, "ERROR_UNEXPECTED_ANSWER", "Server returned an unexpected response")
DATABASE_ERROR = B24Error(400, "ERROR_CORE", "Unexpected database error")


class B24Refusal(Exception):
    """Bitrix24 says no."""

    def __init__(self, error: B24Error) -> None:
        super().__init__(error)
        self.error = error


def refusal(description: str, error: str = "ERROR_CORE", status: int = 400) -> B24Refusal:
    """A no of a method."""
    return B24Refusal(B24Error(status, error, description))


@attrs.frozen(kw_only=True)
class Asker:
    """Who calls a method. `key` tells applications and webhooks apart. `at` and `when` are the moment of the call, see `Request`."""

    key: str
    user_id: int
    scopes: frozenset[str]
    is_app: bool
    at: float
    when: datetime


@attrs.frozen(kw_only=True)
class Listing:
    """One page of a list, and where the next one starts."""

    rows: list[dict[str, Any]]
    total: int
    next_start: int | None


@attrs.frozen(kw_only=True)
class Method:
    """A method of the REST API. `scopes`: any one of them lets it be called; none: everybody may."""

    handler: Callable[[Asker, Params], object]
    scopes: frozenset[str] = frozenset()
    for_apps_only: bool = False


def params_of(request: Request) -> dict[str, Any]:
    """Query and body together. A body that cannot be read has no parameters, as in PHP."""
    params = nested(request.query_pairs)
    try:
        if request.form_pairs:
            params.update(nested(request.form_pairs))
        elif request.body and request.content_type == "application/json":
            content = request.json()
            if isinstance(content, dict):
                params.update(cast("dict[str, Any]", content))
    except BadBody:
        return params
    return params


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`filter[ACTIVE]=true&select[]=ID` as PHP makes arrays of it; those with the keys 0, 1, 2… become lists."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, bracket, _ = name.partition("[")
        keys = [head, *_BRACKETS.findall(name)] if bracket else [name]
        node = tree
        for key in keys[:-1]:
            below: Any = node.setdefault(key or str(len(node)), {})
            if not isinstance(below, dict):
                break
            node = cast("dict[str, Any]", below)
        else:
            node[keys[-1] or str(len(node))] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    if list(members) == [str(number) for number in range(len(members))]:
        return [_lists(member) for member in members.values()]
    return {name: _lists(member) for name, member in members.items()}


def command_of(text: str, results: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """A command of a batch: the method in lower case and its parameters, references to earlier results put in."""
    name, _, query = text.partition("?")
    params = nested(parse_qsl(query, keep_blank_values=True, errors="replace"))
    return method_name(name), {key: _referred(value, results) for key, value in params.items()}


def method_name(text: str) -> str:
    """As the table of methods has it: in any case, with or without `.json` and a slash at the end."""
    return text.rstrip("/").lower().removesuffix(".json")


def _referred(value: Any, results: Mapping[str, object]) -> Any:
    if isinstance(value, list):
        return [_referred(member, results) for member in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _referred(member, results) for name, member in cast("dict[str, Any]", value).items()}
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda found: str(_reached(results, _BRACKETS.findall(found[1]))), value)


def _reached(value: object, keys: Sequence[str]) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = cast("Mapping[str, object]", value).get(key, "")
        elif isinstance(value, list) and key.isdigit() and int(key) < len(cast("list[object]", value)):
            value = cast("list[object]", value)[int(key)]
        else:
            return ""
    return value


def php_array(members: Mapping[str, object]) -> object:
    """An array of PHP in JSON: a list when its keys are 0, 1, 2… (also when it is empty), otherwise an object."""
    if list(members) == [str(number) for number in range(len(members))]:
        return list(members.values())
    return dict(members)


def whole(value: object) -> int | None:
    """A whole number, also when it is written as text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()) else None


def is_true(value: object, *, default: bool) -> bool:
    """A flag: 1, "1", "Y", true and so on."""
    if value is None or value == "":
        return default
    return str(value).lower() in ("1", "y", "true")


def digits(text: str) -> str:
    """The digits of a number."""
    return "".join(char for char in text if char in "0123456789")


def page(rows: Sequence[dict[str, Any]], params: Params) -> Listing:
    """The page that starts where the parameters say."""
    start = max(0, whole(params.get("start")) or 0)
    following = start + PAGE_ROWS
    return Listing(rows=list(rows[start:following]), total=len(rows), next_start=following if following < len(rows) else None)
