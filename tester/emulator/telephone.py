"""Whether what somebody types in is an outside number that a call can be played with. Pure."""

import re
from enum import Enum
from types import MappingProxyType
from typing import Final

import attrs
import phonenumbers

from gateway.calls.phones import digits, display, is_internal, is_unknown

# Letters are no separators: a name in the place of a number is a mistake.
_TYPED: Final = re.compile(r"[0-9+()\-.\s]*")
_LONGEST_DIGITS: Final = 15
# Any spelling of a number is shorter.
_LONGEST_TYPED: Final = 64
_SHORTEST_DIGITS: Final = 7
# The library also lets through what only exchanges of these countries dial among themselves (Belarus, Russia and Kazakhstan, Ukraine).
_NATIONAL_DIGITS: Final = MappingProxyType({375: 9, 7: 10, 380: 9})


class _Mistake(Enum):
    NOTHING = "nothing"
    LETTERS = "letters"
    INTERNAL = "internal"
    SHORT = "short"
    LONG = "long"
    LINE = "line"
    NO_COUNTRY = "no_country"


_TEXTS: Final = MappingProxyType(
    {
        "ru": {
            _Mistake.NOTHING: "Введите номер, например +375 29 000-11-11",
            _Mistake.LETTERS: "В номере бывают только цифры, пробелы, скобки, дефисы и плюс",
            _Mistake.INTERNAL: "Это внутренний номер; нужен внешний, с кодом страны",
            _Mistake.SHORT: "В номере не хватает цифр",
            _Mistake.LONG: "В номере лишние цифры",
            _Mistake.LINE: "Номер начинается с кода страны, а не с нулей",
            _Mistake.NO_COUNTRY: "Такого кода страны нет; пишите номер полностью, например +375 29 000-11-11",
        },
        "en": {
            _Mistake.NOTHING: "Enter a number, such as +375 29 000-11-11",
            _Mistake.LETTERS: "A number has only digits, spaces, brackets, hyphens and a plus",
            _Mistake.INTERNAL: "This is an extension; an outside number with its country code is wanted",
            _Mistake.SHORT: "Digits are missing",
            _Mistake.LONG: "There are too many digits",
            _Mistake.LINE: "A number begins with its country code, not with zeros",
            _Mistake.NO_COUNTRY: "There is no such country code; write the whole number, such as +375 29 000-11-11",
        },
    }
)
_LENGTHS: Final = MappingProxyType(
    {
        phonenumbers.ValidationResult.TOO_SHORT: _Mistake.SHORT,
        phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: _Mistake.SHORT,
        phonenumbers.ValidationResult.INVALID_LENGTH: _Mistake.SHORT,
        phonenumbers.ValidationResult.TOO_LONG: _Mistake.LONG,
        phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: _Mistake.NO_COUNTRY,
    }
)


@attrs.frozen(kw_only=True)
class PhoneCheck:
    """What was typed in. `digits` and `shown` as far as they can be told; `error` in one line, "" for a good number."""

    digits: str
    shown: str
    error: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether a call can be played with it."""
        return not self.error


def check_phone(typed: str, language: str = "ru") -> PhoneCheck:
    """A number must have the length that its country's numbers have; whether anybody has it is nobody's business: tests use free ones."""
    typed = typed.replace("\xa0", " ")
    found = digits(typed)
    mistake = _mistake(typed, found)
    return PhoneCheck(
        digits=found, shown=display(found) or "", error="" if mistake is None else _TEXTS.get(language, _TEXTS["ru"])[mistake]
    )


def _mistake(typed: str, found: str) -> _Mistake | None:
    if not typed.strip():
        return _Mistake.NOTHING
    if len(typed) > _LONGEST_TYPED:
        return _Mistake.LONG
    if not _TYPED.fullmatch(typed) or "+" in typed.strip()[1:]:
        return _Mistake.LETTERS
    if not found or len(found) > _LONGEST_DIGITS:
        return _Mistake.LONG if len(typed) > _LONGEST_DIGITS else _Mistake.SHORT
    if is_internal(found):
        return _Mistake.INTERNAL
    if is_unknown(found) or found.startswith("0"):
        return _Mistake.LINE
    if len(found) < _SHORTEST_DIGITS:
        return _Mistake.SHORT
    try:
        parsed = phonenumbers.parse("+" + found)
    except phonenumbers.NumberParseException:
        return _Mistake.NO_COUNTRY
    wanted_digits = _NATIONAL_DIGITS.get(parsed.country_code or 0)
    if wanted_digits is not None and len(found) != len(str(parsed.country_code)) + wanted_digits:
        return _Mistake.SHORT if len(found) < len(str(parsed.country_code)) + wanted_digits else _Mistake.LONG
    if display(found) == "+" + found:
        # What the library cannot write as a number of that country: 8-800… is no Bangladesh.
        return _LENGTHS.get(phonenumbers.is_possible_number_with_reason(parsed), _Mistake.NO_COUNTRY)
    return None
