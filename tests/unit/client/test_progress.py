"""Progress in a terminal, in a notebook and in a log; texts are escaped."""

import logging
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from gristmill import Moment
from gristmill.client import moments, progress
from gristmill.client.progress import shown

EVIL = "<script>alert(1)</script>"
HALF = Moment("orders", 0.5, "scanning, 1 of 2 chunks")


def document(state="running", **changes):
    return {
        "id": "job_1", "state": state, "phase": "scanning", "done": state in {"succeeded", "failed"},
        "progress": {
            "fraction": 0.25, "chunks": {"total": 8, "done": 2}, "rows": {"read": 1234567},
            "eta_seconds": 3700,
        },
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("state", "note"),
    [
        ("queued", "queued"),
        ("running", "scanning 2/8 chunks, 1,234,567 rows, 1 h 1 min left"),
        ("paused", "paused"),
        ("succeeded", "1,234,567 rows read"),
        ("failed", "failed"),
    ],
)
def test_a_job_is_told_in_a_line(state, note):
    assert moments.of_job(document(state)).note == note


def test_a_job_or_dry_run_that_waits_for_a_limit_of_its_tenant_says_so():
    waiting = document("queued", waiting_for="running_jobs")
    assert moments.of_job(waiting).note == "queued, waits for another job to end (limit running_jobs)"
    assert moments.of_plan(waiting).note == "waits for another job to end (limit running_jobs)"
    assert moments.of_plan(document("queued")).note == "waits for a free worker"
    assert moments.of_plan(document("running")).note == "a worker reads the data"


def test_a_job_has_the_name_of_its_result():
    assert moments.of_job(document(spec={"output": {"name": "sales"}})).title == "sales"
    assert moments.of_job(document()).title == "job_1"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, ", 4 s left"), (61, ", 1 min 1 s left"), (7200, ", 2 h 0 min left")]
)
def test_the_time_that_is_left_is_told_in_the_largest_units(seconds, text):
    found = document()
    found["progress"]["eta_seconds"] = seconds
    assert moments.of_job(found).note.endswith(text)


def test_an_upload_of_unknown_size_has_no_fraction():
    assert moments.of_upload("a", 1_500_000, None) == Moment("a", None, "1.5 MB sent")
    assert moments.of_upload("a", 5, 10).fraction == 0.5
    assert moments.of_upload("a", 0, 0).done


def test_a_bar_in_html_is_escaped():
    found = moments.bar_html(Moment(EVIL, 0.5, EVIL))

    assert EVIL not in found
    assert found.count("&lt;script&gt;") == 2
    assert 'value="0.5000"' in found


def test_a_log_has_a_line_every_ten_seconds_and_one_at_the_end(caplog):
    caplog.set_level(logging.INFO, "gristmill")
    seconds = iter(range(27))
    show = progress._log(lambda: next(seconds))
    for _ in range(26):
        show(HALF)
    show(Moment("orders", 1.0, "12 rows read", done=True))

    assert caplog.messages == ["orders: 50% scanning, 1 of 2 chunks"] * 2 + ["orders: 100% 12 rows read"]


def test_a_job_that_ends_sooner_is_not_logged(caplog):
    caplog.set_level(logging.INFO, "gristmill")
    with shown("log") as show:
        show(HALF)
        show(Moment("orders", 1.0, "", done=True))

    assert caplog.messages == []


def test_a_terminal_shows_a_bar_on_stderr_and_leaves_stdout_alone(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown("terminal") as show:
        show(HALF)
        show(Moment("[red]other", 1.0, "[bold]", done=True))
    out, err = capsys.readouterr()

    assert out == ""
    for text in ("orders", "50%", "scanning, 1 of 2 chunks", "[red]other", "[bold]"):
        assert text in err


def test_eighty_columns_hold_the_share_and_most_of_the_note(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    note = "merging 640/640 chunks, 1,500,000,000 rows, 1 h 20 min left"
    with shown("terminal") as show:
        show(Moment("job_01m8js4ykjssqcvwgnh5k87t1a", 0.98, note))
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)

    assert re.search(r"…jssqcvwgnh5k87t1a \S+  98% merging 640/640 chunks, 1,500,000,000 ro…", lines)


def test_a_notebook_shows_one_bar_for_each_title(monkeypatch):
    updates, made = [], []

    class Handle:
        def update(self, bar):
            updates.append(bar)

    def display(bar, *, display_id):
        made.append(bar)
        return Handle()

    fake = ModuleType("IPython.display")
    fake.HTML, fake.display = str, display
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    with shown("auto") as show:
        show(HALF)
        show(HALF)

    assert made == updates == [moments.bar_html(HALF)]


def test_elsewhere_the_log_has_it(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)

    assert progress._surroundings() == "log"


def test_a_function_takes_every_moment_and_false_none():
    seen = []
    with shown(seen.append) as show:
        show(HALF)
    with shown(False) as show:
        show(HALF)

    assert seen == [HALF]


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="progress='loud': expected 'auto'"), shown("loud"):
        pass
