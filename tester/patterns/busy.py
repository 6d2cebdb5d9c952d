"""Incoming calls that are handed on twice, or to a colleague who is talking: 2-18 … 2-22.

That a colleague is talking is told by nothing but his own call, which goes on beside that of the customer: two calls, two messages. Hosts
were recorded with 2-18, 2-19 and 2-20; 2-21 and 2-22 are the same transfers to the same colleague, who takes the customer.
"""

from functools import partial
from typing import Final

from tester import pbx
from tester.host import Host
from tester.patterns import roles
from tester.patterns.colleagues import Chat, chat
from tester.patterns.endings import answered
from tester.patterns.pattern import Cast, Ending, Pattern
from tester.patterns.pattern import Final as FinalMessage
from tester.patterns.transfer_words import DESCRIPTIONS, TITLES
from tester.pbx import Talk

_ROLES = (roles.PHONE, roles.LINE, roles.MANAGER, roles.SECOND, roles.THIRD)


def _hand_on_twice(host: Host, cast: Cast) -> None:
    talk = pbx.incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=1)
    talk.ring(*cast.given(roles.MANAGER, roles.SECOND, roles.THIRD))
    host.wait(4)
    talk.answer(cast[roles.MANAGER], called_first=False)
    host.wait(8)
    talk.attend(cast[roles.SECOND], accepted=True, ring_seconds=4, word_seconds=6)
    host.wait(9)
    talk.attend(cast[roles.THIRD], accepted=True, ring_seconds=3, word_seconds=7)
    host.wait(8)
    talk.end(by_customer=False)


def _beside_a_talk(host: Host, cast: Cast) -> tuple[Talk, Chat]:
    """The third one calls the second, who answers; then a customer calls, the manager answers and talks for 8 s. 21 s in all."""
    colleagues = chat(host, cast[roles.THIRD], cast[roles.SECOND], ring_seconds=4)
    host.wait(5)
    talk = pbx.incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=1)
    talk.ring(cast[roles.MANAGER])
    host.wait(3)
    talk.answer(cast[roles.MANAGER])
    host.wait(8)
    return talk, colleagues


def _send_to_busy(host: Host, cast: Cast) -> None:
    talk, colleagues = _beside_a_talk(host, cast)
    talk.blind(cast[roles.SECOND], answered=False, ring_seconds=25)
    talk.end()
    host.wait(6)
    colleagues.end()


def _ask_busy(host: Host, cast: Cast) -> None:
    talk, colleagues = _beside_a_talk(host, cast)
    talk.attend(cast[roles.SECOND], accepted=False, picked_up=False, ring_seconds=28)
    host.wait(7)
    talk.end(by_customer=False)
    host.wait(4)
    colleagues.end()


def _send_to_busy_who_answers(host: Host, cast: Cast) -> None:
    talk, colleagues = _beside_a_talk(host, cast)
    talk.blind(cast[roles.SECOND], answered=False, ring_seconds=10)
    colleagues.end()
    host.wait(2)
    talk.answer(cast[roles.SECOND])
    host.wait(9)
    talk.end()


def _ask_busy_who_takes_it(host: Host, cast: Cast) -> None:
    talk, colleagues = _beside_a_talk(host, cast)
    talk.attend(cast[roles.SECOND], accepted=True, ring_seconds=4, word_seconds=5, first=colleagues.hold)
    host.wait(9)
    talk.end()
    colleagues.resume()
    host.wait(6)
    colleagues.end()


def _handed_on(cast: Cast, *, seconds: int) -> tuple[FinalMessage, ...]:
    people = [cast.shown(cast[role]) for role in (roles.MANAGER, roles.SECOND, roles.THIRD)]
    return answered(cast, people[-1], seconds, transfers=" → ".join(people))


def _stayed(cast: Cast, *, seconds: int, colleagues_seconds: int) -> tuple[FinalMessage, ...]:
    return (*answered(cast, cast.shown(cast[roles.MANAGER]), seconds), _colleagues_talked(cast, colleagues_seconds))


def _moved(cast: Cast, *, seconds: int, colleagues_seconds: int) -> tuple[FinalMessage, ...]:
    manager, second = cast.shown(cast[roles.MANAGER]), cast.shown(cast[roles.SECOND])
    return (*answered(cast, second, seconds, transfers=f"{manager} → {second}"), _colleagues_talked(cast, colleagues_seconds))


def _colleagues_talked(cast: Cast, seconds: int) -> FinalMessage:
    caller, called = cast.shown(cast[roles.THIRD]), cast.shown(cast[roles.SECOND])
    return FinalMessage(ending=Ending.INTERNAL_ANSWERED, left=caller, right=called, seconds=seconds)


BUSY: Final[tuple[Pattern, ...]] = tuple(
    Pattern(key=key, title=TITLES[key], description=DESCRIPTIONS[key], roles=_ROLES, perform=perform, finals=finals)
    for key, perform, finals in (
        ("2-18", _hand_on_twice, partial(_handed_on, seconds=50)),
        ("2-19", _send_to_busy, partial(_stayed, seconds=37, colleagues_seconds=52)),
        ("2-20", _ask_busy, partial(_stayed, seconds=47, colleagues_seconds=60)),
        ("2-21", _send_to_busy_who_answers, partial(_moved, seconds=33, colleagues_seconds=31)),
        ("2-22", _ask_busy_who_takes_it, partial(_moved, seconds=30, colleagues_seconds=45)),
    )
)
