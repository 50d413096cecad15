"""How true the progress of a job is: the share of each phase, standstills, and how often the estimate holds.

Each job is followed by its events, of few and of many groups.
"""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.data import make
from benchmarks.options import parser, whole
from benchmarks.questions import MANY_GROUPS
from benchmarks.stack import warm_stack
from tests.support.stack import Stack

PHASES = ("plan", "scan", "merge", "publish")


def followed(stack: Stack, job_id: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """When each event of a job came, and its data."""
    with stack.http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=600) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield time.perf_counter(), json.loads(line[6:])


def told(seen: list[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """The figures of a job from all its events; the last one is that of its end."""
    end, job = seen[-1]
    shown = [(at, each["progress"]) for at, each in seen]
    since, longest = shown[0][0], 0.0
    for (_, before), (at, now) in pairwise(shown):
        longest = max(longest, at - since)
        since = at if now["fraction"] != before["fraction"] else since
    ranges = [(end - at, each["eta_range"]) for at, each in shown if each["eta_range"]]
    spent = {phase: job["timing"][f"{phase}_ms"] for phase in PHASES}
    return {
        "seconds": end - seen[0][0],
        "events": len(seen),
        "shares": {
            phase: milliseconds / max(1, sum(spent.values())) for phase, milliseconds in spent.items()
        },
        "falls": sum(now["fraction"] < before["fraction"] for (_, before), (_, now) in pairwise(shown)),
        "standstill": longest,
        "held": sum(low <= left <= high for left, (low, high) in ranges) / max(1, len(ranges)),
    }


def measure(file: Path, large: Path) -> dict[str, dict[str, Any]]:
    """Jobs over both files, by name; those of fewer groups need the *large* one to last for seconds."""
    jobs = {
        "few groups": (large, ["id1"]),
        "many groups": (large, ["id3"]),
        "as many groups as rows": (file, ["id1", "id2", "id3", "id6"]),
    }
    found = {}
    with warm_stack(GRISTMILL_SOURCES=f"file://{file.parent}/") as stack:
        for name, (source, keys) in jobs.items():
            job = stack.submit(
                {
                    "source": {"uris": [f"file://{source}"]},
                    "group_by": keys,
                    "aggregates": [{"fn": "sum", "column": "v1"}, {"fn": "mean", "column": "v3"}],
                    **MANY_GROUPS,
                }
            )
            seen = list(followed(stack, job["id"]))
            assert seen[-1][1]["state"] == "succeeded", seen[-1][1]["error"]
            found[name] = told(seen)
    return found


def shown(figures: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| job | seconds | plan | scan | merge | publish | falls | standstill | estimates that hold |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        shares = " | ".join(f"{100 * found['shares'][phase]:.0f} %" for phase in PHASES)
        lines.append(
            f"| {name} | {found['seconds']:.1f} | {shares} | {found['falls']} | {found['standstill']:.2f} s "
            f"| {100 * found['held']:.0f} % |"
        )
    return lines


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=1_000_000, help="of the smaller file (default 1e6)")
    given = options.parse_args()
    rows = 1000 if given.tiny else given.rows
    print("\n".join(shown(measure(make(rows)[0], make(10 * rows)[0]))))
