"""How a child process ended, and the meaning of that for its task."""

import signal
from dataclasses import dataclass

NEAR_LIMIT = 0.8
"""The share of the memory limit from which on a fatal signal counts as lack of memory."""
_MEMORY_SIGNALS = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGKILL}
_FAILED_ALLOCATIONS = ("bad_alloc", "MemoryError", "out of memory", "memory allocation of")
NATIVE_READERS = ("readers/parquet", "readers/arrow_ipc", "readers/xlsx")
"""The packages of the native formats (`readers.formats`, which a parent may not load).

A crash below one of them is a crash of the code that decodes the file.
"""
_CRASHES = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
"""How a process ends by itself. A signal from outside says nothing about its files."""


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """*code* as in `subprocess`: negative for a signal.

    *stderr* is the end of its standard error during its last task. Its fault handler writes the stack of a
    crash there.
    """

    code: int
    peak_bytes: int
    limit_bytes: int
    stderr: str = ""

    @property
    def out_of_memory(self) -> bool:
        """Whether it died of its memory limit, or near it.

        A dead process has no memory to look at (/proc says nothing about a zombie's). And a last sample would
        be older than the allocation that mattered. Two facts are certain. The kernel keeps the peak of its
        resident memory for `wait4`. And C++ or Python report a single huge allocation that failed, which no
        peak shows.
        """
        near = self.peak_bytes >= NEAR_LIMIT * self.limit_bytes
        reported = any(text in self.stderr for text in _FAILED_ALLOCATIONS)
        return (self.code in _MEMORY_SIGNALS and near) or (self.code != 0 and reported)

    @property
    def crashed_in_reader(self) -> bool:
        """Whether native code crashed while it read a file."""
        return self.code in _CRASHES and any(module in self.stderr for module in NATIVE_READERS)

    def __str__(self) -> str:
        how = f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return f"{how} at {self.peak_bytes / 2**20:.0f} of {self.limit_bytes / 2**20:.0f} MiB"
