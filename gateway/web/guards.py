"""Who may ask at a listener that is not for everybody. Inside: programs on this machine. Not other machines, and not web pages in a
browser on this one. Where the emulator's page is open to other machines: who knows the password.

A browser on the gateway's machine sends whatever a page wants to 127.0.0.1. Two marks tell its requests from those of curl:

- `Host`. A page whose own name was made to point at 127.0.0.1 (DNS rebinding) could read the answers; its requests carry that name.
- `Origin` and `Sec-Fetch-Site`. Every browser of today sends one or both with what a page posts to another origin (Fetch standard, 3.1;
  Fetch Metadata, 2.3). Programs send neither.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, cast
from urllib.parse import unquote

import trio

from gateway.loopback import is_loopback_address
from gateway.web.asgi import SHOWN_PATH, App, Receive, Scope, Send, answer_early
from gateway.web.problems import Answer, Problem, error_answer, error_body

_NOT_FROM_HERE: Final = error_answer(Problem.FORBIDDEN, "this listener answers clients on this machine only")
_FOREIGN_HOST: Final = error_answer(Problem.FORBIDDEN, "this listener is asked as localhost, 127.0.0.1 or [::1] only")
_FOREIGN_PAGE: Final = error_answer(Problem.FORBIDDEN, "this listener does not answer the pages of other sites")
# RFC 7617, 2 and 2.1: a realm must be there, and UTF-8 is the only charset that can be said.
_CHALLENGE: Final = ((b"www-authenticate", b'Basic realm="gateway", charset="UTF-8"'),)
_PASSWORD_WANTED: Final = Answer(401, error_body("a password is wanted (basic authentication, any user name)"), _CHALLENGE)
_PASSWORD_WRONG: Final = Answer(401, error_body("this is not the password"), _CHALLENGE)
GUESSES: Final = 10
"""Wrong passwords that an address may send at once."""
GUESS_SECONDS: Final = 10.0
"""After which an address gets back one of them: 8,640 guesses a day, which no password that deserves the name minds."""
# About 200 bytes each. Who guesses from more networks than that has as many guesses anyway.
MAX_GUESSERS: Final = 1000
# `none`: typed in by the user. `same-origin`: a page of this listener itself.
_OWN_SITES: Final = frozenset({b"none", b"same-origin"})

_HIDDEN: Final = "***"
# Numbers of enterprises, extensions and GSM lines (0001363): nobody's token, unless the directory says so, and nobody's phone.
_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,7}")
_log = logging.getLogger(__name__)


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
    """Refuses what a page of another site made a browser send. A request without `Host` is no browser's.

    Args:
        is_loopback: whether the listener is on a loopback address; elsewhere it may be asked by any name. Against a page whose name was
            made to point there a password helps: browsers keep passwords by name (RFC 7617, 2.2).
        linked_paths: what pages of other sites may link to: it is answered when the user follows a link, and never inside such a page.
    """

    def __init__(self, app: App, *, is_loopback: bool = True, linked_paths: Collection[str] = ()) -> None:
        self._app = app
        self._is_loopback = is_loopback
        # Elsewhere something that speaks TLS may stand in front, which a browser's origin names and the request does not.
        self._schemes = (b"http://",) if is_loopback else (b"http://", b"https://")
        self._linked_paths = frozenset(linked_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = _values(scope, b"host")
        if self._is_loopback and any(not _is_loopback_name(host) for host in hosts):
            await answer_early(receive, send, _FOREIGN_HOST)
        elif self._is_from_elsewhere(scope, hosts) and not self._is_followed_link(scope):
            await answer_early(receive, send, _FOREIGN_PAGE)
        else:
            await self._app(scope, receive, send)

    def _is_from_elsewhere(self, scope: Scope, hosts: Sequence[bytes]) -> bool:
        own = [scheme + host for scheme in self._schemes for host in hosts]
        return any(site not in _OWN_SITES for site in _values(scope, b"sec-fetch-site")) or any(
            origin not in own for origin in _values(scope, b"origin")
        )

    def _is_followed_link(self, scope: Scope) -> bool:
        """Fetch Metadata, 2.1 and 2.2: `navigate` with `document` is a whole page of its own, no frame and nothing that a script reads."""
        return (
            scope["method"] == "GET"
            and scope["path"] in self._linked_paths
            and _values(scope, b"sec-fetch-mode") == [b"navigate"]
            and _values(scope, b"sec-fetch-dest") == [b"document"]
            and not _values(scope, b"origin")
        )


class PasswordOnly:
    """Refuses whoever does not know the password (basic authentication, RFC 7617, with any user name).

    A client address has `GUESSES` wrong passwords and gets back one in `GUESS_SECONDS`; who has none left is answered 429 and the password
    is not looked at. Others, and requests without a password, are not held up by that. Addresses of IPv6 count by their network of 64 bits.
    Behind a proxy all clients have its address, and one that guesses holds up all of them: a header that names the client could be written
    by anybody. Such a proxy has to keep strangers away itself (docs/emulator.md).
    """

    def __init__(self, app: App, password: str) -> None:
        if not password:
            raise ValueError("a door without a password needs another guard")
        self._app = app
        self._digest = _digest(password.encode())
        # When each address will have all of its guesses back, in Trio's time; the one that guessed last at the end.
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _basic_password(scope)
        if given is None:
            await answer_early(receive, send, _PASSWORD_WANTED)
            return
        client = _network_of(scope.get("client"))
        wait_seconds = self._wait_seconds(client)
        if wait_seconds > 0:
            await answer_early(receive, send, _too_many_guesses(wait_seconds))
        elif hmac.compare_digest(_digest(given), self._digest):
            await self._app(scope, receive, send)
        else:
            self._note_guess(client)
            await answer_early(receive, send, _PASSWORD_WRONG)

    def _wait_seconds(self, client: str) -> float:
        """Until this address may guess again, 0 for now."""
        owed_seconds = self._forgiven_at.get(client, -math.inf) - trio.current_time()
        return max(owed_seconds - (GUESSES - 1) * GUESS_SECONDS, 0.0)

    def _note_guess(self, client: str) -> None:
        now = trio.current_time()
        self._forgiven_at[client] = max(self._forgiven_at.get(client, now), now) + GUESS_SECONDS
        self._forgiven_at.move_to_end(client)
        while len(self._forgiven_at) > MAX_GUESSERS:
            self._forgiven_at.popitem(last=False)
        if self._wait_seconds(client) > 0:
            _log.warning("too many wrong passwords from %s: it has to wait", client)


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


def _basic_password(scope: Scope) -> bytes | None:
    """The password of `Authorization: Basic`, None where none is given. What cannot be read is a password too: a wrong one."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credentials = cast(bytes, value).strip().partition(b" ")
            if scheme.lower() != b"basic":
                return None
            try:
                return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
    return None


def _digest(password: bytes) -> bytes:
    """`compare_digest` tells the length of what it compares; digests have one length."""
    return hashlib.sha256(password).digest()


def _too_many_guesses(wait_seconds: float) -> Answer:
    headers = ((b"retry-after", b"%d" % math.ceil(wait_seconds)),)
    return Answer(429, error_body("too many wrong passwords from this address, try again later"), headers)


def _network_of(client: object) -> str:
    """Whom a guess is counted for."""
    host = str(cast(Sequence[object], client)[0]).partition("%")[0] if isinstance(client, tuple | list) and client else ""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _is_loopback_name(host: bytes) -> bool:
    """`localhost:8020`, `127.0.0.1`, `[::1]:8020`. RFC 6761, 6.3: every name below localhost is loopback."""
    text = host.decode("latin-1")
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    name = name.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback_address(name)


def _is_loopback(client: object) -> bool:
    """ASGI: (host, port), or None where the server does not know."""
    if not isinstance(client, tuple | list) or not client:
        return False
    return is_loopback_address(str(cast(Sequence[object], client)[0]).partition("%")[0])
