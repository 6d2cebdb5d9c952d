"""The settings of integrations: shown without their secrets, changed one table at a time."""

from collections.abc import Mapping
from typing import Any, cast

from quart import Response
from quart_trio import QuartTrio

from cache.configurations import Configurations
from gateway.calls.envelope import EnvelopeError, read_body
from gateway.crm.checks import CHECKS, table_problems
from gateway.crm.registry import Crms
from gateway.ports import EnterpriseConfig, Store
from gateway.tables import shown
from gateway.web.details import Detail, json_answer, posted_body, serve
from gateway.web.enterprises import NOT_FOUND, Enterprises
from gateway.web.masking import MaskedValue, masked, unmasked


class ConfigDesk:
    """`/config/…`. What is written is what the next look-up sees, here and in the calls."""

    def __init__(self, *, enterprises: Enterprises, configurations: Configurations, crms: Crms, store: Store) -> None:
        self._enterprises = enterprises
        self._crms = crms
        self._configurations = configurations
        self._store = store

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        serve(app, "GET", "/config/<key>", self.config)
        serve(app, "GET", "/config/<key>/<name>", self.config_of)
        serve(app, "PUT", "/config/<key>/<name>", self.put_config, is_bounded=False)

    async def config(self, key: str) -> Response:
        """All tables of an enterprise, and what is wrong with them."""
        told = "***" if self._enterprises.is_hidden(key) else key
        known = set(self._configurations.entries())
        found = await self._enterprises.config(key, missing=f"No integration configurations found for enterprise {told}")
        entry = self._configurations.entries().get(found.number)
        return json_answer(
            {
                "enterprise_number": found.number,
                "integrations": masked(tables(found)),
                "problems": list(self._crms.problems(found)),
                "source": "cache" if found.number in known else "database",
                "cached_at": entry.created_at.isoformat(timespec="seconds") if entry is not None else None,
            }
        )

    async def config_of(self, key: str, name: str) -> Response:
        """One table."""
        known = set(self._configurations.entries())
        found = await self._enterprises.config(key)
        table = masked(tables(found)).get(name)
        if table is None:
            raise Detail(404, f"Integration '{name}' not configured for enterprise {found.number}")
        source = "cache" if found.number in known else "database"
        return json_answer({"enterprise_number": found.number, "integration_type": name, "config": table, "source": source})

    async def put_config(self, key: str, name: str) -> Response:
        """Replace one table. A masked value stands for the one that is stored."""
        given = read_table(await posted_body())
        number = (await self._enterprises.config(key)).number
        if name not in CHECKS:
            raise Detail(422, f"there is no integration {shown(name)}, but {', '.join(CHECKS)}")
        try:
            table = unmasked(given, tables(await self._stored(number)).get(name, {}))
        except MaskedValue as exc:
            raise Detail(422, f"integrations.{name}: {exc}") from exc
        if problems := table_problems(name, table):
            raise Detail(422, "; ".join(problems))
        if not await self._store.set_integration(number, name, table):
            raise Detail(404, NOT_FOUND)
        # PostgreSQL tells of it as well, a moment later.
        await self._configurations.reload(number)
        return json_answer(
            {"status": "success", "message": f"Configuration of {name} updated for enterprise {number}", "enterprise_number": number}
        )

    async def _stored(self, number: str) -> EnterpriseConfig:
        """From the database: what memory holds may be older than the secret that a mask stands for."""
        for config in await self._store.enterprises_by_key(number):
            if config.number == number:
                return config
        raise Detail(404, NOT_FOUND)


def tables(config: EnterpriseConfig) -> dict[str, Mapping[str, Any]]:
    """The integrations that are tables; whatever else stands there (people with psql) is none."""
    found = cast("Mapping[str, object]", config.integrations)
    return {name: cast("Mapping[str, Any]", table) for name, table in found.items() if isinstance(table, Mapping)}


def read_table(body: bytes) -> dict[str, Any]:
    """The posted table. Raises `Detail` 422."""
    try:
        fields = dict(read_body(body).fields)
    except EnvelopeError as exc:
        raise Detail(422, str(exc)) from exc
    if place := _null_in(fields, ""):
        raise Detail(422, f"{place}: is null; leave the key out instead")
    return fields


def _null_in(value: Any, place: str) -> str:
    """Where the first null is; "" when there is none."""
    match value:
        case None:
            return shown(place)
        case dict():
            pairs = cast("dict[str, Any]", value).items()
            return next((found for key, inner in pairs if (found := _null_in(inner, f"{place}.{key}" if place else key))), "")
        case list():
            items = enumerate(cast("list[Any]", value))
            return next((found for index, inner in items if (found := _null_in(inner, f"{place}[{index}]"))), "")
        case _:
            return ""
