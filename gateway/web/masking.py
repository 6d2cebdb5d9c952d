"""The settings of integrations as they may be shown, and back: a masked value that is sent back means the one that is stored.

Pure. What is a secret is told by the name of its key, by the form of an address (everything after the host may carry a code), and by the
form of a text that looks like a key whatever it is called. Names of people, extensions, switches and plain hosts stay readable.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from gateway.errors import GatewayError

MASK: Final = "***"
# The depth of what is stored by this gateway is checked; a person with psql is not bound by that.
_DEEPEST: Final = 64

_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|pwd|passphrase|code|webhook|auth|credential|login|cookie|session|hash|signature", re.IGNORECASE
)
# What the names above take in by accident.
_HARMLESS_NAME: Final = re.compile(r"(webhooks|webhook_uuid|authors?|country_code|phone_code)", re.IGNORECASE)
_LIKE_A_KEY: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+/=.:~-]{20,}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HOST_NAME: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(:[0-9]+)?", re.IGNORECASE)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9:]+)?")


class MaskedValue(GatewayError):
    """A masked value does not stand for anything that is stored. The text names its place."""


def masked(value: Any) -> Any:
    """A copy without secrets."""
    return _masked(value, is_secret=False, depth=0)


def unmasked(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the stored value wherever it holds exactly what `masked` makes of that value.

    Raises: `MaskedValue` for any other text with the mask in it, so that a mask never becomes a secret.
    """
    shown = masked(dict(stored))
    return {key: _unmasked(value, stored.get(key), shown.get(key), key) for key, value in given.items()}


def _masked(value: Any, *, is_secret: bool, depth: int) -> Any:
    if depth > _DEEPEST:
        return MASK
    match value:
        case dict():
            return {key: _masked(inner, is_secret=is_secret or _is_secret_name(key), depth=depth + 1) for key, inner in _items(value)}
        case list():
            return [_masked(inner, is_secret=is_secret, depth=depth + 1) for inner in cast("list[Any]", value)]
        case str():
            return _masked_text(value, is_secret=is_secret)
        case int() | float() if is_secret and not isinstance(value, bool):
            return MASK
        case _:
            return value


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(cast("dict[str, Any]", value).items())


def _is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.fullmatch(name)


def _masked_text(text: str, *, is_secret: bool) -> str:
    if "://" in text:
        return _masked_address(text)
    return MASK if text and (is_secret or _is_like_a_key(text)) else text


def _is_like_a_key(text: str) -> bool:
    return bool(_LIKE_A_KEY.fullmatch(text)) and not (_UUID.fullmatch(text) or _HOST_NAME.fullmatch(text) or _DATE.fullmatch(text))


def _masked_address(text: str) -> str:
    """`https://portal.example/rest/1/code/` becomes `https://portal.example/***`: a path can be as good as a password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return MASK
    if not host:
        return MASK
    rest = text.partition("://")[2][len(parts.netloc) :]
    shown = f"[{host}]" if ":" in host else host
    shown = f"{shown}:{port}" if port is not None else shown
    owner = f"{MASK}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{owner}{shown}{f'/{MASK}' if rest.strip('/') else rest}"


def _unmasked(given: Any, stored: Any, shown: Any, place: str) -> Any:
    match given:
        case str() if MASK in given:
            # A stored text that is no secret stays what it is, stars and all.
            if given != shown:
                raise MaskedValue(f"{place}: is masked and not as it was shown; send the whole value, or what was shown")
            return stored
        case dict():
            pairs = cast("dict[str, Any]", given)
            return {key: _unmasked(value, _of(stored, key), _of(shown, key), f"{place}.{key}") for key, value in pairs.items()}
        case list():
            values = enumerate(cast("list[Any]", given))
            if not isinstance(shown, list) or len(cast("list[Any]", shown)) != len(cast("list[Any]", given)):
                # The masks are all alike, and are told apart by their places: one more or less, and each would stand for its neighbour.
                shown = None
            return [_unmasked(value, _at(stored, index), _at(shown, index), f"{place}[{index}]") for index, value in values]
        case _:
            return given


def _of(values: Any, key: str) -> Any:
    return cast("dict[str, Any]", values).get(key) if isinstance(values, dict) else None


def _at(values: Any, index: int) -> Any:
    items = cast("list[Any]", values) if isinstance(values, list) else []
    return items[index] if index < len(items) else None
