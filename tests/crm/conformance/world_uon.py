"""U-ON Travel under test."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.crm.base import CrmKind
from gateway.crm.registry import CrmMaker
from gateway.crm.uon import uon_crm_maker
from tester.fakes.crm_wire import Request
from tester.fakes.uon import FakeUon
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth
from tests.crm.conformance.world import PEOPLE, Clock, Means, World, record_of, retry_after, utc


class Uon(World[FakeUon]):
    """U-ON Travel."""

    kind = CrmKind.UON
    keys = ("KeyOfUonForConformance01",)
    # A record of the history is never changed.
    keeps_late_recordings = False
    limit_name = "requests per second"
    # Of ten in a second six are ours: enterprises let other programs use the same key.
    near = 0.55

    def __init__(self, clock: Clock) -> None:
        super().__init__(FakeUon(self.keys, now=clock))
        for number, (extension, name) in enumerate(PEOPLE.items()):
            self.fake.account.add_manager(5 + number, surname=name, extension=extension)

    def maker(self, means: Means) -> CrmMaker:
        return uon_crm_maker(means.http, means.limiters, means.clock)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "api_key": self.keys[0],
            "user_extensions": {str(manager.manager_id): manager.extension for manager in self.fake.account.managers.values()},
            "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
        }

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "api_key": "KeyThatNobodyKnows000001"}

    def records(self, name: Name) -> Sequence[Record]:
        found: list[Record] = []
        for call in self.fake.account.calls_with(name.phone):
            manager = self.fake.account.managers.get(call.manager_id or 0)
            record = Record(
                is_incoming={2: True, 1: False}[call.direction],
                phone=call.phone,
                person="" if manager is None else manager.extension,
                ended={"Статус: отвеченный": Ended.ANSWERED, "Статус: неотвеченный": Ended.MISSED}[call.note],
                began_at=utc(datetime.fromisoformat(call.start), ZoneInfo("Europe/Minsk")),
                seconds=call.duration,
                recordings=(call.record_link,) if call.record_link else (),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        # There are two ends only.
        ended = Ended.ANSWERED if truth.ended is Ended.ANSWERED else Ended.MISSED
        return record_of(truth, person=truth.only_one, ended=ended)

    def step_of(self, request: Request) -> Step | None:
        if self.makes_the_record(request):
            return Step.HANGUP
        return Step.DIAL if request.path.endswith("/notification/create.json") else None

    def makes_the_record(self, request: Request) -> bool:
        return request.path.endswith("/call_history/create.json")

    def too_many(self, hint_seconds: int | None) -> Answer:
        # U-ON gives no header; what stands before it may.
        return Answer(status=429, body=b'{"error":{"code":429,"message":"Too Many Requests"}}', headers=retry_after(hint_seconds))

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"error":{"code":404,"message":"Parameter start is wrong"}}'
        return (Answer(status=404, body=said), Answer(status=200, body=said))
