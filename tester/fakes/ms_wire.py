"""What goes over the wire of МойСклад: errors with their codes, links (`meta`), moments, conditions of `filter`.

Sources: the documentation of Phone API 1.0 and of JSON API 1.2. Where it gives a code without an HTTP status, the status is our guess.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import attrs

from tester.fakes.crm_wire import BadBody, Request, Response, json_response

API_URL = "https://api.moysklad.ru/api"
PHONE_PATH = "/api/phone/1.0"
JSON_PATH = "/api/remap/1.2"
MOST_NUMBER = 9_999_999_999

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,3})?", re.ASCII)
_CONDITION = re.compile(r"(?P<field>[A-Za-z.]+)(?P<op>!=|~=|=~|~|=)(?P<value>.*)", re.DOTALL)


@attrs.frozen(kw_only=True)
class MsError:
    """One member of `errors`."""

    code: int
    text: str
    parameter: str = ""

    @property
    def view(self) -> dict[str, Any]:
        """As it is answered."""
        where = {"parameter": self.parameter} if self.parameter else {}
        return {"error": self.text, **where, "code": self.code, "error_message": self.text}


class MsRefusal(Exception):
    """МойСклад says no, for one or several reasons."""

    def __init__(self, status: int, *errors: MsError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors = errors
        self.headers = headers

    @property
    def response(self) -> Response:
        """The answer, not yet compressed."""
        return json_response({"errors": [error.view for error in self.errors]}, self.status, self.headers)


def refusal(status: int, code: int, text: str, parameter: str = "") -> MsRefusal:
    """A no for one reason."""
    return MsRefusal(status, MsError(code=code, text=text, parameter=parameter))


def missing(field: str) -> MsError:
    """3000 of a required field."""
    return MsError(code=3000, text=f"Ошибка сохранения объекта: поле '{field}' не может быть пустым или отсутствовать", parameter=field)


def wrong_type(field: str, kind: str) -> MsRefusal:
    """2016 of a field whose value is of another type."""
    return refusal(400, 2016, f"Ошибка формата: значение поля '{field}' не соответствует типу {kind}", field)


def wrong_choice(field: str, value: object, choices: tuple[str, ...]) -> MsRefusal:
    """3005 of a field that knows few values."""
    known = ", ".join(choices)
    text = f"Ошибка сохранения объекта: неверное значение '{value}' поля '{field}'. Допустимые значения: [{known}]"
    return refusal(412, 3005, text, field)


def not_found(kind: str, object_id: str) -> MsRefusal:
    """1021 of an object that is not there."""
    return refusal(404, 1021, f"Объект с типом '{kind}' и идентификатором '{object_id}' не найден")


def body_object(request: Request) -> Mapping[str, Any]:
    """The body, which must be a JSON object."""
    try:
        content = request.json()
    except BadBody:
        raise refusal(400, 2001, "Ошибка формата: входящий запрос не соответствует формату JSON") from None
    if not isinstance(content, dict):
        raise refusal(400, 2000, "Ошибка формата: отсутствует начало объекта")
    return cast("dict[str, Any]", content)


def text_of(fields: Mapping[str, Any], field: str) -> str:
    """A text field, "" when it is absent or null."""
    value = fields.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(field, "String")
    return value


def whole_of(fields: Mapping[str, Any], field: str) -> int | None:
    """A whole number that is not negative, None when it is absent."""
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(field, "Int")
    if value < 0:
        raise refusal(412, 3002, f"Ошибка сохранения объекта: поле '{field}' не может иметь отрицательное значение", field)
    if value > MOST_NUMBER:
        raise refusal(412, 3008, f"Ошибка сохранения объекта: значение поля '{field}' превышает максимально допустимое значение", field)
    return value


def moment_of(fields: Mapping[str, Any], field: str) -> datetime | None:
    """A moment without a zone, as the account's clocks show it; None when it is absent."""
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise wrong_type(field, "DateTime")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise wrong_type(field, "DateTime") from None


def moment_view(moment: datetime, *, milliseconds: bool) -> str:
    """As it is answered: milliseconds only when they were asked for."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{moment.microsecond // 1000:03d}" if milliseconds else text


def meta(kind: str, object_id: str) -> dict[str, str]:
    """A link to an object: calls are of the Phone API, all else of the JSON API."""
    place = f"phone/1.0/{kind}" if kind == "call" else f"remap/1.2/entity/{kind}"
    return {"href": f"{API_URL}/{place}/{object_id}", "type": kind, "mediaType": "application/json"}


def linked_id(value: object, kind: str) -> str:
    """The id that a link names; it may be wrapped in {"meta": …}. Whether there is such an object is for the caller to say."""
    link = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if isinstance(link.get("meta"), dict):
        link = cast("dict[str, Any]", link["meta"])
    href = link.get("href")
    if not isinstance(href, str) or not href:
        raise refusal(400, 2010, f"Ошибка формата: отсутствует href для meta поля '{kind}'", kind)
    if not link.get("type"):
        raise refusal(400, 2011, f"Ошибка формата: отсутствует type для meta поля '{kind}'", kind)
    if link["type"] != kind:
        raise refusal(400, 1060, "Некорректный тип данных в meta сущности, поле type", kind)
    prefix, _, object_id = href.rpartition("/")
    if not prefix.endswith(f"/entity/{kind}"):
        raise bad_link(kind)
    return object_id


def bad_link(kind: str) -> MsRefusal:
    """2013 of a link that leads nowhere."""
    return refusal(400, 2013, f"Ошибка формата: неправильное значение href для meta поля '{kind}'", kind)


def keeps(conditions: str, fields: frozenset[str], values: Mapping[str, Any]) -> bool:
    """Whether an object stays in a filtered list. Several `=` of one field are alternatives, all else must hold together."""
    equals: dict[str, list[str]] = {}
    for condition in filter(None, conditions.split(";")):
        found = _CONDITION.fullmatch(condition)
        if found is None or found["field"] not in fields:
            name = condition if found is None else found["field"]
            raise refusal(412, 1034, f"Ошибка фильтрации: неизвестное поле '{name}'", "filter")
        if found["op"] == "=":
            equals.setdefault(found["field"], []).append(found["value"])
        elif not _holds(str(values.get(found["field"], "")), found["op"], found["value"]):
            return False
    return all(str(values.get(field, "")) in wanted for field, wanted in equals.items())


def _holds(value: str, op: str, wanted: str) -> bool:
    known, sought = value.casefold(), wanted.casefold()
    match op:
        case "!=":
            return value != wanted
        case "~":
            return sought in known
        case "~=":
            return known.startswith(sought)
        case _:
            return known.endswith(sought)
