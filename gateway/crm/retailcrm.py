"""RetailCRM: live events of a call while it rings and at its end, and the call itself for the history.

    DIAL        telephony/call/event      in / out
    HANGUP      telephony/call/event      hangup (not of a recovered call: a notice hours later helps nobody)
                telephony/calls/upload    the call; a repetition is known there by `externalId`
    RECORDING   telephony/calls/upload    only if the upload was not done; an uploaded call is not changed any more

What of an end was done is kept in the call's memory, so a retry repeats only what is missing. The upload is tried even where the event was
refused: the notice is a convenience, the history is what the enterprise counts by.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, assert_never

import attrs

from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, CrmKind, Finding, Outcome, OutcomeClass, Problem
from gateway.crm.http import CrmHttp, CrmTrouble, HttpRequest
from gateway.crm.limits import Admissions, Limiter, Limiters, LimitReached, Places, Window
from gateway.crm.retailcrm_examination import examine
from gateway.crm.retailcrm_lookup import look_up
from gateway.crm.retailcrm_settings import RetailSettings, settings_of
from gateway.crm.retailcrm_wire import (
    EVENT_PATH,
    UPLOAD_PATH,
    Said,
    call_of,
    event_of,
    event_request,
    get_request,
    said_of,
    upload_request,
)
from gateway.crm.zones import zone_of
from gateway.ports import CustomerProfile, EnterpriseConfig

logger = logging.getLogger(__name__)

# The official Go client, rate.go: requests in a second of one key; those below /telephony are counted by themselves.
TELEPHONY_RULES = (Window(40, 1.0),)
OTHER_RULES = (Window(10, 1.0),)
# retailCRM's PHP client waits so long after a 503, which does not say how long.
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# In the memory of a call: the live event of the end was accepted; the call is in the history.
EVENT_DONE = "hangup_event_done"
UPLOAD_DONE = "upload_done"
# Ends whose event was accepted and whose push was then cut off, so that its memory was not kept. Some 100 bytes each.
MOST_CUT_OFF = 1_000

# After these the upload would fail the same way.
_WHOLE_ACCOUNT = frozenset({Problem.UNAUTHORIZED, Problem.NOT_FOUND, Problem.RATE_LIMIT, Problem.TARGET_REFUSED, Problem.SETTINGS})


class RetailCrm:
    """The adapter (`gateway.crm.base.CrmAdapter`) of one enterprise. `zone`: in which RetailCRM reads dates."""

    def __init__(
        self,
        settings: RetailSettings,
        enterprise_number: str,
        zone: tzinfo,
        *,
        http: CrmHttp,
        limiters: Limiters,
        clock: Callable[[], datetime],
    ) -> None:
        self.kind = CrmKind.RETAILCRM
        self._settings = settings
        self._enterprise_number = enterprise_number
        self._zone = zone
        self._http = http
        self._clock = clock
        account = (settings.account.host_header, settings.api_key)
        self._telephony = limiters.of(self.kind, "telephony", *account, rules=TELEPHONY_RULES)
        self._others = limiters.of(self.kind, "others", *account, rules=OTHER_RULES)
        self._admissions = Admissions(self._telephony)
        self._cut_off: dict[str, None] = {}

    async def admission(self, report: CallReport) -> None:
        """A dial is one request, an end is two."""
        await self._admissions.admit(report, len(_usual_paths(report)))

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        """RetailCRM knows a repetition by the id of the call, so `push_id` is not needed."""
        try:
            with self._admissions.claim(report) as places:
                return await self._push(report, memory, places)
        except Exception as exc:  # noqa: BLE001  (the contract: never raises; a mistake here must cost one push, not the worker of all)
            # The kind only: the text of an unforeseen error may hold the request.
            logger.error("a push of enterprise %s to RetailCRM failed inside: %s", self._enterprise_number, type(exc).__name__)
            return failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})", is_ambiguous=True)

    async def _push(self, report: CallReport, memory: Mapping[str, Any], places: Places) -> Outcome:
        match report.kind:
            case ReportKind.DIAL if report.recovered:
                return Outcome(
                    outcome=OutcomeClass.NOTHING_TO_DO, reason="the call was not heard live: nobody is to be shown that it rings"
                )
            case ReportKind.DIAL:
                return await self._tell_event(report, places)
            case ReportKind.HANGUP:
                return await self._push_end(report, memory, places)
            case ReportKind.RECORDING if memory.get(UPLOAD_DONE) is True:
                return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="RetailCRM has the call and takes no recording afterwards")
            case ReportKind.RECORDING:
                return await self._upload(report, places)
            case _:
                assert_never(report.kind)

    async def _push_end(self, report: CallReport, memory: Mapping[str, Any], places: Places) -> Outcome:
        event: Outcome | None = None
        is_told = memory.get(EVENT_DONE) is True or report.unique_id in self._cut_off
        if not report.recovered and not is_told:
            event = await self._tell_event(report, places)
            is_told = event.outcome.is_done
            if is_told:
                self._cut_off[report.unique_id] = None
                if len(self._cut_off) > MOST_CUT_OFF:
                    del self._cut_off[next(iter(self._cut_off))]
            elif event.problem in _WHOLE_ACCOUNT or (event.problem is Problem.CONNECTION and not event.is_ambiguous):
                return event
        upload = None if memory.get(UPLOAD_DONE) is True else await self._upload(report, places)
        # From here on nothing waits, so what was done is in the outcome.
        self._cut_off.pop(report.unique_id, None)
        return _both(event, upload, is_told=is_told)

    async def _tell_event(self, report: CallReport, places: Places) -> Outcome:
        event = event_of(report, self._settings)
        said = await self._ask(event_request(self._settings, event, account=self._enterprise_number), places)
        request = {"call_event": {"method": "POST", "url": self._shown(EVENT_PATH), "event": event}}
        response = {"call_event": said.kept}
        if said.problem is not None:
            return attrs.evolve(said.failure("call/event"), request=request, response=response)
        return Outcome(outcome=OutcomeClass.DELIVERED, reason=_unknown_in(said), request=request, response=response)

    async def _upload(self, report: CallReport, places: Places) -> Outcome:
        call = call_of(report, self._settings, self._zone)
        said = await self._ask(upload_request(self._settings, [call], account=self._enterprise_number), places)
        request = {"calls_upload": {"method": "POST", "url": self._shown(UPLOAD_PATH), "calls": [call]}}
        response = {"calls_upload": said.kept}
        if said.problem is not None:
            return attrs.evolve(said.failure("calls/upload"), request=request, response=response)
        duplicates = said.content.get("duplicateCalls")
        is_known = isinstance(duplicates, list) and report.unique_id in duplicates
        return Outcome(
            outcome=OutcomeClass.DUPLICATE if is_known else OutcomeClass.DELIVERED,
            reason="RetailCRM had the call already" if is_known else "",
            request=request,
            response=response,
            memory={UPLOAD_DONE: True},
        )

    async def _ask(self, request: HttpRequest, places: Places) -> Said:
        """One request, in its place. Raises nothing but cancellation."""
        try:
            async with places.request():
                answer = await self._http.send(request)
        except LimitReached as exc:
            return Said(problem=Problem.RATE_LIMIT, reason=str(exc), retry_after_seconds=exc.wait_seconds)
        except CrmTrouble as exc:
            return Said(problem=exc.problem, reason=str(exc), is_ambiguous=exc.is_ambiguous)
        said = said_of(answer, self._settings, now=self._clock())
        if said.problem is Problem.RATE_LIMIT:
            places.pause(min(max(said.retry_after_seconds or 0.0, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
        return said

    def _shown(self, path: str) -> str:
        account = self._settings.account
        return f"{account.scheme}://{account.host_header}{path}"

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """As `retailcrm_lookup.look_up`."""
        return await look_up(self._settings, phone, self._get)

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:  # noqa: ARG002
        """RetailCRM has no notices outside of a call."""
        return None

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """As `retailcrm_examination.examine`."""
        return await examine(self._settings, self._get, language=language)

    async def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Said:
        limiter: Limiter = self._telephony if "/telephony/" in path else self._others
        try:
            places = await limiter.reserve(urgent=True)
        except LimitReached as exc:
            return Said(problem=Problem.RATE_LIMIT, reason=str(exc), retry_after_seconds=exc.wait_seconds)
        with places:
            return await self._ask(get_request(self._settings, path, query, account=self._enterprise_number), places)


def _usual_paths(report: CallReport) -> tuple[str, ...]:
    """The requests that a report becomes when nothing of it was done yet, and the recording's usual case is that all was."""
    match report.kind:
        case ReportKind.DIAL:
            return () if report.recovered else (EVENT_PATH,)
        case ReportKind.HANGUP:
            return (UPLOAD_PATH,) if report.recovered else (EVENT_PATH, UPLOAD_PATH)
        case ReportKind.RECORDING:
            return ()
        case _:
            assert_never(report.kind)


