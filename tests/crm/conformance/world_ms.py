"""МойСклад under test."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from gateway.crm.base import CrmKind
from gateway.crm.ms import ms_crm_maker
from gateway.crm.registry import CrmMaker
from tester.fakes.crm_wire import Request
from tester.fakes.ms import FakeMoySklad
from tester.fakes.ms_calls import MsCall
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth
from tests.crm.conformance.world import PEOPLE, Clock, Means, World, record_of, utc


class MoySklad(World[FakeMoySklad]):
    """МойСклад."""

    kind = CrmKind.MS
    keys = ("PHONEKEYd03627d59c1948a0f9a6aa1e", "JSONTOKENd03627d59c1948a0f9a6aa1")
    limit_name = "phone rate"

    def __init__(self, clock: Clock) -> None:
        super().__init__(FakeMoySklad(now=clock))
        self.account = self.fake.add_account(*self.keys)
        for extension, name in PEOPLE.items():
            self.account.add_employee(extension, last_name=name)

    def maker(self, means: Means) -> CrmMaker:
        return ms_crm_maker(means.http, means.limiters, means.clock)

    @property
    def settings(self) -> Mapping[str, Any]:
        people = {each.extension: {"name": each.last_name, "employee_id": each.employee_id} for each in self.account.employees.values()}
        return {
            "enabled": True,
            "integration_code": self.keys[0],
            "api_token": self.keys[1],
            "employee_mapping": people,
            "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
        }

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "integration_code": "a-key-that-nobody-knows"}

    def records(self, name: Name) -> Sequence[Record]:
        return [self._record(call) for call in self.account.calls.values() if call.external_id == name.unique_id]

    def _record(self, call: MsCall) -> Record:
        ended = {"отвечен": Ended.ANSWERED, "занят": Ended.BUSY}.get(call.comment.rpartition(" ")[2], Ended.MISSED)
        return Record(
            is_incoming=call.is_incoming,
            phone=call.number.removeprefix("+"),
            person=call.extension,
            ended=ended,
            began_at=utc(call.started_at, ZoneInfo("Europe/Moscow")),
            seconds=(call.duration_milliseconds or 0) // 1000,
            recordings=tuple(call.record_urls),
        )

    def fitted(self, truth: Truth) -> Record:
        # A missed call is nobody's; what nobody answered has no length.
        is_answered = truth.ended is Ended.ANSWERED
        person = truth.only_one if is_answered or not truth.is_incoming else ""
        return record_of(truth, person=person, seconds=truth.whole_seconds if is_answered else 0)

    def step_of(self, request: Request) -> Step | None:
        if request.method == "GET":
            return None
        return Step.DIAL if request.method == "POST" and b'"SHOW"' in request.body else Step.HANGUP

    def makes_the_record(self, request: Request) -> bool:
        return self.step_of(request) is Step.HANGUP

    def too_many(self, hint_seconds: int | None) -> Answer:
        headers = () if hint_seconds is None else (("X-Lognex-Retry-After", str(hint_seconds * 1000)),)
        said = b'{"errors":[{"error":"too many","code":1049,"error_message":"too many"}]}'
        return Answer(status=429, body=said, headers=headers)

    @property
    def open_cards(self) -> Sequence[object]:
        return [call.external_id for call in self.account.calls.values() if call.seen_by]

    @property
    def refusals(self) -> Sequence[Answer]:
        return (Answer(status=412, body=b'{"errors":[{"error":"wrong","parameter":"number","code":3005,"error_message":"wrong"}]}'),)
