"""An order understood: values, casts, faults, times, previews. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.closing import Timing
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from tester.emulator.casting import check_values, suggestion
from tester.emulator.faults import fault_problem, spoiled
from tester.emulator.orders import LONGEST_DELAY_SECONDS, EventFault, EventTrouble, Faults, Order, Pace
from tester.emulator.plan import OrderRefused, Plan, make_plan
from tester.emulator.telephone import check_phone
from tester.emulator.wording import ENGLISH, RUSSIAN
from tester.host import Posted
from tester.patterns import PATTERNS
from tester.patterns.pattern import RoleKind

NOW = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
EMPTY = EnterpriseConfig(number="0367", token="375290000367")
FULL = attrs.evolve(
    EMPTY,
    lines=(LineConfig(line_id="0001363", name="A1 основная"), LineConfig(line_id="GSM+1.a")),
    managers=(
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна", personal_phone="375290009151"),
        ManagerConfig(extension="152", first_name="Пётр"),
        ManagerConfig(extension="153", last_name="Доб.153"),
    ),
)
BUSY = ("2-12", "2-5", "2-23", "1-9", "3-3")


def plan(key: str = "2-1", config: EnterpriseConfig = FULL, *, language: str = "ru", seed: int = 1000, **changes: Any) -> Plan:
    pattern = PATTERNS[key]
    values: Mapping[str, str] = {**suggestion(pattern, config, seed=3), **changes.pop("values", {})}
    order = Order(enterprise=config.number, pattern=key, values=values, **changes)
    return make_plan(order, config, pattern, now=NOW, seed=seed, timing=Timing(), language=language)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("+375 29 000-11-11", "375290001111"),
        ("375(29)0001111", "375290001111"),
        ("+7 (495) 000-12-34", "74950001234"),
        ("+375\xa029\xa0000-11-11", "375290001111"),
        ("+1 202 555 0123", "12025550123"),
    ],
)
def test_a_whole_number_is_taken_however_it_is_spaced(typed: str, digits: str) -> None:
    checked = check_phone(typed)
    assert (checked.is_valid, checked.digits) == (True, digits)


@pytest.mark.parametrize(
    "typed",
    ["", " ", "abc", "+375 29 000-11-1x", "80290001111", "+375 29 000", "151", "0001363", "++375290001111", "+375290001111" * 9, "1;2"],
)
@pytest.mark.parametrize("language", ["ru", "en", "de"])
def test_what_is_no_whole_number_is_refused_in_one_line(typed: str, language: str) -> None:
    error = check_phone(typed, language).error
    assert error
    assert "\n" not in error


@given(st.text(max_size=80))
def test_any_text_is_a_number_or_an_error(typed: str) -> None:
    checked = check_phone(typed)
    assert checked.error or (checked.digits.isascii() and checked.digits.isdecimal() and 7 <= len(checked.digits) <= 15)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"internal_phone": "15"}, "internal_phone"),
        ({"internal_phone": "15000"}, "internal_phone"),
        ({"internal_phone": "١٥٠"}, "internal_phone"),
        ({"internal_phone": ""}, "internal_phone"),
        ({"line_id": "a b"}, "line_id"),
        ({"line_id": "x" * 33}, "line_id"),
        ({"line_id": "линия"}, "line_id"),
        ({"external_phone": "151"}, "external_phone"),
        ({"nobody": "1"}, "nobody"),
        ({"also_rings_1": "151", "internal_phone": "151"}, "also_rings_1"),
    ],
)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_wrong_value_is_refused_by_its_role(values: Mapping[str, str], key: str, language: str) -> None:
    with pytest.raises(OrderRefused) as refused:
        plan("2-1", values=values, language=language)
    assert set(refused.value.fields) == {key}
    assert "\n" not in str(refused.value)


def test_a_line_that_is_configured_is_taken_as_it_is_and_an_unknown_one_too() -> None:
    for line in ("GSM+1.a", "0009999", "a_b-C"):
        assert plan("2-1", values={"line_id": line}).events[0].posted.body["Trunk"] == line


def test_a_telephone_cannot_be_two_people() -> None:
    values = {"external_phone": "+375 29 000-91-51", "mobile_phone": "375290009151"}
    key = next(key for key, pattern in PATTERNS.items() if {"external_phone", "mobile_phone"} <= {role.key for role in pattern.roles})
    checked = check_values(PATTERNS[key], FULL, {**suggestion(PATTERNS[key], FULL, seed=1), **values}, "en")
    assert list(checked.problems.values()) == ["is the same as “Outside number”"]


def test_a_service_number_left_empty_is_the_usual_one() -> None:
    key, role = next(
        (key, role) for key, pattern in PATTERNS.items() for role in pattern.roles if role.kind is RoleKind.SERVICE and not role.is_optional
    )
    pattern = PATTERNS[key]
    values = {**suggestion(pattern, EMPTY, seed=1), role.key: " "}
    assert check_values(pattern, EMPTY, values, "ru").by_role[role.key] == role.default


# ── proposals ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("config", [EMPTY, FULL])
@pytest.mark.parametrize("key", sorted(PATTERNS))
def test_a_proposal_can_be_played_at_any_enterprise(key: str, config: EnterpriseConfig) -> None:
    pattern = PATTERNS[key]
    for seed in (0, 1, 4_999, 999_999):
        values = suggestion(pattern, config, seed=seed)
        assert values == suggestion(pattern, config, seed=seed)
        assert check_values(pattern, config, values, "ru").problems == {}


def test_a_proposal_takes_what_is_configured_first() -> None:
    values = suggestion(PATTERNS["1-4"], FULL, seed=5)
    extensions = [values[role.key] for role in PATTERNS["1-4"].roles if role.kind is RoleKind.EXTENSION and not role.is_optional]
    assert extensions == ["151", "152"]
    assert values["line_id"] == "0001363"
    assert values["external_phone"].startswith("+375 (29) 000-")


def test_a_managers_number_in_the_file_that_is_no_number_is_not_proposed() -> None:
    config = attrs.evolve(FULL, managers=(ManagerConfig(extension="15x", personal_phone="12345"),))
    for key, pattern in PATTERNS.items():
        values = suggestion(pattern, config, seed=1)
        assert check_values(pattern, config, values, "ru").problems == {}, key


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


ENGLISH_CHATS = attrs.evolve(FULL, language="en")


@pytest.mark.parametrize("key", sorted(PATTERNS))
def test_the_preview_ends_with_what_the_pattern_promises(key: str) -> None:
    for config, pace in ((EMPTY, Pace.FAST), (FULL, Pace.REAL), (FULL, Pace.STEP), (ENGLISH_CHATS, Pace.TEN)):
        made = plan(key, config, pace=pace)
        last: dict[int, str] = {}
        for message in made.messages:
            last[message.call] = message.text
        texts = [text for text in last.values() if text]
        assert len(texts) == len(made.finals)
        # Calls end in their order, which need not be the one in which the pattern names them.
        assert all(any(not final.difference(text, made.language) for text in texts) for final in made.finals), texts
        assert all(any(not final.difference(text, made.language) for final in made.finals) for text in texts), texts
        assert [message.at_seconds for message in made.messages] == sorted(message.at_seconds for message in made.messages)


@pytest.mark.parametrize("pace", [Pace.REAL, Pace.TEN, Pace.FAST])
def test_a_final_by_the_gateways_own_clock_comes_so_many_real_seconds_later_at_any_pace(pace: Pace) -> None:
    for key, late in (("2-5", Timing().closing_grace_seconds), ("2-1", 0.0)):
        made = plan(key, pace=pace)
        last = made.messages[-1]
        assert (last.after_index, last.at_seconds) == (len(made.events) - 1, made.seconds)
        assert last.late_seconds == pytest.approx(late, abs=0.1)


@pytest.mark.parametrize("key", sorted(PATTERNS))
@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_event_has_a_line_and_every_number_of_the_diagram_a_column(key: str, language: str) -> None:
    made = plan(key, language=language)
    assert all((said := event.summary(language)) and "\n" not in said for event in made.events)
    assert [event.index for event in made.events] == list(range(len(made.events)))
    numbers = [person.number for person in made.people]
    assert len(numbers) == len(set(numbers))
    assert {number for act in made.acts for number in (act.source, act.target) if number} == set(numbers)
    assert {person.kind for person in made.people} <= {"customer", "line", "extension", "mobile"}
    assert made.seconds == made.events[-1].posted.at_seconds


@pytest.mark.parametrize(("pace", "ahead"), [(Pace.REAL, 0.0), (Pace.TEN, 0.9), (Pace.FAST, 1.0), (Pace.STEP, 1.0)])
def test_a_call_that_is_played_faster_has_begun_earlier(pace: Pace, ahead: float) -> None:
    made = plan("2-1", pace=pace)
    began = datetime.fromtimestamp(int(made.events[0].unique_id.partition(".")[0]), UTC)
    assert began == (NOW - timedelta(seconds=made.seconds * ahead)).replace(microsecond=0)


def test_two_seeds_a_thousand_apart_share_no_id_in_the_same_second() -> None:
    names = ("UniqueId", "BridgeUniqueid", "Channel")
    for key in BUSY:
        first, second = (
            {str(event.posted.body.get(name)) for event in plan(key, seed=seed).events for name in names} - {"", "None"}
            for seed in (5000, 6000)
        )
        assert not first & second, key


def test_the_rule_of_a_line_changes_the_customer_of_an_incoming_call_only() -> None:
    ruled = attrs.evolve(FULL, lines=(LineConfig(line_id="0001363", incoming_transform="+375{9}"),))
    values = {"external_phone": "+380 44 000-12-34"}
    assert "+375 (44) 000-12-34" in plan("2-1", ruled, values=values).finals[0].lines()[0]
    assert "+380 (44) 000-12-34" in plan("1-1", ruled, values=values).finals[0].lines()[0]
    assert "+375 (44) 000-12-34" in plan("2-1", ruled, values=values).messages[-1].text
    broken = attrs.evolve(FULL, lines=(LineConfig(line_id="0001363", incoming_transform="nonsense"),))
    assert "+380 (44) 000-12-34" in plan("2-1", broken, values=values).finals[0].lines()[0]


def test_names_are_those_of_the_chat() -> None:
    made = plan("2-1", values={"internal_phone": "151"})
    assert made.finals[0].right == "Петрова А. И. (151)"
    assert {person.label for person in made.people} >= {"A1 основная", "Петрова А. И. (151)"}
    alone = {"internal_phone": "153", "also_rings_1": "", "also_rings_2": ""}
    assert plan("2-1", values=alone).finals[0].right == "153"


def test_a_language_that_does_not_ship_is_russian() -> None:
    assert plan("2-1", attrs.evolve(FULL, language="de"), language="de").language == "ru"


def test_linkedid_is_sent_when_it_is_asked_for() -> None:
    assert not any("Linkedid" in event.posted.body for event in plan("2-1").events)
    assert any("Linkedid" in event.posted.body for event in plan("2-1", linkedid=True).events)


def test_the_preview_knows_the_faults_of_events() -> None:
    lost = Faults(events=tuple(EventFault(index=index, trouble=EventTrouble.LOSE) for index in range(1, 10)))
    made = plan("2-1", faults=lost)
    assert len(made.messages) == 1
    assert made.events[1].trouble == "lose"
    assert made.events[0].trouble == ""
    doubled = plan("2-1", faults=Faults(events=(EventFault(index=0, trouble=EventTrouble.DOUBLE),)))
    assert doubled.messages == plan("2-1").messages


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

SCRIPT = [Posted(float(second), f"k{number}", {}) for number, second in enumerate((0, 0, 5, 5, 9))]


def fault(index: int, trouble: EventTrouble, seconds: float = 0.0) -> EventFault:
    return EventFault(index=index, trouble=trouble, seconds=seconds)


def order_of(*faults: EventFault) -> list[tuple[int, float]]:
    assert fault_problem(faults, len(SCRIPT), RUSSIAN) == ""
    return [(one.index, one.at_seconds) for one in spoiled(SCRIPT, faults)]


def test_without_faults_the_script_is_as_it_was() -> None:
    assert order_of() == [(0, 0), (1, 0), (2, 5), (3, 5), (4, 9)]


def test_a_loss_keeps_its_place_and_a_double_comes_at_once() -> None:
    assert [one.is_lost for one in spoiled(SCRIPT, [fault(1, EventTrouble.LOSE)])] == [False, True, False, False, False]
    assert order_of(fault(1, EventTrouble.DOUBLE)) == [(0, 0), (1, 0), (1, 0), (2, 5), (3, 5), (4, 9)]
    assert [one.is_repetition for one in spoiled(SCRIPT, [fault(1, EventTrouble.DOUBLE)])][1:3] == [False, True]


def test_a_delay_moves_one_webhook_behind_what_leaves_at_that_moment() -> None:
    assert order_of(fault(0, EventTrouble.DELAY, 5)) == [(1, 0), (2, 5), (3, 5), (0, 5), (4, 9)]
    assert order_of(fault(4, EventTrouble.DELAY, 1)) == [(0, 0), (1, 0), (2, 5), (3, 5), (4, 10)]


def test_a_swap_changes_the_places_and_not_the_times() -> None:
    assert order_of(fault(1, EventTrouble.SWAP)) == [(0, 0), (2, 0), (1, 5), (3, 5), (4, 9)]
    assert order_of(fault(0, EventTrouble.SWAP), fault(2, EventTrouble.SWAP)) == [(1, 0), (0, 0), (3, 5), (2, 5), (4, 9)]
    assert order_of(fault(1, EventTrouble.SWAP), fault(2, EventTrouble.DELAY, 6)) == [(0, 0), (1, 5), (3, 5), (2, 6), (4, 9)]


@pytest.mark.parametrize(
    "faults",
    [
        [fault(5, EventTrouble.LOSE)],
        [fault(-1, EventTrouble.LOSE)],
        [fault(0, EventTrouble.LOSE), fault(0, EventTrouble.DOUBLE)],
        [fault(4, EventTrouble.SWAP)],
        [fault(0, EventTrouble.SWAP), fault(1, EventTrouble.SWAP)],
        [fault(0, EventTrouble.DELAY)],
        [fault(0, EventTrouble.DELAY, LONGEST_DELAY_SECONDS + 0.1)],
        [fault(0, EventTrouble.DELAY, float("nan"))],
        [fault(0, EventTrouble.LOSE, 3.0)],
    ],
)
def test_faults_that_make_no_sense_are_refused(faults: list[EventFault]) -> None:
    assert fault_problem(faults, len(SCRIPT), RUSSIAN) != fault_problem(faults, len(SCRIPT), ENGLISH) != ""


TROUBLES = st.dictionaries(st.integers(0, 4), st.tuples(st.sampled_from(EventTrouble), st.floats(0.01, 60, allow_nan=False)), max_size=5)


@given(TROUBLES)
def test_whatever_befalls_a_script_nothing_is_made_up_and_time_goes_on(troubles: dict[int, tuple[EventTrouble, float]]) -> None:
    faults = [fault(index, kind, late if kind is EventTrouble.DELAY else 0.0) for index, (kind, late) in troubles.items()]
    if fault_problem(faults, len(SCRIPT), RUSSIAN):
        return
    sendings = spoiled(SCRIPT, faults)
    assert {one.index for one in sendings} == set(range(len(SCRIPT)))
    assert [one.at_seconds for one in sendings] == sorted(one.at_seconds for one in sendings)
    assert len(sendings) == len(SCRIPT) + sum(one.trouble is EventTrouble.DOUBLE for one in faults)
    assert all(one.posted is SCRIPT[one.index] for one in sendings)
