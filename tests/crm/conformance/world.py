"""What a CRM under test is, with its fake: how it is set up, what it is asked, and what it holds of a call in the common measure.

A world says nothing of how its adapter works: it reads the fake, and it says what that CRM can hold of a truth.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar
from zoneinfo import ZoneInfo

import attrs

from gateway.crm.base import CrmKind
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.registry import CrmMaker
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Request
from tester.memory import MemoryStore
from tests.crm.conformance.facts import Answer, Name, Record, Step, Truth

PEOPLE = {"151": "Петрова", "152": "Сидоров", "153": "Ким"}

Clock = Callable[[], datetime]
F = TypeVar("F", bound=CrmServer)


@attrs.frozen(kw_only=True)
class Means:
    """What adapters are made with."""

    http: CrmHttp
    limiters: Limiters
    store: MemoryStore
    clock: Clock


class World(ABC, Generic[F]):
    """One CRM and its fake, made anew for each test.

    `keys`: what lets us in. `keeps_late_recordings`: whether a call that it has takes a recording. `limit_name`: the limit that a burst of
    calls comes near to, "" when it has none, and `near`: how near at least, where 1 is the limit itself.
    """

    kind: ClassVar[CrmKind]
    keys: ClassVar[tuple[str, ...]]
    keeps_late_recordings: ClassVar[bool] = True
    limit_name: ClassVar[str] = ""
    near: ClassVar[float] = 0.9

    def __init__(self, fake: F) -> None:
        self.fake = fake

    @abstractmethod
    def maker(self, means: Means) -> CrmMaker:
        """What `gateway.bootstrap` makes of it."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """The table of an enterprise whose administrator has made no mistake."""

    @property
    @abstractmethod
    def wrong_settings(self) -> Mapping[str, Any]:
        """The same with a key that the CRM does not know."""

    @abstractmethod
    def records(self, name: Name) -> Sequence[Record]:
        """What it holds of a call."""

    @abstractmethod
    def fitted(self, truth: Truth) -> Record:
        """As much of the truth as it can hold."""

    @abstractmethod
    def step_of(self, request: Request) -> Step | None:
        """What a request tells it; None when nothing."""

    @abstractmethod
    def makes_the_record(self, request: Request) -> bool:
        """Whether this is the request after which it has the ended call."""

    @abstractmethod
    def too_many(self, hint_seconds: int | None) -> Answer:
        """How it says that there are too many requests."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that may stand nowhere but in requests."""
        return self.keys

    def is_telling(self, request: Request) -> bool:  # noqa: ARG002
        """Whether a request is one of those that tell of calls."""
        return True

    @property
    def open_cards(self) -> Sequence[object]:
        """Cards of calls on people's screens now."""
        return ()

    @property
    def refusals(self) -> Sequence[Answer]:
        """Answers by which it refuses a report for good, whatever the status says."""
        return (Answer(status=400, body=b'{"error": "no such thing"}'),)


def record_of(truth: Truth, **fields: Any) -> Record:
    record = Record(
        is_incoming=truth.is_incoming,
        phone=truth.phone,
        person=truth.person,
        ended=truth.ended,
        began_at=truth.began_at,
        seconds=truth.whole_seconds,
        recordings=(truth.recording_url,) if truth.recording_url else (),
    )
    return attrs.evolve(record, **fields)


def utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def retry_after(seconds: int | None) -> tuple[tuple[str, str], ...]:
    """As a header of an answer."""
    return () if seconds is None else (("Retry-After", str(seconds)),)
