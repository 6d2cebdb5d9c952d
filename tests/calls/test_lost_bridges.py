"""Who talked, where the webhook of an enter was lost or came out of its order: a leave proves it as well."""

import pytest

from tester import pbx
from tester.host import Host, Line, Posted
from tester.patterns.follow_me_steps import Route, ask, send
from tester.pbx import Talk
from tests.calls.scripts import CUSTOMER, LINE, MOBILE, host
from tests.playback import Playback
from tests.recordings import LIVE, recordings

ROUTE = Route(number="300", colleague="150", mobile=MOBILE, backup_lines=("0001366",))


def talk_with_151(at: Host) -> Talk:
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151")
    at.wait(3)
    talk.answer("151")
    at.wait(6)
    return talk


def final_text(posted: list[Posted]) -> list[str]:
    """The lines of the only message: the first and, if there is one, that of the transfers."""
    playback = Playback()
    playback.play((one.at_seconds, one.kind, one.body) for one in posted)
    playback.wait_for_the_end()
    (text,) = playback.texts
    lines = text.split("\n")
    return [lines[0], *(line for line in lines[1:] if line.startswith("🔀"))]


def places_of(at: Host, kind: str, name: str) -> list[int]:
    """Where the enters ("bridge") or leaves ("bridge_leave") of a channel are, by the beginning of its name."""
    return [index for index, one in enumerate(at.posted) if one.kind == kind and one.body["Channel"].startswith(name)]


def enters_of(at: Host, name: str) -> list[int]:
    return places_of(at, "bridge", name)


def visited(at: Host) -> Talk:
    """151 asks 152 in a bridge of his own; 152 goes, and then 151 fetches the customer there."""
    talk = talk_with_151(at)
    holder, customer = talk.holder, talk.customer
    assert holder is not None
    at.leave(holder)
    consultation = at.bridge(holder)
    visitor = at.channel("SIP/152", "152", connected="151", linked=customer)
    at.enter(visitor, consultation)
    at.wait(3)
    at.leave(visitor)
    at.leave(customer)
    at.enter(customer, consultation)
    at.wait(5)
    return talk


def hang_up_of_pair(at: Host, talk: Talk, two: Line, number: str, *, call_type: int) -> None:
    """Nobody took what the pair called."""
    named = [talk.phone] if call_type == 1 else [number]
    phone = number if call_type == 1 else talk.phone
    at.hangup(two.unique_id, phone, named, call_type=call_type, answered=False, began_seconds=9, trunk=LINE if call_type == 1 else None)


def test_whoever_leaves_the_customer_without_having_been_seen_to_enter_talked_with_him() -> None:
    at = host()
    talk = talk_with_151(at)
    talk.attend("152", accepted=True)
    at.wait(5)
    talk.end()
    at.posted.pop(enters_of(at, "SIP/151")[0])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 152, 00:21", "🔀 151 → 152"]


def test_a_middle_talker_is_not_lost_with_his_enter() -> None:
    at = host()
    talk = talk_with_151(at)
    for target in ("152", "150"):
        talk.attend(target, accepted=True)
        at.wait(5)
    talk.end()
    at.posted.pop(enters_of(at, "SIP/152")[0])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 150, 00:33", "🔀 151 → 152 → 150"]


def test_a_colleague_who_refused_did_not_talk_whatever_of_him_was_lost() -> None:
    at = host()
    talk = talk_with_151(at)
    talk.attend("152", accepted=False)
    at.wait(5)
    talk.end()
    at.posted.pop(enters_of(at, "SIP/152")[0])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:21"]


def test_of_those_in_a_bridge_that_the_customer_was_only_seen_to_leave_the_one_he_names_talked_last() -> None:
    at = host()
    talk = talk_with_151(at)
    question = ask(talk, ROUTE)
    at.wait(15)
    question.ring_mobile()
    at.wait(8)
    question.answer_at_desk()
    at.wait(4)
    question.hand_over()
    at.wait(6)
    talk.end()
    at.posted.pop(enters_of(at, "SIP/0001363")[0])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 150, 00:42", "🔀 151 → 150"]


@pytest.mark.parametrize("channel", ["SIP/0001366", "Local/375290000151@179e93af", "SIP/0001363"])
def test_a_mobile_that_took_the_call_after_a_transfer_counts_without_one_of_its_enters(channel: str) -> None:
    at = host()
    talk = talk_with_151(at)
    sent = send(talk, ROUTE)
    at.wait(15)
    sent.ring_mobile()
    at.wait(8)
    sent.answer_on_mobile()
    at.wait(6)
    talk.end(by_customer=False)
    at.posted.pop(enters_of(at, channel)[-1])
    assert final_text(at.posted)[1:] == ["🔀 151 → 📱 +375 (29) 000-01-51"]


