"""Incoming calls that also ring at a manager's mobile: 2-5 … 2-11, 2-13 … 2-17."""

from typing import Final

from tester.host import ActKind, Host
from tester.patterns import roles
from tester.patterns.endings import answered, missed
from tester.patterns.mobile_words import DESCRIPTIONS, TITLES
from tester.patterns.pattern import Cast, Pattern, mobile
from tester.patterns.pattern import Final as FinalMessage
from tester.pbx import Talk, incoming
from tester.pbx_mobile import MobileLeg

# Recorded hosts let a step ring for 14 or 15 seconds.
_STEP_SECONDS = 14
_TALK_SECONDS = 9


# What the calls have in common.


def _call(host: Host, cast: Cast, *, greeting_seconds: int = 0) -> Talk:
    return incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=greeting_seconds)


def _backup_lines(cast: Cast) -> tuple[str, ...]:
    """The lines on which the mobile is tried after the customer's own, which is taken by him."""
    return tuple(line for line in cast.given(roles.MOBILE_LINE) if line != cast[roles.LINE])


def _group(cast: Cast) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cast.given(roles.MANAGER, roles.MOBILE, roles.ALSO_RINGS_1, roles.ALSO_RINGS_2)))


def _ring_group(call: Talk, cast: Cast) -> None:
    call.ring(*_group(cast))


def _ring_mobile(call: Talk, cast: Cast) -> MobileLeg:
    return call.ring_mobile(cast[roles.MOBILE], *_backup_lines(cast))


def _mobile_answers(call: Talk, cast: Cast, *, ring_seconds: int) -> None:
    call.mobile_answers(cast[roles.MOBILE], *_backup_lines(cast), ring_seconds=ring_seconds)


def _ring_in_steps(call: Talk, cast: Cast) -> None:
    """One telephone, then the manager's too, then his mobile as well."""
    first, manager = cast[roles.RINGS_FIRST], cast[roles.MANAGER]
    for step in ((first,), (first, manager)):
        call.ring(*step)
        call.host.wait(_STEP_SECONDS)
    call.ring(first, cast[roles.MOBILE], manager)


def _taken_inside(call: Talk, cast: Cast) -> None:
    """The group and the mobile ring, the manager takes it at his desk, and the mobile stops ringing."""
    _ring_group(call, cast)
    leg = _ring_mobile(call, cast)
    call.host.wait(6)
    call.answer(cast[roles.MANAGER])
    leg.give_up()


def _mobile_refused(call: Talk, cast: Cast) -> None:
    """The group and the mobile ring, the mobile is refused, and then the manager takes it at his desk."""
    _ring_group(call, cast)
    leg = _ring_mobile(call, cast)
    call.host.wait(5)
    call.host.act(ActKind.REFUSE, cast[roles.MOBILE], cast[roles.PHONE])
    leg.give_up()
    call.host.wait(1)
    call.answer(cast[roles.MANAGER], called_first=False)


def _shown(cast: Cast) -> str:
    return cast.shown(cast[roles.MANAGER])


def _handed_on(cast: Cast) -> str:
    return f"{_shown(cast)} → {cast.shown(cast[roles.SECOND])}"


# Each of the pairs below: what happens, then what it comes to. The seconds of the one give the length of the other.


def _group_mobile(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _ring_group(call, cast)
    _mobile_answers(call, cast, ring_seconds=8)
    host.wait(_TALK_SECONDS)
    call.end(by_customer=False, hangup=False)


def _mobile_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, mobile(cast[roles.MOBILE]), None)


def _group_inside(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _taken_inside(call, cast)
    host.wait(_TALK_SECONDS)
    call.end(by_customer=False)


def _group_inside_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 6 + _TALK_SECONDS)


def _refused(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _taken_inside(call, cast)
    host.wait(_TALK_SECONDS)
    call.attend(cast[roles.SECOND], accepted=False, ring_seconds=5, word_seconds=8)
    host.wait(8)
    call.end(by_customer=False)


def _refused_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 6 + _TALK_SECONDS + 5 + 8 + 8)


def _accepted(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _taken_inside(call, cast)
    host.wait(_TALK_SECONDS)
    call.attend(cast[roles.SECOND], accepted=True, ring_seconds=5, word_seconds=6)
    host.wait(10)
    call.end(by_customer=False)


def _accepted_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.SECOND]), 6 + _TALK_SECONDS + 5 + 6 + 10, transfers=_handed_on(cast))


def _not_picked_up(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _mobile_refused(call, cast)
    host.wait(_TALK_SECONDS)
    call.attend(cast[roles.SECOND], accepted=False, picked_up=False, ring_seconds=28)
    host.wait(6)
    call.end(by_customer=False)


def _not_picked_up_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 6 + _TALK_SECONDS + 28 + 6)


