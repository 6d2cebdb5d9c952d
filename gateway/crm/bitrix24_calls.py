"""A call as Bitrix24 wants it: the parameters of the methods of `telephony.externalCall`. Pure.

B24 REST, "External calls". A registration is known by number, direction, user, line and our own id: the same again within half an hour
gives the same CALL_ID. So what it was known by is remembered from the first try on (`Facts`), and every repetition says exactly that.
"""

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any, Self, cast
from urllib.parse import urlsplit

import attrs

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport
from gateway.crm.bitrix24_settings import B24Settings, whole

REGISTER = "telephony.externalCall.register"
SHOW = "telephony.externalCall.show"
HIDE = "telephony.externalCall.hide"
FINISH = "telephony.externalCall.finish"
ATTACH = "telephony.externalCall.attachRecord"
STATISTIC = "voximplant.statistic.get"

# A card that comes later than this is shown to people who do not hear the call any more; the end of the call is told all the same.
LATE_SECONDS = 120.0
# B24 REST, telephony.externalCall.attachRecord: "wav", "mp3".
_RECORD_TYPES = (".mp3", ".wav")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 100


class CallType(IntEnum):
    """TYPE of a call."""

    OUTGOING = 1
    INCOMING = 2


class StatusCode(StrEnum):
    """STATUS_CODE of a call that has ended."""

    ANSWERED = "200"
    MISSED = "304"
    CANCELLED = "603-S"
    BUSY = "486"


@attrs.frozen
class User:
    """Somebody of the portal: by id, or by the extension that the portal knows. One of the two is ""."""

    user_id: str = ""
    extension: str = ""

    @property
    def params(self) -> Mapping[str, Any]:
        """USER_ID or USER_PHONE_INNER."""
        return {"USER_ID": int(self.user_id)} if self.user_id else {"USER_PHONE_INNER": self.extension}


@attrs.frozen(kw_only=True)
class Facts:
    """What a registration is known by."""

    user: User
    phone: str
    line: str
    call_type: CallType

    @property
    def params(self) -> Mapping[str, Any]:
        """Its part of the parameters."""
        line = {"LINE_NUMBER": self.line} if self.line else {}
        return {**self.user.params, "PHONE_NUMBER": f"+{self.phone}", "TYPE": int(self.call_type), **line}

    @property
    def document(self) -> Mapping[str, Any]:
        """As the memory of a call keeps it."""
        user = {"user_id": self.user.user_id, "extension": self.user.extension}
        return {**user, "phone": self.phone, "line": self.line, "type": int(self.call_type)}

    @classmethod
    def of(cls, document: Any) -> Self | None:
        """Out of a memory; None when there are none."""
        if not isinstance(document, Mapping):
            return None
        known = cast("Mapping[str, Any]", document)
        user_id, extension, phone, line = (known.get(key) for key in ("user_id", "extension", "phone", "line"))
        if not all(isinstance(text, str) for text in (user_id, extension, phone, line)) or known.get("type") not in tuple(CallType):
            return None
        if not phone or not (extension or whole(user_id)):
            return None
        return cls(user=User(str(user_id), str(extension)), phone=str(phone), line=str(line), call_type=CallType(known["type"]))


def known_user(settings: B24Settings, extension: str) -> User:
    """Whoever has this extension: by the settings, else left to the portal."""
    user_ids = settings.users.get(extension)
    return User(user_ids[0]) if user_ids else User(extension=extension)


def default_user(settings: B24Settings) -> User | None:
    """Who gets calls of nobody known."""
    return User(settings.default_user) if settings.default_user else None


def owner(settings: B24Settings, report: CallReport) -> User | None:
    """For whom a call is registered: the first whose id is known, else the first of all, else the default user. None: there is nobody."""
    extensions = dict.fromkeys(filter(None, (*report.extensions, report.extension)))
    first = next((extension for extension in extensions if extension in settings.users), next(iter(extensions), ""))
    return known_user(settings, first) if first else default_user(settings)


def finisher(settings: B24Settings, report: CallReport, registered: User | None) -> User | None:
    """Whose call it was: the one who talked last, else the one it was registered for."""
    talker = report.extension or (report.extensions[-1] if report.extensions else "")
    if report.answered and talker:
        return known_user(settings, talker)
    return registered or owner(settings, report)


def ringing_users(settings: B24Settings, report: CallReport) -> tuple[int, ...]:
    """The ids of all whose extension rings."""
    return tuple(dict.fromkeys(int(user_id) for extension in report.extensions for user_id in settings.users.get(extension, ())))


def facts_of(report: CallReport, user: User) -> Facts:
    """Those of this report."""
    call_type = CallType.INCOMING if report.direction is Direction.INCOMING else CallType.OUTGOING
    return Facts(user=user, phone=report.phone, line=report.line, call_type=call_type)


def register_params(report: CallReport, facts: Facts, zone: tzinfo, *, shows: bool) -> Mapping[str, Any]:
    """telephony.externalCall.register. No message in the chat of the user: one for each call would drown it."""
    return {
        **facts.params,
        "CALL_START_DATE": instant(report.started_at, zone),
        "CRM_CREATE": 0,
        "SHOW": int(shows),
        "ADD_TO_CHAT": 0,
        "EXTERNAL_CALL_ID": report.unique_id,
    }


def finish_params(report: CallReport, call_id: str, user: User) -> Mapping[str, Any]:
    """telephony.externalCall.finish."""
    return {
        "CALL_ID": call_id,
        **user.params,
        "DURATION": duration_seconds(report),
        "STATUS_CODE": str(status_code(report)),
        "ADD_TO_CHAT": 0,
    }


def record_params(report: CallReport, call_id: str) -> Mapping[str, Any]:
    """telephony.externalCall.attachRecord: the portal fetches the recording itself."""
    return {"CALL_ID": call_id, "FILENAME": record_name(report), "RECORD_URL": report.recording_url}


def status_code(report: CallReport) -> StatusCode:
    """How it ended."""
    if report.answered:
        return StatusCode.ANSWERED
    if report.busy:
        return StatusCode.BUSY
    return StatusCode.MISSED if report.direction is Direction.INCOMING else StatusCode.CANCELLED


def duration_seconds(report: CallReport) -> int:
    """Of talk: without the ringing where both are known. Nothing where nobody answered."""
    if not report.answered:
        return 0
    if report.talk_seconds is not None:
        return report.talk_seconds
    return max(0, (report.duration_seconds or 0) - (report.waiting_seconds or 0))


def record_name(report: CallReport) -> str:
    """The name of a recording: that of the call. Addresses without an ending are of mp3 files."""
    ending = PurePosixPath(urlsplit(report.recording_url).path).suffix.lower()
    name = _NOT_IN_NAMES.sub("_", report.unique_id)[:_LONGEST_NAME] or "call"
    return f"{name}{ending if ending in _RECORD_TYPES else _RECORD_TYPES[0]}"


def instant(at: datetime, zone: tzinfo) -> str:
    """ISO 8601 with the enterprise's zone."""
    return at.astimezone(zone).isoformat(timespec="seconds")
