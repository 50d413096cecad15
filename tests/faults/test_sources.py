"""How a job ends whose sources change, are too many, have odd names, or may not be read."""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases import own_database
from tests.support.plain_job import ALONE
from tests.support.stack import eventually, running

LINES = 60_000
DATA = b"k,v\n" + b"".join(b"key%d,%d\n" % (i % 10, i) for i in range(LINES))


def rewritten(path):
    """Other rows of the same length, a nanosecond later than the old ones."""
    before = path.stat()
    path.write_bytes(DATA.replace(b"key1,", b"key2,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def restored(path):
    """Other rows of the same length, and the time of the old ones."""
    before = path.stat()
    path.write_bytes(DATA.replace(b"key1,", b"key2,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


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
    "rewritten, and its time restored": (restored, "source_changed"),
    "replaced": (replaced, "source_changed"),
    "deleted": (lambda path: path.unlink(), "source_not_found"),
    "a link to itself": (
        lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")),
        "source_unreadable",
    ),
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
            "options": {"chunk_bytes": 10_000} | ALONE,
        }
    )["id"]
    eventually(lambda: stack.job(job_id)["progress"]["chunks"]["done"], "a chunk")
    assert stack.http.post(f"/v1/jobs/{job_id}/pause").status_code == 202
    leased = "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND state = 'leased'"
    eventually(lambda: stack.sql(leased, job_id) == [(0,)], "the end of the reads that are under way")
    progress = stack.job(job_id)["progress"]["chunks"]
    alter(stack.data / change / "numbers.csv")
    assert stack.http.post(f"/v1/jobs/{job_id}/resume").status_code == 202
    job = stack.wait(job_id)

    assert progress["done"] < progress["total"]
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert "numbers.csv" in job["error"]["detail"]
    assert stack.sql("SELECT count(*) FROM gristmill.versions WHERE name = 'changing'") == [(0,)]
    assert stack.sql("SELECT count(*) FROM pg_class WHERE relname = %s", job_id) == [(0,)]
    if code == "source_changed":
        retried = stack.http.post(f"/v1/jobs/{job_id}/retry")
        assert (retried.status_code, retried.json()["code"]) == (409, "retry_expired")


def counting(*uris, **options):
    return {
        "source": {"uris": list(uris), "format": "csv"},
        "group_by": [],
        "aggregates": [{"fn": "count"}],
        "options": options,
    }


def counted(stack, *uris, **options):
    """The number of rows that a job counted, and its document."""
    job = stack.run(counting(*uris, **options))
    assert job["state"] == "succeeded", job["error"]
    return stack.rows(job["id"])[0]["count"], job


@contextmanager
def few_descriptors(stack, more):
    """Each child may have *more* open files than it has while it waits."""
    pids = [pid for process in stack.processes[1:] for pid in process.children]
    before = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids]
    for pid, (_, hard) in zip(pids, before, strict=True):
        resource.prlimit(
            pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())) + more, hard)
        )
    try:
        yield
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def test_more_files_than_a_child_may_open_are_read_all_the_same(stack):
    """A plan and each chunk have more files than the child has descriptors."""
    for no in range(300):
        stack.write(f"few descriptors/{no:03}.csv", "k\nx\n")
    with few_descriptors(stack, 90):
        assert counted(stack, f"file://{stack.data}/few descriptors/*.csv")[0] == 300


def test_a_limit_of_descriptors_that_is_too_low_is_named_and_the_job_ends_once_it_is_raised(stack):
    uri = stack.write("no descriptors.csv", "k\nx\n")
    error = "SELECT error ->> 'detail' FROM gristmill.units WHERE job_id = %s AND error IS NOT NULL"
    with few_descriptors(stack, 3):
        job_id = stack.submit(counting(uri))["id"]
        [(detail,), *_] = eventually(lambda: stack.sql(error, job_id), "an error of the plan")

    assert "raise the worker's `ulimit -n`" in detail
    assert stack.wait(job_id)["state"] == "succeeded"


def test_patterns_that_could_be_matched_in_countless_ways_are_matched_once(stack):
    deep = "/".join(["d"] * 25)
    stack.write(f"countless/{deep}/x.csv", "k\nx\n")
    patterns = [f"file://{stack.data}/countless/{'/'.join(['**'] * no)}/*.csv" for no in range(20, 60)]
    rows, job = counted(stack, *patterns)

    assert rows == 1
    assert len(job["warnings"]) == 1


