"""All benchmarks: `python -m benchmarks [--full] [--only SECTION ...] [--docs]`.

It prints the tables, and writes every run to benchmarks/out/bench.json when a section is done. A section that
is measured anew replaces the one that is there, so a long run can be made in parts. `--docs` measures
nothing: it writes the tables and pictures of that file into docs/benchmarks.md.
"""

import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.options import parser, whole
from benchmarks.sections import SECTIONS, Asked
from worker_service.native.library import variant

OUT = Path(__file__).with_name("out") / "bench.json"
PACKAGES = ("duckdb", "polars", "dask", "pandas", "numpy", "pyarrow", "asyncpg", "arq", "celery")


def machine(asked: Asked) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "native": variant(),
        "versions": {name: version(name) for name in PACKAGES},
        "rows": asked.rows,
        "runs": asked.runs,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=10_000_000, help="of the groupby data (default 1e7)")
    options.add_argument("--runs", type=int, default=3, help="of each engine and question (default 3)")
    options.add_argument("--full", action="store_true", help="all sections: hours")
    options.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    options.add_argument("--docs", action="store_true", help="write docs/benchmarks.md from the last figures")
    given = options.parse_args()
    if given.docs:
        if not OUT.exists():
            sys.exit(f"{OUT} is not there: run `make bench` first")
        page.write(json.loads(OUT.read_text()))
        return
    asked = Asked(10_000, 1, tiny=True) if given.tiny else Asked(given.rows, given.runs)
    names = given.only or [name for name, section in SECTIONS.items() if given.full or not section.full]
    document = json.loads(OUT.read_text()) if OUT.exists() and not given.tiny else {}
    document["machine"] = machine(asked)
    print(page.machine_line(document["machine"]), flush=True)
    start = time.perf_counter()
    for name in names:
        section, began, load = SECTIONS[name], time.perf_counter(), os.getloadavg()[0]
        figures = section.measure(asked)
        spent = time.perf_counter() - began
        print("\n".join(["", f"## {section.title}", "", *section.shown(figures), ""]), flush=True)
        print(f"{name} took {spent:.0f} s", file=sys.stderr, flush=True)
        document[name] = {"seconds": spent, "load_before": load, "figures": figures}
        if not given.tiny:
            OUT.parent.mkdir(exist_ok=True)
            OUT.write_text(json.dumps(document, indent=1))
    if given.tiny:
        page.pages(json.loads(json.dumps(document)))
    print(f"all of it took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
