"""docker-compose.yml as a program drives it: a project of its own, its containers, and Postgres inside."""

import os
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from tests.support import waiting

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
eventually = partial(waiting.eventually, patience=PATIENCE)
_COMPOSE_1 = """#!/bin/sh
# `docker compose` in the words of docker-compose 1.29, which has no --wait.
[ "$1" = compose ] || exec {docker} "$@"
shift
case "$*" in
"up -d --wait postgres")
    docker-compose up -d postgres
    until docker-compose exec -T postgres pg_isready --host=127.0.0.1 --quiet; do sleep 1; done ;;
*) exec docker-compose "$@" ;;
esac
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Compose:
    """One project: the docker-compose.yml of a checkout with an image.

    *command* is `docker compose` or docker-compose.
    """

    command: list[str]
    folder: Path = ROOT
    image: str = ""
    override: Path | None = None
    project: str = field(default_factory=lambda: f"gristmill-test-{secrets.token_hex(4)}")
    port: int = field(default_factory=_free_port)
    key: str = field(default_factory=lambda: "gm_" + secrets.token_urlsafe(32))
    password: str = field(default_factory=lambda: secrets.token_hex(16))

    @cached_property
    def env(self) -> dict[str, str]:
        files = [self.folder / "docker-compose.yml", *([self.override] if self.override else [])]
        return os.environ | {
            "COMPOSE_FILE": ":".join(map(str, files)),
            "COMPOSE_PROJECT_NAME": self.project,
            "POSTGRES_PASSWORD": self.password,
            "GRISTMILL_API_KEY": self.key,
            "GRISTMILL_PORT": str(self.port),
            "GRISTMILL_IMAGE": self.image,
            "GRISTMILL_SLOTS": "2",
        }

    def __call__(self, *words: str) -> str:
        ran = subprocess.run(
            [*self.command, *words],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, (
            f"{' '.join(words)} exited with {ran.returncode}:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        )
        return ran.stdout

    def in_a_shell(self, script: str, folder: Path) -> str:
        """Run commands of a page in *folder*; they say `docker compose`."""
        env = self.env
        if self.command == ["docker-compose"]:
            (folder / "docker").write_text(_COMPOSE_1.format(docker=shutil.which("docker")))
            (folder / "docker").chmod(0o755)
            env = env | {"PATH": f"{folder}:{env['PATH']}"}
        ran = subprocess.run(
            ["sh", "-exc", script], env=env, cwd=folder, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"exit code {ran.returncode}:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        return ran.stdout

    def containers(self, service: str, *, state: str = "running") -> list[str]:
        wanted = [
            f"label=com.docker.compose.project={self.project}",
            f"label=com.docker.compose.service={service}",
            f"status={state}",
        ]
        return docker("ps", "-aq", *(word for filter_ in wanted for word in ("--filter", filter_))).split()

    def up(self, workers: int) -> None:
        self("up", "-d", "--no-build", "--scale", f"worker={workers}")
        assert len(self.containers("worker")) == workers

    def psql(self, user: str, statement: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """By the socket of Postgres, unless *words* name a host."""
        (container,) = self.containers("postgres")
        return psql(container, user, statement, *words, password=self.password)

    def healthy(self) -> bool:
        found = [
            container
            for service in ("postgres", "redis", "api", "worker")
            for container in self.containers(service)
        ]
        states = docker("inspect", "--format", "{{.State.Health.Status}}", *found).split()
        return set(states) == {"healthy"}

    def left(self) -> list[str]:
        """The things of the project that the engine still has."""
        mine = ("--filter", f"label=com.docker.compose.project={self.project}")
        return [
            name
            for kind in (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q"))
            for name in docker(*kind, *mine).split()
        ]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def engine() -> str | None:
    """The version of the Docker engine that answers, if one does."""
    if shutil.which("docker") is None:
        return None
    asked = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        found = (
            shutil.which(command[0])
            and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
        )
        if found:
            return command
    return None


def psql(
    container: str, user: str, statement: str, *words: str, password: str = ""
) -> "subprocess.CompletedProcess[str]":
    """In a container of Postgres; by its socket unless *words* name a host."""
    asked = ["psql", "-v", "VERBOSITY=verbose", "-U", user, "-Atc", statement, *words, "gristmill"]
    return subprocess.run(
        ["docker", "exec", "-e", f"PGPASSWORD={password}", container, *asked],
        capture_output=True,
        text=True,
        check=False,
    )
