"""Who is proposed while others are still in a call."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.ports import EnterpriseConfig, ManagerConfig
from tester.emulator.casting import people_of, suggestion
from tester.emulator.orders import Judgement, Pace
from tester.patterns import PATTERNS, roles
from tester.patterns.pattern import RoleKind
from tester.virtual import JUNE
from tests.emulator.stage import FAMILY, open_stage, told

# The second one's mobile is written as people write it.
HOUSE = attrs.evolve(
    JUNE,
    managers=tuple(
        ManagerConfig(extension=f"15{number}", last_name=f"Менеджер{number}", personal_phone=phone)
        for number, phone in enumerate(("375290009150", "+375 (29) 000-91-51", "375290009152", "", "", ""))
    ),
)


def managers_of(values: dict[str, str], key: str) -> list[str]:
    return [values[role.key] for role in PATTERNS[key].roles if role.kind is RoleKind.EXTENSION and role.key in values]


@pytest.mark.parametrize("config", [HOUSE, FAMILY], ids=["many managers", "two managers"])
@pytest.mark.parametrize("key", ["2-23", "2-24", "2-25", "2-26", "2-30"])
async def test_a_call_with_the_proposed_people_does_not_disturb_one_that_is_going(
    key: str, config: EnterpriseConfig, autojump_clock: MockClock
) -> None:
    async with open_stage(config=config) as stage:
        first = stage.start(key, pace=Pace.REAL)
        await trio.sleep(1)
        second = stage.start(key, pace=Pace.REAL)
        for run in (first, second):
            await told(run)
            assert run.verdict is not None
            assert run.verdict.judgement is Judgement.EXPECTED, run.verdict
        # Who is free again is proposed again.
        assert managers_of(dict(stage.order(key).values), key) == managers_of(dict(first.order.values), key)


@pytest.mark.parametrize("key", sorted(PATTERNS))
def test_nobody_is_proposed_who_is_in_another_call(key: str) -> None:
    pattern = PATTERNS[key]
    first = suggestion(pattern, HOUSE, seed=1)
    second = suggestion(pattern, HOUSE, seed=1, busy=people_of(pattern, first))
    assert not people_of(pattern, first) & people_of(pattern, second)
    assert [role.key for role in pattern.roles if not role.is_optional and not second.get(role.key)] == []


async def test_whoever_asks_next_is_proposed_another_customer_before_anything_is_sent(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        proposed = [dict(stage.order("2-30").values) for _ in range(100)]
        outside = [values[roles.PHONE.key] for values in proposed]
        assert len(set(outside)) == len(outside)
        assert len({tuple(managers_of(values, "2-30")) for values in proposed}) == 1


def test_a_manager_who_talks_on_the_mobile_is_not_proposed_at_the_desk() -> None:
    values = suggestion(PATTERNS["1-4"], HOUSE, seed=1, busy={"375290009150", "375290009151", "152"})
    assert managers_of(dict(values), "1-4")[0] == "153"
    assert "375290009152" not in people_of(PATTERNS["2-28"], suggestion(PATTERNS["2-28"], HOUSE, seed=1, busy={"150", "151", "152"}))
