"""What `gateway doctor` finds out about U-ON: the key, the people. One question, which changes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.crm.advice import advice_of
from gateway.crm.base import Finding, Problem
from gateway.crm.uon_settings import UonSettings
from gateway.crm.uon_wire import Said, number_of, objects_of, text_of

MANAGERS_PATH = "manager"

Words = Callable[[str, str], str]
"""Chooses between the English and the Russian text."""


def findings_of(said: Said, settings: UonSettings, *, language: str) -> Sequence[Finding]:
    """From the answer to `MANAGERS_PATH`."""

    def words(en: str, ru: str) -> str:
        return ru if language == "ru" else en

    if said.problem is not None and not said.is_empty:
        text = words(f"U-ON does not accept us: {said.reason}", f"U-ON не принимает запросы: {said.reason}")
        advice = _KEY_ADVICE[0 if language != "ru" else 1] if said.problem is Problem.UNAUTHORIZED else advice_of(said.problem, language)
        return (Finding(is_ok=False, text=text, advice=advice),)
    users = {user_id: user for user in objects_of(said.content.get("users")) if (user_id := number_of(user.get("u_id"))) is not None}
    good = words("the address and the key are good, the key may read", "адрес и ключ верны, ключу разрешено чтение (GET)")
    post = words("whether the key may write (POST) is known only by a call", "разрешена ли запись (POST), покажет только звонок")
    return (Finding(is_ok=True, text=f"{good}; {post}"), *_people(settings, users, words))


_KEY_ADVICE = (
    "Compare api_key with the one in U-ON; the key must be allowed GET and POST, its list of addresses, if any, must have the gateway's.",
    "Сверьте api_key с ключом в U-ON; ключу должны быть разрешены GET и POST, а адрес шлюза — внесён в его список IP, если он задан.",
)


def _people(settings: UonSettings, users: Mapping[int, Mapping[str, Any]], words: Words) -> Iterator[Finding]:
    correct = words("Correct user_extensions.", "Исправьте user_extensions.")
    if not settings.all_managers:
        text = words("user_extensions is empty: nobody is notified, calls have no manager", "user_extensions пуст: уведомлять некого")
        hints = ", ".join(f'"{user_id}" = "{number}"' for user_id, user in sorted(users.items()) if (number := _own_number(user)))[:300]
        advice = words("Map managers of U-ON to extensions", "Сопоставьте менеджеров U-ON с добавочными номерами")
        yield Finding(is_ok=False, text=text, advice=f"{advice}: {hints}." if hints else f"{advice}.")
        return
    good = 0
    for manager in settings.all_managers:
        extension, user = settings.extension_of(manager), users.get(manager)
        if user is None:
            text = words(f"manager {manager} (extension {extension}) does not exist", f"менеджера {manager} (добавочный {extension}) нет")
        elif number_of(user.get("active")) == 0:
            text = words(
                f"manager {manager} (extension {extension}) is not active", f"менеджер {manager} (добавочный {extension}) отключён"
            )
        elif (own := _own_number(user)) and own != extension:
            text = words(
                f"manager {manager} has extension {extension} here and {own} in U-ON",
                f"у менеджера {manager} здесь добавочный {extension}, а в U-ON — {own}",
            )
        else:
            good += 1
            continue
        yield Finding(is_ok=False, text=text, advice=correct)
    for extension, managers in sorted(settings.managers.items()):
        if len(managers) > 1:
            shared = ", ".join(map(str, managers))
            yield Finding(
                is_ok=False,
                text=words(
                    f"extension {extension} belongs to managers {shared}: its calls are recorded without a manager",
                    f"добавочный {extension} — у менеджеров {shared}: его звонки записываются без менеджера",
                ),
                advice=words("Give the extension to one of them.", "Оставьте добавочный одному из них."),
            )
    yield Finding(is_ok=True, text=words(f"managers mapped and active: {good}", f"сопоставлено действующих менеджеров: {good}"))


def _own_number(user: Mapping[str, Any]) -> str:
    value = user.get("ip_internal_number")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(value)
    return text if text.isascii() and text.isdecimal() and len(text) <= 6 and text != "0" else ""
