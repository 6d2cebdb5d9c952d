"""What CRMs are owed: each report once, in its order, until it is done or given up."""

import json
from datetime import timedelta
from typing import Any

import attrs
import pytest

from gateway.calls.parties import Direction
from gateway.calls.report import ReportKind
from gateway.errors import StoreRejected
from gateway.ports import Attempt, EventOutcome, Owed, Push, PushKey, PushState, Revived, Step, Store
from sql.documents import LOGGED_BYTES
from tester.houses import House
from tester.samples import NOON, NUMBER, finished, incoming, report

DIAL, HANGUP = ReportKind.DIAL, ReportKind.HANGUP


def owed(kind: ReportKind = DIAL, call_id: int = 1, *, crm: str = "own", **changes: Any) -> Owed:
    return Owed(crm=crm, report=report(kind, call_id, **changes))


def key(kind: ReportKind = DIAL, call_id: int = 1, crm: str = "own", number: str = NUMBER) -> PushKey:
    return PushKey(number, call_id, crm, kind)


async def owe(store: Store, *what: Owed, **parts: Any) -> None:
    await store.commit_step(Step(enterprise_number=NUMBER, owed=what, **parts))


async def pending(store: Store) -> list[Push]:
    return list(await store.pending_pushes(after=None, limit=99))


async def keys(store: Store) -> list[PushKey]:
    return [push.key for push in await pending(store)]


def attempt(of: PushKey, **changes: Any) -> Attempt:
    values: dict[str, Any] = {"key": of, "at": NOON, "state": PushState.DONE, "next_at": NOON, "outcome": "delivered"}
    return Attempt(**{**values, **changes})


async def logged(store: Store) -> list[tuple[str, str, str, str]]:
    found = await store.integration_logs(NUMBER, limit=99)
    return [(one.integration_type, one.event_type, one.status, one.error_message) for one in found]


async def known_call(store: Store, unique_id: str) -> int:
    """The id of a call that the log knows by this UniqueId."""
    [appended] = await store.append_events([incoming("dial", unique_id)])
    outcome = EventOutcome(event_id=appended.event_id, call_id=appended.event_id)
    await store.commit_step(Step(enterprise_number=NUMBER, outcomes=(outcome,)))
    return appended.event_id


# what a step owes


async def test_a_report_comes_back_as_it_was_owed(store: Store) -> None:
    full = report(
        HANGUP,
        direction=Direction.OUTGOING,
        extension="151",
        mobile="375290000151",
        transfers=("150", "151"),
        answered_at=NOON + timedelta(seconds=9, microseconds=5),
        ended_at=NOON + timedelta(hours=1),
        duration_seconds=3599,
        talk_seconds=0,
        waiting_seconds=8,
        answered=True,
        busy=True,
        recording_url="https://pbx.example/recordings/file/1",
        recovered=True,
        synthetic=True,
    )
    await owe(store, Owed(crm="own", report=full))
    [push] = await pending(store)
    assert push.report == full
    assert (push.key, push.state, push.attempts, push.memory) == (key(HANGUP), PushState.PENDING, 0, {})
    assert push.push_id.startswith("msg_")
    assert len(push.push_id) == 36
    assert push.next_at == push.created_at
    assert await store.push_of(key(HANGUP)) == push


async def test_owing_the_same_again_changes_nothing(store: Store) -> None:
    await owe(store, owed(DIAL), owed(HANGUP), owed(DIAL, crm="ms"))
    before = await pending(store)
    await owe(store, owed(DIAL), owed(HANGUP), owed(DIAL, crm="ms"))
    assert await pending(store) == before
    assert len({push.push_id for push in before}) == 3


async def test_what_is_pending_takes_the_newer_report_under_another_id_and_keeps_the_first_uniqueid(store: Store) -> None:
    await owe(store, owed(DIAL, unique_id="1.1"))
    [before] = await pending(store)
    await owe(store, owed(DIAL, unique_id="1.2", extensions=("150", "151", "152")))
    [push] = await pending(store)
    assert push == attrs.evolve(before, revision=2, report=report(DIAL, unique_id="1.1", extensions=("150", "151", "152")))
    assert (before.content_id, push.content_id) == (before.push_id, f"{before.push_id}_2")
    await owe(store, owed(DIAL, unique_id="1.3", extensions=("150", "151", "152")))
    assert await pending(store) == [push]


