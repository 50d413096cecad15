"""What bad rows cost: CPU seconds of a child, beside the same job over the file without them.

`python -m benchmarks.bad_rows [--rows N] [--runs N]`. Both sides are read in turns, in one process; their
rows are compared with those of DuckDB.
"""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.data import make
from benchmarks.expressions import Side, checked, spec
from benchmarks.stages import job_by_stage
from benchmarks.turns import compare

ONE_OF = 10_000
"""Of so many records one is bad: 0.01 %."""
BAR = 1.05
RAGGED, MISFIT = b"id001,id002\n", b"id001,id001,id0000000001,1,1,1,N/A,1,1.5\n"
JOB = {
    "group_by": ["id1"],
    "aggregates": [{"fn": "sum", "column": "v1"}, {"fn": "max", "column": "v3"}],
}
SQL = "SELECT id1, sum(v1), max(v3) FROM '{}' GROUP BY id1"
KINDS = {"of too few fields": [RAGGED], "of a misfit": [MISFIT], "of both": [RAGGED, MISFIT]}


def with_bad_rows(clean: Path, name: str, bad: list[bytes]) -> Path:
    """*clean* with a bad record for each ONE_OF good ones; made once, and kept."""
    path = clean.with_stem(f"{clean.stem}_bad_{name.replace(' ', '_')}")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with clean.open("rb") as lines, unfinished.open("wb") as out:
            for no, line in enumerate(lines):
                out.write(line)
                if no % ONE_OF == ONE_OF // 2:
                    out.write(bad[no // ONE_OF % len(bad)])
        unfinished.rename(path)
    return path


def measure(rows: int, runs: int) -> list[dict[str, Any]]:
    clean, _ = make(rows)
    typed = {"source": {"types": {"v1": "int64", "v3": "float64"}}}
    plain = Side({**JOB, **typed}, SQL)
    kept = Side({**JOB, **typed, "options": {"on_bad_row": "quarantine", "max_bad_rows": 10**5}}, SQL)
    found = []
    for name, bad in KINDS.items():
        dirty = with_bad_rows(clean, name, bad)
        seconds: tuple[list[float], list[float]] = ([], [])
        turns = [(plain, clean, seconds[0]), (kept, dirty, seconds[1])]
        for _ in range(runs):
            for side, file, times in turns:
                stages, answer = job_by_stage(spec(side, file), file)
                checked(side, clean, answer)
                times.append(sum(sum(phase.values()) for phase in stages.values()))
            turns.reverse()
        ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
        medians = [round(statistics.median(times), 3) for times in seconds]
        found.append({"bad rows": name, "seconds": medians, "ratio": round(ratio, 3), "bar": BAR})
    return found


def shown(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| 0.01 % of the records are bad | CPU s without | CPU s with | ratio | bar |",
        "|---|---|---|---|---|",
    ]
    for each in found:
        plain, other = each["seconds"]
        lines.append(
            f"| {each['bad rows']} | {plain:.2f} | {other:.2f} | {each['ratio']:.3f} | {each['bar']} |"
        )
    return lines


def main() -> None:
    # a ratio so near to 1 needs seconds of work
    compare(__doc__, "benchmarks.bad_rows", measure, shown, rows=10_000_000, runs=9)


if __name__ == "__main__":
    main()
