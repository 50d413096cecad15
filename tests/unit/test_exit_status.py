"""Which ends of a child count as out of memory, and which as a crash of a reader."""

import signal
from pathlib import Path

import pytest

import worker_service
from worker_service.executors.processes.exit_status import NATIVE_READERS, ExitStatus
from worker_service.readers.formats import FORMATS

LIMIT = 1000


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL])
def test_a_signal_near_the_limit_is_out_of_memory_and_far_from_it_a_crash(number):
    assert ExitStatus(-number, 900, LIMIT).out_of_memory
    assert not ExitStatus(-number, 500, LIMIT).out_of_memory


@pytest.mark.parametrize(
    "stderr",
    ["terminate called after throwing an instance of 'std::bad_alloc'", "Traceback ...\nMemoryError\n"],
)
def test_a_failed_allocation_that_was_said_is_out_of_memory_at_any_peak(stderr):
    assert ExitStatus(-signal.SIGABRT, 10, LIMIT, stderr).out_of_memory
    assert ExitStatus(1, 10, LIMIT, stderr).out_of_memory


def test_an_exit_of_its_own_is_a_crash_at_any_peak():
    assert not ExitStatus(3, LIMIT, LIMIT).out_of_memory
    assert not ExitStatus(-signal.SIGFPE, LIMIT, LIMIT).out_of_memory


def test_the_parent_knows_the_packages_of_the_native_formats():
    packages = {found.read.__module__.split(".")[-2] for found in FORMATS.values() if found.native}
    assert {f"readers/{package}" for package in packages} == set(NATIVE_READERS)
    assert all((Path(worker_service.__file__).parent / package).is_dir() for package in NATIVE_READERS)
