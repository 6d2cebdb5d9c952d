"""Enrichment: who is in a call, by name. What memory knows costs no task; the rest is searched beside the event, and never holds it up.

The three searches of a card (customer, managers, line) run in parallel; one that fails is counted and the others go on. The first message
of a call waits for them at most `budget_seconds`, counted from when its card was first wanted; no later one waits. A name that comes late
goes onto the card, and the living message is edited. Nothing is asked twice for a call, however many events and subscribers it has.

After a restart a message is there already: it waits, somewhat longer, rather than lose its name to a comparison that came too early.
"""

import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum, auto
from functools import partial

import trio

from cache.configurations import Metadata, metadata_of
from cache.core import LookupFailed
from cache.customers import asked_number
from cache.directory import AmbiguousEnterprise
from gateway.calls.record import CallRecord
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.metrics import Metrics
from gateway.nurseries.living import Card
from gateway.nurseries.lookups import Lookups
from gateway.nurseries.naming import needs_of
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig, NamedCustomer, Store

log = logging.getLogger(__name__)

# So long a message that is there already waits after a restart: a database that has just come back and a CRM that takes its whole time.
RESTORED_SECONDS = 2.5
# Types of calls that have a customer: incoming and outgoing (`CallRecord.call_type`).
_EXTERNAL = (0, 1)


class What(StrEnum):
    """What is looked up."""

    CUSTOMER = auto()
    MANAGERS = auto()
    LINE = auto()


class Result(StrEnum):
    """What came of it. `HIT`: memory knew, also that there is none."""

    HIT = auto()
    FOUND = auto()
    UNKNOWN = auto()
    FAILED = auto()


Search = Callable[[], Awaitable[bool]]
"""Looks something up for a card; whether the card says something else now."""


