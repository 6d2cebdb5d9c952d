"""The log of events: both stores take, refuse, order and repeat alike."""

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import StoreRejected
from gateway.ports import Appended, EventOutcome, IncomingEvent, Step, Store
from sql.pool import open_pool
from sql.store import PostgresStore
from tester.houses import House
from tester.memory import MemoryStore
from tester.samples import NOON, NUMBER, incoming


async def test_ids_rise_in_the_order_of_the_batch(store: Store) -> None:
    batch = [incoming("bridge", f"{n}.1") for n in range(40)]
    appended = await store.append_events(batch)
    ids = [one.event_id for one in appended]
    assert ids == sorted(set(ids))
    assert not any(one.duplicate for one in appended)
    stored = await store.unprocessed_events(NUMBER, after_event_id=0, limit=100)
    assert [(one.event_id, one.unique_id) for one in stored] == [(id_, event.unique_id) for id_, event in zip(ids, batch, strict=True)]


async def test_nothing_is_stored_for_an_empty_batch(store: Store) -> None:
    assert list(await store.append_events([])) == []
    assert list(await store.enterprises_with_work()) == []


async def test_an_event_comes_back_exactly_as_posted(store: Store) -> None:
    body = '{ "UniqueId": "1.1",\n\t"Phone" : "+375 29 000-12-34", "Phone":"twice", "n": 1.10e2, "x": "\\u0000 \\ud800 Ж" }'
    event = incoming("start", body=body)
    [appended] = await store.append_events([event])
    [stored] = await store.unprocessed_events(NUMBER, after_event_id=0, limit=1)
    assert stored.raw_body == body
    assert stored.event_id == appended.event_id
    assert (stored.kind, stored.unique_id, stored.received_at, stored.data_source) == ("start", "1.1", NOON, "live")
    assert stored.call_id is None


@pytest.mark.parametrize("kind", ["start", "dial", "hangup"])
async def test_a_repeated_event_is_stored_once_and_answered_with_the_first_id(store: Store, kind: str) -> None:
    [first] = await store.append_events([incoming(kind)])
    [again] = await store.append_events([incoming(kind)])
    assert again == Appended(event_id=first.event_id, duplicate=True)
    assert len(await store.unprocessed_events(NUMBER, after_event_id=0, limit=10)) == 1


