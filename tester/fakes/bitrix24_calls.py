"""Calls of a Bitrix24 portal: registered, shown on cards, finished with an entry in the statistics and an activity, with a recording.

Source: the vendor's REST documentation of `telephony.externalCall.*`.
"""

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from typing import Any, cast
from urllib.parse import urlsplit

import attrs

from tester.fakes.bitrix24_crm import B24User, EntityKind, People
from tester.fakes.bitrix24_wire import Asker, Method, Params, digits, is_true, refusal, whole

REGISTERED_SECONDS = 30 * 60
RECORD_TYPES = (".wav", ".mp3")
FEWEST_DIGITS = 3
# A demo may run for days; nobody asks for so old a call.
KEPT_CALLS = 20_000
NOT_FINISHED = "Call is not found in the statistic table. It looks like it is not finished yet."


# What a registration is known by: who registers, the customer's digits, TYPE, the user, the line, the caller's own id.
_Facts = tuple[str, str, int, int, str, str]


class CallKind(IntEnum):
    """TYPE of a call."""

    OUTGOING = 1
    INCOMING = 2
    REDIRECTED = 3
    CALLBACK = 4
    INFORMATION = 5


@attrs.frozen(kw_only=True)
class B24Record:
    """A recording. `url`: where it was fetched from, or `content` as it was sent."""

    file_id: int
    name: str
    url: str = ""
    content: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class B24Activity:
    """What the card of a customer shows of a call."""

    activity_id: int
    call_id: str
    user_id: int
    entity: tuple[EntityKind, int]


@attrs.define(kw_only=True, eq=False)
class B24Call:
    """A call as the portal holds it.

    `owner`: the application or webhook that registered it. `user_id`: for whom it was registered, and from its end on who finished it.
    `entity`: who it belongs to. `shown_to`: the users that have its card on their screens now. `duration_seconds`, `status_code` and what
    follows: only when it `is_finished`. `activity` is None where there is nobody in the CRM to have one.
    """

    call_id: str
    owner: str
    user_id: int
    phone: str
    kind: CallKind
    line: str
    external_call_id: str
    registered_at: float
    started_at: datetime
    entity: tuple[EntityKind, int] | None = None
    created_lead_id: int | None = None
    times_registered: int = 1
    shown_to: set[int] = attrs.field(factory=set[int])
    ever_shown_to: set[int] = attrs.field(factory=set[int])
    is_finished: bool = False
    statistic_id: int = 0
    duration_seconds: int = 0
    status_code: str = ""
    failed_reason: str = ""
    is_in_chat: bool = False
    activity: B24Activity | None = None
    record: B24Record | None = None

    @property
    def is_incoming(self) -> bool:
        """Whether the customer called."""
        return self.kind in (CallKind.INCOMING, CallKind.REDIRECTED)

    def show(self, user_ids: set[int]) -> None:
        """Their screens show the card."""
        self.shown_to |= user_ids
        self.ever_shown_to |= user_ids


