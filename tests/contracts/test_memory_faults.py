"""How the store in memory is broken on purpose."""

import pytest
import trio
import trio.testing

from gateway.errors import StoreUnavailable
from tester.memory import MemoryStore
from tester.samples import NUMBER, enterprise, incoming


async def test_an_unavailable_store_does_nothing_and_comes_back() -> None:
    store = MemoryStore()
    store.unavailable = True
    with pytest.raises(StoreUnavailable):
        await store.append_events([incoming()])
    store.unavailable = False
    assert list(await store.unprocessed_events(NUMBER, after_event_id=0, limit=9)) == []


async def test_a_lost_answer_hides_what_was_done() -> None:
    store = MemoryStore()
    store.answers_to_lose = 1
    with pytest.raises(StoreUnavailable):
        await store.append_events([incoming("hangup")])
    [again] = await store.append_events([incoming("hangup")])
    assert again.duplicate


async def test_every_method_takes_its_latency(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    store.latency_seconds = 3.0
    started = trio.current_time()
    await store.ping()
    await store.upsert_enterprises([enterprise()])
    assert trio.current_time() - started == pytest.approx(6.0)


async def test_a_cancelled_call_has_not_happened() -> None:
    store = MemoryStore()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.append_events([incoming()])
    assert scope.cancelled_caught
    assert list(store.event_ids) == []


async def test_gateways_would_be_told_of_changes() -> None:
    store = MemoryStore()
    await store.upsert_enterprises([enterprise()])
    await store.upsert_enterprises([enterprise()])
    await store.unsubscribe(bot_token="123456:TEST", chat_id=1001)
    await store.set_integration(NUMBER, "ms", {})
    await store.set_integration("9999", "ms", {})
    assert store.notified == [NUMBER] * 3
