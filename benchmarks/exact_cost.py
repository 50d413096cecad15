"""The cost of exactness: one job with exact and with plain sums, one with quote-safe and with plain cuts.

`python -m benchmarks.exact_cost [--rows N] [--runs N]` prints a table and writes it, and the figures as JSON,
to benchmarks/out/. The product and a product with plain children (benchmarks.plain_*) answer in turns, and
their answers are compared. For sums these are two stacks of two workers that are up at once; for cuts one
stack, whose children are plain for one name of the file.
"""

import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.__main__ import OUT, machine
from benchmarks.data import SEED, make
from benchmarks.groupby import SETTINGS
from benchmarks.options import parser, whole
from benchmarks.page import machine_line
from benchmarks.processes import cpu_seconds
from benchmarks.sections import Asked
from benchmarks.stack import run_job, warm_stack
from tests.support.stack import Stack


@dataclass(frozen=True)
class Case:
    """`aggregates` by `key` of a file.

    `plain` is the module of the other side's children. `bar`, if there is one, is the largest ratio of the
    product's time to theirs that is accepted.
    """

    title: str
    file: str
    key: str
    aggregates: tuple[str, ...]
    plain: str
    bar: float | None


TINY_ROWS = 10_000
SUMS, CUTS, COUNTS = "benchmarks.plain_sums", "benchmarks.plain_cuts", "benchmarks.plain_counts"
CASES = (
    Case("exact sum of one column of doubles", "doubles", "id1", ("sum v3",), SUMS, 1.15),
    Case(
        "exact sums of three columns of doubles", "doubles", "id1", ("sum v1", "sum v2", "sum v3"), SUMS, 1.25
    ),
    Case("exact variance of a column of doubles", "doubles", "id1", ("var v3",), SUMS, 1.6),
    Case("exact standard deviation of a column of doubles", "doubles", "id1", ("std v3",), SUMS, 1.6),
    Case("quote-safe cuts, no field quoted", "as it is", "id1", ("sum v1",), CUTS, 1.03),
    Case("quote-safe cuts, every field quoted", "quoted", "id1", ("sum v1",), CUTS, 1.1),
    Case("quote-safe cuts and counts, every field quoted", "quoted", "id1", ("sum v1",), COUNTS, None),
)


Side = tuple[Stack, Path]


def files(rows: int) -> dict[str, Path]:
    """The db-benchmark's CSV; the same with three columns of doubles; the same with every field in quotes.

    Made once, and kept.
    """
    csv, _ = make(rows)
    return {
        "as it is": csv,
        "doubles": _rewritten(csv, "doubles", _with_doubles, "none"),
        "quoted": _rewritten(csv, "quoted", lambda block: block, "all_valid"),
    }


def _rewritten(csv: Path, name: str, change: Callable[[pa.Table], pa.Table], quoting: str) -> Path:
    path = csv.with_stem(f"{csv.stem}_{name}")
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    with pacsv.open_csv(csv) as blocks:
        first = change(pa.table(blocks.read_next_batch()))
        with pacsv.CSVWriter(
            unfinished, first.schema, write_options=pacsv.WriteOptions(quoting_style=quoting)
        ) as lines:
            lines.write_table(first)
            for block in blocks:
                lines.write_table(change(pa.table(block)))
    unfinished.rename(path)
    return path


def _with_doubles(block: pa.Table) -> pa.Table:
    """v1 and v2 become doubles like v3, with as many digits."""
    chance = np.random.default_rng(SEED)
    for name in ("v1", "v2"):
        block = block.set_column(
            block.schema.get_field_index(name),
            name,
            pa.array(np.round(chance.uniform(0, 100, block.num_rows), 6)),
        )
    return block


def spec(case: Case, file: Path) -> dict[str, Any]:
    aggregates = [dict(zip(("fn", "column"), text.split(), strict=True)) for text in case.aggregates]
    return {
        "source": {"uris": [f"file://{file}"], "format": "csv"},
        "group_by": [case.key],
        "aggregates": aggregates,
    }


