"""The configuration file of enterprises: TOML in, checked values out.

Strict: an unknown key, a wrong type or a value twice is an error that names table and key, and all errors of a file are told at once, one
line each. Secrets (tokens, keys) are never part of an error. What is below `integrations.<crm>` is checked by that CRM
(`gateway/crm/checks.py`).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.calls import phones
from gateway.cards.languages import LANGUAGES
from gateway.cards.policy import FinalMode
from gateway.crm.checks import CHECKS, check_table
from gateway.errors import ConfigurationError
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from gateway.tables import Errors, Table, kind_of, shown

_NUMBER = re.compile(r"[0-9]{3,6}")
_LINE_ID = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_BOT_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")
_LANGUAGE_CODES = tuple(LANGUAGES)
_SHORTEST_PHONE_DIGITS = 5
# Bot API, Chat: an id has at most 52 significant bits.
_CHAT_ID_LIMIT = 2**52
# tomllib says where; the rule behind it is seldom known: an integer has no leading zero.
_LEADING_ZERO = re.compile(r"=\s*0[0-9]")
_TOML_PLACE = re.compile(r"at line ([0-9]+), column")

_DEFAULTS = EnterpriseConfig(number="", token="")


def load_configuration(path: Path) -> tuple[EnterpriseConfig, ...]:
    """The enterprises of a file. Raises ConfigurationError; each of its lines begins with the file's name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {exc.start})") from exc
    try:
        document = tomllib.loads(text)
    except ValueError as exc:  # TOMLDecodeError; also a number of thousands of digits
        # Without its cause, which may hold the text of the file and with it the secrets.
        raise ConfigurationError(f"{path}: not TOML: {exc}{_hint(text, str(exc))}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not usable: lists or tables are nested too deep") from None
    try:
        return parse_configuration(document)
    except ConfigurationError as exc:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in str(exc).splitlines())) from exc


def parse_configuration(document: Mapping[str, Any]) -> tuple[EnterpriseConfig, ...]:
    """The enterprises of a document that was read from TOML. Raises ConfigurationError with one line for each thing that is wrong."""
    errors: Errors = []
    root = Table(document, "the file", errors)
    tables = list(root.tables("enterprise"))
    root.finish()
    if not tables and not errors:
        errors.append("the file: no [[enterprise]] in it")
    enterprises = [_enterprise(raw, position, errors) for position, raw in enumerate(tables, start=1)]
    errors.extend(_doubles_between(enterprises))
    if errors:
        raise ConfigurationError("\n".join(errors))
    return tuple(enterprises)


def _enterprise(raw: Mapping[str, Any], position: int, errors: Errors) -> EnterpriseConfig:
    number = raw.get("number")
    label = f"enterprise {shown(number)}" if isinstance(number, str) else f"enterprise {position} of the file"
    table = Table(raw, label, errors)
    telegram = Table(table.table("telegram"), f"{label}, table telegram", errors)
    enterprise = EnterpriseConfig(
        number=table.text("number", required=True, check=_number_problem),
        name=table.text("name", _DEFAULTS.name),
        token=table.text("token", required=True, secret=True),
        secret=table.text("secret", _DEFAULTS.secret, secret=True),
        bot_token=table.text("bot_token", _DEFAULTS.bot_token, secret=True, check=_bot_token_problem),
        timezone=table.text("timezone", _DEFAULTS.timezone, required="timezone" in raw, check=_timezone_problem),
        language=table.choice("language", _DEFAULTS.language, _LANGUAGE_CODES),
        final=telegram.choice("final", _DEFAULTS.final, tuple(FinalMode)),
        active=table.boolean("active", default=_DEFAULTS.active),
        integrations=_integrations(table.table("integrations"), label, errors),
        lines=tuple(_line(entry, place, errors) for place, entry in _numbered(table, "line")),
        managers=tuple(_manager(entry, place, errors) for place, entry in _numbered(table, "manager")),
        subscribers=tuple(_subscriber(entry, place, errors) for place, entry in _numbered(table, "subscriber")),
    )
    telegram.finish()
    table.finish()
    errors.extend(_doubles_within(enterprise, label))
    return enterprise


