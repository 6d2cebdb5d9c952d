"""`gateway emulate`: a call played by the emulator of a running gateway, told line by line in a terminal."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from tester.emulator.client import Client, Misuse, StreamEvent, open_client
from tester.emulator.orders import LOCAL, EventTrouble, Judgement, Pace, RunState, TelegramTrouble

EXPECTED: Final = 0
NOT_EXPECTED: Final = 1

PACES: Final = (Pace.REAL, Pace.TEN, Pace.FAST)
"""Step by step is for the page: a terminal has no button for the next one."""
LANGUAGES: Final = ("en", "ru")

# At Ctrl-C the run is stopped first, and whoever pressed it does not wait long.
_STOP_SECONDS: Final = 3.0
_CRM_FAULT: Final = "crm"
_EVENT_FAULT: Final = re.compile(r"(lose|double|delay|swap):([1-9][0-9]{0,3})(?::([0-9]{1,3}(?:\.[0-9]{1,3})?))?")
_TELEGRAM_FAULT: Final = re.compile(r"telegram:(.+)")
_ANYWHERE: Final = MappingProxyType({"0.0.0.0": "127.0.0.1", "[::]": "[::1]"})  # noqa: S104 (to be replaced)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLACE: Final = "        "

FAULTS: Final = "lose:3, double:3, swap:3, delay:3:2.5, telegram:429, telegram:5xx, telegram:blocked or crm"
"""How faults are written; the first number is that of an event, counted from 1."""

Tell = Callable[[str], None]


@attrs.frozen(kw_only=True)
class Wish:
    """What the command line asks for. `enterprise` "": the only one. `values` by the key of a role; the rest is suggested."""

    pattern: str
    enterprise: str = ""
    values: Mapping[str, str] = attrs.field(factory=dict[str, str])
    pace: Pace = Pace.REAL
    faults: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    target: str = LOCAL
    linkedid: bool = False


def base_url_of(binds: Sequence[str]) -> str:
    """Where a gateway with this `tester_bind` has its emulator. Raises: `Misuse`."""
    if not binds:
        raise Misuse("tester_bind is empty: this gateway has no emulator")
    host, _, port = binds[0].rpartition(":")
    if port == "0":
        raise Misuse("tester_bind has port 0: nobody knows which one the gateway has got")
    return f"http://{_ANYWHERE.get(host, host)}:{port}"


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
            raise Misuse(
                f"--fault {text}: wanted lose:3, double:3, swap:3, delay:3:2.5, telegram:429, telegram:5xx, telegram:blocked or crm"
            )
    return {"events": events, "telegram": telegram, "crm_hangs": _CRM_FAULT in given}


async def list_patterns(base_url: str, password: str, language: str, tell: Tell) -> int:
    """Tell all patterns with their titles. Raises: `GatewayError`."""
    async with open_client(base_url, password=password, language=language) as client:
        for pattern in await client.get("/api/patterns"):
            tell(f"{pattern['key']:<5} {_line(pattern['title'])}")
    return EXPECTED


async def emulate(base_url: str, password: str, language: str, wish: Wish, tell: Tell) -> int:
    """Play a call, tell what happens, and say by the exit code whether the chats show what they should.

    Cancelled, or when `tell` fails: the run is stopped, which takes a few seconds at most. Raises: `GatewayError`.
    """
    async with open_client(base_url, password=password, language=language) as client:
        pattern = _pattern(await client.get("/api/patterns"), wish.pattern)
        run = await client.post("/api/runs", await _order(client, wish, pattern))
        teller = _Teller(tell, _WORDS[language], total=run["total"])
        try:
            teller.begin(wish, run, title=pattern["title"], base_url=base_url)
            await client.follow(run["id"], teller.hear)
        finally:
            if not teller.state.is_over:
                await client.stop(run["id"], within_seconds=_STOP_SECONDS)
        return teller.end()


async def _order(client: Client, wish: Wish, pattern: Mapping[str, Any]) -> Mapping[str, Any]:
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
    raise Misuse(f"there is no pattern {_line(key)!r}; {hint}")


def _only(enterprises: Sequence[Mapping[str, Any]]) -> str:
    numbers = [str(enterprise["number"]) for enterprise in enterprises]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        raise Misuse("no enterprise is loaded yet: `gateway load FILE.toml` loads some")
    shown = ", ".join(numbers[:10]) + (" …" if len(numbers) > 10 else "")
    raise Misuse(f"there are several enterprises, say which one: --enterprise NUMBER, one of {shown}")


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@attrs.frozen(kw_only=True)
class _Words:
    begins: str
    answered: str
    duplicate: str
    silent: str
    lost: str
    sent: Mapping[str, str]
    told: str
    retry: str
    paused: str
    stopped: str
    failed: str
    verdicts: Mapping[Judgement, str]


_WORDS: Final = MappingProxyType(
    {
        "en": _Words(
            begins="{key} «{title}», enterprise {enterprise}, {total} events in {seconds}; seen also at {page}",
            answered="{status} in {milliseconds} ms",
            duplicate="known already",
            silent="no answer",
            lost="lost on purpose",
            sent=MappingProxyType({"sent": "new", "edited": "edited", "deleted": "deleted"}),
            told="chat {chat}, message {message}, {change}",
            retry=", come back in {seconds} s",
            paused="paused",
            stopped="the run was stopped",
            failed="the run has failed",
            verdicts=MappingProxyType(
                {Judgement.EXPECTED: "as expected", Judgement.DIFFERENT: "NOT as expected", Judgement.UNSEEN: "played, and not looked at"}
            ),
        ),
        "ru": _Words(
            begins="{key} «{title}», предприятие {enterprise}, событий: {total}, {seconds}; видно и на {page}",
            answered="{status} за {milliseconds} мс",
            duplicate="уже известно",
            silent="нет ответа",
            lost="нарочно потеряно",
            sent=MappingProxyType({"sent": "новое", "edited": "изменено", "deleted": "удалено"}),
            told="чат {chat}, сообщение {message}, {change}",
            retry=", повторить через {seconds} с",
            paused="пауза",
            stopped="прогон остановлен",
            failed="прогон не удался",
            verdicts=MappingProxyType(
                {Judgement.EXPECTED: "как ожидалось", Judgement.DIFFERENT: "НЕ как ожидалось", Judgement.UNSEEN: "сыграно, но не проверено"}
            ),
        ),
    }
)


@attrs.define(eq=False)
class _Teller:
    """Makes lines of the events of a run."""

    _tell: Tell
    _words: _Words
    total: int = attrs.field(kw_only=True)
    state: RunState = RunState.RUNNING
    _judgement: Judgement | None = None
    _kinds: dict[int, str] = attrs.field(factory=dict[int, str])

    def begin(self, wish: Wish, run: Mapping[str, Any], *, title: str, base_url: str) -> None:
        """Say what is played."""
        seconds = 0.0 if wish.pace is Pace.FAST else float(run["seconds"]) / float(wish.pace.value)
        self._tell(
            self._words.begins.format(
                key=wish.pattern,
                title=_line(title),
                enterprise=_line(run["order"]["enterprise"]),
                total=self.total,
                seconds=f"{seconds:.0f} s",
                page=f"{base_url}/test-interface",
            )
        )

    def hear(self, event: StreamEvent) -> bool:
        """Tell one event; whether it was the end. What this version does not know is passed over."""
        data = event.data
        match event.kind:
            case "state":
                self._hear_state(data)
            case "post":
                self._kinds[data["index"]] = data["kind"]
            case "answer":
                self._event_line(data["index"], self._kinds.get(data["index"], ""), self._answer(data))
            case "lost":
                self._event_line(data["index"], data["kind"], self._words.lost)
            case "message":
                self._message(data)
            case "telegram":
                retry = "" if data.get("retry_after") is None else self._words.retry.format(seconds=data["retry_after"])
                self._tell(f"{_PLACE}Telegram, {_line(data['method'])} {data['chat']}: {data['status']}{retry}")
            case "crm":
                problem = f" ({_line(data['problem'])})" if data.get("problem") else ""
                self._tell(f"{_PLACE}CRM {_line(data['crm'])}, {_line(data['kind'])}: {_line(data['outcome'])}{problem}")
            case "verdict":
                self._judgement = Judgement(data["judgement"])
                self._tell(self._words.verdicts[self._judgement])
                for difference in data["differences"]:
                    self._tell(f"  {_line(difference)}")
            case _:
                pass
        return self.state.is_over

    def end(self) -> int:
        """The exit code."""
        if self.state is RunState.DONE and self._judgement in (Judgement.EXPECTED, Judgement.UNSEEN):
            return EXPECTED
        return NOT_EXPECTED

    def _hear_state(self, data: Mapping[str, Any]) -> None:
        self.state = RunState(data["state"])
        word = {RunState.PAUSED: self._words.paused, RunState.STOPPED: self._words.stopped, RunState.FAILED: self._words.failed}.get(
            self.state
        )
        if word is not None:
            self._tell(word)

    def _event_line(self, index: int, kind: str, what: str) -> None:
        self._tell(f"{index + 1:>3}/{self.total:<3} {_line(kind):<15} {what}")

    def _answer(self, data: Mapping[str, Any]) -> str:
        parts: list[str] = []
        if data["status"] is None:
            parts.append(self._words.silent)
        else:
            parts.append(self._words.answered.format(status=data["status"], milliseconds=round(float(data["seconds"]) * 1000)))
        if data.get("event_id") is not None:
            parts.append(f"event {data['event_id']}")
        if data.get("duplicate"):
            parts.append(self._words.duplicate)
        if data.get("error"):
            parts.append(_line(data["error"]))
        return ", ".join(parts)

    def _message(self, data: Mapping[str, Any]) -> None:
        change = self._words.sent.get(data["change"], _line(data["change"]))
        self._tell(_PLACE + self._words.told.format(chat=data["chat"], message=data["message"], change=change))
        for line in str(data.get("text") or "").splitlines():
            self._tell(f"{_PLACE}  {_line(line)}")


def _line(text: object) -> str:
    """On one line, and nothing in it that a terminal obeys."""
    return _CONTROL.sub("?", str(text))
