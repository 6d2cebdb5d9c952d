"""The time zone of an enterprise, where a CRM wants dates without one."""

from zoneinfo import ZoneInfo

from gateway.crm.base import CrmKind, CrmSettingsError
from gateway.ports import EnterpriseConfig


def zone_of(config: EnterpriseConfig, kind: CrmKind) -> ZoneInfo:
    """Raises `CrmSettingsError`: calls at a wrong time would stand in the CRM for ever; those that wait are told later."""
    try:
        return ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError):  # as gateway.configuration meets them
        raise CrmSettingsError(f"integrations.{kind}: the enterprise's timezone must be as in Europe/Minsk") from None
