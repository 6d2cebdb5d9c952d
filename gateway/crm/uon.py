"""U-ON Travel: pop-ups while a call rings, a record in its history at the end.

    DIAL        notification/create    one for each manager concerned; who has theirs is kept in the call's memory
    HANGUP      call_history/create    once; where it may have been done already, the history is read first
    RECORDING   nothing: a record of the history cannot be changed

A pop-up whose end nobody heard is shown again: one too many is better than none. A record never: U-ON notices no repetitions, so what is
not surely missing is not created.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, assert_never

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.phones import digits
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, CrmKind, CrmLookupFailed, Finding, Outcome, OutcomeClass, Problem, may_be_done
from gateway.crm.http import CrmHttp, CrmTrouble, HttpRequest
from gateway.crm.limits import Admissions, Limiters, LimitReached, Places, Window
from gateway.crm.uon_examination import MANAGERS_PATH, findings_of
from gateway.crm.uon_history import CREATE_PATH, Record, Search, fields_of, history_path, record_of, stored_records
from gateway.crm.uon_lookup import lookup_path, profile_of
from gateway.crm.uon_notices import NOTICE_PATH, NOTIFIED, NoticeTrail, managers_to_tell, notice_text, notified_before, whom_to_tell
from gateway.crm.uon_settings import UonSettings, settings_of
from gateway.crm.uon_wire import Said, get_request, post_request, said_of
from gateway.crm.zones import zone_of
from gateway.ports import CustomerProfile, EnterpriseConfig

logger = logging.getLogger(__name__)

# U-ON takes 10 requests in a second of one key; others may use the key too.
RULES = (Window(6, 1.0),)
# After a 429, which does not say how long to wait; were it to say so, at most so long.
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# The caller's deadline would take along what was done until then, so a push ends by itself a little before it.
MARGIN_SECONDS = 0.1
# Of the time for a dial, for asking who calls.
LONGEST_LOOK_UP_SECONDS = 0.8
EXAMINATION_SECONDS = 10.0

# In the memory of a call: records that may have been created.
SENT = "sent"


@attrs.define
class _RecordTrail:
    """Whether a record may have been created, for when a push is cut off."""

    is_sent: bool = False


class UonCrm:
    """The adapter (`gateway.crm.base.CrmAdapter`) of one enterprise. `zone`: U-ON's dates have none, they are the enterprise's."""

    def __init__(
        self,
        settings: UonSettings,
        enterprise_number: str,
        zone: tzinfo,
        *,
        http: CrmHttp,
        limiters: Limiters,
        clock: Callable[[], datetime],
    ) -> None:
        self.kind = CrmKind.UON
        self._settings = settings
        self._enterprise_number = enterprise_number
        self._zone = zone
        self._http = http
        self._clock = clock
        self._limiter = limiters.of(self.kind, settings.api.host_header, settings.key, rules=RULES)
        self._admissions = Admissions(self._limiter)

    async def admission(self, report: CallReport) -> None:
        """As many places as the push needs, if there are so many at once; what comes on top waits for its place within the deadline."""
        await self._admissions.admit(report, min(self._usual_requests(report), RULES[0].most))

    def _usual_requests(self, report: CallReport) -> int:
        match report.kind:
            case ReportKind.DIAL:
                managers, _ = whom_to_tell(report, self._settings)
                return len(managers) + 1 if managers else 0
            case ReportKind.HANGUP:
                return 1 if report.phone else 0
            case ReportKind.RECORDING:
                return 0
            case _:
                assert_never(report.kind)

    # ------------------------------------------------------------------ pushes

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        """U-ON knows no ids of ours, so `push_id` is not needed. Ends a little before the caller's deadline."""
        try:
            with self._admissions.claim(report) as places:
                return await self._push(report, memory, places)
        except Exception as exc:  # noqa: BLE001  (the contract: never raises; a mistake here must cost one push, not the worker of all)
            # The kind only: the text of an unforeseen error may hold the request.
            logger.error("a push of enterprise %s to U-ON failed inside: %s", self._enterprise_number, type(exc).__name__)
            return failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})", is_ambiguous=True)

    async def _push(self, report: CallReport, memory: Mapping[str, Any], places: Places) -> Outcome:
        match report.kind:
            case ReportKind.DIAL:
                managers, reason = whom_to_tell(report, self._settings)
                if not managers:
                    return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason=reason)
                return await self._show(report.direction, report.phone, report.line, managers, notified_before(memory), places)
            case ReportKind.HANGUP if not report.phone:
                return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="the number is withheld: U-ON records calls by their number")
            case ReportKind.HANGUP:
                return await self._record(report, memory, places)
            case ReportKind.RECORDING:
                return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="U-ON takes no recording for a call that is in its history")
            case _:
                assert_never(report.kind)

    # ------------------------------------------------------------------ pop-ups

    async def _show(
        self, direction: Direction, phone: str, line: str, managers: Sequence[int], notified: frozenset[int], places: Places
    ) -> Outcome:
        missing = [manager for manager in managers if manager not in notified]
        if not missing:
            return Outcome(outcome=OutcomeClass.DUPLICATE, reason="everybody was notified before")
        trail = NoticeTrail(missing=missing, notified=set(notified))
        text = ""
        with trio.move_on_at(_end_of_push()):
            client, is_unknown = await self._caller(phone, places)
            text = notice_text(direction, phone, line, client, is_unknown=is_unknown, subdomain=self._settings.subdomain)
            async with trio.open_nursery() as nursery:
                for manager in missing:
                    nursery.start_soon(self._notify, manager, text, places, trail)
        request = {"method": "POST", "url": self._settings.shown(NOTICE_PATH), "managers": [str(each) for each in missing], "text": text}
        return attrs.evolve(trail.outcome(), request=request, response=trail.kept(), memory={NOTIFIED: trail.remembered()})

    async def _notify(self, manager: int, text: str, places: Places, trail: NoticeTrail) -> None:
        request = post_request(self._settings, NOTICE_PATH, {"text": text, "manager_id": str(manager)}, account=self._enterprise_number)
        trail.take(manager, await self._ask(request, places, lambda: trail.send(manager)))

    async def _caller(self, phone: str, places: Places) -> tuple[CustomerProfile | None, bool]:
        """Who it is, and whether nobody is known. Within the time there is; neither when U-ON cannot say."""
        if not digits(phone):
            return None, True
        seconds = (trio.current_effective_deadline() - trio.current_time()) / 2
        said = Said(problem=Problem.TIMEOUT)
        with trio.move_on_after(min(max(seconds, 0.0), LONGEST_LOOK_UP_SECONDS)):
            said = await self._ask(self._get(lookup_path(phone)), places)
        if said.problem is not None:
            return None, said.is_empty
        client = profile_of(phone, said.content, self._settings)
        return client, client is None

    # ------------------------------------------------------------------ the history

    async def _record(self, report: CallReport, memory: Mapping[str, Any], places: Places) -> Outcome:
        fields, trail = fields_of(report, self._settings, self._zone), _RecordTrail()
        record, sent = record_of(fields), tuple(stored_records(memory.get(SENT)))
        request = {"method": "POST", "url": self._settings.shown(CREATE_PATH), "body": fields}
        outcome = failure(Problem.TIMEOUT, "no answer in time")
        with trio.move_on_at(_end_of_push()):
            known = await self._known((record, *sent), places) if sent or may_be_done(report, memory) else None
            outcome = known or await self._create(fields, places, trail)
        # Before the first answer of this try an earlier one may have created it, which its own mark says; the mark stays.
        if trail.is_sent and outcome.problem is Problem.TIMEOUT:
            outcome = attrs.evolve(outcome, is_ambiguous=True)
        remembered = dict.fromkeys((*sent, record)) if outcome.is_ambiguous and trail.is_sent else {}
        return attrs.evolve(
            outcome,
            request=request,
            memory={**outcome.memory, SENT: [each.stored() for each in remembered]} if remembered else outcome.memory,
        )

    async def _known(self, wanted: Sequence[Record], places: Places) -> Outcome | None:
        """None: it is surely not in the history. Otherwise nothing must be created now."""
        search = Search(wanted)
        while (page := search.page) is not None:
            said = await self._ask(self._get(history_path(page)), places)
            if said.is_empty:
                search.nothing()
            elif said.problem is not None:
                return _unread(said)
            else:
                search.take(said.content)
        if search.found_id:
            return Outcome(
                outcome=OutcomeClass.DUPLICATE,
                reason="an earlier try, whose answer did not come, has created the record",
                response={"found_id": search.found_id},
            )
        if search.is_sure:
            return None
        return attrs.evolve(
            failure(Problem.REJECTED, f"an earlier try may have created the record: {search.problem}"),
            advice="Look for the call in U-ON's history; if it is missing, add it there by hand.",
        )

    async def _create(self, fields: Mapping[str, str], places: Places, trail: _RecordTrail) -> Outcome:
        note = ""
        said = await self._post_record(fields, places, trail)
        if said.wrong == "manager_id" and "manager_id" in fields:
            # The call counts for more than who took it.
            note = f"recorded without a manager: U-ON does not know {fields['manager_id']}; correct user_extensions"
            said = await self._post_record({name: value for name, value in fields.items() if name != "manager_id"}, places, trail)
        if said.problem is not None:
            return attrs.evolve(said.failure("call_history/create"), response=said.kept)
        return Outcome(outcome=OutcomeClass.DELIVERED, reason=note, response=said.kept)

    async def _post_record(self, fields: Mapping[str, str], places: Places, trail: _RecordTrail) -> Said:
        def sent() -> None:
            trail.is_sent = True

        said = await self._ask(post_request(self._settings, CREATE_PATH, fields, account=self._enterprise_number), places, sent)
        trail.is_sent = said.is_ambiguous
        return said

    # ------------------------------------------------------------------ questions

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """Raises `CrmLookupFailed`."""
        if not digits(phone):
            return None
        with Places(self._limiter, 0) as places:
            said = await self._ask(self._get(lookup_path(phone)), places)
        if said.problem is None:
            return profile_of(phone, said.content, self._settings)
        if said.is_empty:
            return None
        raise CrmLookupFailed(said.problem, f"U-ON: {said.reason}")

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:
        """Shown to the managers of these extensions, to all where these are nobody's. Never raises."""
        if not self._settings.notifies(Direction.INCOMING):
            return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="notices of incoming calls are switched off in the settings")
        managers = managers_to_tell(Direction.INCOMING, extensions, self._settings)
        if not managers:
            return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="user_extensions maps nobody")
        try:
            with Places(self._limiter, 0) as places:
                return await self._show(Direction.INCOMING, digits(phone), "", managers, frozenset(), places)
        except Exception as exc:  # noqa: BLE001  (as in `push`)
            logger.error("a notice of enterprise %s to U-ON failed inside: %s", self._enterprise_number, type(exc).__name__)
            return failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})", is_ambiguous=True)

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """As `uon_examination.findings_of`."""
        said = Said(problem=Problem.TIMEOUT, reason=f"no answer within {EXAMINATION_SECONDS:g} s")
        with trio.move_on_after(EXAMINATION_SECONDS):
            with Places(self._limiter, 0) as places:
                said = await self._ask(self._get(MANAGERS_PATH), places)
        return findings_of(said, self._settings, language=language)

    def _get(self, path: str) -> HttpRequest:
        return get_request(self._settings, path, account=self._enterprise_number)

    async def _ask(self, request: HttpRequest, places: Places, on_sending: Callable[[], object] = lambda: None) -> Said:
        """One request, in its place. `on_sending` is called when it may be on its way. Raises nothing but cancellation."""
        try:
            async with places.request():
                on_sending()
                answer = await self._http.send(request)
        except LimitReached as exc:
            return Said(problem=Problem.RATE_LIMIT, reason=str(exc), retry_after_seconds=exc.wait_seconds)
        except CrmTrouble as exc:
            return Said(problem=exc.problem, reason=str(exc), is_ambiguous=exc.is_ambiguous)
        said = said_of(answer, self._settings, now=self._clock())
        if said.problem is Problem.RATE_LIMIT:
            places.pause(min(max(said.retry_after_seconds or 0.0, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
        return said


def _unread(said: Said) -> Outcome:
    # Nothing was done by the question.
    outcome = attrs.evolve(said, is_ambiguous=False).failure("reading the history")
    if said.problem is Problem.UNAUTHORIZED:
        advice = "The key must be allowed GET too: whether the call is in the history already has to be read. Then revive what is dead."
        outcome = attrs.evolve(outcome, advice=advice)
    return attrs.evolve(outcome, response=said.kept)


def _end_of_push() -> float:
    deadline = trio.current_effective_deadline()
    return deadline - MARGIN_SECONDS if math.isfinite(deadline) else deadline


def uon_crm_maker(
    http: CrmHttp, limiters: Limiters, clock: Callable[[], datetime]
) -> Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]:
    """The `CrmMaker` for `CrmKind.UON`. `clock`: the wall clock, aware."""

    def make(config: EnterpriseConfig, settings: Mapping[str, Any]) -> CrmAdapter:
        zone = zone_of(config, CrmKind.UON)
        return UonCrm(settings_of(settings), config.number, zone, http=http, limiters=limiters, clock=clock)

    return make
