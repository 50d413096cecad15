"""The child processes: their answers, their view of the system, their end."""

import asyncio
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import CorruptFile, OutOfMemory, Preempted
from tests.support.requests import plan_request
from worker_service.child import wire
from worker_service.executor import Child, ChildDied, Executor
from worker_service.template import FROZEN_SECONDS, LOAD_SECONDS, Template

GENEROUS = 4 * 1024**3
AMPLE = timedelta(minutes=1)


def spec(**source):
    return {
        "source": {"uris": ["file:///x"], "format": "csv", **source},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


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


@pytest.fixture(scope="module")
def curious():
    """Its children tell about themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRISTMILL_DATABASE_URL", "postgresql://user:secret@host/db")
        template = Template(GENEROUS, "tests.support.curious_child")
    yield template
    template.close()


async def told(child, *, port=0, paths=()):
    async with child.run({"task": "look", "port": port, "paths": list(paths)}, [], AMPLE) as answer:
        return answer.header


@pytest.fixture
def asked(tmp_path):
    """A plan of a small file."""
    path = tmp_path / "data.csv"
    path.write_bytes(b"k,v\na,1\nb,2\n")
    return plan_request(spec(), path)


async def test_a_child_answers_one_request_after_the_other(child, asked):
    for _ in range(3):
        async with child.run(asked, [], AMPLE) as answer:
            assert [column["name"] for column in answer.header["schema"]] == ["k", "v"]


async def test_an_error_in_the_child_arrives_as_itself_and_the_child_lives(child, asked):
    with pytest.raises(CorruptFile):
        async with child.run(asked | {"spec": spec(format="parquet")}, [], AMPLE):
            pass
    assert child.alive


async def test_descriptors_do_not_pile_up(curious, asked):
    child = await Child.start(curious)

    async def open_files():
        return (await told(child))["descriptors"], len(descriptors())

    before = await open_files()
    for _ in range(20):
        async with child.run(asked, [], AMPLE):
            pass

    assert await open_files() == before
    await child.stop()


async def test_a_child_knows_no_credentials(curious):
    child = await Child.start(curious)
    environment = (await told(child))["environment"]
    await child.stop()

    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("GRISTMILL")]
    assert "secret" not in str(environment)


async def test_a_child_reaches_no_network(curious):
    child = await Child.start(curious)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await told(child, port=server.getsockname()[1])
    await child.stop()
    if curious.rights["no_network"] != "yes":
        pytest.skip(f"this kernel keeps the network with the child processes: {curious.rights['no_network']}")

    assert found["connected"] == "Network is unreachable"


async def test_a_child_reads_nothing_of_its_neighbour_nor_of_the_template(curious):
    child, neighbour = await Child.start(curious), await Child.start(curious)
    paths = [
        f"/proc/{pid}/{what}" for pid in (neighbour.pid, curious.pid) for what in ("environ", "mem", "maps")
    ]
    found = await told(child, paths=["/proc/self/maps", *paths])
    await child.stop()
    await neighbour.stop()

    assert found["opened"] == {"/proc/self/maps": "done"} | dict.fromkeys(paths, "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of other users")
async def test_children_of_root_open_files_of_other_users_and_have_no_other_right(curious, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("k")
    os.chown(theirs, 65534, 65534)
    theirs.chmod(0o600)
    child = await Child.start(curious)
    found = await told(child, paths=[str(theirs)])
    held = {int(status(child.pid)[name], 16) for name in ("CapPrm", "CapEff")}
    await child.stop()

    assert found["opened"] == {str(theirs): "done"}
    assert held <= {1 << 1, 1 << 2}, "CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH"


async def test_no_program_of_a_child_gets_more_rights_and_the_kernel_kills_children_first(template, child):
    for pid in (template.pid, child.pid):
        assert status(pid)["NoNewPrivs"] == "1"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


# fault matrix: 23
async def test_a_killed_child_is_noticed_at_once(child, asked):
    os.kill(child.pid, signal.SIGSTOP)

    async def kill():
        os.kill(child.pid, signal.SIGKILL)

    killer = asyncio.ensure_future(kill())
    with pytest.raises(ChildDied, match="signal 9"):
        async with child.run(asked, [], AMPLE):
            pass
    await killer
    assert not child.alive


# fault matrix: 25
async def test_work_that_nobody_waits_for_any_more_is_killed(child, asked):
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with child.run(asked, [], timedelta(seconds=0.05)):
            pass

    assert not child.alive


# fault matrix: 24
async def test_too_little_memory_is_an_error_that_costs_the_child():
    template = Template(600 * 1024**2)
    child = await Child.start(template)
    descriptor = wire.memory_file("data", b'k,v\n"' + b"x" * (1 << 20) + b'",1\n')
    request = {"task": "merge", "spec": spec(), "pieces": [[1 << 40, True]], "first": 0, "end": 1024}
    try:
        with pytest.raises(OutOfMemory):
            async with child.run(
                request | {"schema": [{"name": "k", "type": "string", "declared": False}]},
                [descriptor],
                AMPLE,
            ):
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
async def test_a_child_that_was_killed_is_never_lent_again_however_slowly_it_goes(asked):
    executor = Executor(1, GENEROUS)
    await executor.start()
    async with executor.child() as first:
        os.kill(first.pid, signal.SIGSTOP)
        task = asyncio.create_task(_ask(first, asked))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # in the middle of the waiting for its end
        with pytest.raises(asyncio.CancelledError):
            await task
    async with executor.child() as second, second.run(asked, [], AMPLE) as answer:
        assert answer.header["schema"]
    await executor.close()
    assert not Path(f"/proc/{first.pid}").exists()


async def _ask(child, asked):
    async with child.run(asked, [], AMPLE):
        pass


async def test_what_a_child_writes_to_its_standard_error_is_logged_and_forgotten(template, asked):
    child = await Child.start(template)
    os.kill(child.pid, signal.SIGSEGV)
    with capture_logs() as logged, pytest.raises(ChildDied, match="signal 11"):
        async with child.run(asked, [], AMPLE):
            pass
    assert any("Segmentation fault" in line.get("text", "") for line in logged)
    await child.stop()


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
async def test_a_template_that_dies_takes_no_child_with_it_and_another_takes_its_place(asked):
    executor = Executor(2, GENEROUS)
    await executor.start()
    before = executor._template.pid
    os.kill(before, signal.SIGKILL)
    async with executor.child() as first, executor.child() as second:
        async with first.run(asked, [], AMPLE) as answer:
            assert answer.header["schema"]
        os.kill(second.pid, signal.SIGKILL)
        await second.stop()
    for _ in range(2):
        async with executor.child() as one, one.run(asked, [], AMPLE) as answer:
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

    with capture_logs() as logged:
        await executor.close()
    assert "child.stuck" not in {line["event"] for line in logged}


# fault matrix: 42
async def test_a_sigterm_to_all_of_a_group_leaves_the_drain_to_the_parent(template, child, asked):
    for pid in (template.pid, child.pid):
        os.kill(pid, signal.SIGTERM)

    async with child.run(asked, [], AMPLE) as answer:
        assert answer.header["schema"]
    assert template.alive


async def test_a_child_is_born_with_everything_that_its_template_has_loaded(curious):
    child = await Child.start(curious)
    loaded = (await told(child))["born_with"]
    await child.stop()

    assert {"pandas", "pyarrow", "worker_service.kernels"} <= set(loaded)
    assert len(list(Path(f"/proc/{curious.pid}/task").iterdir())) == 1, (
        "a process that forks must have one thread"
    )


async def test_a_child_whose_socket_ends_is_gone_and_makes_no_more_of_its_kind(template, child):
    child._sock.close()
    await asyncio.wait_for(child._ended.wait(), 10)

    assert child.death.code == 0


async def test_a_request_that_cannot_be_made_leaves_nothing_behind(child, asked, monkeypatch):
    make, made = wire.memory_file, []

    def exhausted(name, data=b""):
        made.append(name)
        if len(made) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return make(name, data)

    before = descriptors()
    monkeypatch.setattr(wire, "memory_file", exhausted)
    with pytest.raises(OSError, match="Too many"):
        async with child.run(asked, [], AMPLE):
            pass

    assert descriptors() == before
    assert child.alive


def descriptors() -> set[str]:
    return {f"{path.name} {path.readlink()}" for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


# fault matrix: 57
async def test_a_template_that_does_not_answer_is_known_as_frozen_and_replaced_before_a_slot_needs_it():
    executor = Executor(1, GENEROUS)
    await executor.start()
    template = executor._template
    await executor.tend()
    while template._unanswered():
        await asyncio.sleep(0)
    os.kill(template.pid, signal.SIGSTOP)

    assert template.answers(time.monotonic()), "it has answered all that it was asked; now it is asked again"
    assert not template.answers(time.monotonic() + FROZEN_SECONDS + 1)
    template._since -= FROZEN_SECONDS + 1
    await executor.tend()
    assert executor._template is not template
    assert executor._template.alive
    assert not template.alive
    assert executor.ready == 1, "its fork lives on"
    await executor.close()


async def test_a_template_that_still_loads_is_given_its_time(template):
    loading = Template(GENEROUS)
    os.kill(loading.pid, signal.SIGSTOP)
    try:
        assert loading.answers(time.monotonic())
        assert loading.answers(time.monotonic() + FROZEN_SECONDS + 1)
        assert not loading.answers(time.monotonic() + LOAD_SECONDS + 1)
    finally:
        loading.close()


# fault matrix: 56
async def test_a_child_that_computes_is_preempted_and_one_that_has_answered_is_not(child, asked):
    async with child.run(asked, [], AMPLE) as answer:
        assert not child.preempt(), "its unit is being committed"
        assert answer.header["schema"]
    os.kill(child.pid, signal.SIGSTOP)
    asking = asyncio.create_task(_ask(child, asked))
    while not child.preempt():
        await asyncio.sleep(0)

    with pytest.raises(Preempted):
        await asking
    assert not child.alive


def test_a_header_comes_back_as_it_was_with_its_long_lists_as_text():
    """Reading 100,000 chunks as objects would keep the parent's event loop from its heartbeat."""
    header = {
        "schema": [{"name": "\ud800 가"}],
        "chunks": [{"extents": [[0, 1, 2, None, [[3, 4]]]], "bytes": 5}] * 2,
        "guessed": True,
    }
    answered = wire.memory_file("answer")
    wire.write_answer(answered, header, [b"body"])
    found, offset = wire.read_header(answered)
    os.close(answered)

    assert {**found, "chunks": [json.loads(chunk) for chunk in found["chunks"]]} == header
    assert offset > 8


def test_a_parent_that_goes_without_reading_an_answer_is_no_error():
    ours, theirs = socket.socketpair()
    theirs.send(b".")
    ours.close()
    with theirs:
        assert wire.receive_descriptors(theirs) is None
