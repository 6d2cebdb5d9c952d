"""The internal listener: health and figures. Loopback clients only."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final, cast

from quart import Response, jsonify

from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.web.asgi import App, Receive, Scope, Send, answer_early
from gateway.web.health import Health
from gateway.web.problems import Problem, error_answer
from gateway.web.quart_errors import create_app, serve_patiently

_FORBIDDEN: Final = error_answer(Problem.FORBIDDEN, "this listener answers clients on this machine only")


def create_internal_app(*, health: Health, metrics: Metrics) -> App:
    """`/health/live`, `/health/ready`, `/metrics`; 403 for everybody who is not on this machine."""
    app = create_app("gateway.internal")

    @app.get("/health/live")
    async def live() -> Response:
        return jsonify(status="ok")

    @app.get("/health/ready")
    async def ready() -> tuple[Response, int]:
        missing = await health.missing()
        if missing:
            return jsonify(status="error", error=f"not ready: {', '.join(missing)}", missing=list(missing)), 503
        return jsonify(status="ok"), 200

    @app.get("/metrics")
    async def figures() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    return LoopbackOnly(serve_patiently(app))


class LoopbackOnly:
    """Refuses whoever does not come over a loopback address. A forwarding header changes nothing: anybody can write one."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not _is_loopback(scope.get("client")):
            await answer_early(receive, send, _FORBIDDEN)
        else:
            await self._app(scope, receive, send)


def _is_loopback(client: object) -> bool:
    """ASGI: (host, port), or None where the server does not know."""
    if not isinstance(client, tuple | list) or not client:
        return False
    host = cast(Sequence[object], client)[0]
    try:
        address = ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # An IPv4 client of a dual-stack socket.
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
