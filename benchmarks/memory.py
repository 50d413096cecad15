"""Memory of a worker and its children (PSS) while it grinds a large file with few and with many groups, at two slots."""

import random
import threading

import psutil

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
        for _ in range(rows // 100_000):
            file.writelines(
                f"id{chance.randrange(1, 101):03d},id{chance.randrange(1, rows // 100 + 1):010d},{chance.randrange(1, 6)},{chance.random() * 100:.6f}\n"
                for _ in range(100_000)
            )
    return f"file://{path}"


def pss(pid: int) -> int:
    worker = psutil.Process(pid)
    return sum(process.memory_full_info().pss for process in [worker, *worker.children()])


def peak_while(stack: Stack, spec: dict) -> tuple[float, dict]:
    """The highest PSS in MB, sampled every 50 ms, and the job's document."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, pss(stack.processes[1].popen.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    job = stack.run(spec, patience=600)
    done.set()
    watcher.join()
    return peak / 1e6, job


def main() -> None:
    with warm_stack() as stack:
        uri = large_csv(stack, ROWS)
        print(f"worker and children at 2 slots, {ROWS:,} rows, {(stack.data / 'large.csv').stat().st_size / 1e6:.0f} MB; bar {BAR_MB} MB")
        print(f"idle after start                          {pss(stack.processes[1].popen.pid) / 1e6:6.0f} MB PSS")
        aggregates = [{"fn": "sum", "column": "v1"}, {"fn": "mean", "column": "v3"}]
        for name, keys in {
            "100 groups": ["id1"],
            f"{ROWS // 100:,} groups": ["id3"],
            "about as many groups as rows": ["id1", "id3", "v1", "v3"],
        }.items():
            peak, job = peak_while(stack, {"source": {"uris": [uri], "format": "csv"}, "group_by": keys, "aggregates": aggregates})
            assert job["state"] == "succeeded", job["error"]
            timing = {k: v for k, v in job["timing"].items() if k.endswith("_ms")}
            print(f"{name:40}  {peak:6.0f} MB PSS   {job['result']['rows']:,} rows   {timing}")


if __name__ == "__main__":
    main()
