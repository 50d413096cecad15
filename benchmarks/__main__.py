"""All benchmarks: `python -m benchmarks [--rows N] [--runs N] [--full]`.

It prints the tables of docs/benchmarks.md, and writes them and the figures as JSON to benchmarks/out/.
"""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import groupby, idle, memory, profile, small_jobs
from benchmarks.data import forms, lineitem, make, stations
from benchmarks.options import parser, whole

OUT = Path(__file__).with_name("out")
PACKAGES = ("gristmill", "duckdb", "polars", "dask", "pandas", "numpy", "pyarrow", "asyncpg", "arq")


def machine() -> dict[str, Any]:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_gib),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in PACKAGES},
    }


def machine_line(found: dict[str, Any], runs: int) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    where = f"{found['cores']} cores ({found['cpu']}), {found['memory_gib']} GiB, {found['system']}"
    where += f", Python {found['python']}"
    return [f"{where}; {versions}; {runs} runs each; load before the start {found['load']:.1f}.", ""]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=10_000_000, help="of the groupby data (default 1e7)")
    options.add_argument("--full", action="store_true", help="ten times the rows and other forms too: hours")
    options.add_argument("--runs", type=int, default=3, help="of each engine and question (default 3)")
    asked = options.parse_args()
    rows, runs = (10_000, 1) if asked.tiny else (asked.rows, asked.runs)
    document: dict[str, Any] = {"rows": rows, "runs": runs, "machine": machine()}
    lines: list[str] = []

    def section(name: str, title: str, figures: Any, table: list[str]) -> None:
        document[name] = figures
        added = [f"## {title}", "", *table, ""]
        print("\n".join(added), flush=True)
        lines.extend(added)

    start = time.perf_counter()
    csv, parquet = make(rows)
    section("machine", "Machine", document["machine"], machine_line(document["machine"], runs))
    section("small_jobs", "Small jobs", found := small_jobs.measure(tiny=asked.tiny), small_jobs.shown(found))
    section("idle", "Idle", found := idle.measure(tiny=asked.tiny), idle.shown(found))
    section("memory", "Memory", found := memory.measure(tiny=asked.tiny), memory.shown(found))
    section(
        "groupby",
        "Group-by beside others",
        found := groupby.measure(groupby.usual(csv, parquet), runs),
        groupby.shown(found),
    )
    if asked.full:
        scale, keys = (0.01, (10, 20)) if asked.tiny else (1, (413, 10_000))
        others = groupby.others(forms(csv), [stations(10 * rows, n) for n in keys], lineitem(scale))
        section(
            "others",
            "Other forms and questions",
            found := groupby.measure(others, runs),
            groupby.shown(found),
        )
        large = groupby.large(*make(10 * rows))
        section("large", "Ten times the rows", found := groupby.measure(large, runs), groupby.shown(found))
    section("profile", "Where the time goes", found := profile.measure(csv), profile.shown(found))
    print(f"all of it took {time.perf_counter() - start:.0f} s")
    if asked.tiny:
        return
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps(document, indent=1))
    (OUT / "bench.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
