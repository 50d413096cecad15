"""The Python SDK: its import, one small job beside its requests by hand, and the memory of a large upload."""

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.options import parser
from benchmarks.small_jobs import one_megabyte
from benchmarks.stack import warm_stack
from gristmill import Client
from tests.support.stack import Stack

IMPORT_BAR_MS, HELP_BAR_MS, RATIO_BAR, GROWTH_BAR_MB = 150, 300, 1.3, 50
WORDS: dict[str, Any] = {"by": "id1", "aggs": {"v1": ("v1", "sum"), "v3": ("v3", "mean")}}
SPEC = {
    "group_by": ["id1"],
    "aggregates": [{"fn": "sum", "column": "v1", "as": "v1"}, {"fn": "mean", "column": "v3", "as": "v3"}],
}
IMPORTS = {
    f"`import gristmill` (bar {IMPORT_BAR_MS} ms)": "import gristmill",
    "`from gristmill import Client` and `Client()`": "from gristmill import Client; Client()",
}
UPLOAD = """
import re, sys
from pathlib import Path
from gristmill import Client

def kilobytes(name):
    return int(re.search(rf"^{name}:\\s+(\\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1])

client = Client(progress=False)
client.ready()
before = kilobytes("VmRSS")
client.upload(sys.argv[1])
print((kilobytes("VmHWM") - before) * 1024 / 1e6)
"""


def import_ms(code: str, runs: int) -> float:
    """The least of some runs, less the start of Python."""
    return min(_took("-c", code) for _ in range(runs)) - min(_took("-c", "pass") for _ in range(runs))


def help_ms(runs: int) -> float:
    """The least of some runs of `gristmill --help`, with the start of Python."""
    return min(_took("-m", "gristmill.cli", "--help") for _ in range(runs))


def _took(*words: str) -> float:
    """The milliseconds of a Python with these words."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def by_hand(http: httpx2.Client, path: Path) -> int:
    """The same job by its requests, as short as they can be written; the number of its rows."""
    uri = http.post("/v1/uploads", params={"filename": path.name}, content=path.read_bytes()).json()["uri"]
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=10"}
    job = http.post("/v1/jobs", json={"source": {"uris": [uri]}, **SPEC}, headers=headers).json()
    assert job["state"] == "succeeded", job["error"]
    return len(http.get(f"/v1/jobs/{job['id']}/rows", params={"limit": 1000}).json()["items"])


def by_sdk(client: Client, path: Path) -> int:
    return len(client.aggregate(path, **WORDS).to_dicts())


def aggregates(stack: Stack, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each side, ascending. The sides take turns."""
    path = stack.folder / "small.csv"
    path.write_text(one_megabyte())
    took: dict[str, list[float]] = {"hand": [], "sdk": []}
    with Client(str(stack.http.base_url), progress=False) as client:
        for turn in range(runs + 1):
            for name, call in (
                ("hand", lambda: by_hand(stack.http, path)),
                ("sdk", lambda: by_sdk(client, path)),
            ):
                begun = time.perf_counter()
                assert call() == 100
                if turn:  # the first one warms
                    took[name].append((time.perf_counter() - begun) * 1000)
    return {name: sorted(times) for name, times in took.items()}


def upload(stack: Stack, size: int) -> dict[str, float]:
    """Megabytes by which the client and the gateway grow, and the seconds."""
    path = stack.folder / "large.bin"
    with path.open("wb") as file:
        file.truncate(size)
    gateway = psutil.Process(stack.processes[0].popen.pid)
    before = peak = gateway.memory_info().rss
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", UPLOAD, str(path)],
        env=os.environ | {"GRISTMILL_URL": str(stack.http.base_url)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None:
            peak = max(peak, gateway.memory_info().rss)
            time.sleep(0.02)
        assert process.stdout is not None
        grown = float(process.stdout.read())
    return {
        "client_mb": grown,
        "gateway_mb": (peak - before) / 1e6,
        "seconds": time.perf_counter() - begun,
        "size_mb": size / 1e6,
    }


def measure(*, tiny: bool = False) -> dict[str, Any]:
    runs, size = (1, 20_000_000) if tiny else (40, 1_000_000_000)
    starts = 1 if tiny else 10
    imports = {name: import_ms(code, starts) for name, code in IMPORTS.items()}
    imports[f"`gristmill --help` (bar {HELP_BAR_MS} ms)"] = help_ms(starts)
    with warm_stack() as stack:
        return {"imports": imports, "aggregates": aggregates(stack, runs), "upload": upload(stack, size)}


def shown(figures: dict[str, Any]) -> list[str]:
    hand, sdk = (statistics.median(figures["aggregates"][name]) for name in ("hand", "sdk"))
    sent = figures["upload"]
    imports = [f"| {name} | {ms:.0f} ms |" for name, ms in figures["imports"].items()]
    return [
        "| the SDK | measured |",
        "|---|---|",
        *imports,
        f"| `client.aggregate` of 1 MB and its rows; the requests by hand | {sdk:.0f} and {hand:.0f} ms |",
        f"| the first as a multiple of the second (bar {RATIO_BAR}) | {sdk / hand:.2f} |",
        f"| an upload of {sent['size_mb']:,.0f} MB | {sent['seconds']:.1f} s |",
        f"| the client grows by (bar {GROWTH_BAR_MB} MB) | {sent['client_mb']:.1f} MB |",
        f"| the gateway grows by (bar {GROWTH_BAR_MB} MB) | {sent['gateway_mb']:.1f} MB |",
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--json", action="store_true", help="print the figures, not the table")
    asked = options.parse_args()
    found = measure(tiny=asked.tiny)
    print(json.dumps(found) if asked.json else "\n".join(shown(found)))
