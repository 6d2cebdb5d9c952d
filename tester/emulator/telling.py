"""A run told line by line: its events with their answers, the chats as they change, faults, CRMs, and the verdict."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from tester.emulator.client import StreamEvent
from tester.emulator.orders import LEFT_PAUSED, Judgement, Pace, RunState

EXPECTED: Final = 0
NOT_EXPECTED: Final = 1

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLACE: Final = "        "

Tell = Callable[[str], None]


def plain(text: object) -> str:
    """On one line, and nothing in it that a terminal obeys."""
    return _CONTROL.sub("?", str(text))


@attrs.frozen(kw_only=True)
class Words:
    """What is said in one language."""

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
    left_paused: str
    failed: str
    verdicts: Mapping[Judgement, str]


WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "en": Words(
            begins="{key} «{title}», enterprise {enterprise}, {total} events in {seconds} s; seen also at {page}",
            answered="{status} in {milliseconds} ms",
            duplicate="known already",
            silent="no answer",
            lost="lost on purpose",
            sent=MappingProxyType({"sent": "new", "edited": "edited", "deleted": "deleted"}),
            told="chat {chat}, message {message}, {change}",
            retry=", come back in {seconds} s",
            paused="paused",
            stopped="the run was stopped",
            left_paused="the run was stopped: it was paused and nobody pressed a button for a quarter of an hour",
            failed="the run has failed",
            verdicts=MappingProxyType(
                {Judgement.EXPECTED: "as expected", Judgement.DIFFERENT: "NOT as expected", Judgement.UNSEEN: "played, and not looked at"}
            ),
        ),
        "ru": Words(
            begins="{key} «{title}», предприятие {enterprise}, событий: {total}, {seconds} с; видно и на {page}",
            answered="{status} за {milliseconds} мс",
            duplicate="уже известно",
            silent="нет ответа",
            lost="нарочно потеряно",
            sent=MappingProxyType({"sent": "новое", "edited": "изменено", "deleted": "удалено"}),
            told="чат {chat}, сообщение {message}, {change}",
            retry=", повторить через {seconds} с",
            paused="пауза",
            stopped="прогон остановлен",
            left_paused="прогон остановлен: он стоял на паузе, и четверть часа никто не нажимал кнопок",
            failed="прогон не удался",
            verdicts=MappingProxyType(
                {Judgement.EXPECTED: "как ожидалось", Judgement.DIFFERENT: "НЕ как ожидалось", Judgement.UNSEEN: "сыграно, но не проверено"}
            ),
        ),
    }
)


@attrs.define(eq=False)
class Teller:
    """Makes lines of the events of a run."""

    _tell: Tell
    _words: Words
    total: int = attrs.field(kw_only=True)
    state: RunState = RunState.RUNNING
    _judgement: Judgement | None = None
    _kinds: dict[int, str] = attrs.field(factory=dict[int, str])

    def begin(self, run: Mapping[str, Any], *, title: str, page: str) -> None:
        """Say what is played. `page`: where a browser shows it."""
        order, pace = run["order"], Pace(run["order"]["pace"])
        seconds = 0.0 if pace is Pace.FAST else float(run["seconds"]) / float(pace)
        self._tell(
            self._words.begins.format(
                key=plain(order["pattern"]),
                title=plain(title),
                enterprise=plain(order["enterprise"]),
                total=self.total,
                seconds=f"{seconds:.0f}",
                page=page,
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
                self._tell(f"{_PLACE}Telegram, {plain(data['method'])} {data['chat']}: {data['status']}{retry}")
            case "crm":
                problem = f" ({plain(data['problem'])})" if data.get("problem") else ""
                self._tell(f"{_PLACE}CRM {plain(data['crm'])}, {plain(data['kind'])}: {plain(data['outcome'])}{problem}")
            case "verdict":
                self._judgement = Judgement(data["judgement"])
                self._tell(self._words.verdicts[self._judgement])
                for difference in data["differences"]:
                    self._tell(f"  {plain(difference)}")
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
        stopped = self._words.left_paused if data.get("reason") == LEFT_PAUSED else self._words.stopped
        word = {RunState.PAUSED: self._words.paused, RunState.STOPPED: stopped, RunState.FAILED: self._words.failed}.get(self.state)
        if word is not None:
            self._tell(word)

    def _event_line(self, index: int, kind: str, what: str) -> None:
        self._tell(f"{index + 1:>3}/{self.total:<3} {plain(kind):<15} {what}")

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
            parts.append(plain(data["error"]))
        return ", ".join(parts)

    def _message(self, data: Mapping[str, Any]) -> None:
        change = self._words.sent.get(data["change"], plain(data["change"]))
        self._tell(_PLACE + self._words.told.format(chat=data["chat"], message=data["message"], change=change))
        for line in str(data.get("text") or "").splitlines():
            self._tell(f"{_PLACE}  {plain(line)}")
