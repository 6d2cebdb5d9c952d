"""What the public listener serves beside the webhooks: updates for the bots (where they come by webhook), JSON errors for the rest."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from quart import Response, request

from gateway.web.asgi import App
from gateway.web.intake import KINDS
from gateway.web.quart_errors import create_app, json_error, serve_patiently

# Bot API, setWebhook: "secret_token" comes back in this header with every update.
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the name of a header)

# (bot id, secret of the header, update) -> taken. False: no such bot, or not its secret. It must check the secret in constant time.
OnUpdate = Callable[[int, str, dict[str, Any]], Awaitable[bool]]


def create_public_app(*, on_update: OnUpdate | None) -> App:
    """Everything of the public listener but the webhooks. Without `on_update` there are no bot webhooks: 404."""
    app = create_app("gateway.public")

    for kind in KINDS:
        # So that every other method is answered 405 with `Allow: POST`. The intake answers the POST before Quart is asked.
        app.add_url_rule(f"/{kind}", kind, _not_here, methods=["POST"])

    if on_update is not None:

        @app.post("/telegram/<int:bot_id>")
        async def bot_update(bot_id: int) -> Response:
            update: Any = await request.get_json(force=True)
            if not isinstance(update, dict):
                return json_error(422, "an update is a JSON object")
            if not await on_update(bot_id, request.headers.get(SECRET_HEADER, ""), cast(dict[str, Any], update)):
                # Not 401 or 403: nobody learns here which bots there are.
                return json_error(404, "Not Found")
            return Response(b'{"status":"ok"}', content_type="application/json")

    return serve_patiently(app)


async def _not_here() -> Response:
    return json_error(503, "the intake is not in front of this application")
