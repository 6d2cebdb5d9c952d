"""Who talked, where the webhook of an enter was lost or came out of its order: a leave proves it as well."""

import pytest

from tester import pbx
from tester.host import Host, Posted
from tester.patterns.follow_me_steps import Route, ask, send
from tester.pbx import Talk
from tests.calls.scripts import CUSTOMER, LINE, MOBILE, host
from tests.playback import Playback

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


def enters_of(at: Host, name: str) -> list[int]:
    """Where the enters of a channel are, by the beginning of its name."""
    return [index for index, one in enumerate(at.posted) if one.kind == "bridge" and one.body["Channel"].startswith(name)]


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
