"""Every metric that a gateway or a worker shows, as the source declares it; and pages of /metrics, read."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import httpx2
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as parsed

from api_service.services.figures import Seen, families
from shared.core.figures import Figures
from shared.metrics import REGISTRY
from tests.support.stack import Process, eventually

FIGURES = Figures(
    jobs_queued=0, jobs_running=0, job_waits=None, units_waiting=0, unit_waits=None, chunk_seconds=None,
    workers_working=0, workers_draining=0, slots=0,
)  # fmt: skip
_BOTH = "gateway, worker"
_OF_WORKERS = re.compile(r"gristmill_(unit|rows|read|result|slots)")


class Shown(NamedTuple):
    """*labels* and *source* as the table of docs/observability.md has them."""

    name: str
    type: str
    labels: str
    source: str
    help: str


def ALL() -> list[Shown]:  # noqa: N802  # a constant but for the time of its making
    return sorted([*_of_process(), *_of_service()])


def _of_process() -> Iterator[Shown]:
    labels = {
        its._name: its._labelnames
        for its in set(REGISTRY._names_to_collectors.values())
        if hasattr(its, "_name")
    }
    for family in REGISTRY.collect():
        own = labels.get(family.name, ())
        source = "gateway" if "http" in family.name else "worker" if _OF_WORKERS.match(family.name) else _BOTH
        yield _shown(family, own, source)


def _of_service() -> Iterator[Shown]:
    for family in families(Seen(figures=FIGURES, redis=True, disk=(0, 0))):
        yield _shown(family, family.samples[0].labels, "gateway")


def _shown(family: Metric, labels, source: str) -> Shown:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    kind = "gauge" if family.type == "info" else family.type
    return Shown(
        family.name + suffix, kind, ", ".join(f"`{label}`" for label in labels), source, family.documentation
    )


def url_of(process: Process) -> str:
    """The URL of its /metrics, once its log tells it."""
    pattern = re.compile(r'"url": "(http://[^"]*/metrics)"')
    return eventually(lambda: pattern.findall(process.log.read_text()), "a line metrics.listening")[-1]


def scraped(process: Process) -> dict[str, float]:
    """Sample -> value; the key is the name and the values of the labels, in their order, with spaces."""
    answer = httpx2.get(url_of(process))
    assert answer.status_code == 200, answer.text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }
