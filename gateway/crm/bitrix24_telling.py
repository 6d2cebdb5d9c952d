"""One report told to a Bitrix24 portal: which methods, in which order, and what to do when one of them says no.

What is done is remembered at once (`Telling.memory`), so that the next try, or the next report of the call, goes on from there:

    registering   what the registration is known by (`Facts`), from before the first try on
    call_id       the portal's id of the call
    cards, shown  who was to see the card, when there are several, and whether they do
    finished      it is in the portal's history
    recorded      and its recording with it
"""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, cast

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.phones import digits
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import Outcome, OutcomeClass, Problem, may_be_done
from gateway.crm.bitrix24_answers import B24Trouble, Refusal
from gateway.crm.bitrix24_calls import (
    ATTACH,
    FINISH,
    HIDE,
    LATE_SECONDS,
    REGISTER,
    SHOW,
    STATISTIC,
    Facts,
    User,
    default_user,
    facts_of,
    finish_params,
    finisher,
    owner,
    record_params,
    register_params,
    ringing_users,
)
from gateway.crm.bitrix24_portal import Exchange, Portal
from gateway.crm.bitrix24_settings import B24Settings, text_of, whole
from gateway.crm.limits import Places

# Cards that stay open are a nuisance; a call that is not in the history is a loss. So hiding may not use up the time of finishing.
HIDE_SECONDS = 0.5


@attrs.frozen(kw_only=True)
class Room:
    """What all tellings of an enterprise share."""

    settings: B24Settings
    portal: Portal
    zone: tzinfo
    clock: Callable[[], datetime]


