"""Which deaths of a child count as out of memory."""

import signal

import pytest

from worker_service.deaths import Death

LIMIT = 1000


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL])
def test_a_signal_near_the_limit_is_out_of_memory_and_far_from_it_a_crash(number):
    assert Death(-number, 900, LIMIT).out_of_memory
    assert not Death(-number, 500, LIMIT).out_of_memory


@pytest.mark.parametrize(
    "said",
    ["terminate called after throwing an instance of 'std::bad_alloc'", "Traceback ...\nMemoryError\n"],
)
def test_a_failed_allocation_that_was_said_is_out_of_memory_at_any_peak(said):
    assert Death(-signal.SIGABRT, 10, LIMIT, said).out_of_memory
    assert Death(1, 10, LIMIT, said).out_of_memory


def test_an_exit_of_its_own_is_a_crash_at_any_peak():
    assert not Death(3, LIMIT, LIMIT).out_of_memory
    assert not Death(-signal.SIGFPE, LIMIT, LIMIT).out_of_memory
