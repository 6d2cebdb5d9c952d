"""Who has a number, in RetailCRM: one question about the telephone, then what is missing. Nothing that it answers is believed unchecked,
as it ignores filters that it does not know.

    telephony/manager             the customer and the manager responsible, for the exchange of the enterprise
    customers?filter[name]=…      if that knows no customer with exactly this number among the phones
    customers-corporate?…         the company that the customer speaks for: it wins over the person

retailCRM API v5; `filter[name]` is documented as "name or phone", a filter by phone is not.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import attrs
import trio

from gateway.calls.phones import digits
from gateway.crm.base import CrmKind, CrmLookupFailed, Problem
from gateway.crm.retailcrm_settings import RetailSettings
from gateway.crm.retailcrm_wire import VERSION, Said
from gateway.ports import CustomerProfile

Get = Callable[[str, Sequence[tuple[str, str]]], Awaitable[Said]]
"""Asks a path with this query. Raises nothing but cancellation."""

MANAGER_PATH = f"{VERSION}/telephony/manager"
CUSTOMERS_PATH = f"{VERSION}/customers"
CORPORATE_PATH = f"{VERSION}/customers-corporate"
# The least that `limit` takes.
PAGE = ("limit", "20")
# A person's name in time is worth more than a company's too late.
COMPANY_SECONDS = 1.0
# Where the filter by contact is ignored, everybody comes: look at no more of them than this.
MOST_COMPANIES = 3

# What a key may lack and the rest of the look-up still works.
_NOT_ALLOWED = frozenset({Problem.UNAUTHORIZED, Problem.NOT_FOUND, Problem.REJECTED})


@attrs.frozen(kw_only=True)
class _Found:
    """What the telephone told, not yet checked. `customer` empty: nobody."""

    customer: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    manager_id: int | None = None
    extension: str = ""


async def look_up(settings: RetailSettings, phone: str, get: Get) -> CustomerProfile | None:
    """The customer with this number (digits), None when there is none. Raises `CrmLookupFailed`."""
    if not phone:
        return None
    said = await get(MANAGER_PATH, (("phone", phone), ("details", "1"), ("ignoreStatus", "1")))
    if said.problem is not None and said.problem not in _NOT_ALLOWED:
        raise CrmLookupFailed(said.problem, said.reason)
    found = _found_of(said.content, settings) if said.problem is None else _Found()
    customer = customer_with(phone, (found.customer,)) or await _customer(phone, get)
    if customer is None:
        return None
    if id_of(customer.get("id")) != id_of(found.customer.get("id")):
        # A stranger's manager, or one of nobody knows whom.
        found = _Found(manager_id=id_of(customer.get("managerId")))
    extension = found.extension or settings.extension_of(found.manager_id or id_of(customer.get("managerId")) or 0)
    company: Mapping[str, Any] | None = None
    if customer.get("isContact") is not False:
        with trio.move_on_after(COMPANY_SECONDS):
            company = await _company(customer, get)
    if company is not None and not extension:
        extension = settings.extension_of(id_of(company.get("managerId")) or 0)
    return profile_of(phone, customer, company, extension=extension)


def _found_of(content: Mapping[str, Any], settings: RetailSettings) -> _Found:
    """Our own mapping goes before RetailCRM's: an administrator has written it on purpose."""
    manager, customer = object_of(content.get("manager")), object_of(content.get("customer"))
    manager_id, code = id_of(manager.get("id")), manager.get("code")
    extension = settings.extension_of(manager_id or 0) or (code if isinstance(code, str) and code.isascii() and code.isdecimal() else "")
    return _Found(customer=customer, manager_id=manager_id, extension=extension)


async def _customer(phone: str, get: Get) -> Mapping[str, Any] | None:
    said = await get(CUSTOMERS_PATH, (("filter[name]", phone), PAGE))
    if said.problem is not None:
        raise CrmLookupFailed(said.problem, said.reason)
    return customer_with(phone, objects_of(said.content.get("customers")))


def customer_with(phone: str, customers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first that has the number and a name, else the first that has the number."""
    having = [customer for customer in customers if id_of(customer.get("id")) and phone in _phones_of(customer)]
    return next((customer for customer in having if any(_names_of(customer, phone))), having[0] if having else None)


async def _company(customer: Mapping[str, Any], get: Get) -> Mapping[str, Any] | None:
    """The company that the customer is a contact of; None also where RetailCRM does not say."""
    customer_id = id_of(customer.get("id"))
    said = await get(CORPORATE_PATH, (("filter[contactIds][]", str(customer_id)), PAGE))
    companies = objects_of(said.content.get("customersCorporate")) if said.problem is None else []
    for company in companies:
        if id_of(object_of(object_of(company.get("mainCustomerContact")).get("customer")).get("id")) == customer_id:
            return company
    for company in companies[:MOST_COMPANIES]:
        company_id = id_of(company.get("id"))
        query = [("by", "id"), PAGE]
        if isinstance(company.get("site"), str):
            query.append(("site", str(company["site"])))
        contacts = await get(f"{CORPORATE_PATH}/{company_id}/contacts", query)
        if contacts.problem is None and any(
            id_of(object_of(contact.get("customer")).get("id")) == customer_id for contact in objects_of(contacts.content.get("contacts"))
        ):
            return company
    return None


def profile_of(phone: str, customer: Mapping[str, Any], company: Mapping[str, Any] | None, *, extension: str) -> CustomerProfile:
    """The profile of a customer, and of the company that it speaks for."""
    last_name, first_name, middle_name = _names_of(customer, phone)
    record = customer if company is None else company
    return CustomerProfile(
        last_name=last_name,
        first_name=first_name,
        middle_name=middle_name,
        enterprise_name="" if company is None else _company_name_of(company),
        source=CrmKind.RETAILCRM,
        external_id=str(id_of(record.get("id")) or ""),
        is_company=company is not None,
        phones=_phones_of(customer),
        extension=extension,
        raw=record,
    )


def _names_of(customer: Mapping[str, Any], phone: str) -> tuple[str, str, str]:
    """Last, first and middle name. A number in the place of a name is none: cards made by a call are called so."""
    numbers = {phone, *_phones_of(customer)}
    names = [_text(customer.get(key)) for key in ("lastName", "firstName", "patronymic")]
    last, first, middle = ("" if not any(map(str.isalpha, name)) and digits(name) in numbers else name for name in names)
    return last, first, middle


def _company_name_of(company: Mapping[str, Any]) -> str:
    return _text(object_of(company.get("mainCompany")).get("name")) or _text(company.get("nickName"))


def _phones_of(customer: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (digits(_text(phone.get("number"))) for phone in objects_of(customer.get("phones")))
    return tuple(dict.fromkeys(number for number in numbers if number))


def id_of(value: object) -> int | None:
    """A usable id."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def object_of(value: object) -> Mapping[str, Any]:
    """What should be an object; an empty one where it is none."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """The objects of what should be a list."""
    return (
        [cast("Mapping[str, Any]", each) for each in cast("list[object]", value) if isinstance(each, dict)]
        if isinstance(value, list)
        else []
    )
