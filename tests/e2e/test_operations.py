"""The commands of docs/operations.md: faults are found, a worker is drained, a backup is restored."""

import re
import shutil
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.clusters import PASSWORD, plain_cluster
from tests.support.databases import as_role, own_database, with_database
from tests.support.plain_job import ALONE
from tests.support.servers import quick_folder
from tests.support.shown import blocks, in_a_shell
from tests.support.stack import eventually, running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
ROWS = 40_000
GROUPS = 300
DATA = "k,v\n" + "".join(f"key{number % GROUPS},{number}\n" for number in range(ROWS))
COUNTS = Counter(number % GROUPS for number in range(ROWS))


def section(heading: str) -> list[str]:
    found = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return blocks(found, "sh", tested=True)


def spec(uri: str, **more) -> dict:
    return {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count", "as": "n"}, {"fn": "sum", "column": "v", "as": "total"}],
        "options": {"chunk_bytes": 20_000} | ALONE,
    } | more


@pytest.fixture
def installation(postgres, redis_server, tmp_path):
    """One whose Redis has a database of its own."""
    redis = redis_server.rpartition("/")[0] + "/5"
    with own_database(postgres, "operations") as dsn, running(dsn, redis, tmp_path / "old") as stack:
        yield stack


def test_every_block_is_run():
    told = [heading for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE) if section(heading)]
    assert told == ["Jobs and workers", "Backup", "Restore", "Backup and restore in containers"]
    assert PAGE.count("```sh") == sum(len(section(heading)) for heading in told)


def test_a_failed_job_is_found_and_a_worker_is_drained(installation, tmp_path):
    stack = installation
    job = stack.run(spec(stack.write("bad.csv", "k,v\na,1\nb\n")))
    assert job["state"] == "failed"
    env = {"GRISTMILL_URL": f"http://127.0.0.1:{stack.port}"}
    failed, slow, drain = section("Jobs and workers")

    said = in_a_shell(failed.replace("job_…", job["id"]), env, tmp_path)
    assert job["error"]["code"] in said
    said = in_a_shell(slow.replace("job_…", job["id"]), env, tmp_path)
    [worker] = re.findall(r"wrk_\w+", said)
    in_a_shell(drain.replace("wrk_…", worker), env, tmp_path)
    assert stack.processes[1].popen.wait(60) == 0
    assert stack.sql("SELECT count(*) FROM gristmill.workers") == [(0,)]


def half_done(stack) -> str:
    """A job with finished and unfinished chunks whose worker was killed; uploads are its source."""
    uri = stack.http.post("/v1/uploads", content=DATA.encode()).json()["uri"]
    stack.processes[1].kill()
    stack.sql("DELETE FROM gristmill.workers")
    worker = stack.worker(GRISTMILL_SLOTS="1", GRISTMILL_TIME_SCALE="1")
    job = stack.submit(spec(uri, output={"name": "operations_later"}))["id"]
    done = """
        SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM gristmill.units
        WHERE kind = 'chunk' AND job_id = %s"""
    eventually(lambda: stack.sql(done, job)[0][0] >= 2, "the first chunks")
    worker.kill()
    read, chunks = stack.sql(done, job)[0]
    assert read < chunks
    return job


def test_a_backup_is_restored_with_equal_results_and_jobs_go_on(installation, postgres, tmp_path):
    old = installation
    first = old.run(spec(old.write("first.csv", DATA), output={"name": "operations_first"}))
    assert first["state"] == "succeeded", first["error"]
    before = {path: old.http.get(path).content for path in paths(first["id"])}
    later = half_done(old)
    database = old.database_url.rpartition("/")[2]
    env = {"ADMIN_DSN": with_database(postgres, database), "GRISTMILL_STORAGE": str(tmp_path / "old/storage")}
    [backup] = section("Backup")
    with psycopg.connect(env["ADMIN_DSN"], autocommit=True) as connection:
        connection.execute("CREATE ROLE operations_reader LOGIN IN ROLE gristmill_reader_default")
        try:
            in_a_shell(backup, env, tmp_path)
        finally:
            connection.execute("DROP ROLE operations_reader")
    old.close()
    shutil.rmtree(tmp_path / "old/storage")

    [restore] = section("Restore")
    with quick_folder() as folder, plain_cluster(folder / "postgres", "new_admin") as dsn:
        new_admin, new_url = with_database(dsn, "postgres"), moved(old.database_url, dsn)
        storage = tmp_path / "new/storage"
        env = {
            "NEW_ADMIN_DSN": new_admin,
            "GRISTMILL_DATABASE_URL": new_url,
            "GRISTMILL_STORAGE": str(storage),
            "GRISTMILL_REDIS_URL": old.env["GRISTMILL_REDIS_URL"],
        }
        said = in_a_shell(restore, env, tmp_path, codes=(0, 1))
        assert "invariants hold" in said
        faults = re.findall(r"^error +(\w+)", said, re.MULTILINE)
        assert faults == ["durability"], f"the tests' own Postgres may lose commits: {said}"
        assert re.search(r"^ok +storage_shared", said, re.MULTILINE)

        sources = old.env["GRISTMILL_SOURCES"]
        redis = old.env["GRISTMILL_REDIS_URL"]
        with running(new_url, redis, tmp_path / "new", GRISTMILL_SOURCES=sources) as new:
            assert {path: new.http.get(path).content for path in before} == before
            job = new.wait(later)
            assert job["state"] == "succeeded", job["error"]
            rows = new.rows(later)
            assert Counter({int(row["k"][3:]): row["n"] for row in rows}) == COUNTS
            assert sum(int(row["total"]) for row in rows) == sum(range(ROWS))
            assert job["result"]["digest"] == first["result"]["digest"]
            assert new.run(spec(old.write("third.csv", DATA)))["state"] == "succeeded"
        with psycopg.connect(with_database(dsn, database)) as connection:
            connection.execute("SET SESSION AUTHORIZATION operations_reader")
            assert connection.execute("SELECT sum(n) FROM results.operations_later").fetchone() == (ROWS,)


