"""What HTTP says by itself, whichever CRM says it: the class of a status, and when to come back. Pure.

An adapter asks here first and then looks at what its CRM says in the body.
"""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.crm.base import Problem

# RFC 9110 10.2.3 sets no bound; a number this long is no wish any more.
_LONGEST_SECONDS_DIGITS = 9

_BY_STATUS = {
    401: Problem.UNAUTHORIZED,
    403: Problem.UNAUTHORIZED,
    404: Problem.NOT_FOUND,
    # Standard Webhooks, "Delivery success and failure": 410 says that nobody wants to hear from us any more.
    410: Problem.NOT_FOUND,
    408: Problem.TIMEOUT,
    # RFC 8470 5.2, Too Early: the same request again, a little later.
    425: Problem.RATE_LIMIT,
    429: Problem.RATE_LIMIT,
}


def problem_of_status(status: int) -> Problem | None:
    """None for 2xx. Every other status is a problem, those without a meaning for us (1xx, 6xx) too."""
    match status // 100:
        case 2:
            return None
        case 3:
            return Problem.REDIRECT
        case 4:
            return _BY_STATUS.get(status, Problem.REJECTED)
        case 5:
            return Problem.SERVER_ERROR
        case _:
            return Problem.BAD_ANSWER


def may_be_done(status: int) -> bool:
    """Whether the CRM may have carried it out although the status is an error: it failed later, or a proxy before it lost patience.

    503 is what says that nobody has begun (RFC 9110 15.6.4).
    """
    return status >= 500 and status != 503


def retry_after_seconds(header: str, *, now: datetime) -> float | None:
    """The wish of a `Retry-After` header: seconds, or an HTTP date (RFC 9110 10.2.3). None when there is none that can be read.

    Never negative and not bounded above: how long to follow it is up to whoever waits. `now`: aware.
    """
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text) if len(text) <= _LONGEST_SECONDS_DIGITS else None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        # What the old parser of dates raises for texts that are none.
        return None
    if moment.tzinfo is None:  # "-0000"; HTTP dates are GMT
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
