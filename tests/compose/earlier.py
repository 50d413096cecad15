"""What an earlier version left: a volume of Postgres, and jobs under way."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.compose.client import Answer, Client
from tests.compose.engine import ROOT, Compose, docker, eventually, psql
from tests.compose.roles import check_roles


def commit_before() -> str | None:
    """The last commit without the newest migration; None where there is no history."""
    newest = max((ROOT / "shared/migrations/versions").glob("[0-9]*.py"))
    asked = ["git", "log", "--diff-filter=A", "--format=%P", "-1", "--", str(newest)]
    try:
        found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return found[0] if found else None


@contextmanager
def version_before(compose: Compose, commit: str, folder: Path) -> Iterator[Compose]:
    """The same project with the image and the docker-compose.yml of *commit*."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    before = replace(compose, folder=folder, image=f"{compose.project}:before", override=None)
    try:
        before("build")
        yield before
    finally:
        subprocess.run(["docker", "image", "rm", before.image], capture_output=True, check=False)


def check_upgrade(compose: Compose, before: Compose, csv: Path, expected: Answer) -> None:
    """Jobs under way go on, and jobs, results and keys of before are there."""
    compose("down", "--volumes")
    before.up(2)
    client = Client(before)
    client.get("/readyz")
    uri = client.upload(csv)
    first = client.submit(uri)
    assert client.answer(first) == expected
    key = before("exec", "-T", "api", "gristmill", "server", "keys", "add", "earlier").strip()
    jobs = client.several(uri)
    done = client.done_chunks(jobs)

    compose.up(2)  # roles and migrate run first
    client = Client(compose, key)
    assert client.done_chunks(jobs) >= done, "chunks of before are done anew"
    client.unfinished(jobs[-1])
    assert all(client.answer(job) == expected for job in [first, *jobs])
    assert client.answer(client.submit(uri)) == expected
    doctor = compose("exec", "-T", "api", "gristmill", "server", "doctor")
    assert "error" not in doctor, doctor


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
        within = ("run", "--rm", "--network", f"container:{old}", "-e", f"GRISTMILL_DATABASE_URL={url}")
        docker(*within, compose.image, "python3", "-m", "api_service", "migrate")
        own = psql(old, "gristmill", "CREATE TABLE public.own AS SELECT 42 AS answer")
        assert own.returncode == 0, own
        docker("stop", old)
    finally:
        docker("rm", "--force", old)


def check_volume_of_before(compose: Compose, csv: Path, expected: Answer) -> None:
    compose.up(3)
    client = Client(compose)
    client.get("/readyz")
    check_roles(compose)
    assert compose.psql("gristmill", "SELECT answer FROM public.own").stdout.split() == ["42"]
    assert client.answer(client.submit(client.upload(csv))) == expected
    compose.up(3)  # the roles are made again
    check_roles(compose)
