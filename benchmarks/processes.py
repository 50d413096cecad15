"""CPU seconds and memory of some processes and of all processes below them, read from /proc."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


@dataclass
class Peak:
    mb: float = 0.0


def tree(pids: list[int]) -> list[psutil.Process]:
    """These processes and all below them, as far as they live."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(*_GONE):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes that live now."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(pids))


def pss_mb(pids: list[int]) -> float:
    """Proportional set size: pages that processes share count once."""
    total = 0.0
    for process in tree(pids):
        try:
            total += process.memory_full_info().pss / 1e6
        except _GONE:
            continue
    return total


@contextmanager
def peak_memory(pids: list[int]) -> Iterator[Peak]:
    """The highest PSS while the body runs, sampled every 50 ms."""
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            peak.mb = max(peak.mb, pss_mb(pids))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
