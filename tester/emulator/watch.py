"""Where a run sees what the gateway does, and where it breaks it: taps in the store and in the clients of Telegram and of the CRMs.

The gateway of this process gets these subclasses in the place of its own adapters. They do what the originals do and tell the `Watch`,
which knows only enterprises that a run is following: for all others a tap costs one look into an empty or small dict.

Telegram's refusals are shaped as the Bot API's (Bot API, "Making requests" and "ResponseParameters").
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, Protocol, assert_never, cast

import attrs
import httpx2 as httpx
import trio

from gateway.crm.http import CrmHttp, HttpAnswer, HttpRequest
from gateway.crm.network import Network
from gateway.ports import Attempt, EnterpriseConfig, PushState, Shown, Step
from sql.pool import Pool
from sql.store import PostgresStore
from telegram_client.http import Address, HttpClient, RawAnswer
from tester.emulator.orders import Faults, TelegramTrouble
from tester.emulator.revival import Burials

TOO_MANY_REQUESTS = 2
"""So many requests of each chat are refused with 429 …"""

RETRY_AFTER_SECONDS = 2
"""… which says to come back then."""

BROKEN_REQUESTS = 3
"""So many requests of each chat are answered 502."""

_log = logging.getLogger(__name__)


class Watcher(Protocol):
    """What a run is told about its enterprise, in the order in which it happens.

    Called in the middle of the gateway's own work: it must not wait. What it raises is logged and goes no further.
    """

    def understood(self, step: Step) -> None:
        """A step of the enterprise's lane is committed."""
        ...

    def shown(self, shown: Shown) -> None:
        """A chat has this state of a message, and it is recorded."""
        ...

    def attempted(self, attempt: Attempt) -> None:
        """A CRM was told something, or not, and it is recorded."""
        ...

    def answered(self, *, method: str, chat_id: int, status: int, retry_after: int | None) -> None:
        """A request to a chat was refused in Telegram's place, for this run or for another one of the same chat."""
        ...


@attrs.frozen(kw_only=True)
class _Refusal:
    """An answer of the Bot API that says no."""

    status: int
    description: str
    retry_after: int | None = None

    def answer(self) -> RawAnswer:
        content: dict[str, Any] = {"ok": False, "error_code": self.status, "description": self.description}
        if self.retry_after is not None:
            content["parameters"] = {"retry_after": self.retry_after}
        return RawAnswer(status=self.status, body=json.dumps(content, separators=(",", ":")).encode())


_TOO_MANY = _Refusal(status=429, description=f"Too Many Requests: retry after {RETRY_AFTER_SECONDS}", retry_after=RETRY_AFTER_SECONDS)
_BROKEN = _Refusal(status=502, description="Bad Gateway")
_BLOCKED = _Refusal(status=403, description="Forbidden: bot was blocked by the user")


@attrs.define(kw_only=True, eq=False)
class _Follower:
    """A run that follows an enterprise. `chats` as they were when it began, the oldest subscription first."""

    watcher: Watcher
    faults: Faults
    chats: tuple[int, ...]
    refused: Counter[int] = attrs.field(factory=Counter[int])

    def refusal(self, chat_id: int) -> _Refusal | None:
        """What this run has Telegram say to the next request of a chat; counts."""
        trouble = self.faults.telegram
        match trouble:
            case None:
                return None
            case TelegramTrouble.TOO_MANY:
                refusal, most = _TOO_MANY, TOO_MANY_REQUESTS
            case TelegramTrouble.BROKEN:
                refusal, most = _BROKEN, BROKEN_REQUESTS
            case TelegramTrouble.BLOCKED:
                return _BLOCKED if chat_id == self.chats[0] else None
            case _ as unknown:
                assert_never(unknown)
        if self.refused[chat_id] >= most:
            return None
        self.refused[chat_id] += 1
        return refusal


class Watch:
    """Who follows which enterprise, one for each process. Everything is at once: nothing here waits."""

    def __init__(self) -> None:
        self.burials = Burials()
        self._of_enterprise: dict[str, tuple[_Follower, ...]] = {}
        # By the id of the bot, which is no secret and outlives a renewed token.
        self._of_bot: dict[str, tuple[_Follower, ...]] = {}

    @contextmanager
    def following(self, config: EnterpriseConfig, watcher: Watcher, faults: Faults) -> Generator[None]:
        """While the block runs the watcher is told of this enterprise, and its faults are armed. Any number of runs may follow it.

        Of `faults` those of Telegram and of the CRMs are meant; what befalls events is the run's own business.
        """
        follower = _Follower(watcher=watcher, faults=faults, chats=config.subscribers)
        bot_id = _bot_id(config.bot_token) if config.subscribers else ""
        _add(self._of_enterprise, config.number, follower)
        if bot_id:
            _add(self._of_bot, bot_id, follower)
        try:
            yield
        finally:
            _remove(self._of_enterprise, config.number, follower)
            if bot_id:
                _remove(self._of_bot, bot_id, follower)

    def understood(self, step: Step) -> None:
        """Tell the runs of an enterprise."""
        for follower in self._of_enterprise.get(step.enterprise_number, ()):
            _tell(partial(follower.watcher.understood, step))

    def shown(self, shown: Shown) -> None:
        """Tell the runs of an enterprise."""
        for follower in self._of_enterprise.get(shown.enterprise_number, ()):
            _tell(partial(follower.watcher.shown, shown))

    def attempted(self, attempt: Attempt) -> None:
        """Tell the runs of an enterprise."""
        for follower in self._of_enterprise.get(attempt.key.enterprise_number, ()):
            _tell(partial(follower.watcher.attempted, attempt))

    def crm_hangs(self, enterprise_number: str) -> bool:
        """Whether a run has the CRMs of this enterprise hang."""
        return any(follower.faults.crm_hangs for follower in self._of_enterprise.get(enterprise_number, ()))

    def in_place_of_telegram(self, address: Address, body: bytes, *, method: str) -> RawAnswer | None:
        """The answer to a request that a run wants refused; None when it is to go its way.

        All runs that follow the chat are told: those without faults of their own wait for its messages as well.
        """
        if not self._of_bot:
            return None
        try:
            return self._refused(address, body, method=method)
        except Exception:  # noqa: BLE001
            # As in `_tell`: this is a courier's own work. What cannot be looked at goes its way.
            _log.exception("the emulator could not look at a request to Telegram")
            return None

    def _refused(self, address: Address, body: bytes, *, method: str) -> RawAnswer | None:
        followers = self._of_bot.get(_bot_id_in(address), ())
        chat_id = _chat_id(body) if followers else None
        if chat_id is None:
            return None
        concerned = [follower for follower in followers if chat_id in follower.chats]
        # A generator: the first one that refuses is the only one that counts this request.
        refusal = next((refusal for follower in concerned if (refusal := follower.refusal(chat_id)) is not None), None)
        if refusal is None:
            return None
        said = partial(_answered, method=method, chat_id=chat_id, refusal=refusal)
        for follower in concerned:
            _tell(partial(said, follower.watcher))
        return refusal.answer()


