"""Objects in one line, and in a notebook, where every text of the data is escaped."""

import pytest

from gristmill import Client, Job, Plan, Result

EVIL = "<img src=x onerror=alert(1)>"
JOB = {
    "id": "job_1", "state": "running", "phase": "scanning", "done": False, "revision": 1, "result": None,
    "error": None, "labels": {}, "spec": {"output": {"name": EVIL}},
    "progress": {
        "fraction": 0.43, "chunks": {"total": 80, "done": 34}, "rows": {"read": 5}, "eta_seconds": None,
    },
}  # fmt: skip
FAILED = JOB | {"state": "failed", "done": True, "error": {"code": "bad_row", "detail": EVIL}}
PLAN = {
    "id": "plan_1",
    "plan": {
        "format": "csv", "file_count": 2, "bytes": 1234, "column_count": 1, "warnings": [],
        "columns": [{"name": EVIL, "type": "string"}],
        "sample": [{"values": {EVIL: EVIL}}, {"bad": {"reason": EVIL}}],
    },
}  # fmt: skip
RESULT = {
    "name": "sales", "version": 3, "relation": "results.sales", "rows": 1200, "digest": "sha256:0",
    "columns": [{"name": EVIL, "type": "string"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("thing", "line"),
    [
        (Job(None, JOB), "<Job job_1 running 43% 34/80 chunks>"),
        (Plan(None, PLAN), "<Plan plan_1 csv, 2 files, 1,234 bytes, 1 columns, 0 warnings>"),
        (Result(None, RESULT), "<Result results.sales version 3, 1,200 rows, 1 columns>"),
        (Client("https://user:secret@example.com/gristmill/"), "<Client https://example.com/gristmill>"),
    ],
)
def test_each_has_one_line(thing, line):
    assert repr(thing) == line


@pytest.mark.parametrize("thing", [Job(None, JOB), Job(None, FAILED), Plan(None, PLAN), Result(None, RESULT)])
def test_html_is_escaped(thing):
    found = thing._repr_html_()

    assert "<img" not in found
    assert "&lt;img src=x" in found


def test_a_url_needs_a_scheme():
    with pytest.raises(ValueError, match="'localhost:8080' has no scheme: write http://localhost:8080"):
        Client("localhost:8080")
