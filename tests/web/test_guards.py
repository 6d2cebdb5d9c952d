"""The guards that differ from address to address: whose pages may ask, and who knows the password. At the ASGI seam, in virtual time."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio.testing

from gateway.web.asgi import App, Message, Receive, Scope, Send, answer
from gateway.web.guards import GUESS_SECONDS, GUESSES, MAX_GUESSERS, NoForeignPages, PasswordOnly
from gateway.web.problems import Answer

PASSWORD = "correct horse: battery"


@attrs.frozen
class Said:
    status: int
    headers: Mapping[bytes, bytes]
    body: Any


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, Answer(200, b'"hello"'))


async def ask(app: App, headers: Mapping[str, str] | None = None, *, client: str = "203.0.113.5", path: str = "/api/runs") -> Said:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"} if sent else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": (client, 5),
        },
        receive,
        send,
    )
    return Said(sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"]))


def basic(password: str, user: str = "qa") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        basic(PASSWORD),
        basic(PASSWORD, user=""),
        basic(PASSWORD, user="Ольга"),
        {"authorization": basic(PASSWORD)["authorization"].replace("Basic", "bAsIc")},
    ],
)
async def test_whoever_knows_the_password_is_answered_whatever_the_user_name(headers: dict[str, str]) -> None:
    assert (await ask(PasswordOnly(greet, PASSWORD), headers)).body == "hello"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer abc"},
        {"authorization": "Basic"},
        {"authorization": "Basic ***"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        basic(""),
        basic(PASSWORD[:-1]),
        basic(PASSWORD + " "),
        basic("пароль"),
    ],
)
async def test_without_the_password_there_is_a_challenge_and_no_answer(headers: dict[str, str]) -> None:
    said = await ask(PasswordOnly(greet, PASSWORD), headers)
    assert said.status == 401
    assert said.headers[b"www-authenticate"] == b'Basic realm="gateway", charset="UTF-8"'
    assert said.body["status"] == "error"
    assert PASSWORD not in str(said)


async def test_a_door_without_a_password_is_no_door() -> None:
    with pytest.raises(ValueError, match="needs another guard"):
        PasswordOnly(greet, "")


async def test_after_ten_wrong_guesses_an_address_waits_and_others_do_not(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    door = PasswordOnly(greet, PASSWORD)
    assert [(await ask(door, basic(f"guess {number}"))).status for number in range(GUESSES)] == [401] * GUESSES
    # The right one is not looked at either: an answer would tell that it is right.
    refused = await ask(door, basic(PASSWORD))
    assert (refused.status, refused.headers[b"retry-after"]) == (429, b"10")
    assert "correct" not in caplog.text
    assert [record.getMessage() for record in caplog.records] == ["too many wrong passwords from 203.0.113.5: it has to wait"]

    assert (await ask(door, basic(PASSWORD), client="203.0.113.6")).status == 200
    assert (await ask(door, client="203.0.113.5")).status == 401, "who gives no password is asked for it"

    await trio.sleep(GUESS_SECONDS)
    assert (await ask(door, basic(PASSWORD))).status == 200
    assert (await ask(door, basic("guess"))).status == 401
    assert (await ask(door, basic("guess"))).status == 429
    await trio.sleep(GUESS_SECONDS * GUESSES)
    assert [(await ask(door, basic("guess"))).status for _ in range(GUESSES + 1)] == [401] * GUESSES + [429]
    caplog.clear()


async def test_guesses_count_by_network_and_their_memory_is_bounded(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    door = PasswordOnly(greet, PASSWORD)
    for number in range(GUESSES):
        await ask(door, basic("guess"), client=f"2001:db8::{number}")
    assert (await ask(door, basic(PASSWORD), client="2001:db8::ffff")).status == 429
    assert (await ask(door, basic(PASSWORD), client="2001:db8:0:1::1")).status == 200
    for number in range(GUESSES):
        await ask(door, basic("guess"), client="203.0.113.9" if number % 2 else "::ffff:203.0.113.9")
    assert (await ask(door, basic(PASSWORD), client="203.0.113.9")).status == 429
    for number in range(MAX_GUESSERS):
        await ask(door, basic("guess"), client=f"10.0.{number // 256}.{number % 256}")
    assert (await ask(door, basic(PASSWORD), client="203.0.113.9")).status == 200, "the oldest is forgotten"
    caplog.clear()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "gateway.example:8025"}, 200),
        ({"host": "gateway.example:8025", "origin": "http://gateway.example:8025"}, 200),
        ({"host": "gateway.example", "origin": "https://gateway.example", "sec-fetch-site": "same-origin"}, 200),
        ({"host": "gateway.example", "origin": "https://evil.example"}, 403),
        ({"host": "gateway.example", "origin": "null"}, 403),
        ({"host": "gateway.example", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "gateway.example", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://gateway.example"}, 403),
    ],
)
async def test_on_other_addresses_any_name_will_do_and_pages_of_other_sites_are_refused_all_the_same(
    headers: dict[str, str], status: int
) -> None:
    assert (await ask(NoForeignPages(greet, is_loopback=False), headers)).status == status


FOLLOWED = {"host": "localhost:8025", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/test-interface", FOLLOWED, 200),
        ("/api/runs", FOLLOWED, 403),
        ("/test-interface", FOLLOWED | {"sec-fetch-dest": "iframe"}, 403),
        ("/test-interface", FOLLOWED | {"sec-fetch-mode": "no-cors"}, 403),
        ("/test-interface", FOLLOWED | {"origin": "https://evil.example"}, 403),
        ("/test-interface", FOLLOWED | {"host": "evil.example"}, 403),
    ],
)
async def test_a_link_to_the_page_may_be_followed_from_another_site_and_nothing_else(
    path: str, headers: dict[str, str], status: int
) -> None:
    assert (await ask(NoForeignPages(greet, linked_paths=("/test-interface",)), headers, path=path)).status == status
