"""Memory and processor time of this process and of all below it, as Linux tells them in /proc."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.core.workers import Usage

MOST_PROCESSES = 1024
"""A heartbeat must not take long, whatever runs below this process."""
_PROC = Path("/proc")
_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Reads the usage now and then; the rate is that since the last reading."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, pid: int | None = None) -> None:
        self._clock, self._pid = clock, pid or os.getpid()
        self._last: tuple[float, float] | None = None

    def read(self) -> Usage:
        found = [each for pid in _tree(self._pid) if (each := _used(pid)) is not None]
        if not found:
            return Usage()  # no Linux
        now, cpu = self._clock(), sum(seconds for seconds, _ in found)
        last, self._last = self._last, (now, cpu)
        cores = None
        if last is not None and now > last[0]:
            cores = round(max(0.0, cpu - last[1]) / (now - last[0]), 3)
        return Usage(rss_bytes=sum(rss for _, rss in found), cpu_seconds=round(cpu, 2), cpu_cores=cores)


def _tree(root: int) -> Iterator[int]:
    """The process and those below it. A child of another thread than the first is not seen."""
    left = [root]
    for _ in range(MOST_PROCESSES):
        if not left:
            return
        pid = left.pop()
        yield pid
        left += map(int, _said(pid, f"task/{pid}/children").split())


def _used(pid: int) -> tuple[float, int] | None:
    """Seconds of processors, with those of children that have ended, and bytes of resident memory."""
    fields = _said(pid, "stat").rpartition(")")[2].split()
    if not fields:
        return None
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / _TICK, int(fields[21]) * _PAGE


def _said(pid: int, what: str) -> str:
    try:
        return (_PROC / str(pid) / what).read_text()
    except OSError:  # the process has ended
        return ""
