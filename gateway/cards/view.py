"""The view of a call: everything a card says, before names and language. Values only; `view_of` makes one from a call."""

from datetime import datetime

import attrs

from gateway.calls.call import Call
from gateway.calls.closing import SILENCE
from gateway.calls.parties import Direction, Party, PartyKind, Stage
from gateway.calls.profile import Profile
from gateway.calls.progress import answered, stage_of
from gateway.calls.summary import LineRules, line_of, outside_of, people_of
from gateway.calls.times import span_of

__all__ = ["CallView", "Direction", "Party", "PartyKind", "Stage"]


@attrs.frozen(kw_only=True, slots=False)
class CallView:
    """What one card shows.

    `outside` is the customer's number, digits without "+", line rule applied; "" when it is not known. Empty for internal calls.
    `people`: incoming START: nobody or the extension asked for; DIAL: those that ring now; TALK: those that talk now; FINAL answered: the
    last that talked; FINAL not answered incoming: all that rang, in the order of their first ring; outgoing: the extension that calls. For
    internal calls `people` are the called and `caller` is the caller.
    `transfers` holds the accepted transfers as the chain of those who talked one after another (at least two), else nothing.
    """

    direction: Direction
    stage: Stage
    outside: str = ""
    caller: Party | None = None
    people: tuple[Party, ...] = ()
    line: str = ""
    transfers: tuple[Party, ...] = ()
    answered: bool = False
    duration_seconds: int | None = None
    started_at: datetime | None = None
    from_crm: bool = False
    recovered: bool = False
    ended_by_silence: bool = False
    recording_url: str = ""


def view_of(call: Call, profile: Profile | None, rules: LineRules) -> CallView | None:
    """Make the view of a call as its facts stand; None while there is nothing to show."""
    stage = stage_of(call, profile)
    if profile is None or stage is None:
        return None
    internal = profile.direction is Direction.INTERNAL
    final = stage is Stage.FINAL
    span = span_of(call, profile) if final else None
    line = line_of(call, profile)
    return CallView(
        direction=profile.direction,
        stage=stage,
        outside="" if internal else outside_of(profile, line, rules),
        caller=Party(PartyKind.EXTENSION, profile.extension) if internal and profile.extension else None,
        people=people_of(call, profile, stage),
        line=line,
        transfers=tuple(call.chain) if len(call.chain) > 1 else (),
        answered=final and answered(call, profile),
        duration_seconds=span.seconds if span else None,
        started_at=span.began if span else None,
        from_crm=profile.from_crm,
        recovered=call.data_source == "recovery",
        ended_by_silence=call.closed_by == SILENCE,
        recording_url=call.recording_url,
    )
