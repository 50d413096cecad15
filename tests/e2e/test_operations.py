"""The commands of docs/operations.md: faults are found, a worker is drained, a backup is restored."""

import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.support.clusters import plain_cluster
from tests.support.databases import own_database, with_database
from tests.support.servers import quick_folder
from tests.support.shown import blocks, in_a_shell
from tests.support.stack import eventually, running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
ROWS = 40_000
DATA = "k,v\n" + "".join(f"key{number % 1000},{number}\n" for number in range(ROWS))
COUNTS = Counter(number % 1000 for number in range(ROWS))


def section(heading: str) -> list[str]:
    found = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return blocks(found, "sh", tested=True)


def spec(uri: str, **more) -> dict:
    return {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count", "as": "n"}, {"fn": "sum", "column": "v", "as": "total"}],
        "options": {"chunk_bytes": 20_000},
    } | more


@pytest.fixture
def installation(postgres, redis_server, tmp_path):
    """One whose Redis has a database of its own."""
    redis = redis_server.rpartition("/")[0] + "/5"
    with own_database(postgres, "operations") as dsn, running(dsn, redis, tmp_path / "old") as stack:
        yield stack


def test_every_block_is_run():
    told = [heading for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE) if section(heading)]
    assert told == ["Jobs and workers", "Backup", "Restore"]
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
    done = "SELECT count(*) FROM gristmill.units WHERE kind = 'chunk' AND state = 'done' AND job_id = %s"
    eventually(lambda: stack.sql(done, job)[0][0] >= 2, "the first chunks")
    worker.kill()
    assert not stack.job(job)["done"]
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
    in_a_shell(backup, env, tmp_path)
    old.close()

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
            connection.execute("SET ROLE gristmill_reader_default")
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
