"""Values to columns and back, for what is owed to CRMs and for customers. No I/O; used by the store and by its twin."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import attrs
import cattrs

from gateway.attempts import IntegrationLog
from gateway.calls.parties import Direction
from gateway.calls.phones import MAX_DIGITS
from gateway.calls.report import CallReport, ReportKind
from gateway.ports import Attempt, Customer, CustomerProfile, NamedCustomer, Owed, Push, PushKey, PushState, Revived
from sql.arrays import text_array
from sql.documents import document, logged_document
from sql.rows import Row
from sql.texts import KEY_CHARACTERS, clean_key, clean_reason, clean_text

# The check of customers.phone_e164 says the same.
_PHONE = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")
NAME_CHARACTERS = 200
# Of one customer. A company with more of them is a list of somebody else's making.
PHONES_ITEMS = 200
UNREADABLE = "what was to be told cannot be read: the row was written by another version or by hand"

CALL_ENDED = "the call has ended, and the dial was not accepted before"


class UnreadableReport(ValueError):
    """A stored report is not one. The text holds no values."""


# reports


def _report_converter() -> cattrs.Converter:
    """Times as ISO texts with their zone. Unknown keys are passed over: this version may read what a later one has written."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, _time)
    return converter


def _time(value: Any, _: object) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at


_REPORTS = _report_converter()


def report_json(report: CallReport) -> str:
    """The report as it is stored."""
    return document(_REPORTS.unstructure(report))


def report_of(text: str) -> CallReport:
    """A report out of its JSON text. Raises: UnreadableReport."""
    try:
        return _REPORTS.structure(json.loads(text), CallReport)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, IndexError) as exc:
        # Whatever a value of the wrong type makes the constructors say.
        raise UnreadableReport(type(exc).__name__) from None


# what is owed


def distinct_owed(owed: Sequence[Owed]) -> list[Owed]:
    """One for each call, CRM and kind: the last, but what was made up gives way to what was heard."""
    kept: dict[tuple[int, str, str, ReportKind], Owed] = {}
    for one in owed:
        report = one.report
        key = (report.call_id, "" if report.call_id else clean_key(report.unique_id), clean_key(one.crm), report.kind)
        if key not in kept or not report.synthetic:
            kept[key] = one
    return list(kept.values())


def owed_json(owed: Sequence[Owed], survivors: Mapping[int, int]) -> str:
    """What is owed as `owe` takes it; absorbed calls go by the name of their survivor."""
    renamed = [
        attrs.evolve(one, report=attrs.evolve(one.report, call_id=survivors.get(one.report.call_id, one.report.call_id))) for one in owed
    ]
    return json.dumps(
        [
            {
                "position": position,
                "call_id": one.report.call_id,
                "crm": clean_key(one.crm),
                "kind": str(one.report.kind),
                "unique_id": clean_key(one.report.unique_id),
                "synthetic": one.report.synthetic,
                "report": json.loads(report_json(one.report)),
            }
            for position, one in enumerate(distinct_owed(renamed))
        ]
    )


def push_key(row: Row) -> PushKey:
    """The key of a row of `crm_outbox`."""
    return PushKey(row["enterprise_number"], row["call_id"], row["crm"], ReportKind(row["kind"]))


def push(row: Row) -> Push:
    """A row of `crm_outbox`, `report` as text; with `first_unique_id` and `memories`, of all rows of its call and CRM, the oldest first.

    One that cannot be read is dead and says why; its report then holds no more than its key.
    """
    key = push_key(row)
    memory: dict[str, Any] = {}
    for text in row["memories"]:
        memory.update(_object(text))
    at, unique_id = row["created_at"], row["first_unique_id"]
    bare = CallReport(kind=key.kind, call_id=key.call_id, unique_id=unique_id, direction=Direction.INCOMING, phone="", started_at=at)
    stored = Push(
        key=key,
        push_id=row["push_id"],
        revision=row["revision"],
        report=bare,
        state=PushState(row["state"]),
        attempts=row["attempts"],
        next_at=row["next_at"],
        created_at=at,
        memory=memory,
        has_ended=row["has_ended"],
        **{name: row[name] for name in ("outcome", "problem", "fault", "reason", "advice")},
    )
    try:
        report = report_of(row["report"])
    except UnreadableReport:
        return attrs.evolve(stored, state=PushState.DEAD, reason=UNREADABLE)
    return attrs.evolve(stored, report=attrs.evolve(report, kind=key.kind, call_id=key.call_id, unique_id=unique_id))


def revived(found: Iterable[tuple[PushKey, bool]]) -> Revived:
    """Dead letters, and which of them are left as they are."""
    keys = list(found)
    return Revived(keys=tuple(key for key, is_left in keys if not is_left), left=tuple(key for key, is_left in keys if is_left))


def is_readable(one: Push) -> bool:
    """Whether a pending row came out of `push` as such."""
    return one.state is not PushState.DEAD


# attempts


def event_type_of(kind: ReportKind) -> str:
    """`integration_logs.event_type` of a push."""
    return f"call_event:{kind}"


def status_of(attempt: Attempt) -> str:
    """`integration_logs.status`: a push that is done has succeeded."""
    return "success" if attempt.state is PushState.DONE else "error"


