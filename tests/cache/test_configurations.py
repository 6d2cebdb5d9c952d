"""What is configured, by any key, in virtual time: what is asked of the database, when, and what is served meanwhile."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from cache.configurations import Configurations, Integrations, Sizes
from cache.core import LookupFailed
from cache.directory import AmbiguousEnterprise, Directory
from gateway.errors import StoreUnavailable
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig

NOON = datetime(2025, 10, 1, 9, 0, tzinfo=UTC)
LINE = LineConfig(line_id="0001363", name="A1 основная", operator="A1")
PETROVA = ManagerConfig(extension="151", last_name="Петрова")
JUNE = EnterpriseConfig(
    number="0367",
    name="june",
    token="375290000367",
    secret="s3cret",
    integrations={"retailcrm": {"enabled": True, "api_key": "k"}, "own": {"enabled": False}, "smart": {"primary": "own"}},
    lines=(LINE,),
    managers=(PETROVA,),
)
MAY = EnterpriseConfig(number="0368", name="may", token="375290000368")


@attrs.define(eq=False)
class Table:
    """The enterprises as a database has them; `asked`: the keys of its questions, "*" for everything."""

    rows: dict[str, EnterpriseConfig] = attrs.field(factory=dict[str, EnterpriseConfig])
    asked: list[str] = attrs.field(factory=list[str])
    is_away: bool = False
    seconds: float = 0.0

    def put(self, *configs: EnterpriseConfig) -> None:
        self.rows.update({config.number: config for config in configs})

    async def load_all(self) -> list[EnterpriseConfig]:
        return await self._answer("*", lambda _: True)

    async def load_by_key(self, key: str) -> list[EnterpriseConfig]:
        return await self._answer(key, lambda config: key in (config.number, config.name, config.token, config.secret))

    async def _answer(self, key: str, matches: Callable[[EnterpriseConfig], bool]) -> list[EnterpriseConfig]:
        self.asked.append(key)
        if self.is_away:
            raise StoreUnavailable("no connection to 192.0.2.1")
        found = [config for config in self.rows.values() if matches(config)]
        await trio.sleep(self.seconds)
        return found

    def taken(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


@attrs.define(eq=False)
class Desk:
    """Configurations on a table, with what others are told."""

    table: Table
    directory: Directory
    configurations: Configurations
    invalidated: list[str]


@asynccontextmanager
async def desk(*configs: EnterpriseConfig, is_warm: bool = True) -> AsyncGenerator[Desk]:
    table, directory, invalidated = Table(), Directory(), list[str]()
    table.put(*configs)
    configurations = Configurations(
        directory,
        load_all=table.load_all,
        load_by_key=table.load_by_key,
        wall_clock=lambda: NOON + timedelta(seconds=trio.current_time()),
        on_invalidate=(invalidated.append,),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(configurations.run)
        if is_warm:
            await configurations.refresh()
            table.asked.clear()
        yield Desk(table, directory, configurations, invalidated)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("key", ["0367", "375290000367", "s3cret", "june"])
async def test_every_key_leads_to_what_is_known_without_a_question(key: str, autojump_clock: MockClock) -> None:
    async with desk(JUNE, MAY) as at:
        assert await at.configurations.find(key) == JUNE
        assert await at.configurations.lines(key) == {"0001363": LINE}
        assert await at.configurations.managers(key) == {"151": PETROVA}
        assert await at.configurations.line(key, "0001363") == LINE
        assert await at.configurations.manager(key, "151") == PETROVA
        found = await at.configurations.integrations(key)
        assert found is not None
        assert found.integrations == {"retailcrm": True, "own": False, "smart": False}
        assert at.table.asked == []


async def test_lines_and_people_that_are_not_there_are_none(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        assert await at.configurations.line("0367", "0009999") is None
        assert await at.configurations.manager("0367", "999") is None
        assert await at.configurations.line("0400", "0001363") is None
        assert await at.configurations.manager("0400", "151") is None
        assert await at.configurations.lines("0400") is None


async def test_after_a_warm_up_a_hundred_look_ups_of_ten_known_keys_are_hits(autojump_clock: MockClock) -> None:
    enterprises = [EnterpriseConfig(number=f"{number:04}", name=f"e{number}", token=f"3752900{number:05}") for number in range(10)]
    async with desk(*enterprises) as at:
        for _ in range(10):
            for config in enterprises:
                assert await at.configurations.integrations(config.name) is not None
        assert at.configurations.statistics.total_requests == 100
        assert at.configurations.statistics.hit_rate_percent == 100.0
        assert at.configurations.sizes == Sizes(integrations=10, configs=10, metadata=10)
        assert at.configurations.config_statistics.total_requests == 0


async def test_a_thousand_look_ups_of_one_cold_key_make_one_question(autojump_clock: MockClock) -> None:
    async with desk(JUNE, is_warm=False) as at:
        at.table.seconds = 0.5
        found: list[Integrations | None] = []

        async def look() -> None:
            found.append(await at.configurations.integrations("june"))

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(look)
        assert at.table.asked == ["june"]
        assert {each.enterprise_number for each in found if each is not None} == {"0367"}
        assert len(found) == 1000
        # The look-up has brought all kinds, and the directory knows the enterprise from now on.
        assert await at.configurations.find("0367") == JUNE
        assert await at.configurations.managers("june") == {"151": PETROVA}
        assert at.directory.resolve("june") == JUNE
        assert at.table.asked == ["june"]
        # The entry of the name is not kept beside that of the number.
        assert at.configurations.sizes == Sizes(integrations=1, configs=1, metadata=1)


async def test_a_key_that_nobody_has_is_asked_once_in_90_seconds(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        for _ in range(10):
            assert await at.configurations.find("nobody") is None
        assert at.table.taken() == ["nobody"]
        await trio.sleep(89)
        assert await at.configurations.find("nobody") is None
        assert at.table.taken() == []
        at.table.put(attrs.evolve(MAY, name="nobody"))
        await trio.sleep(1)
        assert await at.configurations.find("nobody") == attrs.evolve(MAY, name="nobody")
        assert at.table.taken() == ["nobody"]


async def test_an_enterprise_that_appears_is_found_in_spite_of_its_not_found(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        assert await at.configurations.find("may") is None
        at.table.put(MAY)
        await at.configurations.reload("0368")
        assert await at.configurations.find("may") == MAY


async def test_after_90_seconds_the_old_is_served_while_that_one_enterprise_is_read_again(autojump_clock: MockClock) -> None:
    async with desk(JUNE, MAY) as at:
        renamed = attrs.evolve(JUNE, managers=(attrs.evolve(PETROVA, last_name="Сидорова"),))
        at.table.put(renamed)
        at.table.seconds = 2
        await trio.sleep(89.9)
        assert await at.configurations.managers("june") == {"151": PETROVA}
        assert at.table.taken() == []
        await trio.sleep(0.1)
        began = trio.current_time()
        assert await at.configurations.managers("june") == {"151": PETROVA}
        assert await at.configurations.managers("june") == {"151": PETROVA}
        assert trio.current_time() == began
        await trio.sleep(2.1)
        assert at.table.taken() == ["0367"]
        assert await at.configurations.managers("june") == {"151": renamed.managers[0]}
        assert at.directory.resolve("0367") == renamed
        # All kinds were renewed by it.
        assert await at.configurations.find("june") == renamed
        assert at.table.taken() == []


async def test_integrations_say_from_when_they_are_and_until_when_they_are_fresh(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        await trio.sleep(10)
        await at.configurations.refresh()
        assert at.configurations.last_refresh_at == NOON + timedelta(seconds=10)
        assert at.configurations.full_refreshes == 2
        assert at.configurations.entries() == {
            "0367": Integrations(
                enterprise_number="0367",
                integrations={"retailcrm": True, "own": False, "smart": False},
                created_at=NOON + timedelta(seconds=10),
                expires_at=NOON + timedelta(seconds=100),
            )
        }


async def test_while_the_store_is_away_what_is_known_is_served_and_the_rest_fails(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        at.table.is_away = True
        await trio.sleep(1000)
        assert await at.configurations.find("june") == JUNE
        await trio.sleep(1)
        assert at.table.taken() == ["0367"]
        with pytest.raises(LookupFailed) as failed:
            await at.configurations.find("may")
        assert "may" not in str(failed.value)
        assert "192.0.2.1" not in str(failed.value)
        with pytest.raises(LookupFailed):
            await at.configurations.find("may")
        # Not asked again for five seconds.
        assert at.table.taken() == ["may"]
        with pytest.raises(StoreUnavailable):
            await at.configurations.refresh()
        assert at.configurations.last_refresh_at == NOON
        at.table.is_away = False
        at.table.put(MAY)
        await trio.sleep(5)
        assert await at.configurations.find("may") == MAY


async def test_what_was_invalidated_while_the_store_is_away_comes_from_the_directory(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        at.table.is_away = True
        assert await at.configurations.invalidate("june")
        assert await at.configurations.managers("june") == {"151": PETROVA}
        assert at.table.taken() == ["0367"]


@pytest.mark.parametrize("key", ["0367", "june", "375290000367"])
async def test_invalidate_clears_every_kind_of_one_enterprise(key: str, autojump_clock: MockClock) -> None:
    async with desk(JUNE, MAY) as at:
        assert await at.configurations.invalidate(key)
        assert at.configurations.sizes == Sizes(integrations=1, configs=1, metadata=1)
        assert at.invalidated == ["0367"]
        assert at.configurations.metadata_hit("0367") is None
        assert await at.configurations.find(key) == JUNE
        assert await at.configurations.integrations(key) is not None
        assert at.table.taken() == ["0367"]


async def test_nobody_is_invalidated_by_a_key_that_nobody_has_but_its_not_found_goes(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        assert await at.configurations.find("may") is None
        at.table.put(MAY)
        assert not await at.configurations.invalidate("may")
        assert at.invalidated == []
        assert await at.configurations.find("may") == MAY


async def test_an_ambiguous_name_is_an_error_and_invalidates_all_who_have_it(autojump_clock: MockClock) -> None:
    async with desk(JUNE, attrs.evolve(MAY, name="june")) as at:
        for look_up in (at.configurations.find, at.configurations.integrations, at.configurations.managers):
            with pytest.raises(AmbiguousEnterprise):
                await look_up("june")
        assert await at.configurations.invalidate("june")
        assert sorted(at.invalidated) == ["0367", "0368"]


async def test_a_name_that_turns_out_to_be_ambiguous_is_an_error_at_once(autojump_clock: MockClock) -> None:
    async with desk(JUNE, attrs.evolve(MAY, name="june"), is_warm=False) as at:
        with pytest.raises(AmbiguousEnterprise):
            await at.configurations.find("june")


async def test_what_was_read_earlier_never_overwrites_what_was_read_later(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        at.table.seconds = 10
        newer = attrs.evolve(JUNE, timezone="Europe/Moscow")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.configurations.refresh)
            await trio.sleep(1)
            at.table.seconds = 1
            at.table.put(newer, MAY)
            await at.configurations.reload("0367")
            await at.configurations.reload("0368")
        # The refresh was read before the change and ended after it: neither old values, nor the absence of what is new.
        assert await at.configurations.find("0367") == newer
        assert at.directory.resolve("0367") == newer
        assert at.directory.resolve("0368") == MAY


async def test_who_is_gone_from_the_database_is_gone_from_the_directory(autojump_clock: MockClock) -> None:
    async with desk(JUNE, MAY) as at:
        del at.table.rows["0367"]
        await at.configurations.reload("0367")
        assert at.directory.enterprises == (MAY,)
        assert at.invalidated == ["0367"]
        assert await at.configurations.find("june") is None
        del at.table.rows["0368"]
        assert await at.configurations.refresh() == 0
        assert await at.configurations.find("0368") is None
        assert at.configurations.entries() == {}


async def test_a_number_that_becomes_the_name_of_another_is_no_number_any_more(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        del at.table.rows["0367"]
        at.table.put(attrs.evolve(MAY, name="0367"))
        await at.configurations.reload("0367")
        assert await at.configurations.find("0367") == attrs.evolve(MAY, name="0367")


async def test_an_equal_configuration_stays_the_same_object(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        before = at.directory.resolve("0367")
        at.table.put(attrs.evolve(JUNE))
        await at.configurations.refresh()
        await at.configurations.reload("0367")
        assert at.directory.resolve("0367") is before
        assert at.invalidated == []


async def test_changed_integrations_are_told_so_that_names_of_another_account_go(autojump_clock: MockClock) -> None:
    async with desk(JUNE) as at:
        at.table.put(attrs.evolve(JUNE, timezone="Europe/Moscow"))
        await at.configurations.reload("0367")
        assert at.invalidated == []
        at.table.put(attrs.evolve(JUNE, integrations={}))
        await at.configurations.reload("0367")
        assert at.invalidated == ["0367"]


BROKEN: Mapping[str, EnterpriseConfig] = {
    "no object at all": attrs.evolve(JUNE, integrations={}, integrations_problem="integrations_config is a list, must be an object"),
    "a value that is no table": attrs.evolve(JUNE, integrations={"retailcrm": "on", "own": {"enabled": True}}),
}


@pytest.mark.parametrize("damage", BROKEN)
async def test_broken_integrations_are_told_once_for_each_change_and_for_their_enterprise_alone(
    damage: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    may = attrs.evolve(MAY, integrations={"own": {"enabled": True}})
    async with desk(BROKEN[damage], may) as at:
        for _ in range(3):
            await at.configurations.refresh()
            await at.configurations.reload("0367")
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(told) == 1
        assert told[0].startswith("enterprise 0367: ")
        found = await at.configurations.integrations("may")
        assert found is not None
        assert found.integrations == {"own": True}
        assert await at.configurations.managers("june") == {"151": PETROVA}
        own = await at.configurations.integrations("june")
        assert own is not None
        assert "retailcrm" not in own.integrations
        at.table.put(JUNE)
        await at.configurations.reload("0367")
        at.table.put(BROKEN[damage])
        await at.configurations.reload("0367")
        assert sum(record.levelname == "WARNING" for record in caplog.records) == 2


@pytest.mark.parametrize(
    ("config", "states"),
    [
        (attrs.evolve(JUNE, integrations={}), {}),
        (attrs.evolve(JUNE, integrations={"own": {}}), {"own": False}),
        (attrs.evolve(JUNE, integrations={"own": {"enabled": "yes"}}), {"own": False}),
        (attrs.evolve(JUNE, integrations={"own": {"enabled": 1}}), {"own": False}),
        (attrs.evolve(JUNE, active=False, integrations={"own": {"enabled": True}}), {"own": False}),
        (attrs.evolve(JUNE, integrations={"own": None, "smart": False, "uon": [1]}), {}),
    ],
)
async def test_only_an_active_enterprise_with_enabled_true_is_switched_on(
    config: EnterpriseConfig, states: dict[str, bool], autojump_clock: MockClock
) -> None:
    async with desk(config) as at:
        found = await at.configurations.integrations("0367")
        assert found is not None
        assert found.integrations == states


async def test_a_look_up_that_is_given_up_leaves_the_load_to_the_others(autojump_clock: MockClock) -> None:
    async with desk(JUNE, is_warm=False) as at:
        at.table.seconds = 1
        with trio.move_on_after(0.3):
            await at.configurations.find("june")
        await trio.sleep(1)
        assert await at.configurations.find("june") == JUNE
        assert at.table.asked == ["june"]
