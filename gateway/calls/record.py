"""The record of a finished call: one row of `calls`."""

from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class CallRecord:
    """A finished call as stored.

    `unique_id` is the primary id (of the start, else of the first dial, else of the caller's leg). `call_type`: 0 incoming, 1 outgoing, 2
    internal. `call_status`: 2 answered, 0 not. `phone` is the outside number (internal: the caller's extension), digits; `extension` the
    one who talked last, or those that rang joined by ", "; `transfers` the chain of talkers. Times are aware UTC, `duration` and
    `talk_seconds` whole seconds, None when unknown. `closed_by`: hangup, grace (no hangup came after the customer left), silence (open
    for too long).
    """

    call_id: int
    unique_id: str
    phone: str
    extension: str
    call_type: int
    call_status: int
    trunk: str
    date_received: datetime
    date_end: datetime | None
    duration: int | None
    talk_seconds: int | None
    transfers: str
    closed_by: str
    data_source: str = "live"
    uuid: str = ""
