"""Where a call is found: by the ids of its channels, bridges, Local pairs, by Linkedid, and by the numbers in it."""

from collections.abc import Iterable

from gateway.calls import events
from gateway.calls.channels import ChannelKind
from gateway.calls.progress import Known

# Spellings of one number share these last digits; they are its key.
_SIGNIFICANT_DIGITS = 9
# A call is found under so many numbers and no more; see `gateway.calls.call` for the other bounds.
MAX_NUMBERS_ITEMS = 400


def numbers_of(event: events.AnyEvent) -> list[str]:
    """The numbers under which the call of an event may be looked for, "" left out."""
    match event:
        case events.ChannelEvent():
            found = [event.caller, event.connected]
            if event.channel.kind in (ChannelKind.EXTENSION, ChannelKind.LOCAL):
                found.append(event.channel.peer)
        case events.Dial() | events.Hangup():
            found = [event.phone, *event.extensions]
        case events.Start():
            found = [event.phone]
        case _:
            return []
    return [number[-_SIGNIFICANT_DIGITS:] for number in found if number]


class Ids:
    """The index of one enterprise's open calls. Everything of a call leaves it with the call."""

    def __init__(self) -> None:
        self.unique_ids: dict[str, int] = {}
        self.bridges: dict[str, int] = {}
        self.pairs: dict[str, int] = {}
        self.linkedids: dict[str, int] = {}
        self._numbers: dict[str, dict[int, None]] = {}

    def by_ids(self, event: events.AnyEvent, *, bridge_id: str) -> dict[int, None]:
        """The calls that know an id of an event; `bridge_id` as for `enter`."""
        found: dict[int, None] = {}
        if (call_id := self.linkedids.get(event.linkedid)) is not None:
            found[call_id] = None
        if (call_id := self.unique_ids.get(event.unique_id)) is not None:
            found[call_id] = None
        if (call_id := self.bridges.get(bridge_id)) is not None:
            found[call_id] = None
        if isinstance(event, events.ChannelEvent) and (call_id := self.pairs.get(event.channel.pair)) is not None:
            found[call_id] = None
        return found

    def enter(self, known: Known, event: events.AnyEvent, *, bridge_id: str) -> None:
        """Make a call findable by what an event says. `bridge_id` is "" when the bridge ties nobody together (a parking lot)."""
        call, call_id = known.call, known.call.call_id
        # Only what the call itself keeps may lead to it, or it would stay here when the call is forgotten.
        if call.leg(event.unique_id) is not None:
            self.unique_ids[event.unique_id] = call_id
            if isinstance(event, events.ChannelEvent) and event.channel.pair:
                self.pairs[event.channel.pair] = call_id
        if call.bridge(bridge_id) is not None:
            self.bridges[bridge_id] = call_id
        if call.link(event.linkedid):
            self.linkedids[event.linkedid] = call_id
        for number in numbers_of(event):
            if number not in known.numbers and len(known.numbers) < MAX_NUMBERS_ITEMS:
                known.numbers[number] = None
                self._numbers.setdefault(number, {})[call_id] = None

    def move(self, absorbed: Known, survivor: Known) -> None:
        """Everything of `absorbed` leads to `survivor` now. Call before the facts are absorbed."""
        call_id = survivor.call.call_id
        for index, keys in self._keys(absorbed):
            for key in keys:
                if index.get(key) == absorbed.call.call_id:
                    index[key] = call_id
        for number in absorbed.numbers:
            holders = self._numbers.setdefault(number, {})
            holders.pop(absorbed.call.call_id, None)
            holders[call_id] = None
            survivor.numbers[number] = None

    def leave(self, known: Known) -> None:
        """Forget a call."""
        for index, keys in self._keys(known):
            for key in keys:
                if index.get(key) == known.call.call_id:
                    del index[key]
        for number in known.numbers:
            holders = self._numbers.get(number)
            if holders is not None:
                holders.pop(known.call.call_id, None)
                if not holders:
                    del self._numbers[number]

    def by_numbers(self, event: events.AnyEvent) -> list[int]:
        """The calls that share a number with an event, newest first."""
        found = {call_id: None for number in numbers_of(event) for call_id in self._numbers.get(number, ())}
        return sorted(found, reverse=True)

    def _keys(self, known: Known) -> Iterable[tuple[dict[str, int], Iterable[str]]]:
        call = known.call
        return (self.unique_ids, call.legs), (self.bridges, call.bridges), (self.pairs, call.pairs), (self.linkedids, call.linkedids)
