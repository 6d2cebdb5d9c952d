"""What follows from the configuration of an enterprise for those who work for it. Pure but for one log line."""

import logging
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.cards.policy import FinalMode
from gateway.ports import EnterpriseConfig

log = logging.getLogger(__name__)


def zone_of(config: EnterpriseConfig) -> tzinfo:
    """The zone of an enterprise; UTC when the database holds a name that is none (the loader refuses those, people with psql do not)."""
    try:
        return ZoneInfo(config.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        log.warning("enterprise %s: time zone %r does not exist, using UTC", config.number, config.timezone)
        return ZoneInfo("UTC")


def final_mode_of(config: EnterpriseConfig) -> FinalMode:
    """How the end of a call is told; the default when the database holds a word that is none."""
    try:
        return FinalMode(config.final)
    except ValueError:
        log.warning("enterprise %s: telegram.final is %r, using %s", config.number, config.final, FinalMode.AUTO)
        return FinalMode.AUTO


def line_rules_of(config: EnterpriseConfig) -> dict[str, str]:
    """The transforms of incoming numbers by line."""
    return {line.line_id: line.incoming_transform for line in config.lines if line.incoming_transform}