def paths(job: str) -> list[str]:
    return [
        f"/v1/jobs/{job}/rows?format=csv&order_by=k",
        f"/v1/jobs/{job}/receipt",
        "/v1/results/operations_first/rows?limit=10000",
    ]


def moved(url: str, dsn: str) -> str:
    """*url* with the host and the port of *dsn*: the restored login has its old password."""
    login, _, place = url.rpartition("@")
    host = dsn.rpartition("@")[2].partition("/")[0]
    return f"{login}@{host}/{place.partition('/')[2]}"


DOCKER = f"""#!{sys.executable}
import os, subprocess, sys

compose, verb, *words = sys.argv[1:]
if verb == "up" and words == ["-d"]:
    roles = ["psql", "-U", "gristmill_admin", "-q", "-v", "ON_ERROR_STOP=1", "-f", os.environ["ROLES"]]
    subprocess.run([*roles, "gristmill"], check=True)
    subprocess.run(["gristmill", "server", "migrate"], check=True)
elif verb in ("exec", "run"):
    at = next(no for no, word in enumerate(words) if word in ("postgres", "api"))
    storage = os.environ["GRISTMILL_STORAGE"]
    command = [word.replace("/var/lib/gristmill", storage) for word in words[at + 1 :]]
    os.execvp(command[0], command)
"""
"""In place of `docker`: the same programs of Postgres and of Gristmill, without containers."""


@contextmanager
def composed(folder: Path, name: str):
    """A cluster as that of docker-compose.yml, and the environment in which `docker` meets it."""
    with plain_cluster(folder / name, "gristmill_admin") as dsn:
        place = urlsplit(dsn)
        (folder / name / "storage").mkdir()
        yield {
            "PGHOST": place.hostname,
            "PGPORT": str(place.port),
            "PGPASSWORD": PASSWORD,
            "PGOPTIONS": f"-c gristmill.password={PASSWORD}",
            "ROLES": str(ROOT / "gristmill/launcher/roles.sql"),
            "GRISTMILL_STORAGE": str(folder / name / "storage"),
            "GRISTMILL_DATABASE_URL": as_role(dsn, "gristmill", PASSWORD),
        }


def test_a_backup_of_containers_is_restored(redis_server, tmp_path):
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    redis = redis_server.rpartition("/")[0] + "/6"
    common = {"GRISTMILL_REDIS_URL": redis, "BIN": str(tmp_path)}
    prefix = 'export PATH="$BIN:$PATH"\n'
    backup, restore = section("Backup and restore in containers")
    with quick_folder() as folder:
        with composed(folder, "old") as env:
            admin = env["GRISTMILL_DATABASE_URL"].replace("gristmill:", "gristmill_admin:", 1)
            with psycopg.connect(admin, autocommit=True) as session:
                in_a_shell(prefix + "docker compose up -d", env | common, tmp_path)
                session.execute(f"ALTER ROLE gristmill_admin PASSWORD '{PASSWORD}'")
            with running(env["GRISTMILL_DATABASE_URL"], redis, tmp_path / "old", workers=1) as old:
                job = old.run(spec(old.write("a.csv", DATA), output={"name": "operations_composed"}))
                path = f"/v1/jobs/{job['id']}/rows?format=csv&order_by=k"
                before = old.http.get(path).content
                in_a_shell(prefix + backup, env | common, tmp_path)
        with composed(folder, "new") as env:
            said = in_a_shell(prefix + restore, env | common, tmp_path, codes=(0, 1))
            assert "invariants hold" in said
            assert re.findall(r"^error +(\w+)", said, re.MULTILINE) == ["durability"]
            with running(env["GRISTMILL_DATABASE_URL"], redis, tmp_path / "new", workers=0) as new:
                assert new.http.get(path).content == before
            with psycopg.connect(env["GRISTMILL_DATABASE_URL"]) as session:
                session.execute("SELECT FROM results.operations_composed")
