"""One deadline a call, in a heap. Moving a deadline later costs nothing: the old entry is looked at again when its time comes."""

import heapq
from datetime import datetime

# Stale entries (of calls that are gone) are thrown out when they outnumber the living ones by this factor, so memory follows the open
# calls.
_STALE_FACTOR = 4
_STALE_FREE_ITEMS = 256


class Deadlines:
    """When which call wants to be looked at again."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int]] = []
        self._wanted: dict[int, datetime] = {}
        self._queued: dict[int, datetime] = {}

    def set(self, call_id: int, deadline: datetime) -> None:
        """Set, or move, the one deadline of a call."""
        self._wanted[call_id] = deadline
        queued = self._queued.get(call_id)
        if queued is None or deadline < queued:
            self._push(call_id, deadline)

    def drop(self, call_id: int) -> None:
        """Forget the call."""
        self._wanted.pop(call_id, None)
        self._queued.pop(call_id, None)
        if len(self._heap) > _STALE_FACTOR * len(self._wanted) + _STALE_FREE_ITEMS:
            self._heap = [(deadline, other) for other, deadline in self._wanted.items()]
            heapq.heapify(self._heap)
            self._queued = dict(self._wanted)

    def next(self) -> datetime | None:
        """The earliest deadline."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: datetime) -> tuple[datetime, int] | None:
        """Take out the earliest deadline that has passed, with its time."""
        # The head is never later than the true earliest deadline.
        if not self._heap or self._heap[0][0] > now:
            return None
        self._settle()
        if not self._heap or self._heap[0][0] > now:
            return None
        deadline, call_id = heapq.heappop(self._heap)
        self._wanted.pop(call_id, None)
        self._queued.pop(call_id, None)
        return deadline, call_id

    def _push(self, call_id: int, deadline: datetime) -> None:
        self._queued[call_id] = deadline
        heapq.heappush(self._heap, (deadline, call_id))

    def _settle(self) -> None:
        """Make the head of the heap a true one: drop entries of forgotten calls, push back those that moved."""
        while self._heap:
            deadline, call_id = self._heap[0]
            wanted = self._wanted.get(call_id)
            if wanted == deadline:
                return
            heapq.heappop(self._heap)
            if wanted is not None and self._queued.get(call_id) == deadline:
                self._push(call_id, wanted)
