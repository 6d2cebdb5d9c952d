"""Incoming calls to a group, with and without a greeting, and in ring steps: 2-1 … 2-4, 2-12."""

from typing import Final

from tester.host import Host
from tester.patterns import roles
from tester.patterns.endings import answered, missed
from tester.patterns.pattern import Cast, Pattern
from tester.patterns.pattern import Final as FinalMessage
from tester.pbx import incoming

_GREETING_SECONDS = 10
# Recorded hosts let a step ring for 14 or 15 seconds.
_STEP_SECONDS = 14

# Each of the pairs below: what happens, then what it comes to. The seconds of the one give the length of the other.


def _group(cast: Cast) -> tuple[str, ...]:
    """Who rings, each once."""
    return tuple(dict.fromkeys(cast.given(roles.MANAGER, roles.ALSO_RINGS_1, roles.ALSO_RINGS_2)))


def _greeting_answered(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=_GREETING_SECONDS)
    call.ring(*_group(cast))
    host.wait(5)
    call.answer(cast[roles.MANAGER])
    host.wait(12)
    call.end(by_customer=False)


def _greeting_answered_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.MANAGER]), _GREETING_SECONDS + 5 + 12)


def _greeting_missed(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=_GREETING_SECONDS)
    call.ring(*_group(cast))
    host.wait(13)
    call.end()


def _answered(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[roles.PHONE], cast[roles.LINE])
    call.ring(*_group(cast))
    host.wait(4)
    call.answer(cast[roles.MANAGER])
    host.wait(9)
    call.end(by_customer=False)


def _answered_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.MANAGER]), 4 + 9)


def _missed(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[roles.PHONE], cast[roles.LINE])
    call.ring(*_group(cast))
    host.wait(20)
    call.end()


def _missed_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return missed(cast, _group(cast))


def _steps(cast: Cast) -> tuple[tuple[str, ...], ...]:
    """Who rings in each step: one more each time."""
    people = tuple(dict.fromkeys(cast.given(roles.RINGS_FIRST, roles.MANAGER, roles.ALSO_RINGS_2)))
    return tuple(people[: count + 1] for count in range(len(people)))


def _in_steps(host: Host, cast: Cast) -> None:
    call = incoming(host, cast[roles.PHONE], cast[roles.LINE])
    first, *further = _steps(cast)
    call.ring(*first)
    for step in further:
        host.wait(_STEP_SECONDS)
        call.ring(*step)
    host.wait(4)
    call.answer(cast[roles.MANAGER], called_first=False)
    host.wait(9)
    call.end(by_customer=False)


def _in_steps_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.MANAGER]), _STEP_SECONDS * (len(_steps(cast)) - 1) + 4 + 9)


_GROUP_ROLES = (roles.PHONE, roles.LINE, roles.MANAGER, roles.ALSO_RINGS_1, roles.ALSO_RINGS_2)

INCOMING: Final[tuple[Pattern, ...]] = (
    Pattern(
        key="2-1",
        title={
            "ru": "Входящий на группу с приветствием: ответил менеджер",
            "en": "Incoming to a group with a greeting: the manager answers",
        },
        description={
            "ru": "Клиент слушает приветствие, потом звонят телефоны группы, трубку берёт менеджер. В чате: звонок, дозвон, разговор и "
            "«Завершен» с менеджером.",
            "en": "The customer hears a greeting, then the telephones of a group ring and the manager answers. The chat shows the call, "
            "who rings, the talk, and “Ended” with the manager.",
        },
        roles=_GROUP_ROLES,
        perform=_greeting_answered,
        finals=_greeting_answered_finals,
    ),
    Pattern(
        key="2-2",
        title={"ru": "Входящий на группу с приветствием: никто не ответил", "en": "Incoming to a group with a greeting: nobody answers"},
        description={
            "ru": "Клиент слушает приветствие, потом звонят телефоны группы, никто не берёт трубку, и клиент кладёт свою. В чате: «Не "
            "отвечен» со всеми, у кого звонило.",
            "en": "The customer hears a greeting, then the telephones of a group ring, nobody answers and the customer hangs up. The "
            "chat shows “Not answered” with everybody who rang.",
        },
        roles=_GROUP_ROLES,
        perform=_greeting_missed,
        finals=_missed_finals,
    ),
    Pattern(
        key="2-3",
        title={
            "ru": "Входящий на группу без приветствия: ответил менеджер",
            "en": "Incoming to a group without a greeting: the manager answers",
        },
        description={
            "ru": "Телефоны группы звонят сразу, трубку берёт менеджер. В чате: сразу дозвон, потом разговор и «Завершен» с менеджером.",
            "en": "The telephones of a group ring at once and the manager answers. The chat begins with who rings, then shows the talk "
            "and “Ended” with the manager.",
        },
        roles=_GROUP_ROLES,
        perform=_answered,
        finals=_answered_finals,
    ),
    Pattern(
        key="2-4",
        title={
            "ru": "Входящий на группу без приветствия: никто не ответил",
            "en": "Incoming to a group without a greeting: nobody answers",
        },
        description={
            "ru": "Телефоны группы звонят сразу, никто не берёт трубку, и клиент кладёт свою. В чате: сразу дозвон, потом «Не отвечен» "
            "со всеми, у кого звонило.",
            "en": "The telephones of a group ring at once, nobody answers and the customer hangs up. The chat begins with who rings, "
            "then shows “Not answered” with everybody who rang.",
        },
        roles=_GROUP_ROLES,
        perform=_missed,
        finals=_missed_finals,
    ),
    Pattern(
        key="2-12",
        title={"ru": "Входящий по шагам: ответил менеджер", "en": "Incoming in ring steps: the manager answers"},
        description={
            "ru": "Сначала звонит один телефон, каждые 14 секунд добавляется ещё один; отвечает менеджер, добавленный вторым. В чате: "
            "список в дозвоне растёт, в конце «Завершен» с менеджером.",
            "en": "One telephone rings first, another one is added every 14 seconds; the manager, who was added second, answers. The "
            "chat shows a growing list of those who ring, and at the end “Ended” with the manager.",
        },
        roles=(roles.PHONE, roles.LINE, roles.RINGS_FIRST, roles.MANAGER, roles.ALSO_RINGS_2),
        perform=_in_steps,
        finals=_in_steps_finals,
    ),
)
