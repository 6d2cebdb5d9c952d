"""Calls among colleagues and to a department: 3-1 … 3-4."""

from typing import Final as Constant

from tester.host import Host
from tester.patterns.department_steps import call_department
from tester.patterns.pattern import Cast, Ending, Final, Pattern
from tester.patterns.roles import ALSO_RINGS_1, ALSO_RINGS_2, CALLEE, CALLER, DEPARTMENT, MANAGER
from tester.pbx import internal

_DEPARTMENT = (CALLER, DEPARTMENT, MANAGER, ALSO_RINGS_1, ALSO_RINGS_2)


def _answered(host: Host, cast: Cast) -> None:
    internal(host, cast[CALLER], cast[CALLEE], ring_seconds=5, talk_seconds=12)


def _answered_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.INTERNAL_ANSWERED, left=cast.shown(cast[CALLER]), right=cast.shown(cast[CALLEE]), seconds=17),)


def _not_answered(host: Host, cast: Cast) -> None:
    internal(host, cast[CALLER], cast[CALLEE], ring_seconds=7, talk_seconds=None)


def _not_answered_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.INTERNAL_MISSED, left=cast.shown(cast[CALLER]), right=cast.shown(cast[CALLEE])),)


def _department(host: Host, cast: Cast) -> None:
    members = cast.given(MANAGER, ALSO_RINGS_1, ALSO_RINGS_2)
    call_department(host, cast[CALLER], cast[DEPARTMENT], members, ring_seconds=6, talk_seconds=12)


def _department_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.INTERNAL_ANSWERED, left=cast.shown(cast[CALLER]), right=cast.shown(cast[MANAGER]), seconds=18),)


def _department_silent(host: Host, cast: Cast) -> None:
    members = cast.given(MANAGER, ALSO_RINGS_1, ALSO_RINGS_2)
    call_department(host, cast[CALLER], cast[DEPARTMENT], members, ring_seconds=20, talk_seconds=None)


def _department_silent_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.INTERNAL_MISSED, left=cast.shown(cast[CALLER])),)


INTERNAL: Constant[tuple[Pattern, ...]] = (
    Pattern(
        key="3-1",
        title={"ru": "Внутренний: коллега ответил", "en": "Internal: the colleague answers"},
        description={
            "ru": "Сотрудник звонит коллеге, тот отвечает. Сообщение появляется, когда они говорят. В чате: «Завершен (внутр.)» с "
            "обоими и длительностью.",
            "en": "A colleague calls a colleague, who answers. The message appears when they talk. The chat shows “Ended (internal)” "
            "with both and the length.",
        },
        roles=(CALLER, CALLEE),
        perform=_answered,
        finals=_answered_finals,
    ),
    Pattern(
        key="3-2",
        title={"ru": "Внутренний: коллега не ответил", "en": "Internal: the colleague does not answer"},
        description={
            "ru": "Сотрудник звонит коллеге, тот не берёт трубку; приходит только завершение. В чате: «Не отвечен (внутр.)» с обоими.",
            "en": "A colleague calls a colleague, who does not pick up; only a hangup comes. The chat shows “Not answered (internal)” "
            "with both.",
        },
        roles=(CALLER, CALLEE),
        perform=_not_answered,
        finals=_not_answered_finals,
    ),
    Pattern(
        key="3-3",
        title={"ru": "Внутренний в отдел: ответил менеджер", "en": "Internal to a department: the manager answers"},
        description={
            "ru": "Сотрудник звонит в отдел, звонит у всех, отвечает менеджер. Завершение выглядит как у входящего (CallType 0). В "
            "чате: «Завершен (внутр.)» со звонившим и менеджером.",
            "en": "A colleague calls a department, all its telephones ring, the manager answers. The hangup looks like an incoming one "
            "(CallType 0). The chat shows “Ended (internal)” with the caller and the manager.",
        },
        roles=_DEPARTMENT,
        perform=_department,
        finals=_department_finals,
    ),
    Pattern(
        key="3-4",
        title={"ru": "Внутренний в отдел: никто не ответил", "en": "Internal to a department: nobody answers"},
        description={
            "ru": "Сотрудник звонит в отдел, звонит у всех, никто не отвечает; приходит только завершение, которое никого не называет. "
            "В чате: «Не отвечен (внутр.)» со звонившим.",
            "en": "A colleague calls a department, all its telephones ring, nobody answers; only a hangup comes, which names nobody. "
            "The chat shows “Not answered (internal)” with the caller.",
        },
        roles=_DEPARTMENT,
        perform=_department_silent,
        finals=_department_silent_finals,
    ),
)
