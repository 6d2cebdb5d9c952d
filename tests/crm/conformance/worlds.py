"""All worlds: the table that the suite runs over."""

from collections.abc import Callable
from typing import Any

from tests.crm.conformance.world import Clock, World
from tests.crm.conformance.world_bitrix24 import Bitrix24, Bitrix24Application
from tests.crm.conformance.world_ms import MoySklad
from tests.crm.conformance.world_own import OwnCrm
from tests.crm.conformance.world_retailcrm import RetailCrm
from tests.crm.conformance.world_uon import Uon

WorldMaker = Callable[[Clock], World[Any]]
WORLDS: tuple[type[RetailCrm | MoySklad | Uon | Bitrix24 | OwnCrm], ...] = (RetailCrm, MoySklad, Uon, Bitrix24, Bitrix24Application, OwnCrm)
