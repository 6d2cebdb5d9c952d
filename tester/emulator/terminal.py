"""`gateway emulate`: a call played by the emulator of a running gateway, told line by line in a terminal."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from gateway.settings import Bind, Settings
from tester.emulator.client import Client, Misuse, open_client
from tester.emulator.companion import PAGE, reachable
from tester.emulator.orders import LOCAL, EventTrouble, Pace, TelegramTrouble
from tester.emulator.telling import EXPECTED, WORDS, Tell, Teller, plain
from tester.emulator.wording import LANGUAGES as LANGUAGES

LANGUAGE: Final = "en"
"""What is spoken where nobody says which: the command line is English."""

PACES: Final = (Pace.REAL, Pace.TEN, Pace.FAST)
"""Step by step is for the page: a terminal has no button for the next one."""

# At Ctrl-C the run is stopped first, and whoever pressed it does not wait long.
_STOP_SECONDS: Final = 3.0
_CRM_FAULT: Final = "crm"
_EVENT_FAULT: Final = re.compile(r"(lose|double|delay|swap):([1-9][0-9]{0,3})(?::([0-9]{1,3}(?:\.[0-9]{1,3})?))?")
_TELEGRAM_FAULT: Final = re.compile(r"telegram:(.+)")

FAULTS: Final = "lose:3, double:3, swap:3, delay:3:2.5, telegram:429, telegram:5xx, telegram:blocked or crm"
"""How faults are written; the first number is that of an event, counted from 1."""


@attrs.frozen(kw_only=True)
class Asked:
    """The command line as it was typed in. `values`: `role=value`; `faults`: as `FAULTS` says; `enterprise` "": the only one."""

    pattern: str = ""
    is_list: bool = False
    enterprise: str = ""
    values: Sequence[str] = ()
    pace: str = Pace.REAL.value
    faults: Sequence[str] = ()
    target: str = LOCAL
    linkedid: bool = False
    language: str = LANGUAGE


@attrs.frozen(kw_only=True)
class _Wish:
    """What the command line asks for. `faults` as the API takes them."""

    pattern: str
    enterprise: str
    values: Mapping[str, str]
    pace: Pace
    faults: Mapping[str, Any]
    target: str
    linkedid: bool


async def run(settings: Settings, asked: Asked, tell: Tell) -> int:
    """Do what was typed in at the emulator of the gateway with these settings; the exit code.

    0: the chats show what they should, or nobody could look at them, which is said. 1: they do not, or the call was not played to its end.

    Cancelled, or when `tell` fails: the run is stopped, which takes a few seconds at most. Raises: `Misuse`, `GatewayError`.
    """
    language = asked.language
    if language not in LANGUAGES:
        raise Misuse(f"--language {plain(language)}: wanted {' or '.join(LANGUAGES)}")
    if not asked.is_list and not asked.pattern:
        raise Misuse("which pattern? `gateway emulate --list` tells them all")
    wish = _read(asked)
    base_url = base_url_of(settings.tester_bind)
    async with open_client(base_url, password=settings.tester_password, language=language) as client:
        if asked.is_list:
            return await _list(client, tell)
        return await _play(client, wish, f"{base_url}{PAGE}", language, tell)


def base_url_of(binds: Sequence[Bind]) -> str:
    """Where a gateway with this `tester_bind` has its emulator. Raises: `Misuse`."""
    if not binds:
        raise Misuse("tester_bind is empty: this gateway has no emulator")
    if not binds[0].port:
        raise Misuse("tester_bind has port 0: nobody knows which one the gateway has got")
    return f"http://{reachable(str(binds[0]))}"


def _read(asked: Asked) -> _Wish:
    if asked.pace not in PACES:
        raise Misuse(f"--pace {plain(asked.pace)}: wanted {', '.join(PACES)}")
    return _Wish(
        pattern=asked.pattern,
        enterprise=asked.enterprise,
        values=read_values(asked.values),
        pace=Pace(asked.pace),
        faults=read_faults(asked.faults),
        target=asked.target,
        linkedid=asked.linkedid,
    )


def read_values(given: Sequence[str]) -> Mapping[str, str]:
    """`role=value`, each role once. Raises: `Misuse`."""
    values: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise Misuse(f"--set {text}: wanted role=value, as in external_phone=+375290001111")
        if key in values:
            raise Misuse(f"--set {text}: {key} is set twice")
        values[key] = value.strip()
    return values


def read_faults(given: Sequence[str]) -> Mapping[str, Any]:
    """Faults as the API takes them, from `lose:3`, `delay:5:2.5`, `telegram:429`, `crm`. Events count from 1 here. Raises: `Misuse`."""
    events: list[Mapping[str, Any]] = []
    telegram: str | None = None
    for text in given:
        if found := _EVENT_FAULT.fullmatch(text):
            trouble, number, seconds = found.groups()
            if (seconds is not None) != (trouble == EventTrouble.DELAY):
                raise Misuse(f"--fault {text}: seconds belong to delay, as in delay:5:2.5")
            events.append({"index": int(number) - 1, "trouble": trouble, "seconds": float(seconds or 0)})
        elif (found := _TELEGRAM_FAULT.fullmatch(text)) and found[1] in tuple(TelegramTrouble):
            telegram = found[1]
        elif text != _CRM_FAULT:
            raise Misuse(f"--fault {text}: wanted {FAULTS}")
    return {"events": events, "telegram": telegram, "crm_hangs": _CRM_FAULT in given}


async def _list(client: Client, tell: Tell) -> int:
    for pattern in await client.get("/api/patterns"):
        tell(f"{pattern['key']:<5} {plain(pattern['title'])}")
    return EXPECTED


async def _play(client: Client, wish: _Wish, page: str, language: str, tell: Tell) -> int:
    pattern = _pattern(await client.get("/api/patterns"), wish.pattern)
    run = await client.start(await _order(client, wish, pattern))
    teller = Teller(tell, WORDS[language], total=run["total"])
    try:
        teller.begin(run, title=pattern["title"], page=page)
        await client.follow(run["id"], teller.hear)
    finally:
        if not teller.state.is_over:
            with trio.move_on_after(_STOP_SECONDS, shield=True):
                await client.stop(run["id"])
    return teller.end()


async def _order(client: Client, wish: _Wish, pattern: Mapping[str, Any]) -> Mapping[str, Any]:
    roles = [role["key"] for role in pattern["roles"]]
    for key in wish.values:
        if key not in roles:
            raise Misuse(f"--set {key}: there is no such role in {wish.pattern}; there are {', '.join(roles)}")
    enterprise = wish.enterprise or _only(await client.get("/api/enterprises"))
    suggested = (await client.get("/api/suggestion", pattern=wish.pattern, enterprise=enterprise))["values"]
    return {
        "enterprise": enterprise,
        "pattern": wish.pattern,
        "values": {**_without_doubles(suggested, wish.values), **wish.values},
        "faults": wish.faults,
        "pace": wish.pace.value,
        "target": wish.target,
        "linkedid": wish.linkedid,
    }


def _without_doubles(suggested: Mapping[str, str], chosen: Mapping[str, str]) -> Mapping[str, str]:
    """Nobody plays two roles: who was given a role by hand leaves his suggested one to whoever was suggested for the former."""
    swapped = dict(suggested)
    for key, value in chosen.items():
        before = swapped.get(key, "")
        for other, number in swapped.items():
            if other != key and number == value:
                swapped[other] = before
        swapped[key] = value
    return swapped


def _pattern(patterns: Sequence[Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    by_key = {str(pattern["key"]): pattern for pattern in patterns}
    if key in by_key:
        return by_key[key]
    near = difflib.get_close_matches(key, by_key, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "`gateway emulate --list` tells them all"
    raise Misuse(f"there is no pattern {plain(key)!r}; {hint}")


def _only(enterprises: Sequence[Mapping[str, Any]]) -> str:
    numbers = [str(enterprise["number"]) for enterprise in enterprises]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        raise Misuse("no enterprise is loaded yet: `gateway load FILE.toml` loads some")
    shown = ", ".join(numbers[:10]) + (" …" if len(numbers) > 10 else "")
    raise Misuse(f"there are several enterprises, say which one: --enterprise NUMBER, one of {shown}")
