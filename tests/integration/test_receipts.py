"""The receipt: every row that was read is in the result or was dropped by rule, or nothing is published."""

import csv
import gzip
import io
import random
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.support.stack import eventually

TEXTS = ["a", "b", "", "two\nlines", 'a "word"', "x,y", "\r\n"]


def table(rows, *, end="\r\n", blank=0, seed=1):
    """A CSV of that many rows with text of every difficult kind, and the rows as they were meant: (k, v)."""
    chance = random.Random(seed)
    meant = [(chance.choice(TEXTS), chance.randrange(1000)) for _ in range(rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(("k", "v"))
    for number, row in enumerate(meant):
        writer.writerow(row)
        text.write(end * (blank and number % blank == 0))
    return text.getvalue(), meant


def parquet(meant):
    packed = io.BytesIO()
    pq.write_table(
        pa.table({"k": [k or None for k, _ in meant], "v": [v for _, v in meant]}), packed, row_group_size=100
    )
    return packed.getvalue()


SHAPES = {
    "quotes": lambda: [("csv", table(1000))],
    "blank lines and line feeds": lambda: [("csv", table(1000, end="\n", blank=3))],
    "gzip": lambda: [("csv.gz", table(1000, blank=5))],
    "many files": lambda: (
        [("csv", table(10, seed=seed)) for seed in range(40)]
        + [("csv", table(0)), ("csv", table(700, blank=2))]
    ),
    "parquet": lambda: [("parquet", table(1000))],
    "empty": lambda: [("csv", table(0)), ("csv", table(0))],
}
PACKED = {
    "csv": lambda text, _: text.encode(),
    "csv.gz": lambda text, _: gzip.compress(text.encode()),
    "parquet": lambda _, meant: parquet(meant),
}


@pytest.mark.parametrize("semantics", ["sql", "pandas"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_row_is_accounted_for(stack, shape, semantics):
    folder, meant, sizes = f"receipts/{shape} {semantics}", [], []
    for number, (kind, (text, rows)) in enumerate(SHAPES[shape]()):
        data = PACKED[kind](text, rows)
        stack.write(f"{folder}/{number:03}.{kind}", data)
        meant += rows
        sizes.append(len(data))
    job = stack.run(
        {
            "source": {"uris": [f"file://{stack.data}/{folder}/*"]},
            "group_by": ["k"],
            "aggregates": [{"fn": "count"}],
            "semantics": semantics,
            "options": {"chunk_bytes": 3000},
        }
    )
    assert job["state"] == "succeeded", job["error"]
    answer = stack.http.get(f"/v1/jobs/{job['id']}/receipt")
    receipt = answer.json()

    nulls = sum(k == "" for k, _ in meant) if semantics == "pandas" else 0
    kept = {"filtered": 0, "quarantined": 0, "skipped": 0}
    assert answer.status_code == 200
    assert (
        receipt["rows"]
        == {"read": len(meant), "aggregated": len(meant) - nulls, "dropped_null_key": nulls} | kept
    )
    assert receipt["groups"] == receipt["result"]["rows"] == len(stack.rows(job["id"]))
    assert sum(row["count"] for row in stack.rows(job["id"])) == len(meant) - nulls
    assert [file["bytes"] for file in receipt["files"]] == sizes
    assert receipt["bytes"] == sum(sizes)
    assert receipt["chunks"] == job["progress"]["chunks"]["total"]


@pytest.fixture(scope="module")
def run(stack):
    """A named job that has succeeded, and its receipt."""
    uri = stack.write("receipt.csv", table(1000)[0])
    job = stack.run(
        {
            "source": {"uris": [uri]},
            "group_by": ["k"],
            "aggregates": [{"fn": "count"}],
            "output": {"name": "receipted"},
        }
    )
    return (
        job,
        stack.http.get(f"/v1/jobs/{job['id']}/receipt").json(),
        Path(uri.removeprefix("file://")).stat(),
    )


def test_the_receipt_names_job_result_software_and_fingerprints(stack, run):
    job, receipt, file = run
    [(digest,)] = stack.sql("SELECT spec_digest FROM gristmill.jobs WHERE id = %s", job["id"])

    assert (receipt["job"], receipt["spec_digest"]) == (job["id"], digest)
    assert receipt["result"] == {name: job["result"][name] for name in ("name", "version", "rows", "digest")}
    assert receipt["files"][0]["fingerprint"] == {
        "mtime_ns": file.st_mtime_ns,
        "ctime_ns": file.st_ctime_ns,
        "inode": file.st_ino,
    }
    assert receipt["warnings"] == job["warnings"] == []
    assert {"gristmill", "state_version", "epoch"} <= set(receipt)
    assert receipt["attempts"] == {"total": 4, "deaths": 0, "crashes": 0, "errors": 0, "ooms": 0}


def test_the_times_of_a_receipt_are_those_of_the_job_and_in_order(run):
    job, receipt, _ = run
    times = {name: datetime.fromisoformat(text) for name, text in receipt["times"].items()}

    assert list(times) == ["created_at", "started_at", "planned_at", "scanned_at", "merged_at", "finished_at"]
    assert all(before <= after for before, after in pairwise(times.values()))
    for name in ("created_at", "started_at", "finished_at"):
        assert times[name] == datetime.fromisoformat(job["timing"][name])


def test_a_job_without_a_receipt_says_why(stack, run):
    failed = stack.run(
        {
            "source": {"uris": [f"file://{stack.data}/nothing.csv"]},
            "group_by": [],
            "aggregates": [{"fn": "count"}],
        }
    )
    answers = {
        name: stack.http.get(f"/v1/jobs/{job_id}/receipt")
        for name, job_id in {"failed": failed["id"], "unknown": "job_unknown"}.items()
    }

    assert {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()} == {
        "failed": (409, "no_result"),
        "unknown": (404, "not_found"),
    }
    assert stack.http.get(f"/v1/jobs/{run[0]['id']}/receipt?x=1").status_code == 422


def tampered(data):
    """The states in *data* with one row more in the first group."""
    states = pa.ipc.open_stream(data).read_all()
    place = states.column_names.index("rows")
    rows = states["rows"].to_pylist()
    states = states.set_column(
        place,
        states.schema.field(place),
        pa.chunked_array([pa.array([rows[0] + 1, *rows[1:]], states["rows"].type)]),
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, states.schema) as writer:
        writer.write_table(states)
    return sink.getvalue().to_pybytes()


def test_a_tampered_partial_is_refused_and_nothing_is_published(stack):
    """The job's row is held while the partial is changed, so that fan-in waits."""
    uri = stack.write("tampered.csv", table(40_000)[0])
    spec = {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
        "options": {"chunk_bytes": 10_000},
    }
    job_id = stack.submit(spec)["id"]
    unread = "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND kind = 'chunk' AND state <> 'done'"
    early = stack.http.get(f"/v1/jobs/{job_id}/receipt")
    assert (early.status_code, early.json()["code"]) == (409, "not_ready")
    with psycopg.connect(stack.database_url) as holder:

        def planned_and_held():
            phase = holder.execute(
                "SELECT phase FROM gristmill.jobs WHERE id = %s FOR NO KEY UPDATE", [job_id]
            ).fetchone()[0]
            return phase == "scanning" or holder.rollback()

        eventually(planned_and_held, "the plan")
        eventually(lambda: stack.sql(unread, job_id) == [(0,)], "the last chunk")
        chunk, piece, data = holder.execute(
            "SELECT chunk, piece, data FROM gristmill.partials WHERE job_id = %s LIMIT 1", [job_id]
        ).fetchone()
        holder.execute(
            "UPDATE gristmill.partials SET data = %s WHERE job_id = %s AND chunk = %s AND piece = %s",
            [tampered(data), job_id, chunk, piece],
        )
        holder.commit()
    job = stack.wait(job_id)

    assert (job["state"], job["error"]["code"]) == ("failed", "receipt_mismatch")
    assert "40,000" in job["error"]["detail"]
    assert "40,001" in job["error"]["detail"]
    assert stack.sql("SELECT to_regclass('gristmill_results.' || %s)", job_id) == [(None,)]
    assert stack.sql("SELECT count(*) FROM gristmill.versions WHERE job_id = %s", job_id) == [(0,)]