class Telling:
    """One try of one report. `memory` is what it has learned, `exchange` what was said; both are right at any moment, also after a
    cancellation.
    """

    def __init__(self, room: Room, report: CallReport, known: Mapping[str, Any], places: Places) -> None:
        self._room = room
        self._report = report
        self._known = known
        self._places = places
        hangup = attrs.evolve(report, kind=ReportKind.HANGUP)
        self._is_repeated = may_be_done(report, known) or (report.kind is ReportKind.RECORDING and may_be_done(hangup, known))
        self._row: Mapping[str, Any] | None = None
        self.memory: dict[str, Any] = {}
        self.exchange = Exchange()

    async def tell(self) -> Outcome:
        """Raises: `B24Trouble`."""
        if not digits(self._report.phone):
            return _nothing("the number is withheld: Bitrix24 takes no call without one")
        match self._report.kind:
            case ReportKind.DIAL:
                return await self._tell_dial()
            case ReportKind.HANGUP | ReportKind.RECORDING:
                return await self._tell_end()

    # the beginning

    async def _tell_dial(self) -> Outcome:
        report, settings = self._report, self._room.settings
        if report.recovered or report.synthetic:
            return _nothing("nobody wants a card of a call that was not heard live; its end is told")
        if (self._room.clock() - report.started_at).total_seconds() > LATE_SECONDS:
            return _nothing("it is too late for a card; the end of the call is told")
        if self._recall("finished"):
            return _nothing("the call has ended")
        user = owner(settings, report)
        if user is None:
            return _nothing("it rings nobody that Bitrix24 knows")
        ringing = ringing_users(settings, report) if report.direction is Direction.INCOMING else ()
        # Whoever stands in for those whom nobody knows hears no bell.
        call_id = self._call_id or await self._register(user, shows=len(ringing) <= 1 and bool(report.extensions))
        if len(ringing) > 1 and not self._recall("shown"):
            self.memory["cards"] = list(ringing)
            await self._call(SHOW, {"CALL_ID": call_id, "USER_ID": list(ringing)})
            self.memory["shown"] = True
        return Outcome(outcome=OutcomeClass.DELIVERED)

    async def _register(self, user: User, *, shows: bool) -> str:
        """The portal's id of the call. Whom the portal does not know is replaced by the default user, once."""
        facts = Facts.of(self._recall("registering")) or facts_of(self._report, user)
        instead = default_user(self._room.settings)
        shows = shows and facts.user == user
        while True:
            self.memory["registering"] = dict(facts.document)
            try:
                result = await self._call(REGISTER, register_params(self._report, facts, self._room.zone, shows=shows))
            except B24Trouble as exc:
                if exc.refusal is not Refusal.USER_MISSING or instead is None or facts.user == instead:
                    raise
                facts, shows = attrs.evolve(facts, user=instead), False
            else:
                call_id = cast("Mapping[str, Any]", result).get("CALL_ID") if isinstance(result, Mapping) else None
                if not isinstance(call_id, str) or not call_id:
                    raise B24Trouble(Problem.BAD_ANSWER, "there is no CALL_ID in the answer", is_ambiguous=True)
                self.memory["call_id"] = call_id
                return call_id

    # the end

    async def _tell_end(self) -> Outcome:
        is_new = False
        if not self._recall("finished"):
            is_new = await self._finish_once()
            self.memory["finished"] = True
        if self._report.recording_url and not self._recall("recorded"):
            is_new = await self._attach_once() or is_new
            self.memory["recorded"] = True
        return Outcome(outcome=OutcomeClass.DELIVERED if is_new else OutcomeClass.DUPLICATE)

    async def _finish_once(self) -> bool:
        """Put the call into the history. False: it is there, by a try whose answer was lost."""
        report, settings = self._report, self._room.settings
        registered = Facts.of(self._recall("registering"))
        user = finisher(settings, report, registered.user if registered else None)
        if user is None:
            raise B24Trouble(Problem.SETTINGS, "the call is nobody's whom Bitrix24 knows", refusal=Refusal.NOBODY)
        if not self._call_id and self._is_repeated and await self._find() is not None:
            return False
        if self._call_id:
            await self._hide()
        else:
            await self._register(owner(settings, report) or user, shows=False)
        return await self._finish(user)

    async def _finish(self, user: User) -> bool:
        """Two noes have an answer each, once: a user unknown to the portal, and a call unknown to it.

        "Call is not found" is said of a call that is finished too. Where an earlier try of ours may have done it, the history tells. Where
        none of ours can have, the id was that of another call of the same number, user and line, which the portal took for the same one
        and which has ended first; or the portal has forgotten it. Then the call is registered anew.
        """
        instead = default_user(self._room.settings)
        is_anew = False
        while True:
            try:
                await self._call(FINISH, finish_params(self._report, self._call_id, user))
            except B24Trouble as exc:
                if exc.refusal is Refusal.USER_MISSING and instead is not None and user != instead:
                    user = instead
                    continue
                if exc.refusal is not Refusal.CALL_MISSING:
                    raise
                if is_anew:
                    # It is finished already, and the history is a little behind; the next try will see it there.
                    raise B24Trouble(Problem.SERVER_ERROR, str(exc), code=exc.code) from None
            else:
                return True
            if self._is_repeated and await self._is_in_history():
                return False
            is_anew = True
            await self._register(owner(self._room.settings, self._report) or user, shows=False)

    async def _hide(self) -> None:
        """The card of everybody who has been shown it. A card that stays costs a click, so nothing here is a reason to stop."""
        cards = self._recall("cards")
        if not isinstance(cards, list) or not cards:
            return  # of one user: finishing closes it
        user_ids = [user_id for user_id in map(whole, cast("list[Any]", cards)) if user_id is not None]
        with trio.move_on_after(HIDE_SECONDS):
            try:
                await self._call(HIDE, {"CALL_ID": self._call_id, "USER_ID": user_ids})
            except B24Trouble:
                return

    # the recording

    async def _attach_once(self) -> bool:
        """Have the portal fetch the recording. False: it has it, by a try whose answer was lost."""
        if self._is_repeated:
            row = self._row or await self._find()
            if row is not None and (whole(row.get("RECORD_FILE_ID")) or text_of(row.get("CALL_RECORD_URL"))):
                return False
        try:
            await self._call(ATTACH, record_params(self._report, self._call_id))
        except B24Trouble as exc:
            if exc.refusal is Refusal.NOT_FINISHED:
                # The history may be a little behind what was answered.
                raise B24Trouble(Problem.SERVER_ERROR, str(exc), code=exc.code) from None
            raise
        return True

    # the history

    async def _is_in_history(self) -> bool:
        """Whether the portal's history has the call. Who may not read it must believe that the earlier try was the one."""
        try:
            return await self._find() is not None
        except B24Trouble as exc:
            if exc.refusal in (Refusal.RIGHT, Refusal.PLAN, Refusal.SCOPE):
                return True
            raise

    async def _find(self) -> Mapping[str, Any] | None:
        """The call's row of the history, by the portal's id where it is known, else by ours and the number. None: there is none, or no
        right to see it and no id to believe in. Raises: `B24Trouble`.
        """
        report, call_id = self._report, self._call_id
        by = {"CALL_ID": call_id} if call_id else {"EXTERNAL_CALL_ID": report.unique_id}
        try:
            result = await self._call(STATISTIC, {"FILTER": by, "SORT": "ID", "ORDER": "DESC"})
        except B24Trouble as exc:
            if not call_id and exc.refusal in (Refusal.RIGHT, Refusal.PLAN, Refusal.SCOPE):
                # The registration is repeated with the same facts: within half an hour it is the same call.
                return None
            raise
        rows = cast("list[Any]", result) if isinstance(result, list) else []
        for row in (cast("Mapping[str, Any]", each) for each in rows if isinstance(each, Mapping)):
            external_id, found_id = text_of(row.get("EXTERNAL_CALL_ID")), text_of(row.get("CALL_ID"))
            is_it = found_id == call_id if call_id else external_id == report.unique_id
            if is_it and external_id in ("", report.unique_id) and digits(text_of(row.get("PHONE_NUMBER"))) == report.phone:
                self.memory["call_id"] = found_id
                self._row = row
                return row
        return None

    # what is known

    @property
    def _call_id(self) -> str:
        call_id = self._recall("call_id")
        return call_id if isinstance(call_id, str) else ""

    def _recall(self, key: str) -> Any:
        return self.memory.get(key, self._known.get(key))

    async def _call(self, method: str, params: Mapping[str, Any]) -> Any:
        return await self._room.portal.call(method, params, self._places, self.exchange)


def _nothing(reason: str) -> Outcome:
    return Outcome(outcome=OutcomeClass.NOTHING_TO_DO, reason=reason)
