"""JSON that others have made, as PostgreSQL can hold it: cleaned, and bounded where it may be long. Pure.

PostgreSQL, "JSON Types": jsonb has no U+0000 and no half of a surrogate pair, its numbers no NaN and no infinity.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import cast

from sql.texts import clean_text

# What is kept of one request or answer in `integration_logs`: a whole page of text; a CRM that answers with its website fills no disk.
LOGGED_BYTES = 16 * 1024
# Deeper than anything that was made to be read; far below what recursion in Python or PostgreSQL bears.
DEPTH_LEVELS = 40
# Integers beyond it are no number of ours; Python refuses to write those of more than 4,300 digits.
_LARGEST_INTEGER = 10**30


def clean_json(value: object, *, levels: int = DEPTH_LEVELS) -> object:
    """A JSON value that any database takes: texts cleaned, keys texts, numbers finite, other objects named by their type."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST_INTEGER else "…"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, Mapping | list | tuple):
        return f"<{type(value).__name__}>"
    if not levels:
        return "…"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {clean_text(str(key)): clean_json(inner, levels=levels - 1) for key, inner in pairs}
    return [clean_json(inner, levels=levels - 1) for inner in cast("Sequence[object]", value)]


def document(value: Mapping[str, object]) -> str:
    """The JSON text of a cleaned object, of whatever length."""
    return json.dumps(clean_json(value), ensure_ascii=False)


def logged_document(value: Mapping[str, object]) -> str:
    """As `document`; one above LOGGED_BYTES is cut, and says so: its length and how it begins."""
    text = document(value)
    encoded = text.encode()
    if len(encoded) <= LOGGED_BYTES:
        return text
    # Quotes and backslashes of the beginning are escaped once more, so half of the room is certain to be enough.
    beginning = encoded[: LOGGED_BYTES // 2 - 100].decode(errors="ignore")
    return json.dumps({"cut": True, "bytes": len(encoded), "beginning": beginning}, ensure_ascii=False)


def is_deeper(value: object, levels: int) -> bool:
    """Whether a decoded JSON value nests more than `levels` objects and lists."""
    inside: list[object] = [value]
    for _ in range(levels + 1):
        nested: list[object] = []
        for one in inside:
            if isinstance(one, dict):
                nested.extend(cast("dict[str, object]", one).values())
            elif isinstance(one, list):
                nested.extend(cast("list[object]", one))
        if not nested:
            return False
        inside = nested
    return True
