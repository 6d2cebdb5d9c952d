"""A U-ON Travel in memory: any number of cabinets behind one address, each found by the key in the path.

What is not known of the real one is decided here in the stricter way, and is said where it is decided.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import trio

from tester.fakes.crm_limits import Level, Use, Window
from tester.fakes.crm_server import CrmServer, Routes, calendar
from tester.fakes.crm_wire import BadBody, Request, Response, json_response
from tester.fakes.uon_records import UonAccount, UonCall, UonClient, UonNotification, stored_phone

PER_SECOND = 10
PAGE_ITEMS = 100

_PATH = re.compile(r"/([^/]+)(/.*)\.json")
_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
_CALL_FIELDS = frozenset(("phone", "start", "duration", "direction", "manager_id", "record_link", "note", "office_id"))


class Refusal(Exception):
    """U-ON says no. `message` None: there is nothing to be found."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> Response:
        """As it is sent."""
        if self.message is None:
            return json_response({"result": self.status}, self.status)
        return json_response({"error": {"code": self.status, "message": self.message}}, self.status)


class FakeUon(CrmServer):
    """All of U-ON.

    Args:
        keys: the keys that exist; each has a cabinet of its own (`accounts`). A wrong one is refused with 403.

    The limit "requests per second" is by key.
    """

    def __init__(
        self,
        keys: Sequence[str] = ("KeyOfUon0001",),
        *,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], datetime] = calendar,
        enforced: bool = True,
    ) -> None:
        super().__init__(clock=clock, now=now, enforced=enforced)
        self.accounts: dict[str, UonAccount] = {key: UonAccount() for key in keys}
        self._per_second = Window("requests per second", PER_SECOND, 1.0)

    @property
    def account(self) -> UonAccount:
        """The cabinet of the first key."""
        return next(iter(self.accounts.values()))

    # the vendor

    def uses(self, request: Request) -> Sequence[Use]:
        return [Use(self._per_second, request.path.lstrip("/").partition("/")[0])]

    def too_many(self, request: Request, over: Level) -> Response:  # noqa: ARG002 - U-ON does not say how long to wait
        return Refusal(429, "Too Many Requests").response()

    def respond(self, request: Request) -> Response:
        """Carry it out, or refuse it."""
        try:
            return self._respond(request)
        except Refusal as no:
            return no.response()

    def _respond(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise _no_route(request)
        account = self.accounts.get(found.group(1))
        if account is None:
            raise Refusal(403, "API key is wrong")
        handler = _Cabinet(account).routes.find(request.method, found.group(2))
        if handler is None:
            raise _no_route(request)
        if not (account.allows_get if request.method == "GET" else account.allows_post):
            # How a key without the flag is refused is not known.
            raise Refusal(403, "Access denied")
        return handler(request)


class _Cabinet:
    """The methods of one account."""

    def __init__(self, account: UonAccount) -> None:
        self._account = account
        self.routes = Routes()
        self.routes.add("POST", "/notification/create", lambda request, _: self._notify(request))
        self.routes.add("POST", "/call_history/create", lambda request, _: self._create_call(request))
        self.routes.add("GET", "/call_history/([0-9]{1,18})", lambda _, found: self._history(account.calls, int(found.group(1))))
        self.routes.add("GET", "/call_history_by_user/([0-9]{1,18})/([0-9]{1,18})", lambda _, found: self._history_of_client(found))
        self.routes.add("GET", "/user/phone/([^/]+)(?:/([0-9]{1,18}))?", lambda _, found: self._by_phone(found))
        self.routes.add("POST", "/user/create", lambda request, _: self._create_client(request))
        self.routes.add("GET", "/manager", lambda _request, _: self._managers())
        self.routes.add("GET", "/manager/([0-9]{1,18})", lambda _, found: self._manager(int(found.group(1))))

    def _notify(self, request: Request) -> Response:
        values = self._values(request, frozenset(("text", "manager_id")))
        _required(values, "manager_id")
        manager_id = self._manager_id(values) or 0
        notice = UonNotification(
            at=request.at,
            notification_id=self._account.next_id(),
            manager_id=manager_id,
            text=_required(values, "text"),
        )
        self._account.notifications.append(notice)
        return _created(notice.notification_id)

    def _create_call(self, request: Request) -> Response:
        values = self._values(request, _CALL_FIELDS)
        call = UonCall(
            at=request.at,
            call_id=self._account.next_id(),
            phone=_required(values, "phone"),
            start=_moment(values, "start"),
            duration=_whole(values, "duration"),
            direction=_whole(values, "direction", frozenset((1, 2))),
            manager_id=self._manager_id(values),
            record_link=values.get("record_link", ""),
            note=values.get("note", ""),
            office_id=values.get("office_id", ""),
        )
        self._account.calls.append(call)
        return _created(call.call_id)

    def _history(self, calls: Sequence[UonCall], page: int) -> Response:
        ordered = list(reversed(calls)) if self._account.history_newest_first else list(calls)
        shown = ordered[(page - 1) * PAGE_ITEMS : page * PAGE_ITEMS] if page > 0 else []
        if not shown:
            raise Refusal(404)
        pages_all = -(-len(ordered) // PAGE_ITEMS)
        content = {"result": 200, self._account.history_field: [self._read(call.shown()) for call in shown], "pages_all": pages_all}
        return json_response(content)

    def _history_of_client(self, found: "re.Match[str]") -> Response:
        client = self._account.clients.get(int(found.group(1)))
        calls = [call for call in self._account.calls if client is not None and client.has_number(call.phone)]
        return self._history(calls, int(found.group(2)))

    def _by_phone(self, found: "re.Match[str]") -> Response:
        # Digits only: with a plus nobody is found, as phones are kept without one.
        phone, office = found.group(1), found.group(2)
        clients = [
            client
            for client in self._account.clients.values()
            if client.has_number(phone) and (office is None or client.office_id == int(office))
        ]
        if not clients:
            raise Refusal(404)
        return json_response({"result": 200, "users": [self._read(client.shown()) for client in clients]})

    def _create_client(self, request: Request) -> Response:
        values = self._values(request, frozenset(_CLIENT_FIELDS) | {"u_manager_id", "u_type", "source_id"})
        client = UonClient(client_id=self._account.next_id(), manager_id=self._manager_id(values, "u_manager_id") or 0)
        for name, field in _CLIENT_FIELDS.items():
            value = values.get(name, "")
            setattr(client, field, stored_phone(value) if field.startswith("phone") else value)
        self._account.clients[client.client_id] = client
        return _created(client.client_id)

    def _managers(self) -> Response:
        if not self._account.managers:
            raise Refusal(404)
        return json_response({"users": [self._read(manager.shown()) for manager in self._account.managers.values()], "result": 200})

    def _manager(self, manager_id: int) -> Response:
        manager = self._account.managers.get(manager_id)
        if manager is None:
            raise Refusal(404)
        return json_response({"users": [self._read(manager.shown())], "result": 200})

    def _values(self, request: Request, known: frozenset[str]) -> dict[str, str]:
        values = _body(request)
        self._account.unknown_fields |= set(values) - known
        return values

    def _manager_id(self, values: Mapping[str, str], name: str = "manager_id") -> int | None:
        if not values.get(name):
            return None
        manager_id = _whole(values, name)
        if manager_id not in self._account.managers:
            # Whether the real one checks it for calls is not known.
            raise _wrong(name)
        return manager_id

    def _read(self, shown: dict[str, Any]) -> dict[str, Any]:
        if not self._account.numbers_as_text:
            return shown
        return {name: str(value) if isinstance(value, int) and name != "u_type" else value for name, value in shown.items()}


_CLIENT_FIELDS = {
    "u_surname": "surname",
    "u_name": "name",
    "u_sname": "second_name",
    "u_company": "company",
    "u_phone": "phone",
    "u_phone_mobile": "phone_mobile",
    "u_phone_home": "phone_home",
    "u_email": "email",
}


def _body(request: Request) -> dict[str, str]:
    """The fields of a form or of a JSON object; what is neither has none."""
    try:
        if request.content_type == "application/json":
            raw = request.json()
            fields = cast(dict[str, Any], raw) if isinstance(raw, dict) else {}
            return {name: str(value) for name, value in fields.items() if isinstance(value, str | int) and not isinstance(value, bool)}
        return dict(request.form)
    except BadBody:
        return {}


def _wrong(name: str) -> Refusal:
    return Refusal(404, f"Parameter {name} is wrong")


def _no_route(request: Request) -> Refusal:
    # The path, and the key with it, is in the text: whoever logs answers must not log this one.
    return Refusal(404, f'No route found for "{request.method} {request.path}"')


def _created(new_id: int) -> Response:
    return json_response({"result": 200, "id": str(new_id)})


def _required(values: Mapping[str, str], name: str) -> str:
    if not values.get(name, "").strip():
        raise _wrong(name)
    return values[name]


def _whole(values: Mapping[str, str], name: str, allowed: frozenset[int] | None = None) -> int:
    text = values.get(name, "")
    if re.fullmatch(r"\d{1,12}", text, re.ASCII) is None or (allowed is not None and int(text) not in allowed):
        raise _wrong(name)
    return int(text)


def _moment(values: Mapping[str, str], name: str) -> str:
    """`Y-m-d H:i:s`, exactly."""
    text = _required(values, name)
    try:
        is_right = datetime.strptime(text, _DATE_FORMAT).strftime(_DATE_FORMAT) == text  # noqa: DTZ007 - the vendor's dates have no zone
    except ValueError:
        is_right = False
    if not is_right:
        raise _wrong(name)
    return text
