"""Every benchmark runs at its least size, untimed, from its command line to its figures."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

import benchmarks
from benchmarks import control_plane, page, pictures, processes
from benchmarks.sections import SECTIONS
from benchmarks.tables import line, ratio

FOLDER = Path(benchmarks.__file__).parent
SOURCES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"}
LARGE = {
    "__main__", "bit_patterns", "control_plane", "dashboard", "exact_cost", "gateway_stress", "idle", "live",
    "memory", "neighbours", "observing", "progress", "queues", "scaling", "sizing", "worker_processes",
}  # fmt: skip
"""Benchmarks that take more than ten seconds of two cores even so."""


def run_by(source: str) -> tuple[str, ...]:
    """The benchmarks that start this module as a process; if there are any, it is no benchmark itself."""
    values = [
        ast.literal_eval(statement.value)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        and [target.id for target in statement.targets if isinstance(target, ast.Name)] == ["RUN_BY"]
    ]
    return values[0] if values else ()


PROGRAMS = [name for name, source in SOURCES.items() if 'if __name__ == "__main__":' in source]
BENCHMARKS = [name for name in PROGRAMS if not run_by(SOURCES[name])]


def sized(name: str):
    return pytest.param(name, marks=[pytest.mark.full] if name in LARGE else [])


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in PROGRAMS])
def test_what_benchmarks_share_can_be_imported(name):
    import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("name", sorted({*PROGRAMS} - {*BENCHMARKS}))
def test_a_program_that_is_no_benchmark_is_run_by_one(name):
    users = run_by(SOURCES[name])

    assert {*users} <= {*BENCHMARKS}
    assert name in "".join(source for other, source in SOURCES.items() if other != name), (
        "no other module names it"
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [*map(sized, BENCHMARKS)])
def test_a_benchmark_runs_at_its_least_size_and_prints_figures(name, tmp_path):
    module = "benchmarks" if name == "__main__" else f"benchmarks.{name}"
    ran = subprocess.run(
        [sys.executable, "-m", module, "--tiny", *(["--full"] if name == "__main__" else [])],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert re.search(r"[0-9]", ran.stdout), "it prints no figure"


def test_a_process_that_ended_since_it_was_listed_is_passed_over(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    listed = psutil.Process(child.pid)
    child.communicate(b"\n")
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [listed])

    assert control_plane.cpu_seconds() == {"python": 0.0, "postgres": 0.0, "valkey": 0.0}
    assert processes.cpu_seconds([os.getpid()]) > 0


def test_large_benchmarks_are_benchmarks():
    assert {*BENCHMARKS} >= LARGE


def runs(*walls: float) -> list[dict[str, float]]:
    return [{"wall": wall, "cpu": 1.0, "peak_mb": 100.0} for wall in walls]


KILLED = {"failed": "failed after 9 s: killed by SIGKILL", "peak_mb": 1.0}
CASE = {
    "question": "q1",
    "format": "csv",
    "engines": {"gristmill": runs(3, 1, 2), "duckdb": runs(4, 5, 3), "polars": [KILLED], "pandas": runs(8)},
}


def test_the_page_has_a_place_for_each_section_and_no_other():
    marks = re.findall(r"<!-- figures: (\w+) -->", page.PAGE.read_text())

    assert sorted(marks) == sorted(["machine", *SECTIONS])


def test_every_picture_of_the_page_is_there():
    linked = re.findall(r"\]\((images/[^)]+)\)", page.PAGE.read_text())

    assert [name for name in linked if not (page.DOCS / name).exists()] == []


def test_a_ratio_is_of_medians_and_to_the_faster_that_did_not_fail():
    assert ratio(CASE, "duckdb", "polars") == 2 / 4
    assert ratio(CASE, "polars") is None


def test_a_worker_s_memory_is_told_even_of_a_job_that_was_refused():
    refused = {"failed": "refused after 9 s: `state_too_large`", "peak_mb": 900.0, "worker_mb": 400.0}
    ours = {"gristmill": [refused], "duckdb": runs(2), "polars": runs(3)}

    assert "| refused after 9 s: `state_too_large` | 2.00 (2.00 to 2.00) |" in line(CASE | {"engines": ours})
    assert line(CASE | {"engines": ours}).endswith("| (400 a worker), 100, 100 |")


def test_figures_replace_those_between_their_marks_and_nothing_else():
    texts = page.pages({"groupby": {"figures": [CASE]}})

    before, after = page.PAGE.read_text(), texts[page.PAGE]
    place = re.compile(r"(?<=<!-- figures: groupby -->).*?(?=<!-- end -->)", re.DOTALL)
    assert place.sub("", before) == place.sub("", after)
    table = place.search(after)[0]
    assert re.findall(r"images/[\w.-]+", table) == ["images/ratios.svg", "images/engines-q1.svg"]
    assert "| q1 | csv | 2.00 (1.00 to 3.00) | 4.00 (3.00 to 5.00) | failed after 9 s: killed" in table
    assert "| q1 | csv | pandas | 8.00 | 8.00 to 8.00 | 1.0 | 100 | 0.25x |" in table
    assert {path.name for path in texts} == {"benchmarks.md", "ratios.svg", "engines-q1.svg"}


def test_a_bar_begins_at_one_and_ends_at_its_ratio():
    picture = ET.fromstring(pictures.ratios("A & B", [("half", 0.5), ("twice", 2.0), ("same", 1.0)]))
    ground, half, twice, same = (
        (float(bar.get("x", 0)), float(bar.get("width"))) for bar in picture.findall(".//{*}rect")
    )

    assert half[0] + half[1] == twice[0] == same[0]
    assert half[1] == twice[1] > same[1]
    assert ground == (0, pictures.WIDTH)
