"""What a run sees of its gateway: its chats, its CRMs and the refusals in Telegram's place, told to its journal as they happen."""

from collections.abc import Iterable

import trio

from gateway.cards.policy import FinalMode
from gateway.nurseries.clock import Clock
from gateway.ports import Attempt, Shown, Step
from tester.emulator.chats import Chats, MessageChange, change_data
from tester.emulator.journal import Journal

_FORBIDDEN = 403


class Sight:
    """The watcher of one run (`tester.emulator.watch.Watcher`). Nothing here waits."""

    def __init__(self, *, final: FinalMode, journal: Journal, clock: Clock) -> None:
        self.chats = Chats(final)
        self._journal = journal
        self._clock = clock
        self._changed = trio.Event()
        # Chats that were told that their people have blocked the bot, in the order of being told.
        self._blocked: dict[int, None] = {}

    @property
    def blocked(self) -> tuple[int, ...]:
        """The chats that are taken for dead because of this run, or of another one of the same enterprise."""
        return tuple(self._blocked)

    @property
    def changed(self) -> trio.Event:
        """Set with the next change of what is seen."""
        return self._changed

    def own(self, event_id: int) -> None:
        """An answer said that this event is the run's."""
        self._tell(self.chats.own(event_id))

    def understood(self, step: Step) -> None:
        """As Watcher says."""
        self._tell(self.chats.understood(step))

    def shown(self, shown: Shown) -> None:
        """As Watcher says."""
        self._tell(self.chats.shown(shown))

    def attempted(self, attempt: Attempt) -> None:
        """As Watcher says."""
        self._tell(self.chats.attempted(attempt))

    def answered(self, *, method: str, chat_id: int, status: int, retry_after: int | None) -> None:
        """As Watcher says."""
        if status == _FORBIDDEN:
            self._blocked[chat_id] = None
        self._journal.publish("telegram", {"method": method, "chat": chat_id, "status": status, "retry_after": retry_after})
        self._wake()

    def _tell(self, news: Iterable[MessageChange | Attempt]) -> None:
        for one in news:
            if isinstance(one, MessageChange):
                self._journal.publish("message", {**change_data(one), "at": self._clock().isoformat(timespec="milliseconds")})
            else:
                told = {"crm": one.key.crm, "kind": str(one.key.kind), "outcome": one.outcome, "problem": one.problem}
                self._journal.publish("crm", told)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
