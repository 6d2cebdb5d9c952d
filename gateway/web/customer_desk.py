"""Who calls: names, profiles, who is responsible, and what a CRM is asked or told about a customer outside of any call."""

import logging
from typing import Any, cast

import trio
from quart import Response, request
from quart_trio import QuartTrio

from cache.customers import Customers, asked_number
from gateway.calls.phones import digits, is_internal
from gateway.crm.base import CrmAdapter, CrmKind, CrmLookupFailed, CrmSettingsError, Problem
from gateway.crm.registry import Crms
from gateway.nurseries.clock import Clock
from gateway.ports import CustomerProfile, EnterpriseConfig, NamedCustomer, Store
from gateway.web.details import Detail, json_answer, posted_body, serve
from gateway.web.enterprises import Enterprises
from gateway.web.posted_event import InvalidPayload, read_fields

# Who asks for a name shows it while a telephone rings, and has given up by then.
NAME_SECONDS = 2.5

log = logging.getLogger(__name__)


class EnrichmentRefused(Exception):
    """Nothing can be enriched, and the asker is told why, with 200."""


class CustomerDesk:
    """`/customer-name`, `/customer-profile`, `/responsible-extension`, `/enrich-customer`, `/notify/incoming`."""

    def __init__(self, *, enterprises: Enterprises, customers: Customers, crms: Crms, store: Store, clock: Clock) -> None:
        self._enterprises = enterprises
        self._customers = customers
        self._crms = crms
        self._store = store
        self._clock = clock

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        serve(app, "GET", "/customer-name/<key>/<phone>", self.name)
        serve(app, "GET", "/customer-profile/<key>/<phone>", self.profile)
        serve(app, "GET", "/responsible-extension/<key>/<phone>", self.responsible)
        serve(app, "POST", "/enrich-customer/<key>/<phone>", self.enrich, is_bounded=False)
        serve(app, "POST", "/notify/incoming", self.notify)

    async def name(self, key: str, phone: str) -> Response:
        """The name; null when there is none, and also when anything at all goes wrong."""
        name: str | None = None
        with trio.move_on_after(NAME_SECONDS):
            try:
                name = await self._customers.name(await self._enterprises.config(key), phone)
            except Exception as exc:  # noqa: BLE001 – promised: who asks for a name goes on without one, whatever has happened here
                log.info("a name could not be looked up: %s", type(exc).__name__)
        return json_answer({"name": name})

    async def profile(self, key: str, phone: str) -> Response:
        """Who it is; four nulls when nobody knows, or it cannot be found out in time."""
        config = await self._enterprises.config(key)
        found: CustomerProfile | None = None
        with trio.move_on_after(NAME_SECONDS):
            found = await self._customers.profile(config, phone)
        return json_answer(profile_shape(found))

    async def responsible(self, key: str, phone: str) -> Response:
        """Whose customer it is; null when nobody's, or it cannot be found out in time."""
        config = await self._enterprises.config(key)
        fresh = request.args.get("nocache", "").lower() in {"true", "1", "yes"}
        extension: str | None = None
        with trio.move_on_after(NAME_SECONDS):
            extension = await self._customers.responsible_extension(config, phone, fresh=fresh)
        return json_answer({"extension": extension})

    async def enrich(self, key: str, phone: str) -> Response:
        """Ask the primary CRM now and write down what it says, for all numbers of the customer."""
        config = await self._enterprises.config(key)
        try:
            return json_answer(await self._enriched(config, asked_number(phone)))
        except EnrichmentRefused as exc:
            return json_answer({"success": False, "error": str(exc)})

    async def _enriched(self, config: EnterpriseConfig, phone: str) -> dict[str, Any]:
        if not self._crms.enabled(config):
            raise EnrichmentRefused("No integrations configured")
        primary = self._crms.primary(config)
        adapter = self._primary_to_ask(config, primary)
        found = await _asked(adapter, phone) if phone else None
        if found is None:
            raise EnrichmentRefused("No customer profile found")
        # The cache cleans what a CRM says.
        self._customers.put(config.number, phone, found)
        profile = self._customers.known(config.number, phone) or found
        if not profile.name:
            raise EnrichmentRefused("No name data in profile")
        if not profile.external_id:
            raise EnrichmentRefused(f"No external_id found for {profile.source or primary.value}")
        named = NamedCustomer(phone=phone, profile=profile, at=self._clock(), is_primary=True)
        updated = await self._store.name_customer(config.number, named)
        return {"success": True, **enriched_shape(profile, phone), "updated_count": updated, "is_primary_source": True}

    def _primary_to_ask(self, config: EnterpriseConfig, kind: CrmKind) -> CrmAdapter:
        """Raises `EnrichmentRefused`: the primary CRM cannot be asked, whoever the customer is."""
        if kind not in self._crms.enabled(config):
            raise EnrichmentRefused(f"The primary CRM {kind} is switched off or not configured, see smart.primary")
        try:
            return self._crms.adapter(config, kind)
        except CrmSettingsError as exc:
            # A line for each thing that is wrong, never a secret.
            raise EnrichmentRefused(f"The settings of the primary CRM are wrong: {'; '.join(str(exc).splitlines())}") from exc

    def _adapter(self, config: EnterpriseConfig, kind: CrmKind) -> CrmAdapter | None:
        """The CRM if it is switched on and can be spoken to."""
        if kind not in self._crms.enabled(config):
            return None
        try:
            return self._crms.adapter(config, kind)
        except CrmSettingsError:
            return None

    async def notify(self) -> Response:
        """Show a notice of an incoming call in the primary CRM."""
        fields = await _fields()
        number, phone = _text(fields.get("enterprise_number")), digits(_text(fields.get("phone")))
        if not number:
            raise Detail(400, "enterprise_number required")
        if not phone:
            raise Detail(400, "phone required")
        config = await self._enterprises.config(number)
        provider = self._crms.primary(config)
        adapter = self._adapter(config, provider)
        extensions = _extensions(fields)
        with trio.move_on_after(NAME_SECONDS):
            outcome = await adapter.notify_incoming(phone, extensions) if adapter is not None else None
            if outcome is None:
                return json_answer({"success": False, "provider": provider, "error": "provider_not_implemented"})
            answer = {"success": outcome.outcome.is_done, "provider": provider, "status": outcome.outcome}
            return json_answer(answer if outcome.outcome.is_done else {**answer, "error": outcome.reason})
        return json_answer({"success": False, "provider": provider, "status": "timeout", "error": f"no answer within {NAME_SECONDS:g} s"})


