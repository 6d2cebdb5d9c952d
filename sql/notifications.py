"""LISTEN / NOTIFY: what the server says out of turn, kept until somebody takes it."""

from collections import deque
from collections.abc import Generator
from typing import Any, Self

import attrs
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait

from sql.session import Session
from sql.wire import WAIT_READ


@attrs.frozen
class Notification:
    """A NOTIFY that reached this connection."""

    channel: str
    payload: str


class Inbox:
    """The notifications of one connection that came and were not taken yet, in order. psycopg hands them over between results."""

    def __init__(self, pgconn: PGconn) -> None:
        kept: deque[Notification] = deque()

        def keep(notify: Any) -> None:
            kept.append(Notification(notify.relname.decode(), notify.extra.decode()))

        self.kept = kept
        self._keep = keep
        pgconn.notify_handler = keep

    def receive(self, pgconn: PGconn) -> Generator[Wait, Ready, None]:
        """Wait until there is something."""
        while True:
            # A query may have read some without handing them over.
            while notify := pgconn.notifies():
                self._keep(notify)
            if self.kept:
                return
            yield WAIT_READ
            pgconn.consume_input()


class Notifications:
    """An endless asynchronous iterator. Cancelled between two of them: none is lost. Nothing else runs on the connection while it waits."""

    def __init__(self, session: Session, inbox: Inbox) -> None:
        self._session = session
        self._inbox = inbox

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        while not self._inbox.kept:
            await self._session.run(self._inbox.receive(self._session.pgconn))
        return self._inbox.kept.popleft()
