"""Who gets the cards of an enterprise: the living subscriptions, read once and kept until something changes them."""

from gateway.nurseries.patience import Patience
from gateway.ports import Recipient, Store


class Recipients:
    """Recipients by enterprise, loaded on first use. Bounded by the number of enterprises times their subscribers."""

    def __init__(self, store: Store, *, patience: Patience) -> None:
        self._store = store
        self._patience = patience
        self._known: dict[str, tuple[Recipient, ...]] = {}
        # What was read before a change must not be kept after it: a reader keeps its answer only if no change came meanwhile.
        self._changes = 0

    async def of(self, enterprise_number: str) -> tuple[Recipient, ...]:
        """The recipients now. Waits for the database as long as it takes."""
        known = self._known.get(enterprise_number)
        if known is not None:
            return known
        changes = self._changes
        loaded = tuple(await self._patience.with_store("recipients", lambda: self._store.recipients(enterprise_number)))
        if changes == self._changes:
            self._known[enterprise_number] = loaded
        return loaded

    def refresh(self) -> None:
        """The configuration or a subscription changed: read everything again when it is next asked for."""
        self._changes += 1
        self._known.clear()

    def refresh_of(self, enterprise_number: str) -> None:
        """The same for one enterprise."""
        self._changes += 1
        self._known.pop(enterprise_number, None)

    def drop(self, bot_token: str, chat_id: int) -> None:
        """The chat is dead: it gets nothing from now on."""
        self._changes += 1
        for enterprise_number, known in self._known.items():
            kept = tuple(r for r in known if (r.bot_token, r.chat_id) != (bot_token, chat_id))
            if len(kept) != len(known):
                self._known[enterprise_number] = kept
