"""`make compose-test`: the real docker-compose.yml, with workers killed and scaled, and servers restarted.

A worker is killed, workers are scaled down and up, both servers are restarted. Then all of it runs with a
volume of an earlier version, in which the services were the superuser of Postgres.

Exits 0 when everything held, 0 with a message where no Docker engine answers, 1 otherwise. Its containers
have a project name and a port of their own, and are removed again.
"""

# ruff: noqa: T201  # a program for a terminal

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
ROWS, GROUPS = 1_000_000, 500
CHUNK_BYTES = 64 * 1024
PATIENCE = 180.0
OWN_BYTES = 550_000_000
"""Bytes above the base image. With the slim Python image, about 130 MB, the whole stays below 700 MB."""


class Compose:
    """`docker compose`, or docker-compose, on one project of its own."""

    def __init__(self, command: list[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.project = f"gristmill-test-{secrets.token_hex(4)}"
        self.key = "gm_" + secrets.token_urlsafe(32)
        self.password = secrets.token_hex(16)
        self._command = [*command, "-f", str(ROOT / "docker-compose.yml"), "-p", self.project]
        self._env = os.environ | {
            "POSTGRES_PASSWORD": self.password,
            "GRISTMILL_API_KEY": self.key,
            "GRISTMILL_PORT": str(self.port),
            "GRISTMILL_IMAGE": self.project,
            "GRISTMILL_SLOTS": "2",
        }

    def __call__(self, *words: str) -> str:
        ran = subprocess.run(
            [*self._command, *words], env=self._env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, (
            f"{' '.join(words)} exited with {ran.returncode}:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        )
        return ran.stdout

    def containers(self, service: str, *, state: str = "running") -> list[str]:
        wanted = [
            f"label=com.docker.compose.project={self.project}",
            f"label=com.docker.compose.service={service}",
            f"status={state}",
        ]
        return docker("ps", "-aq", *(word for filter_ in wanted for word in ("--filter", filter_))).split()

    def scale(self, workers: int) -> None:
        self("up", "-d", "--no-build", "--scale", f"worker={workers}")
        assert len(self.containers("worker")) == workers

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


def eventually(look: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not happen within {patience:g} s"
        time.sleep(0.02)
    return found


def write_numbers(path: Path) -> dict[str, tuple[int, int, Decimal]]:
    """Write a CSV of made-up rows.

    Returns count, sum of v (beyond 2^53) and sum of money by key, by Python's own arithmetic.
    """
    made, counts, sums, cents = random.Random(7), defaultdict(int), defaultdict(int), defaultdict(int)
    with path.open("w") as file:
        file.write("k,v,money\n")
        for _ in range(ROWS):
            key, v, money = (
                f"id{made.randrange(GROUPS):03d}",
                made.randrange(-(2**40), 2**52),
                made.randrange(10_000_000),
            )
            file.write(f"{key},{v},{money // 100}.{money % 100:02d}\n")
            counts[key] += 1
            sums[key] += v
            cents[key] += money
    return {key: (counts[key], sums[key], Decimal(cents[key]).scaleb(-2)) for key in counts}


class Client:
    """The gateway over HTTP; patient while a server behind it is restarted."""

    def __init__(self, compose: Compose) -> None:
        self._http = httpx2.Client(
            base_url=f"http://127.0.0.1:{compose.port}",
            headers={"Authorization": f"Bearer {compose.key}"},
            timeout=60,
            trust_env=False,
        )

    def get(self, path: str) -> Any:
        def answer() -> httpx2.Response | None:
            try:
                response = self._http.get(path)
            except httpx2.TransportError:
                return None
            return None if response.status_code == 503 else response

        response = eventually(answer, f"an answer to GET {path}")
        assert response.status_code == 200, response.text
        return json.loads(response.text, parse_float=Decimal)

    def upload(self, path: Path) -> str:
        with path.open("rb") as file:
            response = self._http.post("/v1/uploads", params={"filename": path.name}, content=file)
        assert response.status_code == 201, response.text
        return response.json()["uri"]

    def submit(self, uri: str) -> str:
        """A job of hundreds of chunks."""
        sums = [
            {"fn": "count"},
            {"fn": "sum", "column": "v", "as": "v"},
            {"fn": "sum", "column": "money", "as": "money"},
        ]
        source = {"uris": [uri], "format": "csv", "types": {"money": "decimal(12,2)"}}
        spec = {
            "source": source,
            "group_by": ["k"],
            "aggregates": sums,
            "options": {"chunk_bytes": CHUNK_BYTES},
        }
        response = self._http.post("/v1/jobs", json=spec)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    def job(self, job_id: str) -> Any:
        return self.get(f"/v1/jobs/{job_id}")

    def under_way(self, job_id: str) -> str:
        """Wait until some chunks are done; the job must not be."""
        eventually(lambda: self.job(job_id)["progress"]["chunks"]["done"] >= 20, "progress")
        return self.unfinished(job_id)

    def unfinished(self, job_id: str) -> str:
        assert not self.job(job_id)["done"], "the job was done too soon to be disturbed"
        return job_id

    def answer(self, job_id: str) -> dict[str, tuple[int, int, Decimal]]:
        eventually(lambda: self.job(job_id)["done"], f"the end of {job_id}")
        job = self.job(job_id)
        assert job["state"] == "succeeded", job["error"]
        assert job["progress"]["rows"]["read"] == ROWS
        items = self.get(f"/v1/jobs/{job_id}/rows?limit=10000")["items"]
        return {row["k"]: (row["count"], row["v"], Decimal(row["money"])) for row in items}


class Steps:
    """Prints each step and its time."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def __call__(self, done: str) -> None:
        now = time.monotonic()
        print(f"{now - self._begun:6.1f} s  (+{now - self._last:.1f})  {done}", flush=True)
        self._last = now


def check_containers(compose: Compose) -> None:
    """The promises of docker-compose.yml about the containers themselves."""
    unkeyed = httpx2.get(f"http://127.0.0.1:{compose.port}/v1/jobs", trust_env=False)
    assert unkeyed.status_code == 401, unkeyed.text
    made = compose("exec", "-T", "api", "gristmill", "server", "keys", "add", "second").strip()
    keyed = httpx2.get(
        f"http://127.0.0.1:{compose.port}/v1/jobs",
        headers={"Authorization": f"Bearer {made}"},
        trust_env=False,
    )
    assert keyed.status_code == 200, keyed.text
    for service in ("api", "worker"):
        container = compose.containers(service)[0]
        assert docker("exec", container, "id", "-u").strip() == "10001", service
        wrote = subprocess.run(
            ["docker", "exec", container, "touch", "/opt/x"], capture_output=True, check=False
        )
        assert wrote.returncode != 0, f"the root of {service} can be written"
    (redis,) = compose.containers("redis")
    asked = docker("exec", redis, "redis-cli", "CONFIG", "GET", "appendonly") + docker(
        "exec", redis, "redis-cli", "CONFIG", "GET", "maxmemory-policy"
    )
    assert asked.split() == ["appendonly", "yes", "maxmemory-policy", "noeviction"], asked
    for service in ("roles", "migrate"):
        (ended,) = compose.containers(service, state="exited")
        assert docker("inspect", "--format", "{{.State.ExitCode}}", ended).strip() == "0", service


def check_roles(compose: Compose) -> None:
    """The services are no superuser, and the superuser cannot log in over a network."""
    (postgres,) = compose.containers("postgres")
    supers = "SELECT rolname FROM pg_roles WHERE rolsuper"
    assert psql(postgres, "gristmill_admin", supers).stdout.split() == ["gristmill_admin"]
    owners = "SELECT DISTINCT nspowner::regrole FROM pg_namespace WHERE nspname ~ '^(gristmill|results)'"
    assert psql(postgres, "gristmill_admin", owners).stdout.split() == ["gristmill"]
    for attempt in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE gristmill_admin",
    ):
        refused = psql(postgres, "gristmill", attempt)
        assert "42501" in refused.stderr, refused  # insufficient_privilege, in whatever words
    reached = psql(postgres, "gristmill_admin", "SELECT 1", "--host=postgres", password=compose.password)
    assert "authentication failed" in reached.stderr, reached
    assert psql(
        postgres, "gristmill", "SELECT 1", "--host=postgres", password=compose.password
    ).stdout.split() == ["1"]


def psql(
    container: str, user: str, statement: str, *words: str, password: str = ""
) -> "subprocess.CompletedProcess[str]":
    """In the container of Postgres; by its socket unless *words* name a host."""
    command = [
        "docker",
        "exec",
        "-e",
        f"PGPASSWORD={password}",
        container,
        "psql",
        "-v",
        "VERBOSITY=verbose",
        "-U",
        user,
        "-Atc",
        statement,
        *words,
        "gristmill",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make_volume_of_before(compose: Compose) -> None:
    """Make a volume as the image of Postgres made it for a service that was the superuser.

    The superuser owns the schemas, and a table of the user's own.
    """
    compose("down", "--volumes")
    compose("up", "--no-start", "--no-build", "postgres")
    (made,) = compose.containers("postgres", state="created")
    image = docker("inspect", "--format", "{{.Config.Image}}", made).strip()
    settings = {
        "POSTGRES_USER": "gristmill",
        "POSTGRES_DB": "gristmill",
        "POSTGRES_PASSWORD": compose.password,
    }
    given = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    volume = f"{compose.project}_postgres:/var/lib/postgresql/data"
    old = docker("run", "-d", "-v", volume, *given, image).strip()
    try:
        ready = ["docker", "exec", old, "pg_isready", "--host=127.0.0.1"]
        eventually(
            lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
            "the start of the old Postgres",
        )
        url = f"postgresql://gristmill:{compose.password}@127.0.0.1:5432/gristmill"
        migrate = ("python3", "-m", "api_service", "migrate")
        docker(
            "run",
            "--rm",
            "--network",
            f"container:{old}",
            "-e",
            f"GRISTMILL_DATABASE_URL={url}",
            compose.project,
            *migrate,
        )
        own = psql(old, "gristmill", "CREATE TABLE public.own AS SELECT 42 AS answer")
        assert own.returncode == 0, own
        docker("stop", old)
    finally:
        docker("rm", "--force", old)


def check_volume_of_before(
    compose: Compose, folder: Path, expected: dict[str, tuple[int, int, Decimal]], said: Steps
) -> None:
    make_volume_of_before(compose)
    said("made a volume in which the services are the superuser")
    compose("up", "-d", "--no-build", "--scale", "worker=3")
    client = Client(compose)
    client.get("/readyz")
    check_roles(compose)
    (postgres,) = compose.containers("postgres")
    assert psql(postgres, "gristmill", "SELECT answer FROM public.own").stdout.split() == ["42"]
    assert client.answer(client.submit(client.upload(folder / "numbers.csv"))) == expected
    compose("up", "-d", "--no-build", "--scale", "worker=3")  # the roles are made again
    check_roles(compose)
    said("started from it: the services are no superuser any more: right answer")


def check_graceful_end(compose: Compose) -> None:
    """SIGTERM reaches the services, which end by themselves and well."""
    running = [*compose.containers("api"), *compose.containers("worker")]
    compose("stop", "api", "worker")
    codes = docker("inspect", "--format", "{{.State.ExitCode}}", *running).split()
    assert set(codes) == {"0"}, f"exit codes {codes}: 137 means that a service was killed"


def healthy(compose: Compose, *services: str) -> bool:
    return all(
        docker("inspect", "--format", "{{.State.Health.Status}}", container).strip() == "healthy"
        for service in services
        for container in compose.containers(service)
    )


def exercise(compose: Compose, folder: Path, said: Steps) -> None:
    compose("build")
    size = int(docker("image", "inspect", "--format", "{{.Size}}", compose.project))
    own = sum(_layers(compose.project))
    assert own < OWN_BYTES, f"the image has {own:,} bytes above its base"
    said(f"built the image: {size / 1e6:.0f} MB, {own / 1e6:.0f} MB of it above its base")
    expected = write_numbers(folder / "numbers.csv")
    said(f"made {ROWS:,} rows in {GROUPS} groups")
    compose("up", "-d", "--no-build", "--scale", "worker=3")
    client = Client(compose)
    client.get("/readyz")
    eventually(
        lambda: healthy(compose, "postgres", "redis", "api", "worker"), "the health of every container"
    )
    assert len(compose.containers("worker")) == 3
    check_containers(compose)
    check_roles(compose)
    said(
        "three workers, gateway, Postgres and Redis are healthy; "
        "no root, no writable root file system, no entry without a key"
    )
    disturb(compose, client, client.upload(folder / "numbers.csv"), expected, said)
    check_graceful_end(compose)
    said("the services ended by themselves on SIGTERM")
    check_volume_of_before(compose, folder, expected, said)


def disturb(
    compose: Compose, client: Client, uri: str, expected: dict[str, tuple[int, int, Decimal]], said: Steps
) -> None:
    job = client.under_way(client.submit(uri))
    docker("kill", compose.containers("worker")[0])
    assert client.answer(client.unfinished(job)) == expected
    said("one of three workers was killed in the middle of a job: right answer")

    job = client.under_way(client.submit(uri))
    compose.scale(1)
    assert client.answer(job) == expected
    compose.scale(3)
    said("scaled to one worker in the middle of a job, and back to three: right answer")

    job = client.under_way(client.submit(uri))
    compose("restart", "redis")
    compose("restart", "postgres")
    assert client.answer(job) == expected
    said("Redis and Postgres were restarted in the middle of a job: right answer")


def _layers(image: str) -> list[int]:
    """The sizes of what the Dockerfile's last stage adds to its base, newest first."""
    lines = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image
    ).splitlines()
    ours = next(no for no, line in enumerate(lines) if "org.opencontainers.image.title" in line)
    return [int(line.split("\t")[0]) for line in lines[: ours + 1]]


def main() -> int:
    version, command = engine(), compose_command()
    if version is None or command is None:
        reason = "no Docker engine answers" if version is None else "Docker Compose is not installed"
        print(f"compose-test: skipped, because {reason}")
        return 0
    compose, said = Compose(command), Steps()
    print(f"Docker {version}, {' '.join(command)}, project {compose.project}, port {compose.port}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            exercise(compose, Path(folder), said)
    except AssertionError as error:
        print(f"compose-test: FAILED: {error}\n{compose('logs', '--tail=40')}", file=sys.stderr)
        return 1
    finally:
        compose("down", "--volumes", "--remove-orphans")
        subprocess.run(["docker", "image", "rm", compose.project], capture_output=True, check=False)
    left = compose.left()
    said("nothing is left" if not left else f"left behind: {left}")
    print("compose-test: passed" if not left else "compose-test: FAILED")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