def test_a_file_that_is_named_twice_counts_once_and_job_and_receipt_say_so(stack):
    one, two = (stack.write(f"twice/{name}.csv", "k\n" + "x\n" * 100) for name in ("one", "two"))
    upload = stack.http.post("/v1/uploads", content=b"k\n" + b"x\n" * 10).json()["uri"]
    for chunk_bytes in (7, 1 << 20):
        rows, job = counted(
            stack, two, f"file://{stack.data}/twice/*", one, upload, upload, chunk_bytes=chunk_bytes
        )
        receipt = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()

        assert rows == receipt["rows"]["read"] == 210
        assert [file["uri"] for file in receipt["files"]] == [two, one, upload]
        assert receipt["warnings"] == job["warnings"]
        assert [warning["code"] for warning in job["warnings"]] == ["duplicate_file"] * 3
        assert (
            job["warnings"][0]["detail"]
            == f"{one} is named by file://{stack.data}/twice/* and by {one}; it is counted once"
        )


def test_a_name_that_is_not_utf_8_fails_the_job_with_the_name_escaped_and_other_odd_names_do_not(stack):
    for name in ("new\nline.csv", "\u202eright to left.csv", "50%.csv", "\\back.csv"):
        stack.write(f"odd/{name}", "k\nx\n")
    rows, job = counted(stack, f"file://{stack.data}/odd/*")
    named = [file["uri"] for file in stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()["files"]]
    (stack.data / "odd" / os.fsdecode(b"\xff\xfe.csv")).write_text("k\nx\n")
    failed = stack.run(counting(f"file://{stack.data}/odd/*"))

    assert rows == 4
    assert {f"file://{stack.data}/odd/50%25.csv", f"file://{stack.data}/odd/new%0Aline.csv"} <= set(named)
    assert failed["error"]["code"] == "source_unreadable"
    assert (
        failed["error"]["detail"]
        == f"file://{stack.data}/odd/%FF%FE.csv has a name that is not UTF-8; rename the file or the folder"
    )


def test_no_secret_of_a_data_folder_below_the_source_can_be_read_over_http(postgres, redis_server, tmp_path):
    home = tmp_path / "data" / "home"
    for name in ("postgres/password", ".hidden"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret\n")
    (tmp_path / "data" / "link").symlink_to(home, target_is_directory=True)
    own = {"GRISTMILL_STORAGE": str(home / "storage"), "GRISTMILL_PROTECTED_FOLDERS": home.as_uri()}
    url = redis_server.rpartition("/")[0] + "/4"
    with own_database(postgres, "secrets") as dsn, running(dsn, url, tmp_path, **own) as stack:
        upload = stack.http.post("/v1/uploads", content=b"k\nx\n").json()["uri"]
        kept = f"storage/uploads/default/{upload.removeprefix('upload:')}"
        ways = [way for name in ("postgres/password", kept, ".hidden") for way in _ways(name)]
        jobs, codes = [], set()
        for way in ways:
            answer = stack.http.post("/v1/jobs", json=counting(f"file://{stack.data}/{way}"))
            (jobs.append if answer.status_code == 202 else codes.add)(
                answer.json().get("id") or answer.json()["code"]
            )
        ended = [stack.wait(job_id) for job_id in jobs]

        assert len(jobs) >= 20
        assert codes == {"source_not_allowed"}
        assert {job["state"] for job in ended} == {"failed"}
        assert {job["error"]["code"] for job in ended} == {
            "source_not_allowed",
            "source_not_found",
            "source_unreadable",
        }
        assert counted(stack, upload)[0] == 1


def _ways(name):
    """The ways to name a file of the data folder."""
    *folders, last = name.split("/")
    yield from (
        f"home/{name}",
        f"home//{name.replace('/', '//')}",
        f"home/./{name}",
        "home/" + name.replace("p", "%70"),
    )
    yield from (
        f"h*/{name}",
        f"**/{last}",
        f"home/**/{last[:3]}*",
        f"[h]ome/{'*/' * len(folders)}*",
        f"link/{name}",
        f"lin*/{name}",
    )
