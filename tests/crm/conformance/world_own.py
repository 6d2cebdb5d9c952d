"""The enterprise's own CRM under test."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.crm.base import CrmKind
from gateway.crm.own import own_crm_maker
from gateway.crm.registry import CrmMaker
from tester.fakes.crm_limits import Level
from tester.fakes.crm_network import Heard
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Request, Response, json_response
from tester.fakes.own_crm import OwnCrmReceiver
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth
from tests.crm.conformance.world import Clock, Means, World, record_of, retry_after


class OwnServer(CrmServer):
    """The receiver of an own CRM behind the entrance that all fakes share, with its faults and its record of requests."""

    def __init__(self, receiver: OwnCrmReceiver, *, now: Clock) -> None:
        super().__init__(now=now)
        self._receiver = receiver

    def respond(self, request: Request) -> Response:
        heard = Heard(method=request.method, path=request.path, query="", headers=dict(request.headers), body=request.body)
        # The receiver's own entrance waits for its own faults.
        reply = self._receiver._receive(heard)  # pyright: ignore[reportPrivateUsage]
        return Response(status=reply.status, body=reply.body, headers=reply.headers, content_type="")

    def too_many(self, request: Request, over: Level) -> Response:  # noqa: ARG002
        return json_response({}, 429)


class OwnCrm(World[OwnServer]):
    """The enterprise's own CRM."""

    kind = CrmKind.OWN
    keys = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    def __init__(self, clock: Clock) -> None:
        self.receiver = OwnCrmReceiver(self.keys[0], clock=clock)
        super().__init__(OwnServer(self.receiver, now=clock))

    def maker(self, means: Means) -> CrmMaker:
        return own_crm_maker(means.http, means.clock)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"enabled": True, "url": "https://crm.example/calls", "secret": self.keys[0]}

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "secret": "whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="}

    def records(self, name: Name) -> Sequence[Record]:
        mine = [event for event in self.receiver.events if event["data"]["unique_id"] == name.unique_id]
        urls = [event["data"]["recording_url"] for event in mine if event["data"]["recording_url"]]
        found: list[Record] = []
        for data in (event["data"] for event in mine if event["type"] == "call.hangup"):
            ended = Ended.ANSWERED if data["answered"] else Ended.BUSY if data["busy"] else Ended.MISSED
            record = Record(
                is_incoming=data["direction"] == "incoming",
                phone=data["phone"].removeprefix("+"),
                person=data["extension"] or "",
                ended=ended,
                began_at=datetime.fromisoformat(data["started_at"]),
                seconds=data["duration_seconds"],
                waiting_seconds=data["waiting_seconds"],
                recordings=tuple(urls),
                mobile=(data["mobile"] or "").removeprefix("+"),
                transfers=tuple(data["transfers"]),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        places = {"waiting_seconds": truth.waiting_seconds, "mobile": truth.mobile, "transfers": truth.transfers}
        return record_of(truth, person=truth.only_one, **places)

    def step_of(self, request: Request) -> Step | None:
        return Step.DIAL if request.json()["type"] == "call.dial" else Step.HANGUP

    def makes_the_record(self, request: Request) -> bool:
        return request.json()["type"] == "call.hangup"

    def too_many(self, hint_seconds: int | None) -> Answer:
        return Answer(status=429, body=b"{}", headers=retry_after(hint_seconds))
