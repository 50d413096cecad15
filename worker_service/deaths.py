"""What the remains of a child process tell: whether it ran out of memory."""

import signal
from dataclasses import dataclass

NEAR = 0.8
SIGNALS = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGKILL}
LAST_WORDS = ("bad_alloc", "MemoryError", "out of memory")


@dataclass(frozen=True, slots=True)
class Death:
    """*code* as in `subprocess`: negative for a signal.

    *said*: what it wrote to its standard error in its last unit.
    """

    code: int
    peak_bytes: int
    limit_bytes: int
    said: str = ""

    @property
    def out_of_memory(self) -> bool:
        """Whether it died of its memory limit, or near it.

        A dead process has no more memory to look at (/proc says nothing of a zombie's), and a last sample is
        older than the allocation that mattered. Two things are certain: the peak of its resident memory,
        which the kernel keeps for `wait4`, and what C++ or Python said of a single huge allocation that
        failed, which no peak shows.
        """
        near = self.peak_bytes >= NEAR * self.limit_bytes
        return (self.code in SIGNALS and near) or (
            self.code != 0 and any(words in self.said for words in LAST_WORDS)
        )

    def __str__(self) -> str:
        how = f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return f"{how} at {self.peak_bytes / 2**20:.0f} of {self.limit_bytes / 2**20:.0f} MiB"
