"""Errors of the Quart applications, in the same words as everywhere: `{"status":"error","error":"<what, in one line>"}`."""

import logging
from typing import cast

from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from gateway.web.asgi import MAX_BODY_BYTES, App, PatientApp
from gateway.web.problems import error_body

_log = logging.getLogger(__name__)


def create_app(name: str) -> QuartTrio:
    """An application without routes whose every error is JSON. Give it to `serve_patiently` when it has its routes."""
    app = QuartTrio(name, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)
    return app


def serve_patiently(app: QuartTrio) -> App:
    """The application as it is to be served: `gateway.web.asgi.PatientApp` says what that means for a handler."""
    # Quart's scope is a union of typed dictionaries, ours is what ASGI says: a mapping.
    return PatientApp(cast(App, app))


def json_error(status: int, text: str) -> Response:
    """The answer to a request with an error of this status."""
    return Response(error_body(text), status=status, content_type="application/json")


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    response = json_error(status, f"{error.name}: {error.description}" if status == 400 else error.name)
    for name, value in error.get_headers():
        # 405 says with `Allow` what is allowed, 503 with `Retry-After` when to come back.
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _fault(error: Exception) -> Response:
    """Safety net of an application: a fault of ours is logged and answered, the connection lives on."""
    _log.error("a handler failed", exc_info=error)
    return json_error(500, "internal error")
