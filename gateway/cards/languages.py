"""The languages that ship, by their code."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.cards.texts_en import ENGLISH
from gateway.cards.texts_ru import RUSSIAN
from gateway.cards.wording import Wording

LANGUAGES: Mapping[str, Wording] = MappingProxyType({"ru": RUSSIAN, "en": ENGLISH})


def wording_of(language: str) -> Wording:
    """The texts of a language; Russian for one that does not ship."""
    return LANGUAGES.get(language, RUSSIAN)
