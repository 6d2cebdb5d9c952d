"""Values made safe for a card: cleaned, shortened, escaped for Telegram's HTML parse mode ("Bot API, HTML style")."""

import re
from collections.abc import Sequence
from html import escape

MORE = "…"
_LOOKED_AT = 1024

# Line and paragraph breaks and tabs become spaces: a value must not make lines of its own.
_SPACES = re.compile(r"\s+")
# Removed without trace: control characters; lone surrogates, which UTF-8 cannot carry; what turns the direction of the text around or is
# invisible and could hide in a name (bidirectional marks, embeddings, isolates, zero width space, word joiner, BOM, tags); noncharacters.
# Zero width joiner and non-joiner stay: emoji and some scripts need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\uffff"
    "\ufdd0-\ufdef\U000e0000-\U000e007f]"
    "|[" + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17)) + "]"
)
# What may not be left at the cut of a shortened value: half of a joined emoji.
_JOINERS = "\u200c\u200d \ufe0f"


def clean(value: str, limit: int) -> str:
    """`value` in one line, without anything unsafe, at most `limit` characters; "…" stands for what was cut. Not yet escaped."""
    if len(value) <= limit and value.isascii() and value.isalnum():
        return value
    # Cut roughly before the patterns see it: a value may be as long as a body is allowed to be.
    found = _UNSAFE.sub("", _SPACES.sub(" ", value[:_LOOKED_AT])).strip()
    if len(found) <= limit:
        return found
    return found[: limit - 1].rstrip(_JOINERS) + MORE


def safe(value: str, limit: int) -> str:
    """`value` cleaned and escaped: ready to stand in a message. At most 5 * `limit` characters (`&amp;`)."""
    return escape(clean(value, limit), quote=False)


def attribute(value: str, limit: int) -> str:
    """`value` cleaned and escaped for an attribute; "" when it would be longer than `limit`: half a link is no link."""
    found = escape(_UNSAFE.sub("", value), quote=True) if len(value) <= limit else ""
    return found if len(found) <= limit else ""


def units(text: str) -> int:
    """The length of a text as Telegram counts it: UTF-16 code units ("Bot API, MessageEntity")."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def joined(items: Sequence[str], separator: str, limit: int) -> str:
    """The items with `separator` between them, at most about `limit` units: then `151, 152, … (+198)`. The first is always there."""
    whole = separator.join(items)
    if units(whole) <= limit:
        return whole
    shown: list[str] = []
    length = 0
    for item in items:
        length += units(item) + len(separator)
        if shown and length > limit:
            break
        shown.append(item)
    left_out = len(items) - len(shown)
    return separator.join([*shown, f"{MORE} (+{left_out})"]) if left_out else separator.join(shown)
