"""Redis is killed, emptied, frozen, filled or sent forged messages in the middle of a job.

The workers live, every job ends, nothing counts twice.
"""

import shutil
import signal

import pytest
import redis

from gristmill.launcher.servers import start_valkey
from shared.doorbell import QUEUE, serialize
from tests.faults.test_children import charges, check, submit, wicked_worker
from tests.support.databases import own_database
from tests.support.stack import eventually, running

CHUNKS = 20
PENDING = 3000
MOST_KEYS = 60


class Valkey:
    """A server of the test alone, which can be killed and started again on the same port."""

    def __init__(self, folder) -> None:
        self._folder, self._log = folder / "valkey", folder / "valkey.log"
        self.start()

    def start(self) -> None:
        self._server = start_valkey(self._folder, log=self._log, durable=True)
        self.url, self.process = self._server.url, self._server.child.process

    def kill(self, *, forget: bool) -> None:
        self.process.kill()
        self.process.wait()
        if forget:
            shutil.rmtree(self._folder / "data" / "appendonlydir")

    def stop(self) -> None:
        self._server.child.stop()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    yield valkey
    valkey.process.send_signal(signal.SIGCONT)
    valkey.stop()


@pytest.fixture(scope="module")
def stack(valkey, postgres, tmp_path_factory):
    with (
        own_database(postgres, "redis") as dsn,
        running(dsn, valkey.url, tmp_path_factory.mktemp("redis"), workers=0) as stack,
    ):
        wicked_worker(stack)
        yield stack


def half_done(stack, job_id: str) -> None:
    eventually(lambda: stack.job(job_id)["progress"]["chunks"]["done"] >= CHUNKS // 4, "a part of the job")


def check_all(stack, *jobs: str) -> None:
    for job_id in jobs:
        check(stack, job_id)
        assert charges(stack, job_id) == {}
    assert stack.processes[-1].popen.poll() is None


# fault matrix: 8, 9
@pytest.mark.parametrize("forget", [True, False], ids=["without its data", "with its data of a second ago"])
def test_without_redis_jobs_begin_and_end_and_when_it_is_back_they_still_do(stack, valkey, forget):
    first = submit(stack, chunks=CHUNKS, seconds="0.1")
    half_done(stack, first)
    valkey.kill(forget=forget)
    second = submit(stack, chunks=CHUNKS, seconds="0.1")
    check_all(stack, first, second)
    valkey.start()
    check_all(stack, submit(stack, chunks=CHUNKS, seconds="0"))


# fault matrix: 10
def test_jobs_begin_and_end_while_redis_is_frozen_and_when_it_thaws(stack, valkey):
    first = submit(stack, chunks=CHUNKS, seconds="0.1")
    half_done(stack, first)
    valkey.process.send_signal(signal.SIGSTOP)
    check_all(stack, first, submit(stack, chunks=CHUNKS, seconds="0"))
    valkey.process.send_signal(signal.SIGCONT)

    check_all(stack, submit(stack))


# fault matrix: 6, 7, 13
def test_messages_that_are_flushed_and_connections_that_are_cut_again_and_again_lose_nothing(stack, valkey):
    jobs = [submit(stack, chunks=CHUNKS, seconds="0.05") for _ in range(3)]
    with valkey.client() as client:

        def disturbed() -> bool:
            client.flushall()
            client.client_kill_filter(_type="normal", skipme=True)
            return all(stack.job(job_id)["done"] for job_id in jobs)

        eventually(disturbed, "the end of the jobs")

    check_all(stack, *jobs)


# fault matrix: 11
def test_jobs_begin_and_end_while_redis_is_full_and_afterwards(stack, valkey):
    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        check_all(stack, submit(stack, chunks=CHUNKS, seconds="0"))
        client.config_set("maxmemory", "0")

    check_all(stack, submit(stack))


# fault matrix: 5, 15, 16
def test_messages_for_done_cancelled_and_unknown_units_and_a_hundred_for_one_change_nothing(stack, valkey):
    done, cancelled = submit(stack), submit(stack, chunks=CHUNKS, seconds="0.2")
    check(stack, done)
    stack.http.post(f"/v1/jobs/{cancelled}/cancel")
    stack.wait(cancelled)
    before = stack.sql("SELECT id, state, attempt FROM gristmill.units ORDER BY id")
    running = submit(stack, chunks=CHUNKS, seconds="0.05")
    with valkey.client() as client:
        for unit in [row[0] for row in before] + [2**40] + [before[0][0]] * 100:
            name = f"u{unit}.{client.incr('test:ring')}"
            client.set(f"arq:job:{name}", serialize({"f": "work", "a": [unit], "k": {}, "t": None, "et": 0}))
            client.zadd(QUEUE, {name: 0})
        client.delete("test:ring")

        check_all(stack, running)
        eventually(lambda: client.zcard(QUEUE) == 0 and client.keys("arq:*") == [], "an empty queue")
    assert (
        stack.sql("SELECT id, state, attempt FROM gristmill.units WHERE id <= %s ORDER BY id", before[-1][0])
        == before
    )


# fault matrix: 45
def test_the_keys_in_redis_are_few_whatever_the_backlog(stack, valkey):
    job_id = submit(stack, chunks=1, seconds="0.01")
    check(stack, job_id)
    backlog = submit(stack, chunks=CHUNKS, seconds="0.3")
    half_done(stack, backlog)
    stack.sql(
        "INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, payload, bytes)"
        " SELECT job_id, kind, 1000 + n, epoch, state_version, payload, bytes"
        " FROM gristmill.units, generate_series(1, %s) AS n"
        " WHERE job_id = %s AND kind = 'chunk' AND no = 0",
        PENDING,
        backlog,
    )
    with valkey.client() as client:
        most = 0

        def look() -> bool:
            nonlocal most
            most = max(most, client.dbsize())
            (moved,) = stack.sql(
                "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND state = 'done'", backlog
            )
            return moved[0] > CHUNKS + 4

        eventually(look, "some units of the backlog")
        assert most < MOST_KEYS
    stack.http.post(f"/v1/jobs/{backlog}/cancel")
    assert stack.wait(backlog)["state"] == "cancelled"
