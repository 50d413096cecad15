"""/metrics and the log lines of a gateway and a worker around real jobs."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
from datetime import timedelta
from types import SimpleNamespace

import httpx2
import pytest

from api_service.services.figures import ServiceFigures, families
from shared.db.figures import FigureStore
from shared.db.pool import connect
from shared.doorbell import Doorbell, redis_pool
from tests.support.databases import own_database
from tests.support.metrics import FIGURES, scraped, url_of
from tests.support.stack import eventually, running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
NAMES = re.compile(r"job_[0-9a-z]{26}|wrk_|req_|upl_|named\.csv|no/such|\"default\"")
ROWS = [(n % 7, n) for n in range(5000)]
TEXT = "k,v\n" + "".join(f"{k},{v}\n" for k, v in ROWS) + "1,bad\n2,worse\n"


@pytest.fixture(scope="module")
def watched(postgres, redis_server, tmp_path_factory):
    """A gateway and a worker that show metrics, on a database of their own."""
    url = redis_server.rpartition("/")[0] + "/7"
    shown = {"GRISTMILL_METRICS_PORT": "0", "GRISTMILL_LOG_LEVEL": "debug"}
    with (
        own_database(postgres, "metrics") as dsn,
        running(dsn, url, tmp_path_factory.mktemp("metrics"), **shown) as stack,
    ):
        yield stack


def spec(stack, name: str = "metrics.csv") -> dict:
    return {
        "source": {"uris": [stack.write(name, TEXT)], "types": {"v": "int64"}},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "options": {"on_bad_row": "skip", "chunk_bytes": 10_000},
    }


def test_a_job_is_counted_once_where_it_happens(watched):
    gateway, worker = watched.processes
    before = [scraped(process) for process in (gateway, worker)]
    job = watched.run(spec(watched))
    assert job["state"] == "succeeded", job["error"]
    watched.http.get(f"/v1/jobs/{job['id']}/rows")
    chunks = watched.sql(
        "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND kind = 'chunk'", job["id"]
    )
    assert chunks[0][0] > 1

    done = "gristmill_units_total publish done"
    published = before[1].get(done, 0) + 1
    eventually(lambda: scraped(worker).get(done) == published, "the count of the last unit")
    after = [scraped(process) for process in (gateway, worker)]

    def added(process: int, sample: str) -> float:
        return after[process][sample] - before[process].get(sample, 0)

    assert {sample: added(1, sample) for sample in after[1] if added(1, sample) and "_total" in sample} == {
        "gristmill_units_total plan done": 1,
        "gristmill_units_total chunk done": chunks[0][0],
        "gristmill_units_total merge done": 1,
        "gristmill_units_total publish done": 1,
        "gristmill_jobs_total job succeeded": 1,
        "gristmill_rows_total aggregated": len(ROWS),
        "gristmill_rows_total skipped": 2,
        "gristmill_read_bytes_total": len(TEXT) - len("k,v\n"),
        "gristmill_result_rows_total": 7,
        "process_cpu_seconds_total": added(1, "process_cpu_seconds_total"),
    }
    assert added(1, "gristmill_unit_duration_seconds_count chunk") == chunks[0][0]
    assert added(1, "gristmill_job_duration_seconds_count job") == 1
    assert after[1]["gristmill_slots"] == 2
    assert added(0, "gristmill_jobs_submitted_total job") == 1
    assert added(0, "gristmill_http_requests_total POST /v1/jobs 202") == 1
    assert added(0, "gristmill_http_requests_total GET /v1/jobs/{id}/rows 200") == 1
    assert added(0, "gristmill_http_request_duration_seconds_count GET /v1/jobs/{id}/rows") == 1


def test_jobs_that_fail_and_are_cancelled_are_counted_by_their_outcome(watched):
    def counted(outcome: str) -> float:
        sample = f"gristmill_jobs_total job {outcome}"
        return sum(scraped(process).get(sample, 0) for process in watched.processes)

    failed, cancelled = counted("failed"), counted("cancelled")
    wrong = spec(watched) | {"options": {}}
    assert watched.run(wrong)["state"] == "failed"
    job = watched.submit(spec(watched))["id"]
    watched.http.post(f"/v1/jobs/{job}/cancel")
    ended = watched.wait(job)["state"]

    eventually(lambda: counted("failed") == failed + 1, "the count of the failed job")
    cancelled += ended == "cancelled"
    eventually(lambda: counted("cancelled") == cancelled, "the count of the cancelled job")
    assert scraped(watched.processes[1])["gristmill_units_total chunk failed"] >= 1


def test_no_id_no_tenant_and_no_path_is_shown(watched):
    job = watched.run(spec(watched, "named.csv"))
    watched.http.get("/no/such/path")
    for process in watched.processes:
        page = httpx2.get(url_of(process)).text
        assert not re.search(r"job_[0-9a-z]{26}|wrk_|req_|upl_|named\.csv|no/such|\"default\"", page), job[
            "id"
        ]
        assert len(page) < 200_000
    assert scraped(watched.processes[0])["gristmill_http_requests_total any none 404"] >= 1


def test_the_gateway_shows_the_service(watched):
    eventually(lambda: scraped(watched.processes[0])["gristmill_workers working"] == 1, "a live worker")
    found = scraped(watched.processes[0])

    assert found["gristmill_postgres_up"] == found["gristmill_redis_up"] == 1
    assert 0 < found["gristmill_storage_free_bytes"] < found["gristmill_storage_size_bytes"]
    assert found["gristmill_pool_size gateway"] == 10
    assert found["gristmill_pool_waiting gateway"] == 0


def test_promtool_accepts_the_pages(watched):
    """`test_names_follow_the_conventions_of_prometheus` holds the same where promtool is not installed."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    for process in watched.processes:
        page = httpx2.get(url_of(process)).text
        done = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def lines(process) -> list[dict]:
    return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]