async def test_a_change_by_hand_is_another_revision(house: House) -> None:
    await owe(house.store, owed())
    for text in (
        '{"kind": "dial", "call_id": 1, "unique_id": "1.1", ',
        '{"kind": "dial", "call_id": 9, "unique_id": "9.9", ',
    ):
        rest = '"direction": "incoming", "phone": "1", "started_at": "2025-10-01T12:00:00+00:00"}'
        await house.put_report(key(), text + rest)
        [push] = await pending(house.store)
        assert (push.revision, push.report.phone) == (2, "1")


async def test_what_was_told_is_not_told_anew_and_what_was_given_up_only_when_it_is_revived(store: Store) -> None:
    await owe(store, owed(DIAL), owed(HANGUP))
    await store.record_attempt(attempt(key(DIAL)))
    await store.record_attempt(attempt(key(HANGUP), state=PushState.DEAD, outcome="permanent"))
    await owe(store, owed(DIAL, phone="375290009999"), owed(HANGUP, phone="375290009999"))
    assert await pending(store) == []
    [dead] = await store.dead_pushes(NUMBER, limit=9)
    assert (dead.report.phone, dead.revision) == ("375290009999", 2)


async def test_of_two_reports_in_one_step_the_later_counts(store: Store) -> None:
    await owe(store, owed(DIAL, phone="1"), owed(DIAL, phone="2"))
    assert [push.report.phone for push in await pending(store)] == ["2"]


async def test_what_was_made_up_gives_way_to_what_was_heard(store: Store) -> None:
    made_up, heard = owed(DIAL, synthetic=True, phone="0"), owed(DIAL, phone="1")
    await owe(store, heard, made_up)
    await owe(store, made_up)
    assert [push.report.phone for push in await pending(store)] == ["1"]
    await owe(store, owed(DIAL, 2, synthetic=True, phone="0"))
    await owe(store, owed(DIAL, 2, phone="2"))
    assert [push.report.phone for push in await pending(store)] == ["1", "2"]


async def test_the_hangup_goes_by_the_uniqueid_of_the_dial(store: Store) -> None:
    await owe(store, owed(DIAL, unique_id="1.1"))
    await owe(store, owed(HANGUP, unique_id="1.7"), owed(HANGUP, unique_id="1.7", crm="ms"))
    assert [(push.key.crm, push.report.unique_id) for push in await pending(store)] == [("ms", "1.7"), ("own", "1.1"), ("own", "1.1")]


async def test_a_uniqueid_is_told_once_whatever_call_it_is_of(store: Store) -> None:
    await owe(store, owed(DIAL, 1, unique_id="1.1"))
    await owe(store, owed(DIAL, 2, unique_id="1.1", phone="375290009999"))
    assert [(push.key, push.report.call_id, push.report.phone) for push in await pending(store)] == [(key(DIAL, 1), 1, "375290009999")]
    await owe(store, owed(DIAL, 3, unique_id=""), owed(DIAL, 4, unique_id=""))
    assert await keys(store) == [key(DIAL, 1), key(DIAL, 3), key(DIAL, 4)]


async def test_enterprises_have_their_uniqueids_for_themselves(store: Store) -> None:
    await owe(store, owed(DIAL))
    await store.commit_step(Step(enterprise_number="0270", owed=(owed(DIAL),)))
    assert await keys(store) == [key(DIAL, number="0270"), key(DIAL)]


async def test_a_refused_step_owes_nothing(store: Store) -> None:
    with pytest.raises(StoreRejected):
        await owe(store, owed(DIAL), records=(finished(1, uuid="none"),))
    assert await pending(store) == []