def _add(followers: dict[str, tuple[_Follower, ...]], key: str, follower: _Follower) -> None:
    followers[key] = (*followers.get(key, ()), follower)


def _remove(followers: dict[str, tuple[_Follower, ...]], key: str, follower: _Follower) -> None:
    # New tuples: whoever is being told may end his run by it.
    left = tuple(one for one in followers[key] if one is not follower)
    if left:
        followers[key] = left
    else:
        del followers[key]


def _answered(watcher: Watcher, *, method: str, chat_id: int, refusal: _Refusal) -> None:
    watcher.answered(method=method, chat_id=chat_id, status=refusal.status, retry_after=refusal.retry_after)


def _tell(say: Callable[[], None]) -> None:
    try:
        say()
    except Exception:  # noqa: BLE001
        # Safety net: this runs inside the gateway's own work, where an error would cost real calls. The emulator must never do that.
        _log.exception("a run of the emulator could not take what it was told")


def _bot_id(token: str) -> str:
    """Bot API, "Authorizing your bot": the digits before the colon. "" for what is no token, to which Telegram answers 404 anyway."""
    bot_id, colon, _ = token.partition(":")
    return bot_id if colon else ""


def _bot_id_in(address: Address) -> str:
    """Bot API, "Making requests": …/bot<token>/<method>, where the token may be percent-encoded but for its colon."""
    segments = address.url.raw_path.rsplit(b"/", 2)
    return _bot_id(segments[-2].decode("ascii").removeprefix("bot")) if len(segments) == 3 else ""


def _chat_id(body: bytes) -> int | None:
    """Our own client's body: a JSON object, whose `chat_id` is a number where the method has one."""
    content = cast("Mapping[str, Any]", json.loads(body))
    chat_id = content.get("chat_id")
    return chat_id if isinstance(chat_id, int) else None


class WatchedStore(PostgresStore):
    """The store; what it has written for certain it tells the watch. A write that was cancelled in doubt is not told."""

    def __init__(self, pool: Pool, watch: Watch) -> None:
        super().__init__(pool)
        self._watch = watch

    async def commit_step(self, step: Step) -> None:
        """As it is."""
        await super().commit_step(step)
        self._watch.understood(step)

    async def record_shown(self, shown: Shown, *, mark_events: bool) -> None:
        """As it is."""
        await super().record_shown(shown, mark_events=mark_events)
        self._watch.shown(shown)

    async def bury_recipient(self, *, bot_token: str, chat_id: int, reason: str, at: datetime) -> None:
        """As it is."""
        with self._watch.burials.burial(bot_token, chat_id, at):
            await super().bury_recipient(bot_token=bot_token, chat_id=chat_id, reason=reason, at=at)

    async def record_attempt(self, attempt: Attempt) -> PushState:
        """As it is."""
        state = await super().record_attempt(attempt)
        self._watch.attempted(attempt)
        return state


class WatchedTelegram(HttpClient):
    """The client of the Bot API for messages; a run may answer in Telegram's place."""

    def __init__(self, watch: Watch, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(transport=transport)
        self._watch = watch

    def __repr__(self) -> str:
        return "WatchedTelegram()"

    async def post(self, address: Address, body: bytes, *, method: str, answer_seconds: float, max_bytes: int) -> RawAnswer:
        """As it is, or without any network."""
        refused = self._watch.in_place_of_telegram(address, body, method=method)
        if refused is not None:
            await trio.lowlevel.checkpoint()
            return refused
        return await super().post(address, body, method=method, answer_seconds=answer_seconds, max_bytes=max_bytes)


class WatchedCrmHttp(CrmHttp):
    """The client of the CRMs; a run may have those of its enterprise hang."""

    def __init__(self, watch: Watch, *, allow_private_targets: bool, network: Network | None = None) -> None:
        super().__init__(allow_private_targets=allow_private_targets, network=network)
        self._watch = watch

    def __repr__(self) -> str:
        return "WatchedCrmHttp()"

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """As it is, or as at a CRM that takes the request and says nothing: all callers have deadlines of their own."""
        if self._watch.crm_hangs(request.account):
            await trio.sleep_forever()
        return await super().send(request)
