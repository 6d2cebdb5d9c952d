"""What an administrator does to a gateway from outside of it: load a configuration, invite a subscriber, look at calls and CRMs.

It works on the database alone, whether a gateway runs or not; a running one hears of changes from the database.
"""

import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from cache.directory import Directory
from gateway import doctor
from gateway.bootstrap import open_crms, open_database
from gateway.calls.record import CallRecord
from gateway.configuration import load_configuration
from gateway.crm.checks import refused_targets
from gateway.errors import GatewayError
from gateway.ports import EnterpriseConfig, Store, StoredEvent
from gateway.settings import Settings
from gateway.tables import shown
from sql.embedded import ClusterInUse, running_url
from sql.migrate import migrate
from sql.pool import open_pool
from sql.store import PostgresStore
from telegram_client.api import BotApi
from telegram_client.errors import TelegramError
from telegram_client.http import HttpClient

INVITE_LIFE = timedelta(hours=24)
# Bot API, "Deep linking": up to 64 of A-Z, a-z, 0-9, _ and -. 128 bits cannot be guessed within their day.
_INVITE_BYTES = 16
# One connection for the work, one spare.
_CONNECTIONS_ITEMS = 2
_LISTED_ENTERPRISES_ITEMS = 20


class CommandRefused(GatewayError):
    """What was asked for cannot be done. The text says why, and what to do first."""


@attrs.frozen(kw_only=True)
class Invite:
    """A link by which one chat can subscribe once. `expires_at` is aware UTC."""

    link: str = attrs.field(repr=False)
    expires_at: datetime


@asynccontextmanager
async def reach_database(settings: Settings) -> AsyncGenerator[str]:
    """As `gateway.bootstrap.open_database`, also while a gateway runs that owns the embedded server."""
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(open_database(settings))
        except ClusterInUse:
            running = running_url(settings.data_dir)
            if running is None:
                raise
            url = running
        yield url


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncGenerator[Store]:
    """The store of these settings. Raises CommandRefused when its database is not up to date; StoreUnavailable; SettingsError."""
    async with reach_database(settings) as url, open_pool(url, max_size=_CONNECTIONS_ITEMS) as pool:
        store = PostgresStore(pool)
        missing = await store.missing_migrations()
        if missing:
            raise CommandRefused(f"the database is not up to date, it lacks {', '.join(missing)}: run gateway migrate")
        yield store


async def migrate_database(settings: Settings) -> Sequence[str]:
    """Apply the migrations that are missing; their names."""
    async with reach_database(settings) as url:
        return await migrate(url)


@attrs.frozen(kw_only=True)
class Loaded:
    """What a file has changed, and what of it cannot work under these settings; one line each."""

    changes: Sequence[str]
    warnings: Sequence[str]


async def load_file(settings: Settings, path: Path) -> Loaded:
    """Make the configuration so. Raises ConfigurationError with a line for each thing that is wrong.

    What only the settings forbid is loaded with a warning: the gateway may run with others.
    """
    enterprises = load_configuration(path)
    async with open_store(settings) as store:
        changes = await store.upsert_enterprises(enterprises)
    return Loaded(changes=changes, warnings=() if settings.allow_private_targets else tuple(_refused_targets(enterprises)))


def _refused_targets(enterprises: Sequence[EnterpriseConfig]) -> Iterator[str]:
    for enterprise in enterprises:
        for name, values in enterprise.integrations.items():
            for problem in refused_targets(name, values):
                yield f"enterprise {enterprise.number}: {problem}"


async def find_enterprise(store: Store, key: str) -> EnterpriseConfig:
    """The enterprise with this number, token or name. Raises CommandRefused, with those that there are; AmbiguousEnterprise."""
    enterprises = await store.enterprises()
    found = Directory(enterprises).resolve(key)
    if found is not None:
        return found
    # The key is not repeated: it may be the token of a host that is not configured yet.
    listed = [f"{one.number} ({one.name})" if one.name else one.number for one in enterprises[:_LISTED_ENTERPRISES_ITEMS]]
    if len(enterprises) > len(listed):
        listed.append("…")
    raise CommandRefused(f"there is no such enterprise; configured: {', '.join(listed) if listed else 'none, see gateway load'}")


async def invite(settings: Settings, key: str) -> Invite:
    """A new link to the bot of an enterprise. Nothing is stored unless Telegram says who the bot is."""
    async with open_store(settings) as store:
        enterprise = await find_enterprise(store, key)
        if not enterprise.bot_token:
            raise CommandRefused(f"enterprise {enterprise.number} has no bot_token: put it into its file and run gateway load")
        username = await _bot_username(settings, enterprise)
        code, expires_at = secrets.token_urlsafe(_INVITE_BYTES), datetime.now(UTC) + INVITE_LIFE
        await store.create_invite(enterprise_number=enterprise.number, code=code, expires_at=expires_at)
    return Invite(link=f"https://t.me/{username}?start={code}", expires_at=expires_at)


async def _bot_username(settings: Settings, enterprise: EnterpriseConfig) -> str:
    asked = f"the bot of enterprise {enterprise.number}"
    try:
        async with HttpClient() as http:
            bot = await BotApi(enterprise.bot_token, http, settings.telegram_base_url).get_me()
    except TelegramError as exc:
        raise CommandRefused(f"Telegram does not say who {asked} is, so there is no link: {exc}") from exc
    if not bot.username:
        raise CommandRefused(f"{asked} has no username, so there is no link to it")
    return bot.username


async def examine_crms(settings: Settings, key: str) -> doctor.Examination:
    """Ask the CRMs of an enterprise whether all is well with them. What they renew meanwhile (tokens) is kept, nothing else is changed."""
    async with open_store(settings) as store, open_crms(settings, store) as crms:
        return await doctor.examine(crms, await find_enterprise(store, key))


@attrs.frozen(kw_only=True)
class CallLog:
    """The newest finished calls of an enterprise, or (with `events`) the events of one call in order."""

    enterprise: EnterpriseConfig
    calls: Sequence[CallRecord] = ()
    events: Sequence[StoredEvent] = ()


async def finished_calls(settings: Settings, key: str, *, limit_items: int) -> CallLog:
    """The newest first."""
    async with open_store(settings) as store:
        enterprise = await find_enterprise(store, key)
        return CallLog(enterprise=enterprise, calls=await store.calls(enterprise.number, limit=limit_items))


async def events_of_call(settings: Settings, key: str, unique_id: str) -> CallLog:
    """All events of the call that a channel belongs to. Raises CommandRefused when no call is known by that UniqueId."""
    async with open_store(settings) as store:
        enterprise = await find_enterprise(store, key)
        call_id = await store.call_id_of(enterprise.number, unique_id)
        if call_id is None:
            raise CommandRefused(f"enterprise {enterprise.number} has no call with the UniqueId {shown(unique_id)}")
        return CallLog(enterprise=enterprise, events=await store.events_of_call(enterprise.number, call_id))
