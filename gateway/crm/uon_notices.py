"""Pop-ups of U-ON: who is shown what while a call rings. Pure."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any, cast

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport
from gateway.crm.advice import failure
from gateway.crm.base import Outcome, OutcomeClass, Problem
from gateway.crm.uon_settings import UonSettings
from gateway.crm.uon_wire import Said
from gateway.ports import CustomerProfile

NOTICE_PATH = "notification/create"
# In the memory of a call: the managers who have their pop-up.
NOTIFIED = "notified"

_TITLES = {Direction.INCOMING: "📞 <b>Входящий звонок</b>", Direction.OUTGOING: "📱 <b>Исходящий звонок</b>"}
_WITHHELD = "Номер не определён"


def managers_to_tell(direction: Direction, extensions: Collection[str], settings: UonSettings) -> tuple[int, ...]:
    """Of an incoming call everybody whose extension rings, and everybody at all where that is nobody; of an outgoing one who calls."""
    managers = settings.managers_of(extensions)
    return managers if managers or direction is not Direction.INCOMING else settings.all_managers


def whom_to_tell(report: CallReport, settings: UonSettings) -> tuple[tuple[int, ...], str]:
    """The managers to be told of a dial; with nobody, why."""
    if report.recovered:
        return (), "the call was not heard live: nobody is to be shown that it rings"
    if not settings.notifies(report.direction):
        return (), f"notices of {report.direction} calls are switched off in the settings"
    extensions = report.extensions if report.direction is Direction.INCOMING else (report.extension or next(iter(report.extensions), ""),)
    managers = managers_to_tell(report.direction, extensions, settings)
    return managers, "" if managers else "no manager in user_extensions has an extension of this call"


def notice_text(direction: Direction, phone: str, line: str, client: CustomerProfile | None, *, is_unknown: bool, subdomain: str) -> str:
    """The pop-up, as HTML.

    Args:
        phone: digits, "" when withheld. line: the trunk, "" for none.
        client: who it is. is_unknown: U-ON knows nobody; otherwise, without a client, nobody could be asked and nothing is said.
        subdomain: where the client's card is.
    """
    lines = [_TITLES.get(direction, _TITLES[Direction.INCOMING])]
    if client is not None:
        lines += _client_lines(client, phone, subdomain)
    elif is_unknown:
        lines.append("❓ Неизвестный клиент")
    lines.append(f"📱 {_number(phone)}")
    if line:
        lines.append(f"🏢 Линия: {escape(line)}")
    return "<br/>\n".join(lines)


def _client_lines(client: CustomerProfile, phone: str, subdomain: str) -> list[str]:
    person = " ".join(part for part in (client.last_name, client.first_name, client.middle_name) if part)
    if client.enterprise_name:
        lines = [f"🏢 {_link(client, client.enterprise_name, subdomain)}"]
        return [*lines, f"👤 {escape(person)} (контакт)"] if person else lines
    return [f"👤 {_link(client, person or _number(phone), subdomain)}"]


def _link(client: CustomerProfile, text: str, subdomain: str) -> str:
    # Both parts of the address were checked to be plain.
    return f'<a href="https://{subdomain}/client_edit.php?client_id={client.external_id}" target="_blank">{escape(text)}</a>'


def _number(phone: str) -> str:
    return f"+{escape(phone)}" if phone else _WITHHELD


def notified_before(memory: Mapping[str, Any]) -> frozenset[int]:
    """Who has their pop-up, by the memory of a call."""
    known = memory.get(NOTIFIED)
    texts = cast("list[object]", known) if isinstance(known, list) else []
    return frozenset(int(text) for text in texts if isinstance(text, str) and text.isascii() and text.isdecimal())


@attrs.define(kw_only=True)
class NoticeTrail:
    """What became of the pop-ups of one try so far: it may be cut off at any moment. `missing`: who is to be told now."""

    missing: Sequence[int]
    notified: set[int]
    _under_way: set[int] = attrs.field(factory=set[int], init=False)
    _said: dict[int, Said] = attrs.field(factory=dict[int, Said], init=False)

    def send(self, manager: int) -> None:
        """The request may be on its way."""
        self._under_way.add(manager)

    def take(self, manager: int, said: Said) -> None:
        """It was answered, or has failed."""
        self._under_way.discard(manager)
        self._said[manager] = said
        if said.problem is None:
            self.notified.add(manager)

    def remembered(self) -> list[str]:
        """For the memory of the call."""
        return [str(manager) for manager in sorted(self.notified)]

    def kept(self) -> Mapping[str, Any]:
        """The answers, for `integration_logs`."""
        return {str(manager): said.kept or {"reason": said.reason} for manager, said in sorted(self._said.items())}

    def outcome(self) -> Outcome:
        """What may pass decides: a retry tells those who were not told."""
        failed = [manager for manager in self.missing if manager not in self.notified]
        if not failed:
            return Outcome(outcome=OutcomeClass.DELIVERED)
        unknown = [manager for manager in failed if manager in self._said and self._said[manager].wrong == "manager_id"]
        if len(unknown) == len(failed):
            return self._unknown(unknown)
        outcomes = [self._fate(manager).failure(NOTICE_PATH) for manager in failed if manager not in unknown]
        # A limit is the mildest: it is waited for. What no retry helps is the worst.
        worst = min(outcomes, key=lambda each: (each.outcome is not OutcomeClass.PERMANENT, each.problem is Problem.RATE_LIMIT))
        return attrs.evolve(
            worst,
            reason=f"{worst.reason} (managers not notified: {', '.join(map(str, failed))})",
            is_ambiguous=any(each.is_ambiguous for each in outcomes),
        )

    def _unknown(self, unknown: Sequence[int]) -> Outcome:
        text = f"U-ON does not know the managers {', '.join(map(str, unknown))} of user_extensions"
        if self.notified:
            return Outcome(outcome=OutcomeClass.DELIVERED, reason=text)
        return attrs.evolve(failure(Problem.REJECTED, text), advice="Correct user_extensions: these ids are not those of managers.")

    def _fate(self, manager: int) -> Said:
        if manager in self._said:
            return self._said[manager]
        if manager in self._under_way:
            return Said(problem=Problem.TIMEOUT, reason="no answer in time", is_ambiguous=True)
        if self._under_way and not self._said:
            return Said(problem=Problem.TIMEOUT, reason="the requests before got no answer in time")
        return Said(problem=Problem.RATE_LIMIT, reason="the limit of requests left no time")
