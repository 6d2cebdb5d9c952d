"""The names of a customer as they may be kept and shown: one line each, of bounded length, "" for what is no name. Pure."""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import attrs

from gateway.calls import phones
from gateway.cards.names import real_name
from gateway.ports import CustomerProfile

# The columns of `customers`.
PERSON_CHARACTERS = 100
ENTERPRISE_CHARACTERS = 200
ID_CHARACTERS = 100
MOST_PHONES = 50
# The record of a CRM is handed on to those who ask for it; a bigger one is not worth its place in memory.
RAW_CHARACTERS = 16 * 1024

_SPACES = re.compile(r"\s+")
# Cut roughly before each character is looked at.
_LOOKED_AT = 1024
# Some scripts and joined emoji need them; all other characters of their category are invisible.
_JOINERS = "\u200c\u200d"


def clean_profile(profile: CustomerProfile, phone: str) -> CustomerProfile:
    """The profile of who has `phone` (digits): names in one line without control characters, cut to their columns; placeholders and the
    number itself are no names.
    """
    return attrs.evolve(
        profile,
        last_name=_name(profile.last_name, phone, PERSON_CHARACTERS),
        first_name=_name(profile.first_name, phone, PERSON_CHARACTERS),
        middle_name=_name(profile.middle_name, phone, PERSON_CHARACTERS),
        enterprise_name=_name(profile.enterprise_name, phone, ENTERPRISE_CHARACTERS),
        external_id=_line(profile.external_id, ID_CHARACTERS),
        phones=tuple(dict.fromkeys(found for each in profile.phones[:MOST_PHONES] if (found := phones.digits(each)))),
        raw=_bounded(profile.raw),
    )


def _name(name: str, phone: str, limit: int) -> str:
    found = real_name(_line(name, limit))
    # Some CRMs want a name for a new customer and get the number, or a dash. A name may be a single emoji.
    is_word = any(character.isalpha() or unicodedata.category(character) == "So" for character in found)
    if not is_word and phones.digits(found) in ("", phone):
        return ""
    return found


def _line(text: str, limit: int) -> str:
    spaced = _SPACES.sub(" ", text[:_LOOKED_AT])
    # Categories C*: control, format, surrogate, private use, unassigned.
    kept = "".join(character for character in spaced if character in _JOINERS or unicodedata.category(character)[0] != "C")
    # Spaces that stood on both sides of what went stand together now.
    return _SPACES.sub(" ", kept).strip()[:limit].strip()


def _bounded(raw: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if raw is None:
        return None
    try:
        is_kept = len(json.dumps(raw, ensure_ascii=False)) <= RAW_CHARACTERS
    except (TypeError, ValueError, RecursionError):
        is_kept = False
    return raw if is_kept else None
