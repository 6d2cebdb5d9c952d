"""The invented enterprise: people, a line, two subscribers, customers it knows, and who takes part in which call."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from gateway.ports import CustomerProfile, EnterpriseConfig, LineConfig, ManagerConfig
from tester.scenarios import ANSWERED, INTERNAL, MISSED, SCENARIOS, TRANSFERRED, Cast, Final, Scenario

LINE = "0001363"

# Secrets of nobody: the host token and the bot token work inside the demo only.
ENTERPRISE = EnterpriseConfig(
    number="0367",
    name="demo",
    token="375290000900",  # noqa: S106
    bot_token="100001:demo-bot-of-nobody",  # noqa: S106
    timezone="Europe/Minsk",
    lines=(LineConfig(line_id=LINE, name="A1 основная", operator="A1", incoming_transform="+375{9}"),),
    managers=(
        ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь", middle_name="Олегович"),
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна"),
        ManagerConfig(extension="152", last_name="Сидоров", first_name="Павел", middle_name="Ильич"),
    ),
    subscribers=(1001, 1002),
)
# As the chat is to show them, written down on its own: what is expected is not computed by what is checked.
_NAMES: Mapping[str, str] = MappingProxyType({"150": "Ковалёв И. О.", "151": "Петрова А. И.", "152": "Сидоров П. И."})
# Whom the enterprise's RetailCRM knows when the demo begins; the third caller is new to it.
_PERSON, _COMPANY, _STRANGER = "375290001101", "375290001102", "375290001103"
CUSTOMERS: Mapping[str, CustomerProfile] = MappingProxyType(
    {
        _PERSON: CustomerProfile(last_name="Орлова", first_name="Дарья", middle_name="Сергеевна"),
        _COMPANY: CustomerProfile(enterprise_name="ООО «Липа»"),
    }
)
_CUSTOMER_NAMES: Mapping[str, str] = MappingProxyType({_PERSON: "Орлова Дарья Сергеевна", _COMPANY: "ООО «Липа»"})


@attrs.frozen
class Part:
    """One call of the demo."""

    scenario: Scenario
    cast: Cast

    @property
    def title(self) -> str:
        """In both languages."""
        return f"{self.scenario.title['ru']} · {self.scenario.title['en']}"

    @property
    def final(self) -> Final:
        """What each chat must show at the end."""
        return self.scenario.final_of(self.cast)


def _part(key: str, phone: str, *extensions: str) -> Part:
    cast = Cast(phone=phone, trunk=LINE, extensions=extensions, names=_NAMES, customer_name=_CUSTOMER_NAMES.get(phone, ""))
    return Part(SCENARIOS[key], cast)


PARTS = (
    _part(ANSWERED, _PERSON, "150", "151", "152"),
    _part(MISSED, _COMPANY, "150", "151"),
    _part(TRANSFERRED, _STRANGER, "151", "152"),
    _part(INTERNAL, "", "150", "152"),
)
"""In the order of playing. Every customer has a number of his own, so that finals can be told apart."""
