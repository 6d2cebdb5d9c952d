"""What `gateway doctor` finds out about a RetailCRM: the key, its rights, the shop, the people. Only questions that change nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from gateway.crm.base import Finding
from gateway.crm.retailcrm_lookup import Get, id_of, object_of, objects_of
from gateway.crm.retailcrm_settings import RetailSettings
from gateway.crm.retailcrm_wire import NO_RIGHT, VERSION, Said

# retailCRM API, unversioned: what the key may do.
CREDENTIALS_PATH = "/api/credentials"
USERS_PATH = f"{VERSION}/users"
# 500 users: more are not looked through.
MOST_PAGES = 5

# Each method that is used, and the scope that allows it: one name is a part of another, so only whole names say anything.
_RIGHTS = (
    (
        {"telephony/call/event": "telephony_write", "telephony/calls/upload": "telephony_write", "telephony/manager": "telephony_read"},
        "telephony: telling calls",
        "телефония: передача звонков",
    ),
    ({"customers": "customer_read"}, "customers: names of those who call", "клиенты: имена звонящих"),
)
_BEFORE_METHOD = re.compile(r"/?(?:api/)?(?:v[0-9]+/)?")


class _Words:
    """Chooses one of two texts."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, en: str, ru: str) -> str:
        return ru if self.language == "ru" else en


async def examine(settings: RetailSettings, get: Get, *, language: str) -> Sequence[Finding]:
    """Never raises; the findings are in `language`."""
    words = _Words(language)
    said = await get(CREDENTIALS_PATH, ())
    if said.problem is not None:
        return (_failed(said, words("RetailCRM does not accept us", "RetailCRM не принимает запросы"), words),)
    findings = [Finding(is_ok=True, text=words("the address and the key are good", "адрес и ключ верны"))]
    findings += _rights(said.content, words)
    findings += _site(settings, said.content, words)
    findings += await _people(settings, get, words)
    return tuple(findings)


def _failed(said: Said, what: str, words: _Words) -> Finding:
    return Finding(is_ok=False, text=f"{what}: {said.reason}", advice=said.advice(words.language))


def _rights(content: Mapping[str, Any], words: _Words) -> Iterator[Finding]:
    """By the methods and scopes that the key has; where RetailCRM names none, nothing is said."""
    paths, scopes = _texts(content.get("credentials")), _texts(content.get("scopes"))
    if not paths and not scopes:
        return
    for methods, en, ru in _RIGHTS:
        missing = [
            method for method, scope in methods.items() if scope not in scopes and not any(_is_allowed(method, path) for path in paths)
        ]
        if not missing:
            yield Finding(is_ok=True, text=words(f"the key has the right {en}", f"у ключа есть право «{ru}»"))
        else:
            text = words(f"the key lacks the right {en}", f"у ключа нет права «{ru}»")
            yield Finding(is_ok=False, text=f"{text} ({', '.join(missing)})", advice=NO_RIGHT.of(words.language))


def _is_allowed(method: str, path: str) -> bool:
    """Whether a path as RetailCRM names it ("/api/telephony/manager", with or without a version, "/api/telephony/*") is this method."""
    name = _BEFORE_METHOD.sub("", path.strip(), count=1)
    if name.endswith("*"):
        return f"{method}/".startswith(f"{name.rstrip('*').rstrip('/')}/".lstrip("/"))
    return name.rstrip("/") == method


def _site(settings: RetailSettings, content: Mapping[str, Any], words: _Words) -> Iterator[Finding]:
    sites = _texts(content.get("sitesAvailable"))
    if settings.site and sites and settings.site not in sites:
        known = ", ".join(sites[:10])
        yield Finding(
            is_ok=False,
            text=words(f"site: the key has no shop {settings.site}", f"site: у ключа нет магазина {settings.site}"),
            advice=words(f"Put one of these codes into site: {known}.", f"Укажите в site один из кодов: {known}."),
        )


async def _people(settings: RetailSettings, get: Get, words: _Words) -> Sequence[Finding]:
    mapped = {user: extension for extension, users in settings.users.items() for user in users}
    if not mapped:
        text = words(
            "user_extensions is empty: RetailCRM finds people by the extensions in its own telephony settings",
            "user_extensions пуст: RetailCRM находит сотрудников по добавочным из своих настроек телефонии",
        )
        return (Finding(is_ok=True, text=text),)
    users: dict[int, bool] = {}
    for page in range(1, MOST_PAGES + 1):
        said = await get(USERS_PATH, (("limit", "100"), ("page", str(page))))
        if said.problem is not None:
            return (_failed(said, words("the people could not be checked", "сотрудников проверить не удалось"), words),)
        for user in objects_of(said.content.get("users")):
            users[id_of(user.get("id")) or 0] = user.get("active") is not False
        pages = object_of(said.content.get("pagination")).get("totalPageCount")
        if not isinstance(pages, int) or page >= pages:
            break
    else:
        return (Finding(is_ok=True, text=words("too many users to check the mapping", "пользователей слишком много для проверки")),)
    return tuple(_mapping(mapped, users, words))


def _mapping(mapped: Mapping[int, str], users: Mapping[int, bool], words: _Words) -> Iterator[Finding]:
    """`users`: who exists, and whether active."""
    advice = words(
        "Correct user_extensions: the id is in the address of the user's page.", "Исправьте user_extensions: id виден в адресе карточки."
    )
    good = 0
    for user, extension in sorted(mapped.items()):
        if user not in users:
            text = words(f"user {user} (extension {extension}) does not exist", f"пользователя {user} (добавочный {extension}) нет")
        elif not users[user]:
            text = words(f"user {user} (extension {extension}) is not active", f"пользователь {user} (добавочный {extension}) отключён")
        else:
            good += 1
            continue
        yield Finding(is_ok=False, text=text, advice=advice)
    yield Finding(is_ok=True, text=words(f"users mapped and active: {good}", f"сопоставлено действующих пользователей: {good}"))


def _texts(value: object) -> list[str]:
    return [each for each in cast("list[object]", value) if isinstance(each, str)] if isinstance(value, list) else []
