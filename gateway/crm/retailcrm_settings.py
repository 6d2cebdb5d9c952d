"""The settings of RetailCRM: the table `integrations.retailcrm`. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.crm.targets import Target
from gateway.tables import Errors, Table, shown

_USER_ID = re.compile(r"[1-9][0-9]{0,17}")
_EXTENSION = re.compile(r"[0-9]{1,6}")
# What a key may look like only RetailCRM knows; the placeholder of an example is let through, and refused there.
_KEY = re.compile(r"\S+")
_SITE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ACCOUNT_WANTED = "must be the address of the account alone, as in https://store.retailcrm.ru"


@attrs.frozen(kw_only=True)
class RetailSettings:
    """The table, checked. `account`: where it is; its path means nothing. `users`: RetailCRM's ids of the people of an extension.

    An extension may have several users (they share a telephone). `site`: the code of the shop, "" for that of the key.
    """

    account: Target
    api_key: str = attrs.field(repr=False)
    users: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict[str, tuple[int, ...]])
    site: str = ""

    def extension_of(self, user_id: int) -> str:
        """The extension of a user, "" when none is mapped."""
        return next((extension for extension, users in self.users.items() if user_id in users), "")


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table. What is switched off may be incomplete, but not wrong."""
    _read_settings(table)


def settings_of(settings: Mapping[str, Any]) -> RetailSettings:
    """Raises `CrmSettingsError`. Unknown keys are not looked at: they were told when the table was loaded."""
    errors: Errors = []
    read = _read_settings(Table({**settings, "enabled": True}, f"integrations.{CrmKind.RETAILCRM}", errors))
    if errors or read is None:
        raise CrmSettingsError("\n".join(errors))
    return read


def _read_settings(table: Table) -> RetailSettings | None:
    is_enabled = table.boolean("enabled", default=False)
    # Not shown: people paste addresses with the key in them.
    domain = table.text("domain", required=is_enabled or "domain" in table.values, secret=True, check=_domain_problem)
    api_key = table.text("api_key", required=is_enabled or "api_key" in table.values, secret=True, check=_key_problem)
    site = table.text("site", check=_site_problem)
    users = _read_users(table)
    # Written by others who keep this table; says nothing to us.
    table.take("last_sync")
    if not domain or not api_key:
        return None
    return RetailSettings(account=Target.of(_url_of(domain)), api_key=api_key, users=users, site=site)


def _read_users(table: Table) -> Mapping[str, tuple[int, ...]]:
    users: dict[str, tuple[int, ...]] = {}
    mapping = Table(table.table("user_extensions"), f"{table.place}: user_extensions", table.errors)
    for user_id, value in mapping.values.items():
        if not _USER_ID.fullmatch(user_id):
            table.fail("user_extensions", f"{shown(user_id)} must be the id of a user of RetailCRM, a number")
        # Others write null, or nothing, for somebody without an extension.
        elif value is not None and value != "" and (extension := mapping.text(user_id, check=_extension_problem)):
            users[extension] = (*users.get(extension, ()), int(user_id))
    return users


def _url_of(domain: str) -> str:
    return domain if "://" in domain else f"https://{domain}"


def _domain_problem(domain: str) -> str | None:
    try:
        target = Target.of(_url_of(domain))
    except ValueError as exc:
        return _ACCOUNT_WANTED if str(exc).startswith("must be an address") else str(exc)
    # A word alone is half a name (only an address that is written out may be a machine of the own network); the parser drops a fragment
    # and an empty query.
    is_alone = target.path in (b"", b"/") and not set("?#") & set(domain)
    return None if is_alone and ("://" in domain or "." in target.host.rstrip(".")) else _ACCOUNT_WANTED


def _key_problem(key: str) -> str | None:
    return None if _KEY.fullmatch(key) else "must have no spaces in it"


def _site_problem(site: str) -> str | None:
    return None if _SITE.fullmatch(site) else "must be the code of a shop: letters, digits and _ . -"


def _extension_problem(extension: str) -> str | None:
    return None if _EXTENSION.fullmatch(extension) else "must be 1 to 6 digits"
