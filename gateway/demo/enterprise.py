"""The invented enterprise: people, two lines, two subscribers, customers it knows, and who takes part in which call."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from gateway.ports import CustomerProfile, EnterpriseConfig, LineConfig, ManagerConfig
from tester.patterns import roles
from tester.patterns.pattern import Cast, Final, Pattern, Role
from tester.patterns.short import ANSWERED, INTERNAL, MISSED, SHORT_CALLS, TRANSFERRED

LINE = "0001363"

# Secrets of nobody: the host token and the bot token work inside the demo only.
ENTERPRISE = EnterpriseConfig(
    number="0367",
    name="demo",
    token="375290000900",  # noqa: S106
    bot_token="100001:demo-bot-of-nobody",  # noqa: S106
    timezone="Europe/Minsk",
    lines=(
        LineConfig(line_id=LINE, name="A1 основная", operator="A1", incoming_transform="+375{9}"),
        LineConfig(line_id="0001364", name="МТС резервная", operator="МТС", incoming_transform="+375{9}"),
    ),
    managers=(
        ManagerConfig(extension="150", last_name="Ковалёв", first_name="Игорь", middle_name="Олегович", personal_phone="375290001150"),
        ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", middle_name="Игоревна", personal_phone="375290001151"),
        ManagerConfig(extension="152", last_name="Сидоров", first_name="Павел", middle_name="Ильич"),
        # For calls that are played by hand: some patterns take many people, and mobiles.
        ManagerConfig(extension="153", last_name="Жукова", first_name="Мария", middle_name="Павловна", personal_phone="375290001153"),
        ManagerConfig(extension="154", last_name="Лебедев", first_name="Олег", middle_name="Юрьевич"),
        ManagerConfig(extension="155", last_name="Козлова", first_name="Ирина", middle_name="Викторовна"),
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

    pattern: Pattern
    cast: Cast

    @property
    def title(self) -> str:
        """In both languages."""
        return f"{self.pattern.title['ru']} · {self.pattern.title['en']}"

    @property
    def phone(self) -> str:
        """The customer's number, "" for an internal call."""
        return self.cast[roles.PHONE]

    @property
    def final(self) -> Final:
        """What each chat must show at the end."""
        (final,) = self.pattern.finals(self.cast)
        return final


def _part(key: str, phone: str, *people: tuple[Role, str]) -> Part:
    values = {role.key: number for role, number in (*people, (roles.PHONE, phone), (roles.LINE, LINE))}
    return Part(SHORT_CALLS[key], Cast(values=values, names=_NAMES, customer_name=_CUSTOMER_NAMES.get(phone, "")))


PARTS = (
    _part(ANSWERED, _PERSON, (roles.ALSO_RINGS_1, "150"), (roles.ALSO_RINGS_2, "151"), (roles.MANAGER, "152")),
    _part(MISSED, _COMPANY, (roles.MANAGER, "150"), (roles.ALSO_RINGS_1, "151")),
    _part(TRANSFERRED, _STRANGER, (roles.MANAGER, "151"), (roles.SECOND, "152")),
    _part(INTERNAL, "", (roles.CALLER, "150"), (roles.CALLEE, "152")),
)
"""In the order of playing. Every customer has a number of his own, so that finals can be told apart."""
