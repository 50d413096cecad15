"""Children crash, hang and run out of memory.

Their unit runs again, their neighbour never notices, and none is left behind.
"""

import itertools
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.databases import own_database
from tests.support.stack import Process, Stack, alive, eventually, running

ROWS = 40
GROUPS = 4
MEMORY_LIMIT_TRIES = 5
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stack(postgres, redis_server, tmp_path_factory):
    """A gateway, and a worker with two slots whose children obey the labels of a job."""
    url = redis_server.rpartition("/")[0] + "/2"
    with (
        own_database(postgres, "children") as dsn,
        running(dsn, url, tmp_path_factory.mktemp("children"), workers=0) as stack,
    ):
        wicked_worker(stack)
        yield stack


def wicked_worker(stack: Stack, **env: str) -> Process:
    return stack.workers(1, "tests.support.wicked_worker", **env)[0]


def submit(stack: Stack, *, times: int = 0, chunks: int = 4, **labels: str) -> str:
    """A job of about *chunks* chunks, of which *times* runs meet the fault."""
    number = next(_numbers)
    uri = stack.write(f"{number}.csv", "k,v\n" + "".join(f"k{i % GROUPS},{i}\n" for i in range(ROWS)))
    marks = stack.folder / f"marks-{number}"
    marks.mkdir()
    for mark in range(times):
        (marks / str(mark)).touch()
    size = (stack.data / f"{number}.csv").stat().st_size
    spec = {
        "source": {"uris": [uri], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "options": {"chunk_bytes": size // chunks + 1},
        "labels": {"marks": str(marks), **labels},
    }
    return stack.submit(spec)["id"]


def check(stack: Stack, job_id: str) -> None:
    job = stack.wait(job_id)
    assert job["state"] == "succeeded", job["error"]
    expected = {f"k{k}": sum(range(k, ROWS, GROUPS)) for k in range(GROUPS)}
    assert {row["k"]: row["sum_v"] for row in stack.rows(job_id)} == expected


def charges(stack: Stack, job_id: str) -> dict[str, int]:
    names = ("deaths", "crashes", "errors", "ooms")
    found = stack.sql(
        f"SELECT {', '.join(f'sum({name})' for name in names)} FROM gristmill.units WHERE job_id = %s", job_id
    )
    return {name: int(count) for name, count in zip(names, found[0], strict=True) if count}


def leased(stack: Stack, job_id: str) -> int:
    return stack.sql(
        "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND kind = 'chunk' AND state = 'leased'",
        job_id,
    )[0][0]


def hangs(stack: Stack, job_id: str, units: int) -> None:
    """Wait until *units* units have met their fault; a lease alone says only that they will."""
    marks = Path(stack.job(job_id)["labels"]["marks"])
    eventually(lambda: leased(stack, job_id) == units and not any(marks.iterdir()), f"{units} hanging units")


def keep_both_slots_busy(stack: Stack, fault: str) -> str:
    """A job whose two chunks meet the fault at the same time.

    First both slots must be up, whatever the test before did.
    """

    def both() -> bool:
        job_id = submit(stack, chunks=10, seconds="0.2")
        eventually(
            lambda: leased(stack, job_id) == 2 or stack.job(job_id)["done"], "two busy slots, or the end"
        )
        found = leased(stack, job_id) == 2
        check(stack, job_id)
        return found

    eventually(both, "two slots at work")
    job_id = submit(stack, fault=fault, times=2, chunks=2)
    hangs(stack, job_id, 2)
    return job_id


# fault matrix: 23, 25
@pytest.mark.parametrize("fault", ["segfault", "exit", "abort", "kill"])
def test_a_unit_whose_child_dies_runs_again_and_only_that_unit_is_charged(stack, fault):
    job_id = submit(stack, fault=fault, times=1)

    check(stack, job_id)
    assert charges(stack, job_id) == {"crashes": 1}


# fault matrix: 25
@pytest.mark.parametrize("fault", ["loop", "c_loop"])
def test_a_unit_that_never_ends_is_killed_at_its_deadline_and_runs_again(stack, fault):
    job_id = submit(stack, fault=fault, times=1)

    check(stack, job_id)
    assert charges(stack, job_id) == {"crashes": 1}


# fault matrix: 27
def test_a_unit_that_always_kills_its_child_fails_its_job_with_the_reason_and_no_other(stack):
    poisoned = submit(stack, fault="segfault", times=1000, chunks=1)
    beside = submit(stack)

    check(stack, beside)
    job = stack.wait(poisoned)
    assert (job["state"], job["error"]["code"]) == ("failed", "child_crashed")
    assert "signal 11" in job["error"]["detail"]
    assert "chunk 0" in job["error"]["detail"]
    assert charges(stack, beside) == {}


# fault matrix: 27
def test_a_parquet_file_that_crashes_its_reader_twice_is_corrupt_and_one_that_crashes_it_once_is_not(stack):
    pq.write_table(pa.table({"k": ["a"], "v": [1]}), stack.data / "crash.parquet")
    marks = stack.folder / "marks-parquet"
    marks.mkdir()
    spec = {
        "source": {"uris": [f"file://{stack.data}/crash.parquet"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "labels": {"marks": str(marks), "fault": "abort_in_parquet"},
    }

    for tries, outcome in ((1, None), (9, "corrupt_file")):
        for mark in range(tries):
            (marks / str(mark)).touch()
        job = stack.wait(stack.submit(spec)["id"])
        assert (job["error"] or {"code": None})["code"] == outcome
    assert "signal 6" in job["error"]["detail"]
    assert "crash.parquet" in job["error"]["detail"]
    assert len(list(marks.iterdir())) == 7


# fault matrix: 24
@pytest.mark.parametrize("fault", ["fill", "fill_and_abort"])
def test_a_unit_that_runs_out_of_memory_is_charged_as_that_and_runs_again(stack, fault):
    job_id = submit(stack, fault=fault, times=1)

    check(stack, job_id)
    assert charges(stack, job_id) == {"ooms": 1}


# fault matrix: 24, 53
def test_a_chunk_too_large_for_memory_is_read_in_smaller_batches_until_it_fits(stack):
    job_id = submit(stack, chunks=1, fits=str(2 * 1024**2))

    check(stack, job_id)
    assert charges(stack, job_id) == {"ooms": 2}


# fault matrix: 24, 53
def test_a_chunk_that_fits_in_no_batch_fails_its_job_and_its_neighbour_never_notices(stack):
    greedy = submit(stack, chunks=1, fits="1")
    beside = submit(stack, chunks=20, seconds="0.05")

    check(stack, beside)
    job = stack.wait(greedy)
    assert (job["state"], job["error"]["code"]) == ("failed", "out_of_memory")
    assert "GRISTMILL_SLOT_MEMORY_BYTES" in job["error"]["detail"]
    assert charges(stack, beside) == {}
    tried = stack.sql("SELECT attempt FROM gristmill.units WHERE job_id = %s AND kind = 'chunk'", greedy)
    assert tried == [(MEMORY_LIMIT_TRIES,)]


# fault matrix: 24
@pytest.mark.parametrize("task", ["plan", "merge"])
def test_a_plan_or_a_merge_that_runs_out_of_memory_twice_fails_its_job(stack, task):
    once = submit(stack, fault="fill", times=1, task=task)
    twice = submit(stack, fault="fill", times=2, task=task)

    check(stack, once)
    job = stack.wait(twice)
    assert (job["state"], job["error"]["code"]) == ("failed", "out_of_memory")


# fault matrix: 40
def test_cancel_kills_a_child_that_never_comes_back_to_python_and_its_slot_serves_again(stack):
    job_id = keep_both_slots_busy(stack, "c_loop")
    (worker,) = (
        process for process in stack.processes if process.popen.poll() is None and len(process.children) == 2
    )
    busy = set(worker.children)
    assert stack.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202

    assert stack.wait(job_id)["state"] == "cancelled"
    eventually(lambda: not any(alive(pid) for pid in busy), "the end of the busy children")
    check(stack, submit(stack))


# fault matrix: 40
def test_cancel_kills_a_child_that_finds_and_plans_without_end(stack):
    job_id = submit(stack, fault="c_loop", times=1, task="plan")
    marks = Path(stack.job(job_id)["labels"]["marks"])
    eventually(lambda: not any(marks.iterdir()), "a planner that hangs")
    assert stack.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202

    assert stack.wait(job_id)["state"] == "cancelled"
    check(stack, submit(stack))


# fault matrix: 17, 18
@pytest.mark.parametrize("fault", ["sleep", "c_loop"])
def test_a_killed_parents_computing_children_die_with_it_and_another_worker_finishes(stack, fault):
    stack.processes[-1].stop()
    doomed = wicked_worker(stack)
    job_id = keep_both_slots_busy(stack, fault)
    children = doomed.children
    doomed.kill()

    eventually(lambda: not any(alive(pid) for pid in children), "the end of the children", patience=10)
    wicked_worker(stack)
    check(stack, job_id)
    assert charges(stack, job_id) == {"deaths": 2}


# fault matrix: 21
def test_a_child_whose_parent_is_frozen_is_killed_when_the_parent_comes_back_and_has_lost_the_lease(stack):
    zombie = stack.processes[-1]
    job_id = keep_both_slots_busy(stack, "sleep")
    children = zombie.children
    zombie.popen.send_signal(signal.SIGSTOP)
    other = wicked_worker(stack)
    check(stack, job_id)
    zombie.popen.send_signal(signal.SIGCONT)

    eventually(lambda: not any(alive(pid) for pid in children), "the end of the children")
    assert zombie.stop() == 0
    assert other.popen.poll() is None


# fault matrix: 26
def test_units_of_workers_that_all_die_at_once_are_all_recovered(stack):
    stack.processes[-1].stop()
    workers = [wicked_worker(stack, GRISTMILL_SLOTS="1") for _ in range(2)]
    job_id = keep_both_slots_busy(stack, "sleep")
    children = [pid for worker in workers for pid in worker.children]
    for pid in children + [worker.popen.pid for worker in workers]:
        os.kill(pid, signal.SIGKILL)
    for worker in workers:
        worker.popen.wait()
    wicked_worker(stack)

    check(stack, job_id)
    assert not any(alive(pid) for pid in children)
