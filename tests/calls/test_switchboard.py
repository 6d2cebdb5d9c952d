"""Which call an event belongs to, and when a call ends: the rules one by one, at exact times."""

from gateway.cards.view import Stage
from tester import pbx
from tester.pbx import Host, Posted, Talk
from tests.calls.scripts import CUSTOMER, LINE, MOBILE, host
from tests.playback import Playback


def play(at: Host, *, fast: bool = False) -> Playback:
    playback = Playback()
    go_on(playback, at, fast=fast)
    return playback


def go_on(playback: Playback, at: Host, *, fast: bool = True) -> None:
    """Post what the host has made since the last time."""
    playback.play(((posted.at_seconds, posted.kind, posted.body) for posted in at.posted), fast=fast)
    at.posted.clear()


def answered_incoming(at: Host, extension: str = "151", phone: str = CUSTOMER) -> Talk:
    talk = pbx.incoming(at, phone, LINE)
    talk.ring("150", "151", "152")
    at.wait(5)
    talk.answer(extension)
    at.wait(10)
    return talk


def without(at: Host, *kinds: str) -> list[Posted]:
    return [posted for posted in at.posted if posted.kind not in kinds]


def test_the_stages_of_an_answered_incoming_call() -> None:
    at = host()
    answered_incoming(at).end()
    playback = play(at)
    (views,) = playback.history.values()
    assert [view.stage for view in views] == [Stage.START, Stage.DIAL, Stage.TALK, Stage.FINAL]
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:15"]


def test_talk_time_is_measured_from_the_bridges() -> None:
    at = host()
    answered_incoming(at).end()
    (record,) = play(at).records.values()
    assert (record.duration, record.talk_seconds, record.call_status, record.closed_by) == (15, 10, 2, "hangup")


def test_without_a_hangup_the_call_ends_when_the_grace_has_passed_and_not_before() -> None:
    at = host()
    answered_incoming(at).end(hangup=False)
    playback = play(at)
    playback.wait(7.9)
    assert [view.stage for view in playback.views.values()] == [Stage.TALK]
    playback.wait(0.2)
    (view,) = playback.views.values()
    assert (view.stage, view.ended_by_silence, view.duration_seconds) == (Stage.FINAL, False, 15)
    (record,) = playback.records.values()
    assert record.closed_by == "grace"


def test_a_customer_that_enters_another_bridge_within_the_grace_keeps_the_call_open() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.blind("152", answered=True)
    playback = play(at)
    playback.wait(60)
    assert [view.stage for view in playback.views.values()] == [Stage.TALK]


def test_a_call_that_goes_on_after_its_end_was_told_is_corrected_at_its_end() -> None:
    at = host()
    talk = answered_incoming(at)
    at_transfer = len(at.posted)
    talk.blind("152", answered=True)
    at.wait(6)
    talk.end()
    playback = Playback()
    before, after = at.posted[: at_transfer + 3], at.posted[at_transfer + 3 :]
    playback.play((posted.at_seconds, posted.kind, posted.body) for posted in before)
    playback.wait(20)
    assert playback.first_lines[0].startswith("✅ Завершен: +375 (29) 000-12-34 ↔ 151")
    playback.play((posted.at_seconds, posted.kind, posted.body) for posted in after)
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 152, 00:26"]
    (views,) = playback.history.values()
    assert [view.stage for view in views] == sorted(view.stage for view in views)


def test_an_open_call_ends_by_silence_and_says_so() -> None:
    at = host()
    pbx.incoming(at, CUSTOMER, LINE).ring("151")
    playback = play(at)
    playback.wait(14_399)
    assert [view.stage for view in playback.views.values()] == [Stage.DIAL]
    playback.wait(2)
    (view,) = playback.views.values()
    assert (view.stage, view.ended_by_silence) == (Stage.FINAL, True)
    assert "⚠️ завершение не получено" in playback.texts[0]


