"""The sections of `make bench` and `make bench-full`: what each measures, and the table that shows it.

A section's name is its key in the JSON, and that of its marks in docs/benchmarks.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import (
    bad_rows,
    control_plane,
    dashboard,
    exports,
    expressions,
    groupby,
    idle,
    live,
    memory,
    observing,
    profile,
    progress,
    queues,
    scaling,
    sdk,
    small_jobs,
    tables,
)
from benchmarks.data import forms, lineitem, make, stations
from benchmarks.turns import compared


@dataclass(frozen=True)
class Asked:
    """The size of a run."""

    rows: int = 10_000_000
    runs: int = 3
    tiny: bool = False

    @property
    def files(self) -> tuple[Path, Path]:
        return make(self.rows)

    @property
    def large_files(self) -> tuple[Path, Path]:
        return make(10 * self.rows)


@dataclass(frozen=True)
class Section:
    """*measure* gives figures for the JSON, *shown* makes lines of Markdown of them."""

    title: str
    measure: Callable[[Asked], Any]
    shown: Callable[[Any], list[str]]
    full: bool = True
    """Left out by `make bench`."""


def _cases(title: str, cases: Callable[[Asked], list[groupby.Case]], *, full: bool = True) -> Section:
    return Section(title, lambda asked: groupby.measure(cases(asked), asked.runs), tables.shown, full)


def _small_jobs(asked: Asked) -> Any:
    return small_jobs.measure(0, 1) if asked.tiny else small_jobs.measure()


def _queues(asked: Asked) -> Any:
    return queues.measure(asked.files[0], asked.runs, queues.TINY if asked.tiny else queues.FULL)


def _control_plane(asked: Asked) -> Any:
    return control_plane.measure(control_plane.TINY if asked.tiny else control_plane.FULL)


def _exports(asked: Asked) -> Any:
    return exports.measure(1000, 1) if asked.tiny else exports.measure(runs=asked.runs)


def _other_questions(asked: Asked) -> list[groupby.Case]:
    scale, keys = (0.01, (10, 20)) if asked.tiny else (1, (413, 10_000))
    return groupby.other_questions([stations(10 * asked.rows, n) for n in keys], lineitem(scale))


usual = partial(Section, full=False)
SECTIONS = {
    "small_jobs": usual("Small jobs", _small_jobs, small_jobs.shown),
    "idle": usual("Idle", lambda asked: idle.measure(tiny=asked.tiny), idle.shown),
    "live": usual("Live views", lambda asked: live.measure(tiny=asked.tiny), live.shown),
    "dashboard": usual("The dashboard", lambda asked: dashboard.measure(tiny=asked.tiny), dashboard.shown),
    "observing": usual("Being watched", lambda asked: observing.measure(tiny=asked.tiny), observing.shown),
    "memory": usual("Memory", lambda asked: memory.measure(tiny=asked.tiny), memory.shown),
    "sdk": usual("The Python SDK", lambda asked: sdk.measure(tiny=asked.tiny), sdk.shown),
    "exports": usual("A million rows in each format", _exports, exports.shown),
    "groupby": _cases("Ten questions", lambda asked: groupby.usual(*asked.files), full=False),
    "queues": usual("Beside other queues", _queues, queues.shown),
    "profile": usual("Where the time goes", lambda asked: profile.measure(asked.files[0]), profile.shown),
    "progress": Section(
        "Progress", lambda asked: progress.measure(asked.files[0], asked.large_files[0]), progress.shown
    ),
    "scaling": Section(
        "Two workers and one", lambda asked: scaling.measure(asked.files[0], asked.runs), scaling.shown
    ),
    "rest": _cases("Ten questions, the rest", lambda asked: groupby.rest(*asked.files)),
    "forms": _cases(
        "Other forms of the data",
        lambda asked: groupby.other_forms([*forms(asked.files[0]).values()]),
    ),
    "questions": _cases("Other questions", _other_questions),
    "expressions": Section(
        "where, derive and time buckets",
        lambda asked: compared("benchmarks.expressions", tiny=asked.tiny),
        expressions.shown,
    ),
    "bad_rows": Section(
        "Bad rows", lambda asked: compared("benchmarks.bad_rows", tiny=asked.tiny), bad_rows.shown
    ),
    "control_plane": Section("Control plane", _control_plane, control_plane.shown),
    "large_csv": _cases("Ten times the rows, CSV", lambda asked: groupby.nine(asked.large_files[0])),
    "large_parquet": _cases("Ten times the rows, Parquet", lambda asked: groupby.nine(asked.large_files[1])),
    "large_groups": _cases(
        "Ten times the rows, as many groups", lambda asked: groupby.last(asked.large_files[0])
    ),
}
