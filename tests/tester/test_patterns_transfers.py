"""Patterns 2-18 … 2-30 through the pure rooms: each ends as it promises, also when its webhooks come in another way."""

from collections.abc import Callable, Sequence

import pytest

from gateway.cards.text import render
from tester.host import Host, Posted
from tester.patterns.busy import BUSY
from tester.patterns.follow_me import FOLLOW_ME
from tester.patterns.pattern import Cast, Final, Pattern, RoleKind
from tests.playback import ZONE, Playback
from tests.recordings import ORDERS, Webhook
from tests.tester.pattern_corpus import HangupShape, shape_of_pattern
from tests.tester.pattern_play import (
    NAMES,
    TOKEN,
    WAYS,
    Way,
    assert_ends_as_promised,
    cast_of,
    differences,
    script_of,
    visible,
    visible_texts,
)

TRANSFERS = {pattern.key: pattern for pattern in (*BUSY, *FOLLOW_ME)}
WITH_TWO_MESSAGES = ("2-19", "2-20", "2-21", "2-22")
IN_ITS_OWN_TIME = WAYS[0]
LONGEST_SECONDS = 75

each_pattern = pytest.mark.parametrize("pattern", TRANSFERS.values(), ids=list(TRANSFERS))


def posted_of(pattern: Pattern) -> tuple[Posted, ...]:
    return script_of(pattern, cast_of(pattern), IN_ITS_OWN_TIME).posted


def shown_on_the_way(posted: Sequence[Posted]) -> dict[int, list[str]]:
    """Everything that each message has said, call by call."""
    playback = Playback()
    playback.play(((one.at_seconds, one.kind, one.body) for one in posted), fast=False)
    playback.wait_for_the_end()
    return {call_id: [visible(render(view, NAMES, "ru", ZONE)) for view in views] for call_id, views in playback.history.items()}


