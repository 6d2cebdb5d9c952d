import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.cards.board import Board, Timing
from gateway.cards.names import FullName, Names
from gateway.cards.text import render
from gateway.ports import StoredEvent
from tester.pbx import Host
from tester.scenarios import SCENARIOS, Cast, Final, Scenario

ZONE = ZoneInfo("Europe/Minsk")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CAST = Cast(phone="375290001234", trunk="0001363", extensions=("150", "151", "152"), names={"151": "Петрова А. И."})
NAMES = Names(managers={"151": FullName(last_name="Петрова", first_name="Анна", middle_name="Игоревна")})


def host() -> Host:
    return Host(token="375290000900", started_at=START, zone=ZONE)


def cards_of(scenario: Scenario, *, linkedid: bool = False) -> dict[int, str]:
    """The last text of every card."""
    board = Board(zone=ZONE, line_rules={}, timing=Timing())
    pbx = host()
    pbx.linkedid = linkedid
    texts: dict[int, str] = {}
    for event_id, posted in enumerate(scenario.script(pbx, CAST), start=1):
        event = StoredEvent(
            event_id=event_id,
            enterprise_number="0367",
            kind=posted.kind,
            unique_id=posted.body["UniqueId"],
            raw_body=json.dumps(posted.body),
            received_at=START + timedelta(seconds=posted.at_seconds),
        )
        for card in board.apply(event).cards:
            if card.view is None:
                texts.pop(card.call_id, None)
            else:
                texts[card.call_id] = render(card.view, NAMES, "ru", ZONE)
    return texts


@pytest.mark.parametrize("linkedid", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_a_scenario_comes_to_one_card_that_shows_the_final_it_promises(scenario: Scenario, linkedid: bool) -> None:
    texts = cards_of(scenario, linkedid=linkedid)
    assert len(texts) == 1
    assert scenario.final_of(CAST).difference(*texts.values()) == ""


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_a_scenario_has_a_title_in_both_languages_and_needs_no_more_than_its_cast(scenario: Scenario) -> None:
    assert scenario.title["ru"]
    assert scenario.title["en"]
    small = Cast(phone=CAST.phone, trunk=CAST.trunk, extensions=CAST.extensions[: scenario.extensions_items - 1])
    with pytest.raises(ValueError, match=scenario.key):
        scenario.script(host(), small)


def test_a_final_says_how_a_message_differs() -> None:
    final = Final("✅ Завершен: 150 ↔ 151, 00:08", "🔀 150 → 151")
    assert final.difference("✅ Завершен: 150 ↔ 151, 00:08\n📡 A1\n🔀 150 → 151\n⏰ 12:00") == ""
    assert final.difference("✅ Завершен: 150 ↔ 151, 00:08") == "wanted «🔀 150 → 151», there is «no transfer»"
    assert "00:09" in final.difference("✅ Завершен: 150 ↔ 151, 00:09")
    assert "there is «»" in final.difference("")
