"""What a fake RetailCRM holds: people, customers, live events and uploaded calls, and how the API shows them (retailCRM API v5, models)."""

import re
from datetime import datetime
from typing import Any

import attrs

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def digits(text: str) -> str:
    """What is compared of a number."""
    return re.sub(r"\D", "", text)


@attrs.define(kw_only=True)
class RetailUser:
    """Somebody who works with the CRM. `code` is the extension; the list of users does not show it, `telephony/manager` does."""

    user_id: int
    first_name: str = ""
    last_name: str = ""
    patronymic: str = ""
    email: str = ""
    phone: str = ""
    code: str = ""
    active: bool = True
    status: str = "free"

    def shown(self) -> dict[str, Any]:
        """As `users` has it."""
        return {
            "id": self.user_id,
            "createdAt": "2025-01-01 10:00:00",
            "active": self.active,
            "email": self.email,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "patronymic": self.patronymic,
            "phone": self.phone,
            "status": self.status,
            "online": self.status == "free",
            "isAdmin": False,
            "isManager": True,
            "groups": [],
        }

    def as_manager(self) -> dict[str, Any]:
        """As `telephony/manager` has it."""
        return {
            "id": self.user_id,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "patronymic": self.patronymic,
            "email": self.email,
            "code": self.code,
        }


@attrs.define(kw_only=True)
class RetailCustomer:
    """A person. `is_contact`: of a company."""

    customer_id: int
    external_id: str | None = None
    first_name: str = ""
    last_name: str = ""
    patronymic: str = ""
    email: str = ""
    phones: list[str] = attrs.field(factory=list[str])
    manager_id: int | None = None
    site: str = "main"
    is_contact: bool = False

    def has_number(self, number: str) -> bool:
        """Whether one of the phones is this number."""
        return any(digits(phone) == digits(number) for phone in self.phones)

    def matches(self, text: str) -> bool:
        """`filter[name]`: a part of the name, of the e-mail or of a number (retailCRM API v5, `customers`)."""
        words = f"{self.last_name} {self.first_name} {self.patronymic} {self.email}".lower()
        wanted = digits(text)
        return text.lower() in words or (bool(wanted) and any(wanted in digits(phone) for phone in self.phones))

    def shown(self) -> dict[str, Any]:
        """As `customers` has it: fields without a value are left out."""
        content: dict[str, Any] = {
            "type": "customer",
            "id": self.customer_id,
            "externalId": self.external_id,
            "isContact": self.is_contact,
            "createdAt": "2025-01-01 10:00:00",
            "managerId": self.manager_id,
            "site": self.site,
            "firstName": self.first_name,
            "lastName": self.last_name or None,
            "patronymic": self.patronymic or None,
            "email": self.email or None,
            "phones": [{"number": phone} for phone in self.phones],
            "addresses": [],
            "customFields": [],
        }
        return {name: value for name, value in content.items() if value is not None}

    def in_telephony(self) -> dict[str, Any]:
        """As `telephony/manager` has it."""
        shown = self.shown()
        return {
            name: shown[name] for name in ("id", "externalId", "firstName", "lastName", "patronymic", "email", "phones") if name in shown
        }


@attrs.define(kw_only=True)
class RetailCorporate:
    """A company that buys; `contact_ids` are customers, the first is the main one."""

    corporate_id: int
    company_name: str
    nick_name: str = ""
    contact_ids: list[int] = attrs.field(factory=list[int])
    manager_id: int | None = None
    site: str = "main"

    @property
    def company(self) -> dict[str, Any]:
        """The company itself."""
        return {"id": self.corporate_id + 1000, "name": self.company_name}

    def shown(self) -> dict[str, Any]:
        """As `customers-corporate` has it."""
        content: dict[str, Any] = {
            "type": "customer_corporate",
            "id": self.corporate_id,
            "nickName": self.nick_name or self.company_name,
            "site": self.site,
            "mainCompany": self.company,
        }
        if self.manager_id is not None:
            content["managerId"] = self.manager_id
        if self.contact_ids:
            content["mainCustomerContact"] = {"id": self.contact_ids[0] + 500, "customer": {"id": self.contact_ids[0]}, "companies": []}
        return content

    def contacts(self) -> list[dict[str, Any]]:
        """As `customers-corporate/{id}/contacts` has them."""
        return [
            {"isMain": place == 0, "id": contact_id + 500, "customer": {"id": contact_id, "site": self.site}, "companies": [self.company]}
            for place, contact_id in enumerate(self.contact_ids)
        ]


@attrs.frozen(kw_only=True)
class LiveEvent:
    """A `telephony/call/event` that was taken. `at` is seconds of the fake's clock, `client_id` the form field beside it."""

    at: float
    client_id: str | None
    phone: str
    type: str
    call_external_id: str | None
    codes: tuple[str, ...]
    user_ids: tuple[int, ...]
    hangup_status: str | None
    external_phone: str | None
    site: str | None


@attrs.define(kw_only=True)
class UploadedCall:
    """A call of `telephony/calls/upload`. `date` has no zone: it is the account's. Seconds.

    `uploads`: how often it was sent in all; what came with a repetition is not kept.
    """

    at: float
    client_id: str | None
    date: datetime
    type: str
    phone: str
    user_id: int | None
    code: str | None
    result: str
    duration: int | None
    duration_waiting: int | None
    external_id: str | None
    record_url: str | None
    external_phone: str | None
    site: str | None
    uploads: int = 1