def test_a_hangup_after_the_silence_corrects_the_record_and_the_message() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151")
    playback = play(at)
    playback.wait(14_401)
    at.wait(14_410)
    talk.end()
    go_on(playback, at)
    assert len(playback.views) == 1
    assert "⚠️" not in playback.texts[0]
    (record,) = playback.records.values()
    assert record.closed_by == "hangup"


def test_a_finished_call_is_forgotten_and_a_late_hangup_finds_it_by_restoring_it() -> None:
    at = host()
    answered_incoming(at).end()
    playback = play(at)
    playback.wait(31)
    assert playback.board.open_calls == 0
    assert len(playback.dropped) == 1


def test_our_hangup_of_an_outgoing_call_waits_a_moment_for_a_blind_transfer() -> None:
    at = host()
    talk = pbx.outgoing(at, "151", CUSTOMER, LINE)
    at.wait(5)
    pbx.connect(talk)
    at.wait(5)
    talk.end(by_customer=False)
    playback = play(at)
    assert [view.stage for view in playback.views.values()] == [Stage.TALK]
    playback.wait(1.6)
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:10"]


def test_an_outgoing_call_that_the_customer_ends_is_over_at_once() -> None:
    at = host()
    talk = pbx.outgoing(at, "151", CUSTOMER, LINE)
    at.wait(5)
    pbx.connect(talk)
    talk.end(by_customer=True)
    assert [view.stage for view in play(at).views.values()] == [Stage.FINAL]


def test_an_outgoing_call_nobody_answered_is_over_at_once() -> None:
    at = host()
    pbx.fail(pbx.outgoing(at, "151", CUSTOMER, LINE))
    assert play(at).first_lines == ["❌ Не отвечен: 151 → +375 (29) 000-12-34"]


def test_a_blind_transfer_of_an_outgoing_call_goes_on_with_the_target() -> None:
    at = host()
    talk = pbx.outgoing(at, "151", CUSTOMER, LINE)
    pbx.connect(talk)
    at.wait(5)
    talk.blind("152", answered=True)
    playback = play(at)
    (view,) = playback.views.values()
    assert view.stage is Stage.TALK
    assert [person.number for person in view.people] == ["152"]


def test_a_consultation_never_ends_the_call_and_never_shows() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.attend("152", accepted=False)
    playback = play(at)
    (views,) = playback.history.values()
    assert [view.stage for view in views] == [Stage.START, Stage.DIAL, Stage.TALK]
    assert playback.retracted == []


def test_a_failed_transfer_after_a_talk_is_answered_by_the_first() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.blind("152", answered=False)
    at.wait(20)
    talk.end()
    playback = play(at, fast=True)
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:40"]
    assert "🔀" not in playback.texts[0]


def test_a_chain_of_accepted_transfers_is_told_in_order() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.attend("152", accepted=True)
    at.wait(3)
    talk.attend("150", accepted=True)
    at.wait(3)
    talk.end()
    assert "🔀 151 → 152 → 150" in play(at).texts[0]


def test_two_calls_of_one_customer_stay_two() -> None:
    at = host()
    one = answered_incoming(at, "151")
    other = answered_incoming(at, "152")
    one.end()
    other.end()
    assert sorted(line.split("↔")[1] for line in play(at).first_lines) == [" 151, 00:30", " 152, 00:15"]


def test_a_redial_to_the_customer_of_an_open_call_is_a_new_call() -> None:
    at = host()
    answered_incoming(at, "151")
    talk = pbx.outgoing(at, "151", CUSTOMER, LINE)
    at.wait(3)
    pbx.fail(talk)
    lines = play(at).first_lines
    assert len(lines) == 2
    assert "❌ Не отвечен: 151 → +375 (29) 000-12-34" in lines


def test_a_mobile_that_is_rung_in_vain_leaves_no_trace() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151", MOBILE)
    talk.mobile_gives_up(MOBILE)
    talk.answer("151")
    at.wait(2)
    talk.end()
    assert play(at).first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:06"]


def test_a_mobile_that_answers_is_the_one_who_talks() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151", MOBILE)
    talk.mobile_answers(MOBILE)
    playback = play(at)
    assert playback.first_lines == ["🔗 Разговор: +375 (29) 000-12-34 ↔ 📱 +375 (29) 000-01-51"]


