"""What RetailCRM takes: fields, enumerations and formats of its forms, and its words for what is wrong. Written apart from our adapter.

Sources: retailCRM API v5, "telephony/call/event" and "telephony/calls/upload"; enumerations as in its official PHP client.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from tester.fakes.crm_wire import BadBody, Request, Response, json_response, parse_json
from tester.fakes.retailcrm_records import DATE_FORMAT, LiveEvent, UploadedCall

EVENT_TYPES = frozenset(("in", "out", "hangup"))
HANGUP_STATUSES = frozenset(("answered", "busy", "cancel", "failed", "no answered"))
CALL_TYPES = frozenset(("in", "out"))
CALL_RESULTS = frozenset(("answered", "busy", "failed", "no answer", "not allowed", "unknown"))
PAGE_SIZES = frozenset((20, 50, 100, 250))
MOST_CALLS = 50

_EVENT_FIELDS = frozenset(
    ("phone", "type", "codes", "userIds", "site", "hangupStatus", "externalPhone", "callExternalId", "webAnalyticsData")
)
_CALL_FIELDS = frozenset(
    (
        "date", "type", "phone", "code", "userId", "result", "duration", "durationWaiting", "externalId", "recordUrl", "source",
        "externalPhone", "site", "clientId",
    )
)  # fmt: skip

_BLANK = "This value should not be blank."
_INVALID = "This value is not valid."
_NO_CHOICE = "The value you selected is not a valid choice."


class Refusal(Exception):
    """RetailCRM says no."""

    def __init__(self, status: int, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.errors = dict(errors or {})

    def response(self) -> Response:
        """As it is sent."""
        content: dict[str, Any] = {"success": False, "errorMsg": str(self)}
        if self.errors:
            content["errors"] = self.errors
        return json_response(content, self.status)


def bad_entity(errors: Mapping[str, str]) -> Refusal:
    """A value has the wrong form."""
    return Refusal(400, "Errors in the entity format", errors)


def json_field(request: Request, name: str) -> Any:
    """The value of a form field that holds JSON. Raises `Refusal`; a JSON body is no form, so the field is missing."""
    try:
        text = request.form.get(name)
        if text is None:
            raise Refusal(400, f"Parameter '{name}' is missing")
        return parse_json(text)
    except BadBody as exc:
        raise bad_entity({name: "Invalid JSON."}) from exc


class Fields:
    """Reads a JSON object field by field and collects what is wrong with it under `prefix`. `unknown`: what the vendor would ignore."""

    def __init__(self, raw: object, known: frozenset[str], prefix: str = "") -> None:
        self.errors: dict[str, str] = {}
        self._prefix = prefix
        if isinstance(raw, dict):
            self._raw = cast(dict[str, Any], raw)
        else:
            self._raw = {}
            self.errors[prefix.rstrip(".") or "entity"] = _INVALID
        self.unknown = frozenset(self._raw) - known

    def check(self) -> None:
        """Raises `Refusal` when anything was wrong."""
        if self.errors:
            raise bad_entity(self.errors)

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self._raw.get(name)
        if value is None or value == "":
            if required:
                self._complain(name, _BLANK)
            return None
        if not isinstance(value, str):
            self._complain(name, _INVALID)
            return None
        return value

    def choice(self, name: str, choices: frozenset[str], *, required: bool = False) -> str | None:
        value = self.text(name, required=required)
        if value is not None and value not in choices:
            self._complain(name, _NO_CHOICE)
        return value

    def whole(self, name: str) -> int | None:
        value = self._raw.get(name)
        if value is None:
            return None
        if not _is_whole(value) or value < 0:
            self._complain(name, _INVALID)
            return None
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self._list(name) if isinstance(value, str) or self._complain(name, _INVALID))

    def wholes(self, name: str) -> tuple[int, ...]:
        return tuple(value for value in self._list(name) if _is_whole(value) or self._complain(name, _INVALID))

    def moment(self, name: str) -> datetime:
        """`Y-m-d H:i:s`, exactly."""
        value = self.text(name, required=True)
        try:
            found = datetime.strptime(value or "", DATE_FORMAT)  # noqa: DTZ007 - the vendor's dates have no zone
        except ValueError:
            found = datetime.min  # noqa: DTZ901 - never leaves: the complaint does
        if value is not None and found.strftime(DATE_FORMAT) != value:
            self._complain(name, _INVALID)
        return found

    def _list(self, name: str) -> list[Any]:
        value = self._raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self._complain(name, _INVALID)
            return []
        return cast(list[Any], value)

    def _complain(self, name: str, what: str) -> bool:
        self.errors.setdefault(self._prefix + name, what)
        return False


def read_event(raw: object, at: float, client_id: str | None) -> tuple[LiveEvent, frozenset[str]]:
    """A live event and the fields in it that RetailCRM does not know. Raises `Refusal`."""
    fields = Fields(raw, _EVENT_FIELDS)
    event = LiveEvent(
        at=at,
        client_id=client_id,
        phone=fields.text("phone", required=True) or "",
        type=fields.choice("type", EVENT_TYPES, required=True) or "",
        call_external_id=fields.text("callExternalId"),
        codes=fields.texts("codes"),
        user_ids=fields.wholes("userIds"),
        hangup_status=fields.choice("hangupStatus", HANGUP_STATUSES),
        external_phone=fields.text("externalPhone"),
        site=fields.text("site"),
    )
    fields.check()
    return event, fields.unknown


def read_calls(raw: object, at: float, client_id: str | None) -> tuple[list[UploadedCall], frozenset[str]]:
    """Calls and the fields in them that RetailCRM does not know. Raises `Refusal` when one of them is wrong: all or nothing."""
    if not isinstance(raw, list):
        raise bad_entity({"calls": _INVALID})
    items = cast(list[object], raw)
    if not items:
        raise bad_entity({"calls": _BLANK})
    if len(items) > MOST_CALLS:
        raise bad_entity({"calls": f"This collection should contain {MOST_CALLS} elements or less."})
    calls: list[UploadedCall] = []
    unknown: frozenset[str] = frozenset()
    errors: dict[str, str] = {}
    for place, item in enumerate(items):
        fields = Fields(item, _CALL_FIELDS, f"calls[{place}].")
        calls.append(_read_call(fields, at, client_id))
        unknown |= fields.unknown
        errors.update(fields.errors)
    if errors:
        raise bad_entity(errors)
    return calls, unknown


def _read_call(fields: Fields, at: float, client_id: str | None) -> UploadedCall:
    return UploadedCall(
        at=at,
        client_id=fields.text("clientId") or client_id,
        date=fields.moment("date"),
        type=fields.choice("type", CALL_TYPES, required=True) or "",
        phone=fields.text("phone", required=True) or "",
        user_id=fields.whole("userId"),
        code=fields.text("code"),
        result=fields.choice("result", CALL_RESULTS, required=True) or "",
        duration=fields.whole("duration"),
        duration_waiting=fields.whole("durationWaiting"),
        external_id=fields.text("externalId"),
        record_url=fields.text("recordUrl"),
        external_phone=fields.text("externalPhone"),
        site=fields.text("site"),
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
