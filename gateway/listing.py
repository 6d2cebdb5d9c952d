"""Calls and events as tables for a terminal. What hosts have sent is shown as plain text: no markup, no control characters."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from gateway.administration import CallLog
from gateway.calls.phones import display
from gateway.calls.record import CallRecord
from gateway.cards.text import duration_text
from gateway.ports import StoredEvent

_DIRECTIONS = {0: "in", 1: "out", 2: "internal"}
_ANSWERED = 2
# Said by other columns, or a secret.
_NOT_SHOWN = frozenset({"Token", "UniqueId"})
_SAYS_NOTHING: tuple[object, ...] = ("", "<unknown>", [], [""], None)


def calls_table(log: CallLog) -> Table:
    """One row for each finished call, times in the zone of the enterprise."""
    table = Table(title=_title("Calls", log), title_justify="left")
    for name in ("Began", "Direction", "Number", "Extension", "Answered", "Duration", "Talk", "Transfers", "Line", "Ended by", "UniqueId"):
        table.add_column(name, justify="right" if name in ("Duration", "Talk") else "left", no_wrap=name != "Transfers")
    zone = ZoneInfo(log.enterprise.timezone)
    for call in log.calls:
        table.add_row(*(_plain(cell) for cell in _call_cells(call, zone)))
    return table


def events_table(log: CallLog) -> Table:
    """One row for each event of a call, in order, with the time at which it came."""
    table = Table(title=_title("Events", log), title_justify="left")
    for name in ("Event", "Came", "Kind", "UniqueId", "Body"):
        table.add_column(name, justify="right" if name == "Event" else "left", no_wrap=name != "Body", overflow="fold")
    zone = ZoneInfo(log.enterprise.timezone)
    for event in log.events:
        table.add_row(*(_plain(cell) for cell in _event_cells(event, zone)))
    return table


def _call_cells(call: CallRecord, zone: tzinfo) -> Iterable[str]:
    yield f"{call.date_received.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    yield _DIRECTIONS.get(call.call_type, "?")
    yield display(call.phone) or ""
    yield call.extension
    yield "yes" if call.call_status == _ANSWERED else "no"
    yield "" if call.duration is None else duration_text(call.duration)
    yield "" if call.talk_seconds is None else duration_text(call.talk_seconds)
    yield call.transfers
    yield call.trunk
    yield call.closed_by
    yield call.unique_id


def _event_cells(event: StoredEvent, zone: tzinfo) -> Iterable[str]:
    yield str(event.event_id)
    yield _with_milliseconds(event.received_at.astimezone(zone))
    yield event.kind
    yield event.unique_id
    yield _facts(event.raw_body)


def _facts(raw_body: str) -> str:
    """The fields of a body that say something, on one line."""
    try:
        body: object = json.loads(raw_body)
    except (ValueError, RecursionError):
        return raw_body
    if not isinstance(body, dict):
        return raw_body
    fields = cast("Mapping[str, Any]", body)
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
        if name not in _NOT_SHOWN and value not in _SAYS_NOTHING
    )


def _with_milliseconds(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def _title(what: str, log: CallLog) -> Text:
    enterprise = log.enterprise
    return _plain(f"{what} of {enterprise.number} {enterprise.name}".rstrip() + f", times of {enterprise.timezone}")


def _plain(text: str) -> Text:
    return Text("".join(letter if letter.isprintable() else "?" for letter in text))
