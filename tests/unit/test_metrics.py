"""The metrics of a process, and the figures of the service, by the rules of Prometheus."""

import asyncio
import math
import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parsed

from api_service.services import figures as service_figures
from api_service.services.figures import Seen, ServiceFigures, families
from shared.core.figures import Figures
from shared.metrics import REGISTRY
from tests.support.metrics import ALL, Shown

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| (.+) \|$", re.MULTILINE)
IDS = {"job", "job_id", "unit", "tenant", "worker", "request_id", "trace_id", "path", "name", "id"}


def figures(**changes):
    known = {
        "jobs_queued": 3,
        "jobs_running": 2,
        "job_waits": 1.5,
        "units_waiting": 8,
        "unit_waits": 2.5,
        "chunk_seconds": 0.5,
        "workers_working": 2,
        "workers_draining": 1,
        "slots": 4,
    }
    return Figures(**known | changes)


def test_every_metric_is_documented_with_its_type_its_labels_and_its_help():
    """And no other is."""
    documented = [tuple(cells) for cells in _ROW.findall(PAGE)]

    assert documented == [tuple(shown) for shown in ALL()]


@pytest.mark.parametrize("shown", ALL(), ids=lambda shown: shown.name)
def test_names_follow_the_conventions_of_prometheus(shown: Shown):
    """Those that `promtool check metrics` knows: prefix, base units, `_total` for counters only, help."""
    assert re.fullmatch(r"(gristmill|process)(_[a-z]+)+", shown.name)
    assert shown.name.endswith("_total") == (shown.type == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|gauge|counter|histogram)(_|$)", shown.name)
    assert shown.help
    assert shown.type != "histogram" or shown.name.endswith("_seconds")
    assert not IDS & set(shown.labels.replace("`", "").split(", ")), "an id is no label"


def test_the_page_is_read_by_prometheus_own_parser():
    text = generate_latest(REGISTRY).decode()

    assert {family.name for family in parsed(text)} == {
        family.name + "_info" * (family.type == "info") for family in REGISTRY.collect()
    }


def test_the_backlog_is_waiting_units_times_the_mean_of_a_chunk_by_the_slots():
    assert figures().backlog_seconds == 8 * 0.5 / 4
    assert figures(units_waiting=0, slots=0, chunk_seconds=None).backlog_seconds == 0
    assert figures(slots=0).backlog_seconds == math.inf
    assert math.isnan(figures(chunk_seconds=None).backlog_seconds)


def shown(seen: Seen) -> dict[str, float]:
    return {
        "".join([sample.name, *sample.labels.values()]): sample.value
        for family in families(seen)
        for sample in family.samples
    }


def test_figures_that_are_not_known_are_left_out():
    seen = shown(Seen(figures=None, redis=True, disk=None))

    assert seen == {"gristmill_postgres_up": 0, "gristmill_redis_up": 1}


def test_the_figures_of_the_service():
    assert shown(Seen(figures=figures(unit_waits=None), redis=False, disk=(5, 9))) == {
        "gristmill_postgres_up": 1,
        "gristmill_redis_up": 0,
        "gristmill_storage_free_bytes": 5,
        "gristmill_storage_size_bytes": 9,
        "gristmill_open_jobsqueued": 3,
        "gristmill_open_jobsrunning": 2,
        "gristmill_waiting_units": 8,
        "gristmill_oldest_waiting_secondsjob": 1.5,
        "gristmill_oldest_waiting_secondsunit": 0,
        "gristmill_backlog_seconds": 1,
        "gristmill_workersworking": 2,
        "gristmill_workersdraining": 1,
    }


async def test_a_hung_storage_folder_holds_one_thread_however_often_it_is_looked_at(monkeypatch):
    answered, looks = threading.Event(), []

    def space(folder):
        looks.append(folder)
        answered.wait(60)
        return 5, 9

    monkeypatch.setattr(service_figures, "_space", space)
    monkeypatch.setattr(service_figures, "_DISK_SECONDS", 0.01)
    shown = ServiceFigures(None, None, Path("/hung"), timedelta(seconds=10))
    try:
        assert [await shown._disk() for _ in range(40)] == [None] * 40
        assert await asyncio.wait_for(asyncio.to_thread(len, looks), 20) == 1
    finally:
        answered.set()
    monkeypatch.setattr(service_figures, "_DISK_SECONDS", 20)
    assert await shown._disk() == (5, 9)
    await shown._disk()
    assert len(looks) >= 2, "a folder that answers again is looked at again"
