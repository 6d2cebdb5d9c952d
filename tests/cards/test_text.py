"""The texts of cards, byte for byte."""

import html
import re
import unicodedata
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cards.markup import units
from gateway.cards.names import NO_NAMES, FullName, Names
from gateway.cards.text import duration_text, render
from gateway.cards.view import CallView, Direction, Party, PartyKind, Stage

MINSK = ZoneInfo("Europe/Minsk")
CUSTOMER = "375290001234"
MOBILE = Party(PartyKind.MOBILE, "375290001111")
PETROVA = FullName(last_name="Петрова", first_name="Анна", middle_name="Игоревна")
STARTED = datetime(2025, 9, 14, 9, 5, 23, tzinfo=UTC)


def ext(number: str) -> Party:
    return Party(PartyKind.EXTENSION, number)


def incoming(stage: Stage, *people: Party, **further: object) -> CallView:
    return attrs.evolve(CallView(direction=Direction.INCOMING, stage=stage, outside=CUSTOMER, people=people), **further)


def outgoing(stage: Stage, *people: Party, **further: object) -> CallView:
    return attrs.evolve(CallView(direction=Direction.OUTGOING, stage=stage, outside=CUSTOMER, people=people), **further)


def internal(stage: Stage, caller: Party | None, *people: Party, **further: object) -> CallView:
    return attrs.evolve(CallView(direction=Direction.INTERNAL, stage=stage, caller=caller, people=people), **further)


def russian(view: CallView, names: Names = NO_NAMES) -> str:
    return render(view, names, "ru", MINSK)


FIRST_LINES = [
    (incoming(Stage.START), "📞 Звонок от +375 (29) 000-12-34"),
    (incoming(Stage.START, ext("151")), "📞 Звонок от +375 (29) 000-12-34 → 151"),
    (incoming(Stage.DIAL, ext("150"), ext("151")), "📞 Дозвон от +375 (29) 000-12-34 → 150, 151"),
    (incoming(Stage.DIAL, ext("150"), MOBILE), "📞 Дозвон от +375 (29) 000-12-34 → 150, 📱 +375 (29) 000-11-11"),
    (incoming(Stage.DIAL), "📞 Дозвон от +375 (29) 000-12-34"),
    (incoming(Stage.TALK, ext("151")), "🔗 Разговор: +375 (29) 000-12-34 ↔ 151"),
    (incoming(Stage.TALK, MOBILE), "🔗 Разговор: +375 (29) 000-12-34 ↔ 📱 +375 (29) 000-11-11"),
    (incoming(Stage.TALK), "🔗 Разговор: +375 (29) 000-12-34"),
    (
        incoming(Stage.FINAL, ext("151"), answered=True, duration_seconds=50),
        "✅ Завершен: +375 (29) 000-12-34 ↔ 151, 00:50",
    ),
    (incoming(Stage.FINAL, answered=True, duration_seconds=50), "✅ Завершен: +375 (29) 000-12-34, 00:50"),
    (incoming(Stage.FINAL, ext("151"), answered=True), "✅ Завершен: +375 (29) 000-12-34 ↔ 151"),
    (incoming(Stage.FINAL, ext("151"), answered=True, duration_seconds=-5), "✅ Завершен: +375 (29) 000-12-34 ↔ 151"),
    (
        incoming(Stage.FINAL, MOBILE, answered=True, duration_seconds=5),
        "✅ Завершен: +375 (29) 000-12-34 ↔ 📱 +375 (29) 000-11-11, 00:05",
    ),
    (incoming(Stage.FINAL, ext("150"), ext("151"), duration_seconds=20), "❌ Не отвечен: +375 (29) 000-12-34 → 150, 151"),
    (incoming(Stage.FINAL), "❌ Не отвечен: +375 (29) 000-12-34"),
    (outgoing(Stage.START, ext("151")), "📞 Дозвон от 151 → +375 (29) 000-12-34"),
    (outgoing(Stage.DIAL, ext("151")), "📞 Дозвон от 151 → +375 (29) 000-12-34"),
    (outgoing(Stage.DIAL), "📞 Дозвон: +375 (29) 000-12-34"),
    (outgoing(Stage.TALK, ext("151")), "🔗 Разговор: +375 (29) 000-12-34 ↔ 151"),
    (
        outgoing(Stage.FINAL, ext("151"), answered=True, duration_seconds=3600),
        "✅ Завершен: +375 (29) 000-12-34 ↔ 151, 1:00:00",
    ),
    (outgoing(Stage.FINAL, ext("151"), duration_seconds=9), "❌ Не отвечен: 151 → +375 (29) 000-12-34"),
    (outgoing(Stage.FINAL), "❌ Не отвечен: +375 (29) 000-12-34"),
    (internal(Stage.START, ext("150"), ext("152")), "🛎️ Внутренний звонок\n150 → 152"),
    (internal(Stage.DIAL, ext("150"), ext("152")), "🛎️ Внутренний звонок\n150 → 152"),
    (internal(Stage.DIAL, ext("150")), "🛎️ Внутренний звонок\n150"),
    (internal(Stage.DIAL, None, ext("152")), "🛎️ Внутренний звонок\n152"),
    (internal(Stage.DIAL, None), "🛎️ Внутренний звонок"),
    (internal(Stage.TALK, ext("150"), ext("152")), "🔗 Разговор (внутр.): 150 ↔ 152"),
    (internal(Stage.TALK, None), "🔗 Разговор (внутр.)"),
    (
        internal(Stage.FINAL, ext("150"), ext("152"), answered=True, duration_seconds=61),
        "✅ Завершен (внутр.): 150 ↔ 152, 01:01",
    ),
    (internal(Stage.FINAL, None, answered=True, duration_seconds=61), "✅ Завершен (внутр.), 01:01"),
    (internal(Stage.FINAL, ext("150"), ext("152")), "❌ Не отвечен (внутр.): 150 → 152"),
    (internal(Stage.FINAL, ext("150")), "❌ Не отвечен (внутр.): 150"),
]


