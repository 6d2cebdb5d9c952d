"""The front door: eight webhooks, each stored for certain before it is answered 200.

A plain ASGI callable in front of the Quart application, which serves everything else on the listener: the hosts open a connection for every
event, one at a time, so what this costs is what every host waits for (benchmarks/intake.py has the figures).
"""

import logging
from datetime import datetime
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlsplit

import attrs
import trio

from cache.directory import AmbiguousEnterprise, Directory
from gateway.calls.envelope import Body, EnvelopeError, body_hash, read_body, token_of, unique_id_of
from gateway.errors import GatewayError, StoreRejected, StoreUnavailable
from gateway.metrics import Metrics
from gateway.nurseries.clock import Clock
from gateway.nurseries.journal import Journal, JournalFull, Ticket
from gateway.ports import Appended, EnterpriseConfig, IncomingEvent, Store
from gateway.web.asgi import App, Receive, Scope, Send, answer, body_or_answer
from gateway.web.problems import Answer, Problem, error_answer

# "/start" -> "start": the last part of the path is the kind of the event.
KINDS: Final = ("start", "dial", "bridge", "hangup", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid")
_KIND_OF_PATH: Final = {f"/{kind}": kind for kind in KINDS}

# The host gives up after 3 s and counts the event as lost; it should hear from us before that.
COMMIT_SECONDS: Final = 2.5
# Keeping a refused request is for the operator: it may delay the refusal by this much, and no more than so many do so at once (the rest
# are only counted), so that a flood of strangers takes no connections from the events.
REJECT_SECONDS: Final = 0.5
MAX_REJECTS_AT_ONCE: Final = 4


class Trace(Protocol):
    """Told of every new event once it is stored for certain; it decides whose are written down (`gateway.logs`). It must not block."""

    def __call__(self, enterprise_number: str, /, *, kind: str, token: str, unique_id: str, body_text: str) -> None: ...


_log = logging.getLogger(__name__)


class Refusal(GatewayError):
    """The request is answered with an error. The text is what the client is told."""

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem


@attrs.frozen(kw_only=True)
class _Posted:
    """A webhook as it came in."""

    kind: str
    header_tokens: tuple[str, ...] = attrs.field(repr=False)
    raw: bytes = attrs.field(repr=False)
    at: datetime


class Intake:
    """The ASGI callable of the public listener. `rest` answers everything that is not a webhook."""

    def __init__(
        self, *, rest: App, store: Store, journal: Journal, directory: Directory, metrics: Metrics, clock: Clock, trace: Trace
    ) -> None:
        self._rest = rest
        self._store = store
        self._journal = journal
        self._directory = directory
        self._metrics = metrics
        self._clock = clock
        self._trace = trace
        self._rejects_now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A webhook that had arrived whole is stored even when its sender has left."""
        kind = _kind_of(scope)
        if kind is None:
            await self._rest(scope, receive, send)
            return
        raw = await body_or_answer(scope, receive, send)
        if isinstance(raw, bytes):
            began = trio.current_time()
            response = await self._respond(_Posted(kind=kind, header_tokens=_header_tokens(scope), raw=raw, at=self._clock()))
            self._metrics.intake_answered(trio.current_time() - began)
            await answer(send, response)
        elif raw is not None:
            self._metrics.request_rejected(raw.value)

    async def _respond(self, posted: _Posted) -> Answer:
        try:
            appended = await self._store_event(posted)
        except Refusal as refusal:
            self._metrics.request_rejected(refusal.problem.value)
            if refusal.problem.status in (401, 422):
                await self._keep(posted, refusal)
            return error_answer(refusal.problem, str(refusal))
        except Exception:  # noqa: BLE001
            # Safety net: a fault of ours with one body must reach its sender as an answer, not as a closed connection.
            _log.exception("a %s could not be taken", posted.kind)
            self._metrics.request_rejected(Problem.OTHER.value)
            return error_answer(Problem.OTHER, "internal error")
        if appended.duplicate:
            return Answer(200, b'{"status":"ok","event_id":%d,"duplicate":true}' % appended.event_id)
        return Answer(200, b'{"status":"ok","event_id":%d}' % appended.event_id)

    async def _store_event(self, posted: _Posted) -> Appended:
        """Raises: `Refusal`."""
        token = self._header_token(posted)
        try:
            body = read_body(posted.raw)
        except EnvelopeError as exc:
            raise Refusal(Problem.BODY_INVALID, str(exc)) from exc
        enterprise = self._enterprise(token, token_of(body))
        ticket = self._submit(posted, enterprise, body, token or token_of(body))
        with trio.move_on_after(COMMIT_SECONDS):
            try:
                return await ticket.wait()
            except StoreUnavailable as exc:
                raise Refusal(Problem.STORE_AWAY, "the database is away, try again later") from exc
            except StoreRejected as exc:
                # The journal has kept it.
                raise Refusal(Problem.EVENT_REFUSED, "the database refused the event") from exc
        raise Refusal(Problem.STORE_AWAY, f"the database did not confirm the event within {COMMIT_SECONDS:g} s, try again later")

    def _committed(self, event: IncomingEvent, token: str, appended: Appended) -> None:
        """The journal's word, which comes for every event once, also after its host has heard 503 or has left."""
        if appended.duplicate:
            self._metrics.event_duplicate(event.kind)
        else:
            self._metrics.event_stored(event.kind)
            self._write_down(event, token)

    def _write_down(self, event: IncomingEvent, token: str) -> None:
        try:
            self._trace(event.enterprise_number, kind=event.kind, token=token, unique_id=event.unique_id, body_text=event.raw_body)
        except Exception:  # noqa: BLE001
            # Safety net: the event is stored; its host must hear that and the journal must go on, whatever befalls a log.
            _log.exception("a %s could not be traced", event.kind)

    def _submit(self, posted: _Posted, enterprise: EnterpriseConfig, body: Body, token: str) -> Ticket:
        event = IncomingEvent(
            enterprise_number=enterprise.number,
            kind=posted.kind,
            unique_id=unique_id_of(body),
            raw_body=body.text,
            body_hash=body_hash(body),
            received_at=posted.at,
        )
        try:
            return self._journal.submit(event, on_committed=partial(self._committed, event, token))
        except JournalFull as exc:
            raise Refusal(Problem.OVERLOADED, f"{exc}, try again later") from exc

    def _header_token(self, posted: _Posted) -> str:
        """The token of the header, known to be somebody's; "" when there is none."""
        if not posted.header_tokens:
            return ""
        if len(set(posted.header_tokens)) > 1:
            raise Refusal(Problem.TOKENS_DIFFER, "more than one Token header")
        token = posted.header_tokens[0]
        self._resolve(token)
        return token

    def _enterprise(self, header: str, body: str) -> EnterpriseConfig:
        if header and body and header != body:
            raise Refusal(Problem.TOKENS_DIFFER, "the Token of the header and the Token of the body differ")
        if not (header or body):
            raise Refusal(Problem.TOKEN_MISSING, "no Token, neither in the header nor in the body")
        return self._resolve(header or body)

    def _resolve(self, token: str) -> EnterpriseConfig:
        try:
            enterprise = self._directory.resolve(token)
        except AmbiguousEnterprise as exc:
            raise Refusal(Problem.TOKEN_AMBIGUOUS, "the Token fits more than one enterprise") from exc
        # Numbers and names find an enterprise elsewhere; here the key is a credential, and those are no secret.
        if enterprise is None or not enterprise.active or token not in (enterprise.token, enterprise.secret):
            raise Refusal(Problem.TOKEN_UNKNOWN, "unknown Token")
        return enterprise

    async def _keep(self, posted: _Posted, refusal: Refusal) -> None:
        """Into `rejected_events`, if that can be done quickly. The store masks the tokens."""
        if refusal.problem is Problem.EVENT_REFUSED or self._rejects_now >= MAX_REJECTS_AT_ONCE:
            return
        self._rejects_now += 1
        try:
            with trio.move_on_after(REJECT_SECONDS):
                await self._store.reject_event(
                    kind=posted.kind,
                    token=posted.header_tokens[0] if posted.header_tokens else _body_token(posted.raw),
                    raw_body=posted.raw.decode(errors="replace"),
                    reason=f"{refusal.problem.value}: {refusal}",
                    received_at=posted.at,
                )
        except (StoreUnavailable, StoreRejected) as exc:
            _log.warning("a refused %s could not be kept: %s", posted.kind, exc)
        finally:
            self._rejects_now -= 1


def _kind_of(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    if not path.startswith("/"):
        # RFC 9112, 3.2.2: a server must accept the absolute form as well.
        path = urlsplit(path).path
    return _KIND_OF_PATH.get(path)


def _header_tokens(scope: Scope) -> tuple[str, ...]:
    values = [value.decode("latin-1").strip() for name, value in scope["headers"] if name == b"token"]
    return tuple(value for value in values if value)


def _body_token(raw: bytes) -> str:
    try:
        return token_of(read_body(raw))
    except EnvelopeError:
        return ""
