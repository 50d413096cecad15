"""Every benchmark runs at its least size, untimed, from its command line to its figures."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks

FOLDER = Path(benchmarks.__file__).parent
SOURCES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"}
LARGE = {"__main__", "bit_patterns", "exact_cost", "worker_processes"}
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
        [sys.executable, "-m", module, "--tiny"],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert re.search(r"[0-9]", ran.stdout), "it prints no figure"


def test_large_benchmarks_are_benchmarks():
    assert {*BENCHMARKS} >= LARGE
