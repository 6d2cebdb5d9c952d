"""What the emulator says to people, in each language. Words only; who says them puts in the values (`str.format`)."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs


@attrs.frozen(kw_only=True)
class Wording:
    """The texts of one language."""

    # Orders that cannot be played.
    refused: str
    unknown_enterprise: str
    inactive_enterprise: str
    tokenless: str
    unknown_pattern: str
    unknown_role: str
    unknown_target: str
    missing: str
    twice: str
    extension: str
    line: str
    no_such_event: str
    two_faults: str
    no_next_event: str
    swapped_twice: str
    delay_range: str
    only_delays_wait: str
    telegram_not_there: str
    crm_not_there: str
    blocked_not_there: str
    # Runs.
    too_many_runs: str
    not_ready: str
    not_running: str
    no_such_run: str
    run_is_over: str
    everything_posted: str
    # Verdicts.
    wanted: str
    no_message: str
    needless_message: str
    not_deleted: str
    not_accepted: str
    unseen_remote: str
    unseen_no_bot: str
    unseen_no_subscribers: str
    unseen_all_blocked: str
    unseen_blocked_elsewhere: str
    # Events in one line.
    start: str
    dial_in: str
    dial_out: str
    nobody: str
    bridge: str
    bridge_create: str
    bridge_leave: str
    bridge_destroy: str
    new_callerid: str
    hangup: str
    answered: str
    not_answered: str


RUSSIAN = Wording(
    refused="Так сыграть нельзя",
    unknown_enterprise="нет предприятия «{value}»",
    inactive_enterprise="предприятие «{value}» отключено: шлюз не примет его событий",
    tokenless="у предприятия «{value}» нет токена",
    unknown_pattern="нет типа звонка «{value}»",
    unknown_role="у этого типа звонка нет такого поля",
    unknown_target="адреса «{value}» нет в настройке tester_targets",
    missing="не заполнено",
    twice="совпадает с полем «{title}»",
    extension="3 или 4 цифры",
    line="от 1 до 32 латинских букв, цифр, - и _",
    no_such_event="события {number} в этом звонке нет, их {total}",
    two_faults="событие {number}: сбой может быть только один",
    no_next_event="событие {number}: последнее, менять местами не с чем",
    swapped_twice="событие {number}: уже меняется местами с предыдущим",
    delay_range="событие {number}: задержка — больше 0 и не больше {most} секунд",
    only_delays_wait="событие {number}: секунды бывают только у задержки",
    telegram_not_there="сбои Telegram возможны только на этом шлюзе",
    crm_not_there="сбои CRM возможны только на этом шлюзе",
    blocked_not_there="только с Telegram на этой же машине (telegram_base_url): настоящий подписчик остался бы без сообщений о звонках",
    too_many_runs="прогонов идёт уже {most}, больше сразу нельзя",
    not_ready="шлюз ещё запускается, повторите чуть позже",
    not_running="шлюз завершает работу, новые звонки не начинаются",
    no_such_run="прогона «{value}» нет",
    run_is_over="прогон уже закончен",
    everything_posted="все события уже отправлены",
    wanted="чат {chat}: должно быть «{wanted}», а там «{there}»",
    no_message="чат {chat}: нет сообщения «{wanted}»",
    needless_message="чат {chat}: лишнее сообщение «{there}»",
    not_deleted="чат {chat}: прежнее сообщение не удалено",
    not_accepted="событие {number} ({kind}) не принято: {error}",
    unseen_remote="чаты другого шлюза отсюда не видны",
    unseen_no_bot="у предприятия нет бота, сообщения никуда не идут",
    unseen_no_subscribers="у предприятия нет подписчиков, сообщения никуда не идут",
    unseen_all_blocked="единственный подписчик заблокировал бота, смотреть больше негде",
    unseen_blocked_elsewhere="единственного подписчика сейчас «заблокировал» прогон {run}; когда он закончится, сыграйте ещё раз",
    start="{phone} звонит на линию {line}",
    dial_in="звонок от {phone}: звонит у {people}",
    dial_out="{people} набирает {phone}, линия {line}",
    nobody="никого",
    bridge="{channel} входит в разговор {bridge}",
    bridge_create="создан разговор {bridge}",
    bridge_leave="{channel} выходит из разговора {bridge}, остаётся {left}",
    bridge_destroy="разговор {bridge} закончен",
    new_callerid="{channel}: номер {number}, связан с {connected}",
    hangup="завершение: {phone}, {people}, {answered}",
    answered="отвечен",
    not_answered="не отвечен",
)

ENGLISH = Wording(
    refused="This cannot be played",
    unknown_enterprise="there is no enterprise “{value}”",
    inactive_enterprise="enterprise “{value}” is not active: the gateway would refuse its events",
    tokenless="enterprise “{value}” has no token",
    unknown_pattern="there is no kind of call “{value}”",
    unknown_role="this kind of call has no such field",
    unknown_target="the address “{value}” is not in the setting tester_targets",
    missing="must be filled in",
    twice="is the same as “{title}”",
    extension="must be 3 or 4 digits",
    line="must be 1 to 32 Latin letters, digits, - and _",
    no_such_event="there is no event {number} in this call, it has {total}",
    two_faults="event {number}: can have one fault only",
    no_next_event="event {number}: is the last one, there is none to change places with",
    swapped_twice="event {number}: changes places with the one before it already",
    delay_range="event {number}: a delay is more than 0 and at most {most} seconds",
    only_delays_wait="event {number}: only a delay has seconds",
    telegram_not_there="Telegram can be broken on this gateway only",
    crm_not_there="CRMs can be broken on this gateway only",
    blocked_not_there="only with a Telegram on this machine (telegram_base_url): a real subscriber would miss the messages of real calls",
    too_many_runs="{most} runs are under way, that is as many as there can be at once",
    not_ready="the gateway is still starting, try again in a moment",
    not_running="the gateway is about to end, no new call is begun",
    no_such_run="there is no run “{value}”",
    run_is_over="the run is over",
    everything_posted="all events have been posted",
    wanted="chat {chat}: wanted “{wanted}”, there is “{there}”",
    no_message="chat {chat}: there is no message “{wanted}”",
    needless_message="chat {chat}: needless message “{there}”",
    not_deleted="chat {chat}: the earlier message has not been deleted",
    not_accepted="event {number} ({kind}) was not accepted: {error}",
    unseen_remote="the chats of another gateway cannot be seen from here",
    unseen_no_bot="the enterprise has no bot, so messages go nowhere",
    unseen_no_subscribers="the enterprise has no subscribers, so messages go nowhere",
    unseen_all_blocked="the only subscriber has blocked the bot, there is no other chat to look at",
    unseen_blocked_elsewhere="the only subscriber is “blocked” by run {run} just now; play again when that one is over",
    start="{phone} calls line {line}",
    dial_in="call from {phone}: rings at {people}",
    dial_out="{people} dials {phone}, line {line}",
    nobody="nobody",
    bridge="{channel} enters conversation {bridge}",
    bridge_create="conversation {bridge} is made",
    bridge_leave="{channel} leaves conversation {bridge}, {left} left in it",
    bridge_destroy="conversation {bridge} is over",
    new_callerid="{channel}: number {number}, connected to {connected}",
    hangup="hangup: {phone}, {people}, {answered}",
    answered="answered",
    not_answered="not answered",
)

LANGUAGES: Mapping[str, Wording] = MappingProxyType({"ru": RUSSIAN, "en": ENGLISH})
"""By the code of the language."""

DEFAULT_LANGUAGE = "ru"


def wording_of(language: str) -> Wording:
    """The texts of a language; Russian for one that does not ship."""
    return LANGUAGES.get(language, RUSSIAN)
