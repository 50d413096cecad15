"""Time from POST to succeeded for a job over a 1 MB file, with the stack warm."""

import random
import statistics
import time

from benchmarks.stack import warm_stack

RUNS = 50


def one_megabyte() -> str:
    chance = random.Random(108)
    rows = [f"id{chance.randrange(1, 101):03d},{chance.randrange(1, 6)},{chance.random() * 100:.6f}" for _ in range(55_000)]
    return "id1,v1,v3\n" + "\n".join(rows) + "\n"


def main() -> None:
    with warm_stack() as stack:
        text = one_megabyte()
        uri = stack.write("small.csv", text)
        spec = {
            "source": {"uris": [uri], "format": "csv"},
            "group_by": ["id1"],
            "aggregates": [{"fn": "sum", "column": "v1"}, {"fn": "mean", "column": "v3"}],
        }
        times = []
        for _ in range(RUNS + 5):
            start = time.perf_counter()
            job = stack.submit(spec, Prefer="wait=10")
            while not job["done"]:
                job = stack.job(job["id"])
            times.append((time.perf_counter() - start) * 1000)
            assert job["state"] == "succeeded", job["error"]
        counted = sorted(times[5:])
        print(f"1 job over {len(text) / 1e6:.2f} MB, POST to succeeded, {RUNS} runs, stack warm")
        print(f"median {statistics.median(counted):.0f} ms   p10 {counted[RUNS // 10]:.0f} ms   p90 {counted[RUNS * 9 // 10]:.0f} ms")
        timing = job["timing"]
        print(
            "of the last: "
            + "   ".join(f"{name} {timing[name]:.0f}" for name in timing if name.endswith("_ms") and timing[name] is not None)
        )


if __name__ == "__main__":
    main()
