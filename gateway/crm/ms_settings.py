"""The table `integrations.ms`, read and judged. Nothing here speaks to МойСклад."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import attrs

from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.targets import Target
from gateway.tables import Errors, Table, kind_of, shown

PHONE_API_URL = "https://api.moysklad.ru/api/phone/1.0"
JSON_API_URL = "https://api.moysklad.ru/api/remap/1.2"

_LONGEST_URL = 2048
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EXTENSION = re.compile(r"[0-9]{1,10}")
# RFC 9110 5.5: what a header can carry, without spaces.
_KEY = re.compile(r"[\x21-\x7e]+")


@attrs.frozen(kw_only=True)
class MsSettings:
    """The table, checked. "" is a key that is not there: without `phone_key` no calls can be told, without `token` nobody be looked up.

    `shows_incoming`, `shows_outgoing`: whether a card pops up while a call of this direction rings. `employees`: the id in МойСклад of
    whoever has an extension, by extension; "" when it is not known.
    """

    phone_url: Target
    json_url: Target
    phone_key: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)
    shows_incoming: bool = True
    shows_outgoing: bool = False
    employees: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not come back in what is kept of an answer; the longest first, as one may be part of another."""
        return tuple(sorted(filter(None, (self.phone_key, self.token)), key=len, reverse=True))


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table. What is switched off may be incomplete, but not wrong."""
    parts: list[Table] = []
    _read(table, parts)
    for part in parts:
        part.finish()


def settings_of(settings: Mapping[str, Any]) -> MsSettings:
    """Raises `CrmSettingsError`. Unknown keys are not looked at: they were told when the table was loaded."""
    errors: Errors = []
    read = _read(Table(settings, f"integrations.{CrmKind.MS}", errors), [])
    if errors:
        raise CrmSettingsError("\n".join(errors))
    return read


def _read(table: Table, parts: list[Table]) -> MsSettings:
    """`parts` gets the tables inside."""
    is_enabled = table.boolean("enabled", default=False)
    phone_url, json_url = _url(table, "phone_api_url", PHONE_API_URL), _url(table, "json_api_url", JSON_API_URL)
    phone_key = table.text("integration_code", required=is_enabled, secret=True, check=_key_problem)
    token = table.text("api_token", secret=True, check=_key_problem)
    # For calls that МойСклад asks for; not used.
    table.text("webhook_uuid")
    notifications = _part(table, "notifications", parts)
    is_shown = notifications.choice("call_notify_mode", "during", ("none", "during")) == "during"
    shows_incoming = notifications.boolean("notify_incoming", default=True)
    shows_outgoing = notifications.boolean("notify_outgoing", default=False)
    for name in ("incoming_call_actions", "outgoing_call_actions"):
        # Settings of the system before; not used.
        actions = _part(table, name, parts)
        actions.boolean("create_client", default=False)
        actions.text("create_order")
        actions.text("order_source")
    return MsSettings(
        phone_url=phone_url,
        json_url=json_url,
        phone_key=phone_key,
        token=token,
        shows_incoming=is_shown and shows_incoming,
        shows_outgoing=is_shown and shows_outgoing,
        employees=_employees(table, parts),
    )


def _part(table: Table, key: str, parts: list[Table]) -> Table:
    part = Table(table.table(key), f"{table.place}.{key}", table.errors)
    parts.append(part)
    return part


def _url(table: Table, key: str, default: str) -> Target:
    # People put keys into URLs.
    url = table.text(key, default, required=key in table.values, secret=True, longest=_LONGEST_URL, check=_url_problem)
    return Target.of(url.rstrip("/"))


def _url_problem(url: str) -> str | None:
    if "?" in url or "#" in url:
        return f"must be the address of an API without a query, as in {PHONE_API_URL}"
    try:
        Target.of(url)
    except ValueError as exc:
        return str(exc)
    return None


def _key_problem(key: str) -> str | None:
    return None if _KEY.fullmatch(key) else "must have only letters, digits and signs of ASCII in it, no spaces"


def _employees(table: Table, parts: list[Table]) -> Mapping[str, str]:
    mapping = table.table("employee_mapping")
    employees: dict[str, str] = {}
    for extension, employee in mapping.items():
        place = f"{table.place}.employee_mapping"
        if not _EXTENSION.fullmatch(extension):
            table.errors.append(f"{place}: {shown(extension)}: must be an extension, as in 151")
        elif isinstance(employee, dict):
            entry = Table(cast("dict[str, Any]", employee), f"{place}.{extension}", table.errors)
            parts.append(entry)
            entry.text("name")
            entry.text("email")
            employees[extension] = entry.text("employee_id", check=_id_problem)
        elif employee is not None:
            table.errors.append(f"{place}: {extension}: must be a table, not {kind_of(employee)}")
    return MappingProxyType(employees)


def _id_problem(employee_id: str) -> str | None:
    return None if _UUID.fullmatch(employee_id) else "must be the id of an employee in МойСклад, as in 01234567-89ab-cdef-0123-456789abcdef"
