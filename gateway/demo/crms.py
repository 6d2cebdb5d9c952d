"""The CRMs of the demo: fakes of all that the gateway speaks to, on this machine, and what they hold in the end."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs

from gateway.demo.enterprise import CUSTOMERS, ENTERPRISE, PARTS
from tester.fakes.bitrix24 import FakeBitrix24
from tester.fakes.crm_fronts import serve_crm
from tester.fakes.ms import FakeMoySklad
from tester.fakes.own_crm import OwnCrmReceiver, serve_own_crm
from tester.fakes.retailcrm import FakeRetailCrm
from tester.fakes.uon import FakeUon

# Keys of nobody: they open what the demo itself has started.
_RETAILCRM_KEY = "demo-key-of-retailcrm-of-nobody"
_MS_PHONE_KEY, _MS_TOKEN = "demo-phone-key-of-nobody-0001", "demo-json-token-of-nobody-0001"
_UON_KEY = "DemoKeyOfNobody0001"
_BITRIX24_CODE = "demo0code0of0nobody"
_OWN_SECRET = "the demo signs with this secret"  # noqa: S105


@attrs.frozen
class HeldCall:
    """A call as a CRM has it: the customer's digits, and how it ended in the CRM's own words."""

    phone: str
    ended: str


@attrs.frozen
class DemoCrm:
    """One of them. `calls`: the ended calls that it holds. `until` waits for a condition on them."""

    name: str
    calls: Callable[[], Sequence[HeldCall]]
    until: Callable[[Callable[[], bool]], Awaitable[None]]


@attrs.frozen(kw_only=True)
class DemoCrms:
    """All of them. `integrations`: the settings that lead to them."""

    integrations: Mapping[str, Any] = attrs.field(repr=False)
    each: Sequence[DemoCrm]

    async def until_told(self) -> None:
        """Wait until every CRM has every outside call once."""
        for crm in self.each:
            await crm.until(lambda crm=crm: not any(_untold(crm)))


@asynccontextmanager
async def open_crms() -> AsyncGenerator[DemoCrms]:
    """All of them, on free ports of this machine, while the block runs."""
    own = OwnCrmReceiver(_OWN_SECRET)
    retailcrm = FakeRetailCrm({_RETAILCRM_KEY: None}, now=_now)
    moysklad = FakeMoySklad(now=_now)
    uon = FakeUon((_UON_KEY,), now=_now)
    bitrix24 = FakeBitrix24(strict_auth=False, now=_now)
    account = moysklad.add_account(_MS_PHONE_KEY, _MS_TOKEN)
    bitrix24.add_webhook(_BITRIX24_CODE)
    users: dict[str, str] = {}
    employees: dict[str, Mapping[str, str]] = {}
    for number, manager in enumerate(ENTERPRISE.managers, start=1):
        retailcrm.add_user(number, last_name=manager.last_name, first_name=manager.first_name, code=manager.extension)
        uon.account.add_manager(number, surname=manager.last_name, extension=manager.extension)
        users[str(number)] = manager.extension
        employee = account.add_employee(manager.extension, last_name=manager.last_name)
        employees[manager.extension] = {"name": manager.last_name, "employee_id": employee.employee_id}
    portal_users = {
        str(bitrix24.people.add_user(manager.extension, last_name=manager.last_name).user_id): manager.extension
        for manager in ENTERPRISE.managers
    }
    for phone, customer in CUSTOMERS.items():
        person = retailcrm.add_customer(
            f"+{phone}", last_name=customer.last_name, first_name=customer.first_name, patronymic=customer.middle_name
        )
        if customer.enterprise_name:
            retailcrm.add_corporate(customer.enterprise_name, person)
    async with AsyncExitStack() as stack:
        retailcrm_url, ms_url, uon_url, bitrix24_url = [
            await stack.enter_async_context(serve_crm(fake)) for fake in (retailcrm, moysklad, uon, bitrix24)
        ]
        own_url = await stack.enter_async_context(serve_own_crm(own))
        yield DemoCrms(
            integrations={
                "retailcrm": {"enabled": True, "domain": retailcrm_url, "api_key": _RETAILCRM_KEY, "user_extensions": users},
                "ms": {
                    "enabled": True,
                    "phone_api_url": f"{ms_url}/api/phone/1.0",
                    "json_api_url": f"{ms_url}/api/remap/1.2",
                    "integration_code": _MS_PHONE_KEY,
                    "api_token": _MS_TOKEN,
                    "employee_mapping": employees,
                },
                "uon": {"enabled": True, "api_url": uon_url, "api_key": _UON_KEY, "user_extensions": users},
                "bitrix24": {
                    "enabled": True,
                    "incoming_webhook": f"{bitrix24_url}/rest/1/{_BITRIX24_CODE}/",
                    "user_extensions": portal_users,
                },
                "own": {"enabled": True, "url": own_url, "secret": _OWN_SECRET},
                "smart": {"primary": "retailcrm"},
            },
            each=(
                DemoCrm("RetailCRM", lambda: [HeldCall(call.phone, call.result) for call in retailcrm.calls], retailcrm.until),
                DemoCrm(
                    "МойСклад",
                    lambda: [HeldCall(call.number, call.comment) for call in account.calls.values() if call.comment],
                    moysklad.until,
                ),
                DemoCrm("U-ON", lambda: [HeldCall(call.phone, call.note) for call in uon.account.calls], uon.until),
                DemoCrm(
                    "Bitrix24",
                    lambda: [HeldCall(call.phone, call.status_code) for call in bitrix24.calls if call.is_finished],
                    bitrix24.until,
                ),
                DemoCrm(
                    "The own CRM",
                    lambda: [_told_own(event["data"]) for event in own.events if event["type"] == "call.hangup"],
                    own.until,
                ),
            ),
        )


def _told_own(call: Mapping[str, Any]) -> HeldCall:
    return HeldCall(call["phone"], "answered" if call["answered"] else "missed")


def told(crms: DemoCrms) -> Iterator[str]:
    """What the CRMs have, a line for each call and one above for each CRM."""
    for crm in crms.each:
        yield f"{crm.name} has"
        yield from (f"  +{call.phone.removeprefix('+')}: {call.ended}" for call in sorted(crm.calls(), key=lambda call: call.phone))


def untold(crms: DemoCrms) -> Iterator[str]:
    """What a CRM does not have, or has twice, a line each: every outside call is owed once."""
    for crm in crms.each:
        yield from _untold(crm)


def _untold(crm: DemoCrm) -> Iterator[str]:
    times = Counter(call.phone.removeprefix("+") for call in crm.calls())
    for part in PARTS:
        if part.phone and times[part.phone] != 1:
            yield f"{crm.name} has the call of {part.phone} {times[part.phone]} times"


def _now() -> datetime:
    return datetime.now(UTC)
