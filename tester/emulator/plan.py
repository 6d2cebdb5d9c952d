"""An order understood: what will be posted, who does what, what the chats will show on the way, and what they owe at the end. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from gateway.calls import phones
from gateway.calls.closing import Timing
from gateway.errors import GatewayError
from gateway.nurseries.enterprise import zone_of
from gateway.ports import EnterpriseConfig
from tester.emulator.casting import cast_of, cast_seen, check_values
from tester.emulator.faults import Sending, fault_problem, spoiled
from tester.emulator.orders import EventFault, Order, Pace
from tester.emulator.preview import PreviewMessage, preview
from tester.emulator.summaries import summary
from tester.emulator.wording import DEFAULT_LANGUAGE, LANGUAGES, Wording, wording_of
from tester.host import Act, Host, Posted
from tester.patterns.pattern import Cast, Final, Pattern, RoleKind, Script, mobile

SPEEDS: Mapping[Pace, float] = {Pace.REAL: 1.0, Pace.TEN: 10.0, Pace.STEP: 1.0, Pace.FAST: math.inf}
"""How fast the script's clock runs. Whoever goes step by step and then lets the rest run sees it as it happened."""


class OrderRefused(GatewayError):
    """This cannot be played. The text is one line in the language asked for.

    `fields`: what is wrong, by the key of a role, or `enterprise`, `pattern`, `target`, `faults`.
    """

    def __init__(self, fields: Mapping[str, str], wording: Wording) -> None:
        super().__init__(f"{wording.refused}: {'; '.join(dict.fromkeys(fields.values()))}")
        self.fields = fields


@attrs.frozen(kw_only=True)
class PlannedEvent:
    """The webhook number `index` of the script. `trouble`: what befalls it (`EventTrouble`), "" for nothing."""

    index: int
    posted: Posted
    unique_id: str
    trouble: str = ""

    def summary(self, language: str) -> str:
        """What the host says with it, in one line."""
        return summary(self.posted, language)


@attrs.frozen
class Person:
    """A column of the diagram. `kind`: customer, line, extension or mobile. `label`: as the chats of the enterprise show it."""

    number: str
    label: str
    kind: str


@attrs.frozen(kw_only=True)
class Plan:
    """What an order comes to.

    `events` is the whole script; `sendings` what leaves the host of it, in that order. `finals`: what the chats owe at the end.
    `messages`: what they show on the way, faults of events included. `seconds`: of the script. `speed`: of its clock. `language`: of the
    chats, in which `finals` and `messages` are.
    """

    order: Order
    events: tuple[PlannedEvent, ...]
    sendings: tuple[Sending, ...] = attrs.field(repr=False)
    acts: tuple[Act, ...]
    people: tuple[Person, ...]
    seconds: float
    speed: float
    finals: tuple[Final, ...]
    messages: tuple[PreviewMessage, ...]
    language: str


def make_plan(order: Order, config: EnterpriseConfig, pattern: Pattern, *, now: datetime, seed: int, timing: Timing, language: str) -> Plan:
    """Understand an order.

    Args:
        order: of this enterprise and this pattern.
        config: the enterprise as it is configured now.
        now: when it begins to be played. The times in the bodies are those of the script at any pace, and end about when the last
            webhook is posted: a call that is played fast has just happened. Step by step nobody knows, so it has happened as well.
        seed: where the host's counters begin; two hosts of one second with different seeds have no UniqueId in common.
        timing: the gateway's rules with a time in them.
        language: of what is said to whoever ordered.

    Raises: `OrderRefused`.
    """
    wording = wording_of(language)
    values = check_values(pattern, config, order.values, language)
    if values.problems:
        raise OrderRefused(values.problems, wording)
    cast = cast_of(config, values.by_role)
    speed = SPEEDS[order.pace]
    # A first time to learn how long it takes.
    script = _script(order, config, pattern, cast, started_at=now, seed=seed)
    ahead_seconds = script.seconds * (1.0 if order.pace is Pace.STEP else 1.0 - 1.0 / speed)
    script = _script(order, config, pattern, cast, started_at=now - timedelta(seconds=ahead_seconds), seed=seed)
    if problem := fault_problem(order.faults.events, len(script.posted), wording):
        raise OrderRefused({"faults": problem}, wording)
    sendings = spoiled(script.posted, order.faults.events)
    return Plan(
        order=order,
        events=_events(script.posted, order.faults.events),
        sendings=sendings,
        acts=script.acts,
        people=_people(script.acts, pattern, config, cast),
        seconds=script.seconds,
        speed=speed,
        finals=pattern.finals(cast_seen(pattern, config, cast)),
        messages=preview(sendings, config, timing=timing, begun_at=now, speed=speed),
        language=config.language if config.language in LANGUAGES else DEFAULT_LANGUAGE,
    )


def _script(order: Order, config: EnterpriseConfig, pattern: Pattern, cast: Cast, *, started_at: datetime, seed: int) -> Script:
    host = Host(token=config.token, started_at=started_at, zone=zone_of(config), seed=seed, linkedid=order.linkedid)
    return pattern.script(host, cast)


def _events(posted: Sequence[Posted], faults: Sequence[EventFault]) -> tuple[PlannedEvent, ...]:
    troubles = {fault.index: fault.trouble.value for fault in faults}
    return tuple(
        PlannedEvent(
            index=index,
            posted=one,
            unique_id=str(one.body.get("UniqueId", "")),
            trouble=troubles.get(index, ""),
        )
        for index, one in enumerate(posted)
    )


_KINDS: Mapping[RoleKind, str] = {
    RoleKind.PHONE: "customer",
    RoleKind.MOBILE: "mobile",
    RoleKind.EXTENSION: "extension",
    RoleKind.SERVICE: "extension",
    RoleKind.LINE: "line",
}


def _people(acts: Sequence[Act], pattern: Pattern, config: EnterpriseConfig, cast: Cast) -> tuple[Person, ...]:
    """Everybody of the diagram, in the order in which they appear."""
    kinds = {cast.values[role.key]: _KINDS[role.kind] for role in pattern.roles if role.key in cast.values}
    lines = {line.line_id: line.name for line in config.lines}
    people: dict[str, Person] = {}
    for number in (number for act in acts for number in (act.source, act.target) if number):
        if number in people:
            continue
        kind = kinds.get(number) or ("extension" if phones.is_internal(number) else "line" if number in lines else "customer")
        match kind:
            case "line":
                label = lines.get(number) or number
            case "mobile":
                label = mobile(number)
            case "customer":
                label = phones.display(number) or number
            case _:
                label = cast.shown(number)
        people[number] = Person(number, label, kind)
    return tuple(people.values())
