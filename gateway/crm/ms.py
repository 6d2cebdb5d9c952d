"""МойСклад: calls by its Phone API 1.0, names and responsible people by its JSON API 1.2.

A call is made when it first rings, if somebody is to see its card, else at its end; it is known by its `externalId`, our `unique_id`, so
each is there once. What is told is in `ms_calls`, what is heard in `ms_wire`, who is looked up in `ms_lookup`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm import ms_calls
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, CrmKind, Finding, Outcome, OutcomeClass, Problem, may_be_done
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Admissions, Limiters, Parallel, Places, Window
from gateway.crm.ms_examination import examined
from gateway.crm.ms_lookup import found
from gateway.crm.ms_settings import MsSettings, settings_of
from gateway.crm.ms_wire import MsApi, MsTrouble, Said, Trace, Verdict
from gateway.ports import CustomerProfile, EnterpriseConfig

logger = logging.getLogger(__name__)

# Phone API, "Ограничения": 100 requests in 5 s, 5 at once. One is left for what we gave up and МойСклад is still at.
PHONE_RULES = (Window(100, 5.0), Parallel(4))
# JSON API, "Ограничения": 45 units in 3 s, 5 at once. A request of a personal token costs up to 4 units from December 2026 on.
JSON_RULES = (Window(10, 3.0), Parallel(4))

_CALL_ID = "call_id"
_RECORDINGS = "recordings"
_IS_ENDED = "is_ended"


def ms_crm_maker(
    http: CrmHttp, limiters: Limiters, clock: Callable[[], datetime]
) -> Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]:
    """The `CrmMaker` for `CrmKind.MS`. `clock`: the wall clock, aware."""

    def make(config: EnterpriseConfig, settings: Mapping[str, Any]) -> CrmAdapter:
        return MsCrm(settings_of(settings), config.number, http=http, limiters=limiters, clock=clock)

    return make


class MsCrm:
    """The adapter (`gateway.crm.base.CrmAdapter`) of one enterprise."""

    def __init__(
        self, settings: MsSettings, enterprise_number: str, *, http: CrmHttp, limiters: Limiters, clock: Callable[[], datetime]
    ) -> None:
        self.kind = CrmKind.MS
        self._settings = settings
        self._enterprise_number = enterprise_number
        phone_key, token = settings.phone_key, settings.token
        self._phone = MsApi(
            http,
            settings.phone_url,
            {"Lognex-Phone-Auth-Token": phone_key},
            account=enterprise_number,
            limiter=limiters.of(CrmKind.MS, "phone", settings.phone_url.host, phone_key, rules=PHONE_RULES),
            secrets=settings.secrets,
            clock=clock,
        )
        self._json = MsApi(
            http,
            settings.json_url,
            {"Authorization": f"Bearer {token}"},
            account=enterprise_number,
            limiter=limiters.of(CrmKind.MS, "json", settings.json_url.host, token, rules=JSON_RULES),
            secrets=settings.secrets,
            clock=clock,
        )
        self._admissions = Admissions(self._phone.limiter)

    async def admission(self, report: CallReport) -> None:
        """One place: most pushes are one request, and the others get more as they go."""
        await self._admissions.admit(report, 0 if self._is_idle(report) else 1)

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        """The first ring makes the call and shows its card; the end fills it and takes the card away, or makes the whole call."""
        trace = Trace()
        with self._admissions.claim(report) as places:
            try:
                if self._is_idle(report):
                    await trio.lowlevel.checkpoint()
                    return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason="nobody is to see a card of this call")
                if not self._settings.phone_key:
                    await trio.lowlevel.checkpoint()
                    return failure(Problem.SETTINGS, "integration_code is missing")
                told = _Told(self._phone, self._settings, report, places, trace, memory)
                return await (told.ring() if report.kind is ReportKind.DIAL else told.end())
            except MsTrouble as exc:
                return exc.outcome(trace)
            except Exception as exc:  # noqa: BLE001  (the contract: never raises; a mistake here must cost one push, not the worker of all)
                # The kind only: the text of an unforeseen error may hold the request.
                logger.error("a push of enterprise %s to МойСклад failed inside: %s", self._enterprise_number, type(exc).__name__)
                reason = f"a mistake in the gateway ({type(exc).__name__})"
                return failure(Problem.INTERNAL, reason, is_ambiguous=True, request=trace.request)

    def _is_idle(self, report: CallReport) -> bool:
        if report.direction is Direction.INTERNAL:
            return True
        return report.kind is ReportKind.DIAL and not ms_calls.shown_to(report, self._settings)

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """By counterparties and their contact persons. None without a token."""
        if not self._settings.token:
            await trio.lowlevel.checkpoint()
            return None
        return await found(self._json, phone, self._settings)

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:  # noqa: ARG002
        """There are no cards without a call, and a call would stand there for good."""
        await trio.lowlevel.checkpoint()
        return None

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """Both keys, and who has which extension there."""
        return await examined(self._phone, self._json, self._settings, language=language)


class _Told:
    """One push under way."""

    def __init__(
        self, phone: MsApi, settings: MsSettings, report: CallReport, places: Places, trace: Trace, memory: Mapping[str, Any]
    ) -> None:
        self._phone = phone
        self._settings = settings
        self._report = report
        self._places = places
        self._trace = trace
        self._is_doubtful = may_be_done(report, memory)
        self._is_ended = memory.get(_IS_ENDED) is True
        self._by_external_id = f"/call/extid/{quote(report.unique_id, safe='')}"
        call_id, recordings = memory.get(_CALL_ID), memory.get(_RECORDINGS)
        self._by_id = _path(call_id)
        self._recordings = [str(url) for url in cast("list[object]", recordings)] if isinstance(recordings, list) else []

    async def ring(self) -> Outcome:
        """Raises `MsTrouble`."""
        # That a taken `externalId` is refused is our reading of the documentation; an earlier try that was heard needs no such luck.
        if self._is_doubtful and await self._look(self._by_external_id):
            return self._done(OutcomeClass.DUPLICATE)
        return self._done(await self._create(ms_calls.ringing_call(self._report, self._settings)))

    async def end(self) -> Outcome:
        """The end, or the recording of an ended call. Raises `MsTrouble`."""
        for path in dict.fromkeys((self._by_id or self._by_external_id, self._by_external_id)):
            if (not self._is_doubtful or await self._look(path)) and await self._update(path):
                return self._ended()
        created = await self._create(ms_calls.ended_call(self._report, self._settings))
        if created is OutcomeClass.DUPLICATE:
            # An earlier try of the call's begin or end has just got there.
            if not (await self._look(self._by_external_id) and await self._update(self._by_external_id)):
                raise MsTrouble(Problem.SERVER_ERROR, "the call is said to be there and not to be there", is_ambiguous=True)
        elif self._report.recording_url:
            self._remember([self._report.recording_url])
        return self._ended()

    async def _create(self, fields: Mapping[str, Any]) -> OutcomeClass:
        said = await self._send("POST", "/call", fields)
        if said.verdict is Verdict.EXISTS:
            return OutcomeClass.DUPLICATE
        self._learn(said)
        return OutcomeClass.DELIVERED

    async def _look(self, path: str) -> bool:
        """Whether the call is there; learns its id and its recordings."""
        said = await self._send("GET", path)
        if said.verdict is not Verdict.OK:
            return False
        self._learn(said)
        urls = said.content.get("recordUrl")
        if isinstance(urls, list):
            self._remember([str(url) for url in cast("list[object]", urls)])
        return True

    async def _update(self, path: str) -> bool:
        """Whether the call is there, and has it now."""
        if self._is_ended and self._report.kind is ReportKind.RECORDING:
            fields = ms_calls.recording_of_call(self._report, known_urls=self._recordings)
            if not fields:
                return True
        else:
            fields = ms_calls.end_of_call(self._report, self._settings, known_urls=self._recordings)
        said = await self._send("PUT", path, fields)
        if said.verdict is not Verdict.OK:
            return False
        self._learn(said)
        self._remember(fields.get("recordUrl", []))
        return True

    async def _send(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Said:
        said = await self._phone.ask(self._places, method, path, fields, trace=self._trace)
        if said.verdict is Verdict.BAD_LINK and fields is not None and ms_calls.has_links(fields):
            # Somebody of `employee_mapping` is not there (any more): the call must not be lost for that.
            said = await self._phone.ask(self._places, method, path, ms_calls.without_links(fields), trace=self._trace)
        is_expected = said.verdict in (Verdict.OK, Verdict.EXISTS if method == "POST" else Verdict.MISSING)
        if not is_expected:
            raise MsTrouble(Problem.REJECTED, f"http={self._trace.response.get('status')}, {said.verdict.name.lower()}")
        return said

    def _learn(self, said: Said) -> None:
        call_id = said.content.get("id")
        if isinstance(call_id, str) and _path(call_id):
            self._trace.memory[_CALL_ID] = call_id

    def _remember(self, urls: Sequence[str]) -> None:
        if urls:
            self._recordings = list(dict.fromkeys([*self._recordings, *urls]))
            self._trace.memory[_RECORDINGS] = self._recordings

    def _ended(self) -> Outcome:
        self._trace.memory[_IS_ENDED] = True
        return self._done(OutcomeClass.DELIVERED)

    def _done(self, outcome: OutcomeClass) -> Outcome:
        trace = self._trace
        return Outcome(outcome=outcome, request=trace.request, response=trace.response, memory=trace.memory)


def _path(call_id: object) -> str:
    """Where the call of this id is; "" when it is none."""
    return f"/call/{quote(call_id, safe='')}" if isinstance(call_id, str) and call_id else ""
