"""Values to columns and back. No I/O; used by the store and by its twin, so that both take and give the same."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from gateway.calls.record import CallRecord
from gateway.ports import EnterpriseConfig, IncomingEvent, LineConfig, ManagerConfig, Recipient, Shown, StoredEvent
from sql.documents import DEPTH_LEVELS, is_deeper
from sql.texts import clean_key, clean_text

# Kinds that a host repeats as they were; the predicate of the index call_events_once says the same.
KINDS_STORED_ONCE = frozenset({"start", "dial", "hangup"})
# What is kept of a refused body: enough to see what it was.
REJECTED_BODY_CHARACTERS = 4096
REJECTED_ROWS = 1000

_JSON_KINDS: Mapping[type, str] = {
    str: "a text",
    list: "a list",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_TOKEN_IN_BODY = re.compile(r'("token"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^,}\s]+)', re.IGNORECASE)

Row = Mapping[str, Any]
EventKey = tuple[str, str, str, bytes]


def bot_id_of(bot_token: str) -> str:
    """What names a bot without being a secret: the digits before the colon of its token (Bot API, "Authorizing your bot")."""
    bot_id, colon, _ = bot_token.partition(":")
    return bot_id if colon else hashlib.sha256(bot_token.encode(errors="replace")).hexdigest()[:16]


def code_hash_of(code: str) -> bytes:
    """What is kept of an invitation's code."""
    return hashlib.sha256(code.encode(errors="replace")).digest()


def _enterprise_converter() -> cattrs.Converter:
    """The columns have the names of the older system ("Data" in docs/architecture.md); two of them have another name with us."""
    converter = cattrs.Converter()
    structure = make_dict_structure_fn(
        EnterpriseConfig, converter, token=override(rename="name2"), integrations=override(rename="integrations_config")
    )
    converter.register_structure_hook(EnterpriseConfig, structure)
    return converter


_ENTERPRISES = _enterprise_converter()


def masked_token(token: str) -> str:
    """The last four characters, if there are more than four."""
    return f"***{token[-4:]}" if len(token) > 4 else "***" if token else ""


def masked_body(raw_body: str, token: str) -> str:
    """A refused body as it may be kept: without tokens, and not longer than REJECTED_BODY_CHARACTERS."""

    def mask(found: re.Match[str]) -> str:
        return f'{found[1]}"{masked_token(found[2].strip(chr(34)))}"'

    masked = _TOKEN_IN_BODY.sub(mask, raw_body)
    if len(token) > 4:
        masked = masked.replace(token, masked_token(token))
    return clean_text(masked[:REJECTED_BODY_CHARACTERS])


def event_key(event: IncomingEvent) -> EventKey | None:
    """What makes two events one, None for kinds that are stored each time."""
    if event.kind not in KINDS_STORED_ONCE:
        return None
    return clean_key(event.enterprise_number), clean_key(event.unique_id), event.kind, event.body_hash


def stored_event(row: Row) -> StoredEvent:
    """An event out of `call_events`."""
    return StoredEvent(
        event_id=row["id"],
        enterprise_number=row["enterprise_number"],
        kind=row["event_type"],
        unique_id=row["unique_id"],
        raw_body=row["raw_data"],
        received_at=row["event_timestamp"],
        data_source=row["data_source"],
        call_id=row["call_id"],
    )


def recipient(row: Row) -> Recipient:
    """A subscription out of `telegram_users`."""
    return Recipient(
        enterprise_number=row["enterprise_number"],
        bot_token=row["bot_token"],
        chat_id=row["tg_id"],
        subscribed_at=row["subscribed_at"],
    )


def shown(row: Row) -> Shown:
    """A message out of `telegram_messages`, with the token of its bot."""
    return Shown(**row)


def enterprise(row: Row) -> EnterpriseConfig:
    """An enterprise out of `enterprises` with its lines, managers and [chat id, living] pairs as JSON."""
    subscribers = [chat_id for chat_id, living in row["subscribers"] if living]
    integrations, problem = integrations_of(row["integrations_config"])
    columns = {**row, "integrations_config": integrations, "integrations_problem": problem, "subscribers": subscribers}
    return _ENTERPRISES.structure(columns, EnterpriseConfig)


def integrations_of(text: str) -> tuple[dict[str, Any], str]:
    """The integrations out of the JSON text of `integrations_config`, and what is wrong with it, without a value.

    Anybody may write anything there with psql. What cannot be read is no integration at all, and nobody else's trouble.
    """
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as exc:  # a number of thousands of digits; thousands of levels
        return {}, f"integrations_config cannot be read ({type(exc).__name__})"
    if not isinstance(found, dict):
        return {}, f"integrations_config is {_JSON_KINDS[type(found)]} instead of an object"
    table = cast("dict[str, Any]", found)
    if is_deeper(table, DEPTH_LEVELS):
        return {}, f"integrations_config is nested more than {DEPTH_LEVELS} levels deep"
    return table, ""


def call_record(row: Row) -> CallRecord:
    """A finished call out of `calls`."""
    return CallRecord(**row)


def records_json(records: Sequence[CallRecord]) -> str:
    """The records as `commit_step` takes them. Of two with one call id the later counts."""
    latest = {record.call_id: record for record in records}
    return json.dumps([_record_columns(record) for record in latest.values()]) if latest else "[]"


def _record_columns(record: CallRecord) -> dict[str, object]:
    return {
        "call_id": record.call_id,
        "uuid": record.uuid or None,
        "unique_id": clean_key(record.unique_id),
        "phone": clean_text(record.phone),
        "extension": clean_text(record.extension),
        "call_type": record.call_type,
        "call_status": record.call_status,
        "date_received": record.date_received.isoformat(),
        "date_end": record.date_end.isoformat() if record.date_end else None,
        "duration": record.duration,
        "trunk": clean_text(record.trunk),
        "talk_seconds": record.talk_seconds,
        "transfers": clean_text(record.transfers),
        "closed_by": clean_text(record.closed_by),
        "data_source": clean_text(record.data_source),
    }


def enterprises_json(configs: Sequence[EnterpriseConfig]) -> str:
    """The enterprises as `upsert_enterprises` takes them, without their parts."""
    columns = ("number", "name", "secret", "bot_token", "timezone", "language", "final", "active")
    return json.dumps(
        [
            {**{name: getattr(config, name) for name in columns}, "name2": config.token, "integrations_config": config.integrations}
            for config in configs
        ]
    )


def parts_json(parts: Sequence[LineConfig] | Sequence[ManagerConfig]) -> str:
    """Lines or managers as `add_lines` and `add_managers` take them."""
    return json.dumps([attrs.asdict(part) for part in parts])


def final_survivors(merged: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Absorbed call to the one that survives in the end: of (3, 2) and (2, 1) both 3 and 2 go to 1."""
    survivors: dict[int, int] = {}
    for absorbed, survivor in merged:
        for earlier, target in survivors.items():
            if target == absorbed:
                survivors[earlier] = survivor
        survivors[absorbed] = survivor
    return {absorbed: survivor for absorbed, survivor in survivors.items() if absorbed != survivor}
