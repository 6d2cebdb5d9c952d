"""Incoming calls that are handed on to a follow-me number: 2-23 … 2-30.

The number rings a colleague for a quarter of a minute, then his mobile as well. Whatever it rings is part of the customer's call: one
message, in which neither the number nor a mobile that did not take the customer appears.
"""

from functools import partial
from typing import Final

from tester import pbx
from tester.host import Host
from tester.patterns import roles
from tester.patterns.endings import answered
from tester.patterns.follow_me_steps import Question, Route, Sent, ask, send
from tester.patterns.pattern import Cast, Pattern, mobile
from tester.patterns.pattern import Final as FinalMessage
from tester.patterns.transfer_words import DESCRIPTIONS, TITLES
from tester.pbx import Talk

_ROLES = (
    roles.PHONE,
    roles.LINE,
    roles.MOBILE_LINE,
    roles.MANAGER,
    roles.SECOND,
    roles.MOBILE,
    roles.FOLLOW_ME,
    roles.ALSO_RINGS_1,
)
_STEP_SECONDS = 15
_PICKED_UP_AFTER_SECONDS = 8


def _talk_with_manager(host: Host, cast: Cast) -> Talk:
    """A customer calls, the manager answers and talks with him. 10 s in all."""
    talk = pbx.incoming(host, cast[roles.PHONE], cast[roles.LINE], greeting_seconds=1)
    talk.ring(*cast.given(roles.MANAGER, roles.SECOND, roles.ALSO_RINGS_1))
    host.wait(3)
    talk.answer(cast[roles.MANAGER])
    host.wait(6)
    return talk


def _route(cast: Cast) -> Route:
    return Route(
        number=cast[roles.FOLLOW_ME],
        colleague=cast[roles.SECOND],
        mobile=cast[roles.MOBILE],
        # The customer's own line is taken by him.
        backup_lines=tuple(line for line in cast.given(roles.MOBILE_LINE) if line != cast[roles.LINE]),
    )


def _ask_both(host: Host, cast: Cast) -> tuple[Talk, Question]:
    """The manager asks at the number until the mobile rings too. 25 s in all."""
    talk = _talk_with_manager(host, cast)
    question = ask(talk, _route(cast))
    host.wait(_STEP_SECONDS)
    question.ring_mobile()
    return talk, question


def _send_to_both(host: Host, cast: Cast) -> tuple[Talk, Sent]:
    """The manager hands over to the number, and by now the mobile rings too. 25 s in all."""
    talk = _talk_with_manager(host, cast)
    sent = send(talk, _route(cast))
    host.wait(_STEP_SECONDS)
    sent.ring_mobile()
    return talk, sent


def _asked_and_accepted_on_mobile(host: Host, cast: Cast) -> None:
    talk, question = _ask_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    question.answer_on_mobile()
    host.wait(5)
    question.hand_over()
    host.wait(8)
    talk.end(by_customer=False)


def _asked_and_refused_on_mobile(host: Host, cast: Cast) -> None:
    talk, question = _ask_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    question.answer_on_mobile()
    host.wait(5)
    question.refuse()
    host.wait(6)
    talk.end(by_customer=False)


def _asked_and_accepted_at_desk(host: Host, cast: Cast) -> None:
    talk, question = _ask_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    question.answer_at_desk()
    host.wait(5)
    question.hand_over()
    host.wait(7)
    talk.end()


def _asked_and_refused_at_desk(host: Host, cast: Cast) -> None:
    talk, question = _ask_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    question.answer_at_desk()
    host.wait(4)
    question.refuse()
    host.wait(6)
    talk.end(by_customer=False)


def _sent_and_taken_at_desk(host: Host, cast: Cast) -> None:
    talk, sent = _send_to_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    sent.answer_at_desk()
    host.wait(7)
    talk.end(by_customer=False)


def _sent_and_taken_on_mobile(host: Host, cast: Cast) -> None:
    talk, sent = _send_to_both(host, cast)
    host.wait(_PICKED_UP_AFTER_SECONDS)
    sent.answer_on_mobile()
    host.wait(9)
    # Hosts of the build that answers so send the mobile's hangup and never the call's own.
    talk.end(by_customer=False, hangup=False)


def _sent_and_lost(host: Host, cast: Cast) -> None:
    talk, _ = _send_to_both(host, cast)
    host.wait(30)
    talk.end()


def _asked_in_vain(host: Host, cast: Cast) -> None:
    talk, question = _ask_both(host, cast)
    host.wait(14)
    question.give_up()
    host.wait(6)
    talk.end(by_customer=False)


def _with_manager(cast: Cast, *, seconds: int) -> tuple[FinalMessage, ...]:
    return answered(cast, cast.shown(cast[roles.MANAGER]), seconds)


def _with_second(cast: Cast, *, seconds: int) -> tuple[FinalMessage, ...]:
    return _moved(cast, cast.shown(cast[roles.SECOND]), seconds)


def _with_mobile(cast: Cast, *, seconds: int | None) -> tuple[FinalMessage, ...]:
    return _moved(cast, mobile(cast[roles.MOBILE]), seconds)


def _moved(cast: Cast, taker: str, seconds: int | None) -> tuple[FinalMessage, ...]:
    return answered(cast, taker, seconds, transfers=f"{cast.shown(cast[roles.MANAGER])} → {taker}")


FOLLOW_ME: Final[tuple[Pattern, ...]] = tuple(
    Pattern(key=key, title=TITLES[key], description=DESCRIPTIONS[key], roles=_ROLES, perform=perform, finals=finals)
    for key, perform, finals in (
        ("2-23", _asked_and_accepted_on_mobile, partial(_with_mobile, seconds=46)),
        ("2-24", _asked_and_refused_on_mobile, partial(_with_manager, seconds=44)),
        ("2-25", _asked_and_accepted_at_desk, partial(_with_second, seconds=45)),
        ("2-26", _asked_and_refused_at_desk, partial(_with_manager, seconds=43)),
        ("2-27", _sent_and_taken_at_desk, partial(_with_second, seconds=40)),
        ("2-28", _sent_and_taken_on_mobile, partial(_with_mobile, seconds=None)),
        ("2-29", _sent_and_lost, partial(_with_manager, seconds=55)),
        ("2-30", _asked_in_vain, partial(_with_manager, seconds=45)),
    )
)
