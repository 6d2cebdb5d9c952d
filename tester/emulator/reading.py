"""What the API is asked for, read strictly: an unknown key, a wrong type or a value out of bounds is refused with one line. Pure."""

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from gateway.errors import GatewayError
from gateway.tables import kind_of
from tester.emulator.orders import LOCAL, LONGEST_DELAY_SECONDS, EventFault, EventTrouble, Faults, Order, Pace, TelegramTrouble

# More than any pattern has roles, than any pattern has events, than any number or address is long.
_MOST_VALUES: Final = 32
_MOST_EVENT_FAULTS: Final = 500
_LONGEST_TEXT: Final = 200

_ORDER_KEYS: Final = ("enterprise", "pattern", "values", "faults", "pace", "target", "linkedid")
_FAULTS_KEYS: Final = ("events", "telegram", "crm_hangs")
_EVENT_KEYS: Final = ("index", "trouble", "seconds")

_E = TypeVar("_E", bound=StrEnum)


class BadRequest(GatewayError):
    """What is asked for cannot be meant. The text names the key and what is wanted."""


def read_order(body: bytes) -> Order:
    """The order in a body. Whether its enterprise, pattern and values exist is not looked at here.

    Raises: `BadRequest`.
    """
    table = _table(_document(body), "the body", _ORDER_KEYS)
    return Order(
        enterprise=_text(table, "enterprise"),
        pattern=_text(table, "pattern"),
        values=_values(table.get("values", {})),
        pace=_choice(table.get("pace", Pace.REAL.value), "pace", Pace),
        faults=_faults(table.get("faults", {})),
        # As the setting `tester_targets` reads its addresses.
        target=_text(table, "target", default=LOCAL).rstrip("/"),
        linkedid=_flag(table, "linkedid"),
    )


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        # UnicodeDecodeError is a ValueError.
        raise BadRequest("the body must be JSON") from None


def _table(value: object, place: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{place}: must be an object, not {kind_of(value)}")
    table = cast("Mapping[str, Any]", value)
    unknown = [key for key in table if key not in keys]
    if unknown:
        raise BadRequest(f"{place}: there is no key {_cut(unknown[0])}; there are {', '.join(keys)}")
    return table


def _text(table: Mapping[str, Any], key: str, *, default: str | None = None) -> str:
    value = table.get(key, default)
    if value is None:
        raise BadRequest(f"{key}: is missing")
    if not isinstance(value, str):
        raise BadRequest(f"{key}: must be a text, not {kind_of(value)}")
    if len(value) > _LONGEST_TEXT:
        raise BadRequest(f"{key}: is longer than {_LONGEST_TEXT} characters")
    return value


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{key}: must be true or false, not {kind_of(value)}")
    return value


def _choice(value: object, place: str, kind: type[_E]) -> _E:
    for member in kind:
        if member.value == value:
            return member
    raise BadRequest(f"{place}: must be one of {', '.join(member.value for member in kind)}")


def _values(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise BadRequest(f"values: must be an object, not {kind_of(value)}")
    table = cast("Mapping[str, Any]", value)
    if len(table) > _MOST_VALUES:
        raise BadRequest(f"values: there are more than {_MOST_VALUES}")
    return {key: _text(table, key) for key in table}


def _faults(value: object) -> Faults:
    table = _table(value, "faults", _FAULTS_KEYS)
    events = table.get("events", [])
    if not isinstance(events, list):
        raise BadRequest(f"faults.events: must be a list, not {kind_of(events)}")
    listed = cast("list[object]", events)
    if len(listed) > _MOST_EVENT_FAULTS:
        raise BadRequest(f"faults.events: there are more than {_MOST_EVENT_FAULTS}")
    telegram = table.get("telegram")
    return Faults(
        events=tuple(_event_fault(item, f"faults.events[{place}]") for place, item in enumerate(listed)),
        telegram=None if telegram is None else _choice(telegram, "faults.telegram", TelegramTrouble),
        crm_hangs=_flag(table, "crm_hangs"),
    )


def _event_fault(value: object, place: str) -> EventFault:
    table = _table(value, place, _EVENT_KEYS)
    index = table.get("index")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise BadRequest(f"{place}.index: must be the number of an event, 0 for the first one")
    trouble = _choice(table.get("trouble"), f"{place}.trouble", EventTrouble)
    seconds = table.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise BadRequest(f"{place}.seconds: must be a number")
    if not 0 <= seconds <= LONGEST_DELAY_SECONDS:
        raise BadRequest(f"{place}.seconds: must be 0 to {LONGEST_DELAY_SECONDS:g}")
    return EventFault(index=index, trouble=trouble, seconds=float(seconds))


def _cut(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 40 else shown[:40] + "…"