def test_one_trace_id_leads_from_the_submit_through_all_units(watched):
    gateway, worker = watched.processes
    job = watched.submit(spec(watched, "traced.csv"), traceparent=PARENT)["id"]
    watched.wait(job)
    audited, request = (line for line in lines(gateway) if line.get("trace_id") == TRACE)
    units = [line for line in lines(worker) if line.get("trace_id") == TRACE and line["event"] == "unit.done"]

    assert (audited["event"], request["event"], request["job"]) == ("audit", "request", job)
    assert request["request_id"].startswith("req_")
    assert {(line["unit"], line["kind"], line["no"], line["attempt"]) for line in units} == {
        *watched.sql("SELECT id, kind, no, attempt FROM gristmill.units WHERE job_id = %s", job)
    }
    assert {line["job"] for line in units} == {job}
    of_job = [line for line in lines(worker) if line.get("job") == job]
    assert {line.get("trace_id") for line in of_job} == {TRACE}


def test_the_error_of_a_unit_has_the_trace_of_its_submit(watched):
    parent = PARENT.replace("0af7", "1af7")
    job = watched.submit(spec(watched, "wrong.csv") | {"options": {}}, traceparent=parent)["id"]
    watched.wait(job)

    failed = [line for line in lines(watched.processes[1]) if line["event"] == "unit.failed"]
    assert [line["trace_id"] for line in failed if line["job"] == job] == [parent.split("-")[1]]


@pytest.mark.parametrize("header", ["", "00-abc", f"ff{PARENT[2:]}", f"00-{'0' * 32}-b7ad6b7169203331-01"])
def test_a_request_without_a_trace_of_its_own_begins_one(watched, header):
    job = watched.submit(spec(watched, "begins.csv"), **({"traceparent": header} if header else {}))["id"]
    [[kept]] = watched.sql("SELECT traceparent FROM gristmill.jobs WHERE id = %s", job)

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", kept)
    assert kept != header
    watched.wait(job)
    of_job = [line for line in lines(watched.processes[0]) if line.get("job") == job]
    [request] = [line for line in of_job if line["method"] == "POST"]
    assert request["trace_id"] == kept.split("-")[1]


def test_a_port_that_is_taken_costs_the_metrics_and_nothing_else(watched):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        worker = watched.worker(GRISTMILL_METRICS_PORT=str(taken.getsockname()[1]))
        watched.processes.remove(worker)
        assert watched.run(spec(watched, "taken.csv"))["state"] == "succeeded"
        assert worker.stop() == 0
    said = [line for line in lines(worker) if line["event"].startswith("metrics.")]

    assert [line["event"] for line in said] == ["metrics.cannot_listen"]
    assert "in use" in said[0]["error"]


def test_without_a_port_there_are_no_metrics_and_the_log_says_so(stack):
    for process in stack.processes[:2]:
        assert [line["event"] for line in lines(process) if line["event"].startswith("metrics.")] == [
            "metrics.off"
        ]


async def test_without_its_servers_a_gateway_shows_that_they_are_away(tmp_path):
    pool = connect("postgresql://x@127.0.0.1:1/x", name="gristmill-health", size=1, seconds=4)
    doorbell = Doorbell(redis_pool("redis://127.0.0.1:1"))
    figures = ServiceFigures(FigureStore(pool), doorbell, tmp_path / "none", timedelta(seconds=10))
    await figures.refresh()
    await doorbell.close()
    found = {family.name: family.samples[0].value for family in figures.collect()}

    assert found.pop("gristmill_storage_size_bytes") > found.pop("gristmill_storage_free_bytes") > 0
    assert found == {"gristmill_postgres_up": 0, "gristmill_redis_up": 0}


