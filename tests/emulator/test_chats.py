"""What chats show of a run's calls, whatever comes first, and what is wrong with it. Pure."""

import itertools
from datetime import UTC, datetime

import attrs
import pytest

from gateway.calls.report import ReportKind
from gateway.cards.policy import FinalMode
from gateway.cards.view import Stage
from gateway.ports import Attempt, EnterpriseConfig, EventOutcome, PushKey, PushState, Shown, Step
from tester.emulator.chats import Change, Chats, MessageChange
from tester.emulator.orders import Judgement
from tester.emulator.verdict import differences, verdict, why_unseen
from tester.patterns.pattern import Ending, Final

NOW = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
NUMBER, CHAT = "0367", 1001
ONE = Final(ending=Ending.ANSWERED, left="A", right="151", seconds=10)
ANY = Final(ending=Ending.ANSWERED, left="A", right="151")
MISSED = Final(ending=Ending.MISSED, left="A", right="151")


def shown(
    text: str, *, call: int = 7, message: int | None = 1, stage: Stage = Stage.DIAL, old: int | None = None, chat: int = CHAT
) -> Shown:
    return Shown(
        enterprise_number=NUMBER,
        call_id=call,
        bot_token="1:x",
        chat_id=CHAT,
        message_id=message,
        stage=stage,
        text=text,
        text_hash=text.encode(),
        event_id=1,
        sent_at=NOW,
        updated_at=NOW,
        superseded_message_id=old,
    )


def step(*outcomes: tuple[int, int | None], merged: tuple[tuple[int, int], ...] = ()) -> Step:
    made = tuple(EventOutcome(event_id=event, call_id=call) for event, call in outcomes)
    return Step(enterprise_number=NUMBER, outcomes=made, merged=merged)


def attempt(call: int) -> Attempt:
    key = PushKey(NUMBER, call, "retailcrm", ReportKind.DIAL)
    return Attempt(key=key, at=NOW, state=PushState.DONE, next_at=NOW, outcome="done")


def told(*items: MessageChange | Attempt) -> list[tuple[int, Change, str]]:
    return [(item.message_id, item.change, item.text) for item in items if isinstance(item, MessageChange)]


def ours(mode: FinalMode = FinalMode.AUTO) -> Chats:
    """Chats of a run whose call 7 is known."""
    chats = Chats(mode)
    list(chats.own(7))
    list(chats.understood(step((7, 7))))
    return chats


@pytest.mark.parametrize("order", list(itertools.permutations(["answer", "step", "message", "crm"])))
def test_whatever_comes_first_nothing_is_lost(order: tuple[str, ...]) -> None:
    chats = Chats(FinalMode.AUTO)
    say = {
        "answer": lambda: chats.own(7),
        "step": lambda: chats.understood(step((7, 7))),
        "message": lambda: chats.shown(shown("📞 <b>A</b> &amp; B")),
        "crm": lambda: chats.attempted(attempt(7)),
    }
    heard = [item for name in order for item in say[name]()]
    assert told(*heard) == [(1, Change.SENT, "📞 A & B")]
    assert [item for item in heard if isinstance(item, Attempt)] == [attempt(7)]
    assert chats.living(CHAT) == ("📞 A & B",)


def test_calls_of_others_are_not_seen() -> None:
    chats = ours()
    assert list(chats.understood(step((8, 8), (9, None)))) == []
    assert list(chats.shown(shown("x", call=8))) == []
    assert list(chats.attempted(attempt(8))) == []
    assert chats.living(CHAT) == ()


def test_an_edit_is_told_once_and_a_record_of_the_same_not_at_all() -> None:
    chats = ours()
    list(chats.shown(shown("a")))
    assert told(*chats.shown(shown("b"))) == [(1, Change.EDITED, "b")]
    assert told(*chats.shown(attrs.evolve(shown("b"), event_id=9))) == []


def test_a_final_that_replaces_leaves_one_message() -> None:
    chats = ours()
    list(chats.shown(shown("a")))
    assert told(*chats.shown(shown("end", message=2, stage=Stage.FINAL, old=1))) == [(2, Change.SENT, "end")]
    assert chats.doomed(CHAT) == 1
    assert told(*chats.shown(shown("end", message=2, stage=Stage.FINAL))) == [(1, Change.DELETED, "")]
    assert chats.doomed(CHAT) == 0
    assert chats.living(CHAT) == ("end",)


def test_a_comment_leaves_what_it_answers() -> None:
    chats = ours(FinalMode.COMMENT)
    list(chats.shown(shown("a")))
    assert told(*chats.shown(shown("end", message=2, stage=Stage.FINAL))) == [(2, Change.SENT, "end")]
    assert told(*chats.shown(shown("end, corrected", message=2, stage=Stage.FINAL))) == [(2, Change.EDITED, "end, corrected")]


def test_a_message_that_somebody_deleted_and_was_sent_anew_is_gone() -> None:
    chats = ours()
    list(chats.shown(shown("a")))
    assert told(*chats.shown(shown("b", message=2))) == [(2, Change.SENT, "b"), (1, Change.DELETED, "")]


