"""Who has a number: from memory, then from the database, then from the enterprise's primary CRM, else nobody knows.

Two caches. `profiles` holds what was found, wherever. `answers` holds what the CRM said, so that a name and the person responsible cost one
question, and so that it is known what has still to be written down. Whoever asks waits; the loads belong to `Customers.run`.

A profile is held for 90 seconds and not a moment longer: the database is near, and a name that was corrected there by hand is to be seen.

The CRM is asked for a name at most once a day: what it said is kept in the database (`Customers.take_named`), and an older name is served
while the CRM is asked again. Until it is written down there, what the CRM said stands here in the same way. A name that was put into the
database by hand has no source and stands: nobody is asked for it, and what a CRM says of its number all the same is not written down.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum

import attrs
import trio

from cache.core import Cache, Entry, Lifetimes, LookupFailed
from cache.statistics import Statistics
from gateway.calls.phones import MAX_KEPT_DIGITS, digits, is_internal, is_unknown
from gateway.errors import GatewayError
from gateway.ports import Customer, CustomerProfile, EnterpriseConfig, NamedCustomer

TTL_SECONDS = 90.0
FAILED_SECONDS = 5.0
RENEW_AFTER = timedelta(days=1)
# A profile is 1 KB, with the CRM's record some more (the cleaning bounds it): 5,000 profiles are 5 to 80 MB.
MAX_ITEMS = 5_000
# Short numbers of a town exist; what is shorter still is no customer.
MIN_DIGITS = 5
# A CRM that has failed so often in a row is down: it is left alone for a while, whoever calls. Nobody waits for it then.
FAILURES_IN_A_ROW = 3
REST_SECONDS = 5.0

LookUp = Callable[[EnterpriseConfig, str], Awaitable[CustomerProfile | None]]
"""Asks the primary CRM of an enterprise who has a number (digits). None: it knows nobody, or there is nobody to be asked."""

Clean = Callable[[CustomerProfile, str], CustomerProfile]
"""A profile as it may be kept and shown; the second argument is its number."""

_Key = tuple[str, str]


class Source(StrEnum):
    """Who is asked."""

    DATABASE = "database"
    CRM = "crm"


class NotAsked(LookupFailed):
    """The CRM has failed so often that it is left alone for some seconds."""


@attrs.define(eq=False)
class _Enterprise:
    """What is known of an enterprise's CRM; there is a new one when the enterprise is invalidated."""

    config: EnterpriseConfig
    failures: int = 0
    rests_until: float = float("-inf")


def asked_number(phone: str | None) -> str:
    """The digits of a number that one can ask for; "" for what is malformed, hidden or internal."""
    found = digits(phone)
    is_number = MIN_DIGITS <= len(found) <= MAX_KEPT_DIGITS and not is_unknown(found) and not is_internal(found)
    return found if is_number else ""