def integration_log(row: Row) -> IntegrationLog:
    """A row of `integration_logs`, requests and answers as text."""
    columns: dict[str, Any] = {**row, **{name: _object(row[name]) for name in ("request_data", "response_data")}}
    return IntegrationLog(**columns)


def tokens(text: str) -> Mapping[str, Any]:
    """Out of `crm_tokens.tokens`, which only this gateway writes."""
    return _object(text)


def _object(text: str) -> dict[str, Any]:
    """Out of JSON text; what is no object, or cannot be read, is an empty one."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


# customers


def customer_phone(phone: str) -> str:
    """The number if it is one that a customer can have (digits), else ""."""
    return phone if _PHONE.fullmatch(phone) else ""


def e164(phone: str) -> str:
    """As the table has it."""
    return f"+{phone}"


@attrs.frozen(kw_only=True)
class Naming:
    """What a `NamedCustomer` comes to: cleaned texts, and whom it links.

    `phones`: the customer's other numbers. `person_uid`: "" when nobody is to be linked. `id_key`: the key of `meta.ids` that has
    `external_id`, "" without one. `knows_phones`: numbers of this person that are not in `phones` are not theirs any more.
    """

    phone: str
    phones: tuple[str, ...]
    last_name: str
    first_name: str
    middle_name: str
    enterprise_name: str
    source: str
    external_id: str
    is_company: bool
    person_uid: str
    id_key: str
    knows_phones: bool
    is_primary: bool
    at: datetime


def naming(named: NamedCustomer) -> Naming | None:
    """None when there is nothing to write: no name at all, or no number to write it to."""
    profile, phone = named.profile, customer_phone(named.phone)
    names = {
        name: clean_text(getattr(profile, name)[:NAME_CHARACTERS]) for name in ("last_name", "first_name", "middle_name", "enterprise_name")
    }
    if not phone or not any(names.values()):
        return None
    source = clean_key(profile.source)
    # An id that does not fit an index is not cut: the beginnings of two ids may be the same, and two people would become one.
    external_id = clean_text(profile.external_id) if len(profile.external_id) <= KEY_CHARACTERS // 2 else ""
    id_key = f"{source}_corp" if profile.is_company else source
    phones = [other for other in dict.fromkeys(profile.phones) if customer_phone(other)][:PHONES_ITEMS]
    return Naming(
        phone=phone,
        phones=tuple(other for other in phones if other != phone),
        source=source,
        external_id=external_id,
        is_company=profile.is_company,
        person_uid=f"{id_key}:{external_id}" if named.is_primary and source and external_id else "",
        id_key=id_key if source and external_id else "",
        knows_phones=bool(phones),
        is_primary=named.is_primary,
        at=named.at,
        **names,
    )


def customer(row: Row) -> Customer:
    """A row of `customers`, with `phones` of the same person as the table has them."""
    profile = CustomerProfile(
        **{name: row[name] for name in ("last_name", "first_name", "middle_name", "enterprise_name", "external_id", "is_company")},
        source=row["name_source"],
        phones=tuple(phone.removeprefix("+") for phone in row["phones"]),
    )
    columns = (field.name for field in attrs.fields(Customer) if field.name not in ("phone", "profile"))
    return Customer(phone=row["phone_e164"].removeprefix("+"), profile=profile, **{name: row[name] for name in columns})


def clean_attempt(attempt: Attempt) -> Attempt:
    """The attempt as both stores take it."""
    return attrs.evolve(
        attempt,
        key=attrs.evolve(attempt.key, enterprise_number=clean_key(attempt.key.enterprise_number), crm=clean_key(attempt.key.crm)),
        **{name: clean_reason(getattr(attempt, name)) for name in ("outcome", "problem", "fault", "reason", "advice")},
    )


def attempt_arguments(attempt: Attempt) -> tuple[object, ...]:
    """The attempt as `record_attempt` takes it."""
    key = attempt.key
    return (
        key.enterprise_number,
        key.call_id,
        key.crm,
        str(key.kind),
        attempt.at,
        str(attempt.state),
        attempt.next_at,
        attempt.outcome,
        attempt.problem,
        attempt.fault,
        attempt.reason,
        attempt.advice,
        document(attempt.memory),
        event_type_of(key.kind),
        logged_document(attempt.request),
        logged_document(attempt.response),
        status_of(attempt),
        clean_text(attempt.recording_url),
        report_json(attempt.report) if attempt.report is not None else "{}",
        attempt.revision if attempt.report is not None else 0,
        clean_key(attempt.report.unique_id) if attempt.report is not None else "",
        clean_key(attempt.push_id),
    )


def naming_arguments(wanted: Naming) -> tuple[object, ...]:
    """A naming as `name_customer` takes it, after the enterprise."""
    return (
        e164(wanted.phone),
        text_array(e164(phone) for phone in wanted.phones),
        wanted.last_name,
        wanted.first_name,
        wanted.middle_name,
        wanted.enterprise_name,
        wanted.source,
        wanted.external_id,
        wanted.is_company,
        wanted.person_uid,
        wanted.id_key,
        wanted.knows_phones,
        wanted.is_primary,
        wanted.at,
    )
