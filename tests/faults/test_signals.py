"""SIGTERM: the first drains, the second ends at once, and a rolling restart under load charges no unit."""

import os
import signal

import pytest

from tests.faults.test_children import charges, check, hangs, leased, submit, wicked_worker
from tests.support.stack import alive, eventually, running

RESTARTS = 2


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    with running(database_url, redis_url, tmp_path, workers=0, GRISTMILL_SLOTS="1") as stack:
        yield stack


# fault matrix: 43
def test_a_second_sigterm_kills_the_children_and_gives_their_units_back_uncharged(stack):
    doomed = wicked_worker(stack)
    job_id = submit(stack, fault="c_loop", times=1, chunks=1)
    hangs(stack, job_id, 1)
    children = doomed.children
    doomed.popen.send_signal(signal.SIGTERM)
    eventually(lambda: b"worker.draining" in doomed.log.read_bytes(), "the drain")
    assert leased(stack, job_id) == 1
    doomed.popen.send_signal(signal.SIGTERM)

    doomed.popen.wait(20)
    assert not any(alive(pid) for pid in children)
    assert leased(stack, job_id) == 0
    wicked_worker(stack)
    check(stack, job_id)
    assert charges(stack, job_id) == {}


# fault matrix: 43
def test_a_second_sigterm_ends_a_worker_whose_postgres_does_not_answer(stack):
    doomed = wicked_worker(stack)
    job_id = submit(stack, fault="sleep", times=1, chunks=1)
    hangs(stack, job_id, 1)
    children = doomed.children
    backends = [
        pid
        for (pid,) in stack.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ]
    try:
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        doomed.popen.send_signal(signal.SIGTERM)
        eventually(lambda: b"worker.draining" in doomed.log.read_bytes(), "the drain")
        doomed.popen.send_signal(signal.SIGTERM)
        doomed.popen.wait(20)
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)

    eventually(lambda: not any(alive(pid) for pid in children), "the end of the children", patience=10)
    wicked_worker(stack)
    check(stack, job_id)


# fault matrix: 42
def test_a_rolling_restart_under_load_fails_and_charges_nothing(stack):
    workers = [wicked_worker(stack), wicked_worker(stack)]
    jobs = [submit(stack, chunks=15, seconds="0.1")]
    for restart in range(RESTARTS):
        jobs.append(submit(stack, chunks=15, seconds="0.1"))
        eventually(lambda: sum(leased(stack, job_id) for job_id in jobs) > 0, "work in progress")
        assert workers[restart % 2].stop() == 0
        workers[restart % 2] = wicked_worker(stack)

    for job_id in jobs:
        check(stack, job_id)
        assert charges(stack, job_id) == {}
