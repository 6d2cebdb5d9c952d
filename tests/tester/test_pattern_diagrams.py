"""What the diagram of a call says people and telephones do: nothing that cannot be, and lines where it is lines that do something."""

import pytest

from tester.host import Act, ActKind
from tester.patterns import PATTERNS, roles
from tester.patterns.outgoing_steps import CRM
from tester.patterns.pattern import Pattern, RoleKind
from tests.tester.pattern_play import WAYS, cast_of, script_of

for_each_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))


def acts_of(pattern: Pattern) -> tuple[Act, ...]:
    return script_of(pattern, cast_of(pattern), WAYS[0]).acts


def without_times(pattern: Pattern) -> list[tuple[ActKind, str, str]]:
    return [(act.kind, act.source, act.target) for act in acts_of(pattern)]


@for_each_pattern
def test_nobody_talks_with_two_at_once(pattern: Pattern) -> None:
    talks: list[frozenset[str]] = []
    for act in acts_of(pattern):
        pair = frozenset({act.source, act.target})
        match act.kind:
            case ActKind.ANSWER if CRM not in pair:
                talks = [talk for talk in talks if talk != pair]
                assert not any(talk & pair for talk in talks), act
                talks.append(pair)
            case ActKind.HOLD:
                assert pair in talks, act
                talks.remove(pair)
            case ActKind.REFUSE if pair in talks:
                talks.remove(pair)
            case ActKind.TRANSFER:
                talks = [talk for talk in talks if act.source not in talk]
            case ActKind.END:
                talks = [talk for talk in talks if not talk & pair]
            case _:
                pass
    assert talks == []


@for_each_pattern
def test_who_does_not_answer_has_rung_and_who_refuses_has_rung_too(pattern: Pattern) -> None:
    rang: set[str] = set()
    for act in acts_of(pattern):
        if act.kind is ActKind.RING:
            rang.add(act.target)
        if act.kind in (ActKind.NO_ANSWER, ActKind.REFUSE):
            assert act.source in rang, act
        if act.kind is ActKind.NO_ANSWER:
            answers = {(one.source, one.target) for one in acts_of(pattern) if one.kind is ActKind.ANSWER}
            assert (act.target, act.source) not in answers


@for_each_pattern
def test_lines_are_busy_and_forbid_and_people_do_not(pattern: Pattern) -> None:
    cast = cast_of(pattern)
    lines = {cast[role] for role in pattern.roles if role.kind is RoleKind.LINE}
    for act in acts_of(pattern):
        assert (act.source in lines) == (act.kind in (ActKind.BUSY, ActKind.FORBID)) or act.kind is ActKind.CALL, act


def test_a_call_whose_line_is_busy_goes_out_on_the_other_one() -> None:
    cast = cast_of(PATTERNS["1-9"])
    first, backup = cast[roles.LINE], cast[roles.BACKUP_LINE]
    assert without_times(PATTERNS["1-9"])[:3] == [
        (ActKind.CALL, cast[roles.MANAGER], cast[roles.PHONE]),
        (ActKind.BUSY, first, cast[roles.MANAGER]),
        (ActKind.CALL, backup, cast[roles.PHONE]),
    ]


def test_a_direction_is_forbidden_by_the_line() -> None:
    cast = cast_of(PATTERNS["1-11"])
    assert without_times(PATTERNS["1-11"])[-1] == (ActKind.FORBID, cast[roles.LINE], cast[roles.MANAGER])


def test_a_busy_colleague_holds_his_talk_and_returns_to_it() -> None:
    cast = cast_of(PATTERNS["2-22"])
    second, third = cast[roles.SECOND], cast[roles.THIRD]
    theirs = [act.kind for act in acts_of(PATTERNS["2-22"]) if {act.source, act.target} == {second, third}]
    assert theirs == [ActKind.CALL, ActKind.ANSWER, ActKind.HOLD, ActKind.ANSWER, ActKind.END]


def test_where_a_follow_me_number_is_asked_in_vain_two_telephones_do_not_answer() -> None:
    cast = cast_of(PATTERNS["2-30"])
    silent = [act.source for act in acts_of(PATTERNS["2-30"]) if act.kind is ActKind.NO_ANSWER]
    assert silent == [cast[roles.SECOND], cast[roles.MOBILE]]
