"""The child processes: what they answer, what they know, and how they end."""

import asyncio
import ctypes
import errno
import json
import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import CorruptFile, OutOfMemory
from worker_service.child import wire
from worker_service.executor import Child, ChildDied, Executor
from worker_service.template import Template

GENEROUS = 4 * 1024**3
AMPLE = timedelta(minutes=1)


def spec(**source):
    return {"source": {"uris": ["file:///x"], "format": "csv", **source}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}


def plan_request(**source):
    return {"task": "plan", "spec": spec(**source), "uris": ["file:///x"], "chunk_bytes": 1000, "max_chunks": 1000, "prove": False}


@pytest.fixture(scope="module", autouse=True)
def orphans_are_nobodys_again():
    """A template makes this process adopt them."""
    yield
    ctypes.CDLL(None).prctl(36, 0)


@pytest.fixture(scope="module")
def template():
    template = Template(GENEROUS)
    yield template
    template.close()


@pytest.fixture
async def child(template):
    child = await Child.start(template)
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


async def test_a_child_knows_no_credentials(monkeypatch):
    monkeypatch.setenv("GRISTMILL_DATABASE_URL", "postgresql://user:secret@host/db")
    fresh = Template(GENEROUS)
    second = await Child.start(fresh)
    environment = Path(f"/proc/{second.pid}/environ").read_bytes()
    await second.stop()
    fresh.close()

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
    template = Template(600 * 1024**2)
    child = await Child.start(template)
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
        template.close()


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


async def test_what_a_child_writes_to_its_standard_error_is_logged_and_forgotten(template, file):
    child = await Child.start(template)
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
            assert sum(len(json.loads(chunk)["extents"]) for chunk in answer.header["chunks"]) == 450
    finally:
        for descriptor in files:
            os.close(descriptor)


def exhausted(*_, **__):
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(("place", "step"), [(wire, "memory_file"), (os, "pidfd_open"), (os, "pipe")])
async def test_a_child_that_cannot_be_made_leaves_nothing_behind(template, monkeypatch, place, step):
    before = descriptors(), children()
    monkeypatch.setattr(place, step, exhausted)
    with pytest.raises(OSError, match="Too many"):
        await Child.start(template)

    assert (descriptors(), children()) == before


def test_a_template_that_cannot_be_made_leaves_nothing_behind(monkeypatch):
    before = descriptors(), children()
    monkeypatch.setattr(subprocess, "Popen", exhausted)
    with pytest.raises(OSError, match="Too many"):
        Template(GENEROUS)

    assert (descriptors(), children()) == before


# fault matrix: 23
async def test_a_template_that_dies_takes_no_child_with_it_and_another_takes_its_place(file):
    executor = Executor(2, GENEROUS)
    await executor.start()
    before = executor._template.pid
    os.kill(before, signal.SIGKILL)
    async with executor.child() as first, executor.child() as second:
        async with first.run(plan_request(), [file], AMPLE) as answer:
            assert answer.header["schema"]
        os.kill(second.pid, signal.SIGKILL)
        await second.stop()
    for _ in range(2):
        async with executor.child() as one, one.run(plan_request(), [file], AMPLE) as answer:
            assert answer.header["schema"]
    assert executor._template.pid != before
    await executor.close()


# fault matrix: 23
async def test_a_frozen_template_keeps_nobody_from_closing():
    executor = Executor(2, GENEROUS)
    await executor.start()
    os.kill(executor._template.pid, signal.SIGSTOP)
    async with executor.child() as child:
        os.kill(child.pid, signal.SIGKILL)
        await child.stop()
    assert executor.ready == 1

    await asyncio.wait_for(executor.close(), 3)


# fault matrix: 42
async def test_a_sigterm_to_all_of_a_group_leaves_the_drain_to_the_parent(template, child, file):
    for pid in (template.pid, child.pid):
        os.kill(pid, signal.SIGTERM)

    async with child.run(plan_request(), [file], AMPLE) as answer:
        assert answer.header["schema"]
    assert template.alive


async def test_a_child_is_born_with_everything_that_its_template_has_loaded(template, child):
    for pid in (template.pid, child.pid):
        assert "libarrow" in Path(f"/proc/{pid}/maps").read_text()
    assert len(list(Path(f"/proc/{template.pid}/task").iterdir())) == 1, "who forks must have one thread"


async def test_a_child_whose_socket_ends_is_gone_and_makes_no_more_of_its_kind(template, child):
    child._sock.close()
    await asyncio.wait_for(child._ended.wait(), 10)

    assert child.death.code == 0


async def test_a_request_that_cannot_be_made_leaves_nothing_behind(child, monkeypatch):
    make, made = wire.memory_file, []

    def exhausted(name, data=b""):
        made.append(name)
        if len(made) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return make(name, data)

    before = descriptors()
    monkeypatch.setattr(wire, "memory_file", exhausted)
    with pytest.raises(OSError, match="Too many"):
        async with child.run(plan_request(), [], AMPLE):
            pass

    assert descriptors() == before
    assert child.alive


def descriptors() -> set[str]:
    return {f"{path.name} {path.readlink()}" for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_a_header_comes_back_as_it_was_with_its_long_lists_as_text():
    """Reading 100,000 chunks as objects would keep the parent's event loop from its heartbeat."""
    header = {"schema": [{"name": "\ud800 가"}], "chunks": [{"extents": [[0, 1, 2, None, [[3, 4]]]], "bytes": 5}] * 2, "guessed": True}
    answered = wire.memory_file("answer")
    wire.write_answer(answered, header, [b"body"])
    found, offset = wire.read_header(answered)
    os.close(answered)

    assert {**found, "chunks": [json.loads(chunk) for chunk in found["chunks"]]} == header
    assert offset > 8
