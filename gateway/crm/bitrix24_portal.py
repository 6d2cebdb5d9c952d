"""A Bitrix24 portal as one method: `call`. Behind it are the two doors (inbound webhook, application) and the portal's limit.

Secrets (the webhook's code in the path, tokens in the body) leave this module in requests only: not in errors, not in what is noted down.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import attrs

from gateway.crm.base import CrmKind, Problem
from gateway.crm.bitrix24_answers import B24Answer, B24Trouble, Refusal, answer_of, shown_without, trouble_of
from gateway.crm.bitrix24_settings import Application, B24Settings, Webhook
from gateway.crm.bitrix24_tokens import Session, Sessions
from gateway.crm.http import CrmHttp, CrmTrouble, json_request
from gateway.crm.limits import Bucket, Limiter, Limiters, LimitReached, Places

# B24 REST, "Limits": an ordinary plan drains 2 in a second and holds 50, for the portal and the address that asks; other programs behind
# that address share it, so we leave them most of it.
LIMITS = (Bucket(most=10, per_second=2.0),)
# Of an answer, in `integration_logs`.
_KEPT_CHARACTERS = 2048


@attrs.define
class Exchange:
    """What was asked and answered for one push, to be written down: JSON values without secrets."""

    calls: list[Any] = attrs.field(factory=list[Any])
    answers: list[Any] = attrs.field(factory=list[Any])


class Portal:
    """One enterprise's door to a portal.

    The limiter is that of the portal's host: all enterprises with one portal share it, whatever their doors are.
    """

    def __init__(
        self,
        settings: B24Settings,
        account: str,
        *,
        http: CrmHttp,
        limiters: Limiters,
        sessions: Sessions,
        clock: Callable[[], datetime],
    ) -> None:
        self._door: Webhook | Application = settings.door
        self._session: Session | None = sessions.of(self._door) if isinstance(self._door, Application) else None
        self._account = account
        self._http = http
        self._clock = clock
        self.limiter: Limiter = limiters.of(CrmKind.BITRIX24, self._door.portal.host, rules=LIMITS)

    def __repr__(self) -> str:
        return f"Portal({self.host!r})"

    @property
    def host(self) -> str:
        """The portal's host and port."""
        return self._door.portal.host_header

    @property
    def is_application(self) -> bool:
        """Whether the door is an application's."""
        return self._session is not None

    @property
    def shown(self) -> str:
        """The address of methods, for `integration_logs`."""
        middle = "" if isinstance(self._door, Application) else "***/***/"
        return f"{self._door.portal.scheme}://{self.host}/rest/{middle}"

    @asynccontextmanager
    async def urgent_places(self) -> AsyncGenerator[Places]:
        """Places for whoever waits for the answer, one for a beginning. Raises: `B24Trouble`, before the block."""
        try:
            places = await self.limiter.reserve(1, urgent=True)
        except LimitReached as exc:
            raise _limited(exc) from None
        with places:
            yield places

    async def call(self, method: str, params: Mapping[str, Any], places: Places, exchange: Exchange | None = None) -> Any:
        """The `result` of a method. Raises: `B24Trouble`.

        An application's token that is refused is renewed, and the method called again, once.
        """
        if self._session is None:
            return await self._ask(method, params, {}, places, exchange)
        token = await self._session.access_token()
        try:
            return await self._ask(method, params, {"auth": token}, places, exchange)
        except B24Trouble as exc:
            if exc.refusal is not Refusal.TOKEN:
                raise
        token = await self._session.access_token(refused=token)
        return await self._ask(method, params, {"auth": token}, places, exchange)

    async def _ask(self, method: str, params: Mapping[str, Any], auth: Mapping[str, str], places: Places, exchange: Exchange | None) -> Any:
        target = attrs.evolve(self._door.portal, path=f"/rest/{self._middle}{method}".encode("ascii"))
        request = json_request("POST", target, {**params, **auth}, account=self._account)
        if exchange is not None:
            exchange.calls.append({"method": method, "params": dict(params)})
        answer: B24Answer | B24Trouble
        try:
            async with places.request():
                answer = answer_of(await self._http.send(request))
        except LimitReached as exc:
            answer = _limited(exc)
        except CrmTrouble as exc:
            answer = B24Trouble(exc.problem, str(exc), is_ambiguous=exc.is_ambiguous)
        if isinstance(answer, B24Trouble):
            if exchange is not None:
                exchange.answers.append(str(answer))
            raise answer
        secrets = (*self._secrets, *auth.values())
        if exchange is not None:
            exchange.answers.append(_noted(answer, secrets))
        if answer.has_result and answer.content is not None:
            return answer.content["result"]
        trouble = trouble_of(answer, now=self._clock())
        if trouble.refusal is Refusal.DOOR and self._session is not None:
            # Its advice is about a webhook.
            trouble.refusal = None
        if trouble.pause_seconds:
            # The bucket is the portal's: whoever else waits for it would only make it longer.
            self.limiter.pause(trouble.pause_seconds)
        raise trouble.without(secrets)

    @property
    def _middle(self) -> str:
        return f"{self._door.user_id}/{self._door.code}/" if isinstance(self._door, Webhook) else ""

    @property
    def _secrets(self) -> tuple[str, ...]:
        if self._session is not None:
            return self._session.secrets
        return (self._door.code,) if isinstance(self._door, Webhook) else ()


def _limited(exc: LimitReached) -> B24Trouble:
    return B24Trouble(Problem.RATE_LIMIT, str(exc), retry_after_seconds=exc.wait_seconds)


def _noted(answer: B24Answer, secrets: tuple[str, ...]) -> Any:
    """What is kept of an answer: what it says, without the block of times."""
    content = {key: value for key, value in (answer.content or {}).items() if key != "time"}
    text = shown_without(json.dumps(content, ensure_ascii=False), secrets)
    noted: dict[str, Any] = {"status": answer.status}
    try:
        noted["body"] = json.loads(text) if len(text) <= _KEPT_CHARACTERS else text[:_KEPT_CHARACTERS]
    except ValueError:
        # A secret of digits stood where a number was.
        noted["body"] = text
    if answer.flaw:
        noted["flaw"] = answer.flaw
    return noted
