"""The table `integrations.bitrix24`: which portal, by which door, and who has which extension there. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.targets import Target
from gateway.tables import Errors, Table, kind_of, shown

OAUTH_URL = "https://oauth.bitrix.info/oauth/token/"
"""The vendor's authorization server; there is one for all portals."""

# Bitrix24 makes codes of 16. What is shorter than this may be part of anything, so that it could not be blanked where it must not be seen.
SHORTEST_SECRET = 6

PLACE = f"integrations.{CrmKind.BITRIX24}"
_APPLICATION_KEYS = ("portal_domain", "client_id", "client_secret", "refresh_token")
_LONGEST_URL = 2048
# B24 REST, "Inbound webhooks": https://<portal>/rest/<user id>/<code>/
_WEBHOOK_PATH = re.compile(r"/rest/(?P<user>[1-9][0-9]{0,9})/(?P<code>[A-Za-z0-9_-]{1,128})/?")
_USER_ID = re.compile(r"[1-9][0-9]{0,9}")
_EXTENSION = re.compile(r"[0-9]{1,6}")


@attrs.frozen(kw_only=True)
class Webhook:
    """The inbound webhook that an administrator of the portal has made. `portal`: its address without the path."""

    portal: Target
    user_id: str
    code: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Application:
    """An application that was authorized once. `refresh_token`: the one it was given then; what came after it is kept elsewhere."""

    portal: Target
    oauth: Target
    client_id: str
    client_secret: str = attrs.field(repr=False)
    refresh_token: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class B24Settings:
    """The table, checked. `users`: the ids of the users of an extension, in the order of the settings; calls go to the first, cards to all.
    `default_user`: who gets calls of nobody known; "" when nobody does.
    """

    door: Webhook | Application
    users: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    default_user: str = ""

    def extension_of(self, user_id: str) -> str:
        """The extension of a user, "" when none is given."""
        return next((extension for extension, known in self.users.items() if user_id in known), "")


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table. What is switched off may be incomplete, but not wrong."""
    _read_settings(table)


def settings_of(settings: Mapping[str, Any]) -> B24Settings:
    """Raises `CrmSettingsError`. Unknown keys are not looked at: they were told when the table was loaded."""
    errors: Errors = []
    read = _read_settings(Table({**settings, "enabled": True}, PLACE, errors))
    if errors or read is None:
        raise CrmSettingsError("\n".join(errors))
    return read


def _read_settings(table: Table) -> B24Settings | None:
    is_enabled = table.boolean("enabled", default=False)
    is_application = any(key in table.values for key in _APPLICATION_KEYS)
    webhook = _webhook(table, required=is_enabled and not is_application)
    application = _application(table, required=is_enabled and is_application)
    # Of the portal's own events, which the gateway does not listen to; older settings have them.
    for key in ("webhook_token", "webhook_uuid"):
        table.text(key, secret=True)
    table.text("updated_at")
    users = _users(table)
    default_user = table.text("default_user", check=_user_id_problem)
    # An application may do all that a webhook may, and more.
    door = application or webhook
    return None if door is None else B24Settings(door=door, users=users, default_user=default_user)


def _webhook(table: Table, *, required: bool) -> Webhook | None:
    url = table.text(
        "incoming_webhook",
        required=required or "incoming_webhook" in table.values,
        secret=True,
        longest=_LONGEST_URL,
        check=_webhook_problem,
    )
    if not url:
        return None
    target = Target.of(url)
    found = _WEBHOOK_PATH.fullmatch(target.path.decode("ascii", "replace"))
    # The check has matched it.
    assert found is not None
    return Webhook(portal=attrs.evolve(target, path=b"/"), user_id=found["user"], code=found["code"])


def _application(table: Table, *, required: bool) -> Application | None:
    domain, client_id, client_secret, refresh_token = [
        table.text(
            key,
            required=required or key in table.values,
            secret=key != "portal_domain",
            check=_domain_problem if key == "portal_domain" else None,
        )
        for key in _APPLICATION_KEYS
    ]
    oauth_url = table.text("oauth_url", OAUTH_URL, required="oauth_url" in table.values, check=_url_problem)
    if not (domain and client_id and client_secret and refresh_token):
        return None
    return Application(
        portal=attrs.evolve(Target.of(_url_of(domain)), path=b"/"),
        oauth=Target.of(oauth_url),
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=refresh_token,
    )


def _users(table: Table) -> Mapping[str, tuple[str, ...]]:
    """From `{user: extension}`, the way it is written, to `{extension: users}`, the way it is asked. A user may have none ("" or null)."""
    users: dict[str, tuple[str, ...]] = {}
    inner = Table(table.table("user_extensions"), f"{table.place}.user_extensions", table.errors)
    for user_id in inner.values:
        if problem := _user_id_problem(user_id):
            table.fail("user_extensions", f"{shown(user_id)} {problem}")
            continue
        extension = inner.text(user_id, check=_extension_problem)
        if extension:
            users[extension] = (*users.get(extension, ()), user_id)
    return MappingProxyType(users)


def _webhook_problem(url: str) -> str | None:
    if problem := _url_problem(url):
        return problem
    found = _WEBHOOK_PATH.fullmatch(Target.of(url).path.decode("ascii", "replace"))
    if not found:
        return "must be the address that Bitrix24 shows for the inbound webhook: https://<portal>/rest/<user>/<code>/"
    if len(found["code"]) < SHORTEST_SECRET:
        return f"the code at its end must have at least {SHORTEST_SECRET} characters"
    return None


def _domain_problem(domain: str) -> str | None:
    if problem := _url_problem(_url_of(domain)):
        return problem
    if Target.of(_url_of(domain)).path != b"/":
        return "must be the portal's host alone, as in company.bitrix24.by"
    return None


def _url_of(domain: str) -> str:
    return domain if "://" in domain else f"https://{domain}/"


def _url_problem(url: str) -> str | None:
    try:
        Target.of(url)
    except ValueError as exc:
        return str(exc)
    return None


def _user_id_problem(user_id: str) -> str | None:
    return None if _USER_ID.fullmatch(user_id) else "must be the id of a user of the portal, a number"


def _extension_problem(extension: str) -> str | None:
    return None if _EXTENSION.fullmatch(extension) else "must be 1 to 6 digits"


def whole(value: Any) -> int | None:
    """A whole number as Bitrix24 gives it: a number, or its digits as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def text_of(value: Any) -> str:
    """A text as Bitrix24 gives it: text, a number, or nothing."""
    if isinstance(value, str):
        return value
    return "" if value is None or kind_of(value) != "a number" else str(value)
