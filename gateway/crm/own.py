"""The enterprise's own CRM: each event is a webhook by the Standard Webhooks specification 1.0.0 (standardwebhooks.com).

`event_of` and `request_of` build, `outcome_of` reads what came back; all three are pure. docs/crm/own.md describes the event to those who
receive it: what is changed here must be changed there.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import attrs

from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.answers import may_be_done, problem_of_status, retry_after_seconds
from gateway.crm.base import CrmAdapter, CrmKind, CrmSettingsError, Finding, Outcome, OutcomeClass, Problem
from gateway.crm.http import CrmHttp, CrmTrouble, HttpAnswer, HttpRequest
from gateway.crm.targets import Target
from gateway.ports import CustomerProfile, EnterpriseConfig
from gateway.tables import Errors, Table

logger = logging.getLogger(__name__)

# Standard Webhooks, "Signature scheme": "Random. At least 24 bytes (192 bits, 512 maximum)", where 512 bits is meant.
LEAST_KEY_BYTES = 24
MOST_KEY_BYTES = 64
_PREFIX = "whsec_"
# Standard Webhooks, "Signature scheme": of a signature that is symmetric.
_VERSION = "v1,"
_LONGEST_URL = 2048
# Of an answer, in `integration_logs`: enough for an error page's message.
KEPT_ANSWER_CHARACTERS = 2048
_SHORTEST_BLANKED = 6


@attrs.frozen(kw_only=True)
class OwnSettings:
    """The table `integrations.own`, checked. `key`: the bytes that sign."""

    target: Target
    key: bytes = attrs.field(repr=False)
    # Texts that must not come back in what is kept of an answer.
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)


def check_settings(table: Table) -> None:
    """What `gateway load` says of the table. What is switched off may be incomplete, but not wrong."""
    _read_settings(table)


def settings_of(settings: Mapping[str, Any]) -> OwnSettings:
    """Raises `CrmSettingsError`. Unknown keys are not looked at: they were told when the table was loaded."""
    errors: Errors = []
    read = _read_settings(Table({**settings, "enabled": True}, f"integrations.{CrmKind.OWN}", errors))
    if errors or read is None:
        raise CrmSettingsError("\n".join(errors))
    return read


def _read_settings(table: Table) -> OwnSettings | None:
    is_enabled = table.boolean("enabled", default=False)
    # Both are secret: people put keys into URLs.
    url = table.text("url", required=is_enabled or "url" in table.values, secret=True, longest=_LONGEST_URL, check=_url_problem)
    secret = table.text("secret", required=is_enabled or "secret" in table.values, secret=True, check=_secret_problem)
    if not url or not secret:
        return None
    target = Target.of(url)
    return OwnSettings(target=target, key=_key_of(secret), secrets=_secret_parts(target, secret))


def _url_problem(url: str) -> str | None:
    try:
        Target.of(url)
    except ValueError as exc:
        return str(exc)
    return None


def _secret_problem(secret: str) -> str | None:
    try:
        key = _key_of(secret)
    except (binascii.Error, ValueError):
        return f"must have base64 after {_PREFIX}"
    if len(key) < LEAST_KEY_BYTES:
        return f"must have at least {LEAST_KEY_BYTES} characters, or {_PREFIX} and the base64 of at least {LEAST_KEY_BYTES} bytes"
    if secret.startswith(_PREFIX) and len(key) > MOST_KEY_BYTES:
        return f"must have the base64 of at most {MOST_KEY_BYTES} bytes after {_PREFIX}"
    return None


def _key_of(secret: str) -> bytes:
    """`whsec_` and base64 (padding may be missing): the bytes that it encodes. Any other text: its own bytes in UTF-8."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(_PREFIX)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def _secret_parts(target: Target, secret: str) -> tuple[str, ...]:
    query = target.path.partition(b"?")[2].decode("ascii", "replace")
    values = [pair.partition("=")[2] for pair in query.split("&")]
    parts = (secret, secret.removeprefix(_PREFIX), query, *values, *target.keys_in_path)
    # The longest first: one may be part of another.
    return tuple(sorted({part for part in parts if len(part) >= _SHORTEST_BLANKED}, key=len, reverse=True))


def event_of(report: CallReport, enterprise_number: str) -> Mapping[str, Any]:
    """The body of the webhook. What is not known, or does not exist, is null."""
    # When the recording became known nobody can say any more: its event is about the end.
    ended_at = None if report.kind is ReportKind.DIAL else report.ended_at
    return {
        "type": f"call.{report.kind}",
        "timestamp": _instant(ended_at or report.started_at),
        "data": {
            "enterprise": enterprise_number,
            "call_id": report.call_id,
            "unique_id": report.unique_id,
            "direction": str(report.direction),
            "phone": _number(report.phone),
            "line": report.line or None,
            "extensions": list(report.extensions),
            "extension": report.extension or None,
            "mobile": _number(report.mobile),
            "transfers": list(report.transfers),
            "started_at": _instant(report.started_at),
            "answered_at": _instant(report.answered_at),
            "ended_at": _instant(report.ended_at),
            "duration_seconds": report.duration_seconds,
            "talk_seconds": report.talk_seconds,
            "waiting_seconds": report.waiting_seconds,
            "answered": report.answered,
            "busy": report.busy,
            "recording_url": report.recording_url or None,
            "recovered": report.recovered,
            "synthetic": report.synthetic,
        },
    }