async def test_reports_hold_whatever_a_broken_host_says(store: Store) -> None:
    await owe(store, owed(DIAL, unique_id="\0" + "9" * 300, phone="\ud800", line="Ж\"\\'", extensions=("\0",)))
    [push] = await pending(store)
    assert push.report.unique_id == "\ufffd" + "9" * 199
    assert (push.report.phone, push.report.line, push.report.extensions) == ("\ufffd", "Ж\"\\'", ("\ufffd",))
    await owe(store, owed(DIAL, 2, unique_id="\0" + "9" * 300))
    assert len(await pending(store)) == 1


# order and pages


async def test_pending_pushes_come_in_pages_by_enterprise_call_and_crm_with_the_dial_first(store: Store) -> None:
    await owe(store, owed(HANGUP, 10), owed(DIAL, 10), owed(DIAL, 9, crm="ms"), owed(DIAL, 9, crm="Own"))
    await store.commit_step(Step(enterprise_number="0270", owed=(owed(DIAL, 99),)))
    wanted = [key(DIAL, 99, number="0270"), key(DIAL, 9, "Own"), key(DIAL, 9, "ms"), key(DIAL, 10), key(HANGUP, 10)]
    seen: list[PushKey] = []
    while page := await store.pending_pushes(after=seen[-1] if seen else None, limit=2):
        assert len(page) <= 2
        seen += [push.key for push in page]
    assert seen == wanted


# reports from outside


async def test_a_report_from_outside_belongs_to_the_call_of_its_uniqueid(store: Store) -> None:
    call_id = await known_call(store, "7.7")
    assert list(await store.accept_owed(NUMBER, [owed(DIAL, 0, unique_id="7.7")])) == [key(DIAL, call_id)]
    await owe(store, owed(DIAL, call_id, unique_id="7.1", phone="1"))
    [push] = await pending(store)
    assert (push.report.call_id, push.report.unique_id, push.report.phone) == (call_id, "7.7", "1")


async def test_a_report_from_outside_of_what_is_owed_already_is_not_new(store: Store) -> None:
    await owe(store, owed(DIAL, 5, unique_id="5.5"))
    [before] = await pending(store)
    outside = [owed(DIAL, 0, unique_id="5.5", phone="0"), owed(HANGUP, 0, unique_id="5.5"), owed(DIAL, 0, unique_id="5.5", crm="ms")]
    assert list(await store.accept_owed(NUMBER, outside)) == [key(DIAL, 5, "ms"), key(HANGUP, 5)]
    assert list(await store.accept_owed(NUMBER, outside)) == []
    # Its one webhook says less than all facts of the call.
    assert await store.push_of(key(DIAL, 5)) == attrs.evolve(before, has_ended=True)


async def test_a_call_that_nobody_knows_gets_an_id_that_no_event_will_have(store: Store) -> None:
    outside = [owed(DIAL, 0, unique_id="8.8", synthetic=True), owed(HANGUP, 0, unique_id="8.8"), owed(HANGUP, 0, unique_id="8.8", crm="ms")]
    new = await store.accept_owed(NUMBER, outside)
    [call_id] = {one.call_id for one in new}
    assert len(new) == 3
    assert all(push.report.call_id == call_id for push in await pending(store))
    events = await store.append_events([incoming("dial", f"{n}.1") for n in range(3)])
    assert call_id not in {one.event_id for one in events}
    assert list(await store.accept_owed(NUMBER, outside)) == []
    assert list(await store.accept_owed("0270", [])) == []


