"""When a call ends. Evaluated after each event and when a deadline passes; pure.

- Incoming, internal: the hangup of the primary (customer's, caller's) channel.
- Outgoing: the hangup of a customer's leg; or of our side, when the customer has no company: at once when there was no talk or the customer
  left first, else after `SETTLE`, because a blind transfer looks the same until the target's new_callerid, which follows at once.
- No hangup: `closing_grace_seconds` after the customer left the last bridge; `RINGING` while somebody is rung anew after that.
- Nothing at all: `open_call_seconds` of silence.
"""

from datetime import datetime, timedelta
from functools import cached_property

import attrs

from gateway.calls.call import Call
from gateway.calls.parties import Direction
from gateway.calls.profile import Profile
from gateway.calls.talk import has_company, in_bridge, was_in_bridge

# The host posts one event at a time and the announcement of a transfer follows the hangup within milliseconds; its round trip is well
# under this.
SETTLE = timedelta(seconds=1.5)
# Targets of blind transfers were seen to ring for 50 s; nobody lets a telephone ring for two minutes.
RINGING = timedelta(seconds=120)

HANGUP = "hangup"
GRACE = "grace"
SILENCE = "silence"


@attrs.frozen(kw_only=True)
class Timing:
    """The rules with a time in them, in seconds."""

    closing_grace_seconds: float = 8.0
    open_call_seconds: float = 14400.0
    linger_seconds: float = 30.0

    # The same as differences of times, made once: they are needed for every event.

    @cached_property
    def closing_grace(self) -> timedelta:
        return timedelta(seconds=self.closing_grace_seconds)

    @cached_property
    def open_call(self) -> timedelta:
        return timedelta(seconds=self.open_call_seconds)

    @cached_property
    def linger(self) -> timedelta:
        return timedelta(seconds=self.linger_seconds)


@attrs.frozen(slots=False)
class Closing:
    """Whether the call is over (`closed_by`), or else when it will be unless something comes (`deadline`, and then by `closes_by`)."""

    closed_by: str = ""
    deadline: datetime | None = None
    closes_by: str = ""


_OVER = Closing(HANGUP)


def closing_of(call: Call, profile: Profile, timing: Timing) -> Closing:
    """Say whether and how the call is over, by the facts so far."""
    if call.hangups and any(anchor in call.hangups for anchor in profile.anchors):
        return _OVER
    if has_company(call, profile):
        return _silence(call, timing)
    ringing = call.ringing_at if call.ringing_event_id > call.company_event_id else None
    if profile.direction is Direction.OUTGOING and call.hangups:
        hangup = max((call.hangups[ours].event_id for ours in profile.ours if ours in call.hangups), default=0)
        if hangup > call.company_event_id:
            return _our_side_hung_up(call, profile, ringing)
    if call.left_at is not None and not in_bridge(call, profile):
        if ringing is not None and ringing >= call.left_at:
            return Closing("", ringing + RINGING, GRACE)
        return Closing("", call.left_at + timing.closing_grace, GRACE)
    return _silence(call, timing)


def _silence(call: Call, timing: Timing) -> Closing:
    return Closing("", call.last_at + timing.open_call, SILENCE)


def _our_side_hung_up(call: Call, profile: Profile, ringing: datetime | None) -> Closing:
    if ringing is not None:
        return Closing("", ringing + RINGING, GRACE)
    if not was_in_bridge(call, profile) or (call.customer_left_first and not in_bridge(call, profile)):
        return _OVER
    at = max(call.hangups[ours].at for ours in profile.ours if ours in call.hangups)
    return Closing("", at + SETTLE, HANGUP)
