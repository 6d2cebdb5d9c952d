"""JSON API 1.2 of МойСклад, as much of it as a telephone needs: counterparties, contact persons, employees. Source: its documentation."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from tester.fakes.crm_server import Routes
from tester.fakes.crm_wire import Request, Response, json_response
from tester.fakes.ms_account import COMPANY_TYPES, MsAccount, MsCounterparty
from tester.fakes.ms_wire import API_URL, MsRefusal, body_object, keeps, missing, not_found, refusal, text_of, wrong_choice

MOST_ROWS = 1000
MOST_DIGITS = 9

_ASKER = {"href": f"{API_URL}/remap/1.2/context/employee", "type": "employee", "mediaType": "application/json"}

_LEGAL_FIELDS = ("legalTitle", "legalLastName", "legalFirstName", "legalMiddleName", "actualAddress", "legalAddress")
_EMPLOYEE_FIELDS = frozenset(("id", "name", "lastName", "firstName", "middleName", "fullName", "email", "phone", "archived"))
_PERSON_FIELDS = frozenset(("id", "name", "phone", "email", "position"))
_COUNTERPARTY_FIELDS = (_PERSON_FIELDS - {"position"}) | frozenset(
    ("companyType", "description", "code", "externalCode", "archived", "inn", "fax", *_LEGAL_FIELDS)
)
_READ_ONLY = frozenset(("meta", "id", "accountId", "owner", "name", "phone", "email", "companyType", "tags", "contactpersons"))


class JsonApi:
    """The methods of the JSON API. `account_of` says whose token a request has."""

    def __init__(self, account_of: Callable[[Request], MsAccount]) -> None:
        self._account_of = account_of
        self.routes = Routes()
        self.routes.add("GET", "/context/employee", self._who_asks)
        self.routes.add("GET", "/entity/employee", self._employees)
        self.routes.add("GET", "/entity/employee/([^/]+)", self._employee)
        self.routes.add("GET", "/entity/counterparty", self._counterparties)
        self.routes.add("POST", "/entity/counterparty", self._create)
        self.routes.add("GET", "/entity/counterparty/([^/]+)/contactpersons", self._persons)
        self.routes.add("GET", "/entity/counterparty/([^/]+)", self._counterparty)
        self.routes.add("PUT", "/entity/counterparty/([^/]+)", self._update)

    def _who_asks(self, request: Request, _found: "re.Match[str]") -> Response:
        account = self._account_of(request)
        first = next(iter(account.employees.values()), None)
        return json_response({"accountId": account.account_id} if first is None else {**first.view, "accountId": account.account_id})

    def _employees(self, request: Request, _found: "re.Match[str]") -> Response:
        employees = self._account_of(request).employees.values()
        return _listed(request, "employee", _EMPLOYEE_FIELDS, [each.view for each in employees])

    def _employee(self, request: Request, found: "re.Match[str]") -> Response:
        employee = self._account_of(request).employees.get(found.group(1))
        if employee is None:
            raise not_found("employee", found.group(1))
        return json_response(employee.view)

    def _counterparties(self, request: Request, _found: "re.Match[str]") -> Response:
        known = self._account_of(request).counterparties.values()
        sought = request.query.get("search", "")
        return _listed(request, "counterparty", _COUNTERPARTY_FIELDS, [each.view for each in known if each.mentions(sought)])

    def _counterparty(self, request: Request, found: "re.Match[str]") -> Response:
        return json_response(self._known(request, found).view)

    def _persons(self, request: Request, found: "re.Match[str]") -> Response:
        counterparty = self._known(request, found)
        rows = [person.view(counterparty.counterparty_id) for person in counterparty.persons]
        return _listed(request, "contactperson", _PERSON_FIELDS, rows)

    def _create(self, request: Request, _found: "re.Match[str]") -> Response:
        account, fields = self._account_of(request), body_object(request)
        if not text_of(fields, "name"):
            raise MsRefusal(412, missing("name"))
        counterparty = MsCounterparty(counterparty_id="", name="")
        _take_over(account, counterparty, fields)
        counterparty.counterparty_id = account.new_id()
        account.counterparties[counterparty.counterparty_id] = counterparty
        return json_response(counterparty.view)

    def _update(self, request: Request, found: "re.Match[str]") -> Response:
        counterparty = self._known(request, found)
        _take_over(self._account_of(request), counterparty, body_object(request))
        return json_response(counterparty.view)

    def _known(self, request: Request, found: "re.Match[str]") -> MsCounterparty:
        counterparty = self._account_of(request).counterparties.get(found.group(1))
        if counterparty is None:
            raise not_found("counterparty", found.group(1))
        return counterparty


def _take_over(account: MsAccount, counterparty: MsCounterparty, fields: Mapping[str, Any]) -> None:
    """Fields that are named replace the old ones. Nothing is changed when one is wrong."""
    company_type = text_of(fields, "companyType")
    if company_type and company_type not in COMPANY_TYPES:
        raise wrong_choice("companyType", company_type, COMPANY_TYPES)
    owner = account.linked_employee(fields["owner"]) if fields.get("owner") is not None else None
    name, phone, email = text_of(fields, "name"), text_of(fields, "phone"), text_of(fields, "email")
    counterparty.name = name or counterparty.name
    counterparty.phone = phone if "phone" in fields else counterparty.phone
    counterparty.email = email if "email" in fields else counterparty.email
    counterparty.company_type = company_type or counterparty.company_type
    counterparty.owner_id = owner.employee_id if owner is not None else counterparty.owner_id
    tags: Any = fields.get("tags")
    if isinstance(tags, list):
        counterparty.tags = [str(tag) for tag in cast("list[object]", tags)]
    counterparty.fields.update({field: value for field, value in fields.items() if field not in _READ_ONLY})


def _listed(request: Request, kind: str, fields: frozenset[str], rows: list[dict[str, Any]]) -> Response:
    conditions = request.query.get("filter", "")
    kept = [row for row in rows if keeps(conditions, fields, row)]
    limit, offset = _number(request, "limit", MOST_ROWS), _number(request, "offset", 0)
    page = kept[offset : offset + limit]
    around = {
        "href": f"{API_URL}{request.target.removeprefix('/api')}",
        "type": kind,
        "mediaType": "application/json",
        "size": len(kept),
        "limit": limit,
        "offset": offset,
    }
    return json_response({"context": {"employee": {"meta": _ASKER}}, "meta": around, "rows": page})


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise refusal(400, 1040, "Неверно заданы параметры запроса", name)
    return min(int(text), MOST_ROWS) if name == "limit" else int(text)