async def test_the_call_that_has_the_uniqueid_takes_over_what_came_from_outside_before_it(store: Store) -> None:
    crms = ("own", "ms")
    outside = [owed(DIAL, 0, unique_id="8.8", crm=crm, phone="0") for crm in crms]
    [second, first] = await store.accept_owed(NUMBER, outside)
    await store.record_attempt(attempt(second, memory={"id": 7}))
    before = await store.push_of(first)
    assert before is not None
    [event] = await store.append_events([incoming("dial", "8.8")])
    call_id = event.event_id
    assert call_id != first.call_id
    await owe(store, owed(HANGUP, call_id, unique_id="8.8"), owed(HANGUP, call_id, unique_id="8.8", crm="ms"))
    assert await keys(store) == [key(HANGUP, call_id, "ms"), key(DIAL, call_id, first.crm), key(HANGUP, call_id)]
    # Whoever knows the former key finds it, and its body names another call now.
    moved = await store.push_of(first)
    assert moved is not None
    assert (moved.key, moved.push_id, moved.revision, moved.report.call_id) == (key(DIAL, call_id), before.push_id, 2, call_id)
    told = await store.push_of(key(HANGUP, call_id, "ms"))
    assert told is not None
    assert (told.memory, told.has_ended) == ({"id": 7}, True)
    # What comes from outside afterwards is of the same call.
    assert list(await store.accept_owed(NUMBER, [owed(DIAL, 0, unique_id="8.8", crm="uon")])) == [key(DIAL, call_id, "uon")]
    await owe(store, owed(DIAL, call_id, unique_id="8.8", phone="1"))
    assert [push.report.phone for push in await pending(store) if push.key == key(DIAL, call_id)] == ["1"]


async def test_what_a_call_has_told_under_another_uniqueid_outweighs_what_came_from_outside(store: Store) -> None:
    [outside, end] = await store.accept_owed(NUMBER, [owed(DIAL, 0, unique_id="8.8"), owed(HANGUP, 0, unique_id="8.8")])
    call_id = end.call_id + 100
    await owe(store, owed(DIAL, call_id, unique_id="8.1"))
    own = await store.push_of(key(DIAL, call_id))
    assert own is not None
    await owe(store, owed(DIAL, call_id, unique_id="8.8", phone="1"))
    assert await keys(store) == [key(DIAL, call_id), key(HANGUP, call_id)]
    push = await store.push_of(key(DIAL, call_id))
    assert push is not None
    assert push.push_id == own.push_id
    assert await store.push_of(outside) is None


async def test_calls_of_events_do_not_take_each_others_reports(store: Store) -> None:
    await owe(store, owed(DIAL, 1, unique_id="1.1"))
    await owe(store, owed(HANGUP, 2, unique_id="1.1"))
    assert await keys(store) == [key(DIAL, 1), key(HANGUP, 2)]


# attempts


async def test_an_attempt_that_failed_leaves_the_push_pending_with_its_reason(store: Store) -> None:
    await owe(store, owed(DIAL))
    later = NOON + timedelta(seconds=30)
    failed = attempt(
        key(),
        state=PushState.PENDING,
        next_at=later,
        outcome="retryable",
        problem="timeout",
        fault="theirs",
        reason="http=504\0",
        advice="wait",
    )
    await store.record_attempt(failed)
    push = await store.push_of(key())
    assert push is not None
    assert (push.state, push.attempts, push.next_at) == (PushState.PENDING, 1, later)
    said = (push.outcome, push.problem, push.fault, push.reason, push.advice)
    assert said == ("retryable", "timeout", "theirs", "http=504\ufffd", "wait")
    assert await logged(store) == [("own", "call_event:dial", "error", "http=504\ufffd")]


async def test_what_is_done_or_dead_is_not_pending(store: Store) -> None:
    await owe(store, owed(DIAL), owed(HANGUP))
    await store.record_attempt(attempt(key(DIAL)))
    await store.record_attempt(attempt(key(HANGUP), at=NOON + timedelta(seconds=1), state=PushState.DEAD, reason="gone"))
    assert await pending(store) == []
    assert await store.push_of(key(DIAL)) is None
    assert await store.push_of(key(HANGUP)) is None
    assert await store.push_of(key(HANGUP, 99)) is None
    assert await logged(store) == [("own", "call_event:hangup", "error", "gone"), ("own", "call_event:dial", "success", "")]


async def test_recording_an_attempt_again_changes_nothing(store: Store) -> None:
    await owe(store, owed(DIAL))
    first = attempt(key(), state=PushState.PENDING, next_at=NOON + timedelta(seconds=30))
    last = attempt(key(), at=NOON + timedelta(seconds=30))
    for one in (first, first):
        await store.record_attempt(one)
        push = await store.push_of(key())
        assert push is not None
        assert push.attempts == 1
    for one in (last, last):
        await store.record_attempt(one)
    assert len(await logged(store)) == 2


