"""Limiters on a virtual clock: never too much, nobody forgotten, nothing lost when somebody leaves."""

import math
from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.crm.base import CrmKind
from gateway.crm.limits import Admissions, Bucket, Limiter, Limiters, LimitReached, Parallel, Rule, Window
from tester.fakes.crm_limits import Bucket as FakeBucket
from tester.fakes.crm_limits import Limit as FakeLimit
from tester.fakes.crm_limits import Meter, Use
from tester.fakes.crm_limits import Window as FakeWindow
from tests.crm.reports import RUNG, TALKED


async def ask(limiter: Limiter, *, seconds: float = 0.0, urgent: bool = False) -> float:
    """One request that takes so long. When it began."""
    with await limiter.reserve(urgent=urgent) as places:
        async with places.request():
            begun_at = trio.current_time()
            await trio.sleep(seconds)
            return begun_at


async def test_a_window_lets_as_many_through_as_it_has_and_the_rest_when_it_has_moved(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(3, 1.0)), trio.current_time()
    times = [round(await ask(limiter) - start, 3) for _ in range(7)]
    assert times == [0, 0, 0, 1, 1, 1, 2]


async def test_a_bucket_takes_a_burst_and_then_what_drains(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Bucket(4, 2.0)), trio.current_time()
    times = [round(await ask(limiter) - start, 2) for _ in range(7)]
    assert times == [0, 0, 0, 0, 0.5, 1.0, 1.5]


async def test_a_place_grows_old_only_when_its_request_has_ended(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(1, 1.0)), trio.current_time()
    await ask(limiter, seconds=0.75)
    assert round(await ask(limiter) - start, 3) == 1.75


async def test_no_more_than_the_parallel_ones_are_under_way(autojump_clock: MockClock) -> None:
    limiter, begun = Limiter(Parallel(2)), list[float]()

    async def one() -> None:
        begun.append(await ask(limiter, seconds=5))

    async with trio.open_nursery() as nursery:
        start = trio.current_time()
        for _ in range(5):
            nursery.start_soon(one)
    assert [round(at - start) for at in begun] == [0, 0, 5, 5, 10]


@pytest.mark.parametrize(
    ("rule", "vendor", "slowest_seconds"),
    [
        (Window(10, 1.0), lambda: FakeWindow("requests", 10, 1.0), 100),
        (Bucket(10, 2.0), lambda: FakeBucket("requests", 10, 2.0), 260),
    ],
)
@pytest.mark.parametrize("latency", [0.0, 0.4])
async def test_a_vendor_counts_never_too_much_whenever_the_requests_arrive(
    autojump_clock: MockClock, rule: Rule, vendor: Callable[[], FakeLimit], slowest_seconds: float, latency: float
) -> None:
    limiter, limit, meter = Limiter(rule), vendor(), Meter()

    async def one(place: int) -> None:
        with await limiter.reserve(2) as places:
            for part in (0, 1):
                # Those of a burst do not take the same time to arrive, and the answers neither.
                before = latency * ((place * 7 + part * 3) % 5) / 4
                async with places.request():
                    await trio.sleep(before)
                    meter.admit([Use(limit, "account")], trio.current_time())
                    await trio.sleep(latency - before)

    with trio.fail_after(slowest_seconds):
        async with trio.open_nursery() as nursery:
            for place in range(250):
                nursery.start_soon(one, place)
    assert not meter.violations
    assert meter.peaks["requests"] > 0.8


async def test_unused_places_go_back_at_once(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(2, 1.0)), trio.current_time()
    places = await limiter.reserve(2)
    places.close()
    places.close()
    (await limiter.reserve(2)).close()
    assert trio.current_time() == start
    assert limiter.is_idle(start)


async def test_what_was_not_reserved_waits_for_its_place(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(1, 1.0)), trio.current_time()
    with await limiter.reserve() as places:
        for _ in range(2):
            async with places.request():
                pass
    assert round(trio.current_time() - start, 3) == 1.0


async def test_more_than_there_ever_is_cannot_be_reserved() -> None:
    with pytest.raises(ValueError, match="3 places at once; at most 2 exist"):
        await Limiter(Window(5, 1.0), Parallel(2)).reserve(3)


async def test_reports_and_look_ups_take_turns(autojump_clock: MockClock) -> None:
    limiter, order = Limiter(Window(1, 1.0)), list[str]()

    async def one(name: str, urgent: bool) -> None:
        await ask(limiter, urgent=urgent)
        order.append(name)

    await ask(limiter)
    async with trio.open_nursery() as nursery:
        for name in ("report 1", "report 2", "report 3"):
            nursery.start_soon(one, name, False)
            await wait_all_tasks_blocked()
        for name in ("look-up 1", "look-up 2"):
            nursery.start_soon(one, name, True)
            await wait_all_tasks_blocked()
    assert order == ["look-up 1", "report 1", "look-up 2", "report 2", "report 3"]


