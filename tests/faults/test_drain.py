"""A request to drain a worker: it finishes what it has, ends, and nothing is lost or counted twice."""

import os

from shared.spec.version import STATE_VERSION
from tests.faults.test_children import charges, check, leased, submit, wicked_worker
from tests.support.stack import eventually, running, slots_of


# fault matrix: 42
def test_a_worker_that_is_asked_to_drain_under_load_ends_with_0_and_loses_nothing(
    database_url, redis_url, tmp_path
):
    with running(database_url, redis_url, tmp_path, workers=0, GRISTMILL_SLOTS="1") as stack:
        doomed, other = wicked_worker(stack), wicked_worker(stack)
        jobs = [submit(stack, chunks=15, seconds="0.1") for _ in range(2)]
        eventually(lambda: sum(leased(stack, job_id) for job_id in jobs) == 2, "work in both workers")
        workers = {each["pid"]: each for each in stack.http.get("/v1/workers").json()["items"]}
        assert set(workers) == {doomed.popen.pid, other.popen.pid}
        mine = workers[doomed.popen.pid]
        assert (mine["state"], mine["slots"], mine["state_version"]) == ("live", 1, STATE_VERSION)

        path = f"/v1/workers/{mine['id']}/drain"
        for _ in range(2):
            answer = stack.http.post(path)
            assert (answer.status_code, answer.json()["state"]) == (202, "draining")
        assert doomed.popen.wait(20) == 0
        assert b"worker.draining" in doomed.log.read_bytes()
        eventually(lambda: stack.http.post(path).status_code == 404, "its row to go")

        for job_id in jobs:
            check(stack, job_id)
            assert charges(stack, job_id) == {}
            by = {unit["worker"] for unit in stack.http.get(f"/v1/jobs/{job_id}/units").json()["items"]}
            assert by <= {each["id"] for each in workers.values()}
        [left] = stack.http.get("/v1/workers").json()["items"]
        assert (left["pid"], left["host"]) == (other.popen.pid, os.uname().nodename)
        assert left["usage"]["rss_bytes"] > 30_000_000
        assert left["usage"]["cpu_seconds"] > 0.1
        assert slots_of(other.popen.pid)