async def test_an_attempt_changes_only_what_is_still_pending_but_is_in_the_log(store: Store) -> None:
    await owe(store, owed(DIAL))
    await store.record_attempt(attempt(key()))
    await store.record_attempt(attempt(key(), at=NOON + timedelta(seconds=1), state=PushState.PENDING, reason="too late"))
    await store.record_attempt(attempt(key(DIAL, 99), reason="nobody knows it"))
    assert await pending(store) == []
    assert sorted(message for _, _, _, message in await logged(store)) == ["", "nobody knows it", "too late"]


async def tried(store: Store, of: PushKey, **changes: Any) -> PushState:
    """A try of what was read before it has changed."""
    push = await store.push_of(of)
    assert push is not None
    await owe(store, owed(of.kind, extensions=("152",), recording_url=""))
    sent: dict[str, Any] = {"report": push.report, "revision": push.revision, "push_id": push.content_id}
    return await store.record_attempt(attempt(of, **{**sent, **changes}))


@pytest.mark.parametrize("kind", [DIAL, HANGUP])
async def test_of_a_report_that_changed_while_it_was_accepted_the_row_says_what_was_sent(house: House, kind: ReportKind) -> None:
    store = house.store
    await owe(store, owed(kind))
    assert await tried(store, key(kind)) is PushState.DONE
    assert await pending(store) == []
    assert (await house.report_of(key(kind)))["extensions"] == ["150", "151"]


@pytest.mark.parametrize("state", [PushState.PENDING, PushState.DEAD])
async def test_a_report_that_changed_while_it_was_tried_in_vain_is_still_to_be_told(store: Store, state: PushState) -> None:
    await owe(store, owed())
    failed = {"at": NOON, "state": state, "next_at": NOON + timedelta(seconds=20), "reason": "no"}
    assert await tried(store, key(), **failed) is PushState.PENDING
    [push] = await pending(store)
    assert (push.report.extensions, push.revision, push.attempts, push.reason) == (("152",), 2, 1, "no")
    assert push.next_at == (NOON if state is PushState.DEAD else NOON + timedelta(seconds=20))
    # The record is repeated when its answer was lost.
    again = attempt(key(), **failed, report=report(DIAL), revision=1)
    assert await store.record_attempt(again) is PushState.PENDING
    last = attempt(key(), at=NOON + timedelta(seconds=30), state=state, report=push.report, revision=push.revision)
    assert await store.record_attempt(last) is state


async def test_a_call_that_was_absorbed_while_its_report_was_accepted_has_told_it(house: House) -> None:
    store = house.store
    await owe(store, owed(DIAL, 2))
    push = await store.push_of(key(DIAL, 2))
    assert push is not None
    await owe(store, merged=((2, 1),))
    moved = await store.push_of(key(DIAL, 2))
    assert moved is not None
    assert moved.content_id != push.content_id
    done = attempt(key(DIAL, 2), report=push.report, revision=push.revision, push_id=push.content_id)
    assert await store.record_attempt(done) is PushState.DONE
    assert (await house.report_of(key(DIAL, 1)))["call_id"] == 2


async def test_the_log_says_of_which_call_a_try_was_and_under_which_id(store: Store) -> None:
    await owe(store, owed(unique_id="1.\0"))
    push = await store.push_of(key())
    assert push is not None
    await store.record_attempt(attempt(key(), report=push.report, revision=push.revision, push_id=push.content_id))
    await store.record_attempt(attempt(key(DIAL, 5), at=NOON + timedelta(seconds=1)))
    known, found = await store.integration_logs(NUMBER, limit=9)
    assert (found.call_id, found.unique_id, found.push_id) == (1, "1.\ufffd", push.push_id)
    assert (known.call_id, known.unique_id, known.push_id) == (5, "", "")