def run(stack: Stack, file: Path, case: Case) -> tuple[dict[str, Any], pd.DataFrame]:
    """Seconds from submit to success, CPU seconds of the workers and their children, the phases, the answer.

    The time is that of Postgres' clock; a client hears of success up to 0.25 s later.
    """
    workers = [process.popen.pid for process in stack.processes[1:]]
    before = cpu_seconds(workers)
    job = run_job(stack, spec(case, file))
    timing = job["timing"]
    created, finished = (datetime.fromisoformat(timing[moment]) for moment in ("created_at", "finished_at"))
    figures = {
        "wall": (finished - created).total_seconds(),
        "cpu": cpu_seconds(workers) - before,
        "phases": timing,
    }
    with psycopg.connect(stack.database_url) as connection:
        cursor = connection.execute(f"SELECT * FROM {job['result']['relation']} ORDER BY {case.key}")
        names = [column.name for column in cursor.description or ()]
        return figures, pd.DataFrame(cursor.fetchall(), columns=names).drop(columns="_id")


def _beside(sides: dict[str, Side], case: Case, runs: int) -> dict[str, list[dict[str, Any]]]:
    """The runs of both sides, in turns, without the first of each: it warms page cache and children."""
    found: dict[str, list[dict[str, Any]]] = {"product": [], "plain": []}
    for turn in range(runs + 1):
        answers = {}
        for name in sides if turn % 2 else reversed(sides):
            figures, answers[name] = run(*sides[name], case)
            found[name] += [figures] if turn else []
        pd.testing.assert_frame_equal(answers["product"], answers["plain"], rtol=1e-6)
    return found


def plain_stack(module: str, scope: ExitStack) -> Stack:
    stack = scope.enter_context(warm_stack(workers=0, **SETTINGS))
    stack.workers(2, "benchmarks.plain_worker", module)
    return stack


def measure(rows: int, runs: int) -> list[dict[str, Any]]:
    paths, found = files(rows), []
    for module in (SUMS, CUTS, COUNTS):
        with ExitStack() as scope:
            plain = plain_stack(module, scope)
            product = scope.enter_context(warm_stack(workers=2, **SETTINGS)) if module == SUMS else plain
            for case in (case for case in CASES if case.plain == module):
                file = paths[case.file]
                figures = _beside(
                    {"product": (product, file), "plain": (plain, file if module == SUMS else _again(file))},
                    case,
                    runs,
                )
                found.append(
                    {
                        **asdict(case),
                        "megabytes": file.stat().st_size / 1e6,
                        "runs": figures,
                        **ratios(figures),
                    }
                )
    return found


def _again(file: Path) -> Path:
    """The same file under the name for which children of plain_cuts are plain."""
    link = file.with_suffix(".plain.csv")
    link.unlink(missing_ok=True)
    link.hardlink_to(file)
    return link


def ratios(sides: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The median ratio of the product's time, and of its CPU time, to the plain one's of the same turn.

    Within a turn, because the pace of a machine changes within minutes.
    """
    turns = list(zip(sides["product"], sides["plain"], strict=True))
    return {
        what: statistics.median(product[what] / plain[what] for product, plain in turns)
        for what in ("wall", "cpu")
    }


def _median(runs: list[dict[str, Any]], what: str) -> float:
    return statistics.median(figures[what] for figures in runs)


def shown(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| what | plain s | Gristmill s | ratio | bar | plain CPU s | CPU s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in found:
        plain, product = case["runs"]["plain"], case["runs"]["product"]
        wall, cpu = (
            f"{_median(plain, clock):.2f} | {_median(product, clock):.2f} | {case[clock]:.3f}"
            for clock in ("wall", "cpu")
        )
        lines.append(f"| {case['title']} | {wall} | {case['bar'] or ''} | {cpu} |")
    return lines


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=10_000_000, help="of the groupby data (default 1e7)")
    options.add_argument("--runs", type=int, default=25, help="of each side and case (default 25)")
    asked = options.parse_args()
    rows, runs = (TINY_ROWS, 1) if asked.tiny else (asked.rows, asked.runs)
    document: dict[str, Any] = {"rows": rows, "machine": machine(Asked(rows, runs, asked.tiny))}
    document["cases"] = measure(rows, runs)
    lines = [machine_line(document["machine"]), "", *shown(document["cases"])]
    print("\n".join(lines))
    if asked.tiny:
        return
    OUT.mkdir(exist_ok=True)
    (OUT / "exact_cost.json").write_text(json.dumps(document, indent=1))
    (OUT / "exact_cost.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
