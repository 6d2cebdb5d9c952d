"""One call as the vendors' adapters are told of it, in all its kinds."""

from datetime import UTC, datetime, timedelta

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind

PHONE = "375290001234"
URL = "https://gateway.example/recordings/file/1"
# 12:17:28 in Minsk, and in Moscow.
BEGAN = datetime(2025, 10, 1, 9, 17, 28, tzinfo=UTC)
RUNG = CallReport(
    kind=ReportKind.DIAL,
    call_id=7,
    unique_id="1759310248.0",
    direction=Direction.INCOMING,
    phone=PHONE,
    line="0001363",
    extensions=("151", "152", "153"),
    started_at=BEGAN,
)
MISSED = attrs.evolve(
    RUNG, kind=ReportKind.HANGUP, ended_at=BEGAN + timedelta(seconds=20), duration_seconds=20, talk_seconds=0, waiting_seconds=20
)
TALKED = attrs.evolve(
    MISSED,
    extensions=("152",),
    extension="152",
    answered_at=BEGAN + timedelta(seconds=7),
    ended_at=BEGAN + timedelta(seconds=72),
    duration_seconds=72,
    talk_seconds=65,
    waiting_seconds=7,
    answered=True,
)
