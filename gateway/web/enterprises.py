"""Whose is it? The enterprise that a path or a payload of the internal listener means."""

from cache.configurations import Configurations, Integrations, Metadata
from cache.directory import AmbiguousEnterprise, Directory
from gateway.ports import EnterpriseConfig
from gateway.web.details import Detail

NOT_FOUND = "Enterprise not found"


class Enterprises:
    """Finds enterprises by the keys that may stand in a path: number, name, token. A secret opens nothing there: paths are written down.

    All look-ups raise `Detail` 404 when nobody has the key, `AmbiguousEnterprise` (409), and `LookupFailed` (503).
    """

    def __init__(self, directory: Directory, configurations: Configurations) -> None:
        self._directory = directory
        self._configurations = configurations

    async def config(self, key: str, *, missing: str = NOT_FOUND) -> EnterpriseConfig:
        """The whole configuration."""
        found = await self._configurations.find(key)
        if found is None or _is_secret_of(found, key):
            raise Detail(404, missing)
        return found

    async def integrations(self, key: str) -> Integrations:
        """Which integrations are switched on."""
        found = await self._configurations.integrations(key)
        if found is None or self.is_secret(key):
            raise Detail(404, NOT_FOUND)
        return found

    async def metadata(self, key: str) -> Metadata:
        """Lines and managers."""
        found = await self._configurations.metadata(key)
        if found is None or self.is_secret(key):
            raise Detail(404, NOT_FOUND)
        return found

    async def by_token(self, token: str) -> EnterpriseConfig:
        """The active enterprise of a payload's token, which may be its number, token, secret or name."""
        found = await self._configurations.find(token)
        if found is None or not found.active:
            raise Detail(404, "enterprise not found by token")
        return found

    def known(self) -> tuple[EnterpriseConfig, ...]:
        """All enterprises in memory."""
        return self._directory.enterprises

    def is_secret(self, part: str) -> bool:
        """Whether this is the secret of an enterprise, as far as enterprises are known in memory."""
        found = self._known(part)
        return isinstance(found, EnterpriseConfig) and _is_secret_of(found, part)

    def is_hidden(self, part: str) -> bool:
        """Whether this must not be written down: a token or a secret, of one enterprise or, by mistake, of several."""
        found = self._known(part)
        return found is not None and not _is_open(found, part)

    def is_shown(self, part: str) -> bool:
        """Whether this is the number or the name of an enterprise."""
        found = self._known(part)
        return found is not None and _is_open(found, part)

    def _known(self, key: str) -> EnterpriseConfig | AmbiguousEnterprise | None:
        try:
            return self._directory.resolve(key)
        except AmbiguousEnterprise as exc:
            return exc


def _is_open(found: EnterpriseConfig | AmbiguousEnterprise, key: str) -> bool:
    if isinstance(found, AmbiguousEnterprise):
        return found.kind in {"number", "name"}
    return key in (found.number, found.name)


def _is_secret_of(config: EnterpriseConfig, key: str) -> bool:
    return key == config.secret and key not in (config.number, config.token, config.name)
