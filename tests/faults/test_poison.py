"""Any JSON at all, of all kinds, between the events of ordinary calls: it is answered, and no call is the worse for it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import attrs
import httpx2 as httpx
import psycopg
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.ports import EnterpriseConfig
from gateway.web.intake import KINDS
from tester.pbx import Posted
from tester.running import RunningGateway, enterprise, running_gateway
from tests.faults.hosts import SHAPES, Call, doubled, make_call, unshown

# A poison that makes a card takes its share of what a chat may be sent, so there are many chats.
HOUSES = tuple(enterprise(number) for number in range(1, 13))
POISONS = 200
PATIENCE_SECONDS = 60.0

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
# Nobody of the ordinary calls is among these.
IDS = ("7.1", "7.2", "7.3", "7.4", "")
PHONES = ("375290009998", "+375 29 000-99-97", "80290009996", "9001", "9002", "9003", "000000000", "0009999", "<unknown>", "")
CHANNELS = (
    "SIP/9001-0000000a",
    "SIP/0009999-0000000b",
    "Local/9002@dialexecute-0000000c;1",
    "Local/9002@dialexecute-0000000c;2",
    "Local/375290009995@179e93af-0000000d;2",
    "Local/;;2",
    "/",
)
EXTENSIONS: tuple[Any, ...] = ([""], [], ["9001"], ["9001", "9002"], ["9001", 9002, None], "9001&9002", [[]], {"9001": 1}, "375290009998")
TIMES: tuple[Any, ...] = (
    "2026-03-02 12:00:00",
    "2026-03-02 12:05:00",
    "2026-02-30 25:61:00",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "",
    1e300,
)
LIKELY: Mapping[str, Sequence[Any]] = {
    **dict.fromkeys(("UniqueId", "Linkedid"), IDS),
    **dict.fromkeys(("Phone", "CallerIDNum", "ConnectedLineNum", "Exten", "ExtPhone"), PHONES),
    **dict.fromkeys(("Trunk", "ExtTrunk"), ("0009999", "", "9001")),
    **dict.fromkeys(("StartTime", "EndTime", "DateReceived"), TIMES),
    "Channel": CHANNELS,
    "Extensions": EXTENSIONS,
    "CallType": (0, 1, 2, "0", "1", "2"),
    "CallStatus": ("2", "0", "5", 2, -1),
    "BridgeUniqueid": ("b-1", "b-2", "b-3", ""),
    "BridgeNumChannels": ("0", "1", "2", -1),
    "Context": ("from-out-office", "dialexecute", "inoffice", "179e93af"),
    "ExternalInitiated": (True, False, "true"),
    **dict.fromkeys(("CallerIDName", "ConnectedLineName", "BridgeType", "BridgeCreator"), ("<unknown>", "<b>&\"'")),
}
ODD: tuple[Any, ...] = ("\0", "\ud800", "<b>&\"'", "8" * 200, 10**30, -1, 0.5, None, True, {}, [[]])


def _value(likely: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Mostly what a host might send: what is odd in every field is soon passed over as unknown."""
    return st.one_of(st.sampled_from(likely), st.sampled_from(likely), st.sampled_from(likely), st.sampled_from(ODD), JSON)


BODIES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({field: _value(likely) for field, likely in LIKELY.items()}),
    st.fixed_dictionaries(dict[str, st.SearchStrategy[Any]](), optional={field: _value(likely) for field, likely in LIKELY.items()}),
    st.dictionaries(ANY_TEXT, JSON, max_size=4),
)


@attrs.frozen
class Poison:
    """A kind of event and the bytes of its body."""

    kind: str
    raw: bytes


def _nested(depth: int) -> bytes:
    return b'{"Extensions":' + b"[" * depth + b"]" * depth + b"}"


