"""Lines and managers by name: `/metadata/…`."""

from typing import Any

from quart import Response
from quart_trio import QuartTrio

from cache.configurations import Configurations
from gateway.nurseries.clock import Clock
from gateway.web import metadata_shapes as shapes
from gateway.web.details import Detail, json_answer, serve
from gateway.web.enterprises import Enterprises


class MetadataDesk:
    """The endpoints of `/metadata`. 503 until the configuration has been read for the first time."""

    def __init__(self, *, enterprises: Enterprises, configurations: Configurations, clock: Clock) -> None:
        self._enterprises = enterprises
        self._configurations = configurations
        self._clock = clock

    def add_to(self, app: QuartTrio) -> None:
        """The routes."""
        serve(app, "GET", "/metadata/stats", self.metadata_stats)
        serve(app, "POST", "/metadata/refresh-all", self.refresh_all)
        serve(app, "POST", "/metadata/<key>/refresh", self.refresh_one)
        serve(app, "GET", "/metadata/<key>/lines", self.lines)
        serve(app, "GET", "/metadata/<key>/managers", self.managers)
        serve(app, "GET", "/metadata/<key>/line/<line_id>", self.line)
        serve(app, "GET", "/metadata/<key>/manager/<extension>", self.manager)

    async def metadata_stats(self) -> Response:
        """How much is known, and since when."""
        self._must_be_read()
        return json_answer(self._stats())

    async def lines(self, key: str) -> Response:
        """All lines of an enterprise."""
        self._must_be_read()
        found = await self._enterprises.metadata(key)
        lines = {line_id: shapes.line_record(line) for line_id, line in found.lines.items()}
        return json_answer({"enterprise_number": found.enterprise_number, "lines_count": len(lines), "lines": lines})

    async def managers(self, key: str) -> Response:
        """All managers of an enterprise."""
        self._must_be_read()
        found = await self._enterprises.metadata(key)
        managers = {extension: shapes.manager_record(manager) for extension, manager in found.managers.items()}
        return json_answer({"enterprise_number": found.enterprise_number, "managers_count": len(managers), "managers": managers})

    async def line(self, key: str, line_id: str) -> Response:
        """One line."""
        self._must_be_read()
        found = await self._enterprises.metadata(key)
        line = found.lines.get(line_id)
        if line is None:
            raise Detail(404, f"Line {line_id} not found for enterprise {found.enterprise_number}")
        return json_answer(shapes.line_answer(found.enterprise_number, line))

    async def manager(self, key: str, extension: str) -> Response:
        """One manager."""
        self._must_be_read()
        found = await self._enterprises.metadata(key)
        manager = found.managers.get(extension)
        if manager is None:
            raise Detail(404, f"Manager {extension} not found for enterprise {found.enterprise_number}")
        return json_answer(shapes.manager_answer(found.enterprise_number, manager))

    async def refresh_one(self, key: str) -> Response:
        """Read one enterprise anew."""
        self._must_be_read()
        number = (await self._enterprises.config(key)).number
        await self._configurations.reload(number)
        answer = {"message": f"Metadata refreshed for enterprise {number}", "enterprise_number": number, "timestamp": self._now()}
        return json_answer(answer)

    async def refresh_all(self) -> Response:
        """Read all enterprises anew."""
        self._must_be_read()
        loaded = await self._configurations.refresh()
        return json_answer({"message": "Metadata refreshed for all enterprises", "loaded_enterprises": loaded, "timestamp": self._now()})

    def _must_be_read(self) -> None:
        if self._configurations.last_refresh_at is None:
            raise Detail(503, "Metadata cache not initialized")

    def _stats(self) -> dict[str, Any]:
        known = self._enterprises.known()
        entries = self._configurations.entries()
        return {
            "enterprises": len(known),
            "total_lines": sum(len(config.lines) for config in known),
            "total_managers": sum(len(config.managers) for config in known),
            "last_updates": {number: entry.created_at.isoformat(timespec="seconds") for number, entry in entries.items()},
            "memory_enterprises": sorted(config.number for config in known),
        }

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")
