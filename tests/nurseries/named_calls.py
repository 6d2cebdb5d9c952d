"""Calls whose customer a CRM knows, for the tests of names on cards."""

import attrs

from gateway.crm.base import CrmKind
from gateway.crm.registry import Crms
from gateway.ports import CustomerProfile, EnterpriseConfig
from tester.fakes.crm import Play, ScriptedCrm
from tester.virtual import JUNE, House

PHONE = "375290001234"
NUMBER = "+375 (29) 000-12-34"
IVANOV = CustomerProfile(last_name="Иванов", first_name="Пётр", source="own", external_id="7", extension="151")
NAMED = f"{NUMBER} (Иванов Пётр)"
PETROVA = "Петрова А. И. (151)"
WITH_CRM = attrs.evolve(
    JUNE,
    integrations={
        "own": {"enabled": True, "url": "https://crm.example/calls", "secret": "whsec_" + "A" * 43 + "="},
        "smart": {"primary": "own"},
    },
)


async def open_crm(house: House, *, config: EnterpriseConfig = WITH_CRM, delay_seconds: float = 0.0) -> ScriptedCrm:
    """A primary CRM that knows Ivanov; its look-ups take so long."""
    crm = ScriptedCrm(profiles={PHONE: IVANOV}, usual_look_up=Play(delay_seconds=delay_seconds))
    house.crms = Crms({CrmKind.OWN: crm.maker})
    await house.configure(config)
    return crm


def figure(house: House, name: str, **labels: str) -> float:
    assert house.running is not None
    return house.running.enrichment.metrics.registry.get_sample_value(name, labels) or 0.0


def versions(house: House, chat_id: int = 1001) -> list[list[str]]:
    """The first lines of every message ever sent to the chat, in all their versions."""
    return [[version.text.split("\n")[0] for version in message.history] for message in house.messages(chat_id)]
