"""RetailCRM under test."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from gateway.crm.base import CrmKind
from gateway.crm.registry import CrmMaker
from gateway.crm.retailcrm import retailcrm_maker
from tester.fakes.crm_wire import Request
from tester.fakes.retailcrm import FakeRetailCrm
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth
from tests.crm.conformance.world import PEOPLE, Clock, Means, World, record_of, retry_after, utc


class RetailCrm(World[FakeRetailCrm]):
    """RetailCRM (Simla.com)."""

    kind = CrmKind.RETAILCRM
    keys = ("0123456789abcdefKEYofRETAILCRM00",)
    # An uploaded call is not changed any more.
    keeps_late_recordings = False
    limit_name = "telephony requests per second"

    def __init__(self, clock: Clock) -> None:
        super().__init__(FakeRetailCrm({self.keys[0]: None}, hosts=("store.retailcrm.ru",), now=clock))
        for number, (extension, name) in enumerate(PEOPLE.items()):
            self.fake.add_user(27 + number, last_name=name, code=extension)

    def maker(self, means: Means) -> CrmMaker:
        return retailcrm_maker(means.http, means.limiters, means.clock)

    @property
    def settings(self) -> Mapping[str, Any]:
        # 153 is known to RetailCRM by the extension alone.
        users = {"27": "151", "28": "152"}
        return {"enabled": True, "domain": "https://store.retailcrm.ru", "api_key": self.keys[0], "user_extensions": users}

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "api_key": "another-key-that-nobody-knows-00"}

    def records(self, name: Name) -> Sequence[Record]:
        found: list[Record] = []
        for call in self.fake.calls_of(name.unique_id):
            manager = self.fake.manager_of(call)
            ended = {"answered": Ended.ANSWERED, "no answer": Ended.MISSED, "busy": Ended.BUSY}[call.result]
            record = Record(
                is_incoming={"in": True, "out": False}[call.type],
                phone=call.phone,
                person="" if manager is None else manager.code,
                ended=ended,
                began_at=utc(call.date, ZoneInfo("Europe/Minsk")),
                seconds=call.duration or 0,
                waiting_seconds=call.duration_waiting,
                recordings=(call.record_url,) if call.record_url else (),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        seconds = truth.talked if truth.ended is Ended.ANSWERED else truth.whole_seconds
        return record_of(truth, person=truth.only_one, seconds=seconds, waiting_seconds=truth.waiting_seconds)

    def step_of(self, request: Request) -> Step | None:
        if request.path.endswith("/calls/upload"):
            return Step.HANGUP
        if request.path.endswith("/call/event"):
            return Step.HANGUP if '"type":"hangup"' in request.form["event"] else Step.DIAL
        return None

    def makes_the_record(self, request: Request) -> bool:
        return request.path.endswith("/calls/upload")

    def too_many(self, hint_seconds: int | None) -> Answer:
        return Answer(status=503, body=b'{"success":false,"errorMsg":"Rate limit exceeded"}', headers=retry_after(hint_seconds))

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"success":false,"errorMsg":"Errors in the entity format","errors":{"type":"This value is not valid."}}'
        return (Answer(status=400, body=said), Answer(status=200, body=said))