def test_a_mobile_that_was_left_before_the_customer_was_heard_to_enter_counts_too() -> None:
    at = host()
    talk = talk_with_151(at)
    sent = send(talk, ROUTE)
    at.wait(15)
    sent.ring_mobile()
    at.wait(8)
    sent.answer_on_mobile()
    talk.end(by_customer=False, hangup=False)
    index = enters_of(at, "SIP/0001363")[-1]
    late = at.posted.pop(index)
    assert at.posted[index].kind == "bridge_leave"
    at.posted.insert(index + 1, late)
    assert final_text(at.posted)[1:] == ["🔀 151 → 📱 +375 (29) 000-01-51"]


def test_a_mobile_that_was_asked_and_refused_leaves_no_trace_whatever_of_it_was_lost() -> None:
    for channel in ("SIP/0001366", "Local/375290000151@179e93af", "Local/300@dialexecute"):
        at = host()
        talk = talk_with_151(at)
        question = ask(talk, ROUTE)
        at.wait(15)
        question.ring_mobile()
        at.wait(8)
        question.answer_on_mobile()
        at.wait(4)
        question.refuse()
        at.wait(6)
        talk.end(by_customer=False)
        at.posted.pop(enters_of(at, channel)[-1])
        assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:42"]


@pytest.mark.parametrize("by_customer", [True, False])
def test_a_visitor_who_had_gone_before_the_customer_came_did_not_talk_with_him(by_customer: bool) -> None:
    at = host()
    visited(at).end(by_customer=by_customer)
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:17"]
    at.posted.pop(enters_of(at, "SIP/152")[0])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:17"]


def test_a_visitor_did_not_talk_because_his_leave_is_told_again_later() -> None:
    at = host()
    visited(at).end()
    at.posted.pop(enters_of(at, "SIP/152")[0])
    again = at.posted[places_of(at, "bridge_leave", "SIP/152")[0]]
    at.posted.insert(enters_of(at, "SIP/0001363")[-1] + 1, again)
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:17"]


def test_a_visitor_had_gone_before_the_customer_though_nobody_knows_when_he_came() -> None:
    at = host()
    visited(at).end()
    for name in ("SIP/152", "SIP/0001363"):
        at.posted.pop(enters_of(at, name)[-1])
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:17"]


@pytest.mark.parametrize("lost", ["SIP/0001363", "SIP/150", "nobody"])
def test_who_joined_a_talk_and_went_was_not_handed_the_customer_whomever_his_telephone_names(lost: str) -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("150", "151")
    at.wait(3)
    talk.answer("151")
    at.wait(5)
    third = at.channel("SIP/150", "150", connected=CUSTOMER, linked=talk.customer)
    at.enter(third, talk.customer.bridge_id)
    at.wait(3)
    at.leave(third)
    at.wait(2)
    # It may name the telephone that merely rang first.
    talk.customer.connected = "150"
    talk.end()
    for index in enters_of(at, lost)[:1]:
        at.posted.pop(index)
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:13"]


def test_the_one_who_asked_is_not_behind_the_pair_that_he_asked_through() -> None:
    """A live call: the customer comes to 152 after the pair has left, his first enter and that of 152 being lost."""
    (recording,) = (one for one in recordings(LIVE) if one.name == "L-29")
    posted = [Posted(one.at_seconds, one.kind, one.body) for one in recording.webhooks]
    whole = final_text(posted)
    for name in ("SIP/0001363", "SIP/152"):
        posted.remove(next(one for one in posted if one.kind == "bridge" and one.body["Channel"].startswith(name)))
    assert final_text(posted)[1:] == whole[1:] == ["🔀 151 → 152"]


def test_a_mobile_that_did_not_answer_is_nobody_though_its_pair_was_with_the_customer() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151", MOBILE)
    at.wait(3)
    talk.answer("151")
    at.wait(6)
    talk.blind("152", answered=False)
    one, two = at.local_pair(MOBILE, "179e93af", linked=talk.customer)
    at.bridge(one, talk.customer)
    at.wait(5)
    talk.end(hangup=False)
    hang_up_of_pair(at, talk, two, MOBILE, call_type=1)
    assert final_text(at.posted) == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:19"]


@pytest.mark.parametrize("target", ["152", MOBILE])
@pytest.mark.parametrize("with_hangup", [True, False])
def test_whoever_is_asked_and_rings_is_nobody_though_his_pair_is_with_the_customer(target: str, with_hangup: bool) -> None:
    at = host()
    talk = talk_with_151(at)
    assert talk.holder is not None
    at.leave(talk.holder)
    at.leave(talk.customer)
    one, two = at.local_pair(target, "dialexecute", linked=talk.customer)
    one.connected, two.number = "151", CUSTOMER
    at.new_callerid(two, "dialexecute")
    at.bridge(one, talk.customer)
    at.wait(20)
    talk.end(hangup=False)
    if with_hangup:
        hang_up_of_pair(at, talk, two, target, call_type=2)
    assert final_text(at.posted)[0].startswith("✅ Завершен: +375 (29) 000-12-34 ↔ 151, ")
