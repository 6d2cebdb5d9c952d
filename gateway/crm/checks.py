"""What the tables below `integrations` may hold: the check of `gateway load`, and of what was written with psql.

One check for each table. A check takes what it knows from the table and says what is wrong; keys that no check asks for are wrong too,
unless the check says that it does not know them all.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gateway.crm.base import CrmKind
from gateway.crm.bitrix24_settings import check_settings as check_bitrix24
from gateway.crm.ms_settings import check_settings as check_ms
from gateway.crm.own import check_settings as check_own
from gateway.crm.retailcrm_settings import check_settings as check_retailcrm
from gateway.crm.smart_settings import check_settings as check_smart
from gateway.crm.targets import Target
from gateway.crm.uon_settings import check_settings as check_uon
from gateway.tables import Errors, Table, json_problems

SMART = "smart"
"""The table that chooses among CRMs and is none."""

SettingsCheck = Callable[[Table], None]
"""Takes the keys of a table, as `Table` does: what is wrong goes to the errors of the table, without secrets."""


# Where the addresses of a CRM stand in its table. A name without a scheme is asked by https.
_ADDRESSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        CrmKind.RETAILCRM: ("domain",),
        CrmKind.MS: ("phone_api_url", "json_api_url"),
        CrmKind.UON: ("api_url",),
        CrmKind.BITRIX24: ("incoming_webhook", "portal_domain", "oauth_url"),
        CrmKind.OWN: ("url",),
    }
)


CHECKS: Mapping[str, SettingsCheck] = MappingProxyType(
    {
        CrmKind.RETAILCRM: check_retailcrm,
        CrmKind.MS: check_ms,
        CrmKind.UON: check_uon,
        CrmKind.BITRIX24: check_bitrix24,
        CrmKind.OWN: check_own,
        SMART: check_smart,
    }
)


def check_table(table: Table, name: str) -> None:
    """Everything that is wrong with the table of this name, which must be in `CHECKS`, goes to its errors."""
    CHECKS[name](table)
    table.errors.extend(f"{table.place}: {problem}" for problem in json_problems(table.values))
    table.finish()


def table_problems(name: str, values: Mapping[str, Any]) -> Errors:
    """The same for a table by itself, one line each."""
    errors: Errors = []
    check_table(Table(values, f"integrations.{name}", errors), name)
    return errors


def refused_targets(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """What of an enabled CRM can never be asked where `allow_private_targets` is false, one line each, without the address."""
    if values.get("enabled") is not True:
        return
    for key in _ADDRESSES.get(name, ()):
        value = values.get(key)
        if not isinstance(value, str):
            continue
        try:
            refusal = Target.of(value if "://" in value else f"https://{value}").refusal
        except ValueError:
            # Told by the check of the table.
            continue
        if refusal:
            yield f"integrations.{name}: {key}: {refusal}, unless the gateway's setting allow_private_targets is true"
