"""The names of one card: what was asked for it, and what came of that. Values only; who asks is `gateway.nurseries.enrichment`."""

import math

import attrs
import trio

from gateway.cards.names import NO_NAMES, FullName, Names
from gateway.cards.view import CallView, PartyKind
from gateway.ports import LineConfig, ManagerConfig


@attrs.frozen
class Needs:
    """What a card can be given names for: its customer's number, the extensions and the line on it; "" and empty for what it has not."""

    phone: str
    extensions: frozenset[str]
    line: str


def needs_of(view: CallView) -> Needs:
    """What the view shows that may have a name."""
    parties = (*view.people, *view.transfers, *((view.caller,) if view.caller else ()))
    extensions = frozenset(party.number for party in parties if party.kind is PartyKind.EXTENSION and party.number)
    return Needs(phone=view.outside, extensions=extensions, line=view.line)


@attrs.define(eq=False, kw_only=True)
class Naming:
    """The memory of a card about names. What is a key here has been asked and is not asked again for this call; "" and None: no answer.

    `open_items`: searches under way. `quiet` is set when the last of them ends. `due_at`: until when the first message may wait for
    them (Trio's clock). `is_spread`: somebody has been told of the card, so that a name that comes now is late.

    Memory: a call has a handful of people, one line and one customer; 1 KB.
    """

    customers: dict[str, str] = attrs.field(factory=dict[str, str])
    managers: dict[str, ManagerConfig | None] = attrs.field(factory=dict[str, ManagerConfig | None])
    lines: dict[str, LineConfig | None] = attrs.field(factory=dict[str, LineConfig | None])
    open_items: int = 0
    quiet: trio.Event = attrs.field(factory=trio.Event)
    due_at: float = math.inf
    is_begun: bool = False
    is_spread: bool = False

    def names_for(self, view: CallView) -> Names:
        """The names known for what the view shows."""
        needs = needs_of(view)
        managers = {
            extension: FullName(last_name=found.last_name, first_name=found.first_name, middle_name=found.middle_name)
            for extension in needs.extensions
            if (found := self.managers.get(extension)) is not None
        }
        line = self.lines.get(needs.line)
        customer = self.customers.get(needs.phone)
        if not (managers or line or customer):
            return NO_NAMES
        return Names(
            customer=customer or None, managers=managers, line=line.name if line else None, line_operator=line.operator if line else None
        )
