"""Between Hypercorn and whoever answers: reading a body within bounds, answering, and not losing a handler to a client that leaves.

Quart-Trio cancels a handler when the client disconnects. What is posted here must be finished once it has arrived whole, so the body is
read before the application is called, and the application hears no more of the client until it has answered.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import trio

from gateway.errors import GatewayError
from gateway.web.problems import JSON, Answer, Problem, error_answer

# What ASGI (3.0, HTTP & WebSocket message format 2.1) passes around; decoded where it is read.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 64 * 1024
# What is too large is read and thrown away up to here before the answer: who is still writing would get a reset instead of the 413.
MAX_DISCARDED_BYTES: Final = 1024 * 1024
# A host sends a few hundred bytes at once and gives up after 3 s; this is for the slowest of lines.
BODY_SECONDS: Final = 10.0
# What is thrown away anyway is waited for only so that the answer gets through.
DISCARD_SECONDS: Final = 1.0
# From the whole body to the answer. Nothing at these doors takes as long; a handler that hangs must not live for ever.
HANDLER_SECONDS: Final = 30.0
# After an early answer Hypercorn closes the connection, which is at once; this only bounds a fault of ours.
CLOSE_SECONDS: Final = 5.0
# In the state of a scope: what the access log writes in the place of the path.
SHOWN_PATH: Final = "gateway.shown_path"

_log = logging.getLogger(__name__)


class BodyTooLarge(GatewayError):
    """More than `MAX_BODY_BYTES`."""


class BodyTooSlow(GatewayError):
    """Not whole within `BODY_SECONDS`."""


class ClientLeft(GatewayError):
    """The client went away before its body was whole. There is nobody to answer."""


async def receive_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body.

    Raises: `BodyTooLarge`, `BodyTooSlow` (answer with `answer_early`: the body may not be whole), `ClientLeft`.
    """
    chunks: list[bytes] = []
    arrived = 0
    size = _declared_size(scope)
    with trio.move_on_after(BODY_SECONDS if size <= MAX_BODY_BYTES else DISCARD_SECONDS) as deadline:
        while arrived <= MAX_DISCARDED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientLeft("the client left before its body was whole")
            chunk: bytes = message.get("body", b"")
            arrived += len(chunk)
            size = max(size, arrived)
            if size <= MAX_BODY_BYTES:
                chunks.append(chunk)
            if not message.get("more_body", False):
                break
    if size > MAX_BODY_BYTES:
        raise BodyTooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")
    if deadline.cancelled_caught:
        raise BodyTooSlow(f"the body was not whole within {BODY_SECONDS:g} s")
    return b"".join(chunks)


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # h11 lets only digits through.
            return int(value)
    return 0


async def answer(send: Send, response: Answer) -> None:
    """Send a response whose request has been read whole."""
    body = response.body
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), *response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def answer_early(receive: Receive, send: Send, response: Answer) -> None:
    """Send a response although the client may be writing still; Hypercorn closes the connection after it.

    Hypercorn hands a body over through a queue of ten and, in sending the end of a response, waits to put one more message into it. Who
    answers without emptying the queue waits for himself.
    """
    with trio.move_on_after(CLOSE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_discard, receive)
            await answer(send, response)


async def _discard(receive: Receive) -> None:
    while (await receive())["type"] == "http.request":
        pass


async def body_or_answer(scope: Scope, receive: Receive, send: Send) -> bytes | Problem | None:
    """The body; or, when there is none, what was wrong with it, already answered; None when the client left."""
    try:
        return await receive_body(scope, receive)
    except BodyTooLarge as exc:
        problem, text = Problem.BODY_TOO_LARGE, str(exc)
    except BodyTooSlow as exc:
        problem, text = Problem.BODY_TOO_SLOW, str(exc)
    except ClientLeft:
        return None
    await answer_early(receive, send, error_answer(problem, text))
    return problem


class PatientApp:
    """An application that hears of a request when its body is whole, and of the client's leaving never.

    The body is at most `MAX_BODY_BYTES` (413 otherwise). The handler has `HANDLER_SECONDS`; cut off, Hypercorn answers 500. WebSockets are
    refused. Everything else (the life span) passes through.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            body = await body_or_answer(scope, receive, send)
            if isinstance(body, bytes):
                with trio.move_on_after(HANDLER_SECONDS) as scope_of_handler:
                    await self._app(scope, _replay(body), send)
                if scope_of_handler.cancelled_caught:
                    path = scope.get("state", {}).get(SHOWN_PATH) or scope["path"]
                    _log.error("a handler of %s did not answer within %g s", path, HANDLER_SECONDS)
        else:
            await self._app(scope, receive, send)


def _replay(body: bytes) -> Receive:
    """The body once, then silence until the application has answered and cancels its wait."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await trio.sleep_forever()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
