"""Call events for CRMs that other programs post, and what has become of everything that CRMs were to be told.

200 means that what is owed is in the database; it is pushed from there, whoever posted it may leave.
"""

from collections.abc import Iterable
from typing import Any

from quart import Response, request
from quart_trio import QuartTrio

from gateway.attempts import IntegrationLog
from gateway.crm.base import CrmKind, CrmSettingsError, OutcomeClass
from gateway.crm.owing import owed_of
from gateway.crm.registry import Crms
from gateway.nurseries.clock import Clock
from gateway.nurseries.enterprise import zone_of
from gateway.nurseries.outbox import Outbox
from gateway.ports import EnterpriseConfig, Push, Store
from gateway.web.configs import tables
from gateway.web.details import Detail, json_answer, posted_body, serve
from gateway.web.enterprises import Enterprises
from gateway.web.posted_event import InvalidPayload, PostedEvent, read_event, report_of_posted

DEFAULT_ROWS = 100
MOST_ROWS = 1000


class DispatchDesk:
    """`/dispatch/…` and `/internal/<crm>/call-event`."""

    def __init__(self, *, enterprises: Enterprises, crms: Crms, store: Store, outbox: Outbox, clock: Clock) -> None:
        self._enterprises = enterprises
        self._crms = crms
        self._store = store
        self._outbox = outbox
        self._clock = clock

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        for path in ("/dispatch/call-event", "/dispatch/call-event/"):
            serve(app, "POST", path, self.call_event, is_bounded=False)
        kinds = ",".join(CrmKind)
        serve(app, "POST", f"/internal/<any({kinds}):crm>/call-event", self.crm_event, is_bounded=False)
        serve(app, "GET", "/dispatch/<key>/dead", self.dead)
        serve(app, "POST", "/dispatch/<key>/retry", self.retry, is_bounded=False)
        serve(app, "GET", "/dispatch/<key>/log", self.log)

    async def call_event(self) -> Response:
        """For all CRMs of the enterprise."""
        posted = await _posted()
        config = await self._enterprises.by_token(posted.token)
        return await self._accept(config, posted, self._crms.enabled(config))

    async def crm_event(self, crm: str) -> Response:
        """For one CRM."""
        posted = await _posted()
        kind = CrmKind(crm)
        config = await self._enterprises.by_token(posted.token)
        if tables(config).get(kind, {}).get("enabled") is not True:
            raise Detail(400, f"{kind} disabled or config invalid")
        if kind not in self._crms.kinds:
            raise Detail(501, f"{kind} is enabled, but this version of the gateway cannot speak to it")
        try:
            self._crms.adapter(config, kind)
        except CrmSettingsError as exc:
            raise Detail(400, f"{kind} disabled or config invalid: {'; '.join(str(exc).splitlines())}") from exc
        return await self._accept(config, posted, (kind,))

    async def _accept(self, config: EnterpriseConfig, posted: PostedEvent, kinds: Iterable[CrmKind]) -> Response:
        """No deadline of its own: cut off after the commit, nobody would tell the outbox of what is there before its next round."""
        report = None if posted.is_old_news else report_of_posted(posted, config, at=self._clock(), zone=zone_of(config))
        owed = owed_of(kinds, report) if report is not None else ()
        keys = [*await self._store.accept_owed(config.number, owed)] if owed else []
        if posted.recording is not None:
            # An end that was told before without it, by whomever. All CRMs of the call get it: what is known of a call is known to all.
            keys += await self._store.accept_recording(config.number, posted.recording)
        self._outbox.take(keys)
        return json_answer({"success": True} if keys or not owed else {"status": "ignored", "reason": "duplicate"})

    async def dead(self, key: str) -> Response:
        """What was given up, newest first."""
        number = (await self._enterprises.config(key)).number
        pushes = await self._store.dead_pushes(number, limit=_limit())
        waiting = dict(self._outbox.waiting(number))
        return json_answer({"enterprise_number": number, "dead": [dead_shape(push) for push in pushes], "waiting": waiting})

    async def retry(self, key: str) -> Response:
        """Begin anew with everything that was given up, but for dials of calls that have ended (`left`)."""
        number = (await self._enterprises.config(key)).number
        revived = await self._outbox.revive(number)
        return json_answer({"enterprise_number": number, "revived": len(revived.keys), "left": len(revived.left)})

    async def log(self, key: str) -> Response:
        """The last tries, newest first."""
        number = (await self._enterprises.config(key)).number
        rows = await self._store.integration_logs(number, limit=_limit())
        return json_answer({"enterprise_number": number, "log": [log_shape(row) for row in rows]})


def dead_shape(push: Push) -> dict[str, Any]:
    """A dead letter: what, whose fault, whether it would have passed by itself, what to do."""
    is_temporary = push.outcome == OutcomeClass.RETRYABLE
    return {
        "crm": push.key.crm,
        "kind": push.key.kind,
        "call_id": push.key.call_id,
        "unique_id": push.report.unique_id,
        "phone": push.report.phone or None,
        "push_id": push.content_id,
        "fault": push.fault or None,
        "class": "temporary" if is_temporary else "permanent",
        "problem": push.problem or None,
        "reason": push.reason,
        "advice": push.advice,
        "attempts": push.attempts,
        "created_at": push.created_at.isoformat(timespec="seconds"),
        "given_up_at": push.next_at.isoformat(timespec="seconds"),
    }


def log_shape(row: IntegrationLog) -> dict[str, Any]:
    """One try, as it stands in `integration_logs`."""
    return {
        "created_at": row.created_at.isoformat(timespec="milliseconds"),
        "integration_type": row.integration_type,
        "event_type": row.event_type,
        "call_id": row.call_id,
        "unique_id": row.unique_id or None,
        "push_id": row.push_id or None,
        "status": row.status,
        "error_message": row.error_message or None,
        "request_data": dict(row.request_data),
        "response_data": dict(row.response_data),
    }


async def _posted() -> PostedEvent:
    try:
        return read_event(await posted_body())
    except InvalidPayload as exc:
        # What exactly is wrong is not told: scripts compare this text.
        raise Detail(400, "invalid payload") from exc


def _limit() -> int:
    text = request.args.get("limit", str(DEFAULT_ROWS))
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST_ROWS):
        raise Detail(422, f"limit: must be a whole number from 1 to {MOST_ROWS}")
    return int(text)
