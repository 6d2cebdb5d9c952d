"""The look-ups of a running service, put together: what is configured, and who calls. Who asks finds them in `Running`."""

from collections.abc import Awaitable, Callable

import attrs
import trio

from cache.configurations import Configurations
from cache.customers import Customers, Source
from cache.directory import Directory
from gateway.cards.customers import clean_profile
from gateway.crm.base import CrmLookupFailed, CrmSettingsError, Problem
from gateway.crm.registry import Crms
from gateway.errors import StoreRejected, StoreUnavailable
from gateway.metrics import Metrics
from gateway.nurseries.clock import Clock
from gateway.ports import CustomerProfile, EnterpriseConfig, Store


@attrs.frozen(kw_only=True)
class Lookups:
    """What is configured, and who calls."""

    configurations: Configurations
    customers: Customers

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all loads, for ever; started when look-ups can load. Cancelled, it ends them: who waits gets `LookupFailed`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.configurations.run)
            await nursery.start(self.customers.run)
            task_status.started()


def make_lookups(*, store: Store, directory: Directory, crms: Crms, clock: Clock, metrics: Metrics, crm_timeout_seconds: float) -> Lookups:
    """Look-ups on this store and these CRMs. `directory` is kept complete by them."""
    customers = Customers(
        stored=store.customer,
        look_up=primary_look_up(crms),
        clean=clean_profile,
        timeout_seconds=crm_timeout_seconds,
        wall_clock=clock,
        on_failure=lambda source, error: count_failure(metrics, source, error),
    )
    configurations = Configurations(
        directory,
        load_all=store.enterprises,
        load_by_key=store.enterprises_by_key,
        wall_clock=clock,
        on_invalidate=(customers.invalidate,),
        problems_of=crms.problems,
    )
    return Lookups(configurations=configurations, customers=customers)


def primary_look_up(crms: Crms) -> Callable[[EnterpriseConfig, str], Awaitable[CustomerProfile | None]]:
    """Asks the enterprise's primary CRM who has a number; an enterprise that has it switched off, or has none, is not asked."""

    async def look_up(config: EnterpriseConfig, phone: str) -> CustomerProfile | None:
        kind = crms.primary(config)
        if kind not in crms.enabled(config):
            return None
        return await crms.adapter(config, kind).look_up(phone)

    return look_up


def count_failure(metrics: Metrics, source: Source, error: Exception) -> None:
    """Count a look-up that failed by who was asked and why."""
    metrics.lookup_failed(source, problem_of(error))


def problem_of(error: Exception) -> Problem:
    """The class of what went wrong with a look-up."""
    match error:
        case CrmLookupFailed():
            return error.problem
        case CrmSettingsError():
            return Problem.SETTINGS
        case trio.TooSlowError():
            return Problem.TIMEOUT
        case StoreUnavailable():
            return Problem.CONNECTION
        case StoreRejected():
            return Problem.REJECTED
        case _:
            return Problem.INTERNAL
