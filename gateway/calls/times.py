"""When a call began and ended, and how long it took. All times are the host's, as its hangups say them; ours fill in where those are
missing.

Facts: length = EndTime - StartTime, or DateReceived where StartTime is empty; DateReceived moves with every transfer, but the UniqueId
holds the second in which its channel was created. EndTimes that count are those of the customer's side: colleagues who talk on do not
lengthen the call.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import attrs

from gateway.calls.call import Call
from gateway.calls.channels import parse_unique_id
from gateway.calls.closing import HANGUP
from gateway.calls.events import Hangup
from gateway.calls.profile import Profile

# No call lasts longer; a UniqueId further away than this is of a host whose clock or zone is wrong, or no time at all.
_LONGEST_CALL = timedelta(hours=24)


@attrs.frozen
class Span:
    """Begin and end of a call, aware UTC, and its length in whole seconds; None where unknown."""

    began: datetime
    ended: datetime | None
    seconds: int | None


def span_of(call: Call, profile: Profile) -> Span:
    """Begin, end and length by the best times known."""
    main = [call.hangups[key] for key in dict.fromkeys((profile.primary, *profile.anchors, *profile.ours)) if key in call.hangups]
    counted = main or list(call.hangups.values())
    ended = max((hangup.end_time for hangup in counted if hangup.end_time is not None), default=None)
    began = min(_begins(counted, ended), default=None)
    if not main and ended is not None:
        created = _created(profile.primary, ended)
        began = min((at for at in (began, created) if at is not None), default=None)
    elapsed = (call.left_at or call.closed_at or call.last_at) - call.first_at
    if began is None:
        began = call.first_at if ended is None else ended - elapsed
    if call.closed_by and call.closed_by != HANGUP and began + elapsed > (ended or began):
        # No final hangup: the customer was still there after the last EndTime that we were told.
        ended = began + elapsed
    if ended is None or ended < began:
        return Span(began, None, None) if not call.closed_by else Span(began, began + elapsed, max(round(elapsed.total_seconds()), 0))
    return Span(began, ended, round((ended - began).total_seconds()))


def _begins(hangups: Iterable[Hangup], ended: datetime | None) -> Iterable[datetime]:
    for hangup in hangups:
        begins = [hangup.start_time] if hangup.start_time is not None else [hangup.date_received, _created(hangup.unique_id, ended)]
        for began in begins:
            if began is not None and (ended is None or timedelta(0) <= ended - began <= _LONGEST_CALL):
                yield began


def _created(unique_id: str, ended: datetime | None) -> datetime | None:
    """When a channel was created, if that can be true of a call that ended then."""
    parsed = parse_unique_id(unique_id)
    if parsed is None or ended is None:
        return None
    try:
        created = datetime.fromtimestamp(parsed.seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return created if timedelta(0) <= ended - created <= _LONGEST_CALL else None
