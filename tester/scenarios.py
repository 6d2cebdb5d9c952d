"""Our own calls: what the telephones do, and what the chat must show in the end.

A scenario is a value. It is played by a cast (a customer, a line, extensions), on a host, and says which final the gateway owes for that
cast. `SCENARIOS` is all of them by key; whoever wants some of them picks by key.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs

from gateway.calls.phones import display
from tester.pbx import Host, Posted, incoming, internal


@attrs.frozen(kw_only=True)
class Cast:
    """Who takes part: the customer's number, the line, the extensions in the order in which the scenario asks for them.

    `names` are those that the chat knows, `Петрова А. И.` by extension; an extension without one is shown bare, and so is a customer
    without `customer_name`.
    """

    phone: str
    trunk: str
    extensions: tuple[str, ...]
    names: Mapping[str, str] = attrs.field(factory=dict[str, str])
    customer_name: str = ""

    @property
    def customer(self) -> str:
        """The customer as the chat shows him."""
        number = display(self.phone) or "Номер не определен"
        return f"{number} ({self.customer_name})" if self.customer_name else number

    def shown(self, extension: str) -> str:
        """An extension as the chat shows it."""
        name = self.names.get(extension)
        return f"{name} ({extension})" if name else extension


@attrs.frozen
class Final:
    """What the chat must show at the end: the first line, and the line of accepted transfers ("" for none)."""

    first_line: str
    transfer_line: str = ""

    def difference(self, text: str) -> str:
        """What is wrong with a message that should be this final, in one line; "" when nothing is."""
        lines = text.splitlines()
        if not lines or lines[0] != self.first_line:
            return f"wanted «{self.first_line}», there is «{lines[0] if lines else ''}»"
        transfer_line = next((line for line in lines[1:] if line.startswith("🔀")), "")
        if transfer_line != self.transfer_line:
            return f"wanted «{self.transfer_line or 'no transfer'}», there is «{transfer_line or 'no transfer'}»"
        return ""


@attrs.frozen(kw_only=True)
class Scenario:
    """One call. `perform` lets the telephones of a cast do it on a host; `final_of` is the final that is owed for that cast.

    `title`: by language. `extensions_items`: how many extensions the cast must have.
    """

    key: str
    title: Mapping[str, str]
    extensions_items: int
    perform: Callable[[Host, Cast], None]
    final_of: Callable[[Cast], Final]

    def script(self, host: Host, cast: Cast) -> Sequence[Posted]:
        """The webhooks of this call alone, the first one at second 0. `host` must be fresh. Raises ValueError for too small a cast."""
        if len(cast.extensions) < self.extensions_items:
            raise ValueError(f"{self.key}: {self.extensions_items} extensions are needed, there are {len(cast.extensions)}")
        self.perform(host, cast)
        first_seconds = host.posted[0].at_seconds if host.posted else 0.0
        return [attrs.evolve(posted, at_seconds=posted.at_seconds - first_seconds) for posted in host.posted]


# Each of the pairs below: what happens, then what it comes to. The seconds of the one give the duration of the other.


def _answered(host: Host, cast: Cast) -> None:
    one, two, three = cast.extensions[:3]
    call = incoming(host, cast.phone, cast.trunk, greeting_seconds=2)
    call.ring(one, two, three)
    host.wait(3)
    call.answer(three)
    host.wait(7)
    call.end()


def _answered_final(cast: Cast) -> Final:
    return Final(f"✅ Завершен: {cast.customer} ↔ {cast.shown(cast.extensions[2])}, 00:12")


def _missed(host: Host, cast: Cast) -> None:
    one, two = cast.extensions[:2]
    call = incoming(host, cast.phone, cast.trunk, greeting_seconds=2)
    call.ring(one, two)
    host.wait(6)
    call.end()


def _missed_final(cast: Cast) -> Final:
    one, two = cast.extensions[:2]
    return Final(f"❌ Не отвечен: {cast.customer} → {cast.shown(one)}, {cast.shown(two)}")


def _transferred(host: Host, cast: Cast) -> None:
    one, two = cast.extensions[:2]
    call = incoming(host, cast.phone, cast.trunk, greeting_seconds=1)
    call.ring(one)
    host.wait(2)
    call.answer(one)
    host.wait(4)
    call.attend(two, accepted=True)
    host.wait(4)
    call.end()


def _transferred_final(cast: Cast) -> Final:
    one, two = (cast.shown(extension) for extension in cast.extensions[:2])
    return Final(f"✅ Завершен: {cast.customer} ↔ {two}, 00:18", f"🔀 {one} → {two}")


def _internal(host: Host, cast: Cast) -> None:
    caller, callee = cast.extensions[:2]
    internal(host, caller, callee, ring_seconds=2, talk_seconds=6)


def _internal_final(cast: Cast) -> Final:
    caller, callee = (cast.shown(extension) for extension in cast.extensions[:2])
    return Final(f"✅ Завершен (внутр.): {caller} ↔ {callee}, 00:08")


ANSWERED = "answered"
MISSED = "missed"
TRANSFERRED = "transferred"
INTERNAL = "internal"

_ALL = (
    Scenario(
        key=ANSWERED,
        title={"ru": "Входящий на группу, ответили", "en": "Incoming to a group, answered"},
        extensions_items=3,
        perform=_answered,
        final_of=_answered_final,
    ),
    Scenario(
        key=MISSED,
        title={"ru": "Входящий, никто не ответил", "en": "Incoming, nobody answered"},
        extensions_items=2,
        perform=_missed,
        final_of=_missed_final,
    ),
    Scenario(
        key=TRANSFERRED,
        title={"ru": "Входящий с переводом, перевод принят", "en": "Incoming, transferred after a word"},
        extensions_items=2,
        perform=_transferred,
        final_of=_transferred_final,
    ),
    Scenario(
        key=INTERNAL,
        title={"ru": "Внутренний звонок", "en": "Internal call"},
        extensions_items=2,
        perform=_internal,
        final_of=_internal_final,
    ),
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType({scenario.key: scenario for scenario in _ALL})
"""All scenarios by key, in the order in which they are shown."""
