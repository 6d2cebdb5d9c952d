"""What a call pattern is: who takes part, what the telephones do, and what the chat must show at the end.

A pattern is a value. It is played by a cast on a host (`tester.host`), which writes down the webhooks; its finals are written down on their
own and are not computed by what is checked with them.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

import attrs

from gateway.calls.phones import display
from tester.host import Act, Host, Posted

ANY_NAME = " (…)"
"""After a customer's number: a name may follow or not."""

_UNKNOWN_LENGTH = "…"
_MINUTE = 60


class Group(StrEnum):
    """Which way a call goes. A pattern's number begins with it: 1-1, 2-30, 3-4."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"
    INTERNAL = "internal"


_GROUPS: Mapping[str, Group] = MappingProxyType({"1": Group.OUTGOING, "2": Group.INCOMING, "3": Group.INTERNAL})


class RoleKind(StrEnum):
    """What a role is filled with.

    `PHONE`: an outside number. `MOBILE`: the mobile telephone of a manager. `EXTENSION`: of the enterprise. `LINE`: a line's id.
    `SERVICE`: a short number of the dialplan (follow-me 300, department 901).
    """

    PHONE = "phone"
    MOBILE = "mobile"
    EXTENSION = "extension"
    LINE = "line"
    SERVICE = "service"


@attrs.frozen(kw_only=True)
class Role:
    """Who takes part in a call. `title` by language. `default`: what a service number usually is."""

    key: str
    kind: RoleKind
    title: Mapping[str, str]
    is_optional: bool = False
    default: str = ""


@attrs.frozen(kw_only=True)
class Cast:
    """Who plays which role. Numbers are digits.

    `values`: by the key of a role; an optional role may be missing or "". `names`: extensions as the chat shows their people,
    `Петрова А. И.`; one without a name is shown bare. `customer_name`: None when it is not known whether the customer has one.
    """

    values: Mapping[str, str]
    names: Mapping[str, str] = attrs.field(factory=dict[str, str])
    customer_name: str | None = ""

    def __getitem__(self, role: Role) -> str:
        """The number of a role. KeyError, with the key, when nobody plays it."""
        return self.values[role.key]

    def given(self, *roles: Role) -> tuple[str, ...]:
        """The numbers of those roles that somebody plays."""
        return tuple(number for role in roles if (number := self.values.get(role.key, "")))

    def customer(self, number: str) -> str:
        """An outside number as the chat shows it, with the customer's name."""
        shown = display(number) or number
        if self.customer_name is None:
            return shown + ANY_NAME
        return f"{shown} ({self.customer_name})" if self.customer_name else shown

    def shown(self, extension: str) -> str:
        """An extension as the chat shows it."""
        name = self.names.get(extension)
        return f"{name} ({extension})" if name else extension


def mobile(number: str) -> str:
    """A manager's mobile that answered, as the chat shows it."""
    return f"📱 {display(number) or number}"


class Ending(StrEnum):
    """How a call ended, as the first word of its final message says it."""

    ANSWERED = "answered"
    MISSED = "missed"
    INTERNAL_ANSWERED = "internal_answered"
    INTERNAL_MISSED = "internal_missed"

    @property
    def is_answered(self) -> bool:
        """Whether people talked."""
        return self in (Ending.ANSWERED, Ending.INTERNAL_ANSWERED)


_HEADS: Mapping[str, Mapping[Ending, str]] = MappingProxyType(
    {
        "ru": {
            Ending.ANSWERED: "✅ Завершен",
            Ending.MISSED: "❌ Не отвечен",
            Ending.INTERNAL_ANSWERED: "✅ Завершен (внутр.)",
            Ending.INTERNAL_MISSED: "❌ Не отвечен (внутр.)",
        },
        "en": {
            Ending.ANSWERED: "✅ Ended",
            Ending.MISSED: "❌ Not answered",
            Ending.INTERNAL_ANSWERED: "✅ Ended (internal)",
            Ending.INTERNAL_MISSED: "❌ Not answered (internal)",
        },
    }
)
_FROM_CRM: Mapping[str, str] = MappingProxyType({"ru": "🔗 из CRM", "en": "🔗 from CRM"})