class Telephony:
    """The calls of a portal, in the order of registration, the last `KEPT_CALLS`.

    `status_of_record`: what the server of a recording answers when the portal fetches it. `unnamed_error`: the code of those errors of
    `attachRecord` that the document of 2026 gives with an empty one, and older ones as ERROR_CORE. `shares_calls`: as an older document has
    it, registrations are told apart by number, kind, user and line alone, and one that is finished is over.
    """

    def __init__(self, people: People, host: str) -> None:
        self.calls: dict[str, B24Call] = {}
        self.status_of_record: Callable[[str], int] = lambda _: 200
        self.unnamed_error = "ERROR_CORE"
        self.shares_calls = False
        self._people = people
        self._host = host
        self._registrations: dict[_Facts, B24Call] = {}
        self._number_of_calls = 0
        self._uploads: dict[str, tuple[B24Call, str]] = {}
        self._last_file_id = 500
        self._finished_calls = 0

    def methods(self) -> dict[str, Method]:
        """By their names in lower case."""
        scopes = frozenset(("telephony",))
        prefix = "telephony.externalcall."
        return {
            f"{prefix}register": Method(handler=self._register, scopes=scopes, for_apps_only=True),
            f"{prefix}finish": Method(handler=self._finish, scopes=scopes, for_apps_only=True),
            f"{prefix}show": Method(handler=self._show, scopes=scopes),
            f"{prefix}hide": Method(handler=self._hide, scopes=scopes),
            f"{prefix}attachrecord": Method(handler=self._attach_record, scopes=scopes),
        }

    def upload(self, token: str, body: bytes) -> object:
        """The second step of a recording whose content was not sent at once: a form with the field `file`."""
        call, name = self._uploads.pop(token, (None, ""))
        if call is None or b'name="file"' not in body:
            raise refusal("File content is empty.")
        return self._attach(call, B24Record(file_id=0, name=name, content=body))

    def _register(self, asker: Asker, params: Params) -> object:
        user = self._user(params, ".")
        kind = whole(params.get("TYPE"))
        if kind is None or kind not in tuple(CallKind):
            raise refusal("Unknown TYPE.")
        started_at = _moment(params.get("CALL_START_DATE"), asker.when)
        phone = str(params.get("PHONE_NUMBER") or "")
        if len(digits(phone)) < FEWEST_DIGITS:
            raise refusal("Unsupported phone number format.")
        line, external_call_id = str(params.get("LINE_NUMBER") or ""), str(params.get("EXTERNAL_CALL_ID") or "")
        same = (asker.key, digits(phone), kind, user.user_id, line, "" if self.shares_calls else external_call_id)
        call = self._registrations.get(same)
        # That it may be finished is the caller's trouble.
        if call is not None and (asker.at - call.registered_at >= REGISTERED_SECONDS or (self.shares_calls and call.is_finished)):
            call = None
        if call is None:
            call = B24Call(
                call_id=self._new_call_id(asker),
                owner=asker.key,
                user_id=user.user_id,
                phone=phone,
                kind=CallKind(kind),
                line=line,
                external_call_id=external_call_id,
                registered_at=asker.at,
                started_at=started_at,
                entity=self._entity(params, phone),
            )
            if call.entity is None and is_true(params.get("CRM_CREATE"), default=False):
                lead = self._people.add(EntityKind.LEAD, phone, title=phone, assigned_to=user.user_id)
                call.entity, call.created_lead_id = (EntityKind.LEAD, lead.entity_id), lead.entity_id
            self._keep(same, call)
        else:
            call.times_registered += 1
        if is_true(params.get("SHOW"), default=True) and not call.is_finished:
            call.show({user.user_id})
        call.is_in_chat = call.is_in_chat or is_true(params.get("ADD_TO_CHAT"), default=True)
        kind_of_entity, entity_id = call.entity or (None, None)
        lead_id = call.created_lead_id
        return {
            "CALL_ID": call.call_id,
            "CRM_CREATED_LEAD": lead_id,
            "CRM_CREATED_ENTITIES": [] if lead_id is None else [{"ENTITY_TYPE": "LEAD", "ENTITY_ID": lead_id}],
            "CRM_ENTITY_TYPE": kind_of_entity,
            "CRM_ENTITY_ID": entity_id,
        }

    def _keep(self, same: _Facts, call: B24Call) -> None:
        self.calls[call.call_id] = call
        self._number_of_calls += 1
        # Put at the end again where there was an older one of the same facts.
        self._registrations.pop(same, None)
        self._registrations[same] = call
        if len(self.calls) > KEPT_CALLS:
            del self.calls[next(iter(self.calls))]
        if len(self._registrations) > KEPT_CALLS:
            del self._registrations[next(iter(self._registrations))]

    def _new_call_id(self, asker: Asker) -> str:
        # Not for secrecy: 32 hexadecimal digits that are the same in each run.
        digest = hashlib.sha256(f"{self._host}/{self._number_of_calls}".encode()).hexdigest()[:32]
        return f"externalCall.{digest}.{int(asker.when.timestamp())}"

    def _entity(self, params: Params, phone: str) -> tuple[EntityKind, int] | None:
        kind, entity_id = params.get("CRM_ENTITY_TYPE"), whole(params.get("CRM_ENTITY_ID"))
        if kind in tuple(EntityKind) and entity_id in self._people.entities[EntityKind(kind)]:
            return EntityKind(kind), entity_id
        found = next(self._people.at_number(phone), None)
        return None if found is None else (found.kind, found.entity_id)

    def _user(self, params: Params, dot: str) -> B24User:
        """`register` ends its sentences with a full stop, `finish` does not."""
        user_id = whole(params.get("USER_ID"))
        if user_id is None or user_id <= 0:
            # An extension that nobody has is like none (seen by public bridges of Asterisk).
            user = self._people.user_at(str(params.get("USER_PHONE_INNER") or ""))
            if user is None:
                raise refusal(f"USER_ID or USER_PHONE_INNER should be set{dot}")
            return user
        user = self._people.users.get(user_id)
        if user is None or not user.is_active:
            raise refusal(f"User is not found or is not active{dot}")
        return user

    def _going_on(self, params: Params) -> B24Call | None:
        call = self.calls.get(str(params.get("CALL_ID")))
        return None if call is None or call.is_finished else call

    def _show(self, _asker: Asker, params: Params) -> object:
        call = self._going_on(params)
        if call is not None:
            call.show(_user_ids(params, call))
        return call is not None

    def _hide(self, _asker: Asker, params: Params) -> object:
        call = self._going_on(params)
        if call is not None:
            call.shown_to -= _user_ids(params, call)
        return call is not None

    def _finish(self, _asker: Asker, params: Params) -> object:
        if not isinstance(params.get("CALL_ID"), str):
            raise refusal("CALL_ID must be a string", error="INVALID_ARGUMENT")
        user = self._user(params, "")
        call = self._going_on(params)
        if call is None:
            raise refusal("Call is not found (call should be registered prior to finishing)")
        self._finished_calls += 1
        call.is_finished, call.statistic_id = True, self._finished_calls
        call.user_id = user.user_id
        call.duration_seconds = max(0, whole(params.get("DURATION")) or 0)
        call.status_code = str(params.get("STATUS_CODE") or ("200" if call.duration_seconds else "304"))
        call.failed_reason = str(params.get("FAILED_REASON") or "")
        call.is_in_chat = call.is_in_chat or is_true(params.get("ADD_TO_CHAT"), default=True)
        call.shown_to.clear()
        if call.entity is not None:
            activity_id = 7000 + self._finished_calls
            call.activity = B24Activity(activity_id=activity_id, call_id=call.call_id, user_id=user.user_id, entity=call.entity)
        url = str(params.get("RECORD_URL") or "")
        if url:
            self._attach(call, B24Record(file_id=0, name=_last_part(url), url=url))
        return _statistic(call)

    def _attach_record(self, _asker: Asker, params: Params) -> object:
        url = str(params.get("RECORD_URL") or "")
        if not url and params.get("FILENAME") is None:
            raise refusal(
                "Required parameters are not set. Request should contain either URL or FILENAME parameter", error=self.unnamed_error
            )
        name = str(params.get("FILENAME") or "") or _last_part(url)
        if not name:
            raise refusal("File name is empty")
        if not name.lower().endswith(RECORD_TYPES):
            raise refusal("Wrong file extension. Only wav and mp3 are allowed")
        call = self.calls.get(str(params.get("CALL_ID")))
        if call is None or not call.is_finished:
            raise refusal(NOT_FINISHED, error=self.unnamed_error)
        content = params.get("FILE_CONTENT")
        if content is not None:
            return self._attach(call, B24Record(file_id=0, name=name, content=_decoded(str(content))))
        if url:
            return self._attach(call, self._fetched(url, name))
        token = hashlib.sha256(f"{call.call_id}/{name}".encode()).hexdigest()
        self._uploads[token] = (call, name)
        return {"uploadUrl": f"https://{self._host}/rest/upload.json?token={token}", "fieldName": "file"}

    def _fetched(self, url: str, name: str) -> B24Record:
        if _is_private(urlsplit(url).hostname or ""):
            raise refusal("Record URL resolves to a non-public address and was blocked.", error=self.unnamed_error)
        status = self.status_of_record(url)
        if status != 200:
            raise refusal(f"Server returns HTTP error code {status}")
        return B24Record(file_id=0, name=name, url=url)

    def _attach(self, call: B24Call, record: B24Record) -> object:
        self._last_file_id += 1
        call.record = attrs.evolve(record, file_id=self._last_file_id)
        return {"FILE_ID": self._last_file_id}


def _statistic(call: B24Call) -> dict[str, Any]:
    kind, entity_id = call.entity or (None, None)
    return {
        "CALL_ID": call.call_id,
        "EXTERNAL_CALL_ID": call.external_call_id or None,
        "PORTAL_USER_ID": call.user_id,
        "PHONE_NUMBER": digits(call.phone),
        "PORTAL_NUMBER": call.line,
        "INCOMING": str(int(call.kind)),
        "CALL_DURATION": call.duration_seconds,
        "CALL_START_DATE": {},
        "CALL_STATUS": 1 if call.status_code == "200" else 0,
        "CALL_VOTE": 0,
        "COST": 0,
        "COST_CURRENCY": "",
        "CALL_FAILED_CODE": call.status_code,
        "CALL_FAILED_REASON": call.failed_reason,
        "REST_APP_ID": "3",
        "REST_APP_NAME": "Gateway",
        "CRM_ACTIVITY_ID": None if call.activity is None else call.activity.activity_id,
        "COMMENT": None,
        "CRM_ENTITY_TYPE": kind,
        "CRM_ENTITY_ID": entity_id,
        "ID": call.statistic_id,
    }


def _user_ids(params: Params, call: B24Call) -> set[int]:
    named: Any = params.get("USER_ID")
    if named is None:
        return {call.user_id}
    members: list[object] = cast("list[object]", named) if isinstance(named, list) else [named]
    return {user_id for user_id in map(whole, members) if user_id is not None}


def _moment(value: object, default: datetime) -> datetime:
    if value is None or value == "":
        return default
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in str(value):
        raise refusal("CALL_START_DATE should be in the ISO-8601 format.")
    return moment


def _decoded(content: str) -> bytes:
    if not content:
        raise refusal("File content is empty.")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise refusal("File content is not properly encoded. Base64 encoding is expected.") from None


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _is_private(host: str) -> bool:
    """Of addresses only: names are not looked up here."""
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