async def test_later_pushes_of_a_call_know_what_earlier_ones_left(store: Store) -> None:
    await owe(store, owed(DIAL), owed(HANGUP), owed(HANGUP, crm="ms"))
    await store.record_attempt(attempt(key(DIAL), state=PushState.PENDING, memory={"id": 1, "a\0": ["\ud800", {"x": float("nan")}]}))
    await store.record_attempt(attempt(key(DIAL), at=NOON + timedelta(seconds=1), memory={"id": 2}))
    hangup, other = await store.push_of(key(HANGUP)), await store.push_of(key(HANGUP, crm="ms"))
    assert hangup is not None
    assert hangup.memory == {"id": 2, "a\ufffd": ["\ufffd", {"x": None}]}
    assert other is not None
    assert other.memory == {}


async def test_requests_and_answers_are_logged_as_json_and_cut_openly_where_they_are_long(store: Store) -> None:
    await owe(store, owed(DIAL))
    request: dict[str, Any] = {
        "phone": "Ж\0",
        "list": [1, 2.5, None, True, ("a", object())],
        "deep": {"x": {"y": float("inf")}},
        "n": 10**5000,
    }
    long = {"text": 'Ж"\\' * LOGGED_BYTES}
    await store.record_attempt(attempt(key(), request=request, response=long))
    [log] = await store.integration_logs(NUMBER, limit=9)
    assert log.created_at == NOON
    assert log.request_data == {
        "phone": "Ж\ufffd",
        "list": [1, 2.5, None, True, ["a", "<object>"]],
        "deep": {"x": {"y": None}},
        "n": "…",
    }
    assert log.response_data["cut"] is True
    assert log.response_data["bytes"] == len(json.dumps(long, ensure_ascii=False).encode())
    assert log.response_data["beginning"].startswith('{"text": "Ж')
    assert len(json.dumps(log.response_data, ensure_ascii=False).encode()) <= LOGGED_BYTES


async def test_logs_come_newest_first(store: Store) -> None:
    for seconds in (2, 0, 1):
        await store.record_attempt(attempt(key(), at=NOON + timedelta(seconds=seconds), reason=str(seconds)))
    assert [one.error_message for one in await store.integration_logs(NUMBER, limit=2)] == ["2", "1"]
    assert list(await store.integration_logs("0270", limit=2)) == []


# the dead


async def test_the_dead_are_told_newest_first_and_come_back_as_never_tried(store: Store) -> None:
    for call_id in (1, 2):
        await owe(store, owed(DIAL, call_id))
        await store.record_attempt(attempt(key(DIAL, call_id), state=PushState.DEAD, problem="unauthorized", advice="renew the key"))
    assert [push.key.call_id for push in await store.dead_pushes(NUMBER, limit=9)] == [2, 1]
    [newest] = await store.dead_pushes(NUMBER, limit=1)
    assert (newest.state, newest.attempts, newest.problem, newest.advice) == (PushState.DEAD, 1, "unauthorized", "renew the key")
    assert list(await store.dead_pushes("0270", limit=9)) == []
    later = NOON + timedelta(days=1)
    assert await store.revive_pushes("0270", at=later, dial_first=()) == Revived()
    assert await store.revive_pushes(NUMBER, at=later, dial_first=()) == Revived(keys=(key(DIAL, 1), key(DIAL, 2)))
    assert await store.revive_pushes(NUMBER, at=later, dial_first=()) == Revived()
    again = await store.push_of(key(DIAL, 2))
    assert again is not None
    assert (again.attempts, again.next_at, again.push_id) == (0, later, newest.push_id)