async def test_who_cannot_be_served_in_time_hears_so_at_once(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(1, 10.0)), trio.current_time()
    await ask(limiter)
    with pytest.raises(LimitReached, match=r"used up for at least 10\.0 s") as raised, trio.move_on_after(2.5):
        await limiter.reserve(urgent=True)
    assert round(raised.value.wait_seconds) == 10
    assert (trio.current_time(), limiter.waiting) == (start, 0)


async def test_who_leaves_the_line_holds_nobody_up(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Parallel(1)), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: ask(limiter, seconds=3))
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            nursery.start_soon(lambda: ask(limiter))
            await limiter.reserve()
            raise AssertionError
    assert trio.current_time() - start == 3
    assert limiter.is_idle(trio.current_time())


async def test_a_request_that_is_given_up_counts_as_one_that_was_sent(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(1, 1.0)), trio.current_time()
    with trio.move_on_after(0.5):
        await ask(limiter, seconds=60)
    assert round(await ask(limiter) - start, 3) == 1.5


async def test_a_pause_is_kept_by_everybody(autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(10, 1.0)), trio.current_time()
    limiter.pause(7)
    limiter.pause(3)
    assert round(await ask(limiter) - start, 3) == 7


@pytest.mark.parametrize("wish_seconds", [601.0, 999_999_999.0, float("inf")])
async def test_a_wish_for_more_than_ten_minutes_is_kept_for_ten(wish_seconds: float, autojump_clock: MockClock) -> None:
    limiter, start = Limiter(Window(10, 1.0)), trio.current_time()
    limiter.pause(wish_seconds)
    assert round(await ask(limiter) - start, 3) == 600


async def test_a_push_takes_what_its_admission_has_reserved(autojump_clock: MockClock) -> None:
    limiter = Limiter(Window(3, 1.0))
    admissions, start = Admissions(limiter), trio.current_time()
    await admissions.admit(RUNG, 1)
    await admissions.admit(TALKED, 2)
    with admissions.claim(attrs.evolve(TALKED)) as places, admissions.claim(RUNG) as others:
        for _ in range(2):
            async with places.request():
                pass
        async with others.request():
            pass
        assert trio.current_time() == start
    with admissions.claim(RUNG) as nothing:
        async with nothing.request():
            assert round(trio.current_time() - start, 3) == 1.0


async def test_an_admission_without_its_push_is_given_back_by_the_next(autojump_clock: MockClock) -> None:
    admissions, start = Admissions(Limiter(Parallel(2))), trio.current_time()
    await admissions.admit(RUNG, 1)
    await admissions.admit(RUNG, 1)
    await admissions.admit(TALKED, 1)
    assert trio.current_time() == start


async def test_one_account_has_one_limiter() -> None:
    limiters = Limiters()
    one = limiters.of(CrmKind.UON, "key", rules=(Window(6, 1.0),))
    assert limiters.of(CrmKind.UON, "key", rules=(Window(6, 1.0),)) is one
    assert limiters.of(CrmKind.UON, "other", rules=(Window(6, 1.0),)) is not one
    assert limiters.of(CrmKind.BITRIX24, "key", rules=(Window(6, 1.0),)) is not one
    assert repr(limiters) == "Limiters(3)"


async def test_limiters_that_nobody_has_and_that_are_idle_make_room(autojump_clock: MockClock) -> None:
    limiters = Limiters(most=2)
    kept = limiters.of(CrmKind.UON, "kept", rules=(Window(1, 1.0),))
    await ask(limiters.of(CrmKind.UON, "busy", rules=(Window(1, 1.0),)))
    limiters.of(CrmKind.UON, "third", rules=(Window(1, 1.0),))
    assert repr(limiters) == "Limiters(3)"
    await trio.sleep(2)
    limiters.of(CrmKind.UON, "fourth", rules=(Window(1, 1.0),))
    assert repr(limiters) == "Limiters(2)"
    assert limiters.of(CrmKind.UON, "kept", rules=(Window(1, 1.0),)) is kept


def test_a_bucket_that_is_full_of_requests_under_way_waits_for_one_of_them() -> None:
    limiter = Limiter(Bucket(1, 1.0))

    async def main() -> None:
        places = await limiter.reserve()
        with trio.move_on_after(math.inf) as scope:
            scope.deadline = trio.current_time() + 1
            await limiter.reserve()
        assert scope.cancelled_caught
        places.close()

    trio.run(main, clock=MockClock(autojump_threshold=0))
