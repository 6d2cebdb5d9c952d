"""Numbers: internal, unknown, canonical digits, line rules, display."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.phones import LineRule, apply_line_rule, digits, display, is_internal, is_unknown, parse_line_rule


@pytest.mark.parametrize("number", ["150", "0367", "000", "9999"])
def test_three_or_four_digits_are_internal(number: str) -> None:
    assert is_internal(number)


@pytest.mark.parametrize("number", ["", "15", "15000", "+150", "150 ", " 150", "15a", "١٥٠", "１５０", "150\n", "15²", "-150"])
def test_nothing_else_is_internal(number: str) -> None:
    assert not is_internal(number)


@pytest.mark.parametrize(
    ("dirty", "canonical"),
    [
        ("+375 29 000-12-34", "375290001234"),
        ("-375290001234", "375290001234"),
        ("375290001234", "375290001234"),
        ("+375 (29) 000-12-34\u202c", "375290001234"),
        ("<unknown>", ""),
        ("unknown", ""),
        ("Anonymous", ""),
        ("", ""),
        (None, ""),
        ("None", ""),
        ("٣٧٥", ""),
        ("150", "150"),
        ("0001363", "0001363"),
        ("1" * 32, "1" * 32),
        ("1" * 33, ""),
        ("1" * 10_000, ""),
    ],
)
def test_dirty_input_has_canonical_digits(dirty: str | None, canonical: str) -> None:
    assert digits(dirty) == canonical


@pytest.mark.parametrize("number", ["", None, "<unknown>", "Anonymous", "0001363", "+0001363", "+000", "+000123456789", "00000"])
def test_hidden_numbers_and_line_ids_are_unknown(number: str | None) -> None:
    assert is_unknown(number) is (number != "+000")  # three digits are an extension, whatever they are
    assert display(number) == ("000" if number == "+000" else None)


@pytest.mark.parametrize("number", ["375290001234", "150", "0001", "00375290001234", "15"])
def test_other_numbers_are_known(number: str) -> None:
    assert not is_unknown(number)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("375290001234", "+375 (29) 000-12-34"),
        ("+375290001234", "+375 (29) 000-12-34"),
        ("-375290001234", "+375 (29) 000-12-34"),
        ("375 29 000 12 34", "+375 (29) 000-12-34"),
        ("375290001111", "+375 (29) 000-11-11"),
        ("74950001234", "+7 (495) 000-12-34"),
        ("12025550123", "+1 (202) 555-0123"),
        ("380670001234", "+380 (67) 000-12-34"),
        ("442070000000", "+44 (20) 7000 0000"),
        ("37120000000", "+371 (20) 000 000"),
        ("37200001234", "+372 (00001234)"),
        ("375152000123", "+375 (152) 00-01-23"),
        ("77000001234", "+7 (700) 000-12-34"),
        ("150", "150"),
        ("0367", "0367"),
        ("12345", "+12345"),
        ("123456", "+123456"),
        ("15", "+15"),
        ("1", "+1"),
        ("80290001234", "+80290001234"),
        ("0290001234", "+0290001234"),
        ("3880900", "+3880900"),
        ("88001234567", "+88001234567"),
        ("1" * 32, "+" + "1" * 32),
    ],
)
def test_a_number_is_shown_as_the_table_says(number: str, shown: str) -> None:
    assert display(number) == shown


@given(st.text(max_size=40) | st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True))
def test_display_keeps_all_digits_or_says_unknown(number: str) -> None:
    shown = display(number)
    if shown is None:
        assert is_unknown(number)
    else:
        assert digits(shown) == digits(number)


@pytest.mark.parametrize(
    ("rule", "number", "transformed"),
    [
        ("+375{9}", "80290001234", "375290001234"),
        ("+375{9}", "+0290001234", "375290001234"),
        ("+375{9}", "290001234", "375290001234"),
        ("375{9}", "375290001234", "375290001234"),
        ("+375{9}", "90001234", "90001234"),
        ("+375{3}", "151", "151"),
        ("+375{4}", "0151", "0151"),
        ("+375{7}", "0001363", "0001363"),
        ("+375{9}", "<unknown>", ""),
        ("{7}", "80290001234", "0001234"),
        ("", "+375290001234", "375290001234"),
    ],
)
def test_a_line_rule_is_applied_to_outside_numbers_only(rule: str, number: str, transformed: str) -> None:
    assert apply_line_rule(number, parse_line_rule(rule)) == transformed


@given(
    st.builds(LineRule, st.from_regex(r"[0-9]{0,6}", fullmatch=True), st.integers(1, 15)),
    st.from_regex(r"\+?[0-9]{0,20}", fullmatch=True),
)
def test_a_line_rule_applied_twice_is_applied_once(rule: LineRule, number: str) -> None:
    once = apply_line_rule(number, rule)
    assert apply_line_rule(once, rule) == once


def test_a_line_rule_is_read() -> None:
    assert parse_line_rule("+375{9}") == LineRule("375", 9)
    assert parse_line_rule(" {7} ") == LineRule("", 7)
    assert parse_line_rule("  ") is None


@pytest.mark.parametrize(
    "rule", ["+375", "{}", "+{9}", "+375{0}", "+375{16}", "+375{9", "375{9}1", "a{9}", "+375{-1}", "+375{٩}", "1" * 16 + "{9}"]
)
def test_a_line_rule_that_makes_no_sense_is_refused_by_name(rule: str) -> None:
    with pytest.raises(ValueError, match=r"^line rule '[^\n]+$"):
        parse_line_rule(rule)
