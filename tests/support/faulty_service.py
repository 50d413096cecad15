"""Services that meet faults at named points, one after the other, and are started again after a kill."""

import json
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import redis

from shared.core.timings import Timings
from shared.fault_points import ACTIONS, VARIABLE
from tests.support.stack import Stack

WAIT_SECONDS = 10.0
ZOMBIE_SECONDS = 3 * Timings().scaled(0.1).lease.total_seconds()


@dataclass(frozen=True, slots=True)
class Fault:
    """`action` is one of the point's own, or "cut_postgres" or "cut_redis".

    At a cut the process stops, loses its connections, and goes on.
    """

    point: str
    passing: int
    action: str

    @property
    def entry(self) -> str:
        return f"{self.point}:{self.passing}:{self.action if self.action in ACTIONS else 'stop'}"


class FaultyService:
    """One service; each life is a process with faults of its own, taken from *lives* while there are any."""

    def __init__(self, stack: Stack, words: tuple[str, ...], lives: deque[list[Fault]], **env: str) -> None:
        self._stack, self._words, self._lives, self._env = stack, words, lives, env
        self.met: list[Fault] = []
        self.pids: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self._faults = self._lives.popleft() if self._lives else []
        self._pending = {(fault.point, fault.passing): fault for fault in self._faults}
        self._read = 0
        self._stopped_at = 0.0
        self._since = time.monotonic()
        self._last: Fault | None = None
        armed = {VARIABLE: ",".join(fault.entry for fault in self._faults)}
        self.process = self._stack.start("tests.support.open_service", *self._words, **self._env, **armed)
        self.pids.append(self.process.popen.pid)

    @property
    def faults_left(self) -> list[Fault]:
        """Of this life and of those to come."""
        return [*self._pending.values(), *(fault for faults in self._lives for fault in faults)]

    def tend(self) -> None:
        """Look after the process: what it met is noted, a frozen one is thawed, a dead one replaced.

        Some points are passed only after a death. One that waits in vain is killed, which is one, and its
        faults wait for their next turn.
        """
        dead = self.process.popen.poll() is not None
        self._note()
        if not self._read:
            self._since = time.monotonic()  # it is still starting
        if dead:
            assert self._last is not None, self.process.log.read_text()[-3000:]
            assert self._last.action == "kill", (self._last, self.process.log.read_text()[-3000:])
            self._begin()
        elif self._state() == "T":
            self._thaw()
        elif not self._pending and self._lives:
            self.process.stop()
            self._begin()
        elif self._pending and time.monotonic() > self._since + WAIT_SECONDS:
            self._lives.append(list(self._pending.values()))
            self.process.kill()
            self._begin()

    def _state(self) -> str:
        return Path(f"/proc/{self.process.popen.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def _note(self) -> None:
        text = self.process.log.read_bytes()[self._read :]
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            if b'"fault_point"' in line:
                said = json.loads(line)
                self._last = self._pending.pop((said["point"], said["passing"]))
                self.met.append(self._last)
                self._since = time.monotonic()

    def _thaw(self) -> None:
        assert self._last is not None
        self._stopped_at = self._stopped_at or time.monotonic()
        if self._last.action == "stop" and time.monotonic() < self._stopped_at + ZOMBIE_SECONDS:
            return
        if self._last.action == "cut_postgres":
            cut_postgres(self._stack.database_url, self.process.popen.pid)
        elif self._last.action == "cut_redis":
            cut_redis(self._stack.env["GRISTMILL_REDIS_URL"], self.process.popen.pid)
        self._stopped_at = 0.0
        self.process.popen.send_signal(signal.SIGCONT)


def _ports(pid: int) -> list[int]:
    """The local ports of the process's connections."""
    return [
        connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp") if connection.raddr
    ]


def cut_postgres(database_url: str, pid: int) -> None:
    """End every backend of the process."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)",
            [_ports(pid)],
        )


def cut_redis(redis_url: str, pid: int) -> None:
    ports = set(_ports(pid))
    with redis.Redis.from_url(redis_url) as client:
        for one in client.client_list():
            if int(one["addr"].rpartition(":")[2]) in ports:
                client.client_kill_filter(_id=one["id"])


def children_of(pids: list[int]) -> list[psutil.Process]:
    """The child processes that were started by any of these processes, living or dead."""
    parents = {str(pid) for pid in pids}
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if (
            "tests.support.open_child" in words
            and parents & set(words)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ):
            found.append(process)
    return found
