"""The services as real processes against one database; tests drive them over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from gristmill.launcher.servers import free_port
from tests.support.waiting import PATIENCE, eventually

NAME = "gristmill-child"


def slots_of(worker: int) -> list[int]:
    """The child processes of a worker's slots; the template, of which they are forks, is a child as well."""
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    return [int(pid) for pid in children if _said_of(int(pid), "comm").strip() == NAME]


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    state = _said_of(pid, "stat").rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def _said_of(pid: int, what: str) -> str:
    """What the kernel says of a process, nothing if it is gone.

    It may go between the opening of the file and the reading.
    """
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Process:
    """One service process, its log in a file."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=env,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def stop(self, patience: float = 30.0) -> int:
        """SIGTERM, and wait for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def children(self) -> list[int]:
        return slots_of(self.popen.pid)


class Stack:
    """A gateway and workers; `data` is an allowed source folder.

    Any process of their user may look into *opened* ones.
    """

    def __init__(
        self, database_url: str, redis_url: str, folder: Path, *, opened: bool = False, **settings: str
    ) -> None:
        self.opened = opened
        self.folder, self.database_url = folder, database_url
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")
            if name in os.environ
        }
        self.env = kept | {
            "GRISTMILL_DATABASE_URL": database_url,
            "GRISTMILL_REDIS_URL": redis_url,
            "GRISTMILL_STORAGE": str(folder / "storage"),
            "GRISTMILL_SOURCES": f"file://{self.data}/",
            "GRISTMILL_PORT": str(self.port),
            "GRISTMILL_SLOTS": "2",
            "GRISTMILL_TIME_SCALE": "0.1",
            "GRISTMILL_MIN_CHUNK_BYTES": "1",
        }
        self.env |= settings
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.processes: list[Process] = []

    def start(self, module: str, *arguments: str, **env: str) -> Process:
        log = self.folder / f"{module}-{len(self.processes)}.log"
        words = ("tests.support.open_service", module, *arguments) if self.opened else (module, *arguments)
        process = Process(*words, env=self.env | env, log=log)
        self.processes.append(process)
        return process

    def gateway(self) -> Process:
        process = self.start("api_service", "serve")
        eventually(self._ready, "the gateway's readiness")
        return process

    def _ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def worker(self, **env: str) -> Process:
        return self.workers(1, "worker_service", **env)[0]

    def workers(self, count: int, module: str, *arguments: str, **env: str) -> list[Process]:
        """Once they are all up. Tests and benchmarks have modules of workers of their own."""
        processes = [self.start(module, *arguments, **env) for _ in range(count)]
        eventually(
            lambda: all(b"worker.started" in process.log.read_bytes() for process in processes),
            "the workers' start",
        )
        return processes

    def submit(self, spec: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json=spec, headers=headers)
        assert answer.status_code in {200, 202}, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{job_id}").json()

    def wait(self, job_id: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The job document once it is done."""
        eventually(lambda: self.job(job_id)["done"], f"the end of {job_id}", patience)
        return self.job(job_id)

    def run(self, spec: dict[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
        return self.wait(self.submit(spec)["id"], patience)

    def rows(self, job_id: str, **parameters: Any) -> list[dict[str, Any]]:
        """Every row, page by page."""
        found, parameters = [], {"limit": 10_000, **parameters}
        while True:
            answer = self.http.get(f"/v1/jobs/{job_id}/rows", params=parameters)
            assert answer.status_code == 200, answer.text
            page = json.loads(answer.text)
            found += page["items"]
            if page["next"] is None:
                return found
            parameters["after"] = page["next"]

    def sql(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

    def write(self, name: str, data: bytes | str) -> str:
        """A file in the allowed folder.

        Answers with its URI. One that is there as it should be is left alone: a job may be reading it.
        """
        path, octets = self.data / name, data.encode() if isinstance(data, str) else data
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != octets:
            path.write_bytes(octets)
        return f"file://{path}"

    def without_workers(self) -> None:
        """Kill all processes but the first, the gateway, and forget the workers."""
        for process in self.processes[1:]:
            process.kill()
        self.sql("DELETE FROM gristmill.workers")

    def close(self) -> None:
        self.http.close()
        for process in self.processes:
            if process.popen.poll() is None:
                process.stop()


@contextmanager
def running(
    database_url: str,
    redis_url: str,
    folder: Path,
    *,
    workers: int = 1,
    opened: bool = False,
    **settings: str,
) -> Iterator[Stack]:
    stack = Stack(database_url, redis_url, folder, opened=opened, **settings)
    try:
        stack.gateway()
        for _ in range(workers):
            stack.worker()
        yield stack
    finally:
        stack.close()
