"""The metrics of a process: counted where the event happens, shown by `shared.metrics.exposition`.

docs/observability.md lists them. A label is one of a few values: no id, no name of a tenant, no path.
A process counts from its start. An event is counted after its commit: a process that dies between the two
has not counted it.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from shared.core.row_counts import FATES

HTTP_BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
UNIT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
JOB_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
"""Seconds. A route has few, since there are many routes."""

# The time of a counter's first event would double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

BUILD = Info("gristmill_build", "Version, state version and service of this process", registry=REGISTRY)
HTTP_REQUESTS = Counter(
    "gristmill_http_requests_total",
    "Requests that were answered, by method, route and status",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "gristmill_http_request_duration_seconds",
    "Time from a request's head to the end of its answer; it has the waits that clients ask for",
    ["method", "route"],
    buckets=HTTP_BUCKETS,
    registry=REGISTRY,
)
JOBS_SUBMITTED = Counter(
    "gristmill_jobs_submitted_total", "Jobs and dry runs that were committed", ["kind"], registry=REGISTRY
)
JOBS = Counter(
    "gristmill_jobs_total", "Jobs and dry runs that ended, by outcome", ["kind", "outcome"], registry=REGISTRY
)
JOB_SECONDS = Histogram(
    "gristmill_job_duration_seconds",
    "Time from the submit to the end of a job or dry run",
    ["kind"],
    buckets=JOB_BUCKETS,
    registry=REGISTRY,
)
UNITS = Counter(
    "gristmill_units_total",
    "Units that were done, that failed, or that had their job planned again",
    ["kind", "outcome"],
    registry=REGISTRY,
)
UNIT_SECONDS = Histogram(
    "gristmill_unit_duration_seconds",
    "Time that a slot worked on a unit that ended without an error",
    ["kind"],
    buckets=UNIT_BUCKETS,
    registry=REGISTRY,
)
UNIT_RETRIES = Counter(
    "gristmill_unit_retries_total",
    "Units that went back to the queue, by the cause that ended the lease",
    ["kind", "cause"],
    registry=REGISTRY,
)
ROWS = Counter(
    "gristmill_rows_total",
    "Rows that finished chunks have read, by their fate; quarantined ones are bad rows",
    ["fate"],
    registry=REGISTRY,
)
for _fate in FATES:
    ROWS.labels(_fate)  # shown before the first such row
READ_BYTES = Counter(
    "gristmill_read_bytes_total", "Bytes of input that finished chunks have read", registry=REGISTRY
)
RESULT_ROWS = Counter(
    "gristmill_result_rows_total", "Rows that finished merges have copied into results", registry=REGISTRY
)
SLOTS = Gauge("gristmill_slots", "Slots of this worker", registry=REGISTRY)
SLOTS_BUSY = Gauge("gristmill_slots_busy", "Slots of this worker that are at work", registry=REGISTRY)
POOL_SIZE = Gauge(
    "gristmill_pool_size", "Most connections to Postgres that a pool opens", ["pool"], registry=REGISTRY
)
POOL_IN_USE = Gauge(
    "gristmill_pool_in_use", "Connections to Postgres that are lent", ["pool"], registry=REGISTRY
)
POOL_WAITING = Gauge(
    "gristmill_pool_waiting",
    "Borrowers that wait for a connection to Postgres",
    ["pool"],
    registry=REGISTRY,
)


def job_ended(kind: str, outcome: str, seconds: float) -> None:
    JOBS.labels(kind, outcome).inc()
    JOB_SECONDS.labels(kind).observe(seconds)
