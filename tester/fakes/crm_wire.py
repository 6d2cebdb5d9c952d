"""What goes over the wire between the gateway and a fake CRM, as values: requests, responses, and the record of both."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

import attrs

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


_PORT = re.compile(r":\d*$")


class BadBody(ValueError):
    """A body is not what it was read as; each vendor says it in its own words."""


@attrs.frozen(kw_only=True)
class Request:
    """A request as it came. `target` is path and query, undecoded; names of `headers` are lower case.

    `at`: seconds of the server's clock, `when`: the same moment in the calendar (aware UTC). A request that was held up is carried out with
    the time it has then. Keys may be anywhere in it, so only method and bounds are shown.
    """

    method: str
    target: str = attrs.field(repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    at: float
    when: datetime

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return unquote(self.target.partition("?")[0])

    @property
    def query_pairs(self) -> tuple[tuple[str, str], ...]:
        """Decoded, in order, names as PHP-like servers read them (`filter[ids][]` stays as it is)."""
        return _pairs(self.target.partition("?")[2])

    @property
    def query(self) -> Mapping[str, str]:
        """The last value of each name."""
        return dict(self.query_pairs)

    def header(self, name: str) -> str:
        """The first header of this name, "" when there is none."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known == wanted), "")

    @property
    def host(self) -> str:
        """Whom it is for, lower case, without the port."""
        return host_name(self.header("host"))

    @property
    def content_type(self) -> str:
        """Lower case, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def form_pairs(self) -> tuple[tuple[str, str], ...]:
        """The fields of a form in order; () when the body is not declared to be one. Raises `BadBody` when it is not UTF-8."""
        if self.content_type != FORM_TYPE:
            return ()
        try:
            return _pairs(self.body.decode("utf-8"))
        except UnicodeDecodeError as exc:
            raise BadBody("the form is not UTF-8") from exc

    @property
    def form(self) -> Mapping[str, str]:
        """The last value of each field of a form. Raises `BadBody`."""
        return dict(self.form_pairs)

    def json(self) -> Any:
        """The body as JSON, whatever it is declared to be. Raises `BadBody`."""
        return parse_json(self.body)

    @property
    def parsed(self) -> Any:
        """The body for assertions: the fields of a form, the value of JSON, None when it is empty or neither."""
        try:
            if self.content_type == FORM_TYPE:
                return dict(self.form)
            return self.json() if self.body else None
        except BadBody:
            return None

    def moved_to(self, at: float, when: datetime) -> Self:
        """The same request at a later moment."""
        return attrs.evolve(self, at=at, when=when)


class Cut(Enum):
    """What is left out of a response.

    HALF of the body; ALL: the connection ends unanswered; RESET: the same, abruptly; CONNECTION: there never was one (over real sockets
    the same as ALL).
    """

    NOTHING = auto()
    HALF = auto()
    ALL = auto()
    RESET = auto()
    CONNECTION = auto()


@attrs.frozen(kw_only=True)
class Response:
    """What a front is to send. `content_type` "" sends none. With `cut` the connection ends there."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    cut: Cut = Cut.NOTHING

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """With the content type."""
        return [*([("Content-Type", self.content_type)] if self.content_type else []), *self.headers]

    def json(self) -> Any:
        """The body as JSON; for tests of the pure core. Raises `BadBody`."""
        return parse_json(self.body)


def json_response(content: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response with a JSON body."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(status=status, body=text.encode("utf-8", "replace"), headers=headers)


@attrs.define(kw_only=True, eq=False)
class Received:
    """The record of one request. `response` is None while there is none, and when there never will be one.

    `carried_out`: the CRM did what was asked, or refused it by its own rules, whatever its client got to hear. `was_cancelled`: the client
    left before it had an answer. `fault`: the name of the planned fault that it met.
    """

    request: Request
    response: Response | None = None
    answered_at: float | None = None
    carried_out: bool = False
    was_cancelled: bool = False
    fault: str = ""

    @property
    def status(self) -> int:
        """Of the answer, 0 when the client got none."""
        return self.response.status if self.response is not None and self.response.cut in (Cut.NOTHING, Cut.HALF) else 0


def host_name(netloc: str) -> str:
    """Of a `Host` header: lower case, without the port."""
    return _PORT.sub("", netloc).lower()


def parse_json(body: bytes | str) -> Any:
    """A JSON value. Raises `BadBody`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadBody("not JSON") from exc


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(text, keep_blank_values=True, errors="replace"))
