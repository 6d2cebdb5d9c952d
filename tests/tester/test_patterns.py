"""What holds for all patterns, whoever plays them."""

import re
from collections.abc import Callable, Sequence

import pytest

from tester.host import Posted
from tester.patterns import PATTERNS
from tester.patterns.pattern import Group, Pattern
from tests.recordings import Webhook, bridge_pairs_swapped, every_event_twice
from tests.tester.pattern_play import TOKEN, WAYS, cast_of, differences, script_of, visible_texts

IN_ITS_OWN_TIME = WAYS[0]
# Nobody wants to watch longer; the longest recorded ones take a minute as well.
LONGEST_SECONDS = 60
LANGUAGES = {"ru", "en"}
WAYS_OF_CALLS = {
    "ru": {Group.OUTGOING: "Исходящий", Group.INCOMING: "Входящий", Group.INTERNAL: "Внутренний"},
    "en": {Group.OUTGOING: "Outgoing", Group.INCOMING: "Incoming", Group.INTERNAL: "Internal"},
}

for_each_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))


def test_all_kinds_of_calls_are_there_in_the_order_of_their_numbers() -> None:
    assert list(PATTERNS) == [f"{group}-{number}" for group, last in ((1, 11), (2, 30), (3, 4)) for number in range(1, last + 1)]
    assert all(key == pattern.key for key, pattern in PATTERNS.items())


@for_each_pattern
def test_a_pattern_says_in_both_languages_what_it_is(pattern: Pattern) -> None:
    for text in (pattern.title, pattern.description, *(role.title for role in pattern.roles)):
        assert {language for language, said in text.items() if said} == LANGUAGES
    assert "\n" not in "".join((*pattern.title.values(), *pattern.description.values()))


def test_no_two_patterns_are_called_the_same() -> None:
    for language in LANGUAGES:
        assert len({pattern.title[language] for pattern in PATTERNS.values()}) == len(PATTERNS)


@for_each_pattern
def test_a_title_says_which_way_the_call_goes_and_then_how(pattern: Pattern) -> None:
    for language, words in WAYS_OF_CALLS.items():
        assert re.fullmatch(rf"{words[pattern.group]}( [^:]+)?: [^:]+", pattern.title[language])


def test_what_is_the_same_in_one_language_is_the_same_in_the_other() -> None:
    ends = [{language: re.split("[:,] ", title)[-1] for language, title in pattern.title.items()} for pattern in PATTERNS.values()]
    for language, other in (("ru", "en"), ("en", "ru")):
        for end in {said[language] for said in ends}:
            assert len({said[other] for said in ends if said[language] == end}) == 1, end


@for_each_pattern
def test_a_description_ends_with_the_chat_and_calls_things_as_all_others_do(pattern: Pattern) -> None:
    russian, english = pattern.description["ru"], pattern.description["en"]
    assert re.search(r"В чате(: | два сообщения)[^.]*(\(внутр\.\)[^.]*)*\.$", russian)
    assert re.search(r"The chat (shows|begins with) [^.]*\.$", english)
    for said in (*pattern.title.values(), russian, english):
        assert not re.search(r"отбо[йея]|абонент|refuse|снима|SIP/[0-9]|\b15[0-9]\b", said), said


@for_each_pattern
def test_a_role_is_played_once(pattern: Pattern) -> None:
    keys = [role.key for role in pattern.roles]
    assert len(set(keys)) == len(keys)


@for_each_pattern
@pytest.mark.parametrize("with_optional", [True, False])
def test_a_call_begins_at_once_and_is_over_within_a_minute(pattern: Pattern, with_optional: bool) -> None:
    script = script_of(pattern, cast_of(pattern, with_optional=with_optional), IN_ITS_OWN_TIME)
    times = [one.at_seconds for one in script.posted]
    assert times == sorted(times)
    assert times[-1] == script.seconds <= LONGEST_SECONDS
    acts = [act.at_seconds for act in script.acts]
    assert acts == sorted(acts)
    assert min(*times, *acts) == 0
    assert max(acts) <= script.seconds


@for_each_pattern
def test_a_script_is_the_same_each_time_and_is_all_of_one_host(pattern: Pattern) -> None:
    cast = cast_of(pattern)
    script = script_of(pattern, cast, IN_ITS_OWN_TIME)
    assert script == script_of(pattern, cast, IN_ITS_OWN_TIME)
    assert {one.body["Token"] for one in script.posted} == {TOKEN}


# Hosts were seen to let the two who meet in a bridge enter it in either order, and to post an event a second time.
@for_each_pattern
@pytest.mark.parametrize("order", [bridge_pairs_swapped, every_event_twice], ids=lambda order: order.__name__)
def test_a_call_ends_the_same_when_the_host_posts_in_another_order(
    pattern: Pattern, order: Callable[[Sequence[Webhook]], list[Webhook]]
) -> None:
    cast = cast_of(pattern)
    posted = script_of(pattern, cast, IN_ITS_OWN_TIME).posted
    heard = order([Webhook(one.kind, one.body, one.at_seconds, "") for one in posted])
    times = sorted(webhook.at_seconds for webhook in heard)
    in_time = [Posted(at_seconds, webhook.kind, webhook.body) for at_seconds, webhook in zip(times, heard, strict=True)]
    texts = visible_texts(in_time, IN_ITS_OWN_TIME)
    assert differences(pattern.finals(cast), texts) == []
