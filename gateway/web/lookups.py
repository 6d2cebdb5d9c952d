"""What is configured, as the guide asks for it: integrations, line rules, the cache itself and its figures."""

from datetime import datetime
from typing import Any

import trio
from quart import Response
from quart_trio import QuartTrio

from cache.configurations import Configurations, Integrations
from cache.statistics import sum_of
from gateway.crm.base import CrmKind
from gateway.nurseries.clock import Clock
from gateway.web.details import json_answer, serve
from gateway.web.enterprises import Enterprises
from gateway.web.health import Health
from gateway.web.metadata_shapes import transforms


class Lookups:
    """`/health`, `/stats`, `/integrations`, `/cache`, `/incoming-transform`. Make it inside the Trio run: its uptime begins."""

    def __init__(self, *, enterprises: Enterprises, configurations: Configurations, health: Health, clock: Clock) -> None:
        self._enterprises = enterprises
        self._configurations = configurations
        self._health = health
        self._clock = clock
        self._began = trio.current_time()

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        serve(app, "GET", "/health", self.health)
        serve(app, "GET", "/stats", self.stats)
        serve(app, "GET", "/integrations/<key>", self.integrations)
        serve(app, "GET", "/cache/entries", self.entries)
        serve(app, "POST", "/cache/refresh", self.refresh)
        serve(app, "POST", "/cache/invalidate/<key>", self.invalidate)
        serve(app, "GET", "/incoming-transform/<key>", self.transform)
        serve(app, "POST", "/reload-incoming-transform/<key>", self.reload_transform)

    async def health(self) -> Response:
        """For people; a probe asks /health/ready, whose status says it."""
        is_connected = "database" not in await self._health.missing()
        return json_answer(
            {
                "status": "healthy" if is_connected else "degraded",
                "cache_size": len(self._configurations.entries()),
                "database_connected": is_connected,
                "uptime_seconds": round(trio.current_time() - self._began, 1),
            }
        )

    async def stats(self) -> Response:
        """The figures of the guide."""
        return json_answer(stats_of(self._configurations))

    async def integrations(self, key: str) -> Response:
        """Which CRMs are switched on."""
        return json_answer(shape(await self._enterprises.integrations(key), self._clock()))

    async def entries(self) -> Response:
        """All that is cached."""
        now = self._clock()
        return json_answer({number: shape(entry, now) for number, entry in self._configurations.entries().items()})

    async def refresh(self) -> Response:
        """Read everything anew."""
        await self._configurations.refresh()
        return json_answer({"message": "Cache refreshed successfully"})

    async def invalidate(self, key: str) -> Response:
        """Forget what is cached of an enterprise. Nobody's key is nothing to forget, and no error."""
        if not self._enterprises.is_secret(key):
            await self._configurations.invalidate(key)
        shown = "***" if self._enterprises.is_hidden(key) else key
        return json_answer({"message": f"Cache invalidated for enterprise {shown}"})

    async def transform(self, key: str) -> Response:
        """The rules of incoming numbers."""
        return json_answer({"map": transforms((await self._enterprises.metadata(key)).lines.values())})

    async def reload_transform(self, key: str) -> Response:
        """Read them anew."""
        await self._configurations.reload((await self._enterprises.config(key)).number)
        return json_answer({"size": len(transforms((await self._enterprises.metadata(key)).lines.values()))})


def shape(found: Integrations, now: datetime) -> dict[str, Any]:
    """Names and states of CRMs; `smart` chooses among them and is none. Times in seconds since 1970."""
    return {
        "integrations": {name: is_on for name, is_on in found.integrations.items() if name in tuple(CrmKind)},
        "created_at": found.created_at.timestamp(),
        "expires_at": found.expires_at.timestamp(),
        "age_seconds": round(max((now - found.created_at).total_seconds(), 0.0), 3),
    }


def stats_of(configurations: Configurations) -> dict[str, Any]:
    """The figures by their old names.

    `hits` and `misses`: look-ups of integrations, lines and managers, those of live calls included; `config_hits` and `config_misses`:
    of whole configurations. Where nothing has been asked a rate is 0. Sizes are of what exists: keys that nobody has are remembered too,
    and are not counted.
    """
    lookups = sum_of((configurations.statistics, configurations.metadata_statistics))
    configs = configurations.config_statistics
    entries, config_entries, sizes = configurations.entries(), configurations.config_entries(), configurations.sizes
    refreshed_at = configurations.last_refresh_at
    return {
        "hits": lookups.hits,
        "misses": lookups.misses,
        "refreshes": configurations.full_refreshes,
        "cache_size": len(entries),
        "config_hits": configs.hits,
        "config_misses": configs.misses,
        "config_cache_size": sizes.configs,
        "last_full_refresh": refreshed_at.isoformat(timespec="seconds") if refreshed_at is not None else None,
        "total_requests": lookups.total_requests,
        "hit_rate_percent": lookups.hit_rate_percent,
        "config_hit_rate_percent": configs.hit_rate_percent,
        "cache_entries": list(entries),
        "config_cache_entries": list(config_entries),
        "incoming_transform_cached": sizes.metadata,
    }
