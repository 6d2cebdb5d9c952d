"""Which CRMs an enterprise has: from its settings to adapters. Nothing here speaks to a CRM."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import attrs

from gateway.crm.base import CrmAdapter, CrmKind, CrmSettingsError
from gateway.crm.checks import CHECKS, SMART, refused_targets, table_problems
from gateway.ports import EnterpriseConfig
from gateway.tables import kind_of, shown

CrmMaker = Callable[[EnterpriseConfig, Mapping[str, Any]], CrmAdapter]
"""The adapter of an enterprise with these settings (its table). Raises `CrmSettingsError`; asks nobody anything.

Of the enterprise it may keep number and time zone, nothing else: an adapter lives for as long as these and its settings are equal.
"""

DEFAULT_PRIMARY = CrmKind.RETAILCRM

# One for each enterprise and CRM that has had something to do. Some hundred bytes each; beyond this the oldest is made anew when needed.
MOST_ADAPTERS = 10_000


@attrs.frozen
class _Made:
    settings: Mapping[str, Any] = attrs.field(repr=False)
    timezone: str
    adapter: CrmAdapter

    def is_for(self, config: EnterpriseConfig, settings: Mapping[str, Any]) -> bool:
        return self.timezone == config.timezone and (self.settings is settings or self.settings == settings)


class Crms:
    """The CRMs this gateway can speak to, and the adapters made so far.

    `integrations` of an enterprise may hold anything, since administrators write it with psql too: where it is damaged nothing new is owed
    (`enabled`), what is owed already fails (`told`), and `problems` says what is wrong. Without `allow_private_targets` an address that
    `CrmHttp` would refuse is wrong too.
    """

    def __init__(self, makers: Mapping[CrmKind, CrmMaker], *, allow_private_targets: bool = True) -> None:
        self._makers = dict(makers)
        self._allow_private_targets = allow_private_targets
        self._made: dict[tuple[str, CrmKind], _Made] = {}

    @property
    def kinds(self) -> frozenset[CrmKind]:
        """Those that have an adapter."""
        return frozenset(self._makers)

    def enabled(self, config: EnterpriseConfig) -> tuple[CrmKind, ...]:
        """What is told of this enterprise's calls: enabled in its settings and known here; none when the enterprise is not active."""
        if not config.active:
            return ()
        return tuple(kind for kind in CrmKind if kind in self._makers and _is_enabled(config, kind))

    def adapter(self, config: EnterpriseConfig, kind: CrmKind) -> CrmAdapter:
        """The adapter for these settings: the same one for as long as they and the time zone are equal, whether enabled or not.

        Raises: `CrmSettingsError`.
        """
        settings = _table(config, kind)
        if settings is None or kind not in self._makers:
            raise CrmSettingsError(f"integrations.{kind}: is no table" if kind in self._makers else _unsupported(kind))
        key = (config.number, kind)
        made = self._made.get(key)
        if made is None or not made.is_for(config, settings):
            self._made.pop(key, None)
            made = _Made(settings, config.timezone, self._makers[kind](config, settings))
            self._made[key] = made
            if len(self._made) > MOST_ADAPTERS:
                del self._made[next(iter(self._made))]
        return made.adapter

    def told(self, config: EnterpriseConfig, crm: str) -> CrmAdapter | None:
        """The adapter for what this CRM is owed; None: the enterprise or the integration is switched off, or has been taken out.

        Raises: `CrmSettingsError` also for what is damaged, so that nobody knows whether it is switched off.
        """
        if not config.active:
            return None
        if config.integrations_problem:
            raise CrmSettingsError(config.integrations_problem)
        if crm not in config.integrations:
            return None
        table = _table(config, crm)
        if table is None:
            raise CrmSettingsError(f"integrations.{_plain(crm)}: must be a table, not {kind_of(config.integrations[crm])}")
        is_enabled = table.get("enabled", False)
        if not isinstance(is_enabled, bool):
            raise CrmSettingsError(f"integrations.{_plain(crm)}.enabled: must be true or false, not {kind_of(is_enabled)}")
        if not is_enabled:
            return None
        if crm not in self._makers:
            raise CrmSettingsError(_unsupported(_plain(crm)))
        return self.adapter(config, CrmKind(crm))

    def primary(self, config: EnterpriseConfig) -> CrmKind:
        """Who is asked for names and responsible people: `smart.primary`, enabled or not; RetailCRM when it says nothing usable."""
        value = (_table(config, SMART) or {}).get("primary")
        return CrmKind(value) if isinstance(value, str) and value in tuple(CrmKind) else DEFAULT_PRIMARY

    def problems(self, config: EnterpriseConfig) -> tuple[str, ...]:
        """What is wrong with the integrations of this enterprise, one line each, without secrets."""
        return tuple(self._problems(config))

    def _problems(self, config: EnterpriseConfig) -> Iterator[str]:
        if config.integrations_problem:
            yield config.integrations_problem
        for name in config.integrations:
            table = _table(config, name)
            if table is None:
                yield f"integrations.{_plain(name)}: must be a table, not {kind_of(config.integrations[name])}"
            elif name not in CHECKS:
                yield f"integrations: unknown key {shown(name)}"
            else:
                yield from table_problems(name, table)
                if not self._allow_private_targets:
                    yield from refused_targets(name, table)
                if _is_enabled(config, name) and name in tuple(CrmKind) and name not in self._makers:
                    yield _unsupported(name)


def _table(config: EnterpriseConfig, name: str) -> Mapping[str, Any] | None:
    value = config.integrations.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _is_enabled(config: EnterpriseConfig, name: str) -> bool:
    table = _table(config, name)
    return table is not None and table.get("enabled") is True


def _unsupported(name: str) -> str:
    return f"integrations.{name}: this version cannot speak to this CRM"


def _plain(name: str) -> str:
    return shown(name)[1:-1]
