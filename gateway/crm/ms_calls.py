"""What МойСклад is told of a call: reports as fields of its Phone API. Pure.

Source of all facts: the documentation of Phone API 1.0, "Звонок". What is filled of a call is never overwritten there (but for the
comment), so nothing that the end may say otherwise is said before the end.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.ms_settings import JSON_API_URL, MsSettings

# Moments have no zone. JSON API 1.2, "Дата и время": they are those of Moscow.
ZONE = ZoneInfo("Europe/Moscow")
# The number is a required field. What telephones say for a caller who withholds it has no digits that could be somebody's.
WITHHELD = "anonymous"
# Events of cards count in the order of their numbers, whatever the order they come in.
SHOW_SEQUENCE = 1
HIDE_SEQUENCE = 999


def shown_to(report: CallReport, settings: MsSettings) -> tuple[str, ...]:
    """The extensions on whose screens a card pops up at this report; () when at nobody's.

    What is heard of late, or made up, rings nobody's bell.
    """
    if report.kind is not ReportKind.DIAL or report.recovered or report.synthetic:
        return ()
    is_wanted = settings.shows_incoming if report.direction is Direction.INCOMING else settings.shows_outgoing
    return tuple(dict.fromkeys(each for each in report.extensions if each in settings.employees)) if is_wanted else ()


def ringing_call(report: CallReport, settings: MsSettings) -> dict[str, Any]:
    """A new call whose card is shown (POST)."""
    events = [{"eventType": "SHOW", "sequence": SHOW_SEQUENCE, **_person(extension, settings)} for extension in shown_to(report, settings)]
    return {**_new(report), "events": events}


def ended_call(report: CallReport, settings: MsSettings) -> dict[str, Any]:
    """A new call that is over (POST): nobody gets a card."""
    return {**_new(report), **_end(report, settings), **_recordings(report, ())}


def end_of_call(report: CallReport, settings: MsSettings, *, known_urls: Iterable[str]) -> dict[str, Any]:
    """The end of a call that is there (PUT). `known_urls`: the recordings that it has already, as each one sent is added."""
    events = [{"eventType": "HIDE_ALL", "sequence": HIDE_SEQUENCE}]
    return {**_end(report, settings), **_recordings(report, known_urls), "events": events}


def recording_of_call(report: CallReport, *, known_urls: Iterable[str]) -> dict[str, Any]:
    """Only the recording (PUT): the comment may be an employee's own by now. Empty when there is nothing to add."""
    return _recordings(report, known_urls)


def comment_of(report: CallReport) -> str:
    """How the call ended; МойСклад has no field for it."""
    if report.answered:
        return "Входящий звонок отвечен" if report.direction is Direction.INCOMING else "Исходящий звонок отвечен"
    if report.busy:
        return "Звонок занят"
    return "Пропущенный входящий звонок" if report.direction is Direction.INCOMING else "Неотвеченный исходящий звонок"


def without_links(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same by extensions alone, for an account that does not know an employee (any more)."""
    kept = {name: value for name, value in fields.items() if name != "employee"}
    if "events" in fields:
        kept["events"] = [{name: value for name, value in event.items() if name != "employee"} for event in fields["events"]]
    return kept


def has_links(fields: Mapping[str, Any]) -> bool:
    """Whether `without_links` would be another."""
    return without_links(fields) != fields


def moment(at: datetime) -> str:
    """As МойСклад writes it, whole seconds. `at`: aware."""
    return at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _new(report: CallReport) -> dict[str, Any]:
    return {
        "externalId": report.unique_id,
        "number": f"+{report.phone}" if report.phone else WITHHELD,
        "isIncoming": report.direction is Direction.INCOMING,
        "startTime": moment(report.started_at),
    }


def _end(report: CallReport, settings: MsSettings) -> dict[str, Any]:
    # Nobody has an incoming call that was missed: whoever's telephone rang has not talked.
    extension = report.extension if report.answered or report.direction is Direction.OUTGOING else ""
    return {**(_person(extension, settings) if extension else {}), **_length(report), "comment": comment_of(report)}


def _length(report: CallReport) -> dict[str, Any]:
    if not report.answered:
        # There is no other field that tells a missed call; МойСклад would count an end as talk.
        return {"duration": 0}
    if report.ended_at is not None:
        return {"endTime": moment(max(report.ended_at, report.started_at))}
    seconds = report.talk_seconds if report.duration_seconds is None else report.duration_seconds
    return {} if seconds is None else {"duration": seconds * 1000}


def _recordings(report: CallReport, known_urls: Iterable[str]) -> dict[str, Any]:
    url = report.recording_url
    return {"recordUrl": [url]} if url and url not in known_urls else {}


def _person(extension: str, settings: MsSettings) -> dict[str, Any]:
    """The employee counts for more than the extension, and the extension alone is enough if it is known there."""
    employee_id = settings.employees.get(extension)
    if not employee_id:
        return {"extension": extension}
    # Objects are named by the address of the vendor, wherever it is that we ask.
    href = f"{JSON_API_URL}/entity/employee/{employee_id}"
    return {"extension": extension, "employee": {"href": href, "type": "employee", "mediaType": "application/json"}}
