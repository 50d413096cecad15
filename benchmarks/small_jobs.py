"""Time from POST to succeeded for a job over a 1 MB file, with the stack warm."""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.options import parser
from benchmarks.stack import run_job, warm_stack

RUNS = 50
BAR_MS = 80


def one_megabyte() -> str:
    chance = random.Random(108)
    rows = [
        f"id{chance.randrange(1, 101):03d},{chance.randrange(1, 6)},{chance.random() * 100:.6f}"
        for _ in range(55_000)
    ]
    return "id1,v1,v3\n" + "\n".join(rows) + "\n"


def measure(
    warming: int = 5, runs: int = RUNS, check: Callable[[list[dict[str, Any]], Path], None] | None = None
) -> dict[str, Any]:
    """Milliseconds of the jobs, ascending, and the phases of the last one, whose rows *check* compares."""
    with warm_stack() as stack:
        uri = stack.write("small.csv", one_megabyte())
        spec = {
            "source": {"uris": [uri], "format": "csv"},
            "group_by": ["id1"],
            "aggregates": [{"fn": "sum", "column": "v1"}, {"fn": "mean", "column": "v3"}],
        }
        times = []
        for _ in range(warming + runs):
            start = time.perf_counter()
            job = run_job(stack, spec)
            times.append((time.perf_counter() - start) * 1000)
        phases = {
            name: value for name, value in job["timing"].items() if name.endswith("_ms") and value is not None
        }
        if check is not None:
            check(stack.rows(job["id"]), stack.data / "small.csv")
        return {"ms": sorted(times[warming:]), "phases": phases}


def shown(figures: dict[str, Any]) -> list[str]:
    counted = figures["ms"]
    p10, p90 = counted[len(counted) // 10], counted[len(counted) * 9 // 10]
    phases = "   ".join(f"{name} {value:.0f}" for name, value in figures["phases"].items())
    return [
        "```text",
        f"1 job over 1 MB, POST to succeeded, {len(counted)} runs, stack warm; bar {BAR_MS} ms",
        f"median {statistics.median(counted):.0f} ms   p10 {p10:.0f} ms   p90 {p90:.0f} ms",
        f"of the last: {phases}",
        "```",
    ]


if __name__ == "__main__":
    tiny = parser(__doc__).parse_args().tiny
    print("\n".join(shown(measure(0, 1) if tiny else measure())))