@pytest.mark.parametrize(("view", "text"), FIRST_LINES)
def test_a_card_says_its_stage_as_the_contract_has_it(view: CallView, text: str) -> None:
    assert russian(view) == text


def test_the_bell_and_the_warning_carry_their_variation_selector() -> None:
    assert russian(internal(Stage.START, None)).startswith("\U0001f6ce\ufe0f ")
    assert russian(incoming(Stage.FINAL, ended_by_silence=True)).endswith("\n\u26a0\ufe0f завершение не получено")


@pytest.mark.parametrize("number", ["", "<unknown>", "Anonymous", "0001363", "000123456789"])
def test_a_withheld_number_is_said_in_words(number: str) -> None:
    view = incoming(Stage.START, outside=number)
    assert russian(view) == "📞 Звонок от Номер не определен"
    assert render(view, NO_NAMES, "en", MINSK) == "📞 Call from Number withheld"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00"), (59, "00:59"), (60, "01:00"), (3599, "59:59"), (3600, "1:00:00"), (5400, "1:30:00"), (36_061, "10:01:01")],
)
def test_a_duration_counts_hours_only_when_there_are_any(seconds: int, shown: str) -> None:
    assert duration_text(seconds) == shown


def test_names_stand_with_their_numbers() -> None:
    names = Names(customer="ООО «Ромашка»", managers={"151": PETROVA}, line="A1 основная", line_operator="A1")
    view = incoming(
        Stage.FINAL,
        ext("151"),
        answered=True,
        duration_seconds=225,
        line="0001363",
        transfers=(ext("150"), ext("151")),
        started_at=STARTED,
    )
    assert russian(view, names) == (
        "✅ Завершен: +375 (29) 000-12-34 (ООО «Ромашка») ↔ Петрова А. И. (151), 03:45\n"
        "📡 A1 основная\n"
        "🔀 150 → Петрова А. И. (151)\n"
        "⏰ 12:05"
    )


def test_further_lines_have_their_order() -> None:
    view = incoming(
        Stage.FINAL,
        ext("152"),
        answered=True,
        duration_seconds=1,
        line="0001363",
        transfers=(ext("151"), MOBILE, ext("152")),
        started_at=STARTED,
        recording_url="https://example.org/recordings/file/0?a=1&b=2",
        from_crm=True,
        recovered=True,
        ended_by_silence=True,
    )
    assert russian(view).split("\n")[1:] == [
        "📡 0001363",
        "🔀 151 → 📱 +375 (29) 000-11-11 → 152",
        "⏰ 12:05",
        '🔉 <a href="https://example.org/recordings/file/0?a=1&amp;b=2">Запись разговора</a>',
        "🔗 из CRM",
        "🔄 восстановлено",
        "⚠️ завершение не получено",
    ]


