import attrs
import pytest

from tester.patterns.pattern import Cast, Ending, Final, Pattern
from tester.patterns.short import SHORT_CALLS
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised, cast_of, script_of


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", SHORT_CALLS.values(), ids=list(SHORT_CALLS))
def test_a_short_call_ends_as_it_promises_and_is_over_soon(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)
    assert script_of(pattern, cast_of(pattern), way).seconds <= 18


@pytest.mark.parametrize("pattern", SHORT_CALLS.values(), ids=list(SHORT_CALLS))
def test_a_call_is_not_played_without_one_who_must_take_part(pattern: Pattern) -> None:
    cast = cast_of(pattern)
    for role in pattern.roles:
        without = attrs.evolve(cast, values={key: number for key, number in cast.values.items() if key != role.key})
        if role.is_optional:
            assert script_of(pattern, without, WAYS[0]).posted
        else:
            with pytest.raises(ValueError, match=f"{pattern.key}: nobody plays {role.key}"):
                script_of(pattern, without, WAYS[0])


def test_a_final_says_how_a_message_differs() -> None:
    final = Final(ending=Ending.INTERNAL_ANSWERED, left="150", right="151", seconds=8, transfers="150 → 151")
    assert final.difference("✅ Завершен (внутр.): 150 ↔ 151, 00:08\n📡 A1\n🔀 150 → 151\n⏰ 12:00") == ""
    assert final.difference("✅ Завершен (внутр.): 150 ↔ 151, 00:09\n🔀 150 → 151") == ""
    assert final.difference("✅ Завершен (внутр.): 150 ↔ 151, 00:08") == "wanted «🔀 150 → 151», there is «no 🔀»"
    assert "00:10" in final.difference("✅ Завершен (внутр.): 150 ↔ 151, 00:10\n🔀 150 → 151")
    assert "there is «»" in final.difference("")


def test_a_final_takes_any_name_where_it_is_not_known_whether_there_is_one() -> None:
    customer = Cast(values={}, customer_name=None).customer("375290001234")
    final = Final(ending=Ending.MISSED, left=customer, right="151", is_from_crm=True)
    for name in ("", " (Орлова Д. С.)"):
        assert final.difference(f"❌ Не отвечен: +375 (29) 000-12-34{name} → 151\n🔗 из CRM") == ""
    assert final.difference("❌ Не отвечен: +375 (29) 000-12-35 → 151\n🔗 из CRM")
    assert final.difference("❌ Не отвечен: +375 (29) 000-12-34 → 151") == "wanted «🔗 из CRM», there is «no 🔗 из CRM»"
    assert final.lines("en")[1] == "🔗 from CRM"
