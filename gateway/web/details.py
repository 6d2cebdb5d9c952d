"""Answers of the integration endpoints. Their errors are `{"detail": "<what, in one line>"}`: scripts of administrators read them so."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio
from quart import Response, request
from quart_trio import QuartTrio

from cache.core import LookupFailed
from cache.directory import AmbiguousEnterprise
from gateway.errors import GatewayError, StoreRejected, StoreUnavailable
from gateway.web.problems import RETRY_AFTER_SECONDS

# A database that hangs is as good as one that is away. Who asks has given up by then, and the connection is wanted for others.
ANSWER_SECONDS: Final = 5.0

View = Callable[..., Awaitable[Response]]

_AWAY: Final = "the database is away, try again later"


class Detail(GatewayError):
    """The request is answered with this status and text. Raise it from a handler."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def json_answer(value: Any, status: int = 200) -> Response:
    """A JSON answer with its letters as letters: people read these with curl."""
    # A CRM's record may hold a lone surrogate, which has no UTF-8.
    body = json.dumps(value, ensure_ascii=False).encode(errors="replace") + b"\n"
    response = Response(body, status=status, content_type="application/json")
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


async def posted_body() -> bytes:
    """The body of the request under way; it has been read whole before the handler was called."""
    return cast(bytes, await request.get_data(as_text=False))


def serve(app: QuartTrio, method: str, path: str, view: View, *, is_bounded: bool = True) -> None:
    """Add a route. `is_bounded`: 503 when there is no answer within `ANSWER_SECONDS`; not for what writes, which must not be cut off."""

    async def bounded(**parts: str) -> Response:
        with trio.fail_after(ANSWER_SECONDS):
            return await view(**parts)

    app.add_url_rule(path, f"{method} {path}", bounded if is_bounded else view, methods=[method])


def answer_with_details(app: QuartTrio) -> None:
    """Let the application answer the errors that its rooms raise."""
    app.register_error_handler(Detail, _detail)
    app.register_error_handler(AmbiguousEnterprise, _ambiguous)
    app.register_error_handler(StoreUnavailable, _away)
    app.register_error_handler(LookupFailed, _away)
    app.register_error_handler(trio.TooSlowError, _away)
    app.register_error_handler(StoreRejected, _refused)


def _detail(error: Exception) -> Response:
    status = error.status if isinstance(error, Detail) else 500
    return json_answer({"detail": " ".join(str(error).split())}, status)


def _ambiguous(error: Exception) -> Response:
    # Its text names the enterprises by number, never the key.
    return json_answer({"detail": str(error)}, 409)


def _away(_error: Exception) -> Response:
    return json_answer({"detail": _AWAY}, 503)


def _refused(_error: Exception) -> Response:
    return json_answer({"detail": "the database refuses the values"}, 422)
