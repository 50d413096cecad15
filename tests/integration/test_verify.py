"""`verify`: a healthy database passes, and every invariant notices a planted violation."""

import os
import subprocess
import sys
import uuid

import psycopg
import pytest

from shared.db.pool import connect
from shared.db.verify import INVARIANTS, violations
from tests.support.databases import as_role
from tests.support.transitions import UNCHECKED

ALIVE = """
UPDATE gristmill.jobs SET state = 'running', phase = 'scanning', finished_at = NULL, receipt = NULL
WHERE id = 'JOB';
DELETE FROM gristmill.units WHERE job_id = 'JOB' AND kind IN ('merge', 'publish');
DELETE FROM gristmill.versions WHERE job_id = 'JOB';
DELETE FROM gristmill.job_events WHERE job_id = 'JOB' AND event IN ('published', 'succeeded');
INSERT INTO gristmill.partials
SELECT job_id, no, piece, 0, 1023, CASE piece WHEN 0 THEN rows_out ELSE 0 END, ''
FROM gristmill.units, generate_series(0, 1) AS piece WHERE job_id = 'JOB' AND kind = 'chunk';
"""
"""Takes JOB, a succeeded job, back to the moment at which its last chunk was done."""

IN_QUARANTINE = (
    "INSERT INTO gristmill.quarantine"
    " (job_id, epoch, chunk, no, extent, uri, reason, truncated, line_of_extent)"
)
BAD_CHUNK = (
    "UPDATE gristmill.units SET rows_read = rows_read + 1, rows_quarantined = 1"
    " WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 1;"
)

