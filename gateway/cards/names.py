"""Names for the numbers of a call: what the directory and the CRMs know, and how a person is called on a card."""

from collections.abc import Mapping

import attrs

# What older systems wrote where they knew no name; a placeholder is no name.
_PLACEHOLDER_PREFIX = "Доб."
_PLACEHOLDERS = frozenset({"неизвестный", "неизвестно", "<unknown>", "unknown"})


def real_name(name: str | None) -> str:
    """The name without space around it, "" when it is none: empty or a placeholder such as `Доб.151` or `Неизвестный`."""
    found = (name or "").strip()
    if found.startswith(_PLACEHOLDER_PREFIX) or found.casefold() in _PLACEHOLDERS:
        return ""
    return found


@attrs.frozen(kw_only=True)
class FullName:
    """The name of a manager, any part of it may be ""."""

    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""

    def short(self) -> str:
        """`Петрова А. И.`; without a last name `Анна Игоревна`; "" when nothing is known."""
        last, first, middle = real_name(self.last_name), real_name(self.first_name), real_name(self.middle_name)
        if not last:
            return " ".join(part for part in (first, middle) if part)
        # Initials stand in their order: a middle name without a first one would read as a first name.
        initials = (first, middle) if first else ()
        return " ".join([last, *(f"{part[0]}." for part in initials if part)])


@attrs.frozen(kw_only=True)
class Names:
    """The names known for one call. `managers` by extension; `line_operator` is known but not shown."""

    customer: str | None = None
    managers: Mapping[str, FullName] = attrs.field(factory=dict[str, FullName])
    line: str | None = None
    line_operator: str | None = None


NO_NAMES = Names()
