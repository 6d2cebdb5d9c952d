"""Who a number belongs to in U-ON. Pure."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from gateway.calls.phones import digits
from gateway.crm.base import CrmKind
from gateway.crm.uon_settings import UonSettings
from gateway.crm.uon_wire import number_of, objects_of, text_of
from gateway.ports import CustomerProfile

_COMPANY = 2
_NUMBER_LIKE = re.compile(r"[+()\d\s-]*", re.ASCII)


def lookup_path(phone: str) -> str:
    """Digits only: with a plus U-ON finds nobody."""
    return f"user/phone/{digits(phone)}"


def profile_of(phone: str, content: Mapping[str, Any], settings: UonSettings) -> CustomerProfile | None:
    """Of several clients with exactly this number the first that has a name, else the first. None when there is none.

    How U-ON compares numbers is written nowhere, so whoever comes without this one among theirs is a stranger.
    """
    found = (_profile(user, settings) for user in objects_of(content.get("users")))
    profiles = [profile for profile in found if profile is not None and digits(phone) in profile.phones]
    return next((profile for profile in profiles if profile.name), next(iter(profiles), None))


def _profile(user: Mapping[str, Any], settings: UonSettings) -> CustomerProfile | None:
    client_id = number_of(user.get("u_id"))
    if client_id is None or client_id <= 0:
        return None
    written = (user.get(field) for field in ("u_phone", "u_phone_mobile", "u_phone_home"))
    numbers = (digits(str(phone)) for phone in written if isinstance(phone, str | int))
    phones = tuple(dict.fromkeys(number for number in numbers if number))
    company = _text(user, "u_company") if number_of(user.get("u_type")) == _COMPANY else ""
    surname = _text(user, "u_surname")
    # Clients that are made for a call get its number for a surname: nobody's name.
    is_number = bool(_NUMBER_LIKE.fullmatch(surname))
    manager = number_of(user.get("manager_id")) or 0
    return CustomerProfile(
        last_name="" if is_number else surname,
        first_name=_text(user, "u_name"),
        middle_name=_text(user, "u_sname"),
        enterprise_name=company,
        source=CrmKind.UON,
        external_id=str(client_id),
        is_company=bool(company),
        phones=phones,
        extension=settings.extension_of(manager),
        raw=user,
    )


def _text(user: Mapping[str, Any], field: str) -> str:
    return unescape(text_of(user.get(field)))
