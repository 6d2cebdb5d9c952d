"""The names of customers as they may be kept and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cards.customers import ENTERPRISE_CHARACTERS, PERSON_CHARACTERS, RAW_CHARACTERS, clean_profile
from gateway.ports import CustomerProfile

PHONE = "375290001234"


def cleaned(name: str) -> str:
    return clean_profile(CustomerProfile(last_name=name), PHONE).name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("Иванов", "Иванов"),
        ("  Иванов \n Пётр\t ", "Иванов Пётр"),
        ("Ива\x00нов\x1b[31m", "Иванов[31m"),
        ("Иванов\r\x1b\rПётр", "Иванов Пётр"),
        ("Иванов\u202eвонавИ\ufeff", "ИвановвонавИ"),
        ("Иванов\ud800", "Иванов"),
        ("<b>Рога</b> & «Копыта»", "<b>Рога</b> & «Копыта»"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("Клиент 1234", "Клиент 1234"),
        ("007", "007"),
        ("Доб.151", ""),
        ("Неизвестный", ""),
        ("НЕИЗВЕСТНО", ""),
        ("<unknown>", ""),
        ("+375 29 000-12-34", ""),
        ("375290001234", ""),
        ("-", ""),
        (" . ", ""),
        ("", ""),
    ],
)
def test_a_name_is_one_clean_line_or_nothing(given_name: str, kept: str) -> None:
    assert cleaned(given_name) == kept


def test_ten_thousand_letters_are_cut_to_the_columns() -> None:
    long = "я" * 10_000
    profile = clean_profile(
        CustomerProfile(last_name=long, first_name=long, middle_name=long, enterprise_name=long, external_id=long), PHONE
    )
    assert [len(part) for part in (profile.last_name, profile.first_name, profile.middle_name)] == [PERSON_CHARACTERS] * 3
    assert len(profile.enterprise_name) == ENTERPRISE_CHARACTERS == 200
    assert len(profile.external_id) == 100


def test_numbers_of_a_customer_are_digits_each_once() -> None:
    profile = clean_profile(CustomerProfile(phones=("+375 29 000-12-34", "375290001234", "", "нет")), PHONE)
    assert profile.phones == ("375290001234",)


def test_a_record_that_is_too_big_or_no_json_is_not_kept() -> None:
    small: dict[str, object] = {"id": 7}
    assert clean_profile(CustomerProfile(raw=small), PHONE).raw == small
    assert clean_profile(CustomerProfile(raw={"a": "x" * RAW_CHARACTERS}), PHONE).raw is None
    assert clean_profile(CustomerProfile(raw={"a": object()}), PHONE).raw is None


@given(st.text(max_size=300))
def test_whatever_a_crm_says_can_be_stored_and_cleaning_twice_is_cleaning_once(name: str) -> None:
    kept = cleaned(name)
    assert len(kept) <= PERSON_CHARACTERS
    assert kept == kept.strip()
    assert "\x00" not in kept
    kept.encode()
    assert cleaned(kept) == kept
