"""One call as the vendors' adapters are told of it, in all its kinds; the enterprise it belongs to; and the way to a fake."""

from datetime import UTC, datetime, timedelta

import attrs
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from tester.fakes.crm_network import Heard, Reply, Site, speak_http
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Cut

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


def site_of(fake: CrmServer) -> Site:
    """The fake as what lives at an address."""

    async def handle(heard: Heard) -> Reply:
        target = f"{heard.path}?{heard.query}" if heard.query else heard.path
        response = await fake.answer(fake.request(heard.method, target, list(heard.headers.items()), heard.body))
        if response.cut is not Cut.NOTHING:
            return Reply(sends_nothing=True)
        return Reply(status=response.status, headers=tuple(response.all_headers), body=response.body)

    async def site(stream: trio.abc.Stream) -> None:
        await speak_http(handle, stream)

    return site
