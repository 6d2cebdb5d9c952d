"""The settings of U-ON Travel: the table `integrations.uon`. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from gateway.calls.parties import Direction
from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.targets import Target
from gateway.tables import Errors, Table, shown

DEFAULT_API_URL = "https://api.u-on.ru"
# Where cards of clients are shown when the enterprise does not name its own cabinet.
DEFAULT_SUBDOMAIN = "app.u-on.ru"

_MANAGER_ID = re.compile(r"[1-9][0-9]{0,17}")
_EXTENSION = re.compile(r"[0-9]{1,6}")
# A part of the path, sent as it is. Shorter ones could not be blanked without blanking words.
_KEY = re.compile(r"[A-Za-z0-9_-]{8,128}")
_SUBDOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+")
# What the system before kept in the table besides; nothing of it is done here.
_FOREIGN_KEYS = ("account_id", "webhooks")
_ACTION_KEYS = frozenset(
    ("create_client_on_call", "create_request", "request_status", "request_source", "create_task", "task_minutes", "missed_call_status")
)
_ACTIONS = ("incoming_call_actions", "outgoing_call_actions")


@attrs.frozen(kw_only=True)
class UonSettings:
    """The table, checked. `managers`: the managers of an extension, by rising id; several may share a telephone."""

    api: Target
    key: str = attrs.field(repr=False)
    subdomain: str = DEFAULT_SUBDOMAIN
    notifies_incoming: bool = True
    notifies_outgoing: bool = False
    managers: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict[str, tuple[int, ...]])

    def target(self, path: str) -> Target:
        """Where a method is asked, as in "user/phone/375290001234". The key is a part of the path."""
        return Target.of(f"{self._base}/{self.key}/{path}.json")

    def shown(self, path: str) -> str:
        """The same address for `integration_logs`."""
        return f"{self._base}/***/{path}.json"

    @property
    def _base(self) -> str:
        return f"{self.api.scheme}://{self.api.host_header}{self.api.path.decode('ascii').rstrip('/')}"

    @property
    def all_managers(self) -> tuple[int, ...]:
        """Everybody who has an extension, by id."""
        return tuple(sorted({manager for managers in self.managers.values() for manager in managers}))

    def managers_of(self, extensions: Iterable[str]) -> tuple[int, ...]:
        """Those who have one of these extensions, in this order, each once."""
        return tuple(dict.fromkeys(manager for extension in extensions for manager in self.managers.get(extension, ())))

    def only_manager_of(self, extension: str) -> int | None:
        """None where nobody has it, and where several share it: then nobody knows who it was."""
        managers = self.managers.get(extension, ())
        return managers[0] if len(managers) == 1 else None

    def extension_of(self, manager: int) -> str:
        """The smallest extension of a manager, "" when none is mapped."""
        return min((extension for extension, managers in self.managers.items() if manager in managers), default="")

    def notifies(self, direction: Direction) -> bool:
        """Whether calls of this direction are shown while they ring."""
        return self.notifies_incoming if direction is Direction.INCOMING else self.notifies_outgoing


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table. What is switched off may be incomplete, but not wrong."""
    for nested in (*_read_settings(table)[1], *(_actions(table, name) for name in _ACTIONS)):
        nested.finish()


def settings_of(settings: Mapping[str, Any]) -> UonSettings:
    """Raises `CrmSettingsError`. Unknown keys are not looked at: they were told when the table was loaded."""
    errors: Errors = []
    read, _ = _read_settings(Table({**settings, "enabled": True}, f"integrations.{CrmKind.UON}", errors))
    if errors or read is None:
        raise CrmSettingsError("\n".join(errors))
    return read


def _read_settings(table: Table) -> tuple[UonSettings | None, tuple[Table, ...]]:
    """And the tables in it of which all keys are known."""
    is_enabled = table.boolean("enabled", default=False)
    api_url = table.text("api_url", DEFAULT_API_URL, required="api_url" in table.values, secret=True, check=_url_problem)
    key = table.text("api_key", required=is_enabled or "api_key" in table.values, secret=True, check=_key_problem)
    subdomain = table.text("subdomain", check=_subdomain_problem)
    notifications = Table(table.table("notifications"), f"{table.place}: notifications", table.errors)
    is_shown = notifications.choice("call_notify_mode", "during", ("none", "during")) == "during"
    notifies_incoming = notifications.boolean("notify_incoming", default=True)
    notifies_outgoing = notifications.boolean("notify_outgoing", default=False)
    managers = _read_managers(table)
    # Stored by the system before, which did not look at them either.
    table.boolean("log_calls", default=True)
    table.boolean("primary", default=False)
    table.asked.update(_FOREIGN_KEYS)
    if not key or not api_url:
        return None, (notifications,)
    settings = UonSettings(
        api=Target.of(api_url),
        key=key,
        subdomain=subdomain or DEFAULT_SUBDOMAIN,
        notifies_incoming=is_shown and notifies_incoming,
        notifies_outgoing=is_shown and notifies_outgoing,
        managers=managers,
    )
    return settings, (notifications,)


def _actions(table: Table, name: str) -> Table:
    nested = Table(table.table(name), f"{table.place}: {name}", table.errors)
    nested.asked.update(_ACTION_KEYS)
    return nested


def _read_managers(table: Table) -> Mapping[str, tuple[int, ...]]:
    managers: dict[str, list[int]] = {}
    mapping = Table(table.table("user_extensions"), f"{table.place}: user_extensions", table.errors)
    for manager, value in mapping.values.items():
        if not _MANAGER_ID.fullmatch(manager):
            table.fail("user_extensions", f"{shown(manager)} must be the id of a manager of U-ON, a number")
        # Others write null, or nothing, for somebody without an extension.
        elif value is not None and value != "" and (extension := mapping.text(manager, check=_extension_problem)):
            managers.setdefault(extension, []).append(int(manager))
    return {extension: tuple(sorted(ids)) for extension, ids in managers.items()}


def _url_problem(url: str) -> str | None:
    try:
        target = Target.of(url)
    except ValueError as exc:
        return str(exc)
    if b"?" in target.path or "#" in url:
        return f"must be the address alone, as in {DEFAULT_API_URL}"
    return None


def _key_problem(key: str) -> str | None:
    return None if _KEY.fullmatch(key) else "must be the key as U-ON shows it: 8 or more letters and digits"


def _subdomain_problem(subdomain: str) -> str | None:
    return None if _SUBDOMAIN.fullmatch(subdomain) else "must be the host of the cabinet, as in id12345.u-on.ru"


def _extension_problem(extension: str) -> str | None:
    return None if _EXTENSION.fullmatch(extension) else "must be 1 to 6 digits"
