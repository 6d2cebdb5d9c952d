"""Harmless questions to a Bitrix24 portal: is the door open, are the rights there, do the mapped people exist?

Whether calls may be registered is asked by finishing a call that cannot exist: a door that may not is turned away before the portal looks
for it, one that may is told that something is missing. Nothing is changed by either.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from gateway.crm.base import Finding, Problem
from gateway.crm.bitrix24_answers import B24Trouble
from gateway.crm.bitrix24_calls import FINISH, STATISTIC
from gateway.crm.bitrix24_portal import Portal
from gateway.crm.bitrix24_settings import B24Settings, text_of, whole
from gateway.crm.bitrix24_tokens import object_of
from gateway.crm.limits import Places

NEEDED_SCOPES = ("telephony", "crm", "user")
_USER_SCOPES = frozenset(("user", "user_brief", "user_basic"))
# Of 50 users each. A portal with more people has them checked as far as this.
MOST_PAGES = 10
_NO_CALL: Final = "gateway-examination"

_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "open": ("the portal {host} answers ({door})", "портал {host} отвечает ({door})"),
        "webhook": ("inbound webhook", "входящий вебхук"),
        "application": ("application", "приложение"),
        "scopes": ("rights: {scopes}", "права: {scopes}"),
        "scopes_missing": ("rights that are missing: {scopes}", "не хватает прав: {scopes}"),
        "give_scopes": ("Add these rights to the webhook or application.", "Добавьте эти права вебхуку или приложению."),
        "owner": ("it works as user {user}", "работает от имени сотрудника {user}"),
        "owner_plain": ("it works as user {user}, who is no administrator", "работает от имени сотрудника {user}, он не администратор"),
        "take_admin": (
            "Let an administrator make the webhook or authorize the application, or check that this user may see calls and customers.",
            "Создайте вебхук (авторизуйте приложение) от имени администратора или проверьте, что этому сотруднику видны звонки и клиенты.",
        ),
        "may_register": ("calls may be registered", "звонки регистрировать можно"),
        "history": ("the history of calls can be read", "историю звонков читать можно"),
        "user_missing": (
            "user {user} of extension {extension} is no active user of the portal",
            "сотрудника {user} (добавочный {extension}) нет среди действующих сотрудников портала",
        ),
        "default_missing": (
            "default_user {user} is no active user of the portal",
            "default_user {user} — не действующий сотрудник портала",
        ),
        "correct_users": ("Correct user_extensions or default_user.", "Исправьте user_extensions или default_user."),
        "other_extension": (
            "user {user} has extension {there} in Bitrix24 and {here} in user_extensions",
            "у сотрудника {user} в Битрикс24 добавочный {there}, а в user_extensions — {here}",
        ),
        "make_equal": (
            "Calls go by user_extensions; make both the same so that calls from Bitrix24 find their way too.",
            "Звонки идут по user_extensions; сделайте оба одинаковыми, чтобы и звонки из Битрикс24 шли верно.",
        ),
        "users": ("people in user_extensions: {count}, all are there", "сотрудников в user_extensions: {count}, все на месте"),
        "nobody": ("user_extensions is empty", "user_extensions пуст"),
        "fill_users": (
            "Fill in user_extensions: without it no card can be shown to several people at once.",
            "Заполните user_extensions: без него карточку нельзя показать сразу нескольким сотрудникам.",
        ),
    }
)


class _Words:
    def __init__(self, language: str) -> None:
        self._place = 1 if language == "ru" else 0

    def say(self, key: str, **values: str) -> str:
        return _TEXTS[key][self._place].format(**values)

    def good(self, key: str, **values: str) -> Finding:
        return Finding(is_ok=True, text=self.say(key, **values))

    def bad(self, key: str, advice: str, **values: str) -> Finding:
        return Finding(is_ok=False, text=self.say(key, **values), advice=self.say(advice))

    def trouble(self, what: str, exc: B24Trouble) -> Finding:
        advice = exc.advice
        return Finding(is_ok=False, text=f"{what}: {exc}", advice=advice.ru if self._place else advice.en)


async def findings_of(settings: B24Settings, portal: Portal, language: str) -> list[Finding]:
    """What was found, in the order of the questions; the first two must be answered, or there are no more. Never raises `B24Trouble`."""
    words = _Words(language)
    try:
        async with portal.urgent_places() as places:
            return await _examined(settings, portal, words, places)
    except B24Trouble as exc:
        return [words.trouble(portal.host, exc)]


async def _examined(settings: B24Settings, portal: Portal, words: _Words, places: Places) -> list[Finding]:
    scopes = await portal.call("scope", {}, places)
    door = words.say("application" if portal.is_application else "webhook")
    found = [words.good("open", host=portal.host, door=door), _scopes(scopes, words)]
    found.append(await _owner(portal, words, places))
    found.append(await _registration(portal, words, places))
    try:
        await portal.call(STATISTIC, {"FILTER": {"CALL_ID": _NO_CALL}}, places)
        found.append(words.good("history"))
    except B24Trouble as exc:
        found.append(words.trouble(STATISTIC, exc))
    found.extend(await _people(settings, portal, words, places))
    return found


def _scopes(result: Any, words: _Words) -> Finding:
    known = {text_of(each).lower() for each in cast("list[Any]", result)} if isinstance(result, list) else set[str]()
    missing = [scope for scope in NEEDED_SCOPES if scope not in known and not (scope == "user" and known & _USER_SCOPES)]
    if missing:
        return words.bad("scopes_missing", "give_scopes", scopes=", ".join(missing))
    return words.good("scopes", scopes=", ".join(NEEDED_SCOPES))


async def _owner(portal: Portal, words: _Words, places: Places) -> Finding:
    try:
        profile = object_of(await portal.call("profile", {}, places))
    except B24Trouble as exc:
        return words.trouble("profile", exc)
    user = text_of(profile.get("ID")) or "?"
    if profile.get("ADMIN") is False:
        return words.bad("owner_plain", "take_admin", user=user)
    return words.good("owner", user=user)


async def _registration(portal: Portal, words: _Words, places: Places) -> Finding:
    try:
        # Without a user: even a portal that knew a call of this id would not finish it.
        await portal.call(FINISH, {"CALL_ID": _NO_CALL}, places)
    except B24Trouble as exc:
        if exc.problem is not Problem.REJECTED:
            return words.trouble(FINISH, exc)
    return words.good("may_register")


async def _people(settings: B24Settings, portal: Portal, words: _Words, places: Places) -> list[Finding]:
    try:
        there, is_complete = await _active_users(portal, places)
    except B24Trouble as exc:
        return [words.trouble("user.get", exc)]
    found: list[Finding] = []
    mapped = [(extension, user_id) for extension, user_ids in settings.users.items() for user_id in user_ids]
    for extension, user_id in mapped:
        if user_id not in there:
            if is_complete:
                found.append(words.bad("user_missing", "correct_users", user=user_id, extension=extension))
        elif there[user_id] and there[user_id] != extension:
            found.append(words.bad("other_extension", "make_equal", user=user_id, there=there[user_id], here=extension))
    if settings.default_user and settings.default_user not in there and is_complete:
        found.append(words.bad("default_missing", "correct_users", user=settings.default_user))
    if not settings.users:
        found.append(words.bad("nobody", "fill_users"))
    return found or [words.good("users", count=str(len(mapped)))]


async def _active_users(portal: Portal, places: Places) -> tuple[Mapping[str, str], bool]:
    """Extension by user id, and whether these are all."""
    there: dict[str, str] = {}
    start = 0
    for _ in range(MOST_PAGES):
        result = await portal.call("user.get", {"FILTER": {"ACTIVE": True}, "SORT": "ID", "ORDER": "ASC", "start": start}, places)
        rows = [object_of(row) for row in cast("list[Any]", result)] if isinstance(result, list) else []
        new = {text_of(row.get("ID")): text_of(row.get("UF_PHONE_INNER")) for row in rows if whole(row.get("ID")) is not None}
        # The page after the last one is empty, or the last one again.
        if not new.keys() - there.keys():
            return there, True
        there.update(new)
        if len(rows) < 50:
            return there, True
        start += len(rows)
    return there, False
