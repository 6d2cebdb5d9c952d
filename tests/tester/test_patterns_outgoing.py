import pytest

from tester.patterns.internal import INTERNAL
from tester.patterns.outgoing import OUTGOING
from tester.patterns.outgoing_steps import CRM
from tester.patterns.pattern import Pattern
from tests.tester.pattern_corpus import HangupShape, shape_of_pattern
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised, cast_of, script_of

PATTERNS = {pattern.key: pattern for pattern in (*OUTGOING, *INTERNAL)}
IN_ITS_OWN_TIME = WAYS[0]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_a_pattern_ends_as_it_promises(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_the_diagram_of_a_call_names_those_who_take_part_in_the_order_of_time(pattern: Pattern) -> None:
    cast = cast_of(pattern)
    acts = script_of(pattern, cast, IN_ITS_OWN_TIME).acts
    assert [act.at_seconds for act in acts] == sorted(act.at_seconds for act in acts)
    # Who plays in a call is seen in it, but for the line.
    lines = {role.key for role in pattern.roles if role.kind == "line"}
    people = {number for key, number in cast.values.items() if key not in lines}
    assert people <= {number for act in acts for number in (act.source, act.target)} <= {*cast.values.values(), CRM, ""}


# What hangups say of the kinds of calls that no recording shows.
@pytest.mark.parametrize(
    ("key", "hangups"),
    [
        ("1-4", [("1", "2", "X", "")]),
        ("1-6", [("1", "2", "X", "A"), ("2", "2", "X", "B")]),
        ("1-9", [("1", "2", "X", "")]),
        ("1-11", [("1", "1", "X", "A")]),
        ("3-3", [("0", "2", "A", "B")]),
        ("3-4", [("0", "0", "A", "")]),
    ],
)
def test_the_hangups_of_a_pattern_are_those_of_its_kind(key: str, hangups: list[tuple[str, str, str, str]]) -> None:
    wanted = tuple(
        HangupShape(call_type=call_type, call_status=status, phone=phone, extensions=(extension,))
        for call_type, status, phone, extension in hangups
    )
    assert shape_of_pattern(PATTERNS[key]).hangups == wanted


def test_the_next_line_is_a_second_dial_of_the_same_call() -> None:
    posted = script_of(PATTERNS["1-9"], cast_of(PATTERNS["1-9"]), IN_ITS_OWN_TIME).posted
    dials = [one.body for one in posted if one.kind == "dial"]
    assert [dial["Trunk"] for dial in dials] == ["0001363", "0001366"]
    assert len({dial["UniqueId"] for dial in dials}) == 1
    assert posted[-1].body["Trunk"] == "0001366"


def test_a_click_in_a_crm_marks_all_its_events_and_a_leaked_mark_does_not_make_one() -> None:
    clicked = script_of(PATTERNS["1-2"], cast_of(PATTERNS["1-2"]), IN_ITS_OWN_TIME).posted
    assert all(one.body["ExternalInitiated"] is True for one in clicked)
    leaked = script_of(PATTERNS["1-4"], cast_of(PATTERNS["1-4"]), IN_ITS_OWN_TIME).posted
    marked = [one.kind for one in leaked if "ExternalInitiated" in one.body]
    assert marked[0] == "hangup"
    assert len(marked) == 8
    assert not any(final.is_from_crm for final in PATTERNS["1-4"].finals(cast_of(PATTERNS["1-4"])))
