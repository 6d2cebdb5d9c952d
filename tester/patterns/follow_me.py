"""Incoming calls that are handed on to a follow-me number: 2-23 … 2-30.

The number rings a colleague for a quarter of a minute, then his mobile as well. Whatever it rings is part of the customer's call: one
message, in which neither the number nor a mobile that did not take the customer appears.
"""

from typing import Final

import attrs

from tester import pbx
from tester.host import Host
from tester.patterns import roles
from tester.patterns.follow_me_steps import Question, Route, Sent, ask, send
from tester.patterns.pattern import Cast, Ending, Pattern, mobile
from tester.patterns.pattern import Final as Owed
from tester.pbx import Talk

_ROLES = (
    roles.PHONE,
    roles.LINE,
    roles.MANAGER,
    roles.SECOND,
    roles.MOBILE,
    roles.FOLLOW_ME,
    attrs.evolve(roles.BACKUP_LINE, is_optional=True),
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
        backup_lines=cast.given(roles.BACKUP_LINE),
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


def _with_manager(cast: Cast, *, seconds: int) -> tuple[Owed, ...]:
    customer, manager = cast.customer(cast[roles.PHONE]), cast.shown(cast[roles.MANAGER])
    return (Owed(ending=Ending.ANSWERED, left=customer, right=manager, seconds=seconds),)


def _with_second(cast: Cast, *, seconds: int) -> tuple[Owed, ...]:
    return _moved(cast, cast.shown(cast[roles.SECOND]), seconds)


def _with_mobile(cast: Cast, *, seconds: int | None) -> tuple[Owed, ...]:
    return _moved(cast, mobile(cast[roles.MOBILE]), seconds)


def _moved(cast: Cast, taker: str, seconds: int | None) -> tuple[Owed, ...]:
    customer, manager = cast.customer(cast[roles.PHONE]), cast.shown(cast[roles.MANAGER])
    return (Owed(ending=Ending.ANSWERED, left=customer, right=taker, seconds=seconds, transfers=f"{manager} → {taker}"),)


FOLLOW_ME: Final[tuple[Pattern, ...]] = (
    Pattern(
        key="2-23",
        title={
            "ru": "Входящий: FollowMe с запросом, приняли на мобильном",
            "en": "Incoming: attended to follow-me, accepted on the mobile",
        },
        description={
            "ru": (
                "Менеджер отвечает клиенту и спрашивает номер FollowMe: звонит телефон второго менеджера, через 15 секунд и его "
                "мобильный. Второй отвечает по мобильному и забирает клиента. Одно сообщение: в итоге 📱 мобильный, 🔀 от менеджера к "
                "мобильному."
            ),
            "en": (
                "The manager answers the customer and asks at the follow-me number: the second manager's telephone rings, after 15 "
                "seconds his mobile too. He answers on the mobile and takes the customer. One message: the final names the 📱 mobile, with "
                "🔀 from the manager to it."
            ),
        },
        roles=_ROLES,
        perform=_asked_and_accepted_on_mobile,
        finals=lambda cast: _with_mobile(cast, seconds=46),
    ),
    Pattern(
        key="2-24",
        title={
            "ru": "Входящий: FollowMe с запросом, на мобильном отказались",
            "en": "Incoming: attended to follow-me, refused on the mobile",
        },
        description={
            "ru": (
                "Как 2-23, но второй менеджер, ответив по мобильному, клиента не берёт, и первый возвращается к клиенту. Одно сообщение: "
                "в итоге первый менеджер, без 🔀; мобильный нигде не назван."
            ),
            "en": (
                "As 2-23, but the second manager answers on his mobile and does not take the customer, so the first one returns to him. "
                "One message: the final names the first manager, without 🔀; the mobile is not mentioned."
            ),
        },
        roles=_ROLES,
        perform=_asked_and_refused_on_mobile,
        finals=lambda cast: _with_manager(cast, seconds=44),
    ),
    Pattern(
        key="2-25",
        title={
            "ru": "Входящий: FollowMe с запросом, приняли на внутреннем",
            "en": "Incoming: attended to follow-me, accepted at the desk",
        },
        description={
            "ru": (
                "Как 2-23, но второй менеджер берёт трубку на рабочем месте, пока звонит и мобильный, и забирает клиента. Одно сообщение: "
                "в итоге второй менеджер, 🔀 от первого ко второму; мобильный нигде не назван."
            ),
            "en": (
                "As 2-23, but the second manager answers at his desk while the mobile rings too, and takes the customer. One message: the "
                "final names the second manager, with 🔀 from the first to the second; the mobile is not mentioned."
            ),
        },
        roles=_ROLES,
        perform=_asked_and_accepted_at_desk,
        finals=lambda cast: _with_second(cast, seconds=45),
    ),
    Pattern(
        key="2-26",
        title={
            "ru": "Входящий: FollowMe с запросом, на внутреннем отказались",
            "en": "Incoming: attended to follow-me, refused at the desk",
        },
        description={
            "ru": (
                "Как 2-25, но второй менеджер клиента не берёт, и первый возвращается к клиенту. Одно сообщение: в итоге первый менеджер, "
                "без 🔀."
            ),
            "en": (
                "As 2-25, but the second manager does not take the customer, so the first one returns to him. One message: the final "
                "names the first manager, without 🔀."
            ),
        },
        roles=_ROLES,
        perform=_asked_and_refused_at_desk,
        finals=lambda cast: _with_manager(cast, seconds=43),
    ),
    Pattern(
        key="2-27",
        title={
            "ru": "Входящий: FollowMe без запроса, ответили на внутреннем",
            "en": "Incoming: blind to follow-me, answered at the desk",
        },
        description={
            "ru": (
                "Менеджер отвечает клиенту и переводит его без запроса на номер FollowMe: звонит телефон второго менеджера, через 15 "
                "секунд и его мобильный; второй берёт трубку на рабочем месте. Одно сообщение: в итоге второй менеджер, 🔀 от первого ко "
                "второму."
            ),
            "en": (
                "The manager answers the customer and transfers him blindly to the follow-me number: the second manager's telephone "
                "rings, after 15 seconds his mobile too; he answers at his desk. One message: the final names the second manager, with 🔀 "
                "from the first to the second."
            ),
        },
        roles=_ROLES,
        perform=_sent_and_taken_at_desk,
        finals=lambda cast: _with_second(cast, seconds=40),
    ),
    Pattern(
        key="2-28",
        title={
            "ru": "Входящий: FollowMe без запроса, ответили на мобильном",
            "en": "Incoming: blind to follow-me, answered on the mobile",
        },
        description={
            "ru": (
                "Как 2-27, но второй менеджер отвечает по мобильному. Последний hangup самого звонка хост не присылает, поэтому итог "
                "появляется через несколько секунд после разговора. Одно сообщение: в итоге 📱 мобильный, 🔀 от менеджера к мобильному, "
                "длительность любая."
            ),
            "en": (
                "As 2-27, but the second manager answers on his mobile. The host never sends the hangup of the call itself, so the final "
                "comes a few seconds after the talk. One message: the final names the 📱 mobile, with 🔀 from the manager to it, of any "
                "length."
            ),
        },
        roles=_ROLES,
        perform=_sent_and_taken_on_mobile,
        finals=lambda cast: _with_mobile(cast, seconds=None),
    ),
    Pattern(
        key="2-29",
        title={
            "ru": "Входящий: FollowMe без запроса, никто не ответил",
            "en": "Incoming: blind to follow-me, nobody answers",
        },
        description={
            "ru": (
                "Как 2-27, но не отвечает никто, и звонок теряется. Разговор с первым менеджером был, поэтому звонок не пропущен. Одно "
                "сообщение: в итоге ✅ и первый менеджер, без 🔀."
            ),
            "en": (
                "As 2-27, but nobody answers, and the call is lost. The first manager did talk with the customer, so it is not a missed "
                "call. One message: the final says ✅ and names the first manager, without 🔀."
            ),
        },
        roles=_ROLES,
        perform=_sent_and_lost,
        finals=lambda cast: _with_manager(cast, seconds=55),
    ),
    Pattern(
        key="2-30",
        title={
            "ru": "Входящий: FollowMe с запросом, никто не ответил",
            "en": "Incoming: attended to follow-me, nobody answers",
        },
        description={
            "ru": (
                "Менеджер спрашивает номер FollowMe, но не отвечают ни телефон второго менеджера, ни его мобильный; первый возвращается к "
                "клиенту. Одно сообщение: в итоге первый менеджер, без 🔀."
            ),
            "en": (
                "The manager asks at the follow-me number, but neither the second manager's telephone nor his mobile is answered; the "
                "first one returns to the customer. One message: the final names the first manager, without 🔀."
            ),
        },
        roles=_ROLES,
        perform=_asked_in_vain,
        finals=lambda cast: _with_manager(cast, seconds=45),
    ),
)
