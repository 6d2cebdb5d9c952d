"""An enterprise's own CRM as it should be: a receiver of Standard Webhooks (standardwebhooks.com) that trusts nobody.

It verifies by itself, with no code of the gateway: signature, age (five minutes to either side), and whether an event came before. Faults
are written down beforehand. Reach it over a socket (`serve_own_crm`) or in memory (`MemoryNetwork.place(name, receiver.site)`).
"""

import base64
import hmac
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum, auto
from typing import Any

import attrs
import trio

from tester.fakes.crm_network import Heard, Reply, serve_on_loopback, speak_http

TOLERANCE_SECONDS = 300
PATH = "/calls"


class FaultKind(StrEnum):
    """What goes wrong with one request: another status, a late answer, none at all, the end of the connection."""

    STATUS = auto()
    DELAY = auto()
    HANG = auto()
    CLOSE = auto()


@attrs.frozen(kw_only=True)
class Fault:
    """`accepts`: the event is taken all the same, the sender just does not hear of it. What was only delayed is answered as usual."""

    kind: FaultKind
    accepts: bool = False
    status: int = 503
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay_seconds: float = 0.0


@attrs.frozen(kw_only=True)
class Delivery:
    """One request and what the receiver made of it. `problem`: why it was not believed, "" when it was."""

    at: datetime
    webhook_id: str
    timestamp: str
    event: dict[str, Any] | None
    problem: str = ""
    is_duplicate: bool = False


class OwnCrmReceiver:
    """`events`: what was accepted, each once, in order. `deliveries`: everything that came.

    Args:
        secret: as in the gateway's settings.
        clock: the receiver's own, aware; the machine's by default.
    """

    def __init__(self, secret: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.deliveries: list[Delivery] = []
        self._key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
        self._clock = clock or (lambda: datetime.now(UTC))
        self._known: set[str] = set()
        self._faults: deque[Fault] = deque()
        self._changed = trio.Event()

    def fail(self, *faults: Fault) -> None:
        """What the next requests meet, one each."""
        self._faults.extend(faults)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds; it is looked at after every delivery."""
        while not condition():
            await self._changed.wait()

    async def site(self, stream: trio.abc.Stream) -> None:
        """One connection."""
        await speak_http(self.handle, stream)

    async def handle(self, heard: Heard) -> Reply:
        """One request."""
        fault = self._faults.popleft() if self._faults else None
        if fault is None:
            return self._receive(heard)
        if fault.kind is FaultKind.DELAY:
            await trio.sleep(fault.delay_seconds)
            return self._receive(heard)
        if fault.accepts:
            self._receive(heard)
        else:
            self._note(heard, None, problem=f"fault: {fault.kind}")
        if fault.kind is FaultKind.HANG:
            await trio.sleep_forever()
        if fault.kind is FaultKind.CLOSE:
            return Reply(sends_nothing=True)
        return Reply(status=fault.status, headers=fault.headers, body=fault.body)

    def _receive(self, heard: Heard) -> Reply:
        problem, status = self._judge(heard)
        if problem:
            self._note(heard, None, problem=problem)
            return _said(status, problem)
        event = json.loads(heard.body)
        webhook_id = heard.headers["webhook-id"]
        is_duplicate = webhook_id in self._known
        if not is_duplicate:
            self._known.add(webhook_id)
            self.events.append(event)
        self._note(heard, event, is_duplicate=is_duplicate)
        return _said(200, "known" if is_duplicate else "accepted")

    def _judge(self, heard: Heard) -> tuple[str, int]:
        """Standard Webhooks, "Verifying signatures"."""
        if heard.path != PATH:
            return "no such path", 404
        if heard.method != "POST":
            return "POST is wanted", 405
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        webhook_id, timestamp, signatures = (heard.headers.get(name, "") for name in names)
        if not (webhook_id and timestamp and signatures):
            return "a header is missing", 400
        if not timestamp.isdecimal() or abs(int(timestamp) - self._clock().timestamp()) > TOLERANCE_SECONDS:
            return "the timestamp is too old or too new", 400
        signed = b".".join((webhook_id.encode(), timestamp.encode(), heard.body))
        wanted = base64.b64encode(hmac.new(self._key, signed, "sha256").digest())
        given = (entry.partition(",") for entry in signatures.split(" "))
        if not any(version == "v1" and hmac.compare_digest(value.encode(), wanted) for version, _, value in given):
            return "the signature does not match", 401
        try:
            is_object = isinstance(json.loads(heard.body), dict)
        except ValueError:
            is_object = False
        return ("", 200) if is_object else ("the body is no JSON object", 400)

    def _note(self, heard: Heard, event: dict[str, Any] | None, *, problem: str = "", is_duplicate: bool = False) -> None:
        self.deliveries.append(
            Delivery(
                at=self._clock(),
                webhook_id=heard.headers.get("webhook-id", ""),
                timestamp=heard.headers.get("webhook-timestamp", ""),
                event=event,
                problem=problem,
                is_duplicate=is_duplicate,
            )
        )
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def serve_own_crm(receiver: OwnCrmReceiver) -> AsyncGenerator[str]:
    """The receiver on a free loopback port while the block runs; yields the URL for the settings."""
    async with serve_on_loopback(receiver.site) as base_url:
        yield f"{base_url}{PATH}"


def _said(status: int, text: str) -> Reply:
    return Reply(status=status, headers=(("Content-Type", "application/json"),), body=json.dumps({"message": text}).encode())
