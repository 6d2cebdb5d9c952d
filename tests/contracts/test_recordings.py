"""Recordings that become known after the end of a call: each CRM that hears of the call gets the link, once."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from gateway.calls.recording import RecordedCall, Recording
from gateway.calls.report import ReportKind
from gateway.crm.base import maybe_done_mark
from gateway.ports import Attempt, EventOutcome, Owed, Push, PushKey, PushState, Step, Store
from tester.houses import House
from tester.samples import NOON, NUMBER, finished, incoming, report

DIAL, HANGUP, RECORDING = ReportKind
URL = "https://pbx.example/recordings/file/1"
OTHER = "https://pbx.example/recordings/file/2"


def key(kind: ReportKind, call_id: int = 1, crm: str = "own") -> PushKey:
    return PushKey(NUMBER, call_id, crm, kind)


def owed(kind: ReportKind, call_id: int = 1, *, crm: str = "own", **changes: Any) -> Owed:
    return Owed(crm=crm, report=report(kind, call_id, **changes))


async def end(store: Store, *crms: str, call_id: int = 1, **changes: Any) -> None:
    """A call has ended, and these CRMs are owed the news."""
    what = tuple(owed(kind, call_id, crm=crm, **changes) for crm in crms for kind in (DIAL, HANGUP))
    await store.commit_step(Step(enterprise_number=NUMBER, records=(finished(call_id),), owed=what))


async def tell(store: Store, of: PushKey, **changes: Any) -> None:
    values: dict[str, Any] = {"at": NOON, "state": PushState.DONE, "next_at": NOON, "outcome": "delivered"}
    await store.record_attempt(Attempt(key=of, **{**values, **changes}))


async def know(store: Store, url: str = URL, call_id: int = 1) -> list[PushKey]:
    return list(await store.accept_recording(NUMBER, Recording(call_id=call_id, url=url)))


async def links(store: Store) -> dict[tuple[str, ReportKind], str]:
    return {(push.key.crm, push.key.kind): push.report.recording_url for push in await store.pending_pushes(after=None, limit=99)}


async def pushed(store: Store, of: PushKey) -> Push:
    found = await store.push_of(of)
    assert found is not None
    return found


async def untold(store: Store) -> list[RecordedCall]:
    return list(await store.untold_recordings(since=NOON, after=None, limit=99))


async def test_the_end_that_is_still_to_be_told_takes_the_recording(store: Store) -> None:
    await end(store, "ms", "own")
    assert await know(store) == [key(HANGUP, crm="ms"), key(HANGUP)]
    assert await links(store) == {("ms", DIAL): "", ("ms", HANGUP): URL, ("own", DIAL): "", ("own", HANGUP): URL}
    assert await know(store) == []
    assert await store.recordings_of(NUMBER, [1, 2]) == {1: URL}


async def test_the_end_that_was_told_is_followed_by_the_recording(store: Store) -> None:
    await end(store, "own", "ms", phone="375290009999")
    for kind in (DIAL, HANGUP):
        await tell(store, key(kind), memory={"id": 7})
    assert await know(store) == [key(HANGUP, crm="ms"), key(RECORDING)]
    later = await pushed(store, key(RECORDING))
    assert later.report == report(RECORDING, phone="375290009999", recording_url=URL)
    assert (later.state, later.attempts, later.memory) == (PushState.PENDING, 0, {"id": 7})
    assert await know(store) == []


async def test_a_link_that_changes_before_it_is_told_replaces_the_first(store: Store) -> None:
    await end(store, "own", "ms")
    await tell(store, key(HANGUP))
    await know(store)
    before = await pushed(store, key(RECORDING))
    assert await know(store, OTHER) == [key(HANGUP, crm="ms"), key(RECORDING)]
    assert await pushed(store, key(RECORDING)) == attrs.evolve(before, revision=2, report=attrs.evolve(before.report, recording_url=OTHER))
    assert await store.recordings_of(NUMBER, [1]) == {1: OTHER}
    await tell(store, key(RECORDING))
    assert await know(store) == [key(HANGUP, crm="ms")]


async def test_an_end_that_may_have_been_told_stays_as_it_is(store: Store) -> None:
    await end(store, "own")
    await tell(store, key(HANGUP), state=PushState.PENDING, outcome="retryable", memory=maybe_done_mark(HANGUP))
    assert await know(store) == [key(RECORDING)]
    assert await links(store) == {("own", DIAL): "", ("own", HANGUP): "", ("own", RECORDING): URL}


async def test_an_end_that_surely_was_not_told_takes_the_recording_though_it_was_tried(store: Store) -> None:
    await end(store, "own", "ms")
    await tell(store, key(HANGUP), state=PushState.PENDING, outcome="retryable")
    await tell(store, key(HANGUP, crm="ms"), state=PushState.DEAD, outcome="permanent")
    assert await know(store) == [key(HANGUP, crm="ms"), key(HANGUP)]
    assert (await links(store))["own", HANGUP] == URL
    [dead] = await store.dead_pushes(NUMBER, limit=9)
    assert dead.report.recording_url == URL


@pytest.mark.parametrize(
    ("state", "memory", "follows"),
    [
        (PushState.DONE, {}, True),
        (PushState.PENDING, maybe_done_mark(HANGUP), True),
        (PushState.DEAD, maybe_done_mark(HANGUP), True),
        (PushState.PENDING, {}, False),
        (PushState.DEAD, {}, False),
    ],
)
async def test_a_recording_that_comes_while_the_end_is_being_told_is_not_lost(
    store: Store, state: PushState, memory: dict[str, Any], follows: bool
) -> None:
    await end(store, "own")
    await know(store)
    await tell(store, key(HANGUP), state=state, memory=memory)
    recording = await store.push_of(key(RECORDING))
    assert (recording is not None) is follows
    if recording is not None:
        assert recording.report == report(RECORDING, recording_url=URL)
    found = [*await store.pending_pushes(after=None, limit=9), *await store.dead_pushes(NUMBER, limit=9)]
    known = [] if state is PushState.DONE else ["" if follows else URL]
    assert [push.report.recording_url for push in found if push.key.kind is HANGUP] == known
    assert await untold(store) == []


async def test_an_end_that_was_told_with_its_recording_is_not_followed_by_it(store: Store) -> None:
    await end(store, "own", recording_url=URL)
    await tell(store, key(HANGUP), recording_url=URL)
    assert await know(store) == []
    assert await store.push_of(key(RECORDING)) is None


async def test_a_correction_of_the_end_keeps_the_recording(store: Store) -> None:
    await end(store, "own")
    await know(store)
    await end(store, "own", extensions=("152",))
    push = await pushed(store, key(HANGUP))
    assert push.report == report(HANGUP, extensions=("152",), recording_url=URL)
    await end(store, "own", recording_url=OTHER)
    assert (await pushed(store, key(HANGUP))).report.recording_url == OTHER
    assert await store.recordings_of(NUMBER, [1]) == {1: URL}


async def test_the_recording_goes_by_the_uniqueid_that_the_crm_knows(store: Store) -> None:
    await store.commit_step(Step(enterprise_number=NUMBER, owed=(owed(DIAL, unique_id="1.1"), owed(HANGUP, unique_id="1.7"))))
    for kind in (DIAL, HANGUP):
        await tell(store, key(kind))
    await know(store)
    assert (await pushed(store, key(RECORDING))).report.unique_id == "1.1"


async def test_a_call_is_found_by_any_of_its_uniqueids(store: Store) -> None:
    [appended] = await store.append_events([incoming("dial", "9.9")])
    call_id = appended.event_id
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=(EventOutcome(event_id=call_id, call_id=call_id),)))
    await end(store, "own", call_id=call_id)
    assert await store.accept_recording(NUMBER, Recording(unique_id="9.9", url=URL)) == [key(HANGUP, call_id)]
    assert await store.recordings_of(NUMBER, [call_id]) == {call_id: URL}
    # Of the finished calls; of what is owed.
    assert await store.accept_recording(NUMBER, Recording(unique_id=f"{call_id}.1", url=OTHER)) == [key(HANGUP, call_id)]
    [_, outside] = await store.accept_owed(NUMBER, [owed(HANGUP, 0, unique_id="5.5"), owed(HANGUP, 0, unique_id="5.5", crm="ms")])
    await tell(store, outside)
    changed = await store.accept_recording(NUMBER, Recording(unique_id="5.5", url=URL))
    assert [(one.crm, one.kind) for one in changed] == [("ms", HANGUP), ("own", RECORDING)]


@pytest.mark.parametrize("recording", [Recording(), Recording(unique_id="7.7", url=URL), Recording(unique_id="", url=URL)])
async def test_a_call_that_nobody_knows_has_no_recording(store: Store, recording: Recording) -> None:
    await store.commit_step(Step(enterprise_number=NUMBER, owed=(owed(HANGUP, unique_id=""),)))
    assert list(await store.accept_recording(NUMBER, recording)) == []


async def test_equal_ids_of_another_enterprise_are_another_call(store: Store) -> None:
    await end(store, "own")
    assert list(await store.accept_recording("0270", Recording(call_id=1, url=URL))) == []
    assert list(await store.accept_recording("0270", Recording(unique_id="1.1", url=URL))) == []
    assert await store.recordings_of("0270", [1]) == {}


async def test_a_link_that_others_have_written_is_taken_over(house: House) -> None:
    store = house.store
    await end(store, "own")
    assert list(await store.accept_recording(NUMBER, Recording(call_id=1))) == []
    await house.put_record_url(NUMBER, 1, f" {URL}\n")
    assert await untold(store) == [RecordedCall(NUMBER, 1)]
    assert list(await store.accept_recording(NUMBER, Recording(call_id=1))) == [key(HANGUP)]
    assert (await pushed(store, key(HANGUP))).report.recording_url == URL
    assert await untold(store) == []


NO_ADDRESSES = ("", "soon", "file:///x/y.wav", "http://a b", "https://x", "https://pbx.example/\x01", "https://" + "x" * 3000)


@pytest.mark.parametrize("text", NO_ADDRESSES)
async def test_what_is_no_address_is_no_recording(house: House, text: str) -> None:
    store = house.store
    await end(store, "own")
    await house.put_record_url(NUMBER, 1, text)
    assert list(await store.accept_recording(NUMBER, Recording(call_id=1))) == []
    assert list(await store.accept_recording(NUMBER, Recording(call_id=1, url=text))) == []
    assert await store.recordings_of(NUMBER, [1]) == {}


async def test_what_nobody_was_told_of_comes_in_pages(house: House) -> None:
    store = house.store
    for call_id in range(1, 7):
        await end(store, "own", "ms", call_id=call_id)
        await house.put_record_url(NUMBER, call_id, URL)
    # Told to one CRM only; to both; of long ago.
    await tell(store, key(HANGUP, 2))
    await store.accept_recording(NUMBER, Recording(call_id=3))
    since = NOON + timedelta(seconds=2)
    first = await store.untold_recordings(since=since, after=None, limit=2)
    assert list(first) == [RecordedCall(NUMBER, 2), RecordedCall(NUMBER, 4)]
    assert list(await store.untold_recordings(since=since, after=first[-1], limit=9)) == [RecordedCall(NUMBER, 5), RecordedCall(NUMBER, 6)]
    assert list(await store.untold_recordings(since=NOON + timedelta(days=1), after=None, limit=9)) == []


async def test_a_row_that_cannot_be_read_gets_no_recording(house: House) -> None:
    store = house.store
    await end(store, "own", "ms")
    await house.put_report(key(HANGUP), "[1]")
    assert await know(store) == [key(HANGUP, crm="ms")]
    await tell(store, key(HANGUP))


async def test_the_recording_of_an_absorbed_call_goes_with_it(store: Store) -> None:
    await end(store, "own", call_id=2)
    await tell(store, key(HANGUP, 2))
    await know(store, call_id=2)
    await store.commit_step(Step(enterprise_number=NUMBER, merged=((2, 1),)))
    assert await store.recordings_of(NUMBER, [1, 2]) == {1: URL}
    push = await pushed(store, key(RECORDING, 2))
    assert (push.key, push.report.recording_url) == (key(RECORDING, 1), URL)


async def test_an_end_that_was_under_way_during_a_merger_gets_its_recording(store: Store) -> None:
    await end(store, "own", call_id=2)
    await know(store, call_id=2)
    await store.commit_step(Step(enterprise_number=NUMBER, merged=((2, 1),)))
    await tell(store, key(HANGUP, 2))
    await tell(store, key(HANGUP, 2))
    assert (await pushed(store, key(RECORDING, 1))).report.recording_url == URL