PLANTS = {
    "end_without_time": [
        (
            "ALTER TABLE gristmill.jobs DROP CONSTRAINT jobs_check;"
            " UPDATE gristmill.jobs SET finished_at = NULL WHERE id = 'JOB'"
        )
    ],
    "work_after_the_end": [
        "UPDATE gristmill.units SET state = 'pending' WHERE job_id = 'JOB' AND kind = 'publish'"
    ],
    "job_without_end": [
        ALIVE + "UPDATE gristmill.units SET finished_at = now() - interval '6 minutes' WHERE job_id = 'JOB';"
        "UPDATE gristmill.workers SET started_at = now() - interval '6 minutes'"
    ],
    "success_without_all_units": [
        "UPDATE gristmill.units SET state = 'failed' WHERE job_id = 'JOB' AND kind = 'merge'"
    ],
    "chunk_not_covered": [
        ALIVE + "DELETE FROM gristmill.partials WHERE job_id = 'JOB' AND chunk = 1",
        ALIVE + "DELETE FROM gristmill.partials WHERE job_id = 'JOB' AND chunk = 1 AND piece = 0",
        ALIVE + "UPDATE gristmill.partials SET groups = groups + 1"
        " WHERE job_id = 'JOB' AND chunk = 0 AND piece = 1",
        ALIVE + "INSERT INTO gristmill.partials VALUES ('JOB', 0, 3, 0, 0, 0, '')",
    ],
    "partial_without_chunk": [
        "INSERT INTO gristmill.partials VALUES ('JOB', 99, 0, 0, 0, 1, '')",
        ALIVE
        + "UPDATE gristmill.units SET state = 'pending' WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 1",
    ],
    "chunk_rows_lost": [
        (
            "UPDATE gristmill.units SET rows_aggregated = rows_aggregated - 1"
            " WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 0"
        ),
        ALIVE + "UPDATE gristmill.units SET rows_read = rows_read + 1"
        " WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 0",
    ],
    "quarantine_incomplete": [
        ALIVE + BAD_CHUNK,
        ALIVE + BAD_CHUNK + f"{IN_QUARANTINE} VALUES ('JOB', 1, 1, 1, 0, 'file:///a', 'bad', false, 1)",
        ALIVE + BAD_CHUNK + f"{IN_QUARANTINE} VALUES ('JOB', 9, 1, 0, 0, 'file:///a', 'bad', false, 1)",
        ALIVE + f"{IN_QUARANTINE} VALUES ('JOB', 1, 1, 0, 0, 'file:///a', 'bad', false, 1)",
    ],
    "quarantine_without_chunk": [
        f"{IN_QUARANTINE} VALUES ('JOB', 1, 99, 0, 0, 'file:///a', 'bad', false, NULL)"
    ],
    "quarantine_without_line": [
        BAD_CHUNK + f"{IN_QUARANTINE} VALUES ('JOB', 1, 1, 0, 0, 'file:///a', 'bad', false, 1)"
    ],
    "receipt_unbalanced": [
        (
            "UPDATE gristmill.units SET rows_aggregated = rows_aggregated + 1"
            " WHERE job_id = 'JOB' AND kind = 'merge'"
        ),
        (
            "UPDATE gristmill.units SET rows_read = rows_read + 1"
            " WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 1"
        ),
        (
            "UPDATE gristmill.jobs SET receipt = jsonb_set(receipt::jsonb, '{rows,dropped_null_key}', '5')"
            " WHERE id = 'JOB'"
        ),
        *(
            f"UPDATE gristmill.units SET rows_{count} = rows_{count} + 1 WHERE job_id = 'JOB'"
            " AND kind = 'chunk' AND no = 1"
            for count in ("filtered", "quarantined", "skipped")
        ),
    ],
    "version_rows_differ": ["UPDATE gristmill.versions SET rows = rows + 1 WHERE job_id = 'JOB'"],
    "version_without_table": ["DROP TABLE gristmill_results.JOB CASCADE"],
    "table_without_owner": [
        "CREATE TABLE gristmill_results.leaked ()",
        "DELETE FROM gristmill.versions WHERE job_id = 'JOB'",
    ],
    "version_of_no_success": ["UPDATE gristmill.jobs SET state = 'failed' WHERE id = 'JOB'"],
    "current_not_newest": [
        "UPDATE gristmill.results SET current = 1 WHERE name = 'verified'",
        "UPDATE gristmill.results SET current = NULL WHERE name = 'verified'",
    ],
    "current_without_version": ["UPDATE gristmill.results SET current = 99 WHERE name = 'verified'"],
    "view_shows_another_table": [
        "DROP VIEW results.verified",
        "CREATE OR REPLACE VIEW results.verified AS SELECT * FROM gristmill_results.FIRST",
    ],
    "charged_more_than_tried": [
        f"UPDATE gristmill.units SET {charge} = attempt WHERE job_id = 'JOB' AND kind = 'plan'"
        for charge in ("deaths", "crashes", "errors", "ooms", "preemptions")
    ],
    "history_misses_attempts": [
        "UPDATE gristmill.units SET attempt = 2, errors = 1 WHERE job_id = 'JOB' AND kind = 'plan'"
    ],
    "history_without_end": [
        "DELETE FROM gristmill.job_events WHERE job_id = 'JOB' AND event = 'succeeded'",
        "DELETE FROM gristmill.job_events WHERE job_id = 'JOB' AND event = 'published'",
        "UPDATE gristmill.jobs SET state = 'cancelled' WHERE id = 'JOB'",
        "UPDATE gristmill.job_events SET event = 'failed' WHERE job_id = 'JOB' AND event = 'succeeded'",
    ],
    "preempted_merge_or_publish": [
        "UPDATE gristmill.units SET attempt = 2, preemptions = 1 WHERE job_id = 'JOB' AND kind = 'merge'",
        "UPDATE gristmill.units SET attempt = 2, preemptions = 1 WHERE job_id = 'JOB' AND kind = 'publish'",
    ],
    "epochs_differ": [
        ALIVE
        + "UPDATE gristmill.units SET epoch = epoch + 1 WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 1"
    ],
    "chunks_not_numbered": ["DELETE FROM gristmill.units WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 0"],
    "plan_missing": ["UPDATE gristmill.jobs SET plan = NULL WHERE id = 'JOB'"],
    "dry_run_without_findings": ["UPDATE gristmill.jobs SET kind = 'plan' WHERE id = 'JOB'"],
    "stored_plan_left": [
        "INSERT INTO gristmill.plans (job_id, state_version, plan) VALUES ('JOB', 1, '{}')",
    ],
    "phase_ahead": [
        ALIVE + "UPDATE gristmill.jobs SET phase = 'planning' WHERE id = 'JOB'",
        ALIVE + "UPDATE gristmill.jobs SET phase = 'merging' WHERE id = 'JOB';"
        "UPDATE gristmill.units SET state = 'pending' WHERE job_id = 'JOB' AND kind = 'chunk' AND no = 1",
    ],
    "merges_overlap_or_gap": [
        """UPDATE gristmill.units SET payload = '{"first": 0, "end": 1023}'
        WHERE job_id = 'JOB' AND kind = 'merge'""",
        """UPDATE gristmill.units SET payload = '{"first": 1, "end": 1024}'
        WHERE job_id = 'JOB' AND kind = 'merge'""",
        """INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, attempt, payload)
           VALUES ('JOB', 'merge', 1, 1, 'done', 1, 1, '{"first": 512, "end": 1024}')""",
    ],
}


