"""The internal listener: health, figures, and the integration gateway. For programs on this machine only.

This is the composition; each family of endpoints has its own module.
"""

import attrs
from quart import Response, jsonify
from quart_trio import QuartTrio

from cache.configurations import Configurations
from cache.customers import Customers
from cache.directory import Directory
from gateway.crm.checks import CHECKS
from gateway.crm.registry import Crms
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.nurseries.clock import Clock
from gateway.nurseries.outbox import Outbox
from gateway.ports import Store
from gateway.web.asgi import App
from gateway.web.configs import ConfigDesk
from gateway.web.customer_desk import CustomerDesk
from gateway.web.details import answer_with_details
from gateway.web.dispatch import DispatchDesk
from gateway.web.enterprises import Enterprises
from gateway.web.guards import DiscreetPaths, LoopbackOnly, NoForeignPages
from gateway.web.health import Health
from gateway.web.lookups import Lookups
from gateway.web.message_cache import MessageCache
from gateway.web.metadata import MetadataDesk
from gateway.web.quart_errors import create_app, serve_patiently
from gateway.web.telegram_messages import TelegramMessages


@attrs.frozen(kw_only=True)
class Rooms:
    """What the endpoints ask."""

    store: Store
    directory: Directory
    configurations: Configurations
    customers: Customers
    crms: Crms
    outbox: Outbox
    clock: Clock


def create_internal_app(*, health: Health, metrics: Metrics, rooms: Rooms) -> App:
    """Everything of the internal listener; 403 for everybody who is not on this machine, and for pages of other sites in its browsers."""
    app = create_app("gateway.internal")
    answer_with_details(app)
    _add_probes(app, health, metrics)
    enterprises = Enterprises(rooms.directory, rooms.configurations)
    Lookups(enterprises=enterprises, configurations=rooms.configurations, health=health, clock=rooms.clock).add_to(app)
    ConfigDesk(enterprises=enterprises, configurations=rooms.configurations, crms=rooms.crms, store=rooms.store).add_to(app)
    MetadataDesk(enterprises=enterprises, configurations=rooms.configurations, clock=rooms.clock).add_to(app)
    CustomerDesk(enterprises=enterprises, customers=rooms.customers, crms=rooms.crms, store=rooms.store, clock=rooms.clock).add_to(app)
    DispatchDesk(enterprises=enterprises, crms=rooms.crms, store=rooms.store, outbox=rooms.outbox, clock=rooms.clock).add_to(app)
    TelegramMessages(MessageCache()).add_to(app)
    words = {part for rule in app.url_map.iter_rules() for part in rule.rule.split("/") if "<" not in part} | CHECKS.keys()
    guarded = LoopbackOnly(NoForeignPages(serve_patiently(app)))
    return DiscreetPaths(guarded, words=words, is_shown=enterprises.is_shown, is_hidden=enterprises.is_hidden)


def _add_probes(app: QuartTrio, health: Health, metrics: Metrics) -> None:
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
