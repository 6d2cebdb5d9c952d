"""The tokens of an application: renewed by one, kept before they are used, never lost while there is a way to keep them."""

from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import OutcomeClass, Problem
from gateway.crm.bitrix24_settings import Application, settings_of
from gateway.crm.bitrix24_tokens import Session, Tokens, account_of, issued_of, tokens_of
from gateway.crm.http import CrmHttp
from tester.fakes.crm_faults import FaultKind
from tests.crm.portal import Shelf, World, bitrix24, clock
from tests.crm.told import BEGAN, MISSED, RUNG, TALKED

HOUR = 3600.0


def renewals(world: World) -> int:
    return len([each for each in world.fake.received("/oauth/token") if each.carried_out])


async def test_the_first_token_is_made_of_the_settings_and_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True, strict=True) as world:
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED
        assert world.app is not None
        ((serial, tokens),) = world.store.kept.values()
        assert (serial, tokens["refresh_token"], tokens["access_token"]) == (1, world.app.refresh_token, world.app.access_token)
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED
        assert renewals(world) == 1


async def test_a_token_that_is_about_to_expire_is_renewed_before_it_is_refused(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        await world.push(RUNG)
        await trio.sleep(HOUR - 61)
        await world.push(TALKED)
        assert renewals(world) == 1
        await trio.sleep(2)
        await world.push(attrs.evolve(MISSED, unique_id="2.0"))
        assert renewals(world) == 2
        assert [each.response.status for each in world.fake.requests if each.response is not None] == [200] * len(world.fake.requests)


async def test_a_token_that_is_refused_is_renewed_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        await world.push(RUNG)
        assert world.app is not None
        world.app.access_tokens.clear()
        assert (await world.push(TALKED)).outcome is OutcomeClass.DELIVERED
        assert renewals(world) == 2
        expired = b'{"error": "expired_token", "error_description": "The access token provided has expired."}'
        world.fake.fail(FaultKind.ANSWER, path="/rest/", status=401, body=expired, times=None)
        outcome = await world.push(attrs.evolve(MISSED, unique_id="2.0"))
        assert (outcome.outcome, outcome.problem, renewals(world)) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED, 3)


