"""What a fake U-ON Travel holds for one account: managers, clients, calls, notifications, and how its API shows them."""

import re
from typing import Any

import attrs


def digits(text: str) -> str:
    """What is compared of a number."""
    return re.sub(r"\D", "", text)


def stored_phone(text: str) -> str:
    """U-ON keeps a number with a space where the plus was."""
    return " " + text[1:] if text.startswith("+") else text


@attrs.define(kw_only=True)
class UonManager:
    """Somebody who works with the CRM. `extension` is their own number of the telephony."""

    manager_id: int
    surname: str = ""
    name: str = ""
    email: str = ""
    extension: str = ""
    active: bool = True

    def shown(self) -> dict[str, Any]:
        """As `manager.json` has it: what is not filled is null or ""."""
        return {
            "u_id": self.manager_id,
            "u_type": 0,
            "u_surname": self.surname or None,
            "u_name": self.name,
            "u_sname": None,
            "u_email": self.email,
            "u_phone": "",
            "manager_id": 0,
            "role_id": 1,
            "office_id": None,
            "active": int(self.active),
            "deleted": 0,
            "timezone": "+3",
            "u_manager_status": 1,
            "ip_internal_number": self.extension,
        }


@attrs.define(kw_only=True)
class UonClient:
    """A tourist or a company (`u_type` 2). Phones are kept as U-ON keeps them, see `stored_phone`; `manager_id` 0: nobody's."""

    client_id: int
    surname: str = ""
    name: str = ""
    second_name: str = ""
    company: str = ""
    phone: str = ""
    phone_mobile: str = ""
    phone_home: str = ""
    email: str = ""
    manager_id: int = 0
    office_id: int | None = None

    def has_number(self, number: str) -> bool:
        """Whether one of the phones is this number."""
        return any(digits(phone) == number for phone in (self.phone, self.phone_mobile, self.phone_home) if phone)

    def shown(self) -> dict[str, Any]:
        """As `user/phone` has it."""
        return {
            "u_id": self.client_id,
            "u_type": 2 if self.company else 1,
            "u_surname": self.surname,
            "u_name": self.name,
            "u_sname": self.second_name,
            "u_company": self.company,
            "u_phone": self.phone,
            "u_phone_mobile": self.phone_mobile,
            "u_phone_home": self.phone_home,
            "u_email": self.email,
            "manager_id": self.manager_id,
            "office_id": self.office_id,
        }


@attrs.frozen(kw_only=True)
class UonCall:
    """A call of the history. `start` has no zone: it is the account's. `direction`: 1 outgoing, 2 incoming. `at`: the fake's seconds."""

    at: float
    call_id: int
    phone: str
    start: str
    duration: int
    direction: int
    manager_id: int | None
    record_link: str
    note: str
    office_id: str

    def shown(self) -> dict[str, Any]:
        """As `call_history/{page}` has it (the names are those of `call_history/create`)."""
        return {
            "id": self.call_id,
            "phone": self.phone,
            "start": self.start,
            "duration": self.duration,
            "direction": self.direction,
            "manager_id": self.manager_id or 0,
            "record_link": self.record_link,
            "note": self.note,
        }


@attrs.frozen(kw_only=True)
class UonNotification:
    """A pop-up that a manager saw. `at`: the fake's seconds."""

    at: float
    notification_id: int
    manager_id: int
    text: str


@attrs.define(kw_only=True)
class UonAccount:
    """One cabinet, that of one key.

    Args:
        allows_get, allows_post: the two flags of a key.
        numbers_as_text: ids and numbers in what is read are strings. Both have been seen in answers of the real one; what `create`
            returns is a string always.
        history_field: where the list of calls lies in the answer to `call_history/{page}`.
        history_newest_first: in what order.

    `calls` holds every call that was ever created: U-ON does not notice repetitions.
    """

    allows_get: bool = True
    allows_post: bool = True
    numbers_as_text: bool = True
    history_field: str = "users"
    history_newest_first: bool = True
    managers: dict[int, UonManager] = attrs.field(factory=dict[int, UonManager])
    clients: dict[int, UonClient] = attrs.field(factory=dict[int, UonClient])
    calls: list[UonCall] = attrs.field(factory=list[UonCall])
    notifications: list[UonNotification] = attrs.field(factory=list[UonNotification])
    unknown_fields: set[str] = attrs.field(factory=set[str])
    last_id: int = 0

    def next_id(self) -> int:
        """Ids rise over everything."""
        self.last_id += 1
        return self.last_id

    def add_manager(self, manager_id: int, **fields: Any) -> UonManager:
        """Somebody who works here (fields of `UonManager`)."""
        self.managers[manager_id] = UonManager(manager_id=manager_id, **fields)
        return self.managers[manager_id]

    def add_client(self, phone: str, **fields: Any) -> UonClient:
        """A client (fields of `UonClient`); the phone as somebody typed it in."""
        client = UonClient(client_id=self.next_id(), phone=stored_phone(phone), **fields)
        self.clients[client.client_id] = client
        return client

    def calls_with(self, phone: str) -> list[UonCall]:
        """The history of a number (digits), in the order of creation."""
        return [call for call in self.calls if digits(call.phone) == phone]

    def notices_of(self, manager_id: int) -> list[str]:
        """What one manager was shown, in order."""
        return [notice.text for notice in self.notifications if notice.manager_id == manager_id]