@pytest.mark.parametrize("way", WAYS, ids=str)
@each_pattern
def test_a_transfer_ends_as_promised(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@each_pattern
def test_a_transfer_whose_webhooks_come_in_another_order_ends_the_same(
    pattern: Pattern, order: Callable[[Sequence[Webhook]], list[Webhook]]
) -> None:
    webhooks = order([Webhook(one.kind, one.body, one.at_seconds, "") for one in posted_of(pattern)])
    posted = [Posted(webhook.at_seconds, webhook.kind, webhook.body) for webhook in webhooks]
    assert differences(pattern.finals(cast_of(pattern)), visible_texts(posted, IN_ITS_OWN_TIME)) == []


@each_pattern
def test_two_neighbouring_webhooks_may_change_places(pattern: Pattern) -> None:
    finals, posted, at_once = pattern.finals(cast_of(pattern)), posted_of(pattern), WAYS[4]
    for index in range(len(posted) - 1):
        swapped = [*posted[:index], posted[index + 1], posted[index], *posted[index + 2 :]]
        assert differences(finals, visible_texts(swapped, at_once)) == [], f"{posted[index]} after {posted[index + 1]}"


@each_pattern
def test_a_lost_webhook_makes_no_message_more_or_less_and_no_call_missed(pattern: Pattern) -> None:
    finals, posted = pattern.finals(cast_of(pattern)), posted_of(pattern)
    for index, lost in enumerate(posted):
        texts = visible_texts([*posted[:index], *posted[index + 1 :]], IN_ITS_OWN_TIME)
        assert len(texts) == len(finals), f"without {lost}: {texts}"
        assert all(text.startswith("✅") for text in texts), f"without {lost}: {texts}"


@each_pattern
def test_it_is_over_before_anybody_loses_patience(pattern: Pattern) -> None:
    assert script_of(pattern, cast_of(pattern), IN_ITS_OWN_TIME).seconds <= LONGEST_SECONDS


@each_pattern
def test_the_diagram_names_those_who_take_part_in_the_order_of_time(pattern: Pattern) -> None:
    cast = cast_of(pattern)
    acts = script_of(pattern, cast, IN_ITS_OWN_TIME).acts
    assert [act.at_seconds for act in acts] == sorted(act.at_seconds for act in acts)
    lines = {role.key for role in pattern.roles if role.kind is RoleKind.LINE}
    people = {number for key, number in cast.values.items() if key not in lines}
    assert people <= {number for act in acts for number in (act.source, act.target)} <= {*cast.values.values(), ""}


@pytest.mark.parametrize("key", [pattern.key for pattern in FOLLOW_ME])
def test_the_chat_never_names_the_follow_me_number_nor_a_mobile_that_did_not_take_the_customer(key: str) -> None:
    pattern = TRANSFERS[key]
    (texts,) = shown_on_the_way(posted_of(pattern)).values()
    # It rings, the manager talks, perhaps it rings anew, whoever took it talks, it ends.
    assert len(texts) <= 6
    assert not any("300" in text for text in texts)
    (final,) = pattern.finals(cast_of(pattern))
    assert any("📱" in text for text in texts) == ("📱" in final.right)


@pytest.mark.parametrize("key", WITH_TWO_MESSAGES)
def test_the_talk_of_two_colleagues_and_the_customers_call_never_mix(key: str) -> None:
    pattern = TRANSFERS[key]
    inside, outside = sorted(shown_on_the_way(posted_of(pattern)).values(), key=lambda texts: "внутр" not in texts[-1])
    assert [text.split("\n")[0].partition(",")[0] for text in inside] == [
        "🔗 Разговор (внутр.): 150 ↔ Ковалёв И. (152)",
        "✅ Завершен (внутр.): 150 ↔ Ковалёв И. (152)",
    ]
    assert not any("внутр" in text or "150" in text for text in outside)


# What the hangups say, in their order, of the kinds of calls that lie in no recording here. A is the first extension that one names.
@pytest.mark.parametrize(
    ("key", "hangups"),
    [
        ("2-19", [("2", "0", "X", "A"), ("2", "2", "B", "A")]),
        ("2-20", [("2", "0", "A", ""), ("0", "2", "X", "A"), ("2", "2", "B", "C")]),
        ("2-21", [("2", "2", "A", "B"), ("2", "2", "X", "B")]),
        ("2-22", [("2", "2", "X", "A"), ("0", "2", "X", "B"), ("2", "2", "C", "A")]),
        ("2-25", [("1", "0", "X", "A"), ("0", "2", "Y", "A")]),
        ("2-28", [("1", "2", "X", "")]),
    ],
)
def test_the_hangups_are_those_of_the_kind(key: str, hangups: list[tuple[str, str, str, str]]) -> None:
    wanted = tuple(
        HangupShape(call_type=call_type, call_status=status, phone=phone, extensions=(extension,))
        for call_type, status, phone, extension in hangups
    )
    assert shape_of_pattern(TRANSFERS[key]).hangups == wanted


def test_without_a_backup_line_the_mobile_is_tried_on_the_line_of_the_call_alone() -> None:
    for with_optional, lines in ((True, ["0001363", "0001366"]), (False, ["0001363"])):
        cast = cast_of(TRANSFERS["2-23"], with_optional=with_optional)
        dials = [one.body for one in script_of(TRANSFERS["2-23"], cast, IN_ITS_OWN_TIME).posted if one.kind == "dial"]
        assert [dial["Trunk"] for dial in dials if dial["CallType"] == 1] == lines


def test_a_backup_line_that_is_the_line_of_the_call_is_no_other_line() -> None:
    full = cast_of(TRANSFERS["2-28"])
    cast = Cast(values={**full.values, "backup_line_id": full.values["line_id"]}, names=full.names)
    dials = [one.body for one in script_of(TRANSFERS["2-28"], cast, IN_ITS_OWN_TIME).posted if one.kind == "dial"]
    assert len([dial for dial in dials if dial["CallType"] == 1]) == 1


@pytest.mark.parametrize("linkedid", [False, True])
@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_calls_of_the_same_people_one_after_another_stay_apart(linkedid: bool, speed: float) -> None:
    playback, finals, seed = Playback(), list[Final](), 5000
    for pattern in TRANSFERS.values():
        cast, seed = cast_of(pattern), seed + 1000
        host = Host(token=TOKEN, started_at=playback.now, zone=ZONE, seed=seed, linkedid=linkedid)
        script = pattern.script(host, cast)
        playback.play(((one.at_seconds / speed, one.kind, one.body) for one in script.posted), fast=False)
        playback.wait(script.seconds + 12)
        finals.extend(pattern.finals(cast))
    playback.wait_for_the_end()
    texts = [visible(render(view, NAMES, "ru", ZONE)) for view in playback.views.values()]
    assert differences(finals, texts) == []
