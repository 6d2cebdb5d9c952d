"""The client over real sockets: connections that end early, hang, drip or are never made; the token in the libraries' own logs."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import httpx2 as httpx
import pytest
import trio

from telegram_client import errors
from telegram_client.api import BotApi
from telegram_client.errors import TelegramError
from telegram_client.http import HttpClient, keep_tokens_out_of_logs
from tester.fakes.telegram import FakeTelegram, FaultKind, serve_fake_telegram

TOKEN = "123456:TEST-secret_part"
CHAT = 1001
SHORT = 0.15


@asynccontextmanager
async def fake_and_api(*, answer_seconds: float = 5.0) -> AsyncGenerator[tuple[FakeTelegram, BotApi]]:
    fake = FakeTelegram([TOKEN])
    async with serve_fake_telegram(fake) as base_url, HttpClient() as http_client:
        yield fake, BotApi(TOKEN, http_client, base_url, answer_seconds=answer_seconds)


async def failure(api: BotApi) -> TelegramError:
    with pytest.raises(TelegramError) as info:
        await api.send_message(CHAT, "text")
    assert info.value.__context__ is None
    return info.value


async def test_requests_share_a_connection_and_many_run_at_once() -> None:
    async with fake_and_api() as (fake, api):
        for number in range(5):
            await api.send_message(CHAT, f"{number}")
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(api.send_message, number + 1, "<b>текст</b>")
        assert len(fake.requests) == 55
        assert [message.text for message in fake.living(CHAT)] == ["0", "1", "2", "3", "4"]


async def test_a_connection_that_closes_before_the_answer() -> None:
    async with fake_and_api() as (fake, api):
        await api.get_me()
        fake.fail(FaultKind.CLOSE)
        error = await failure(api)
        assert type(error) is errors.NetworkTrouble
        assert error.ambiguous
        assert fake.living(CHAT) == ()
        fake.fail(FaultKind.CLOSE, accepted=True)
        assert (await failure(api)).ambiguous
        await api.send_message(CHAT, "again")
        assert len(fake.living(CHAT)) == 2


async def test_half_an_answer() -> None:
    async with fake_and_api() as (fake, api):
        fake.fail(FaultKind.HALF_ANSWER)
        error = await failure(api)
        assert type(error) is errors.NetworkTrouble
        assert error.ambiguous
        assert len(fake.living(CHAT)) == 1
        await api.send_message(CHAT, "again")


async def test_a_server_that_hangs_is_left_in_time() -> None:
    async with fake_and_api(answer_seconds=SHORT) as (fake, api):
        fake.fail(FaultKind.HANG)
        error = await failure(api)
        assert type(error) is errors.NetworkTrouble
        assert error.ambiguous
        await api.send_message(CHAT, "again")


async def test_nobody_listens() -> None:
    async with fake_and_api() as (_, api):
        await api.get_me()
    async with HttpClient() as http_client:
        error = await failure(BotApi(TOKEN, http_client, api._base_url))  # pyright: ignore[reportPrivateUsage]
    assert type(error) is errors.NetworkTrouble
    assert not error.ambiguous
    assert error.retriable


async def test_a_server_whose_connections_stay_silent_from_the_start() -> None:
    """The listener accepts, TLS never answers: nothing was sent, so nothing is ambiguous."""

    async def ignore(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, ignore, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with HttpClient(connect_seconds=SHORT) as http_client:
            error = await failure(BotApi(TOKEN, http_client, f"https://127.0.0.1:{port}"))
        assert type(error) is errors.NetworkTrouble
        assert not error.ambiguous
        nursery.cancel_scope.cancel()


async def test_an_answer_that_drips_is_bounded_as_a_whole() -> None:
    async def drip(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            while True:
                await stream.send_all(b" ")
                await trio.sleep(SHORT / 10)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, drip, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(20):
            async with HttpClient(connect_seconds=SHORT) as http_client:
                error = await failure(BotApi(TOKEN, http_client, f"http://127.0.0.1:{port}", answer_seconds=SHORT))
        assert type(error) is errors.NetworkTrouble
        assert error.ambiguous
        nursery.cancel_scope.cancel()


async def test_something_that_does_not_speak_http() -> None:
    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 mail.example ESMTP\r\n")
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, greet, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with HttpClient() as http_client:
            error = await failure(BotApi(TOKEN, http_client, f"http://127.0.0.1:{port}"))
        assert type(error) is errors.NetworkTrouble
        nursery.cancel_scope.cancel()


async def test_a_huge_answer_is_not_read_to_its_end() -> None:
    async with fake_and_api() as (fake, api):
        fake.fail(FaultKind.ANSWER, status=200, body=b" " * (5 * 1024 * 1024))
        assert type(await failure(api)) is errors.BadAnswer
        await api.send_message(CHAT, "again")


async def test_a_full_pool_is_not_ambiguous() -> None:
    fake = FakeTelegram([TOKEN])
    async with serve_fake_telegram(fake) as base_url, HttpClient(connect_seconds=SHORT, max_connections=1) as http_client:
        api = BotApi(TOKEN, http_client, base_url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api.get_updates, None, 30)
            await fake.until(lambda: bool(fake.requests))
            error = await failure(api)
            assert type(error) is errors.NetworkTrouble
            assert not error.ambiguous
            nursery.cancel_scope.cancel()


async def test_a_long_poll_ends_with_its_client_and_returns_what_was_pushed() -> None:
    async with fake_and_api() as (fake, api):
        with trio.move_on_after(SHORT):
            await api.get_updates(timeout_seconds=30)
        fake.push_text(TOKEN, CHAT, "/status")
        [update] = await api.get_updates(timeout_seconds=30)
        assert update.message is not None
        assert update.message.text == "/status"


async def test_the_libraries_own_logs_hold_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with fake_and_api(answer_seconds=SHORT) as (fake, api):
        await api.get_me()
        fake.fail(FaultKind.ANSWER, status=301, headers=(("Location", f"https://elsewhere.test/bot{TOKEN}/getMe"),))
        assert type(await failure(api)) is errors.BadAnswer
        fake.fail(FaultKind.CLOSE)
        await failure(api)
        fake.fail(FaultKind.HANG)
        await failure(api)
        # Somebody else in the process may use the library's client, which logs URLs at INFO.
        keep_tokens_out_of_logs()
        async with httpx.AsyncClient() as other:
            await other.post(f"{api._base_url}/bot{TOKEN}/getMe")  # pyright: ignore[reportPrivateUsage]
    assert "httpcore2" in {record.name.partition(".")[0] for record in caplog.records}
    assert "httpx2" in {record.name for record in caplog.records}
    assert "bot<token>" in caplog.text
    assert "secret_part" not in caplog.text + repr([record.__dict__ for record in caplog.records])
