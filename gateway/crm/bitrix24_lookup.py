"""Who has a number, by what a Bitrix24 portal knows: contacts first, then companies, then leads.

B24 REST: `telephony.externalCall.searchCrmEntities` says it all in one request, with the person responsible and their extension. A door
without the right "telephony" finds ids with `crm.duplicate.findbycomm` and reads the record; then the extension is that of the settings.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import trio

from gateway.calls.phones import digits
from gateway.crm.base import CrmKind, Problem
from gateway.crm.bitrix24_answers import B24Trouble, Refusal
from gateway.crm.bitrix24_portal import Portal
from gateway.crm.bitrix24_settings import B24Settings, text_of, whole
from gateway.crm.bitrix24_tokens import object_of
from gateway.crm.limits import Places
from gateway.ports import CustomerProfile

SEARCH = "telephony.externalCall.searchCrmEntities"
FIND = "crm.duplicate.findbycomm"
KINDS = ("CONTACT", "COMPANY", "LEAD")
"""In the order in which they are believed."""
# A right that is given later is noticed without a restart.
SEARCH_AGAIN_SECONDS = 3600.0

_COMPANY = "COMPANY"


class Lookup:
    """The questions of one adapter. Remembers for `SEARCH_AGAIN_SECONDS` that the right for the short way is missing."""

    def __init__(self, settings: B24Settings, portal: Portal) -> None:
        self._settings = settings
        self._portal = portal
        self._may_search_at = -math.inf

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """Raises: `B24Trouble`."""
        if not phone:
            return None
        async with self._portal.urgent_places() as places:
            if trio.current_time() >= self._may_search_at:
                try:
                    found = await self._portal.call(SEARCH, {"PHONE_NUMBER": f"+{phone}"}, places)
                except B24Trouble as exc:
                    if exc.refusal is not Refusal.SCOPE:
                        raise
                    self._may_search_at = trio.current_time() + SEARCH_AGAIN_SECONDS
                else:
                    return profile_of_search(found, self._settings, phone)
            return await self._by_record(phone, places)

    async def _by_record(self, phone: str, places: Places) -> CustomerProfile | None:
        # Numbers are compared as they were typed in; the two usual ways of it.
        found = await self._portal.call(FIND, {"type": "PHONE", "values": [f"+{phone}", phone]}, places)
        for kind in KINDS:
            entity_id = first_id(found, kind)
            if entity_id is not None:
                record = await self._portal.call(f"crm.{kind.lower()}.get", {"id": entity_id}, places)
                profile = profile_of_record(kind, record, self._settings, phone)
                if profile is not None:
                    return profile
        return None


def profile_of_search(found: Any, settings: B24Settings, phone: str) -> CustomerProfile | None:
    """Out of the result of a search: the first of the best kind that there is. Raises: `B24Trouble` when it is no such result.

    B24 REST, `searchCrmEntities`: what it finds comes without numbers, so there is nothing to compare. It is believed, since the portal
    itself has searched by the number.
    """
    if not isinstance(found, list):
        raise B24Trouble(Problem.BAD_ANSWER, "the result of the search is no list")
    rows = [object_of(row) for row in cast("list[Any]", found)]
    for kind in KINDS:
        for row in rows:
            if row.get("CRM_ENTITY_TYPE") == kind:
                return _profile(kind, row, settings, phone)
    return None


def _profile(kind: str, row: Mapping[str, Any], settings: B24Settings, phone: str) -> CustomerProfile:
    name = text_of(row.get("NAME"))
    is_company = kind == _COMPANY
    # The vendor puts the last name first. Together they are the name as it came, whatever the order was.
    last_name, first_name, middle_name, *_ = (*name.split(maxsplit=2), "", "", "")
    assigned = object_of(row.get("ASSIGNED_BY"))
    responsible = text_of(row.get("ASSIGNED_BY_ID")) or text_of(assigned.get("ID"))
    return CustomerProfile(
        last_name="" if is_company else last_name,
        first_name="" if is_company else first_name,
        middle_name="" if is_company else middle_name,
        enterprise_name=name if is_company else "",
        source=CrmKind.BITRIX24,
        external_id=text_of(row.get("CRM_ENTITY_ID")),
        is_company=is_company,
        phones=(phone,),
        extension=digits(text_of(assigned.get("USER_PHONE_INNER"))) or settings.extension_of(responsible),
        raw=row,
    )


def first_id(found: Any, kind: str) -> int | None:
    """The first id of this kind in the result of a search for duplicates; where nothing is found that is a list."""
    ids: Any = object_of(found).get(kind)
    members = cast("list[Any]", ids) if isinstance(ids, list) else []
    return next((entity_id for each in members if (entity_id := whole(each)) is not None), None)


def profile_of_record(kind: str, found: Any, settings: B24Settings, phone: str) -> CustomerProfile | None:
    """Out of the record of a contact, a company or a lead. None: it has numbers, and none has exactly these digits."""
    record = object_of(found)
    phones = _phones(record.get("PHONE"))
    if phones and phone not in phones:
        return None
    is_company = kind == _COMPANY
    last_name, first_name, middle_name = ("" if is_company else text_of(record.get(key)) for key in ("LAST_NAME", "NAME", "SECOND_NAME"))
    title = text_of(record.get("TITLE"))
    # A lead may be but a title.
    is_title_only = not is_company and not (last_name or first_name or middle_name)
    return CustomerProfile(
        last_name=title if is_title_only else last_name,
        first_name=first_name,
        middle_name=middle_name,
        enterprise_name=title if is_company else "",
        source=CrmKind.BITRIX24,
        external_id=text_of(record.get("ID")),
        is_company=is_company,
        phones=phones or (phone,),
        extension=settings.extension_of(text_of(record.get("ASSIGNED_BY_ID"))),
        raw=record,
    )


def _phones(value: Any) -> tuple[str, ...]:
    members = cast("list[Any]", value) if isinstance(value, list) else []
    return tuple(found for each in members if (found := digits(text_of(object_of(each).get("VALUE")))))