async def test_many_scrapes_cost_postgres_one_statement(tmp_path):
    read = []

    async def counted(lease):
        read.append(lease)
        return FIGURES

    async def connected() -> bool:
        return True

    figures = ServiceFigures(
        SimpleNamespace(read=counted), SimpleNamespace(connected=connected), tmp_path, timedelta(seconds=10)
    )
    await asyncio.gather(*(figures.refresh() for _ in range(100)))

    assert read == [timedelta(seconds=10)]
    assert next(iter(figures.collect())).samples[0].value == 1


async def test_the_figures_of_the_service_are_those_of_its_tables(world):
    """Of all tenants; a unit that is to wait, a paused job and a worker that is gone count for nothing."""
    await world.value(
        """
        INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest, state, created_at, started_at) VALUES
            ('a', 'one', '{}', '', 'queued', now() - interval '90 seconds', NULL),
            ('b', 'two', '{}', '', 'running', now(), now()), ('c', 'two', '{}', '', 'paused', now(), now())
        """
    )
    await world.value(
        """
        INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, state, attempt, worker,
                                     not_before, leased_at, finished_at)
        SELECT job, kind, no, 1, 6, state, 1, 'w', now() + make_interval(secs => waits),
               now() + make_interval(secs => leased), now() + make_interval(secs => finished)
        FROM (VALUES ('a', 'plan', 0, 'pending', -30, NULL, NULL),
                     ('b', 'chunk', 0, 'pending', -20, NULL, NULL),
                     ('b', 'chunk', 1, 'pending', 3600, NULL, NULL),
                     ('c', 'chunk', 0, 'pending', -3600, NULL, NULL),
                     ('b', 'chunk', 2, 'done', 0, -9, -1),
                     ('b', 'chunk', 3, 'done', 0, -5, -1),
                     ('b', 'chunk', 4, 'done', 0, -4, -3)) u (job, kind, no, state, waits, leased, finished)
        """
    )
    await world.value(
        """
        INSERT INTO gristmill.workers (id, host, pid, version, slots, able, draining, seen_at) VALUES
            ('w', 'h', 1, '1', 4, 3, false, now()), ('d', 'h', 2, '1', 4, 4, true, now()),
            ('gone', 'h', 3, '1', 4, 4, false, now() - interval '1 hour')
        """
    )
    found = await FigureStore(world.pool).read(timedelta(seconds=10))

    assert (found.jobs_queued, found.jobs_running, found.units_waiting) == (1, 1, 2)
    assert found.job_waits == pytest.approx(90, abs=30)
    assert found.unit_waits == pytest.approx(30, abs=30)
    assert found.chunk_seconds == pytest.approx((8 + 1) / 3), "two chunks of one commit took 8 s together"
    assert (found.workers_working, found.workers_draining, found.slots) == (1, 1, 3)
    assert found.backlog_seconds == pytest.approx(2 * 3 / 3)
    assert len(list(families(SimpleNamespace(figures=found, redis=True, disk=None)))) == 7


FOLDS = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, state, attempt, worker,
                             leased_at, finished_at)
SELECT 'a', 'chunk', row_number() OVER () - 1, 1, 6, 'done', 1, worker,
       now() - make_interval(secs => ago + seconds * (1 - ({waits})::float8 / chunks)),
       now() - make_interval(secs => ago)
FROM (VALUES ('v', 200, 1, 1000), ('w', 20, 500, 100), ('w', 5, 150, 30)) fold (worker, ago, chunks, seconds),
     generate_series(0, chunks - 1) AS no
"""
"""Folds of 1, 500 and 150 chunks, which took 1,000, 100 and 30 s. Each ended before the next began."""


@pytest.mark.parametrize("waits", ["no", "chunks - 1 - no", "least(no, 1) * (chunks - 1)"])
async def test_the_mean_time_of_a_chunk_is_that_of_whole_folds(world, waits):
    """Of the 500 chunks, 50 are among the newest 200; the one that took longest may be any.

    *waits* is the place of chunk `no` in its fold: in order, the last one first, and one slow chunk first.
    """
    await world.value(
        "INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest, state, started_at)"
        " VALUES ('a', 'one', '{}', '', 'running', now())"
    )
    await world.value(FOLDS.format(waits=waits))

    found = await FigureStore(world.pool).read(timedelta(seconds=10))

    assert found.chunk_seconds == pytest.approx((100 + 30) / (500 + 150))
