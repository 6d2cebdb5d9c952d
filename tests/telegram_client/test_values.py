"""Reading what came as JSON: whatever its shape, there is a value or one clear error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telegram_client.values import CallbackQuery, IncomingMessage, Message, Undecodable, Update, User, read_message, read_update, read_user

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2))


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with these fields, each right, wrong or missing; or something else altogether."""
    return json_values | st.fixed_dictionaries({}, optional={name.rstrip("_"): value | json_values for name, value in fields.items()})


users = some(id=st.integers(1, 9), is_bot=st.booleans(), username=st.text(max_size=5))
chats = some(id=st.integers(-9, 9), type=st.just("private"))
messages = some(message_id=st.integers(1, 9), chat=chats, text=st.text(max_size=9), date=st.integers(0, 9), from_=users)
buttons = some(id=st.text(max_size=4), data=st.text(max_size=9), message=messages, from_=users)


@given(some(update_id=st.integers(1, 9), message=messages, callback_query=buttons))
def test_an_update_of_any_shape_is_read_or_refused(value: Any) -> None:
    try:
        update = read_update(value)
    except Undecodable:
        return
    assert update.update_id == value["update_id"]


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"id": "5"}, {"id": 5.0}, {"id": True}, {"id": 2**63}])
def test_a_user_without_a_proper_id_is_refused(value: object) -> None:
    with pytest.raises(Undecodable):
        read_user(value)


def test_a_whole_update_is_read() -> None:
    sender: dict[str, Any] = {"id": 7, "is_bot": False, "first_name": "Анна", "username": "anna", "language_code": "ru"}
    chat = {"id": 7, "type": "private"}
    message: dict[str, Any] = {"message_id": 3, "date": 1_767_225_600, "chat": chat, "from": sender, "text": "/start x", "entities": []}
    anna = User(user_id=7, username="anna", first_name="Анна")
    assert read_update({"update_id": 1, "message": message}) == Update(
        update_id=1, message=IncomingMessage(message_id=3, chat_id=7, date=1_767_225_600, text="/start x", from_user=anna)
    )
    query: dict[str, Any] = {"id": "99", "from": sender, "data": "more", "message": {"message_id": 3, "date": 0, "chat": chat}}
    assert read_update({"update_id": 2, "callback_query": query}) == Update(
        update_id=2,
        callback_query=CallbackQuery(query_id="99", from_user=anna, data="more", message=Message(message_id=3, chat_id=7)),
    )
    assert read_message(message) == Message(message_id=3, chat_id=7, date=1_767_225_600)
