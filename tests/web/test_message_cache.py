"""The message cache: what it keeps, and that it really forgets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.web import message_cache
from gateway.web.message_cache import FORGET_SECONDS, MessageCache, MessageKind
from tests.web.inside import Inside, open_inside

START, DIAL, BRIDGE = MessageKind.START, MessageKind.DIAL, MessageKind.BRIDGE
MESSAGE = {"phone": "375290001101", "chat_id": -1001, "event_type": "start", "message_id": 7}


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_dials_gather_and_the_others_replace() -> None:
    cache = MessageCache(clock=Time())
    for kind, message_id in ((START, 1), (DIAL, 2), (DIAL, 3), (DIAL, 3), (START, 4), (BRIDGE, 5)):
        cache.note("a", kind, message_id)
    assert cache.messages("a") == {DIAL: (2, 3), START: (4,), BRIDGE: (5,)}


def test_each_message_is_forgotten_after_an_hour() -> None:
    clock = Time()
    cache = MessageCache(clock=clock)
    cache.note("a", START, 1)
    clock.now += 60
    cache.note("a", DIAL, 2)
    clock.now += FORGET_SECONDS - 60
    assert cache.messages("a") == {DIAL: (2,)}
    clock.now += 60
    assert cache.messages("a") == {}
    assert cache.take("a", [DIAL]) == {}


def test_what_is_forgotten_takes_no_memory() -> None:
    clock = Time()
    cache = MessageCache(clock=clock)
    for number in range(100):
        cache.note(str(number), START, 1)
    clock.now += FORGET_SECONDS
    cache.note("new", START, 1)
    assert len(cache) == 1


def test_keys_and_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_cache, "MAX_KEYS", 3)
    monkeypatch.setattr(message_cache, "MAX_MESSAGES_OF_KEY", 2)
    cache = MessageCache(clock=Time())
    for number in range(5):
        cache.note(str(number), START, 1)
        cache.note("4", DIAL, number)
    assert len(cache) == 3
    assert cache.messages("0") == {}
    assert cache.messages("4") == {START: (1,), DIAL: (4,)}


def test_what_is_taken_is_gone_and_the_rest_stays() -> None:
    cache = MessageCache(clock=Time())
    cache.note("a", START, 1)
    cache.note("a", DIAL, 2)
    assert cache.take("a", [DIAL, BRIDGE]) == {DIAL: (2,)}
    assert cache.messages("a") == {START: (1,)}
    assert cache.take("a", list(MessageKind)) == {START: (1,)}
    assert len(cache) == 0


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


async def test_messages_are_noted_shown_and_taken(inside: Inside) -> None:
    key, path = "375290001101:-1001", "/telegram/messages/375290001101/-1001"
    response = await inside.ask("POST", "/telegram/message", MESSAGE)
    assert response.json == {"status": "ok", "cache_key": key, "event_type": "start", "message_id": 7}
    for message_id in (8, 9):
        await inside.ask("POST", "/telegram/message", MESSAGE | {"event_type": "dial", "message_id": message_id, "chat_id": "-1001"})
    assert await inside.get(path) == {"cache_key": key, "messages": {"start": 7, "dial": [8, 9]}}
    response = await inside.ask("DELETE", f"{path}?event_types=dial&event_types=bridge")
    assert response.json == {"status": "deleted", "cache_key": key, "deleted_types": ["dial"], "deleted_messages": {"dial": [8, 9]}}
    response = await inside.ask("DELETE", path)
    assert response.json == {"status": "deleted_all", "cache_key": key, "deleted_types": ["start"], "deleted_messages": {"start": [7]}}
    for method in ("GET", "DELETE"):
        response = await inside.ask(method, path)
        assert (response.status, response.json) == (404, {"error": "No messages found", "cache_key": key})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {},
        MESSAGE | {"phone": ""},
        MESSAGE | {"phone": "x" * 40},
        MESSAGE | {"phone": None},
        MESSAGE | {"chat_id": "@name"},
        MESSAGE | {"chat_id": True},
        MESSAGE | {"event_type": "hangup"},
        MESSAGE | {"event_type": ["start"]},
        MESSAGE | {"message_id": "7"},
        MESSAGE | {"message_id": 0},
        MESSAGE | {"message_id": 1.5},
        MESSAGE | {"message_id": True},
        MESSAGE | {"message_id": 10**30},
    ],
)
async def test_what_is_no_message_is_refused(inside: Inside, body: Any) -> None:
    response = await inside.ask("POST", "/telegram/message", body)
    assert (response.status, list(response.json)) == (422, ["detail"])
