"""A call in U-ON's history: what is created at its end, and how it is found there again. Pure.

U-ON gives a call no id of ours and does not notice repetitions. So whenever an earlier try may have created the record, the history is read
first, and a record counts as ours when number, begin and direction are the same: nobody calls twice within one second. The length does not
count: it may have been corrected between the two tries.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, cast

import attrs

from gateway.calls.parties import Direction
from gateway.calls.phones import digits
from gateway.calls.report import CallReport
from gateway.crm.uon_settings import UonSettings
from gateway.crm.uon_wire import number_of, objects_of, text_of

CREATE_PATH = "call_history/create"
# A hundred records each. Within the deadline of a push there is time for no more.
MOST_PAGES = 8
# Records stand in the order of their creation. That of a call is made at its end or, after a failure, later, so beyond records of calls
# that began so long before it there is nothing to be looked for.
SLACK = timedelta(days=1)

_TIME = "%Y-%m-%d %H:%M:%S"
_DIRECTIONS = {Direction.INCOMING: "2", Direction.OUTGOING: "1"}
_NOTES = {True: "Статус: отвеченный", False: "Статус: неотвеченный"}


@attrs.frozen(kw_only=True)
class Record:
    """What tells a call of the history from others. `start` is the enterprise's local time."""

    phone: str
    start: str
    direction: int

    def stored(self) -> list[Any]:
        """For the memory of a call."""
        return [self.phone, self.start, self.direction]


def fields_of(report: CallReport, settings: UonSettings, zone: tzinfo) -> dict[str, str]:
    """The fields of `call_history/create`."""
    fields = {
        "phone": report.phone,
        "start": report.started_at.astimezone(zone).strftime(_TIME),
        "duration": str(report.duration_seconds or 0),
        "direction": _DIRECTIONS.get(report.direction, _DIRECTIONS[Direction.INCOMING]),
    }
    manager = settings.only_manager_of(report.extension)
    if manager is not None:
        fields["manager_id"] = str(manager)
    if report.recording_url:
        fields["record_link"] = report.recording_url
    return {**fields, "note": _NOTES[report.answered]}


def record_of(fields: Mapping[str, str]) -> Record:
    """What the record is known by."""
    return Record(phone=digits(fields["phone"]), start=fields["start"], direction=int(fields["direction"]))


def stored_records(value: object) -> Iterator[Record]:
    """What `Record.stored` has written; what cannot be read is passed over."""
    for each in cast("list[object]", value) if isinstance(value, list) else ():
        match each:
            case [str() as phone, str() as start, int() as direction]:
                yield Record(phone=phone, start=start, direction=direction)
            case _:
                pass


class Search:
    """Reads the history page by page until it is known whether one of these records is there. Sans-IO: `page` says what to read next.

    `page` None: the search is over. `found_id`: the record's id. `is_sure`: nothing was found, and all that could be it was looked at.
    """

    def __init__(self, wanted: Sequence[Record]) -> None:
        self._wanted = frozenset(wanted)
        self._enough = _earlier(min((each.start for each in wanted), default=""))
        # Where the next page is: older records lie on higher pages, or on lower ones down from the last.
        self._step = 1
        self._goes_back_in_time = True
        self._pages_all: int | None = None
        self._read_pages = 0
        self.page: int | None = 1
        self.found_id = ""
        self.is_sure = False
        self.problem = ""

    def nothing(self) -> None:
        """The page does not exist."""
        self._end(is_sure=True)

    def take(self, content: Mapping[str, Any]) -> None:
        """What the page says."""
        lists = [entries for value in content.values() if (entries := objects_of(value))]
        shown = lists[0] if lists else ()
        entries = [(number_of(each.get("id")), record) for each in shown if (record := _record(each)) is not None]
        if not entries:
            self.problem = "U-ON's history of calls cannot be read"
            self._end(is_sure=False)
            return
        self._read_pages += 1
        found = next((found_id or 0 for found_id, record in entries if record in self._wanted), None)
        if found is not None:
            self.found_id = str(found)
            self._end(is_sure=True)
        elif self._read_pages == 1:
            self._begin(content, entries)
        elif self._goes_back_in_time and max(record.start for _, record in entries) < self._enough:
            self._end(is_sure=True)
        else:
            self._go_to((self.page or 0) + self._step)

    def _begin(self, content: Mapping[str, Any], entries: Sequence[tuple[int | None, Record]]) -> None:
        """After the first page: it says how many there are, and in what order."""
        self._pages_all = number_of(content.get("pages_all"))
        ids = [found_id for found_id, _ in entries if found_id is not None]
        is_oldest_first = len(ids) > 1 and ids[0] < ids[-1]
        if not is_oldest_first:
            is_over = max(record.start for _, record in entries) < self._enough
            self._go_to(2) if not is_over else self._end(is_sure=True)
        elif self._pages_all is None:
            self._goes_back_in_time = False
            self._go_to(2)
        else:
            self._step = -1
            self._go_to(self._pages_all)

    def _go_to(self, page: int) -> None:
        if page < 2 or (self._pages_all is not None and page > self._pages_all):
            self._end(is_sure=True)
        elif self._read_pages >= MOST_PAGES:
            self.problem = f"it is not among the newest records, and no more than {MOST_PAGES} pages are read"
            self._end(is_sure=False)
        else:
            self.page = page

    def _end(self, *, is_sure: bool) -> None:
        self.page, self.is_sure = None, is_sure


def history_path(page: int) -> str:
    """A page of the history, from 1."""
    return f"call_history/{page}"


def _record(entry: Mapping[str, Any]) -> Record | None:
    phone, start, direction = entry.get("phone"), text_of(entry.get("start")), number_of(entry.get("direction"))
    if not start or direction is None or not isinstance(phone, str | int):
        return None
    return Record(phone=digits(str(phone)), start=start.replace("T", " ")[:19], direction=direction)


def _earlier(start: str) -> str:
    try:
        return (datetime.strptime(start, _TIME) - SLACK).strftime(_TIME)  # noqa: DTZ007  (local times are compared with local times)
    except (ValueError, OverflowError):
        return ""
