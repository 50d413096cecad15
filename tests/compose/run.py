"""`make compose-test`: the real docker-compose.yml, with faults, an update and a restore.

A worker is killed, workers are scaled down and up, both servers are restarted. A backup is restored, and the
version before is updated, both with jobs under way. At last all of it runs with a volume of an earlier
version, in which the services were the superuser of Postgres.

Exits 0 when everything held, 0 with a message where no Docker engine answers, 1 otherwise. Its containers
have a project name and a port of their own, and are removed again. Where the history of the checkout is
missing, the update is left out and the program says so.
"""

# ruff: noqa: T201  # a program for a terminal

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from tests.compose.client import GROUPS, ROWS, Answer, Client, write_numbers
from tests.compose.earlier import (
    check_upgrade,
    check_volume_of_before,
    commit_before,
    make_volume_of_before,
    version_before,
)
from tests.compose.engine import Compose, compose_command, docker, engine, eventually
from tests.compose.metrics import check_metrics, write_override
from tests.compose.restore import check_restore
from tests.compose.roles import check_roles

OWN_BYTES = 470_000_000
"""Bytes above the base image. With the slim Python image, about 130 MB, the whole stays below 600 MB."""


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


def check_graceful_end(compose: Compose) -> None:
    """SIGTERM reaches the services, which end by themselves and well."""
    running = [*compose.containers("api"), *compose.containers("worker")]
    compose("stop", "api", "worker")
    codes = docker("inspect", "--format", "{{.State.ExitCode}}", *running).split()
    assert set(codes) == {"0"}, f"exit codes {codes}: 137 means that a service was killed"


def exercise(compose: Compose, folder: Path, commit: str | None, said: Steps) -> None:
    compose("build")
    size = int(docker("image", "inspect", "--format", "{{.Size}}", compose.image))
    own = sum(_layers(compose.image))
    assert own < OWN_BYTES, f"the image has {own:,} bytes above its base"
    said(f"built the image: {size / 1e6:.0f} MB, {own / 1e6:.0f} MB of it above its base")
    csv = folder / "numbers.csv"
    expected = write_numbers(csv)
    said(f"made {ROWS:,} rows in {GROUPS} groups")
    compose.up(3)
    client = Client(compose)
    client.get("/readyz")
    eventually(compose.healthy, "the health of every container")
    check_containers(compose)
    check_roles(compose)
    said(
        "three workers, gateway, Postgres and Redis are healthy; "
        "no root, no writable root file system, no entry without a key"
    )
    uri = client.upload(csv)
    check_metrics(compose, uri, expected)
    said("/metrics of gateway and workers: each chunk of a job is counted once")
    disturb(compose, client, uri, expected, said)
    check_restore(compose, csv, folder, expected)
    said("a backup was restored into new volumes, with a job under way: right answers")
    check_graceful_end(compose)
    said("the services ended by themselves on SIGTERM")
    if commit is None:
        said("LEFT OUT: the update from the version before, since this checkout has no history")
    else:
        with version_before(compose, commit, folder / "before") as before:
            said(f"built the version before, {commit[:10]}")
            check_upgrade(compose, before, csv, expected)
        said("updated from it with jobs under way: they went on, right answers")
    make_volume_of_before(compose)
    said("made a volume in which the services are the superuser")
    check_volume_of_before(compose, csv, expected)
    said("started from it: the services are no superuser any more: right answer")


def disturb(compose: Compose, client: Client, uri: str, expected: Answer, said: Steps) -> None:
    job = client.under_way(client.submit(uri))
    docker("kill", compose.containers("worker")[0])
    assert client.answer(client.unfinished(job)) == expected
    said("one of three workers was killed in the middle of a job: right answer")

    job = client.under_way(client.submit(uri))
    compose.up(1)
    assert client.answer(job) == expected
    compose.up(3)
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
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--before", metavar="COMMIT", help="update from it (default: see earlier.py)")
    given = options.parse_args()
    version, command = engine(), compose_command()
    if version is None or command is None:
        reason = "no Docker engine answers" if version is None else "Docker Compose is not installed"
        print(f"compose-test: skipped, because {reason}")
        return 0
    compose, said = Compose(command), Steps()
    print(f"Docker {version}, {' '.join(command)}, project {compose.project}, port {compose.port}")
    with tempfile.TemporaryDirectory() as name:
        override = write_override(Path(name) / "docker-compose.override.yml")
        compose = replace(compose, image=compose.project, override=override)
        try:
            exercise(compose, Path(name), given.before or commit_before(), said)
        except AssertionError as error:
            print(f"compose-test: FAILED: {error}\n{compose('logs', '--tail=40')}", file=sys.stderr)
            return 1
        finally:
            compose("down", "--volumes", "--remove-orphans")
            subprocess.run(["docker", "image", "rm", compose.image], capture_output=True, check=False)
    left = compose.left()
    said("nothing is left" if not left else f"left behind: {left}")
    print("compose-test: passed" if not left else "compose-test: FAILED")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
