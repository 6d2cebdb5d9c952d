"""Calls that an extension makes to the outside: 1-1 … 1-11.

What happens stands above what it comes to: the seconds of the one give the length in the other.
"""

from typing import Final as Constant

import attrs

from tester.host import Host
from tester.patterns.endings import answered
from tester.patterns.outgoing_steps import Click, click_in_crm, forbidden, leak_flag, line_busy, name_nobody, next_line
from tester.patterns.pattern import Cast, Ending, Final, Pattern
from tester.patterns.roles import BACKUP_LINE, FORBIDDEN_PHONE, LINE, MANAGER, PHONE, SECOND
from tester.pbx import Talk, connect, fail, outgoing

_ANSWER_SECONDS = 8
_CALL = (PHONE, MANAGER, LINE)
_TRANSFER = (PHONE, MANAGER, SECOND, LINE)


def _dialled(host: Host, cast: Cast) -> Talk:
    return outgoing(host, cast[MANAGER], cast[PHONE], cast[LINE])


def _talking(host: Host, cast: Cast, *, talk_seconds: float) -> Talk:
    talk = _dialled(host, cast)
    host.wait(_ANSWER_SECONDS)
    connect(talk)
    host.wait(talk_seconds)
    return talk


def _with_manager(cast: Cast, seconds: int) -> tuple[Final, ...]:
    return answered(cast, cast.shown(cast[MANAGER]), seconds)


def _with_second(cast: Cast, seconds: int | None) -> tuple[Final, ...]:
    first, second = cast.shown(cast[MANAGER]), cast.shown(cast[SECOND])
    return answered(cast, second, seconds, transfers=f"{first} → {second}")


def _not_reached(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.MISSED, left=cast.shown(cast[MANAGER]), right=cast.customer(cast[PHONE])),)


def _answered(host: Host, cast: Cast) -> None:
    _talking(host, cast, talk_seconds=15).end()


def _answered_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_manager(cast, 23)


def _clicked(host: Host, cast: Cast) -> None:
    click_in_crm(host, cast[MANAGER], cast[PHONE], cast[LINE], Click(pickup_seconds=5, answer_seconds=6, talk_seconds=14))
    name_nobody(host)


def _clicked_finals(cast: Cast) -> tuple[Final, ...]:
    return tuple(attrs.evolve(final, is_from_crm=True) for final in _with_manager(cast, 20))


def _declined(host: Host, cast: Cast) -> None:
    talk = _talking(host, cast, talk_seconds=10)
    talk.attend(cast[SECOND], accepted=False, ring_seconds=5, word_seconds=6)
    host.wait(8)
    talk.end()


def _declined_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_manager(cast, 37)


def _accepted(host: Host, cast: Cast) -> None:
    talk = _talking(host, cast, talk_seconds=10)
    talk.attend(cast[SECOND], accepted=True, ring_seconds=5, word_seconds=6)
    host.wait(12)
    talk.end(hangup=False)
    name_nobody(host)
    leak_flag(host, since=next(index for index, one in enumerate(host.posted) if one.kind == "hangup"))


def _accepted_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_second(cast, None)


def _absent(host: Host, cast: Cast) -> None:
    talk = _talking(host, cast, talk_seconds=10)
    talk.attend(cast[SECOND], accepted=False, picked_up=False, ring_seconds=24)
    host.wait(8)
    talk.end()


def _absent_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_manager(cast, 50)


def _blind(host: Host, cast: Cast) -> None:
    talk = _talking(host, cast, talk_seconds=12)
    talk.blind(cast[SECOND], answered=True, ring_seconds=8)
    host.wait(12)
    talk.end()


def _blind_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_second(cast, 40)


def _blind_not_answered(host: Host, cast: Cast) -> None:
    talk = _talking(host, cast, talk_seconds=12)
    talk.blind(cast[SECOND], answered=False, ring_seconds=30)
    talk.end()


def _blind_not_answered_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_manager(cast, 50)


def _not_answered(host: Host, cast: Cast) -> None:
    talk = _dialled(host, cast)
    host.wait(24)
    fail(talk)


