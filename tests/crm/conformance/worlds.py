"""The CRMs under test, each with its fake: how it is set up, what it is asked, and what it holds of a call in the common measure.

A world says nothing of how its adapter works: it reads the fake, and it says what that CRM can hold of a truth.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar
from zoneinfo import ZoneInfo

import attrs

from gateway.crm.base import CrmKind
from gateway.crm.bitrix24 import bitrix24_maker
from gateway.crm.http import CrmHttp
from gateway.crm.limits import Limiters
from gateway.crm.ms import ms_crm_maker
from gateway.crm.own import own_crm_maker
from gateway.crm.registry import CrmMaker
from gateway.crm.retailcrm import retailcrm_maker
from gateway.crm.uon import uon_crm_maker
from tester.fakes.bitrix24 import FakeBitrix24
from tester.fakes.crm_limits import Level
from tester.fakes.crm_network import Heard
from tester.fakes.crm_server import CrmServer
from tester.fakes.crm_wire import Request, Response, json_response
from tester.fakes.ms import FakeMoySklad
from tester.fakes.ms_calls import MsCall
from tester.fakes.own_crm import OwnCrmReceiver
from tester.fakes.retailcrm import FakeRetailCrm
from tester.fakes.uon import FakeUon
from tester.memory import MemoryStore
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth

EXTENSIONS = ("151", "152", "153")
PEOPLE = {"151": "Петрова", "152": "Сидоров", "153": "Ким"}
MINSK, MOSCOW = ZoneInfo("Europe/Minsk"), ZoneInfo("Europe/Moscow")

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


def _record(truth: Truth, **fields: Any) -> Record:
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


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


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
                began_at=_utc(call.date, MINSK),
                seconds=call.duration or 0,
                waiting_seconds=call.duration_waiting,
                recordings=(call.record_url,) if call.record_url else (),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        seconds = truth.talked if truth.ended is Ended.ANSWERED else truth.whole_seconds
        return _record(truth, person=truth.only_one, seconds=seconds, waiting_seconds=truth.waiting_seconds)

    def step_of(self, request: Request) -> Step | None:
        if request.path.endswith("/calls/upload"):
            return Step.HANGUP
        if request.path.endswith("/call/event"):
            return Step.HANGUP if '"type":"hangup"' in request.form["event"] else Step.DIAL
        return None

    def makes_the_record(self, request: Request) -> bool:
        return request.path.endswith("/calls/upload")

    def too_many(self, hint_seconds: int | None) -> Answer:
        return Answer(status=503, body=b'{"success":false,"errorMsg":"Rate limit exceeded"}', headers=_retry_after(hint_seconds))

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"success":false,"errorMsg":"Errors in the entity format","errors":{"type":"This value is not valid."}}'
        return (Answer(status=400, body=said), Answer(status=200, body=said))


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
            began_at=_utc(call.started_at, MOSCOW),
            seconds=(call.duration_milliseconds or 0) // 1000,
            recordings=tuple(call.record_urls),
        )

    def fitted(self, truth: Truth) -> Record:
        # A missed call is nobody's; what nobody answered has no length.
        is_answered = truth.ended is Ended.ANSWERED
        person = truth.only_one if is_answered or not truth.is_incoming else ""
        return _record(truth, person=person, seconds=truth.whole_seconds if is_answered else 0)

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


class Bitrix24(World[FakeBitrix24]):
    """Bitrix24 through an inbound webhook."""

    kind = CrmKind.BITRIX24
    keys: ClassVar[tuple[str, ...]] = ("a1b2c3d4e5f6g7h8",)
    limit_name = "bucket"
    # Of fifty places ten are ours: the rest is for the portal's other applications, which share them.
    near = 0.15

    def __init__(self, clock: Clock, *, strict_auth: bool = False) -> None:
        super().__init__(FakeBitrix24("portal.bitrix24.by", strict_auth=strict_auth, now=clock))
        self._clock = clock
        self.users = {extension: self.fake.people.add_user(extension, last_name=name).user_id for extension, name in PEOPLE.items()}
        self.install()

    def install(self) -> None:
        self.fake.add_webhook(self.keys[0])

    def maker(self, means: Means) -> CrmMaker:
        return bitrix24_maker(means.http, means.limiters, means.store, means.clock)

    @property
    def door(self) -> Mapping[str, Any]:
        """The part of the settings that lets us in."""
        return {"incoming_webhook": f"https://portal.bitrix24.by/rest/1/{self.keys[0]}/"}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"enabled": True, **self.door, "user_extensions": {str(user): extension for extension, user in self.users.items()}}

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "incoming_webhook": "https://portal.bitrix24.by/rest/1/nobodyknowsthis1/"}

    def records(self, name: Name) -> Sequence[Record]:
        found: list[Record] = []
        people = {user: extension for extension, user in self.users.items()}
        for call in self.fake.calls_of(name.unique_id):
            ended = {"200": Ended.ANSWERED, "304": Ended.MISSED, "603-S": Ended.MISSED, "486": Ended.BUSY}[call.status_code]
            record = Record(
                is_incoming=call.is_incoming,
                phone=call.phone.removeprefix("+"),
                person=people[call.user_id],
                ended=ended,
                began_at=call.started_at.astimezone(UTC),
                seconds=call.duration_seconds,
                recordings=(call.record.url,) if call.record else (),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        # Each call is somebody's: where nobody talked, of the first who rang.
        return _record(truth, person=truth.person or truth.rang[0], seconds=truth.talked)

    def step_of(self, request: Request) -> Step | None:
        # Something is registered before both.
        return {"show": Step.DIAL, "finish": Step.HANGUP, "attachrecord": Step.HANGUP}.get(_method(request))

    def makes_the_record(self, request: Request) -> bool:
        return _method(request) == "finish"

    def too_many(self, hint_seconds: int | None) -> Answer:
        # Bitrix24 gives no header; what stands before it may.
        said = b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}'
        return Answer(status=503, body=said, headers=_retry_after(hint_seconds))

    @property
    def open_cards(self) -> Sequence[object]:
        return [call.external_call_id for call in self.fake.calls if call.shown_to]

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"error":"ERROR_CORE","error_description":"Unsupported phone number format."}'
        return (Answer(status=400, body=said), Answer(status=200, body=said))


def _method(request: Request) -> str:
    """The last word of a method, in lower case."""
    return request.path.rstrip("/").removesuffix(".json").rpartition(".")[2].lower()


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
                began_at=_utc(datetime.fromisoformat(call.start), MINSK),
                seconds=call.duration,
                recordings=(call.record_link,) if call.record_link else (),
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        # There are two ends only.
        ended = Ended.ANSWERED if truth.ended is Ended.ANSWERED else Ended.MISSED
        return _record(truth, person=truth.only_one, ended=ended)

    def step_of(self, request: Request) -> Step | None:
        if self.makes_the_record(request):
            return Step.HANGUP
        return Step.DIAL if request.path.endswith("/notification/create.json") else None

    def makes_the_record(self, request: Request) -> bool:
        return request.path.endswith("/call_history/create.json")

    def too_many(self, hint_seconds: int | None) -> Answer:
        # U-ON gives no header; what stands before it may.
        return Answer(status=429, body=b'{"error":{"code":429,"message":"Too Many Requests"}}', headers=_retry_after(hint_seconds))

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"error":{"code":404,"message":"Parameter start is wrong"}}'
        return (Answer(status=404, body=said), Answer(status=200, body=said))


class Bitrix24Application(Bitrix24):
    """Bitrix24 through an application: tokens that expire, a door that is in no address."""

    keys = ("client-secret-of-the-app-0001",)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, strict_auth=True)

    def install(self) -> None:
        self.app = self.fake.install("local.0001", self.keys[0])

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.keys, self.app.refresh_token, *self.app.access_tokens)

    def is_telling(self, request: Request) -> bool:
        # A renewal whose answer is lost locks the application out, whatever is done about it: each refresh token is good once.
        return not request.path.startswith("/oauth/")

    @property
    def door(self) -> Mapping[str, Any]:
        return {
            "portal_domain": "portal.bitrix24.by",
            "client_id": "local.0001",
            "client_secret": self.keys[0],
            "refresh_token": self.app.refresh_token,
        }

    @property
    def wrong_settings(self) -> Mapping[str, Any]:
        return {**self.settings, "refresh_token": "00000000000000000000000000000000"}


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
            )
            found.append(record)
        return found

    def fitted(self, truth: Truth) -> Record:
        return _record(truth, person=truth.only_one, waiting_seconds=truth.waiting_seconds)

    def step_of(self, request: Request) -> Step | None:
        return Step.DIAL if request.json()["type"] == "call.dial" else Step.HANGUP

    def makes_the_record(self, request: Request) -> bool:
        return request.json()["type"] == "call.hangup"

    def too_many(self, hint_seconds: int | None) -> Answer:
        return Answer(status=429, body=b"{}", headers=_retry_after(hint_seconds))


def _retry_after(seconds: int | None) -> tuple[tuple[str, str], ...]:
    return () if seconds is None else (("Retry-After", str(seconds)),)


WorldMaker = Callable[[Clock], World[Any]]
WORLDS: tuple[type[RetailCrm | MoySklad | Uon | Bitrix24 | OwnCrm], ...] = (RetailCrm, MoySklad, Uon, Bitrix24, Bitrix24Application, OwnCrm)
