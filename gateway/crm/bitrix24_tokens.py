"""The tokens of an application at a Bitrix24 portal: renewed by one at a time, and kept before anything else is done with them.

A refresh token is good once: whoever uses it has to keep the one that comes in its place, or the application is locked out until a person
authorizes it again. So:
- tokens are no settings (a load of the configuration would bring back the first, long used up), they have a place of their own in the
  store, by portal, application and the refresh token of the settings: a new one there begins anew, enterprises with the same one share;
- before a renewal the store is read: it is there, and perhaps another process (`gateway doctor`) has renewed meanwhile;
- renewal and keeping are shielded from the deadline of whoever needs the token, and bounded by their own;
- what cannot be kept is used all the same, and keeping it is tried again with each use; a serial number keeps old tokens from replacing new
  ones.
What remains is the moment between the vendor's commit and ours: a process that is killed right then loses the token, and the advice for its
`invalid_grant` says what to do.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, cast

import attrs
import trio

from gateway.crm.base import Problem
from gateway.crm.bitrix24_answers import B24Trouble, Refusal, answer_of, trouble_of
from gateway.crm.bitrix24_settings import Application, whole
from gateway.crm.http import CrmHttp, CrmTrouble, HttpAnswer, form_request
from gateway.errors import StoreRejected, StoreUnavailable

log = logging.getLogger(__name__)

# Of the one who renews, once in an hour. Longer than a push has, as an answer that is not waited for is a token that is lost.
RENEWAL_SECONDS = 10.0
KEEP_SECONDS = 5.0
KEEP_AGAIN_SECONDS = 0.5
# Another process may be renewing at this very moment: so often its tokens are looked for, and then nobody asks again for so long.
LOOKS_FOR_OTHERS = 3
LOOK_SECONDS = 0.5
REFUSED_SECONDS = 60.0
# A token that is about to expire may expire on its way.
EARLY_SECONDS = 60.0
# B24 REST, OAuth: an hour, where the answer does not say.
ACCESS_SECONDS = 3600


class TokenStore(Protocol):
    """Where tokens are kept: the part of `gateway.ports.Store` for it, with its errors."""

    async def crm_tokens(self, account: str) -> Mapping[str, Any] | None:
        """What was kept last for this account; None: nothing."""
        ...

    async def keep_crm_tokens(self, account: str, serial: int, tokens: Mapping[str, Any]) -> None:
        """Keep these unless some with the same or a higher serial number are there."""
        ...


@attrs.frozen(kw_only=True)
class Tokens:
    """A pair of tokens. `serial` rises with each renewal. `access_token` "": not known yet."""

    serial: int
    refresh_token: str = attrs.field(repr=False)
    access_token: str = attrs.field(default="", repr=False)
    expires_at: datetime | None = None

    def is_good(self, *, now: datetime, refused: str) -> bool:
        """Whether there is an access token that is worth a try."""
        is_fresh = self.expires_at is None or now + timedelta(seconds=EARLY_SECONDS) < self.expires_at
        return bool(self.access_token) and self.access_token != refused and is_fresh

    @property
    def document(self) -> Mapping[str, Any]:
        """As the store keeps it."""
        expires_at = self.expires_at.isoformat() if self.expires_at is not None else ""
        return {"serial": self.serial, "access_token": self.access_token, "refresh_token": self.refresh_token, "expires_at": expires_at}


class Session:
    """The tokens of one application at one portal, for all enterprises that use it."""

    def __init__(
        self, application: Application, *, http: CrmHttp, store: TokenStore, clock: Callable[[], datetime], account: str = ""
    ) -> None:
        self._application = application
        self._http = http
        self._store = store
        self._clock = clock
        self._http_account = account
        self._account = account_of(application)
        self._tokens = Tokens(serial=0, refresh_token=application.refresh_token)
        self._is_kept = True
        # What the authorization server says of the refresh token, and until when (Trio's clock) it is believed.
        self._refusal: B24Trouble | None = None
        self._refused_until = 0.0
        self._lock = trio.Lock()

    def __repr__(self) -> str:
        return f"Session({self._application.portal.host!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not come back in what is kept of an answer."""
        tokens = self._tokens
        return (self._application.client_secret, self._application.refresh_token, tokens.refresh_token, tokens.access_token)

    @property
    def is_kept(self) -> bool:
        """Whether the store has the tokens that are used here."""
        return self._is_kept

    async def access_token(self, *, refused: str = "") -> str:
        """An access token, not the one that was `refused`; renewed where need be, by one task while the others wait for it.

        Raises: `B24Trouble`. Cancelled while it renews, it ends that first, within `RENEWAL_SECONDS` and `KEEP_SECONDS`.
        """
        async with self._lock:
            if not self._is_kept:
                await self._keep(seconds=KEEP_AGAIN_SECONDS)
            if not self._tokens.is_good(now=self._clock(), refused=refused):
                await self._adopt()
                if not self._tokens.is_good(now=self._clock(), refused=refused):
                    if self._refusal is not None and trio.current_time() < self._refused_until:
                        raise self._refusal.without(())
                    await self._renew()
            return self._tokens.access_token

    async def _adopt(self) -> None:
        """Take what the store has when it is newer. Also shows that the store is there before a token is used up."""
        try:
            found = tokens_of(await self._store.crm_tokens(self._account))
        except (StoreUnavailable, StoreRejected) as exc:
            raise B24Trouble(Problem.CONNECTION, "the token is not renewed: the gateway's database cannot be reached") from exc
        if found is not None and found.serial > self._tokens.serial:
            self._tokens, self._is_kept = found, True

    async def _renew(self) -> None:
        used = self._tokens
        answer: HttpAnswer | B24Trouble = B24Trouble(Problem.TIMEOUT, "the authorization server does not answer", is_ambiguous=True)
        with trio.move_on_after(RENEWAL_SECONDS, shield=True):
            answer = await self._ask(used.refresh_token)
        if isinstance(answer, B24Trouble):
            raise answer
        read = answer_of(answer)
        issued = issued_of(read.content or {}, used.serial + 1, self._clock()) if answer.status // 100 == 2 else None
        if issued is None:
            trouble = trouble_of(read, now=self._clock()).without(self.secrets)
            if trouble.refusal is Refusal.GRANT and await self._is_renewed_by_another(used):
                return
            if trouble.refusal in (Refusal.GRANT, Refusal.APPLICATION):
                self._refusal, self._refused_until = trouble, trio.current_time() + REFUSED_SECONDS
            raise trouble
        self._tokens, self._is_kept = issued, False
        await self._keep(seconds=KEEP_SECONDS)

    async def _is_renewed_by_another(self, used: Tokens) -> bool:
        for look in range(LOOKS_FOR_OTHERS):
            await trio.sleep(LOOK_SECONDS if look else 0.0)
            await self._adopt()
            if self._tokens.serial > used.serial:
                return True
        return False

    async def _ask(self, refresh_token: str) -> HttpAnswer | B24Trouble:
        application = self._application
        fields = {
            "grant_type": "refresh_token",
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "refresh_token": refresh_token,
        }
        try:
            return await self._http.send(form_request("POST", application.oauth, fields, account=self._http_account))
        except CrmTrouble as exc:
            return B24Trouble(exc.problem, f"the authorization server: {exc}", is_ambiguous=exc.is_ambiguous)

    async def _keep(self, *, seconds: float) -> None:
        """Put the tokens into the store; as long as it cannot be reached, again and again for so long."""
        with trio.move_on_after(seconds, shield=True):
            while not self._is_kept:
                try:
                    await self._store.keep_crm_tokens(self._account, self._tokens.serial, self._tokens.document)
                except StoreUnavailable:
                    await trio.sleep(KEEP_AGAIN_SECONDS)
                except StoreRejected:
                    break
                else:
                    self._is_kept = True
        if not self._is_kept:
            log.error("the renewed token of %s is not kept yet: it is lost if the gateway stops now", self._application.portal.host)


