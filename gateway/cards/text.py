"""The text of a card: a view of a call in the words of a language, as HTML for Telegram.

The first line says the stage and who is in the call, further lines only what there is to say. A part that is not known is left out with
its arrow; nothing is ever shown in its place. Only the outside number of an external call always has words: that it is withheld.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import assert_never

from gateway.calls import phones
from gateway.cards.languages import wording_of
from gateway.cards.markup import attribute, joined, safe
from gateway.cards.names import Names, real_name
from gateway.cards.view import CallView, Direction, Party, PartyKind, Stage
from gateway.cards.wording import CardWording

# Telegram takes 4,096 units after the entities are parsed. These limits keep even the HTML source below that when every character is one
# that is escaped to five (`&amp;`): head 40, customer 5 * 96 + 40, people 1,000 + 10, duration 15, line 5 * 64, transfers 600 + 50 (the
# first of them may be 5 * 96 + 5 * 32), time 10, recording 1,024 + 50, marks 100: 3,740.
NAME_LIMIT = 96
LINE_LIMIT = 64
NUMBER_LIMIT = 32
PEOPLE_UNITS = 1000
TRANSFER_UNITS = 600
ADDRESS_LIMIT = 1024

_TOWARDS = " → "
_BETWEEN = " ↔ "
_MINUTE = 60
_HOUR = 3600


def render(view: CallView, names: Names, language: str, zone: tzinfo) -> str:
    """The whole text of the card, HTML, at most 4,096 characters as Telegram counts them. The same arguments give the same text."""
    wording = wording_of(language).card
    return "\n".join([_first_line(view, names, wording), *_further_lines(view, names, wording, zone)])


def duration_text(seconds: int) -> str:
    """`MM:SS`, from one hour `H:MM:SS`."""
    minutes, rest = divmod(seconds, _MINUTE)
    if seconds < _HOUR:
        return f"{minutes:02}:{rest:02}"
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}"


def _first_line(view: CallView, names: Names, wording: CardWording) -> str:
    people = joined([text for party in view.people if (text := _party(party, names))], ", ", PEOPLE_UNITS)
    if view.direction is Direction.INTERNAL:
        return _internal_line(view, _party(view.caller, names) if view.caller else "", people, wording)
    return _outside_line(view, _customer(view.outside, names, wording), people, wording)


def _outside_line(view: CallView, customer: str, people: str, wording: CardWording) -> str:
    outgoing = view.direction is Direction.OUTGOING
    ringing = _parties(_TOWARDS, people, customer) if outgoing else _parties(_TOWARDS, customer, people)
    match view.stage:
        case Stage.START | Stage.DIAL:
            if outgoing and not people:
                # The head names a caller; with the customer after it the call would read the wrong way round.
                return f"{wording.dial}: {ringing}"
            head = wording.start_from if view.stage is Stage.START and not outgoing else wording.dial_from
            return f"{head} {ringing}"
        case Stage.TALK:
            return _headed(wording.talk, _parties(_BETWEEN, customer, people))
        case Stage.FINAL:
            if view.answered:
                return _headed(wording.answered, _parties(_BETWEEN, customer, people)) + _duration(view)
            return _headed(wording.missed, ringing)
        case _:
            assert_never(view.stage)


def _internal_line(view: CallView, caller: str, people: str, wording: CardWording) -> str:
    match view.stage:
        case Stage.START | Stage.DIAL:
            parties = _parties(_TOWARDS, caller, people)
            return f"{wording.internal_ring}\n{parties}" if parties else wording.internal_ring
        case Stage.TALK:
            return _headed(wording.internal_talk, _parties(_BETWEEN, caller, people))
        case Stage.FINAL:
            if view.answered:
                return _headed(wording.internal_answered, _parties(_BETWEEN, caller, people)) + _duration(view)
            return _headed(wording.internal_missed, _parties(_TOWARDS, caller, people))
        case _:
            assert_never(view.stage)


def _further_lines(view: CallView, names: Names, wording: CardWording, zone: tzinfo) -> Sequence[str]:
    lines = [
        _line(view.line, names),
        _transfers(view.transfers, names),
        _started(view.started_at, zone) if view.stage is Stage.FINAL else "",
        _recording(view.recording_url, wording),
        wording.from_crm if view.from_crm else "",
        wording.recovered if view.recovered else "",
        wording.ended_by_silence if view.ended_by_silence else "",
    ]
    return [line for line in lines if line]


def _headed(head: str, parties: str) -> str:
    return f"{head}: {parties}" if parties else head


def _parties(arrow: str, *parties: str) -> str:
    return arrow.join(party for party in parties if party)


def _duration(view: CallView) -> str:
    if view.duration_seconds is None or view.duration_seconds < 0:
        return ""
    return f", {duration_text(view.duration_seconds)}"


def _customer(number: str, names: Names, wording: CardWording) -> str:
    shown = phones.display(number) or wording.withheld_number
    name = safe(_customer_name(number, names), NAME_LIMIT)
    return f"{shown} ({name})" if name else shown


def _customer_name(number: str, names: Names) -> str:
    name = real_name(names.customer)
    # Some CRMs want a name for a new customer and get the number: said already.
    if not any(character.isalpha() for character in name) and phones.digits(name) == phones.digits(number):
        return ""
    return name


def _party(party: Party, names: Names) -> str:
    """`Петрова А. И. (151)`, `151` or `📱 +375 (29) 000-11-11`; "" when the number is not known."""
    match party.kind:
        case PartyKind.MOBILE:
            shown = phones.display(party.number)
            return f"📱 {shown}" if shown else ""
        case PartyKind.EXTENSION:
            extension = safe(party.number, NUMBER_LIMIT)
            manager = names.managers.get(party.number)
            name = safe(real_name(manager.short()), NAME_LIMIT) if manager and extension else ""
            return f"{name} ({extension})" if name else extension
        case _:
            assert_never(party.kind)


def _line(line_id: str, names: Names) -> str:
    shown = safe(real_name(names.line), LINE_LIMIT) or safe(line_id, NUMBER_LIMIT)
    return f"📡 {shown}" if line_id and shown else ""


def _transfers(chain: Sequence[Party], names: Names) -> str:
    shown = [text for party in chain if (text := _party(party, names))]
    return f"🔀 {joined(shown, _TOWARDS, TRANSFER_UNITS)}" if len(shown) > 1 else ""


def _started(started_at: datetime | None, zone: tzinfo) -> str:
    if started_at is None:
        return ""
    try:
        return f"⏰ {started_at.astimezone(zone):%H:%M}"
    except (OverflowError, ValueError):
        # A host may send the year 1 or 9999: the zone then leads out of what a datetime can hold. Such a time says nothing.
        return ""


def _recording(address: str, wording: CardWording) -> str:
    found = attribute(address.strip(), ADDRESS_LIMIT)
    # Telegram makes no link of anything else and would show a bare word in its place.
    if not found.startswith(("https://", "http://")):
        return ""
    return f'🔉 <a href="{found}">{wording.recording}</a>'
