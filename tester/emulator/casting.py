"""Who plays whom: the values of a form checked role by role, the cast they make, and a cast proposed for an enterprise. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from gateway.calls import phones
from gateway.cards.markup import clean
from gateway.cards.names import FullName, real_name
from gateway.cards.text import NAME_LIMIT
from gateway.ports import EnterpriseConfig, ManagerConfig
from tester.emulator.telephone import check_phone
from tester.emulator.wording import Wording, wording_of
from tester.patterns.pattern import Cast, Group, Pattern, Role, RoleKind

_LINE = re.compile(r"[0-9A-Za-z_-]{1,32}")
# Nothing that two roles of one group say may be equal: one telephone cannot be two people.
_GROUPS: Mapping[RoleKind, str] = {
    RoleKind.PHONE: "outside",
    RoleKind.MOBILE: "outside",
    RoleKind.EXTENSION: "inside",
    RoleKind.SERVICE: "inside",
    RoleKind.LINE: "line",
}
_FIRST_INVENTED_EXTENSION = 150
_FIRST_INVENTED_LINE = 1001


@attrs.frozen(kw_only=True)
class Values:
    """The values of a form, cleaned; `problems` by the key of the role, one line each."""

    by_role: Mapping[str, str]
    problems: Mapping[str, str]


def check_values(pattern: Pattern, config: EnterpriseConfig, given: Mapping[str, str], language: str) -> Values:
    """Check what was typed in for a pattern. A service number that was left empty is what it usually is.

    A line need not be configured: hosts have lines that the gateway does not know.
    """
    wording = wording_of(language)
    by_role: dict[str, str] = {}
    known = {role.key for role in pattern.roles}
    problems = {key: wording.unknown_role for key, value in given.items() if key not in known and value.strip()}
    taken: dict[tuple[str, str], Role] = {}
    for role in pattern.roles:
        value, problem = _checked(role, given.get(role.key, "").strip() or role.default, config, wording, language)
        if value and not problem:
            first = taken.setdefault((_GROUPS[role.kind], value), role)
            problem = "" if first is role else wording.twice.format(title=title_of(first, language))
        if problem:
            problems[role.key] = problem
        elif value:
            by_role[role.key] = value
    return Values(by_role=by_role, problems=problems)


def title_of(role: Role, language: str) -> str:
    """What a role is called."""
    return role.title.get(language) or role.title["ru"]


def _checked(role: Role, value: str, config: EnterpriseConfig, wording: Wording, language: str) -> tuple[str, str]:
    """The value as it is played, and what is wrong with it."""
    if not value:
        return "", "" if role.is_optional else wording.missing
    match role.kind:
        case RoleKind.PHONE | RoleKind.MOBILE:
            checked = check_phone(value, language)
            return checked.digits, checked.error
        case RoleKind.EXTENSION | RoleKind.SERVICE:
            return value, "" if phones.is_internal(value) else wording.extension
        case RoleKind.LINE:
            is_known = any(line.line_id == value for line in config.lines)
            return value, "" if is_known or _LINE.fullmatch(value) else wording.line


# ── the cast ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cast_of(config: EnterpriseConfig, values: Mapping[str, str]) -> Cast:
    """The cast as the chats of the enterprise show it. Whether a customer has a name is for the gateway to know."""
    names = {manager.extension: name for manager in config.managers if (name := _shown_name(manager))}
    return Cast(values=values, names=names, customer_name=None)


def cast_seen(pattern: Pattern, config: EnterpriseConfig, cast: Cast) -> Cast:
    """The cast with the outside numbers of an incoming call as the rule of its line makes them."""
    lines = [cast.values.get(role.key, "") for role in pattern.roles if role.kind is RoleKind.LINE]
    rule_text = next((line.incoming_transform for line in config.lines if lines and line.line_id == lines[0]), "")
    if pattern.group is not Group.INCOMING or not rule_text:
        return cast
    try:
        rule = phones.parse_line_rule(rule_text)
    except ValueError:
        # People with psql write what they like; the gateway takes such a rule for none, too.
        return cast
    outside = [role.key for role in pattern.roles if role.kind is RoleKind.PHONE and role.key in cast.values]
    changed = {key: phones.apply_line_rule(cast.values[key], rule) for key in outside}
    return attrs.evolve(cast, values={**cast.values, **changed})


def _shown_name(manager: ManagerConfig) -> str:
    name = FullName(last_name=manager.last_name, first_name=manager.first_name, middle_name=manager.middle_name)
    return clean(real_name(name.short()), NAME_LIMIT)


# ── a proposal ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def people_of(pattern: Pattern, values: Mapping[str, str]) -> frozenset[str]:
    """The numbers of everybody who takes part in a call with these values. Not those of lines and services, which many calls share."""
    kinds = (RoleKind.PHONE, RoleKind.MOBILE, RoleKind.EXTENSION)
    return frozenset(phones.digits(values.get(role.key, "")) for role in pattern.roles if role.kind in kinds) - {""}


def suggestion(pattern: Pattern, config: EnterpriseConfig, *, seed: int, busy: Collection[str] = ()) -> Mapping[str, str]:
    """Values with which the pattern can be played at this enterprise, the same for the same seed.

    Configured lines, managers and mobiles come first, then invented ones. Optional roles get what is configured and not needed otherwise.

    `busy`: numbers of people who are in other calls now. They are left out, and managers with their mobile and their extension: nobody
    takes part in two calls at once, and the gateway understands events by that.
    """
    free = [one for one in config.managers if one.extension not in busy and phones.digits(one.personal_phone) not in busy]
    lines = _Supply((line.line_id for line in config.lines), (f"000{number}" for number in range(_FIRST_INVENTED_LINE, 10_000)))
    managers = _Supply(
        (manager.extension for manager in free if phones.is_internal(manager.extension)),
        (str(number) for number in range(_FIRST_INVENTED_EXTENSION, 10_000)),
    )
    mobiles = _Supply((manager.personal_phone for manager in free), ())
    outside = _Supply((), (f"37529000{(seed * 37 + number) % 10_000:04}" for number in range(10_000)))
    # Nobody is both a customer and a manager.
    outside.leave_out(phones.digits(manager.personal_phone) for manager in config.managers)
    # Of those who are not configured nothing is known but that they are busy; and who is busy with one number is with the other.
    outside.leave_out(busy)
    managers.leave_out(busy)
    managers.leave_out(manager.extension for manager in config.managers if manager not in free)
    values: dict[str, str] = {}
    needed = [role for role in pattern.roles if not role.is_optional]
    for role in needed:
        if role.kind is RoleKind.SERVICE:
            values[role.key] = role.default
    managers.leave_out(values.values())
    for role in (*needed, *(role for role in pattern.roles if role.is_optional)):
        if role.key in values:
            continue
        match role.kind:
            case RoleKind.PHONE | RoleKind.MOBILE:
                phone = (mobiles.configured() or "") if role.kind is RoleKind.MOBILE else ""
                if phone and not check_phone(phone).is_valid:
                    phone = ""
                if not phone and not role.is_optional:
                    phone = outside.next()
                value = phones.display(phone) or phone
            case RoleKind.LINE:
                value = (lines.configured() or "") if role.is_optional else lines.next()
            case RoleKind.EXTENSION:
                value = (managers.configured() or "") if role.is_optional else managers.next()
            case RoleKind.SERVICE:
                value = ""
        if value:
            values[role.key] = value
    return {role.key: values[role.key] for role in pattern.roles if role.key in values}


class _Supply:
    """Values that are handed out once each: the configured ones in their order, then the invented ones."""

    def __init__(self, configured: Iterable[str], invented: Iterable[str]) -> None:
        self._configured: Iterator[str] = iter(configured)
        self._invented: Iterator[str] = iter(invented)
        self._gone: set[str] = {""}

    def leave_out(self, values: Iterable[str]) -> None:
        """These are not handed out."""
        self._gone.update(values)

    def configured(self) -> str | None:
        """The next configured one, None when there is none left."""
        return self._take(self._configured)

    def next(self) -> str:
        """The next one of whatever there is."""
        found = self._take(self._configured) or self._take(self._invented)
        assert found is not None, "there are more invented ones than a call has roles"
        return found

    def _take(self, values: Iterator[str]) -> str | None:
        for value in values:
            if value not in self._gone:
                self._gone.add(value)
                return value
        return None
