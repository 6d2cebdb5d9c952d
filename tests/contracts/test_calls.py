"""Steps of a lane: what one transaction writes, what a repeat of it changes (nothing), and what a restart reads."""

from datetime import timedelta

import attrs
import pytest

from gateway.errors import StoreRejected
from gateway.ports import EventOutcome, Step, Store
from tester.houses import House
from tester.samples import NOON, NUMBER, finished, incoming, message


async def stored(store: Store, *unique_ids: str, kind: str = "bridge") -> list[int]:
    """The ids of new events."""
    return [one.event_id for one in await store.append_events([incoming(kind, unique_id) for unique_id in unique_ids])]


def step(*outcomes: EventOutcome, **parts: object) -> Step:
    return Step(enterprise_number=NUMBER, outcomes=outcomes, **parts)  # pyright: ignore[reportArgumentType]


def understood(event_id: int, call_id: int | None, *, shown: bool = False, error: str = "") -> EventOutcome:
    return EventOutcome(event_id=event_id, call_id=call_id, shown=shown, error=error)


async def test_an_outcome_takes_the_event_off_the_queue_and_gives_it_its_call(house: House) -> None:
    first, second, third = await stored(house.store, "1.1", "1.1", "3.1")
    await house.store.commit_step(
        step(understood(first, first), understood(second, first, shown=True), understood(third, None, error="no\0 sense"), opened=(first,))
    )
    assert list(await house.store.unprocessed_events(NUMBER, after_event_id=0, limit=10)) == []
    assert await house.flags(first) == (True, False, "")
    assert await house.flags(second) == (True, True, "")
    assert await house.flags(third) == (True, False, "no\ufffd sense")
    assert [(one.event_id, one.call_id) for one in await house.store.live_events(NUMBER)] == [(first, first), (second, first)]
    assert [one.event_id for one in await house.store.events_of_call(NUMBER, first)] == [first, second]


async def test_what_was_shown_once_stays_shown(house: House) -> None:
    [event_id] = await stored(house.store, "1.1")
    await house.store.commit_step(step(understood(event_id, event_id, shown=True)))
    await house.store.commit_step(step(understood(event_id, event_id, shown=False)))
    assert await house.flags(event_id) == (True, True, "")


async def test_repeating_a_step_changes_nothing(house: House) -> None:
    first, second, third = await stored(house.store, "1.1", "2.1", "2.2")
    whole = step(
        understood(first, first),
        understood(second, second),
        understood(third, second),
        opened=(first, second),
        merged=((second, first),),
        records=(finished(first),),
    )
    await house.store.commit_step(whole)
    once = (await house.store.live_events(NUMBER), await house.store.calls(NUMBER, limit=9), await house.flags(third))
    await house.store.commit_step(whole)
    assert (await house.store.live_events(NUMBER), await house.store.calls(NUMBER, limit=9), await house.flags(third)) == once
    assert [one.call_id for one in once[0]] == [first, first, first]


async def test_live_events_leave_out_released_calls_other_enterprises_and_what_is_not_understood(store: Store) -> None:
    first, second, third = await stored(store, "1.1", "2.1", "3.1")
    [other] = [one.event_id for one in await store.append_events([incoming("dial", number="0270")])]
    await store.commit_step(step(understood(first, first), understood(second, second), opened=(first, second)))
    await store.commit_step(Step(enterprise_number="0270", outcomes=(understood(other, other),), opened=(other,)))
    await store.commit_step(step(released=(first,)))
    assert [one.event_id for one in await store.live_events(NUMBER)] == [second]
    await store.commit_step(step(released=(second, 4711)))
    await store.commit_step(step(released=(other,)))
    assert list(await store.live_events(NUMBER)) == []
    assert [one.event_id for one in await store.live_events("0270")] == [other]
    assert [one.event_id for one in await store.unprocessed_events(NUMBER, after_event_id=0, limit=9)] == [third]


async def test_a_call_opened_and_released_in_one_step_is_not_live(store: Store) -> None:
    [event_id] = await stored(store, "1.1")
    await store.commit_step(step(understood(event_id, event_id), opened=(event_id,), released=(event_id,)))
    assert list(await store.enterprises_with_work()) == []


async def test_an_outcome_for_an_event_of_another_enterprise_changes_nothing(house: House) -> None:
    [other] = [one.event_id for one in await house.store.append_events([incoming("dial", number="0270")])]
    await house.store.commit_step(step(understood(other, other), understood(other + 1000, None)))
    assert await house.flags(other) == (False, False, "")


async def test_an_absorbed_call_gives_its_events_to_the_survivor(house: House) -> None:
    first, second, third, fourth = await stored(house.store, "1.1", "2.1", "3.1", "3.1")
    await house.store.commit_step(
        step(understood(first, first), understood(second, second), understood(third, third), opened=(first, second, third))
    )
    await house.store.record_shown(message(third), mark_events=True)
    # In one step: an event of the absorbed call, and a survivor that is absorbed in its turn.
    await house.store.commit_step(step(understood(fourth, third), merged=((third, second), (second, first))))
    assert [one.event_id for one in await house.store.events_of_call(NUMBER, first)] == [first, second, third, fourth]
    assert list(await house.store.events_of_call(NUMBER, third)) == []
    assert [one.call_id for one in await house.store.live_events(NUMBER)] == [first] * 4
    assert await house.store.call_id_of(NUMBER, "3.1") == first
    # Its message is still in the chat and has to be deleted there.
    assert [one.call_id for one in await house.store.shown_of_calls(NUMBER, [first, second, third])] == [third]
    assert await house.flags(third) == (True, True, "")


