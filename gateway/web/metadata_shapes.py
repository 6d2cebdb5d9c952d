"""Lines and managers in the shapes that call services of the guide's system read. Pure.

A key that those services know and this gateway has nothing for is there with null; a name that nobody has given is null too, never a
stand-in. No password is among the keys: this gateway has none to tell.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from gateway.ports import LineConfig, ManagerConfig

# GSM lines are called by seven digits (0001363); every other trunk is a SIP line, called by its name.
_GSM_LINE: Final = re.compile(r"[0-9]{7}")
# People write operators in both alphabets, mixed: «А1», «МТC».
_LOOKALIKES: Final = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
_OPERATORS: Final = (
    ("МТС", re.compile(r"MTS|MTC")),
    ("A1", re.compile(r"(?<![^\W_])A1(?![0-9])|VELCOM|BEЛKOM")),
    ("life:)", re.compile(r"LIFE")),
    ("SIP", re.compile(r"SIP")),
)


def _is_gsm(line: LineConfig) -> bool:
    return _GSM_LINE.fullmatch(line.line_id) is not None


def operator_of(line: LineConfig) -> str:
    """As configured, else by the name of the line; a line that says nothing is "Unknown" without a name, "GSM" with one."""
    if line.operator:
        return line.operator
    if not _is_gsm(line):
        return "SIP"
    if not line.name:
        return "Unknown"
    name = line.name.upper().translate(_LOOKALIKES)
    return next((operator for operator, pattern in _OPERATORS if pattern.search(name)), "GSM")


def line_name(line: LineConfig) -> str:
    """The name of a line; one without a name is called by its id."""
    return line.name or (f"GSM-{line.line_id}" if _is_gsm(line) else line.line_id)


def line_record(line: LineConfig) -> dict[str, Any]:
    """A line of the list: the keys of GSM and of SIP lines."""
    return {
        "line_id": line.line_id,
        "type": "GSM" if _is_gsm(line) else "SIP",
        "name": line_name(line),
        "operator": operator_of(line),
        "incoming_transform": line.incoming_transform or None,
        "internal_id": None,
        "phone": None,
        "prefix": None,
        "goip_name": None,
        "goip_ip": None,
        "shop_name": None,
        "provider_id": None,
        "in_schema": None,
        "out_schema": None,
    }


def line_answer(enterprise_number: str, line: LineConfig) -> dict[str, Any]:
    """A line that was asked for."""
    return {
        "enterprise_number": enterprise_number,
        "line_id": line.line_id,
        "name": line_name(line),
        "operator": operator_of(line),
        "exists": True,
    }


def full_name(manager: ManagerConfig) -> str | None:
    """«Фамилия Имя Отчество»."""
    return " ".join(part for part in (manager.last_name, manager.first_name, manager.middle_name) if part) or None


def short_name(manager: ManagerConfig) -> str | None:
    """«Фамилия И.О.»; without a family name the first name as it is."""
    if not manager.last_name:
        return manager.first_name or None
    initials = "".join(f"{part[0]}." for part in (manager.first_name, manager.middle_name) if part)
    return f"{manager.last_name} {initials}" if initials else manager.last_name


def manager_record(manager: ManagerConfig) -> dict[str, Any]:
    """A manager of the list."""
    return {
        "user_id": None,
        "full_name": full_name(manager),
        "short_name": short_name(manager),
        "last_name": manager.last_name or None,
        "first_name": manager.first_name or None,
        "patronymic": manager.middle_name or None,
        "personal_phone": manager.personal_phone or None,
        "follow_me_number": None,
        "follow_me_enabled": False,
    }


def manager_answer(enterprise_number: str, manager: ManagerConfig) -> dict[str, Any]:
    """A manager who was asked for."""
    return {
        "enterprise_number": enterprise_number,
        "internal_phone": manager.extension,
        "full_name": full_name(manager),
        "short_name": short_name(manager),
        "personal_phone": manager.personal_phone or None,
        "follow_me_number": None,
        "follow_me_enabled": False,
        "user_id": None,
        "exists": True,
    }


def transforms(lines: Iterable[LineConfig]) -> dict[str, str]:
    """The rules of incoming numbers, by `sip:<line id>`."""
    return {f"sip:{line.line_id}": line.incoming_transform for line in lines if line.incoming_transform}