def profile_shape(profile: CustomerProfile | None) -> dict[str, Any]:
    """Four names, each null where it is not known, and the CRM's own record where it came along."""
    if profile is None:
        return {"last_name": None, "first_name": None, "middle_name": None, "enterprise_name": None}
    shape: dict[str, Any] = {
        "last_name": profile.last_name or None,
        "first_name": profile.first_name or None,
        "middle_name": profile.middle_name or None,
        "enterprise_name": profile.enterprise_name or None,
    }
    if profile.raw is not None:
        kind = f"{profile.source}_corporate" if profile.is_company else profile.source
        shape["source"] = {"raw": dict(profile.raw), "type": kind}
    return shape


def enriched_shape(profile: CustomerProfile, phone: str) -> dict[str, Any]:
    """What has been written down of whom."""
    numbers = dict.fromkeys(number for number in (phone, *(digits(other) for other in profile.phones)) if number)
    return {
        "full_name": profile.name,
        "source": profile.source,
        "external_id": profile.external_id,
        "person_uid": f"{profile.source}{'_corp' if profile.is_company else ''}:{profile.external_id}",
        "linked_phones": [f"+{number}" for number in numbers],
    }


async def _asked(adapter: CrmAdapter, phone: str) -> CustomerProfile | None:
    try:
        with trio.fail_after(NAME_SECONDS):
            return await adapter.look_up(phone)
    except CrmLookupFailed as exc:
        text = "Invalid profile data" if exc.problem is Problem.BAD_ANSWER else f"Customer look-up failed: {exc.problem}"
        raise EnrichmentRefused(text) from exc
    except trio.TooSlowError as exc:
        raise EnrichmentRefused(f"Customer look-up failed: {Problem.TIMEOUT}") from exc


async def _fields() -> dict[str, Any]:
    """The posted object; what is none counts as an empty one."""
    try:
        return read_fields(await posted_body())
    except InvalidPayload:
        return {}


def _extensions(fields: dict[str, Any]) -> tuple[str, ...]:
    """Those who are to see it, the chosen one first."""
    listed = fields.get("extensions_all")
    values: list[Any] = [fields.get("extension"), *(cast("list[Any]", listed) if isinstance(listed, list) else ())]
    return tuple(dict.fromkeys(text for text in map(_text, values) if is_internal(text)))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= 128 and value.isprintable() else ""