async def test_a_call_opened_and_absorbed_in_one_step_is_not_live(store: Store) -> None:
    first, second = await stored(store, "1.1", "2.1")
    await store.commit_step(step(understood(first, first), understood(second, second), opened=(first, second), merged=((second, first),)))
    await store.commit_step(step(released=(first,)))
    assert list(await store.enterprises_with_work()) == []


async def test_the_record_of_an_absorbed_call_goes_when_the_survivor_has_its_own(store: Store) -> None:
    await store.commit_step(step(records=(finished(1), finished(2))))
    [kept] = [one for one in await store.calls(NUMBER, limit=9) if one.call_id == 1]
    await store.commit_step(step(merged=((2, 1),), records=(finished(1, duration=99),)))
    assert list(await store.calls(NUMBER, limit=9)) == [attrs.evolve(kept, duration=99)]


async def test_the_record_of_an_absorbed_call_becomes_that_of_a_survivor_without_one(store: Store) -> None:
    await store.commit_step(step(records=(finished(3), finished(2))))
    by_id = {one.call_id: one for one in await store.calls(NUMBER, limit=9)}
    await store.commit_step(step(merged=((3, 1), (2, 1))))
    # The recording link that was given out keeps its name.
    assert list(await store.calls(NUMBER, limit=9)) == [attrs.evolve(by_id[2], call_id=1)]


async def test_a_corrected_record_keeps_its_uuid(store: Store) -> None:
    unfinished = finished(1, call_status=0, duration=None, date_end=None, talk_seconds=None, closed_by="silence")
    await store.commit_step(step(records=(unfinished,)))
    [first] = await store.calls(NUMBER, limit=1)
    assert len(first.uuid) == 36
    assert (first.duration, first.date_end, first.talk_seconds) == (None, None, None)
    corrected = finished(1, uuid="00000000-0000-0000-0000-000000000001")
    await store.commit_step(step(records=(corrected,)))
    assert list(await store.calls(NUMBER, limit=9)) == [attrs.evolve(corrected, uuid=first.uuid)]


async def test_a_record_can_bring_its_uuid(store: Store) -> None:
    brought = finished(1, uuid="00000000-0000-0000-0000-00000000000a")
    await store.commit_step(step(records=(brought,)))
    assert list(await store.calls(NUMBER, limit=9)) == [brought]
    with pytest.raises(StoreRejected):
        await store.commit_step(step(records=(finished(2, uuid="none"),)))


async def test_a_refused_step_changes_nothing(house: House) -> None:
    [event_id] = await stored(house.store, "1.1")
    bad = step(understood(event_id, event_id), opened=(event_id,), records=(finished(event_id, uuid="none"),))
    for refused in (bad, attrs.evolve(bad, merged=((event_id, 1),))):
        with pytest.raises(StoreRejected):
            await house.store.commit_step(refused)
        assert await house.flags(event_id) == (False, False, "")
        assert list(await house.store.live_events(NUMBER)) == []
        assert list(await house.store.calls(NUMBER, limit=9)) == []


async def test_records_take_whatever_a_broken_host_says(store: Store) -> None:
    odd = finished(
        1,
        phone="\0Ж\ud800",
        extension="150, 151",
        trunk='"\\',
        date_received=NOON.replace(year=1),
        date_end=NOON.replace(year=9999),
        duration=315_000_000_000,
        talk_seconds=-5,
        transfers="151 → 152",
    )
    await store.commit_step(step(records=(odd,)))
    assert list(await store.calls(NUMBER, limit=9)) == [
        attrs.evolve(odd, phone="\ufffdЖ\ufffd", uuid=(await store.calls(NUMBER, limit=1))[0].uuid)
    ]


async def test_calls_come_newest_first(store: Store) -> None:
    same = NOON + timedelta(hours=1)
    await store.commit_step(step(records=(finished(1), finished(5), finished(3, date_received=same), finished(2, date_received=same))))
    assert [one.call_id for one in await store.calls(NUMBER, limit=3)] == [3, 2, 5]
    assert list(await store.calls("0270", limit=3)) == []


async def test_the_call_of_a_uniqueid_is_the_newest_that_has_it(store: Store) -> None:
    first, second, third, empty = await stored(store, "1.1", "1.1", "1.1", "")
    assert await store.call_id_of(NUMBER, "1.1") is None
    await store.commit_step(step(understood(first, first), understood(second, second), understood(third, first), understood(empty, empty)))
    assert await store.call_id_of(NUMBER, "1.1") == second
    assert await store.call_id_of(NUMBER, "") is None
    assert await store.call_id_of("0270", "1.1") is None


@pytest.mark.parametrize("kind", ["start", "dial", "hangup", "bridge", "new_callerid", "unheard of"])
async def test_the_call_of_a_uniqueid_is_found_by_events_of_every_kind(store: Store, kind: str) -> None:
    [event_id] = await stored(store, "7.7", kind=kind)
    await store.commit_step(step(understood(event_id, event_id)))
    assert await store.call_id_of(NUMBER, "7.7") == event_id
