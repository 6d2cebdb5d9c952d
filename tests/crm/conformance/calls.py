"""The calls that every CRM is told: what the telephones do, and what there is to be known of it afterwards.

People: 151, 152 and 153 work here and are known to every CRM. A call is played on a PBX of its own (`tester.pbx`), so its events come with
the fields, encodings and order that hosts were seen to use.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType
from zoneinfo import ZoneInfo

import attrs

from tester.pbx import Host, Posted, connect, fail, incoming, outgoing
from tester.virtual import HOST
from tests.crm.conformance.facts import Ended, Name, Truth

TRUNK = "0001363"
MOBILE = "375290000152"
RECORDING_URL = "https://gateway.example/recordings/file/5e7b3f0c-9a2d-4b2f-8a51-0f6f4a9d7e10"
ZONE = ZoneInfo("Europe/Minsk")


class Recorded(Enum):
    """When the recording of a call becomes known: never, right after the end, or when the end has long been told."""

    NEVER = auto()
    AT_ONCE = auto()
    LATER = auto()


@attrs.frozen(kw_only=True)
class Script:
    """The webhooks of a call and what is true of it. `is_heard_live`: otherwise they are read from the host's log long afterwards."""

    posted: tuple[Posted, ...]
    unique_id: str
    truth: Truth
    is_heard_live: bool = True
    recorded: Recorded = Recorded.NEVER

    @property
    def name(self) -> Name:
        """By what a CRM is asked for it."""
        return Name(unique_id=self.unique_id, phone=self.truth.phone)


Play = Callable[[Host, str], tuple[str, Truth]]


def _truth(host: Host, phone: str, began_at: datetime, **facts: object) -> Truth:
    return attrs.evolve(
        Truth(is_incoming=True, phone=phone, rang=("151",), ended=Ended.ANSWERED, began_at=began_at, whole_seconds=0),
        **facts,
    )


def _answered_incoming(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK, greeting_seconds=2)
    call.ring("151", "152", "153")
    host.wait(5)
    call.answer("152")
    host.wait(65)
    call.end()
    facts = {"rang": ("151", "152", "153"), "person": "152", "whole_seconds": 72, "talk_seconds": 65, "waiting_seconds": 7}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _answered_outgoing(host: Host, phone: str) -> tuple[str, Truth]:
    call = outgoing(host, "151", phone, TRUNK)
    host.wait(9)
    connect(call)
    host.wait(40)
    call.end()
    facts = {"is_incoming": False, "person": "151", "whole_seconds": 49, "talk_seconds": 40, "waiting_seconds": 9}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _missed_incoming(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK, greeting_seconds=2)
    call.ring("151", "152")
    host.wait(18)
    call.end()
    facts = {"rang": ("151", "152"), "ended": Ended.MISSED, "whole_seconds": 20, "talk_seconds": 0, "waiting_seconds": 20}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _missed_by_one(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK)
    call.ring("153")
    host.wait(12)
    call.end()
    facts = {"rang": ("153",), "ended": Ended.MISSED, "whole_seconds": 12, "talk_seconds": 0, "waiting_seconds": 12}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _missed_outgoing(host: Host, phone: str) -> tuple[str, Truth]:
    call = outgoing(host, "152", phone, TRUNK)
    host.wait(25)
    fail(call)
    facts = {
        "is_incoming": False,
        "rang": ("152",),
        "ended": Ended.MISSED,
        "whole_seconds": 25,
        "talk_seconds": 0,
        "waiting_seconds": 25,
    }
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _busy_outgoing(host: Host, phone: str) -> tuple[str, Truth]:
    call = outgoing(host, "151", phone, TRUNK)
    host.wait(4)
    host.hangup(call.primary, phone, ["151"], call_type=1, answered=False, began_seconds=0, trunk=TRUNK, status="1")
    facts = {"is_incoming": False, "ended": Ended.BUSY, "whole_seconds": 4, "talk_seconds": 0, "waiting_seconds": 4}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _transferred(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK, greeting_seconds=1)
    call.ring("151")
    host.wait(2)
    call.answer("151")
    host.wait(10)
    call.attend("152", accepted=True)
    host.wait(20)
    call.end()
    facts = {
        "person": "152",
        "transfers": ("151", "152"),
        "whole_seconds": 40,
        "talk_seconds": 30,
        "waiting_seconds": 3,
    }
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _answered_on_mobile(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK, greeting_seconds=1)
    call.ring("152")
    host.wait(6)
    call.mobile_answers(MOBILE)
    host.wait(30)
    call.end()
    facts = {"rang": ("152",), "mobile": MOBILE, "whole_seconds": 40, "talk_seconds": 30, "waiting_seconds": 10}
    return call.primary, _truth(host, phone, host.started_at, **facts)


def _hangup_alone(host: Host, phone: str) -> tuple[str, Truth]:
    call = incoming(host, phone, TRUNK)
    call.ring("151")
    host.wait(4)
    call.answer("151")
    host.wait(50)
    call.end()
    # Of all that only the end is heard of: who talked, and from when to when the call was.
    del host.posted[:-1]
    return call.primary, _truth(host, phone, host.started_at, person="151", whole_seconds=54)


@attrs.frozen(kw_only=True)
class Call:
    """One row of the table."""

    play: Play
    is_heard_live: bool = True
    recorded: Recorded = Recorded.NEVER

    def script(self, *, starts_at: datetime, number: int = 0) -> Script:
        """The call as it happens at `starts_at` (whole seconds); `number` tells calls apart."""
        phone = f"37529000{number:04}"
        host = Host(token=HOST, started_at=starts_at, zone=ZONE, seed=1000 * (number + 1))
        unique_id, truth = self.play(host, phone)
        return Script(
            posted=tuple(host.posted),
            unique_id=unique_id,
            truth=truth if self.recorded is Recorded.NEVER else attrs.evolve(truth, recording_url=RECORDING_URL),
            is_heard_live=self.is_heard_live,
            recorded=self.recorded,
        )


ANSWERED = "incoming, answered by one of three"
RECORDED = "incoming, answered, the recording is known later"

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        ANSWERED: Call(play=_answered_incoming),
        "outgoing, answered": Call(play=_answered_outgoing),
        "incoming, missed by two": Call(play=_missed_incoming),
        "incoming, missed by the only one": Call(play=_missed_by_one),
        "outgoing, missed": Call(play=_missed_outgoing),
        "outgoing, busy": Call(play=_busy_outgoing),
        "incoming, transferred after a word": Call(play=_transferred),
        "incoming, answered on a mobile": Call(play=_answered_on_mobile),
        "recovered, of which only the end is known": Call(play=_hangup_alone, is_heard_live=False),
        "live, of which only the end is heard": Call(play=_hangup_alone),
        "incoming, answered, the recording is known at once": Call(play=_answered_incoming, recorded=Recorded.AT_ONCE),
        RECORDED: Call(play=_answered_incoming, recorded=Recorded.LATER),
    }
)
