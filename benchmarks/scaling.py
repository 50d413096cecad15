"""Two workers against one: the time of a job, and the CPU time of the children."""

import statistics
from pathlib import Path
from typing import Any

import psutil

from benchmarks.data import make
from benchmarks.groupby import SETTINGS, Case, gristmill
from benchmarks.options import parser, whole
from benchmarks.processes import cpu_seconds
from benchmarks.stack import warm_stack
from tests.support.stack import Stack

QUESTIONS = ("q1", "q3")
FASTER_BAR, CPU_BAR = 1.7, 1.05


def measure(file: Path, runs: int) -> dict[str, Any]:
    """Seconds of each run, by question and number of workers; both numbers have their turn in each run."""
    found = {name: {str(count): {"wall": [], "cpu": []} for count in (1, 2)} for name in QUESTIONS}
    with warm_stack(workers=1, **SETTINGS) as one, warm_stack(workers=2, **SETTINGS) as two:
        for run in range(runs + 1):  # the first one warms
            for name in QUESTIONS:
                for count, stack in (("1", one), ("2", two)):
                    before = _children(stack)
                    figures, _ = gristmill(stack, Case(name, file))
                    if run:
                        found[name][count]["wall"].append(figures["wall"])
                        found[name][count]["cpu"].append(_children(stack) - before)
    return found


def _children(stack: Stack) -> float:
    workers = (psutil.Process(process.popen.pid) for process in stack.processes[1:])
    return sum(cpu_seconds([child.pid]) for worker in workers for child in worker.children())


def shown(figures: dict[str, Any]) -> list[str]:
    cpu = f"CPU s of the children | of two to one (bar {CPU_BAR})"
    lines = [
        f"| question | one worker, s | two workers, s | faster by (bar {FASTER_BAR}) | {cpu} |",
        "|---|---|---|---|---|---|",
    ]
    for name, by_count in figures.items():
        one, two = (by_count[count] for count in ("1", "2"))
        walls, spent = ([statistics.median(side[key]) for side in (one, two)] for key in ("wall", "cpu"))
        lines.append(
            f"| {name} | {walls[0]:.2f} | {walls[1]:.2f} | {walls[0] / walls[1]:.2f}x "
            f"| {spent[0]:.2f}, {spent[1]:.2f} | {spent[1] / spent[0]:.2f}x |"
        )
    return lines


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=10_000_000, help="of the groupby data (default 1e7)")
    options.add_argument("--runs", type=int, default=3, help="with each number of workers (default 3)")
    asked = options.parse_args()
    rows, runs = (1_000, 1) if asked.tiny else (asked.rows, asked.runs)
    print("\n".join(shown(measure(make(rows)[0], runs))))


if __name__ == "__main__":
    main()
