"""Who has a number: the counterparties of МойСклад and their contact persons, by JSON API 1.2 ("Контрагент").

`profile_of` and `person_profile` are pure. A look-up is one request for whoever has the number himself, up to four for contact persons.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

import trio

from gateway.crm.base import CrmKind, CrmLookupFailed, Problem
from gateway.crm.limits import LimitReached, Places
from gateway.crm.ms_settings import MsSettings
from gateway.crm.ms_wire import MsApi, MsTrouble, Verdict
from gateway.ports import CustomerProfile

ROWS = 10
# Of the counterparties that the search gives, so many are asked for their contact persons: a look-up has two seconds.
MOST_ASKED_FOR_PERSONS = 2
PERSON_ROWS = 100

_NOT_DIGITS = re.compile(r"[^0-9]")
# What stands between several numbers in one field.
_BETWEEN = re.compile(r"[,;/|]|\bдоб\b", re.IGNORECASE)

Row = Mapping[str, Any]


async def found(api: MsApi, phone: str, settings: MsSettings) -> CustomerProfile | None:
    """Whose number this is (digits). Raises `CrmLookupFailed`."""
    if not phone:
        await trio.lowlevel.checkpoint()
        return None
    try:
        with await api.limiter.reserve(urgent=True) as places:
            return await _found(api, places, phone, settings)
    except MsTrouble as exc:
        raise CrmLookupFailed(exc.problem, str(exc)) from None
    except LimitReached as exc:
        raise CrmLookupFailed(Problem.RATE_LIMIT, str(exc)) from None


async def _found(api: MsApi, places: Places, phone: str, settings: MsSettings) -> CustomerProfile | None:
    # `filter` sees the counterparty's own number only, and as it is spelled there; `search` sees contact persons too.
    for query in ({"filter": f"phone~{phone}"}, {"search": phone}):
        rows = await _rows(api, places, f"/entity/counterparty?{urlencode({**query, 'limit': ROWS})}")
        profiles = [profile_of(row, phone, settings) for row in rows if has_phone(row, phone)]
        if profiles:
            return next((each for each in profiles if each.name), profiles[0])
    for row in [each for each in rows if _may_have_persons(each)][:MOST_ASKED_FOR_PERSONS]:
        path = f"/entity/counterparty/{quote(text(row, 'id'), safe='')}/contactpersons?{urlencode({'limit': PERSON_ROWS})}"
        for person in await _rows(api, places, path):
            if has_phone(person, phone):
                return person_profile(person, row, settings)
    return None


async def _rows(api: MsApi, places: Places, path: str) -> list[Row]:
    said = await api.ask(places, "GET", path)
    if said.verdict is not Verdict.OK:
        return []
    rows = said.content.get("rows")
    if not isinstance(rows, list):
        raise MsTrouble(Problem.BAD_ANSWER, "http=200, a list without rows")
    return [cast("Row", row) for row in cast("list[object]", rows) if isinstance(row, dict)]


def profile_of(row: Row, phone: str, settings: MsSettings) -> CustomerProfile:
    """A counterparty that has this number. One that was made of a call and has only its number for a name has none."""
    name = "" if _is_number(text(row, "name"), phone) else text(row, "name")
    last, first, middle = _person_names(row)
    is_person = text(row, "companyType") == "individual"
    if is_person:
        last, name = (last, "") if last or first else (name, "")
    elif name and text(row, "companyType") != "entrepreneur" and (last or first):
        # The contact of a company, as attributes of it.
        name = f"{name} ({' '.join(part for part in (last, first) if part)})"
    return CustomerProfile(
        last_name=last,
        first_name=first,
        middle_name=middle,
        enterprise_name=name,
        source=CrmKind.MS,
        external_id=text(row, "id"),
        phones=_phones(row),
        extension=extension_of(row, settings),
        raw=row,
    )


def person_profile(person: Row, row: Row, settings: MsSettings) -> CustomerProfile:
    """A contact person of a counterparty: a customer by himself, as his number is not that of the others."""
    return CustomerProfile(
        last_name=text(person, "name"),
        source=CrmKind.MS,
        external_id=text(person, "id"),
        phones=_phones(person),
        extension=extension_of(row, settings),
        raw={**person, "counterparty": row},
    )


def extension_of(row: Row, settings: MsSettings) -> str:
    """That of the counterparty's owner, by `employee_mapping`; "" when there is none."""
    href: Any = row
    for key in ("owner", "meta", "href"):
        href = cast("dict[str, Any]", href).get(key) if isinstance(href, Mapping) else None
    owner_id = href.rpartition("/")[2].lower() if isinstance(href, str) else ""
    return next((extension for extension, known in settings.employees.items() if known and known.lower() == owner_id), "")


def has_phone(row: Row, phone: str) -> bool:
    """Whether one of the numbers in the field of this row has exactly these digits."""
    return phone in _phones(row)


def text(row: Row, field: str) -> str:
    """A field of a row; "" when it is not there, or no text."""
    value = row.get(field)
    return value if isinstance(value, str) else ""


def _phones(row: Row) -> tuple[str, ...]:
    found_digits = (_NOT_DIGITS.sub("", part) for part in _BETWEEN.split(text(row, "phone")))
    return tuple(dict.fromkeys(filter(None, found_digits)))


def _is_number(name: str, phone: str) -> bool:
    return name.startswith("+") or phone in _NOT_DIGITS.sub("", name)


def _person_names(row: Row) -> tuple[str, str, str]:
    """Last, first and middle name: those of a person's papers, else what attributes of these names say."""
    legal = (text(row, "legalLastName"), text(row, "legalFirstName"), text(row, "legalMiddleName"))
    if any(legal):
        return legal
    attributes: Any = row.get("attributes")
    said = _attributes(cast("list[object]", attributes) if isinstance(attributes, list) else ())
    return said.get("фамилия", ""), said.get("имя", ""), said.get("отчество", "")


def _attributes(attributes: Iterable[object]) -> dict[str, str]:
    rows = (cast("Row", each) for each in attributes if isinstance(each, dict))
    return {text(row, "name").strip().lower(): text(row, "value").strip() for row in rows}


def _may_have_persons(row: Row) -> bool:
    """Unless it says that it has none."""
    persons: Any = row.get("contactpersons")
    meta: Any = cast("dict[str, Any]", persons).get("meta") if isinstance(persons, dict) else None
    return bool(text(row, "id")) and not (isinstance(meta, dict) and cast("dict[str, Any]", meta).get("size") == 0)
