"""The network between a worker and Postgres fails at chosen moments.

Nothing is lost, nothing is counted twice, and no unit is charged.
"""

import asyncio
import signal

import pytest

from shared.db.pool import connect
from shared.errors import DatabaseUnavailable
from tests.support.chaos_proxy import ChaosProxy
from tests.support.databases import own_database
from tests.support.plain_job import charges, check, large_spec, spec
from tests.support.stack import Stack, eventually

DONE = "SET state = 'done'"
LEASED = "SET state = 'leased'"


@pytest.fixture(scope="module")
def stack(postgres, redis_server, tmp_path_factory):
    """A gateway; each test starts the workers that it needs."""
    with own_database(postgres, "cuts") as dsn:
        stack = Stack(dsn, redis_server.rpartition("/")[0] + "/2", tmp_path_factory.mktemp("cuts"))
        stack.gateway()
        yield stack
        stack.close()


@pytest.fixture(scope="module")
def proxy(stack):
    with ChaosProxy(stack.database_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def worker(stack, proxy):
    """A worker whose Postgres is behind the proxy."""
    worker = stack.worker(GRISTMILL_DATABASE_URL=proxy.url)
    yield worker
    worker.stop()


@pytest.fixture(autouse=True)
def healed(proxy):
    proxy.faults = 0
    yield
    proxy.heal()


def backends(stack, *, end=False) -> int:
    """How many backends the workers have; ends them if asked to."""
    counted = "count(pg_terminate_backend(pid))" if end else "count(*)"
    return stack.sql(
        f"SELECT {counted} FROM pg_stat_activity"
        " WHERE application_name = 'gristmill-worker' AND datname = current_database()"
    )[0][0]


# fault matrix: 30
@pytest.mark.parametrize(
    ("ask", "key", "least"),
    [(spec, "k", 8), (large_spec, "n", 5)],
    ids=["in one statement", "in a transaction"],
)
def test_commits_whose_answer_is_lost_count_once(stack, proxy, worker, ask, key, least):
    proxy.lose_commit_replies(DONE, times=100)
    job_id = stack.submit(ask(stack))["id"]

    check(stack, job_id, key)
    [(units, attempts)] = stack.sql(
        "SELECT count(*), sum(attempt)::int FROM gristmill.units WHERE job_id = %s", job_id
    )
    assert proxy.faults >= units >= least, "plan, chunks, merge and publish"
    assert attempts == units, "what was committed is not done again"


# fault matrix: 30
def test_leases_that_their_worker_never_heard_of_go_back_uncharged(stack, proxy, worker):
    proxy.lose_commit_replies(LEASED, times=12)
    job_id = stack.submit(spec(stack))["id"]

    check(stack, job_id)
    [(units, attempts)] = stack.sql(
        "SELECT count(*), sum(attempt)::int FROM gristmill.units WHERE job_id = %s", job_id
    )
    assert attempts > units, "some lease was lost with its answer"
    assert charges(stack, job_id) == 0


# fault matrix: 19, 29
@pytest.mark.parametrize("statement", ["COMMIT", DONE, LEASED])
def test_a_connection_that_ends_before_a_statement_rolls_back_and_the_unit_goes_on(
    stack, proxy, worker, statement
):
    proxy.cut_before(statement, times=5)
    job_id = stack.submit(spec(stack))["id"]

    check(stack, job_id)
    assert (proxy.faults, charges(stack, job_id)) == (5, 0)


# fault matrix: 19, 29
def test_copies_that_are_cut_in_the_middle_leave_nothing(stack, proxy, worker):
    proxy.cut_copies(times=4)
    job_id = stack.submit(large_spec(stack))["id"]

    check(stack, job_id, "n")
    assert (proxy.faults, charges(stack, job_id)) == (4, 0)


# fault matrix: 29
def test_backends_that_are_ended_again_and_again_only_cost_time(stack, proxy, worker):
    job_id = stack.submit(spec(stack))["id"]
    ended = 0
    while ended < 60 and not stack.job(job_id)["done"]:  # a slow machine may never commit between two of them
        ended += backends(stack, end=True)
        eventually(lambda: backends(stack) or stack.job(job_id)["done"], "the worker's return")

    check(stack, job_id)
    assert ended >= 3
    assert charges(stack, job_id) == 0


# fault matrix: 19
def test_slow_answers_change_nothing(stack, proxy, worker):
    proxy.latency = 0.01
    job_id = stack.submit(spec(stack))["id"]

    check(stack, job_id)
    assert charges(stack, job_id) == 0


# fault matrix: 31
def test_behind_a_black_hole_nothing_hangs_and_another_worker_finishes(stack, proxy, worker):
    job_id = stack.submit(spec(stack, chunk_bytes=1_000))["id"]
    eventually(lambda: stack.job(job_id)["progress"]["chunks"]["done"] >= 3, "some chunks")
    proxy.black_hole()
    assert not stack.job(job_id)["done"]
    other = stack.worker()
    check(stack, job_id)
    eventually(
        lambda: b"does not answer the heartbeat" in worker.log.read_bytes(), "the worker's own discovery"
    )
    other.stop()
    proxy.heal()

    check(stack, stack.submit(spec(stack))["id"])


# fault matrix: 31
def test_a_worker_behind_a_black_hole_ends_when_it_is_told_to(stack, proxy):
    told = stack.worker(GRISTMILL_DATABASE_URL=proxy.url)
    proxy.black_hole()

    assert told.stop(patience=30) == 0


# fault matrix: 20, 21, 22
def test_a_worker_frozen_in_the_middle_of_its_commit_blocks_nobody_and_counts_for_nothing(stack, proxy):
    proxy.black_hole()  # or the worker behind it might take the units
    zombie = stack.worker(GRISTMILL_FAULT_POINTS="commit.fenced:2:stop")
    job_id = stack.submit(large_spec(stack))["id"]
    eventually(lambda: b'"fault_point"' in zombie.log.read_bytes(), "the freeze")
    other = stack.worker()
    check(stack, job_id, "n")
    zombie.popen.send_signal(signal.SIGCONT)
    other.stop()

    check(stack, stack.submit(spec(stack))["id"])
    check(stack, job_id, "n")
    assert zombie.stop() == 0


# fault matrix: 31
async def test_a_commit_in_a_black_hole_ends_when_the_pool_is_told_that_nobody_answers(database_url):
    with ChaosProxy(database_url) as proxy:
        pool = connect(proxy.url, name="test", size=1)
        begun = asyncio.Event()

        async def commit():
            async with pool.transaction() as tx:
                await tx.execute("SELECT 1")
                proxy.black_hole()
                begun.set()

        waiting = asyncio.create_task(commit())
        await begun.wait()
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done, "by itself it waits for ever"
        pool.abort()
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(waiting, 5)
        proxy.heal()
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT 2") == 2
        await pool.close()


# fault matrix: 31
async def test_a_rollback_in_a_black_hole_has_an_end(database_url):
    with ChaosProxy(database_url) as proxy:
        pool = connect(proxy.url, name="test", size=1, patience=0.2)

        async def fail():
            async with pool.transaction() as tx:
                await tx.execute("SELECT 1")
                proxy.black_hole()
                raise LookupError

        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(fail(), 5)
        proxy.heal()
        await pool.close()
