"""Patterns played through the board of one enterprise, without I/O: what the chat shows, and how that differs from what is promised."""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import attrs

from gateway.cards.names import FullName, Names
from gateway.cards.text import render
from tester.host import Host, Posted
from tester.patterns.pattern import Cast, Final, Pattern, RoleKind, Script
from tests.playback import BEGAN, ZONE, Playback

TOKEN = "375290000900"
NAMES = Names(
    managers={
        "151": FullName(last_name="Петрова", first_name="Анна", middle_name="Игоревна"),
        "152": FullName(last_name="Ковалёв", first_name="Игорь"),
    }
)
_SHOWN_NAMES = {extension: name.short() for extension, name in NAMES.managers.items()}
# In the order in which a pattern names its roles of that kind: the numbers of the recorded calls, so that both can be compared.
_NUMBERS: Mapping[RoleKind, Sequence[str]] = MappingProxyType(
    {
        RoleKind.PHONE: ("375290002222", "375290003333", "375290004444"),
        RoleKind.MOBILE: ("375290001111", "375290001112"),
        RoleKind.EXTENSION: ("151", "152", "150", "153", "154", "155"),
        RoleKind.LINE: ("0001363", "0001366"),
    }
)
_MARKUP = re.compile(r"<[^>]*>")


@attrs.frozen(kw_only=True)
class Way:
    """How a script reaches the gateway. `speed`: 1 in its own time, 60 in a sixtieth of it, None all events at once."""

    speed: float | None
    linkedid: bool

    def __str__(self) -> str:
        pace = "at once" if self.speed is None else f"x{self.speed:g}"
        return f"{pace}, {'with' if self.linkedid else 'without'} Linkedid"


WAYS = tuple(Way(speed=speed, linkedid=linkedid) for speed in (1.0, 60.0, None) for linkedid in (False, True))


def cast_of(pattern: Pattern, *, with_optional: bool = True) -> Cast:
    """A cast for a pattern, by the kinds of its roles; different people in all roles."""
    taken: Counter[RoleKind] = Counter()
    values: dict[str, str] = {}
    for role in pattern.roles:
        if role.is_optional and not with_optional:
            continue
        values[role.key] = role.default or _NUMBERS[role.kind][taken[role.kind]]
        taken[role.kind] += 1
    return Cast(values=values, names=_SHOWN_NAMES)


def script_of(pattern: Pattern, cast: Cast, way: Way) -> Script:
    """The script whose last event is posted, in that way, at the time that its body says."""
    length = pattern.script(_host(0.0, linkedid=way.linkedid), cast).seconds
    played = 0.0 if way.speed is None else length / way.speed
    return pattern.script(_host(played - length, linkedid=way.linkedid), cast)


def visible_texts(posted: Sequence[Posted], way: Way, language: str = "ru") -> list[str]:
    """What the chat shows of every call after the last deadline, without markup."""
    playback = Playback()
    webhooks = ((0.0 if way.speed is None else one.at_seconds / way.speed, one.kind, one.body) for one in posted)
    playback.play(webhooks, fast=way.speed is None)
    playback.wait_for_the_end()
    return [visible(render(view, NAMES, language, ZONE)) for view in playback.views.values()]


def visible(text: str) -> str:
    """A message as it is read."""
    return html.unescape(_MARKUP.sub("", text))


def differences(finals: Sequence[Final], texts: Sequence[str], language: str = "ru") -> list[str]:
    """Finals that no message shows and messages that no final asks for; none when each final has its own message."""
    left = list(texts)
    missing: list[Final] = []
    for final in finals:
        match = next((text for text in left if not final.difference(text, language)), None)
        if match is None:
            missing.append(final)
        else:
            left.remove(match)
    return [f"missing: {final.lines(language)}" for final in missing] + [f"not promised: {text!r}" for text in left]


def assert_ends_as_promised(pattern: Pattern, way: Way) -> None:
    """Play a pattern with its largest and with its smallest cast: one message for each final, and no other."""
    for with_optional in (True, False):
        cast = cast_of(pattern, with_optional=with_optional)
        script = script_of(pattern, cast, way)
        for language in ("ru", "en"):
            wrong = differences(pattern.finals(cast), visible_texts(script.posted, way, language), language)
            assert not wrong, f"{pattern.key}, {way}, {language}: {wrong}"


def _host(offset_seconds: float, *, linkedid: bool) -> Host:
    return Host(token=TOKEN, started_at=BEGAN + timedelta(seconds=offset_seconds), zone=ZONE, seed=4000, linkedid=linkedid)
