"""The child processes: their answers, their view of the system, their end."""

import asyncio
import ctypes
import errno
import json
import os
import select
import signal
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import psutil
import pytest
from structlog.testing import capture_logs

from shared.core.plan import ChunkPayload, DatasetFile, Extent, Guess, Plan, PlannedColumn
from shared.errors import CorruptFile, OutOfMemory, Preempted, ReaderCrashed
from tests.support.child_tasks import merge_task, plan_task, raw
from worker_service.executors.processes import channel
from worker_service.executors.processes.child import ChildProcess
from worker_service.executors.processes.pool import ProcessExecutor
from worker_service.executors.processes.template import FROZEN_SECONDS, LOAD_SECONDS, Template
from worker_service.executors.protocol import ChildDied
from worker_service.messages import AttachedPartial, PlannedChunk, PlanResult, decode_outcome, encode

GENEROUS = 4 * 1024**3
AMPLE = timedelta(minutes=1)


def spec(**source):
    return {
        "source": {"uris": ["file:///x"], "format": "csv", **source},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


@pytest.fixture(scope="module", autouse=True)
def orphans_are_not_adopted_afterwards():
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
    child = await ChildProcess.start(template)
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
    task = merge_task({"port": port, "paths": list(paths)}, (), [])
    async with child.run(task, AMPLE) as answer:
        return json.loads(answer.body.read(0, answer.body.size))


@pytest.fixture
def task(tmp_path):
    """A plan of a small file."""
    path = tmp_path / "data.csv"
    path.write_bytes(b"k,v\na,1\nb,2\n")
    return plan_task(spec(), path)


async def test_a_child_answers_one_task_after_the_other(child, task):
    for _ in range(3):
        async with child.run(task, AMPLE) as answer:
            assert [column.name for column in answer.result.plan.schema] == ["k"]


async def test_an_error_in_the_child_arrives_as_itself_and_the_child_lives(child, task):
    with pytest.raises(CorruptFile):
        async with child.run(msgspec.structs.replace(task, spec=raw(spec(format="parquet"))), AMPLE):
            pass
    assert child.alive


async def test_descriptors_do_not_pile_up(curious, task):
    child = await ChildProcess.start(curious)

    async def open_files():
        return (await told(child))["descriptors"], len(descriptors())

    before = await open_files()
    for _ in range(20):
        async with child.run(task, AMPLE):
            pass

    assert await open_files() == before
    await child.stop()


async def test_a_child_knows_no_credentials(curious):
    child = await ChildProcess.start(curious)
    environment = (await told(child))["environment"]
    await child.stop()

    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("GRISTMILL")]
    assert "secret" not in str(environment)


async def test_a_child_reaches_no_network(curious):
    child = await ChildProcess.start(curious)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await told(child, port=server.getsockname()[1])
    await child.stop()
    if curious.rights["no_network"] != "yes":
        pytest.skip(f"this kernel keeps the network with the child processes: {curious.rights['no_network']}")

    assert found["connected"] == "Network is unreachable"


async def test_a_child_reads_nothing_of_its_neighbour_nor_of_the_template(curious):
    child, neighbour = await ChildProcess.start(curious), await ChildProcess.start(curious)
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
    child = await ChildProcess.start(curious)
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
async def test_a_killed_child_is_noticed_at_once(child, task):
    os.kill(child.pid, signal.SIGSTOP)

    async def kill():
        os.kill(child.pid, signal.SIGKILL)

    killer = asyncio.ensure_future(kill())
    with pytest.raises(ChildDied, match="signal 9"):
        async with child.run(task, AMPLE):
            pass
    await killer
    assert not child.alive


# fault matrix: 25
async def test_work_that_is_not_waited_for_any_more_is_killed(child, task):
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with child.run(task, timedelta(seconds=0.05)):
            pass

    assert not child.alive


# fault matrix: 24
async def test_too_little_memory_is_an_error_that_costs_the_child():
    template = Template(600 * 1024**2)
    child = await ChildProcess.start(template)
    task = merge_task(spec(), (PlannedColumn("k", "string"),), [AttachedPartial(1 << 40, inside=True)])
    try:
        with child.attachment() as attachment:
            attachment.write(b"x" * (1 << 20))
            with pytest.raises(OutOfMemory):
                async with child.run(task, AMPLE, attachment):
                    pass
        assert not child.alive
    finally:
        await child.stop()
        template.close()


