"""Reports as the store in memory keeps them: JSON texts, of which any may be broken."""

import json
from typing import cast


def content(report: str) -> object:
    """But for the ids, which are the row's."""
    found: object = json.loads(report, parse_int=str)
    if not isinstance(found, dict):
        return found
    members = cast("dict[str, object]", found)
    return {name: value for name, value in members.items() if name not in ("call_id", "unique_id")}


def recording_in(report: str) -> str:
    """Its link, "" when there is none."""
    found = json.loads(report)
    address = found.get("recording_url") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return address if isinstance(address, str) else ""


def with_changes(report: str, **changes: str) -> str:
    """The same but for these."""
    return json.dumps({**json.loads(report), **changes}, ensure_ascii=False)