def test_a_call_that_was_absorbed_loses_its_message_and_its_survivor_is_ours() -> None:
    chats = ours()
    list(chats.shown(shown("a")))
    list(chats.shown(shown("b", call=5, message=2)))
    assert told(*chats.understood(step(merged=((7, 5),)))) == [(2, Change.SENT, "b")]
    assert told(*chats.shown(shown("a", message=None))) == [(1, Change.DELETED, "")]
    assert chats.living(CHAT) == ("b",)


def test_a_merger_before_the_answer_is_remembered() -> None:
    chats = Chats(FinalMode.AUTO)
    list(chats.understood(step((7, 7), (8, 8), merged=((7, 8), (8, 9)))))
    list(chats.shown(shown("b", call=9)))
    assert told(*chats.own(7)) == [(1, Change.SENT, "b")]
    assert told(*chats.shown(shown("c", call=9))) == [(1, Change.EDITED, "c")]


def test_what_is_nobodys_is_not_kept_for_ever() -> None:
    chats = Chats(FinalMode.AUTO)
    for event in range(20_500):
        list(chats.understood(step((event, event))))
        list(chats.shown(shown("x", call=event)))
    for _ in range(200):
        list(chats.shown(shown("y", call=20_499)))
    held = vars(chats)
    assert len(held["_call_of"]) == 20_000
    assert len(held["_others"]) == 1_000
    assert max(len(call.items) for call in held["_others"].values()) == 50


def test_markup_that_telegram_would_refuse_is_shown_as_it_is() -> None:
    assert told(*ours().shown(shown("<b>a"))) == [(1, Change.SENT, "<b>a")]


# ── differences ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def showing(*texts: str) -> Chats:
    chats = Chats(FinalMode.AUTO)
    for call, text in enumerate(texts, start=1):
        list(chats.own(call))
        list(chats.understood(step((call, call))))
        list(chats.shown(shown(text, call=call, message=call)))
    return chats


def found(chats: Chats, *finals: Final, owed: tuple[int, ...] = (CHAT,), language: str = "ru") -> tuple[str, ...]:
    return differences(chats, owed, finals, chat_language="ru", language=language)


def test_a_chat_with_exactly_its_finals_is_as_it_must_be() -> None:
    assert found(showing("✅ Завершен: A ↔ 151, 00:10\n📡 линия"), ONE) == ()
    assert found(showing("❌ Не отвечен: A → 151", "✅ Завершен: A ↔ 151, 00:11"), ONE, MISSED) == ()
    assert found(showing(), owed=()) == ()


def test_a_length_that_nobody_knows_takes_no_text_from_one_that_is_known() -> None:
    for texts in itertools.permutations(["✅ Завершен: A ↔ 151, 00:10", "✅ Завершен: A ↔ 151, 03:00"]):
        for finals in itertools.permutations([ANY, ONE]):
            assert found(showing(*texts), *finals) == ()


def test_what_is_wrong_is_told_with_both_texts_in_the_language_asked_for() -> None:
    chats = showing("✅ Завершен: A ↔ 151, 03:00\n📡 линия\n🔀 151 → 152")
    assert found(chats, ONE) == ("чат 1001: должно быть «✅ Завершен: A ↔ 151, 00:10», а там «✅ Завершен: A ↔ 151, 03:00 / 🔀 151 → 152»",)
    assert found(chats, ONE, language="en")[0].startswith("chat 1001: wanted “")


def test_what_is_missing_and_what_is_too_much_is_told() -> None:
    assert found(showing(), ONE) == ("чат 1001: нет сообщения «✅ Завершен: A ↔ 151, 00:10»",)
    assert found(showing("✅ Завершен: A ↔ 151, 00:10", "❌ Не отвечен: B"), ONE) == ("чат 1001: лишнее сообщение «❌ Не отвечен: B»",)
    assert len(found(showing("✅ Завершен: A ↔ 151, 00:10"), ONE, owed=(CHAT, 5))) == 1


def test_a_message_that_ought_to_be_deleted_is_told() -> None:
    chats = ours()
    list(chats.shown(shown("✅ Завершен: A ↔ 151, 00:10", message=2, stage=Stage.FINAL, old=1)))
    assert found(chats, ONE) == ("чат 1001: прежнее сообщение не удалено",)


def test_verdicts() -> None:
    assert verdict(refused=(), unseen="", differences=()).judgement is Judgement.EXPECTED
    assert verdict(refused=(), unseen="", differences=("d",)).judgement is Judgement.DIFFERENT
    unseen = verdict(refused=(), unseen="why", differences=("d",))
    assert (unseen.judgement, unseen.differences) == (Judgement.UNSEEN, ("why",))
    refused = verdict(refused=("r",), unseen="why", differences=("d",))
    assert (refused.judgement, refused.differences) == (Judgement.DIFFERENT, ("r", "why"))
    assert verdict(refused=("r",), unseen="", differences=()).differences == ("r",)


def test_why_nothing_can_be_seen() -> None:
    full = EnterpriseConfig(number=NUMBER, token="1", bot_token="1:x", subscribers=(1, 2))
    assert why_unseen(full, is_local=True, blocked=(1,), language="en") == ""
    for config, is_local, blocked in [
        (full, False, ()),
        (attrs.evolve(full, bot_token=""), True, ()),
        (attrs.evolve(full, subscribers=()), True, ()),
        (full, True, (1, 2)),
    ]:
        assert why_unseen(config, is_local=is_local, blocked=blocked, language="ru")