# fault matrix: 25
async def test_a_slot_gets_a_new_child_after_a_death():
    executor = ProcessExecutor(1, GENEROUS)
    await executor.start()
    async with executor.child() as first:
        os.kill(first.pid, signal.SIGKILL)
        await first.stop()
    async with executor.child() as second:
        assert second.alive
        assert second.pid != first.pid
    await executor.close()


# fault matrix: 25
async def test_a_child_that_was_killed_is_never_lent_again_however_slowly_it_goes(task):
    executor = ProcessExecutor(1, GENEROUS)
    await executor.start()
    async with executor.child() as first:
        os.kill(first.pid, signal.SIGSTOP)
        running = asyncio.create_task(_run(first, task))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()  # in the middle of the waiting for its end
        with pytest.raises(asyncio.CancelledError):
            await running
    async with executor.child() as second, second.run(task, AMPLE) as answer:
        assert answer.result.plan.schema
    await executor.close()
    assert not Path(f"/proc/{first.pid}").exists()


async def _run(child, task):
    async with child.run(task, AMPLE):
        pass


async def test_what_a_child_writes_to_its_standard_error_is_logged_and_forgotten(template, task):
    child = await ChildProcess.start(template)
    os.kill(child.pid, signal.SIGSEGV)
    with capture_logs() as logged, pytest.raises(ChildDied, match="signal 11"):
        async with child.run(task, AMPLE):
            pass
    assert any("Segmentation fault" in line.get("text", "") for line in logged)
    await child.stop()


