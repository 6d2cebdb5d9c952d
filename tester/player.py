"""Posts the webhooks of a script over HTTP, as a host does: one at a time, each once, three seconds for an answer, then the next one."""

import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import attrs
import httpx2 as httpx
import trio

from tester.pbx import Posted

HOST_TIMEOUT_SECONDS = 3.0
"""How long a host waits for an answer before it gives the event up."""

REAL_TIME = 1.0
AS_FAST_AS_POSSIBLE = math.inf

KEPT_CHARACTERS = 2000
"""What of an answer is kept: a gateway says far less, a page of somebody else far more."""

# What of an unexpected answer is worth a line.
_SHOWN_CHARACTERS = 200


@attrs.frozen(kw_only=True)
class Delivery:
    """What became of one webhook. `status` is None when no answer came; `error` is "" exactly when the answer was 200 with an event id.

    `answer_text` and `answer_headers` (lower case) are what came back, at most `KEPT_CHARACTERS` of the text.
    """

    posted: Posted
    latency_seconds: float
    status: int | None = None
    event_id: int | None = None
    duplicate: bool = False
    error: str = ""
    answer_headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    answer_text: str = attrs.field(default="", repr=False)


@attrs.frozen
class Report:
    """What became of a script, in the order of posting."""

    deliveries: tuple[Delivery, ...]

    @property
    def failed(self) -> tuple[Delivery, ...]:
        """Those that were not accepted."""
        return tuple(delivery for delivery in self.deliveries if delivery.error)

    @property
    def slowest_seconds(self) -> float:
        """The longest wait for an answer, 0 for an empty script."""
        return max((delivery.latency_seconds for delivery in self.deliveries), default=0.0)


@attrs.frozen(kw_only=True)
class Player:
    """A host's side of HTTP.

    Args:
        base_url: of the intake, as in `http://127.0.0.1:8000`.
        speed: 1 plays in real time, 10 ten times as fast, `AS_FAST_AS_POSSIBLE` does not wait between events.
        fresh_connections: a new connection for every webhook, as older hosts do.
        timeout_seconds: for connecting, and for the answer.
        transport: in the place of the network, for tests in virtual time.
    """

    base_url: str
    speed: float = REAL_TIME
    fresh_connections: bool = False
    timeout_seconds: float = HOST_TIMEOUT_SECONDS
    transport: httpx.AsyncBaseTransport | None = None

    async def play(self, script: Sequence[Posted], on_delivery: Callable[[Delivery], None] = lambda _: None) -> Report:
        """Post a script in its order. Whoever does not answer costs his event and holds up the next ones, nothing is raised.

        An event is posted `at_seconds / speed` after the start of playing, or as soon as the ones before it are through. Cancelled: what
        has been posted stays posted.
        """
        began = trio.current_time()
        deliveries: list[Delivery] = []
        async with self.connected() as post:
            for posted in script:
                await trio.sleep_until(began + posted.at_seconds / self.speed)
                delivery = await post(posted)
                deliveries.append(delivery)
                on_delivery(delivery)
        return Report(tuple(deliveries))

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Callable[[Posted], Awaitable[Delivery]]]:
        """A host's client, open while the block runs: what it gives posts one webhook now and never raises for want of an answer."""
        limits = httpx.Limits(max_keepalive_connections=0) if self.fresh_connections else httpx.Limits()
        # Reading the certificate authorities takes longer than most scripts, and over plain HTTP there is nothing to be verified.
        verify = not self.base_url.lower().startswith("http:")
        # Neither proxies nor certificates of the environment: a host posts straight to its address.
        async with httpx.AsyncClient(
            base_url=self.base_url, timeout=self.timeout_seconds, limits=limits, transport=self.transport, trust_env=False, verify=verify
        ) as client:
            yield partial(self._post, client)

    def headers(self, posted: Posted) -> Mapping[str, str]:
        """The headers of ours that go with a webhook."""
        token = str(posted.body.get("Token", ""))
        return {"Content-Type": "application/json"} | ({"Token": token} if token else {})

    def url(self, posted: Posted) -> str:
        """Where a webhook is posted to."""
        return f"{self.base_url.rstrip('/')}/{posted.kind}"

    async def _post(self, client: httpx.AsyncClient, posted: Posted) -> Delivery:
        began = trio.current_time()
        headers = [(name.encode(), value.encode()) for name, value in self.headers(posted).items()]
        try:
            # The total as well: a client's timeout counts anew for every part of an answer.
            with trio.fail_after(self.timeout_seconds):
                response = await client.post(f"/{posted.kind}", json=dict(posted.body), headers=headers)
        except (httpx.TimeoutException, trio.TooSlowError):
            error = f"no answer within {self.timeout_seconds:g} s"
            return Delivery(posted=posted, latency_seconds=trio.current_time() - began, error=error)
        except httpx.RequestError as exc:
            error = f"{type(exc).__name__}: {exc}".rstrip(": ")
            return Delivery(posted=posted, latency_seconds=trio.current_time() - began, error=error)
        return _delivery(posted, trio.current_time() - began, response)


def _delivery(posted: Posted, latency_seconds: float, response: httpx.Response) -> Delivery:
    answer = _answer(response)
    event_id = answer.get("event_id")
    accepted = response.status_code == 200 and isinstance(event_id, int)
    return Delivery(
        posted=posted,
        latency_seconds=latency_seconds,
        status=response.status_code,
        event_id=event_id if isinstance(event_id, int) else None,
        duplicate=answer.get("duplicate") is True,
        error="" if accepted else f"{response.status_code}: {_reason(answer, response)}",
        answer_headers=dict(response.headers),
        answer_text=response.text[:KEPT_CHARACTERS],
    )


def _answer(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer: object = json.loads(response.content)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", answer) if isinstance(answer, dict) else {}


def _reason(answer: Mapping[str, Any], response: httpx.Response) -> str:
    reason = answer.get("error")
    return (reason if isinstance(reason, str) else " ".join(response.text.split()) or "an empty answer")[:_SHOWN_CHARACTERS]