def _backup_line(host: Host, cast: Cast) -> None:
    talk = _dialled(host, cast)
    host.wait(1)
    next_line(talk, cast[BACKUP_LINE])
    host.wait(_ANSWER_SECONDS)
    connect(talk)
    host.wait(15)
    talk.end()
    name_nobody(host)


def _backup_line_finals(cast: Cast) -> tuple[Final, ...]:
    return _with_manager(cast, 23)


def _no_line(host: Host, cast: Cast) -> None:
    talk = _dialled(host, cast)
    host.wait(1)
    line_busy(talk)
    fail(talk)
    name_nobody(host)


def _forbidden(host: Host, cast: Cast) -> None:
    forbidden(host, cast[MANAGER], cast[FORBIDDEN_PHONE], cast[LINE])


def _forbidden_finals(cast: Cast) -> tuple[Final, ...]:
    return (Final(ending=Ending.MISSED, left=cast.shown(cast[MANAGER]), right=cast.customer(cast[FORBIDDEN_PHONE])),)


OUTGOING: Constant[tuple[Pattern, ...]] = (
    Pattern(
        key="1-1",
        title={"ru": "Исходящий: клиент ответил", "en": "Outgoing: the customer answers"},
        description={
            "ru": "Менеджер набирает внешний номер, клиент отвечает, они говорят. В чате: «Завершен» с менеджером и длительностью.",
            "en": "The manager dials an outside number, the customer answers, they talk. The chat shows “Ended” with the manager and "
            "the length.",
        },
        roles=_CALL,
        perform=_answered,
        finals=_answered_finals,
    ),
    Pattern(
        key="1-2",
        title={"ru": "Исходящий из CRM: клиент ответил", "en": "Outgoing from a CRM: the customer answers"},
        description={
            "ru": "Звонок начат кнопкой в CRM: сначала трубку берёт менеджер, потом набирается номер клиента, и тот отвечает. В чате: "
            "«Завершен» с менеджером и строка «🔗 из CRM».",
            "en": "A click in a CRM: the manager picks up first, then the customer's number is dialled, and he answers. The chat shows "
            "“Ended” with the manager and the line “🔗 from CRM”.",
        },
        roles=_CALL,
        perform=_clicked,
        finals=_clicked_finals,
    ),
    Pattern(
        key="1-3",
        title={"ru": "Исходящий: перевод с запросом, коллега отказался", "en": "Outgoing: attended transfer, the colleague declines"},
        description={
            "ru": "Менеджер дозвонился и спрашивает коллегу, тот берёт трубку и отказывается; клиент возвращается к менеджеру. В чате: "
            "«Завершен» с менеджером, без строки 🔀.",
            "en": "The manager reaches the customer and asks a colleague, who picks up and declines; the customer returns to the "
            "manager. The chat shows “Ended” with the manager and no line 🔀.",
        },
        roles=_TRANSFER,
        perform=_declined,
        finals=_declined_finals,
    ),
    Pattern(
        key="1-4",
        title={"ru": "Исходящий: перевод с запросом, коллега принял", "en": "Outgoing: attended transfer, the colleague accepts"},
        description={
            "ru": "Менеджер дозвонился и спрашивает коллегу, тот соглашается и получает клиента. Завершение приходит уже при передаче, "
            "последнего нет: конец звонка виден по выходу из разговора. В чате: «Завершен» с коллегой и строка 🔀 менеджер → "
            "коллега, длительность по нашим часам.",
            "en": "The manager reaches the customer and asks a colleague, who agrees and is given the customer. The only hangup comes "
            "when he is handed over; the end of the call shows by their leaving the conversation. The chat shows “Ended” with the "
            "colleague and the line 🔀 manager → colleague, the length by our own clock.",
        },
        roles=_TRANSFER,
        perform=_accepted,
        finals=_accepted_finals,
    ),
    Pattern(
        key="1-5",
        title={
            "ru": "Исходящий: перевод с запросом, коллега не ответил",
            "en": "Outgoing: attended transfer, the colleague does not answer",
        },
        description={
            "ru": "Менеджер дозвонился и звонит коллеге, тот 24 секунды не берёт трубку; клиент возвращается к менеджеру. В чате: "
            "«Завершен» с менеджером, без строки 🔀.",
            "en": "The manager reaches the customer and rings a colleague, who does not pick up for 24 seconds; the customer returns to "
            "the manager. The chat shows “Ended” with the manager and no line 🔀.",
        },
        roles=_TRANSFER,
        perform=_absent,
        finals=_absent_finals,
    ),
    Pattern(
        key="1-6",
        title={"ru": "Исходящий: перевод без запроса, коллега ответил", "en": "Outgoing: blind transfer, the colleague answers"},
        description={
            "ru": "Менеджер дозвонился и переводит клиента, не дожидаясь коллеги; тот отвечает. Приходят два завершения. В чате: одно "
            "сообщение, «Завершен» с коллегой и строка 🔀 менеджер → коллега.",
            "en": "The manager reaches the customer and transfers him without waiting for the colleague, who answers. Two hangups come. "
            "The chat shows one message, “Ended” with the colleague and the line 🔀 manager → colleague.",
        },
        roles=_TRANSFER,
        perform=_blind,
        finals=_blind_finals,
    ),
    Pattern(
        key="1-7",
        title={"ru": "Исходящий: перевод без запроса, коллега не ответил", "en": "Outgoing: blind transfer, the colleague does not answer"},
        description={
            "ru": "Менеджер дозвонился и переводит клиента, не дожидаясь коллеги; тот не отвечает, звонок потерян. В чате: «Завершен» с "
            "менеджером, ведь с ним клиент говорил, без строки 🔀.",
            "en": "The manager reaches the customer and transfers him without waiting for the colleague, who does not answer; the call "
            "is lost. The chat shows “Ended” with the manager, to whom the customer did talk, and no line 🔀.",
        },
        roles=_TRANSFER,
        perform=_blind_not_answered,
        finals=_blind_not_answered_finals,
    ),
    Pattern(
        key="1-8",
        title={"ru": "Исходящий: клиент не ответил", "en": "Outgoing: the customer does not answer"},
        description={
            "ru": "Менеджер набирает внешний номер, никто не отвечает. В чате: «Не отвечен» от менеджера к клиенту.",
            "en": "The manager dials an outside number, nobody answers. The chat shows “Not answered” from the manager to the customer.",
        },
        roles=_CALL,
        perform=_not_answered,
        finals=_not_reached,
    ),
    Pattern(
        key="1-9",
        title={"ru": "Исходящий: линия занята, ответ через резервную", "en": "Outgoing: the line is busy, answered on the backup line"},
        description={
            "ru": "Первая линия занята, тот же звонок уходит через резервную, клиент отвечает. В чате: одно сообщение, «Завершен» с "
            "менеджером и резервной линией.",
            "en": "The first line is busy, the same call goes out on the backup line, and the customer answers. The chat shows one "
            "message, “Ended” with the manager and the backup line.",
        },
        roles=(PHONE, MANAGER, LINE, BACKUP_LINE),
        perform=_backup_line,
        finals=_backup_line_finals,
    ),
    Pattern(
        key="1-10",
        title={"ru": "Исходящий: линия занята, резервной нет", "en": "Outgoing: the line is busy, no backup line"},
        description={
            "ru": "Линия занята, резервной нет, звонок тут же обрывается. В чате: «Не отвечен» от менеджера к клиенту.",
            "en": "The line is busy and there is no other, the call ends at once. The chat shows “Not answered” from the manager to the "
            "customer.",
        },
        roles=_CALL,
        perform=_no_line,
        finals=_not_reached,
    ),
    Pattern(
        key="1-11",
        title={"ru": "Исходящий: направление запрещено", "en": "Outgoing: the direction is forbidden"},
        description={
            "ru": "Менеджер набирает номер, на который звонить нельзя; приходит только завершение. В чате: сразу «Не отвечен» от "
            "менеджера к этому номеру.",
            "en": "The manager dials a number that must not be called; only a hangup comes. The chat shows “Not answered” from the "
            "manager to that number at once.",
        },
        roles=(FORBIDDEN_PHONE, MANAGER, LINE),
        perform=_forbidden,
        finals=_forbidden_finals,
    ),
)
