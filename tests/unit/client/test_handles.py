"""A handle of a job: the documents that it takes, an interrupted wait, and packages that are missing."""

import sys

import pytest

from gristmill import Job, JobTimeout, MissingPackage
from gristmill.client import chart, frames, sources
from gristmill.client.moments import Moment
from gristmill.client.steps import Open
from tests.support.steps import answer, played

JOB = {
    "id": "job_1", "state": "queued", "phase": "planning", "done": False, "revision": 1, "result": None,
    "error": None, "spec": {"output": {"name": "sales"}},
    "progress": {
        "fraction": 0.0, "chunks": {"total": 0, "done": 0}, "rows": {"read": 0}, "eta_seconds": None,
    },
}  # fmt: skip


def test_a_job_keeps_what_later_documents_leave_out_and_passes_over_older_ones():
    job = Job(None, JOB | {"warnings": []})
    job._seen({**JOB, "spec": None, "revision": 2, "state": "succeeded"})
    job._seen({**JOB, "revision": 1})

    assert (job.state, job.warnings) == ("succeeded", [])


def test_an_interrupted_wait_says_how_to_find_the_job_again():
    steps = Job(None, JOB)._awaited(None, lambda _: None)
    assert isinstance(steps.send(None), Open)
    with pytest.raises(KeyboardInterrupt) as raised:
        steps.throw(KeyboardInterrupt())

    assert raised.value.__notes__ == ["job_1 goes on: client.job('job_1') finds it again"]


def test_a_wait_shows_the_job_at_once_and_ends_with_the_time():
    seen: list[Moment] = []
    job = Job(None, JOB)
    with pytest.raises(JobTimeout, match="job_1 is running"):
        played(job._awaited(0.0, seen.append), answer(**JOB | {"state": "running", "revision": 2}))

    assert [moment.note for moment in seen] == ["queued", "planning 0/0 chunks, 0 rows"]
    assert (job.state, job.name) == ("running", "sales")


def test_a_job_that_is_done_is_not_asked_for():
    assert played(Job(None, JOB | {"done": True})._awaited(None, lambda _: None)).steps == []


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("pyarrow", lambda: frames.table(bytearray())),
        ("pandas", lambda: frames.to_pandas(None)),
        ("polars", lambda: frames.to_polars(None)),
        ("matplotlib", lambda: chart.drawn([], {"k": "string", "n": "int64"}, 1, "n")),
        ("pyarrow", lambda: sources.of_frame(None)),
    ],
)
def test_a_package_that_is_missing_is_named(package, call, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=f"needs {package}: pip install {package}"):
        call()
