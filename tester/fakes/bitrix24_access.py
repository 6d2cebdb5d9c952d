"""Who may call a Bitrix24 portal: inbound webhooks, and an application with tokens that expire. Source: the vendor's documentation."""

import hashlib
from collections.abc import Mapping

import attrs

from tester.fakes.bitrix24_wire import EXPIRED_TOKEN, INVALID_CREDENTIALS, INVALID_TOKEN, NO_AUTH_FOUND, Asker, B24Refusal, Params
from tester.fakes.crm_wire import Request, Response, json_response

ALL_SCOPES = ("crm", "telephony", "user")
ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 24 * 3600


@attrs.frozen(kw_only=True)
class B24Webhook:
    """An inbound webhook, made by a user."""

    user_id: int
    code: str = attrs.field(repr=False)
    scopes: frozenset[str]


@attrs.define(kw_only=True, eq=False, repr=False)
class B24App:
    """An installed application. `refresh_token` is the one that is good now; `access_tokens`: when each that was given out expires."""

    client_id: str
    client_secret: str
    scopes: frozenset[str]
    user_id: int = 1
    access_token: str = ""
    refresh_token: str = ""
    refresh_expires_at: float = 0.0
    access_tokens: dict[str, float] = attrs.field(factory=dict[str, float])
    times_issued: int = 0

    def issue(self, at: float) -> None:
        """A new pair of tokens. The old access token stays good while it lasts, the old refresh token is void."""
        self.times_issued += 1
        self.access_token, self.refresh_token = (
            hashlib.sha256(f"{kind}/{self.client_id}/{self.times_issued}".encode()).hexdigest()[:32] for kind in ("access", "refresh")
        )
        self.access_tokens[self.access_token] = at + ACCESS_SECONDS
        self.refresh_expires_at = at + REFRESH_SECONDS


class Access:
    """The doors of a portal."""

    def __init__(self, host: str) -> None:
        self.webhooks: list[B24Webhook] = []
        self.apps: list[B24App] = []
        self._host = host

    def asker(self, request: Request, door: Mapping[str, str | None], params: Params) -> Asker:
        """Who calls: the owner of the webhook in the path, or of the token in `auth`. Raises a refusal."""
        if door["code"] is not None:
            for hook in self.webhooks:
                if (str(hook.user_id), hook.code) == (door["user"], door["code"]):
                    key = f"webhook {hook.user_id} {self.webhooks.index(hook)}"
                    return Asker(key=key, user_id=hook.user_id, scopes=hook.scopes, is_app=False, at=request.at, when=request.when)
            raise B24Refusal(INVALID_CREDENTIALS)
        token = params.get("auth")
        if not token:
            raise B24Refusal(NO_AUTH_FOUND)
        for app in self.apps:
            if token in app.access_tokens:
                if app.access_tokens[str(token)] <= request.at:
                    raise B24Refusal(EXPIRED_TOKEN)
                return Asker(key=app.client_id, user_id=app.user_id, scopes=app.scopes, is_app=True, at=request.at, when=request.when)
        raise B24Refusal(INVALID_TOKEN)

    def renewed(self, request: Request, params: Params) -> Response:
        """`/oauth/token/` of the authorization server. A refresh token is good once only.

        Its errors as the vendor's own client (b24pysdk) knows them: some have no description, and that of an unknown client comes with 200.
        """
        if params.get("grant_type") != "refresh_token" or not params.get("refresh_token"):
            return json_response({"error": "invalid_request", "error_description": 'No "refresh_token" parameter found'}, 400)
        app = next((app for app in self.apps if app.client_id == params.get("client_id")), None)
        if app is None:
            return json_response({"error": "wrong_client"})
        if app.client_secret != params.get("client_secret"):
            return json_response({"error": "invalid_client"}, 400)
        if app.refresh_token != params["refresh_token"] or app.refresh_expires_at <= request.at:
            return json_response({"error": "invalid_grant"}, 400)
        app.issue(request.at)
        return json_response(
            {
                "access_token": app.access_token,
                "client_endpoint": f"https://{self._host}/rest/",
                "domain": "oauth.bitrix.info",
                "expires": int(request.when.timestamp()) + ACCESS_SECONDS,
                "expires_in": ACCESS_SECONDS,
                "member_id": hashlib.sha256(self._host.encode()).hexdigest()[:32],
                "refresh_token": app.refresh_token,
                "scope": "app",
                "server_endpoint": "https://oauth.bitrix.info/rest/",
                "status": "L",
                "user_id": app.user_id,
            }
        )
