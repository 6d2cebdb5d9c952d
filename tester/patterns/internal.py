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
        title={"ru": "Внутренний, коллега ответил", "en": "Internal, answered"},
        description={
            "ru": "Сотрудник звонит коллеге, тот отвечает. Сообщение появляется с разговором; в чате «Завершен (внутр.)» с длительностью.",
            "en": "A colleague calls a colleague, who answers. The message appears with the talk; the chat shows “Ended (internal)” with"
            " the length.",
        },
        roles=(CALLER, CALLEE),
        perform=_answered,
        finals=_answered_finals,
    ),
    Pattern(
        key="3-2",
        title={"ru": "Внутренний, коллега не ответил", "en": "Internal, not answered"},
        description={
            "ru": "Сотрудник звонит коллеге, тот не снимает трубку; приходит только отбой. В чате «Не отвечен (внутр.)».",
            "en": "A colleague calls a colleague, who does not pick up; only a hangup comes. The chat shows “Not answered (internal)”.",
        },
        roles=(CALLER, CALLEE),
        perform=_not_answered,
        finals=_not_answered_finals,
    ),
    Pattern(
        key="3-3",
        title={"ru": "Внутренний в отдел, ответили", "en": "Internal to a department, answered"},
        description={
            "ru": "Сотрудник звонит в отдел, звонит у всех, один отвечает. Отбой выглядит как входящий (CallType 0); в чате"
            " «Завершен (внутр.)» с тем, кто ответил.",
            "en": "A colleague calls a department, all its telephones ring, one answers. The hangup looks like an incoming one"
            " (CallType 0); the chat shows “Ended (internal)” with who answered.",
        },
        roles=_DEPARTMENT,
        perform=_department,
        finals=_department_finals,
    ),
    Pattern(
        key="3-4",
        title={"ru": "Внутренний в отдел, никто не ответил", "en": "Internal to a department, nobody answered"},
        description={
            "ru": "Сотрудник звонит в отдел, никто не отвечает; приходит только отбой, который никого не называет. В чате"
            " «Не отвечен (внутр.)» с тем, кто звонил.",
            "en": "A colleague calls a department, nobody answers; only a hangup comes, and it names nobody. The chat shows"
            " “Not answered (internal)” with who called.",
        },
        roles=_DEPARTMENT,
        perform=_department_silent,
        finals=_department_silent_finals,
    ),
)