class Sessions:
    """The sessions of this process, made once for each application and portal. Adapters come and go with settings, these stay."""

    def __init__(self, http: CrmHttp, store: TokenStore, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._store = store
        self._clock = clock
        # As many as applications are configured in the life of the process, some hundred bytes each.
        self._sessions: dict[str, Session] = {}

    def __repr__(self) -> str:
        return f"Sessions({len(self._sessions)})"

    def of(self, application: Application) -> Session:
        """The session of this application."""
        key = account_of(application)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(application, http=self._http, store=self._store, clock=self._clock, account=key[:16])
        return session


def account_of(application: Application) -> str:
    """What tokens are kept by. No secret can be read from it."""
    parts = (application.portal.host, str(application.portal.port), application.client_id, application.refresh_token)
    return sha256("\0".join(("bitrix24", *parts)).encode("utf-8", "replace")).hexdigest()


def issued_of(content: Mapping[str, Any], serial: int, now: datetime) -> Tokens | None:
    """The tokens of an answer of the authorization server; None when they are not in it."""
    access_token, refresh_token = content.get("access_token"), content.get("refresh_token")
    if not (isinstance(access_token, str) and isinstance(refresh_token, str) and access_token and refresh_token):
        return None
    seconds = whole(content.get("expires_in")) or ACCESS_SECONDS
    expires_at = now + timedelta(seconds=min(seconds, 10**7))
    return Tokens(serial=serial, access_token=access_token, refresh_token=refresh_token, expires_at=expires_at)


def tokens_of(document: Mapping[str, Any] | None) -> Tokens | None:
    """The tokens of the store; None when there are none that can be read."""
    if document is None:
        return None
    serial, refresh_token, access_token = (document.get(key) for key in ("serial", "refresh_token", "access_token"))
    if not isinstance(serial, int) or not isinstance(refresh_token, str) or not isinstance(access_token, str):
        return None
    try:
        expires_at = datetime.fromisoformat(str(document.get("expires_at")))
    except ValueError:
        expires_at = None
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = None
    return Tokens(serial=serial, refresh_token=refresh_token, access_token=access_token, expires_at=expires_at)


def object_of(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one for what is none."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