def test_an_unanswered_internal_call_is_one_lone_hangup() -> None:
    at = host()
    pbx.internal(at, "151", "152", ring_seconds=7, talk_seconds=None)
    assert play(at).first_lines == ["❌ Не отвечен (внутр.): 151 → 152"]


def test_the_telephone_that_merely_rang_at_a_pickup_is_no_missed_internal_call() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    talk.ring("151")
    at.wait(3)
    talk.answer("152")
    at.hangup("1795000000.999", "151", [], call_type=2, answered=False, began_seconds=0.0, status="1")
    assert play(at).first_lines == ["🔗 Разговор: +375 (29) 000-12-34 ↔ 152"]


def test_the_line_rule_counts_for_the_number_of_an_incoming_call_only() -> None:
    at = host()
    pbx.incoming(at, "80290001234", LINE)
    pbx.outgoing(at, "151", "80290005678", LINE)
    playback = Playback()
    playback.board.set_line_rules({LINE: "+375{9}"})
    go_on(playback, at)
    assert playback.first_lines == ["📞 Звонок от +375 (29) 000-12-34", "📞 Дозвон от 151 → +80290005678"]


def test_parked_customers_do_not_talk_with_each_other() -> None:
    at = host()
    one, other = (pbx.incoming(at, phone, LINE) for phone in (CUSTOMER, "375290005678"))
    playback = play(at)
    lot = {"BridgeUniqueid": "park-1", "BridgeTechnology": "holding_bridge"}
    playback.post("bridge_create", {"Token": "t", "UniqueId": "", **lot})
    for talk in (one, other):
        playback.post("bridge", {"UniqueId": talk.customer.unique_id, "Channel": talk.customer.channel, "BridgeUniqueid": "park-1"})
    assert len(playback.views) == 2
    assert {view.stage for view in playback.views.values()} == {Stage.START}


def test_two_linkedids_that_meet_in_a_bridge_become_one_call_and_the_younger_message_goes() -> None:
    at = host(linkedid=True)
    talk = answered_incoming(at)
    pbx.internal(at, "151", "152", ring_seconds=1, talk_seconds=3)
    consultation = next(posted.body for posted in reversed(at.posted) if posted.kind == "bridge")
    ended = next(index for index, posted in enumerate(at.posted) if posted.kind == "bridge_leave")
    del at.posted[ended:]
    playback = play(at)
    assert len(playback.views) == 2
    playback.post("bridge", {**consultation, "UniqueId": talk.customer.unique_id, "Channel": talk.customer.channel, "Linkedid": ""})
    assert len(playback.retracted) == 1
    (view,) = playback.views.values()
    assert view.outside == CUSTOMER


def test_a_host_that_never_reports_channel_events_still_gets_its_finals() -> None:
    at = host()
    answered_incoming(at).end()
    missed = pbx.incoming(at, "375290005678", LINE)
    missed.ring("150", "151")
    missed.end()
    playback = Playback()
    old = without(at, "bridge", "bridge_create", "bridge_leave", "bridge_destroy", "new_callerid")
    playback.play((posted.at_seconds, posted.kind, posted.body) for posted in old)
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:15", "❌ Не отвечен: +375 (29) 000-56-78 → 150, 151"]


def test_memory_is_freed_when_calls_have_ended() -> None:
    playback = Playback()
    for number in range(200):
        at = host(seed=1_000 * number)
        answered_incoming(at).end()
        go_on(playback, at)
        playback.wait(40)
    assert playback.board.open_calls == 0
    assert len(playback.dropped) == 200


