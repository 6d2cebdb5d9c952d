"""What can be wrong with a request: a closed set, each with its status. The name of a member is log field and metric label."""

import json
from enum import Enum
from typing import Final

import attrs

JSON: Final = b"application/json"
# The host never comes back by itself; whoever does should leave a restart of the database time to pass.
RETRY_AFTER_SECONDS: Final = 5


class Problem(Enum):
    """Why a request is not answered with what it wanted."""

    TOKEN_MISSING = "token_missing"  # noqa: S105 (a reason, not a token)
    TOKENS_DIFFER = "tokens_differ"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 (a reason, not a token)
    TOKEN_AMBIGUOUS = "token_ambiguous"  # noqa: S105 (a reason, not a token)
    BODY_INVALID = "body_invalid"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    EVENT_REFUSED = "event_refused"
    STORE_AWAY = "store_away"
    OVERLOADED = "overloaded"
    FORBIDDEN = "forbidden"
    OTHER = "other"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _STATUSES[self]


_STATUSES: Final = {
    Problem.TOKEN_MISSING: 401,
    Problem.TOKENS_DIFFER: 401,
    Problem.TOKEN_UNKNOWN: 401,
    Problem.TOKEN_AMBIGUOUS: 401,
    Problem.BODY_INVALID: 422,
    Problem.BODY_TOO_LARGE: 413,
    Problem.BODY_TOO_SLOW: 408,
    Problem.EVENT_REFUSED: 422,
    Problem.STORE_AWAY: 503,
    Problem.OVERLOADED: 503,
    Problem.FORBIDDEN: 403,
    Problem.OTHER: 500,
}


@attrs.frozen
class Answer:
    """A whole HTTP response. The content type is JSON."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error_body(text: str) -> bytes:
    """The body of every error: what was wrong, in one line."""
    return json.dumps({"status": "error", "error": " ".join(text.split())}, ensure_ascii=False).encode(errors="replace")


def error_answer(problem: Problem, text: str) -> Answer:
    """The whole answer to a request with this problem."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if problem.status == 503:
        headers = ((b"retry-after", b"%d" % RETRY_AFTER_SECONDS),)
    elif problem.status == 401:
        # RFC 9110, 15.5.2: a 401 carries a challenge. The scheme's name is ours: the host sends its own header `Token`.
        headers = ((b"www-authenticate", b"Token"),)
    return Answer(problem.status, error_body(text), headers)