class Enrichment:
    """Finds names for cards. `look` begins, `search` does one of the searches that it gives, `settled` waits for them."""

    def __init__(self, *, lookups: Lookups, store: Store, metrics: Metrics, budget_seconds: float) -> None:
        self._configurations = lookups.configurations
        self._customers = lookups.customers
        self._store = store
        self.metrics = metrics
        self._budget_seconds = budget_seconds
        self._scopes: set[trio.CancelScope] = set()
        self._closing = False

    def __repr__(self) -> str:
        return f"<Enrichment: {len(self._scopes)} searches>"

    # ------------------------------------------------------------------ for the event's nursery

    def look(self, card: Card) -> Sequence[Search]:
        """Give the card the names that memory knows; what is left to be searched. The caller runs each of these by `search`, in parallel.

        Does not wait.
        """
        view, naming = card.change.view, card.naming
        if view is None or self._closing:
            return ()
        if not naming.is_begun:
            naming.is_begun = True
            naming.due_at = trio.current_time() + (RESTORED_SECONDS if card.slots else self._budget_seconds)
        needs = needs_of(view)
        searches = [
            *self._customer(card, needs.phone),
            *self._people(card, needs.extensions - naming.managers.keys()),
            *self._line(card, needs.line),
        ]
        if searches and not naming.open_items:
            naming.quiet = trio.Event()
        naming.open_items += len(searches)
        return searches

    async def search(self, card: Card, search: Search) -> bool:
        """Do one of the searches; whether the card says something else now that somebody has been told the former.

        Cut short by `close`: what was shown stays.
        """
        naming, is_late = card.naming, False
        try:
            with self._scope():
                if await search():
                    card.rename()
                    is_late = naming.is_spread
        finally:
            naming.open_items -= 1
            if not naming.open_items:
                naming.quiet.set()
        if is_late:
            self.metrics.late_name()
        return is_late

    async def settled(self, card: Card) -> None:
        """Return when the card has all its names, at the latest when its budget is over."""
        with trio.move_on_at(card.naming.due_at):
            while card.naming.open_items:
                await card.naming.quiet.wait()

    async def keep(self, card: Card) -> None:
        """Write down the name of a customer that came after the step that closed the call was made. Cut short by `close`."""
        number, view = card.enterprise.number, card.change.view
        if view is None or not card.is_final or not view.outside:
            return
        named = self._customers.take_named(number, view.outside)
        if named is None:
            return
        is_settled = False
        try:
            with self._scope():
                await self._store.name_customer(number, named)
                is_settled = True
        except StoreUnavailable:
            log.warning("enterprise %s: a name waits for the next call of its customer: the database is away", number)
        except StoreRejected as exc:
            is_settled = True
            log.error("enterprise %s: the database refuses the name of a customer: %s", number, exc)
        finally:
            if not is_settled:
                self._customers.give_back(number, named)

    # ------------------------------------------------------------------ for the lane and the service

    def named_of(self, config: EnterpriseConfig, record: CallRecord) -> NamedCustomer | None:
        """The name to be written in the transaction that closes a call: what a CRM has said of its number and is not written yet."""
        return self._customers.take_named(config.number, record.phone) if record.call_type in _EXTERNAL else None

    def close(self) -> None:
        """End all searches; begin none."""
        self._closing = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def _scope(self) -> Generator[None]:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._closing:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    # ------------------------------------------------------------------ the three look-ups

    def _customer(self, card: Card, phone: str) -> Sequence[Search]:
        naming = card.naming
        if not phone or not asked_number(phone):
            return ()
        if phone in naming.customers:
            known = self._customers.known(card.enterprise.number, phone)
            if known is not None and known.name:
                # Somebody else has found it out meanwhile, or the one on the card was old and has been asked for anew.
                naming.customers[phone] = known.name
            return ()
        naming.customers[phone] = ""
        entry = self._customers.hit(card.enterprise, phone)
        if entry is None:
            return (partial(self._find_customer, card, phone),)
        self.metrics.lookup(What.CUSTOMER, Result.HIT)
        if entry.value is not None:
            naming.customers[phone] = entry.value.name
        return ()

    async def _find_customer(self, card: Card, phone: str) -> bool:
        try:
            found = await self._customers.look_up(card.enterprise, phone)
        except LookupFailed:
            # Which of the sources it was, and why, `Customers` has counted.
            self.metrics.lookup(What.CUSTOMER, Result.FAILED)
            return False
        name = found.name if found is not None else ""
        self.metrics.lookup(What.CUSTOMER, Result.FOUND if name else Result.UNKNOWN)
        card.naming.customers[phone] = name
        return bool(name)

    def _people(self, card: Card, extensions: frozenset[str]) -> Sequence[Search]:
        def take(managers: Mapping[str, ManagerConfig]) -> bool:
            card.naming.managers.update({extension: managers.get(extension) for extension in extensions})
            return any(extension in managers for extension in extensions)

        if not extensions:
            return ()
        card.naming.managers.update(dict.fromkeys(extensions))
        return self._of_metadata(card, What.MANAGERS, lambda found: take(found.managers))

    def _line(self, card: Card, line_id: str) -> Sequence[Search]:
        def take(lines: Mapping[str, LineConfig]) -> bool:
            card.naming.lines[line_id] = lines.get(line_id)
            return line_id in lines

        if not line_id or line_id in card.naming.lines:
            return ()
        card.naming.lines[line_id] = None
        return self._of_metadata(card, What.LINE, lambda found: take(found.lines))

    def _of_metadata(self, card: Card, what: What, take: Callable[[Metadata], bool]) -> Sequence[Search]:
        entry = self._configurations.metadata_hit(card.enterprise.number)
        if entry is None:
            return (partial(self._find_metadata, card, what, take),)
        self.metrics.lookup(what, Result.HIT)
        take(entry.value or metadata_of(card.enterprise))
        return ()

    async def _find_metadata(self, card: Card, what: What, take: Callable[[Metadata], bool]) -> bool:
        try:
            found = await self._configurations.metadata(card.enterprise.number)
        except (LookupFailed, AmbiguousEnterprise):
            self.metrics.lookup(what, Result.FAILED)
            return take(metadata_of(card.enterprise))
        # Without one the enterprise is gone; the lane still has the configuration that the call began with.
        is_known = take(found or metadata_of(card.enterprise))
        self.metrics.lookup(what, Result.FOUND if is_known else Result.UNKNOWN)
        return is_known