def test_the_time_of_start_stands_on_finals_only() -> None:
    assert russian(incoming(Stage.TALK, ext("151"), started_at=STARTED)) == "🔗 Разговор: +375 (29) 000-12-34 ↔ 151"


@pytest.mark.parametrize("started_at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("zone", [ZoneInfo("Pacific/Auckland"), ZoneInfo("America/Los_Angeles")])
def test_a_time_out_of_the_calendar_never_raises(started_at: datetime, zone: ZoneInfo) -> None:
    render(incoming(Stage.FINAL, started_at=started_at), NO_NAMES, "ru", zone)


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "recordings/1", "https://example.org/" + "a" * 5000])
def test_what_is_no_address_makes_no_link(address: str) -> None:
    assert "\n" not in russian(incoming(Stage.FINAL, recording_url=address))


def test_an_address_cannot_break_out_of_its_attribute() -> None:
    text = russian(incoming(Stage.FINAL, recording_url='https://example.org/"><b>'))
    assert '<a href="https://example.org/&quot;&gt;&lt;b&gt;">' in text


def test_one_name_in_a_transfer_chain_is_no_transfer() -> None:
    assert russian(incoming(Stage.TALK, ext("151"), transfers=(ext("151"),))) == "🔗 Разговор: +375 (29) 000-12-34 ↔ 151"


@pytest.mark.parametrize(
    "placeholder", [None, "", "  ", "Доб.151", "Неизвестный", "\u200b\u202e", "\x00", "375290001234", "+375 29 000-12-34"]
)
def test_a_placeholder_is_no_name_of_a_customer(placeholder: str | None) -> None:
    assert russian(incoming(Stage.START), Names(customer=placeholder)) == "📞 Звонок от +375 (29) 000-12-34"


def test_a_customer_may_be_called_by_digits() -> None:
    assert russian(incoming(Stage.START), Names(customer="911")) == "📞 Звонок от +375 (29) 000-12-34 (911)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (PETROVA, "Петрова А. И. (151)"),
        (FullName(last_name="Петрова", first_name="Анна"), "Петрова А. (151)"),
        (FullName(last_name="Петрова"), "Петрова (151)"),
        (FullName(last_name="Петрова", middle_name="Игоревна"), "Петрова (151)"),
        (FullName(first_name="Анна", middle_name="Игоревна"), "Анна Игоревна (151)"),
        (FullName(first_name="Анна"), "Анна (151)"),
        (FullName(), "151"),
        (FullName(last_name="Доб.151"), "151"),
        (FullName(last_name="<b>&", first_name="&lt;"), "&lt;b&gt;&amp; &amp;. (151)"),
    ],
)
def test_a_manager_is_named_in_short(name: FullName, shown: str) -> None:
    assert russian(incoming(Stage.DIAL, ext("151")), Names(managers={"151": name})) == f"📞 Дозвон от +375 (29) 000-12-34 → {shown}"


def test_a_mobile_is_never_named() -> None:
    assert russian(incoming(Stage.TALK, MOBILE), Names(managers={MOBILE.number: PETROVA})).endswith("↔ 📱 +375 (29) 000-11-11")


def test_a_line_without_a_name_is_its_id_and_no_line_is_no_line() -> None:
    assert russian(incoming(Stage.START, line="0001363")).endswith("\n📡 0001363")
    assert "📡" not in russian(incoming(Stage.START), Names(line="A1"))


def test_a_value_cannot_make_markup_or_lines() -> None:
    names = Names(customer="<b>Ivan</b> & \u202eSons\nline\r\n\x00\ud800", line="</a><script>\ufeff")
    text = russian(incoming(Stage.START, ext("<unknown>"), line="<&>"), names)
    assert text == (
        "📞 Звонок от +375 (29) 000-12-34 (&lt;b&gt;Ivan&lt;/b&gt; &amp; Sons line) → &lt;unknown&gt;\n📡 &lt;/a&gt;&lt;script&gt;"
    )


def test_joined_emoji_stay_whole() -> None:
    assert "(👩‍💻 Анна)" in russian(incoming(Stage.START), Names(customer="👩‍💻 Анна"))


def test_an_absurd_name_is_shortened() -> None:
    text = russian(incoming(Stage.START, ext("151")), Names(customer="Ы" * 10_000))
    assert text == f"📞 Звонок от +375 (29) 000-12-34 ({'Ы' * 95}…) → 151"


