"""What the Bot API may answer (and not answer), end to end: real HTTP in, a real database, real HTTP out. Timing is in tests/nurseries."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx2 as httpx
import psycopg
import pytest
import trio

from gateway.ports import EnterpriseConfig
from tester.fakes.telegram import FakeTelegram, FaultKind, Received
from tester.player import AS_FAST_AS_POSSIBLE, Player
from tester.running import enterprise, running_gateway
from tester.virtual import Claims
from tests.faults.hosts import SHAPES, Call, doubled, make_call, unshown

PATIENCE_SECONDS = 40.0
ANSWERED = SHAPES[0]


@attrs.frozen
class Scene:
    """A gateway at work. `play` posts a part of a call and wants 200 for every event."""

    telegram: FakeTelegram
    internal_url: str
    player: Player
    database_url: str

    async def play(self, call: Call, events: slice = slice(None)) -> None:
        report = await self.player.play(call.script[events])
        assert report.failed == ()

    async def shown(self, *calls: Call) -> None:
        """Every final is where it belongs, and there once."""
        with trio.move_on_after(PATIENCE_SECONDS):
            await self.telegram.until(lambda: not unshown(self.telegram, calls))
        assert unshown(self.telegram, calls) == []
        assert doubled(self.telegram, calls) == []

    async def seen(self, what: Callable[[], bool]) -> None:
        """Something has been asked of Telegram."""
        with trio.fail_after(PATIENCE_SECONDS):
            await self.telegram.until(what)

    def requests(self, chat_id: int) -> list[Received]:
        """What was asked of one chat."""
        return [request for request in self.telegram.requests if request.chat_id == chat_id]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()


@asynccontextmanager
async def scene(database_url: str, directory: Path, houses: Sequence[EnterpriseConfig]) -> AsyncGenerator[Scene]:
    async with running_gateway(database_url, directory, houses) as running:
        player = Player(base_url=running.url, speed=AS_FAST_AS_POSSIBLE, timeout_seconds=PATIENCE_SECONDS)
        yield Scene(running.telegram, running.internal_url, player, database_url)


async def test_chats_that_are_gone_are_marked_dead_with_their_reason_and_the_others_go_on(migrated_url: str, tmp_path: Path) -> None:
    everybody = enterprise(1, chats=(1001, 1002, 1003, 1004, -1005))
    async with scene(migrated_url, tmp_path, [everybody]) as stage:
        chats = {chat_id: stage.telegram.chat(everybody.bot_token, chat_id) for chat_id in everybody.subscribers}
        chats[1002].block()
        chats[1003].deactivate()
        chats[1004].vanish()
        chats[-1005].kick()
        living = attrs.evolve(everybody, subscribers=(1001,))
        await stage.play(first := make_call(living, 1, ANSWERED))
        await stage.shown(first)
        dead: list[tuple[Any, ...]] = []
        with trio.fail_after(PATIENCE_SECONDS):
            while len(dead) < 4:
                dead = stage.rows("select tg_id, dead_reason from telegram_users where dead_at is not null order by tg_id")
                await trio.sleep(0.02)
        reasons = [(chat_id, reason.partition(":")[0]) for chat_id, reason in dead]
        assert reasons == [(-1005, "kicked"), (1002, "blocked"), (1003, "deactivated"), (1004, "not_found")]
        asked = {chat_id: len(stage.requests(chat_id)) for chat_id, _ in dead}
        await stage.play(second := make_call(living, 2, ANSWERED))
        await stage.shown(second)
        assert {chat_id: len(stage.requests(chat_id)) for chat_id, _ in dead} == asked


async def test_a_group_that_became_a_supergroup_is_followed_and_remembered(migrated_url: str, tmp_path: Path) -> None:
    house = enterprise(1, chats=(1001, -1003))
    moved = attrs.evolve(house, subscribers=(1001, -100777))
    async with scene(migrated_url, tmp_path, [house]) as stage:
        call = make_call(moved, 1, ANSWERED)
        await stage.play(call, slice(0, 4))
        await stage.seen(lambda: bool(stage.telegram.living(-1003)))
        stage.telegram.chat(house.bot_token, -1003).move_to(-100777)
        await stage.play(call, slice(4, None))
        await stage.shown(call)
        assert stage.rows("select tg_id from telegram_users order by tg_id") == [(-100777,), (1001,)]


async def test_a_429_pauses_its_chat_for_as_long_as_it_says_and_no_other(migrated_url: str, tmp_path: Path) -> None:
    house = enterprise(1, chats=(1001, 1002))
    async with scene(migrated_url, tmp_path, [house]) as stage:
        pause_seconds = 3.0
        stage.telegram.too_many(pause_seconds, chat_id=1001)
        call = make_call(house, 1, ANSWERED)
        await stage.play(call)
        await stage.shown(attrs.evolve(call, house=attrs.evolve(house, subscribers=(1002,))))
        await stage.shown(call)
        refused, taken = stage.requests(1001)[0], stage.requests(1001)[1]
        assert (refused.status, taken.status) == (429, 200)
        assert taken.at - refused.at >= pause_seconds - 0.1
        # What was overtaken during the pause was never sent.
        assert len(stage.requests(1001)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": FaultKind.ANSWER, "status": 502, "body": b"<html>Bad Gateway</html>"},
        {"kind": FaultKind.CLOSE},
    ],
    ids=["502", "closed"],
)
async def test_trouble_is_waited_out(migrated_url: str, tmp_path: Path, fault: dict[str, Any]) -> None:
    house = enterprise(1)
    async with scene(migrated_url, tmp_path, [house]) as stage:
        stage.telegram.fail(**fault, times=2)
        await stage.play(call := make_call(house, 1, ANSWERED))
        await stage.shown(call)


async def test_a_message_that_somebody_deleted_is_sent_anew(migrated_url: str, tmp_path: Path) -> None:
    house = enterprise(1)
    async with scene(migrated_url, tmp_path, [house]) as stage:
        call = make_call(house, 1, ANSWERED)
        await stage.play(call, slice(0, 4))
        await stage.seen(lambda: bool(stage.telegram.living(1001)))
        (message,) = stage.telegram.living(1001)
        message.deleted_at = message.sent_at
        await stage.play(call, slice(4, None))
        await stage.shown(call)


async def test_markup_that_telegram_does_not_take_is_sent_as_plain_text(migrated_url: str, tmp_path: Path) -> None:
    house = enterprise(1)
    async with scene(migrated_url, tmp_path, [house]) as stage:
        body = b'{"ok":false,"error_code":400,"description":"Bad Request: can\'t parse entities: Unclosed start tag at byte offset 3"}'
        stage.telegram.fail(FaultKind.ANSWER, status=400, body=body, content_type="application/json")
        await stage.play(call := make_call(house, 1, ANSWERED), slice(0, 1))
        await stage.seen(lambda: bool(stage.telegram.living(1001)))
        assert [message.parse_mode for message in stage.telegram.living(1001)] == [None]
        await stage.play(call, slice(1, None))
        await stage.shown(call)


async def test_a_bot_whose_token_was_revoked_alarms_once_and_takes_nobody_along(
    migrated_url: str, tmp_path: Path, expected_errors: Claims
) -> None:
    revoked, other = enterprise(1, chats=(1001, 1002)), enterprise(2)
    async with scene(migrated_url, tmp_path, [revoked, other]) as stage:
        stage.telegram.bot(revoked.bot_token).revoked = True
        await stage.play(make_call(revoked, 1, ANSWERED))
        await stage.play(make_call(revoked, 2, ANSWERED))
        await stage.play(call := make_call(other, 3, ANSWERED))
        await stage.shown(call)
        async with httpx.AsyncClient(base_url=stage.internal_url, trust_env=False, verify=False) as client:
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
        assert stage.rows("select count(*) from call_events where enterprise_number = '0001'") == [(20,)]
    assert len(expected_errors.claim("refuses its token")) == 1
    # The token was made good again: the next process shows what is owed.
    owed = [make_call(revoked, number, ANSWERED) for number in (1, 2)]
    async with scene(migrated_url, tmp_path, [revoked, other]) as stage:
        await stage.shown(*owed)