async def test_dials_of_calls_that_have_ended_are_not_revived_but_done_with(store: Store) -> None:
    crms = ("own", "retailcrm")
    given_up = attempt(key(), state=PushState.DEAD)
    # 1 still rings; the end of 2 is dead too, that of 3 is told, that of 4 pending.
    for call_id in (1, 2, 3, 4):
        for crm in crms:
            await owe(store, owed(DIAL, call_id, crm=crm), *([owed(HANGUP, call_id, crm=crm)] if call_id > 1 else []))
            await store.record_attempt(attrs.evolve(given_up, key=key(DIAL, call_id, crm)))
            if call_id == 2:
                await store.record_attempt(attrs.evolve(given_up, key=key(HANGUP, call_id, crm)))
            if call_id == 3:
                await store.record_attempt(attempt(key(HANGUP, call_id, crm)))
    revived = await store.revive_pushes(NUMBER, at=NOON, dial_first={"retailcrm"})
    assert revived.keys == (
        key(DIAL, 1), key(DIAL, 1, "retailcrm"), key(HANGUP, 2), key(DIAL, 2, "retailcrm"), key(HANGUP, 2, "retailcrm"),
        key(DIAL, 4, "retailcrm"),
    )  # fmt: skip
    assert revived.left == (key(DIAL, 2), key(DIAL, 3), key(DIAL, 3, "retailcrm"), key(DIAL, 4))
    assert list(await store.dead_pushes(NUMBER, limit=9)) == []
    assert set(await keys(store)) == {*revived.keys, key(HANGUP, 4), key(HANGUP, 4, "retailcrm")}
    assert await store.revive_pushes(NUMBER, at=NOON, dial_first=()) == Revived()


NOT_READABLE = (
    "5", '"text"', "[]", "{}", "null", '{"kind": "dial"}', '{"a": {"b": [1]}}',
    '{"kind": "dial", "call_id": 1, "unique_id": "1", "direction": "sideways", "phone": "", "started_at": "2025-10-01T12:00:00+00:00"}',
    '{"kind": "dial", "call_id": 1, "unique_id": "1", "direction": "incoming", "phone": "", "started_at": "2025-10-01T12:00:00"}',
    '{"kind": "dial", "call_id": 1, "unique_id": "1", "direction": "incoming", "phone": "", "started_at": 5}',
    '{"kind": "dial", "call_id": ' + "9" * 5000 + "}",
)  # fmt: skip


@pytest.mark.parametrize("text", NOT_READABLE)
async def test_a_row_that_cannot_be_read_is_dead_and_holds_up_nobody(house: House, text: str) -> None:
    store = house.store
    await owe(store, owed(DIAL, 1), owed(DIAL, 2), owed(DIAL, 3))
    await house.put_report(key(DIAL, 1), text)
    await house.put_report(key(DIAL, 3), text)
    assert await store.push_of(key(DIAL, 3)) is None
    assert [push.key.call_id for push in await store.pending_pushes(after=None, limit=1)] == [2]
    dead = await store.dead_pushes(NUMBER, limit=9)
    assert sorted(push.key.call_id for push in dead) == [1, 3]
    assert all("cannot be read" in push.reason and push.fault == "ours" for push in dead)


async def test_a_row_of_a_later_version_is_read(house: House) -> None:
    text = (
        '{"kind": "dial", "call_id": 1, "unique_id": "1.1", "direction": "incoming", "phone": "375290001234", "mood": "good",'
        ' "started_at": "2025-10-01T15:00:01+03:00"}'
    )
    await owe(house.store, owed(DIAL))
    await house.put_report(key(), text)
    [push] = await pending(house.store)
    assert push.report == report(DIAL, line="", extensions=())


# mergers


async def test_what_an_absorbed_call_owed_goes_to_a_survivor_that_owes_nothing(store: Store) -> None:
    await owe(store, owed(DIAL, 2), owed(HANGUP, 2))
    before = await pending(store)
    await owe(store, merged=((2, 1),))
    after = await pending(store)
    assert [push.key for push in after] == [key(DIAL, 1), key(HANGUP, 1)]
    assert [push.push_id for push in after] == [push.push_id for push in before]
    assert [(push.report.call_id, push.report.unique_id) for push in after] == [(1, "2.1"), (1, "2.1")]


async def test_what_a_survivor_still_owes_is_news_when_it_goes_by_another_uniqueid(store: Store) -> None:
    await owe(store, owed(DIAL, 2))
    await owe(store, owed(HANGUP, 1))
    before = await store.push_of(key(HANGUP, 1))
    await owe(store, merged=((2, 1),))
    after = await store.push_of(key(HANGUP, 1))
    assert before is not None
    assert after is not None
    assert (before.report.unique_id, after.report.unique_id) == ("1.1", "2.1")
    assert before.content_id != after.content_id