def _numbered(table: Table, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for position, raw in enumerate(table.tables(key), start=1):
        yield f"{table.place}, table {key} {position}", raw


def _line(raw: Mapping[str, Any], place: str, errors: Errors) -> LineConfig:
    table = Table(raw, place, errors)
    line = LineConfig(
        line_id=table.text("id", required=True, check=_line_id_problem),
        name=table.text("name"),
        operator=table.text("operator"),
        incoming_transform=table.text("incoming_transform", check=_line_rule_problem),
    )
    table.finish()
    return line


def _manager(raw: Mapping[str, Any], place: str, errors: Errors) -> ManagerConfig:
    table = Table(raw, place, errors)
    manager = ManagerConfig(
        extension=table.text("extension", required=True, check=_extension_problem),
        last_name=table.text("last_name"),
        first_name=table.text("first_name"),
        middle_name=table.text("middle_name"),
        personal_phone=phones.digits(table.text("personal_phone", check=_phone_problem)),
    )
    table.finish()
    return manager


def _subscriber(raw: Mapping[str, Any], place: str, errors: Errors) -> int:
    table = Table(raw, place, errors)
    chat_id = table.take("chat_id")
    table.finish()
    if chat_id is None:
        table.fail("chat_id", "is missing")
    elif isinstance(chat_id, bool) or not isinstance(chat_id, int):
        table.fail("chat_id", f"must be a whole number, without quotes, not {kind_of(chat_id)}")
    elif not 0 < abs(chat_id) < _CHAT_ID_LIMIT:
        table.fail("chat_id", f"{chat_id} is no id of a chat")
    else:
        return chat_id
    return 0


def _integrations(raw: Mapping[str, Any], label: str, errors: Errors) -> Mapping[str, Any]:
    root = Table(raw, f"{label}, table integrations", errors)
    for name in CHECKS:
        check_table(Table(root.table(name), f"{label}, table integrations.{name}", errors), name)
    root.finish()
    return raw


def _doubles_within(enterprise: EnterpriseConfig, label: str) -> Iterator[str]:
    """Lines, extensions and chats are keys inside their enterprise. Values that were wrong are empty here and already told."""
    for line_id in _repeated(line.line_id for line in enterprise.lines):
        yield f'{label}: line id "{line_id}" is there twice'
    for extension in _repeated(manager.extension for manager in enterprise.managers):
        yield f'{label}: extension "{extension}" is there twice'
    for chat_id in _repeated(str(chat_id) for chat_id in enterprise.subscribers if chat_id):
        yield f"{label}: chat_id {chat_id} is there twice"


def _doubles_between(enterprises: list[EnterpriseConfig]) -> Iterator[str]:
    """An enterprise is found by number, token or secret, so each belongs to one. Tokens are not shown, only whose they are."""
    for number in _repeated(enterprise.number for enterprise in enterprises):
        yield f'the file: enterprise number "{number}" is there twice'
    owners: dict[str, list[str]] = {}
    for enterprise in enterprises:
        for key, value in (("token", enterprise.token), ("secret", enterprise.secret)):
            if value:
                owners.setdefault(value, []).append(f'the {key} of enterprise "{enterprise.number}"')
    for names in owners.values():
        if len(names) > 1:
            yield f"the file: {' and '.join(names)} are the same"


def _repeated(values: Iterator[str]) -> list[str]:
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for value in values:
        if value and value in seen:
            repeated[value] = None
        seen.add(value)
    return list(repeated)


def _number_problem(value: str) -> str | None:
    return None if _NUMBER.fullmatch(value) else "must be 3 to 6 digits"


def _bot_token_problem(value: str) -> str | None:
    return None if _BOT_TOKEN.fullmatch(value) else "must be as BotFather gives it: digits, a colon, letters"


def _line_id_problem(value: str) -> str | None:
    return None if _LINE_ID.fullmatch(value) else "must be letters, digits and _ . + - only"


def _extension_problem(value: str) -> str | None:
    return None if phones.is_internal(value) else "must be 3 or 4 digits"


def _phone_problem(value: str) -> str | None:
    return None if len(phones.digits(value)) >= _SHORTEST_PHONE_DIGITS else "must be a telephone number"


def _line_rule_problem(value: str) -> str | None:
    try:
        phones.parse_line_rule(value)
    except ValueError as exc:
        return str(exc).partition(": ")[2]
    return None


def _timezone_problem(value: str) -> str | None:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # not found; a path instead of a name; a folder of zones ("Europe")
        return "must be a time zone as in Europe/Minsk"
    return None


def _hint(text: str, problem: str) -> str:
    found = _TOML_PLACE.search(problem)
    if found is None:
        return ""
    lines = text.splitlines()
    position = int(found[1]) - 1
    if position < len(lines) and _LEADING_ZERO.search(lines[position]):
        return "; a number that begins with 0 must be in quotes"
    return ""
