"""A file that is not the one that was planned: the job fails with the reason, and no result mixes the two."""

import os

import pytest

from tests.support.stack import eventually

LINES = 60_000
DATA = b"k,v\n" + b"".join(b"key%d,%d\n" % (i % 10, i) for i in range(LINES))


def rewritten(path):
    """Other rows of the same length, a nanosecond later than the old ones."""
    before = path.stat()
    path.write_bytes(DATA.replace(b"key1,", b"key2,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def replaced(path):
    """Another file of the same bytes and the same time."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(DATA)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


CHANGES = {
    "longer": (lambda path: path.write_bytes(DATA + b"key1,1\n"), "source_changed"),
    "shorter": (lambda path: os.truncate(path, len(DATA) // 2), "source_changed"),
    "rewritten": (rewritten, "source_changed"),
    "replaced": (replaced, "source_changed"),
    "deleted": (lambda path: path.unlink(), "source_not_found"),
    "a link to itself": (lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")), "source_unreadable"),
}


# fault matrix: 48
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_two_reads_fails_the_job_and_nothing_is_published(stack, change):
    alter, code = CHANGES[change]
    uri = stack.write(f"{change}/numbers.csv", DATA)
    job_id = stack.submit(
        {
            "source": {"uris": [uri]},
            "group_by": ["k"],
            "aggregates": [{"fn": "sum", "column": "v"}],
            "output": {"name": "changing"},
            "options": {"chunk_bytes": 10_000},
        }
    )["id"]
    eventually(lambda: stack.job(job_id)["progress"]["chunks"]["done"], "a chunk")
    assert stack.http.post(f"/v1/jobs/{job_id}/pause").status_code == 202
    progress = stack.job(job_id)["progress"]["chunks"]
    alter(stack.data / change / "numbers.csv")
    assert stack.http.post(f"/v1/jobs/{job_id}/resume").status_code == 202
    job = stack.wait(job_id)

    assert progress["done"] < progress["total"]
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert "numbers.csv" in job["error"]["detail"]
    assert stack.sql("SELECT count(*) FROM gristmill.versions WHERE name = 'changing'") == [(0,)]
    assert stack.sql("SELECT count(*) FROM pg_class WHERE relname = %s", job_id) == [(0,)]
