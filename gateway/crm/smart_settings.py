"""The settings of `integrations.smart`: which CRM is asked for names, and who is put through to whom. Pure.

`primary` is what this version goes by; `mode` and `lines` are those of the redirection of incoming calls, checked and kept.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from gateway.crm.base import CrmKind
from gateway.tables import Table, kind_of, shown

MODES = ("routing+name", "name-only", "off")
# Who answered first or last, or whose customer a CRM says it is.
ALGORITHMS = ("last_call", "first_call", CrmKind.RETAILCRM, CrmKind.UON, CrmKind.MS, CrmKind.BITRIX24)

_LINE = re.compile(r"gsm:[0-9]{1,32}|sip:\S{1,64}")
_SWITCHES = ("enabled", "do_routing", "send_line_name", "send_shop_name", "send_customer_name")
_ORDERS = ("line_name_order", "shop_name_order", "customer_name_order")


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table."""
    table.boolean("enabled", default=False)
    table.choice("primary", CrmKind.RETAILCRM, tuple(CrmKind))
    table.choice("mode", MODES[0], MODES)
    for line, values in table.table("lines").items():
        place = f"{table.place}: lines: {shown(line)}"
        if not _LINE.fullmatch(line):
            table.errors.append(f"{place}: must be gsm: and the number of a line, or sip: and its name")
        elif isinstance(values, Mapping):
            _check_line(Table(cast("Mapping[str, Any]", values), place, table.errors))
        else:
            table.errors.append(f"{place}: must be a table, not {kind_of(values)}")


def _check_line(line: Table) -> None:
    for switch in _SWITCHES:
        line.boolean(switch, default=False)
    line.choice("algorithm", ALGORITHMS[0], ALGORITHMS)
    for order in _ORDERS:
        value = line.take(order)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            line.fail(order, f"must be a whole number, without quotes, not {kind_of(value)}")
    line.finish()
