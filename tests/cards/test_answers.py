"""What the bot answers."""

import pytest

from gateway.cards.answers import Answer, answer_text

WITH_ENTERPRISE = {Answer.SUBSCRIBED, Answer.ALREADY_SUBSCRIBED, Answer.REVIVED, Answer.STATUS}


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("answer", Answer)
def test_every_answer_is_said_and_names_the_enterprise_where_there_is_one(answer: Answer, language: str) -> None:
    text = answer_text(answer, language, number="0367", name="<june> & co")
    assert "{" not in text
    assert ("&lt;june&gt; &amp; co (0367)" in text) is (answer in WITH_ENTERPRISE)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_no_two_answers_are_the_same_but_status(language: str) -> None:
    texts = [answer_text(answer, language, number="0367") for answer in Answer]
    assert len(set(texts)) == len(texts)


def test_an_enterprise_without_a_name_is_its_number() -> None:
    assert answer_text(Answer.STATUS, "ru", number="0367") == "✅ Вы подписаны на звонки предприятия 0367."
    assert answer_text(Answer.STATUS, "ru", number="0367", name="june") == "✅ Вы подписаны на звонки предприятия june (0367)."


def test_a_name_with_braces_is_only_a_name() -> None:
    assert "{enterprise} (0367)" in answer_text(Answer.STATUS, "en", number="0367", name="{enterprise}")