async def test_a_survivor_keeps_its_own_and_nobody_is_told_twice(store: Store) -> None:
    await owe(store, owed(DIAL, 1), owed(DIAL, 2), owed(HANGUP, 2), owed(DIAL, 3))
    await store.record_attempt(attempt(key(DIAL, 3), state=PushState.DEAD))
    own = await store.push_of(key(DIAL, 1))
    await owe(store, merged=((2, 1), (3, 1)))
    assert await keys(store) == [key(DIAL, 1), key(HANGUP, 1)]
    assert own is not None
    assert await store.push_of(key(DIAL, 1)) == attrs.evolve(own, has_ended=True)
    assert [push.key for push in await store.dead_pushes(NUMBER, limit=9)] == [key(DIAL, 3)]
    # The hangup goes by the id that the CRM knows.
    hangup = await store.push_of(key(HANGUP, 1))
    assert hangup is not None
    assert hangup.report.unique_id == "1.1"


async def test_of_several_absorbed_calls_the_one_that_was_told_counts(store: Store) -> None:
    await owe(store, owed(DIAL, 2), owed(DIAL, 3))
    await store.record_attempt(attempt(key(DIAL, 3), memory={"id": 7}))
    await owe(store, owed(HANGUP, 1), merged=((2, 1), (3, 1)))
    [hangup] = await pending(store)
    assert (hangup.key, hangup.report.unique_id, hangup.memory) == (key(HANGUP, 1), "3.1", {"id": 7})


async def test_what_is_owed_in_the_step_that_merges_goes_by_the_survivor(store: Store) -> None:
    await owe(store, owed(DIAL, 3))
    await owe(store, owed(HANGUP, 3), merged=((3, 2), (2, 1)))
    assert await keys(store) == [key(DIAL, 1), key(HANGUP, 1)]


async def test_an_attempt_that_was_under_way_during_a_merger_finds_its_push(store: Store) -> None:
    await owe(store, owed(DIAL, 3))
    await owe(store, merged=((3, 2),))
    await owe(store, merged=((2, 1),))
    moved = await store.push_of(key(DIAL, 3))
    assert moved is not None
    assert moved == await store.push_of(key(DIAL, 1))
    await store.record_attempt(attempt(key(DIAL, 3), memory={"id": 7}))
    assert await pending(store) == []
    await owe(store, owed(HANGUP, 1))
    [hangup] = await pending(store)
    assert hangup.memory == {"id": 7}


async def test_repeating_a_step_that_merges_and_owes_changes_nothing(store: Store) -> None:
    await owe(store, owed(DIAL, 1), owed(DIAL, 2), owed(HANGUP, 2))
    step = Step(enterprise_number=NUMBER, merged=((2, 1),), owed=(owed(HANGUP, 2), owed(HANGUP, 1, crm="ms")))
    await store.commit_step(step)
    once = await pending(store)
    await store.commit_step(step)
    assert await pending(store) == once


# housekeeping


async def test_what_is_over_goes_in_bounded_portions_and_what_is_pending_stays(store: Store) -> None:
    await owe(store, *(owed(DIAL, call_id) for call_id in range(1, 6)))
    for call_id in (1, 2, 3):
        await store.record_attempt(attempt(key(DIAL, call_id), state=PushState.DEAD if call_id == 1 else PushState.DONE))
    await store.record_attempt(attempt(key(DIAL, 4), at=NOON.replace(year=2200)))
    [newest] = await pending(store)
    assert await store.delete_older_than(NOON, limit=9) == 0
    limit = newest.created_at + timedelta(days=1)
    assert [await store.delete_older_than(limit, limit=2) for _ in range(4)] == [4, 3, 0, 0]
    assert await keys(store) == [key(DIAL, 5)]
    assert list(await store.dead_pushes(NUMBER, limit=9)) == []
    assert [one.created_at.year for one in await store.integration_logs(NUMBER, limit=9)] == [2200]
