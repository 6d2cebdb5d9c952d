"""The configuration in memory follows the one in the database: notices, lost connections, rounds."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from cache.configurations import Configurations
from cache.directory import Directory
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.nurseries.clock import TrioClock
from gateway.nurseries.listener import MOST_AT_ONCE, Listener
from gateway.nurseries.patience import Patience
from gateway.nurseries.refresh import keep_fresh, round_seconds
from gateway.ports import EnterpriseConfig
from tester.memory import MemoryStore
from tester.virtual import JUNE, NOON, Claims, House

MAY = attrs.evolve(JUNE, number="0368", name="may", token="375290000368")


@attrs.define(eq=False)
class Wire:
    """Notifications by hand; broken off by hand too."""

    changed: list[str] = attrs.field(factory=list[str])
    stir: trio.Event = attrs.field(factory=trio.Event)
    broken: bool = False
    connects: int = 0

    def tell(self, *numbers: str) -> None:
        self.changed += numbers
        self.stir.set()

    @asynccontextmanager
    async def notices(self) -> AsyncGenerator[AsyncIterable[str]]:
        self.connects += 1
        if self.broken:
            raise StoreUnavailable("no connection")
        source = self._each()
        try:
            yield source
        finally:
            await source.aclose()

    async def _each(self) -> AsyncGenerator[str]:
        while True:
            await self.stir.wait()
            self.stir = trio.Event()
            if self.broken:
                raise StoreUnavailable("lost")
            changed, self.changed = self.changed, []
            for number in changed:
                yield number


@attrs.define(eq=False)
class Reads(MemoryStore):
    """A store that says what was read of the configuration, and when: "*" is everything."""

    asked: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    refused: str = ""
    refuses_all: bool = False

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    async def enterprises(self) -> Sequence[EnterpriseConfig]:
        self.asked.append((trio.current_time(), "*"))
        if self.refuses_all:
            raise StoreRejected("no table of enterprises")
        return await super().enterprises()

    async def enterprises_by_key(self, key: str) -> Sequence[EnterpriseConfig]:
        self.asked.append((trio.current_time(), key))
        if self.refused and key == self.refused:
            raise StoreRejected("a key that cannot be")
        return await super().enterprises_by_key(key)

    def taken(self) -> list[str]:
        asked, self.asked = [key for _, key in self.asked], []
        return asked


@attrs.define(eq=False)
class Post:
    """A listener at work, and what it told others."""

    store: Reads
    wire: Wire
    directory: Directory
    configurations: Configurations
    listener: Listener
    told: list[str]


@pytest.fixture
async def post(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncGenerator[Post]:
    store, wire, directory, told = Reads(), Wire(), Directory(), list[str]()
    await store.upsert_enterprises([JUNE])
    configurations = Configurations(directory, load_all=store.enterprises, load_by_key=store.enterprises_by_key, wall_clock=TrioClock(NOON))
    listener = Listener(
        configurations=configurations,
        notices=wire.notices,
        patience=Patience(jitter=lambda: 1.0),
        on_reload=(told.append,),
        on_refresh=(lambda: told.append("all"),),
        on_connect=(lambda: told.append("connected"),),
    )
    await nursery.start(configurations.run)
    await nursery.start(listener.run)
    yield Post(store, wire, directory, configurations, listener, told)
    nursery.cancel_scope.cancel()


async def test_everything_is_read_before_the_start_is_over(post: Post, autojump_clock: MockClock) -> None:
    assert post.store.taken() == ["*"]
    assert post.directory.enterprises == (JUNE,)
    assert post.told == ["all", "connected"]
    assert post.configurations.last_refresh_at == NOON


async def test_a_notice_costs_the_reading_of_one_enterprise(post: Post, autojump_clock: MockClock) -> None:
    post.store.taken()
    await post.store.upsert_enterprises([MAY])
    post.wire.tell("0368")
    await trio.sleep(1)
    assert post.store.taken() == ["0368"]
    assert post.directory.enterprises == (JUNE, MAY)
    assert post.told == ["all", "connected", "0368"]


async def test_an_enterprise_that_was_deleted_leaves_the_directory(post: Post, autojump_clock: MockClock) -> None:
    post.store.taken()
    post.wire.tell("0400")
    await trio.sleep(1)
    assert post.store.taken() == ["0400"]
    assert post.directory.enterprises == (JUNE,)


async def test_a_truncated_table_is_a_notice_of_all(post: Post, autojump_clock: MockClock) -> None:
    post.store.taken()
    post.wire.tell("0367", "")
    await trio.sleep(1)
    assert post.store.taken() == ["*"]
    assert post.told == ["all", "connected", "all"]


async def test_notices_gather_while_a_reading_runs(post: Post, autojump_clock: MockClock) -> None:
    post.store.taken()
    post.store.latency_seconds = 1
    post.wire.tell("0367")
    await trio.sleep(0.5)
    post.wire.tell("0367", "0367", "0368", "0367")
    await trio.sleep(10)
    assert post.store.taken() == ["0367", "0367", "0368"]


@pytest.mark.parametrize(("enterprises", "readings"), [(MOST_AT_ONCE, MOST_AT_ONCE), (MOST_AT_ONCE + 1, 1), (400, 1)])
async def test_more_than_fifty_changes_at_once_cost_one_reading(
    post: Post, autojump_clock: MockClock, enterprises: int, readings: int
) -> None:
    post.store.taken()
    post.wire.tell(*(f"{number:04}" for number in range(enterprises)))
    await trio.sleep(1)
    assert len(post.store.taken()) == readings


async def test_after_a_lost_connection_everything_is_read(post: Post, autojump_clock: MockClock) -> None:
    post.store.taken()
    post.wire.broken = True
    post.wire.tell("0367")
    await trio.sleep(10)
    assert post.store.taken() == []
    await post.store.upsert_enterprises([MAY])
    post.wire.broken = False
    await trio.sleep(10)
    assert post.store.taken() == ["*"]
    assert post.directory.enterprises == (JUNE, MAY)
    assert post.told == ["all", "connected", "all", "connected"]
    assert post.wire.connects > 3


async def test_a_reload_waits_for_the_store_and_notices_that_cannot_be_followed_are_passed_over(
    post: Post, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    post.store.taken()
    post.store.refused = "odd"
    post.store.unavailable = True
    await trio.lowlevel.checkpoint()
    post.wire.tell("odd", "0368")
    await trio.sleep(3)
    post.store.unavailable = False
    await post.store.upsert_enterprises([MAY])
    await trio.sleep(6)
    assert post.directory.enterprises == (JUNE, MAY)
    assert len(expected_errors.claim("cannot be followed")) == 1


async def test_a_reading_of_everything_that_is_refused_ends_nothing_and_is_made_again_by_the_round(
    post: Post, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    post.store.taken()
    post.store.refuses_all = True
    post.wire.tell("")
    await trio.sleep(1)
    assert post.store.taken() == ["*"]
    assert post.directory.enterprises == (JUNE,)
    assert post.told == ["all", "connected"]
    assert len(expected_errors.claim("what is known of it stays")) == 1
    post.store.refuses_all = False
    await post.store.upsert_enterprises([MAY])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: keep_fresh(post.listener.refresh, jitter=lambda: 1.0))
        await trio.sleep(301)
        nursery.cancel_scope.cancel()
    assert post.directory.enterprises == (JUNE, MAY)
    # Notices are followed as before.
    post.wire.tell("0368")
    await trio.sleep(1)
    assert post.told[-1] == "0368"


async def test_a_refused_reading_after_a_lost_connection_leaves_the_notices_heard(
    post: Post, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    post.wire.broken = True
    post.wire.tell("0367")
    await trio.sleep(10)
    post.store.refuses_all = True
    post.wire.broken = False
    await trio.sleep(10)
    assert len(expected_errors.claim("what is known of it stays")) == 1
    assert post.told == ["all", "connected", "connected"]
    await post.store.upsert_enterprises([MAY])
    post.wire.tell("0368")
    await trio.sleep(1)
    assert post.directory.enterprises == (JUNE, MAY)


async def test_a_first_reading_that_is_refused_ends_the_start(autojump_clock: MockClock) -> None:
    store = Reads()
    store.refuses_all = True
    configurations = Configurations(Directory(), load_all=store.enterprises, load_by_key=store.enterprises_by_key, wall_clock=lambda: NOON)
    listener = Listener(configurations=configurations, notices=Wire().notices, patience=Patience(jitter=lambda: 1.0))
    with pytest.raises(StoreRejected):
        await listener.run()


def test_rounds_are_240_to_300_seconds_apart() -> None:
    assert [round_seconds(jitter) for jitter in (0.0, 0.5, 1.0)] == [240.0, 270.0, 300.0]


async def test_everything_is_read_every_round_and_a_minute_after_a_failure(post: Post, autojump_clock: MockClock) -> None:
    jitters = iter([0.0, 1.0, 0.5, 0.0, 0.0])
    post.store.asked.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: keep_fresh(post.listener.refresh, jitter=lambda: next(jitters)))
        await trio.sleep(541)
        assert post.store.asked == [(240.0, "*"), (540.0, "*")]
        assert post.configurations.last_refresh_at == NOON + timedelta(seconds=540)
        post.store.unavailable = True
        await trio.sleep(390)
        assert post.store.asked[2:] == [(810.0, "*"), (870.0, "*"), (930.0, "*")]
        assert post.configurations.last_refresh_at == NOON + timedelta(seconds=540)
        assert post.directory.enterprises == (JUNE,)
        post.store.unavailable = False
        await trio.sleep(60 + 240)
        assert post.store.asked[5:] == [(990.0, "*"), (1230.0, "*")]
        nursery.cancel_scope.cancel()


async def test_a_changed_name_is_on_the_next_card(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    (manager,) = JUNE.managers
    await house.configure(attrs.evolve(JUNE, managers=(attrs.evolve(manager, last_name="Сидорова"),)))
    await trio.sleep(0.1)
    assert process.running.lookups.configurations.full_refreshes == 1
    await house.ring()
    await trio.sleep(1)
    assert house.texts() == ["📞 Дозвон от +375 (29) 000-12-34 → Сидорова А. И. (151)"]


async def test_a_running_gateway_reads_everything_every_round(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    configurations = process.running.lookups.configurations
    # The jitter of a house is 1.
    await trio.sleep(299)
    assert configurations.full_refreshes == 1
    await trio.sleep(2)
    assert configurations.full_refreshes == 2
    assert configurations.last_refresh_at == NOON + timedelta(seconds=300)


async def test_a_gateway_without_its_database_goes_on_with_what_it_knows(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    house.store.unavailable = True
    await trio.sleep(1000)
    found = await process.running.lookups.configurations.find("june")
    assert found is not None
    assert found.number == "0367"
    house.store.unavailable = False
    await trio.sleep(60)
    assert process.running.lookups.configurations.last_refresh_at is not None
    assert house.clock() - process.running.lookups.configurations.last_refresh_at <= timedelta(seconds=60)
