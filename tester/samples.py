"""Values that tests of the stores start from: small, invented, and different only where a test says so."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.calls.parties import Direction
from gateway.calls.record import CallRecord
from gateway.calls.report import CallReport, ReportKind
from gateway.ports import CustomerProfile, EnterpriseConfig, IncomingEvent, LineConfig, ManagerConfig, NamedCustomer, Shown

NUMBER = "0367"
BOT = "123456:TEST"
NOON = datetime(2025, 10, 1, 12, 0, tzinfo=UTC)


def incoming(
    kind: str = "dial", unique_id: str = "1.1", *, body: str | None = None, number: str = NUMBER, at: datetime = NOON
) -> IncomingEvent:
    """An event whose body names its kind and UniqueId unless given."""
    text = body if body is not None else f'{{"Event": "{kind}", "UniqueId": "{unique_id}"}}'
    return IncomingEvent(
        enterprise_number=number,
        kind=kind,
        unique_id=unique_id,
        raw_body=text,
        body_hash=hashlib.sha256(text.encode(errors="replace")).digest(),
        received_at=at,
    )


def finished(call_id: int, **changes: Any) -> CallRecord:
    """The record of an answered incoming call that began `call_id` seconds after noon."""
    values: dict[str, Any] = {
        "call_id": call_id,
        "unique_id": f"{call_id}.1",
        "phone": "375290001234",
        "extension": "151",
        "call_type": 0,
        "call_status": 2,
        "trunk": "0001363",
        "date_received": NOON + timedelta(seconds=call_id),
        "date_end": NOON + timedelta(seconds=call_id + 65),
        "duration": 65,
        "talk_seconds": 50,
        "transfers": "",
        "closed_by": "hangup",
    }
    return CallRecord(**{**values, **changes})


def message(call_id: int, chat_id: int = 1001, **changes: Any) -> Shown:
    """A living message that says where a call is."""
    values: dict[str, Any] = {
        "enterprise_number": NUMBER,
        "call_id": call_id,
        "bot_token": BOT,
        "chat_id": chat_id,
        "message_id": 77,
        "stage": 2,
        "text": "📞 Дозвон",
        "text_hash": b"\x00\xff" * 8,
        "event_id": call_id,
        "sent_at": NOON,
        "updated_at": NOON,
    }
    return Shown(**{**values, **changes})


def report(kind: ReportKind = ReportKind.DIAL, call_id: int = 1, **changes: Any) -> CallReport:
    """What a CRM is told of an incoming call that began `call_id` seconds after noon."""
    values: dict[str, Any] = {
        "kind": kind,
        "call_id": call_id,
        "unique_id": f"{call_id}.1",
        "direction": Direction.INCOMING,
        "phone": "375290001234",
        "line": "0001363",
        "extensions": ("150", "151"),
        "started_at": NOON + timedelta(seconds=call_id),
    }
    return CallReport(**{**values, **changes})


def named(phone: str = "375290001234", *, at: datetime = NOON, is_primary: bool = True, **profile: Any) -> NamedCustomer:
    """A name that RetailCRM gave."""
    values: dict[str, Any] = {"last_name": "Иванов", "first_name": "Иван", "source": "retailcrm"}
    return NamedCustomer(phone=phone, profile=CustomerProfile(**{**values, **profile}), at=at, is_primary=is_primary)


def enterprise(number: str = NUMBER, **changes: Any) -> EnterpriseConfig:
    """An enterprise with a line, a manager and one subscriber."""
    values: dict[str, Any] = {
        "number": number,
        "name": f"name of {number}",
        "token": f"37529333{number}",
        "bot_token": BOT,
        "integrations": {"retailcrm": {"enabled": True, "api_key": "key", "user_extensions": {"19": "150"}}},
        "lines": (LineConfig(line_id="0001363", name="A1 основная", operator="A1", incoming_transform="+375{9}"),),
        "managers": (ManagerConfig(extension="151", last_name="Петрова", first_name="Анна", personal_phone="375290000151"),),
        "subscribers": (1001,),
    }
    return EnterpriseConfig(**{**values, **changes})
