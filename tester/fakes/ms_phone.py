"""Phone API 1.0 of МойСклад: calls, their cards, who has which extension. Source: its documentation, unless said otherwise."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from tester.fakes.crm_server import Routes
from tester.fakes.crm_wire import Request, Response, json_response
from tester.fakes.ms_account import MsAccount
from tester.fakes.ms_calls import CardEvent, CardEventKind, MsCall
from tester.fakes.ms_wire import (
    MsRefusal,
    body_object,
    keeps,
    meta,
    missing,
    moment_of,
    moment_view,
    not_found,
    refusal,
    text_of,
    whole_of,
    wrong_choice,
    wrong_type,
)

MOST_COMMENT_CHARACTERS = 4096

_OF_A_NEW_CALL = (CardEventKind.SHOW, CardEventKind.STARTTIME, CardEventKind.HIDE)
_OF_A_KNOWN_CALL = tuple(CardEventKind)

Find = Callable[[MsAccount, str], MsCall]


class PhoneApi:
    """The methods of the Phone API. `account_of` says whose key a request has."""

    def __init__(self, account_of: Callable[[Request], MsAccount]) -> None:
        self._account_of = account_of
        self.routes = Routes()
        self.routes.add("POST", "/call", self._create)
        for prefix, find in (("/call/extid/(.+)", _by_external_id), ("/call/([^/]+)", _by_id)):
            self.routes.add("POST", f"{prefix}/event", self._with(find, _take_event))
            self.routes.add("GET", prefix, self._with(find, _show))
            self.routes.add("PUT", prefix, self._with(find, _update))
        self.routes.add("GET", "/employee", self._employees)

    def _with(self, find: Find, deed: Callable[[MsAccount, MsCall, Request], Response]) -> Callable[[Request, "re.Match[str]"], Response]:
        def handle(request: Request, found: "re.Match[str]") -> Response:
            account = self._account_of(request)
            return deed(account, find(account, found.group(1)), request)

        return handle

    def _create(self, request: Request, _found: "re.Match[str]") -> Response:
        account, fields = self._account_of(request), body_object(request)
        call = _new_call(account, fields)
        _fill(account, call, fields)
        events = _events(account, fields, _OF_A_NEW_CALL, request.at)
        # The document knows the code; that it is the answer to a repeated `externalId` is our reading of it.
        if account.has_call(call.external_id):
            raise refusal(412, 3006, "Ошибка сохранения объекта: нарушено ограничение уникальности параметра 'externalId'", "externalId")
        call.events.extend(events)
        account.add_call(call)
        return _show(account, call, request)

    def _employees(self, request: Request, _found: "re.Match[str]") -> Response:
        conditions = request.query.get("filter", "")
        fields = frozenset(("extention",))
        employees = [each for each in self._account_of(request).employees.values() if each.extension]
        return json_response(
            {
                "employees": [
                    {"meta": meta("employee", each.employee_id), "extention": each.extension}
                    for each in employees
                    if keeps(conditions, fields, {"extention": each.extension})
                ]
            }
        )


def _by_id(account: MsAccount, call_id: str) -> MsCall:
    if call_id not in account.calls:
        raise not_found("call", call_id)
    return account.calls[call_id]


def _by_external_id(account: MsAccount, external_id: str) -> MsCall:
    try:
        return account.call(external_id)
    except KeyError:
        raise not_found("call", external_id) from None


def _show(account: MsAccount, call: MsCall, request: Request) -> Response:
    milliseconds = request.header("x-lognex-format-millisecond").lower() == "true"
    view: dict[str, Any] = {"meta": meta("call", call.call_id), "id": call.call_id, "externalId": call.external_id, "number": call.number}
    if call.counterparty_id:
        view["counterparty"] = meta("counterparty", call.counterparty_id)
        owner = account.employees.get(account.counterparties[call.counterparty_id].owner_id)
        if owner is not None:
            extension = {"extention": owner.extension} if owner.extension else {}
            view["counterpartyowner"] = {**extension, "meta": meta("employee", owner.employee_id)}
    if call.comment:
        view["comment"] = call.comment
    if call.extension:
        view["extension"] = call.extension
    if call.employee_id:
        view["employee"] = meta("employee", call.employee_id)
    view["isIncoming"] = call.is_incoming
    view["startTime"] = moment_view(call.started_at, milliseconds=milliseconds)
    if call.ended_at is not None:
        view["endTime"] = moment_view(call.ended_at, milliseconds=milliseconds)
    if call.duration_milliseconds is not None:
        view["duration"] = call.duration_milliseconds
    if call.record_urls:
        view["recordUrl"] = list(call.record_urls)
    return json_response(view)


def _update(account: MsAccount, call: MsCall, request: Request) -> Response:
    fields = body_object(request)
    events = _events(account, fields, _OF_A_KNOWN_CALL, request.at)
    _fill(account, call, fields)
    call.events.extend(events)
    call.number_of_updates += 1
    return _show(account, call, request)


def _take_event(account: MsAccount, call: MsCall, request: Request) -> Response:
    call.events.append(_event(account, body_object(request), _OF_A_KNOWN_CALL, request.at))
    return Response(status=204, content_type="")


def _new_call(account: MsAccount, fields: Mapping[str, Any]) -> MsCall:
    absent = [field for field in ("externalId", "number", "isIncoming", "startTime") if fields.get(field) in (None, "")]
    if absent:
        raise MsRefusal(412, *(missing(field) for field in absent))
    if not isinstance(fields["isIncoming"], bool):
        raise wrong_type("isIncoming", "Boolean")
    started_at = moment_of(fields, "startTime")
    assert started_at is not None
    number = text_of(fields, "number")
    link = fields.get("counterparty")
    counterparty = account.counterparty_at(number) if link is None else account.linked_counterparty(link)
    return MsCall(
        call_id="",
        external_id=text_of(fields, "externalId"),
        number=number,
        is_incoming=fields["isIncoming"],
        started_at=started_at,
        counterparty_id="" if counterparty is None else counterparty.counterparty_id,
    )


def _fill(account: MsAccount, call: MsCall, fields: Mapping[str, Any]) -> None:
    """Take over what is not filled yet; a comment replaces the old one, recordings are added. Nothing is changed when a field is wrong."""
    employee = account.linked_employee(fields["employee"]) if fields.get("employee") is not None else None
    extension = text_of(fields, "extension")
    ended_at, duration = moment_of(fields, "endTime"), whole_of(fields, "duration")
    if duration is not None and ended_at is None:
        # The end beats the duration; each gives the other.
        ended_at = _end(call, duration)
    comment, record_urls = text_of(fields, "comment"), _texts(fields, "recordUrl")
    if employee is not None:
        extension = extension or employee.extension
    call.extension = call.extension or extension
    if not call.employee_id:
        known = employee or account.employee_at(call.extension)
        call.employee_id = "" if known is None else known.employee_id
    if call.ended_at is None and ended_at is not None:
        call.ended_at = ended_at
        call.duration_milliseconds = round((ended_at - call.started_at).total_seconds() * 1000)
    call.comment = comment[:MOST_COMMENT_CHARACTERS] or call.comment
    call.record_urls.extend(record_urls)


def _end(call: MsCall, milliseconds: int) -> datetime:
    try:
        return call.started_at + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise wrong_type("duration", "Int") from None


def _texts(fields: Mapping[str, Any], field: str) -> list[str]:
    values: Any = fields.get(field)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in cast("list[object]", values)):
        raise wrong_type(field, "Array(String)")
    return cast("list[str]", values)


def _events(account: MsAccount, fields: Mapping[str, Any], kinds: Sequence[CardEventKind], at: float) -> list[CardEvent]:
    events: Any = fields.get("events")
    if events is None:
        return []
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in cast("list[object]", events)):
        raise wrong_type("events", "Array(Object)")
    return [_event(account, event, kinds, at) for event in cast("list[dict[str, Any]]", events)]


def _event(account: MsAccount, fields: Mapping[str, Any], kinds: Sequence[CardEventKind], at: float) -> CardEvent:
    name, extension, sequence = text_of(fields, "eventType"), text_of(fields, "extension"), whole_of(fields, "sequence")
    absent = [] if name else ["eventType"]
    if not extension and name != CardEventKind.HIDE_ALL:
        absent.append("extension")
    if sequence is None:
        absent.append("sequence")
    if absent or sequence is None:
        raise MsRefusal(412, *(missing(field) for field in absent))
    if name not in kinds:
        raise wrong_choice("eventType", name, tuple(kinds))
    link = fields.get("employee")
    employee = account.linked_employee(link) if link is not None else None
    if employee is not None:
        # Who is meant is the employee, whatever extension is named beside.
        extension = employee.extension or extension
    return CardEvent(
        kind=CardEventKind(name),
        extension=extension,
        sequence=sequence,
        at=at,
        employee_id="" if employee is None else employee.employee_id,
    )
