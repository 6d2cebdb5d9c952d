"""Updates of bots that come by webhook."""

from typing import Any

import pytest
import trio

HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def taken() -> list[Any]:
    return []


@pytest.fixture
def on_update(taken: list[Any]) -> Any:
    async def take(bot_id: int, secret: str, update: dict[str, Any]) -> bool:
        if (bot_id, secret) != (123456, "right"):
            return False
        taken.append(update)
        return True

    return take


async def test_an_update_reaches_its_bot(open_door: Any, store: Any, on_update: Any, taken: list[Any]) -> None:
    async with open_door(store, on_update=on_update) as door:
        response = await door.post("/telegram/123456", {"update_id": 1}, headers={HEADER: "right"})
    assert (response.status, response.json, taken) == (200, {"status": "ok"}, [{"update_id": 1}])


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/telegram/123456", {}, {"update_id": 1}, 404),
        ("/telegram/123456", {HEADER: "wrong"}, {"update_id": 1}, 404),
        ("/telegram/654321", {HEADER: "right"}, {"update_id": 1}, 404),
        ("/telegram/x", {HEADER: "right"}, {"update_id": 1}, 404),
        ("/telegram/123456", {HEADER: "right"}, b"{", 400),
        ("/telegram/123456", {HEADER: "right"}, b"[]", 422),
        ("/telegram/123456", {HEADER: "right"}, b" " * 70_000, 413),
    ],
)
async def test_what_is_no_update_for_a_bot_of_ours_is_refused(
    open_door: Any, store: Any, on_update: Any, taken: list[Any], *, path: str, headers: dict[str, str], body: object, status: int
) -> None:
    async with open_door(store, on_update=on_update) as door:
        response = await door.post(path, body, headers=headers)
    assert response.status == status
    assert response.json["status"] == "error"
    assert taken == []


async def test_an_update_is_taken_to_its_end_though_the_client_leaves(open_door: Any, store: Any) -> None:
    reached, release, done = trio.Event(), trio.Event(), trio.Event()

    async def slow(bot_id: int, secret: str, update: dict[str, Any]) -> bool:
        reached.set()
        await release.wait()
        done.set()
        return True

    async with open_door(store, on_update=slow) as door:
        async with door.client() as client:
            await client.send(b"POST /telegram/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            await reached.wait()
        # The next request is served after the server has seen the first one leave.
        assert (await door.post("/start", {})).status == 200
        release.set()
        with trio.fail_after(5):
            await done.wait()


async def test_a_handler_that_fails_is_500_in_json(open_door: Any, store: Any, expected_errors: Any) -> None:
    async def broken(bot_id: int, secret: str, update: dict[str, Any]) -> bool:
        raise ZeroDivisionError

    async with open_door(store, on_update=broken) as door:
        response = await door.post("/telegram/1", {})
    assert (response.status, response.json) == (500, {"status": "error", "error": "internal error"})
    expected_errors.claim("a handler failed")
