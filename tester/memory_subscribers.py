"""The half of the store in memory that knows enterprises, subscriptions and invitations; `tester.memory` has the other half."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import trio

from gateway.errors import StoreRejected, StoreUnavailable
from gateway.ports import EnterpriseConfig, Recipient
from sql import rows
from sql.configuration import StoredEnterprise, plain_integration, planned_changes
from sql.store import UNSUBSCRIBED
from sql.texts import clean_key, clean_reason, clean_text

T = TypeVar("T")

# PostgreSQL, numeric types: bigint.
_BIGINT = range(-(2**63), 2**63)


@attrs.define(kw_only=True)
class _Subscription:
    """A row of `telegram_users`, but for its key."""

    subscribed_at: datetime
    dead_at: datetime | None = None
    dead_reason: str = ""


@attrs.define(kw_only=True)
class _Invite:
    """A row of `invites`, but for its key."""

    enterprise_number: str
    expires_at: datetime
    used_by: int | None = None


def utc_now() -> datetime:
    """The clock of the database."""
    return datetime.now(UTC)


class MemorySubscribers:
    """Enterprises, subscriptions, invitations; and what can be broken on purpose.

    `unavailable`: every method raises StoreUnavailable and does nothing. `answers_to_lose`: so many of the next calls are carried out and
    then raise StoreUnavailable, as when the connection breaks at the commit. `latency_seconds`: every method takes so long before it does
    anything. `notified`: the enterprises whose configuration or subscribers changed, as NOTIFY would tell.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self.unavailable = False
        self.answers_to_lose = 0
        self.latency_seconds = 0.0
        self.notified: list[str] = []
        self._now = now
        self._enterprises: dict[str, EnterpriseConfig] = {}
        # By enterprise, bot token, chat.
        self._subscriptions: dict[tuple[str, str, int], _Subscription] = {}
        self._invites: dict[bytes, _Invite] = {}
        self._bots: dict[str, str] = {}

    async def _entered(self) -> None:
        """The beginning of every method. What follows runs without a checkpoint."""
        await trio.lowlevel.checkpoint()
        if self.latency_seconds:
            await trio.sleep(self.latency_seconds)
        if self.unavailable:
            raise StoreUnavailable("the store is unavailable")

    def _answered(self, answer: T) -> T:
        """The end of every method: by now all is done."""
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise StoreUnavailable("the connection was lost; what was asked may have been done")
        return answer

    def _of_chat(self, bot_token: str, chat_id: int) -> dict[str, _Subscription]:
        """The subscriptions of a chat to a bot, by enterprise."""
        return {number: found for (number, bot, chat), found in self._subscriptions.items() if (bot, chat) == (bot_token, chat_id)}

    # recipients

    async def recipients(self, enterprise_number: str) -> Sequence[Recipient]:
        """Living subscriptions to the bot of now, the oldest first."""
        await self._entered()
        config = self._enterprises.get(clean_key(enterprise_number))
        found = [
            Recipient(enterprise_number=number, bot_token=bot_token, chat_id=chat_id, subscribed_at=subscription.subscribed_at)
            for (number, bot_token, chat_id), subscription in self._subscriptions.items()
            if config and (number, bot_token) == (config.number, config.bot_token) and subscription.dead_at is None
        ]
        return self._answered(sorted(found, key=lambda one: (one.subscribed_at, one.chat_id)))

    async def bury_recipient(self, *, bot_token: str, chat_id: int, reason: str, at: datetime) -> None:
        """A subscription already dead keeps its reason."""
        await self._entered()
        self._end(bot_token, chat_id, reason=clean_reason(reason), at=at)
        self._answered(None)

    def _end(self, bot_token: str, chat_id: int, *, reason: str, at: datetime) -> bool:
        living = {number: one for number, one in self._of_chat(bot_token, chat_id).items() if one.dead_at is None}
        for number, subscription in living.items():
            subscription.dead_at, subscription.dead_reason = at, reason
            self.notified.append(number)
        return bool(living)

    async def unbury_recipient(self, *, bot_token: str, chat_id: int, since: datetime, at: datetime) -> None:
        """Not whoever unsubscribed."""
        await self._entered()
        for number, subscription in self._of_chat(bot_token, chat_id).items():
            if subscription.dead_at is not None and subscription.dead_at >= since and subscription.dead_reason != UNSUBSCRIBED:
                subscription.subscribed_at, subscription.dead_at, subscription.dead_reason = at, None, ""
                self.notified.append(number)
        self._answered(None)

    async def move_recipient(self, *, bot_token: str, chat_id: int, new_chat_id: int) -> None:
        """Living if either was; what was shown goes over without its message ids."""
        await self._entered()
        if chat_id != new_chat_id:
            _check_chat(new_chat_id)
            for number, old in self._of_chat(bot_token, chat_id).items():
                del self._subscriptions[number, bot_token, chat_id]
                new = self._subscriptions.setdefault((number, bot_token, new_chat_id), old)
                new.subscribed_at = min(new.subscribed_at, old.subscribed_at)
                if old.dead_at is None:
                    new.dead_at, new.dead_reason = None, ""
                self.notified.append(number)
            self._move_messages(rows.bot_id_of(bot_token), chat_id, new_chat_id)
        self._answered(None)

    def _move_messages(self, bot_id: str, chat_id: int, new_chat_id: int) -> None:
        """What was shown is known to the other half."""

    # subscriptions

    async def create_invite(self, *, enterprise_number: str, code: str, expires_at: datetime) -> None:
        """Refuses an enterprise that is not there."""
        await self._entered()
        number, code_hash = clean_key(enterprise_number), rows.code_hash_of(code)
        if code_hash not in self._invites:
            if number not in self._enterprises:
                raise StoreRejected("an invitation to an enterprise that is not there")
            self._invites[code_hash] = _Invite(enterprise_number=number, expires_at=expires_at)
        self._answered(None)

    async def redeem_invite(self, *, bot_token: str, code: str, chat_id: int, at: datetime) -> str | None:
        """None for a code that is unknown, expired, used, or meant for another bot."""
        await self._entered()
        _check_chat(chat_id)
        invite = self._invites.get(rows.code_hash_of(code))
        if invite is None or invite.expires_at <= at or self._enterprises[invite.enterprise_number].bot_token != bot_token:
            return self._answered(None)
        key = (invite.enterprise_number, bot_token, chat_id)
        subscription = self._subscriptions.get(key)
        subscribed = subscription is not None and subscription.dead_at is None
        if invite.used_by is not None and not (invite.used_by == chat_id and subscribed):
            return self._answered(None)
        invite.used_by = chat_id
        if not subscribed:
            self._subscriptions[key] = _Subscription(subscribed_at=at)
        self.notified.append(invite.enterprise_number)
        return self._answered(invite.enterprise_number)

    async def revive_recipient(self, *, bot_token: str, chat_id: int, at: datetime) -> bool:
        """Whether the chat is subscribed now."""
        await self._entered()
        known = self._of_chat(bot_token, chat_id)
        for number, subscription in known.items():
            if subscription.dead_at is not None:
                subscription.subscribed_at, subscription.dead_at, subscription.dead_reason = at, None, ""
                self.notified.append(number)
        return self._answered(bool(known))

    async def unsubscribe(self, *, bot_token: str, chat_id: int) -> bool:
        """Whether a living subscription ended."""
        await self._entered()
        return self._answered(self._end(bot_token, chat_id, reason=UNSUBSCRIBED, at=self._now()))

    async def subscription_status(self, *, bot_token: str, chat_id: int) -> str | None:
        """Of several enterprises that of the newest subscription."""
        await self._entered()
        living = [
            (subscription.subscribed_at, number)
            for number, subscription in self._of_chat(bot_token, chat_id).items()
            if subscription.dead_at is None and self._enterprises[number].bot_token == bot_token
        ]
        newest = max((at for at, _ in living), default=None)
        return self._answered(min((number for at, number in living if at == newest), default=None))

    # configuration

    async def enterprises(self) -> Sequence[EnterpriseConfig]:
        """By number."""
        await self._entered()
        return self._answered([stored.config for stored in self._stored_enterprises().values()])

    def _stored_enterprises(self) -> dict[str, StoredEnterprise]:
        stored: dict[str, StoredEnterprise] = {}
        for number, config in sorted(self._enterprises.items()):
            chats = sorted(
                (subscription.subscribed_at, chat_id, subscription.dead_at is None)
                for (owner, bot_token, chat_id), subscription in self._subscriptions.items()
                if (owner, bot_token) == (number, config.bot_token)
            )
            stored[number] = StoredEnterprise(
                config=attrs.evolve(config, subscribers=tuple(chat_id for _, chat_id, living in chats if living)),
                chats=frozenset(chat_id for _, chat_id, _ in chats),
            )
        return stored

    async def enterprises_by_key(self, key: str) -> Sequence[EnterpriseConfig]:
        """By number, token, secret or name."""
        await self._entered()
        found = (stored.config for stored in self._stored_enterprises().values())
        return self._answered([one for one in found if key and clean_text(key) in (one.number, one.token, one.secret, one.name)])

    async def set_integration(self, enterprise_number: str, integration: str, config: Mapping[str, Any]) -> bool:
        """Whether there is such an enterprise."""
        await self._entered()
        number, table = clean_key(enterprise_number), plain_integration(integration, config)
        known = self._enterprises.get(number)
        if known is None:
            return self._answered(False)
        self._enterprises[number] = attrs.evolve(known, integrations={**known.integrations, **table}, integrations_problem="")
        self.notified.append(number)
        return self._answered(True)

    def put_integrations(self, enterprise_number: str, text: str) -> None:
        """Puts any JSON into `enterprises.integrations_config`, as an administrator in psql may."""
        known = self._enterprises[enterprise_number]
        integrations, problem = rows.integrations_of(text)
        self._enterprises[enterprise_number] = attrs.evolve(known, integrations=integrations, integrations_problem=problem)
        self.notified.append(enterprise_number)

    async def upsert_enterprises(self, enterprises: Sequence[EnterpriseConfig]) -> Sequence[str]:
        """What changed, one line each. Refuses what cannot be stored before anything has changed."""
        await self._entered()
        changes = planned_changes(self._stored_enterprises(), enterprises)
        at = self._now()
        for change in changes:
            config = attrs.evolve(
                change.config,
                lines=tuple(sorted(change.config.lines, key=lambda line: line.line_id)),
                managers=tuple(sorted(change.config.managers, key=lambda manager: manager.extension)),
                subscribers=(),
            )
            self._enterprises[config.number] = config
            if change.renewed_token is not None:
                self._renew(config, change.renewed_token)
            for chat_id in change.new_chats:
                self._subscriptions.setdefault((config.number, config.bot_token, chat_id), _Subscription(subscribed_at=at))
            self.notified.append(config.number)
        return self._answered([line for change in changes for line in change.lines])

    def _renew(self, config: EnterpriseConfig, old_token: str) -> None:
        self._bots[rows.bot_id_of(config.bot_token)] = config.bot_token
        for number, bot_token, chat_id in list(self._subscriptions):
            new_key = (number, config.bot_token, chat_id)
            if (number, bot_token) == (config.number, old_token) and new_key not in self._subscriptions:
                self._subscriptions[new_key] = self._subscriptions.pop((number, bot_token, chat_id))


def _check_chat(chat_id: int) -> None:
    if chat_id not in _BIGINT:
        raise StoreRejected("the number of a chat is out of range")