@attrs.frozen(kw_only=True)
class Final:
    """The final message that is owed for one call.

    `left`, `right`: the two sides as the chat shows them; `right` "" when it is not known. `seconds`: the length of an answered call, None
    when it cannot be known beforehand. `transfers`: `151 → 152`, "" for none. `is_from_crm`: whether the chat says that a CRM began it.
    """

    ending: Ending
    left: str
    right: str = ""
    seconds: int | None = None
    transfers: str = ""
    is_from_crm: bool = False

    def lines(self, language: str = "ru") -> tuple[str, ...]:
        """The lines that must be there, the first one first.

        `…` stands for a length that cannot be known, ` (…)` for a name that may be there.
        """
        head = _HEADS[language][self.ending]
        if self.ending.is_answered:
            length = _UNKNOWN_LENGTH if self.seconds is None else length_text(self.seconds)
            first = f"{head}: {self.left} ↔ {self.right}, {length}"
        else:
            first = f"{head}: {' → '.join(side for side in (self.left, self.right) if side)}"
        further = [f"🔀 {self.transfers}"] if self.transfers else []
        return (first, *further, *([_FROM_CRM[language]] if self.is_from_crm else []))

    def difference(self, text: str, language: str = "ru", *, tolerance_seconds: int = 1) -> str:
        """What is wrong with a message that should be this final, in one line; "" when nothing is.

        Args:
            text: as the subscriber reads it, without markup.
            tolerance_seconds: clocks of hosts write whole seconds, so that a length may be one more or less.
        """
        wanted = self.lines(language)
        there = text.splitlines() or [""]
        if not self._is_first_line(there[0], wanted[0], tolerance_seconds):
            return f"wanted «{wanted[0]}», there is «{there[0]}»"
        for mark in ("🔀", _FROM_CRM[language]):
            is_wanted = next((line for line in wanted[1:] if line.startswith(mark)), "")
            is_there = next((line for line in there[1:] if line.startswith(mark)), "")
            if is_wanted != is_there:
                return f"wanted «{is_wanted or f'no {mark}'}», there is «{is_there or f'no {mark}'}»"
        return ""

    def _is_first_line(self, line: str, wanted: str, tolerance_seconds: int) -> bool:
        if self.ending.is_answered:
            line, _, length = line.rpartition(", ")
            wanted = wanted.rpartition(", ")[0]
            seconds = _seconds_of(length)
            if seconds is None or (self.seconds is not None and abs(seconds - self.seconds) > tolerance_seconds):
                return False
        pattern = re.escape(wanted).replace(re.escape(ANY_NAME), r"(?: \(.+\))?")
        return re.fullmatch(pattern, line) is not None


def length_text(seconds: int) -> str:
    """`MM:SS`, from one hour `H:MM:SS`."""
    minutes, rest = divmod(seconds, _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes:02}:{rest:02}"
    return f"{minutes // _MINUTE}:{minutes % _MINUTE:02}:{rest:02}"


def _seconds_of(length: str) -> int | None:
    found = re.fullmatch(r"(?:([0-9]+):)?([0-9]{2,}):([0-9]{2})", length)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * _MINUTE + minutes) * _MINUTE + seconds


@attrs.frozen(kw_only=True)
class Script:
    """A call played by a cast: what its host posts and what people do, the first thing at second 0."""

    posted: tuple[Posted, ...]
    acts: tuple[Act, ...]

    @property
    def seconds(self) -> float:
        """When the last webhook is posted."""
        return self.posted[-1].at_seconds if self.posted else 0.0


@attrs.frozen(kw_only=True)
class Pattern:
    """One kind of call. `title` and `description` by language.

    `perform` lets the telephones of a cast do it on a host; `finals` are owed for that cast, one for each call.
    """

    key: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    roles: tuple[Role, ...]
    perform: Callable[[Host, Cast], None]
    finals: Callable[[Cast], tuple[Final, ...]]

    @property
    def group(self) -> Group:
        """Which way it goes."""
        return _GROUPS[self.key.partition("-")[0]]

    def script(self, host: Host, cast: Cast) -> Script:
        """This call alone. `host` must be fresh. Raises ValueError when somebody who must take part is missing."""
        missing = [role.key for role in self.roles if not role.is_optional and not cast.values.get(role.key)]
        if missing:
            raise ValueError(f"{self.key}: nobody plays {', '.join(missing)}")
        self.perform(host, cast)
        first = min((one.at_seconds for one in (*host.posted, *host.acts)), default=0.0)
        return Script(
            posted=tuple(attrs.evolve(one, at_seconds=one.at_seconds - first) for one in host.posted),
            acts=tuple(attrs.evolve(one, at_seconds=one.at_seconds - first) for one in host.acts),
        )
