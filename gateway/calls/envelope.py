"""The envelope of a webhook: is this a JSON object at all, whose is it, what is its id, and is it the same body as another one.

The front door needs no more than that before an event is stored. What the fields mean is read later, from the stored text, by the codec;
so nothing here refuses a body for the types or values of its fields.
"""

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NoReturn, cast

import attrs

from gateway.errors import GatewayError

# A webhook is flat. Depth beyond this is not an event but an attempt to exhaust the stack of whoever reads it next (PostgreSQL's jsonb
# and every recursive reader have such a limit); far below the ~1,000 at which Python's own reader gives up.
MAX_DEPTH: Final = 100
# UniqueIds are "<unix seconds>.<counter>", about 13 characters. The limit keeps an index row of PostgreSQL within its 2,704 bytes.
MAX_UNIQUE_ID_CHARACTERS: Final = 200
# int() of more digits than this is slow and at 4,300 refused by Python; such a number is kept as its text.
_MAX_INTEGER_DIGITS: Final = 64

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class EnvelopeError(GatewayError):
    """The posted body is not a webhook. The text says why, in one line, and shows nothing of the body."""


class NotUtf8(EnvelopeError):
    """The bytes are not UTF-8."""


class NotJson(EnvelopeError):
    """The text is not JSON (RFC 8259: NaN and Infinity are not JSON either)."""


class NotAnObject(EnvelopeError):
    """JSON, but not an object."""


class NestedTooDeep(EnvelopeError):
    """A JSON object nested deeper than `MAX_DEPTH`."""


@attrs.frozen
class Body:
    """A posted JSON object: `fields` as decoded, `text` exactly as posted (without a byte order mark, which is no part of JSON)."""

    fields: Mapping[str, Any] = attrs.field(repr=False)
    text: str = attrs.field(repr=False)


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"the body is not JSON: {name} is not a JSON value")


def _read_integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else digits


# Both are made once: building a decoder costs as much as reading a webhook. They hold no state between calls.
_decode: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_read_integer).decode
_encode_canonically: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def read_body(raw: bytes) -> Body:
    """Read a posted body.

    Raises: `NotUtf8`, `NotJson`, `NotAnObject`, `NestedTooDeep`.
    """
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise NotUtf8(f"the body is not UTF-8 at byte {exc.start}") from None
    # Counting brackets bounds the depth from above at no cost; only a body full of them is measured.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _bracket_depth(text) > MAX_DEPTH:
        raise NestedTooDeep(f"the body is nested deeper than {MAX_DEPTH}")
    try:
        fields = _decode(text)
    except json.JSONDecodeError as exc:
        raise NotJson(f"the body is not JSON: {exc.msg} at character {exc.pos}") from None
    if not isinstance(fields, dict):
        raise NotAnObject("the body is not a JSON object")
    return Body(cast(dict[str, Any], fields), text)


_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def _bracket_depth(text: str) -> int:
    """How deep the brackets outside of strings go; for text that may not be JSON."""
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in "}]":
            depth -= 1
    return deepest


def token_of(body: Body) -> str:
    """The `Token` of the body, "" when there is none or it is neither text nor a whole number."""
    value = body.fields.get("Token")
    if type(value) is str:
        return storable(value.strip())
    if type(value) is int:
        return str(value)
    return ""


def unique_id_of(body: Body) -> str:
    """The `UniqueId` of the body as storable text of at most `MAX_UNIQUE_ID_CHARACTERS`; "" when there is none.

    A number is taken as it was written: 1757840723.10 and 1757840723.1 are two channels.
    """
    value = body.fields.get("UniqueId")
    if type(value) is str:
        return storable(value.strip())[:MAX_UNIQUE_ID_CHARACTERS]
    if type(value) is int:
        return str(value)
    if type(value) is float:
        written = re.findall(r'"UniqueId"\s*:\s*(-?[0-9.eE+-]+)', body.text)
        return str(written[-1] if written else value)[:MAX_UNIQUE_ID_CHARACTERS]
    return ""


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot hold (NUL, lone surrogates, both possible after JSON escapes) replaced by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def body_hash(body: Body) -> bytes:
    """16 bytes that are the same for the same object whatever the order of its keys and its white space.

    Used to recognise a webhook that was posted twice, not against forgery: who can post may post anything.
    """
    return blake2b(_encode_canonically(body.fields).encode(), digest_size=16).digest()
