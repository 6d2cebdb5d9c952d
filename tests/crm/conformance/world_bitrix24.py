"""Bitrix24 under test, by both of its doors."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, ClassVar

from gateway.crm.base import CrmKind
from gateway.crm.bitrix24 import bitrix24_maker
from gateway.crm.registry import CrmMaker
from tester.fakes.bitrix24 import FakeBitrix24
from tester.fakes.crm_wire import Request
from tests.crm.conformance.facts import Answer, Ended, Name, Record, Step, Truth
from tests.crm.conformance.world import PEOPLE, Clock, Means, World, record_of, retry_after


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
        return record_of(truth, person=truth.person or truth.rang[0], seconds=truth.talked)

    def step_of(self, request: Request) -> Step | None:
        # Something is registered before both.
        return {"show": Step.DIAL, "finish": Step.HANGUP, "attachrecord": Step.HANGUP}.get(_method(request))

    def makes_the_record(self, request: Request) -> bool:
        return _method(request) == "finish"

    def too_many(self, hint_seconds: int | None) -> Answer:
        # Bitrix24 gives no header; what stands before it may.
        said = b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}'
        return Answer(status=503, body=said, headers=retry_after(hint_seconds))

    @property
    def open_cards(self) -> Sequence[object]:
        return [call.external_call_id for call in self.fake.calls if call.shown_to]

    @property
    def refusals(self) -> Sequence[Answer]:
        said = b'{"error":"ERROR_CORE","error_description":"Unsupported phone number format."}'
        return (Answer(status=400, body=said), Answer(status=200, body=said))


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


def _method(request: Request) -> str:
    """The last word of a method, in lower case."""
    return request.path.rstrip("/").removesuffix(".json").rpartition(".")[2].lower()