def _both(event: Outcome | None, upload: Outcome | None, *, is_told: bool) -> Outcome:
    """What became of an end. None: not to be done, or done before. What failed decides; the history goes before the event."""
    done = [each for each in (upload, event) if each is not None]
    if not done:
        return Outcome(outcome=OutcomeClass.DUPLICATE, reason="all of it was done before")
    worst = next((each for each in done if not each.outcome.is_done), done[0])
    memory: dict[str, Any] = {EVENT_DONE: True} if is_told else {}
    if upload is not None:
        memory |= upload.memory
    request = {name: value for each in reversed(done) for name, value in each.request.items()}
    response = {name: value for each in reversed(done) for name, value in each.response.items()}
    reason = worst.reason or (event.reason if event is not None else "")
    if worst is event and upload is not None and upload.outcome.is_done:
        reason = f"{reason} (the call itself is in the history)"
    return attrs.evolve(worst, reason=reason, request=request, response=response, memory=memory)


def _unknown_in(said: Said) -> str:
    """Whom of those named RetailCRM does not know: no failure, but nobody was shown anything."""
    unknown = [("codes", said.content.get("notExistCodes")), ("users", said.content.get("notExistUsers"))]
    return "; ".join(f"RetailCRM does not know these {what}: {json.dumps(values)[:100]}" for what, values in unknown if values)


def retailcrm_maker(
    http: CrmHttp, limiters: Limiters, clock: Callable[[], datetime]
) -> Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]:
    """The `CrmMaker` for `CrmKind.RETAILCRM`. `clock`: the wall clock, aware."""

    def make(config: EnterpriseConfig, settings: Mapping[str, Any]) -> CrmAdapter:
        zone = zone_of(config, CrmKind.RETAILCRM)
        return RetailCrm(settings_of(settings), config.number, zone, http=http, limiters=limiters, clock=clock)

    return make