@pytest.mark.parametrize("kind", ["bridge", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid"])
async def test_channel_events_are_never_taken_for_repeats(store: Store, kind: str) -> None:
    appended = await store.append_events([incoming(kind, ""), incoming(kind, "")])
    assert len({one.event_id for one in appended}) == 2
    assert not any(one.duplicate for one in appended)


async def test_repeats_inside_a_batch_get_the_id_of_the_first(store: Store) -> None:
    batch = [
        incoming("dial", "1.1"),
        incoming("bridge", "1.1"),
        incoming("dial", "1.1"),
        incoming("bridge", "1.1"),
        incoming("hangup", "1.1"),
        incoming("dial", "1.1"),
        incoming("dial", "2.1"),
    ]
    appended = await store.append_events(batch)
    assert [one.duplicate for one in appended] == [False, False, True, False, False, True, False]
    assert appended[2].event_id == appended[5].event_id == appended[0].event_id
    fresh = [one.event_id for one in appended if not one.duplicate]
    assert fresh == sorted(set(fresh))
    stored = await store.unprocessed_events(NUMBER, after_event_id=0, limit=10)
    assert [(one.event_id, one.kind) for one in stored] == list(zip(fresh, ["dial", "bridge", "bridge", "hangup", "dial"], strict=True))


async def test_a_repeated_batch_mixed_with_new_events_finds_the_old_ids(store: Store) -> None:
    old = await store.append_events([incoming("start", "1.1"), incoming("dial", "1.1")])
    new = await store.append_events([incoming("dial", "9.1"), incoming("dial", "1.1"), incoming("start", "1.1"), incoming("bridge", "1.1")])
    assert [one.duplicate for one in new] == [False, True, True, False]
    assert [new[2].event_id, new[1].event_id] == [one.event_id for one in old]
    assert old[1].event_id < new[0].event_id < new[3].event_id


async def test_the_same_event_of_another_kind_body_uniqueid_or_enterprise_is_another_event(store: Store) -> None:
    base = incoming("dial", "1.1", body="{}")
    others = [
        base,
        attrs.evolve(base, kind="start"),
        attrs.evolve(base, unique_id="1.2"),
        attrs.evolve(base, enterprise_number="0270"),
        attrs.evolve(base, body_hash=b"other"),
    ]
    appended = await store.append_events(others)
    assert not any(one.duplicate for one in appended)


@pytest.mark.parametrize("unique_id", ["a\0b", "a\ud800b", "ы" * 40000, "\U0001f4de" * 3000, "'; drop table", '{,"\\}', "NULL", " "])
async def test_no_uniqueid_whatever_it_is_stops_a_batch(store: Store, unique_id: str) -> None:
    odd = [incoming("dial", unique_id, body="{}"), incoming("bridge", unique_id, body="{}")]
    batch = [incoming("dial", "1.1"), *odd, incoming("dial", "2.1")]
    appended = await store.append_events(batch)
    assert not any(one.duplicate for one in appended)
    [again] = await store.append_events([batch[1]])
    assert again == Appended(event_id=appended[1].event_id, duplicate=True)
    outcome = EventOutcome(event_id=appended[1].event_id, call_id=appended[1].event_id)
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=(outcome,)))
    assert await store.call_id_of(NUMBER, unique_id) == appended[1].event_id


async def test_an_enterprise_number_that_is_no_text_is_stored_and_found_as_well(store: Store) -> None:
    [appended] = await store.append_events([incoming("dial", number="03\0\udfff67")])
    [stored] = await store.unprocessed_events("03\0\udfff67", after_event_id=0, limit=1)
    assert stored.event_id == appended.event_id
    assert stored.enterprise_number == "03\ufffd\ufffd67"


@pytest.mark.parametrize("body", ["", "{", "NaN", '{"a": Infinity}', '{"a": "\x00"}', '{"a": "\ud800"}', "{} {}", '{"a": "tab\t"}'])
async def test_a_body_that_is_no_json_text_is_refused_and_takes_the_batch_with_it(store: Store, body: str) -> None:
    with pytest.raises(StoreRejected):
        await store.append_events([incoming("dial", "1.1"), incoming("dial", "2.1", body=body)])
    assert list(await store.unprocessed_events(NUMBER, after_event_id=0, limit=10)) == []
    [appended] = await store.append_events([incoming("dial", "1.1")])
    assert not appended.duplicate


@pytest.mark.parametrize("body", ["[]", "1", '"text"', "null", '{"n": ' + "9" * 5000 + "}", '{"n": 1e999999}', '{"a": "\\u0000"}', " {} "])
async def test_any_json_text_is_stored(store: Store, body: str) -> None:
    await store.append_events([incoming("dial", "1.1", body=body)])
    [stored] = await store.unprocessed_events(NUMBER, after_event_id=0, limit=10)
    assert stored.raw_body == body


async def test_the_error_of_a_refused_body_does_not_quote_it(store: Store) -> None:
    with pytest.raises(StoreRejected) as refused:
        await store.append_events([incoming("dial", body='{"Token": secret375293332255')])
    assert "375293332255" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_unprocessed_events_are_those_after_an_id_of_one_enterprise(store: Store) -> None:
    appended = await store.append_events([incoming("bridge", f"{n}.1", number="0367" if n % 2 else "0270") for n in range(10)])
    ids = [one.event_id for one in appended]
    await store.commit_step(Step(enterprise_number="0367", outcomes=(EventOutcome(event_id=ids[3], call_id=ids[3]),)))
    found = await store.unprocessed_events("0367", after_event_id=ids[1], limit=2)
    assert [one.event_id for one in found] == [ids[5], ids[7]]
    assert list(await store.unprocessed_events("9999", after_event_id=0, limit=2)) == []


