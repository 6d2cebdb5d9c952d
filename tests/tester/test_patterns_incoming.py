"""Incoming calls of the emulator: what they come to in the chat, and whether their webhooks are those of recorded hosts."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.calls.channels import parse_unique_id
from tester.patterns import roles
from tester.patterns.incoming import INCOMING
from tester.patterns.mobile import MOBILE
from tester.patterns.pattern import Cast, Pattern
from tests.playback import Playback
from tests.recordings import recordings
from tests.tester.pattern_corpus import CORPUS
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised, cast_of, script_of

PATTERNS = {pattern.key: pattern for pattern in (*INCOMING, *MOBILE)}
LETTERS: Mapping[str, str] = {
    "start": "S",
    "dial": "D",
    "new_callerid": "N",
    "bridge_create": "C",
    "bridge": "B",
    "bridge_leave": "L",
    "bridge_destroy": "X",
    "hangup": "H",
}
# What hosts were seen to post, one letter for each webhook.
SEQUENCES: Mapping[str, str] = {
    "2-1": "SND CBBLLX H",
    "2-2": "SND H",
    "2-3": "SND CBBLLX H",
    "2-4": "SND H",
    "2-5": "SND NNDNDN CBBCBB LLXH LLX",
    "2-6": "SND NNDNDN CBB H LLXH",
    "2-7": "SND NNDNDN CBB H CNLBNB CBB LLXH LLBX LLXH",
    "2-8": "SND NNDNDN CBB H CNLBNB CBB LLBX LBLNLX H LLXH",
    "2-9": "SND NNDNDN H CBB CNLBNB LBLHX LLXH",
    "2-10": "SND NNDNDN H CBBLLX CBBLLX H",
    "2-11": "SND NNDNDN H CBBLLX H",
    "2-12": "SNDDD CBBLLX H",
    "2-13": "SNDDD NNDNDN CBHB LLXH",
    "2-14": "SNDDD NNDNDN CBBCBB LLXH LLX",
    "2-15": "SNDDD NNDNDN H H",
    "2-16": "SNDD NNDNDN CBB H LLXH",
    "2-17": "SNDD NNDNDN CBBCBB LLXH LLXH",
}
# Their recorded hosts lost some events; the patterns post them.
LOST: Mapping[str, str] = {
    "2-7": "LBB",  # the manager on his way into the consultation, and its Local end
    "2-9": "B",  # the Local end that enters the consultation
}
# The people of the recorded calls.
PEOPLE: Mapping[str, str] = {
    roles.LINE.key: "0001363",
    roles.MOBILE_LINE.key: "0001366",
    roles.MOBILE.key: "375290001111",
    roles.RINGS_FIRST.key: "150",
    roles.MANAGER.key: "151",
    roles.SECOND.key: "152",
}
# Who is who in a call, and when; a listener build that lets its flag leak.
NOT_COMPARED = {"Token", "UniqueId", "BridgeUniqueid", "DateReceived", "StartTime", "EndTime", "ExternalInitiated"}
RECONSTRUCTED: Mapping[str, str] = {
    "2-1": "taken from a manual, which alone gives the one connected a name",
    "2-14": "the least exact one, whose mobile leg has the Exten of a calling channel",
}
IN_TIME = WAYS[0]
RECORDED = {recording.name: recording for recording in recordings(CORPUS) if recording.name in PATTERNS}


def letters_of(pattern: Pattern) -> str:
    return "".join(LETTERS[one.kind] for one in script_of(pattern, cast_of(pattern), IN_TIME).posted)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_an_incoming_call_ends_as_its_pattern_promises(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_an_incoming_call_posts_its_webhooks_in_the_order_of_hosts(pattern: Pattern) -> None:
    assert letters_of(pattern) == SEQUENCES[pattern.key].replace(" ", "")


@pytest.mark.skipif(not RECORDED, reason="the recorded calls are kept outside the project and are not here")
@pytest.mark.parametrize("key", RECORDED)
def test_an_incoming_call_posts_what_was_recorded_and_what_its_host_lost(key: str) -> None:
    posted = Counter(letters_of(PATTERNS[key]))
    recorded = Counter(LETTERS[webhook.kind] for webhook in RECORDED[key].webhooks) + Counter(LOST.get(key, ""))
    if key == "2-12":
        posted -= Counter("D")  # the recorded one had two steps
    assert posted == recorded


def said(kind: str, body: Mapping[str, Any], *, in_steps: bool) -> tuple[str, str]:
    """A webhook without what differs from call to call. How a group is ordered does, too; ring steps are compared."""
    left = {field: value for field, value in body.items() if field not in NOT_COMPARED}
    if "Channel" in left:
        left["Channel"] = re.sub(r"-[0-9a-f]{8}\b", "", left["Channel"])
    if kind == "dial" and body["CallType"] == 0 and not in_steps:
        del left["Extensions"]
    return kind, repr(sorted(left.items()))


@pytest.mark.skipif(not RECORDED, reason="the recorded calls are kept outside the project and are not here")
@pytest.mark.parametrize("key", [key for key in RECORDED if key not in RECONSTRUCTED])
def test_an_incoming_call_says_field_by_field_what_was_recorded(key: str) -> None:
    pattern, webhooks = PATTERNS[key], RECORDED[key].webhooks
    in_steps = roles.RINGS_FIRST in pattern.roles
    cast = Cast(values={**PEOPLE, roles.PHONE.key: webhooks[0].body["Phone"]})
    posted = Counter(said(one.kind, one.body, in_steps=in_steps) for one in script_of(pattern, cast, IN_TIME).posted)
    recorded = Counter(said(webhook.kind, webhook.body, in_steps=in_steps) for webhook in webhooks)
    assert recorded - posted == Counter()
    assert Counter(LETTERS[kind] for kind, _ in (posted - recorded).elements()) == Counter(LOST.get(key, ""))


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_an_incoming_call_lasts_no_longer_than_somebody_looks_at_it(pattern: Pattern) -> None:
    assert 10 < script_of(pattern, cast_of(pattern), IN_TIME).seconds <= 70


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_the_second_end_of_a_local_pair_is_created_right_after_the_first(pattern: Pattern) -> None:
    ends: dict[str, dict[str, str]] = {}
    channels: dict[str, set[str]] = {}
    for one in script_of(pattern, cast_of(pattern), IN_TIME).posted:
        name = one.body.get("Channel", "")
        if name:
            channels.setdefault(one.body["UniqueId"], set()).add(name)
        if name.startswith("Local/"):
            pair, _, half = name.partition(";")
            ends.setdefault(pair, {})[half] = one.body["UniqueId"]
    assert all(len(names) == 1 for names in channels.values())
    for end in ends.values():
        first, second = parse_unique_id(end["1"]), parse_unique_id(end["2"])
        assert first is not None
        assert second is not None
        assert (second.seconds, second.counter) == (first.seconds, first.counter + 1)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_linkedid_is_the_id_of_the_call_on_every_channel(pattern: Pattern) -> None:
    posted = script_of(pattern, cast_of(pattern), WAYS[1]).posted
    assert {one.body.get("Linkedid") for one in posted if one.body["UniqueId"]} == {posted[0].body["UniqueId"]}


def test_the_list_of_a_call_in_steps_grows_in_the_chat() -> None:
    pattern = PATTERNS["2-12"]
    playback = Playback()
    playback.play(
        ((one.at_seconds, one.kind, one.body) for one in script_of(pattern, cast_of(pattern), IN_TIME).posted),
        fast=False,
    )
    rang = [tuple(party.number for party in view.people) for views in playback.history.values() for view in views]
    assert rang == [(), ("151",), ("151", "152"), ("151", "152", "150"), ("152",), ("152",)]


def test_a_mobile_without_a_backup_line_is_tried_once_on_the_customers_line() -> None:
    cast = cast_of(PATTERNS["2-6"], with_optional=False)
    mobile = [one.body for one in script_of(PATTERNS["2-6"], cast, IN_TIME).posted if one.body.get("CallType") == 1]
    assert [body["Trunk"] for body in mobile] == [cast[roles.LINE]] * 2


def test_a_transferred_customer_has_his_start_time_and_a_later_date_received() -> None:
    script = script_of(PATTERNS["2-10"], cast_of(PATTERNS["2-10"]), IN_TIME)
    body = script.posted[-1].body
    assert (body["CallType"], "Trunk" in body) == (2, False)
    assert "" < body["StartTime"] < body["DateReceived"] < body["EndTime"]
