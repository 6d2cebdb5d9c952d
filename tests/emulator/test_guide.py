"""The emulator's guide, docs/emulator*.md: what it says of patterns, commands, requests and files is what there is."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
import typer.main
from quart_trio import QuartTrio

from gateway.cli import app as command_line
from gateway.nurseries.clock import wall_clock
from gateway.settings import Settings
from tester.emulator.emulator import Emulator
from tester.emulator.event_log import silent_event_log
from tester.emulator.orders import EventTrouble, Pace, TelegramTrouble
from tester.emulator.watch import Watch
from tester.emulator.web import PAGE_PATHS, Desk
from tester.memory import MemoryStore
from tester.patterns import PATTERNS
from tester.patterns.pattern import Cast, Pattern, RoleKind

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = MappingProxyType({"ru": DOCS / "emulator.ru.md", "en": DOCS / "emulator.md"})
LANGUAGES = pytest.mark.parametrize("language", GUIDES)
# As the table tells of them: words where a number would say less.
_PEOPLE: Mapping[str, Mapping[RoleKind, tuple[str, ...]]] = MappingProxyType(
    {
        "ru": {RoleKind.PHONE: ("клиент",), RoleKind.MOBILE: ("мобильный",)},
        "en": {RoleKind.PHONE: ("customer",), RoleKind.MOBILE: ("mobile",)},
    }
)
_INSIDE: Mapping[RoleKind, tuple[str, ...]] = MappingProxyType(
    {RoleKind.EXTENSION: ("151", "152", "153"), RoleKind.LINE: ("0001363", "0001364")}
)


def row_of(pattern: Pattern, language: str) -> str:
    """A pattern's row of the table, as it must be written."""
    taken: Counter[RoleKind] = Counter()
    values: dict[str, str] = {}
    for role in pattern.roles:
        if not role.is_optional:
            values[role.key] = role.default or {**_PEOPLE[language], **_INSIDE}[role.kind][taken[role.kind]]
            taken[role.kind] += 1
    finals = "<br>".join(" · ".join(final.lines(language)) for final in pattern.finals(Cast(values=values)))
    return f"| {pattern.key} | {pattern.title[language]} | {finals} |"


@LANGUAGES
def test_the_table_tells_every_pattern_with_what_the_chat_shows(language: str) -> None:
    rows = re.findall(r"^\| [0-9]+-[0-9]+ \|.*$", GUIDES[language].read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [row_of(pattern, language) for pattern in PATTERNS.values()]


@LANGUAGES
def test_every_request_of_the_api_is_told_and_no_other(language: str) -> None:
    told: set[tuple[str, str]] = set()
    for line in re.findall(r"^\| (`(?:GET|POST) .*?) \|", GUIDES[language].read_text(encoding="utf-8"), re.MULTILINE):
        for text in re.findall(r"`([^`]+)`", line):
            # One cell, the same beginning: `POST /api/runs/{id}/pause`, `…/resume`.
            method, _, path = text.replace("…/", "POST /api/runs/{id}/").partition(" ")
            told.add((method, path.partition("?")[0]))
    # The stream is answered before the routes.
    assert told == {*_routes(), *(("GET", path) for path in PAGE_PATHS), ("GET", "/api/runs/{id}/stream")}


def _routes() -> set[tuple[str, str]]:
    emulator = Emulator(
        enterprises=tuple,
        targets=tuple,
        watch=Watch(),
        store=MemoryStore(now=wall_clock),
        clock=wall_clock,
        log=silent_event_log(),
        closing_grace_seconds=8.0,
    )
    app = QuartTrio("guide", static_folder=None)
    Desk(emulator=emulator, enterprises=tuple, can_block=True).add_to(app)
    return {
        (method, rule.rule.replace("<run_id>", "{id}"))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method in {"GET", "POST"}
    }


@LANGUAGES
def test_every_option_fault_pace_and_setting_is_told(language: str) -> None:
    text = GUIDES[language].read_text(encoding="utf-8")
    commands = typer.main.get_group(command_line).commands
    options = {name for option in commands["emulate"].params for name in option.opts if name.startswith("--")}
    settings = {field.name for field in attrs.fields(Settings) if field.name.startswith("tester_")}
    values = {member.value for kind in (EventTrouble, TelegramTrouble, Pace) for member in kind}
    missing = [name for name in sorted(options | settings) if name not in text]
    assert missing + [value for value in sorted(values) if f"`{value}`" not in text] == []


@LANGUAGES
def test_every_link_leads_somewhere(language: str) -> None:
    text = GUIDES[language].read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if path:
            assert (DOCS / path).exists(), link
        else:
            assert anchor in anchors, (link, anchors)