def test_a_colleague_who_is_transferred_by_the_caller_talks_with_the_third() -> None:
    at = host()
    caller = at.channel("SIP/152", "152", exten="151", connected="151")
    called = at.channel("SIP/151", "151", connected="152", linked=caller)
    at.bridge(called, caller)
    at.wait(5)
    at.leave(caller)
    at.leave(called)
    at.hangup(caller.unique_id, "152", ["151"], call_type=2, answered=True, began_seconds=0.0)
    third = at.channel("SIP/150", "150", exten="150", connected="151", linked=caller)
    at.new_callerid(third, "inoffice")
    third.exten = ""
    called.exten, called.connected = "150", "150"
    at.wait(3)
    at.bridge(third, called)
    at.wait(4)
    at.leave(third)
    at.leave(called)
    at.hangup(called.unique_id, "151", ["150"], call_type=2, answered=True, began_seconds=5.0)
    playback = play(at)
    assert playback.texts[0].split("\n")[:2] == ["✅ Завершен (внутр.): 151 ↔ 150, 00:12", "🔀 152 → 150"]


def test_a_lone_hangup_that_dialled_nobody_is_no_missed_internal_call() -> None:
    at = host()
    at.hangup("1795000000.999", "151", [], call_type=2, answered=False, began_seconds=0.0, status="1")
    playback = play(at)
    assert playback.texts == []


def test_the_second_leg_of_a_refer_does_not_end_the_call() -> None:
    at = host()
    answered_incoming(at)
    at.hangup("1795000000.999", "151", ["152"], call_type=0, answered=False, began_seconds=0.0, trunk=LINE)
    assert play(at).first_lines == ["🔗 Разговор: +375 (29) 000-12-34 ↔ 151"]


def test_a_call_of_a_department_is_internal_although_its_call_type_is_not() -> None:
    at = host()
    caller = at.channel("SIP/152", "152", exten="901", connected="151")
    member = at.channel("SIP/151", "151", connected="152", linked=caller)
    at.wait(2)
    at.bridge(member, caller)
    at.wait(3)
    at.leave(member)
    at.leave(caller)
    at.hangup(caller.unique_id, "152", ["151"], call_type=0, answered=True, began_seconds=0.0, trunk="")
    assert play(at).first_lines == ["✅ Завершен (внутр.): 152 ↔ 151, 00:05"]


def test_the_mobile_leg_of_a_hidden_caller_is_no_call_of_its_own() -> None:
    at = host()
    talk = pbx.incoming(at, "", LINE)
    talk.ring("151", MOBILE)
    one, two = at.local_pair(MOBILE, "179e93af", linked=talk.customer)
    one.number, one.connected, one.exten, two.number = LINE, "", LINE, ""
    at.new_callerid(one, "179e93af")
    at.new_callerid(two, "179e93af")
    at.dial(two.unique_id, MOBILE, [""], 1, LINE)
    talk.answer("151")
    at.wait(4)
    talk.end()
    playback = play(at)
    assert playback.first_lines == ["✅ Завершен: Номер не определен ↔ 151, 00:04"]
    assert playback.retracted == []


def test_a_parked_customer_is_fetched_by_another() -> None:
    at = host()
    talk = answered_incoming(at)
    assert talk.holder is not None
    at.leave(talk.holder)
    at.leave(talk.customer)
    lot = {"BridgeUniqueid": "park-1", "BridgeTechnology": "holding_bridge"}
    at.post("bridge_create", "", lot)
    at.post("bridge", talk.customer.unique_id, {"Channel": talk.customer.channel, "BridgeUniqueid": "park-1"})
    playback = play(at)
    playback.wait(60)
    assert [view.stage for view in playback.views.values()] == [Stage.TALK]
    at.wait(60)
    at.post("bridge_leave", talk.customer.unique_id, {"Channel": talk.customer.channel, **lot, "BridgeNumChannels": "0"})
    fetches = at.channel("SIP/152", "152", exten="701", connected=CUSTOMER)
    at.bridge(fetches, talk.customer)
    at.wait(5)
    talk.end()
    go_on(playback, at)
    assert playback.first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 152, 01:20"]
    assert "🔀 151 → 152" in playback.texts[0]


