"""Child processes that end with the launcher, and that the next launcher knows by pid and birth."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gristmill.launcher import tether

POLL_SECONDS = 0.02
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
TAIL_LINES = 15


class LauncherError(Exception):
    """A failure to show at the terminal; its text is the whole message."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to run.

    The kernel sends it `death_signal` when the launcher dies; `grace` is the seconds from `stop_signal` to
    SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str]
    cwd: Path
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace: float = 10.0


def keep_private() -> None:
    """Hide memory and environment, which hold passwords, from the other processes of this user."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of each descendant whose own parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(seconds: float) -> None:
    """Wait for the end of all children, adopted ones too, at most so long."""
    deadline = time.monotonic() + seconds
    with suppress(ChildProcessError):  # there are no more
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(POLL_SECONDS)


def tethered(command: Command) -> list[str]:
    user = command.user or User(-1, -1)
    arguments = [os.getpid(), int(command.death_signal), user.uid, user.gid, *command.argv]
    return [sys.executable, "-I", "-S", tether.__file__, *map(str, arguments)]


@dataclass(slots=True)
class Child:
    """A running command.

    Start it from the main thread: the death signal comes when the thread that forked ends.
    """

    command: Command
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        with self.command.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the launcher alone, which then stops the
            # children in order.
            self.process = subprocess.Popen(
                tethered(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.command.cwd,
                env=self.command.env,
                start_new_session=True,
            )
        self.started = time.monotonic()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.alive:
            self.process.send_signal(self.command.stop_signal)

    def stop(self) -> None:
        self.ask_to_stop()
        try:
            self.process.wait(self.command.grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def end(self) -> str:
        """A sentence on how it has ended; waits until it has."""
        return f"{self.command.name} ended with {exit_reason(self.process.wait())}"

    def died(self) -> LauncherError:
        return LauncherError(f"{self.end}\n{tail(self.command.log)}")


def run(command: Command, text: str = "") -> None:
    """Run to the end, with `text` as input; raises LauncherError with the tail of its log if it fails."""
    with command.log.open("ab") as log:
        done = subprocess.run(
            tethered(command),
            input=text.encode(),
            stdout=log,
            stderr=log,
            cwd=command.cwd,
            env=command.env,
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        raise LauncherError(f"{command.name} ended with {exit_reason(done.returncode)}\n{tail(command.log)}")


def wait_until(ready: Callable[[], bool], *, child: Child, seconds: float) -> None:
    """Poll `ready`; raises LauncherError with the tail of the child's log if it dies or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.alive:
            raise child.died()
        if time.monotonic() > deadline:
            raise LauncherError(
                f"{child.command.name} was not ready within {seconds:.0f} seconds\n{tail(child.command.log)}"
            )
        time.sleep(POLL_SECONDS)


def exit_reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in lines)])


def birth(pid: int) -> str | None:
    """The boot and the clock tick at which a process started.

    They tell it from a later process with the same pid. None if it is gone or a zombie.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if state in "ZX" else f"{boot}:{fields[18]}"
