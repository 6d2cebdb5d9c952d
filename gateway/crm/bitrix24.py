"""The adapter of Bitrix24. Who does the work: `bitrix24_telling` (reports), `bitrix24_lookup` (names), `bitrix24_examination` (the doctor),
`bitrix24_portal` (requests, by `bitrix24_tokens` where the door is an application's).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import failure
from gateway.crm.base import CrmAdapter, CrmKind, CrmLookupFailed, Finding, Outcome, Problem
from gateway.crm.bitrix24_answers import B24Trouble
from gateway.crm.bitrix24_calls import ringing_users
from gateway.crm.bitrix24_examination import findings_of
from gateway.crm.bitrix24_lookup import Lookup
from gateway.crm.bitrix24_portal import Portal
from gateway.crm.bitrix24_settings import B24Settings, settings_of
from gateway.crm.bitrix24_telling import Room, Telling
from gateway.crm.bitrix24_tokens import Sessions, TokenStore
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Admissions, Limiters
from gateway.crm.zones import zone_of
from gateway.ports import CustomerProfile, EnterpriseConfig

log = logging.getLogger(__name__)

# So long before the deadline of a push it ends by itself: what it has learned is kept then, a cancelled one can say nothing.
MARGIN_SECONDS = 0.1


class Bitrix24:
    """The adapter (`gateway.crm.base.CrmAdapter`) of one enterprise."""

    def __init__(self, settings: B24Settings, enterprise_number: str, zone: tzinfo, portal: Portal, clock: Callable[[], datetime]) -> None:
        self.kind = CrmKind.BITRIX24
        self._settings = settings
        self._enterprise_number = enterprise_number
        self._portal = portal
        self._room = Room(settings=settings, portal=portal, zone=zone, clock=clock)
        self._admissions = Admissions(portal.limiter)
        self._lookup = Lookup(settings, portal)

    async def admission(self, report: CallReport) -> None:
        """Takes the places of the requests that there usually are; more than these wait for theirs while the deadline runs."""
        await self._admissions.admit(report, usual_requests(self._settings, report))

    async def push(self, report: CallReport, *, push_id: str, memory: Mapping[str, Any]) -> Outcome:  # noqa: ARG002
        """The portal knows a repetition by the UniqueId, not by `push_id`."""
        with self._admissions.claim(report) as places:
            telling = Telling(self._room, report, memory, places)
            outcome = failure(Problem.TIMEOUT, "the portal did not answer in time", is_ambiguous=True)
            with trio.move_on_at(trio.current_effective_deadline() - MARGIN_SECONDS):
                outcome = await self._told(telling)
        exchange = telling.exchange
        return attrs.evolve(
            outcome,
            request={"url": self._portal.shown, "calls": exchange.calls},
            response={"answers": exchange.answers},
            memory=telling.memory,
        )

    async def _told(self, telling: Telling) -> Outcome:
        try:
            return await telling.tell()
        except B24Trouble as exc:
            return exc.outcome
        except Exception as exc:  # noqa: BLE001  (the contract: never raises; a mistake here must cost one push, not the worker of all)
            # The kind only: the text of an unforeseen error may hold the request.
            log.error("a push of enterprise %s to Bitrix24 failed inside: %s", self._enterprise_number, type(exc).__name__)
            return failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})", is_ambiguous=True)

    async def look_up(self, phone: str) -> CustomerProfile | None:
        """One request as a rule, three without the right for telephony."""
        trouble: CrmLookupFailed
        try:
            return await self._lookup.look_up(phone)
        except B24Trouble as exc:
            trouble = CrmLookupFailed(exc.problem, str(exc))
        raise trouble

    async def notify_incoming(self, phone: str, extensions: Sequence[str]) -> Outcome | None:  # noqa: ARG002
        """A card belongs to a call; there is none outside of one."""
        return None

    async def examine(self, *, language: str) -> Sequence[Finding]:
        """Five questions and one for each fifty people."""
        try:
            return await findings_of(self._settings, self._portal, language)
        except Exception as exc:  # noqa: BLE001  (the contract: never raises; the other CRMs are still to be examined)
            log.error("the examination of enterprise %s's Bitrix24 failed inside: %s", self._enterprise_number, type(exc).__name__)
            made = failure(Problem.INTERNAL, f"a mistake in the gateway ({type(exc).__name__})")
            return (Finding(is_ok=False, text=made.reason, advice=made.advice),)


def usual_requests(settings: B24Settings, report: CallReport) -> int:
    """How many requests a report takes when nothing goes wrong."""
    if not report.phone:
        return 0
    if report.kind is ReportKind.DIAL:
        if report.recovered or report.synthetic:
            return 0
        # To register; and to show the card to the others.
        return 2 if report.direction is Direction.INCOMING and len(ringing_users(settings, report)) > 1 else 1
    records = 1 if report.recording_url else 0
    if report.kind is ReportKind.RECORDING:
        return records
    # To finish; before it to register what nobody has heard ring, or to hide the cards of an incoming call.
    return records + (2 if report.recovered or report.direction is Direction.INCOMING else 1)


def bitrix24_maker(
    http: CrmHttp, limiters: Limiters, store: TokenStore, clock: Callable[[], datetime]
) -> Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]:
    """The `CrmMaker` for `CrmKind.BITRIX24`. `store`: where an application's tokens are kept. `clock`: the wall clock, aware."""
    sessions = Sessions(http, store, clock)

    def make(config: EnterpriseConfig, settings: Mapping[str, Any]) -> CrmAdapter:
        zone = zone_of(config, CrmKind.BITRIX24)
        checked = settings_of(settings)
        portal = Portal(checked, config.number, http=http, limiters=limiters, sessions=sessions, clock=clock)
        return Bitrix24(checked, config.number, zone, portal, clock)

    return make
