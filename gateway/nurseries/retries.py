"""When a push that failed is tried again, and when it is given up. Pure.

    the CRM says              the row                   waits
    delivered, duplicate,     done
    nothing to do
    permanent                 dead at once
    retryable                 dead after 3 tries        20 s after the first, 100 s after the second
    retryable: rate limit     dead after 10 tries       5 s, 10 s, 20 s, 40 s, 80 s, then 100 s each

Every wait is taken between its half and its whole. A CRM may wish for a longer one (`Retry-After`): its wish is kept up to
`LONGEST_WAIT_SECONDS`; who wants more is asked after that time all the same, and what it goes on refusing becomes a dead letter that an
administrator can revive. A wish for a shorter wait changes nothing.

"Too many requests" says nothing about the report, so it does not use up the three tries: a failure of another kind that comes right after
it is followed by at least one more try.
"""

from gateway.crm.base import OutcomeClass, Problem
from gateway.nurseries.patience import Backoff

TRIES = 3
# After the first failure and after each further one. The first is for a hiccup or a restart over there; after two minutes in all it is an
# outage, and by then nobody is helped by a dial.
WAIT_SECONDS = (20.0, 100.0)
# Ten minutes in all, in which a CRM says nothing but "too many requests". Their limits are by the second, so the first wait is short.
TRIES_UNDER_RATE_LIMIT = 10
RATE_LIMIT_BACKOFF = Backoff(first_seconds=5.0, limit_seconds=100.0)
RATE_LIMIT_PAUSE_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 600.0


def wait_seconds(
    outcome: OutcomeClass, problem: Problem | None, *, attempts: int, last_problem: str, retry_after_seconds: float | None, jitter: float
) -> float | None:
    """How long a push that has failed waits for its next try; None: it is dead.

    `attempts` counts this one, from 1. `last_problem`: that of the failure before it, "" if none. `jitter` from 0 to 1.
    """
    if outcome is not OutcomeClass.RETRYABLE:
        return None
    is_limited = problem is Problem.RATE_LIMIT
    if attempts >= (TRIES_UNDER_RATE_LIMIT if is_limited or last_problem == Problem.RATE_LIMIT else TRIES):
        return None
    if is_limited:
        own = RATE_LIMIT_BACKOFF.delay_seconds(attempts, jitter)
    else:
        own = WAIT_SECONDS[min(attempts, len(WAIT_SECONDS)) - 1] * (0.5 + 0.5 * jitter)
    return max(own, _wish(retry_after_seconds))


def pause_seconds(problem: Problem | None, retry_after_seconds: float | None) -> float:
    """How long nothing at all is sent to this CRM of this enterprise: a rate limit is that of the account, not of one report."""
    if problem is not Problem.RATE_LIMIT:
        return 0.0
    return max(RATE_LIMIT_PAUSE_SECONDS, _wish(retry_after_seconds))


def _wish(retry_after_seconds: float | None) -> float:
    # Not a number compares false: such a wish is none.
    return min(retry_after_seconds, LONGEST_WAIT_SECONDS) if retry_after_seconds is not None and retry_after_seconds > 0 else 0.0
