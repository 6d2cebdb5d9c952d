"""Telephone numbers: what is internal, what is unknown, the canonical digits of dirty input, line rules, and how a number is shown.

A number inside the gateway is a string of ASCII digits without "+", "" when it is not known. Nothing here says a word in any language:
`display` returns None for an unknown number and the texts say what that means.
"""

import re
from functools import lru_cache

import attrs
import phonenumbers

# Nothing on a PBX dials more (E.164 has 15 digits, carrier prefixes a few more). What is longer is not a number; treating it as unknown
# also keeps it out of database indexes, whose entries are limited.
MAX_DIGITS = 32
# E.164: at most 15 digits, country code included.
MAX_KEPT_DIGITS = 15
MAX_PREFIX_DIGITS = 15

# Enough for every number that is busy at one time; about 200 bytes each.
_DISPLAY_CACHE_ITEMS = 8192

_NOT_DIGITS = re.compile(r"[^0-9]+")
_LINE_RULE = re.compile(r"\+?([0-9]*)\{([0-9]{1,4})\}")
_GROUP_BREAK = re.compile(r"[ -]+")

# Countries whose subscriber numbers are read in pairs from the end (000-12-34): Russia and Kazakhstan, Belarus, Ukraine.
_PAIRED_COUNTRIES = frozenset({7, 375, 380})


@attrs.frozen
class LineRule:
    """A line's rule `<prefix>{N}`: the last `kept_digits` digits with `prefix` (digits) in front."""

    prefix: str
    kept_digits: int


def is_internal(number: str) -> bool:
    """Whether this is an extension: exactly 3 or 4 decimal ASCII digits, nothing else."""
    # isdecimal alone would let other scripts' digits pass.
    return 3 <= len(number) <= 4 and number.isascii() and number.isdecimal()


def digits(number: str | None) -> str:
    """The canonical digits of a number as a host may write it (`+375 29…`, `-375…`, `<unknown>`, `Anonymous`); "" when there is none.

    Only ASCII digits count. More than `MAX_DIGITS` of them are no number.
    """
    if not number:
        return ""
    # The usual case first: hosts send bare digits. isdecimal alone would let other scripts' digits pass.
    found = number if number.isascii() and number.isdecimal() else _NOT_DIGITS.sub("", number)
    return found if len(found) <= MAX_DIGITS else ""


def is_unknown(number: str | None) -> bool:
    """Whether a number says nothing about who it is: empty, hidden, or a line's id (`0001363`) in the place of the caller.

    Extensions are always known, `000` and `0000` included.
    """
    found = digits(number)
    return not found or (found.startswith("000") and not is_internal(found))


def parse_line_rule(text: str) -> LineRule | None:
    """The rule written as `<prefix>{N}` (`+375{9}`: keep the last 9 digits, put 375 before them); None for "", which means no rule.

    Raises ValueError, in one line that says what is wanted.
    """
    text = text.strip()
    if not text:
        return None
    found = _LINE_RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"line rule {text!r}: must be <prefix>{{N}}, as in +375{{9}}")
    prefix, kept_digits = found[1], int(found[2])
    if text.startswith("+") and not prefix:
        raise ValueError(f"line rule {text!r}: no digits after the +")
    if not 1 <= kept_digits <= MAX_KEPT_DIGITS:
        raise ValueError(f"line rule {text!r}: the number of digits to keep must be 1 to {MAX_KEPT_DIGITS}")
    if len(prefix) > MAX_PREFIX_DIGITS:
        raise ValueError(f"line rule {text!r}: the prefix has more than {MAX_PREFIX_DIGITS} digits")
    return LineRule(prefix, kept_digits)


def apply_line_rule(number: str, rule: LineRule | None) -> str:
    """The digits of `number` with the rule of its line applied. Applying twice gives the same.

    Internal and unknown numbers and those with fewer digits than the rule keeps stay as they are (as digits).
    """
    found = digits(number)
    if rule is None or len(found) < rule.kept_digits or is_internal(found) or is_unknown(found):
        return found
    return rule.prefix + found[-rule.kept_digits :]


def display(number: str | None) -> str | None:
    """The number as a person reads it, `+375 (29) 000-12-34`; None when it is unknown.

    An extension is shown bare. A number that the numbering plans do not know, or that is too short or too long for its country, is shown as
    its digits after a "+".
    """
    found = digits(number)
    if is_internal(found):
        return found
    if is_unknown(found):
        return None
    return _display_outside(found)


# A pure function of its argument: the cache only saves the library's 45 µs for each number.
@lru_cache(maxsize=_DISPLAY_CACHE_ITEMS)
def _display_outside(number: str) -> str:
    plain = "+" + number
    try:
        parsed = phonenumbers.parse(plain)
    except phonenumbers.NumberParseException:
        return plain
    if not phonenumbers.is_possible_number(parsed):
        return plain
    international = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    if _NOT_DIGITS.sub("", international) != number:
        # The library read a zero as a trunk prefix and dropped it: 88001234567 (a Russian 8-800) would become Bangladesh's +880 1234567.
        return plain
    country, _, national = international.partition(" ")
    area, separator, subscriber = _split_area(national)
    if not separator:
        return f"{country} ({area})"
    if parsed.country_code in _PAIRED_COUNTRIES:
        subscriber = _in_pairs(_NOT_DIGITS.sub("", subscriber))
    return f"{country} ({area}) {subscriber}"


def _split_area(national: str) -> tuple[str, str, str]:
    """The first group of a national number, what parts it from the rest ("" when it is alone), and the rest."""
    found = _GROUP_BREAK.search(national)
    if found is None:
        return national, "", ""
    return national[: found.start()], found[0], national[found.end() :]


def _in_pairs(subscriber: str) -> str:
    """`0001234` as `000-12-34`: two pairs at the end, what is left in front."""
    if len(subscriber) < 5:
        return subscriber
    return f"{subscriber[:-4]}-{subscriber[-4:-2]}-{subscriber[-2:]}"
