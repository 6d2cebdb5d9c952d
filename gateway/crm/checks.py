"""What the tables below `integrations` may hold: the check of `gateway load`, and of what was written with psql.

One check for each table. A check takes what it knows from the table and says what is wrong; keys that no check asks for are wrong too,
unless the check says that it does not know them all.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from gateway.crm.base import CrmKind
from gateway.crm.bitrix24_settings import check_settings as check_bitrix24
from gateway.crm.ms_settings import check_settings as check_ms
from gateway.crm.own import check_settings as check_own
from gateway.crm.retailcrm_settings import check_settings as check_retailcrm
from gateway.crm.uon_settings import check_settings as check_uon
from gateway.tables import Errors, Table, json_problems

SMART = "smart"
"""The table that chooses among CRMs and is none."""

SettingsCheck = Callable[[Table], None]
"""Takes the keys of a table, as `Table` does: what is wrong goes to the errors of the table, without secrets."""


def _check_smart(table: Table) -> None:
    table.boolean("enabled", default=False)
    table.choice("primary", CrmKind.RETAILCRM, tuple(CrmKind))
    table.asked.update(table.values)


CHECKS: Mapping[str, SettingsCheck] = MappingProxyType(
    {
        CrmKind.RETAILCRM: check_retailcrm,
        CrmKind.MS: check_ms,
        CrmKind.UON: check_uon,
        CrmKind.BITRIX24: check_bitrix24,
        CrmKind.OWN: check_own,
        SMART: _check_smart,
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
