"""The gateway's figures for Prometheus. One object, made by the service and handed to whoever has something to count.

Labels come from closed sets only (kinds of events, classes of errors, stages): never a token, a number, a chat or an enterprise, so the
number of series is fixed.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# Seconds. The host gives up at 3 s; an answer is normally a commit away (milliseconds).
_INTAKE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# A request to a CRM is given up after 2 s.
_PUSH_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """Counters, gauges and histograms in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._events = Counter("gateway_events", "Events stored, without duplicates", ["kind"], registry=registry)
        self._duplicates = Counter("gateway_duplicate_events", "Events posted again", ["kind"], registry=registry)
        self._rejected = Counter("gateway_rejected_requests", "Requests refused at the front door", ["reason"], registry=registry)
        self._intake = Histogram("gateway_intake_seconds", "From the whole body to its answer", registry=registry, buckets=_INTAKE_BUCKETS)
        self._batch = Histogram("gateway_journal_batch_events", "Events in one commit", registry=registry, buckets=_BATCH_BUCKETS)
        self._lanes = Gauge("gateway_lane_queue_events", "Stored events that wait for their lane", registry=registry)
        self._open_calls = Gauge("gateway_open_calls", "Calls that live in memory", registry=registry)
        self._messages = Counter("gateway_messages", "Requests to Telegram by action and result", ["action", "result"], registry=registry)
        self._telegram_errors = Counter("gateway_telegram_errors", "Errors of Telegram by class", ["error"], registry=registry)
        self._drains = Counter("gateway_drained", "Work at shutdown: finished or left for the next start", ["outcome"], registry=registry)
        self._pool = Gauge("gateway_pool_connections", "Database connections by state", ["state"], registry=registry)
        self._pushes = Counter("gateway_crm_pushes", "Requests to CRMs by what came of them", ["crm", "kind", "outcome"], registry=registry)
        self._push_problems = Counter(
            "gateway_crm_push_problems", "Failed requests to CRMs by problem", ["crm", "problem"], registry=registry
        )
        self._dead_pushes = Counter("gateway_crm_dead_letters", "Reports to CRMs that were given up", ["crm", "problem"], registry=registry)
        self._push_seconds = Histogram(
            "gateway_crm_push_seconds", "How long a CRM takes", ["crm"], registry=registry, buckets=_PUSH_BUCKETS
        )
        self._pushes_waiting = Gauge("gateway_crm_waiting_pushes", "Reports that CRMs are still to get", registry=registry)
        self._lookups = Counter(
            "gateway_lookups", "Names looked for by what they name and what came of it", ["what", "result"], registry=registry
        )
        self._lookup_failures = Counter(
            "gateway_lookup_failures",
            "Look-ups of customers that failed, by who was asked and why",
            ["source", "problem"],
            registry=registry,
        )
        self._late_names = Counter("gateway_late_names", "Names that came after the message and were put in by an edit", registry=registry)
        # What is touched for every event is looked up once.
        self._observe_intake: Callable[[float], None] = self._intake.observe
        self._observe_batch: Callable[[float], None] = self._batch.observe
        self._events_by_kind: dict[str, Counter] = {}
        self._lookups_by_result: dict[tuple[str, str], Counter] = {}

    def event_stored(self, kind: str) -> None:
        """A new event is committed. One whose commit was given up and is found later in the store is not counted: nobody saw it come."""
        child = self._events_by_kind.get(kind)
        if child is None:
            child = self._events_by_kind[kind] = self._events.labels(kind)
        child.inc()

    def event_duplicate(self, kind: str) -> None:
        """An event came that had been stored before."""
        self._duplicates.labels(kind).inc()

    def request_rejected(self, reason: str) -> None:
        """`reason`: a member of `gateway.web.problems.Problem`."""
        self._rejected.labels(reason).inc()

    def intake_answered(self, seconds: float) -> None:
        """A webhook was answered, with whatever status, so long after its body was whole."""
        self._observe_intake(seconds)

    def batch_written(self, items: int) -> None:
        """The journal committed so many events at once."""
        self._observe_batch(items)

    def lanes_waiting(self, items: int) -> None:
        """So many stored events wait for their lanes now."""
        self._lanes.set(items)

    def calls_open(self, items: int) -> None:
        """So many calls are held in memory now."""
        self._open_calls.set(items)

    def message(self, action: str, result: str) -> None:
        """`action`: sent, edited, deleted. `result`: ok or the class of the error."""
        self._messages.labels(action, result).inc()

    def telegram_error(self, error: str) -> None:
        """`error`: the class, as `telegram_client.errors` names it."""
        self._telegram_errors.labels(error).inc()

    def push(self, crm: str, kind: str, outcome: str, problem: str, seconds: float) -> None:
        """A try to tell a CRM has ended: a `CrmKind`, a `ReportKind`, an `OutcomeClass`, a `Problem` or ""."""
        self._pushes.labels(crm, kind, outcome).inc()
        self._push_seconds.labels(crm).observe(seconds)
        if problem:
            self._push_problems.labels(crm, problem).inc()

    def push_dead(self, crm: str, problem: str) -> None:
        """A report was given up."""
        self._dead_pushes.labels(crm, problem).inc()

    def pushes_waiting(self, items: int) -> None:
        """So many reports are owed to CRMs now."""
        self._pushes_waiting.set(items)

    def lookup(self, what: str, result: str) -> None:
        """`what`, `result`: members of `What` and `Result` of `gateway.nurseries.enrichment`."""
        child = self._lookups_by_result.get((what, result))
        if child is None:
            child = self._lookups_by_result[what, result] = self._lookups.labels(what, result)
        child.inc()

    def lookup_failed(self, source: str, problem: str) -> None:
        """`source`: a member of `cache.customers.Source`. `problem`: one of `gateway.crm.base.Problem`."""
        self._lookup_failures.labels(source, problem).inc()

    def late_name(self) -> None:
        """A name came after somebody had been told of the call without it."""
        self._late_names.inc()

    def drained(self, outcome: str, items: int) -> None:
        """`outcome`: finished, left."""
        self._drains.labels(outcome).inc(items)

    def pool_connections(self, state: str, items: int) -> None:
        """`state`: open, idle, waiting."""
        self._pool.labels(state).set(items)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format, to be served with `CONTENT_TYPE`."""
        return generate_latest(self.registry)
