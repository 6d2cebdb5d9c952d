"""Answers and what they mean: the table of reactions, row by row, without I/O."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telegram_client import errors
from telegram_client.errors import ChatGone, ChatGoneReason, ChatMoved, RetryAfter, TelegramError, classify


def refusal(code: Any, description: Any, **parameters: Any) -> dict[str, Any]:
    return {"ok": False, "error_code": code, "description": description, **({"parameters": parameters} if parameters else {})}


@pytest.mark.parametrize(
    ("code", "description", "expected"),
    [
        (429, "Too Many Requests: retry after 35", errors.RetryAfter),
        (400, "Bad Request: message is not modified: specified new message content and …", errors.NotModified),
        (400, "Bad Request: message to edit not found", errors.MessageGone),
        (400, "Bad Request: message can't be edited", errors.MessageGone),
        (400, "Bad Request: message to delete not found", errors.MessageGone),
        (400, "Bad Request: message can\u2019t be deleted", errors.MessageGone),
        (400, "Bad Request: MESSAGE_ID_INVALID", errors.MessageGone),
        (400, "Bad Request: message to be replied not found", errors.ReplyGone),
        (400, "Bad Request: reply message not found", errors.ReplyGone),
        (400, 'Bad Request: can\'t parse entities: Unsupported start tag "unknown" at byte offset 5', errors.ParseRejected),
        (400, "Bad Request: chat not found", errors.ChatGone),
        (400, "Bad Request: group chat was upgraded to a supergroup chat", errors.ChatGone),  # without the new id
        (403, "Forbidden: bot was blocked by the user", errors.ChatGone),
        (401, "Unauthorized", errors.BotRejected),
        (404, "Not Found", errors.BotRejected),
        (404, "Not Found: method not found", errors.BadRequest),
        (409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", errors.Conflict),
        (400, "Bad Request: message text is empty", errors.BadRequest),
        (400, "Bad Request: not enough rights to send text messages to the chat", errors.BadRequest),
        (400, "Bad Request: BUTTON_URL_INVALID", errors.BadRequest),
        (413, "Request Entity Too Large", errors.BadRequest),
        (500, "Internal Server Error: restart", errors.ServerTrouble),
        (502, "Bad Gateway", errors.ServerTrouble),
    ],
)
def test_each_refusal_of_the_table_has_its_error(code: int, description: str, expected: type[TelegramError]) -> None:
    error = classify(code, refusal(code, description), method="sendMessage")
    assert type(error) is expected
    assert error.description == description
    assert str(error) == f"sendMessage: {error.kind.value}: {description}"


@pytest.mark.parametrize(
    ("code", "description", "reason"),
    [
        (400, "Bad Request: chat not found", ChatGoneReason.NOT_FOUND),
        (400, "Bad Request: group chat was deactivated", ChatGoneReason.DEACTIVATED),
        (403, "Forbidden: bot was blocked by the user", ChatGoneReason.BLOCKED),
        (403, "Forbidden: user is deactivated", ChatGoneReason.DEACTIVATED),
        (403, "Forbidden: bot was kicked from the supergroup chat", ChatGoneReason.KICKED),
        (403, "Forbidden: bot is not a member of the channel chat", ChatGoneReason.NOT_A_MEMBER),
        (403, "Forbidden: bot can't initiate conversation with a user", ChatGoneReason.CANNOT_INITIATE),
        (403, "Forbidden: the group chat was deleted", ChatGoneReason.DELETED),
        (403, "Forbidden: something new", ChatGoneReason.FORBIDDEN),
    ],
)
def test_a_lost_chat_says_why(code: int, description: str, reason: ChatGoneReason) -> None:
    error = classify(code, refusal(code, description))
    assert isinstance(error, ChatGone)
    assert error.reason is reason


def test_parameters_win_over_code_and_words() -> None:
    moved = classify(400, refusal(400, "Bad Request: chat not found", migrate_to_chat_id=-1002))
    assert isinstance(moved, ChatMoved)
    assert moved.new_chat_id == -1002
    waiting = classify(400, refusal(400, "Bad Request: chat not found", retry_after=7))
    assert isinstance(waiting, RetryAfter)
    assert waiting.seconds == 7


@pytest.mark.parametrize(
    ("given_pause", "description", "seconds"),
    [
        (35, "", 35),
        (2.5, "", 2.5),
        ("12", "", 12),
        (0, "", 1),
        (-3, "", errors.DEFAULT_PAUSE_SECONDS),
        (True, "", errors.DEFAULT_PAUSE_SECONDS),
        (float("nan"), "", errors.DEFAULT_PAUSE_SECONDS),
        (float("inf"), "", errors.LONGEST_PAUSE_SECONDS),
        (10**500, "", errors.LONGEST_PAUSE_SECONDS),
        ("soon", "Too Many Requests: retry after 9", 9),
        (None, "Too Many Requests: retry after 9", 9),
        (None, "Too Many Requests", errors.DEFAULT_PAUSE_SECONDS),
    ],
)
def test_a_pause_is_read_with_care(given_pause: Any, description: str, seconds: float) -> None:
    error = classify(429, refusal(429, description, retry_after=given_pause))
    assert isinstance(error, RetryAfter)
    assert error.seconds == seconds


def test_a_page_of_a_proxy_decides_nothing_about_chat_or_bot() -> None:
    for status in (200, 204, 301, 400, 401, 403, 404, 407, 418):
        error = classify(status, None)
        assert type(error) is errors.BadAnswer
        assert error.retriable
    assert type(classify(502, None)) is errors.ServerTrouble
    too_many = classify(429, None, retry_after="17")
    assert isinstance(too_many, RetryAfter)
    assert too_many.seconds == 17


def test_only_what_may_have_happened_is_ambiguous() -> None:
    assert classify(502, None).ambiguous
    assert classify(500, refusal(500, "Internal Server Error")).ambiguous
    assert classify(200, {"ok": True}).ambiguous
    assert not classify(429, refusal(429, "Too Many Requests", retry_after=1)).ambiguous
    assert not classify(400, refusal(400, "Bad Request: chat not found")).ambiguous


def test_every_kind_has_one_error() -> None:
    kinds = [error.kind for error in TelegramError.__subclasses__()]
    assert sorted(kinds) == sorted(errors.Kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(
    status=st.integers(100, 999),
    code=json_values,
    description=json_values,
    parameters=json_values | st.fixed_dictionaries({}, optional={"retry_after": json_values, "migrate_to_chat_id": json_values}),
)
def test_no_answer_of_any_shape_is_without_an_error(status: int, code: Any, description: Any, parameters: Any) -> None:
    payload = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
    error = classify(status, payload)
    assert isinstance(error, TelegramError)
    assert len(str(error)) < errors.DESCRIPTION_LIMIT + 60
    if isinstance(error, RetryAfter):
        assert 1 <= error.seconds <= errors.LONGEST_PAUSE_SECONDS