async def test_many_who_need_a_token_make_one_renewal(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        world.fake.latency_seconds = 0.1
        for _ in range(2):
            async with trio.open_nursery() as pushing:
                for number in range(8):
                    pushing.start_soon(world.push, attrs.evolve(MISSED, unique_id=f"{trio.current_time()}.{number}", extensions=("151",)))
            await trio.sleep(HOUR)
        assert renewals(world) == 2
        assert all(call.is_finished for call in world.fake.calls)
        assert len(world.fake.calls) == 16


async def test_a_new_process_goes_on_with_the_kept_token_whatever_the_file_says(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        await world.push(RUNG)
        for hour in range(3):
            await trio.sleep(HOUR)
            # The settings still have the first refresh token, which is long used up.
            world.restart()
            assert (await world.push(attrs.evolve(MISSED, unique_id=f"{hour}.0"))).outcome is OutcomeClass.DELIVERED
        assert renewals(world) == 4


async def test_a_new_refresh_token_in_the_settings_begins_anew(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        await world.push(RUNG)
        assert world.app is not None
        world.app.issue(trio.current_time())
        world.app.access_tokens.clear()
        outcome = await world.push(MISSED)
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED)
        assert "authorize the application again" in outcome.advice
        world.restart(table={**world.table, "refresh_token": world.app.refresh_token})
        assert (await world.push(MISSED)).outcome is OutcomeClass.DELIVERED


@pytest.mark.parametrize("cut_seconds", [0.11, 0.15, 1.0])
async def test_whoever_is_cancelled_in_the_middle_of_a_renewal_ends_it_first(
    nursery: trio.Nursery, autojump_clock: MockClock, cut_seconds: float
) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        world.fake.fail(FaultKind.DELAY, path="/oauth/token", seconds=3.0)
        with trio.move_on_after(cut_seconds) as scope:
            await world.crm.push(RUNG, push_id="1", memory={})
        assert scope.cancelled_caught or trio.current_time() >= 3.0
        assert world.app is not None
        ((_, tokens),) = world.store.kept.values()
        assert tokens["refresh_token"] == world.app.refresh_token
        world.restart()
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED
        assert renewals(world) == 1


async def test_a_hanging_authorization_server_holds_nobody_for_ever(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        world.fake.fail(FaultKind.HANG, path="/oauth/token")
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.problem, trio.current_time()) == (OutcomeClass.RETRYABLE, Problem.TIMEOUT, 10.0)
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED


async def test_without_a_place_to_keep_it_no_token_is_used_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        world.store.is_away = True
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.problem, renewals(world)) == (OutcomeClass.RETRYABLE, Problem.CONNECTION, 0)
        world.store.is_away = False
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED


async def test_a_store_that_leaves_in_the_middle_gets_the_token_when_it_is_back(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: Any
) -> None:
    async with bitrix24(nursery, as_application=True) as world:

        def leave() -> None:
            world.store.is_away = True

        world.store.on_keep = leave
        # The token is good although it is not kept; only this push has run out of time.
        assert (await world.push(RUNG)).outcome is OutcomeClass.RETRYABLE
        expected_errors.claim("the renewed token of portal.bitrix24.by is not kept yet")
        assert world.store.kept == {}
        world.store.on_keep = lambda: None
        world.store.is_away = False
        assert (await world.push(RUNG)).outcome is OutcomeClass.DELIVERED
        assert world.app is not None
        ((_, tokens),) = world.store.kept.values()
        assert (tokens["refresh_token"], renewals(world)) == (world.app.refresh_token, 1)


async def test_two_processes_go_on_from_each_others_tokens(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        first = world.crm
        world.restart()
        for hour in range(4):
            crm = (first, world.crm)[hour % 2]
            assert (await world.push(attrs.evolve(MISSED, unique_id=f"{hour}.0"), crm)).outcome is OutcomeClass.DELIVERED
            await trio.sleep(HOUR)
        assert renewals(world) == 4


async def test_a_process_that_comes_second_takes_what_the_first_has_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        application = settings_of(world.table).door
        assert isinstance(application, Application)
        sessions = [Session(application, http=world.http, store=world.store, clock=clock) for _ in range(2)]
        found: list[str] = []

        async def ask(session: Session) -> None:
            found.append(await session.access_token())

        # Both have read an empty store, and the second is answered with invalid_grant before the first hears of its tokens.
        world.fake.fail(FaultKind.DELAY, path="/oauth/token", accepted=True, seconds=0.7)
        async with trio.open_nursery() as asking:
            for session in sessions:
                asking.start_soon(ask, session)
        assert found[0] == found[1]
        assert renewals(world) == 2


async def test_a_dead_refresh_token_is_not_offered_again_and_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        assert world.app is not None
        world.app.refresh_token = "another"
        for number in range(50):
            outcome = await world.push(attrs.evolve(MISSED, unique_id=f"{number}.0"))
            assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED)
        assert renewals(world) == 1
        await trio.sleep(60)
        await world.push(RUNG)
        assert renewals(world) == 2


@pytest.mark.parametrize(
    ("error", "status", "advice"),
    [
        ("invalid_client", 400, "client_id or client_secret is not that of the application"),
        ("wrong_client", 200, "client_id or client_secret is not that of the application"),
        ("invalid_grant", 400, "authorize the application again"),
    ],
)
async def test_what_the_authorization_server_refuses_is_said_in_words(
    nursery: trio.Nursery, autojump_clock: MockClock, error: str, status: int, advice: str
) -> None:
    async with bitrix24(nursery, as_application=True) as world:
        world.fake.fail(FaultKind.ANSWER, path="/oauth/token", status=status, body=b'{"error": "%s"}' % error.encode())
        outcome = await world.push(RUNG)
        assert (outcome.outcome, outcome.problem) == (OutcomeClass.PERMANENT, Problem.UNAUTHORIZED)
        assert advice in outcome.advice


def test_tokens_are_read_back_as_they_were_kept() -> None:
    tokens = Tokens(serial=3, refresh_token="r", access_token="a", expires_at=BEGAN)
    assert tokens_of(tokens.document) == tokens
    assert tokens_of({**tokens.document, "expires_at": "soon"}) == attrs.evolve(tokens, expires_at=None)
    assert tokens_of({**tokens.document, "expires_at": "2025-10-01T12:00:00"}) == attrs.evolve(tokens, expires_at=None)
    assert [
        tokens_of(document) for document in (None, {}, {**tokens.document, "serial": "3"}, {**tokens.document, "access_token": None})
    ] == [None] * 4


def test_an_answer_without_both_tokens_gives_none() -> None:
    assert issued_of({"access_token": "a"}, 1, BEGAN) is None
    assert issued_of({"access_token": "a", "refresh_token": ""}, 1, BEGAN) is None
    issued = issued_of({"access_token": "a", "refresh_token": "r"}, 1, BEGAN)
    assert issued is not None
    assert issued.expires_at == BEGAN + timedelta(hours=1)


def test_the_name_that_tokens_are_kept_by_says_nothing_and_tells_applications_apart() -> None:
    table = {"portal_domain": "a.bitrix24.by", "client_id": "local.1", "client_secret": "HUSH", "refresh_token": "HUSH1"}
    names = {
        account_of(door)
        for changes in ({}, {"portal_domain": "b.bitrix24.by"}, {"client_id": "local.2"}, {"refresh_token": "HUSH2"})
        if isinstance(door := settings_of({**table, **changes}).door, Application)
    }
    assert len(names) == 4
    assert "HUSH" not in repr((names, settings_of(table), Session(_door(table), http=CrmHttp(), store=Shelf(), clock=clock)))


def _door(table: dict[str, str]) -> Application:
    door = settings_of(table).door
    assert isinstance(door, Application)
    return door