class Customers:
    """Look-ups of customers by enterprise and number (in any form; see `asked_number`).

    `stored` reads the row of `customers`. `look_up` may take `timeout_seconds` and raise anything. `on_failure` is told of each source that
    failed, with its error. `wall_clock` gives aware UTC.
    """

    def __init__(
        self,
        *,
        stored: Callable[[str, str], Awaitable[Customer | None]],
        look_up: LookUp,
        clean: Clean,
        timeout_seconds: float,
        wall_clock: Callable[[], datetime],
        on_failure: Callable[[Source, Exception], None],
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._stored = stored
        self._look_up = look_up
        self._clean = clean
        self._timeout_seconds = timeout_seconds
        self._wall_clock = wall_clock
        self._on_failure = on_failure
        self._clock = clock
        self._profiles: Cache[_Key, CustomerProfile] = Cache(
            "customers", self._load_profile, lifetimes=self._lifetimes(2 * timeout_seconds), max_items=MAX_ITEMS, clock=clock
        )
        self._answers: Cache[_Key, CustomerProfile] = Cache(
            "CRM answers", self._load_answer, lifetimes=self._lifetimes(timeout_seconds), max_items=MAX_ITEMS, clock=clock
        )
        # One for each enterprise that was asked for.
        self._enterprises: dict[str, _Enterprise] = {}
        # Names that a CRM gave and that are not in the database yet; the oldest go when there are too many.
        self._unstored: OrderedDict[_Key, NamedCustomer] = OrderedDict()
        self._renewing: set[_Key] = set()
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<Customers: {len(self._profiles)} profiles, {len(self._answers)} answers, {len(self._unstored)} not stored>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all loads, for ever; started when look-ups can load. See `Cache.run`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._answers.run)
            await nursery.start(self._profiles.run)
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    # ------------------------------------------------------------------ look-ups

    async def look_up(self, config: EnterpriseConfig, phone: str) -> CustomerProfile | None:
        """Who has this number; None when nobody knows, or the number is none. Cancelled, it leaves the load to others.

        Raises: `LookupFailed`: a source failed, and no other one knew.
        """
        key = self._key(config, phone)
        return await self._profiles.get(key) if key is not None else None

    async def profile(self, config: EnterpriseConfig, phone: str) -> CustomerProfile | None:
        """The same, None also when it cannot be found out now."""
        try:
            return await self.look_up(config, phone)
        except LookupFailed:
            return None

    async def name(self, config: EnterpriseConfig, phone: str) -> str | None:
        """The name of who has this number; None when there is none, or it cannot be found out now."""
        profile = await self.profile(config, phone)
        return (profile.name or None) if profile is not None else None

    async def responsible_extension(self, config: EnterpriseConfig, phone: str, *, fresh: bool = False) -> str | None:
        """The extension of who is responsible for this customer, as the CRM says; None when there is none or the CRM cannot be asked.

        `fresh`: ask now, whatever is cached; the answer is cached as always.
        """
        key = self._key(config, phone)
        if key is None:
            return None
        try:
            answer = await (self._answers.fetch(key) if fresh else self._ask(key))
        except LookupFailed:
            return None
        return (answer.extension or None) if answer is not None else None

    def hit(self, config: EnterpriseConfig, phone: str) -> Entry[CustomerProfile] | None:
        """What memory can answer without waiting, counted; None: see `look_up`."""
        key = self._key(config, phone)
        return self._profiles.hit(key) if key is not None else None

    def known(self, number: str, phone: str) -> CustomerProfile | None:
        """What memory holds. Not counted, and nothing is asked."""
        entry = self._profiles.peek((number, asked_number(phone)))
        return entry.value if entry is not None else None

    def put(self, number: str, phone: str, profile: CustomerProfile | None) -> None:
        """Hold what was found out another way; None: nobody knows."""
        if found := asked_number(phone):
            self._profiles.put((number, found), self._cleaned(profile, found) if profile is not None else None)

    def invalidate(self, number: str) -> None:
        """Forget everything of an enterprise, what is not stored yet included: its CRM may be another one now."""
        self._profiles.invalidate_where(lambda key: key[0] == number)
        self._answers.invalidate_where(lambda key: key[0] == number)
        self._enterprises.pop(number, None)
        for key in [key for key in self._unstored if key[0] == number]:
            del self._unstored[key]

    # ------------------------------------------------------------------ what has to be written down

    def take_named(self, number: str, phone: str) -> NamedCustomer | None:
        """The name that a CRM has given for this number and nobody has taken yet: whoever takes it writes it down."""
        return self._unstored.pop((number, asked_number(phone)), None)

    def give_back(self, number: str, named: NamedCustomer) -> None:
        """It could not be written down."""
        self._unstored.setdefault((number, named.phone), named)

    def is_unstored(self, number: str, phone: str) -> bool:
        """Whether `take_named` has something."""
        return (number, asked_number(phone)) in self._unstored

    # ------------------------------------------------------------------ figures

    @property
    def statistics(self) -> Statistics:
        """Of the look-ups of profiles and names."""
        return self._profiles.statistics

    @property
    def crm_statistics(self) -> Statistics:
        """Of what the CRM was asked; its loads are the questions."""
        return self._answers.statistics

    def __len__(self) -> int:
        """How many profiles are held, "nobody" included."""
        return len(self._profiles)

    # ------------------------------------------------------------------ inside

    def _lifetimes(self, load_seconds: float) -> Lifetimes:
        # The loads have their own deadlines: the cache's only keeps a key from being stuck.
        return Lifetimes(
            fresh_seconds=TTL_SECONDS,
            stale_seconds=0.0,
            missing_seconds=TTL_SECONDS,
            failed_seconds=FAILED_SECONDS,
            load_seconds=load_seconds + 1.0,
        )

    def _key(self, config: EnterpriseConfig, phone: str) -> _Key | None:
        found = asked_number(phone)
        if not found:
            return None
        known = self._enterprises.get(config.number)
        if known is None:
            self._enterprises[config.number] = _Enterprise(config)
        else:
            known.config = config
        return config.number, found

    async def _load_profile(self, key: _Key) -> CustomerProfile | None:
        failure: Exception | None = None
        customer: Customer | None = None
        try:
            with trio.fail_after(self._timeout_seconds):
                customer = await self._stored(*key)
        except (GatewayError, trio.TooSlowError) as exc:
            self._on_failure(Source.DATABASE, exc)
            failure = exc
        if customer is not None:
            profile = self._cleaned(customer.profile, key[1])
            if profile.name:
                if not profile.source:
                    # Put in by hand: what a CRM has said, asked for something else, must not replace it.
                    self._unstored.pop(key, None)
                return self._renewed(key, profile) if self._is_old(customer) else profile
        named = self._unstored.get(key)
        if named is not None:
            return self._renewed(key, named.profile)
        answer = await self._ask(key)
        if answer is None and failure is not None:
            # "Nobody" would be kept; the database may know better.
            raise failure
        return answer

    def _is_old(self, customer: Customer) -> bool:
        if not customer.profile.source:
            return False
        return customer.named_at is None or self._wall_clock() - customer.named_at > RENEW_AFTER

    def _renewed(self, key: _Key, profile: CustomerProfile) -> CustomerProfile:
        """An old name of the CRM's: what it has said meanwhile, or the old one while it is asked."""
        entry = self._answers.peek(key)
        if entry is not None:
            return entry.value if entry.value is not None and entry.value.name else profile
        if self._nursery is not None and key not in self._renewing:
            self._renewing.add(key)
            self._nursery.start_soon(self._renew, key, name="renewal of a name")
        return profile

    async def _renew(self, key: _Key) -> None:
        enterprise = self._enterprises.get(key[0])
        try:
            answer = await self._ask(key)
        except LookupFailed:
            # Counted where it failed. The old name stands.
            return
        finally:
            self._renewing.discard(key)
        if answer is not None and answer.name and self._enterprises.get(key[0]) is enterprise:
            self._profiles.put(key, answer)

    async def _ask(self, key: _Key) -> CustomerProfile | None:
        """What the CRM says, or has said less than 90 seconds ago. Raises `LookupFailed`."""
        enterprise = self._enterprises.get(key[0])
        if enterprise is not None and self._clock() < enterprise.rests_until and self._answers.peek(key) is None:
            raise NotAsked("the CRM is left alone after its failures")
        return await self._answers.get(key)

    async def _load_answer(self, key: _Key) -> CustomerProfile | None:
        number, phone = key
        enterprise = self._enterprises.get(number)
        if enterprise is None:
            raise NotAsked("the enterprise was invalidated")
        try:
            with trio.fail_after(self._timeout_seconds):
                found = await self._look_up(enterprise.config, phone)
        except Exception as exc:
            # Whatever it was: it is counted here, and the cache ends it.
            self._on_failure(Source.CRM, exc)
            enterprise.failures += 1
            if enterprise.failures >= FAILURES_IN_A_ROW:
                enterprise.rests_until = self._clock() + REST_SECONDS
            raise
        enterprise.failures = 0
        profile = self._cleaned(found, phone) if found is not None else None
        if self._enterprises.get(number) is not enterprise:
            return profile
        self._unstored.pop(key, None)
        if profile is not None and profile.name and not self._is_by_hand(key):
            self._unstored[key] = NamedCustomer(phone=phone, profile=profile, at=self._wall_clock())
            while len(self._unstored) > MAX_ITEMS:
                self._unstored.popitem(last=False)
        return profile

    def _is_by_hand(self, key: _Key) -> bool:
        """Whether the database is known to have a name that nobody's CRM gave."""
        entry = self._profiles.peek(key)
        return entry is not None and entry.value is not None and bool(entry.value.name) and not entry.value.source

    def _cleaned(self, profile: CustomerProfile, phone: str) -> CustomerProfile:
        profile = self._clean(profile, phone)
        return profile if is_internal(profile.extension) else attrs.evolve(profile, extension="")
