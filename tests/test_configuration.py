"""The configuration file: strict, all errors at once, no secrets in them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration import load_configuration, parse_configuration
from gateway.errors import ConfigurationError
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig

EXAMPLE = """
[[enterprise]]
number = "0367"
name = "june"
token = "375293332255"          # what the hosts send; column name2
bot_token = "123456:TEST"
timezone = "Europe/Minsk"       # hosts and most CRMs send naive local time
[enterprise.telegram]
final = "auto"                  # auto | edit | replace | comment, see 5
[enterprise.integrations.retailcrm]
enabled = true
domain = "https://store.example"
api_key = "…"
user_extensions = { "19" = "150" }
[enterprise.integrations.smart]
primary = "retailcrm"
[[enterprise.line]]
id = "0001363"
name = "A1 основная"
operator = "A1"
incoming_transform = "+375{9}"  # keep the last 9 digits, put +375 before them
[[enterprise.manager]]
extension = "151"
last_name = "Петрова"
first_name = "Анна"
middle_name = "Игоревна"
personal_phone = "375290000151"
[[enterprise.subscriber]]
chat_id = 1001
"""
LEAST = '[[enterprise]]\nnumber = "0367"\ntoken = "name2"\n'


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "enterprises.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def errors_of(tmp_path: Path, text: str | bytes) -> list[str]:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        load_configuration(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_the_example_of_the_contract_is_read(tmp_path: Path) -> None:
    assert load_configuration(written(tmp_path, EXAMPLE)) == (
        EnterpriseConfig(
            number="0367",
            name="june",
            token="375293332255",
            bot_token="123456:TEST",
            timezone="Europe/Minsk",
            final="auto",
            integrations={
                "retailcrm": {"enabled": True, "domain": "https://store.example", "api_key": "…", "user_extensions": {"19": "150"}},
                "smart": {"primary": "retailcrm"},
            },
            lines=(LineConfig(line_id="0001363", name="A1 основная", operator="A1", incoming_transform="+375{9}"),),
            managers=(
                ManagerConfig(
                    extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна", personal_phone="375290000151"
                ),
            ),
            subscribers=(1001,),
        ),
    )


def test_the_least_file_has_the_defaults_of_an_enterprise(tmp_path: Path) -> None:
    assert load_configuration(written(tmp_path, LEAST)) == (EnterpriseConfig(number="0367", token="name2"),)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode()
    assert load_configuration(written(tmp_path, text))[0].number == "0367"


def test_everything_that_can_be_said_of_an_enterprise_is_kept() -> None:
    more = {"secret": "s3", "language": "en", "active": False, "telegram": {"final": "comment"}, "line": [{"id": "SIP_1"}]}
    (enterprise,) = parse_configuration({"enterprise": [{"number": "0367", "token": "t", **more}]})
    assert (enterprise.secret, enterprise.language, enterprise.active, enterprise.final) == ("s3", "en", False, "comment")
    assert enterprise.lines == (LineConfig(line_id="SIP_1"),)


def test_a_personal_phone_is_kept_as_digits() -> None:
    manager = {"extension": "151", "personal_phone": "+375 (29) 000-01-51"}
    (enterprise,) = parse_configuration({"enterprise": [{"number": "0367", "token": "t", "manager": [manager]}]})
    assert enterprise.managers[0].personal_phone == "375290000151"


HEAD = 'enterprise "0367"'
OWN = "[enterprise.integrations.own]\nenabled = true\n"
GOOD_SECRET = "a-secret-of-the-own-crm-1"
NOT_A_NUMBER = "must be text, not a number (leading zeros would be lost): put it in quotes"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ('nmae = "june"', f'{HEAD}: unknown key "nmae" (is "name" meant?)'),
        ("[enterprise.telegram]\nfinl = 1", f'{HEAD}, table telegram: unknown key "finl" (is "final" meant?)'),
        ('[enterprise.telegram]\nfinal = "loud"', f'{HEAD}, table telegram: final: must be auto, edit, replace or comment, not "loud"'),
        ('[enterprise.telegram]\nfinal = ""', f"{HEAD}, table telegram: final: must not be empty"),
        ("telegram = 1", f"{HEAD}: telegram: must be a table, not a number"),
        ('language = "de"', f'{HEAD}: language: must be ru or en, not "de"'),
        ('active = "yes"', f"{HEAD}: active: must be true or false, without quotes, not text"),
        ('timezone = "Europe/Minks"', f'{HEAD}: timezone: must be a time zone as in Europe/Minsk, not "Europe/Minks"'),
        ('timezone = "Europe"', f'{HEAD}: timezone: must be a time zone as in Europe/Minsk, not "Europe"'),
        ('timezone = "../../etc/passwd"', f'{HEAD}: timezone: must be a time zone as in Europe/Minsk, not "../../etc/passwd"'),
        ('timezone = ""', f"{HEAD}: timezone: must not be empty"),
        ("name = true", f"{HEAD}: name: must be text, not true or false"),
        ('name = " june"', f'{HEAD}: name: must have no space around it, not " june"'),
        ('name = "ju\\nne"', f'{HEAD}: name: must have no line breaks or control characters in it, not "ju?ne"'),
        (f'name = "{"x" * 257}"', f'{HEAD}: name: must be at most 256 characters, not "{"x" * 60}…"'),
        ('bot_token = "secretive"', f"{HEAD}: bot_token: must be as BotFather gives it: digits, a colon, letters"),
        ("secret = 77112233", f"{HEAD}: secret: {NOT_A_NUMBER}"),
        (
            "[enterprise.integrations.reatilcrm]\nenabled = true",
            f'{HEAD}, table integrations: unknown key "reatilcrm" (is "retailcrm" meant?)',
        ),
        (
            "[enterprise.integrations.ms]\nenabled = 1",
            f"{HEAD}, table integrations.ms: enabled: must be true or false, without quotes, not a number",
        ),
        (
            '[enterprise.integrations.smart]\nprimary = "amo"',
            f'{HEAD}, table integrations.smart: primary: must be retailcrm, ms, uon, bitrix24 or own, not "amo"',
        ),
        (
            "[enterprise.integrations.uon]\nwebhooks = {day = 2025-01-09}",
            f"{HEAD}, table integrations.uon: webhooks.day: is a date or time, which has no place here: put it in quotes",
        ),
        ("[enterprise.integrations.uon]\nwebhooks = [1.0, nan]", f"{HEAD}, table integrations.uon: webhooks[1]: must be a finite number"),
        ('[enterprise.integrations.uon]\nwebhooks = "\\u0000"', f"{HEAD}, table integrations.uon: webhooks: has a NUL character in it"),
        (
            f'{OWN}secret = "{GOOD_SECRET}"\ncolour = "red"\nurl = "https://crm.example/calls"',
            f'{HEAD}, table integrations.own: unknown key "colour"',
        ),
        (f'{OWN}secret = "{GOOD_SECRET}"', f"{HEAD}, table integrations.own: url: is missing"),
        (f'{OWN}url = "https://crm.example/calls"', f"{HEAD}, table integrations.own: secret: is missing"),
        (
            f'{OWN}secret = "{GOOD_SECRET}"\nurl = "crm.example/calls"',
            f"{HEAD}, table integrations.own: url: must be an address as in https://crm.example/calls",
        ),
        (
            f'{OWN}secret = "{GOOD_SECRET}"\nurl = "https://user:HUSH@crm.example/calls"',
            f"{HEAD}, table integrations.own: url: must have no user and password in it",
        ),
        (
            f'{OWN}url = "https://crm.example/calls"\nsecret = "HUSH"',
            f"{HEAD}, table integrations.own: secret: must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes",
        ),
        (
            '[enterprise.integrations.own]\nenabled = false\nurl = "https://127.1/"',
            f"{HEAD}, table integrations.own: url: must have its address spelled with four decimal numbers",
        ),
        ('[[enterprise.line]]\nname = "A1"', f"{HEAD}, table line 1: id: is missing"),
        (
            "[[enterprise.line]]\nid = 1363",
            f'{HEAD}, table line 1: id: {NOT_A_NUMBER}, as in id = "1363"',
        ),
        ('[[enterprise.line]]\nid = "a b"', f'{HEAD}, table line 1: id: must be letters, digits and _ . + - only, not "a b"'),
        (
            '[[enterprise.line]]\nid = "1"\nincoming_transform = "+375"',
            f'{HEAD}, table line 1: incoming_transform: must be <prefix>{{N}}, as in +375{{9}}, not "+375"',
        ),
        ('[[enterprise.line]]\nid = "1"\n[[enterprise.line]]\nid = "1"', f'{HEAD}: line id "1" is there twice'),
        ('[enterprise.line]\nid = "1"', f"{HEAD}: line: is one table, must be a list of them: [[…]] with two brackets"),
        ("line = [1]", f"{HEAD}: line: must be tables, not a number"),
        ('[[enterprise.manager]]\nextension = "15"', f'{HEAD}, table manager 1: extension: must be 3 or 4 digits, not "15"'),
        (
            '[[enterprise.manager]]\nextension = "151"\npersonal_phone = "none"',
            f'{HEAD}, table manager 1: personal_phone: must be a telephone number, not "none"',
        ),
        (
            '[[enterprise.manager]]\nextension = "151"\n[[enterprise.manager]]\nextension = "151"',
            f'{HEAD}: extension "151" is there twice',
        ),
        (
            '[[enterprise.subscriber]]\nchat_id = "1001"',
            f"{HEAD}, table subscriber 1: chat_id: must be a whole number, without quotes, not text",
        ),
        (
            "[[enterprise.subscriber]]\nchat_id = true",
            f"{HEAD}, table subscriber 1: chat_id: must be a whole number, without quotes, not true or false",
        ),
        ("[[enterprise.subscriber]]\nchat_id = 0", f"{HEAD}, table subscriber 1: chat_id: 0 is no id of a chat"),
        (
            "[[enterprise.subscriber]]\nchat_id = 99999999999999999",
            f"{HEAD}, table subscriber 1: chat_id: 99999999999999999 is no id of a chat",
        ),
        ("[[enterprise.subscriber]]", f"{HEAD}, table subscriber 1: chat_id: is missing"),
        (
            "[[enterprise.subscriber]]\nchat_id = -1001\n[[enterprise.subscriber]]\nchat_id = -1001",
            f"{HEAD}: chat_id -1001 is there twice",
        ),
        ('[[enterprise]]\nnumber = "0367"\ntoken = "other"', 'the file: enterprise number "0367" is there twice'),
        (
            '[[enterprise]]\nnumber = "0368"\ntoken = "name2"',
            'the file: the token of enterprise "0367" and the token of enterprise "0368" are the same',
        ),
        (
            '[[enterprise]]\nnumber = "0368"\ntoken = "t"\nsecret = "name2"',
            'the file: the token of enterprise "0367" and the secret of enterprise "0368" are the same',
        ),
        ('[[enterprise]]\nnumber = "12"\ntoken = "t"', 'enterprise "12": number: must be 3 to 6 digits, not "12"'),
        ('[[enterprise]]\nnumber = "0368"', 'enterprise "0368": token: is missing'),
        ('[[enterprise]]\nnumber = "0368"\ntoken = ""', 'enterprise "0368": token: must not be empty'),
        ('[[enterprise]]\ntoken = "t"', "enterprise 2 of the file: number: is missing"),
        (
            '[[enterprise]]\nnumber = 1367\ntoken = "t"',
            f'enterprise 2 of the file: number: {NOT_A_NUMBER}, as in number = "1367"',
        ),
        ("[enterprises]\nx = 1", 'the file: unknown key "enterprises" (is "enterprise" meant?)'),
    ],
)
def test_what_is_wrong_is_one_line_that_names_table_and_key(tmp_path: Path, more: str, error: str) -> None:
    assert errors_of(tmp_path, f"{LEAST}{more}\n") == [error]


@pytest.mark.parametrize(
    "table",
    [
        {"enabled": True, "url": "https://crm.example/calls?key=1", "secret": GOOD_SECRET},
        # Whether private addresses are allowed is known to the gateway that runs, not to the file.
        {"enabled": True, "url": "http://192.168.0.7:8080/calls", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {"enabled": True, "url": f"https://crm.example/{'a' * 1000}", "secret": GOOD_SECRET},
        {"enabled": False},
        {},
    ],
)
def test_good_and_switched_off_tables_of_the_own_crm_are_kept_as_given(table: dict[str, Any]) -> None:
    (enterprise,) = parse_configuration({"enterprise": [{"number": "0367", "token": "t", "integrations": {"own": table}}]})
    assert enterprise.integrations == {"own": table}


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    text = f'{LEAST}nmae = "x"\nlanguage = "de"\n[[enterprise.line]]\n[[enterprise]]\nnumber = "1"\n'
    assert errors_of(tmp_path, text) == [
        'enterprise "0367": language: must be ru or en, not "de"',
        'enterprise "0367", table line 1: id: is missing',
        'enterprise "0367": unknown key "nmae" (is "name" meant?)',
        'enterprise "1": number: must be 3 to 6 digits, not "1"',
        'enterprise "1": token: is missing',
    ]


def test_chats_lines_and_extensions_may_be_those_of_another_enterprise() -> None:
    shared = {"line": [{"id": "0001363"}], "manager": [{"extension": "151"}], "subscriber": [{"chat_id": 1001}]}
    both = [{"number": "0367", "token": "a", **shared}, {"number": "0368", "token": "b", **shared}]
    assert len(parse_configuration({"enterprise": both})) == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the file: no [[enterprise]] in it"),
        ('[enterprise]\nnumber = "1"', "the file: enterprise: is one table, must be a list of them: [[…]] with two brackets"),
        (b"\xff\xfe", "is not UTF-8 text (byte 0)"),
        ("x = " + "[" * 5000, "not usable: lists or tables are nested too deep"),
    ],
)
def test_a_file_that_is_none_is_told_as_such(tmp_path: Path, text: str | bytes, error: str) -> None:
    assert errors_of(tmp_path, text) == [error]


def test_a_mistake_in_toml_is_told_with_its_line(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, '[[enterprise]]\nnumber = "0367\ntoken = "hush-hush"\n')
    assert error.startswith("not TOML: ")
    assert "line 2" in error
    assert "hush" not in error


def test_a_leading_zero_without_quotes_is_explained(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "[[enterprise]]\nnumber = 0367\n")
    assert "line 2" in error
    assert error.endswith("; a number that begins with 0 must be in quotes")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read"):
        load_configuration(tmp_path / name)


def test_a_number_of_thousands_of_digits_is_an_error_of_the_file(tmp_path: Path) -> None:
    assert errors_of(tmp_path, f"x = {'9' * 5000}")[0].startswith("not TOML: ")


def test_tables_nested_without_end_are_refused(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"{LEAST}[enterprise.integrations.uon]\nwebhooks.{'.'.join('a' * 900)} = 1\n")
    assert error.endswith("is nested too deep")


def test_a_secret_is_never_part_of_an_error(tmp_path: Path) -> None:
    text = """
[[enterprise]]
number = "99887766:HUSH"
name = "99887766:HUSH\\n"
token = "HUSH "
secret = "HU\\nSH"
bot_token = "HUSH"
[[enterprise]]
number = "0368"
token = "HUSH\\t"
bot_token = 99887766
"""
    errors = errors_of(tmp_path, text)
    assert len(errors) == 7
    assert not [error for error in errors if "HUSH" in error or "99887766" in error]


KEYS = st.sampled_from(
    [
        "enterprise",
        "number",
        "token",
        "line",
        "id",
        "manager",
        "extension",
        "subscriber",
        "chat_id",
        "telegram",
        "final",
        "integrations",
        "ms",
    ]
) | st.text(max_size=5)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["0367", "+375{9}", "151", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, anything, max_size=4), st.lists(st.dictionaries(KEYS, anything, max_size=6), max_size=3))
def test_any_document_is_read_or_refused_in_clear_lines(document: dict[str, Any], enterprises: list[dict[str, Any]]) -> None:
    try:
        parse_configuration({**document, "enterprise": enterprises})
    except ConfigurationError as exc:
        for line in str(exc).split("\n"):
            assert line.startswith(("the file: ", "enterprise "))