@pytest.fixture(scope="module")
def jobs(stack):
    """The ids of two versions of a result, and of a job without a name.

    The database also has dry runs, and jobs that ended otherwise.
    """
    uri = stack.write(
        "verified.csv", "k,v\n" + "".join(f"{'abc'[i % 3] if i % 7 else ''},{i}\n" for i in range(300))
    )
    spec = {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "options": {"chunk_bytes": 900},
    }
    ended = [stack.run(spec | {"output": {"name": "verified"}}) for _ in range(2)]
    ended += [stack.run(spec | {"semantics": "pandas"})]
    assert [job["state"] for job in ended] == ["succeeded"] * 3
    assert stack.run(spec | {"group_by": ["nope"]})["state"] == "failed"
    stack.http.post(f"/v1/jobs/{stack.submit(spec)['id']}/cancel")
    for asked in (spec, {"source": spec["source"]}, spec | {"group_by": ["nope"]}):
        assert stack.http.post("/v1/plans", json=asked).json()["done"]
    return [job["id"] for job in ended]


async def test_a_database_in_use_holds_every_invariant_at_every_moment(stack, jobs):
    """Jobs are planned, widened, merged, published, paused, cancelled and tried again meanwhile."""
    text = "k,v\n" + "a,1\n" * 60_000 + "b,0.5\n"
    spec = {
        "source": {"uris": [stack.write("busy.csv", text)]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
    }
    busy = [
        stack.submit(spec | {"output": {"name": "busy"}, "options": {"chunk_bytes": 9000}})["id"]
        for _ in range(4)
    ]
    found, looks, orders = [], 0, ["pause", "resume", "cancel", "retry"]
    pool = connect(stack.database_url, name="test")
    while not found and (orders or not all(stack.job(job_id)["done"] for job_id in busy)):
        found += await violations(pool, deep=True)
        looks += 1
        if orders and looks % 3 == 0:
            stack.http.post(f"/v1/jobs/{busy[0]}/{orders.pop(0)}")
    await pool.close()

    assert found == []
    assert looks >= 12
    assert [stack.job(job_id)["state"] for job_id in busy[1:]] == ["succeeded"] * 3


def test_every_invariant_has_a_planted_violation():
    assert set(PLANTS) == set(INVARIANTS)


@pytest.mark.parametrize(
    ("name", "plant"), [(name, plant) for name, plants in PLANTS.items() for plant in plants]
)
def test_a_planted_violation_is_found_and_named(stack, jobs, name, plant):
    first, _, job = jobs
    with psycopg.connect(stack.database_url) as connection:
        connection.execute(UNCHECKED)
        if plant.startswith(ALIVE):
            connection.execute(ALIVE.replace("JOB", job))
            plant = plant.removeprefix(ALIVE)
        assert [row for statement in INVARIANTS.values() for row in connection.execute(statement.sql)] == []
        connection.execute(plant.replace("JOB", job).replace("FIRST", first))
        found = connection.execute(INVARIANTS[name].sql).fetchall()
        connection.rollback()

    assert len(found) >= 1
    assert any(word in text for (text,) in found for word in (job, "verified", "leaked"))


def verify(database_url, *words):
    return subprocess.run(
        [sys.executable, "-m", "api_service", "verify", *words],
        env=os.environ | {"GRISTMILL_DATABASE_URL": database_url, "GRISTMILL_REDIS_URL": "redis://nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_what_broke_and_where_and_whether_it_could_tell(database_url):
    assert (whole := verify(database_url)).returncode == 0
    assert whole.stdout == f"All {len(INVARIANTS)} invariants hold: 0 jobs, 0 units, 0 partials, 0 versions\n"

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE gristmill_results.job_counted (_id bigint)")
        connection.execute(
            "INSERT INTO gristmill.versions (job_id, tenant, relation, rows, digest, columns, key_columns)"
            " VALUES ('job_counted', 'default', 'job_counted', 2, '', '[]', 1)"
        )
    assert verify(database_url).returncode == 0
    deep = verify(database_url, "--deep")
    assert deep.returncode == 1
    assert deep.stdout.splitlines() == [
        "table_miscounted: job_counted: its version has 2 rows, gristmill_results.job_counted has 0",
        "1 violations in 0 jobs, 0 units, 0 partials, 1 versions",
    ]

    away = verify("postgresql://nobody@127.0.0.1:1/nothing")
    assert (away.returncode, away.stdout) == (2, "")
    assert "Postgres" in away.stderr

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE gristmill.versions ALTER COLUMN rows TYPE text")
    odd = verify(database_url)
    assert (odd.returncode, odd.stdout) == (2, "")
    assert "verify.bug" in odd.stderr


def test_a_database_that_may_not_be_read_is_not_called_broken(database_url):
    role = f"gristmill_nobody_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        try:
            refused = verify(as_role(database_url, role, "x"))
        finally:
            connection.execute(f"DROP ROLE {role}")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "permission denied" in refused.stderr
