"""The plan of a file of 5,000 columns, of which a job uses two: CPU seconds, and memory of the child.

`python -m benchmarks.wide_files [--columns N]`. Each file is planned by a fork that has loaded everything,
as a child is. The rows are compared with sums of the standard library.
"""

import csv
import json
import time
from collections import Counter
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.options import parser, whole
from benchmarks.stages import job_by_stage

BAR_SECONDS, BAR_MB = 0.5, 100
ROWS = 150


def columns(count: int) -> dict[str, list[int]]:
    return {f"c{i}": [(i * row) % 97 for row in range(ROWS)] for i in range(1, count + 1)}


def written(folder: Path, count: int) -> list[Path]:
    made, files = columns(count), [folder / "wide.csv", folder / "wide.parquet"]
    with files[0].open("w", newline="") as out:
        csv.writer(out).writerows([list(made), *zip(*made.values(), strict=True)])
    pq.write_table(pa.table(made), files[1])
    return files


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


def _job(file: Path, spec: dict[str, Any], told: Connection) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    started = time.monotonic()
    stages, rows = job_by_stage(spec, file)
    told.send((sum(stages["plan"].values()), time.monotonic() - started, _kilobytes("VmHWM") - before, rows))


def measure(count: int) -> list[dict[str, Any]]:
    key, value = "c2", f"c{count - 1}"
    made = columns(count)
    sums: Counter[int] = Counter()
    for of, number in zip(made[key], made[value], strict=True):
        sums[of] += number
    found = []
    with TemporaryDirectory() as folder:
        for file in written(Path(folder), count):
            spec = {
                "source": {"uris": [f"file://{file}"]},
                "group_by": [key],
                "aggregates": [{"fn": "sum", "column": value}],
            }
            job_by_stage(spec, file)  # whatever is loaded with the first job
            here, there = get_context("fork").Pipe(duplex=False)
            child = get_context("fork").Process(target=_job, args=(file, spec, there))
            child.start()
            plan, whole_job, grown, rows = here.recv()
            child.join()
            answer = {int(row[1]): int(row[2]) for row in csv.reader(rows.decode().splitlines())}
            assert answer == dict(sums), json.dumps(answer)
            found.append({"file": file.name, "plan": plan, "job": whole_job, "mb": grown / 1024})
    return found


def shown(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"| file | CPU s of the plan (bar {BAR_SECONDS}) | s of the job | MB of the child (bar {BAR_MB}) |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {each['file']} | {each['plan']:.3f} | {each['job']:.3f} | {each['mb']:.0f} |" for each in found
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--columns", type=whole, default=5_000, help="of the file (default 5,000)")
    asked = options.parse_args()
    print("\n".join(shown(measure(10 if asked.tiny else asked.columns))))
