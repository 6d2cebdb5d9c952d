"""The words of the page: the same ones in both languages, and one for everything that the server names."""

import re
from pathlib import Path

import pytest

import tester.emulator
from tester.emulator.orders import LEFT_PAUSED, EventTrouble, Judgement, RunState, TelegramTrouble
from tester.host import ActKind

PAGE = Path(tester.emulator.__file__).parent / "page"
FILES = ("russian.js", "english.js")


def words_of(file: str) -> dict[str, str]:
    text = (PAGE / file).read_text(encoding="utf-8")
    return dict(re.findall(r'^  "?([a-z0-9_-]+)"?: "(.*)",$', text, re.MULTILINE))


@pytest.mark.parametrize("file", FILES)
def test_everything_that_the_server_names_has_a_word(file: str) -> None:
    words = words_of(file)
    named = [
        *(f"{place}-{kind}" for place in ("act", "tell") for kind in ActKind),
        *(f"fault-{trouble}" for trouble in EventTrouble),
        *(f"telegram-{trouble}" for trouble in TelegramTrouble),
        *(f"state-{state}" for state in RunState),
        *(f"verdict-{judgement}" for judgement in Judgement),
        f"verdict-{RunState.STOPPED}-{LEFT_PAUSED}",
    ]
    assert [name for name in named if name not in words] == []


def test_both_languages_have_the_same_words_with_the_same_places_in_them() -> None:
    russian, english = (words_of(file) for file in FILES)
    assert russian.keys() == english.keys()
    for name, text in russian.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[name])), name
