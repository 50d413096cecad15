"""CPU that all worker processes together spend on one unit, with 2 and with 20 of them, one slot each and a kernel that sleeps."""

import statistics
import time
from pathlib import Path

from benchmarks import no_kernel
from benchmarks.stack import run_job, start_no_kernel, warm_stack
from tests.support.stack import Process, Stack

UNITS = 400
SECONDS = 0.2
RUNS = 2
IDLE_SECONDS = 10
BAR = 1.2


def cpu_ms(processes: list[Process]) -> float:
    """On-CPU time of every thread, by the scheduler's own nanosecond clock."""
    threads = [path for process in processes for path in Path(f"/proc/{process.popen.pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e6


def per_unit(stack: Stack, workers: list[Process], uri: str) -> tuple[float, float]:
    """CPU milliseconds per unit of one job, and its seconds."""
    before, start = cpu_ms(workers), time.perf_counter()
    run_job(stack, no_kernel.spec(uri))
    return (cpu_ms(workers) - before) / UNITS, time.perf_counter() - start


def measure(count: int) -> float:
    with warm_stack(workers=0) as stack:
        uri = stack.write("units", b"k" * UNITS)
        workers = start_no_kernel(stack, count, 1, SECONDS)
        per_unit(stack, workers, uri)
        runs = [per_unit(stack, workers, uri) for _ in range(RUNS)]
        before = cpu_ms(workers)
        time.sleep(IDLE_SECONDS)
        idle = (cpu_ms(workers) - before) / count / IDLE_SECONDS / 10
        took = statistics.median(seconds for _, seconds in runs)
        figure = statistics.median(cost for cost, _ in runs)
        shown = "  ".join(f"{cost:.2f}" for cost, _ in runs)
        print(f"{count:2} processes: {figure:.2f} CPU ms per unit ({shown}), {took:.1f} s a job, idle {idle:.2f}% of a core each")
        return figure


def main() -> None:
    print(f"jobs of {UNITS} chunks, each sleeps {SECONDS} s, one slot a process")
    few, many = measure(2), measure(20)
    print(f"20 processes against 2: {many / few:.2f} times the CPU per unit; bar {BAR}")


if __name__ == "__main__":
    main()
