"""A call whose webhooks came badly, and the next calls of the same people, some seconds later: those are calls of their own, each with
exactly its own end.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from gateway.cards.text import render
from tester.host import Host, Posted
from tester.patterns import PATTERNS
from tester.patterns.pattern import Cast, Final, Pattern
from tests.playback import BEGAN, ZONE, Playback
from tests.tester.pattern_play import NAMES, TOKEN, WAYS, cast_of, differences, script_of, visible

IN_ITS_OWN_TIME = WAYS[0]
# Less than the grace of a call that ends without its hangup.
SOON_SECONDS = 3.0
NEXT_CUSTOMERS = ("375290005555", "375290006666", "375290007777")
# Who dials, is rung, and talks next: the one who handed a customer over, then the one who took him.
NEXT_CALLS = (("1-1", "151"), ("1-8", "152"), ("2-3", "151"), ("3-1", "152"))

each_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))


def spoiled(posted: Sequence[Posted]) -> Iterator[tuple[str, list[Posted]]]:
    """Where it matters for what comes next, the last third: each two neighbours in the other order; and each hangup lost."""
    for index in range(len(posted) * 2 // 3, len(posted) - 1):
        yield f"{index} swapped", swapped(posted, index)
    for index, one in enumerate(posted):
        if one.kind == "hangup":
            yield f"{index} lost", without(posted, index)


def swapped(posted: Sequence[Posted], index: int) -> list[Posted]:
    one, other = posted[index], posted[index + 1]
    in_time = [Posted(one.at_seconds, other.kind, other.body), Posted(other.at_seconds, one.kind, one.body)]
    return [*posted[:index], *in_time, *posted[index + 2 :]]


def without(posted: Sequence[Posted], index: int) -> list[Posted]:
    return [*posted[:index], *posted[index + 1 :]]


def posted_of(key: str) -> tuple[Posted, ...]:
    return script_of(PATTERNS[key], cast_of(PATTERNS[key]), IN_ITS_OWN_TIME).posted


def next_cast(pattern: Pattern, manager: str = "151", customer: str = NEXT_CUSTOMERS[0]) -> Cast:
    """The people of the first call, `manager` before the others, with another customer."""
    cast = cast_of(pattern)
    others = {cast.values.get("phone", ""): customer, "151": manager, manager: "151"}
    return Cast(values={key: others.get(number, number) for key, number in cast.values.items()}, names=cast.names)


def next_call(key: str, cast: Cast, at_seconds: float, seed: int = 9000) -> tuple[list[Posted], tuple[Final, ...]]:
    """What the host posts of a call that begins `at_seconds` after the first one, and what it owes."""
    host = Host(token=TOKEN, started_at=BEGAN + timedelta(seconds=at_seconds), zone=ZONE, seed=seed)
    script = PATTERNS[key].script(host, cast)
    return [Posted(at_seconds + one.at_seconds, one.kind, one.body) for one in script.posted], PATTERNS[key].finals(cast)


def missing(first: Sequence[Posted], after: Sequence[Posted], finals: Sequence[Final]) -> list[str]:
    """Which finals of the next calls the chat does not show, and whether a call has taken in what is of both."""
    playback = Playback()
    order = sorted((*first, *after), key=lambda one: one.at_seconds)
    playback.play(((one.at_seconds, one.kind, one.body) for one in order), fast=False)
    playback.wait_for_the_end()
    texts = [visible(render(view, NAMES, "ru", ZONE)) for view in playback.views.values()]
    found = [difference for difference in differences(finals, texts) if difference.startswith("missing")]
    ids = {id(one) for one in after}
    calls = [(id(one) in ids, playback.call_ids.get(place)) for place, one in enumerate(order, start=1)]
    both = {call_id for late, call_id in calls if late} & {call_id for late, call_id in calls if not late} - {None}
    return [*found, *(f"call {call_id} is two" for call_id in both)]


@each_pattern
def test_the_next_calls_of_the_same_people_are_calls_of_their_own(pattern: Pattern) -> None:
    posted = posted_of(pattern.key)
    after: list[Posted] = []
    finals: list[Final] = []
    for place, (key, manager) in enumerate(NEXT_CALLS):
        cast = next_cast(PATTERNS[key], manager, NEXT_CUSTOMERS[min(place, 2)])
        begins = posted[-1].at_seconds + SOON_SECONDS + place * 0.5
        call, owed = next_call(key, cast, begins, seed=9000 + 1000 * place)
        after += call
        finals += owed
    for trouble, first in spoiled(posted):
        assert missing(first, after, finals) == [], trouble


@pytest.mark.parametrize("key", ["1-4", "1-6", "2-8", "2-10", "2-18", "2-25"])
def test_who_has_handed_the_customer_over_may_call_somebody_else_while_that_one_still_talks(key: str) -> None:
    posted = posted_of(key)
    talks = max(one.at_seconds for one in posted if one.kind == "bridge") + 1
    after, finals = next_call("1-1", next_cast(PATTERNS["1-1"]), talks)
    assert missing(posted, after, finals) == []


# Only a hangup tells of these calls, so that numbers alone must say that they are new.
@pytest.mark.parametrize(("key", "lost", "manager"), [("1-4", 23, "151"), ("1-4", 25, "152"), ("1-3", 25, "152"), ("2-26", 30, "152")])
@pytest.mark.parametrize("next_key", ["1-11", "3-2"])
def test_a_lone_hangup_after_a_call_that_lost_its_end_is_not_of_its_consultation(key: str, lost: int, manager: str, next_key: str) -> None:
    posted = posted_of(key)
    after, finals = next_call(next_key, next_cast(PATTERNS[next_key], manager), posted[-1].at_seconds + SOON_SECONDS)
    assert missing(without(posted, lost), after, finals) == []


def test_a_mobiles_leg_that_has_lost_its_dial_is_not_taken_for_one_of_the_next_call_to_that_mobile() -> None:
    posted = posted_of("2-26")
    dials = [index for index, one in enumerate(posted) if one.kind == "dial" and one.body["CallType"] == 1]
    after, finals = next_call("2-23", next_cast(PATTERNS["2-23"]), posted[-1].at_seconds + SOON_SECONDS)
    for dial in dials:
        assert missing(without(posted, dial), after, finals) == []


@pytest.mark.parametrize("spoil", [swapped, without])
def test_a_telephone_that_a_crm_rang_is_not_taken_for_that_of_the_next_call_to_the_customer(
    spoil: Callable[[Sequence[Posted], int], list[Posted]],
) -> None:
    posted = posted_of("1-2")
    after, finals = next_call("1-1", cast_of(PATTERNS["1-1"]), posted[-1].at_seconds + SOON_SECONDS)
    for index in range(3):
        assert missing(spoil(posted, index), after, finals) == [], index