async def test_a_package_of_the_current_folder_is_not_taken_for_one_of_ours(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("raise SystemExit('this is the package of the user')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    template = Template(GENEROUS)
    try:
        await (await ChildProcess.start(template)).stop()
    finally:
        template.close()


def exhausted(*_, **__):
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(("module", "step"), [(os, "memfd_create"), (os, "pidfd_open"), (os, "pipe")])
async def test_a_child_that_cannot_be_made_leaves_nothing_behind(template, monkeypatch, module, step):
    before = descriptors(), children()
    monkeypatch.setattr(module, step, exhausted)
    with pytest.raises(OSError, match="Too many"):
        await ChildProcess.start(template)

    assert (descriptors(), children()) == before


def test_a_template_that_cannot_be_made_leaves_nothing_behind(monkeypatch):
    before = descriptors(), children()
    monkeypatch.setattr(subprocess, "Popen", exhausted)
    with pytest.raises(OSError, match="Too many"):
        Template(GENEROUS)

    assert (descriptors(), children()) == before


# fault matrix: 23
async def test_a_template_that_dies_takes_no_child_with_it_and_another_takes_its_place(task):
    executor = ProcessExecutor(2, GENEROUS)
    await executor.start()
    before = executor._template.pid
    os.kill(before, signal.SIGKILL)
    async with executor.child() as first, executor.child() as second:
        async with first.run(task, AMPLE) as answer:
            assert answer.result.plan.schema
        os.kill(second.pid, signal.SIGKILL)
        await second.stop()
    for _ in range(2):
        async with executor.child() as one, one.run(task, AMPLE) as answer:
            assert answer.result.plan.schema
    assert executor._template.pid != before
    await executor.close()


# fault matrix: 23
async def test_a_frozen_template_keeps_no_executor_from_closing():
    executor = ProcessExecutor(2, GENEROUS)
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
async def test_a_sigterm_to_all_of_a_group_leaves_the_drain_to_the_parent(template, child, task):
    for pid in (template.pid, child.pid):
        os.kill(pid, signal.SIGTERM)

    async with child.run(task, AMPLE) as answer:
        assert answer.result.plan.schema
    assert template.alive


async def test_a_child_starts_with_everything_that_its_template_has_loaded(curious):
    child = await ChildProcess.start(curious)
    loaded = (await told(child))["loaded_at_start"]
    await child.stop()

    assert {"pandas", "pyarrow", "worker_service.kernels"} <= set(loaded)
    assert len(list(Path(f"/proc/{curious.pid}/task").iterdir())) == 1, (
        "a process that forks must have one thread"
    )


async def test_a_child_whose_socket_ends_is_gone_and_makes_no_more_of_its_kind(template, child):
    child._sock.close()
    await asyncio.wait_for(child._ended.wait(), 10)

    assert child.exit_status.code == 0


async def test_a_task_that_cannot_be_sent_leaves_nothing_behind(child, task, monkeypatch):
    make, made = os.memfd_create, []

    def exhausted(name, flags):
        made.append(name)
        if len(made) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return make(name, flags)

    before = descriptors()
    monkeypatch.setattr(os, "memfd_create", exhausted)
    with pytest.raises(OSError, match="Too many"):
        async with child.run(task, AMPLE):
            pass

    assert descriptors() == before
    assert child.alive


def descriptors() -> set[str]:
    return {f"{path.name} {path.readlink()}" for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


# fault matrix: 57
async def test_a_template_that_does_not_answer_is_known_as_frozen_and_replaced_before_a_slot_needs_it():
    executor = ProcessExecutor(1, GENEROUS)
    await executor.start()
    template = executor._template
    await executor.maintain()
    while template.unanswered():
        await asyncio.sleep(0)
    os.kill(template.pid, signal.SIGSTOP)

    assert template.answers(time.monotonic()), "it has answered all that it was asked; now it is asked again"
    assert not template.answers(time.monotonic() + FROZEN_SECONDS + 1)
    template._asked_at -= FROZEN_SECONDS + 1
    await executor.maintain()
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
async def test_a_child_that_computes_is_preempted_and_one_that_has_answered_is_not(child, task):
    async with child.run(task, AMPLE) as answer:
        assert not child.preempt(), "its unit is being committed"
        assert answer.result.plan.schema
    os.kill(child.pid, signal.SIGSTOP)
    running = asyncio.create_task(_run(child, task))
    while not child.preempt():
        await asyncio.sleep(0)

    with pytest.raises(Preempted):
        await running
    assert not child.alive


def test_a_message_comes_back_as_it_was_and_its_chunks_one_by_one():
    """Reading 100,000 chunks as objects would keep the parent's event loop from its heartbeat."""
    file = DatasetFile(uri="file:///가", root="/", below="가", size=5, mtime_ns=1)
    plan = Plan(files=(file,), format="csv", schema=(PlannedColumn("가", "string"),), bytes=5)
    cut = PlannedChunk(ChunkPayload((Extent(0, 1, 2, None, (Guess(3, 4),)),), guessed=True), 5)
    found = decode_outcome(encode(PlanResult(plan, (msgspec.Raw(encode(cut)),) * 2)))

    assert found.plan == plan
    assert list(found.chunks()) == [cut, cut]


@pytest.mark.parametrize(("uris", "error"), [(["file:///x"], ReaderCrashed), ([], ChildDied)])
async def test_a_crash_in_native_code_that_reads_files_names_the_files_of_the_task(template, uris, error):
    child = await ChildProcess.start(template)
    child._stderr.write(b'File "worker_service/readers/parquet/read.py", line 1 in read')
    os.kill(child.pid, signal.SIGABRT)

    with pytest.raises(error, match="signal 6") as raised:
        await child._raise_exit(uris)
    assert ("while it read file:///x" in str(raised.value)) == bool(uris)
    await child.stop()


def test_a_parent_that_goes_without_reading_an_answer_is_no_error():
    ours, theirs = socket.socketpair()
    theirs.send(b".")
    ours.close()
    with theirs:
        assert channel.receive_descriptors(theirs) is None


def test_a_parent_that_goes_while_its_child_is_forked_leaves_no_stack_trace(capfd):
    before = set(psutil.Process().children())
    template = Template(GENEROUS)
    ours, theirs = socket.socketpair()
    read_end, lifeline = os.pipe()
    stderr = os.memfd_create("stderr")
    ours.close()
    try:
        template.fork([theirs.fileno(), read_end, stderr])
        deadline = time.monotonic() + LOAD_SECONDS
        while template.unanswered() and time.monotonic() < deadline:
            select.select([template._sock], [], [], 1)
        assert not template.unanswered()
    finally:
        theirs.close()
        for descriptor in (read_end, lifeline, stderr):
            os.close(descriptor)
        template.close()
        # the forked orphan came to this process, and no executor reaps it here
        psutil.wait_procs(set(psutil.Process().children()) - before, timeout=LOAD_SECONDS)

    assert "Traceback" not in capfd.readouterr().err
