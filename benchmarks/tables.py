"""The tables of engines that answer questions: medians, spread, CPU seconds, memory."""

import statistics
from typing import Any

FAST = ("duckdb", "polars")
NAMES = {"gristmill": "Gristmill", "duckdb": "DuckDB", "polars": "Polars", "dask": "Dask", "celery": "Celery"}
HEAD = [
    "| question | over | Gristmill s | DuckDB s | Polars s | to the faster | CPU s of all three | peak MB |",
    "|---|---|---|---|---|---|---|---|",
]
OTHERS = [
    "| question | over | engine | median s | min to max | CPU s | peak MB | Gristmill takes |",
    "|---|---|---|---|---|---|---|---|",
]


def median(runs: list[dict[str, Any]], figure: str) -> float | None:
    """None where a run failed."""
    if any("failed" in run for run in runs):
        return None
    return statistics.median(run[figure] for run in runs)


def ratio(case: dict[str, Any], *others: str) -> float | None:
    """What Gristmill takes, as a multiple of what the fastest of *others* takes."""
    ours = median(case["engines"]["gristmill"], "wall")
    theirs = [
        took for name in others if (took := median(case["engines"].get(name, [{"failed": ""}]), "wall"))
    ]
    return ours / min(theirs) if ours and theirs else None


def line(case: dict[str, Any]) -> str:
    """A row under HEAD."""
    three = [case["engines"][name] for name in ("gristmill", *FAST)]
    cpu = ", ".join(_number(median(runs, "cpu"), ".1f") for runs in three)
    peak = ", ".join(map(_peak, three))
    return (
        f"| {case['question']} | {case['format']} | {' | '.join(map(_wall, three))} "
        f"| {_times(ratio(case, *FAST))} | {cpu} | {peak} |"
    )


def shown(cases: list[dict[str, Any]]) -> list[str]:
    """A table of all cases beside DuckDB and Polars, and one of the other engines where there are any."""
    others = other_engines(cases, *FAST)
    return [*HEAD, *map(line, cases), *(["", *others] if len(others) > len(OTHERS) else [])]


def other_engines(cases: list[dict[str, Any]], *but: str) -> list[str]:
    """A row for each engine of each case that is not named in *but*; Gristmill's own is first."""
    rows = []
    for case in cases:
        engines = {name: runs for name, runs in case["engines"].items() if name not in but}
        if [*engines] == ["gristmill"]:
            continue
        for name, runs in engines.items():
            median_s, _, spread = _wall(runs).partition(" (")
            rows.append(
                f"| {case['question']} | {case['format']} | {NAMES.get(name, name)} | {median_s} "
                f"| {spread.rstrip(')')} | {_number(median(runs, 'cpu'), '.1f')} "
                f"| {_memory(runs)} | {_times(ratio(case, name))} |"
            )
    return [*OTHERS, *rows]


def _wall(runs: list[dict[str, Any]]) -> str:
    if (took := median(runs, "wall")) is None:
        return next(run["failed"] for run in runs if "failed" in run)
    walls = [run["wall"] for run in runs]
    return f"{took:.2f} ({min(walls):.2f} to {max(walls):.2f})"


def _peak(runs: list[dict[str, Any]]) -> str:
    """Of all processes, and of one worker where there are several."""
    most = max((run["worker_mb"] for run in runs if "worker_mb" in run), default=0)
    return f"{_memory(runs)} ({most:.0f} a worker)".strip() if most else _memory(runs)


def _memory(runs: list[dict[str, Any]]) -> str:
    """Of all processes; – if the run ended before a sample."""
    most = median(runs, "peak_mb")
    return "–" if most == 0 else _number(most, ".0f")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
