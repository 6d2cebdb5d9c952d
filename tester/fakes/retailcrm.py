"""A RetailCRM account in memory (retailCRM API v5): keys, people, customers, telephony.

What is not known of the real one is decided here in the stricter way, and is said where it is decided.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

import trio

from tester.fakes.crm_limits import Level, Use, Window
from tester.fakes.crm_server import CrmServer, Routes, calendar
from tester.fakes.crm_wire import BadBody, Request, Response, json_response
from tester.fakes.retailcrm_records import LiveEvent, RetailCorporate, RetailCustomer, RetailUser, UploadedCall, digits
from tester.fakes.retailcrm_rules import PAGE_SIZES, Fields, Refusal, bad_entity, json_field, read_calls, read_event

PER_SECOND = 10
TELEPHONY_PER_SECOND = 40
GROUPS = ("telephony", "customers", "customers-corporate", "users")
"""What a key may be allowed: the first part of the paths of methods."""

_VERSION = "/api/v5"
_TRUE = frozenset(("1", "true", "True"))


class FakeRetailCrm(CrmServer):
    """One account.

    Args:
        keys: which exist, and what groups of methods each of them is allowed (None: all).
        hosts: where the account is; None: everywhere. Others are told that there is no such account.
        phone_filter_works: whether `filter[phone]` filters `customers`. It is not documented; without, it is ignored like any other
            filter that the API does not know.

    Limits are "requests per second" and "telephony requests per second", each by key. `unknown_fields`: what was sent in events and calls
    and would be ignored by RetailCRM.
    """

    def __init__(
        self,
        keys: Mapping[str, Collection[str] | None] | None = None,
        *,
        hosts: Collection[str] | None = None,
        phone_filter_works: bool = True,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], datetime] = calendar,
        enforced: bool = True,
    ) -> None:
        super().__init__(clock=clock, now=now, enforced=enforced)
        self.keys = dict(keys if keys is not None else {"key-of-retailcrm": None})
        self.hosts = hosts
        self.phone_filter_works = phone_filter_works
        self.users: dict[int, RetailUser] = {}
        self.customers: dict[int, RetailCustomer] = {}
        self.corporate: dict[int, RetailCorporate] = {}
        self.events: list[LiveEvent] = []
        self.calls: list[UploadedCall] = []
        self.unknown_fields: set[str] = set()
        self._last_id = 0
        self._per_second = Window("requests per second", PER_SECOND, 1.0)
        self._telephony_per_second = Window("telephony requests per second", TELEPHONY_PER_SECOND, 1.0)
        self._routes = self._make_routes()

    # what tests put in and ask

    def add_user(self, user_id: int, **fields: Any) -> RetailUser:
        """Somebody who works here (fields of `RetailUser`)."""
        self.users[user_id] = RetailUser(user_id=user_id, **fields)
        return self.users[user_id]

    def add_customer(self, *phones: str, **fields: Any) -> RetailCustomer:
        """A person with these numbers (fields of `RetailCustomer`)."""
        customer = RetailCustomer(customer_id=self._next_id(), phones=list(phones), **fields)
        self.customers[customer.customer_id] = customer
        return customer

    def add_corporate(self, company_name: str, *contacts: RetailCustomer, **fields: Any) -> RetailCorporate:
        """A company with these contacts (fields of `RetailCorporate`)."""
        corporate = RetailCorporate(
            corporate_id=self._next_id(), company_name=company_name, contact_ids=[each.customer_id for each in contacts], **fields
        )
        for contact in contacts:
            contact.is_contact = True
        self.corporate[corporate.corporate_id] = corporate
        return corporate

    def events_of(self, call_external_id: str) -> list[LiveEvent]:
        """The live events of one call, in the order in which they were taken."""
        return [event for event in self.events if event.call_external_id == call_external_id]

    def calls_of(self, external_id: str) -> list[UploadedCall]:
        """The uploaded calls with this id: none or one."""
        return [call for call in self.calls if call.external_id == external_id]

    def manager_of(self, call: UploadedCall) -> RetailUser | None:
        """Who the CRM thinks has talked: `userId` beats `code` (retailCRM API v5, calls/upload)."""
        if call.user_id is not None:
            return self.users.get(call.user_id)
        return next((user for user in self.users.values() if call.code and user.code == call.code), None)

    # the vendor

    def uses(self, request: Request) -> Sequence[Use]:
        is_telephony = request.path.startswith(f"{_VERSION}/telephony/")
        return [Use(self._telephony_per_second if is_telephony else self._per_second, _key(request))]

    def too_many(self, request: Request, over: Level) -> Response:  # noqa: ARG002 - RetailCRM does not say how long to wait
        return Refusal(503, "Rate limit exceeded").response()

    def respond(self, request: Request) -> Response:
        """Carry it out, or refuse it."""
        try:
            return self._respond(request)
        except Refusal as no:
            return no.response()

    def _respond(self, request: Request) -> Response:
        if self.hosts is not None and request.host not in self.hosts:
            if request.method != "GET":
                return Response(status=405, body=b"<html><body><h1>405 Not Allowed</h1></body></html>", content_type="text/html")
            raise Refusal(404, "Account does not exist.")
        groups = self._authorize(request)
        handler = self._routes.find(request.method, request.path)
        if handler is None:
            if self._routes.methods(request.path):
                raise Refusal(405, "Method Not Allowed")
            raise Refusal(404, "API method not found")
        group = request.path.removeprefix(_VERSION).split("/")[1]
        if groups is not None and group in GROUPS and group not in groups:
            raise Refusal(403, "Access denied.")
        return handler(request)

    def _authorize(self, request: Request) -> Collection[str] | None:
        key = _key(request)
        if not key:
            # 400 in other places: not known which.
            raise Refusal(403, '"apiKey" is missing.')
        if key not in self.keys:
            raise Refusal(403, 'Wrong "apiKey" value.')
        return self.keys[key]

    def _make_routes(self) -> Routes:
        routes = Routes()
        routes.add("GET", "/api/credentials", lambda request, _: self._credentials(request))
        routes.add("GET", "/api/api-versions", lambda _request, _: json_response({"success": True, "versions": ["3.0", "4.0", "5.0"]}))
        routes.add("POST", f"{_VERSION}/telephony/call/event", lambda request, _: self._call_event(request))
        routes.add("POST", f"{_VERSION}/telephony/calls/upload", lambda request, _: self._calls_upload(request))
        routes.add("GET", f"{_VERSION}/telephony/manager", lambda request, _: self._manager(request))
        routes.add("GET", f"{_VERSION}/customers", lambda request, _: self._customers(request))
        routes.add("POST", f"{_VERSION}/customers/create", lambda request, _: self._customer_create(request))
        routes.add("GET", f"{_VERSION}/customers/([^/]+)", lambda request, found: self._customer(request, found.group(1)))
        routes.add("GET", f"{_VERSION}/customers-corporate", lambda request, _: self._corporates(request))
        routes.add("GET", f"{_VERSION}/customers-corporate/([0-9]{{1,18}})", lambda _, found: self._corporate(int(found.group(1))))
        routes.add("GET", f"{_VERSION}/customers-corporate/([0-9]{{1,18}})/contacts", self._contacts)
        routes.add("GET", f"{_VERSION}/users", lambda request, _: self._users(request))
        routes.add("GET", f"{_VERSION}/users/([0-9]{{1,18}})", lambda _, found: self._user(int(found.group(1))))
        return routes

    def _credentials(self, request: Request) -> Response:
        groups = self.keys[_key(request)]
        paths = ("telephony/call/event", "telephony/calls/upload", "telephony/manager", "customers", "customers/create", "users")
        allowed = [f"/api/{path}" for path in paths if groups is None or path.split("/")[0] in groups]
        return json_response({"success": True, "credentials": allowed, "siteAccess": "access_full", "sitesAvailable": ["main"]})

    # telephony

    def _call_event(self, request: Request) -> Response:
        event, unknown = read_event(json_field(request, "event"), request.at, request.form.get("clientId"))
        self.unknown_fields |= unknown
        self.events.append(event)
        codes = {user.code for user in self.users.values() if user.code}
        return json_response(
            {
                "success": True,
                "notExistCodes": [code for code in event.codes if code not in codes],
                "notExistUsers": [user_id for user_id in event.user_ids if user_id not in self.users],
            }
        )

    def _calls_upload(self, request: Request) -> Response:
        calls, unknown = read_calls(json_field(request, "calls"), request.at, request.form.get("clientId"))
        self.unknown_fields |= unknown
        duplicates: list[str] = []
        for call in calls:
            known = self.calls_of(call.external_id) if call.external_id is not None else []
            if known and call.external_id is not None:
                # Whether a repetition changes anything (a recording that was missing) is not known: it does not.
                known[0].uploads += 1
                duplicates.append(call.external_id)
            else:
                self.calls.append(call)
        return json_response({"success": True, "processedCallsCount": len(calls) - len(duplicates), "duplicateCalls": duplicates})

    def _manager(self, request: Request) -> Response:
        phone = request.query.get("phone", "")
        if not digits(phone):
            raise Refusal(400, "Parameter 'phone' is missing")
        customer = next((each for each in reversed(self.customers.values()) if each.has_number(phone)), None)
        content: dict[str, Any] = {"success": True}
        manager = self.users.get(customer.manager_id) if customer is not None and customer.manager_id is not None else None
        if manager is not None and (manager.status == "free" or request.query.get("ignoreStatus") in _TRUE):
            content["manager"] = manager.as_manager()
        if customer is not None and request.query.get("details") in _TRUE:
            content["customer"] = customer.in_telephony()
        base = f"https://{request.host}"
        content["links"] = {"newOrderLink": f"{base}/orders/add?phone={quote(phone)}"}
        if customer is None:
            content["links"]["newCustomerLink"] = f"{base}/customers/add?phone={quote(phone)}"
        else:
            content["links"]["customerLink"] = f"{base}/customers/{customer.customer_id}"
        return json_response(content)

    # customers and people

    def _customers(self, request: Request) -> Response:
        filters = _filters(request)
        found: Iterable[RetailCustomer] = self.customers.values()
        if "name" in filters:
            found = [each for each in found if each.matches(filters["name"][-1])]
        if "phone" in filters and self.phone_filter_works:
            found = [each for each in found if each.has_number(filters["phone"][-1])]
        if "ids" in filters:
            found = [each for each in found if str(each.customer_id) in filters["ids"]]
        # The newest come first.
        return _page(request, "customers", [each.shown() for each in reversed(list(found))])

    def _customer(self, request: Request, uid: str) -> Response:
        by_id = request.query.get("by", "externalId") == "id"
        for customer in self.customers.values():
            if uid == (str(customer.customer_id) if by_id else customer.external_id):
                return json_response({"success": True, "customer": customer.shown()})
        raise Refusal(404, "Not found")

    def _customer_create(self, request: Request) -> Response:
        raw = json_field(request, "customer")
        known = frozenset(("externalId", "firstName", "lastName", "patronymic", "email", "phones", "managerId", "customFields"))
        fields = Fields(raw, known)
        external_id, manager_id = fields.text("externalId"), fields.whole("managerId")
        names = {name: fields.text(raw_name) or "" for name, raw_name in _NAMES.items()}
        fields.check()
        if external_id is not None and any(each.external_id == external_id for each in self.customers.values()):
            raise bad_entity({"externalId": "Customer with this externalId already exists."})
        if manager_id is not None and manager_id not in self.users:
            raise bad_entity({"managerId": "User does not exist."})
        customer = self.add_customer(
            *_numbers(cast(dict[str, Any], raw).get("phones", [])),
            external_id=external_id,
            manager_id=manager_id,
            site=request.form.get("site", "main"),
            **names,
        )
        return json_response({"success": True, "id": customer.customer_id}, 201)

    def _corporates(self, request: Request) -> Response:
        filters = _filters(request)
        found: Iterable[RetailCorporate] = self.corporate.values()
        if "contactIds" in filters:
            found = [each for each in found if any(str(contact) in filters["contactIds"] for contact in each.contact_ids)]
        if "ids" in filters:
            found = [each for each in found if str(each.corporate_id) in filters["ids"]]
        return _page(request, "customersCorporate", [each.shown() for each in reversed(list(found))])

    def _corporate(self, corporate_id: int) -> Response:
        if corporate_id not in self.corporate:
            raise Refusal(404, "Not found")
        return json_response({"success": True, "customerCorporate": self.corporate[corporate_id].shown()})

    def _contacts(self, request: Request, found: "re.Match[str]") -> Response:
        corporate = self.corporate.get(int(found.group(1)))
        # Without `by=id` the number is an external id, and none of these companies has one.
        if corporate is None or request.query.get("by", "externalId") != "id":
            raise Refusal(404, "Not found")
        return _page(request, "contacts", corporate.contacts())

    def _users(self, request: Request) -> Response:
        return _page(request, "users", [user.shown() for user in self.users.values()])

    def _user(self, user_id: int) -> Response:
        if user_id not in self.users:
            raise Refusal(404, "Not found")
        return json_response({"success": True, "user": self.users[user_id].shown()})

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


_NAMES = {"first_name": "firstName", "last_name": "lastName", "patronymic": "patronymic", "email": "email"}


def _key(request: Request) -> str:
    """In the header, the query or the form (retailCRM API, "Authorization")."""
    try:
        return request.header("x-api-key") or request.query.get("apiKey", "") or request.form.get("apiKey", "")
    except BadBody:
        return ""


def _filters(request: Request) -> dict[str, list[str]]:
    """The `filter[…]` of the query; those that a method does not know are ignored."""
    filters: dict[str, list[str]] = {}
    for name, value in request.query_pairs:
        found = re.fullmatch(r"filter\[(\w+)\](?:\[\d*\])?", name)
        if found is not None:
            filters.setdefault(found.group(1), []).append(value)
    return filters


def _page(request: Request, name: str, items: Sequence[object]) -> Response:
    try:
        limit, page = int(request.query.get("limit", "20")), int(request.query.get("page", "1"))
    except ValueError:
        limit, page = 0, 0
    if limit not in PAGE_SIZES:
        raise bad_entity({"limit": "The value you selected is not a valid choice."})
    if page < 1:
        raise bad_entity({"page": "This value should be 1 or more."})
    pagination = {"limit": limit, "totalCount": len(items), "currentPage": page, "totalPageCount": -(-len(items) // limit)}
    return json_response({"success": True, "pagination": pagination, name: items[(page - 1) * limit : page * limit]})


def _numbers(raw: object) -> list[str]:
    phones = cast(list[object], raw) if isinstance(raw, list) else [raw]
    numbers = [cast(dict[str, object], phone).get("number") if isinstance(phone, dict) else None for phone in phones]
    if any(not isinstance(number, str) for number in numbers):
        raise bad_entity({"phones": "This value is not valid."})
    return [str(number) for number in numbers]
