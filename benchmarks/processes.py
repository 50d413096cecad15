"""CPU seconds and memory of some processes and of all processes below them, read from /proc."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Peak:
    """`mb` is the highest sum of all, `each_mb` the highest of each process with those below it."""

    mb: float = 0.0
    each_mb: list[float] = field(default_factory=list)


def tree(pids: list[int]) -> list[psutil.Process]:
    """These processes and all below them, as far as they live."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes that live now."""
    return _total(pids, lambda process: sum(process.cpu_times()[:2]))


def pss_mb(pids: list[int]) -> float:
    """Proportional set size: pages that processes share count once."""
    return _total(pids, lambda process: process.memory_full_info().pss / 1e6)


def _total(pids: list[int], figure: Callable[[psutil.Process], float]) -> float:
    """Over these processes and all below them, without those that end meanwhile."""
    total = 0.0
    for process in tree(pids):
        with suppress(psutil.NoSuchProcess):
            total += figure(process)
    return total


@contextmanager
def peak_memory(pids: list[int], pause: float = 0.05) -> Iterator[Peak]:
    """The highest PSS while the body runs, sampled with *pause* seconds between.

    A sample of a stack takes 50 ms of a processor, so a run that is timed has few of them.
    """
    peak, done = Peak(each_mb=[0.0] * len(pids)), threading.Event()

    def sample() -> None:
        while not done.wait(pause):
            now = [pss_mb([pid]) for pid in pids]
            peak.mb = max(peak.mb, sum(now))
            peak.each_mb = list(map(max, peak.each_mb, now))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


@contextmanager
def started(command: list[str], env: dict[str, str], log: Path) -> Iterator[int]:
    """The process of *command* beside the body; at its end it has SIGTERM, then all below it are gone."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=os.environ | env, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        left = tree([process.pid])
        process.terminate()
        _, alive = psutil.wait_procs(left, timeout=20)
        for each in alive:
            each.kill()
        process.wait()
