"""Who may ask at the internal listener: programs on this machine. Not other machines, and not web pages in a browser on this one.

A browser on the gateway's machine sends whatever a page wants to 127.0.0.1. Two marks tell its requests from those of curl:

- `Host`. A page whose own name was made to point at 127.0.0.1 (DNS rebinding) could read the answers; its requests carry that name.
- `Origin` and `Sec-Fetch-Site`. Every browser of today sends one or both with what a page posts to another origin (Fetch standard, 3.1;
  Fetch Metadata, 2.3). Programs send neither.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final, cast
from urllib.parse import unquote

from gateway.web.asgi import SHOWN_PATH, App, Receive, Scope, Send, answer_early
from gateway.web.problems import Problem, error_answer

_NOT_FROM_HERE: Final = error_answer(Problem.FORBIDDEN, "this listener answers clients on this machine only")
_FOREIGN_HOST: Final = error_answer(Problem.FORBIDDEN, "this listener is asked as localhost, 127.0.0.1 or [::1] only")
_FOREIGN_PAGE: Final = error_answer(Problem.FORBIDDEN, "this listener does not answer the pages of other sites")
# `none`: typed in by the user. `same-origin`: a page of this listener itself.
_OWN_SITES: Final = frozenset({b"none", b"same-origin"})

_HIDDEN: Final = "***"
# Numbers of enterprises, extensions and GSM lines (0001363): nobody's token, unless the directory says so, and nobody's phone.
_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,7}")


class LoopbackOnly:
    """Refuses whoever does not come over a loopback address. A forwarding header changes nothing: anybody can write one."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not _is_loopback(scope.get("client")):
            await answer_early(receive, send, _NOT_FROM_HERE)
        else:
            await self._app(scope, receive, send)


class NoForeignPages:
    """Refuses what a page of another site made a browser on this machine send. A request without `Host` is no browser's."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = _values(scope, b"host")
        if any(not _is_loopback_name(host) for host in hosts):
            await answer_early(receive, send, _FOREIGN_HOST)
        elif any(site not in _OWN_SITES for site in _values(scope, b"sec-fetch-site")) or any(
            origin not in [b"http://" + host for host in hosts] for origin in _values(scope, b"origin")
        ):
            await answer_early(receive, send, _FOREIGN_PAGE)
        else:
            await self._app(scope, receive, send)


class DiscreetPaths:
    """Keeps keys and phones in paths out of the access log: a path may name an enterprise by its token.

    Shown are the words of the routes (`words`), short numbers, and what `is_shown` says is a number or a name of an enterprise; every
    other part of a path is `***`, also in paths that nobody serves. `is_hidden` says what must be hidden although it looks harmless.
    """

    def __init__(self, app: App, *, words: Iterable[str], is_shown: Callable[[str], bool], is_hidden: Callable[[str], bool]) -> None:
        self._app = app
        self._words = frozenset(words)
        self._is_shown = is_shown
        self._is_hidden = is_hidden

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            raw = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
            scope.setdefault("state", {})[SHOWN_PATH] = "/".join(map(self._shown, raw.split("/")))
        await self._app(scope, receive, send)

    def _shown(self, written: str) -> str:
        part = unquote(written)
        if self._is_hidden(part):
            return _HIDDEN
        return written if part in self._words or _SHORT_NUMBER.fullmatch(part) or self._is_shown(part) else _HIDDEN


def _values(scope: Scope, wanted: bytes) -> list[bytes]:
    return [cast(bytes, value).strip().lower() for name, value in scope["headers"] if name == wanted]


def _is_loopback_name(host: bytes) -> bool:
    """`localhost:8020`, `127.0.0.1`, `[::1]:8020`. RFC 6761, 6.3: every name below localhost is loopback."""
    text = host.decode("latin-1")
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    name = name.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback_address(name)


def _is_loopback(client: object) -> bool:
    """ASGI: (host, port), or None where the server does not know."""
    if not isinstance(client, tuple | list) or not client:
        return False
    return _is_loopback_address(str(cast(Sequence[object], client)[0]).partition("%")[0])


def _is_loopback_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # An IPv4 client of a dual-stack socket.
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
