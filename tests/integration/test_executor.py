"""The child processes: what they answer, what they know, and how they end."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import CorruptFile, OutOfMemory
from worker_service.child import wire
from worker_service.executor import Child, ChildDied, Executor

GENEROUS = 4 * 1024**3
AMPLE = timedelta(minutes=1)


def spec(**source):
    return {"source": {"uris": ["file:///x"], "format": "csv", **source}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}


def plan_request(**source):
    return {"task": "plan", "spec": spec(**source), "uris": ["file:///x"], "chunk_bytes": 1000, "max_chunks": 1000}


@pytest.fixture
async def child():
    child = await Child.start(GENEROUS)
    yield child
    await child.stop()


@pytest.fixture
def file():
    descriptor = wire.memory_file("data", b"k,v\na,1\nb,2\n")
    yield descriptor
    os.close(descriptor)


async def test_a_child_answers_one_request_after_the_other(child, file):
    for _ in range(3):
        async with child.run(plan_request(), [file], AMPLE) as answer:
            assert [column["name"] for column in answer.header["schema"]] == ["k", "v"]


async def test_an_error_in_the_child_arrives_as_itself_and_the_child_lives(child, file):
    with pytest.raises(CorruptFile):
        async with child.run(plan_request(format="parquet"), [file], AMPLE):
            pass
    assert child.alive


async def test_descriptors_do_not_pile_up(child, file):
    def open_files():
        return len(list(Path(f"/proc/{child.pid}/fd").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    async with child.run(plan_request(), [file], AMPLE):
        pass
    before = open_files()
    for _ in range(20):
        async with child.run(plan_request(), [file], AMPLE):
            pass

    assert open_files() == before


async def test_a_child_knows_no_credentials(child, monkeypatch):
    monkeypatch.setenv("GRISTMILL_DATABASE_URL", "postgresql://user:secret@host/db")
    second = await Child.start(GENEROUS)
    environment = Path(f"/proc/{second.pid}/environ").read_bytes()
    await second.stop()

    assert b"GRISTMILL" not in environment
    assert b"secret" not in environment


# fault matrix: 23
async def test_a_killed_child_is_noticed_at_once(child, file):
    os.kill(child.pid, signal.SIGSTOP)

    async def kill():
        os.kill(child.pid, signal.SIGKILL)

    killer = asyncio.ensure_future(kill())
    with pytest.raises(ChildDied, match="signal 9"):
        async with child.run(plan_request(), [file], AMPLE):
            pass
    await killer
    assert not child.alive


# fault matrix: 25
async def test_work_that_nobody_waits_for_any_more_is_killed(child, file):
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with child.run(plan_request(), [file], timedelta(seconds=0.05)):
            pass

    assert not child.alive


# fault matrix: 24
async def test_too_little_memory_is_an_error_that_costs_the_child():
    child = await Child.start(600 * 1024**2)
    descriptor = wire.memory_file("data", b'k,v\n"' + b"x" * (1 << 20) + b'",1\n')
    request = plan_request() | {"task": "merge", "schema": [], "pieces": [[1 << 40, True]], "first": 0, "end": 1024}
    try:
        with pytest.raises(OutOfMemory):
            async with child.run(request | {"schema": [{"name": "k", "type": "string", "declared": False}]}, [descriptor], AMPLE):
                pass
        assert not child.alive
    finally:
        os.close(descriptor)
        await child.stop()


# fault matrix: 25
async def test_a_slot_gets_a_new_child_after_a_death():
    executor = Executor(1, GENEROUS)
    await executor.start()
    async with executor.child() as first:
        os.kill(first.pid, signal.SIGKILL)
        await first.stop()
    async with executor.child() as second:
        assert second.alive
        assert second.pid != first.pid
    await executor.close()


# fault matrix: 25
async def test_a_child_that_was_killed_is_never_lent_again_however_slowly_it_goes(file):
    executor = Executor(1, GENEROUS)
    await executor.start()
    async with executor.child() as first:
        os.kill(first.pid, signal.SIGSTOP)
        task = asyncio.create_task(_ask(first, file))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # in the middle of the waiting for its end
        with pytest.raises(asyncio.CancelledError):
            await task
    async with executor.child() as second, second.run(plan_request(), [file], AMPLE) as answer:
        assert answer.header["schema"]
    await executor.close()
    assert not Path(f"/proc/{first.pid}").exists()


async def _ask(child, file):
    async with child.run(plan_request(), [file], AMPLE):
        pass


async def test_what_a_child_writes_to_its_standard_error_is_logged_and_forgotten(file):
    child = await Child.start(GENEROUS)
    os.kill(child.pid, signal.SIGSEGV)
    with capture_logs() as logged, pytest.raises(ChildDied, match="signal 11"):
        async with child.run(plan_request(), [file], AMPLE):
            pass
    assert any("Segmentation fault" in line.get("text", "") for line in logged)
    await child.stop()


async def test_many_files_fit_one_request(child):
    files = [wire.memory_file("data", b"k,v\na,1\n") for _ in range(450)]
    try:
        async with child.run(plan_request() | {"uris": ["file:///x"] * 450}, files, AMPLE) as answer:
            assert sum(len(chunk["extents"]) for chunk in answer.header["chunks"]) == 450
    finally:
        for descriptor in files:
            os.close(descriptor)
