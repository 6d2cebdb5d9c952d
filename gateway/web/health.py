"""Is the gateway ready? Asked of the database each time, told by the service for the rest."""

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from gateway.errors import StoreRejected, StoreUnavailable
from gateway.ports import Store

# Probes give up after a second or so; an answer that comes later is as good as none.
PROBE_SECONDS: Final = 1.0


@attrs.frozen(kw_only=True)
class Health:
    """`replayed` and `listening` are asked of the service: is the restart replay done, are all listeners open?"""

    store: Store
    replayed: Callable[[], bool]
    listening: Callable[[], bool]

    async def missing(self) -> Sequence[str]:
        """What is not there, out of database, migrations, replay, listeners; empty when ready."""
        missing = list(await self._missing_of_database())
        if not self.replayed():
            missing.append("replay")
        if not self.listening():
            missing.append("listeners")
        return missing

    async def _missing_of_database(self) -> Sequence[str]:
        with trio.move_on_after(PROBE_SECONDS):
            try:
                await self.store.ping()
            except (StoreUnavailable, StoreRejected):
                return ("database",)
            try:
                return ("migrations",) if await self.store.missing_migrations() else ()
            except (StoreUnavailable, StoreRejected):
                return ("migrations",)
        return ("database",)
