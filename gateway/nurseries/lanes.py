"""All lanes of the process: one for each enterprise that has, or had, something to do."""

from collections.abc import Iterable

import trio

from gateway.calls.recording import RecordedCall
from gateway.nurseries.lane import Lane
from gateway.nurseries.lane_room import LaneRoom
from gateway.ports import StoredEvent


class Lanes:
    """Lanes by enterprise, made on demand. A lane lives as long as the process, so their number is that of the enterprises."""

    def __init__(self, room: LaneRoom, nursery: trio.Nursery) -> None:
        """`nursery`: where the lanes live; one that breaks takes the process down with its reason."""
        self._room = room
        self._nursery = nursery
        self._lanes: dict[str, Lane] = {}
        self._closing = False

    async def start(self) -> None:
        """Begin with every enterprise that has open calls or events not yet understood.

        On return all open calls are in memory again and what they owe is on its way; waits for the database as long as it takes.
        """
        numbers = await self._room.patience.with_store("enterprises with work", self._room.store.enterprises_with_work)
        for lane in [self._lane(number) for number in numbers]:
            await lane.restored.wait()

    def put(self, events: Iterable[StoredEvent]) -> None:
        """Events that are stored now, each to its lane. Never waits, never refuses."""
        for event in events:
            self._lane(event.enterprise_number).put(event)

    def look_again(self, enterprise_numbers: Iterable[str]) -> None:
        """The store may hold events of these that were not put: a commit whose answer was lost."""
        for number in enterprise_numbers:
            self._lane(number).look_again()

    def look_everywhere(self) -> None:
        """As `look_again`, for all lanes: after the database was away."""
        self.look_again(list(self._lanes))

    def note_recording(self, call: RecordedCall) -> None:
        """The recording of this call is known now, and stored. Never waits."""
        if not self._closing:
            self._lane(call.enterprise_number).note_recording(call.call_id)

    def close(self) -> None:
        """Let every lane finish what is stored, and end."""
        self._closing = True
        for lane in self._lanes.values():
            lane.close()

    @property
    def open_calls(self) -> int:
        """Calls in memory."""
        return sum(lane.open_calls for lane in self._lanes.values())

    @property
    def queued_events(self) -> int:
        """Events in memory that are not yet understood."""
        return sum(lane.queued_events for lane in self._lanes.values())

    @property
    def left_events(self) -> int:
        """Events in memory that the store still calls unprocessed; those of `behind` come on top."""
        return sum(lane.left_events for lane in self._lanes.values())

    @property
    def processed_events(self) -> int:
        """Events understood since the start of the process, refused ones included."""
        return sum(lane.processed_events for lane in self._lanes.values())

    @property
    def behind(self) -> tuple[str, ...]:
        """The enterprises whose events wait in the store."""
        return tuple(number for number, lane in self._lanes.items() if lane.behind)

    def _lane(self, enterprise_number: str) -> Lane:
        lane = self._lanes.get(enterprise_number)
        if lane is None:
            lane = self._lanes[enterprise_number] = Lane(enterprise_number, self._room)
            if self._closing:
                lane.close()
            self._nursery.start_soon(lane.run, name=repr(lane))
        return lane
