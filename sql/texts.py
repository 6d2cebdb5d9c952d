"""Texts as PostgreSQL can hold them. Pure."""

import re

# An index entry holds 2,704 bytes at most (PostgreSQL, B-tree); a character takes up to 4, and two such keys and a hash share one entry.
# Real UniqueIds have 12 to 40 characters.
KEY_CHARACTERS = 200
_REASON_CHARACTERS = 500

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with U+FFFD in place of what PostgreSQL cannot hold: NUL and halves of surrogate pairs."""
    return _NOT_TEXT.sub("\ufffd", text) if not text.isascii() or "\0" in text else text


def clean_key(text: str) -> str:
    """As `clean_text`, and cut to what fits an index. Whoever writes and whoever looks up go through here."""
    return clean_text(text[:KEY_CHARACTERS])


def clean_reason(text: str) -> str:
    """As `clean_text`, and cut to what is worth reading of a reason."""
    return clean_text(text[:_REASON_CHARACTERS])


def is_text(text: str) -> bool:
    """Whether PostgreSQL can hold the text as it is."""
    return _NOT_TEXT.search(text) is None
