"""What a load of enterprises changes, and what makes it impossible. Pure; used by the store and by its twin.

No text made here contains a value: tokens, keys and telephone numbers stay out of terminals and logs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import attrs

from gateway.errors import ConfigurationError
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from sql.documents import DEPTH_LEVELS, is_deeper
from sql.rows import bot_id_of
from sql.texts import is_text

Part = TypeVar("Part", LineConfig, ManagerConfig)

_NOT_STORABLE = "a text holds a character that cannot be stored (NUL or half of a surrogate pair)"
_PLAIN_FIELDS = ("name", "token", "secret", "bot_token", "timezone", "language", "final", "active")


@attrs.frozen(kw_only=True)
class StoredEnterprise:
    """An enterprise as stored. `chats`: everybody who ever subscribed to its bot of now, also those who have left."""

    config: EnterpriseConfig
    chats: frozenset[int]


@attrs.frozen(kw_only=True)
class Change:
    """What a load does to one enterprise.

    `lines` say what changed. `new_chats` are to be subscribed. `renewed_token` is the token before, when the same bot got a new one.
    """

    config: EnterpriseConfig
    lines: tuple[str, ...]
    new_chats: tuple[int, ...]
    renewed_token: str | None


def planned_changes(stored: Mapping[str, StoredEnterprise], wanted: Sequence[EnterpriseConfig]) -> list[Change]:
    """The changes that make `wanted` true, without the enterprises that stay as they are.

    Raises ConfigurationError, naming the enterprise and what is wrong, when the whole of it cannot be stored.
    """
    _check(stored, wanted)
    changes: list[Change] = []
    for config in wanted:
        plain = _plain_json(f"enterprise {config.number}: integrations", config.integrations)
        normal = attrs.evolve(config, integrations=plain, integrations_problem="")
        before = stored.get(config.number)
        renewed = _renewed_token(before.config, config) if before else None
        # The subscribers of another bot are not subscribers of this one.
        known = before.chats if before and (before.config.bot_token == config.bot_token or renewed) else frozenset[int]()
        new_chats = tuple(chat for chat in dict.fromkeys(config.subscribers) if chat not in known)
        lines = [*_differences(before.config if before else None, normal), *(f"subscriber {chat} added" for chat in new_chats)]
        if lines:
            texts = tuple(f"enterprise {config.number}: {line}" for line in lines)
            changes.append(Change(config=normal, lines=texts, new_chats=new_chats, renewed_token=renewed))
    return changes


def _renewed_token(before: EnterpriseConfig, after: EnterpriseConfig) -> str | None:
    if not before.bot_token or before.bot_token == after.bot_token:
        return None
    return before.bot_token if bot_id_of(before.bot_token) == bot_id_of(after.bot_token) else None


def _differences(before: EnterpriseConfig | None, after: EnterpriseConfig) -> Iterable[str]:
    if before is None:
        yield "added"
    else:
        for name in _PLAIN_FIELDS:
            if getattr(before, name) != getattr(after, name):
                yield f"{name} changed"
        if before.integrations_problem:
            yield "integrations that could not be read replaced"
    old_integrations: Mapping[str, Any] = before.integrations if before else {}
    for name in sorted({*old_integrations, *after.integrations}):
        if name not in old_integrations:
            yield f"integration {name} added"
        elif name not in after.integrations:
            yield f"integration {name} removed"
        elif old_integrations[name] != after.integrations[name]:
            yield f"integration {name} changed"
    yield from _part_differences("line", _lines_by_id(before), _lines_by_id(after))
    yield from _part_differences("manager", _managers_by_extension(before), _managers_by_extension(after))


def _part_differences(what: str, before: Mapping[str, Part], after: Mapping[str, Part]) -> Iterable[str]:
    for key in sorted({*before, *after}):
        if key not in before:
            yield f"{what} {key} added"
        elif key not in after:
            yield f"{what} {key} removed"
        else:
            old, new = attrs.asdict(before[key]), attrs.asdict(after[key])
            changed = [name for name in new if old[name] != new[name]]
            if changed:
                yield f"{what} {key}: {', '.join(changed)} changed"


def _lines_by_id(config: EnterpriseConfig | None) -> dict[str, LineConfig]:
    return {line.line_id: line for line in config.lines} if config else {}


def _managers_by_extension(config: EnterpriseConfig | None) -> dict[str, ManagerConfig]:
    return {manager.extension: manager for manager in config.managers} if config else {}


def _check(stored: Mapping[str, StoredEnterprise], wanted: Sequence[EnterpriseConfig]) -> None:
    numbers = {config.number for config in wanted}
    owners = {known.config.token: number for number, known in stored.items() if number not in numbers}
    seen: set[str] = set()
    for config in wanted:
        where = f"enterprise {config.number}"
        if not config.number or not is_text(config.number):
            raise ConfigurationError("enterprise: number is empty or not a text")
        if config.number in seen:
            raise ConfigurationError(f"{where}: number is given twice")
        seen.add(config.number)
        if not config.token:
            raise ConfigurationError(f"{where}: token is empty")
        if config.token in owners:
            raise ConfigurationError(f"{where}: token is already that of enterprise {owners[config.token]}")
        owners[config.token] = config.number
        if config.subscribers and not config.bot_token:
            raise ConfigurationError(f"{where}: subscriber without a bot_token to subscribe to")
        _check_keys(where, "line", [line.line_id for line in config.lines])
        _check_keys(where, "manager", [manager.extension for manager in config.managers])
        for text in _texts_of(config):
            if not is_text(text):
                raise ConfigurationError(f"{where}: {_NOT_STORABLE}")


def _check_keys(where: str, what: str, keys: Sequence[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigurationError(f"{where}: {what} {key} is given twice")


def _texts_of(value: object) -> Iterable[str]:
    """Every text in a configuration, keys of objects too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            yield from _texts_of(key)
            yield from _texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("Sequence[object]", value):
            yield from _texts_of(inner)
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _texts_of(getattr(value, field.name))


def plain_integration(integration: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """One integration and its settings as they come back from the database. Raises ConfigurationError, without a value."""
    table = {integration: config}
    if not all(is_text(text) for text in _texts_of(table)):
        raise ConfigurationError(f"integration: {_NOT_STORABLE}")
    return _plain_json("integration", table)


def _plain_json(where: str, integrations: Mapping[str, Any]) -> dict[str, Any]:
    """The integrations as they come back from the database: tuples are lists, keys are texts."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(integrations, allow_nan=False, default=_as_dict))
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigurationError(f"{where} cannot be written as JSON ({type(exc).__name__})") from exc
    if is_deeper(plain, DEPTH_LEVELS):
        raise ConfigurationError(f"{where} cannot be written as JSON that is nested more than {DEPTH_LEVELS} levels deep")
    return plain


def _as_dict(value: object) -> dict[object, object]:
    """For json.dumps: a mapping of another kind than dict."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    raise TypeError(type(value).__name__)
