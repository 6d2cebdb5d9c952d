"""Four calls that are over in seconds, for showing and for testing: who watches need not wait, and every kind of final is among them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final as Constant

from tester.host import Host
from tester.patterns.endings import answered, missed
from tester.patterns.pattern import Cast, Ending, Final, Pattern
from tester.patterns.roles import ALSO_RINGS_1, ALSO_RINGS_2, CALLEE, CALLER, LINE, MANAGER, PHONE, SECOND
from tester.pbx import incoming, internal

ANSWERED: Constant = "answered"
MISSED: Constant = "missed"
TRANSFERRED: Constant = "transferred"
INTERNAL: Constant = "internal"

# Each of the pairs below: what happens, then what it comes to. The seconds of the one give the length of the other.


def _answered(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[PHONE], cast[LINE], greeting_seconds=2)
    call.ring(*cast.given(ALSO_RINGS_1, ALSO_RINGS_2, MANAGER))
    host.wait(3)
    call.answer(cast[MANAGER])
    host.wait(7)
    call.end()


def _answered_finals(cast: Cast) -> tuple[Final, ...]:
    return answered(cast, cast.shown(cast[MANAGER]), 12)


def _missed(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[PHONE], cast[LINE], greeting_seconds=2)
    call.ring(*cast.given(MANAGER, ALSO_RINGS_1))
    host.wait(6)
    call.end()


def _missed_finals(cast: Cast) -> tuple[Final, ...]:
    return missed(cast, cast.given(MANAGER, ALSO_RINGS_1))


def _transferred(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[PHONE], cast[LINE], greeting_seconds=1)
    call.ring(cast[MANAGER])
    host.wait(2)
    call.answer(cast[MANAGER])
    host.wait(4)
    call.attend(cast[SECOND], accepted=True, ring_seconds=3, word_seconds=4)
    host.wait(4)
    call.end()


def _transferred_finals(cast: Cast) -> tuple[Final, ...]:
    one, two = cast.shown(cast[MANAGER]), cast.shown(cast[SECOND])
    return answered(cast, two, 18, transfers=f"{one} → {two}")


def _internal(host: Host, cast: Cast) -> None:
    internal(host, cast[CALLER], cast[CALLEE], ring_seconds=2, talk_seconds=6)


def _internal_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.INTERNAL_ANSWERED, left=cast.shown(cast[CALLER]), right=cast.shown(cast[CALLEE]), seconds=8),)


_ALL = (
    Pattern(
        key=ANSWERED,
        title={"ru": "Входящий на группу, ответили", "en": "Incoming to a group, answered"},
        description={
            "ru": "Клиент звонит, слышит приветствие, звонит у группы; один отвечает. В чате «Завершен» с ним.",
            "en": "A customer calls and hears a greeting, a group rings, one answers. The chat shows “Ended” with that one.",
        },
        roles=(PHONE, LINE, MANAGER, ALSO_RINGS_1, ALSO_RINGS_2),
        perform=_answered,
        finals=_answered_finals,
    ),
    Pattern(
        key=MISSED,
        title={"ru": "Входящий, никто не ответил", "en": "Incoming, nobody answered"},
        description={
            "ru": "Клиент звонит, слышит приветствие, звонит у группы; никто не отвечает. В чате «Не отвечен» со всеми, у кого звонило.",
            "en": "A customer calls and hears a greeting, a group rings, nobody answers. The chat shows “Not answered” with all who rang.",
        },
        roles=(PHONE, LINE, MANAGER, ALSO_RINGS_1),
        perform=_missed,
        finals=_missed_finals,
    ),
    Pattern(
        key=TRANSFERRED,
        title={"ru": "Входящий с переводом, перевод принят", "en": "Incoming, transferred after a word"},
        description={
            "ru": "Клиент звонит, менеджер отвечает и после запроса передаёт его коллеге. В чате «Завершен» с коллегой и «🔀».",
            "en": "A customer calls, a manager answers, asks a colleague and hands him over. The chat shows “Ended” and “🔀”.",
        },
        roles=(PHONE, LINE, MANAGER, SECOND),
        perform=_transferred,
        finals=_transferred_finals,
    ),
    Pattern(
        key=INTERNAL,
        title={"ru": "Внутренний звонок", "en": "Internal call"},
        description={
            "ru": "Сотрудник звонит коллеге, тот отвечает. В чате «Завершен (внутр.)».",
            "en": "A colleague calls a colleague, who answers. The chat shows “Ended (internal)”.",
        },
        roles=(CALLER, CALLEE),
        perform=_internal,
        finals=_internal_finals,
    ),
)

SHORT_CALLS: Constant[Mapping[str, Pattern]] = MappingProxyType({pattern.key: pattern for pattern in _ALL})
"""All of them by key, in the order in which they are shown."""
