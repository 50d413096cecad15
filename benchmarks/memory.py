"""Memory (PSS) of a worker of two slots and its children, on a large file with few and with many groups."""

import random
from typing import Any

from benchmarks.options import parser
from benchmarks.processes import peak_memory, pss_mb
from benchmarks.stack import warm_stack
from tests.support.stack import Stack

ROWS = 5_000_000
BAR_MB = 600


def large_csv(stack: Stack, rows: int) -> str:
    """The db-benchmark's columns id1 (100 values), id3 (rows / 100 values), v1, v3."""
    chance = random.Random(108)
    path = stack.data / "large.csv"
    with path.open("w") as file:
        file.write("id1,id3,v1,v3\n")
        file.writelines(
            f"id{chance.randrange(1, 101):03d},id{chance.randrange(1, rows // 100 + 1):010d},"
            f"{chance.randrange(1, 6)},{chance.random() * 100:.6f}\n"
            for _ in range(rows)
        )
    return f"file://{path}"


def measure(*, tiny: bool = False) -> dict[str, Any]:
    """Megabytes, idle and during each job."""
    rows = 1_000 if tiny else ROWS
    keys_of = {
        "100 groups": ["id1"],
        f"{rows // 100:,} groups": ["id3"],
        "about as many groups as rows": ["id1", "id3", "v1", "v3"],
    }
    with warm_stack() as stack:
        uri, worker = large_csv(stack, rows), [stack.processes[1].popen.pid]
        found = {"idle after start": pss_mb(worker)}
        for name, keys in keys_of.items():
            aggregates = [{"fn": "sum", "column": "v1"}, {"fn": "mean", "column": "v3"}]
            with peak_memory(worker) as peak:
                job = stack.run(
                    {"source": {"uris": [uri], "format": "csv"}, "group_by": keys, "aggregates": aggregates},
                    patience=600,
                )
            assert job["state"] == "succeeded", job["error"]
            found[name] = peak.mb
        return {"rows": rows, "file_mb": (stack.data / "large.csv").stat().st_size / 1e6, "mb": found}


def shown(figures: dict[str, Any]) -> list[str]:
    title = f"| {figures['rows']:,} rows, {figures['file_mb']:.0f} MB | MB (bar {BAR_MB}) |"
    return [title, "|---|---|", *(f"| {name} | {mb:.0f} |" for name, mb in figures["mb"].items())]


if __name__ == "__main__":
    print("\n".join(shown(measure(tiny=parser(__doc__).parse_args().tiny))))
