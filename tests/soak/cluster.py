"""The processes of a soak: real servers and services.

Each can be killed, frozen, drained and started again. The main thread starts them all, and they die with it,
whatever ends the soak.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from gristmill.launcher.processes import Child, Command, LauncherError
from gristmill.launcher.servers import Server, free_port, start_postgres, start_valkey
from shared.db.migrate import upgrade_blocking
from tests.support.chaos_proxy import ChaosProxy
from tests.support.mark import marking, new_mark
from tests.support.stack import slots_of

PATIENCE = 60.0


@dataclass
class Node:
    """One service process; `link` is its way to Postgres, `bell` its way to Redis."""

    command: Command
    link: ChaosProxy
    bell: ChaosProxy
    child: Child | None = None
    held: bool = False
    """A fault holds it."""
    starts: int = 0
    unexpected_ends: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.alive

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.process.pid

    @property
    def children(self) -> list[int]:
        with suppress(OSError):
            return slots_of(self.pid)
        return []

    @property
    def template(self) -> list[int]:
        """The process that forks the children, if there is one at this moment."""
        return [child.pid for child in psutil.Process(self.pid).children() if child.pid not in self.children]

    def start(self, **env: str) -> None:
        self.child = Child(replace(self.command, env={**self.command.env, **env}))
        self.starts += 1

    def signal(self, number: signal.Signals) -> None:
        if self.child is not None and self.child.alive:
            self.child.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> bool:
        """True once the process has ended, False if it has not within *seconds*."""
        assert self.child is not None
        end = time.monotonic() + seconds
        while self.child.alive and time.monotonic() < end:
            time.sleep(0.01)
        return not self.child.alive


class Cluster:
    def __init__(self, folder: Path, *, workers: int, gateways: int, time_scale: float) -> None:
        self.folder, self.time_scale = folder, time_scale
        self.data = folder / "data"
        for made in (self.data, folder / "logs", folder / "path"):
            made.mkdir(parents=True)
        for name in ("postgres", "valkey"):
            (folder / name).mkdir(mode=0o700)
            (folder / name / "port").write_text(str(steady_port()))
        self.mark = new_mark()
        self.postgres = self._start_postgres()
        self.redis = self._start_redis()
        upgrade_blocking(self.postgres.url)
        self._ends = ExitStack()
        self._ends.enter_context(marking(self.mark))
        ports = [steady_port() for _ in range(gateways)]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.gateways = [
            self._node(f"gateway-{no}", "api_service", "serve", GRISTMILL_PORT=str(port))
            for no, port in enumerate(ports, 1)
        ]
        self.workers = [
            self._node(f"worker-{no}", "worker_service", GRISTMILL_SLOTS="1") for no in range(1, workers + 1)
        ]
        self.held: set[str] = set()
        """Those of "postgres" and "redis" that a fault holds."""

    @property
    def nodes(self) -> list[Node]:
        return [*self.gateways, *self.workers]

    def _node(self, name: str, *module: str, **settings: str) -> Node:
        link, bell = (
            self._ends.enter_context(ChaosProxy(url)) for url in (self.postgres.url, self.redis.url)
        )
        env = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        env |= {
            # The folder in the path marks every process of this soak. It is all that a worker's children keep
            # of its environment.
            "PYTHONPATH": os.pathsep.join([str(self.folder / "path"), str(Path(__file__).parents[2])]),
            "GRISTMILL_DATABASE_URL": link.url,
            "GRISTMILL_REDIS_URL": bell.url,
            "GRISTMILL_STORAGE": str(self.folder / "storage"),
            "GRISTMILL_SOURCES": f"file://{self.data}/",
            "GRISTMILL_TIME_SCALE": str(self.time_scale),
            "GRISTMILL_MIN_CHUNK_BYTES": "1",
            "GRISTMILL_LOG_FORMAT": "json",
        }
        argv = (sys.executable, "-m", *module)
        command = Command(
            name=name,
            argv=argv,
            log=self.folder / "logs" / f"{name}.log",
            env=env | settings,
            cwd=self.folder,
            grace=30,
        )
        return Node(command, link, bell)

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def _start_postgres(self) -> Server:
        """Durable: commits are on the disk, so that a killed Postgres comes back with them."""
        return patiently(
            lambda: start_postgres(
                self.folder / "postgres", log=self.folder / "logs" / "postgres.log", durable=True
            )
        )

    def _start_redis(self) -> Server:
        return start_valkey(self.folder / "valkey", log=self.folder / "logs" / "valkey.log", durable=False)

    def kill_postgres(self) -> None:
        """Kill the postmaster; the backends notice and end."""
        self.postgres.child.process.kill()
        self.postgres.child.process.wait()

    def restart_postgres(self) -> None:
        before = self.postgres.url
        self.postgres = self._start_postgres()
        assert self.postgres.url == before

    def kill_redis(self) -> None:
        self.redis.child.process.kill()
        self.redis.child.process.wait()

    def restart_redis(self) -> None:
        """Start it again on the same port, with no more than it was told to save."""
        before = self.redis.url
        self.redis = self._start_redis()
        assert self.redis.url == before

    def postgres_processes(self) -> list[int]:
        """Process ids, the postmaster first: frozen before its children, it starts no more of them."""
        postmaster = psutil.Process(self.postgres.child.process.pid)
        return [postmaster.pid, *(child.pid for child in postmaster.children())]

    def postgres_sessions(self) -> list[int]:
        """Process ids of the clients' backends; the others are Postgres' own helpers."""
        found = []
        for process in psutil.Process(self.postgres.child.process.pid).children():
            with suppress(psutil.Error):
                if " 127.0.0.1(" in "".join(process.cmdline()):
                    found.append(process.pid)
        return found

    def close(self) -> None:
        """Send SIGTERM to the services, then to the servers."""
        for node in self.nodes:
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            if node.child is not None:
                node.child.stop()
        self._ends.close()
        self.redis.child.stop()
        self.postgres.child.stop()


def steady_port() -> int:
    """A free port that no outgoing connection is ever given.

    Such a connection could hold the port while its server is away, or even talk to itself.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(first - 12_000, first)
        if free_port(port) == port:
            return port


def patiently(start) -> Server:
    """Start a Postgres, again and again until it runs.

    Backends of a killed postmaster may keep its shared memory for a moment: the next one then gives up.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return start()
        except LauncherError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def send(pids: Iterable[int], number: signal.Signals) -> list[int]:
    """Signal every process that still exists; returns their ids."""
    reached = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached.append(pid)
    return reached