def _blind(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _mobile_refused(call, cast)
    host.wait(_TALK_SECONDS)
    call.blind(cast[roles.SECOND], answered=True, ring_seconds=6)
    host.wait(10)
    call.end(by_customer=False)


def _blind_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.SECOND]), 6 + _TALK_SECONDS + 6 + 10, transfers=_handed_on(cast))


def _blind_lost(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _mobile_refused(call, cast)
    host.wait(_TALK_SECONDS)
    call.blind(cast[roles.SECOND], answered=False, ring_seconds=30)
    call.end()


def _blind_lost_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 6 + _TALK_SECONDS + 30)


def _steps_inside(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _ring_in_steps(call, cast)
    leg = _ring_mobile(call, cast)
    host.wait(6)
    call.answer(cast[roles.MANAGER], between=leg.give_up)
    host.wait(_TALK_SECONDS)
    call.end(by_customer=False)


def _steps_inside_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 2 * _STEP_SECONDS + 6 + _TALK_SECONDS)


def _steps_mobile(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _ring_in_steps(call, cast)
    _mobile_answers(call, cast, ring_seconds=8)
    host.wait(_TALK_SECONDS)
    call.end(by_customer=False, hangup=False)


def _steps_missed(host: Host, cast: Cast) -> None:
    call = _call(host, cast)
    _ring_in_steps(call, cast)
    leg = _ring_mobile(call, cast)
    host.wait(22)
    leg.give_up()
    call.end()


def _steps_missed_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return missed(cast, dict.fromkeys(cast.given(roles.RINGS_FIRST, roles.MANAGER)))


def _ring_department(call: Talk, cast: Cast) -> None:
    """A department: its first telephone, then, instead of it, the manager's and his mobile."""
    call.ring(f"SIP/{cast[roles.RINGS_FIRST]}")
    call.host.wait(_STEP_SECONDS)
    call.ring(f"SIP/{cast[roles.MANAGER]}", cast[roles.MOBILE])


def _department_inside(host: Host, cast: Cast) -> None:
    call = _call(host, cast, greeting_seconds=8)
    _ring_department(call, cast)
    leg = _ring_mobile(call, cast)
    host.wait(5)
    call.answer(cast[roles.MANAGER])
    leg.give_up()
    host.wait(_TALK_SECONDS)
    call.end(by_customer=False)


def _department_inside_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, _shown(cast), 8 + _STEP_SECONDS + 5 + _TALK_SECONDS)


def _department_mobile(host: Host, cast: Cast) -> None:
    call = _call(host, cast, greeting_seconds=8)
    _ring_department(call, cast)
    _mobile_answers(call, cast, ring_seconds=9)
    host.wait(_TALK_SECONDS)
    call.end()


def _department_mobile_finals(cast: Cast) -> tuple[FinalMessage, ...]:
    return answered(cast, mobile(cast[roles.MOBILE]), 8 + _STEP_SECONDS + 9 + _TALK_SECONDS)


_LINES = (roles.LINE, roles.MOBILE_LINE)
_GROUP = (roles.PHONE, *_LINES, roles.MANAGER, roles.MOBILE, roles.ALSO_RINGS_1, roles.ALSO_RINGS_2)
_TRANSFERRED = (roles.PHONE, *_LINES, roles.MANAGER, roles.SECOND, roles.MOBILE, roles.ALSO_RINGS_1)
_STEPS = (roles.PHONE, *_LINES, roles.RINGS_FIRST, roles.MANAGER, roles.MOBILE)

MOBILE: Final[tuple[Pattern, ...]] = tuple(
    Pattern(key=key, title=TITLES[key], description=DESCRIPTIONS[key], roles=cast, perform=perform, finals=finals)
    for key, cast, perform, finals in (
        ("2-5", _GROUP, _group_mobile, _mobile_finals),
        ("2-6", _GROUP, _group_inside, _group_inside_finals),
        ("2-7", _TRANSFERRED, _refused, _refused_finals),
        ("2-8", _TRANSFERRED, _accepted, _accepted_finals),
        ("2-9", _TRANSFERRED, _not_picked_up, _not_picked_up_finals),
        ("2-10", _TRANSFERRED, _blind, _blind_finals),
        ("2-11", _TRANSFERRED, _blind_lost, _blind_lost_finals),
        ("2-13", _STEPS, _steps_inside, _steps_inside_finals),
        ("2-14", _STEPS, _steps_mobile, _mobile_finals),
        ("2-15", _STEPS, _steps_missed, _steps_missed_finals),
        ("2-16", _STEPS, _department_inside, _department_inside_finals),
        ("2-17", _STEPS, _department_mobile, _department_mobile_finals),
    )
)