EXTREMES = (
    b"{}",
    b'{"UniqueId":"7.9","Phone":"' + b"7" * 64_000 + b'"}',
    b'{"UniqueId":"7.9","Extensions":["' + b"\\u0000" * 10_000 + b'"]}',
    b'{"UniqueId":"7.9","Phone":"' + "Ж".encode() * 30_000 + b'"}',
    b'{"UniqueId":"' + b"\\ud83d" * 10_000 + b'"}',
    b'{"UniqueId":"7.9","CallType":' + b"9" * 64_000 + b"}",
    b'{"UniqueId":"7.9","CallType":1e999999,"CallStatus":-1e-999999}',
    b'{"UniqueId":"7.9","UniqueId":"7.8","Phone":"1","Phone":null}',
    b'{"UniqueId":"7.9","Phone":"\xff\xfe"}',
    b'{"UniqueId":"7.9","Phone":NaN}',
    b'{"":""' + b',"x":[]' * 9_000 + b"}",
    *(_nested(depth) for depth in (50, 99, 100, 1_000, 30_000)),
)


def _poisons() -> list[Poison]:
    """So many of them, another selection with every run (but in CI), and the extremes."""
    found: list[Poison] = []

    # Only made here and posted afterwards, all to one gateway: a gateway for each would take minutes.
    @settings(
        max_examples=POISONS,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.sampled_from(KINDS), BODIES, st.booleans())
    def collect(kind: str, body: dict[str, Any], escaped: bool) -> None:
        found.append(Poison(kind, json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")))

    collect()
    found += [Poison(kind, raw) for raw in EXTREMES for kind in KINDS]
    return found


@attrs.define(eq=False)
class Poisoner:
    """Posts everything. `refused`: how often with which status."""

    running: RunningGateway
    client: httpx.AsyncClient
    statuses: list[int] = attrs.field(factory=list[int])

    async def play(self, call: Call, poisons: Iterator[Sequence[Poison]]) -> None:
        """An ordinary call, with poison before each of its events."""
        for posted in call.script:
            for poison in next(poisons):
                await self._post_poison(call.house, poison)
            await self._post(posted)

    async def _post(self, posted: Posted) -> None:
        answer = await self.client.post(f"/{posted.kind}", json=dict(posted.body))
        assert answer.status_code == 200, answer.text

    async def _post_poison(self, house: EnterpriseConfig, poison: Poison) -> None:
        answer = await self.client.post(f"/{poison.kind}", content=poison.raw, headers={"Token": house.token})
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, f"{answer.status_code} for {poison.kind} {poison.raw[:2000]!r}"
        self.statuses.append(answer.status_code)


async def test_no_json_whatever_stops_a_lane_or_spoils_a_call(migrated_url: str, tmp_path: Path) -> None:
    poisons = _poisons()
    calls = [make_call(house, number, shape) for number, (house, shape) in enumerate(zip(HOUSES, cycle(SHAPES), strict=False))]
    events = sum(len(call.script) for call in calls)
    share = len(poisons) // events + 1
    portions = iter([*(poisons[at : at + share] for at in range(0, len(poisons), share)), *([()] * events)])
    async with running_gateway(migrated_url, tmp_path, HOUSES) as running:
        statuses = await _play(running, calls, portions)
        assert len(statuses) == len(poisons)
        # Refused is what is no JSON object (in UTF-8, of a bounded depth) and nothing else.
        assert set(statuses) <= {200, 422}
        assert statuses.count(200) > len(poisons) / 2
    # What was poison to understand is no poison to replay either.
    async with running_gateway(migrated_url, tmp_path, HOUSES) as running:
        again = [make_call(house, 100 + number, SHAPES[0]) for number, house in enumerate(HOUSES)]
        await _play(running, again, cycle([()]))
    with psycopg.connect(migrated_url) as connection:
        assert connection.execute("select event_type, raw_data, error from call_events where error <> ''").fetchall() == []


async def _play(running: RunningGateway, calls: Sequence[Call], poisons: Iterator[Sequence[Poison]]) -> list[int]:
    """All calls at once. At the end each is shown as it should be, and the gateway is well."""
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, verify=False, timeout=PATIENCE_SECONDS) as client:
        poisoner = Poisoner(running, client)
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(poisoner.play, call, poisons)
        with trio.move_on_after(PATIENCE_SECONDS):
            await running.telegram.until(lambda: not unshown(running.telegram, calls))
        assert unshown(running.telegram, calls) == []
        assert doubled(running.telegram, calls) == []
        ready = await client.get(f"{running.internal_url}/health/ready")
        assert ready.status_code == 200, ready.text
    return poisoner.statuses
