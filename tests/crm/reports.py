"""Two reports of one call, whose they are, and where an own CRM may live."""

from datetime import UTC, datetime, timedelta

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.ports import EnterpriseConfig

NOON = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
# Standard Webhooks, the test "sign function works" of the reference libraries.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://crm.example/calls"
PUSH = "msg_0123456789abcdef"
JUNE = EnterpriseConfig(number="0367", token="token-of-june")
RUNG = CallReport(
    kind=ReportKind.DIAL,
    call_id=7,
    unique_id="1759310248.0",
    direction=Direction.INCOMING,
    phone="375290001234",
    line="0001363",
    extensions=("151", "152"),
    started_at=NOON,
)
TALKED = attrs.evolve(
    RUNG,
    kind=ReportKind.HANGUP,
    extensions=("152",),
    extension="152",
    mobile="375290000152",
    transfers=("151", "152"),
    answered_at=NOON + timedelta(seconds=7),
    ended_at=NOON + timedelta(seconds=72, milliseconds=500),
    duration_seconds=72,
    talk_seconds=65,
    waiting_seconds=7,
    answered=True,
    recording_url="https://gateway.example/recordings/file/1",
)
