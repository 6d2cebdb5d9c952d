"""How a wanted card reaches a chat."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cards.policy import (
    Delete,
    Edit,
    FinalMode,
    Living,
    Nothing,
    Plan,
    Reason,
    Send,
    Wanted,
    plan,
    plan_when_gone,
    text_hash,
    wanted,
)
from gateway.cards.view import Stage

SENT_AT = datetime(2025, 9, 14, 9, 0, tzinfo=UTC)
NOW = SENT_AT + timedelta(seconds=60)
OLD = SENT_AT + timedelta(seconds=601)
START, DIAL, TALK, FINAL = Stage
AUTO, EDIT, REPLACE, COMMENT = FinalMode


def living(stage: Stage, text: str = "shown", message_id: int | None = 7) -> Living:
    return Living(message_id=message_id, stage=stage, text_hash=text_hash(text, stage), sent_at=SENT_AT)


def card(stage: Stage, *, answered: bool = False, text: str = "wanted") -> Wanted:
    return wanted(text, stage, answered=answered)


SILENT_EDIT = Edit(message_id=7, urgent=False)
URGENT_EDIT = Edit(message_id=7, urgent=True)
RINGING_FINAL = Send(urgent=True)

FINALS: dict[tuple[FinalMode, bool, datetime], Plan] = {
    (AUTO, True, NOW): URGENT_EDIT,
    (AUTO, True, OLD): URGENT_EDIT,
    (AUTO, False, NOW): Send(urgent=True, then_delete=7),
    (AUTO, False, OLD): Send(urgent=True, then_delete=7),
    (EDIT, True, NOW): URGENT_EDIT,
    (EDIT, True, OLD): URGENT_EDIT,
    (EDIT, False, NOW): URGENT_EDIT,
    (EDIT, False, OLD): URGENT_EDIT,
    (REPLACE, True, NOW): Send(urgent=True, then_delete=7),
    (REPLACE, True, OLD): Send(urgent=True, then_delete=7),
    (REPLACE, False, NOW): Send(urgent=True, then_delete=7),
    (REPLACE, False, OLD): Send(urgent=True, then_delete=7),
    (COMMENT, True, NOW): Send(urgent=True, reply_to=7),
    (COMMENT, True, OLD): RINGING_FINAL,
    (COMMENT, False, NOW): Send(urgent=True, reply_to=7),
    (COMMENT, False, OLD): RINGING_FINAL,
}


def expected(shown: Stage | None, want: Stage, *, final: FinalMode, answered: bool, now: datetime) -> Plan:
    """The table of the contract, written down a second time."""
    if shown is None:
        return Send(urgent=want is FINAL)
    if want < shown:
        return Nothing(Reason.STAGE_WENT_BACK)
    if want is not FINAL:
        return SILENT_EDIT
    if shown is FINAL:
        return URGENT_EDIT
    return FINALS[final, answered, now]


@pytest.mark.parametrize("now", [NOW, OLD])
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("final", FinalMode)
@pytest.mark.parametrize("want", Stage)
@pytest.mark.parametrize("shown", [None, *Stage])
def test_every_pair_of_stages_has_the_plan_of_the_contract(
    shown: Stage | None, want: Stage, final: FinalMode, answered: bool, now: datetime
) -> None:
    had = None if shown is None else living(shown)
    assert plan(had, card(want, answered=answered), final=final, now=now) == expected(shown, want, final=final, answered=answered, now=now)


@pytest.mark.parametrize("final", FinalMode)
@pytest.mark.parametrize("stage", Stage)
def test_the_same_card_costs_nothing(stage: Stage, final: FinalMode) -> None:
    assert plan(living(stage, "text"), card(stage, text="text"), final=final, now=NOW) == Nothing(Reason.SAME)
    gone = living(stage, "text", message_id=None)
    assert plan(gone, card(stage, text="text"), final=final, now=NOW) == Nothing(Reason.SAME)


@pytest.mark.parametrize("final", FinalMode)
def test_a_card_whose_message_is_gone_is_sent_anew_and_never_goes_back(final: FinalMode) -> None:
    gone = living(DIAL, message_id=None)
    assert plan(gone, card(START), final=final, now=NOW) == Nothing(Reason.STAGE_WENT_BACK)
    assert plan(gone, card(TALK), final=final, now=NOW) == Send(urgent=False)
    assert plan(gone, card(FINAL, answered=True), final=final, now=NOW) == RINGING_FINAL


@pytest.mark.parametrize("final", FinalMode)
def test_a_retracted_card_is_deleted_where_it_is(final: FinalMode) -> None:
    assert plan(None, None, final=final, now=NOW) == Nothing(Reason.NOTHING_SHOWN)
    assert plan(living(TALK, message_id=None), None, final=final, now=NOW) == Nothing(Reason.NOTHING_SHOWN)
    assert plan(living(TALK), None, final=final, now=NOW) == Delete(7)


@pytest.mark.parametrize(("age_seconds", "reply_to"), [(0, 7), (600, 7), (600.001, None), (-5, 7)])
def test_a_comment_answers_a_message_of_at_most_ten_minutes(age_seconds: float, reply_to: int | None) -> None:
    now = SENT_AT + timedelta(seconds=age_seconds)
    assert plan(living(TALK), card(FINAL), final=COMMENT, now=now) == Send(urgent=True, reply_to=reply_to)


def test_what_replaces_a_lost_edit_makes_no_sound() -> None:
    assert plan_when_gone(card(TALK)) == Send(urgent=False, silent=True)
    assert plan_when_gone(card(FINAL)) == Send(urgent=True, silent=True)


def test_text_and_stage_make_the_hash() -> None:
    assert len({text_hash("a", START), text_hash("a", DIAL), text_hash("b", DIAL), text_hash("\ud800", DIAL)}) == 4
    assert text_hash("a", START) == text_hash("a", START)


@attrs.define
class Chat:
    """A chat that carries plans out: the messages in it by id, and what is recorded as shown."""

    messages: dict[int, Wanted] = attrs.field(factory=dict[int, Wanted])
    shown: Living | None = None
    last_id: int = 0
    sends: int = 0

    def carry_out(self, what: Plan, card: Wanted | None, now: datetime) -> None:
        match what:
            case Nothing():
                return
            case Delete(message_id):
                del self.messages[message_id]
                self.shown = None if self.shown is None else attrs.evolve(self.shown, message_id=None)
            case Edit(message_id=message_id):
                assert card is not None
                assert self.shown is not None
                if message_id in self.messages:
                    self.messages[message_id] = card
                    self.shown = attrs.evolve(self.shown, stage=card.stage, text_hash=card.text_hash)
                else:
                    self.carry_out(plan_when_gone(card), card, now)
            case Send(reply_to=reply_to, then_delete=then_delete):
                assert card is not None
                assert reply_to is None or self.shown is None or reply_to == self.shown.message_id
                self.last_id += 1
                self.sends += 1
                self.messages[self.last_id] = card
                if then_delete is not None:
                    self.messages.pop(then_delete, None)
                self.shown = Living(message_id=self.last_id, stage=card.stage, text_hash=card.text_hash, sent_at=now)


cards = st.builds(wanted, st.sampled_from(["a", "b", "c"]), st.sampled_from(Stage), answered=st.booleans())


@given(final=st.sampled_from(FinalMode), steps=st.lists(st.tuples(cards, st.integers(0, 400), st.booleans()), max_size=20))
def test_any_cards_in_any_order_leave_one_living_message_that_never_goes_back(
    final: FinalMode, steps: list[tuple[Wanted, int, bool]]
) -> None:
    chat, now = Chat(), SENT_AT
    highest: Stage | None = None
    for card_wanted, wait_seconds, user_deletes in steps:
        now += timedelta(seconds=wait_seconds)
        if user_deletes and chat.shown is not None:
            chat.messages.pop(chat.shown.message_id or 0, None)
        before = dict(chat.messages)
        chat.carry_out(plan(chat.shown, card_wanted, final=final, now=now), card_wanted, now)
        if highest is not None and card_wanted.stage < highest:
            assert chat.messages == before
        highest = card_wanted.stage if highest is None else max(highest, card_wanted.stage)
        assert chat.shown is not None
        assert chat.shown.stage == highest
        # A comment leaves what it answered to: the only second message there is.
        assert len(chat.messages) <= (2 if final is COMMENT else 1)
        assert sum(shown.stage is FINAL for shown in chat.messages.values()) <= 1
        assert max(chat.messages, default=0) <= (chat.shown.message_id or 0)


@given(final=st.sampled_from(FinalMode), wanted_cards=st.lists(cards, min_size=1, max_size=20))
def test_the_newest_final_is_what_stands_in_the_chat(final: FinalMode, wanted_cards: list[Wanted]) -> None:
    chat = Chat()
    for card_wanted in wanted_cards:
        chat.carry_out(plan(chat.shown, card_wanted, final=final, now=NOW), card_wanted, NOW)
    finals = [card_wanted for card_wanted in wanted_cards if card_wanted.stage is FINAL]
    if finals:
        assert chat.messages[chat.last_id].text_hash == finals[-1].text_hash
    assert chat.sends <= 2