def test_two_hundred_extensions_still_fit() -> None:
    people = [ext(str(number)) for number in range(100, 300)]
    assert russian(incoming(Stage.DIAL, *people)).endswith(", 299")
    names = Names(managers={party.number: PETROVA for party in people})
    text = russian(incoming(Stage.DIAL, *people), names)
    shown = text.count("Петрова А. И. (")
    assert text.endswith(f", … (+{200 - shown})")
    assert 40 < shown < 200


def test_an_unknown_language_is_russian() -> None:
    assert render(incoming(Stage.START), NO_NAMES, "xx", MINSK) == russian(incoming(Stage.START))


ENGLISH_LINES = [
    (incoming(Stage.START, ext("151")), "📞 Call from +375 (29) 000-12-34 → 151"),
    (incoming(Stage.DIAL, ext("151")), "📞 Dialling from +375 (29) 000-12-34 → 151"),
    (outgoing(Stage.DIAL, ext("151")), "📞 Dialling from 151 → +375 (29) 000-12-34"),
    (incoming(Stage.TALK, ext("151")), "🔗 Talking: +375 (29) 000-12-34 ↔ 151"),
    (incoming(Stage.FINAL, ext("151"), answered=True, duration_seconds=9), "✅ Ended: +375 (29) 000-12-34 ↔ 151, 00:09"),
    (incoming(Stage.FINAL, ext("151")), "❌ Not answered: +375 (29) 000-12-34 → 151"),
    (internal(Stage.DIAL, ext("150"), ext("151")), "🛎️ Internal call\n150 → 151"),
    (internal(Stage.TALK, ext("150"), ext("151")), "🔗 Talking (internal): 150 ↔ 151"),
]


@pytest.mark.parametrize(("view", "text"), ENGLISH_LINES)
def test_english_has_the_same_structure(view: CallView, text: str) -> None:
    assert render(view, NO_NAMES, "en", MINSK) == text


def visible(text: str) -> str:
    """What Telegram counts: tags away, entities read."""
    return html.unescape(re.sub(r'<a href="[^"<>]*">|</a>', "", text))


any_text = st.text(max_size=60) | st.sampled_from(["&" * 10_000, "<" * 300, "😀" * 10_000, "\ud800" * 50, "\u202eabc", "Доб.1", "\n" * 99])
parties = st.builds(Party, st.sampled_from(PartyKind), st.from_regex(r"[0-9]{0,12}", fullmatch=True) | any_text)
views = st.builds(
    CallView,
    direction=st.sampled_from(Direction),
    stage=st.sampled_from(Stage),
    outside=st.sampled_from(["", CUSTOMER, "0001363"]) | any_text,
    caller=st.none() | parties,
    people=st.lists(parties, max_size=4).map(tuple) | parties.map(lambda party: (party,) * 99),
    line=any_text,
    transfers=st.lists(parties, max_size=4).map(tuple) | parties.map(lambda party: (party,) * 99),
    answered=st.booleans(),
    duration_seconds=st.none() | st.integers(-10, 10**7),
    started_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    from_crm=st.booleans(),
    recovered=st.booleans(),
    ended_by_silence=st.booleans(),
    recording_url=any_text | any_text.map("https://example.org/{}".format),
)
full_names = st.builds(FullName, last_name=any_text, first_name=any_text, middle_name=any_text)


@given(view=views, customer=st.none() | any_text, line=st.none() | any_text, manager=full_names, language=st.sampled_from(["ru", "en", ""]))
def test_any_card_is_a_message_telegram_takes(
    view: CallView, customer: str | None, line: str | None, manager: FullName, language: str
) -> None:
    everyone = [*view.people, *view.transfers, *([view.caller] if view.caller else [])]
    names = Names(customer=customer, line=line, managers={party.number: manager for party in everyone})
    text = render(view, names, language, MINSK)
    assert text.strip()
    assert units(text) <= 4096
    text.encode("utf-8")
    shown = visible(text)
    bare = re.sub(r'<a href="[^"<>]*">|</a>|&(?:amp|lt|gt|quot|#x27);', "", text)
    assert not set(bare) & set("<>&")
    assert not [character for character in shown if unicodedata.category(character) in ("Cc", "Cs") and character != "\n"]
    assert shown.count("\n") <= 8