async def test_enterprises_with_work_have_live_calls_or_unprocessed_events(store: Store) -> None:
    appended = await store.append_events([incoming("dial", "1.1", number=number) for number in ("0500", "0367", "0270")])
    assert list(await store.enterprises_with_work()) == ["0270", "0367", "0500"]
    for number, one in zip(("0500", "0367"), appended, strict=False):
        outcome = EventOutcome(event_id=one.event_id, call_id=one.event_id)
        await store.commit_step(Step(enterprise_number=number, outcomes=(outcome,), opened=(one.event_id,)))
    await store.commit_step(Step(enterprise_number="0500", released=(appended[0].event_id,)))
    assert list(await store.enterprises_with_work()) == ["0270", "0367"]


async def test_refused_events_are_kept_with_their_tokens_masked(house: House) -> None:
    await house.store.reject_event(
        kind="dial",
        token="375293332255",
        raw_body='{"Token": "375293332255", "token" : 99887766, "Phone": "1\0\ud800"}',
        reason="unknown\0 Token",
        received_at=NOON,
    )
    assert await house.rejected() == [
        ("dial", "***2255", '{"Token": "***2255", "token" : "***7766", "Phone": "1\ufffd\ufffd"}', "unknown\ufffd Token")
    ]


async def test_short_tokens_are_masked_wholly_and_long_bodies_cut(house: House) -> None:
    await house.store.reject_event(kind="dial", token="12", raw_body="12" + "x" * 70000, reason="", received_at=NOON)
    [(_, token, body, _)] = await house.rejected()
    assert token == "***"
    assert len(body) == 4096


async def test_only_the_newest_refused_events_are_kept(house: House) -> None:
    async with trio.open_nursery() as nursery:
        limiter = trio.CapacityLimiter(4)

        async def reject(number: int) -> None:
            async with limiter:
                await house.store.reject_event(kind="dial", token="", raw_body="", reason=str(number), received_at=NOON)

        for number in range(1005):
            nursery.start_soon(reject, number)
    await house.store.reject_event(kind="dial", token="", raw_body="", reason="last", received_at=NOON)
    rejected = await house.rejected()
    assert len(rejected) == 1000
    assert rejected[-1][3] == "last"


events = st.builds(
    incoming,
    st.sampled_from(["start", "dial", "bridge", "bridge_leave", "hangup"]),
    st.sampled_from(["", "1.1", "1.2", "\0"]) | st.text(max_size=5),
    body=st.sampled_from(["{}", '{"a": "\\u0000\\""}']),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(batches=st.lists(st.lists(events, max_size=6), max_size=4))
def test_both_stores_answer_alike_to_any_batches(contract_url: str, batches: list[list[IncomingEvent]]) -> None:
    async def compare() -> None:
        memory = MemoryStore()
        async with open_pool(contract_url, max_size=1) as pool:
            await pool.execute("delete from call_events")
            postgres = PostgresStore(pool)
            # Ids have gaps in PostgreSQL, where a sequence steps on for conflicts too: compare their order.
            places: dict[int, int] = {}
            for batch in batches:
                expected = await memory.append_events(batch)
                actual = await postgres.append_events(batch)
                assert [one.duplicate for one in actual] == [one.duplicate for one in expected]
                for ours, theirs in zip(expected, actual, strict=True):
                    assert places.setdefault(ours.event_id, theirs.event_id) == theirs.event_id
            assert sorted(places.values()) == [places[key] for key in sorted(places)]
            left = await memory.unprocessed_events(NUMBER, after_event_id=0, limit=100)
            right = await postgres.unprocessed_events(NUMBER, after_event_id=0, limit=100)
            assert [attrs.evolve(one, event_id=places[one.event_id]) for one in left] == list(right)

    trio.run(compare)