def request_of(settings: OwnSettings, event: Mapping[str, Any], *, push_id: str, at: datetime, account: str = "") -> HttpRequest:
    """The signed request. `at`: the time of this try, aware; the body is the same for every try."""
    # ASCII, so that any text has a form, a lone surrogate too.
    body = json.dumps(event, separators=(",", ":")).encode()
    timestamp = str(int(at.timestamp()))
    return HttpRequest(
        method="POST",
        target=settings.target,
        account=account,
        headers={
            "Content-Type": "application/json",
            "webhook-id": push_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(settings.key, push_id, timestamp, body),
        },
        body=body,
    )


def signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Standard Webhooks, "Signature scheme": of `{msg_id}.{timestamp}.{payload}`."""
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"{_VERSION}{base64.b64encode(digest).decode()}"


def outcome_of(answer: HttpAnswer, settings: OwnSettings, *, now: datetime, request: Mapping[str, Any], signed: str = "") -> Outcome:
    """Standard Webhooks, "Delivery success and failure": the status says it all, whatever the body is like.

    `signed`: the signature of the request, which a receiver that echoes requests sends back.
    """
    response: dict[str, Any] = {"status": answer.status, "body": _kept(answer.body, settings, signed)}
    if answer.flaw:
        response["flaw"] = answer.flaw
    problem = problem_of_status(answer.status)
    if problem is None:
        return Outcome(outcome=OutcomeClass.DELIVERED, request=request, response=response)
    return failure(
        problem,
        f"http={answer.status}",
        is_ambiguous=may_be_done(answer.status),
        retry_after_seconds=retry_after_seconds(answer.retry_after, now=now),
        request=request,
        response=response,
    )


def _kept(body: bytes, settings: OwnSettings, signed: str) -> str:
    """The beginning of an answer, as text that PostgreSQL's JSON can hold, without what is secret of the request."""
    text = body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    for secret in (*settings.secrets, signed.removeprefix(_VERSION)):
        # As some write it in JSON, as it stands in forms, and as it is.
        for spelling in (secret.replace("/", "\\/"), quote(secret, safe=""), secret):
            text = text.replace(spelling, "***") if spelling else text
    return text[:KEPT_ANSWER_CHARACTERS]


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(digits: str) -> str | None:
    return f"+{digits}" if digits else None


class OwnCrm:
    """The adapter (`gateway.crm.base.CrmAdapter`) of one enterprise."""

    def __init__(self, settings: OwnSettings, enterprise_number: str, *, http: CrmHttp, clock: Callable[[], datetime]) -> None:
        self.kind = CrmKind.OWN
        self._settings = settings
        self._enterprise_number = enterprise_number
        self._http = http
        self._clock = clock

    async def admission(self, report: CallReport) -> None:
        """The scheme names no limits."""

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        """One webhook; nothing is remembered between those of a call."""
        request: dict[str, Any] = {"method": "POST", "url": self._settings.target.shown, "webhook_id": push_id}
        try:
            event = event_of(report, self._enterprise_number)
            request["body"] = event
            sent = request_of(self._settings, event, push_id=push_id, at=self._clock(), account=self._enterprise_number)
            answer = await self._http.send(sent)
            return outcome_of(answer, self._settings, now=self._clock(), request=request, signed=sent.headers["webhook-signature"])
        except CrmTrouble as exc:
            return failure(exc.problem, str(exc), is_ambiguous=exc.is_ambiguous, request=request)
        except Exception as exc:  # noqa: BLE001  (the contract: never raises; a mistake here must cost one push, not the worker of all)
            # The kind only: the text of an unforeseen error may hold the request.
            logger.error("a push of enterprise %s to its own CRM failed inside: %s", self._enterprise_number, type(exc).__name__)
            return failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})", is_ambiguous=True, request=request)

    async def look_up(self, phone: str) -> CustomerProfile | None:  # noqa: ARG002
        """The scheme has no questions."""
        return None

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:  # noqa: ARG002
        """Nor notices outside of a call."""
        return None

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """A receiver can be asked nothing that is no event: only the settings are known to be good."""
        text = (
            "настройки верны; проверка без события невозможна"
            if language == "ru"
            else "the settings are good; nothing but an event can be sent"
        )
        return (Finding(is_ok=True, text=text),)


def own_crm_maker(http: CrmHttp, clock: Callable[[], datetime]) -> Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]:
    """The `CrmMaker` for `CrmKind.OWN`. `clock`: the wall clock, aware; receivers compare it with theirs."""

    def make(config: EnterpriseConfig, settings: Mapping[str, Any]) -> CrmAdapter:
        return OwnCrm(settings_of(settings), config.number, http=http, clock=clock)

    return make
