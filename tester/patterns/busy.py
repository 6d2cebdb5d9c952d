"""Incoming calls that are handed on twice, or to a colleague who is talking: 2-18 … 2-22.

That a colleague is talking is told by nothing but his own call, which goes on beside that of the customer: two calls, two messages. Hosts
were recorded with 2-18, 2-19 and 2-20; 2-21 and 2-22 are the same transfers to the same colleague, who takes the customer.
"""

from typing import Final

from tester import pbx
from tester.host import Host
from tester.patterns import roles
from tester.patterns.colleagues import Chat, chat
from tester.patterns.pattern import Cast, Ending, Pattern
from tester.patterns.pattern import Final as Owed
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
    talk.attend(cast[roles.SECOND], accepted=True, ring_seconds=4, word_seconds=5)
    host.wait(9)
    talk.end()
    host.wait(6)
    colleagues.end()


def _twice_handed_on(cast: Cast) -> tuple[Owed, ...]:
    people = (cast.shown(cast[role]) for role in (roles.MANAGER, roles.SECOND, roles.THIRD))
    customer, last = cast.customer(cast[roles.PHONE]), cast.shown(cast[roles.THIRD])
    return (Owed(ending=Ending.ANSWERED, left=customer, right=last, seconds=50, transfers=" → ".join(people)),)


def _stayed(cast: Cast, *, seconds: int, talk_seconds: int) -> tuple[Owed, ...]:
    customer, manager = cast.customer(cast[roles.PHONE]), cast.shown(cast[roles.MANAGER])
    return (
        _colleagues_talked(cast, talk_seconds),
        Owed(ending=Ending.ANSWERED, left=customer, right=manager, seconds=seconds),
    )


def _moved(cast: Cast, *, seconds: int, talk_seconds: int) -> tuple[Owed, ...]:
    customer, manager, second = cast.customer(cast[roles.PHONE]), cast.shown(cast[roles.MANAGER]), cast.shown(cast[roles.SECOND])
    return (
        _colleagues_talked(cast, talk_seconds),
        Owed(ending=Ending.ANSWERED, left=customer, right=second, seconds=seconds, transfers=f"{manager} → {second}"),
    )


def _colleagues_talked(cast: Cast, seconds: int) -> Owed:
    caller, called = cast.shown(cast[roles.THIRD]), cast.shown(cast[roles.SECOND])
    return Owed(ending=Ending.INTERNAL_ANSWERED, left=caller, right=called, seconds=seconds)


BUSY: Final[tuple[Pattern, ...]] = (
    Pattern(
        key="2-18",
        title={
            "ru": "Входящий: два перевода с запросом подряд",
            "en": "Incoming: two attended transfers, one after the other",
        },
        description={
            "ru": (
                "Клиенту отвечает менеджер, спрашивает второго и передаёт ему звонок; второй так же передаёт его третьему. Одно "
                "сообщение: в итоге назван третий менеджер, строка 🔀 показывает всю цепочку."
            ),
            "en": (
                "The manager answers the customer, asks the second one and hands the call over; he hands it over to the third the same "
                "way. One message: the final names the third manager, and the line 🔀 shows the whole chain."
            ),
        },
        roles=_ROLES,
        perform=_hand_on_twice,
        finals=_twice_handed_on,
    ),
    Pattern(
        key="2-19",
        title={
            "ru": "Входящий: перевод без запроса на занятого, не ответил",
            "en": "Incoming: blind transfer to a busy colleague, not answered",
        },
        description={
            "ru": (
                "Третий менеджер говорит со вторым; в это время клиенту отвечает первый и переводит его без запроса на второго. Второй не "
                "берёт трубку, звонок теряется. Два сообщения: внутренний разговор и звонок клиента, он завершён с первым менеджером "
                "(разговор был) и без 🔀."
            ),
            "en": (
                "The third manager talks with the second; meanwhile the first one answers a customer and transfers him blindly to the "
                "second, who does not answer, and the call is lost. Two messages: the internal talk, and the customer's call, ended with "
                "the first manager (they did talk) and without 🔀."
            ),
        },
        roles=_ROLES,
        perform=_send_to_busy,
        finals=lambda cast: _stayed(cast, seconds=37, talk_seconds=52),
    ),
    Pattern(
        key="2-20",
        title={
            "ru": "Входящий: перевод с запросом на занятого, не ответил",
            "en": "Incoming: attended transfer to a busy colleague, not answered",
        },
        description={
            "ru": (
                "Третий менеджер говорит со вторым; первый отвечает клиенту и пробует с запросом передать его второму. Второй не "
                "отвечает, первый возвращается к клиенту. Два сообщения: внутренний разговор и звонок клиента с первым менеджером, без 🔀."
            ),
            "en": (
                "The third manager talks with the second; the first one answers a customer and asks the second to take him. He does not "
                "answer, and the first one returns to the customer. Two messages: the internal talk, and the customer's call with the "
                "first manager, without 🔀."
            ),
        },
        roles=_ROLES,
        perform=_ask_busy,
        finals=lambda cast: _stayed(cast, seconds=47, talk_seconds=60),
    ),
    Pattern(
        key="2-21",
        title={
            "ru": "Входящий: перевод без запроса на занятого, ответил после своего разговора",
            "en": "Incoming: blind transfer to a busy colleague, who answers after his talk",
        },
        description={
            "ru": (
                "Как 2-19, но второй менеджер заканчивает внутренний разговор и берёт трубку, пока клиент ждёт. Два сообщения: внутренний "
                "разговор завершается первым; звонок клиента завершён со вторым менеджером, с 🔀 от первого ко второму."
            ),
            "en": (
                "As 2-19, but the second manager ends his internal talk and answers while the customer still waits. Two messages: the "
                "internal talk ends first; the customer's call ends with the second manager, with 🔀 from the first to the second."
            ),
        },
        roles=_ROLES,
        perform=_send_to_busy_who_answers,
        finals=lambda cast: _moved(cast, seconds=33, talk_seconds=31),
    ),
    Pattern(
        key="2-22",
        title={
            "ru": "Входящий: перевод с запросом на занятого, он удержал свой разговор и принял",
            "en": "Incoming: attended transfer to a busy colleague, who holds his talk and accepts",
        },
        description={
            "ru": (
                "Как 2-20, но второй менеджер ставит собеседника на удержание, отвечает первому и забирает клиента, а потом возвращается "
                "к своему разговору. Два сообщения, которые не смешиваются: звонок клиента со вторым менеджером и 🔀, затем внутренний "
                "разговор."
            ),
            "en": (
                "As 2-20, but the second manager puts his own talk on hold, answers the first one, takes the customer over and afterwards "
                "returns to his talk. Two messages that do not mix: the customer's call with the second manager and 🔀, then the internal "
                "talk."
            ),
        },
        roles=_ROLES,
        perform=_ask_busy_who_takes_it,
        finals=lambda cast: _moved(cast, seconds=30, talk_seconds=45),
    ),
)