def test_a_member_of_a_queue_answers_although_the_host_says_nobody_was_dialled() -> None:
    at = host()
    talk = pbx.incoming(at, CUSTOMER, LINE)
    member = at.channel("SIP/151", "151", exten="151", connected=CUSTOMER, linked=talk.customer)
    at.wait(5)
    at.bridge(member, talk.customer)
    at.wait(5)
    at.leave(member)
    at.leave(talk.customer)
    at.hangup(talk.primary, CUSTOMER, [], call_type=0, answered=True, began_seconds=0.0, trunk=LINE, status="1")
    assert play(at).first_lines == ["✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:10"]


def test_three_in_one_bridge_are_no_transfer_and_all_talk() -> None:
    at = host()
    talk = answered_incoming(at)
    assert talk.holder is not None
    third = at.channel("SIP/152", "152", connected=CUSTOMER, linked=talk.customer)
    at.enter(third, talk.customer.bridge_id)
    playback = play(at)
    assert playback.first_lines == ["🔗 Разговор: +375 (29) 000-12-34 ↔ 151, 152"]
    at.leave(third)
    at.wait(5)
    talk.end()
    go_on(playback, at)
    assert playback.texts[0].startswith("✅ Завершен: +375 (29) 000-12-34 ↔ 151, ")
    assert "🔀" not in playback.texts[0]


def test_a_blind_transfer_to_a_colleague_who_is_busy_leaves_his_own_call_alone() -> None:
    at = host()
    caller = at.channel("SIP/150", "150", exten="152", connected="152")
    called = at.channel("SIP/152", "152", connected="150", linked=caller)
    at.bridge(called, caller)
    talk = answered_incoming(at)
    talk.blind("152", answered=False)
    talk.end()
    at.leave(called)
    at.leave(caller)
    at.hangup(caller.unique_id, "150", ["152"], call_type=2, answered=True, began_seconds=0.0)
    assert sorted(play(at, fast=True).first_lines) == [
        "✅ Завершен (внутр.): 150 ↔ 152, 00:20",
        "✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:20",
    ]


def test_a_host_gone_mad_within_one_call_costs_bounded_memory() -> None:
    at = host()
    talk = answered_incoming(at)
    playback = play(at)
    for number in range(1500):
        fields = {"Channel": talk.customer.channel, "CallerIDNum": f"37529{number:07d}", "Linkedid": f"9.{number}"}
        playback.post("bridge", {"UniqueId": talk.customer.unique_id, "BridgeUniqueid": f"b{number}", **fields})
        playback.post("bridge", {"UniqueId": f"8.{number}", "BridgeUniqueid": "b1", **fields})
    playback.wait(20_000)
    assert playback.board.open_calls == 0
    assert len(playback.views) == 1


def test_a_missed_internal_call_right_after_a_call_with_a_transfer_to_the_same_colleague_is_told() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.attend("152", accepted=True)
    talk.end()
    at.wait(2)
    pbx.internal(at, "151", "152", ring_seconds=3, talk_seconds=None)
    assert "❌ Не отвечен (внутр.): 151 → 152" in play(at).first_lines


def test_a_missed_internal_call_on_a_second_line_during_a_call_is_told() -> None:
    at = host()
    talk = answered_incoming(at)
    talk.attend("152", accepted=False)
    at.wait(2)
    pbx.internal(at, "151", "152", ring_seconds=3, talk_seconds=None)
    assert "❌ Не отвечен (внутр.): 151 → 152" in play(at).first_lines


def test_a_late_leg_that_makes_the_shape_unclear_does_not_unmake_the_call() -> None:
    at = host(linkedid=True)
    pbx.internal(at, "151", "152", ring_seconds=3, talk_seconds=None)
    unique_id = at.posted[0].body["UniqueId"]
    playback = play(at)
    (known,) = (playback.board._switchboard.get(1),)  # pyright: ignore[reportPrivateUsage]  # nothing else shows what is known of a call
    playback.post("new_callerid", {"UniqueId": "9.9", "Linkedid": unique_id, "Channel": "SIP/152-00000001", "CallerIDNum": "152"})
    assert known is not None
    assert known.profile is not None
    assert playback.first_lines == ["❌ Не отвечен (внутр.): 151 → 152"]
    playback.wait(31)
    assert playback.board.open_calls == 0
