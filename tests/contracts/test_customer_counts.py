"""Whatever steps come, in whatever order: the counts of a customer are those of the calls."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.calls.record import CallRecord
from gateway.ports import Step, Store
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.memory import MemoryStore
from tester.samples import NOON, finished, named

PHONES = ("375290001234", "375290005678", "", "no number")

mergers = st.tuples(st.integers(2, 5), st.integers(1, 4)).filter(lambda pair: pair[0] > pair[1])


@st.composite
def records(draw: st.DrawFn) -> CallRecord:
    call_id, at = draw(st.integers(1, 5)), NOON + timedelta(minutes=draw(st.integers(0, 6)))
    return finished(
        call_id,
        phone=draw(st.sampled_from(PHONES)),
        call_type=draw(st.sampled_from((0, 0, 1, 2))),
        call_status=draw(st.sampled_from((0, 2))),
        date_received=at,
        date_end=draw(st.sampled_from((None, at + timedelta(seconds=30)))),
        extension=f"15{call_id}",
    )


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, int]:
    """A step and how often it is committed."""
    step = Step(
        enterprise_number="",
        records=tuple(draw(st.lists(records(), max_size=4))),
        merged=tuple(draw(st.lists(mergers, max_size=2, unique_by=lambda pair: pair[0]))),
        named=(named(phones=PHONES[:2], external_id="7"),) if draw(st.booleans()) else (),
    )
    return step, draw(st.integers(1, 2))


def counted(calls: Sequence[CallRecord], phone: str) -> dict[str, object]:
    """What a customer's row has to say, counted anew. The calls come newest first."""
    own = [call for call in calls if call.phone == phone and call.call_type in (0, 1)]
    found: dict[str, object] = {}
    for call_type, way in ((0, "in"), (1, "out")):
        statuses = [call.call_status for call in own if call.call_type == call_type]
        found[f"calls_total_{way}"] = len(statuses)
        found[f"calls_answered_{way}"] = statuses.count(2)
        found[f"calls_missed_{way}"] = statuses.count(0)
    last = own[0] if own else None
    found["last_call_at"] = (last.date_end or last.date_received) if last else None
    found["last_call_direction"] = ("in", "out")[last.call_type] if last else "unknown"
    found["last_call_status"] = ("answered" if last.call_status else "missed") if last else "unknown"
    found["last_agent_internal"] = last.extension if last else ""
    found["first_seen_at"] = min((call.date_received for call in own), default=None)
    found["last_seen_at"] = max((call.date_end or call.date_received for call in own), default=None)
    found["last_success_at"] = max((call.date_end or call.date_received for call in own if call.call_status), default=None)
    return found


async def check(store: Store, number: str, work: Sequence[tuple[Step, int]]) -> None:
    for step, repeats in work:
        for _ in range(repeats):
            await store.commit_step(Step(enterprise_number=number, records=step.records, merged=step.merged, named=step.named))
        calls = await store.calls(number, limit=99)
        for phone in PHONES[:2]:
            customer = await store.customer(number, phone)
            wanted = counted(calls, phone)
            if customer is None:
                assert not wanted["last_call_at"]
            else:
                assert {name: getattr(customer, name) for name in wanted} == wanted


@given(st.lists(steps(), max_size=6))
@settings(max_examples=100)
def test_the_counts_are_those_of_the_calls_in_memory(work: list[tuple[Step, int]]) -> None:
    trio.run(check, MemoryStore(), "0367", work)


@given(work=st.lists(steps(), min_size=2, max_size=5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_counts_are_those_of_the_calls_in_postgresql(contract_url: str, work: list[tuple[Step, int]]) -> None:
    async def run() -> None:
        async with open_pool(contract_url, max_size=1) as pool:
            # A new enterprise each time instead of emptying tables.
            await check(PostgresStore(pool), secrets.token_hex(8), work)

    trio.run(run)


@pytest.mark.parametrize("phone", PHONES[2:])
async def test_what_is_no_number_has_no_customer(store: Store, phone: str) -> None:
    await store.commit_step(Step(enterprise_number="0367", records=(finished(1, phone=phone),)))
    assert await store.customer("0367", phone) is None
